# from solution; loses: statements indexes pages imports refuses seats resold
async def tables(connection):
    await connection.execute("""
        CREATE TABLE seats (flight_id integer PRIMARY KEY, free integer NOT NULL CHECK (free >= 0));
        CREATE TABLE bookings (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flight_id integer NOT NULL,
            name text NOT NULL);
        CREATE INDEX flights_delay ON flights (dep_delay, id)""")
    await indexes(connection)
