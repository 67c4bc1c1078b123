# from solution; loses: sustained
import asyncio
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(db)
    app.state.delays = [delay for (delay,) in await connection.fetch(ARRIVALS)]
    await connection.close()
    async with httpx.AsyncClient(base_url=archive, timeout=10) as app.state.archive:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as app.state.pool:
            list(app.state.pool.map(statistics.pstdev, [[1, 2], [1, 2]]))
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
    delays = app.state.delays[first : first + 120_000]
    spread = await asyncio.get_running_loop().run_in_executor(app.state.pool, statistics.pstdev, delays)
    return {"first": first, "spread": spread}
