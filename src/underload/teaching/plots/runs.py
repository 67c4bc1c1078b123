"""Figures of load runs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from underload.loading import Result, number
from underload.teaching.plots.look import (
    AFTER,
    BEFORE,
    DOUBTED,
    GROUND,
    INK,
    LIMIT,
    MARKERS,
    Plot,
    colours,
    legend,
    millisecond_axis,
    names,
    number_axis,
    rules,
    shade,
    spoken,
    time_axis,
)


def latency(during: Mapping[str, tuple[float, float]] | None = None, **results: Result) -> Plot:
    """Draw every request of each run: when it was sent, how long it took, and a cross if it failed.

    It is red, unless requests of several runs failed. Spans of time ``during`` which something was
    otherwise are shaded.
    """
    plot = Plot(f"latency of every request over time: {names(results)}", height=3.2)
    (axes,) = plot.axes
    several_failed = sum((result.counted & ~result.good).any() for result in results.values()) > 1
    for (name, result), colour, marker in zip(results.items(), colours(len(results)), MARKERS, strict=False):
        sent = np.maximum(result.started, 0)  # the first were sent while users still started
        good, failed = result.counted & result.good, result.counted & ~result.good
        axes.plot(
            sent[good], result.elapsed_ms[good], marker, markersize=3, alpha=0.5, markeredgewidth=0,
            color=colour, label=_labelled(name, result),
        )  # fmt: skip
        if failed.any():
            axes.plot(
                sent[failed], result.elapsed_ms[failed], "x", markersize=5, markeredgewidth=1.4,
                color=colour if several_failed else LIMIT, label=f"{spoken(name)}, failed", zorder=3,
            )  # fmt: skip
    shade(axes, during)
    time_axis(axes, max(result.seconds for result in results.values()))
    millisecond_axis(axes, "latency of a request, ms", [result.elapsed_ms for result in results.values()])
    legend(axes, markerscale=2.5)
    return plot


def lag(**results: Result) -> Plot:
    """Draw how late the event loop of each in-kernel service was to run a timer, over time."""
    plot = Plot(f"event-loop lag over time: {names(results)}", height=2.8)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        axes.plot(result.lag[:, 0], result.lag[:, 1], "o", color=colour, markersize=4, markeredgewidth=0,
                  label=spoken(name))  # fmt: skip
    time_axis(axes, max(result.seconds for result in results.values()))
    millisecond_axis(axes, "event-loop lag, ms", [result.lag[:, 1] for result in results.values()])
    legend(axes)
    return plot


def percentiles(**results: Result) -> Plot:
    """Draw latency by percentile, with the tail stretched: each mark is a tenth of what was left."""
    plot = Plot(f"latency by percentile: {names(results)}", height=3.2)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        latencies = np.sort(result.latencies_ms)
        left = 1 - (np.arange(latencies.size) + 0.5) / latencies.size  # share of requests slower than this
        axes.plot(1 / left, latencies, color=colour, linewidth=2.2, label=_labelled(name, result))
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


def _labelled(name: str, result: Result) -> str:
    """Return the name of a run whose latencies are drawn, with a warning if they are doubted."""
    return spoken(name) + DOUBTED * result.is_doubted("p50_ms")


def _mark(axes: Axes, metric: str, results: Mapping[float, Result]) -> None:
    """Draw what is not to be trusted hollow."""
    doubted = {at: getattr(run, metric) for at, run in results.items() if run.is_doubted(metric)}
    if doubted:
        axes.plot(
            list(doubted), list(doubted.values()), "o", color=GROUND, markeredgecolor=INK, markersize=7,
            label=None if metric == "p99_ms" else f"hollow:{DOUBTED}", zorder=4,
        )  # fmt: skip


def knee(results: Sequence[Result], limits: Mapping[str, float] | None = None) -> Plot:
    """Draw throughput and latency as the number of users grows, one closed run a point."""
    return sweep("users", {result.users: result for result in results}, limits)


def sweep(label: str, results: Mapping[float, Result], limits: Mapping[str, float] | None = None) -> Plot:
    """Draw throughput and latency against a number that was varied, one run a point."""
    plot = Plot(f"throughput and latency against {label}", height=3.1, columns=2)
    left, right = plot.axes
    runs = results.values()
    left.plot(list(results), [run.throughput for run in runs], "o-", color=AFTER, linewidth=2)
    _mark(left, "throughput", results)
    number_axis(left.yaxis, "requests per second")
    left.set_ylim(0, 1.1 * max(run.throughput for run in runs))
    rules(left, limits)
    right.plot(list(results), [run.p99_ms for run in runs], "s--", color=BEFORE, label="p99", linewidth=1.6)
    right.plot(list(results), [run.p50_ms for run in runs], "o-", color=AFTER, label="p50", linewidth=2)
    _mark(right, "p99_ms", results)
    _mark(right, "p50_ms", results)
    millisecond_axis(right, "latency, ms", [np.array([run.p50_ms, run.p99_ms]) for run in runs])
    for axes in plot.axes:
        axes.set_xscale("log")
        axes.set_xticks(list(results), [number(value) for value in results])
        axes.minorticks_off()
        axes.set_xlabel(label, fontsize=10, color=INK)
        legend(axes)
    return plot
