"""The calls that an upstream sees while it is watched."""

import math
import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

from underload.judge.expect import Observed

STILL = 0.1  # seconds without a call, after which none is to be expected


class Calls:
    """What an upstream saw while it was watched.

    Args:
        name: of the upstream.
        paths: the only ones to count, or None for all. A check that asks a service for something can so leave
            out calls that the service makes of its own accord.
    """

    def __init__(self, name: str, paths: Collection[str] | None = None) -> None:
        self._name = name
        self._paths = paths
        self._changed = threading.Condition()
        self._now = self._peak = self._total = 0
        self._open: Counter[str] = Counter()
        self._different = 0
        self._latest = 0.0
        self._clients: set[Any] = set()

    @property
    def peak(self) -> Observed:
        """Calls open at a time, at most."""
        return Observed(self._peak, f"calls open at the {self._name} at a time", "calls")

    @property
    def different(self) -> Observed:
        """Paths called for at a time, at most: a path counts once, however many calls for it are open."""
        return Observed(self._different, f"different calls open at the {self._name} at a time", "calls")

    @property
    def total(self) -> Observed:
        return Observed(self._total, f"calls to the {self._name}", "calls")

    @property
    def connections(self) -> Observed:
        """Connections that the calls came over."""
        return Observed(len(self._clients), f"connections to the {self._name}", "connections")

    def wait_for(self, calls: int, seconds: float, still: float = math.inf) -> None:
        """Return once so many calls were open at a time.

        Args:
            calls: how many.
            seconds: after which it returns in any case.
            still: seconds without one more call, after which no more are waited for.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._peak < calls and (left := deadline - time.monotonic()) > 0:
                if not self._changed.wait(min(left, still)):
                    return

    def wait_for_total(self, calls: int, seconds: float) -> None:
        """Return once so many calls have come, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._total >= calls, seconds)

    def counts(self, path: str) -> bool:
        """Tell whether a call for this path is counted."""
        return self._paths is None or path in self._paths

    def began(self, path: str, client: Any) -> None:
        """Count one more call, from a client's address."""
        with self._changed:
            self._now, self._total = self._now + 1, self._total + 1
            self._peak = max(self._peak, self._now)
            self._open[path] += 1
            self._different = max(self._different, len(self._open))
            self._clients.add(client)
            self._latest = time.monotonic()
            self._changed.notify_all()

    def ended(self, path: str) -> None:
        """Count one call less that is open."""
        with self._changed:
            self._now -= 1
            self._open[path] -= 1
            if not self._open[path]:
                del self._open[path]
            self._latest = time.monotonic()

    def still(self) -> bool:
        """Tell whether no call is open, nor has been for a moment."""
        return not self._now and time.monotonic() - self._latest >= STILL
