# from solution; loses: indexes
async def indexes(connection):
    await connection.execute("""
        CREATE INDEX IF NOT EXISTS flights_plane ON flights (tailnum, scheduled_departure, id);
        CREATE INDEX IF NOT EXISTS flights_board ON flights (scheduled_departure, id, origin)""")
