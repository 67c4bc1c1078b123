# from solution; loses: budget
@asynccontextmanager
async def lavish(app):
    async with asyncpg.create_pool(db, min_size=1, max_size=90) as app.state.pool:
        yield


app.router.lifespan_context = lavish
