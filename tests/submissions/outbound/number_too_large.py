# from solution; loses: whole
app = FastAPI(lifespan=lifespan)


@app.get("/trips/{id}")
async def trip_of_any_number(id: int):
    return await trip(id)
