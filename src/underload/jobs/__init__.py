"""A job of the grader: one notebook at a time, run in a sandbox before a judge, and watched."""

from underload import lightly  # noqa: F401
from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "CellError": "ending",
        "Crew": "crew",
        "JudgedRun": "ending",
        "exit_on_sigterm": "children",
        "new_workplace": "workplace",
    },
)
__all__ = __dir__()
