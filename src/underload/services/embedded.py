"""A server that starts by itself the first time it is asked for, and is found again afterwards."""

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from underload.errors import UnderloadError
from underload.services import state
from underload.services.state import Record

START_SECONDS = 20
STOP_SECONDS = 10
POLL_SECONDS = 0.02

# Servers that this process started. Polling them lets the system forget those that have ended.
_children: list[subprocess.Popen] = []


class NotAnswering(Exception):
    """A server could not be talked to. The message is a reason, without a password in it."""

    @classmethod
    def because(cls, error: Exception) -> "NotAnswering":
        """Put a client's exception into a few words."""
        if isinstance(error, TimeoutError):
            return cls("no answer in time")
        if isinstance(error, ConnectionRefusedError):
            return cls("connection refused")
        if isinstance(error, socket.gaierror):
            return cls("no host of that name")
        return cls(str(error).partition("\n")[0].rstrip(".") or type(error).__name__)


class Embedded(ABC):
    """A kind of server: how ours is prepared, started, recognised, reached and stopped."""

    name: str  # of its process and of its files
    title: str  # as people call it
    variable: str | None = None  # the environment variable that names a server to use instead
    farewell = signal.SIGTERM  # what asks it to end at once and in good order

    @abstractmethod
    def program(self) -> Path:
        """Return where the wheel put the program, whether or not it did."""

    @abstractmethod
    def landmark(self, directory: Path) -> Path:
        """Return the path on its command line by which our server is told from anybody else's."""

    @abstractmethod
    def command(self, directory: Path, record: Record) -> list[str]:
        """Write its configuration and return what follows the program on its command line."""

    @abstractmethod
    def url(self, record: Record) -> str:
        """Return the address to hand out."""

    @abstractmethod
    def probe(self, url: str) -> str:
        """Return the version of the server at this address, or raise NotAnswering within 5 s."""

    def prepare(self, directory: Path, record: Record) -> None:  # noqa: B027 (most need nothing)
        """Do what has to be done before a start, and is not done yet."""

    def strays(self) -> list[psutil.Process]:
        """Return what a killed server left running."""
        return []

    def environment(self, record: Record) -> dict[str, str]:
        """Return the variables it sees: nothing of the kernel's own leaks into a server that outlives it."""
        return {"PATH": os.defpath, "HOME": str(state.home() / self.name)}

    def running(self) -> str:
        """Return the address of our server, which is started if it does not run."""
        self._check_installed()
        with state.locked(self.name):
            self._check_open()
            record = state.read_record(self.name)
            if record and self.process():
                self._wait(record)
            else:
                record = self._start(record or self._first_record())
            return self.url(record)

    def process(self) -> psutil.Process | None:
        """Return our server's process, told by its command line: a pid on file could have gone to another."""
        for child in _children:
            child.poll()
        landmark = str(self.landmark(state.home() / self.name))
        ours = {}
        for process in psutil.process_iter(["cmdline", "ppid"]):
            command = process.info["cmdline"] or [""]
            if Path(command[0]).name == self.name and landmark in command:
                ours[process.pid] = process
        # A child looks like its parent until it has found its own title.
        return next((p for p in ours.values() if p.info["ppid"] not in ours), None)

    def stop(self) -> bool:
        """Stop our server and return whether there was one."""
        if not state.home().exists():  # somebody deleted it, perhaps under a running server
            return self._end()
        with state.locked(self.name):
            return self._end()

    def _end(self) -> bool:
        process = self.process()
        for signum in (self.farewell, signal.SIGKILL):
            if process and not self._gone_after(signum, process):
                continue
            for stray in self.strays():
                stray.kill()
            return process is not None
        raise UnderloadError(f"{self.title} (pid {process.pid}) cannot even be killed: restart the machine.")

    def _gone_after(self, signum: int, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
        deadline = time.monotonic() + STOP_SECONDS
        while self.process() == process:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _check_installed(self) -> None:
        if not self.program().exists():
            own = f"set {self.variable} to a server of your own, or " if self.variable else ""
            raise UnderloadError(
                f"{self.title} is not installed here ({platform.system()} on {platform.machine()}): "
                f"{own}install the course on Linux, macOS or WSL."
            )

    def _check_open(self) -> None:
        for path in (self.program(), state.home()):
            if not state.is_open(path):
                raise UnderloadError(
                    f"As root, {self.title} runs as the user nobody, who may not enter the directories above "
                    f"{path}: move that to a place open to all, such as /opt."
                )

    def _first_record(self) -> Record:
        """Begin anew. Without its password an older server and its files are of no use to anybody."""
        self._end()
        shutil.rmtree(state.home() / self.name, ignore_errors=True)
        return Record(state.free_port(), state.new_password())

    def _start(self, record: Record) -> Record:
        self._end()  # only what a killed server left: there is none to be found
        directory = state.server_directory(self.name)
        self.prepare(directory, record)
        for port in (record.port, state.free_port(), state.free_port()):
            if not state.is_free(port):
                continue  # somebody else's by now
            record = replace(record, port=port)
            state.write_record(self.name, record)
            child = self._launch(directory, record)
            if self._came_up(child, record):
                return record
            if state.is_free(port):
                break  # so it was not the port that it failed for
        raise self._failure("did not start")

    def _launch(self, directory: Path, record: Record) -> subprocess.Popen:
        command = [str(self.program()), *self.command(directory, record)]
        log = os.open(self.log(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            child = subprocess.Popen(  # noqa: S603
                command,
                cwd=directory,
                env=self.environment(record),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that what ends a kernel's process group spares it
                **state.account(),
            )
        finally:
            os.close(log)
        _children.append(child)
        return child

    def _came_up(self, child: subprocess.Popen, record: Record) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while child.poll() is None:
            with suppress(NotAnswering):
                self.probe(self.url(record))
                return True
            if time.monotonic() > deadline:
                child.kill()
                raise self._failure(f"did not answer within {START_SECONDS} s of its start")
            time.sleep(POLL_SECONDS)
        return False

    def _wait(self, record: Record) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.probe(self.url(record))
                return
            except NotAnswering as reason:
                if time.monotonic() > deadline:
                    raise self._failure(f"runs but does not answer ({reason})") from None
            time.sleep(POLL_SECONDS)

    def log(self) -> Path:
        """Return the file that holds what the server said since its last start."""
        return state.home() / f"{self.name}.log"

    def _failure(self, what: str) -> UnderloadError:
        return UnderloadError(
            f"{self.title} {what}; its log says: {last_words(self.log())} "
            f"Run `underload services stop` and try again, or begin anew by deleting {state.home()}."
        )


def last_words(log: Path) -> str:
    """Return the line of a log that says best why a server ended: the last fatal one, or the last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or ["nothing"])[-1]
