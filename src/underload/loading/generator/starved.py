"""How long the load generator waits for a core before it can read what has arrived.

Like `underload.loading.generator.run` this is for the Locust process alone: it imports gevent.
"""

import os
from contextlib import suppress

import gevent


class Turns:
    """The turns of this process's event loop, and how long it was kept off the cores before each.

    What arrives meanwhile lies unread, and its latency is counted too long by up to that wait. Linux
    keeps the time a process was ready to run and did not (kernel documentation, "Scheduler
    statistics"). Where it does not, every wait is 0.

    Attributes:
        waited: seconds before the present turn.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self._seen = 0
        self._answers = 0
        self._unread = 0.0
        with suppress(OSError):
            self._statistics = os.open("/proc/self/schedstat", os.O_RDONLY)
            self._begin()
            self._watcher = gevent.get_hub().loop.check()  # called before any callback of the turn
            self._watcher.start(self._begin)

    def _begin(self) -> None:
        seen = int(os.pread(self._statistics, 64, 0).split()[1])
        self.waited = (seen - self._seen) / 1e9
        self._seen = seen

    def count(self) -> None:
        """Count an answer that was read in this turn."""
        self._answers += 1
        self._unread += self.waited

    @property
    def unread(self) -> float:
        """Seconds that an answer lay unread at most, as a mean over all that were counted."""
        return self._unread / self._answers if self._answers else 0.0
