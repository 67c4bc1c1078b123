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
from underload.loading import load
from underload.serving import serve

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
        yield from latency_rows("far below the knee", "/wait/50", rate=100, most_open=50, effort=effort)
        yield from latency_rows("near the knee", "/work", rate=150, most_open=150, effort=effort)
        yield from latency_rows("a stall of 1 s", "/stall", rate=200, most_open=300, effort=effort)
    for handler, path, _ in handlers:
        yield in_kernel_row(handler, path, effort)
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
        within = abs(ours / theirs - 1) <= share
        yield Row(
            f"{name}, load() / k6: {rate}/s, {case}", _ratio(ours, theirs, "ms"), f"1 ± {share:.2f}", within
        )


def in_kernel_row(handler: str, path: str, effort: Effort) -> Row:
    """Compare the throughput of a service in a thread of this process with that of its own process."""
    with (
        serve(specimens.app, name="in the kernel") as here,
        serve(SPECIMENS, name="own process", processes=1) as there,
    ):
        one, other = in_turn(
            effort,
            lambda: load(here.url + path, users=50, seconds=effort.seconds).throughput,
            lambda: load(there.url + path, users=50, seconds=effort.seconds).throughput,
        )
    return Row(
        f"throughput, in the kernel / by itself: {handler}, 50 users",
        _ratio(one, other, "req/s"),
        "at least 0.95",
        one / other >= 0.95,
    )


def overhead_rows() -> Iterator[Row]:
    """Time what load() takes beyond the seconds asked for: the first of a process, and those after it."""
    with serve(SPECIMENS, name="specimens", processes=1) as server:
        yield _time_row("first load() of a process adds", float(_python(FIRST_LOAD, server.url)), 0.5)
        added = []
        for _ in range(5):
            began = time.perf_counter()
            load(server.url, users=50, seconds=1)
            added.append(time.perf_counter() - began - 1)
    yield _time_row("later load() adds", float(np.median(added)), 0.5)


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
