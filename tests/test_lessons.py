"""What every committed lesson must be: executed, clean, small, quick, and true to its claims."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(?:root|work|tmp|home|Users)/[\w.-]+")
MOST_BYTES, MOST_LINES, MOST_SECONDS = 700_000, 25, 60

lessons = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def texts(cell):
    for output in cell.outputs:
        yield output.get("text", "")
        yield from (text for mime, text in output.get("data", {}).items() if mime.startswith("text/"))


@lessons
def test_every_code_cell_was_executed_in_order(path):
    executed = [cell for cell in code_cells(path) if cell.source]  # an empty one is for the reader
    assert [cell.execution_count for cell in executed] == list(range(1, len(executed) + 1))


@lessons
def test_no_cell_holds_an_error_a_warning_or_a_path_of_a_machine(path):
    for cell in code_cells(path):
        assert not [output for output in cell.outputs if output.output_type == "error"], cell.source
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source
        assert not [text for text in texts(cell) if MACHINE_PATH.search(text)], cell.source


@lessons
def test_every_claim_was_borne_out(path):
    lines = "\n".join(text for cell in code_cells(path) for text in texts(cell))
    assert lines.count("✔") == sum(cell.source.count("claim(") for cell in code_cells(path))
    assert "✘" not in lines


@lessons
def test_every_experiment_is_predicted_and_the_lesson_ends_with_the_outcomes(path):
    sources = [cell.source for cell in code_cells(path)]
    assert sum("= predict(" in source for source in sources) >= 3
    assert "predictions()" in sources[-1]


@lessons
def test_cells_are_short(path):
    assert max(cell.source.count("\n") + 1 for cell in code_cells(path)) <= MOST_LINES


@lessons
def test_it_is_small_and_quick_enough(path):
    assert path.stat().st_size < MOST_BYTES
    assert nbformat.read(path, as_version=4).metadata.underload.machine_seconds <= MOST_SECONDS


@lessons
def test_it_opens_with_its_minutes_and_closes_for_the_instructor(path):
    cells = nbformat.read(path, as_version=4).cells
    assert f"{nbformat.read(path, as_version=4).metadata.underload.minutes} minutes" in cells[0].source
    assert cells[-1].metadata.tags == ["instructor"]
    assert "In this notebook we" in cells[-2].source
