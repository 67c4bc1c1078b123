# from solution; loses: pages
async def delays_by_offset(page: Annotated[Integer, Ge(1)] = 1):
    async with app.state.pool.acquire() as connection:
        worst = await worst_of_page(connection, page)
    return {
        "flights": [dict(flight) for flight in worst],
        "next": f"/delays?page={page + 1}" if len(worst) == 20 else None,
    }


for route in app.routes:
    if getattr(route, "path", "") == "/delays":
        app.routes.remove(route)
app.get("/delays")(delays_by_offset)
