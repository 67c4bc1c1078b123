"""The last step into the sandbox: limits set, rights given up, then the learner's kernel.

Runs as a script of its own, ``python -I -S airlock.py SETTINGS COMMAND…``: it needs nothing but the
standard library, and is through in 20 ms.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# System calls by number, on x86_64 and on aarch64.
REFUSED = {  # ways to more rights, and memory that no limit counts
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
ABSENT = {  # said not to exist, for which libraries know another way
    "clone3": (435, 435),  # whose flags a filter cannot see
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),  # which makes calls past this filter
}  # fmt: skip
CLONE, SOCKET = (56, 220), (41, 198)
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # as the filter sees them
NAMESPACES = 0x7E020000  # the flags of clone that make one
FAMILIES = (1, 2, 10, 16)  # Unix, IPv4, IPv6, netlink: a network namespace does not hold AF_VSOCK

# The filter's machine: what it does, and where the facts of a call are.
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
CALL, MACHINE, ARGUMENT = 0, 4, 16
ALLOW, FAIL = 0x7FFF0000, 0x00050000
OTHER_CALLS = 0x40000000  # x32's numbers begin here
SET_NO_NEW_PRIVILEGES, SET_FILTER, FILTER = 38, 22, 2  # of prctl


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
    if settings["isolated"]:
        refuse_calls()
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
    """Close what others left open, so that nobody inside holds a file from outside."""
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


def refuse_calls() -> None:
    """Let neither this process nor any that it starts make the calls listed above, ever again."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    steps = program(platform.machine())
    whole = Program(len(steps) // 8, steps)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for request in ((SET_NO_NEW_PRIVILEGES, 1, None), (SET_FILTER, FILTER, ctypes.byref(whole))):
        if prctl(*request, None, None):
            raise OSError(ctypes.get_errno(), "the system takes no filter of system calls")


def program(machine: str) -> bytes:
    """Return the seccomp filter for a kind of machine. Raises OSError if it is not one of `MACHINES`."""
    if machine not in MACHINES:
        raise OSError(f"the system calls of {machine} are not known")
    place = list(MACHINES).index(machine)
    steps = [
        (LOAD, 0, 0, MACHINE),
        (IF_EQUAL, 1, 0, MACHINES[machine]),
        (ANSWER, 0, 0, FAIL | errno.ENOSYS),  # 32-bit calls, with numbers of their own
        (LOAD, 0, 0, CALL),
        (IF_AT_LEAST, 0, 1, OTHER_CALLS),
        (ANSWER, 0, 0, FAIL | errno.ENOSYS),
    ]
    for calls, error in ((REFUSED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for numbers in calls.values():
            steps += [(IF_EQUAL, 0, 1, numbers[place]), (ANSWER, 0, 0, FAIL | error)]
    steps += [
        (IF_EQUAL, 0, 4, CLONE[place]),
        (LOAD, 0, 0, ARGUMENT),
        (IF_ANY, 0, 1, NAMESPACES),
        (ANSWER, 0, 0, FAIL | errno.EPERM),
        (ANSWER, 0, 0, ALLOW),
        (IF_EQUAL, 0, 2 + len(FAMILIES), SOCKET[place]),
        (LOAD, 0, 0, ARGUMENT),
        *((IF_EQUAL, len(FAMILIES) - i, 0, family) for i, family in enumerate(FAMILIES)),
        (ANSWER, 0, 0, FAIL | errno.EAFNOSUPPORT),
        (ANSWER, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]), sys.argv[2:])
