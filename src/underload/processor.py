"""What a process does with the cores of this machine."""

import os
from contextlib import suppress
from pathlib import Path

import psutil


def used(process: psutil.Process) -> tuple[float, float]:
    """Return seconds of CPU of a process, and seconds in which its threads had a core or waited for one.

    The latter does not shrink when other programs take the cores. Where the system does not tell (only Linux
    does, in ``schedstat``), both are the CPU. Of a process that has ended, both are 0.
    """
    try:
        cpu = sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    told = of_threads(process.pid, "schedstat")
    return cpu, sum(map(_wanted, told)) if told else cpu


def used_with_ended(process: psutil.Process) -> float:
    """Return seconds of CPU of a process and its children that have ended; 0 if it has itself ended."""
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def of_threads(pid: int, file: str) -> list[bytes]:
    """Return what a file such as ``stat`` tells of each thread of a process; nothing once it has ended."""
    told = []
    with suppress(OSError):  # the process has ended, maybe since we began
        for thread in os.scandir(f"/proc/{pid}/task"):
            with suppress(OSError):
                told.append(Path(thread, file).read_bytes())
    return told


def _wanted(schedstat: bytes) -> float:
    ran, waited, _ = schedstat.split()
    return (int(ran) + int(waited)) / 1e9
