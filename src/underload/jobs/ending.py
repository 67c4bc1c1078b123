"""What came of a notebook, as plain data that goes from one process of the grader to the next."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from underload.judge import Verdict

LONGEST_ERROR = 300  # characters
LONGEST_LINE = 200
MOST_ERRORS = 20  # that are kept of one notebook


class CellError(BaseModel):
    """An error that ended a cell.

    Attributes:
        cell: its number among the code cells, from 1.
        error: the last line of what Python says, such as ``ZeroDivisionError: division by zero``.
        line: the line of the notebook that raised it, such as ``1 / 0``, in the innermost function that a
            cell defines; nothing if the error does not say.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    cell: PositiveInt
    error: str = Field(max_length=LONGEST_ERROR)
    line: str = Field(default="", max_length=LONGEST_LINE)

    def __str__(self) -> str:
        where = f", at the line “{self.line}”" if self.line else ""
        return f"Code cell {self.cell} raised {self.error.removesuffix('.')}{where}."


class Ending(BaseModel):
    """How the run of a notebook ended. It says nothing about points.

    Attributes:
        ended: ``finished`` when every cell had its turn, whether or not it failed; ``timeout`` when a cell or
            all of them took too long; ``crashed`` when the kernel ended, or used more than it may; ``failed``
            for a reason for which the notebook cannot be blamed.
        reason: why it was not simply finished: one sentence, or nothing.
        errors: the first that cells ended with, in order.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ended: Literal["finished", "timeout", "crashed", "failed"]
    reason: str = ""
    errors: list[CellError] = []


class JudgedRun(Ending):
    """What a worker answers: how the run ended, and what the judge saw of it.

    Attributes:
        verdicts: the judge's, by the name of the check.
        seconds: that all took.
    """

    verdicts: dict[str, Verdict] = {}
    seconds: NonNegativeFloat = 0.0
