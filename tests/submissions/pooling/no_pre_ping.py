# from solution; loses: recovers
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(
    db.replace("postgresql:", "postgresql+asyncpg:"), pool_size=10, max_overflow=0, pool_timeout=1
)


@asynccontextmanager
async def with_an_engine(app):
    yield
    await engine.dispose()


app.router.lifespan_context = with_an_engine


class LikeAsyncpg:
    """What the endpoints ask of a connection."""

    def __init__(self, connection):
        self.connection = connection

    async def fetchrow(self, query, key):
        rows = await self.connection.execute(text(query.replace("$1", ":key")), {"key": key})
        return rows.mappings().first()


async def from_the_engine():
    connection = engine.connect()
    try:
        await connection.start()
    except NoneFree:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"}) from None
    try:
        yield LikeAsyncpg(connection)
    finally:
        await connection.close()


app.dependency_overrides[get_connection] = from_the_engine
