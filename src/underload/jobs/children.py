"""Child processes of the grader: forked, ended with their parent, adopted, and ended to the last one."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

import psutil

SET_DEATH_SIGNAL, SET_ADOPTION = 1, 36  # of prctl


def fork(inside: Callable[[int], None]) -> tuple[int, int]:
    """Run a function in a process of its own, with a pipe to write to. Return its id and our end of that."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, ours
    try:
        os.close(ours)
        os.setsid()
        inside(theirs)
        os._exit(0)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(1)


def exit_on_sigterm() -> None:
    """Have SIGTERM end this process as Ctrl-C does, through every ``finally``."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # asked twice, it takes no less time
    sys.exit(128 + number)


def die_with_parent(number: signal.Signals) -> None:
    """Have the system send us a signal when the process that started us ends, where it can."""
    _prctl(SET_DEATH_SIGNAL, number)


def adopt_orphans() -> None:
    """Become the parent of all that leaves its own among our descendants, as a daemon does, where we can."""
    _prctl(SET_ADOPTION, 1)


def end_children() -> None:
    """Kill all that descends from us, and wait until the last has ended.

    The first process of a sandbox ends only when all others in there have, so having waited for it is enough.
    """
    with suppress(ChildProcessError):
        while True:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            os.waitpid(-1, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
