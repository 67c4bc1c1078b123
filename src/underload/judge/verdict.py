"""What the judge says about one requirement, as plain data."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Verdict(BaseModel):
    """The outcome of one check.

    Attributes:
        name: of the check.
        requirement: what is required, one sentence.
        points: what was granted: all or nothing.
        possible: what meeting the requirement is worth.
        expected: what was asked where it failed, else the requirement.
        observed: what was seen; of a passed check the figures it rests on.
        look: where in the lesson to look, or nothing.
        hint: what helps somebody who is stuck, or nothing.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(max_length=100)
    requirement: str = Field(max_length=1000)
    points: int = Field(ge=0)
    possible: int = Field(ge=0)
    passed: bool
    expected: str = Field(max_length=2000)
    observed: str = Field(max_length=2000)
    look: str = Field(max_length=1000)
    hint: str = Field(max_length=1000)

    @model_validator(mode="after")
    def _points_follow(self) -> "Verdict":
        if self.points != (self.possible if self.passed else 0):
            raise ValueError("points are all or nothing")
        return self

    @property
    def headline(self) -> str:
        """The verdict in one line. What was measured is in parentheses, where nbval does not compare it."""
        line = f"{'✔' if self.passed else '✘'} {self.points}/{self.possible} {self.requirement}"
        return f"{line} (measured {self.observed})" if self.passed and self.observed else line

    def explanation(self, hint: bool) -> dict[str, str]:
        """Return what explains a failure, by its label; ``hint`` adds the hint. A pass needs none."""
        rows = {"asked": self.expected, "observed": self.observed, "look at": self.look}
        rows |= {"hint": self.hint} if hint else {}
        return {label: text for label, text in rows.items() if text and not self.passed}

    def message(self, hint: bool) -> str:
        """Return what the learner reads, in several lines; ``hint`` adds the hint to a failure."""
        rows = self.explanation(hint).items()
        return "\n".join([self.headline, *(f"  {label + ':':9} {text}" for label, text in rows)])
