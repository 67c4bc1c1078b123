# from solution; loses: flat
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}"]


@app.get("/flights/{id}")
async def flight(id: Id):
    try:
        connection = await app.state.pool.acquire(timeout=1)
    except TimeoutError:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"}) from None
    row = await connection.fetchrow("SELECT id, origin, dest, tailnum FROM flights WHERE id = $1", id)
    if row is None:
        raise HTTPException(404, "No such flight")
    await app.state.pool.release(connection)
    return dict(row)
