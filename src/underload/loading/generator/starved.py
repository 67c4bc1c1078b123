"""How long the load generator waits for a core before it can read what has arrived.

Like `underload.loading.generator.main` this is for the Locust process alone: it imports gevent.
"""

import os
from contextlib import suppress

import gevent


class Starved:
    """How long this process was kept off the cores before the present turn of its event loop.

    What arrives meanwhile lies unread, and its latency is counted too long by up to that wait. Linux
    keeps the time a process was ready to run and did not (kernel documentation, "Scheduler
    statistics"). Where it does not, every wait is 0.

    Attributes:
        waited: seconds before the present turn.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self._seen = 0
        with suppress(OSError):
            self._statistics = os.open("/proc/self/schedstat", os.O_RDONLY)
            self._begin()
            self._watcher = gevent.get_hub().loop.check()  # called before any callback of the turn
            self._watcher.start(self._begin)

    def _begin(self) -> None:
        seen = int(os.pread(self._statistics, 64, 0).split()[1])
        self.waited = (seen - self._seen) / 1e9
        self._seen = seen
