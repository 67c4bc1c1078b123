"""The figures of the course. How they look is `underload.teaching.plots.look`'s."""

from underload.teaching.plots.bars import bars, guesses, parts
from underload.teaching.plots.lines import against_theory, spans, timeline
from underload.teaching.plots.look import AFTER, BEFORE, LIMIT, Plot
from underload.teaching.plots.runs import knee, lag, latency, percentiles, sweep

__all__ = [
    "AFTER",
    "BEFORE",
    "LIMIT",
    "Plot",
    "against_theory",
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
