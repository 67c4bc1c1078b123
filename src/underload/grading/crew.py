"""The workers of the grader, one a job: each is busy with one notebook, and is replaced when it dies."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from underload.grading import sandbox
from underload.grading.worker import Job

PATIENCE = 1.25  # of what a notebook may take at most, before its worker is given up
TURN = 0.3  # by which another job lengthens what a cell may take, since its checks wait for their turn
FAREWELL_SECONDS = 20


class Worker:
    """A worker process, in a network of its own if it is isolated, with its own servers."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.order: Any = None  # what it is busy with
        self._home = Path(tempfile.mkdtemp(prefix="underload-job-"))
        self._home.chmod(0o711)  # PostgreSQL is nobody when we are root
        command = [sys.executable, "-m", "underload.grading.worker", *job.arguments()]
        self.process = subprocess.Popen(  # noqa: S603
            [*(sandbox.outer() if job.isolated else []), *command],
            env={**os.environ, "UNDERLOAD_HOME": str(self._home / "home")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._home / "errors").open("wb"),
            start_new_session=True,  # Ctrl-C is for the grader, which then ends us
        )

    def begin(self, order: Any, notebook: Path, lab: str) -> None:
        """Have it grade a notebook; ``order`` is given back with the answer."""
        self.order = order
        wish = {"notebook": str(notebook), "lab": lab}
        with suppress(BrokenPipeError):  # it has died, which its answer will tell
            self.process.stdin.write(json.dumps(wish).encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return what came of the order, or how the worker failed."""
        with suppress(ValueError):
            return json.loads(self.process.stdout.readline())
        said = (self._home / "errors").read_text(errors="replace").strip().splitlines()
        return {"failed": f"The grader's worker ended ({said[-1] if said else 'nothing was said'})."}

    def end(self) -> None:
        """End the worker with all that it started."""
        self.process.stdin.close()
        try:
            self.process.wait(FAREWELL_SECONDS if self.order is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self._home, ignore_errors=True)


@contextmanager
def crew(jobs: int, isolated: bool, cell_seconds: float) -> Iterator["Crew"]:
    """Start workers, and end them at the end, however it comes. ``cell_seconds`` is what a cell may take."""
    turn = Path(tempfile.gettempdir(), f"underload-turn-{os.getuid()}.lock")
    cell_seconds *= 1 + TURN * (jobs - 1)
    workers = Crew([Job(number, isolated, str(turn), cell_seconds) for number in range(jobs)])
    try:
        yield workers
    finally:
        workers.end()


class Crew:
    """Workers that take orders when they are free."""

    def __init__(self, jobs: list[Job]) -> None:
        self._selector = selectors.DefaultSelector()
        self._free: list[Worker] = []
        self._busy: list[Worker] = []
        for job in jobs:
            self._free.append(Worker(job))

    @property
    def free(self) -> bool:
        """Whether a worker waits for an order."""
        return bool(self._free)

    @property
    def busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._busy)

    def begin(self, order: Any, notebook: Path, lab: str) -> None:
        """Have a free worker grade a notebook."""
        worker = self._free.pop()
        worker.begin(order, notebook, lab)
        self._busy.append(worker)
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    def answer(self) -> tuple[Any, dict[str, Any]]:
        """Wait for a worker to be done; return its order and the answer."""
        most = max(worker.job.limits.wall_seconds for worker in self._busy) * PATIENCE
        events = self._selector.select(most)
        worker = events[0][0].data if events else self._busy[0]
        answer = worker.answer() if events else {"failed": "The grader's worker did not come back."}
        self._selector.unregister(worker.process.stdout)
        self._busy.remove(worker)
        order = worker.order
        if "failed" in answer:
            worker.end()
            worker = Worker(worker.job)
        worker.order = None
        self._free.append(worker)
        return order, answer

    def end(self) -> None:
        """End all workers."""
        for worker in [*self._busy, *self._free]:
            worker.end()
        self._selector.close()
