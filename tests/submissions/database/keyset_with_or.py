# from solution; loses: pages
async def worst_after(connection, delay, id):
    return await connection.fetch(
        WORST.format(where="dep_delay < $1 OR (dep_delay = $1 AND id < $2)"), delay, id
    )
