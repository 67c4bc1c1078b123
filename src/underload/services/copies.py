"""Whose copy a database is: its name says the process, so that a copy goes when its process has ended."""

import hashlib
import platform
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from asyncpg import Connection

COPY = re.compile(r"flights_(?P<host>[0-9a-f]{8})_(?P<pid>\d+)_(?P<started>\d+)")
# Dropping one that is in use would wait 5 s and then fail.
UNUSED = "SELECT datname FROM pg_database EXCEPT SELECT datname FROM pg_stat_activity"
CLOCK_DRIFT_SECONDS = 60


@cache  # by pid, since a fork has its own; cached, since the clock may be changed
def copy_name(pid: int) -> str:
    """Return the name of the copy that belongs to a process of this host."""
    return f"flights_{_host()}_{pid}_{int(psutil.Process(pid).create_time())}"


async def drop_orphans(connection: "Connection") -> None:
    """Drop copies whose process has ended on this host. Of other hosts' processes we know nothing."""
    import asyncpg

    for (name,) in await connection.fetch(UNUSED):
        copy = COPY.fullmatch(name)
        if copy and copy["host"] == _host() and not _lives(int(copy["pid"]), int(copy["started"])):
            with suppress(asyncpg.ObjectInUseError, asyncpg.InsufficientPrivilegeError):  # another role's
                await connection.execute(f"DROP DATABASE IF EXISTS {name}")


def _lives(pid: int, started: int) -> bool:
    """Tell whether the process that had this pid then is still the one that has it."""
    try:
        return psutil.Process(pid).create_time() < started + CLOCK_DRIFT_SECONDS
    except psutil.NoSuchProcess:
        return False


@cache
def _host() -> str:
    """Return what distinguishes this machine or container, since a pid means another process elsewhere."""
    marks = [platform.node()]
    if (machine := Path("/etc/machine-id")).exists():
        marks.append(machine.read_text())
    if (namespace := Path("/proc/self/ns/pid")).is_symlink():
        marks.append(str(namespace.readlink()))
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]
