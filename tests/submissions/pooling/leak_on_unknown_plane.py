# from solution; loses: flat
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}/plane"]


@app.get("/flights/{id}/plane")
async def plane(id: Id):
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = $1"
    try:
        connection = await app.state.pool.acquire(timeout=1)
    except TimeoutError:
        raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"}) from None
    row = await connection.fetchrow(query, id)
    if row is None:
        raise HTTPException(404, "No such flight")
    await app.state.pool.release(connection)
    return dict(row)
