"""The process that makes the load, seen from the kernel."""

import atexit
import json
import os
import select
import subprocess
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from underload.child import Child
from underload.errors import UnderloadError

PATIENCE = 20.0  # seconds the generator may be silent beyond what the run explains


class Generator:
    """The Locust process of this kernel: started once, since importing Locust takes most of a second."""

    def __init__(self) -> None:
        self._child = Child(
            "underload.locustfile",
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

    def run(
        self, spec: dict[str, Any], show: Callable[..., None]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the generator's last line and its columns; pass each line of progress to ``show``."""
        silence = spec["seconds"] + spec["drain"] + PATIENCE
        answers = _Answers(self._child.process.stdout)
        try:
            self._child.process.stdin.write(json.dumps(spec).encode() + b"\n")
            while "columns" not in (answer := answers.line(silence)):
                if "problem" in answer:
                    raise UnderloadError(
                        f"The load generator failed ({answer['problem']}). Check the workload."
                    )
                show(**answer)
            return answer, answers.columns(answer["columns"])
        except BaseException:  # the stop button too: nothing of this run may stay behind
            self.stop()
            raise


class _Answers:
    """What the generator writes: lines of JSON, and raw columns. It never waits longer than it is told."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._buffer = bytearray()

    def _fill(self, patience: float) -> None:
        ready, _, _ = select.select([self._pipe], [], [], patience)
        data = os.read(self._pipe.fileno(), 1 << 20) if ready else b""
        if not data:
            raise UnderloadError("The load generator ended or hung without an answer. Run the cell again.")
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


_lock = threading.Lock()
_current: Generator | None = None


def prepare() -> Generator:
    """Return the generator, started if need be. Called early, it spares the first load the wait."""
    global _current
    with _lock:
        if _current is None or not _current.running:
            _current = Generator()
            atexit.register(_current.stop)
        return _current


def run(spec: dict[str, Any], show: Callable[..., None]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Make one run: return the generator's last line and its columns, pass progress to ``show``.

    Raises:
        UnderloadError: the generator failed, ended, or hung.
    """
    return prepare().run(spec, show)
