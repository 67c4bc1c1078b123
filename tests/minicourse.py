"""A course of two miniature labs, whose checks take a moment each, for the tests of the whole grader."""

import json
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

MINI, OTHER = "00-mini", "01-other"

MINI_CHECKS = '''
"""What the miniature lab asks."""

import random

from underload.judge.requirements import check
from underload.judge.expect import Observed, every

FLIGHTS = range(1, 336_777)


def distance(db, id):
    return db.truth.value("SELECT distance FROM flights WHERE id = $1", id)


@check(points=4, look="lesson 00", hint="Ask the table.")
def right(service, db):
    """Distances are right while two users ask for them"""
    is_right = lambda answer, drawn: answer.number("distance").value == distance(db, drawn["id"])
    busy = service.load("/flights/{id}", users=2, seconds=0.3, right=is_right, id=FLIGHTS)
    busy.errors.equals(0)


@check(points=3, look="lesson 00", hint="Share them.")
def sessions(service, db):
    """Twenty flights asked for at once take at most 4 sessions"""
    ids = random.sample(FLIGHTS, 20)
    with db.watch() as seen:
        answers = service.send("GET", [f"/flights/{id}" for id in ids]).answers()
    every(
        list(zip(ids, answers)),
        lambda each: each[1].number("distance").value == distance(db, each[0]),
        "the right distances",
        lambda each: each[1].describe(),
    )
    seen.peak_sessions.at_most(4)


@check(points=2, look="lesson 00", hint="Keep them.")
def cached(service, db, cache):
    """A flight that is asked for again comes from Valkey"""
    id = random.choice(FLIGHTS)
    service.get(f"/flights/{id}")
    with cache.watch() as seen:
        service.get(f"/flights/{id}").number("distance").equals(distance(db, id))
    seen.hits.at_least(1)
    Observed(len(cache.keys(f"flight:{id}")), "keys of the flight").equals(1)


@check(points=1, look="lesson 00", hint="Add it to itself.")
def doubled(service):
    """A number is doubled"""
    n = random.randrange(10**9)
    service.get(f"/double/{n}")["n"].equals(2 * n)
'''
OTHER_CHECKS = '''
"""What the other lab asks: nothing that takes a server."""

import random

from underload.judge.requirements import check


@check(points=1, look="lesson 01", hint="Add it to itself.")
def doubled(service):
    """A number is doubled"""
    n = random.randrange(10**9)
    service.get(f"/double/{n}")["n"].equals(2 * n)
'''
POINTS = {MINI: {"right": 4, "sessions": 3, "cached": 2, "doubled": 1}, OTHER: {"doubled": 1}}
REQUIRED = dict(re.findall(r'def (\w+)\(service.*?\):\n    """(.*?)"""', MINI_CHECKS))

SETUP = """
from contextlib import asynccontextmanager

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI

from underload import Lab, flights, valkey

db = flights()
url = valkey()
cache = redis.from_url(url, decode_responses=True)
DISTANCE = "SELECT distance FROM flights WHERE id = $1"
"""
BROKEN = """
app = FastAPI()

@app.get("/flights/{id}")
async def flight(id: int):
    connection = await asyncpg.connect(db)
    found = await connection.fetchval(DISTANCE, id)
    await connection.close()
    return {"distance": found + 1}

@app.get("/double/{n}")
async def double(n: int):
    return {"n": n}
"""
SOLVED = """
# %% service
@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(db, min_size=1, max_size=4) as app.state.pool:
        yield

app = FastAPI(lifespan=lifespan)

@app.get("/flights/{id}")
async def flight(id: int):
    found = await cache.get(f"flight:{id}")
    if found is None:
        found = await app.state.pool.fetchval(DISTANCE, id)
        await cache.set(f"flight:{id}", found, ex=60)
    return {"distance": int(found)}

@app.get("/double/{n}")
async def double(n: int):
    return {"n": 2 * n}
"""
HALF = """
# %% service
app = FastAPI()

@app.get("/double/{n}")
async def double(n: int):
    return {"n": 2 * n}
"""


def cell(id: str, source: str, tag: str = "", **more):
    return new_code_cell(source.strip(), id=id, metadata={"tags": [tag]} if tag else {}, **more)


def text(id: str, source: str, tag: str = ""):
    return new_markdown_cell(source, id=id, metadata={"tags": [tag]} if tag else {})


def asked(name: str, points: int, requirement: str) -> list:
    """Return a check's sentence and its cell, with what it shows when it is met."""
    output = new_output("stream", name="stdout", text=f"✔ {points}/{points} {requirement}\n")
    sentence = text(f"asked-{name}", f"**{points} point{'s' * (points > 1)}.** {requirement}.")
    return [sentence, cell(name, f'lab.check("{name}")', "check", outputs=[output], execution_count=1)]


def solution(stem: str):
    """Return the solution of a lab, from which the grader makes the lab."""
    setup, solved = (
        (SETUP, SOLVED) if stem == MINI else ("from fastapi import FastAPI\nfrom underload import Lab", HALF)
    )
    return new_notebook(
        cells=[
            text("title", f"# {stem}"),
            cell("setup", setup),
            cell("broken", BROKEN, "starter"),
            cell("solved", solved.partition("# %% service\n")[2], "solution"),
            cell("lab", f'lab = Lab("{stem[3:]}", app)', "lab"),
            *(each for name, points in POINTS[stem].items() for each in asked(name, points, REQUIRED[name])),
        ]
    )


def make_course(root: Path) -> None:
    """Write the course that UNDERLOAD_COURSE is to name."""
    (root / "labs/checks").mkdir(parents=True)
    (root / "solutions").mkdir()
    for stem, checks in ((MINI, MINI_CHECKS), (OTHER, OTHER_CHECKS)):
        (root / f"labs/checks/{stem[3:]}.py").write_text(checks)
        nbformat.write(solution(stem), root / f"solutions/{stem}.ipynb")


def handed_in(code: str = "", stem: str = MINI) -> dict:
    """Return a learner's notebook, as JSON has it: the lab with cells of the learner's own.

    Each cell of ``code`` begins with a line ``# %% PLACE``. It goes before the cell with that id, or to the
    end; ``service`` takes the place of the service that breaks.
    """
    notebook = solution(stem)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "underload": {"lab": stem},
    }
    cells = [each for each in notebook.cells if each.id != "solved"]
    for each in cells:
        if {"lab", "check"} & set(each.metadata.get("tags", [])):
            each.metadata.update(editable=False, deletable=False)
    _, *parts = re.split(r"^# %% (\w+)\n", code, flags=re.MULTILINE)
    for number, (place, source) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        own = cell(f"own-{number}", source)
        where = next((i for i, each in enumerate(cells) if each.id == place), len(cells))
        if place == "service":
            where = next(i for i, each in enumerate(cells) if each.id == "broken")
            del cells[where]
        cells.insert(where, own)
    notebook.cells = cells
    return json.loads(nbformat.writes(notebook))
