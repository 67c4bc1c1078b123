"""The figures of the course. How they look is `underload.plots.look`'s."""

from underload.plots.bars import bars, guesses, parts
from underload.plots.lines import spans, timeline
from underload.plots.look import AFTER, BEFORE, LIMIT, Plot
from underload.plots.runs import knee, lag, latency, percentiles, sweep

__all__ = [
    "AFTER",
    "BEFORE",
    "LIMIT",
    "Plot",
    "bars",
    "guesses",
    "knee",
    "lag",
    "latency",
    "parts",
    "percentiles",
    "spans",
    "sweep",
    "timeline",
]
