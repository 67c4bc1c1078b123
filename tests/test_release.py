"""Labs made from solutions: what they keep, what a learner never loses, which rules solutions keep to."""

import json

import pytest
from courses import code, course, shown, solution, text
from nbformat import NotebookNode

from underload.authoring.labs import lab_from, release
from underload.errors import UnderloadError


@pytest.fixture
def mini(tmp_path, monkeypatch):
    return course(tmp_path, monkeypatch)


def released(mini, **options):
    return release(solutions=mini.solutions, labs=mini.labs, **options)


def by_id(notebook, id):
    return next(cell for cell in notebook.cells if cell.id == id)


def test_a_lab_drops_the_repair_and_every_output(mini):
    assert released(mini) == ["Wrote labs/01-blocking.ipynb."]
    lab = mini.lab()
    assert [cell.id for cell in lab.cells] == [
        *("title", "imports", "broken", "lab"),
        *("asked-budget", "budget", "asked-health", "health", "end"),
    ]
    for cell in lab.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert by_id(lab, "lab").metadata == {"tags": ["lab"], "editable": False, "deletable": False}
    assert by_id(lab, "broken").metadata == {"tags": ["starter"]}
    assert lab.metadata.kernelspec.name == "python3"
    assert lab.metadata.language_info == {"name": "python"}
    assert lab.metadata.underload.lab == "01-blocking"


def test_the_same_solution_makes_the_same_bytes(mini):
    released(mini)
    first = (mini.labs / "01-blocking.ipynb").read_bytes()
    ran_again = solution()
    ran_again.metadata["language_info"]["version"] = "3.13"
    ran_again.cells[1].outputs = []
    mini.solve(ran_again)
    assert released(mini) == []
    (mini.labs / "01-blocking.ipynb").unlink()
    released(mini)
    assert (mini.labs / "01-blocking.ipynb").read_bytes() == first
    assert [path.name for path in mini.labs.iterdir() if path.name.startswith(".")] == []


def test_an_untouched_older_release_is_replaced_even_if_it_has_been_run(mini):
    released(mini)

    def run(lab):
        for cell in lab.cells:
            if cell.cell_type == "code":
                cell.update(shown("✘ 0/3", 99))
                cell.metadata.update(execution={"x": 1}, collapsed=True, jupyter={"outputs_hidden": True})
        lab.metadata.kernelspec.display_name = "Mine"
        lab.metadata.language_info = {"name": "python", "version": "3.12"}

    mini.rewrite(run)
    newer = solution()
    newer.cells[0].source = "# A better lab"
    mini.solve(newer)
    assert released(mini) == ["Wrote labs/01-blocking.ipynb."]
    assert mini.lab().cells[0].source == "# A better lab"
    assert list(mini.labs.glob("*fresh*")) == []


WORK = {
    "code": lambda lab: by_id(lab, "broken").update(source="app = 3"),
    "markdown": lambda lab: by_id(lab, "title").update(source="# My notes"),
    "added": lambda lab: lab.cells.append(code("mine", "1")),
    "added text": lambda lab: lab.cells.append(text("mine", "note")),
    "deleted": lambda lab: lab.cells.pop(0),
    "moved": lambda lab: lab.cells.reverse(),
    "tags": lambda lab: by_id(lab, "broken").metadata.update(tags=["starter", "mine"]),
    "metadata": lambda lab: by_id(lab, "broken").metadata.update(slideshow={"slide_type": "slide"}),
    "attachment": lambda lab: by_id(lab, "title").update(attachments={"a.png": {"image/png": "AA=="}}),
    "new id": lambda lab: by_id(lab, "title").update(id="other"),
    "notebook": lambda lab: lab.metadata.update(title="Mine"),
    "no digest": lambda lab: lab.metadata.pop("underload"),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_work_is_never_overwritten(mini, work):
    released(mini)
    mini.rewrite(work)
    mine = (mini.labs / "01-blocking.ipynb").read_bytes()
    [said] = released(mini)
    assert said == (
        "labs/01-blocking.ipynb has been worked on and stays as it is: "
        "a fresh copy of the lab is labs/01-blocking.fresh.ipynb."
    )
    assert (mini.labs / "01-blocking.ipynb").read_bytes() == mine
    assert mini.lab("01-blocking.fresh.ipynb") == lab_from(mini.solutions / "01-blocking.ipynb")


def test_fresh_copies_that_have_been_worked_on_stay_too(mini):
    released(mini)
    work = WORK["code"]
    mini.rewrite(work)
    released(mini)
    mini.rewrite(work, "01-blocking.fresh.ipynb")
    assert "01-blocking.fresh-2.ipynb" in released(mini)[0]
    assert "01-blocking.fresh-2.ipynb" in released(mini)[0]  # untouched: the same place again
    mini.rewrite(work, "01-blocking.fresh-2.ipynb")
    assert "01-blocking.fresh-3.ipynb" in released(mini)[0]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"cells": 3, "metadata": {}}', b"[" * 100_000])
def test_what_cannot_be_read_may_be_somebodys_work(mini, content):
    (mini.labs / "01-blocking.ipynb").write_bytes(content)
    assert "has been worked on" in released(mini)[0]
    assert (mini.labs / "01-blocking.ipynb").read_bytes() == content
    assert "cannot be read" in released(mini, check=True)[0]


def test_check_finds_nothing_after_a_release_and_writes_nothing(mini):
    assert released(mini, check=True) == ["labs/01-blocking.ipynb is missing: run underload release."]
    assert list(mini.labs.glob("*.ipynb")) == []
    released(mini)
    assert released(mini, check=True) == []


def test_check_names_each_difference(mini):
    released(mini)
    (mini.labs / "99-stray.ipynb").write_text("{}")
    (mini.labs / "01-blocking.fresh-2.ipynb").write_text("{}")

    def change(lab):
        by_id(lab, "broken").source = "app = 3"
        by_id(lab, "health").update(shown("✘ 0/1 It answers while it works"))
        by_id(lab, "title").metadata.tags = ["x"]
        lab.cells = [cell for cell in lab.cells if cell.id != "end"] + [code("mine", "1")]

    mini.rewrite(change)
    before = (mini.labs / "01-blocking.ipynb").read_bytes()
    said = "\n".join(released(mini, check=True))
    for part in (
        "broken differs in its source",
        "health differs in its outputs",
        "health differs in its execution count",
        "title differs in its metadata",
    ):
        assert f"cell {part}" in said
    assert "cell end is missing" in said
    assert "cell mine is too many" in said
    assert "labs/99-stray.ipynb has no solution" in said
    assert "fresh" not in said
    assert (mini.labs / "01-blocking.ipynb").read_bytes() == before


def test_check_sees_another_order_and_another_layout(mini):
    released(mini)
    path = mini.labs / "01-blocking.ipynb"
    mini.rewrite(lambda lab: lab.cells.insert(0, lab.cells.pop()))
    assert "another order" in released(mini, check=True)[0]
    path.unlink()
    released(mini)
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert "layout" in released(mini, check=True)[0]


RULES = {
    "two parts": (lambda s: s.cells[2].metadata.tags.append("solution"), "plays two parts"),
    "no lab": (lambda s: s.cells[5].metadata.pop("tags"), "0 cells are tagged lab"),
    "two labs": (lambda s: s.cells[1].metadata.update(tags=["lab"]), "2 cells are tagged lab"),
    "other lab": (lambda s: s.cells[5].update(source='lab = Lab("other", app)'), 'Lab("blocking", …)'),
    "no starter": (lambda s: s.cells[2].metadata.pop("tags"), "no cell is tagged starter"),
    "no solution": (
        lambda s: [s.cells[n].metadata.pop("tags") for n in (3, 4)],
        "no cell is tagged solution",
    ),
    "no check": (lambda s: [s.cells[n].metadata.pop("tags") for n in (7, 9)], "no cell is tagged check"),
    "more in it": (lambda s: s.cells[7].update(source='x = 1\nlab.check("budget")'), "and nothing else"),
    "unknown": (lambda s: s.cells[7].update(source='lab.check("speed")'), "check speed is not in its file"),
    "never asked": (lambda s: s.cells.pop(9), "check health is asked for 0 times"),
    "asked twice": (lambda s: s.cells.extend(_again(s)), "check health is asked for 2 times"),
    "not run": (lambda s: s.cells[7].update(outputs=[]), "no output to expect"),
    "no count": (lambda s: s.cells[7].update(execution_count=None), "no output to expect"),
    "failed": (
        lambda s: s.cells[7].update(shown("✘ 0/3 At most 10 sessions with 200 users")),
        "did not pass",
    ),
    "no points": (lambda s: s.cells[6].update(source="At most 10 sessions with 200 users."), '"3 points"'),
    "13 points": (lambda s: s.cells[8].update(source="It answers while it works: 11 points"), '"1 point"'),
    "no sentence": (lambda s: s.cells[6].update(source="3 points"), "At most 10 sessions"),
    "told in the repair": (
        lambda s: s.cells[6].metadata.update(tags=["solution"]),
        "the markdown cell before",
    ),
    "a lab": (lambda s: s.metadata.update(underload={"lab": "01-blocking"}), "says that it is a lab"),
    "same id": (lambda s: s.cells[1].update(id="title"), "two cells have the id title"),
    "no id": (lambda s: s.cells[1].pop("id"), "a cell has no id"),
}


def _again(notebook):
    return [text("asked-again", notebook.cells[8].source), NotebookNode({**notebook.cells[9], "id": "again"})]


@pytest.mark.parametrize(("change", "said"), RULES.values(), ids=RULES)
def test_a_solution_that_breaks_a_rule_is_refused_in_a_sentence(mini, change, said):
    broken = solution()
    change(broken)
    mini.solve(broken)
    with pytest.raises(UnderloadError) as refused:
        released(mini)
    assert said in str(refused.value)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)
    assert list(mini.labs.glob("*.ipynb")) == []


@pytest.mark.parametrize("name", ["blocking.ipynb", "01-Blocking.ipynb", "01-blocking-Copy1.ipynb"])
def test_a_solution_is_named_as_its_lab(mini, name):
    mini.solve(solution(), name)
    with pytest.raises(UnderloadError, match="call it NN-name"):
        released(mini)


def test_a_solution_needs_a_file_of_checks_and_to_be_a_notebook(mini):
    mini.solve(solution(), "02-pooling.ipynb")
    with pytest.raises(UnderloadError, match="pooling"):
        released(mini)
    (mini.solutions / "02-pooling.ipynb").write_text("{}")
    with pytest.raises(UnderloadError, match="is not a notebook"):
        released(mini)


def test_the_labs_of_this_course_are_what_their_solutions_make():
    assert release(check=True) == []
