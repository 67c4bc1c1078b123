"""How every figure of the course looks.

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

from underload.loading import number

BEFORE, AFTER, LIMIT = "#7d7d7d", "#0072B2", "#D03027"
BETWEEN = ("#E69F00", "#009E73")
PARTS = (AFTER, *BETWEEN, "#CC79A7", "#56B4E9", BEFORE)  # of one whole
MARKERS = "osD^vP"
GROUND, INK, SHADE = "#ffffff", "#222222", "#f3e3b3"
DOUBTED = "  not to be trusted"  # beside what a result itself doubts
WIDTH, DOTS = 7.6, 200  # inches, dots an inch; shown at half that, for sharp screens


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


def doubt(patch: Any) -> None:
    """Make a bar look like what it is: not to be trusted."""
    patch.set(hatch="///", edgecolor=patch.get_facecolor(), facecolor=GROUND, linewidth=1.6)


def colours(count: int) -> list[str]:
    """Return a colour for each of ``count`` series, from before (grey) to after (the accent).

    More than four would be a puzzle, so then only the last stands out.
    """
    if count == 1:
        return [BEFORE]
    between = BETWEEN[: count - 2] if count <= 4 else [BEFORE] * (count - 2)
    return [BEFORE, *between, AFTER]


def time_axis(axes: Axes, seconds: float) -> None:
    """Label the axis of time, from the opening of a load's window to its end."""
    axes.set_xlim(-0.01 * seconds, seconds)
    axes.set_xlabel("seconds since the load began", fontsize=10, color=INK)


def millisecond_axis(axes: Axes, label: str, values: Sequence[np.ndarray]) -> None:
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


def legend(axes: Axes, **options: Any) -> None:
    """Name the series above the figure, if they have names."""
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}
        axes.legend(ncols=4, frameon=False, fontsize=10, labelcolor=INK, **place, **options)


def number_axis(axis: Any, label: str) -> None:
    """Label an axis of plain numbers."""
    axis.set_label_text(label, fontsize=10, color=INK)
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def rules(axes: Axes, limits: Mapping[str, float] | None) -> None:
    """Draw each limit as a red rule across."""
    for name, value in (limits or {}).items():
        axes.axhline(value, color=LIMIT, linewidth=1.6, label=f"{name}: {number(value)}")


def shade(axes: Axes, during: Mapping[str, tuple[float, float]] | None) -> None:
    """Shade each span of time in which something was otherwise, and name it."""
    for name, (begin, end) in (during or {}).items():
        axes.axvspan(begin, end, color=SHADE, linewidth=0, zorder=0, label=name)


def names(series: Mapping[str, object]) -> str:
    """Return the names of series in one line, as they are spoken."""
    return ", ".join(map(spoken, series))


def spoken(name: str) -> str:
    """Return a keyword's name as words."""
    return name.replace("_", " ")
