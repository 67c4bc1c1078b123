"""An app served by uvicorn processes, from an import string."""

import os
import socket
import subprocess
import tempfile
import time
from typing import Any

import psutil

from underload import processor
from underload.child import Child
from underload.errors import UnderloadError
from underload.serving.running import STOP_LIMIT, Server, bind, too_slow

LOG_SHOWN = 1 << 20  # bytes
HOPELESS = "Application startup failed", "] died"  # of one worker among several: uvicorn tries again


class ProcessServer(Server):
    """uvicorn as its own process, with ``processes`` workers on one port."""

    def __init__(
        self, target: str, name: str, port: int, processes: int, start_within: float, **options: Any
    ) -> None:
        with bind(port) as probe:
            super().__init__(name, probe.getsockname()[1])
        self.processes = processes
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._said = ""  # in the end
        flags = [_flag(option, value) for option, value in options.items()]
        if processes > 1:
            flags.append(f"--workers={processes}")
        self._child = Child(
            "uvicorn",
            [target, "--app-dir=.", "--host=127.0.0.1", f"--port={self.port}", "--no-access-log", *flags],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._await_start(start_within * max(1, processes / (os.cpu_count() or 1)))
        except BaseException:  # the stop button too
            self._end()
            raise

    def _await_start(self, limit: float) -> None:
        deadline = time.perf_counter() + limit
        while (log := self.log()).count(
            "Application startup complete"
        ) < self.processes or not self._listens():
            late = time.perf_counter() > deadline
            failed = not self._child.running or any(words in log for words in HOPELESS)
            if failed or (late and "Traceback" in log):
                raise UnderloadError(f"The service did not start; this is what it said:\n{log.strip()}")
            if late:
                raise UnderloadError(f"{too_slow('service', limit)} It said:\n{log.strip()}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        """Whether the port takes connections, which is a moment after uvicorn has said that it started."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        """The last MiB of what the processes have written."""
        if self._log.closed:
            return self._said
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), LOG_SHOWN, max(0, size - LOG_SHOWN)).decode(errors="replace")

    @property
    def pid(self) -> int:
        """Process id of uvicorn: the only worker, or the supervisor of several."""
        return self._child.process.pid

    def wanted(self) -> float:
        try:
            main = psutil.Process(self.pid)
            return sum(processor.used(each)[1] for each in (main, *main.children(recursive=True)))
        except psutil.NoSuchProcess:
            return float("nan")

    @property
    def parallel(self) -> int:
        return self.processes

    @property
    def running(self) -> bool:
        return self._child.running

    def _stop(self) -> None:
        self._end(patience=STOP_LIMIT)

    def _end(self, patience: float = 0.0) -> None:
        self._child.stop(patience)
        self._said = self.log()
        self._log.close()


def _flag(option: str, value: Any) -> str:
    name = option.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"
