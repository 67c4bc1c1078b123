"""A child process that ends when its parent does, however the parent ends."""

import _thread
import os
import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_TETHER = "UNDERLOAD_TETHER"


class Child:
    """A Python module running as ``python -m module arguments`` in a session of its own.

    The child holds one end of a pipe, we hold the other. If this process dies, even by
    ``kill -9``, the pipe closes and the child ends itself and all that it started.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), **popen: Any) -> None:
        theirs, ours = os.pipe()
        self._ours: int | None = ours
        environment = {**os.environ, **popen.pop("env", {}), _TETHER: str(theirs)}
        try:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "underload.child", module, *arguments],
                env=environment,
                pass_fds=[theirs],
                start_new_session=True,
                **popen,
            )
        except BaseException:  # the stop button too: a child that did start ends by this
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, patience: float = 0.0) -> None:
        """Ask the child to finish, wait ``patience`` seconds, then end it and its children."""
        try:
            if patience and self.running:
                self.process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
        finally:
            self._end()

    def _end(self) -> None:
        if self._ours is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # macOS: not permitted once all are dead
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)
        self._ours = None
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def raise_file_limit() -> None:
    """A socket is a file: allow this process as many as the system lets its user have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (most, 10_240):  # macOS calls its limit infinite, and grants this
        with suppress(ValueError, OSError):
            return resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    return None


def _watch(tether: int) -> None:
    os.read(tether, 1)  # returns only when the parent's end closes
    os.killpg(os.getpid(), signal.SIGKILL)


def _main() -> None:
    tether = int(os.environ.pop(_TETHER))
    os.set_inheritable(tether, False)
    # Not threading.Thread: gevent cannot patch a module whose threads it does not know.
    _thread.start_new_thread(_watch, (tether,))
    raise_file_limit()
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
