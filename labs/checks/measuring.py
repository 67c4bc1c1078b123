"""What the lab of lesson 00 asks of the measuring service."""

import heapq
import random
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

import numpy as np

from underload.judge import Observed, Upstream, check, meanwhile

stub = Upstream("stub", lambda path: {"ok": True})
twin = Upstream("twin", lambda path: {"ok": True})  # for two measurements at the same time

SERVE = 0.002  # seconds that the stub needs for an answer when nothing holds it up
QUIET = 0.1  # seconds without a call, after which an earlier measurement is over
PATIENCE = 5.0  # seconds to wait for that
CLOSE = 0.2  # share by which a measured figure may differ: the service, the stub and others share two cores
MOST_LATE = 0.5  # seconds
MOST_UNSURE = 0.25  # seconds, or a service could make the judge unsure of everything
AnswerAt = Callable[[int, float], float]  # by the number of a call and the moment it came
GOOD = 200, 201, 204, 304
BAD = 400, 404, 500, 503
REDIRECTS = 301, 307, 308


def samples(
    number: int, latency_ms: float, due: tuple[float, float], statuses: tuple[int, ...] = GOOD
) -> list[dict[str, Any]]:
    """Requests of one connection, due at random between two moments, with latencies around one value."""
    return [
        {
            "due": random.uniform(*due),
            "latency_ms": random.lognormvariate(0, 0.4) * latency_ms,
            "status": random.choice(statuses),
        }
        for _ in range(number)
    ]


def summary_of(service, recordings: list[list[dict]], window: tuple[float, float]) -> Any:
    return service.post("/summaries", json={"recordings": recordings, "window": window})


def percentile(recordings: list[list[dict]], percent: float) -> float:
    return float(np.percentile([each["latency_ms"] for one in recordings for each in one], percent))


class Timetable:
    """When the stub answers each call, in seconds since the first one came: what a recorder should see.

    Args:
        answer_at: returns it for the number of a call and the moment the call came.

    Attributes:
        came: when each call came.
        answers: when each was answered, in the order of the calls.
        unsure: seconds by which the run may have begun before the first call came. The judge cannot see
            when a recorder starts its clock, only when it was asked to: just after this was made.
    """

    def __init__(self, answer_at: AnswerAt) -> None:
        self.came: list[float] = []
        self.answers: list[float] = []
        self.unsure = 0.0
        self._answer_at = answer_at
        self._made = time.perf_counter()
        self._first = 0.0

    def delay(self, call: int) -> float:
        """Return how long the stub waits before it answers this call."""
        now = time.perf_counter()
        if call == 0:
            self._first, self.unsure = now, min(now - self._made, MOST_UNSURE)
        came = now - self._first
        self.came.append(came)
        self.answers.append(max(came, self._answer_at(call, came)))
        return self.answers[-1] - came

    def late(self, rate: float, connections: int) -> float:
        """Return the median of the seconds by which calls came later than they could.

        They could when they were due and a connection was free, had those before come when they could.
        """
        free = [0.0] * connections  # when each of them is
        late = []
        for call, came in enumerate(self.came):
            could = max(call / rate, free[0])
            heapq.heapreplace(free, max(could, self._answer_at(call, could)))
            late.append(came - could)
        return max(statistics.median(late) - self.unsure, 0.0)


def near(observed: Observed, share: float, low: float, high: float, why: str = "") -> None:
    """Fail unless a figure lies within a share of what it may truly be, which is ``low`` to ``high``."""
    of = (low + high) / 2
    spread = (high - low) / (2 * of) if of else 0.0
    observed.within(round(share + spread, 2), of=of, why=why)


@check(
    points=1,
    look="lesson 00, “The mean is nobody”",
    hint="A connection that answered 20 requests and one that answered 2,000 do not weigh the same.",
)
def percentiles(service):
    """p50 and p99 are those of all requests together, whichever connection they came over."""
    window = 0.0, 4.0
    # Unequal by design: the mean of the p50s is 10 times the p50 of all.
    recordings = [samples(2_000, 10, window), samples(60, 300, window), samples(20, 900, window)]
    answer = summary_of(service, recordings, window)
    answer.number("p50_ms").within(0.02, of=percentile(recordings, 50))
    answer.number("p99_ms").within(0.02, of=percentile(recordings, 99))


@check(
    points=2,
    look="lesson 00, “What `load` counts” and “In production”",
    hint="A 503 within one millisecond is not a fast answer, and a redirect has served nothing.",
)
def errors(service):
    """No answer, or a status of 400 or more, is an error. Throughput, p50 and p99 are of good answers alone."""
    window, due = (0.0, 5.0), (0.0, 4.0)  # so every answer arrives within the window as well
    good = samples(random.randint(900, 1_100), 50, due)
    bad = samples(random.randint(300, 400), 1, due, BAD) + samples(40, 100, due, (0,))
    redirected = samples(random.randint(100, 200), 2, due, REDIRECTS)
    mixed = [*good, *bad, *redirected]
    random.shuffle(mixed)
    answer = summary_of(service, [mixed], window)
    answer.number("errors").equals(len(bad))
    answer.number("throughput").within(0.001, of=len(good) / 5.0)
    answer.number("p50_ms").within(0.02, of=percentile([good], 50))
    with meanwhile("no request is good"):
        summary_of(service, [bad, redirected], window)["p99_ms"].equals(None)
    plan = {"url": f"http://127.0.0.1:{unused_port()}", "rate": 50, "seconds": 0.2, "connections": 2}
    with meanwhile("nothing listens at the URL to measure"):
        answer = service.post("/measurements", json=plan)
        answer.number("errors").at_least(1)  # how many there are is for the other checks to count
        answer.number("throughput").equals(0)
        answer["p50_ms"].equals(None)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@check(
    points=1,
    look="lesson 00, “What `load` counts”",
    hint="Leave out what was due before the window began, at its end, or later. Keep what was due in it and answered later.",
)
def window(service):
    """p50, p99 and errors are those of the requests due within the window, its begin included and its end not."""
    begin, end = 1.0, 1.0 + random.uniform(2, 4)
    inside = samples(799, 20, (begin, end - 0.001))
    inside.append({"due": begin, "latency_ms": 20.0, "status": 200})
    inside += samples(40, 3_000, (end - 0.5, end - 0.001))  # answered after the end, nearly all of them
    outside = samples(400, 700, (0.0, begin - 0.01)) + samples(100, 5, (end + 0.01, end + 2.0))
    outside += samples(50, 1, (0.0, begin - 0.01), BAD)
    outside.append({"due": end, "latency_ms": 1.0, "status": 503})
    answer = summary_of(service, [sorted(inside + outside, key=lambda each: each["due"])], (begin, end))
    answer.number("p50_ms").within(0.02, of=percentile([inside], 50))
    answer.number("p99_ms").within(0.02, of=percentile([inside], 99))
    answer.number("errors").equals(0)


@check(
    points=2,
    look="lesson 00, “What `load` counts”",
    hint="When did the last byte of each good answer arrive? That moment is within the window or it is not.",
)
def throughput(service, stub, twin):
    """Throughput is the good answers that arrive within the window, per second of it, also of two services measured
    at the same time that can do about a third and about four fifths of what is offered.
    """
    begin, end = 1.0, 1.0 + random.uniform(2, 4)
    recorded = [
        *samples(100, 1_000, (0.0, begin)),
        *samples(300, 20, (begin, end)),
        *samples(600, 3_000, (begin, end)),
    ]
    moments = [each["due"] + each["latency_ms"] / 1000 for each in recorded]
    arrived = sum(begin <= moment < end for moment in moments)
    why = f"{arrived} good answers arrived within a window of {end - begin:.2f} s"
    answer = summary_of(service, [recorded], (begin, end))
    answer.number("throughput").within(0.001, of=arrived / (end - begin), why=why)

    rate = random.randrange(140, 181)
    plan = {"rate": rate, "seconds": 1, "connections": 10}
    # No constant is near both, even if the judge is as unsure as it may be.
    capacities = rate * random.uniform(0.3, 0.33), rate * random.uniform(0.75, 0.85)
    for measured in measure_both(service, plan, (stub, twin), [one_at_a_time(each) for each in capacities]):
        with during(plan):
            seen = measured.answer.number("throughput")
            measured.calls.total.at_least(rate // 3)  # or it would be right to see none
            answers, unsure = measured.timetable.answers, measured.timetable.unsure
            answered, least = (sum(moment < end for moment in answers) for end in (1, 1 - unsure))
            why = f"the stub answered {answered} of {len(answers)} requests within the second"
            # Seen within 3 %. By when requests were due, it is about 300 % of this, or 125 %.
            near(seen, CLOSE, least, answered, why)


def one_at_a_time(capacity: float) -> AnswerAt:
    """Return when a stub answers that answers so many calls per second, one after the other."""
    return lambda call, came: (call + 1) / capacity


def during(plan: dict[str, Any]) -> AbstractContextManager[None]:
    """Say of what fails meanwhile which measurement was asked for."""
    over = f"{plan['connections']} connection{'s' if plan['connections'] > 1 else ''}"
    return meanwhile(f"measuring the stub at {plan['rate']}/s for {plan['seconds']:g} s over {over}")


class Measured(NamedTuple):
    """One of two measurements: what the stub saw of it, and what the service says of it."""

    calls: Any
    timetable: Timetable
    answer: Any


def measure_both(
    service,
    plan: dict[str, Any],
    stubs: Sequence[Upstream],
    answers_at: Sequence[AnswerAt],
    failing: int | Callable[[int], int] = 0,
    trickle: float = 0.0,
) -> list[Measured]:
    """Have the service measure two stubs at the same time, each of which answers as it is told to."""
    settle(*stubs)
    timetables = [Timetable(each) for each in answers_at]
    with ExitStack() as stack:
        calls = [
            stack.enter_context(stub.set(delay=each.delay, failing=failing, trickle=trickle))
            for stub, each in zip(stubs, timetables, strict=True)
        ]
        sent = [service.send("POST", ["/measurements"], 20, json={**plan, "url": stub.url}) for stub in stubs]
        answers = [answer for each in sent for answer in each.answers()]
    return [Measured(*each) for each in zip(calls, timetables, answers, strict=True)]


def settle(*upstreams: Upstream) -> None:
    """Wait until nothing calls these any more, as the measurement of an earlier check might."""
    until = time.monotonic() + PATIENCE
    calls = -1
    while calls and time.monotonic() < until:
        with ExitStack() as stack:
            seen = [stack.enter_context(upstream.watch()) for upstream in upstreams]
            time.sleep(QUIET)
        calls = sum(each.total.value for each in seen)


@check(
    points=3,
    look="lesson 00, “The stall” and “From when do you count?”",
    hint="Each request must be sent and recorded. If both figures are a few ms: from when does a late one's clock run?",
)
def stall(service, stub, twin):
    """Of two measurements at the same time, each of 2 s over two connections, one meets a stall of at least 1.5 s,
    the other two of 0.6 to 0.7 s and one slow request. Each request is sent when it is due, or as soon as a
    connection is free; p50 and p99 of both are right.
    """
    rate = random.randrange(64, 81)
    plan = {"rate": rate, "seconds": 2, "connections": 2}
    begin, length = random.uniform(0.05, 0.2), random.uniform(1.5, 1.7)
    first, pause, second = random.uniform(0.6, 0.7), random.uniform(0.15, 0.25), random.uniform(0.6, 0.7)
    again = 0.2 + first + pause
    # No formula fits both: a constant, a share of the longest latency, or the longest less a constant.
    stalls = {
        f"one stall of {ms(length)}": stalled([(begin, begin + length)]),
        f"stalls of {ms(first)} and {ms(second)}": stalled(
            [(0.2, 0.2 + first), (again, again + second)],
            slow=rate // 10,
            latency=random.uniform(2.2, 2.4),
        ),
    }
    both = measure_both(service, plan, random.sample([stub, twin], 2), list(stalls.values()))
    for why, measured in zip(stalls, both, strict=True):
        with during(plan):
            p50, p99 = measured.answer["p50_ms"], measured.answer["p99_ms"]
            measured.calls.total.equals(2 * rate)
            measured.calls.peak.at_most(2)
            # Seen 0 to 0.05 beside two other jobs; one that waits until all stalls are over, and then sends
            # all, about 1 s where they are short.
            late = measured.timetable.late(rate, connections=2)
            Observed(late, "by which requests were sent late, the median", "s").at_most(MOST_LATE)
            latencies = [1000 * (end - call / rate) for call, end in enumerate(measured.timetable.answers)]
            # Seen within 3 %; counted from the send, p50 is 2 % of this.
            for figure, percent in ((p50, 50), (p99, 99)):
                true = float(np.percentile(latencies, percent))
                near(figure, CLOSE, true, true + 1000 * measured.timetable.unsure, why)


def stalled(stalls: list[tuple[float, float]], slow: int = -1, latency: float = 0.0) -> AnswerAt:
    """Return when a stub answers that stalls at these times, and answers one call so late."""

    def answer_at(call: int, came: float) -> float:
        if call == slow:
            return came + latency
        return next((end for begin, end in stalls if begin <= came < end), came + SERVE)

    return answer_at


def ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"


@check(
    points=1,
    look="lesson 00, “From when do you count?” and “The mean is nobody”",
    hint="Is each of rate × seconds requests sent when it is due, kept if it fails, and timed to its last byte?",
)
def live(service, stub, twin):
    """Of two measurements at the same time, at 40 or 60 requests per second, every fifth failing and every twentieth
    slow, all four figures are right.
    """
    rate, seconds = random.choice((40, 60)), 2  # so that the fifths and twentieths come out even
    # 17 connections that each send the same number could not make up such a sum by chance.
    plan = {"rate": rate, "seconds": seconds, "connections": 17}
    trickle = 0.08  # seconds from an answer's first byte to its last
    # No constant is near both.
    fast = random.uniform(0.1, 0.13), random.uniform(0.4, 0.5)
    slow = random.uniform(0.22, 0.27), random.uniform(0.8, 0.95)
    latencies = random.sample([fast, slow], 2)
    both = measure_both(
        service, plan, (stub, twin), [at_times_slow(*each, trickle) for each in latencies], failing, trickle
    )
    for (usual, slowest), measured in zip(latencies, both, strict=True):
        with during(plan):
            failures = measured.answer.number("errors")
            measured.calls.total.equals(seconds * rate)
            failures.equals(seconds * rate // 5)
            # Seen within 5 %; until the headers, p50 is 20 or 70 % of this.
            measured.answer.number("p50_ms").within(CLOSE, of=1000 * usual)
            measured.answer.number("p99_ms").within(CLOSE, of=1000 * slowest)
            answers, unsure = measured.timetable.answers, measured.timetable.unsure
            good = [answered for call, answered in enumerate(answers) if not failing(call)]
            ends = seconds - trickle, seconds - trickle - unsure
            whole, least = (sum(answered < end for answered in good) / seconds for end in ends)
            # Seen within 3 %: by when requests were due it is up to 15 % more, which is another check's.
            near(measured.answer.number("throughput"), CLOSE, least, whole)


def at_times_slow(usual: float, slow: float, trickle: float) -> AnswerAt:
    """Return when a stub begins an answer that has then come after so many seconds, every twentieth after more."""
    return lambda call, came: came if failing(call) else came - trickle + (slow if call % 20 == 7 else usual)


def failing(call: int) -> int:
    return 503 if call % 5 == 4 else 0
