"""The processes of a service: who listens on its port, what they use, and how to disturb them."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from underload import processor
from underload.judge.expect import Failed, Observed

KERNEL = "ipykernel"  # what the command line of a notebook's kernel names, however it was started
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


class Processes:
    """The processes behind a port of this machine: those that listen, and all that they started."""

    def __init__(self, port: int) -> None:
        self.port = port

    def listening(self) -> list[psutil.Process]:
        """Return the instances: the processes that listen, the oldest first, without their supervisors.

        Raises:
            Failed: there is none.
        """
        found = holders(self.port)
        supervisors = {parent for process in found for parent in process.parents()}
        instances = [process for process in found if process not in supervisors]
        if not instances:
            raise Failed("a service that listens", f"nobody listens on port {self.port}")
        return sorted(instances, key=lambda process: process.create_time())

    def all(self) -> set[psutil.Process]:
        """Return who listens, their supervisors and all descendants, without the judge and its own.

        Of a service in a sandbox, they are all processes of the sandbox: one could leave its family.
        """
        return _family(holders(self.port))

    @property
    def memory(self) -> Observed:
        """Memory that all of them occupy, in MB; what they share counts once where the system tells."""
        return Observed(sum(map(_memory, self.all())) / 1e6, "memory of the service", "MB")

    @contextmanager
    def watch_cpu(self) -> Iterator[Usage]:
        """Measure the CPU used meanwhile."""
        usage, meter = Usage(), _Meter(holders(self.port))
        over = threading.Event()
        looking = threading.Thread(target=meter.look_until, args=[over], daemon=True)
        looking.start()
        try:
            yield usage
        finally:
            over.set()
            looking.join()
        meter.read(usage)

    def send_signal(self, number: signal.Signals, instance: int = 0) -> psutil.Process:
        """Signal one of those that listen, by age, and return it. A notebook's kernel is spared.

        Raises:
            Failed: there is no such instance, or it runs in the kernel, whose end would end the notebook.
        """
        listening = self.listening()
        if instance >= len(listening):
            raise Failed(f"at least {instance + 1} instances", f"{len(listening)}")
        process = listening[instance]
        if process.pid in {os.getpid(), os.getppid()} or KERNEL in " ".join(process.cmdline()):
            raise Failed("a service in processes of its own (an import string)", "it runs in the notebook")
        process.send_signal(number)
        return process

    def kill(self, instance: int = 0) -> psutil.Process:
        """Kill -9 one of those that listen, by age, and return it once it is gone."""
        process = self.send_signal(signal.SIGKILL, instance)
        while _lives(process):
            time.sleep(0.005)
        return process


def holders(port: int) -> list[psutil.Process]:
    """Return the processes that have a port of this machine open: several, where workers share a socket."""
    return [process for process in psutil.process_iter() if _holds(process, port)]


def _holds(process: psutil.Process, port: int) -> bool:
    try:
        # Each network has ports of its own.
        return _namespace(process.pid, "net") == _namespace(os.getpid(), "net") and any(
            each.laddr.port == port and each.status == psutil.CONN_LISTEN
            for each in process.net_connections("tcp")
        )
    except (psutil.Error, OSError):  # another user's, or ended
        return False


class _Meter:
    """What a family of processes uses, by looks so frequent that few that are short-lived escape them."""

    def __init__(self, listening: list[psutil.Process]) -> None:
        self._listening = listening
        self._began = time.perf_counter()
        family = _family(listening)
        self._before = sum(map(processor.used_with_ended, family))
        self._first = {each: processor.used(each) for each in family}
        self._latest = dict(self._first)

    def look_until(self, over: threading.Event) -> None:
        while not over.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> set[psutil.Process]:
        family = _family(self._listening)
        for process in family:
            now, known = processor.used(process), self._latest.get(process, (0.0, 0.0))
            # What a thread had or waited for is forgotten when it ends.
            self._latest[process] = max(now[0], known[0]), max(now[1], known[1])
        return family

    def read(self, usage: Usage) -> None:
        """Say what was used since this meter was made."""
        seconds = time.perf_counter() - self._began
        after = sum(map(processor.used_with_ended, self._look()))
        first = {each: self._first.get(each, (0.0, 0.0)) for each in self._latest}
        used = [np.subtract(self._latest[each], first[each]) for each in self._latest]
        usage.seconds = seconds
        usage.cpu = (after - self._before) / seconds
        usage.most = max(cpu for cpu, _ in used) / seconds
        usage.working = sum(min(seconds, max(cpu, wanted)) for cpu, wanted in used) / seconds


def _family(listening: list[psutil.Process]) -> set[psutil.Process]:
    """Return the processes that belong to those that listen, these included."""
    judge = psutil.Process()
    walled = {space for each in listening if (space := _namespace(each.pid, "pid"))}
    walled -= {_namespace(judge.pid, "pid")}
    if walled:
        return {each for each in psutil.process_iter() if _namespace(each.pid, "pid") in walled}
    found: set[psutil.Process] = set()
    for process in listening:
        with suppress(psutil.NoSuchProcess):
            found |= {process, *process.children(recursive=True)}
    return found - {judge, *judge.children(recursive=True)} if judge in found else found


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs. One that nobody has waited for yet runs no more."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _namespace(pid: int, kind: str) -> str:
    """Return what tells apart namespaces of a kind ("net", "pid"); "" if the system has none, or hides it."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.AccessDenied, AttributeError):  # another user's, or a system without shares
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
