"""A cohort's submissions, graded: found, read, grafted, run, and each reported as soon as it is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import nbformat

from underload.authoring import judged_as, lab_from, lab_stems
from underload.course import SOLUTIONS
from underload.grading import report
from underload.grading.graft import graft
from underload.grading.hand_ins import Submission, find, read
from underload.grading.intake import Rejected
from underload.grading.record import FAILED, Record, Status, unrun, unseen
from underload.jobs import Crew, JudgedRun, new_workplace
from underload.judge import Check, load_requirements


@dataclass(frozen=True)
class Order:
    """A submission on its way through a worker."""

    submission: Submission
    restored: list[str]
    notebook: Path


@dataclass(frozen=True)
class Cohort:
    """What is to be graded and where the report goes.

    Attributes:
        submissions: the folder, or the one notebook.
        out: the folder of the report.
        jobs: how many notebooks to run side by side.
        shard: which part of how many, from (1, 1).
        isolated: whether notebooks run in sandboxes.
        cell_seconds: that one cell may take.
    """

    submissions: Path
    out: Path
    jobs: int = 1
    shard: tuple[int, int] = (1, 1)
    isolated: bool = True
    cell_seconds: float = 120

    def found(self) -> list[Submission]:
        """Return all submissions, in order. Raises UnderloadError if there are none."""
        return find(self.submissions, SOLUTIONS, besides=self.out.resolve())

    def own(self, found: list[Submission]) -> list[Submission]:
        """Return those of this shard. A student's attempts at one lab are all in one."""
        part, parts = self.shard
        mine = set(list(dict.fromkeys((each.student, each.lab) for each in found))[part - 1 :: parts])
        return [each for each in found if (each.student, each.lab) in mine]

    def grade(self, todo: list[Submission], show: Callable[[Record], None]) -> list[Record]:
        """Grade submissions, write each one's report, and pass each record to ``show``.

        Returns:
            The records on which the grader itself failed. They are graded again by a resumed run.
        """
        failures = []
        with closing(self._records(todo)) as records:
            for record in records:
                report.write(self.out, record)
                show(record)
                if record.reason.startswith(FAILED):
                    failures.append(record)
        return failures

    def _records(self, todo: list[Submission]) -> Iterator[Record]:
        jobs = min(self.jobs, len(todo))
        with new_workplace() as place, Crew(jobs, self.isolated, self.cell_seconds, place) as crew:
            folder = place / "notebooks"
            folder.mkdir(mode=0o700)
            waiting = list(reversed(todo))
            while waiting or crew.busy:
                if not waiting or not crew.free:
                    order, run = crew.answer()
                    order.notebook.unlink()
                    yield _record(order, run)
                elif record := self._begin(waiting.pop(), crew, folder):
                    yield record

    def _begin(self, submission: Submission, crew: Crew, folder: Path) -> Record | None:
        """Give a submission to a worker, or return the record of one that cannot be run."""
        student, lab = submission.student, submission.lab
        try:
            order = self._prepare(submission, folder)
            if isinstance(order, Record):
                return order
        except Exception as error:  # such as a lab's whose checks cannot be imported: there are others
            reason = f"{FAILED}{type(error).__name__}: {error}"
            return Record.of(student, lab, submission.file, "crashed", [], reason=reason)
        crew.begin(order, order.notebook, judged_as(lab))
        return None

    def _prepare(self, submission: Submission, folder: Path) -> Order | Record:
        student, lab, file = submission.key
        try:
            notebook = read(submission)
        except Rejected as refusal:
            about = {"digest": submission.digest, "ignored": submission.needless}
            return unrun(student, lab, file, refusal.reason, asked(lab), **about)
        grafted, restored = graft(notebook, lab_from(SOLUTIONS / f"{lab}.ipynb"))
        path = folder / f"{time.monotonic_ns()}.ipynb"
        nbformat.write(grafted, path)
        return Order(submission, restored, path)


def pending(found: list[Submission], records: list[Record]) -> list[Submission]:
    """Return what a resumed run has to grade: what was not run yet, or has changed since it was."""
    known = {(each.student, each.lab, each.file): each.digest for each in records if each.was_run}
    return [each for each in found if each.problem or known.get(each.key) != each.digest]


def current(records: list[Record], found: list[Submission]) -> list[Record]:
    """Return the records without those of files that have gone while others took their place.

    A student of whom nothing is found, or nothing for that lab, was graded by another run, and stays.
    """
    keys = {each.key for each in found}
    students, labs = {each.student for each in found}, {(each.student, each.lab) for each in found}

    def is_current(record: Record) -> bool:
        is_others = (record.student, record.lab) not in labs if record.lab else record.student not in students
        return is_others or (record.student, record.lab, record.file) in keys

    return [each for each in records if is_current(each)]


def asked(lab: str) -> list[Check]:
    """Return the checks of a lab by its stem, none if there is no such lab."""
    return list(load_requirements(judged_as(lab)).checks.values()) if lab in lab_stems(SOLUTIONS) else []


def _record(order: Order, run: JudgedRun) -> Record:
    """Return what came of an order. Only the verdicts on checks of this lab count."""
    submission = order.submission
    checks = asked(submission.lab)
    status, reason = _status(run, complete=all(check.name in run.verdicts for check in checks))
    return Record.of(
        submission.student,
        submission.lab,
        submission.file,
        status,
        [run.verdicts.get(check.name) or unseen(check) for check in checks],
        errors=run.errors,
        restored_cells=order.restored,
        seconds=run.seconds,
        reason=reason,
        digest="" if run.ended == "failed" else submission.digest,
    )


def _status(run: JudgedRun, complete: bool) -> tuple[Status, str]:
    """Return the status of a record, and its reason if the notebook did not come to all of its checks."""
    if run.ended == "failed":
        return "crashed", FAILED + run.reason
    if complete:  # how it ended after the last check does not matter
        return "graded", ""
    if run.ended == "finished":
        return ("broken", str(run.errors[0])) if run.errors else ("graded", "")
    return run.ended, run.reason
