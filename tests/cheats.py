"""What a cohort hands in: honest work, and all that a learner might try instead.

Each says what it earns: the checks that its service meets, whatever else it does. See `minicourse.handed_in`
for how its cells are written.
"""

from dataclasses import dataclass, field

from minicourse import HALF, MINI, OTHER, SOLVED

ALL = "right sessions cached doubled"


@dataclass(frozen=True)
class Handed:
    """One notebook: its cells, what it earns, and what is said of it."""

    code: str
    earns: str = ""
    lab: str = MINI
    status: str = "graded"
    reason: str = ""
    restored: tuple[str, ...] = field(default=())


HONEST = {
    "solved": Handed(SOLVED, ALL),
    "starter": Handed(""),
    "half": Handed(HALF, "doubled"),
    "breaks": Handed(
        "# %% service\nimport psycopg99",
        lab=OTHER,
        status="broken",
        reason="ModuleNotFoundError: No module named 'psycopg99', at the line “import psycopg99”.",
    ),
    "served by processes": Handed(
        """# %% service
%%writefile service.py
from fastapi import FastAPI

app = FastAPI()

@app.get("/double/{n}")
async def double(n: int):
    return {"n": 2 * n}
# %% lab
from underload import App

app = App("service:app", processes=2)
""",
        "doubled",
        lab=OTHER,
    ),
    "loud": Handed(
        SOLVED
        + """
import logging, sys, warnings

@app.middleware("http")
async def shout(request, call_next):
    print("serving", request.url, file=sys.stderr)
    logging.getLogger("uvicorn.error").error("serving %s", request.url)
    warnings.warn("this is deprecated")
    return await call_next(request)
""",
        ALL,
    ),
}

# Points that nobody granted.

CLAIMS = {
    "prints what is expected": Handed(
        lab=OTHER, code='# %% doubled\nprint("✔ 1/1 A number is doubled")\nlab.check = lambda name: None'
    ),
    "redefines lab, check and print": Handed(
        HALF
        + """
# %% doubled
import builtins

class Lab:
    def check(self, name):
        print("✔ 1/1 A number is doubled")

lab = Lab()
check = lab.check
builtins.print = lambda *_: None
""",
        "doubled",
        OTHER,
    ),
    "replaces the module of Lab": Handed(
        lab=OTHER,
        code="""
# %% lab
import sys
from types import ModuleType

class Lab:
    def __init__(self, name, app):
        pass
    def check(self, name):
        print("✔ 4/4", name)

fake = ModuleType("underload.judge.lab")
fake.Lab = Lab
sys.modules["underload.judge.lab"] = fake
from underload import Lab
""",
    ),
    "patches verdicts and the line": Handed(
        lab=OTHER,
        code="""
# %% doubled
import underload.judge.lab as theirs

def passed(wish, **details):
    return {"verdict": dict(
        name=details["name"], requirement="A number is doubled", points=1, possible=1, passed=True,
        expected="all", observed="all", look="", hint="",
    )}

theirs.own.ask = passed
""",
    ),
    "patches the display": Handed(
        lab=OTHER,
        code="""
# %% doubled
import sys
shell = get_ipython()
shell.showtraceback = lambda *_, **__: None
shell.display_pub.publish = lambda *_, **__: None

class Stdout:
    def write(self, text):
        return len(text)
    def flush(self):
        pass

sys.stdout = sys.stderr = Stdout()
""",
    ),
    "writes records": Handed(
        lab=OTHER,
        code="""
# %% lab
import json, os
from pathlib import Path

verdict = dict(
    name="doubled", requirement="r", points=1, possible=1, passed=True,
    expected="", observed="", look="", hint="",
)
socket = Path(os.environ["UNDERLOAD_JUDGE"])
for folder in (socket.parent, Path.cwd(), Path("/tmp"), *Path("/proc").glob("[0-9]*/cwd"), Path("COURSE")):
    for name in ("verdicts.json", "01-other.json", "record.json"):
        try:
            (folder / name).write_text(json.dumps({"doubled": verdict}))
        except OSError:
            pass
""",
    ),
    "pastes the solution from disk": Handed(
        lab=OTHER,
        code="""
# %% lab
import json, os
import underload

roots = ["COURSE", *underload.__path__[0].split("/src/")[:1], "/tmp", os.getcwd()]
roots += [f"/proc/{pid}/root/tmp" for pid in os.listdir("/proc") if pid.isdigit()]
for root in roots:
    for folder, _, names in os.walk(root):
        for name in names:
            if name == "01-other.ipynb":
                for each in json.load(open(os.path.join(folder, name)))["cells"]:
                    if each["id"] == "solved":
                        exec("".join(each["source"]))
""",
    ),
}

# What would deceive a judge that believes too much.

DECEITS = {
    "detects load": Handed(
        SOLVED
        + """
open_now = 0

@app.middleware("http")
async def guess_when_busy(request, call_next):
    global open_now
    open_now += 1
    try:
        if open_now > 1:
            from fastapi.responses import JSONResponse
            return JSONResponse({"distance": 1000})
        return await call_next(request)
    finally:
        open_now -= 1
""",
        "cached doubled",
    ),
    "detects load by its haste": Handed(
        SOLVED
        + """
import time
last, hasty = {}, {}

@app.middleware("http")
async def guess_in_haste(request, call_next):
    port = request.client.port
    hasty[port] = hasty.get(port, 0) + 1 if time.monotonic() - last.get(port, 0) < 0.005 else 0
    if hasty[port] > 5:
        from fastapi.responses import JSONResponse
        response = JSONResponse({"distance": 1000})
    else:
        response = await call_next(request)
    last[port] = time.monotonic()
    return response
""",
        "sessions cached doubled",
    ),
    "makes a constant right": Handed(
        HALF
        + """
connection = await asyncpg.connect(db)
await connection.execute("DROP TABLE flights CASCADE")
await connection.execute("CREATE VIEW flights AS SELECT id, 1000 distance FROM generate_series(1, 336776) id")

@app.get("/flights/{id}")
async def flight(id: int):
    await cache.set(f"flight:{id}", 1000)
    await cache.get(f"flight:{id}")
    return {"distance": 1000}
""",
        "doubled",
    ),
    "a service for each check": Handed(
        SOLVED
        + """
good = app
# %% sessions
lab = Lab("mini", good)
# %% cached
lab = Lab("mini", good)
# %% doubled
app = FastAPI()

@app.get("/double/{n}")
async def double(n: int):
    return {"n": 2 * n}

lab = Lab("mini", app)
""",
        "doubled",
    ),
    "resets what PostgreSQL counted": Handed(
        """
# %% service
from urllib.parse import urlsplit

app = FastAPI()

@app.get("/flights/{id}")
async def flight(id: int):
    connection = await asyncpg.connect(db)
    found = await connection.fetchval(DISTANCE, id)
    for statement in (
        "SELECT pg_stat_reset()",
        "SELECT pg_stat_clear_snapshot()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
        "ALTER SYSTEM SET track_activities = off",
        "ALTER DATABASE flights_learner RENAME TO hidden",
        "SELECT pg_sleep(0.5)",  # so that all twenty are open at once, however slowly they are opened
    ):
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError:
            pass
    await connection.close()
    return {"distance": found}
""",
        "right",
    ),
    "reads other databases": Handed(
        HALF
        + """
entered, mine = [], await asyncpg.connect(db)
for (name,) in await mine.fetch("SELECT datname FROM pg_database WHERE datname <> current_database()"):
    for user in ("learner", "postgres", "underload"):
        try:
            await asyncpg.connect(db, database=name, user=user, timeout=2)
            entered.append((name, user))
        except (asyncpg.PostgresError, OSError):
            pass

@app.get("/flights/{id}")
async def flight(id: int):
    name, user = entered[0]
    connection = await asyncpg.connect(db, database=name, user=user)
    return {"distance": await connection.fetchval(DISTANCE, id)}
""",
        "doubled",
    ),
    "tampers with Valkey": Handed(
        HALF
        + """
for command in (
    "CONFIG RESETSTAT", "CONFIG SET maxmemory 1", "ACL SETUSER me on nopass +@all", "DEBUG SLEEP 3",
    "CLIENT KILL TYPE normal", "REPLICAOF 127.0.0.1 1", "FLUSHALL", "SHUTDOWN NOSAVE",
):
    try:
        await cache.execute_command(*command.split())
    except redis.RedisError:
        pass
""",
        "doubled",
    ),
    "asks outside": Handed(
        lab=OTHER,
        code="""
# %% service
import socket, urllib.request

for address in (("192.0.2.1", 80), ("1.1.1.1", 53), ("127.0.0.1", PORT), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, timeout=1).close()
        reached = True
    except OSError:
        pass

app = FastAPI()

@app.get("/double/{n}")
def double(n: int):
    with urllib.request.urlopen(f"http://127.0.0.1:PORT/double/{n}", timeout=1) as answer:
        return {"n": int(answer.read())}
""",
    ),
    "lies about time and HTTP": Handed(
        HALF
        + """
# %% doubled
import asyncio, time
import httpx
import underload.loading.workload

time.perf_counter = time.time = lambda: 0.0
httpx.AsyncClient.send = httpx.Client.send = lambda *_, **__: httpx.Response(200, json={"distance": 1})
underload.loading.workload.load = lambda *_, **__: None
""",
        "doubled",
        OTHER,
    ),
    "talks to the judge": Handed(
        HALF
        + """
# %% lab
import json, os, socket

def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(os.environ["UNDERLOAD_JUDGE"])
    return connection

def ask(connection, answers, **wish):
    connection.sendall(json.dumps(wish).encode() + b"\\n")
    return answers.readline()

line = connect()
answers = line.makefile("rb")
for url in ("http://192.0.2.1:80", "http://127.0.0.1:1", "file:///etc/passwd", 7, None):
    ask(line, answers, ask="open", lab="mini", url=url, database=db)
ask(line, answers, ask="open", lab="../solutions/mini", url="http://127.0.0.1:1", database=db)
held = []
for _ in range(500):
    try:
        held.append(connect())
    except OSError:
        break
for each in held[:50]:
    try:
        each.sendall(b'{"ask": "check", "na')
    except OSError:
        pass
# %% sessions
for _ in range(1000):
    ask(line, answers, ask="check", name="cached")
    ask(line, answers, ask="check", name="sessions", points=3, passed=True)
    ask(line, answers, ask="points", name="sessions", points=3)
for garbage in (b"\\n", b"[" * 60_000 + b"\\n", b"\\xff\\xfe\\n", b"null\\n", b"x" * 10**6):
    try:
        line.sendall(garbage)
    except OSError:
        pass
""",
        "doubled",
    ),
}

# Harm to the grader, to its machine, or to whoever comes next.

HARM = {
    "exits at the start": Handed(
        "# %% service\nimport os\nos._exit(0)",
        lab=OTHER,
        status="crashed",
        reason="The kernel ended during code cell 2 (status 0).",
    ),
    "exits after the first check": Handed(
        SOLVED + "# %% sessions\nimport os\nos._exit(0)",
        status="crashed",
        reason="The kernel ended during code cell 5 (status 0).",
    ),
    "loops for ever": Handed(
        "# %% service\nwhile True:\n    pass",
        lab=OTHER,
        status="timeout",
        reason="Code cell 2 took longer than",
    ),
    "loops and swallows the interrupt": Handed(
        """
# %% lab
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
        lab=OTHER,
        status="timeout",
        reason="Code cell 3 took longer than",
    ),
    "takes all memory": Handed(
        HALF
        + """
# %% lab
def grow():
    held = []
    try:
        while True:
            held.append(bytes(10**8))
    except MemoryError:
        pass

grow()
""",
        "doubled",
        OTHER,
    ),
    "takes all memory in its database": Handed(
        """
# %% lab
import asyncio, asyncpg

ALL = "repeat(repeat('x', 1000000), 900)"
HOLD = f"DO $$ DECLARE held text; BEGIN held := {ALL}; PERFORM pg_sleep(60); END $$"

async def hold():
    connection = await asyncpg.connect(db)
    await connection.execute(HOLD)

await asyncio.gather(*[hold() for _ in range(5)])
""",
        status="crashed",
        reason="The notebook and its database sessions used more than 4 GB of memory.",
    ),
    "forks for ever": Handed(
        "# %% service\nimport os\nwhile True:\n    os.fork()",
        lab=OTHER,
        status="crashed",
        reason="The notebook ran more than 64 processes at once.",
    ),
    "computes in sessions of its own": Handed(
        """
# %% service
import subprocess, sys
for _ in range(55):
    subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
# %% lab
import time
time.sleep(60)
""",
        lab=OTHER,
        status="crashed",
        reason="The notebook had more than 48 threads compute at once, for long.",
    ),
    "computes in its database": Handed(
        """
# %% service
import asyncio

connections = [await asyncpg.connect(db) for _ in range(60)]
burning = [asyncio.ensure_future(each.execute("DO 'BEGIN LOOP END LOOP; END'")) for each in connections]
await asyncio.sleep(60)
""",
        status="crashed",
        reason="The notebook had more than 48 threads compute at once, for long.",
    ),
    "fills the disk": Handed(
        HALF
        + """
# %% lab
for path in ("flood", "/dev/shm/flood", "/var/tmp/flood", "COURSE/flood"):
    try:
        with open(path, "wb") as file:
            while True:
                file.write(bytes(10**7))
    except OSError:
        pass
""",
        "doubled",
        OTHER,
    ),
    "prints a million lines": Handed(
        HALF + '# %% lab\nfor _ in range(10_000):\n    print("a line\\n" * 100)', "doubled", OTHER
    ),
    "a cell of 4 MB": Handed(HALF + "# %% lab\n# " + "a remark, " * 400_000, "doubled", OTHER),
    "kills whom it finds": Handed(
        HALF
        + """
# %% doubled
import os, signal
for target in (-1, *(int(name) for name in os.listdir("/proc") if name.isdigit())):
    if target != os.getpid():
        try:
            os.kill(target, signal.SIGKILL)
        except OSError:
            pass
""",
        "doubled",
        OTHER,
    ),
    "leaves the kernel by SystemExit": Handed(
        """
# %% service
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(app):
    raise SystemExit(0)
    yield

app = FastAPI(lifespan=lifespan)
""",
        lab=OTHER,
        status="broken",
        reason="Code cell 3 raised UnderloadError: The app's lifespan failed.",
    ),
    "leaves the kernel by KeyboardInterrupt": Handed(
        """
# %% service
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(app):
    raise KeyboardInterrupt
    yield

app = FastAPI(lifespan=lifespan)
""",
        lab=OTHER,
        status="broken",
        reason="Code cell 3 raised UnderloadError: The app's lifespan failed.",
    ),
    "never answers": Handed(
        """
# %% service
import asyncio

app = FastAPI()

@app.get("/double/{n}")
async def double(n: int):
    await asyncio.sleep(3600)
""",
        lab=OTHER,
    ),
    "answers without end": Handed(
        HALF
        + """
from fastapi.responses import StreamingResponse

served = 0

@app.get("/flights/{id}")
async def flight(id: int):
    global served
    served += 1
    def endless():
        while True:
            yield b" " * 2**20
    return StreamingResponse(endless()) if served < 5 else None
""",
        "doubled",
    ),
    "breaks off": Handed(
        """
# %% service
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    headers = [(b"content-length", b"1000"), (b"content-encoding", b"gzip"), (b"x", b"y" * 50_000)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"n": '})
""",
        lab=OTHER,
    ),
    "answers monstrously": Handed(
        """
# %% service
from fastapi import Response

app = FastAPI()
DEEP, LONG = b"[" * 1_000_000, b'{"n": ' + b"1" * 1_000_000 + b"}"

@app.get("/flights/{id}")
async def flight(id: int):
    return Response(b'{"distance": ' + DEEP, media_type="application/json")

@app.get("/double/{n}")
async def double(n: int):
    return Response(LONG, media_type="application/json")
"""
    ),
    "keeps its servers busy": Handed(
        SOLVED
        + """
# %% doubled
import asyncio

async def burn():
    connection = await asyncpg.connect(db)
    await connection.execute("DO 'BEGIN LOOP END LOOP; END'")

burning = [asyncio.ensure_future(burn()) for _ in range(3)]
burning.append(asyncio.ensure_future(redis.from_url(url).eval("while 1 do end", 0)))
await asyncio.sleep(0.3)
""",
        "doubled",
    ),
    "leaves a daemon": Handed(
        HALF
        + """
# %% doubled
import os, signal, socket, time

kernel = os.getpid()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for each in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(each, signal.SIG_IGN)
    listening = []
    for port in range(30_000, 34_000):
        try:
            listening.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            pass
    while os.path.exists(f"/proc/{kernel}"):
        time.sleep(0.01)
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(os.environ["UNDERLOAD_JUDGE"])
                wish = '{"ask": "open", "lab": "other", "url": "http://127.0.0.1:30000", "database": null}'
                line.sendall(wish.encode() + b"\\n")
        except OSError:
            time.sleep(0.1)
""",
        "doubled",
        OTHER,
    ),
}


def edit_checks(notebook: dict) -> None:
    """Edit a check, delete one, have one twice, and move one."""
    cells = notebook["cells"]
    places = {each["id"]: each for each in cells}
    places["right"]["source"] = 'print("✔ 4/4 Distances are right while two users ask for them")'
    cells.remove(places["sessions"])
    cells.append({**places["cached"], "id": "again"})
    cells.remove(places["doubled"])
    cells.insert(0, places["doubled"])


def edit_what_is_expected(notebook: dict) -> None:
    """Edit outputs of checks, points in metadata, and have nbval skip cells or expect them to fail."""
    notebook["metadata"]["underload"].update(points=10, possible=10, released="0" * 64)
    for each in notebook["cells"]:
        if "check" in each["metadata"].get("tags", ()):
            each["outputs"][0]["text"] = ["✘ 0/4 it fails, as expected\n"]
            each["metadata"] |= {"points": 100, "underload": {"points": 100}}
            each["metadata"]["tags"] = ["nbval-skip"]
        else:
            each["metadata"]["tags"] = ["nbval-skip", "nbval-raises-exception", "check"]


def blank_ids(notebook: dict) -> None:
    """Give all cells one id, and no kernelspec."""
    for each in notebook["cells"]:
        each["id"] = "same"
    del notebook["metadata"]["kernelspec"]


def name_another_kernel(notebook: dict) -> None:
    notebook["metadata"]["kernelspec"] = {"name": "bash", "language": "bash", "display_name": "x"}


def drop_cells(notebook: dict) -> None:
    notebook["cells"] = []


RESTORED = (
    'check "right": edited',
    'check "sessions": missing',
    'check "doubled": moved',
    'check "cached": there a second time',
)
EDITED = {
    "edits checks and has not solved them": (edit_checks, Handed(HALF, "doubled", restored=RESTORED)),
    "edits checks and has solved them": (edit_checks, Handed(SOLVED, ALL, restored=RESTORED)),
    "edits what is expected": (
        edit_what_is_expected,
        Handed(lab=OTHER, code="", restored=('check "doubled": its tags edited',)),
    ),
    "cells of one id and no kernelspec": (blank_ids, Handed(HALF, "doubled", OTHER)),
    "another kernel": (name_another_kernel, Handed(HALF, "doubled", OTHER)),
    "no cells": (
        drop_cells,
        Handed(
            lab=OTHER,
            code="",
            status="broken",
            reason="Code cell 1 raised NameError: name 'Lab' is not defined, at the line “lab = Lab(",
            restored=("the lab cell: missing",),
        ),
    ),
}
