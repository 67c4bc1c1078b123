"""What one load run measured. The rules behind each number stand in `underload.loading`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus

import numpy as np

from underload.loading import doubts, wording
from underload.loading.doubts import Doubt
from underload.loading.outcome import FAILED_HERE, GIVEN_UP
from underload.loading.samples import Sample


@dataclass(frozen=True, eq=False)
class Result:
    """One load run. Arrays hold one row a request, those before the window and of the drain included.

    Attributes:
        users: concurrent users of a closed workload; of an open one, its limit of connections, if any.
        rate: requests per second offered by an open workload, else None.
        seconds: length of the window.
        started: when each request was sent, in seconds from the opening of the window; in an open
            workload when it was meant to be sent, so that a stall of the service cannot hide.
        elapsed_ms: how long each took, answered or not.
        statuses: HTTP status of each, 0 where there was no answer.
        reasons: in words, why there was no answer, or where a redirect points to ("" for the rest).
        late_ms: how long after its intended start the generator came to each request.
        unread_ms: how long the answer to each may have lain unread, since other programs had the cores.
        outcomes: what became of each, see `underload.loading.outcome`; answered if not given.
        ramp: seconds of load before the window opened.
        unstarted: users of a closed workload who had no answer by then.
        generator_cpu: share of one core that the generator used.
        service_cpu: share of the cores it can use that the service used or waited for; NaN if unknown.
        counted_in_flight: requests open on average, as the generator counted them; NaN if it did not.
        rested: users of a closed workload who waited after a failure, on average.
        arrivals: of an open workload, "even" or "poisson".
        seed: of the random draws.
        thinking: whether users pause of their own accord (a Locust user class).
        lag: event-loop lag sampled meanwhile in an in-kernel server, rows of (seconds, ms).
        exception: the last exception an in-kernel service raised meanwhile, in one line.
        samples: whole answers, those before the window among them, as many as were asked for.
    """

    users: int | None
    rate: float | None
    seconds: float
    started: np.ndarray
    elapsed_ms: np.ndarray
    statuses: np.ndarray
    reasons: np.ndarray
    late_ms: np.ndarray
    unread_ms: np.ndarray | None = None
    outcomes: np.ndarray | None = None
    ramp: float = 0.0
    unstarted: int = 0
    generator_cpu: float = 0.0
    service_cpu: float = float("nan")
    counted_in_flight: float = float("nan")
    rested: float = 0.0
    arrivals: str = "even"
    seed: int | None = None
    thinking: bool = False
    lag: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    exception: str = ""
    samples: Sequence[Sample] = ()

    # Which rows are what.

    @cached_property
    def ended(self) -> np.ndarray:
        """When each request was over, in seconds from the opening of the window."""
        return self.started + self.elapsed_ms / 1000

    @cached_property
    def counted(self) -> np.ndarray:
        """Which rows belong to the window: requests of the service's that were open at some moment of it."""
        # Leaving out those sent before it opened would leave out the very requests that a slow service
        # keeps waiting.
        return (self.ended >= 0) & (self.started < self.seconds) & ~self.own_failures

    @cached_property
    def good(self) -> np.ndarray:
        """Which rows were answered with what was asked for: a status of 200 to 299, or 304."""
        return ((self.statuses >= 200) & (self.statuses < 300)) | (self.statuses == 304)

    @cached_property
    def redirected(self) -> np.ndarray:
        """Which rows were answered with a redirect: nothing was served, and nothing failed."""
        return (self.statuses >= 300) & (self.statuses < 400) & (self.statuses != 304)

    @cached_property
    def given_up(self) -> np.ndarray:
        """Which rows of the window had no whole answer when the timeout or the drain ended."""
        return self.counted & self._outcome(GIVEN_UP)

    @cached_property
    def own_failures(self) -> np.ndarray:
        """Which rows failed in the generator itself, such as for want of files."""
        return self._outcome(FAILED_HERE)

    def _outcome(self, which: int) -> np.ndarray:
        return np.zeros(self.started.shape, bool) if self.outcomes is None else self.outcomes == which

    # Counts.

    @property
    def requests(self) -> int:
        """Requests of the window, whatever came of them."""
        return int(self.counted.sum())

    @property
    def errors(self) -> int:
        """Requests of the window with no answer, or with a status of 400 or more."""
        return int(self._bad.sum())

    @property
    def redirects(self) -> int:
        """Requests of the window that were redirected."""
        return int((self.counted & self.redirected).sum())

    @property
    def failed_here(self) -> int:
        """Requests that failed in the generator itself, and belong to no other count."""
        return int(self.own_failures.sum())

    @property
    def _bad(self) -> np.ndarray:
        return self.counted & ~self.good & ~self.redirected

    @property
    def error_counts(self) -> dict[str, int]:
        """How many errors of each kind, the most frequent first."""
        pairs = zip(self.statuses[self._bad], self.reasons[self._bad], strict=True)
        return dict(
            Counter(_describe(status) if status else str(reason) for status, reason in pairs).most_common()
        )

    # Throughput and latency.

    @cached_property
    def throughput(self) -> float:
        """Good answers within the window, divided by its length: requests per second."""
        return float((self.good & self.ended_within).sum() / self.seconds)

    @cached_property
    def ended_within(self) -> np.ndarray:
        """Which rows were over within the window."""
        return (self.ended >= 0) & (self.ended < self.seconds) & ~self.own_failures

    @cached_property
    def latencies_ms(self) -> np.ndarray:
        """Latency of each good answer to a request of the window, in milliseconds."""
        return self.elapsed_ms[self.counted & self.good]

    @cached_property
    def lasted_ms(self) -> np.ndarray:
        """The same, and of each request that was given up how long it lasted at least."""
        return self.elapsed_ms[(self.counted & self.good) | self.given_up]

    def percentile_ms(self, percent: float) -> float:
        """Latency in milliseconds that ``percent`` of the requests stayed within.

        Requests that were given up count with the time they lasted at least, see `at_least`. NaN if no good
        answer came, or there were too few requests for one to lie beyond.
        """
        return _percentile(self.lasted_ms, percent) if self.latencies_ms.size else float("nan")

    def at_least(self, percent: float) -> bool:
        """Whether requests that were given up could decide this percentile, which is then a lower bound."""
        shortest = min(self.elapsed_ms[self.given_up], default=float("inf"))
        return self.percentile_ms(percent) >= shortest

    @property
    def mean_ms(self) -> float:
        """Mean latency; a lower bound if requests were given up."""
        return float(self.lasted_ms.mean()) if self.latencies_ms.size else float("nan")

    @property
    def p50_ms(self) -> float:
        return self.percentile_ms(50)

    @property
    def p95_ms(self) -> float:
        return self.percentile_ms(95)

    @property
    def p99_ms(self) -> float:
        return self.percentile_ms(99)

    @property
    def max_ms(self) -> float:
        return self.percentile_ms(100)

    def own_share_ms(self, percent: float) -> float:
        """How much of a percentile may be the generator's own: requests sent late, answers left unread."""
        of_service = self.elapsed_ms - self.late_ms - (0.0 if self.unread_ms is None else self.unread_ms)
        rows = (self.counted & self.good) | self.given_up
        return self.percentile_ms(percent) - _percentile(of_service[rows], percent)

    # Little's law.

    @cached_property
    def in_flight(self) -> float:
        """Requests open on average in the window: Little's L, from when each started and ended."""
        begin = np.clip(self.started, 0, self.seconds)
        end = np.clip(self.ended, 0, self.seconds)
        return float((end - begin).sum() / self.seconds)

    @cached_property
    def sent_in_flight(self) -> float:
        """The same from when the generator came to each request, which in an open workload may be later."""
        begin = np.clip(self.started + self.late_ms / 1000, 0, self.seconds)
        return float((np.clip(self.ended, 0, self.seconds) - begin).sum() / self.seconds)

    @cached_property
    def littles_product(self) -> float:
        """Answers per second times their mean latency, errors among them: Little's λW."""
        return float(self.elapsed_ms[self.ended_within].sum() / 1000 / self.seconds)

    @property
    def lag_ms(self) -> float:
        """99th percentile of the event-loop lag of an in-kernel server, in ms; NaN if it was not sampled."""
        return float(np.percentile(self.lag[:, 1], 99)) if self.lag.size else float("nan")

    # How far it can be believed.

    @cached_property
    def doubts(self) -> list[Doubt]:
        """What speaks against these numbers; empty if nothing does."""
        return doubts.all_of(self)

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against these numbers."""
        return not self.doubts

    def is_doubted(self, metric: str) -> bool:
        """Whether something speaks against one of the numbers, such as ``"throughput"`` or ``"p99_ms"``."""
        kind = "throughput" if metric == "throughput" else "latency"
        return any(doubt.about in ("all", kind) for doubt in self.doubts)

    def to_dict(self) -> dict[str, object]:
        """Return the run as plain values, ready for JSON; a latency nobody measured is None."""
        names = ("throughput", "requests", "errors", "redirects", "failed_here")
        latencies = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
        facts = {name: getattr(self, name) for name in (*names, "mean_ms", *latencies)}
        known = {name: None if value != value else value for name, value in facts.items()}
        return {
            "users": self.users,
            "rate": self.rate,
            "seconds": self.seconds,
            **known,
            "at_least": [name for name, percent in latencies.items() if self.at_least(percent)],
            "error_counts": self.error_counts,
            "in_flight": self.in_flight,
            "generator_cpu": self.generator_cpu,
            "seed": self.seed,
            "trustworthy": self.trustworthy,
            "doubts": [str(doubt) for doubt in self.doubts],
        }

    @property
    def workload(self) -> str:
        """The workload in words, such as "50 users" or "300/s offered"."""
        return wording.workload(self.users, self.rate)

    def __str__(self) -> str:
        return wording.line(self)

    def __repr__(self) -> str:
        return f"<Result {self}>"

    def _repr_html_(self) -> str:
        return wording.table(self)


def _percentile(values: np.ndarray, percent: float) -> float:
    """Return a percentile, or NaN if there are so few values that none lies beyond it."""
    enough = values.size and values.size * (100 - percent) >= 100 if percent < 100 else values.size
    return float(np.percentile(values, percent)) if enough else float("nan")


def _describe(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
