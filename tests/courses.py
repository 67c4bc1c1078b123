"""A miniature course in a folder of its own: one lab, its solution, its two checks."""

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from underload.authoring.notebook import text_of

CHECKS = '''
from underload.judge.requirements import check

@check(points=3, look="Round 2.", hint="Count them.")
def budget(service):
    """At most 10 sessions with 200 users."""

@check(points=1, look="Round 1.", hint="Ask it.")
def health(service):
    """It answers while it works.

    Not part of the sentence.
    """
'''


def code(id, source, tag="", **more):
    return new_code_cell(source, id=id, metadata={"tags": [tag]} if tag else {}, **more)


def text(id, source, tag=""):
    return new_markdown_cell(source, id=id, metadata={"tags": [tag]} if tag else {})


def shown(line, count=7):
    return {"execution_count": count, "outputs": [new_output("stream", name="stdout", text=line + "\n")]}


def solution():
    """Return a solution that keeps to every rule."""
    cells = [
        text("title", "# Lab"),
        code("imports", "import math", **shown("noise", 1)),
        code("broken", "app = 1", "starter", **shown("broken", 2)),
        text("why", "It is repaired so.", "solution"),
        code("repaired", "app = 2", "solution"),
        code("lab", 'lab = Lab("blocking", app)', "lab", **shown("serving", 3)),
        text("asked-budget", "**3 points.** At most 10 sessions with 200 users."),
        code("budget", 'lab.check("budget")', "check", **shown("✔ 3/3 At most 10 sessions with 200 users")),
        text("asked-health", "It answers while it\nworks: 1 point."),
        code(
            "health", 'lab.check("health")', "check", **shown("✔ 1/1 It answers while it works (measured 3)")
        ),
        text("end", "Well done."),
    ]
    cells[5].metadata["execution"] = {"iopub.execute_input": "2026-11-22"}
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python", "version": "3.11"}})


@dataclass
class Course:
    """The folders of a course, and what its one lab is made from."""

    root: Path
    solutions: Path
    labs: Path

    def solve(self, notebook, name="01-blocking.ipynb"):
        (self.solutions / name).write_text(text_of(notebook))
        return self.solutions / name

    def lab(self, name="01-blocking.ipynb"):
        return nbformat.read(self.labs / name, as_version=4)

    def rewrite(self, change, name="01-blocking.ipynb"):
        """Change the lab as somebody would who works on it."""
        lab = self.lab(name)
        change(lab)
        (self.labs / name).write_text(text_of(lab))


def course(root, monkeypatch):
    """Make a course in ``root``, and let the judge's checks be its own."""
    made = Course(root, root / "solutions", root / "labs")
    made.solutions.mkdir()
    (made.labs / "checks").mkdir(parents=True)
    (made.labs / "checks/blocking.py").write_text(CHECKS)
    monkeypatch.setattr("underload.judge.requirements.CHECKS", made.labs / "checks")
    made.solve(solution())
    return made
