# from solution; loses: errors saturated
app.router.routes = [route for route in app.router.routes if route.path != "/airlines/{carrier}"]


@asynccontextmanager
async def with_one_apart(app):
    app.state.airlines = await asyncpg.connect(db)
    async with asyncpg.create_pool(db, min_size=9, max_size=9) as app.state.pool:
        yield


app.router.lifespan_context = with_one_apart


@app.get("/airlines/{carrier}")
async def airline(carrier: Carrier):
    if app.state.airlines.is_closed():
        app.state.airlines = await asyncpg.connect(db)
    query = "SELECT carrier, name FROM airlines WHERE carrier = $1"
    return found(await app.state.airlines.fetchrow(query, carrier), "airline")
