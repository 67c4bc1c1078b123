"""What the processes of a service do with the cores of this machine."""

import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil

from underload import processor
from underload.judge.expect import Observed
from underload.judge.family import family

LOOK_EVERY = 0.05  # seconds


@dataclass
class Usage:
    """What the processes of a service did while they were watched.

    Attributes:
        seconds: for how long.
        cpu: cores they used, those that ended meanwhile included.
        most: cores that the busiest of them used.
        working: how many were at work, on average: each counts for the share of the time in which one of its
            threads had a core or, where the system tells, waited for one. Other programs do not change it,
            and threads that take turns at one interpreter do not add up.
    """

    seconds: float = float("nan")
    cpu: float = float("nan")
    most: float = float("nan")
    working: float = float("nan")

    @property
    def cores(self) -> Observed:
        return Observed(self.cpu, "CPU used by the service", "cores")

    @property
    def busiest(self) -> Observed:
        return Observed(self.most, "CPU used by the busiest process", "cores")

    @property
    def interpreters(self) -> Observed:
        return Observed(self.working, "interpreters at work")


class Meter:
    """What a family of processes uses, by looks so frequent that few that are short-lived escape them."""

    def __init__(self, listening: list[psutil.Process]) -> None:
        self._listening = listening
        self._began = time.perf_counter()
        members = family(listening)
        self._before = sum(map(processor.used_with_ended, members))
        self._first = {each: processor.used(each) for each in members}
        self._latest = dict(self._first)

    def look_until(self, over: threading.Event) -> None:
        while not over.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> set[psutil.Process]:
        members = family(self._listening)
        for process in members:
            now, known = processor.used(process), self._latest.get(process, (0.0, 0.0))
            # What a thread had or waited for is forgotten when it ends.
            self._latest[process] = max(now[0], known[0]), max(now[1], known[1])
        return members

    def read(self, usage: Usage) -> None:
        """Say what was used since this meter was made."""
        seconds = time.perf_counter() - self._began
        after = sum(map(processor.used_with_ended, self._look()))
        first = {each: self._first.get(each, (0.0, 0.0)) for each in self._latest}
        used = [np.subtract(self._latest[each], first[each]) for each in self._latest]
        usage.seconds = seconds
        usage.cpu = (after - self._before) / seconds
        usage.most = max((cpu for cpu, _ in used), default=0.0) / seconds
        usage.working = sum(min(seconds, max(cpu, wanted)) for cpu, wanted in used) / seconds
