# from solution; loses: budget
from fastapi import Request


@asynccontextmanager
async def three_pools(app):
    app.state.pools = {
        route.path: asyncpg.create_pool(db, min_size=1, max_size=10)
        for route in app.router.routes
        if route.path.startswith(("/flights", "/airlines"))
    }
    for pool in app.state.pools.values():
        await pool
    yield
    for pool in app.state.pools.values():
        await pool.close()


app.router.lifespan_context = three_pools


async def from_the_pool_of_the_route(request: Request):
    pool = app.state.pools[request.scope["route"].path]
    try:
        connection = await pool.acquire(timeout=1)
    except TimeoutError:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"}) from None
    try:
        yield connection
    finally:
        await pool.release(connection, timeout=10)


app.dependency_overrides[get_connection] = from_the_pool_of_the_route
