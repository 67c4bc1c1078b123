# from solution; loses: deadline whole
@asynccontextmanager
async def with_a_small_pool(app):
    """Of fewer connections than it takes failures to open a breaker, which would answer those who wait."""
    async with lifespan(app), asyncpg.create_pool(db, min_size=4, max_size=4) as state["pool"]:
        yield


app = FastAPI(lifespan=with_a_small_pool)


@app.get("/trips/{id}")
async def trip(id: Id):
    async with state["pool"].acquire() as connection:
        row = await connection.fetchrow(FLIGHT, id)
        if row is None:
            raise HTTPException(404, "No such trip")
        asked = await asyncio.gather(ask("weather", row["origin"]), ask("gates", id), ask("seats", id))
    parts = dict(zip(("weather", "gates", "seats"), asked, strict=True))
    return dict(row) | parts | {"missing": [name for name, part in parts.items() if part is None]}
