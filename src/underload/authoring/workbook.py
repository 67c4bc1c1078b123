"""A workbook: the learner's own copy of a lesson or lab, without its answers, which is never overwritten."""

import ast
import re
from pathlib import Path

from nbformat import NotebookNode

from underload.authoring.copies import digest, is_untouched, named, places
from underload.authoring.notebook import read_own, text_of
from underload.errors import UnderloadError
from underload.files import write_whole


def hand_out(source: Path, own: Path) -> Path:
    """Return where the learner's copy of a notebook, as the notebook is now, stands; it is made if need be.

    That is `own`, or a place beside it if the learner works there on a copy of an earlier version.

    Raises:
        UnderloadError: the notebook cannot be read, or the copy cannot be written.
    """
    workbook = workbook_of(source)
    for place in places(own):
        if _version(place) == workbook.metadata.underload.released:
            return place
        if not is_in_use(place):
            break
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, text_of(workbook))
    except OSError as error:
        raise UnderloadError(
            f"Your copy {place} cannot be written ({error.strerror or error}): "
            "see to it that the folder is yours and the disk has room, and try again."
        ) from None
    return place


def workbook_of(source: Path) -> NotebookNode:
    """Return a learner's copy of a notebook: without outputs, instructor's cells and filled-in predictions.

    Raises:
        UnderloadError: it cannot be read.
    """
    try:
        workbook = read_own(source)
    except (OSError, ValueError):
        raise UnderloadError(
            f"{named(source)} cannot be read as a notebook: restore it with `git checkout {named(source)}`."
        ) from None
    workbook.cells = [cell for cell in workbook.cells if "instructor" not in cell.metadata.get("tags", [])]
    for cell in workbook.cells:
        if cell.cell_type == "code":
            cell.source = without_guesses(cell.source)
            cell.execution_count, cell.outputs = None, []
            cell.metadata.pop("execution", None)
    about = {**workbook.metadata.get("underload", {}), "copy_of": named(source), "released": digest(workbook)}
    workbook.metadata["underload"] = NotebookNode(about)
    return workbook


def is_in_use(place: Path) -> bool:
    """Tell whether a learner has changed a copy, or has run it and saved what was measured."""
    if not place.exists():
        return False
    return not is_untouched(place) or any(cell.get("outputs") for cell in read_own(place).cells)


def without_guesses(source: str) -> str:
    """Return a cell's code with ``predict("question")`` in place of each ``predict("question", 500)``."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if _is_prediction(node)]
    except (SyntaxError, ValueError):  # a cell magic: it is no Python, and predicts nothing
        return source
    code = source.encode()  # what positions count are bytes
    lines = [0, *(newline.end() for newline in re.finditer(b"\n", code))]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset), reverse=True):
        begin = lines[call.lineno - 1] + call.col_offset
        end = lines[call.end_lineno - 1] + call.end_col_offset
        question = ast.get_source_segment(source, call.args[0])
        code = code[:begin] + f"predict({question})".encode() + code[end:]
    return code.decode()


def _is_prediction(node: ast.AST) -> bool:
    name = node.func if isinstance(node, ast.Call) else None
    return isinstance(name, ast.Name) and name.id == "predict" and bool(node.args)


def _version(place: Path) -> str | None:
    """Return the digest of what a copy was made as, or None if there is no copy that says."""
    try:
        return read_own(place).metadata["underload"]["released"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
