"""Who stands behind a port of this machine: the processes that listen, and all that belong to them."""

import os
from contextlib import suppress
from pathlib import Path

import psutil


def holders(port: int) -> list[psutil.Process]:
    """Return the processes that have a port of this machine open: several, where workers share a socket."""
    return [process for process in psutil.process_iter() if _holds(process, port)]


def _holds(process: psutil.Process, port: int) -> bool:
    try:
        # Each network has ports of its own.
        return _namespace(process.pid, "net") == _namespace(os.getpid(), "net") and any(
            each.laddr.port == port and each.status == psutil.CONN_LISTEN
            for each in process.net_connections("tcp")
        )
    except (psutil.Error, OSError):  # another user's, or ended
        return False


def family(listening: list[psutil.Process]) -> set[psutil.Process]:
    """Return the processes that belong to those that listen, these included."""
    judge = psutil.Process()
    walled = {space for each in listening if (space := _namespace(each.pid, "pid"))}
    walled -= {_namespace(judge.pid, "pid")}
    if walled:
        return {each for each in psutil.process_iter() if _namespace(each.pid, "pid") in walled}
    found: set[psutil.Process] = set()
    for process in listening:
        with suppress(psutil.NoSuchProcess):
            found |= {process, *process.children(recursive=True)}
    return found - {judge, *judge.children(recursive=True)} if judge in found else found


def _namespace(pid: int, kind: str) -> str:
    """Return what tells apart namespaces of a kind ("net", "pid"); "" if the system has none, or hides it."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""
