"""What the lab of lesson 01 asks of the report service."""

import math
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from underload.judge import check
from underload.judge import Observed, every
from underload.judge import Upstream

SECRET = secrets.token_hex()  # so that nobody but the archive knows what is in it
PART = 120_000  # delays in one summary
FIRST = range(200_000)


def kept(path: str) -> dict[str, int]:
    """What the archive keeps under a path such as /reports/7."""
    number = int(path.rpartition("/")[2])
    return {"report": number, "minutes": random.Random(f"{SECRET}{number}").randint(-60, 600)}


archive = Upstream("archive", kept, delay=0.2)


def some_reports(number: int) -> list[str]:
    return [f"/reports/{report}" for report in random.sample(range(1_000_000), number)]


@cache
def delays(db) -> list[int]:
    query = "SELECT arr_delay FROM flights WHERE arr_delay IS NOT NULL ORDER BY id"
    return [delay for (delay,) in db.truth.rows(query)]


def spread(db, first: int) -> float:
    return float(np.std(delays(db)[first : first + PART]))


def is_right(db) -> Callable[..., bool]:
    """Return what tells whether an answer of /summary is right."""
    return lambda answer, drawn: math.isclose(
        answer.number("spread").value, spread(db, drawn["first"]), rel_tol=1e-6
    )


@contextmanager
def calls_waiting(service, archive, number: int) -> Iterator[tuple[Any, Any]]:
    """Have so many calls wait while the archive answers none: yield what it sees, and the calls."""
    service.settle("/health")
    with archive.set(delay=0):  # what has queued up is done soon afterwards
        with archive.held() as seen:
            reports = service.send("GET", some_reports(number), timeout=8)
            seen.wait_for(number, seconds=2)
            yield seen, reports
        service.settle("/health")


@check(
    points=3,
    look="lesson 01, “A service that waits” and “The ceiling hits the innocent”",
    hint="What can the event loop do while an `async def` is in a call that blocks? And who shares the pool of a `def`?",
)
def health(service, archive):
    """While the archive answers none of 60 calls, the health check's p99 is at most half of a usual archive call."""
    with calls_waiting(service, archive, 60) as (_, reports):
        healthy = service.load("/health", rate=100, seconds=1.5, timeout=1)  # so many decide a p99
        reports.open.equals(60)
    # 100 ms; seen 2 to 20
    healthy.p99.at_most(0.5 * archive.delay * 1000)
    healthy.errors.equals(0)


@check(
    points=3,
    look="lesson 01, “Why not more?” and “Or wait properly”",
    hint="1: they queue for the event loop. 40: for a thread. 100: an HTTP client has a pool of connections, too.",
)
def sustained(service, archive):
    """Of 150 reports asked for at once, at least 120 wait at the archive at the same time."""
    with calls_waiting(service, archive, 150) as (calls, _):
        calls.wait_for(150, seconds=2)
    # seen 150 of 150; a pool of threads stops at its tokens
    calls.peak.at_least(120)


@check(
    points=2,
    look="lesson 01, “Work instead of waiting”",
    hint="Threads take turns at pure Python. What has an interpreter of its own? What can be sent there?",
)
def cores(service, db):
    """Eight users' summaries keep more than one interpreter at work, or come faster than one could compute them."""
    service.settle("/health")
    one = seconds_of_one(db)
    with service.watch_cpu() as used:
        busy = service.load("/summary/{first}", users=8, seconds=2.5, first=FIRST)
    busy.are_right(is_right(db))
    busy.errors.equals(0)
    # Whose algorithm is better needs less of a core for the same work, so work done counts too.
    work = max(used.interpreters.value, busy.result.throughput * one)
    # Two processes and the loop: seen 2.1 to 2.5, also beside busy neighbours; threads: 1.0. The loop beside
    # one process: 1.2.
    Observed(work, "interpreters at work").at_least(1.4)


def seconds_of_one(db) -> float:
    """CPU seconds that a summary takes in plain Python on one core here and now."""
    parts = [delays(db)[first : first + PART] for first in random.sample(FIRST, 5)]
    began = time.thread_time()
    for part in parts:
        statistics.pstdev(part)
    return (time.thread_time() - began) / len(parts)


@check(
    points=2,
    look="lesson 01, “A service that waits”",
    hint="If a status is 500, get that path from `lab.server.url` yourself. If no answer came, who was served before?",
)
def answers(service, archive, db):
    """60 reports and 4 summaries asked at once are right, each within 20 archive calls (4 s)."""
    service.settle("/health")
    reports, firsts = some_reports(60), random.sample(FIRST, 4)
    asked = service.send("GET", [*reports, *(f"/summary/{first}" for first in firsts)], 20 * archive.delay)
    got = asked.answers()
    with archive.set(delay=0):
        service.settle("/health")
    every(
        list(zip(reports, got, strict=False)),
        lambda pair: pair[1].code == 200 and pair[1].value == kept(pair[0]),
        "each report as the archive keeps it, within 4 s",
        lambda pair: f"{pair[1].asked}: {pair[1].describe()}",
    )
    every(
        [(answer, {"first": first}) for first, answer in zip(firsts, got[60:], strict=True)],
        lambda pair: is_right(db)(*pair),
        "each spread right to six digits, within 4 s",
        lambda pair: f"{pair[0].asked}: {pair[0].describe()}",
    )
