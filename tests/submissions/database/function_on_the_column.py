# from solution; loses: indexes
async def flights_of(connection, tailnum):
    return await connection.fetch(
        """SELECT id, scheduled_departure AS departure, origin, dest FROM flights
           WHERE upper(tailnum) = upper($1) ORDER BY scheduled_departure, id""",
        tailnum,
    )
