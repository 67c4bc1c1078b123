"""The judge that a learner has to themselves: a process of their kernel's, started when it is first asked."""

import socket
import subprocess
from typing import Any

from underload import line
from underload.child import Child
from underload.line import Line


def ask(wish: str, **details: Any) -> dict[str, Any]:
    """Ask the judge of a graded run or, if this is none, one of our own. Raises UnderloadError."""
    return line.ask(wish, line.given if line.is_graded() else _start, **details)


def _start() -> Line:
    ours, theirs = socket.socketpair()
    with theirs:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return Line(ours, Child("underload.judge.observer", stdin=theirs, **quiet))
