"""The judge of one submission: a fork of the worker, outside the sandbox, which alone keeps the verdicts."""

import fcntl
import os
import resource
import signal
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import TypeAdapter

from underload.errors import UnderloadError
from underload.judge import Desk, Observer, Terms, Verdict, shortened
from underload.loading import prepare, stop_idle
from underload.sandbox import GB

FAREWELL_SECONDS = 2.0  # that a judge has to finish a check whose asker has gone
MOST_ASKED = 5  # times that a run may ask for one check, so that it cannot try its luck
MEMORY = 2 * GB  # of the judge: what a service sends it is read, and held, before it is judged

_VERDICTS = TypeAdapter(dict[str, Verdict])


class Judge:
    """A judge that attends to one sandbox. It must be made in a process that has no other threads.

    Args:
        lab: the only lab it judges.
        folder: a directory closed to others, for its socket and its record.
        turn: a file to lock during a check, so that checks on one machine do not disturb each other.
        longest: seconds that a check may take.
    """

    def __init__(self, lab: str, folder: Path, turn: Path, longest: float) -> None:
        self.socket = folder / "judge.sock"
        self._record = folder / "verdicts.json"
        self._failure = folder / "failure"
        self._line, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        self.socket.chmod(0o666)  # the learner is another user; the folder keeps others out
        listener.listen()
        terms = Terms(lab, self._record, lambda: _turn(turn), longest, MOST_ASKED)
        self._pid = os.fork()
        if not self._pid:
            self._line.close()
            self._judge(terms, listener, theirs)
        listener.close()
        theirs.close()

    def _judge(self, terms: Terms, listener: socket.socket, farewell: socket.socket) -> None:
        try:
            os.setsid()
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            with suppress(ValueError, OSError):  # macOS, or we live under less already
                resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, most))
            prepare()
            desk = Desk(Observer(terms))
            desk.listen(listener)
            desk.serve(until=farewell)
            stop_idle()
            os._exit(0)  # what the worker registered for its own end is not ours to do
        except BaseException as error:
            self._failure.write_text(f"{type(error).__name__}: {error}")
            traceback.print_exc()
        finally:
            os._exit(1)

    def end(self) -> dict[str, Verdict]:
        """End the judge and return its verdicts by name.

        Raises:
            UnderloadError: it had ended before, for which no notebook can be blamed.
        """
        self._line.close()
        try:
            status = psutil.Process(self._pid).wait(FAREWELL_SECONDS)
        except psutil.TimeoutExpired:  # in the midst of a check, for a kernel that is gone
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            return self._verdicts()
        if status:
            why = self._failure.read_text() if self._failure.exists() else f"status {status}"
            raise UnderloadError(f"The judge ended ({shortened(why)}): see that its checks work, and resume.")
        return self._verdicts()

    def _verdicts(self) -> dict[str, Verdict]:
        try:
            return _VERDICTS.validate_json(self._record.read_bytes())
        except FileNotFoundError:  # no check was asked for
            return {}


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Hold a file locked meanwhile.

    A waiting job is woken when the file becomes free, rather than looking now and then, so that a job with
    many long checks cannot keep the others out.
    """
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
