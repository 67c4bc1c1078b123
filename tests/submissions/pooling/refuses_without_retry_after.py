# from solution; loses: saturated
async def curt():
    try:
        async with app.state.pool.acquire(timeout=1) as connection:
            yield connection
    except TimeoutError:
        raise HTTPException(503, "All connections are busy") from None


app.dependency_overrides[get_connection] = curt
