"""One job of the grader: it runs notebook after notebook, each in a sandbox and under a judge of its own."""

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nbval.plugin  # noqa: F401 (imported once here, for all the notebooks)

from underload import services
from underload.errors import UnderloadError
from underload.grading import execution
from underload.grading.judging import Judge
from underload.grading.limits import Limits
from underload.grading.sandbox import Sandbox

CELLS = 5  # as long as so many of the longest cells may a whole notebook take


@dataclass(frozen=True)
class Job:
    """How a worker is to work, told on its command line.

    Attributes:
        number: among the workers that run side by side.
        isolated: whether notebooks run in sandboxes.
        turn: a file to lock while something is measured.
        cell_seconds: that one cell may take.
    """

    number: int
    isolated: bool
    turn: str
    cell_seconds: float

    @property
    def limits(self) -> Limits:
        """What one notebook may use."""
        return Limits(wall_seconds=CELLS * self.cell_seconds, cell_seconds=self.cell_seconds)

    def arguments(self) -> list[str]:
        return [json.dumps(asdict(self))]


def grade(notebook: Path, lab: str, job: Job) -> dict[str, Any]:
    """Run one notebook and return how that ended, and what the judge saw, as plain values."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="underload-") as folder:
        judge = Judge(lab, Path(folder), Path(job.turn))
        try:
            sandbox = Sandbox(job.limits, judge=judge.socket, job=job.number, isolated=job.isolated)
            outcome = execution.run(notebook, sandbox)
        finally:
            verdicts = judge.end()
    return {
        "ended": outcome.ended,
        "reason": outcome.reason,
        "errors": outcome.errors,
        "verdicts": {name: verdict.model_dump() for name, verdict in verdicts.items()},
        "seconds": time.monotonic() - began,
    }


def work(job: Job, orders: BinaryIO, answers: BinaryIO) -> None:
    """Grade what is ordered, a line of JSON each, until there are no more orders."""
    for line in orders:
        order = json.loads(line)
        try:
            answer = grade(Path(order["notebook"]), order["lab"], job)
        except UnderloadError as error:
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    """Work for the grader that started this process, over its standard input and output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything else prints is not an answer
    for variable in ("DATABASE_URL", "REDIS_URL"):  # a job's servers are its own
        os.environ.pop(variable, None)
    try:
        work(Job(**json.loads(sys.argv[1])), sys.stdin.buffer, answers)
    finally:
        services.stop()


if __name__ == "__main__":
    main()
