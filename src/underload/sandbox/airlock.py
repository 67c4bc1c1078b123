"""The last step into the sandbox: limits set, rights given up, then the learner's kernel.

Runs as a script of its own, ``python -I -S airlock.py SETTINGS COMMAND…``: it needs nothing but the
standard library, and is through in 20 ms.
"""

import ctypes
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SET_NO_NEW_PRIVILEGES, SET_FILTER, FILTER = 38, 22, 2  # of prctl
STEP_BYTES = 8  # of a filter


def enter(settings: dict[str, Any], command: list[str]) -> None:
    """Prepare this process and become the command. ``{}`` in it stands for the connection file."""
    user, home = settings["user"], Path(settings["home"]).absolute()
    connection = make_home(home, settings["connection"], user)
    close_files(settings["quiet"])
    with suppress(OSError):  # should memory run out, then we are the first to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    for what, (soft, hard) in settings["limits"].items():
        limit(what, soft, hard)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if settings["filter"]:
        filter_calls(bytes.fromhex(settings["filter"]))
    os.umask(0o077)
    os.chdir(home)
    homes = {"HOME": str(home), "UNDERLOAD_HOME": str(home / ".underload")}
    command = [connection if each == "{}" else each for each in command]
    os.execve(command[0], command, {**homes, **settings["environment"]})  # noqa: S606


def make_home(home: Path, connection: str, user: int | None) -> str:
    """Create the learner's directory, and in it a copy of the connection file, if there is one."""
    home.mkdir(mode=0o700, exist_ok=True)
    copy = home / ".connection.json"
    if connection:
        copy.touch(mode=0o600)
        copy.write_bytes(Path(connection).read_bytes())
    for path in (home, copy):
        if user is not None and path.exists():
            os.chown(path, user, user)
    return str(copy)


def close_files(quiet: bool) -> None:
    """Close what others left open, so that no process inside holds a file from outside."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        if int(name) > 2:
            with suppress(OSError):
                os.close(int(name))
    if quiet:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os.close(null)


def limit(what: str, soft: int, hard: int) -> None:
    """Set both ends of a limit, but never above the one we already live under."""
    which = getattr(resource, f"RLIMIT_{what}")
    _, now = resource.getrlimit(which)
    ends = (soft, hard) if now == resource.RLIM_INFINITY else (min(soft, now), min(hard, now))
    with suppress(ValueError, OSError):  # macOS has limits that it does not let one set
        resource.setrlimit(which, ends)


def filter_calls(program: bytes) -> None:
    """Have Linux apply a filter to each system call of this process and of all that it starts, for good."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    whole = Program(len(program) // STEP_BYTES, program)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for request in ((SET_NO_NEW_PRIVILEGES, 1, None), (SET_FILTER, FILTER, ctypes.byref(whole))):
        if prctl(*request, None, None):
            raise OSError(ctypes.get_errno(), "the system takes no filter of system calls")


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]), sys.argv[2:])
