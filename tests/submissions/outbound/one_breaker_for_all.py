# from solution; loses: spared
@asynccontextmanager
async def lifespan(app):
    breaker = Breaker()
    async with asyncpg.create_pool(db, min_size=10, max_size=10) as state["pool"], AsyncExitStack() as stack:
        for name, url in URLS.items():
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=DEADLINE))
            state[name] = client, breaker
        yield


app = FastAPI(lifespan=lifespan)
app.get("/trips/{id}")(trip)
