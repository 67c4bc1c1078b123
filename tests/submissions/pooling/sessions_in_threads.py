# from lab; loses: saturated
# What fits into no thread waits for one that waits for a connection, whose request waits for a thread.
from typing import Annotated

from fastapi import Depends, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

engine = create_engine(
    db.replace("postgresql://", "postgresql+psycopg://"),
    pool_size=10,
    max_overflow=0,
    pool_timeout=1,
    pool_pre_ping=True,
)
app = FastAPI()


@app.exception_handler(NoConnection)
async def no_connection(request, error):
    return JSONResponse({"detail": "All connections are in use"}, 503, headers={"Retry-After": "1"})


def get_session():
    with Session(engine) as session:
        yield session


OneSession = Annotated[Session, Depends(get_session)]
Id = Annotated[int, Path(ge=-(2**31), lt=2**31)]
Carrier = Annotated[str, Path(pattern=r"^[^\x00]*$")]


class Flight(BaseModel):
    id: int
    origin: str
    dest: str
    tailnum: str | None


class Plane(BaseModel):
    id: int
    tailnum: str | None
    model: str | None


class Airline(BaseModel):
    carrier: str
    name: str


def one(session, query, **values):
    row = session.execute(text(query), values).mappings().first()
    if row is None:
        raise HTTPException(404, "No such thing")
    return dict(row)


@app.get("/flights/{id}")
def flight(id: Id, session: OneSession) -> Flight:
    return one(session, "SELECT id, origin, dest, tailnum FROM flights WHERE id = :id", id=id)


@app.get("/flights/{id}/plane")
def plane(id: Id, session: OneSession) -> Plane:
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = :id"
    return one(session, query, id=id)


@app.get("/airlines/{carrier}")
def airline(carrier: Carrier, session: OneSession) -> Airline:
    return one(session, "SELECT carrier, name FROM airlines WHERE carrier = :carrier", carrier=carrier)
