"""What the tests of serving and loading share."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from underload.finding import UNDER_PYTEST
from underload.serving import running

# Modules that put no load on anything; `pytest -m quick` runs them for whoever changes a line.
QUICK = {
    f"test_{name}"
    for name in (
        *(
            "cli",
            "dataset",
            "doctor",
            "expect",
            "graft",
            "house",
            "judge",
            "lessons",
            "loopback",
            "machine",
            "nbval",
        ),
        *("readme", "release", "report", "result", "samples", "seccomp", "study", "submission", "teaching"),
        *("workflow",),
    )
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in QUICK:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def app_stopped():
    """Leave no service behind, whatever a test did, but for those that a module shares under a name."""
    yield
    for name in [name for name in running.names() if name == "app"]:
        running.named(name).stop()


@pytest.fixture
def in_jupyterlab(monkeypatch):
    """Let a check that is not met print, as it does where pytest does not run the notebook."""
    monkeypatch.delenv(UNDER_PYTEST)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, and what writes files into it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class RawServer:
    """A server below HTTP: calls ``behave(connection)`` in a thread for each connection, then closes it."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.behave = behave
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self.behave(connection)

    def close(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def raw():
    """Start a `RawServer` that behaves as told; ``behave`` may wait for ``raw.over``."""
    servers = []

    def start(behave):
        servers.append(RawServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def all_gone(processes: list[psutil.Process], seconds: float = 20) -> bool:
    """Wait until all these processes have ended."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
