# from solution; loses: saturated
async def wait_for_ever():
    async with app.state.pool.acquire() as connection:
        yield connection


app.dependency_overrides[get_connection] = wait_for_ever
