"""The doors of a room: what others may ask of a package, each imported when it is first asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def doors(room: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package (PEP 562).

    The load generator must not pay for matplotlib, nor a learner's kernel for the judge.

    Args:
        room: the package's name.
        places: which module of it holds each name; a module of that very name is itself meant.
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module = import_module(f"{room}.{places[name]}")
        return module if places[name].rpartition(".")[2] == name else getattr(module, name)

    return find, lambda: sorted(places)
