"""The graft: whatever was done to the lab cell and the checks, they are there once, in order, as released."""

import copy
import json
import random

import pytest
from courses import code, course, text
from nbformat import NotebookNode, validate

from underload.authoring.labs import lab_from
from underload.authoring.notebook import protected, text_of
from underload.grading.graft import graft
from underload.grading.intake import parse


@pytest.fixture
def pristine(tmp_path, monkeypatch):
    return lab_from(course(tmp_path, monkeypatch).solutions / "01-blocking.ipynb")


def grafted(pristine, change):
    """Change a copy of the lab as a learner would, hand it in, and graft it."""
    lab = copy.deepcopy(pristine)
    change(lab.cells)
    notebook, restored = graft(parse(json.dumps(lab).encode()), pristine)
    assert protected(notebook) == protected(pristine)
    validate(notebook)
    return [cell.id for cell in notebook.cells], restored, notebook


def at(cells, id):
    return next(place for place, cell in enumerate(cells) if cell["id"] == id)


def edit(id, **changes):
    return lambda cells: cells[at(cells, id)].update(changes)


def remove(*ids):
    def change(cells):
        cells[:] = [cell for cell in cells if cell["id"] not in ids]

    return change


IDS = ["title", "imports", "broken", "lab", "asked-budget", "budget", "asked-health", "health"]


def test_an_honest_notebook_is_left_alone(pristine):
    def solve(cells):
        cells[at(cells, "broken")].update(source="app = 2", outputs=[{"output_type": "error"}])
        cells.insert(at(cells, "lab"), code("mine", "more = 1"))
        cells[at(cells, "budget")].update(outputs=[], execution_count=99)

    ids, restored, notebook = grafted(pristine, solve)
    assert ids == ["title", "imports", "broken", "mine", "lab", *IDS[4:]]
    assert restored == []
    assert notebook.cells[2].source == "app = 2"
    assert notebook.metadata == pristine.metadata


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit("budget", source="print('✔ 3/3')"), 'check "budget": edited'),
        (edit("lab", source="lab = Fake()"), "the lab cell: edited"),
        (edit("budget", cell_type="markdown"), 'check "budget": edited'),
        (edit("budget", metadata={"tags": ["nbval-skip"]}), 'check "budget": its tags edited'),
        (edit("budget", metadata={"tags": ["check"], "points": 99}), 'check "budget": its metadata edited'),
    ],
)
def test_edited_cells_are_restored(pristine, change, said):
    ids, restored, _ = grafted(pristine, change)
    assert ids == IDS
    assert restored == [said]


def test_outputs_of_a_check_are_no_edit_and_are_left_out(pristine):
    output = {"output_type": "stream", "name": "stdout", "text": "anything"}
    _, restored, notebook = grafted(pristine, edit("health", outputs=[output]))
    assert restored == []
    assert notebook.cells[-1].outputs == []


def test_deleted_cells_come_back_as_late_as_they_can(pristine):
    def change(cells):
        remove("lab", "budget")(cells)
        cells.insert(at(cells, "health"), code("mine", "app = 2"))

    ids, restored, _ = grafted(pristine, change)
    assert restored == ["the lab cell: missing", 'check "budget": missing']
    assert ids == [
        "title",
        "imports",
        "broken",
        "asked-budget",
        "asked-health",
        "mine",
        "lab",
        "budget",
        "health",
    ]


def test_without_any_check_all_of_them_come_last(pristine):
    ids, restored, _ = grafted(pristine, remove("lab", "budget", "health"))
    assert ids[-3:] == ["lab", "budget", "health"]
    assert len(restored) == 3
    assert grafted(pristine, list.clear)[0] == ["lab", "budget", "health"]


def test_copies_are_dropped_and_reported_once_a_check(pristine):
    def change(cells):
        for number in range(3):
            cells.insert(0, code(f"copy-{number}", ' lab.check("budget")\n'))
        cells.append(code("late", 'lab.check("health")'))

    ids, restored, _ = grafted(pristine, change)
    assert ids == IDS
    assert restored == ['check "budget": there a second time', 'check "health": there a second time']


def test_a_cell_twice_under_one_id(pristine):
    def change(cells):
        cells.insert(0, code("budget", "evil = 1"))

    _, restored, notebook = grafted(pristine, change)
    assert set(restored) >= {'check "budget": edited', 'check "budget": there a second time'}
    assert all("evil" not in cell.source for cell in notebook.cells)


def test_moved_cells_go_back(pristine):
    def change(cells):
        cells.append(cells.pop(at(cells, "lab")))

    ids, restored, _ = grafted(pristine, change)
    assert restored == ["the lab cell: moved"]
    assert [id for id in ids if id in ("lab", "budget", "health")] == ["lab", "budget", "health"]


def test_swapped_cells_are_a_move(pristine):
    def change(cells):
        one, two = at(cells, "budget"), at(cells, "health")
        cells[one], cells[two] = cells[two], cells[one]

    assert grafted(pristine, change)[1] in (['check "budget": moved'], ['check "health": moved'])


def test_an_editor_that_gives_new_ids_costs_nothing(pristine):
    def change(cells):
        for number, cell in enumerate(cells):
            cell["id"] = f"new-{number}"

    _, restored, notebook = grafted(pristine, change)
    assert restored == []
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in pristine.cells[:-1]]


def test_nothing_follows_the_last_check(pristine):
    def change(cells):
        cells += [code("late", "app = 3"), code("blank", " "), text("note", "bye")]

    ids, restored, _ = grafted(pristine, change)
    assert ids == IDS
    assert restored == ["a cell after the last check: left out"]


def test_a_learners_cell_keeps_its_source_and_nothing_else(pristine):
    tags = ["nbval-skip", "nbval-ignore-output", "raises-exception", "nbval-raises-exception", "check", "lab"]
    output = {"output_type": "stream", "name": "stdout", "text": "x"}

    def change(cells):
        mine = code("mine", "1/0", execution_count=3, outputs=[output])
        mine.metadata = {"tags": tags, "points": 9}
        cells.insert(0, mine)

    _, restored, notebook = grafted(pristine, change)
    assert restored == []
    assert notebook.cells[0] == {
        **{"cell_type": "code", "id": "mine", "source": "1/0"},
        **{"metadata": {}, "outputs": [], "execution_count": None},
    }


def test_the_lab_itself_is_not_changed(pristine):
    before = text_of(pristine)
    notebook, _ = graft(parse(before.encode()), pristine)
    notebook.cells[-1].source = "changed"
    notebook.metadata.underload.lab = "changed"
    assert text_of(pristine) == before


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_done_the_checks_stand_and_the_learners_cells_keep_their_order(pristine, seed):
    chance = random.Random(seed)

    def change(cells):
        cells += [code(f"mine-{number}", f"mine = {number}") for number in range(4)]
        cells += [NotebookNode(dict(chance.choice(cells))) for _ in range(chance.randrange(4))]
        chance.shuffle(cells)
        del cells[chance.randrange(len(cells)) :]
        for cell in cells:
            if chance.random() < 0.2:
                cell["source"] = chance.choice(["", 'lab.check("budget")', "mine"])
            if chance.random() < 0.2:
                cell["id"] = chance.choice(["budget", "lab", "title"])
        order.extend(cell["source"] for cell in cells if cell["source"].startswith("mine = "))

    order: list[str] = []
    _, _, notebook = grafted(pristine, change)
    mine = [cell.source for cell in notebook.cells if cell.source.startswith("mine = ")]
    rest = iter(order)
    assert all(source in rest for source in mine)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
