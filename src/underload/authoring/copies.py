"""Copies of a notebook: told apart from those that somebody has worked on, which are never overwritten."""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from nbformat import NotebookNode

from underload.authoring.notebook import read_own, written

OF_THE_MACHINE = ("kernelspec", "language_info", "widgets", "underload")
FRESH = re.compile(r".+\.fresh(-\d+)?")


def digest(notebook: NotebookNode) -> str:
    """Return a digest of all that a person wrote in a notebook. Running it does not change the digest."""
    others = {key: value for key, value in notebook.metadata.items() if key not in OF_THE_MACHINE}
    wrote = json.dumps([others, [written(cell) for cell in notebook.cells]], sort_keys=True)
    return hashlib.sha256(wrote.encode()).hexdigest()


def places(path: Path) -> Iterator[Path]:
    """Yield where a copy may stand: its own place, then others beside it."""
    yield path
    yield path.with_name(f"{path.stem}.fresh.ipynb")
    for number in count(2):
        yield path.with_name(f"{path.stem}.fresh-{number}.ipynb")


def is_untouched(path: Path) -> bool:
    """Tell whether this is a copy as it was made. If in doubt it is not: someone's work is at stake."""
    try:
        copy = read_own(path)
        return copy.metadata["underload"]["released"] == digest(copy)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def named(path: Path) -> str:
    """Return how a sentence names a notebook: by its folder and its file."""
    return f"{path.parent.name}/{path.name}"
