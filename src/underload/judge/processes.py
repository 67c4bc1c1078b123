"""The processes of a service: who listens on its port, what they use, and how to disturb them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from underload import processor
from underload.judge.expect import Failed, Observed

KERNEL = "ipykernel_launcher"


@dataclass
class Usage:
    """What the processes of a service did while they were watched.

    Attributes:
        cpu: cores they used.
        working: interpreters at work, on average: each process for the share of the time in which one of its
            threads had a core or, where the system tells, waited for one. Other programs do not change it,
            and threads that take turns at one interpreter do not add up.
    """

    cpu: float = float("nan")
    working: float = float("nan")

    @property
    def cores(self) -> Observed:
        return Observed(self.cpu, "CPU used by the service", "cores")

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
        holders = [process for process in psutil.process_iter() if self._holds(process)]
        supervisors = {parent for process in holders for parent in process.parents()}
        instances = [process for process in holders if process not in supervisors]
        if not instances:
            raise Failed("a service that listens", f"nobody listens on port {self.port}")
        return sorted(instances, key=lambda process: process.create_time())

    def _holds(self, process: psutil.Process) -> bool:
        """Tell whether a process has the port open. Several may, where workers share a socket."""
        try:
            return _network(process.pid) == _network(os.getpid()) and any(
                each.laddr.port == self.port and each.status == psutil.CONN_LISTEN
                for each in process.net_connections("tcp")
            )
        except (psutil.Error, OSError):  # another user's, or ended
            return False

    def all(self) -> set[psutil.Process]:
        """Return who listens, their supervisors and all descendants, without the judge and its own."""
        judge = psutil.Process()
        found: set[psutil.Process] = set()
        for process in (each for each in psutil.process_iter() if self._holds(each)):
            with suppress(psutil.NoSuchProcess):
                found |= {process, *process.children(recursive=True)}
        return found - {judge, *judge.children(recursive=True)} if judge in found else found

    @property
    def memory(self) -> Observed:
        """Memory that all of them occupy, in MB; what they share counts once where the system tells."""
        return Observed(sum(map(_memory, self.all())) / 1e6, "memory of the service", "MB")

    @contextmanager
    def watch_cpu(self) -> Iterator[Usage]:
        """Measure the CPU used meanwhile."""
        usage = Usage()
        before, began = {process: processor.used(process) for process in self.all()}, time.perf_counter()
        yield usage
        elapsed = time.perf_counter() - began
        after = {process: processor.used(process) for process in self.all()}
        idle = (0.0, 0.0)
        used = [np.subtract(times, before.get(process, idle)) / elapsed for process, times in after.items()]
        usage.cpu = float(sum(cpu for cpu, _ in used))
        usage.working = float(sum(min(1.0, wanted) for _, wanted in used))

    def send_signal(self, number: signal.Signals, instance: int = 0) -> psutil.Process:
        """Signal one of those that listen, by age, and return it. A notebook's kernel is spared.

        Raises:
            Failed: there is no such instance, or it runs in the kernel, whose end would end the notebook.
        """
        listening = self.listening()
        if instance >= len(listening):
            raise Failed(f"at least {instance + 1} instances", f"{len(listening)}")
        process = listening[instance]
        if process.pid in {os.getpid(), os.getppid()} or KERNEL in process.cmdline():
            raise Failed("a service in processes of its own (an import string)", "it runs in the notebook")
        process.send_signal(number)
        return process

    def kill(self, instance: int = 0) -> psutil.Process:
        """Kill -9 one of those that listen, by age, and return it once it is gone."""
        process = self.send_signal(signal.SIGKILL, instance)
        while _lives(process):
            time.sleep(0.005)
        return process


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs. One that nobody has waited for yet runs no more."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _network(pid: int) -> str:
    """Return what tells apart networks, each of which has ports of its own."""
    namespace = Path(f"/proc/{pid}/ns/net")
    return str(namespace.readlink()) if Path("/proc/self/ns").exists() else ""


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.AccessDenied, AttributeError):  # another user's, or a system without shares
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
