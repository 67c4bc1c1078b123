# from solution; loses: saturated
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}/plane"]


@app.get("/flights/{id}/plane")
async def plane(id: Id):
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = $1"
    async with app.state.pool.acquire() as connection:
        return found(await connection.fetchrow(query, id), "flight")
