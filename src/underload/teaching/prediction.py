"""A number committed to before it is measured, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from underload.errors import UnderloadError
from underload.loading import number
from underload.teaching import plots

_predictions: dict[str, "Prediction"] = {}


@dataclass
class Prediction:
    """A number committed to before it was measured; no ``guess`` if the learner gave none."""

    question: str
    guess: float | None
    outcome: float | None = None

    def __repr__(self) -> str:
        if self.guess is None:
            return f"No prediction: {self.question}"
        return f"Predicted: {self.question}: {number(self.guess)}"


def predict(question: str, guess: float | None = None) -> Prediction:
    """Commit to a number before measuring it. Give the prediction to the `compare` that answers it.

    Without a number it says where yours goes, and the measurement goes on without one. Asking the same
    question again replaces the earlier prediction. Raises UnderloadError if ``guess`` is no number.
    """
    if guess is None:
        print(f'Your number goes in: predict("{question}", <number>)')
    prediction = Prediction(question, _number(question, guess))
    _predictions[question] = prediction
    return prediction


def predictions() -> plots.Plot | None:
    """Draw every prediction of this notebook that was answered, against its outcome.

    Without a number in any of them there is nothing to draw, and a sentence says so.

    Raises:
        UnderloadError: none was answered.
    """
    answered = [each for each in _predictions.values() if each.outcome is not None]
    if not answered:
        raise UnderloadError("No prediction has been answered yet. Run the cells above from the top.")
    numbered: Mapping[str, tuple[float, float]] = {
        each.question: (each.guess, each.outcome) for each in answered if each.guess is not None
    }
    if numbered:
        return plots.guesses(numbered)
    print("You gave none of the predictions a number, so there is none to hold against its outcome.")
    return None


def _number(question: str, guess: float | None) -> float | None:
    try:
        return None if guess is None else float(guess)
    except (TypeError, ValueError):
        raise UnderloadError(
            f"A prediction is a number, and {guess!r} is none: write predict({question!r}, 500), with yours."
        ) from None
