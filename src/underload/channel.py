"""The kernel's channel to the judge. In a graded run it is a socket given to it."""

import json
import os
import socket
from collections.abc import Callable
from typing import Any

from underload.child import Child
from underload.errors import UnderloadError

SOCKET = "UNDERLOAD_JUDGE"  # the environment variable that names a graded run's socket
PATIENCE = 180.0  # seconds for an answer: longer than any check takes
ENDED = "The judge ended without an answer. Run the cell again."


class Channel:
    """A connection to the judge. One question at a time, each answered before the next.

    Args:
        connection: a socket that leads to the judge.
        child: the judge's process, if it is ours to end.
    """

    def __init__(self, connection: socket.socket, child: Child | None = None) -> None:
        self._child = child
        self._socket = connection
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


_channels: dict[int, Channel] = {}  # by process: a fork must not talk on its parent's


def given() -> Channel:
    """Return a channel to the judge of a graded run."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[SOCKET])
    return Channel(connection)


def ask(wish: str, begin: Callable[[], Channel] = given, **details: Any) -> dict[str, Any]:
    """Ask the judge.

    Args:
        wish: what is wanted.
        begin: makes the channel, if this process has none yet.
        **details: of the wish.

    Raises:
        UnderloadError: the judge refused, or ended.
    """
    here = os.getpid()
    try:
        if here not in _channels:
            _channels[here] = begin()
        answer = _channels[here].ask(wish, **details)
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
    if own := _channels.pop(os.getpid(), None):
        own.close()
