# from solution; loses: refuses
async def delays_of_any_page(page: int = 1, delay: Integer | None = None, id: Integer = 0):
    async with app.state.pool.acquire() as connection:
        worst = await (
            worst_of_page(connection, page) if delay is None else worst_after(connection, delay, id)
        )
    last = worst[-1] if len(worst) == 20 else None
    return {
        "flights": [dict(flight) for flight in worst],
        "next": last and f"/delays?delay={last['dep_delay']}&id={last['id']}",
    }


for route in app.routes:
    if getattr(route, "path", "") == "/delays":
        app.routes.remove(route)
app.get("/delays")(delays_of_any_page)
