"""What a lab asks: requirements with points, and how they are looked up in ``labs/checks``."""

import importlib.util
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from underload.course import CHECKS
from underload.errors import UnderloadError
from underload.judge.upstream import Upstream

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Check:
    """One requirement of a lab.

    Attributes:
        name: what `Lab.check` is asked for.
        requirement: what is required, one sentence, as the learner reads it.
        points: what meeting it is worth.
        look: where in the lesson to look.
        hint: what helps somebody who is stuck; `Lab.check` says when it is shown.
        observe: the function that observes; its parameters name what it needs.
        measures: whether it compares speeds or cores, and so takes the machine alone. Those that count, wait,
            kill or compare answers share it with the checks of other jobs.
    """

    name: str
    requirement: str
    points: int
    look: str
    hint: str
    observe: Callable[..., None]
    measures: bool = False

    @property
    def needs(self) -> list[str]:
        """What the observation is given, by name."""
        return list(inspect.signature(self.observe).parameters)


_collected: list[Check] = []


def check(
    *, points: int, look: str, hint: str, measures: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a requirement of the lab; the first line of its docstring is what the learner reads."""

    def register(observe: Callable[..., None]) -> Callable[..., None]:
        requirement = inspect.getdoc(observe) or ""
        sentence = " ".join(requirement.partition("\n\n")[0].split()).rstrip(".")
        _collected.append(Check(observe.__name__, sentence, points, look, hint, observe, measures))
        return observe

    return register


def labs() -> list[str]:
    """Return the names of the labs that have checks."""
    return sorted(path.stem for path in CHECKS.glob("*.py") if NAME.fullmatch(path.stem))


@dataclass(frozen=True)
class Requirements:
    """What one lab asks, and the services of the judge's own that it comes with, each by name."""

    lab: str
    checks: dict[str, Check]
    upstreams: dict[str, Upstream]


def load_requirements(lab: str) -> Requirements:
    """Load the file of a lab's checks afresh.

    Raises:
        UnderloadError: there is no such lab.
    """
    path = CHECKS / f"{lab}.py"
    if not NAME.fullmatch(lab) or not path.is_file():
        raise UnderloadError(f"There is no lab called {lab!r}. The labs are {', '.join(labs())}.")
    spec = importlib.util.spec_from_file_location(f"underload_checks_{lab}", path)
    module = importlib.util.module_from_spec(spec)
    _collected.clear()
    spec.loader.exec_module(module)
    upstreams = [each for each in vars(module).values() if isinstance(each, Upstream)]
    return Requirements(
        lab, {each.name: each for each in _collected}, {each.name: each for each in upstreams}
    )
