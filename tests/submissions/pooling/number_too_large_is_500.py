# from solution; loses: unknown
app.router.routes = [route for route in app.router.routes if route.path != "/flights/{id}"]


@app.get("/flights/{id}")
async def flight(id: int, connection: Connection):
    query = "SELECT id, origin, dest, tailnum FROM flights WHERE id = $1"
    return found(await connection.fetchrow(query, id), "flight")
