"""One number of several runs, side by side."""

from underload.errors import UnderloadError
from underload.loading import Result
from underload.teaching import ceilings, plots
from underload.teaching.prediction import Prediction

UNITS = {
    "throughput": "requests per second",
    "mean_ms": "mean latency, ms",
    "p50_ms": "p50 latency, ms",
    "p95_ms": "p95 latency, ms",
    "p99_ms": "p99 latency, ms",
    "max_ms": "longest latency, ms",
    "lag_ms": "p99 event-loop lag, ms",
}
PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}


def compare(
    metric: str, guess: Prediction | None = None, ceiling: str = "", **measured: Result | float
) -> plots.Plot:
    """Draw one number of several runs side by side, and the prediction of the last one.

    Args:
        metric: a number of a `Result`, such as ``"throughput"``; for plain numbers, their unit.
        guess: what was predicted for the last of ``measured``; its outcome is noted, and its number dotted.
        ceiling: the name of a ceiling of lesson 00, drawn as a limit if this machine has been measured.
        **measured: the runs, or plain numbers, by name; before comes first, after comes last.
    """
    if not measured:
        raise UnderloadError(
            'There is nothing to compare. Name each run, as in compare("throughput", naive=naive).'
        )
    values = {name: _value(run, metric) for name, run in measured.items()}
    limits = {name: value for name, value in ceilings.read().items() if name == ceiling}
    if guess is not None:
        guess.outcome = list(values.values())[-1]
    runs = {name: run for name, run in measured.items() if isinstance(run, Result)}
    doubted = {name for name, run in runs.items() if run.is_doubted(metric)}
    bounds = {
        name for name, run in runs.items() if metric in PERCENTILES and run.at_least(PERCENTILES[metric])
    }
    unit = UNITS.get(metric, metric)
    return plots.bars(values, unit, guess and guess.guess, limits, doubted, bounds)


def _value(run: Result | float, metric: str) -> float:
    if not isinstance(run, Result):
        return float(run)
    if metric not in UNITS:
        raise UnderloadError(f"A result has no {metric!r}. Choose one of {', '.join(UNITS)}.")
    return getattr(run, metric)
