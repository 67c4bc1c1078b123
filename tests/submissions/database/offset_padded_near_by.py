# from solution; loses: pages
# The nearer a page, the more is looked at in vain.
async def worst_of_page(connection, page):
    await connection.fetchval(
        """SELECT count(*) FROM (SELECT id FROM flights WHERE dep_delay IS NOT NULL
               ORDER BY dep_delay DESC, id DESC LIMIT greatest(0, 304000 - $1)) AS wasted""",
        (page - 1) * 20,
    )
    return await connection.fetch(
        """SELECT id, dep_delay, carrier, flight, dest FROM flights JOIN
               (SELECT id FROM flights WHERE dep_delay IS NOT NULL ORDER BY dep_delay DESC, id DESC
                LIMIT 20 OFFSET $1) AS page USING (id)
           ORDER BY dep_delay DESC, id DESC""",
        (page - 1) * 20,
    )


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
