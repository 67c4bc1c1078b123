"""Measure the instrument: against wrk and k6, which share no code with it, and against its budgets."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from underload.bench import specimens
from underload.bench.references import PATIENCE, find, k6_latency, run, wrk_throughput
from underload.bench.specimens import Known, waits
from underload.loading import Result, load, percentile
from underload.serving import serve

NEAR_MS = 0.2  # within which two medians of a fast service are the same
SPECIMENS = "underload.bench.specimens:app"
FIRST_LOAD = """
import sys, time
from underload import load
began = time.perf_counter()
load(sys.argv[1], users=50, seconds=1)
print(time.perf_counter() - began - 1)
"""

START = """
import time
import asyncpg, redis.asyncio  # as every lesson does that asks for the servers
from underload import flights, postgres, valkey
began = time.perf_counter()
postgres(), valkey(), flights()
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Row:
    """One budget: what was measured, the outcome in words, the bar, and whether it was met."""

    what: str
    measured: str
    bar: str
    met: bool


@dataclass(frozen=True)
class Effort:
    """Seconds a run takes, and how many runs of each kind the median is taken of."""

    seconds: float = 3.0
    rounds: int = 3


THOROUGH = Effort()
QUICK = Effort(seconds=2.0, rounds=1)


def measure(effort: Effort) -> Iterator[Row]:
    """Measure each budget in turn: some six minutes, or one and a half with a quick effort."""
    handlers = (("trivial handler", "/", 100), ("50 ms handler", "/wait/50", 1000))
    if find("wrk"):
        for handler, path, users_to_trust in handlers:
            for users in (1, 10, 100, 1000):
                yield throughput_row(handler, path, users, users == users_to_trust, effort)
    if find("k6"):
        for rate in (100, 1500, 4000):
            rows = latency_rows("trivial handler", "/", rate, most_open=50, effort=effort)
            yield next(rows)  # the p50: the p99 of so fast a service is k6's own, whose collector pauses it
        yield from latency_rows("far below the knee", "/wait/50", rate=100, most_open=50, effort=effort)
        yield from latency_rows("near the knee", "/work", rate=150, most_open=150, effort=effort)
        yield from latency_rows("a stall of 1 s", "/stall", rate=200, most_open=300, effort=effort)
    for handler, path, _ in handlers:
        for loop in ("uvloop", "asyncio"):
            yield in_kernel_row(handler, path, loop, effort)
    yield from truth_rows()
    yield from overhead_rows()
    yield from start_rows()


def throughput_row(handler: str, path: str, users: int, must_be_trusted: bool, effort: Effort) -> Row:
    """Compare the throughput of a closed workload with wrk's on the same server."""
    trusted = []

    def by_load() -> float:
        result = load(server.url + path, users=users, seconds=effort.seconds)
        trusted.append(result.trustworthy)
        return result.throughput

    # uvloop accepts one connection an iteration: of 1,000 made at once hundreds would wait for many seconds.
    loop = "asyncio" if users >= 1000 else "auto"
    with serve(SPECIMENS, name="specimens", processes=1, loop=loop) as server:
        ours, theirs = in_turn(
            effort, by_load, lambda: wrk_throughput(server.url + path, users, effort.seconds)
        )
    within = 0.97 <= ours / theirs <= 1.03
    believed = sum(trusted) > len(trusted) / 2
    return Row(
        f"throughput, load() / wrk: {handler}, {users:,} user{'s' if users > 1 else ''}",
        _ratio(ours, theirs, "req/s") + ("" if believed else ", doubted"),
        f"0.97 to 1.03, {'trusted' if must_be_trusted else 'or doubted'}",
        within and believed if must_be_trusted else within or not believed,
    )


def latency_rows(case: str, path: str, rate: int, most_open: int, effort: Effort) -> Iterator[Row]:
    """Compare the latencies of an open workload with k6's, which sends on time as long as it has users."""
    seconds = 2 * effort.seconds  # a p99 takes many requests

    def by_load() -> tuple[float, float]:
        with serve(SPECIMENS, name="specimens", processes=1) as server:
            result = load(server.url + path, rate=rate, seconds=seconds)
        return result.p50_ms, result.p99_ms

    def by_k6() -> tuple[float, float]:
        with serve(SPECIMENS, name="specimens", processes=1) as server:
            return k6_latency(server.url + path, rate, seconds, most_open)

    measured = zip(("p50", "p99"), (0.05, 0.10), *in_turn(effort, by_load, by_k6), strict=True)
    for name, share, ours, theirs in measured:
        yield Row(
            f"{name}, load() / k6: {rate:,}/s, {case}",
            _ratio(ours, theirs, "ms"),
            f"1 ± {share:.2f}, or ± {NEAR_MS} ms",
            abs(ours - theirs) <= max(share * theirs, NEAR_MS),
        )


def in_kernel_row(handler: str, path: str, loop: str, effort: Effort) -> Row:
    """Compare the throughput of a service in a thread of this process with that of its own process."""
    with (
        serve(specimens.app, name="in the kernel", loop=loop) as here,
        serve(SPECIMENS, name="own process", processes=1, loop=loop) as there,
    ):
        one, other = in_turn(
            effort,
            lambda: load(here.url + path, users=50, seconds=effort.seconds).throughput,
            lambda: load(there.url + path, users=50, seconds=effort.seconds).throughput,
        )
    return Row(
        f"throughput, in the kernel / by itself: {handler}, {loop}, 50 users",
        _ratio(one, other, "req/s"),
        "at least 0.95",
        one / other >= 0.95,
    )


def truth_rows() -> Iterator[Row]:
    """Compare what is shown with what is true of services that are known, where it once was not the same."""

    def run(service: Known, **workload: Any) -> Result:
        with serve(service.app, name="known") as server:
            return load(server.url, **workload)

    silent = run(Known(wait=0.1, answers=100), users=20, seconds=2, timeout=3)
    yield _truth_row("throughput of 80 answers and then silence, 2 s", silent.throughput, 40, "req/s", 0.05)
    in_step = run(Known(wait=0.7), users=20, seconds=2)
    yield _truth_row("throughput of 20 users of 0.7 s", in_step.throughput, 20 / 0.7, "req/s", 0.05)
    cut = run(Known(wait=0.005, stall_at=300), rate=200, seconds=4, timeout=0.5)
    yield Row(
        "p99 through a stall of 1 s, given up after 0.5 s",
        percentile(cut, 99),
        "≥ 500 ms ± 10 %",
        cut.at_least(99) and abs(cut.p99_ms - 500) <= 50,
    )
    alone = run(Known(wait=0.02, at_once=1), users=1, seconds=1).p50_ms
    queue = run(Known(wait=0.02, at_once=1), rate=30, seconds=6, arrivals="poisson")
    expected = float(np.mean(alone + waits(queue.started, alone)))
    shown = float(queue.elapsed_ms.mean())
    yield _truth_row("mean latency in a queue, random arrivals, 60 % busy", shown, expected, "ms", 0.1)
    yield _truth_row("requests open by Little's law", queue.littles_product, queue.counted_in_flight, "", 0.1)
    refusing = Known(status=503)
    refused = run(refusing, users=10, seconds=1)
    yield _truth_row("calls of 10 users who are refused, a second", refused.requests, 100, "", 0.25)
    few, one = (run(Known(), users=users, seconds=1) for users in (4, 1))
    found = f"{'trusted' if few.trustworthy else 'doubted'}, {'trusted' if one.trustworthy else 'doubted'}"
    yield Row("4 users, and 1, on a trivial handler", found, "trusted, doubted", found == "trusted, doubted")
    few_answers = run(Known(wait=0.2), users=10, seconds=1)
    unknown = few_answers.p99_ms != few_answers.p99_ms
    yield Row("p99 of some 50 answers", percentile(few_answers, 99), "–", unknown)
    crowd = Known(wait=0.05)
    noted = len(run(crowd, users=1000, seconds=2).started)
    yield _truth_row("requests of 1,000 users / counted by the service", noted, crowd.calls, "", 0.0)


def _truth_row(what: str, shown: float, true: float, unit: str, share: float) -> Row:
    within = abs(shown / true - 1) <= share
    named = what if " / " in what else f"{what}: shown / true"
    return Row(named, _ratio(shown, true, unit), f"1 ± {share:.2f}", within)


def overhead_rows() -> Iterator[Row]:
    """Time what load() takes beyond the seconds asked for: the first of a process, and those after it."""
    with serve(SPECIMENS, name="specimens", processes=1) as server:
        yield _time_row("first load() of a process adds", float(_python(FIRST_LOAD, server.url)), 1.0)
        added = []
        for _ in range(5):
            began = time.perf_counter()
            load(server.url, users=50, seconds=1)
            added.append(time.perf_counter() - began - 1)
    yield _time_row("later load() adds", float(np.median(added)), 0.3)


def start_rows() -> Iterator[Row]:
    """Time a process that asks for both servers and the data, on a machine without and with them."""
    with tempfile.TemporaryDirectory(prefix="underload-") as directory:
        Path(directory).chmod(0o711)  # as root, servers run as another user
        home = {"UNDERLOAD_HOME": f"{directory}/home", "DATABASE_URL": "", "REDIS_URL": ""}
        try:
            yield _time_row("postgres(), valkey(), flights(): cold", float(_python(START, **home)), 5.0)
            yield _time_row("postgres(), valkey(), flights(): warm", float(_python(START, **home)), 0.5)
        finally:
            _python("from underload import services; services.stop()", **home)


def in_turn(effort: Effort, one: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Measure one and the other in turn, so that what drifts hits both, and return the median of each."""
    return np.median([(one(), other()) for _ in range(effort.rounds)], axis=0)


def _python(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a process of its own and return what it prints."""
    return run(sys.executable, "-c", code, *arguments, env={**os.environ, **environment}, timeout=PATIENCE)


def _ratio(one: float, other: float, unit: str) -> str:
    digits = 0 if other >= 100 else 1
    return f"{one / other:.3f} ({one:,.{digits}f} / {other:,.{digits}f} {unit})"


def _time_row(what: str, seconds: float, most: float) -> Row:
    return Row(what, f"{seconds:.2f} s", f"at most {most:g} s", seconds <= most)
