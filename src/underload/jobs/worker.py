"""One job of the grader: it runs notebook after notebook, each in a sandbox and under a judge of its own."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import nbval.plugin  # noqa: F401 (imported once here, for all the notebooks)

from underload import services
from underload.errors import UnderloadError
from underload.jobs import execution
from underload.jobs.children import die_with_parent, exit_on_sigterm, fork
from underload.jobs.ending import JudgedRun
from underload.jobs.judging import Judge
from underload.jobs.machine import Machine
from underload.judge import LONGEST_CHECK, accounts, load_requirements
from underload.sandbox import Limits, Sandbox
from underload.services import dataset, state

CELLS = 5  # as long as so many of the longest cells may a whole notebook take
MOST_CHECKS = 20  # of a lab


@dataclass(frozen=True)
class Job:
    """How a worker is to work, told on its command line.

    Attributes:
        number: among the workers that run side by side.
        jobs: how many these are.
        isolated: whether notebooks run in sandboxes.
        turn: a file to lock while something is measured.
        cell_seconds: that one cell may take.
    """

    number: int
    jobs: int
    isolated: bool
    turn: str
    cell_seconds: float

    @property
    def check_seconds(self) -> float:
        """How long one check may take: no longer than a cell."""
        return min(LONGEST_CHECK, self.cell_seconds)

    @property
    def limits(self) -> Limits:
        """What one notebook may use until it is judged."""
        return Limits(wall_seconds=CELLS * self.cell_seconds, cell_seconds=self.cell_seconds)

    @property
    def longest(self) -> float:
        """Seconds in which a notebook is graded, whatever it and those of the other jobs do."""
        return self.jobs * (self.limits.wall_seconds + MOST_CHECKS * self.check_seconds)

    def arguments(self) -> list[str]:
        return [json.dumps(asdict(self))]


def grade(notebook: Path, lab: str, job: Job) -> JudgedRun:
    """Run one notebook and return how that ended, and what the judge saw.

    Raises:
        UnderloadError: for a reason for which the notebook cannot be blamed.
    """
    machine = Machine(Path(job.turn))
    run, was_shared = _graded(notebook, lab, job, machine)
    if was_shared and _may_have_been_kept_waiting(run):
        with machine.alone():  # where it shows whether it was a neighbour's doing
            run, _ = _graded(notebook, lab, job, machine.but(is_ours=True))
    return run


def _may_have_been_kept_waiting(run: JudgedRun) -> bool:
    """Tell whether a cell took too long, or the service did not start in time."""
    return run.ended == "timeout" or (run.ended == "finished" and bool(run.errors) and not run.verdicts)


def _graded(notebook: Path, lab: str, job: Job, machine: Machine) -> tuple[JudgedRun, bool]:
    """Run one notebook once; tell also whether others used the machine, too."""
    with machine.shared() as turn, _servers(lab, machine), tempfile.TemporaryDirectory(prefix="") as folder:
        began = time.monotonic()
        judge = Judge(lab, Path(folder), machine, turn, job.check_seconds)
        try:
            sandbox = Sandbox(job.limits, judge=judge.socket, job=job.number, isolated=job.isolated)
            ending = execution.run(notebook, sandbox, state.home(), judge)
        finally:
            verdicts = judge.end()
            turn.release()
    run = JudgedRun(**dict(ending), verdicts=verdicts, seconds=time.monotonic() - began)
    return run, turn.was_shared


@contextmanager
def _servers(lab: str, machine: Machine) -> Iterator[None]:
    """Have ready what a lab's checks look at, and clear up what the notebook did with it.

    The machine is taken for the end alone, since what is ready may stand still while others measure.
    """
    _in_own_process(lambda: _start_servers(lab))
    try:
        yield
    finally:
        # The verdicts of this notebook stand. The next one needs its servers, and says if they do not come.
        with machine.shared(), suppress(UnderloadError):
            _in_own_process(accounts.close)


def _start_servers(lab: str) -> None:
    """Start what a lab's checks look at, so that the first of its notebooks does not wait for that."""
    needed = {name for check in load_requirements(lab).checks.values() for name in check.needs}
    if "db" in needed:
        dataset.truth(services.postgres())
    if "cache" in needed:
        services.valkey()


def _in_own_process(work: Callable[[], None]) -> None:
    """Do something in a process of its own, since no thread may be left in this one, which forks.

    Raises:
        UnderloadError: it failed.
    """

    def tell(pipe: int) -> None:
        try:
            work()
        except Exception as error:
            os.write(pipe, (str(error) or type(error).__name__).encode(errors="replace")[:1000])

    child, pipe = fork(tell)
    with os.fdopen(pipe, "rb") as told:
        said = told.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if said or status:
        raise UnderloadError(said or f"A process of the grader's own ended with status {status}.")


def work(job: Job, orders: BinaryIO, answers: BinaryIO) -> None:
    """Grade what is ordered, a line of JSON each, until there are no more orders."""
    for line in orders:
        order = json.loads(line)
        try:
            answer = grade(Path(order["notebook"]), order["lab"], job)
        except UnderloadError as error:
            answer = JudgedRun(ended="failed", reason=str(error))
        answers.write(answer.model_dump_json().encode() + b"\n")
        answers.flush()


def main() -> None:
    """Work for the grader that started this process, over its standard input and output."""
    exit_on_sigterm()
    die_with_parent(signal.SIGTERM)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything else prints is not an answer
    for variable in ("DATABASE_URL", "REDIS_URL"):  # a job's servers are its own
        os.environ.pop(variable, None)
    try:
        try:
            work(Job(**json.loads(sys.argv[1])), sys.stdin.buffer, answers)
        finally:  # should we be told to end while we do, then this line raises
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    finally:
        services.stop()


if __name__ == "__main__":
    main()
