"""One run of ``underload grade``: its options, its progress, what it prints, and its exit status."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from underload import sandbox
from underload.errors import UnderloadError
from underload.grading import report
from underload.grading.cohort import Cohort, current, pending
from underload.grading.hand_ins import Submission
from underload.grading.names import printable
from underload.grading.record import Record
from underload.jobs import exit_on_sigterm

SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")
SUMMARY = "GITHUB_STEP_SUMMARY"  # the environment variable that names a CI job's summary
GRADER_FAILED, WRONG_USAGE, BELOW_MARK = 1, 2, 3
console = Console(stderr=True)


@dataclass(frozen=True)
class Command:
    """What was asked for on the command line."""

    submissions: Path
    out: Path
    jobs: int
    shard: str
    resume: bool
    isolation_required: bool
    cell_seconds: float
    fail_under: float = 0

    def run(self) -> None:
        """Grade, report, and exit.

        The status is 1 if the grader failed on a submission, 2 on wrong usage, 3 if the points of a student
        at a lab are less than ``fail_under`` percent of what was possible.
        """
        try:
            how = self.jobs, self._shard(), self._isolated(), self.cell_seconds
            cohort = Cohort(self.submissions, self.out, *how)
            found = cohort.found()
            todo = self._todo(cohort.own(found))
        except UnderloadError as error:
            _say(f"underload: {error}")
            raise typer.Exit(WRONG_USAGE) from None
        exit_on_sigterm()
        try:
            failures = self._grade(cohort, todo)
        finally:  # stopped half-way, there is a gradebook of what was done
            rows = self._report(found)
        for record in failures:
            _say(f"{record.student}, {record.lab}: {record.reason}")
        below = [best for best, *_ in rows if self._is_below(best)]
        for best in below:
            points = f"{best.points} of {best.possible} points, below {self.fail_under:g} %"
            _say(f"{best.student}, {best.lab or best.file}: {points}.")
        raise typer.Exit(GRADER_FAILED if failures else BELOW_MARK if below else 0)

    def _is_below(self, best: Record) -> bool:
        if not self.fail_under or best.status == "ignored":
            return False
        return not best.possible or 100 * best.points < self.fail_under * best.possible

    def _shard(self) -> tuple[int, int]:
        match = SHARD.fullmatch(self.shard)
        part, parts = map(int, match.groups()) if match else (0, 0)
        if not 1 <= part <= parts:
            raise UnderloadError(f"--shard {self.shard} is not a part of a whole: give it as in --shard 2/5.")
        return part, parts

    def _isolated(self) -> bool:
        reason = sandbox.unavailable()
        if reason and self.isolation_required:
            raise UnderloadError(f"There is no sandbox, since {reason}; or leave out --isolate required.")
        if reason:
            console.print("[bold red]There is no sandbox.[/]", soft_wrap=True)
            console.print(
                f"The reason: {reason}. Notebooks run with your rights: they can read your files, use the "
                "network, and cheat. Grade only what you would run yourself.",
                markup=False,
                soft_wrap=True,
            )
        return not reason

    def _todo(self, found: list[Submission]) -> list[Submission]:
        if self.out.exists() and not self.out.is_dir():
            raise UnderloadError(f"{self.out} is a file: give --out a folder.")
        records, unread = report.read_all(self.out)
        if records and not self.resume:
            raise UnderloadError(f"{self.out} holds a report: add --resume to go on, or give another folder.")
        for name in unread:
            _say(f"{name} cannot be read and is graded again.")
        return pending(found, records)

    def _grade(self, cohort: Cohort, todo: list[Submission]) -> list[Record]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("grading", total=len(todo))

            def show(record: Record) -> None:
                line = f"{record.student}  {record.lab}  {record.points}/{record.possible}"
                ending = f"  {record.status}: {record.remark}" if record.remark else ""
                usual = record.file == f"{record.student}/{record.lab}.ipynb"
                _say(line + ending + ("" if usual else f"  [{record.file}]"))
                progress.advance(task)

            return cohort.grade(todo, show) if todo else []

    def _report(self, found: list[Submission]) -> list[list[Record]]:
        """Write what is about all submissions, and return the rows of the gradebook."""
        records = current(report.read_all(self.out)[0], found)
        self.out.mkdir(parents=True, exist_ok=True)
        report.gradebook(self.out, records)
        report.junit(self.out, records)
        if place := os.environ.get(SUMMARY):
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.write(report.summary_markdown(records))
        return report.rows(records)


def _say(text: str) -> None:
    """Print what a learner may have had a hand in, so that a terminal does nothing but show it."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
