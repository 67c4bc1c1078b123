# from solution; loses: statements
async def indexes(connection, add_indexes=indexes):
    await add_indexes(connection)
    for table, query in {
        "airline": "SELECT carrier, name FROM airlines",
        "to": "SELECT faa, name FROM airports",
        "plane": "SELECT tailnum, model FROM planes",
    }.items():
        names[table] = dict(await connection.fetch(query))


names = {}


async def board(connection, origin, at, rows):
    flights = await connection.fetch(
        """SELECT * FROM flights WHERE origin = $1 AND scheduled_departure >= $2
           ORDER BY scheduled_departure, id LIMIT $3""",
        origin,
        at,
        rows,
    )
    return [
        {
            "id": flight["id"],
            "flight": flight["flight"],
            "departure": flight["scheduled_departure"],
            "airline": names["airline"].get(flight["carrier"]),
            "to": names["to"].get(flight["dest"]),
            "plane": names["plane"].get(flight["tailnum"]),
        }
        for flight in flights
    ]
