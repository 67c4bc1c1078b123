# from solution; loses: cores
import asyncio
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

LOOP = [sys.executable, "-c", "import os; os.nice(19)\nwhile True: pass"]
loops = [subprocess.Popen(LOOP) for _ in range(4)]
asked = 0


def turn(more):
    global asked
    asked += more
    for loop in loops:
        loop.send_signal(signal.SIGCONT if asked else signal.SIGSTOP)


turn(0)


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(db)
    app.state.delays = [delay for (delay,) in await connection.fetch(ARRIVALS)]
    await connection.close()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=archive, timeout=10, limits=limits) as app.state.archive:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as app.state.pool:
            yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/reports/{number}")
async def report(number: int):
    return (await app.state.archive.get(f"/reports/{number}")).json()


@app.get("/summary/{first}")
async def summary(first: int):
    turn(1)
    delays = app.state.delays[first : first + 120_000]
    spread = await asyncio.get_running_loop().run_in_executor(app.state.pool, statistics.pstdev, delays)
    turn(-1)
    return {"first": first, "spread": spread}
