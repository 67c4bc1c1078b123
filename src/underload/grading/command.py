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
from underload.grading.cohort import Cohort, pending
from underload.grading.hand_ins import Submission
from underload.grading.record import Record
from underload.jobs import exit_on_sigterm

SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")
SUMMARY = "GITHUB_STEP_SUMMARY"  # the environment variable that names a CI job's summary
WRONG_USAGE = 2
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

    def run(self) -> None:
        """Grade, report, and exit: 1 if the grader failed on a submission, 2 on wrong usage."""
        try:
            how = self.jobs, self._shard(), self._isolated(), self.cell_seconds
            cohort = Cohort(self.submissions, self.out, *how)
            todo = self._todo(cohort)
        except UnderloadError as error:
            console.print(f"underload: {error}", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(WRONG_USAGE) from None
        exit_on_sigterm()
        try:
            failures = self._grade(cohort, todo)
        finally:  # stopped half-way, there is a gradebook of what was done
            self._report()
        for record in failures:
            place = f"{record.student}, {record.lab}"
            console.print(f"{place}: {record.reason}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1 if failures else 0)

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

    def _todo(self, cohort: Cohort) -> list[Submission]:
        found = cohort.found()
        if self.out.exists() and not self.out.is_dir():
            raise UnderloadError(f"{self.out} is a file: give --out a folder.")
        records, unread = report.read_all(self.out)
        if records and not self.resume:
            raise UnderloadError(f"{self.out} holds a report: add --resume to go on, or give another folder.")
        for name in unread:
            console.print(f"{name} cannot be read and is graded again.", markup=False, highlight=False)
        return pending(found, self.submissions, records)

    def _grade(self, cohort: Cohort, todo: list[Submission]) -> list[Record]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("grading", total=len(todo))

            def show(record: Record) -> None:
                line = f"{record.student}  {record.lab}  {record.points}/{record.possible}"
                ending = f"  {record.status}: {record.reason}" if record.reason else ""
                progress.console.print(line + ending, markup=False, highlight=False, soft_wrap=True)
                progress.advance(task)

            return cohort.grade(todo, show) if todo else []

    def _report(self) -> None:
        records, _ = report.read_all(self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        report.gradebook(self.out, records)
        report.junit(self.out, records)
        if place := os.environ.get(SUMMARY):
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.write(report.summary_markdown(records))
