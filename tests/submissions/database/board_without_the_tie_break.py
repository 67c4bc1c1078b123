# from solution; loses: statements indexes
async def indexes(connection):
    await connection.execute("""
        CREATE INDEX IF NOT EXISTS flights_plane ON flights (tailnum, scheduled_departure, id);
        CREATE INDEX IF NOT EXISTS flights_board ON flights (origin, scheduled_departure)""")


async def board(connection, origin, at, rows):
    return await connection.fetch(
        """SELECT id, flight, scheduled_departure AS departure, airlines.name AS airline, airports.name AS to,
                  model AS plane
           FROM flights LEFT JOIN airlines USING (carrier)
                        LEFT JOIN airports ON faa = dest
                        LEFT JOIN planes USING (tailnum)
           WHERE origin = $1 AND scheduled_departure >= $2
           ORDER BY scheduled_departure LIMIT $3""",
        origin,
        at,
        rows,
    )
