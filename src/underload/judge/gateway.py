"""The process that speaks HTTP for the judge's upstreams, so that no client can hold up or exhaust the judge.

Connections, half-sent requests and what they cost are the gateway's alone: it asks the judge about whole
calls, a line of JSON each, and at most so many at a time.
"""

import asyncio
import itertools
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from underload.child import Child
from underload.errors import UnderloadError

KEPT_SECONDS = 120  # that an idle connection stays open
MOST_CALLS = 2_000  # that the judge hears of at a time; one more is answered with 503
MOST_FILES = 4_096  # open connections, and a few files
MOST_MEMORY = 1 << 30  # bytes
LONGEST_PATH = 2_000  # characters
LONGEST_LINE = 1 << 26  # bytes
START_SECONDS = 20.0

# What the judge says to a call: status, body, and seconds over which the body comes, letter by letter.
Reply = tuple[int, bytes, float]
# Answers a call by its path and its client's address.
Respond = Callable[[str, Any], Awaitable[Reply]]


class Gateway:
    """The judge's side: the process, and who is asked about its calls, on an event loop of its own."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with theirs:
            self._child = Child(__name__, stdin=theirs, **quiet)
        self._responders: list[Respond] = []
        self._ports: list[Future[int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="judge's upstreams", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._connect(ours), self._loop).result(START_SECONDS)

    def open(self, respond: Respond) -> int:
        """Return the port of 127.0.0.1 at which ``respond`` answers from now on. Raises UnderloadError."""
        self._responders.append(respond)
        self._ports.append(Future())
        self._loop.call_soon_threadsafe(self._say, {"open": len(self._ports) - 1})
        try:
            return self._ports[-1].result(START_SECONDS)
        except TimeoutError:
            raise UnderloadError("The judge's own services did not start. Run the cell again.") from None

    async def _connect(self, ours: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            if "opened" in said:
                self._ports[said["opened"]].set_result(said["port"])
                continue
            task = asyncio.create_task(self._answer(**said))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: int, at: int, path: str, client: list[Any] | None) -> None:
        try:
            status, body, trickle = await self._responders[at](path, client and tuple(client))
        except Exception:  # of a check's own function: an answer that never came would hide it
            status, body, trickle = 500, b'{"detail":"the judge failed"}', 0.0
        self._say({"call": call, "status": status, "body": body.decode(), "trickle": trickle})

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")


def gateway() -> Gateway:
    """Return this process's gateway, which starts when first asked for."""
    return _started(os.getpid())


@cache  # by pid, since a fork does not inherit the thread
def _started(pid: int) -> Gateway:
    return Gateway()


class Numbering(AutoHTTPProtocol):
    """uvicorn's protocol, with a client's port replaced by the number of its connection.

    A client can use one port for many connections, one after the other.
    """

    _numbers = itertools.count()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.client = self.client and (self.client[0], next(self._numbers))


class Front:
    """The process's side: a server for each upstream, and the calls that wait for the judge's word."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._servers: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        """Do what the judge says until it has gone."""
        while line := await self._reader.readline():
            said = json.loads(line)
            if "open" in said:
                self._serve(said["open"])
            elif said["call"] in self._open:
                self._open[said["call"]].set_result(said)

    def _serve(self, at: int) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=MOST_CALLS)
        settings = {"log_config": None, "access_log": False, "lifespan": "off", "backlog": MOST_CALLS}
        # uvicorn closes an idle connection after 5 s, just when httpx would stop to use it: one that is
        # used in that moment would fail, and a correct service with it.
        config = uvicorn.Config(self._app(at), timeout_keep_alive=KEPT_SECONDS, http=Numbering, **settings)
        self._servers.append(asyncio.create_task(uvicorn.Server(config).serve(sockets=[listener])))
        self._say({"opened": at, "port": listener.getsockname()[1]})

    def _app(self, at: int) -> Callable[..., Awaitable[None]]:
        async def app(
            scope: dict[str, Any],
            receive: Callable[[], Awaitable[Any]],
            send: Callable[[dict[str, Any]], Awaitable[None]],
        ) -> None:
            if scope["type"] == "http":
                await _send(send, await self._ask(at, scope["path"], scope["client"]))

        return app

    async def _ask(self, at: int, path: str, client: Any) -> dict[str, Any]:
        if len(self._open) >= MOST_CALLS or len(path) > LONGEST_PATH:
            return {"status": 503, "body": '{"detail":"too many calls"}', "trickle": 0.0}
        call = next(self._numbers)
        self._open[call] = asyncio.get_running_loop().create_future()
        self._say({"call": call, "at": at, "path": path, "client": client})
        try:
            return await self._open[call]
        finally:
            del self._open[call]

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")


async def _send(send: Callable[[dict[str, Any]], Awaitable[None]], reply: dict[str, Any]) -> None:
    body, trickle = reply["body"].encode(), reply["trickle"]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": reply["status"], "headers": headers})
    pieces = [body[at : at + 1] for at in range(len(body))] if trickle else [body]
    for piece in pieces:
        await asyncio.sleep(trickle / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _attend() -> None:
    judge = socket.socket(fileno=sys.stdin.fileno())
    await Front(*await asyncio.open_connection(sock=judge, limit=LONGEST_LINE)).listen()


def main() -> None:
    """Be the gateway of the judge that started this process, over its standard input, which is a socket."""
    for which, most in ((resource.RLIMIT_NOFILE, MOST_FILES), (resource.RLIMIT_DATA, MOST_MEMORY)):
        _, hard = resource.getrlimit(which)
        with suppress(ValueError, OSError):  # macOS knows not all of them
            resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    with asyncio.Runner(loop_factory=uvicorn.Config(app="").get_loop_factory()) as runner:
        runner.run(_attend())


if __name__ == "__main__":
    main()
