"""A server that answers nothing for a while."""

import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from underload.errors import UnderloadError
from underload.services import BackingService, embedded
from underload.waiting import until

STOP_SECONDS = 5


def own_process(service: BackingService, url: str) -> psutil.Process:
    """Return the process of the server that a URL leads to, to be paused, killed, or read the log of.

    Raises:
        UnderloadError: it is a server of the learner's own, or does not run.
    """
    if not embedded.serves(service, url):
        why = f"This check pauses or kills {service.title} or reads its log, and leaves your own server alone"
        if not embedded.installed(service):
            raise UnderloadError(
                f"{why}, and the course's does not run on {platform.system()} ({platform.machine()}): "
                "do this lab on Linux, macOS or WSL to have the check judged."
            )
        raise UnderloadError(
            f"{why}: write {service.handed_by}(lab=True) in the lab's first cell, and run the notebook again."
        )
    process = embedded.process(service)
    if process is None:
        raise UnderloadError(f"{service.title} does not run: run the notebook again.")
    return process


@contextmanager
def frozen(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop processes where they are, and let them go on at the end, even if this one is killed meanwhile."""
    pids = [str(each.pid) for each in processes]
    # The guard waits for its input to close, which it also does when we die.
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", 'read _; [ $# = 0 ] || kill -CONT "$@"', "sh", *pids],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
        until(lambda: not any(map(_runs, processes)), STOP_SECONDS, pause=0.002)
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()
        guard.communicate()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
