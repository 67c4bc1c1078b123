"""A service that runs: what its two kinds share, and the register of those of this kernel."""

import html
import socket
from collections.abc import Callable
from typing import Self

import numpy as np

from underload.errors import UnderloadError

START_LIMIT = 5.0  # seconds a service may take until it answers
STOP_LIMIT = 3.0  # seconds requests may take to finish when a server is stopped

_running: dict[str, "Server"] = {}
_companions: list[Callable[[], object]] = []


class Server:
    """A running service. Stop it with `stop()`, or use it as a context manager.

    Attributes:
        name: what it is known by; a new server of the same name replaces it.
        url: where it answers, such as ``http://127.0.0.1:54321``.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        raise NotImplementedError

    def stop(self) -> None:
        """Finish open requests (3 s at most), run the shutdown of the lifespan, and free the port."""
        self._stop()
        if _running.get(self.name) is self:
            del _running[self.name]

    def _stop(self) -> None:
        raise NotImplementedError

    def lag(self, begin: float, end: float) -> np.ndarray:
        """Event-loop lag between two moments of `time.perf_counter`: rows of (seconds since begin, ms)."""
        return np.empty((0, 2))

    def wanted(self) -> float:
        """Seconds, since their start, in which its processes had a core or waited for one; NaN if unknown."""
        return float("nan")

    @property
    def parallel(self) -> int:
        """How many cores it can use at once, as one interpreter does not use two."""
        return 1

    def exception_since(self, moment: float) -> str:
        """The last exception the app raised since a moment of `time.perf_counter`, in one line, or ""."""
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server {self.name!r} {'at ' + self.url if self.running else 'stopped'}>"

    def _repr_html_(self) -> str:
        state = f"serving at <a href='{self.url}/docs'>{self.url}</a>" if self.running else "stopped"
        return f"<div class='underload-measured'><code>{html.escape(self.name)}</code> {state}</div>"


def register(server: Server) -> None:
    """Know ``server`` by its name from now on."""
    _running[server.name] = server


def named(name: str) -> Server | None:
    """Return the running server of this name, if there is one."""
    return _running.get(name)


def names() -> list[str]:
    """Return the names of all servers of this kernel that have not been stopped."""
    return list(_running)


def find(host: str, port: int) -> Server | None:
    """Return the running server of this kernel at an address, if there is one."""
    here = (server for server in _running.values() if server.port == port)
    return next(here, None) if host == "127.0.0.1" else None


def too_slow(what: str, limit: float) -> str:
    """Say that a start-up took too long, and what to do."""
    return (
        f"The {what} did not finish its start-up within {limit:g} s. Look for a call in its lifespan that "
        "waits for something or, if it has much to load, allow it more with start_within=…."
    )


def whenever_served(do: Callable[[], object]) -> None:
    """Have something done each time a service is about to be served, such as a load generator made ready."""
    _companions.append(do)


def tell_companions() -> None:
    """Do what `whenever_served` was told."""
    for do in _companions:
        do()


def bind(port: int) -> socket.socket:
    """Return a socket bound to ``port`` of 127.0.0.1, or to a free one if that is 0."""
    # asyncio turns Nagle's algorithm off only where it is told that the protocol is TCP. With it on, an
    # answer sent in two pieces waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise UnderloadError(
            f"Port {port} cannot be used ({why}). Leave `port` out to take a free one."
        ) from None
    return listener
