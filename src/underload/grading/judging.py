"""The judge of one submission: a fork of the worker, outside the sandbox, which alone keeps the verdicts."""

import json
import os
import signal
import socket
import time
import traceback
from pathlib import Path

import filelock
from pydantic import TypeAdapter, ValidationError

from underload import generator
from underload.judge.observer import Desk, Observer, Terms
from underload.judge.verdict import Verdict

FAREWELL_SECONDS = 2.0  # that a judge has to finish a check whose asker has gone
MOST_ASKED = 3  # times that a run may ask for one check, so that it cannot try its luck

_VERDICTS = TypeAdapter(dict[str, Verdict])


class Judge:
    """A judge that attends to one sandbox. It must be made in a process that has no other threads.

    Args:
        lab: the only lab it judges.
        folder: a directory closed to others, for its socket and its record.
        turn: a file to lock during a check, so that checks on one machine do not disturb each other.
    """

    def __init__(self, lab: str, folder: Path, turn: Path) -> None:
        self.socket = folder / "judge.sock"
        self._record = folder / "verdicts.json"
        self._line, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        self.socket.chmod(0o666)  # the learner is nobody; the folder keeps others out
        listener.listen()
        self._pid = os.fork()
        if not self._pid:
            self._line.close()
            self._judge(lab, turn, listener, theirs)
        listener.close()
        theirs.close()

    def _judge(self, lab: str, turn: Path, listener: socket.socket, farewell: socket.socket) -> None:
        try:
            os.setsid()
            generator.prepare()
            terms = Terms(lab, self._record, lambda: filelock.FileLock(turn, mode=0o666), MOST_ASKED)
            desk = Desk(Observer(terms))
            desk.listen(listener)
            desk.serve(until=farewell)
            generator.stop_idle()
            os._exit(0)  # what the worker registered for its own end is not ours to do
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def end(self) -> dict[str, Verdict]:
        """End the judge and return its verdicts by name."""
        self._line.close()
        deadline = time.monotonic() + FAREWELL_SECONDS
        while not os.waitpid(self._pid, os.WNOHANG)[0]:
            if time.monotonic() > deadline:  # in the midst of a check, for a kernel that is gone
                os.killpg(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.01)
        return self._verdicts()

    def _verdicts(self) -> dict[str, Verdict]:
        try:
            return _VERDICTS.validate_json(self._record.read_bytes())
        except (FileNotFoundError, ValidationError, json.JSONDecodeError):
            return {}
