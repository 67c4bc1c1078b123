"""What one load run measured, and how far it can be believed."""

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus

import numpy as np

from underload.loading.samples import Sample

# The generator was the limit if it filled its core, if a user spent more than this share of its time inside
# the generator, or if users stood idle between an answer and the next request. The share was chosen between
# two points against wrk: 0.020 read 0.98 of its throughput, 0.037 read 0.96. `underload bench` repeats it.
# Answers unread: beside 0 to 8 busy programs on the generator's core, medians were right up to 0.055 of
# them, wrong by 18 % at 0.089 and by a third at 0.2. On a quiet machine, and beside PostgreSQL at work, it
# was 0.05 at most.
MOST_CPU = 0.85
MOST_CPU_PER_USER = 0.025
MOST_UNREAD = 0.07  # of the median latency
LEAST_BUSY = 0.97
MOST_LATE = 0.1  # of the median latency, for an open workload
BACK_OFF = 0.1  # seconds a user waits after no answer, so that a dead port is not hammered


@dataclass(frozen=True, eq=False)
class Result:
    """One load run. Arrays hold one row a request, those of the ramp and the drain included.

    Attributes:
        users: concurrent users of a closed workload; of an open one, its limit of connections, if any.
        rate: requests a second offered by an open workload, else None.
        seconds: length of the steady window, from the last user's start to the last new request.
        started: when each request was sent, in seconds from the opening of the window; in an open
            workload when it was meant to be sent, so that a stall of the service cannot hide.
        elapsed_ms: how long each took, answered or not.
        statuses: HTTP status of each, 0 where there was no answer.
        reasons: why there was no answer, in words, for each row ("" where there was one).
        late_ms: how long after its intended start each request was really sent.
        ramp: seconds it took to start all users, before the window opened.
        generator_cpu: share of one core that the generator used.
        unread_ms: how long an answer lay unread at most, on average, since other programs had the cores.
        thinking: whether users pause of their own accord (a Locust user class).
        lag: event-loop lag sampled meanwhile in an in-kernel server, rows of (seconds, ms).
        exception: the last exception an in-kernel service raised meanwhile, in one line.
        samples: whole answers, those of the ramp and the drain among them, as many as were asked for.
    """

    users: int | None
    rate: float | None
    seconds: float
    started: np.ndarray
    elapsed_ms: np.ndarray
    statuses: np.ndarray
    reasons: np.ndarray
    late_ms: np.ndarray
    ramp: float
    generator_cpu: float
    unread_ms: float = 0.0
    thinking: bool = False
    lag: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    exception: str = ""
    samples: Sequence[Sample] = ()

    @cached_property
    def counted(self) -> np.ndarray:
        """Which rows belong to the steady window."""
        # Open at some moment of the window. Leaving out those sent before it opened would leave out
        # the very requests that a slow service keeps waiting.
        return (self.started + self.elapsed_ms / 1000 >= 0) & (self.started < self.seconds)

    @cached_property
    def good(self) -> np.ndarray:
        """Which rows were answered, with a status below 400."""
        return (self.statuses > 0) & (self.statuses < 400)

    @cached_property
    def latencies_ms(self) -> np.ndarray:
        """Latency of each successful request of the steady window, in milliseconds."""
        return self.elapsed_ms[self.counted & self.good]

    @property
    def requests(self) -> int:
        """Requests of the steady window, successful or not."""
        return int(self.counted.sum())

    @property
    def errors(self) -> int:
        """Requests of the steady window with no answer, or with a status of 400 or more."""
        return int((self.counted & ~self.good).sum())

    @property
    def error_counts(self) -> dict[str, int]:
        """How many errors of each kind, the most frequent first."""
        bad = self.counted & ~self.good
        pairs = zip(self.statuses[bad], self.reasons[bad], strict=True)
        return dict(
            Counter(_describe(status) if status else str(reason) for status, reason in pairs).most_common()
        )

    @cached_property
    def throughput(self) -> float:
        """Successful answers a second over the steady window. Errors do not count, however fast."""
        return self._closed_rate() if self.rate is None else self._open_rate()

    def _closed_rate(self) -> float:
        # Users start together and stay in step for a while, so answers come in waves, and counting to the
        # end would count a wave that is half done as none: 20 users of 0.7 s in 2 s would read 20/s for 28.
        # So the last answer ends the count, unless the silence after it is longer than a request takes.
        answered = (self.started + self.elapsed_ms / 1000)[self.good]
        answered = answered[(answered > 1e-9) & (answered < self.seconds)]
        last = max(answered, default=self.seconds)
        wave = np.median(self.elapsed_ms[self.good]) / 1000 if answered.size else 0.0
        return float(answered.size / (last if self.seconds - last <= 1.5 * wave else self.seconds))

    def _open_rate(self) -> float:
        # An open workload starts on an idle service: its window opens when the first answer is due, or
        # the latency of one request would be missing from the count.
        latencies = self.elapsed_ms[self.good] / 1000
        answered = self.started[self.good] + latencies
        begin = min(latencies, default=0.0)
        inside = (answered >= begin) & (answered < self.seconds)
        return float(inside.sum() / (self.seconds - begin)) if begin < self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Latency in milliseconds that ``percent`` of the successful requests stayed within; NaN if none."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms.size else float("nan")

    @property
    def mean_ms(self) -> float:
        return float(self.latencies_ms.mean()) if self.latencies_ms.size else float("nan")

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

    @cached_property
    def in_flight(self) -> float:
        """Mean number of requests open at a time: Little's L, measured rather than derived."""
        begin = np.clip(self.started, 0, self.seconds)
        end = np.clip(self.started + self.elapsed_ms / 1000, 0, self.seconds)
        return float((end - begin).sum() / self.seconds)

    @property
    def lag_ms(self) -> float:
        """99th percentile of the event-loop lag of an in-kernel server, in ms; NaN if it was not sampled."""
        return float(np.percentile(self.lag[:, 1], 99)) if self.lag.size else float("nan")

    @cached_property
    def doubts(self) -> list[str]:
        """Why these numbers may describe the generator rather than the service; empty if nothing says so."""
        return [
            doubt for doubt in (self._no_answers(), self._generator(), self._idle(), self._late()) if doubt
        ]

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against these numbers."""
        return not self.doubts

    def _no_answers(self) -> str:
        return "" if self.latencies_ms.size else "No request succeeded, so there is no latency to report."

    def _generator(self) -> str:
        if self.generator_cpu > MOST_CPU:
            share = f"{self.generator_cpu:.0%}"
            return f"The generator filled {share} of its core: the service may be faster than this."
        if self.rate is None and not self.thinking and self.generator_cpu / self.users > MOST_CPU_PER_USER:
            return (
                f"Each user spent {self.generator_cpu / self.users:.0%} of its time in the generator: "
                "the service is faster than this. Add users."
            )
        if self.unread_ms > MOST_UNREAD * self.p50_ms:
            return (
                f"Answers lay unread for up to {self.unread_ms:.1f} ms (mean) while other programs had the "
                "cores, and that is in these latencies. Let them end and measure again."
            )
        return ""

    def _idle(self) -> str:
        if self.rate is not None or self.thinking or not self.latencies_ms.size:
            return ""
        waits = BACK_OFF * (self.counted & (self.statuses == 0)).sum() / self.seconds
        if self.in_flight + waits >= LEAST_BUSY * self.users:
            return ""
        return (
            f"On average only {self.in_flight:.2f} of {self.users} users had a request open: the others "
            "waited for the generator, which was slower than the service or short of CPU."
        )

    def _late(self) -> str:
        if (
            self.rate is None or self.users or not self.latencies_ms.size
        ):  # few connections make late on purpose
            return ""
        late = float(np.percentile(self.late_ms[self.counted], 50))
        if late <= MOST_LATE * self.p50_ms:
            return ""
        return f"The generator sent requests {late:.1f} ms late (median), and that is in these latencies."

    def to_dict(self) -> dict[str, object]:
        """Return the run as plain values, ready for JSON; a latency nobody measured is None."""
        names = ("throughput", "requests", "errors", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
        facts = {name: getattr(self, name) for name in names}
        known = {name: None if value != value else value for name, value in facts.items()}
        return {
            "users": self.users,
            "rate": self.rate,
            "seconds": self.seconds,
            **known,
            "error_counts": self.error_counts,
            "in_flight": self.in_flight,
            "generator_cpu": self.generator_cpu,
            "trustworthy": self.trustworthy,
            "doubts": self.doubts,
        }

    @property
    def workload(self) -> str:
        """The workload in words, such as "50 users" or "300/s offered"."""
        return describe(self.users, self.rate)

    def __str__(self) -> str:
        if self.latencies_ms.size:
            figures = f"{number(self.throughput)} req/s · p50 {_ms(self.p50_ms)} · p99 {_ms(self.p99_ms)}"
        else:
            figures = "no answers"
        line = f"{self.workload} · {self.seconds:g} s · {figures} · {_errors(self.errors)}"
        return line if self.trustworthy else f"{line} · not to be trusted: {' '.join(self.doubts)}"

    def __repr__(self) -> str:
        return f"<Result {self}>"

    def _repr_html_(self) -> str:
        cells = [
            ("requests/s", number(self.throughput)),
            ("p50", _ms(self.p50_ms)),
            ("p95", _ms(self.p95_ms)),
            ("p99", _ms(self.p99_ms)),
            ("max", _ms(self.max_ms)),
            ("errors", f"{self.errors:,} of {self.requests:,}"),
        ]
        head = "".join(f"<th style='text-align:right'>{name}</th>" for name, _ in cells)
        body = "".join(f"<td style='text-align:right'>{value}</td>" for _, value in cells)
        notes = [f"{kind} × {count:,}" for kind, count in self.error_counts.items()]
        notes += [f"last exception: {self.exception}"] * bool(self.exception)
        notes = [html.escape(note) for note in notes]
        notes += [f"<b>Not to be trusted.</b> {html.escape(doubt)}" for doubt in self.doubts]
        caption = f"{self.workload} for {self.seconds:g} s"
        lines = "".join(f"<div>{note}</div>" for note in notes)
        return (
            f"<div class='underload-measured'><table><caption style='text-align:left'>{caption}</caption>"
            f"<tr>{head}</tr><tr>{body}</tr></table>{lines}</div>"
        )


def describe(users: int | None, rate: float | None) -> str:
    """Return a workload in words."""
    if rate is None:
        return f"{users:,} user{'s' if users != 1 else ''}"
    return f"{rate:,g}/s offered" + (
        f" over {users:,} connection{'s' if users != 1 else ''}" if users else ""
    )


def _describe(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def number(value: float) -> str:
    """Return ``value`` with the three figures that one run can carry."""
    return f"{value:,.0f}" if value == 0 or abs(value) >= 100 else f"{value:.3g}"


def _ms(value: float) -> str:
    return "–" if value != value else f"{number(value)} ms"


def _errors(count: int) -> str:
    return f"{count:,} error{'s' if count != 1 else ''}"
