"""Is this machine fit for the course, and how much will what it measures today vary?"""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from underload import noise, services
from underload.errors import UnderloadError
from underload.services import BackingService, embedded, external, state

GIB = 2**30
USERS, FILES = 1_000, 200  # the most that a lesson asks for; what a kernel has open besides their sockets
SHOWN = ("fastapi", "uvicorn", "locust", "jupyterlab")


@dataclass(frozen=True)
class Finding:
    """What was examined, what was found, and in one sentence what to do unless it is fine."""

    what: str
    found: str
    advice: str = ""
    serious: bool = False  # the course does not work like this

    @property
    def mark(self) -> str:
        """✔ fine, ! worth a look, ✘ serious."""
        return "✘" if self.serious else "!" if self.advice else "✔"


def examine() -> Iterator[Finding]:
    """Yield what there is to say about this machine, in a few seconds.

    Each server is asked a question; one that does not run is started for that, and stopped again.
    """
    for examination in (_machine, _memory, _open_files, _packages, _services, _disk, _power, _noise):
        try:
            yield from examination()
        except Exception as error:  # what cannot be examined must not hide the rest
            advice = f"Please report this: {type(error).__name__}: {error}."
            yield Finding(examination.__name__.strip("_"), "unknown", advice)


def _unless(fine: bool, advice: str) -> str:
    return "" if fine else advice


def _machine() -> Iterator[Finding]:
    fit, cores = platform.system() in ("Linux", "Darwin"), _usable_cores()
    advice = _unless(fit, "Work in WSL, or in the container of compose.yaml.")
    yield Finding("system", platform.platform(terse=True), advice, serious=not fit)
    advice = "A service and its load share it: compare only what this machine measured, as ratios."
    yield Finding("processor cores", f"{cores:g}", _unless(cores >= 2, advice))


def _usable_cores() -> float:
    """Return how many cores this process may use: a container may allow it fewer than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")  # "max 100000", or the microseconds allowed in each period
    allowed, period = quota.read_text().split() if quota.exists() else ("max", "1")
    return cores if allowed == "max" else min(cores, int(allowed) / int(period))


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB are free"
    yield Finding(
        "memory", found, _unless(memory.available >= GIB, "Close programs: the course takes 1 GiB.")
    )


def _open_files() -> Iterator[Finding]:
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    users = max(0, hard - FILES)
    found = f"{soft:,} allowed, {'any number' if unlimited else f'{hard:,}'} if asked for"
    advice = f"Enough for {users:,} users: raise the hard limit (limits.conf, or docker's --ulimit nofile)."
    yield Finding("open files", found, _unless(unlimited or users >= USERS, advice))


def _packages() -> Iterator[Finding]:
    versions = [f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in SHOWN)]
    yield Finding("packages", ", ".join(versions))
    for requirement in requires("underload") or []:
        pin = re.match(r"([\w-]+)(?:\[.*\])?==([\w.]+)", requirement)
        if pin and _version(pin[1]) != pin[2]:
            advice = f"The course was tested with {pin[2]}: run `uv sync` in its folder."
            yield Finding(pin[1], _version(pin[1]), advice, serious=_version(pin[1]) == "absent")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _services() -> Iterator[Finding]:
    with ThreadPoolExecutor() as crew:  # each waits for its server
        yield from crew.map(_service, services.ALL)


def _service(service: BackingService) -> Finding:
    try:
        return Finding(service.title, "; ".join(_answers(service)))
    except UnderloadError as error:  # says what to do, too
        return Finding(service.title, "does not work", str(error), serious=True)


def _answers(service: BackingService) -> Iterator[str]:
    """Yield what a service of the reader's own says, and the embedded one, which labs may have beside it."""
    if url := external.given(service):
        yield f"{external.asked(service, url)} answers at {external.place(url)}"
    if not url or embedded.installed(service):
        yield f"{'beside it, for labs, ' if url else ''}{embedded.tried(service)} answers"


def _disk() -> Iterator[Finding]:
    place = next(path for path in (state.home(), *state.home().parents) if path.exists())
    free = shutil.disk_usage(place).free
    advice = _unless(free >= 2 * GIB, "Make room: the data and its copies take 1 GiB.")
    yield Finding("disk", f"{free / GIB:.1f} GiB are free at {place}", advice, serious=free < GIB / 2)


def _power() -> Iterator[Finding]:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery and not battery.power_plugged:
        yield Finding("power", "battery", "Plug it in: on battery the processor changes its speed.")


def _noise() -> Iterator[Finding]:
    now = noise.listen()
    advice = "Close programs, browser tabs and containers: what they use, your services cannot."
    yield Finding("other programs", f"use {now.others:.0%} of all cores", _unless(now.others < 0.1, advice))
    advice = "Measure at another time, or trust ratios only: another machine on this host is busy."
    yield Finding("host", f"withholds {now.stolen:.0%} of all cores", _unless(now.stolen < 0.02, advice))
    advice = f"Latencies below {10 * now.late_ms:.0f} ms are uncertain by a tenth: close other programs."
    yield Finding("timer", f"late by {now.late_ms:.1f} ms (p99)", _unless(now.late_ms < 1, advice))
    advice = "Throughput varies by as much: plug in the laptop, close other programs, repeat runs."
    found = f"the same work takes up to {now.slowdown:.0%} longer (p95)"
    yield Finding("processor speed", found, _unless(now.slowdown < 0.1, advice))
