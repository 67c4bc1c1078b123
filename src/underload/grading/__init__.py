"""Grading a cohort: submissions found, read defensively, run as jobs, reported."""

from underload import lightly  # noqa: F401
from underload.doors import doors

__getattr__, __dir__ = doors(__name__, {"Command": "command"})
__all__ = __dir__()
