"""What a lab's notebook uses: its service, handed to the judge, and the judge's verdicts."""

import html
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from underload import finding
from underload.errors import UnderloadError
from underload.judge import own
from underload.judge.verdict import Verdict
from underload.services import dataset, latest_valkey
from underload.serving import App, start

_failures: Counter[tuple[str, str]] = Counter()


class Lab:
    """A service under the judge's eye.

    Args:
        name: of the lab.
        app: the ASGI app, an import string such as ``"service:app"``, or an `App`, as for `underload.serve`.
        processes: how many uvicorn workers share the port (an import string only).
        **options: uvicorn's settings.

    Raises:
        UnderloadError: there is no such lab, or the service was not up within 5 s.
        Exception: whatever the app itself raised in its start-up.
    """

    def __init__(
        self, name: str, app: Callable[..., Any] | str | App, *, processes: int = 1, **options: Any
    ) -> None:
        self.name = name
        self.server = start(app, name="lab", processes=processes, **options)
        backing = {"database": dataset.latest(), "cache": latest_valkey()}
        opened = own.ask("open", lab=name, url=self.server.url, **backing)
        self._checks: dict[str, dict[str, Any]] = {each["name"]: each for each in opened["checks"]}
        self._verdicts: dict[str, Verdict] = {}

    def check(self, requirement: str) -> None:
        """Have the judge observe one requirement of the lab, and print what it says.

        Raises:
            NotMet: under pytest, the requirement is not met.
            UnderloadError: the judge cannot tell.
        """
        if not self.server.running:
            raise UnderloadError("This service does not run any more. Run the cell with Lab(…) again.")
        began = time.perf_counter()
        answer = own.ask("check", name=requirement)
        if answer["verdict"] is None:
            print(f"· {requirement}: judged once the whole notebook has run")
            return
        verdict = Verdict.model_validate(answer["verdict"])
        self._verdicts[requirement] = verdict
        _failures[self.name, requirement] += not verdict.passed
        finding.tell(self._said(verdict, began), verdict.passed)

    def _said(self, verdict: Verdict, began: float) -> str:
        again = _failures[self.name, verdict.name] > 1
        lines = [verdict.message(hint=again)]
        if not verdict.passed and not again:
            lines.append("  hint:     after the next failure")
        if not verdict.passed and (raised := self.server.exception_since(began)):
            lines.append(f"  raised:   {raised}")
        return "\n".join(lines)

    @property
    def points(self) -> int:
        """Points granted so far."""
        return sum(verdict.points for verdict in self._verdicts.values())

    @property
    def possible(self) -> int:
        """Points that all requirements are worth."""
        return sum(each["points"] for each in self._checks.values())

    def __repr__(self) -> str:
        return f"<Lab {self.name!r}: {self.points} of {self.possible} points>"

    def _repr_html_(self) -> str:
        rows = "".join(self._row(name, each) for name, each in self._checks.items())
        head = "<tr><th></th><th>points</th><th style='text-align:left'>required</th></tr>"
        total = f"<tr><td></td><td style='text-align:right'>{self.points}/{self.possible}</td><td></td></tr>"
        return f"<div class='underload-measured'><table>{head}{rows}{total}</table></div>"

    def _row(self, name: str, each: dict[str, Any]) -> str:
        verdict = self._verdicts.get(name)
        mark = "·" if verdict is None else "✔" if verdict.passed else "✘"
        points = each["points"] if verdict is None else f"{verdict.points}/{verdict.possible}"
        requirement = html.escape(each["requirement"])
        return (
            f"<tr><td>{mark}</td><td style='text-align:right'>{points}</td>"
            f"<td style='text-align:left'>{requirement}</td></tr>"
        )


def upstream(lab: str, name: str) -> str:
    """Return the URL of a service that a lab's service calls, such as ``upstream("blocking", "archive")``.

    The judge runs it, and starts it when first asked. Raises UnderloadError if the lab has none of that name.
    """
    return own.ask("upstream", lab=lab, name=name)["url"]
