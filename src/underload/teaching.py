"""What makes a lesson: a prediction, a comparison, a claim."""

from collections.abc import Mapping
from dataclasses import dataclass

from underload import ceilings, plots
from underload.errors import UnderloadError
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

_predictions: dict[str, "Prediction"] = {}


@dataclass
class Prediction:
    """A number committed to before it was measured."""

    question: str
    guess: float
    outcome: float | None = None

    def __repr__(self) -> str:
        return f"Predicted: {self.question}: {number(self.guess)}"


def predict(question: str, guess: float) -> Prediction:
    """Commit to a number before measuring it. Give the prediction to the `compare` that answers it.

    Asking the same question again replaces the earlier prediction.
    """
    prediction = Prediction(question, float(guess))
    _predictions[question] = prediction
    return prediction


def compare(
    metric: str, guess: Prediction | None = None, ceiling: str = "", **measured: Result | float
) -> plots.Plot:
    """Draw one number of several runs side by side, and the prediction of the last one.

    Args:
        metric: a number of a `Result`, such as ``"throughput"``; for plain numbers, their unit.
        guess: what was predicted for the last of ``measured``; it is dotted, and its outcome is noted.
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
    return plots.bars(values, UNITS.get(metric, metric), guess and guess.guess, limits)


def _value(run: Result | float, metric: str) -> float:
    if not isinstance(run, Result):
        return float(run)
    if metric not in UNITS:
        raise UnderloadError(f"A result has no {metric!r}. Choose one of {', '.join(UNITS)}.")
    return getattr(run, metric)


def claim(statement: str, holds: bool, measured: float | str = "") -> None:
    """Print whether what was measured bears ``statement`` out. ``measured`` is the figure it rests on."""
    figure = number(measured) if isinstance(measured, int | float) else measured
    print(f"{'✔' if holds else '✘'} {statement}" + (f" (measured {figure})" if figure else ""))
    if not holds:
        print("  Not in this run. Measure again; `underload doctor` says what may have disturbed it.")


def predictions() -> plots.Plot:
    """Draw every prediction of this notebook that was answered, against its outcome.

    Raises:
        UnderloadError: none was.
    """
    answered: Mapping[str, tuple[float, float]] = {
        prediction.question: (prediction.guess, prediction.outcome)
        for prediction in _predictions.values()
        if prediction.outcome is not None
    }
    if not answered:
        raise UnderloadError("No prediction has been answered yet. Run the cells above from the top.")
    return plots.guesses(answered)
