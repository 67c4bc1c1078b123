"""What is known of one graded submission, as plain data: the JSON file a submission each."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from underload.jobs import CellError
from underload.judge import Check, Verdict

FAILED = "The grader itself failed on this notebook: "  # how such a reason begins
Status = Literal["graded", "broken", "timeout", "crashed", "rejected", "ignored"]


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# Halves of surrogate pairs, which no file holds, are escaped.
Text = Annotated[str, AfterValidator(_writable)]


class Record(BaseModel):
    """One submission and what it earned.

    Attributes:
        student: whose it is.
        lab: the lab, such as ``01-blocking``; nothing if it is for none.
        file: its place in what was handed in, where an archive counts as a folder.
        status: ``graded``, or why not simply that: a ``broken`` one ran to its end, but a cell raised an
            error and a check was never reached; a ``rejected`` one was not run; an ``ignored`` one need not
            be, since it is the same file as another, or is no notebook and lies beside one.
        points: the sum of its checks.
        possible: the most it could have earned; 0 if it is for no lab.
        checks: in the order of the lab.
        errors: the first that its cells ended with, numbered as they were run: with those put right.
        restored_cells: what was put right in the notebook, a phrase each.
        seconds: how long grading took.
        reason: why it was not simply graded, a sentence; nothing if it was.
        digest: SHA-256 of the file handed in, so that a change is noticed; nothing if it was not read.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    student: Text
    lab: Text
    file: Text
    status: Status
    points: NonNegativeInt
    possible: NonNegativeInt
    checks: list[Verdict]
    errors: list[CellError]
    restored_cells: list[Text]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    reason: Text = ""
    digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _adds_up(self) -> "Record":
        if len({check.name for check in self.checks}) < len(self.checks):
            raise ValueError("a check stands there twice")
        if self.points != sum(check.points for check in self.checks):
            raise ValueError("the points are the sum of the checks'")
        if self.possible != sum(check.possible for check in self.checks):
            raise ValueError("the possible points are the sum of the checks'")
        if (self.status == "graded") == bool(self.reason):
            raise ValueError("what was not simply graded has a reason, and nothing else has")
        if not self.was_run and self.points:
            raise ValueError("what was not run earns nothing")
        return self

    @property
    def remark(self) -> str:
        """What kept it from points, as far as it is known: its reason, or the first error of its cells."""
        lost = self.points < self.possible
        return self.reason or (str(self.errors[0]) if lost and self.errors else "")

    @property
    def was_run(self) -> bool:
        """Whether its cells were run at all."""
        return self.status not in ("rejected", "ignored")

    @classmethod
    def of(
        cls,
        student: str,
        lab: str,
        file: str,
        status: Status,
        checks: Iterable[Verdict],
        *,
        errors: Iterable[CellError] = (),
        restored_cells: Iterable[str] = (),
        seconds: float = 0.0,
        reason: str = "",
        digest: str = "",
    ) -> "Record":
        """Return the record of a submission, with the points of its checks added up."""
        checks = list(checks)
        return cls(
            student=student,
            lab=lab,
            file=file,
            status=status,
            points=sum(check.points for check in checks),
            possible=sum(check.possible for check in checks),
            checks=checks,
            errors=list(errors),
            restored_cells=list(restored_cells),
            seconds=round(seconds, 3),
            reason=reason,
            digest=digest,
        )


def unrun(
    student: str,
    lab: str,
    file: str,
    reason: str,
    asked: Iterable[Check] = (),
    *,
    digest: str = "",
    ignored: bool = False,
) -> Record:
    """Return the record of a submission that was not run; ``asked`` are its lab's checks, if it has a lab."""
    checks = [unseen(check, "the notebook was not run") for check in asked]
    status = "ignored" if ignored else "rejected"
    return Record.of(student, lab, file, status, checks, reason=reason, digest=digest)


def unseen(check: Check, why: str = "the notebook never came to this check") -> Verdict:
    """Return that the judge saw nothing of a check, which earns nothing, and for which no lesson helps."""
    return Verdict(
        name=check.name,
        requirement=check.requirement,
        points=0,
        possible=check.points,
        passed=False,
        expected=check.requirement,
        observed=f"nothing, since {why}",
        look="",
        hint="",
    )
