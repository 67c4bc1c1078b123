"""A service that the learner's service calls. The judge runs it, so it sees every call, and can misbehave."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any

from underload.judge.calls import Calls
from underload.judge.gateway import Reply, gateway
from underload.waiting import until

_starting = threading.Lock()


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
        self._always = Calls(name)
        self._watching: list[Calls] = [self._always]
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers; it starts when first asked for."""
        with _starting:  # a kernel may ask for one while a check does
            self._port = self._port or gateway().open(self._serve)
        return f"http://127.0.0.1:{self._port}"

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until the calls that are open have ended and no more come, or for so many seconds."""
        until(self._always.still, seconds)

    @contextmanager
    def watch(self, paths: Collection[str] | None = None) -> Iterator[Calls]:
        """Count the calls meanwhile, or those for some paths."""
        calls = Calls(self.name, paths)
        self._watching.append(calls)
        try:
            yield calls
        finally:
            self._watching.remove(calls)

    @contextmanager
    def held(self, paths: Collection[str] | None = None) -> Iterator[Calls]:
        """Answer nothing meanwhile, and count like `watch`: calls stay open, and are answered afterwards."""
        with self.watch(paths) as calls:
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

    async def _serve(self, path: str, client: Any) -> Reply:
        watching = [calls for calls in self._watching if calls.counts(path)]
        for calls in watching:
            calls.began(path, client)
        try:
            return *await self._respond(path), self.trickle
        finally:
            for calls in watching:
                calls.ended(path)

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
