"""A job of the grader: one notebook at a time, run in a sandbox before a judge, and watched."""

from underload import lightly  # noqa: F401
from underload.doors import doors

__getattr__, __dir__ = doors(__name__, {"Crew": "crew", "a_workplace": "workplace", "crewed": "crew"})
__all__ = __dir__()
