# from lab; loses: nothing
from typing import Annotated

from fastapi import Depends, Path
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

url = db.replace("postgresql://", "postgresql+asyncpg://")
options = {"pool_size": 10, "max_overflow": 0, "pool_timeout": 1, "pool_pre_ping": True}


@asynccontextmanager
async def lifespan(app):
    app.state.engine = create_async_engine(url, **options)
    yield
    await app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(NoConnection)
async def no_connection(request, error):
    return JSONResponse({"detail": "All connections are in use"}, 503, headers={"Retry-After": "1"})


async def get_session():
    async with AsyncSession(app.state.engine) as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session, scope="function")]
Id = Annotated[int, Path(ge=-(2**31), lt=2**31)]
Carrier = Annotated[str, Path(pattern=r"^[^\x00]*$")]


async def one(session, query, **values):
    row = (await session.execute(text(query), values)).mappings().first()
    if row is None:
        raise HTTPException(404, "No such thing")
    return dict(row)


@app.get("/flights/{id}")
async def flight(id: Id, session: Session):
    return await one(session, "SELECT id, origin, dest, tailnum FROM flights WHERE id = :id", id=id)


@app.get("/flights/{id}/plane")
async def plane(id: Id, session: Session):
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = :id"
    return await one(session, query, id=id)


@app.get("/airlines/{carrier}")
async def airline(carrier: Carrier, session: Session):
    return await one(session, "SELECT carrier, name FROM airlines WHERE carrier = :carrier", carrier=carrier)
