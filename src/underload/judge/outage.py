"""A server that answers nothing for a while."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from underload.errors import UnderloadError
from underload.services import BackingService, embedded, external

STOP_SECONDS = 5
POLL_SECONDS = 0.002


def own_process(service: BackingService) -> psutil.Process:
    """Return the process of our server. Raises UnderloadError if there is none, or the server is not ours."""
    if external.given(service):
        raise UnderloadError(
            f"{service.title} is a server of your own, which a check must not disturb: "
            f"unset {service.variable} for this check."
        )
    process = embedded.process(service)
    if process is None:
        raise UnderloadError(f"{service.title} does not run: run the notebook anew.")
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
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(_runs, processes)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
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
