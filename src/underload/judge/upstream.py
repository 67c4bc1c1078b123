"""A service that the learner's service calls. The judge runs it, so it sees every call, and can misbehave."""

import asyncio
import itertools
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any

from underload.judge.expect import Observed
from underload.serving import Server, start

KEPT_SECONDS = 120  # that an idle connection stays open


class Calls:
    """What an upstream saw while it was watched."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._now = self._peak = self._total = 0
        self._clients: set[Any] = set()

    @property
    def peak(self) -> Observed:
        """Calls open at a time, at most."""
        return Observed(self._peak, f"calls open at the {self._name} at a time", "calls")

    @property
    def total(self) -> Observed:
        return Observed(self._total, f"calls to the {self._name}", "calls")

    @property
    def connections(self) -> Observed:
        """Connections that the calls came over."""
        return Observed(len(self._clients), f"connections to the {self._name}", "connections")

    def wait_for(self, calls: int, seconds: float) -> None:
        """Return once so many calls were open at a time, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._peak >= calls, seconds)

    def wait_for_total(self, calls: int, seconds: float) -> None:
        """Return once so many calls have come, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._total >= calls, seconds)

    def began(self, client: Any) -> None:
        """Count one more call, from a client's address."""
        with self._changed:
            self._now, self._total = self._now + 1, self._total + 1
            self._peak = max(self._peak, self._now)
            self._clients.add(client and tuple(client))
            self._changed.notify_all()

    def ended(self) -> None:
        """Count one call less that is open."""
        with self._changed:
            self._now -= 1


class Upstream:
    """A small real HTTP service of the judge's own, which misbehaves on command.

    Attributes:
        name: what a check's parameter, and the learner, call it.
        answer: returns the JSON for a path, or None for a 404.
        delay: seconds an answer takes, or a function that says so of each call by its number.
        failing: the status to fail calls with, or 0, or a function likewise. Calls are numbered from 0,
            anew with each `set`.
        trickle: seconds over which the body of an answer then comes, letter by letter.
        at_once: calls that it works on at a time, or None for all; the others stand in line. It works on
            those whose caller has gone, too.
    """

    def __init__(
        self, name: str, answer: Callable[[str], Any], delay: float | Callable[[int], float] = 0.0
    ) -> None:
        self.name = name
        self.answer = answer
        self.delay = delay
        self.failing: int | Callable[[int], int] = 0
        self.trickle = 0.0
        self.at_once: int | None = None
        self._desk: AbstractAsyncContextManager[Any] = nullcontext()
        self._number = itertools.count()
        self._lock = threading.Lock()  # of the gate: calls come in on another thread than the check's
        self._gate: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] | None = None
        self._watching: list[Calls] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where it answers; it starts when first asked for."""
        if self._server is None:
            # uvicorn closes an idle connection after 5 s, just when httpx would stop to use it: one that is
            # used in that moment would fail, and a correct service with it.
            name = f"upstream {self.name}"
            self._server = start(self._serve, name=name, timeout_keep_alive=KEPT_SECONDS)
        return self._server.url

    @contextmanager
    def watch(self) -> Iterator[Calls]:
        """Count the calls meanwhile."""
        calls = Calls(self.name)
        self._watching.append(calls)
        try:
            yield calls
        finally:
            self._watching.remove(calls)

    @contextmanager
    def held(self) -> Iterator[Calls]:
        """Answer nothing meanwhile, and count: every call stays open, and is answered afterwards."""
        with self.watch() as calls:
            self._gate = []
            try:
                yield calls
            finally:
                with self._lock:
                    waiting, self._gate = self._gate, None
                for loop, future in waiting:
                    loop.call_soon_threadsafe(_open, future)

    @contextmanager
    def set(self, **behaviour: Any) -> Iterator[Calls]:
        """Behave differently meanwhile, as in ``set(delay=2)`` or ``set(failing=503)``, and count."""
        before = {name: getattr(self, name) for name in behaviour}
        with self.watch() as calls:
            self._behave(behaviour)
            self._number = itertools.count()
            try:
                yield calls
            finally:
                self._behave(before)

    def _behave(self, behaviour: dict[str, Any]) -> None:
        vars(self).update(behaviour)
        if "at_once" in behaviour:
            self._desk = asyncio.Semaphore(self.at_once) if self.at_once else nullcontext()

    async def _serve(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        watching = list(self._watching)
        for calls in watching:
            calls.began(scope["client"])
        try:
            status, body = await self._respond(scope["path"])
        finally:
            for calls in watching:
                calls.ended()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        pieces = [body[at : at + 1] for at in range(len(body))] if self.trickle else [body]
        for piece in pieces:
            await asyncio.sleep(self.trickle / len(pieces))
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _respond(self, path: str) -> tuple[int, bytes]:
        await self._pass_gate()
        number = next(self._number)
        async with self._desk:
            await asyncio.sleep(self.delay(number) if callable(self.delay) else self.delay)
        if status := self.failing(number) if callable(self.failing) else self.failing:
            return status, b'{"detail":"not now"}'
        value = self.answer(path)
        return (404, b'{"detail":"not found"}') if value is None else (200, json.dumps(value).encode())

    async def _pass_gate(self) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            if self._gate is None:
                return
            self._gate.append((loop, future))
        await future


def _open(future: "asyncio.Future[None]") -> None:
    if not future.done():  # its caller may have gone
        future.set_result(None)
