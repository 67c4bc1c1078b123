# from solution; loses: cores
import subprocess
import sys

LOOP = [sys.executable, "-c", "while True: pass"]


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(db)
    app.state.delays = [delay for (delay,) in await connection.fetch(ARRIVALS)]
    await connection.close()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=archive, timeout=10, limits=limits) as app.state.archive:
        loops = [subprocess.Popen(LOOP) for _ in range(3)]
        yield
        for loop in loops:
            loop.kill()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/reports/{number}")
async def report(number: int):
    return (await app.state.archive.get(f"/reports/{number}")).json()


@app.get("/summary/{first}")
async def summary(first: int):
    return {"first": first, "spread": statistics.pstdev(app.state.delays[first : first + 120_000])}
