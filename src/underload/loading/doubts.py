"""What speaks against the numbers of a run.

A doubt is a test that can be wrong both ways. Each threshold says how it was calibrated: on generators that
were the limit, and on services that were. `underload bench` repeats the comparison with wrk and k6.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from underload.loading.result import Result

MOST_CPU = 0.85  # of its core
# Of a user's time spent in the generator: 0.020 read 0.98 of wrk's throughput, 0.037 read 0.96. It does not
# matter when the service is busy all the time, since another user's request, if there is one, fills the gap.
MOST_CPU_PER_USER = 0.025
BUSY = 0.85  # of the cores a service can use, from which on it was the limit
MOST_OWN = {50: 0.07, 99: 0.25}  # of a percentile that may be the generator's own
LEAST_OWN_MS = {50: 0.2, 99: 0.5}  # and below which it does not matter
LEAST_OPEN = 0.97  # of the users, who should always have a request open
MOST_ADRIFT = 0.03  # between the requests open by the generator's count and by the rows
MOST_UNSTEADY = 0.2  # between the requests open and throughput × mean latency
LEAST_ADRIFT = 3  # requests, which a few slow ones at an edge of the window may make
MOST_WAVES = 0.2  # of the answers, in one wave: the end of the window is then off by half of that, 10 %
FEW = 10  # answers


@dataclass(frozen=True)
class Doubt:
    """A reason not to believe some numbers of a run.

    Attributes:
        about: which numbers.
        sentence: what speaks against them and what to do.
    """

    about: Literal["all", "throughput", "latency"]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def all_of(run: "Result") -> list[Doubt]:
    """Return what speaks against a run, the worst first."""
    tests: tuple[Callable[[Result], Doubt | None], ...] = (
        _failed_here,
        _redirected,
        _unanswered,
        _full,
        _slow,
        _own,
        _idle,
        _adrift,
        _few,
        _waves,
        _unstarted,
        _unsteady,
    )
    return [doubt for test in tests if (doubt := test(run))]


def _failed_here(run: "Result") -> Doubt | None:
    if not run.failed_here:
        return None
    reason, _ = Counter(map(str, run.reasons[run.own_failures])).most_common(1)[0]
    cure = "raise the limit (ulimit -n), or use fewer users" if "files" in reason else "use fewer users"
    return Doubt(
        "all", f"{run.failed_here:,} requests failed in the generator, not in the service ({reason}): {cure}."
    )


def _redirected(run: "Result") -> Doubt | None:
    if not run.redirects:
        return None
    where, _ = Counter(map(str, run.reasons[run.counted & run.redirected])).most_common(1)[0]
    return Doubt(
        "all",
        f"{where}: of {run.requests:,} requests {run.redirects:,} were redirected, and nothing was served "
        "there. Give load() the URL that it points to.",
    )


def _unanswered(run: "Result") -> Doubt | None:
    if run.latencies_ms.size or run.redirects:
        return None
    return Doubt("all", "No request succeeded, so there is no latency to report.")


def _full(run: "Result") -> Doubt | None:
    if run.generator_cpu <= MOST_CPU:
        return None
    return Doubt(
        "all",
        f"The generator filled {run.generator_cpu:.0%} of its core: the service may be faster than this.",
    )


def _slow(run: "Result") -> Doubt | None:
    if run.rate is not None or run.thinking or run.generator_cpu > MOST_CPU:
        return None
    if run.users > 1 and run.service_cpu >= BUSY:
        return None
    share = run.generator_cpu / run.users
    if share <= MOST_CPU_PER_USER:
        return None
    return Doubt(
        "all",
        f"Each user spent {share:.0%} of its time in the generator: the service may be faster than this. "
        "Add users.",
    )


def _own(run: "Result") -> Doubt | None:
    for percent, most in MOST_OWN.items():
        own, whole = run.own_share_ms(percent), run.percentile_ms(percent)
        if own > max(LEAST_OWN_MS[percent], most * whole):
            return Doubt(
                "latency",
                f"Up to {own:.1f} of {whole:.1f} ms of the p{percent} are the generator's own: it sent "
                "requests late, or left answers unread while other programs had the cores. End those "
                "programs, or offer less.",
            )
    return None


def _idle(run: "Result") -> Doubt | None:
    if run.rate is not None or run.thinking or not run.latencies_ms.size:
        return None
    if run.in_flight + run.rested >= LEAST_OPEN * run.users:
        return None
    return Doubt(
        "all",
        f"On average only {run.in_flight:.2f} of {run.users} users had a request open: the others "
        "waited for the generator, which was slower than the service or short of CPU.",
    )


def _adrift(run: "Result") -> Doubt | None:
    """The generator counts what is open as it goes, which shows whether its rows are whole and right."""
    counted = run.counted_in_flight
    if not abs(run.sent_in_flight - counted) > MOST_ADRIFT * max(counted, 1):  # NaN: it did not count
        return None
    return Doubt(
        "all",
        f"The generator counted {counted:.2f} requests open on average, and its record adds up to "
        f"{run.sent_in_flight:.2f}: that is a fault of this tool. Measure again, and report it.",
    )


def _few(run: "Result") -> Doubt | None:
    answers = int((run.good & run.ended_within).sum())
    if answers >= FEW or not run.latencies_ms.size:
        return None
    return Doubt("throughput", f"Only {answers} answers came within the window: measure for longer.")


def _waves(run: "Result") -> Doubt | None:
    """Answers that come in waves: the window then counts one wave more or less, as it happens to end."""
    answers = np.sort(run.ended[run.good & run.ended_within])
    if answers.size < FEW:
        return None
    span = min(run.p50_ms / 2000, run.seconds / 4)
    begins = answers[answers < run.seconds - span]
    within = np.searchsorted(answers, begins + span) - np.arange(begins.size)
    height = int(within.max() - within.min()) + 1 if within.size else answers.size
    by_chance = 6 * np.sqrt(answers.size * span / run.seconds)  # three standard deviations to either side
    if height <= max(MOST_WAVES * answers.size, by_chance):
        return None
    return Doubt(
        "throughput",
        f"Answers came in waves of some {height:,}, and the window holds {answers.size:,}: it counts a wave "
        "more or less as it happens to end. Measure for longer.",
    )


def _unstarted(run: "Result") -> Doubt | None:
    if not run.unstarted:
        return None
    return Doubt(
        "latency",
        f"{run.unstarted:,} of {run.users:,} users still waited for their first answer when the window "
        f"opened, after {run.ramp:.1f} s. Measure for longer.",
    )


def _unsteady(run: "Result") -> Doubt | None:
    """Little's law: requests open = answers per second × mean latency, in any run that is steady."""
    still_open = int(((run.started < run.seconds) & (run.ended >= run.seconds)).sum())
    known = run.latencies_ms.size and not run.unstarted and not _waves(run)
    larger = max(run.in_flight, run.littles_product)
    if not known or abs(run.in_flight - run.littles_product) <= max(LEAST_ADRIFT, MOST_UNSTEADY * larger):
        return None
    open_before = int(((run.started < 0) & (run.ended >= 0)).sum())
    if run.rate is not None and still_open > 2 * open_before:
        return Doubt(
            "latency",
            f"Requests piled up: {open_before:,} were open when the window opened and {still_open:,} when it "
            "closed, so latency grows with the length of the run.",
        )
    if run.p50_ms > 1000 * run.seconds / 2:
        return Doubt(
            "latency",
            f"A request took {run.p50_ms / 1000:.1f} s (p50), and the window lasts {run.seconds:g} s: too "
            "short for latency to settle. Measure for longer.",
        )
    return Doubt(
        "latency",
        f"By Little's law {run.littles_product:.1f} requests were open (throughput × mean latency), and "
        f"{run.in_flight:.1f} were: the run was not steady. Measure for longer.",
    )
