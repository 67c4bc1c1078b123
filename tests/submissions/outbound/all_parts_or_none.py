# from solution; loses: partial
async def ask(name, key):
    client, breaker = state[name]
    if not breaker.allows():
        return None
    part = None
    try:
        answer = await client.get(f"/{name}/{key}", timeout=None)
        part = answer.json() if answer.status_code == 200 else None
    finally:
        breaker.note(part is not None)
    return part


app = FastAPI(lifespan=lifespan)


@app.get("/trips/{id}")
async def trip(id: Id):
    row = await state["pool"].fetchrow(FLIGHT, id)
    if row is None:
        raise HTTPException(404, "No such trip")
    names = ["weather", "gates", "seats"]
    try:
        async with asyncio.timeout(DEADLINE):
            asked = await asyncio.gather(ask("weather", row["origin"]), ask("gates", id), ask("seats", id))
    except TimeoutError:
        asked = [None] * 3
    parts = dict(zip(names, asked, strict=True))
    return dict(row) | parts | {"missing": [name for name in names if parts[name] is None]}
