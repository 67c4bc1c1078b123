# from solution; loses: unknown
app.router.routes = [route for route in app.router.routes if route.path != "/airlines/{carrier}"]


@app.get("/airlines/{carrier}")
async def airline(carrier: Carrier, connection: Connection):
    return dict(await connection.fetchrow("SELECT carrier, name FROM airlines WHERE carrier = $1", carrier))
