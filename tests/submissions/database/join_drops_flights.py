# from solution; loses: statements indexes
async def board(connection, origin, at, rows):
    return await connection.fetch(
        """SELECT id, flight, scheduled_departure AS departure, airlines.name AS airline, airports.name AS to,
                  model AS plane
           FROM flights JOIN airlines USING (carrier) JOIN airports ON faa = dest JOIN planes USING (tailnum)
           WHERE origin = $1 AND scheduled_departure >= $2
           ORDER BY scheduled_departure, id LIMIT $3""",
        origin,
        at,
        rows,
    )
