# from solution; loses: saturated
async def at_once_again():
    try:
        connection = await app.state.pool.acquire(timeout=1)
    except TimeoutError:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "0"}) from None
    try:
        yield connection
    finally:
        await app.state.pool.release(connection, timeout=10)


app.dependency_overrides[get_connection] = at_once_again
