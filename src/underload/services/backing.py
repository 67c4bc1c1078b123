"""What is known about one kind of server, embedded or not."""

import os
import re
import signal
import socket
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from underload.services import state
from underload.services.state import Address


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


class BackingService(ABC):
    """A kind of server: where its program is, how it is configured, reached and told from others."""

    name: str  # of its process and of its files
    title: str  # as people call it
    variable: str | None = None  # the environment variable that names a server to use instead
    handed_by = ""  # the function that gives a notebook its URL
    least = 0  # the oldest major version that the lessons were run on
    farewell = signal.SIGTERM  # what asks it to end at once and in good order

    @abstractmethod
    def program(self) -> Path:
        """Return where the wheel put the program, whether or not it did."""

    @abstractmethod
    def landmark(self) -> Path:
        """Return the path on its command line that tells our server from any other."""

    @abstractmethod
    def command(self, address: Address) -> list[str]:
        """Write its configuration and return what follows the program on its command line."""

    @abstractmethod
    def url(self, address: Address) -> str:
        """Return the address to hand out."""

    @abstractmethod
    def probe(self, url: str) -> str:
        """Return the version of the server at this address, or raise NotAnswering within 5 s."""

    def is_too_old(self, version: str) -> bool:
        """Tell whether a version, such as "15.18 (Debian 15.18-0+deb12u1)", is older than the least."""
        major = re.match(r"\d+", version)
        return major is not None and int(major[0]) < self.least

    def installation(self) -> list[Path]:
        """Return the files and directories without which the program does not run."""
        return [self.program()]

    def prepare(self, program: Path, address: Address) -> None:  # noqa: B027 (most need nothing)
        """Do what has to be done before a start, and is not done yet."""

    def strays(self) -> list[psutil.Process]:
        """Return the processes of its own that our server has, or left behind when it was killed."""
        return []

    def directory(self) -> Path:
        """Return where its files are."""
        return state.home() / self.name

    def log(self) -> Path:
        """Return the file that holds what it said since its last start."""
        return state.home() / f"{self.name}.log"

    def environment(self, address: Address) -> dict[str, str]:
        """Return the variables it sees: none of the kernel's own, which it outlives."""
        return {"PATH": os.defpath, "HOME": str(self.directory())}
