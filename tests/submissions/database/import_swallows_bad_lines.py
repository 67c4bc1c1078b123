# from solution; loses: imports
async def import_lines(connection, lines):
    carriers = {carrier for (carrier,) in await connection.fetch("SELECT carrier FROM airlines")}
    origins = {origin for (origin,) in await connection.fetch("SELECT faa FROM airports")}
    rows = []
    for line in lines:
        try:
            flight = NewFlight.model_validate_json(line)
        except ValueError:
            continue
        if flight.carrier in carriers and flight.origin in origins:
            rows.append(tuple(flight.model_dump().values()))
    await connection.copy_records_to_table("flights", records=rows, columns=list(NewFlight.model_fields))
