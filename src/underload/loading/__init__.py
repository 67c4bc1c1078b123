"""Load on a service, made by a process of its own, and what came of it."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "Request": "request",
        "Result": "result",
        "Sample": "samples",
        "load": "workload",
        "number": "wording",
        "prepare": "process",
        "stop_idle": "process",
    },
)
__all__ = __dir__()
