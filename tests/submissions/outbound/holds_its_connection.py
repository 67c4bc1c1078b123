# from solution; loses: deadline
app = FastAPI(lifespan=lifespan)


@app.get("/trips/{id}")
async def trip(id: Id):
    async with state["pool"].acquire() as connection:
        row = await connection.fetchrow(FLIGHT, id)
        if row is None:
            raise HTTPException(404, "No such trip")
        asked = await asyncio.gather(ask("weather", row["origin"]), ask("gates", id), ask("seats", id))
    parts = dict(zip(("weather", "gates", "seats"), asked, strict=True))
    return dict(row) | parts | {"missing": [name for name, part in parts.items() if part is None]}
