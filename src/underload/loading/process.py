"""The process that makes the load, seen from the kernel."""

import atexit
import json
import os
import select
import subprocess
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from underload.child import Child
from underload.errors import UnderloadError
from underload.serving import running

PATIENCE = 20.0  # seconds the generator may be silent beyond what the run explains
DIED = "The load generator ended or hung without an answer. Run the cell again."

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]


class Generator:
    """A Locust process, kept from run to run, since importing Locust takes most of a second."""

    def __init__(self) -> None:
        self._child = Child(
            "underload.loading.generator.main",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    @property
    def running(self) -> bool:
        return self._child.running

    def stop(self) -> None:
        self._child.stop()

    def run(self, spec: dict[str, Any], show: Callable[..., None], edge: Callable[[], None]) -> Answer:
        """Do what `run` of this module says."""
        try:
            return self._run(spec, show, edge)
        except BrokenPipeError:
            self.stop()
            raise UnderloadError(DIED) from None
        except BaseException:  # the stop button too: nothing of this run may stay behind
            self.stop()
            raise

    def _run(self, spec: dict[str, Any], show: Callable[..., None], edge: Callable[[], None]) -> Answer:
        silence = spec["seconds"] + spec["drain"] + PATIENCE
        answers = _Answers(self._child.process.stdout)
        self._child.process.stdin.write(json.dumps(spec).encode() + b"\n")
        while "columns" not in (answer := answers.line(silence)):
            if "problem" in answer:
                raise UnderloadError(f"The load generator failed ({answer['problem']}). Check the workload.")
            if "elapsed" in answer:
                show(**answer)
            else:
                edge()
        return answer, answers.columns(answer["columns"])


class _Answers:
    """What the generator writes: lines of JSON, and raw columns. It never waits longer than it is told."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._buffer = bytearray()
        # Not select: a kernel that serves a thousand users has file numbers beyond what that can take.
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)

    def _fill(self, patience: float) -> None:
        data = os.read(self._pipe.fileno(), 1 << 20) if self._poll.poll(patience * 1000) else b""
        if not data:
            raise UnderloadError(DIED)
        self._buffer += data

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def line(self, patience: float) -> dict[str, Any]:
        """Return the next line, if it comes within ``patience`` seconds."""
        while b"\n" not in self._buffer:
            self._fill(patience)
        return json.loads(self._take(self._buffer.index(b"\n") + 1))

    def columns(self, layout: dict[str, list[Any]]) -> dict[str, np.ndarray]:
        """Return the columns that follow the last line."""
        columns = {}
        for name, (typecode, length) in layout.items():
            dtype = np.dtype(typecode)
            while len(self._buffer) < dtype.itemsize * length:
                self._fill(PATIENCE)
            columns[name] = np.frombuffer(self._take(dtype.itemsize * length), dtype)
        return columns


_idle: list[Generator] = []  # two loads at a time, from two threads, take two generators


def prepare() -> None:
    """See that a generator is ready. Called early, it spares the first load the wait."""
    _idle.append(_take())


running.whenever_served(prepare)  # whoever serves in a notebook will put load on it


def run(spec: dict[str, Any], show: Callable[..., None], edge: Callable[[], None]) -> Answer:
    """Make one run and return the generator's last line and its columns.

    Args:
        spec: the workload, see `underload.loading.workload`.
        show: is given each line of progress.
        edge: is called when the window opens, and when it closes.

    Raises:
        UnderloadError: the generator failed, ended, or hung.
    """
    generator = _take()
    answer = generator.run(spec, show, edge)
    _idle.append(generator)
    return answer


def _take() -> Generator:
    while _idle:
        generator = _idle.pop()
        if generator.running:
            return generator
        generator.stop()
    return Generator()


@atexit.register
def stop_idle() -> None:
    """End the generators that are ready for a next run."""
    while _idle:
        _idle.pop().stop()
