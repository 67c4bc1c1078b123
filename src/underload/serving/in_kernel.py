"""An ASGI app served by a thread of this kernel, whose event loop is watched."""

import asyncio
import atexit
import logging
import math
import re
import socket
import threading
import time
import warnings
import weakref
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvicorn

from underload import processor
from underload.errors import UnderloadError
from underload.serving.running import STOP_LIMIT, Server, bind, too_slow

LAG_EVERY = 0.01  # seconds between two looks at the event loop
LAG_KEPT = 60_000  # samples: ten minutes
LEAVE_LIMIT = 1.0  # seconds a server may take, twice, when the interpreter ends
OTHER_LOOP = (
    "serve(app) runs the app on an event loop of its own: make the pool or client in the app's lifespan, "
    "not at the notebook's top level"
)
_serving: "weakref.WeakSet[ThreadServer]" = weakref.WeakSet()
_UVICORN = str(Path(uvicorn.__file__).parent)


class ThreadServer(Server):
    """uvicorn in a thread of this process, on an event loop whose lag is sampled."""

    def __init__(
        self, app: Callable[..., Any], name: str, port: int, start_within: float, **options: Any
    ) -> None:
        ours = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": int(STOP_LIMIT)}
        self._uvicorn = uvicorn.Server(uvicorn.Config(self._observed(app), **(ours | options)))
        self._socket = bind(port)  # from here on the thread's, which closes it
        super().__init__(name, self._socket.getsockname()[1])
        self._lag = array("d")
        self._due = math.inf  # when the timer fires next, or should have fired
        self._failure: BaseException | None = None  # of the start-up, then of the shutdown
        self._raised: tuple[float, str] = (0.0, "")
        self._cancel: Callable[[], object] = lambda: None
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"underload {name}")
        self._thread.start()
        _serving.add(self)
        try:
            self._await_start(start_within)
        except BaseException:  # the stop button too
            self._cancel()
            self._thread.join(STOP_LIMIT)
            raise

    def _await_start(self, limit: float) -> None:
        if not self._settled.wait(limit):
            raise UnderloadError(too_slow("app", limit))
        if not self._uvicorn.started:
            raise self._failure or UnderloadError(
                "The app's lifespan failed. Run its start-up code in a cell to see why."
            )
        self._failure = None  # an app without a lifespan may say so by an exception

    def _observed(self, app: Callable[..., Any]) -> Callable[..., Any]:
        """Pass everything through, and keep what the app raises: uvicorn would only log it."""

        async def observed(
            scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
        ) -> None:
            try:
                await app(scope, receive, send)
            except Exception as error:
                if scope["type"] == "lifespan":
                    self._failure = error
                self._raised = time.perf_counter(), _in_one_line(error)
                raise

        return observed

    def _run(self) -> None:
        _quieten_uvicorn()
        try:
            with asyncio.Runner(loop_factory=self._uvicorn.config.get_loop_factory()) as runner:
                runner.run(self._serve())
        except SystemExit:  # uvicorn's way to say that the lifespan failed
            pass
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._socket.close()
            self._settled.set()

    async def _serve(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = lambda: loop.is_closed() or loop.call_soon_threadsafe(task.cancel)
        watch = asyncio.create_task(self._watch())
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        """Note when the server is up, then how late a 10 ms timer fires: the lag of the event loop."""
        while not self._uvicorn.started:
            await asyncio.sleep(0.001)
        self._settled.set()
        while True:
            self._due = time.perf_counter() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lag.extend((self._due, max(0.0, time.perf_counter() - self._due)))
            if len(self._lag) > 4 * LAG_KEPT:
                del self._lag[: 2 * LAG_KEPT]

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def leave(self) -> None:
        """Stop because the interpreter ends: a thread that still ran then could crash it."""
        self._uvicorn.should_exit = True
        self._thread.join(LEAVE_LIMIT)
        self._cancel()
        self._thread.join(LEAVE_LIMIT)

    def _stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(2 * STOP_LIMIT)
        if self._thread.is_alive():
            with suppress(OSError):  # closed already, if only a request is left
                self._socket.shutdown(socket.SHUT_RDWR)  # close() is for the thread that uses it
            _warn(f"The server {self.name!r} listens no more, but its app is still in a call that blocks.")
        elif self._failure:
            _warn(f"The app's lifespan raised {_in_one_line(self._failure)} as it shut down.")
            self._failure = None

    def lag(self, begin: float, end: float) -> np.ndarray:
        due, now = self._due, time.perf_counter()
        samples = np.array([*self._lag[:], *((due, now - due) if due < now else ())]).reshape(-1, 2)
        # A timer that was late all the while was due before it began.
        samples = samples[(samples.sum(axis=1) >= begin) & (samples[:, 0] <= end)]
        return np.column_stack([samples[:, 0] - begin, samples[:, 1] * 1000])

    def wanted(self) -> float:
        return processor.used(psutil.Process())[1]

    def exception_since(self, moment: float) -> str:
        raised, line = self._raised
        return line if raised >= moment else ""


@atexit.register
def _leave() -> None:
    for server in list(_serving):
        if server.running:
            server.leave()


def _in_one_line(error: BaseException) -> str:
    line = f"{type(error).__name__}: {error}"
    if "different loop" not in line and "different event loop" not in line:
        return line
    return f"{re.sub('<.*>', '<…>', line)} ({OTHER_LOOP})"


def _warn(sentence: str) -> None:
    warnings.warn(sentence, RuntimeWarning, stacklevel=4)


def _quieten_uvicorn() -> None:
    """A failing handler under load would print thousands of tracebacks into the notebook."""
    logging.getLogger("uvicorn.error").addFilter(_not_by_uvicorn)


def _not_by_uvicorn(record: logging.LogRecord) -> bool:
    return not record.pathname.startswith(_UVICORN)  # apps log under uvicorn's name too
