"""The figures of the course. How they look is `underload.figure`'s."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from underload.figure import (
    AFTER,
    BEFORE,
    BETWEEN,
    GROUND,
    INK,
    LIMIT,
    MARKERS,
    PARTS,
    Plot,
    colours,
    legend,
    millisecond_axis,
    number_axis,
    rules,
    shade,
    time_axis,
)
from underload.result import Result, number

UNITS = {
    "throughput": "requests a second",
    "mean_ms": "mean latency, ms",
    "p50_ms": "p50 latency, ms",
    "p95_ms": "p95 latency, ms",
    "p99_ms": "p99 latency, ms",
    "max_ms": "longest latency, ms",
    "lag_ms": "p99 event-loop lag, ms",
}


def bars(
    values: Mapping[str, float],
    label: str,
    guess: float | None = None,
    limits: Mapping[str, float] | None = None,
) -> Plot:
    """Draw one bar a value; ``guess`` is dotted, each of ``limits`` is a red rule."""
    plot = Plot(f"{label}: {', '.join(values)}", height=0.75 + 0.42 * len(values) + 0.25 * bool(limits))
    (axes,) = plot.axes
    axes.barh(range(len(values)), list(values.values()), color=colours(len(values)), height=0.62)
    _rows(axes, values, label)
    if guess is not None:
        last, name = len(values) - 1, f"your prediction: {number(guess)}"
        axes.plot([guess, guess], [last - 0.45, last + 0.45], ":", color=INK, linewidth=2.6, label=name)
    for name, value in (limits or {}).items():
        axes.axvline(value, color=LIMIT, linewidth=1.6, label=f"{name}: {number(value)}")
    axes.set_xlim(0, 1.15 * max([*values.values(), guess or 0, *(limits or {}).values()]))
    legend(axes)
    return plot


def parts(label: str, **wholes: Mapping[str, float]) -> Plot:
    """Draw one bar a whole, made of its named parts, the same part in the same colour throughout."""
    names = list(dict.fromkeys(part for whole in wholes.values() for part in whole))
    plot = Plot(f"{label}: {_names(wholes)}, each as {', '.join(names)}", height=1.0 + 0.42 * len(wholes))
    (axes,) = plot.axes
    ends = np.zeros(len(wholes))
    for name, colour in zip(names, cycle(PARTS), strict=False):
        lengths = np.array([whole.get(name, 0.0) for whole in wholes.values()])
        axes.barh(range(len(wholes)), lengths, left=ends, color=colour, height=0.62, label=name)
        ends += lengths
    _rows(axes, dict(zip(wholes, ends, strict=True)), label)
    axes.set_xlim(0, 1.15 * max(ends))
    legend(axes)
    return plot


def _rows(axes: Axes, ends: Mapping[str, float], label: str) -> None:
    """Name the bars that lie one below the other, and write the figure at the end of each."""
    axes.set_yticks(range(len(ends)), list(map(_spoken, ends)))
    for row, end in enumerate(ends.values()):
        axes.annotate(
            number(end), (end, row), (5, 0), textcoords="offset points", va="center", fontsize=11,
            fontweight="bold", color=INK, bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    number_axis(axes.xaxis, label)
    axes.tick_params(axis="y", labelsize=11, length=0)


def latency(during: Mapping[str, tuple[float, float]] | None = None, **results: Result) -> Plot:
    """Draw every request of each run: when it was sent, how long it took, and a cross if it failed.

    It is red, unless requests of several runs failed. Spans of time ``during`` which something was
    otherwise are shaded.
    """
    plot = Plot(f"latency of every request over time: {_names(results)}", height=3.2)
    (axes,) = plot.axes
    several_failed = sum((result.counted & ~result.good).any() for result in results.values()) > 1
    for (name, result), colour, marker in zip(results.items(), colours(len(results)), MARKERS, strict=False):
        sent = np.maximum(result.started, 0)  # the first were sent while users still started
        good, failed = result.counted & result.good, result.counted & ~result.good
        axes.plot(
            sent[good], result.elapsed_ms[good], marker, markersize=3, alpha=0.5, markeredgewidth=0,
            color=colour, label=_spoken(name),
        )  # fmt: skip
        if failed.any():
            axes.plot(
                sent[failed], result.elapsed_ms[failed], "x", markersize=5, markeredgewidth=1.4,
                color=colour if several_failed else LIMIT, label=f"{_spoken(name)}, failed", zorder=3,
            )  # fmt: skip
    shade(axes, during)
    time_axis(axes, max(result.seconds for result in results.values()))
    millisecond_axis(axes, "latency of a request, ms", [result.elapsed_ms for result in results.values()])
    legend(axes, markerscale=2.5)
    return plot


def lag(**results: Result) -> Plot:
    """Draw how late the event loop of each in-kernel service was to run a timer, over time."""
    plot = Plot(f"event-loop lag over time: {_names(results)}", height=2.8)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        axes.plot(result.lag[:, 0], result.lag[:, 1], "o", color=colour, markersize=4, markeredgewidth=0,
                  label=_spoken(name))  # fmt: skip
    time_axis(axes, max(result.seconds for result in results.values()))
    millisecond_axis(axes, "event-loop lag, ms", [result.lag[:, 1] for result in results.values()])
    legend(axes)
    return plot


def percentiles(**results: Result) -> Plot:
    """Draw latency by percentile, with the tail stretched: each mark is a tenth of what was left."""
    plot = Plot(f"latency by percentile: {_names(results)}", height=3.2)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        latencies = np.sort(result.latencies_ms)
        left = 1 - (np.arange(latencies.size) + 0.5) / latencies.size  # share of requests slower than this
        axes.plot(1 / left, latencies, color=colour, linewidth=2.2, label=_spoken(name))
    axes.set_xscale("log")
    marks = {1: "0", 2: "50", 10: "90", 100: "99", 1000: "99.9", 10_000: "99.99"}
    longest = 2 * max(result.latencies_ms.size for result in results.values())
    marks = {mark: text for mark, text in marks.items() if mark <= longest}
    axes.set_xticks(list(marks), list(marks.values()))
    axes.minorticks_off()
    axes.set_xlabel("percent of requests that were at least as fast", fontsize=10, color=INK)
    millisecond_axis(axes, "latency, ms", [result.latencies_ms for result in results.values()])
    legend(axes)
    return plot


def knee(results: Sequence[Result], limits: Mapping[str, float] | None = None) -> Plot:
    """Draw throughput and latency as the number of users grows, one closed run a point."""
    return sweep("users", {result.users: result for result in results}, limits)


def sweep(label: str, results: Mapping[float, Result], limits: Mapping[str, float] | None = None) -> Plot:
    """Draw throughput and latency against a number that was varied, one run a point."""
    plot = Plot(f"throughput and latency against {label}", height=3.1, columns=2)
    left, right = plot.axes
    runs = results.values()
    left.plot(list(results), [run.throughput for run in runs], "o-", color=AFTER, linewidth=2)
    number_axis(left.yaxis, "requests a second")
    left.set_ylim(0, 1.1 * max(run.throughput for run in runs))
    rules(left, limits)
    right.plot(list(results), [run.p99_ms for run in runs], "s--", color=BEFORE, label="p99", linewidth=1.6)
    right.plot(list(results), [run.p50_ms for run in runs], "o-", color=AFTER, label="p50", linewidth=2)
    millisecond_axis(right, "latency, ms", [np.array([run.p50_ms, run.p99_ms]) for run in runs])
    for axes in plot.axes:
        axes.set_xscale("log")
        axes.set_xticks(list(results), [number(value) for value in results])
        axes.minorticks_off()
        axes.set_xlabel(label, fontsize=10, color=INK)
        legend(axes)
    return plot


def timeline(
    label: str,
    limits: Mapping[str, float] | None = None,
    over: str = "seconds",
    steps: bool = True,
    during: Mapping[str, tuple[float, float]] | None = None,
    **series: Sequence[tuple[float, float]],
) -> Plot:
    """Draw a quantity as it changes, a line for each series of (moment, value).

    It goes up and down in ``steps``, as counts do, or straight from point to point. Spans ``during``
    which something was otherwise are shaded.
    """
    look = {"drawstyle": "steps-post"} if steps else {"marker": "o", "markersize": 4}
    plot = Plot(f"{label} over {over}: {_names(series)}", height=2.8)
    (axes,) = plot.axes
    for rank, ((name, points), colour) in enumerate(zip(series.items(), colours(len(series)), strict=True)):
        moments, values = zip(*points, strict=True)
        # The first is the widest, so that it shows under the last where they agree; and unclipped, or a line
        # along the bottom would be half a line.
        width = 2.2 + 1.6 * (len(series) - 1 - rank)
        axes.plot(
            moments,
            values,
            color=colour,
            linewidth=width,
            label=_spoken(name),
            clip_on=False,
            zorder=3,
            **look,
        )
    rules(axes, limits)
    shade(axes, during)
    number_axis(axes.yaxis, label)
    axes.set_xlabel(over, fontsize=10, color=INK)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend(axes)
    return plot


def spans(calls: Sequence[tuple[float, float]], label: str = "seconds", mark: int | None = None) -> Plot:
    """Draw each call as a line from its start to its end, in seconds; rule off the first ``mark`` calls."""
    plot = Plot("calls from start to end", height=3.4)
    (axes,) = plot.axes
    for row, (begin, end) in enumerate(calls, start=1):
        late = mark is not None and row > mark
        axes.plot(
            [begin, end],
            [row, row],
            color=BETWEEN[0] if late else AFTER,
            linewidth=2.4,
            solid_capstyle="butt",
        )
    if mark is not None:
        axes.axhline(mark + 0.5, color=LIMIT, linewidth=1.6, label=f"call {mark}")
    axes.invert_yaxis()
    axes.set_ylabel("calls, in order of their end", fontsize=10, color=INK)
    axes.set_xlabel(label, fontsize=10, color=INK)
    axes.set_xlim(left=0)
    legend(axes)
    return plot


def guesses(pairs: Mapping[str, tuple[float, float]]) -> Plot:
    """Draw each prediction against what came out, as a ratio: on the line is exact."""
    plot = Plot(f"predictions against outcomes: {len(pairs)}", height=0.9 + 0.5 * len(pairs))
    (axes,) = plot.axes
    reach = max(
        3.0,
        *(max(guess / outcome, outcome / guess) for guess, outcome in pairs.values() if guess and outcome),
    )
    for row, (guess, outcome) in enumerate(pairs.values()):
        # A prediction of nothing, or where nothing came, is off by more than any scale has room for.
        ratio = np.clip(guess / outcome if outcome else np.inf, 1 / reach, reach) if guess or outcome else 1.0
        axes.plot([1, ratio], [row, row], color=INK, linestyle=":", linewidth=1.6)
        axes.plot(ratio, row, "o", color=AFTER, markersize=8)
        axes.annotate(
            f"{number(guess)} for {number(outcome)}", (ratio, row), (0, 8), textcoords="offset points",
            ha="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.axvline(1, color=INK, linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(1 / (1.6 * reach**1.1), 1.6 * reach**1.1)
    axes.set_ylim(len(pairs) - 0.5, -0.7)
    axes.set_yticks(range(len(pairs)), list(pairs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value)}×"))
    axes.minorticks_off()
    axes.set_xlabel("your prediction, as a multiple of what was measured", fontsize=10, color=INK)
    return plot


def _names(results: Mapping[str, object]) -> str:
    return ", ".join(map(_spoken, results))


def _spoken(name: str) -> str:
    return name.replace("_", " ")
