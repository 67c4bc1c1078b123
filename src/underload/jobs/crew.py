"""The workers of the grader, one a job: each is busy with one notebook, and is replaced when it dies."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from underload import sandbox
from underload.jobs.ending import JudgedRun
from underload.jobs.worker import Job

START_SECONDS = 120  # that servers may take to be ready for the first one
FAREWELL_SECONDS = 20


class Worker:
    """A worker process, in a network of its own if it is isolated, with its own servers."""

    def __init__(self, job: Job, place: Path) -> None:
        self.job = job
        self.order: Any = None  # what it is busy with
        self._home = Path(tempfile.mkdtemp(prefix="", dir=place))
        self._home.chmod(0o711)  # PostgreSQL runs as the user nobody when we are root
        command = [sys.executable, "-m", "underload.jobs.worker", *job.arguments()]
        with (self._home / "errors").open("wb") as errors:
            self.process = subprocess.Popen(  # noqa: S603
                [*(sandbox.outer() if job.isolated else []), *command],
                env={**os.environ, "UNDERLOAD_HOME": str(self._home / "home"), "TMPDIR": str(self._home)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the grader, which then ends us
            )

    def begin(self, order: Any, notebook: Path, lab: str) -> None:
        """Have it grade a notebook; ``order`` is given back with the answer."""
        self.order = order
        line = json.dumps({"notebook": str(notebook), "lab": lab}) + "\n"
        with suppress(BrokenPipeError):  # it has died, which its answer will tell
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()

    def answer(self) -> JudgedRun:
        """Return what came of the order, or how the worker failed."""
        with suppress(ValidationError):
            return JudgedRun.model_validate_json(self.process.stdout.readline())
        said = (self._home / "errors").read_text(errors="replace").strip().splitlines()
        return _failure(f"The grader's worker ended ({said[-1] if said else 'nothing was said'}).")

    def dismiss(self) -> None:
        """Ask the worker to end."""
        with suppress(BrokenPipeError):  # it has died with an order half-read
            self.process.stdin.close()
        self.process.terminate()

    def end(self) -> None:
        """End the worker with all that it started."""
        self.dismiss()  # once more does no harm
        try:
            self.process.wait(FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self._home, ignore_errors=True)  # the grader's place is cleared at its end


class Crew:
    """Workers that take orders when they are free, and start when they are needed. Leaving ends them all.

    Args:
        jobs: how many at most.
        isolated: whether notebooks run in sandboxes.
        cell_seconds: that a cell may take.
        place: the grader's folder for temporary files, in which each worker has one.
    """

    def __init__(self, jobs: int, isolated: bool, cell_seconds: float, place: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self._place = place
        turn = str(Path(tempfile.gettempdir(), f"underload-turn-{os.getuid()}.lock"))
        # Those for which there is no worker yet.
        self._open = [Job(number, jobs, isolated, turn, cell_seconds) for number in range(jobs)]
        self._free: list[Worker] = []
        self._busy: list[Worker] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        workers = [*self._busy, *self._free]
        for worker in workers:
            worker.dismiss()
        for worker in workers:
            worker.end()
        self._selector.close()

    @property
    def free(self) -> bool:
        """Whether a worker waits for an order, or would."""
        return bool(self._free or self._open)

    @property
    def busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._busy)

    def begin(self, order: Any, notebook: Path, lab: str) -> None:
        """Have a free worker grade a notebook."""
        worker = self._free.pop() if self._free else Worker(self._open.pop(), self._place)
        worker.begin(order, notebook, lab)
        self._busy.append(worker)
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    def answer(self) -> tuple[Any, JudgedRun]:
        """Wait for a worker to be done; return its order and the answer."""
        events = self._selector.select(max(worker.job.longest for worker in self._busy) + START_SECONDS)
        worker = events[0][0].data if events else self._busy[0]
        answer = worker.answer() if events else _failure("The grader's worker did not come back.")
        self._selector.unregister(worker.process.stdout)
        self._busy.remove(worker)
        order = worker.order
        worker.order = None
        if answer.ended == "failed":  # another takes its place
            worker.end()
            self._open.append(worker.job)
        else:
            self._free.append(worker)
        return order, answer


def _failure(reason: str) -> JudgedRun:
    return JudgedRun(ended="failed", reason=reason)
