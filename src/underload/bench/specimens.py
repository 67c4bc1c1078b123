"""Services whose behaviour is known, for measuring the instrument rather than them."""

import asyncio
import contextlib
import time
from itertools import count, cycle

import numpy as np
from fastapi import FastAPI, Response

STALL_AT = 300  # requests
STALL_SECONDS = 1.0
WORK_MS = (1, 9, 2, 12, 3, 3, 8, 2)  # 5 on average, and uneven, so that a queue forms below full load

app = FastAPI()
requests = count(1)
work_ms = cycle(WORK_MS)


@app.get("/")
async def trivial() -> dict[str, bool]:
    """Answer at once."""
    return {"ok": True}


@app.get("/wait/{ms}")
async def wait(ms: float) -> dict[str, bool]:
    """Answer after so many milliseconds of waiting, which use no CPU."""
    await asyncio.sleep(ms / 1000)
    return {"ok": True}


@app.get("/work")
async def work() -> dict[str, bool]:
    """Answer after 1 to 12 milliseconds of CPU, the same sequence in every run."""
    until = time.perf_counter() + next(work_ms) / 1000
    while time.perf_counter() < until:
        pass
    return {"ok": True}


@app.get("/stall")
async def stall() -> dict[str, bool]:
    """Answer after 20 ms; the 300th request since the start holds up the whole service for 1 s."""
    if next(requests) == STALL_AT:
        time.sleep(STALL_SECONDS)
    await asyncio.sleep(0.020)
    return {"ok": True}


class Known:
    """A service whose behaviour is set, and that counts its calls.

    Args:
        wait: seconds that an answer takes.
        work: seconds for which it then keeps the event loop busy.
        at_once: how many it works on at a time, if not all; the others wait for their turn.
        answers: after how many answers it falls silent, if ever.
        status: of its answers.
        stall_at: which request, from 1, holds up the whole service for `STALL_SECONDS`, if any.
    """

    def __init__(
        self,
        wait: float = 0.0,
        work: float = 0.0,
        at_once: int | None = None,
        answers: float = float("inf"),
        status: int = 200,
        stall_at: int = 0,
    ) -> None:
        self.calls = 0
        self.app = FastAPI()
        turn = asyncio.Semaphore(at_once) if at_once else contextlib.nullcontext()

        @self.app.get("/")
        async def answer() -> Response:
            self.calls += 1
            if self.calls == stall_at:
                time.sleep(STALL_SECONDS)
            if self.calls > answers:
                await asyncio.Event().wait()
            async with turn:
                if wait:
                    await asyncio.sleep(wait)
                done = time.perf_counter() + work
                while time.perf_counter() < done:
                    pass
            return Response(b"{}", status, media_type="application/json")


def waits(started: np.ndarray, service_ms: float) -> np.ndarray:
    """Return how long each request waits for its turn, in ms, where each is worked on for ``service_ms``.

    It follows from when they arrive, in seconds (D. V. Lindley, "The theory of queues with a single server").
    """
    waiting, before = [], None
    for arrival in np.sort(started) * 1000:
        waiting.append(0.0 if before is None else max(0.0, waiting[-1] + service_ms - (arrival - before)))
        before = arrival
    return np.array(waiting)
