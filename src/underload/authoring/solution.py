"""A solution: the single source of a lab, and the rules that it keeps to."""

import re
from collections import Counter
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from underload.authoring.notebook import STEM, check_name, judged_as, read_own, roles
from underload.errors import UnderloadError
from underload.judge import Check, load_requirements


def read_solution(path: Path) -> NotebookNode:
    """Read a solution and hold it against the rules.

    Raises:
        UnderloadError: it breaks one; the sentence says which, and what to do.
    """
    if not STEM.fullmatch(path.stem):
        raise UnderloadError(
            f"{path.name} is not named as a lab is: call it NN-name.ipynb, like 01-blocking.ipynb."
        )
    try:
        solution = read_own(path)
        _verify_ids(solution)
        nbformat.validate(solution)
        _verify_marks(solution)
        _verify_roles(solution, judged_as(path.stem))
        _verify_checks(solution, load_requirements(judged_as(path.stem)).checks)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        first_line = str(error).partition("\n")[0]
        raise UnderloadError(f"The solution {path.name} cannot become a lab: {first_line}.") from None
    return solution


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _verify_ids(solution: NotebookNode) -> None:
    ids = Counter(cell.get("id") for cell in solution.cells)
    _require(None not in ids, "a cell has no id, so open it in JupyterLab and save it")
    twice = [id for id, times in ids.items() if times > 1]
    _require(not twice, f"two cells have the id {''.join(twice[:1])}, so give one of them another")


def _verify_marks(solution: NotebookNode) -> None:
    marked = "lab" in solution.metadata.get("underload", {})  # of which nbval would compare no output
    _require(not marked, "its metadata says that it is a lab, so take lab out of underload there")


def _verify_roles(solution: NotebookNode, name: str) -> None:
    for cell in solution.cells:
        _require(len(roles(cell)) < 2, f"cell {cell.id} plays two parts, so leave it one of {roles(cell)}")
    labs = [cell for cell in solution.cells if roles(cell) == ["lab"]]
    _require(len(labs) == 1, f"{len(labs)} cells are tagged lab, so tag the one that makes the lab")
    made = re.search(rf"""^lab = Lab\((["']){name}\1,""", labs[0].source, re.MULTILINE)
    _require(made and labs[0].cell_type == "code", f'its lab cell must say lab = Lab("{name}", …)')
    for tag in ("starter", "solution", "check"):
        tagged = [cell for cell in solution.cells if roles(cell) == [tag]]
        _require(tagged, f"no cell is tagged {tag}, so tag at least one")


def _verify_checks(solution: NotebookNode, checks: dict[str, Check]) -> None:
    cells = [cell for cell in solution.cells if roles(cell) != ["solution"]]
    asked: list[str] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        if roles(cell) == ["check"]:
            _require(
                cell.cell_type == "code" and check_name(cell),
                f'the check cell {cell.id} must be one lab.check("name") and nothing else',
            )
            name = check_name(cell)
            _require(name in checks, f"its check {name} is not in its file in labs/checks, so add it there")
            _verify_stated(before, checks[name])
            _verify_expected(cell, checks[name])
            asked.append(name)
    for name in checks:
        times = asked.count(name)
        _require(times == 1, f"its check {name} is asked for {times} times, so give it one check cell")


def _verify_stated(before: NotebookNode | None, check: Check) -> None:
    said = " ".join(before.source.split()) if before and before.cell_type == "markdown" else ""
    worth = f"{check.points} point{'' if check.points == 1 else 's'}"
    _require(
        check.requirement in said and re.search(rf"\b{worth}\b", said),
        f'the markdown cell before its check {check.name} must say "{check.requirement}" and "{worth}"',
    )


def _verify_expected(cell: NotebookNode, check: Check) -> None:
    _require(
        cell.outputs and cell.execution_count,
        f"its check {check.name} has no output to expect, so run the notebook from top to bottom and save it",
    )
    shown = "\n".join(
        output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs
    )
    _require(
        f"✔ {check.points}/{check.points} {check.requirement}" in shown,
        f"its check {check.name} did not pass when it was last run, so run it from top to bottom and save it",
    )
