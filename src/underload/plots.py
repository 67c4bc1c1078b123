"""Every figure of the course, in one style.

Before is grey, after is the accent, a prediction is dotted, a limit is a red rule. The colours are
Okabe and Ito's, told apart by every kind of colour vision.
The figures keep a light ground, so they read alike in JupyterLab's light and dark themes.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

from underload.result import Result, number

BEFORE, AFTER, LIMIT = "#7d7d7d", "#0072B2", "#D03027"
BETWEEN = ("#E69F00", "#009E73")
MARKERS = "osD^vP"
GROUND, INK = "#ffffff", "#222222"
WIDTH, DOTS = 7.6, 200  # inches, dots an inch; shown at half that, for sharp screens

UNITS = {
    "throughput": "requests a second",
    "mean_ms": "mean latency, ms",
    "p50_ms": "p50 latency, ms",
    "p95_ms": "p95 latency, ms",
    "p99_ms": "p99 latency, ms",
    "max_ms": "longest latency, ms",
    "lag_ms": "p99 event-loop lag, ms",
}


class Plot:
    """A figure that a notebook shows, with a text for those who cannot see it."""

    def __init__(self, text: str, height: float, columns: int = 1) -> None:
        self.text = text
        self.figure = Figure(figsize=(WIDTH, height), dpi=DOTS, layout="constrained", facecolor=GROUND)
        self.axes: list[Axes] = list(self.figure.subplots(1, columns, squeeze=False)[0])
        for axes in self.axes:
            axes.set_facecolor(GROUND)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color("#999999")
            axes.tick_params(colors=INK, labelsize=9.5, length=3)
            axes.grid(alpha=0.25, linewidth=0.6)
            axes.set_axisbelow(True)

    def __repr__(self) -> str:
        return f"<figure: {self.text}>"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        drawn, png = BytesIO(), BytesIO()
        self.figure.savefig(drawn, format="png")
        # A hundred colours are all these figures use, and a third of the bytes in the notebook.
        Image.open(drawn).convert("RGB").quantize(100, dither=Image.Dither.NONE).save(
            png, "png", optimize=True
        )
        shown = {"width": int(WIDTH * DOTS / 2), "alt": self.text}
        return {"image/png": png.getvalue(), "text/plain": repr(self)}, {"image/png": shown}


def colours(count: int) -> list[str]:
    """Return a colour for each of ``count`` series, from before (grey) to after (the accent).

    More than four would be a puzzle, so then only the last stands out.
    """
    if count == 1:
        return [BEFORE]
    between = BETWEEN[: count - 2] if count <= 4 else [BEFORE] * (count - 2)
    return [BEFORE, *between, AFTER]


def bars(
    values: Mapping[str, float],
    label: str,
    guess: float | None = None,
    limits: Mapping[str, float] | None = None,
) -> Plot:
    """Draw one bar a value; ``guess`` is dotted, each of ``limits`` is a red rule."""
    plot = Plot(f"{label}: {', '.join(values)}", height=0.75 + 0.42 * len(values) + 0.25 * bool(limits))
    (axes,) = plot.axes
    names = [name.replace("_", " ") for name in values]
    axes.barh(names, list(values.values()), color=colours(len(values)), height=0.62)
    for row, value in enumerate(values.values()):
        axes.annotate(
            f" {number(value)}", (value, row), va="center", fontsize=11, fontweight="bold", color=INK
        )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label, fontsize=10, color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.tick_params(axis="y", labelsize=11, length=0)
    if guess is not None:
        last, name = len(values) - 1, f"your prediction: {number(guess)}"
        axes.plot([guess, guess], [last - 0.45, last + 0.45], ":", color=INK, linewidth=2.6, label=name)
    for name, value in (limits or {}).items():
        axes.axvline(value, color=LIMIT, linewidth=1.6, label=f"{name}: {number(value)}")
    axes.set_xlim(0, 1.15 * max([*values.values(), guess or 0, *(limits or {}).values()]))
    _legend(axes)
    return plot


def latency(**results: Result) -> Plot:
    """Draw every request of each run: when it was sent, how long it took."""
    plot = Plot(f"latency of every request over time: {_names(results)}", height=3.2)
    (axes,) = plot.axes
    for (name, result), colour, marker in zip(results.items(), colours(len(results)), MARKERS, strict=False):
        sent = np.maximum(result.started[result.counted], 0)  # the first were sent while users still started
        axes.plot(
            sent, result.elapsed_ms[result.counted], marker, markersize=3, alpha=0.5, markeredgewidth=0,
            color=colour, label=name.replace("_", " "),
        )  # fmt: skip
    _time_axis(axes, results.values())
    _millisecond_axis(axes, "latency of a request, ms", [result.elapsed_ms for result in results.values()])
    _legend(axes, markerscale=2.5)
    return plot


def lag(**results: Result) -> Plot:
    """Draw how late the event loop of each in-kernel service was to run a timer, over time."""
    plot = Plot(f"event-loop lag over time: {_names(results)}", height=2.8)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        axes.plot(result.lag[:, 0], result.lag[:, 1], "o", color=colour, markersize=4, markeredgewidth=0,
                  label=name.replace("_", " "))  # fmt: skip
    _time_axis(axes, results.values())
    _millisecond_axis(axes, "event-loop lag, ms", [result.lag[:, 1] for result in results.values()])
    _legend(axes)
    return plot


def percentiles(**results: Result) -> Plot:
    """Draw latency by percentile, with the tail stretched: each mark is a tenth of what was left."""
    plot = Plot(f"latency by percentile: {_names(results)}", height=3.2)
    (axes,) = plot.axes
    for (name, result), colour in zip(results.items(), colours(len(results)), strict=True):
        latencies = np.sort(result.latencies_ms)
        left = 1 - (np.arange(latencies.size) + 0.5) / latencies.size  # share of requests slower than this
        axes.plot(1 / left, latencies, color=colour, linewidth=2.2, label=name.replace("_", " "))
    axes.set_xscale("log")
    marks = {1: "0", 2: "50", 10: "90", 100: "99", 1000: "99.9", 10_000: "99.99"}
    longest = 2 * max(result.latencies_ms.size for result in results.values())
    marks = {mark: text for mark, text in marks.items() if mark <= longest}
    axes.set_xticks(list(marks), list(marks.values()))
    axes.minorticks_off()
    axes.set_xlabel("percent of requests that were at least as fast", fontsize=10, color=INK)
    _millisecond_axis(axes, "latency, ms", [result.latencies_ms for result in results.values()])
    _legend(axes)
    return plot


def knee(results: Sequence[Result], limits: Mapping[str, float] | None = None) -> Plot:
    """Draw throughput and latency as the number of users grows, one closed run a point."""
    plot = Plot("throughput and latency against users", height=3.1, columns=2)
    users = [result.users for result in results]
    left, right = plot.axes
    left.plot(users, [result.throughput for result in results], "o-", color=AFTER, linewidth=2)
    left.set_ylabel("requests a second", fontsize=10, color=INK)
    left.set_ylim(0, 1.1 * max(result.throughput for result in results))
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    for name, value in (limits or {}).items():
        left.axhline(value, color=LIMIT, linewidth=1.6, label=f"{name}: {number(value)}")
    _legend(left)
    right.plot(users, [result.p99_ms for result in results], "s--", color=BEFORE, label="p99", linewidth=1.6)
    right.plot(users, [result.p50_ms for result in results], "o-", color=AFTER, label="p50", linewidth=2)
    _millisecond_axis(right, "latency, ms", [np.array([r.p50_ms, r.p99_ms]) for r in results])
    _legend(right)
    for axes in plot.axes:
        axes.set_xscale("log")
        axes.set_xticks(users, [f"{count:,}" for count in users])
        axes.minorticks_off()
        axes.set_xlabel("users", fontsize=10, color=INK)
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
    _legend(axes)
    return plot


def guesses(pairs: Mapping[str, tuple[float, float]]) -> Plot:
    """Draw each prediction against what came out, as a ratio: on the line is exact."""
    plot = Plot(f"predictions against outcomes: {len(pairs)}", height=0.9 + 0.5 * len(pairs))
    (axes,) = plot.axes
    for row, (guess, outcome) in enumerate(pairs.values()):
        ratio = max(guess, 1e-9) / max(outcome, 1e-9)
        axes.plot([1, ratio], [row, row], color=INK, linestyle=":", linewidth=1.6)
        axes.plot(ratio, row, "o", color=AFTER, markersize=8)
        axes.annotate(
            f"{number(guess)} for {number(outcome)}", (ratio, row), (0, 8), textcoords="offset points",
            ha="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.axvline(1, color=INK, linewidth=1.2)
    axes.set_xscale("log")
    reach = max(
        3.0,
        *(max(guess / outcome, outcome / guess) for guess, outcome in pairs.values() if guess and outcome),
    )
    axes.set_xlim(1 / (1.6 * reach), 1.6 * reach)
    axes.set_ylim(len(pairs) - 0.5, -0.7)
    axes.set_yticks(range(len(pairs)), list(pairs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value)}×"))
    axes.minorticks_off()
    axes.set_xlabel("your prediction, as a multiple of what was measured", fontsize=10, color=INK)
    return plot


def _names(results: Mapping[str, Result]) -> str:
    return ", ".join(name.replace("_", " ") for name in results)


def _time_axis(axes: Axes, results: Sequence[Result]) -> None:
    seconds = max(result.seconds for result in results)
    axes.set_xlim(-0.01 * seconds, seconds)
    axes.set_xlabel("seconds since the load began", fontsize=10, color=INK)


def _millisecond_axis(axes: Axes, label: str, values: Sequence[np.ndarray]) -> None:
    """Logarithmic where the values span a factor of 20 or more, since a linear axis would hide the small."""
    axes.set_ylabel(label, fontsize=10, color=INK)
    every = np.concatenate([np.ravel(value) for value in values])
    every = every[every > 0]
    if every.size and every.max() > 20 * np.percentile(every, 5):
        axes.set_yscale("log")
        least = max(0.5, every.min() / 1.5)
        axes.set_ylim(bottom=least, top=every.max() * 1.5)
        steps = (1,) if every.max() > 500 * least else (1, 2, 5)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _legend(axes: Axes, **options: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}
        axes.legend(ncols=4, frameon=False, fontsize=10, labelcolor=INK, **place, **options)
