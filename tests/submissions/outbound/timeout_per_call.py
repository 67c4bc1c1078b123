# from solution; loses: whole deadline
DEADLINE = 0.7


async def trip(id: Id):
    row = await state["pool"].fetchrow(FLIGHT, id)
    if row is None:
        raise HTTPException(404, "No such trip")
    parts = {"weather": await ask("weather", row["origin"])}
    for name in ("gates", "seats"):
        parts[name] = await ask(name, id)
    return dict(row) | parts | {"missing": [name for name, part in parts.items() if part is None]}


app = FastAPI(lifespan=lifespan)
app.get("/trips/{id}")(trip)
