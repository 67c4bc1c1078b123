"""The machine that all jobs of all graders share: many of them at a time, or one alone."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

# Shares of the machine. Where so much was idle nobody was kept waiting, nor where all others used so little.
IDLE, OTHERS = 0.1, 0.25

Waiting = Callable[[], AbstractContextManager[Any]]


class Machine:
    """A lock that is shared or held alone, between processes that may end at any time.

    Who wants it alone keeps newcomers out at the door, and waits until those inside have left. A waiting
    process is woken by the system, in the order in which they came, rather than looking now and then.

    Args:
        lock: a file, which need not exist.
        is_ours: whether it has been taken alone already, for all that is done from now on.
        waiting: what to enter while it has to be waited for.
    """

    def __init__(self, lock: Path, is_ours: bool = False, waiting: Waiting = nullcontext) -> None:
        self._room = lock
        self._door = lock.with_name(f"{lock.name}.door")
        self._is_ours = is_ours
        self._waiting = waiting

    def but(self, **changes: Any) -> "Machine":
        """Return the same machine, taken in another way."""
        return Machine(self._room, **{"is_ours": self._is_ours, "waiting": self._waiting, **changes})

    @contextmanager
    def shared(self) -> Iterator["Held"]:
        """Use the machine beside others meanwhile."""
        with _opened(self._door) as door, _opened(self._room) as room:
            self._take(door, fcntl.LOCK_SH)
            self._take(room, fcntl.LOCK_SH)
            door.release()
            if not self._is_ours:
                room.note()
            yield room

    @contextmanager
    def alone(self) -> Iterator["Held"]:
        """Use the machine alone meanwhile."""
        with _opened(self._door) as door, _opened(self._room) as room:
            self._take(door, fcntl.LOCK_EX)
            self._take(room, fcntl.LOCK_EX)
            yield room

    def _take(self, lock: "Held", how: int) -> None:
        if self._is_ours:
            return
        try:
            fcntl.flock(lock.file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._waiting():
                fcntl.flock(lock.file, how)


class Held:
    """A file that is locked until it is released, here or in a process that was forked meanwhile."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._noted: Used | None = None

    def release(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def note(self) -> None:
        """Note what has been done on the machine until now."""
        self._noted = Used.until_now()

    @property
    def was_shared(self) -> bool:
        """Whether others used a good part of the machine since it was shared with them."""
        return self._spent.is_shared

    @property
    def was_crowded(self) -> bool:
        """Whether they did and there were seldom cores to spare, so that they may have kept us waiting."""
        spent = self._spent
        return spent.is_shared and spent.idle < IDLE * spent.total

    @property
    def _spent(self) -> "Used":
        return Used.until_now().since(self._noted) if self._noted else Used(0, 0, 0)


class Used(NamedTuple):
    """Seconds of all cores together, since some time in the past."""

    total: float
    idle: float
    ours: float  # used by what we can see, which is our own job's where it lives in a sandbox

    @property
    def is_shared(self) -> bool:
        return self.total - self.idle - self.ours > OTHERS * self.total

    def since(self, before: "Used") -> "Used":
        return Used(*(now - then for now, then in zip(self, before, strict=True)))

    @classmethod
    def until_now(cls) -> "Used":
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        ours = 0.0
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has just ended, and its parent has its times
                ours += sum(process.cpu_times()[:4])
        return cls(time.monotonic() * (psutil.cpu_count() or 1), idle, ours)


@contextmanager
def _opened(path: Path) -> Iterator[Held]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    lock = Held(file)
    try:
        yield lock
    finally:
        lock.release()  # closing it would not, while a fork has it too
        os.close(file)
