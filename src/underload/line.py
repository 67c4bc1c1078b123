"""The kernel's line to the judge: a process started for it or, in a graded run, a socket given to it."""

import json
import os
import socket
import subprocess
from typing import Any

from underload.child import Child
from underload.errors import UnderloadError

SOCKET = "UNDERLOAD_JUDGE"  # the environment variable that names a graded run's socket
PATIENCE = 180.0  # seconds for an answer: longer than any check takes
ENDED = "The judge ended without an answer. Run the cell again."


class Line:
    """A connection to the judge. One question at a time, each answered before the next."""

    def __init__(self) -> None:
        self._child: Child | None = None
        if path := os.environ.get(SOCKET):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(path)
        else:
            self._socket, theirs = socket.socketpair()
            with theirs:
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                self._child = Child("underload.judge.observer", stdin=theirs, **quiet)
        self._socket.settimeout(PATIENCE)
        self._answers = self._socket.makefile("rb")

    def ask(self, wish: str, **details: Any) -> dict[str, Any]:
        """Return the judge's answer. Raises OSError or ValueError if it has none."""
        self._socket.sendall(json.dumps({"ask": wish, **details}).encode() + b"\n")
        return json.loads(self._answers.readline())

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
        if self._child:
            self._child.stop()


def is_graded() -> bool:
    """Tell whether this is a graded run, in which the judge hands out databases."""
    return SOCKET in os.environ


_lines: dict[int, Line] = {}  # by process: a fork must not talk on its parent's


def ask(wish: str, **details: Any) -> dict[str, Any]:
    """Ask the judge, which is started if this process has none.

    Raises:
        UnderloadError: the judge refused, or ended.
    """
    here = os.getpid()
    try:
        if here not in _lines:
            _lines[here] = Line()
        answer = _lines[here].ask(wish, **details)
    except (OSError, ValueError):
        hang_up()
        raise UnderloadError(ENDED) from None
    except BaseException:  # the stop button: an answer that comes late would be taken for the next one
        hang_up()
        raise
    if "error" in answer:
        raise UnderloadError(answer["error"])
    return answer


def hang_up() -> None:
    """End this process's judge, or leave it."""
    if line := _lines.pop(os.getpid(), None):
        line.close()
