"""A file that was handed in, read defensively: a notebook whose form can be trusted, though not its code."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from underload.errors import UnderloadError

MOST_BYTES = 20_000_000
MOST_CELLS = 2_000
DEEPEST = 20  # levels of lists and objects in what is kept of a notebook
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LINKED = "This is a symbolic link, and links are never followed: submit the file itself."
FROM_JUPYTERLAB = "open it in JupyterLab, save it, and submit the saved file"


class Rejected(UnderloadError):
    """A submission that cannot be graded.

    Attributes:
        reason: what is wrong and what to do, one sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(content: bytes) -> NotebookNode:
    """Return the notebook that a file holds: its cells, without outputs or attachments.

    Cells without an id of their own get one. Of the notebook's metadata only ``underload.lab`` is kept.

    Raises:
        Rejected: it is no notebook, or none that can be read.
    """
    if not content.strip():
        raise Rejected("The file is empty: save your notebook in JupyterLab and submit it again.")
    try:
        raw = json.loads(content.decode("utf-8-sig"), parse_constant=_not_json)
        cells = list(_cells(raw))
        _verify_text(cells)
    except UnicodeDecodeError:
        raise Rejected(f"The file is not UTF-8 text: {FROM_JUPYTERLAB}.") from None
    except RecursionError:
        raise Rejected(f"The file is nested too deeply to be a notebook: {FROM_JUPYTERLAB}.") from None
    except ValueError:  # of json: a syntax error, or a number with thousands of digits
        raise Rejected(f"The file is not valid JSON, as a notebook must be: {FROM_JUPYTERLAB}.") from None
    lab = raw["metadata"].get("underload", {}).get("lab", "")
    return new_notebook(cells=_with_ids(cells), metadata={"underload": {"lab": lab}})


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _cells(raw: Any) -> Iterator[NotebookNode]:
    _verify_version(raw)
    _require(isinstance(raw.get("metadata"), dict), "its metadata")
    about = raw["metadata"].get("underload", {})
    _require(isinstance(about, dict) and isinstance(about.get("lab", ""), str), "its underload metadata")
    _require(isinstance(raw.get("cells"), list), "its cells")
    if len(raw["cells"]) > MOST_CELLS:
        raise Rejected(
            f"The notebook has {len(raw['cells']):,} cells, and {MOST_CELLS:,} are allowed: "
            "delete those that the lab does not need."
        )
    for number, cell in enumerate(raw["cells"], 1):
        yield _cell(cell, number)


def _verify_version(raw: Any) -> None:
    _require(isinstance(raw, dict), "its outermost part")
    version = raw.get("nbformat")
    _require(type(version) is int, "its nbformat number")
    if version != 4:
        older = "an older" if version < 4 else "another"
        raise Rejected(f"The notebook is of {older} format (its nbformat is not 4): {FROM_JUPYTERLAB}.")
    _require(type(raw.get("nbformat_minor", 0)) is int, "its nbformat_minor number")


def _cell(cell: Any, number: int) -> NotebookNode:
    where = f"its cell {number}"
    _require(isinstance(cell, dict), where)
    _require(cell.get("cell_type") in ("code", "markdown", "raw"), f"the type of {where}")
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    _require(isinstance(source, str), f"the source of {where}")
    metadata = cell.get("metadata", {})
    _require(isinstance(metadata, dict), f"the metadata of {where}")
    tags = metadata.get("tags", [])
    _require(isinstance(tags, list) and all(isinstance(tag, str) for tag in tags), f"the tags of {where}")
    _require(isinstance(cell.get("outputs", []), list), f"the outputs of {where}")
    _verify_depth(metadata)
    kept = NotebookNode(cell_type=cell["cell_type"], id=cell.get("id"), source=source)
    kept.metadata = NotebookNode(metadata)
    if kept.cell_type == "code":
        kept.update(execution_count=None, outputs=[])
    return kept


def _require(holds: bool, part: str) -> None:
    if not holds:
        raise Rejected(f"The file is not a notebook, since {part} is missing or wrong: {FROM_JUPYTERLAB}.")


def _verify_depth(metadata: dict[str, Any]) -> None:
    level: list[Any] = [metadata]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise RecursionError


def _verify_text(cells: list[NotebookNode]) -> None:
    try:
        json.dumps([dict(cell) for cell in cells], ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can hold a half of a surrogate pair, which no file can
        raise Rejected(
            "A cell holds a character that is not Unicode text (a lone surrogate): "
            "write such a character as an escape within a string, and submit again."
        ) from None


def _with_ids(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Give a new id to each cell that has none, one that is not allowed, or one of an earlier cell."""
    given = {cell.id for cell in cells if isinstance(cell.id, str)}
    seen = set()
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell.id, str) or not ID.fullmatch(cell.id) or cell.id in seen:
            cell.id = next(id for id in _ids(number) if id not in given | seen)
        seen.add(cell.id)
    return cells


def _ids(number: int) -> Iterator[str]:
    yield f"unnamed-{number}"
    for more in range(MOST_CELLS + 1):
        yield f"unnamed-{number}-{more}"
