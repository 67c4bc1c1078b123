# from solution; loses: imports
async def import_lines(connection, lines):
    columns = list(NewFlight.model_fields)
    for first in range(0, len(lines), 500):
        rows = []
        for number, line in enumerate(lines[first : first + 500], start=first + 1):
            try:
                flight = NewFlight.model_validate_json(line)
                if not await connection.fetchval(
                    "SELECT true FROM airlines WHERE carrier = $1", flight.carrier
                ):
                    raise ValueError("Unknown carrier")
                if not await connection.fetchval("SELECT true FROM airports WHERE faa = $1", flight.origin):
                    raise ValueError("Unknown origin")
            except ValueError:
                raise HTTPException(422, {"line": number}) from None
            rows.append(tuple(flight.model_dump().values()))
        await connection.copy_records_to_table("flights", records=rows, columns=columns)
