"""What else happens on this machine while nobody measures, and so adds itself to what is measured."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

LISTEN = 0.25  # seconds for which to watch the timer, and then the processor


@dataclass(frozen=True)
class Noise:
    """How restless the machine was for half a second.

    Attributes:
        others: share of all cores that other programs used.
        stolen: share of all cores that the host of this virtual machine gave to somebody else.
        late_ms: the p99 of how late a sleep of 1 ms ended.
        slowdown: by what share a piece of work lasts longer than its median, at the 95th percentile.
    """

    others: float
    stolen: float
    late_ms: float
    slowdown: float


def listen() -> Noise:
    """Watch this machine for half a second."""
    began, own, before = time.perf_counter(), time.process_time(), psutil.cpu_times()
    late_ms, slowdown = _late_ms(), _slowdown()
    after, own = psutil.cpu_times(), time.process_time() - own
    capacity = (time.perf_counter() - began) * (psutil.cpu_count() or 1)
    return Noise(
        others=max(0.0, (_busy(after) - _busy(before) - own) / capacity),
        stolen=(getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)) / capacity,
        late_ms=late_ms,
        slowdown=slowdown,
    )


def _busy(times: Any) -> float:
    """Return the seconds in which programs ran, by the names that this platform has for them."""
    return sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))


def _late_ms() -> float:
    late, until = [], time.perf_counter() + LISTEN
    while (due := time.perf_counter() + 0.001) < until:
        time.sleep(0.001)
        late.append(time.perf_counter() - due)
    return float(np.percentile(late, 99)) * 1000


def _slowdown() -> float:
    took, until = [], time.perf_counter() + LISTEN
    while (began := time.perf_counter()) < until:
        sum(range(100_000))
        took.append(time.perf_counter() - began)
    return float(np.percentile(took, 95) / np.median(took)) - 1
