"""What a check gets as ``service``: the learner's service, seen from outside."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from string import Formatter
from typing import Any
from urllib.parse import unquote

from underload.judge.client import TIMEOUT, Answer, Client, Pending
from underload.judge.expect import Failed, Observed, every
from underload.judge.processes import Processes, Usage
from underload.loading import Request, Result, Sample, load

LOOKED_AT = 60  # answers of a load, unless said
SETTLE_EVERY = 0.05  # seconds

# Tells, by an answer and what was drawn for its request (whole numbers and text), whether it is right.
Right = Callable[[Answer, dict[str, Any]], bool]


class Load:
    """What a load run showed. Each figure is an `Observed`; `result` is the whole run."""

    def __init__(self, result: Result, path: str) -> None:
        self.result = result
        self.path = path

    def are_right(self, right: Right) -> None:
        """Look at some of its answers, drawn at random, each of which must be right. Raises Failed."""
        every(
            [(_answer(sample), _drawn(sample)) for sample in self.result.samples],
            lambda seen: right(*seen),
            f"{self.path}: the right answer to each request under load",
            lambda seen: f"{seen[0].asked}: {seen[0].describe()}",
        )

    @property
    def answers(self) -> list[Answer]:
        """Those that were looked at, in no order."""
        return [_answer(sample) for sample in self.result.samples]

    def _observed(self, value: float, what: str, unit: str = "", beside: str = "") -> Observed:
        run = self.result
        workload = f"at {run.rate:g} requests a second" if run.rate else f"with {run.workload}"
        good = len(run.latencies_ms)
        absent = f"too few good answers ({good})" if good else f"no good answer ({self._kinds()})"
        return Observed(value, f"{self.path} {workload}: {what}", unit, absent, beside)

    def _kinds(self) -> str:
        run = self.result
        redirected = {"redirects": run.redirects} if run.redirects else {}
        kinds = {**redirected, **run.error_counts}
        return ", ".join(f"{kind} × {count:,}" for kind, count in kinds.items())

    @property
    def throughput(self) -> Observed:
        return self._observed(self.result.throughput, "throughput", "req/s")

    @property
    def p50(self) -> Observed:
        return self._observed(self.result.p50_ms, "p50", "ms")

    @property
    def p99(self) -> Observed:
        return self._observed(self.result.p99_ms, "p99", "ms")

    @property
    def slowest(self) -> Observed:
        return self._observed(self.result.max_ms, "the slowest answer", "ms")

    @property
    def errors(self) -> Observed:
        return self._observed(self.result.errors, "errors", beside=self._kinds())

    @property
    def answered(self) -> Observed:
        """How many requests were answered well."""
        return self._observed(len(self.result.latencies_ms), "good answers", beside=self._kinds())


class Service:
    """The learner's service at ``url``: requests, load, and the processes behind its port."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client(url)
        self.processes = Processes(int(url.rpartition(":")[2]))

    def close(self) -> None:
        self.client.close()

    def request(self, method: str, path: str, timeout: float = TIMEOUT, **content: Any) -> Answer:
        """Send one request; ``content`` is httpx's: ``json=``, ``content=``, ``headers=``, ``params=``."""
        return self.send(method, [path], timeout, **content).answers()[0]

    def get(self, path: str, timeout: float = TIMEOUT, **content: Any) -> Answer:
        return self.request("GET", path, timeout, **content)

    def post(self, path: str, timeout: float = TIMEOUT, **content: Any) -> Answer:
        return self.request("POST", path, timeout, **content)

    def send(self, method: str, paths: Sequence[str], timeout: float = TIMEOUT, **content: Any) -> Pending:
        """Send one request for each path, all at once, and return them under way."""
        return self.client.send(method, paths, timeout, **content)

    def load(
        self,
        path: str | Sequence[str],
        *,
        right: Right | None = None,
        seconds: float = 2.0,
        looked_at: int = LOOKED_AT,
        **workload: Any,
    ) -> Load:
        """Put load on a path and return what it showed; ``workload`` is `underload.load`'s.

        Of several paths each request takes one at random; one that stands there twice is taken twice as
        often. They share the values of a ``{name}``. ``looked_at`` answers are kept, for `Load.answers`.
        With ``right``, `Load.are_right` is asked of them at once.

        Raises:
            Failed: an answer was wrong.
        """
        # With a seed that is known, so are the requests, and their answers could be made beforehand.
        workload.setdefault("seed", random.getrandbits(64))
        paths = [path] if isinstance(path, str) else path
        target = self.url + path if isinstance(path, str) else self._mix(paths, workload)
        run = load(target, seconds=seconds, samples=looked_at, **workload)
        seen = Load(run, ", ".join(dict.fromkeys(paths)))
        if right:
            seen.are_right(right)
        return seen

    def _mix(self, paths: Sequence[str], workload: dict[str, Any]) -> list[Request]:
        """Return a request for each path, and take the values of their names out of the workload."""
        names = {path: {name for _, name, _, _ in Formatter().parse(path) if name} for path in paths}
        values = {name: workload.pop(name) for name in set().union(*names.values()) if name in workload}
        return [
            Request(
                self.url + path, parameters={name: values[name] for name in names[path] if name in values}
            )
            for path in paths
        ]

    @contextmanager
    def watch_cpu(self) -> Iterator[Usage]:
        """Measure what the service's processes do with the cores meanwhile."""
        with self.processes.watch_cpu() as usage:
            yield usage

    @contextmanager
    def visited(self, draw: Callable[[], str], rate: float = 10.0) -> Iterator[list[Pending]]:
        """Send GET requests now and then meanwhile, each for a path that is drawn; yield those sent so far.

        A load is of one kind of request, by which a service could tell what the judge looks at.

        Args:
            draw: returns a path.
            rate: requests a second.
        """
        sent: list[Pending] = []
        over = threading.Event()

        def visit() -> None:
            while not over.wait(1 / rate):
                sent.append(self.send("GET", [draw()]))

        visits = threading.Thread(target=visit, daemon=True)
        visits.start()
        try:
            yield sent
        finally:
            over.set()
            visits.join()

    def settle(self, path: str, seconds: float = 20.0) -> None:
        """Wait until all that was sent is over and the service answers again, such as after too much load.

        Raises:
            Failed: it did not within so many seconds.
        """
        self.client.settle()
        deadline = time.monotonic() + seconds
        while not (answer := self.get(path, timeout=seconds)).code:
            if time.monotonic() > deadline:
                raise Failed(f"{path} answers again within {seconds:g} s after the load", answer.describe())
            time.sleep(SETTLE_EVERY)


def _answer(sample: Sample) -> Answer:
    return Answer(sample.asked, sample.status, sample.headers, sample.body, sample.problem)


def _drawn(sample: Sample) -> dict[str, Any]:
    return {name: unquote(drawn) if isinstance(drawn, str) else drawn for name, drawn in sample.drawn.items()}
