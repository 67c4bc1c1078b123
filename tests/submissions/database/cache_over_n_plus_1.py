# from solution; loses: statements
names = {}


async def name(connection, sql, code):
    if code not in names:
        names[code] = await connection.fetchval(sql, code)
    return names[code]


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
            "airline": await name(
                connection, "SELECT name FROM airlines WHERE carrier = $1", flight["carrier"]
            ),
            "to": await name(connection, "SELECT name FROM airports WHERE faa = $1", flight["dest"]),
            "plane": await name(connection, "SELECT model FROM planes WHERE tailnum = $1", flight["tailnum"]),
        }
        for flight in flights
    ]
