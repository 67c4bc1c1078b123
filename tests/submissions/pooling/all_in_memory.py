# from lab; loses: budget errors planes saturated flat unknown recovers
@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(db)
    for what, query in {
        "flights": "SELECT id, origin, dest, tailnum FROM flights",
        "planes": "SELECT tailnum, model FROM planes",
        "airlines": "SELECT carrier, name FROM airlines",
    }.items():
        rows = await connection.fetch(query)
        setattr(app.state, what, {row[0]: dict(row) for row in rows})
    await connection.close()
    yield


app = FastAPI(lifespan=lifespan)


def found(rows, key):
    if key not in rows:
        raise HTTPException(404, "Nothing such")
    return rows[key]


@app.get("/flights/{id}")
async def flight(id: int):
    return found(app.state.flights, id)


@app.get("/flights/{id}/plane")
async def plane(id: int):
    tailnum = found(app.state.flights, id)["tailnum"]
    return {"id": id, "tailnum": tailnum, "model": app.state.planes.get(tailnum, {}).get("model")}


@app.get("/airlines/{carrier}")
async def airline(carrier: str):
    return found(app.state.airlines, carrier)
