# from solution; loses: saturated
import asyncio
import time


async def watch(app):
    """Refuse all requests for four seconds whenever PostgreSQL has not answered for one."""
    connection = None
    while True:
        try:
            if connection is None or connection.is_closed():
                connection = await asyncpg.connect(db, timeout=1)
            await connection.fetchval("SELECT 1", timeout=1)
        except TimeoutError:
            app.state.refuses_until = time.monotonic() + 4
            if connection:
                connection.terminate()
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            pass  # the session was ended: open a new one
        await asyncio.sleep(0.1)


@asynccontextmanager
async def watched(app):
    app.state.refuses_until = 0
    async with asyncpg.create_pool(db, min_size=9, max_size=9) as app.state.pool:
        watching = asyncio.create_task(watch(app))
        yield
        watching.cancel()


app.router.lifespan_context = watched


async def unless_refused():
    if time.monotonic() < app.state.refuses_until:
        raise HTTPException(503, "PostgreSQL did not answer", headers={"Retry-After": "4"})
    async with asynccontextmanager(get_connection)() as connection:
        yield connection


app.dependency_overrides[get_connection] = unless_refused
