"""One load run, whatever makes its requests arrive: a window in which it counts, then a drain.

Like `underload.loading.generator.main` this is for the Locust process alone: it imports gevent.
"""

import time
from typing import Any

import gevent

from underload.loading.generator.alarm import Alarm, clock
from underload.loading.generator.rows import Rows, tell
from underload.loading.generator.starved import Starved
from underload.loading.generator.wire import Connection, Requests, SampledConnection, explain, tls_context
from underload.loading.outcome import ANSWERED, GIVEN_UP
from underload.loading.samples import Reservoir

PROGRESS_EVERY = 0.5  # seconds


class Run:
    """One load run: a window in which it counts, then a drain for what is still open."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.seconds = spec["seconds"]
        self.timeout = spec["timeout"]
        self.address = (spec["host"], spec["port"])
        self.tls = tls_context(spec["host"]) if spec["tls"] else None
        self.rows = Rows()
        self.requests = Requests(spec["requests"], spec["authority"])
        self.samples = Reservoir(spec["samples"]) if spec["samples"] else None
        self.connections: list[Connection] = []
        self.queued: set[float] = set()  # intended starts that still wait for a connection
        self.stopping = False
        self.opened = 0.0  # when the window opened
        self.cpu = 0.0
        self.open, self.resting = Together(), Together()  # requests, and users who wait after a failure
        self.in_flight = self.rested = 0.0
        self.starved = Starved()
        self.alarm = Alarm()

    def connection(self) -> Connection:
        kind = SampledConnection if self.samples else Connection
        connection = kind(self.address, self.tls, self.spec["name"])
        self.connections.append(connection)
        return connection

    def send(self, connection: Connection, intended: float | None = None, late: float = 0.0) -> bool:
        """Send the next request and record it. False if the service failed on it."""
        sent = clock()
        started = sent if intended is None else intended
        connection.sent_at = started
        request = self.requests.next()
        if self.samples:
            connection.sample = self.samples.offer(request, self.requests.drawn)
        if intended is None:
            self.open.more(sent)
        outcome, reason = ANSWERED, ""
        try:
            status = connection.exchange(request, started + self.timeout)
        except Exception as error:
            status, (outcome, reason) = 0, explain(error, self.timeout)
        finally:
            connection.sent_at = None
        connection.last_used = ended = clock()
        self.open.less(ended)
        if 300 <= status < 400 and status != 304:
            reason = f"{status} to {connection.location.removeprefix(self.spec['url'])}"
        self.rows.add(started, ended, status, outcome, reason, late, self.starved.waited)
        if connection.sample:
            connection.sample.end(status, reason if outcome else "")
        return 0 < status < 500 and status != 429

    def measure(self) -> None:
        """Open the window, report progress until it closes, and note the CPU this took."""
        self.opened, cpu = clock(), time.process_time()
        before = self.open.area(self.opened), self.resting.area(self.opened)
        seen = len(self.rows.status), self.rows.good
        tell(opened=self.opened)
        for tick in range(1, int(self.seconds / PROGRESS_EVERY) + 1):
            self.pause_until(self.opened + tick * PROGRESS_EVERY)
            seen = self.tell_progress(*seen)
        self.pause_until(self.opened + self.seconds)
        closed = clock()
        tell(closed=closed)
        self.cpu = (time.process_time() - cpu) / (closed - self.opened)
        after = self.open.area(closed), self.resting.area(closed)
        self.in_flight, self.rested = (
            (b - a) / (closed - self.opened) for a, b in zip(before, after, strict=True)
        )
        self.stopping = True

    @staticmethod
    def pause_until(moment: float) -> None:
        gevent.sleep(max(0.0, moment - clock()))

    def tell_progress(self, before: int, good: int) -> tuple[int, int]:
        rows, total = self.rows, len(self.rows.status)
        # A thousand latencies are enough for a live line; sorting them all would itself stall the load.
        some = sorted(rows.latency[before :: max(1, (total - before) // 1000)])
        tell(
            elapsed=clock() - self.opened,
            throughput=(rows.good - good) / PROGRESS_EVERY,
            p99_ms=some[int(len(some) * 0.99)] * 1000 if some else None,
            errors=total - rows.good,
        )
        return total, rows.good

    def drain(self) -> None:
        """Wait for what is still open; what stays open has not been answered, and is counted so."""
        deadline = clock() + self.spec["drain"]
        while self.unanswered() and clock() < deadline:
            gevent.sleep(0.005)
        reason = f"no answer {self.spec['drain']:g} s after the load ended"
        for started in self.unanswered():
            self.rows.add(started, clock(), 0, GIVEN_UP, reason)

    def unanswered(self) -> list[float]:
        """When each of the requests started that are still open, or wait for a connection."""
        sent = (connection.sent_at for connection in self.connections)
        return [*self.queued, *(started for started in sent if started is not None)]


class Together:
    """How many there are at a time, added up over time: of requests, Little's L as counted."""

    def __init__(self) -> None:
        self._now = 0
        self._since = 0.0
        self._area = 0.0

    def more(self, moment: float) -> None:
        self._area += self._now * (moment - self._since)
        self._now, self._since = self._now + 1, moment

    def less(self, moment: float) -> None:
        self._area += self._now * (moment - self._since)
        self._now, self._since = self._now - 1, moment

    def area(self, moment: float) -> float:
        """Return how many × seconds until a moment that is not before the last change."""
        return self._area + self._now * (moment - self._since)
