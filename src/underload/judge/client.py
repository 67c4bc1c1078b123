"""The judge's HTTP client: bounded in time and size, and told from the load generator by nothing it sends."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import httpx

from underload.judge.expect import Failed, Observed, shortened

TIMEOUT = 10.0  # seconds for a whole answer
KEPT = 1.0  # seconds that an idle connection is used again, well before uvicorn closes it
MOST_BYTES = 64_000_000  # of one body

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What came back for one request, or why nothing did.

    Attributes:
        asked: the method and path, such as "GET /health".
        code: the HTTP status, 0 if there was no answer.
        headers: by lower-case name.
        body: as it came over the wire, not decompressed.
        problem: why there was no answer, or "".
        first_byte: seconds until the first byte of the body.
        took: seconds until the last.
    """

    asked: str
    code: int = 0
    headers: Mapping[str, str] = field(default_factory=httpx.Headers)
    body: bytes = b""
    problem: str = ""
    first_byte: float = float("nan")
    took: float = float("nan")

    @property
    def status(self) -> Observed:
        return Observed(self.code or self.problem, f"{self.asked}: the status")

    @property
    def bytes(self) -> Observed:
        """Length of the body on the wire."""
        return Observed(len(self.body), f"{self.asked}: the body", "bytes")

    @property
    def seconds(self) -> Observed:
        return Observed(self.took, f"{self.asked}: the answer took", "s")

    def header(self, name: str) -> Observed:
        return Observed(self.headers.get(name.lower(), "no such header"), f"{self.asked}: the header {name}")

    @cached_property
    def value(self) -> Any:
        """The JSON in the body. Raises Failed if there was no good answer, or none in JSON."""
        if not 200 <= self.code < 300:
            raise Failed(f"{self.asked}: status 200", self.describe())
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Failed(f"{self.asked}: an answer in JSON", shortened(self.body)) from None

    def shows(self, expected: Any) -> bool:
        """Return True if this is a good answer with just this in JSON. Raises Failed, naming what differs."""
        if self.value == expected:
            return True
        wanted, got = _differing(expected, self.value)
        raise Failed(f"{self.asked}: {wanted}", got)

    @property
    def json(self) -> Observed:
        return Observed(self.value, f"{self.asked}: the answer")

    def __getitem__(self, key: str) -> Observed:
        """Return a member of the JSON object in the body. Raises Failed if it is not there."""
        if not isinstance(self.value, dict) or key not in self.value:
            raise Failed(f"{self.asked}: an object with {key!r}", shortened(self.value))
        return Observed(self.value[key], f"{self.asked}: {key}")

    def number(self, key: str, unit: str = "") -> Observed:
        """Return a member that is a number. Raises Failed if it is not there, or not one."""
        observed = self[key]
        if isinstance(observed.value, bool) or not isinstance(observed.value, int | float):
            raise Failed(f"{self.asked}: a number in {key!r}", shortened(observed.value))
        return Observed(observed.value, observed.what, unit)

    def describe(self) -> str:
        """Return status and body, or the problem, in one short line."""
        return self.problem or f"status {self.code}, {shortened(self.body.decode(errors='replace'), 80)}"


def _differing(expected: Any, got: Any) -> tuple[str, str]:
    """Return what was expected and what came, of two objects only the members that differ."""
    if not isinstance(expected, dict) or not isinstance(got, dict):
        return shortened(repr(expected)), shortened(repr(got))
    names = [name for name in {**expected, **got} if name not in expected or name not in got]
    names = names or [name for name in expected if expected[name] != got[name]]
    return _members(expected, names), _members(got, names)


def _members(value: dict[str, Any], names: Sequence[str]) -> str:
    return shortened(
        ", ".join(f"{name} {value[name]!r}" if name in value else f"no {name}" for name in names)
    )


class Pending:
    """Requests under way at once. `answers` waits for all of them."""

    def __init__(self, futures: Sequence[Future[Answer]]) -> None:
        self._futures = futures

    @property
    def open(self) -> Observed:
        """How many have not come back yet."""
        back = [future.result() for future in self._futures if future.done()]
        come = f" (come back: {back[0].describe()})" if back else ""
        return Observed(len(self._futures) - len(back), f"requests still open{come}")

    def answers(self) -> list[Answer]:
        return [future.result() for future in self._futures]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers())


class Client:
    """An HTTP client whose requests run in a thread, so that a check can do something meanwhile."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="judge's client").start()
        self._under_way: set[Future[Answer]] = set()
        # A proxy from the environment would be asked for loopback addresses too.
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT), trust_env=False
        )

    def close(self) -> None:
        self._submit(self._client.aclose()).result(TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def send(self, method: str, paths: Sequence[str], timeout: float = TIMEOUT, **content: Any) -> Pending:
        """Send one request for each path, all at once, and return them under way."""
        futures = [self._submit(self._ask(method, path, timeout, content)) for path in paths]
        for future in futures:
            self._under_way.add(future)
            future.add_done_callback(self._under_way.discard)
        return Pending(futures)

    def settle(self) -> None:
        """Wait until all that was sent has come back, or was given up after its timeout."""
        wait(list(self._under_way))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _ask(self, method: str, path: str, timeout: float, content: dict[str, Any]) -> Answer:
        asked = f"{method} {path}"
        try:
            # Not client.get: that would send httpx's headers, and this is to look like any other request.
            request = httpx.Request(method, self.url + path, **content)
            async with asyncio.timeout(timeout):
                return await self._exchange(asked, request)
        except TimeoutError:
            return Answer(asked, problem=f"no answer within {timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Answer(asked, problem=shortened(str(error) or type(error).__name__))

    async def _exchange(self, asked: str, request: httpx.Request) -> Answer:
        request.extensions = {"timeout": httpx.Timeout(None).as_dict()}
        began, first = time.perf_counter(), float("nan")
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in response.aiter_raw():
                if not body:
                    first = time.perf_counter() - began
                body += piece
                if len(body) > MOST_BYTES:
                    return Answer(asked, problem=f"an answer of over {MOST_BYTES:,} bytes")
        finally:
            await response.aclose()
        took = time.perf_counter() - began
        return Answer(asked, response.status_code, response.headers, bytes(body), "", first, took)
