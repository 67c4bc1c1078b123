"""Labs, made from their solutions: a learner's copy of each, which never replaces what a learner wrote."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from underload.authoring.copies import FRESH, OF_THE_MACHINE, digest, is_untouched, named, places
from underload.authoring.notebook import protected, read_own, roles, text_of, written
from underload.authoring.solution import read_solution
from underload.course import LABS, SOLUTIONS
from underload.files import write_whole

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def release(check: bool = False, solutions: Path = SOLUTIONS, labs: Path = LABS) -> list[str]:
    """Write each solution's lab, and return a sentence on each that was written.

    A lab that someone has worked on stays as it is, and a fresh copy is written beside it.

    Args:
        check: write nothing, and return a sentence on each difference instead.
        solutions: the folder of ``NN-name.ipynb``, the single source.
        labs: the folder that the labs are written to.

    Raises:
        UnderloadError: a solution breaks a rule; then nothing is written.
    """
    sources = sorted(path for path in solutions.glob("*.ipynb") if not path.name.startswith("."))
    released = {labs / path.name: text_of(lab_from(path)) for path in sources}
    if check:
        return [*_differences(released), *_strays(labs, released)]
    return [said for path, text in released.items() for said in _publish(path, text)]


def lab_from(solution: Path) -> NotebookNode:
    """Return the learner's copy of a solution: without repairs and without outputs.

    Raises:
        UnderloadError: the solution breaks a rule.
    """
    lab = copy.deepcopy(read_solution(solution))
    lab.cells = [_blank(cell) for cell in lab.cells if "solution" not in roles(cell)]
    for cell in protected(lab):
        cell.metadata.update(editable=False, deletable=False)  # JupyterLab keeps to this
    about = {**lab.metadata.get("underload", {}), "lab": solution.stem, "released": digest(lab)}
    others = {key: value for key, value in lab.metadata.items() if key not in OF_THE_MACHINE}
    language = {"name": "python"}
    lab.metadata = NotebookNode(others, kernelspec=KERNEL, language_info=language, underload=about)
    lab.nbformat, lab.nbformat_minor = 4, 5
    return lab


def _blank(cell: NotebookNode) -> NotebookNode:
    cell.metadata = NotebookNode(written(cell)["metadata"])
    if cell.cell_type == "code":
        cell.execution_count, cell.outputs = None, []
    return cell


def _publish(path: Path, text: str) -> Iterator[str]:
    if path.exists() and path.is_file() and path.read_bytes() == text.encode():
        return
    for copied in places(path):
        if not copied.exists() or is_untouched(copied):
            break
    write_whole(copied, text)
    if copied == path:
        yield f"Wrote {named(path)}."
    else:
        yield (
            f"{named(path)} has been worked on and stays as it is: "
            f"a fresh copy of the lab is {named(copied)}."
        )


def _differences(released: dict[Path, str]) -> Iterator[str]:
    for path, text in released.items():
        if not path.exists():
            yield f"{named(path)} is missing: run underload release."
        elif not path.is_file() or path.read_bytes() != text.encode():
            for what in _what_differs(path, text):
                yield f"{named(path)} is not what its solution makes, {what}: run underload release."


def _what_differs(path: Path, text: str) -> list[str]:
    try:
        found = {cell.get("id"): cell for cell in read_own(path).cells}
    except (OSError, ValueError):
        return ["it cannot be read as a notebook"]
    wanted = {cell["id"]: NotebookNode(cell) for cell in json.loads(text)["cells"]}
    said = [f"cell {id} is missing" for id in wanted if id not in found]
    said += [f"cell {id} is too many" for id in found if id not in wanted]
    said += [line for id in wanted if id in found for line in _how_differs(id, found[id], wanted[id])]
    if not said and list(found) != list(wanted):
        said = ["its cells are in another order"]
    return said or ["its metadata or its layout differs"]


def _how_differs(id: str, found: NotebookNode, wanted: NotebookNode) -> Iterator[str]:
    for part in ("cell_type", "source", "metadata", "outputs", "execution_count", "attachments"):
        if _joined(found.get(part)) != _joined(wanted.get(part)):
            yield f"cell {id} differs in its {part.replace('_', ' ')}"


def _joined(part: object) -> str:
    """Return one text of a part of a cell, whether its lines stand in a list or not."""
    if isinstance(part, list) and all(isinstance(line, str) for line in part):
        return json.dumps("".join(part))
    if isinstance(part, dict):
        return json.dumps({key: _joined(value) for key, value in part.items()}, sort_keys=True)
    if isinstance(part, list):
        return json.dumps([_joined(each) for each in part])
    return json.dumps(part)


def _strays(labs: Path, released: dict[Path, str]) -> Iterator[str]:
    for path in sorted(labs.glob("*.ipynb")):
        if path not in released and not FRESH.fullmatch(path.stem) and not path.name.startswith("."):
            yield f"{named(path)} has no solution: delete it, or write solutions/{path.name}."
