# from solution; loses: pages
async def endless_delays(page: Annotated[Integer, Ge(1)] = 1, delay: Integer | None = None, id: Integer = 0):
    async with app.state.pool.acquire() as connection:
        worst = await (
            worst_of_page(connection, page) if delay is None else worst_after(connection, delay, id)
        )
    last = worst[-1] if worst else {"dep_delay": 0, "id": 0}
    return {
        "flights": [dict(flight) for flight in worst],
        "next": f"/delays?delay={last['dep_delay']}&id={last['id']}",
    }


for route in app.routes:
    if getattr(route, "path", "") == "/delays":
        app.routes.remove(route)
app.get("/delays")(endless_delays)
