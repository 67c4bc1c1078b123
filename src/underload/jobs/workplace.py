"""The one folder that holds a grader's temporary files, so that nothing of them stays behind."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from underload.waiting import until

PREFIX = "underload."  # short: the path of a judge's socket in here may have 100 characters
LOCK = "lock"  # held as long as the grader lives whose folder it is
REMOVAL_SECONDS = 10


@contextmanager
def new_workplace() -> Iterator[Path]:
    """Make a folder that others may pass through but not list, and remove it at the end.

    What graders have left that were killed is removed first.
    """
    _clear()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)  # as root, servers run as the user nobody
    with (folder / f"{LOCK}.new").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{LOCK}.new").rename(folder / LOCK)
        try:
            yield folder
        finally:
            _remove(folder)


def _clear() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is at work, about to be, or just gone
            if left.lstat().st_uid != os.geteuid():
                continue
            with (left / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)


def _remove(folder: Path) -> None:
    """Remove a folder, in which a server that has just been killed may write once more."""

    def is_gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    until(is_gone, REMOVAL_SECONDS)
