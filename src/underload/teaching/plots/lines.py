"""Figures of what changes over time."""

from collections.abc import Mapping, Sequence

from underload.teaching.plots.look import (
    AFTER,
    BEFORE,
    BETWEEN,
    INK,
    LIMIT,
    Plot,
    colours,
    legend,
    names,
    number_axis,
    rules,
    shade,
    spoken,
)


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
    plot = Plot(f"{label} over {over}: {names(series)}", height=2.8)
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
            label=spoken(name),
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


def against_theory(
    label: str, over: str, theory: Sequence[tuple[float, float]], measured: Sequence[tuple[float, float]]
) -> Plot:
    """Draw what a formula says of a quantity as a line, and what was measured as points on or off it."""
    plot = Plot(f"{label} over {over}: theory and measured", height=2.8)
    (axes,) = plot.axes
    axes.plot(*zip(*theory, strict=True), color=BEFORE, linewidth=3, label="theory")
    axes.plot(
        *zip(*measured, strict=True),
        color=AFTER,
        marker="o",
        markersize=7,
        linestyle="",
        label="measured, a run each",
        clip_on=False,
        zorder=3,
    )
    number_axis(axes.yaxis, label)
    axes.set_xlabel(over, fontsize=10, color=INK)
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
