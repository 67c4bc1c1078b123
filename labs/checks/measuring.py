"""What the lab of lesson 00 asks of the measuring service."""

import random
import time
from typing import Any

import numpy as np

from underload.judge.check import check
from underload.judge.upstream import Upstream

stub = Upstream("stub", lambda path: {"ok": True}, delay=0.002)


def samples(number: int, latency_ms: float, window: tuple[float, float], status: int = 200) -> list[dict]:
    """Requests of one connection, spread over a window, with latencies around one value."""
    return [
        {
            "started": random.uniform(*window),
            "latency_ms": random.lognormvariate(0, 0.4) * latency_ms,
            "status": status,
        }
        for _ in range(number)
    ]


def summary_of(service, recordings: list[list[dict]], window: tuple[float, float]) -> Any:
    return service.post("/summaries", json={"recordings": recordings, "window": window})


def percentile(recordings: list[list[dict]], percent: float) -> float:
    return float(np.percentile([each["latency_ms"] for one in recordings for each in one], percent))


@check(
    points=2,
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
    look="lesson 00, “The smallest service”: throughput is successful answers",
    hint="A 503 in one millisecond is no fast answer. What is it to throughput, and what to the p50?",
)
def errors(service):
    """Requests without an answer, or with a status of 400 or more, are errors and nothing else."""
    window = 0.0, 5.0
    good = samples(random.randint(900, 1_100), 50, window)
    bad = samples(random.randint(300, 400), 1, window, status=503) + samples(40, 2_000, window, status=0)
    mixed = random.sample(good + bad, len(good) + len(bad))
    answer = summary_of(service, [mixed], window)
    answer.number("errors").equals(len(bad))
    answer.number("throughput").within(0.02, of=len(good) / 5.0)
    answer.number("p50_ms").within(0.02, of=percentile([good], 50))


@check(
    points=2,
    look="lesson 00, “The first request is different”",
    hint="The first requests came before the window opened. What was meant to start outside it does not count.",
)
def window(service):
    """Only requests that were meant to start within the window count, per second of the window."""
    begin, end = 1.0, 1.0 + random.uniform(2, 4)
    inside = samples(800, 20, (begin, end))
    outside = samples(400, 500, (0.0, begin - 0.01)) + samples(300, 5, (end + 0.01, end + 2.0))
    answer = summary_of(service, [sorted(inside + outside, key=lambda each: each["started"])], (begin, end))
    answer.number("throughput").within(0.02, of=len(inside) / (end - begin))
    answer.number("p99_ms").within(0.02, of=percentile([inside], 99))


@check(
    points=3,
    look="lesson 00, “The stall” and “From when do you count?”",
    hint="During the stall both connections wait. Are the requests that they should have sent meanwhile in your list?",
)
def stall(service, stub):
    """A stall of a second, met with 2 connections at 100 requests a second, is in the p99."""
    plan = {"url": stub.url, "rate": 100, "seconds": 3, "connections": 2}
    with stub.watch() as calls:
        measuring = service.send("POST", ["/measurements"], timeout=20, json=plan)
        calls.wait_for_total(80, seconds=5)
        began = time.perf_counter()
        with stub.held():
            time.sleep(1)
        stalled = time.perf_counter() - began
    (answer,) = measuring.answers()
    # 300 requests, one a 10 ms: three were meant to start before the one that is the p99.
    # Seen within 3 %, asked 15 %; counted from the send it is 1 % of this.
    answer.number("p99_ms").within(0.15, of=1000 * (stalled - 0.03))


@check(
    points=1,
    look="lesson 00, all of it",
    hint="Print what your recorder returns for a service of your own whose latencies you know.",
)
def live(service, stub):
    """Live, with every fifth call failing and every twentieth slow: p50, p99, throughput and errors hold."""
    plan = {"url": stub.url, "rate": 40, "seconds": 3, "connections": 12}
    with stub.set(delay=_delay, failing=_failing):
        answer = service.post("/measurements", timeout=20, json=plan)
    answer.number("errors").equals(24)  # of 120
    # Seen within 5 %, asked 20 %: the service measures in the process of the notebook.
    answer.number("p50_ms").within(0.2, of=100)
    answer.number("p99_ms").within(0.2, of=400)
    answer.number("throughput").within(0.05, of=96 / 3)


def _delay(call: int) -> float:
    return 0.0 if _failing(call) else 0.4 if call % 20 == 7 else 0.1


def _failing(call: int) -> int:
    return 503 if call % 5 == 4 else 0
