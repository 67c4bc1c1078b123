"""The judge of one submission: a fork of the worker, outside the sandbox, which alone keeps the verdicts."""

import os
import resource
import signal
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import TypeAdapter

from underload.errors import UnderloadError
from underload.jobs.machine import Held, Machine
from underload.judge import Desk, Observer, Terms, Verdict, frozen, shortened
from underload.loading import prepare, stop_idle
from underload.sandbox import GB
from underload.services import POSTGRES, VALKEY, embedded

FAREWELL_SECONDS = 2.0  # that a judge has to finish a check whose service is gone
MEMORY = 2 * GB  # of the judge: what a service sends it is read, and held, before it is judged

_VERDICTS = TypeAdapter(dict[str, Verdict])


class Judge:
    """A judge that attends to one sandbox. It must be made in a process that has no other threads.

    Args:
        lab: the only lab it judges.
        folder: a directory closed to others, for its socket and its record.
        machine: on which checks take their turns.
        turn: ours for the notebook's cells, which ends when it is judged.
        longest: seconds that a check may take.

    Attributes:
        socket: where the kernel asks.
        over: readable once everything has been judged, or the judge has ended.
    """

    def __init__(self, lab: str, folder: Path, machine: Machine, turn: Held, longest: float) -> None:
        self.socket = folder / "judge.sock"
        self._record = folder / "verdicts.json"
        self._failure = folder / "failure"
        self._turn = turn
        self.over, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        self.socket.chmod(0o666)  # the learner is another user; the folder keeps others out
        listener.listen()
        self._pid = os.fork()
        if not self._pid:
            self.over.close()
            self._be(lab, machine.but(waiting=self._standing_still), longest, listener, theirs)
        listener.close()
        theirs.close()

    def begin(self) -> None:
        """Have everything judged. It is called in the process that all of the notebook descends from."""
        self._turn.release()
        self.over.sendall(os.getpid().to_bytes(8, "big"))

    def _be(
        self, lab: str, machine: Machine, longest: float, listener: socket.socket, orders: socket.socket
    ) -> None:
        """Be the judge: answer the kernel in a thread, and judge when told to. This never returns."""
        try:
            os.setsid()
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            with suppress(ValueError, OSError):  # macOS, or we live under less already
                resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, most))
            prepare()
            turn = {True: machine.alone, False: machine.shared}
            observer = Observer(Terms(lab, self._record, lambda alone: turn[alone](), longest))
            desk = Desk(observer)
            desk.listen(listener)
            threading.Thread(target=desk.serve, daemon=True).start()
            if keeper := orders.recv(8):
                self._keeper = int.from_bytes(keeper, "big")
                observer.judge_all()
                with suppress(OSError):  # nobody waits for it any more
                    orders.sendall(b"over")
                    orders.recv(1)  # which ends when we are not needed any more
            observer.close()
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
        self.over.close()
        try:
            status = psutil.Process(self._pid).wait(FAREWELL_SECONDS)
        except psutil.TimeoutExpired:  # in the midst of a check, of a service that is gone
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
    def _standing_still(self) -> Iterator[None]:
        """Stop all that the notebook and its servers do, while the machine is somebody else's."""
        with ExitStack() as stopped:
            known: set[psutil.Process] = set()
            while found := self._all_of_the_notebook() - known:  # what one has started in the meantime
                stopped.enter_context(frozen(list(found)))
                known |= found
            yield

    def _all_of_the_notebook(self) -> set[psutil.Process]:
        servers = (embedded.process(service) for service in (POSTGRES, VALKEY))
        roots = [server for server in servers if server]
        with suppress(psutil.NoSuchProcess):  # it has ended, and the notebook with it
            found = {*roots, *psutil.Process(self._keeper).children(recursive=True)}
            return found.union(*(server.children(recursive=True) for server in roots))
        return set(roots)
