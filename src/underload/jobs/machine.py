"""The machine that all jobs of all graders share: many of them at a time, or one alone."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

Waiting = Callable[[], AbstractContextManager[Any]]


class Machine:
    """A lock that is shared or held alone, between processes that may end at any time.

    Who wants it alone keeps newcomers out at the door, and waits until those inside have left. A waiting
    process is woken by the system, in the order in which they came, rather than looking now and then.

    Args:
        lock: a file, which need not exist.
        waiting: what to enter while it has to be waited for.
    """

    def __init__(self, lock: Path, waiting: Waiting = nullcontext) -> None:
        self._room = lock
        self._door = lock.with_name(f"{lock.name}.door")
        self._waiting = waiting

    @contextmanager
    def shared(self) -> Iterator["Held"]:
        """Use the machine beside others meanwhile."""
        with _opened(self._door) as door, _opened(self._room) as room:
            self._take(door, fcntl.LOCK_SH)
            self._take(room, fcntl.LOCK_SH)
            door.release()
            yield room

    @contextmanager
    def alone(self) -> Iterator["Held"]:
        """Use the machine alone meanwhile."""
        with _opened(self._door) as door, _opened(self._room) as room:
            self._take(door, fcntl.LOCK_EX)
            self._take(room, fcntl.LOCK_EX)
            yield room

    def _take(self, lock: "Held", how: int) -> None:
        try:
            fcntl.flock(lock.file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._waiting():
                fcntl.flock(lock.file, how)


class Held:
    """A file that is locked until it is released, here or in a process that was forked meanwhile."""

    def __init__(self, file: int) -> None:
        self.file = file

    def release(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


@contextmanager
def _opened(path: Path) -> Iterator[Held]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    lock = Held(file)
    try:
        yield lock
    finally:
        lock.release()  # closing it would not, while a fork has it too
        os.close(file)
