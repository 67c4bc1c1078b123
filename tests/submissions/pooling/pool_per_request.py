# from solution; loses: budget saturated flat
async def pool_of_its_own():
    async with asyncpg.create_pool(db, min_size=1, max_size=10) as pool, pool.acquire() as connection:
        yield connection


app.dependency_overrides[get_connection] = pool_of_its_own
