"""What a process does with the cores of this machine."""

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
    wanted = [_wanted(thread) for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat")]
    return cpu, sum(wanted) if wanted else cpu


def used_with_ended(process: psutil.Process) -> float:
    """Return seconds of CPU of a process and its children that have ended; 0 if it has itself ended."""
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def _wanted(thread: Path) -> float:
    try:
        ran, waited, _ = thread.read_text().split()
    except OSError:  # it has ended
        return 0.0
    return (int(ran) + int(waited)) / 1e9
