"""What ``pytest --nbval`` says of a lab, a learner's copy and a lesson, whatever outputs the file holds."""

import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbclient
import nbformat
import pytest
from minicourse import asked, cell
from nbformat.v4 import new_notebook, new_output

from underload.course import LABS, SOLUTIONS
from underload.finding import UNDER_PYTEST
from underload.pytest_plugin import is_learners

CHECKS = '''
from underload.judge.requirements import check

@check(points=2, look="lesson 01", hint="Say 1.")
def one(service):
    """The service says one"""
    service.get("/")["one"].equals(1)

@check(points=1, look="lesson 02", hint="Say 2.")
def two(service):
    """The service says two"""
    service.get("/")["two"].equals(2)
'''
SERVICE = """
app = FastAPI()

@app.get("/")
async def say():
    return {"one": %d, "two": %d}
"""
STEM = "01-tiny"
SETUP, STARTER, LAB, ONE, TWO, AFTER = range(6)  # the lab's code cells, as nbval counts them
UNMET, MET = "✘ 0/2 The service says one\n", "✔ 2/2 The service says one\n"
SUMMARY = re.compile(r"^(PASSED|FAILED) .*?([^/]+)\.ipynb::Cell (\d+)", re.MULTILINE)
OURS = Path(sys.modules[is_learners.__module__].__file__).parent


def make_lab(root: Path) -> nbformat.NotebookNode:
    """Write the course of one lab, and return the lab as it is released."""
    (root / "labs/checks").mkdir(parents=True)
    (root / "solutions").mkdir()
    (root / "labs/checks/tiny.py").write_text(CHECKS)
    solution = new_notebook(
        cells=[
            cell("setup", "from fastapi import FastAPI\nfrom underload import Lab"),
            cell("broken", SERVICE % (0, 0), "starter"),
            cell("solved", SERVICE % (1, 2), "solution"),
            cell("lab", 'lab = Lab("tiny", app)', "lab"),
            *asked("one", 2, "The service says one"),
            *asked("two", 1, "The service says two"),
            cell("after", "print('and so on')"),
        ]
    )
    nbformat.write(solution, root / f"solutions/{STEM}.ipynb")
    command = [sys.executable, "-c", "from underload.cli import main; main()", "release"]
    subprocess.run(command, env={**os.environ, "UNDERLOAD_COURSE": str(root)}, check=True)
    return nbformat.read(root / f"labs/{STEM}.ipynb", as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_all(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run a copy of the notebook as JupyterLab does, to the end or to the first error, and return it."""
    return nbclient.execute(deepcopy(notebook), cwd=LABS)


def printing(notebook: nbformat.NotebookNode, *lines: str, count: int | None = 9) -> nbformat.NotebookNode:
    """Return a copy of the notebook in which each code cell printed such a line when it was last run."""
    copied = deepcopy(notebook)
    for each, line in zip(code(copied), lines, strict=True):
        each.update(execution_count=count, outputs=[new_output("stream", name="stdout", text=line)])
    return copied


def repaired(lab: nbformat.NotebookNode, one: int, two: int) -> nbformat.NotebookNode:
    copied = deepcopy(lab)
    code(copied)[STARTER].source = (SERVICE % (one, two)).strip()
    return copied


def lesson(holds: bool, mark: str = "") -> nbformat.NotebookNode:
    cells = [cell("claim", f'from underload import claim\nclaim("one is one", {holds})')]
    return new_notebook(cells=cells, metadata={"underload": {mark: "01-tiny"} if mark else {"minutes": 60}})


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """A folder of notebooks, and the environment to run them in as somebody who is not under pytest."""
    folder = tmp_path_factory.mktemp("learner")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(UNDER_PYTEST)
        patch.setenv("UNDERLOAD_COURSE", str(folder / "course"))
        lab = make_lab(folder / "course")
        notebooks = {
            "shipped": lab,
            "saved": run_all(lab),
            "edited": printing(lab, *[MET] * 6),
            "edited and not numbered": printing(lab, *[MET] * 6, count=None),
            "half": printing(repaired(lab, 1, 0), *[UNMET] * 6),
            "solved": printing(repaired(lab, 1, 2), *[UNMET] * 6),
            "unmarked": printing(repaired(new_notebook(cells=lab.cells), 1, 2), *[MET] * 6),
            "claim with another output": printing(lesson(False), "✔ one is one\n"),
            "claim without outputs": lesson(False),
            "lesson with another output": printing(lesson(True), "✘ one is one\n"),
            "copy with another output": printing(lesson(True, "copy_of"), "✘ one is one\n"),
            "copy with a claim": printing(lesson(False, "copy_of"), "✔ one is one\n"),
        }
        for name, notebook in notebooks.items():
            nbformat.write(notebook, folder / f"{name}.ipynb")
        yield folder


def validate(*arguments: object) -> tuple[dict[str, set[int]], str]:
    """Return which cells of each notebook failed, and all that pytest said."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--color=no",
        "-o",
        "addopts=",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=240)
    failed: dict[str, set[int]] = {}
    for outcome, name, number in SUMMARY.findall(done.stdout):
        failed.setdefault(name, set()).update([int(number)] if outcome == "FAILED" else [])
    return failed, done.stdout


@pytest.fixture(scope="module")
def validated(learner):
    return validate("--nbval", *sorted(learner.glob("*.ipynb")))


@pytest.mark.parametrize("state", ["shipped", "saved", "edited", "edited and not numbered"])
def test_a_broken_lab_fails_its_checks_whatever_its_outputs_are(validated, state):
    assert validated[0][state] == {ONE, TWO}


def test_of_a_lab_that_is_repaired_in_part_the_rest_fails(validated):
    assert validated[0]["half"] == {TWO}


def test_a_repaired_lab_passes_whatever_its_outputs_are(validated):
    assert validated[0]["solved"] == set()


def test_a_claim_that_does_not_hold_fails_whatever_its_outputs_are(validated):
    for name in ("claim with another output", "claim without outputs", "copy with a claim"):
        assert validated[0][name] == {0}, name


def test_outputs_are_compared_in_a_lesson_and_in_a_solution_but_not_in_a_copy(validated):
    assert validated[0]["lesson with another output"] == {0}
    assert validated[0]["unmarked"] == {SETUP, STARTER, LAB, TWO, AFTER}
    assert validated[0]["copy with another output"] == set()


def test_a_check_that_is_not_met_is_shown_as_the_judge_says_it_and_no_more(validated):
    said = validated[1].partition("shipped.ipynb::Cell")[2]
    message = said.partition('lab.check("one")')[2].partition("\n____")[0].strip().splitlines()
    assert message[-5:] == [
        "✘ 0/2 The service says one",
        "  asked:    GET /: one exactly 1",
        "  observed: 0",
        "  look at:  lesson 01",
        "  hint:     after the next failure",
    ]
    assert str(OURS) not in validated[1]


def test_it_is_the_same_where_nbval_is_lax(learner):
    assert validate("--nbval-lax", learner / "edited.ipynb")[0] == {"edited": {ONE, TWO}}


def test_in_jupyterlab_run_all_goes_on_after_a_check_that_is_not_met(learner):
    cells = code(nbformat.read(learner / "saved.ipynb", as_version=4))
    assert [output.output_type for each in cells for output in each.outputs] == ["stream"] * 3
    assert cells[ONE].outputs[0].text.startswith("✘ 0/2 The service says one\n  asked:")
    assert cells[AFTER].outputs[0].text == "and so on\n"


@pytest.mark.parametrize(
    ("metadata", "learners"),
    [
        ({}, False),
        ({"underload": {}}, False),
        ({"underload": {"minutes": 60}}, False),
        ({"underload": "lab"}, False),
        ({"underload": {"lab": "01-blocking"}}, True),
        ({"underload": {"copy_of": "01-blocking"}}, True),
    ],
)
def test_what_a_learner_has_is_known_by_its_mark(metadata, learners):
    assert is_learners(metadata) == learners


def test_labs_are_marked_and_what_the_course_is_made_from_is_not():
    lessons = SOLUTIONS.parent / "notebooks"
    for folder, learners in ((LABS, True), (SOLUTIONS, False), (lessons, False)):
        for path in folder.glob("[0-9]*.ipynb"):
            assert is_learners(nbformat.read(path, as_version=4).metadata) == learners, path
