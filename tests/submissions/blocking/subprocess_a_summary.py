# from solution; loses: nothing
import asyncio
import pickle
import subprocess
import sys

SPREAD = "import pickle, statistics, sys; print(statistics.pstdev(pickle.load(sys.stdin.buffer)))"


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(db)
    app.state.delays = [delay for (delay,) in await connection.fetch(ARRIVALS)]
    await connection.close()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=archive, timeout=10, limits=limits) as app.state.archive:
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
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", SPREAD, **pipes)
    spread, _ = await child.communicate(pickle.dumps(app.state.delays[first : first + 120_000]))
    return {"first": first, "spread": float(spread)}
