"""Bounded waits, the same inside a notebook's running event loop and outside."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise TimeoutError after so many seconds.

    The thread is a daemon, so that a name look-up stuck in the C library cannot hold up the interpreter.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # handed to the caller, whatever it is
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result(seconds)


def finish(coroutine: Coroutine[object, object, T], seconds: float) -> T:
    """Run a coroutine to its end in a loop of its own, or raise TimeoutError after so many seconds."""
    return within(seconds, lambda: asyncio.run(coroutine))


def until(condition: Callable[[], T], seconds: float, pause: float = 0.02) -> T:
    """Call `condition` again and again until it returns something true; return what it returned last.

    That is something false if so many seconds have passed. Between two calls there is a pause, in seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found
