# from solution; loses: nothing
import os
from pathlib import Path

from underload import App

os.environ |= {"FLIGHTS": db, "ARCHIVE": archive}
Path("service.py").write_text("""
import os
import statistics
from contextlib import asynccontextmanager

import asyncpg
import httpx
from fastapi import FastAPI

ARRIVALS = "SELECT arr_delay FROM flights WHERE arr_delay IS NOT NULL ORDER BY id"


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(os.environ["FLIGHTS"])
    app.state.delays = [delay for (delay,) in await connection.fetch(ARRIVALS)]
    await connection.close()
    limits = httpx.Limits(max_connections=None)
    url = os.environ["ARCHIVE"]
    async with httpx.AsyncClient(base_url=url, timeout=10, limits=limits) as app.state.archive:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/reports/{number}")
async def report(number: int):
    return (await app.state.archive.get(f"/reports/{number}")).json()


@app.get("/summary/{first}")
def summary(first: int):
    return {"first": first, "spread": statistics.pstdev(app.state.delays[first : first + 120_000])}
""")
app = App("service:app", processes=2)
