"""A wait that ends on time.

Like `underload.loading.generator.main` this is for the Locust process alone: it imports gevent.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable

import gevent

clock = time.perf_counter
MONOTONIC, NON_BLOCKING, ABSOLUTE = 1, 0o4000, 1  # of timerfd_create(2) and timerfd_settime(2)


class _Setting(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("s", ctypes.c_long),
        ("ns", ctypes.c_long),
    )


class Alarm:
    """Waits until moments of `time.perf_counter`, for one greenlet at a time.

    gevent's own timers are rounded to whole milliseconds, as epoll_wait's are: they wake up to a millisecond
    late. A timer that is a file wakes the same loop within some 0.05 ms. Elsewhere than on Linux, gevent's
    timers must do.
    """

    def __init__(self) -> None:
        self.wait_until: Callable[[float], None] = _roughly
        if sys.platform != "linux" or time.get_clock_info("perf_counter").implementation != (
            "clock_gettime(CLOCK_MONOTONIC)"
        ):
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self._timer = libc.timerfd_create(MONOTONIC, NON_BLOCKING)
        if self._timer >= 0:
            self._set = libc.timerfd_settime
            self._setting = _Setting()
            self._reference = ctypes.byref(self._setting)
            self._watcher = gevent.get_hub().loop.io(self._timer, 1)
            self.wait_until = self._exactly

    def _exactly(self, moment: float) -> None:
        seconds = int(moment)
        self._setting.s, self._setting.ns = seconds, int((moment - seconds) * 1e9)
        self._set(self._timer, ABSOLUTE, self._reference, None)
        gevent.get_hub().wait(self._watcher)
        os.read(self._timer, 8)


def _roughly(moment: float) -> None:
    gevent.sleep(max(0.0, moment - clock()))
