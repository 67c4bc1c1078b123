"""The processes of a service: who listens on its port, what they use, and how to disturb them."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from underload.judge.expect import Failed, Observed
from underload.judge.family import family, holders
from underload.judge.usage import Meter, Usage

KERNEL = "ipykernel"  # what the command line of a notebook's kernel names, however it was started


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
        return family(holders(self.port))

    @property
    def memory(self) -> Observed:
        """Memory that all of them occupy, in MB; what they share counts once where the system tells."""
        return Observed(sum(map(_memory, self.all())) / 1e6, "memory of the service", "MB")

    @contextmanager
    def watch_cpu(self) -> Iterator[Usage]:
        """Measure the CPU used meanwhile."""
        usage, meter = Usage(), Meter(holders(self.port))
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


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs. One that nobody has waited for yet runs no more."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.AccessDenied, AttributeError):  # another user's, or a system without shares
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
