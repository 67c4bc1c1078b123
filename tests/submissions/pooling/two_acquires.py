# from solution; loses: planes
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}/plane"]


@asynccontextmanager
async def lent():
    try:
        connection = await app.state.pool.acquire(timeout=1)
    except TimeoutError:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"}) from None
    try:
        yield connection
    finally:
        await app.state.pool.release(connection)


async def model_of(tailnum):
    async with lent() as connection:
        return await connection.fetchval("SELECT model FROM planes WHERE tailnum = $1", tailnum)


@app.get("/flights/{id}/plane")
async def plane(id: int):
    async with lent() as connection:
        row = found(await connection.fetchrow("SELECT id, tailnum FROM flights WHERE id = $1", id), "flight")
        return row | {"model": await model_of(row["tailnum"])}
