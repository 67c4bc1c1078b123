"""Run an ASGI app: in a thread of this kernel, or as uvicorn processes from an import string."""

import asyncio
import html
import logging
import os
import resource
import socket
import subprocess
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import uvicorn

from underload import generator
from underload.child import Child
from underload.errors import UnderloadError

START_LIMIT = 5.0  # seconds a service may take until it answers
STOP_LIMIT = 3.0  # seconds requests may take to finish when a server is stopped
LAG_EVERY = 0.01  # seconds between two looks at the event loop
LAG_KEPT = 60_000  # samples: ten minutes

_running: dict[str, "Server"] = {}


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
        raise NotImplementedError

    def lag(self, begin: float, end: float) -> np.ndarray:
        """Event-loop lag between two moments of `time.perf_counter`: rows of (seconds since begin, ms)."""
        return np.empty((0, 2))

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


class ThreadServer(Server):
    """uvicorn in a thread of this process, on an event loop whose lag is sampled."""

    def __init__(self, app: Callable[..., Any], name: str, port: int, **options: Any) -> None:
        self._socket = _bind(port)
        super().__init__(name, self._socket.getsockname()[1])
        self._lag = array("d")
        self._failure: BaseException | None = None
        self._raised: tuple[float, str] = (0.0, "")
        config = uvicorn.Config(
            self._observed(app),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(STOP_LIMIT),
            **options,
        )
        self._uvicorn = uvicorn.Server(config)
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"underload {name}")
        self._thread.start()
        if not self._settled.wait(START_LIMIT):
            self._uvicorn.should_exit = True
            raise UnderloadError(
                f"The app did not finish its start-up within {START_LIMIT:g} s. Look for a call in its lifespan "
                "that waits for something."
            )
        if self._failure:
            self._thread.join()
            self._socket.close()
            raise self._failure

    def _observed(self, app: Callable[..., Any]) -> Callable[..., Any]:
        """Pass everything through, and keep what the app raises: uvicorn would only log it."""

        async def observed(
            scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
        ) -> None:
            try:
                await app(scope, receive, send)
            except Exception as error:
                if scope["type"] == "lifespan" and not self._uvicorn.started:
                    self._failure = error
                self._raised = time.perf_counter(), f"{type(error).__name__}: {error}"
                raise

        return observed

    def _run(self) -> None:
        _quieten_uvicorn()
        try:
            with asyncio.Runner(loop_factory=self._uvicorn.config.get_loop_factory()) as runner:
                runner.run(self._serve())
        except SystemExit:  # uvicorn's way to say that the lifespan failed
            self._failure = self._failure or UnderloadError(
                "The app's lifespan failed. Run its start-up code in a cell to see why."
            )
        except BaseException as error:
            self._failure = error
        finally:
            self._settled.set()

    async def _serve(self) -> None:
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
            due = time.perf_counter() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lag.extend((due, max(0.0, time.perf_counter() - due)))
            if len(self._lag) > 4 * LAG_KEPT:
                del self._lag[: 2 * LAG_KEPT]

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(2 * STOP_LIMIT)
        self._socket.close()
        _forget(self)
        if self._thread.is_alive():
            raise UnderloadError(
                f"The server {self.name!r} is still busy in the app's own code and cannot be stopped. "
                "Restart the kernel."
            )

    def lag(self, begin: float, end: float) -> np.ndarray:
        samples = np.array(self._lag[:]).reshape(-1, 2)
        samples = samples[(samples[:, 0] >= begin) & (samples[:, 0] <= end)]
        return np.column_stack([samples[:, 0] - begin, samples[:, 1] * 1000])

    def exception_since(self, moment: float) -> str:
        raised, line = self._raised
        return line if raised >= moment else ""


class ProcessServer(Server):
    """uvicorn as its own process, with ``processes`` workers on one port."""

    def __init__(self, target: str, name: str, port: int, processes: int, **options: Any) -> None:
        with _bind(port) as probe:
            super().__init__(name, probe.getsockname()[1])
        self.processes = processes
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        flags = [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        if processes > 1:
            flags.append(f"--workers={processes}")
        self._child = Child(
            "uvicorn",
            [target, "--app-dir=.", "--host=127.0.0.1", f"--port={self.port}", "--no-access-log", *flags],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._await_start(START_LIMIT * max(1, processes / (os.cpu_count() or 1)))

    def _await_start(self, limit: float) -> None:
        deadline = time.perf_counter() + limit
        while self.log().count("Application startup complete") < self.processes:
            if not self._child.running or time.perf_counter() > deadline:
                log = self.log().strip()
                self._child.stop()
                self._log.close()
                raise UnderloadError(f"The service did not start; this is what it said:\n{log}")
            time.sleep(0.02)

    def log(self) -> str:
        """All that the processes have written so far."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        """Process id of uvicorn: the only worker, or the supervisor of several."""
        return self._child.process.pid

    @property
    def running(self) -> bool:
        return self._child.running

    def stop(self) -> None:
        self._child.stop(patience=STOP_LIMIT)
        self._log.close()
        _forget(self)


def serve(
    app: Callable[..., Any] | str, *, name: str = "app", port: int = 0, processes: int = 1, **options: Any
) -> Server:
    """Start a service on 127.0.0.1 and return once it answers.

    Args:
        app: an ASGI app, run in a thread of this kernel, or an import string such as
            ``"service:app"``, run from the current folder as uvicorn processes.
        name: a running server of this name is stopped first, so a cell can be run again.
        port: the port to use; 0 takes a free one.
        processes: how many uvicorn workers share the port (an import string only).
        **options: uvicorn's settings, such as ``limit_concurrency=100`` or ``loop="asyncio"``.

    Raises:
        UnderloadError: the port is taken, or the service was not up within 5 s.
        Exception: whatever the app itself raised in its start-up.
    """
    if name in _running:
        _running[name].stop()
    generator.prepare()
    _raise_file_limit()
    if isinstance(app, str):
        server = ProcessServer(app, name, port, processes, **options)
    elif processes > 1:
        raise UnderloadError(
            'Several processes need an import string: write the app to a file, then serve("service:app", '
            f"processes={processes})."
        )
    else:
        server = ThreadServer(app, name, port, **options)
    _running[name] = server
    return server


def find(url: str) -> Server | None:
    """Return the running server of this kernel that ``url`` points at, if it is one."""
    return next((server for server in _running.values() if f"{url}/".startswith(f"{server.url}/")), None)


def _forget(server: Server) -> None:
    if _running.get(server.name) is server:
        del _running[server.name]


def _bind(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UnderloadError(
            f"Port {port} cannot be used ({error.strerror.lower()}). Leave `port` out to take a free one."
        ) from None
    return listener


def _quieten_uvicorn() -> None:
    """A failing handler under load would print thousands of tracebacks into the notebook."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)


def _raise_file_limit() -> None:
    """A socket is a file: allow as many as the system lets this user have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
