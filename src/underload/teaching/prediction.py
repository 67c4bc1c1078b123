"""A number committed to before it is measured, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from underload.errors import UnderloadError
from underload.loading import number
from underload.teaching import plots

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
