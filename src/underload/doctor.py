"""Is this machine fit for the course, and how far will what it measures today vary?"""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np
import psutil

SHOWN = ("fastapi", "uvicorn", "locust", "jupyterlab")
GIB = 2**30
FILES_BESIDES_USERS = 200  # that a kernel has open anyway
USERS = 1_000  # the most that a lesson asks for
SERVICES_SECONDS = 1.0
LISTEN_SECONDS = 0.25  # to the timer, and again to the processor


@dataclass(frozen=True)
class Finding:
    """What was examined and found, and in one sentence what to do unless it is fine."""

    what: str
    found: str
    advice: str = ""
    serious: bool = False  # the course cannot work like this

    @property
    def mark(self) -> str:
        """✔ fine, ! the course works but look at this, ✘ it does not."""
        return "✘" if self.serious else "!" if self.advice else "✔"


def examine() -> Iterator[Finding]:
    """Yield what there is to say about this machine within some two seconds, without starting anything."""
    for what, examination in EXAMINATIONS.items():
        try:
            yield from examination()
        except Exception as error:  # one thing that cannot be examined must not hide the others
            yield Finding(what, "unknown", f"It could not be examined ({type(error).__name__}: {error}).")


def _system() -> Iterator[Finding]:
    name = f"{platform.system()} {platform.release()} on {platform.machine()}"
    fit = platform.system() in ("Linux", "Darwin")
    yield Finding("system", name, "" if fit else "Work in WSL, or in the container of compose.yaml.", not fit)


def _cores() -> Iterator[Finding]:
    cores = _usable_cores()
    advice = (
        "The service and its load share what there is: compare runs of this machine only, by their ratio."
    )
    yield Finding("processor cores", f"{cores:g}", advice if cores < 2 else "")


def _usable_cores() -> float:
    """Return how many cores this process may use: a container may allow fewer than there are."""
    allowed = len(psutil.Process().cpu_affinity()) if psutil.LINUX else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")  # "max 100000", or microseconds in each period
    limit, period = quota.read_text().split() if quota.exists() else ("max", "1")
    return allowed if limit == "max" else min(allowed, int(limit) / int(period))


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    advice = "Close other programs: the course wants 1 GiB." if memory.available < GIB else ""
    yield Finding("memory", found, advice)


def _open_files() -> Iterator[Finding]:
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    found = f"{soft:,} at first, {'as many as wanted' if unlimited else f'{hard:,} at most'}"
    users = max(0, hard - FILES_BESIDES_USERS)
    enough = unlimited or users >= USERS
    advice = (
        f"Enough for {users:,} users: raise it with `ulimit -n {4 * USERS}` as root, then start the course."
    )
    yield Finding("open files", found, "" if enough else advice)


def _packages() -> Iterator[Finding]:
    yield Finding("Python", platform.python_version(), "", sys.version_info < (3, 11))
    yield Finding("packages", ", ".join(f"{name} {_installed(name)}" for name in SHOWN))
    pins = (requirement.split("==") for requirement in requires("underload") or [])
    for name, pinned in ((pin[0].partition("[")[0], pin[1]) for pin in pins if len(pin) == 2):
        if (found := _installed(name)) != pinned:
            yield Finding(
                name, found, f"The course was tested with {pinned}: install it anew.", found == "none"
            )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _services() -> Iterator[Finding]:
    from underload import services
    from underload.errors import UnderloadError
    from underload.services.waiting import within

    try:
        states = within(SERVICES_SECONDS, services.status)
    except UnderloadError as error:  # the environment names something that is no URL
        yield Finding("services", "not known", str(error), serious=True)
    except TimeoutError:
        found = f"no answer within {SERVICES_SECONDS:g} s"
        yield Finding("services", found, "See which with `underload services status`.", serious=True)
    else:
        yield from map(_service, services.ALL, states)


def _service(service: "Service", status: "Status") -> Finding:
    from underload.services.state import is_open

    program = service.program()
    place = "embedded" if status.embedded else f"{service.variable} at {status.where}"
    if status.running:
        return Finding(service.title, f"{place}, {status.version} is running")
    if not status.embedded:
        advice = f"Start that server, or unset {service.variable} to use the embedded one."
        return Finding(service.title, f"{place}, not answering", advice, serious=True)
    if not program.exists():
        own = f"Set {service.variable} to a server of your own, or install" if service.variable else "Install"
        return Finding(
            service.title, "not installed", f"{own} the course on Linux, macOS or WSL.", serious=True
        )
    if not is_open(program):
        advice = "Move the course to a place open to all, such as /opt: as root, servers run as nobody."
        return Finding(service.title, f"nobody may not enter {program.parent}", advice, serious=True)
    return Finding(service.title, f"{place}, starts when a notebook asks")


def _disk() -> Iterator[Finding]:
    from underload.services import state

    existing = next(path for path in (state.home(), *state.home().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    advice = "Free some: the data and its copies take about 1 GiB." if free < 2 * GIB else ""
    yield Finding("disk", f"{free / GIB:.1f} GiB free at {existing}", advice, serious=free < GIB / 2)


def _power() -> Iterator[Finding]:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery and not battery.power_plugged:
        advice = "Plug it in: on battery, the processor changes its speed in the middle of a run."
        yield Finding("power", f"battery, {battery.percent:.0f} %", advice)


def _noise() -> Iterator[Finding]:
    """Listen for half a second to what else happens on the machine."""
    began, before, own = time.perf_counter(), psutil.cpu_times(), time.process_time()
    lateness, slowdown = _lateness_ms(), _slowdown()
    after, own = psutil.cpu_times(), time.process_time() - own
    capacity = (time.perf_counter() - began) * (psutil.cpu_count() or 1)
    stolen = (getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)) / capacity
    others = max(0.0, (_busy(after) - _busy(before) - own) / capacity)

    advice = (
        "Close other programs, browser tabs and containers: what they take is missing from what you measure."
    )
    yield Finding("other programs", f"use {others:.0%} of the processor", advice if others > 0.1 else "")
    advice = "Other machines on this host take it: measure at another time, and trust ratios only."
    yield Finding("stolen by the host", f"{stolen:.0%} of the processor", advice if stolen > 0.02 else "")
    advice = f"Latencies below {10 * lateness:.0f} ms are mostly noise here: close what wakes up often."
    yield Finding("timer", f"late by {lateness:.1f} ms (p99)", advice if lateness > 1 else "")
    advice = "Throughput varies as much: repeat runs, keep the machine cool, and choose full power in its settings."
    yield Finding(
        "processor speed",
        f"the same work takes up to {slowdown:.0%} longer",
        advice if slowdown > 0.1 else "",
    )


def _busy(times: "Times") -> float:
    """Return the seconds in which programs ran, whatever this platform calls them."""
    return times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "softirq", 0.0)


def _lateness_ms() -> float:
    """Return the p99 of how late a sleep of 1 ms ends."""
    late, until = [], time.perf_counter() + LISTEN_SECONDS
    while (due := time.perf_counter() + 0.001) < until:
        time.sleep(0.001)
        late.append(time.perf_counter() - due)
    return float(np.percentile(late, 99)) * 1000


def _slowdown() -> float:
    """Return by what share the slowest of twenty pieces of the same work lasts longer than their median."""
    took, until = [], time.perf_counter() + LISTEN_SECONDS
    while (began := time.perf_counter()) < until:
        sum(range(200_000))
        took.append(time.perf_counter() - began)
    return float(np.percentile(took, 95) / np.median(took)) - 1


EXAMINATIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    "system": _system,
    "processor cores": _cores,
    "memory": _memory,
    "open files": _open_files,
    "packages": _packages,
    "services": _services,
    "disk": _disk,
    "power": _power,
    "noise": _noise,
}
