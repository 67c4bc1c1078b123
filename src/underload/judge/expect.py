"""An expectation knows what it saw, so a failed one explains itself."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from underload.loading import number

T = TypeVar("T")

_measured: ContextVar[list[tuple[str, str]] | None] = ContextVar("measured", default=None)


class Failed(Exception):
    """An expectation that was not met.

    Attributes:
        expected: what was asked, in words.
        observed: what was seen instead, in words.
    """

    def __init__(self, expected: str, observed: str) -> None:
        super().__init__(f"asked {expected}, observed {observed}")
        self.expected = expected
        self.observed = observed


class Observed:
    """One thing the judge saw: a value, what it is, and its unit.

    A bound (`at_most`, `at_least`, `within`) notes the figure, for the line that says what was measured.
    """

    def __init__(
        self, value: Any, what: str, unit: str = "", absent: str = "nothing measured", beside: str = ""
    ) -> None:
        self.value = value
        self.what = what
        self.unit = unit
        self.absent = absent  # what to say of NaN
        self.beside = beside  # what else was seen, said where the value is not as it should be

    def at_most(self, limit: float) -> None:
        """Fail unless the value is ``limit`` or less."""
        self._bounded(self._is_number and self.value <= limit, f"at most {self._said(limit)}")

    def at_least(self, limit: float) -> None:
        """Fail unless the value is ``limit`` or more."""
        self._bounded(self._is_number and self.value >= limit, f"at least {self._said(limit)}")

    def within(self, share: float, of: float, why: str = "") -> None:
        """Fail unless the value lies within a ``share`` of the true one, as in ``within(0.1, of=50)``.

        ``why`` says what makes that one true, where it is not plain.
        """
        near = self._is_number and abs(self.value - of) <= share * abs(of)
        reason = f" ({why})" if why else ""
        self._bounded(near, f"within {100 * share:g}% of {self._said(of)}{reason}")

    def equals(self, other: Any) -> None:
        """Fail unless the value is exactly this."""
        if self.value != other or isinstance(self.value, bool) != isinstance(other, bool):
            raise Failed(f"{self.what} exactly {self._said(other)}", self._seen)

    def is_in(self, several: Any) -> None:
        """Fail unless the value is one of ``several``."""
        if self.value not in several:
            raise Failed(f"{self.what} one of {shortened(list(several))}", self._seen)

    @property
    def _is_number(self) -> bool:
        """What a service sent need not be one. NaN, for nothing measured, is one and meets no bound."""
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)

    def _bounded(self, holds: bool, bound: str) -> None:
        if not holds:
            raise Failed(f"{self.what} {bound}", self._seen)
        note(self.what, self._said(self.value))

    @property
    def _seen(self) -> str:
        return self._said(self.value) + (f" ({self.beside})" if self.beside else "")

    def _said(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return shortened(value)
        if value != value:
            return self.absent
        figure = f"{value:,}" if isinstance(value, int) else number(value)
        counts = self.unit.isalpha() and len(self.unit) > 2  # not ms, nor req/s
        return f"{figure} {self.unit.removesuffix('s') if counts and value == 1 else self.unit}".strip()

    def __repr__(self) -> str:
        return f"<Observed {self.what}: {self._said(self.value)}>"


def note(what: str, figure: str) -> None:
    """Add a figure to those that the passed check says it measured."""
    if (figures := _measured.get()) is not None:
        figures.append((what.rpartition(": ")[2], figure))


@contextmanager
def noting() -> Iterator[list[tuple[str, str]]]:
    """Collect what expectations note meanwhile: what was measured, and the figure."""
    figures: list[tuple[str, str]] = []
    token = _measured.set(figures)
    try:
        yield figures
    finally:
        _measured.reset(token)


def listed(figures: list[tuple[str, str]]) -> str:
    """Return figures in one line. A single one needs no name: the requirement says what it is."""
    if len(figures) == 1:
        return figures[0][1]
    return "; ".join(f"{what} {figure}" for what, figure in figures)


def fail(expected: str, observed: str) -> NoReturn:
    """End the check: ``expected`` was asked, ``observed`` was seen."""
    raise Failed(expected, observed)


@contextmanager
def meanwhile(what: str) -> Iterator[None]:
    """Say of what fails here what the judge did at the time, as in ``meanwhile("the archive hangs")``."""
    try:
        yield
    except Failed as failed:
        raise Failed(f"while {what}, {failed.expected}", failed.observed) from None


def every(things: Iterable[T], holds: Callable[[T], bool], expected: str, say: Callable[[T], str]) -> None:
    """Fail unless there are ``things`` and each holds, showing the first that does not, and how many.

    Where ``holds`` raises Failed, that says what was asked and seen of this one.
    """
    things = list(things)
    if not things:
        raise Failed(expected, "nothing to look at")
    faults = [fault for each in things if (fault := _fault(each, holds, expected, say))]
    if faults:
        share = f" ({len(faults):,} of {len(things):,} wrong)" if len(things) > 1 else ""
        raise Failed(faults[0].expected, faults[0].observed + share)


def _fault(thing: T, holds: Callable[[T], bool], expected: str, say: Callable[[T], str]) -> Failed | None:
    try:
        return None if holds(thing) else Failed(expected, say(thing))
    except Failed as fault:
        return fault


def shortened(value: Any, most: int = 120) -> str:
    """Return what a value looks like, in one line of at most ``most`` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * most]).split())
    return text if len(text) <= most else text[: most - 1] + "…"
