# from solution; loses: indexes
async def indexes(connection):
    await connection.execute("CREATE INDEX IF NOT EXISTS flights_plane ON flights (tailnum)")
