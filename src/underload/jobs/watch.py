"""A notebook's run, seen from outside: what its cells are said to do, and what its processes use."""

import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from underload.jobs.ending import MOST_ERRORS, CellError, Ending
from underload.processor import of_threads
from underload.sandbox import GB, Limits

PAUSE = 0.1  # seconds between two looks, of 1 ms each
STORED_PAUSE = 2.0  # and between two at what is on disk, of 10 ms each
WANTING_PAUSE, WANTING_LOOKS = 0.5, 6  # and between two at what threads do, and how many of them count
WALLS = 2  # processes of bubblewrap itself

End = tuple[str, str]  # how it ended, and why


class Judgement(Protocol):
    """What follows the last cell of a notebook: ``over`` is readable at its end."""

    over: socket.socket

    def begin(self) -> None: ...


class Watch:
    """Looks at the descendants of this process, all but the one that reads the notebook and tells of it.

    Args:
        limits: what they may use.
        reader: the process that reads the notebook.
        pipe: where it tells of that.
        servers: the folder in which servers keep what the notebook stores, if it is given any.
        judgement: what follows the last cell, if anything does.
    """

    def __init__(
        self,
        limits: Limits,
        reader: int,
        pipe: int,
        servers: Path | None = None,
        judgement: Judgement | None = None,
    ) -> None:
        self._limits, self._reader, self._pipe, self._servers = limits, reader, pipe, servers
        self._judgement, self._is_judged = judgement, False
        self._began = self._cell_began = self._weighed = self._counted = time.monotonic()
        self._wanting: deque[int] = deque(maxlen=WANTING_LOOKS)
        self._stored_before = _stored(servers)
        self._cell = 1
        self._errors: list[CellError] = []
        self._heard = b""
        self._over: End = ("finished", "")

    def until_over(self) -> Ending:
        """Return how the run ended, or why it must be ended now."""
        while not (end := self._listen() or self._look()):
            pass
        ended, reason = end
        return Ending(ended=ended, reason=reason, errors=self._errors[:MOST_ERRORS])

    def _listen(self) -> End | None:
        over = [self._judgement.over] if self._judgement and self._is_judged else []
        speaking = select.select([self._pipe, *over], [], [], PAUSE)[0]
        if speaking and speaking[0] in over:
            return self._over
        if self._pipe not in speaking:
            return None
        said = os.read(self._pipe, 65536)
        if not said:
            return "crashed", f"What {self._place.lower()} printed could not be read to its end."
        *lines, self._heard = (self._heard + said).split(b"\n")
        ends = (self._hear(**json.loads(line)) for line in lines)
        return next((end for end in ends if end), None)

    def _hear(
        self, event: str, cell: int = 0, error: str = "", line: str = "", status: int | None = None
    ) -> End | None:
        if event == "cell":
            self._cell, self._cell_began = cell, time.monotonic()
        elif event == "raised":
            self._errors.append(CellError(cell=cell, error=error, line=line))
        elif event == "late":
            self._over = "timeout", f"{self._place} took longer than {self._limits.cell_seconds:g} s."
        elif event == "silent":
            self._over = "crashed", f"The kernel fell silent after {self._place.lower()}."
        elif event == "died":
            return "crashed", f"The kernel ended during {self._place.lower()} ({self._end(status)})."
        elif event == "unstarted":
            return "failed", f"No kernel started in the sandbox ({error}): run `underload doctor`."
        elif event == "finished":
            return self._finished()
        return None

    def _finished(self) -> End | None:
        if self._judgement is None:
            return self._over
        self._judgement.begin()
        self._is_judged = True
        return None

    def _look(self) -> End | None:
        if not self._is_judged and (late := self._late()):
            return late
        now, most = time.monotonic(), self._limits
        inside = [each for each in psutil.Process().children(recursive=True) if each.pid != self._reader]
        if len(inside) > most.processes + WALLS:
            return "crashed", f"The notebook ran more than {most.processes} processes at once."
        if self._exceeds_memory(inside):
            return "crashed", f"The notebook used more than {most.memory / GB:g} GB of memory."
        if now - self._counted > WANTING_PAUSE:
            self._counted = now
            # Its sessions in a database compute as well. In a sandbox all that we see is its own.
            ours = list(psutil.process_iter()) if psutil.Process(1).name() == "bwrap" else inside
            if self._exceeds_memory(ours):
                used = f"used more than {most.memory / GB:g} GB of memory."
                return "crashed", f"The notebook and its database sessions {used}"
            self._wanting.append(sum(map(_wanting, ours)))
            if len(self._wanting) == WANTING_LOOKS and min(self._wanting) > most.wanting:
                return (
                    "crashed",
                    f"The notebook had more than {most.wanting} threads compute at once, for long.",
                )
        if now - self._weighed > STORED_PAUSE:
            self._weighed = now
            if _stored(self._servers) - self._stored_before > most.stored:
                return "crashed", f"The notebook stored more than {most.stored / GB:g} GB in its database."
        return None

    def _exceeds_memory(self, processes: list[psutil.Process]) -> bool:
        most = self._limits.memory
        return _sum(_resident, processes) > most and _sum(_share, processes) > most

    def _late(self) -> End | None:
        now, most = time.monotonic(), self._limits
        if now - self._began > most.wall_seconds:
            return "timeout", f"The notebook took longer than {most.wall_seconds:g} s."
        if now - self._cell_began > most.cell_seconds + 2 * most.answer_seconds:  # nbval should have ended it
            return "timeout", f"{self._place} could not be stopped after {most.cell_seconds:g} s."
        return None

    @property
    def _place(self) -> str:
        return "The judgement" if self._is_judged else f"Code cell {self._cell}"

    def _end(self, status: int | None) -> str:
        ends = {
            signal.SIGXCPU: f"more than {self._limits.cpu_seconds} s of processor time",
            signal.SIGKILL: "killed",
        }
        found = (why for number, why in ends.items() if status in (-number, 128 + number))
        return next(found, f"status {status}")


def _stored(folder: Path | None) -> int:
    """Return what all files in a folder occupy, in bytes."""
    total = 0
    for place, _, names in os.walk(folder) if folder else ():
        for name in names:
            with suppress(OSError):  # it has just been removed
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - fast
    return total


def _wanting(process: psutil.Process) -> int:
    """Return how many threads of a process have a core or wait for one."""
    return sum(told.rpartition(b") ")[2][:1] == b"R" for told in of_threads(process.pid, "stat"))


def _sum(measure: Callable[[psutil.Process], int], processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with suppress(psutil.Error, OSError):  # it has just ended
            total += measure(process)
    return total


def _resident(process: psutil.Process) -> int:
    """Return a process's memory in bytes; what it shares with others counts in full."""
    return process.memory_info().rss


def _share(process: psutil.Process) -> int:
    """Return a process's memory in bytes; what it shares with others counts in part. This takes longer."""
    if sys.platform != "linux":
        return _resident(process)
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
