"""Where a learner's code runs when it is graded: walls, limits, and the way in."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "GB": "limits",
        "Limits": "limits",
        "MB": "limits",
        "Sandbox": "walls",
        "outer": "walls",
        "unavailable": "trial",
    },
)
__all__ = __dir__()
