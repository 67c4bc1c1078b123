"""What makes a lesson: a prediction, a comparison, a claim, and the figures."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "ceilings": "ceilings",
        "claim": "claims",
        "compare": "comparison",
        "plots": "plots",
        "predict": "prediction",
        "predictions": "prediction",
    },
)
__all__ = __dir__()
