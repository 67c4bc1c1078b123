"""Figures of numbers side by side."""

from collections.abc import Collection, Mapping
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from underload.loading import number
from underload.teaching.plots.look import (
    AFTER,
    DOUBTED,
    GROUND,
    INK,
    LIMIT,
    PARTS,
    Plot,
    colours,
    doubt,
    legend,
    names,
    number_axis,
    spoken,
)


def bars(
    values: Mapping[str, float],
    label: str,
    guess: float | None = None,
    limits: Mapping[str, float] | None = None,
    doubted: Collection[str] = (),
    at_least: Collection[str] = (),
) -> Plot:
    """Draw one bar a value; ``guess`` is dotted, each of ``limits`` is a red rule.

    Bars of those ``doubted`` are hatched and say so; those known to be ``at_least`` so long say that. A value
    that is NaN, since it was not measured, has no bar.
    """
    plot = Plot(f"{label}: {', '.join(values)}", height=0.75 + 0.42 * len(values) + 0.25 * bool(limits))
    (axes,) = plot.axes
    drawn = axes.barh(
        range(len(values)), np.nan_to_num(list(values.values())), color=colours(len(values)), height=0.62
    )
    for bar, name in zip(drawn, values, strict=True):
        if name in doubted:
            doubt(bar)
    texts = {
        name: f"{'≥ ' * (name in at_least)}{number(value)}{DOUBTED * (name in doubted)}"
        if value == value
        else "too few requests"
        for name, value in values.items()
    }
    _rows(axes, values, label, texts)
    if guess is not None:
        last, name = len(values) - 1, f"your prediction: {number(guess)}"
        axes.plot([guess, guess], [last - 0.45, last + 0.45], ":", color=INK, linewidth=2.6, label=name)
    for name, value in (limits or {}).items():
        axes.axvline(value, color=LIMIT, linewidth=1.6, label=f"{name}: {number(value)}")
    longest = np.nanmax([*values.values(), guess or 0, *(limits or {}).values()])
    axes.set_xlim(0, (1.35 if doubted else 1.15) * (longest or 1))
    legend(axes)
    return plot


def parts(label: str, **wholes: Mapping[str, float]) -> Plot:
    """Draw one bar a whole, made of its named parts, the same part in the same colour throughout."""
    kinds = list(dict.fromkeys(part for whole in wholes.values() for part in whole))
    plot = Plot(f"{label}: {names(wholes)}, each as {', '.join(kinds)}", height=1.0 + 0.42 * len(wholes))
    (axes,) = plot.axes
    ends = np.zeros(len(wholes))
    for name, colour in zip(kinds, cycle(PARTS), strict=False):
        lengths = np.array([whole.get(name, 0.0) for whole in wholes.values()])
        axes.barh(range(len(wholes)), lengths, left=ends, color=colour, height=0.62, label=name)
        ends += lengths
    _rows(axes, dict(zip(wholes, ends, strict=True)), label)
    axes.set_xlim(0, 1.15 * max(ends))
    legend(axes)
    return plot


def _rows(axes: Axes, ends: Mapping[str, float], label: str, texts: Mapping[str, str] | None = None) -> None:
    """Name the bars that lie one below the other, and write the figure at the end of each."""
    axes.set_yticks(range(len(ends)), list(map(spoken, ends)))
    for row, (name, end) in enumerate(ends.items()):
        text = texts[name] if texts else number(end)
        axes.annotate(
            text, (np.nan_to_num(end), row), (5, 0), textcoords="offset points", va="center", fontsize=11,
            fontweight="bold", color=INK, bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    number_axis(axes.xaxis, label)
    axes.tick_params(axis="y", labelsize=11, length=0)


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
