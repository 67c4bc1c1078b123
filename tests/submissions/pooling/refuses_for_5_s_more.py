# from solution; loses: saturated
import time

open_until = 0


async def behind_a_breaker():
    global open_until
    if time.monotonic() > open_until:
        try:
            connection = await app.state.pool.acquire(timeout=1)
        except TimeoutError:
            open_until = time.monotonic() + 5
    if time.monotonic() <= open_until:
        raise HTTPException(503, "All connections were busy", headers={"Retry-After": "5"})
    try:
        yield connection
    finally:
        await app.state.pool.release(connection, timeout=10)


app.dependency_overrides[get_connection] = behind_a_breaker
