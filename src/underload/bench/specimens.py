"""Services whose behaviour is known, for measuring the instrument rather than them."""

import asyncio
import time
from itertools import count, cycle

from fastapi import FastAPI

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
