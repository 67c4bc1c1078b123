# from lab; loses: sustained cores
from anyio import to_thread


@asynccontextmanager
async def roomy(app):
    to_thread.current_default_thread_limiter().total_tokens = 100
    async with lifespan(app):
        yield


app = FastAPI(lifespan=roomy)


@app.get("/health")
def health():
    return {"ok": True}


@app.get("/reports/{number}")
def report(number: int):
    return app.state.archive.get(f"/reports/{number}").json()


@app.get("/summary/{first}")
def summary(first: int):
    return {"first": first, "spread": statistics.pstdev(app.state.delays[first : first + 120_000])}
