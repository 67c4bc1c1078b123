"""One notebook run in a sandbox and watched, until it and all that it started have ended."""

import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from underload.errors import UnderloadError
from underload.jobs import cells
from underload.jobs.watch import Watch
from underload.sandbox import Limits, Sandbox

SET_DEATH_SIGNAL, SET_ADOPTION = 1, 36  # of prctl
KILLED = json.dumps({"ended": "crashed", "reason": "The process that watched the notebook was killed."})


@dataclass(frozen=True)
class Outcome:
    """How the run of a notebook ended. It says nothing about points.

    Attributes:
        ended: ``finished`` when every cell had its turn, whether or not it failed; ``timeout`` when a cell or
            all of them took too long; ``crashed`` when the kernel ended, or used more than it may.
        reason: why it was not simply finished: one sentence, or nothing.
        seconds: that it took, all included.
        errors: what went wrong in a cell, by its place among the code cells, from 0.
    """

    ended: Literal["finished", "timeout", "crashed"]
    reason: str = ""
    seconds: float = 0.0
    errors: dict[int, str] = field(default_factory=dict)


def run(notebook: Path, sandbox: Sandbox, servers: Path | None = None) -> Outcome:
    """Run a notebook from top to bottom and return how that ended, once nothing of it is left.

    It forks, so that what takes long is imported once and not for every notebook: call it from a process that
    has no other threads.

    Args:
        notebook: the file, which is copied.
        sandbox: where its kernel is to live.
        servers: the folder in which servers keep what the notebook stores, if it is given any.

    Raises:
        UnderloadError: the sandbox did not start, for which no notebook can be blamed.
    """
    began = time.monotonic()
    cells.warm_up()
    with tempfile.TemporaryDirectory(prefix="underload-run-") as folder:
        copy = shutil.copyfile(notebook, Path(folder, "notebook.ipynb"))
        keeper, pipe = fork(lambda pipe: _keep(copy, sandbox, servers, pipe))
        try:
            with os.fdopen(pipe, "rb") as told:
                said = told.read()
        finally:
            os.kill(keeper, signal.SIGTERM)  # it is through, or the stop button brought us here
            os.waitpid(keeper, 0)
    found = json.loads(said or KILLED)
    if found["ended"] == "unstarted":
        raise UnderloadError(f"No kernel started in the sandbox ({found['reason']}): run `underload doctor`.")
    errors = {int(cell): error for cell, error in found.get("errors", {}).items()}
    return Outcome(found["ended"], found["reason"], time.monotonic() - began, errors)


def _keep(notebook: Path, sandbox: Sandbox, servers: Path | None, pipe: int) -> None:
    """Be the ancestor of all that a notebook starts; watch it, end it, and tell how it ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    die_with_parent(signal.SIGTERM)
    _prctl(SET_ADOPTION, 1)  # whoever leaves its parent, as a daemon does, becomes our child
    try:
        kernel = sandbox.write_kernelspec(notebook.parent)
        reader, told = fork(lambda pipe: _read(notebook, kernel, sandbox.limits, pipe))
        watch = Watch(sandbox.limits, reader, told, servers)
        ended, reason = watch.until_over()
    finally:
        _end_children()
    os.write(pipe, json.dumps({"ended": ended, "reason": reason, "errors": watch.errors}).encode())


def _read(notebook: Path, kernel: str, limits: Limits, pipe: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    cells.run(notebook, kernel, limits, pipe)


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


def die_with_parent(number: signal.Signals) -> None:
    """Have the system send us a signal when the process that started us ends, where it can."""
    _prctl(SET_DEATH_SIGNAL, number)


def _end_children() -> None:
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
