# from solution; loses: planes
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}/plane"]


async def model_of(tailnum):
    async with asynccontextmanager(get_connection)() as connection:
        return await connection.fetchval("SELECT model FROM planes WHERE tailnum = $1", tailnum)


@app.get("/flights/{id}/plane")
async def plane(id: Id):
    async with asynccontextmanager(get_connection)() as connection:
        row = found(await connection.fetchrow("SELECT id, tailnum FROM flights WHERE id = $1", id), "flight")
        return row | {"model": await model_of(row["tailnum"])}
