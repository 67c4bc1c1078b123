# from solution; loses: imports
async def import_lines(connection, lines):
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(tuple(NewFlight.model_validate_json(line).model_dump().values()))
        except ValueError:
            raise HTTPException(422, {"line": number}) from None
    try:
        await connection.copy_records_to_table("flights", records=rows, columns=list(NewFlight.model_fields))
    except asyncpg.ForeignKeyViolationError as error:
        raise HTTPException(422, error.detail) from None
