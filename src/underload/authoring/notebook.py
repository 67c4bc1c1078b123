"""A lab's notebook: the parts its cells play, and what of it a person wrote."""

import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

STEM = re.compile(r"\d\d-[a-z][a-z0-9_]*")
ROLES = ("starter", "solution", "lab", "check")
PROTECTED = ("lab", "check")
CHECK = re.compile(r"""lab\.check\((["'])(\w+)\1\)""")
# What JupyterLab, VS Code and Colab write into a cell when it is merely opened or run.
VOLATILE = {
    *("execution", "ExecuteTime", "collapsed", "scrolled", "trusted", "vscode"),
    *("colab", "executionInfo", "id", "outputId"),
}
VOLATILE_OF_JUPYTER = {"outputs_hidden", "source_hidden"}


def judged_as(stem: str) -> str:
    """Return the judge's name of a lab: ``blocking`` for ``01-blocking``."""
    return stem.partition("-")[2]


def lab_stems(labs: Path) -> list[str]:
    """Return the labs of a folder, such as ``01-blocking``, in order."""
    return sorted(path.stem for path in labs.glob("*.ipynb") if STEM.fullmatch(path.stem))


def read_own(path: Path) -> NotebookNode:
    """Read a notebook of the course, or of a learner's own folder: not for what somebody handed in.

    Raises:
        ValueError: it is not a notebook.
        OSError: it cannot be read.
    """
    try:
        notebook = nbformat.v4.reads(path.read_text("utf-8"))
        if not isinstance(notebook.metadata, dict):
            raise TypeError
        for cell in notebook.cells:
            cell.setdefault("metadata", NotebookNode())
            _ = cell.cell_type, cell.source, cell.metadata.items()
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a notebook") from error
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """Return the one text that a notebook is written as."""
    return nbformat.v4.writes(notebook) + "\n"


def roles(cell: NotebookNode) -> list[str]:
    """Return the parts a cell plays in its lab, by its tags."""
    return [tag for tag in cell.metadata.get("tags", []) if tag in ROLES]


def protected(lab: NotebookNode) -> list[NotebookNode]:
    """Return the cells of a lab that a learner cannot change: the lab itself and its checks."""
    return [cell for cell in lab.cells if set(roles(cell)) & set(PROTECTED)]


def check_name(cell: NotebookNode) -> str:
    """Return the check a cell asks for, or nothing if it is not one ``lab.check("name")``."""
    found = CHECK.fullmatch(cell.source.strip())
    return found[2] if found else ""


def written_metadata(cell: NotebookNode) -> dict[str, Any]:
    """Return a cell's metadata without what editors write when the cell is merely run."""
    kept = {key: value for key, value in cell.metadata.items() if key not in VOLATILE}
    if isinstance(kept.get("jupyter"), dict):
        kept["jupyter"] = {
            key: value for key, value in kept["jupyter"].items() if key not in VOLATILE_OF_JUPYTER
        }
    return {key: value for key, value in kept.items() if value not in ({}, [])}


def written(cell: NotebookNode) -> dict[str, Any]:
    """Return what of a cell a person wrote: all but outputs and what editors write by themselves."""
    kept = {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
    return {**kept, "metadata": written_metadata(cell)}
