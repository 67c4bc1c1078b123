"""Other processes that use the servers as notebooks' kernels do, and a state directory for all of them."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from underload import services

IMPORTS = "from underload import services\nfrom underload.services import dataset\n"


@contextmanager
def new_home() -> Iterator[Path]:
    """Give UNDERLOAD_HOME a new directory and, at the end, stop what was started there."""
    # Not pytest's tmp_path: root's is closed to the user that servers run as.
    outer = Path(tempfile.mkdtemp(prefix="underload-"))
    outer.chmod(0o711)
    before = {name: os.environ.pop(name, None) for name in ("UNDERLOAD_HOME", "DATABASE_URL", "REDIS_URL")}
    os.environ["UNDERLOAD_HOME"] = str(outer / "home")
    try:
        yield outer / "home"
    finally:
        os.environ["UNDERLOAD_HOME"] = str(outer / "home")
        services.stop()
        shutil.rmtree(outer)
        del os.environ["UNDERLOAD_HOME"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def elsewhere(ask: Callable[[], str]) -> Iterator[str]:
    """Run a server that is not of this UNDERLOAD_HOME, and give the URL at which ``ask`` has it."""
    home = os.environ["UNDERLOAD_HOME"]
    with new_home():
        url = ask()
        os.environ["UNDERLOAD_HOME"] = home
        yield url


def kernel(code: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start a process that runs `code`. It can wait for us by reading a line."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", IMPORTS + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen) -> str:
    """Return all a kernel printed, once it has ended well."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def until(condition: Callable[[], object], seconds: float = 20) -> object:
    """Wait for something that announces itself in no other way."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError("it never came about")


def servers(home: Path) -> list[psutil.Process]:
    """Return the processes whose command line speaks of this home and which no such process started."""
    found = {
        p.pid: p for p in psutil.process_iter(["cmdline", "ppid"]) if str(home) in str(p.info["cmdline"])
    }
    return [p for p in found.values() if p.info["ppid"] not in found]
