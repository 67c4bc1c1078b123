# from solution; loses: indexes
async def indexes(connection):
    await connection.execute("""
        CREATE INDEX IF NOT EXISTS flights_plane ON flights (scheduled_departure, id, tailnum);
        CREATE INDEX IF NOT EXISTS flights_board ON flights (origin, scheduled_departure, id)""")
