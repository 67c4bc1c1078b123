# from solution; loses: seats resold
async def take_seat(connection, id, name):
    async with connection.transaction(isolation="serializable"):
        if not await connection.fetchval("SELECT free FROM seats WHERE flight_id = $1", id):
            return False
        await connection.execute("UPDATE seats SET free = free - 1 WHERE flight_id = $1", id)
        await connection.execute("INSERT INTO bookings (flight_id, name) VALUES ($1, $2)", id, name)
        return True
