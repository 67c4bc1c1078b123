"""What a sandbox sees of the machine: little, and nearly all of it read-only."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from underload.course import CHECKOUT
from underload.sandbox.limits import Limits

SCRATCH = "/tmp"  # noqa: S108 - the sandbox's own
HOME = f"{SCRATCH}/home"
SYSTEM = ("/usr", "/bin", "/sbin", *sorted(str(path) for path in Path("/").glob("lib*")))
SETTINGS = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")


def everything(folder: Path, user: int, limits: Limits) -> Iterator[str]:
    """Yield bubblewrap's options for all that is mounted; the root is still to be made read-only.

    Args:
        folder: where to write the few files that stand in for those of ``/etc``.
        user: the number of the user that the learner's code runs as.
        limits: the sizes of what can be written to.
    """
    yield from shown(*(path for path in (*SYSTEM, *SETTINGS) if Path(path).exists()))
    yield from _etc(folder, user)
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--size", str(limits.shared), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--remount-ro", "/dev")
    yield from ("--size", str(limits.scratch), "--perms", "1777", "--tmpfs", SCRATCH)
    paths = _environment()
    ours = [path for path in paths if path.is_relative_to(CHECKOUT)]
    yield from shown(*(path for path in paths if path not in ours))
    yield from _links(paths)
    yield from ("--perms", "0755", "--tmpfs", str(CHECKOUT))  # should what is shown above contain it
    yield from shown(*ours, CHECKOUT / "src", CHECKOUT / "labs")
    yield from ("--remount-ro", str(CHECKOUT))


def shown(*paths: str | Path) -> Iterator[str]:
    """Show files and directories where they are."""
    for path in paths:
        yield from at(path, path)


def at(source: str | Path, place: str | Path) -> Iterator[str]:
    """Show something at a place that every user may get to, even if not every user may get to its source."""
    yield from _way_to(place)
    yield from ("--ro-bind", str(source), str(place))


def _way_to(place: str | Path) -> Iterator[str]:
    for parent in reversed(Path(place).parents[:-1]):
        yield from ("--dir", str(parent))


def _etc(folder: Path, user: int) -> Iterator[str]:
    texts = {
        "passwd": f"learner:x:{user}:{user}::{HOME}:/bin/sh\n",
        "group": f"learner:x:{user}:\n",
        "hosts": "127.0.0.1 localhost underload\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    for name, text in texts.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        yield from at(path, f"/etc/{name}")


def _environment() -> list[Path]:
    """Return the directories of Python and its packages, by every name that links lead through."""
    actual = {Path(each).resolve() for each in (sys.prefix, sys.base_prefix)}
    steps = [step.parent.parent for step in _steps()]
    known = [Path(sys.prefix), Path(sys.base_prefix), *actual, *(s for s in steps if s.resolve() in actual)]
    return sorted(path for path in set(known) if not path.is_relative_to("/usr"))


def _links(paths: list[Path]) -> Iterator[str]:
    """Recreate the links that lead from one environment's program to another's, wherever they are."""
    for step in _steps():
        if step.is_symlink() and not any(step.is_relative_to(path) for path in (*paths, *SYSTEM)):
            yield from _way_to(step)
            yield from ("--symlink", str(step.readlink()), str(step))


def _steps() -> Iterator[Path]:
    """Yield the environment's Python, and each path that it is a link to."""
    step = Path(sys.prefix, "bin", Path(sys.executable).name)
    yield step
    while step.is_symlink():
        step = Path(os.path.normpath(step.parent / step.readlink()))
        yield step
