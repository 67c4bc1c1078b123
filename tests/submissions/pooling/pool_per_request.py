# from solution; loses: budget errors saturated flat
@asynccontextmanager
async def nothing_shared(app):
    yield


app = FastAPI(lifespan=nothing_shared)


async def borrow():
    async with asyncpg.create_pool(db, min_size=1, max_size=10) as pool, pool.acquire() as connection:
        yield connection


Connection = Annotated[asyncpg.Connection, Depends(borrow, scope="function")]


@app.get("/flights/{id}")
async def flight(id: int, connection: Connection):
    query = "SELECT id, origin, dest, tailnum FROM flights WHERE id = $1"
    return found(await connection.fetchrow(query, id), "flight")


@app.get("/flights/{id}/plane")
async def plane(id: int, connection: Connection):
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = $1"
    return found(await connection.fetchrow(query, id), "flight")


@app.get("/airlines/{carrier}")
async def airline(carrier: str, connection: Connection):
    query = "SELECT carrier, name FROM airlines WHERE carrier = $1"
    return found(await connection.fetchrow(query, carrier), "airline")
