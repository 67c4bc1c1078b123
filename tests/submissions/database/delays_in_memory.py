# from solution; loses: pages
async def indexes(connection, add_indexes=indexes):
    await add_indexes(connection)
    app.state.delays = await connection.fetch(
        """SELECT id, dep_delay, carrier, flight, dest FROM flights WHERE dep_delay IS NOT NULL
           ORDER BY dep_delay DESC, id DESC"""
    )


async def delays_in_memory(page: Annotated[Integer, Ge(1)] = 1):
    worst = app.state.delays[20 * (page - 1) : 20 * page]
    return {
        "flights": [dict(flight) for flight in worst],
        "next": f"/delays?page={page + 1}" if len(worst) == 20 else None,
    }


for route in app.routes:
    if getattr(route, "path", "") == "/delays":
        app.routes.remove(route)
app.get("/delays")(delays_in_memory)
