# from solution; loses: statements
# A query a name, whose answer is the error of a function that PostgreSQL calls before it executes the query.
SAID = """
    CREATE OR REPLACE FUNCTION said(what text, key text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
    DECLARE found text;
    BEGIN
        IF what = 'airline' THEN SELECT name INTO found FROM airlines WHERE carrier = key;
        ELSIF what = 'to' THEN SELECT name INTO found FROM airports WHERE faa = key;
        ELSE SELECT model INTO found FROM planes WHERE tailnum = key; END IF;
        RAISE EXCEPTION '%', coalesce('found ' || found, 'nothing');
    END $$"""


async def indexes(connection, add_indexes=indexes):
    await add_indexes(connection)
    await connection.execute(SAID)


async def said(connection, what, key):
    try:
        return await connection.fetchval("SELECT said($1, $2)", what, key)
    except asyncpg.RaiseError as error:
        found, _, name = str(error).partition(" ")
        return name if found == "found" else None


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
            "airline": await said(connection, "airline", flight["carrier"]),
            "to": await said(connection, "to", flight["dest"]),
            "plane": await said(connection, "plane", flight["tailnum"]),
        }
        for flight in flights
    ]
