# from solution; loses: seats resold
async def offer_seats(connection, id, free):
    await connection.execute(
        """INSERT INTO seats (flight_id, free) VALUES ($1, $2)
           ON CONFLICT (flight_id) DO UPDATE SET free = excluded.free""",
        id,
        free,
    )
