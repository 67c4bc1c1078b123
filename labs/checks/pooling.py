"""What the lab of lesson 03 asks of the flight service."""

import math
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from string import ascii_uppercase
from typing import Any

from underload.judge import check
from underload.judge import Answer
from underload.judge import Failed, Load, Observed, every, fail, meanwhile

IDS = range(1, 336_777)
UNKNOWN = range(1_000_000, 2_000_000)
TOO_LARGE = range(10**12, 2 * 10**12)  # for PostgreSQL's integer
FLIGHTS, PLANES, AIRLINES = PATHS = "/flights/{id}", "/flights/{id}/plane", "/airlines/{carrier}"
# Planes are asked for least, since what becomes of many who ask for them is for `planes` to judge.
CROWD = (FLIGHTS, FLIGHTS, AIRLINES, AIRLINES, PLANES)
FIELDS = {
    FLIGHTS: ("id", "origin", "dest", "tailnum"),
    PLANES: ("id", "tailnum", "model"),
    AIRLINES: ("carrier", "name"),
}
BUDGET = 50 // (4 + 1)  # sessions of one process: four run, and a fifth during a deploy
PATIENCE = 3.0  # seconds a visitor waits: 2 in which the lab wants a refusal, and 1 for a busy machine
RECOVERY = 2.0  # seconds that the lab gives a service after PostgreSQL was paused
SETTLE = 2.5  # seconds
MOST_LOOKED_AT = 1_000  # answers of one load

beyond_help: set[str] = set()  # the URLs of services that neither time nor a new connection brings back

KNOWN = """
    SELECT id, origin, dest, tailnum, model, carrier, name
    FROM flights JOIN planes USING (tailnum) JOIN airlines USING (carrier) WHERE id >= $1 ORDER BY id LIMIT 1"""
QUERIES = {
    FLIGHTS: "SELECT id, origin, dest, tailnum FROM flights WHERE id = $1",
    PLANES: "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = $1",
    AIRLINES: "SELECT carrier, name FROM airlines WHERE carrier = $1",
}


def path_of(answer: Answer) -> str:
    """Return which of the three paths was asked for."""
    if "/airlines/" in answer.asked:
        return AIRLINES
    return PLANES if answer.asked.endswith("/plane") else FLIGHTS


def truth(db, answer: Answer) -> dict[str, Any]:
    """What the answer should show, by the database."""
    key = answer.asked.split("/")[2]
    path = path_of(answer)
    return dict(db.truth.row(QUERIES[path], key if path == AIRLINES else int(key)))


@cache
def carriers(db) -> list[str]:
    return [carrier for (carrier,) in db.truth.rows("SELECT carrier FROM airlines")]


def some(db, path: str, number: int) -> list[str]:
    """Return so many of one of the three paths, drawn at random."""
    return [path.format(id=random.choice(IDS), carrier=random.choice(carriers(db))) for _ in range(number)]


def crowd(service, db, paths: Sequence[str], **workload: Any) -> Load:
    """Put load on some of the paths, and keep the answers."""
    parameters = {"id": IDS} | ({"carrier": carriers(db)} if AIRLINES in paths else {})
    return service.load(paths, timeout=PATIENCE, looked_at=MOST_LOOKED_AT, **parameters, **workload)


def is_right(db, answer: Answer) -> bool:
    try:
        return answer.shows(truth(db, answer))
    except Failed:
        return False


def kinds(answers: Sequence[Answer]) -> str:
    """Return how many answers of each kind there were, in one line."""
    counts = Counter(answer.problem or f"status {answer.code}" for answer in answers)
    return ", ".join(f"{kind} × {count}" for kind, count in counts.most_common(3))


def require_right(db, answers: Sequence[Answer], refused: int) -> None:
    """Fail unless all are right, but for so many that may be refused: on a busy machine any pool makes some wait."""
    no = [answer for answer in answers if answer.code == 503]
    if len(no) > refused:
        fail(
            f"{no[0].asked}: status 200, and at most {refused} of {len(answers)} refused",
            f"{no[0].describe()} ({len(no)} of {len(answers)} refused)",
        )
    others = [answer for answer in answers if answer.code != 503]
    every(others, lambda answer: answer.shows(truth(db, answer)), "right answers", Answer.describe)


def require_well(service, db, timeout: float = PATIENCE) -> None:
    """Ask for one of each path. Raise Failed unless each answer is right."""
    for path in random.sample(PATHS, 3):
        answer = service.get(*some(db, path, 1), timeout=timeout)
        answer.shows(truth(db, answer))


def wait_until_well(service, db, seconds: float, timeout: float = PATIENCE) -> None:
    """Wait until all three paths answer right. Raise Failed if they do not at a try after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline
        try:
            return require_well(service, db, timeout)
        except Failed:
            if late:
                raise
        time.sleep(0.1)


def settle(service, db) -> None:
    """Wait until the service has got over what an earlier check did to it; end a leak, or a deadlock.

    Raises Failed unless it then answers with what the database holds, since nothing else is to be judged.
    """
    try:
        wait_until_well(service, db, 0 if service.url in beyond_help else SETTLE, timeout=1)
    except Failed:
        db.terminate_backends()
        time.sleep(0.2)
        beyond_help.add(service.url)
        with meanwhile("nothing else is asked, before the check itself"):
            require_well(service, db, timeout=1)
    beyond_help.discard(service.url)
    with changed(db) as flight, meanwhile("rows have just been changed in the database"):
        for path in random.sample(PATHS, 3):
            fields = FIELDS[path]
            service.get(path.format(**flight), timeout=PATIENCE).shows(
                {name: flight[name] for name in fields}
            )


@contextmanager
def changed(db) -> Iterator[dict[str, Any]]:
    """Have a flight's destination, its plane's model and its airline's name be others; yield all that is known of it."""
    before = dict(db.truth.row(KNOWN, random.choice(range(1, 300_000))))
    try:
        yield write(db, before | {name: secrets.token_hex(4) for name in ("dest", "model", "name")})
    finally:
        write(db, before)


def write(db, flight: dict[str, Any]) -> dict[str, Any]:
    db.rows("UPDATE flights SET dest = $2 WHERE id = $1", flight["id"], flight["dest"])
    db.rows("UPDATE planes SET model = $2 WHERE tailnum = $1", flight["tailnum"], flight["model"])
    db.rows("UPDATE airlines SET name = $2 WHERE carrier = $1", flight["carrier"], flight["name"])
    return flight


@check(
    points=2,
    look="lesson 03, “One connection per request” and “Change one thing: a pool”",
    hint="How many connections does one request open, and how many ways into PostgreSQL does the service have?",
)
def budget(service, db):
    """With 200 users on all three paths, no more PostgreSQL sessions are open than one process may have, and at least 20 answers are right."""
    settle(service, db)
    with db.watch() as seen:
        busy = crowd(service, db, CROWD, users=200, seconds=1, back_off=0.5)
    seen.peak_sessions.at_most(BUDGET)
    right = sum(is_right(db, answer) for answer in busy.answers)
    # Seen 600 and more; two connections a plane, with a timeout, leave 40.
    Observed(right, "right answers meanwhile", beside=kinds(busy.answers)).at_least(20)


@check(
    points=1,
    look="lesson 03, “Why not share one connection?” and “An acquire without a timeout”",
    hint="An error that says so: who shares that connection? A 503: how long does a request wait for a connection?",
)
def errors(service, db):
    """12 users on all three paths get right answers; at most one in ten is a 503 instead."""
    settle(service, db)
    answers = crowd(service, db, CROWD, users=12, seconds=0.5).answers
    require_right(db, answers, refused=len(answers) // 10)


@check(
    points=1,
    look="lesson 03, “Two connections for one request”",
    hint="How many connections does a request for a plane hold at once? What if all the others do so, too?",
)
def planes(service, db):
    """30 users, most of whom ask for planes, get right answers; at most 3 of them get a 503 instead."""
    settle(service, db)
    # Who is refused does not come again, so each counts once: seen 0, and 21 of 30 after a deadlock.
    busy = crowd(service, db, (PLANES, PLANES, PLANES, FLIGHTS), users=30, seconds=0.3, back_off=2)
    require_right(db, busy.answers, refused=3)


@check(
    points=2,
    look="lesson 03, “An acquire without a timeout”",
    hint="What does a request wait for when all connections are in use, and for how long at most? On every path?",
)
def saturated(service, db):
    """While PostgreSQL answers nobody, at least half of the requests on each path get a 503 with Retry-After within
    2 s; 2 s after PostgreSQL answers again, all three paths are right.
    """
    settle(service, db)
    with db.paused():
        asked = crowd(service, db, CROWD, rate=150, seconds=1).answers
    for path in PATHS:
        told = [answer for answer in asked if path_of(answer) == path]
        others = [answer for answer in told if answer.code != 503 and not is_right(db, answer)]
        # Of 330 requests seen 320 with a pool of 10, and 240 with one of 90, whose size is for `budget` to judge.
        in_time = len(told) - len(others)
        Observed(in_time, f"{path}: status 503 within 2 s", f"of {len(told)}", beside=kinds(others)).at_least(
            math.ceil(len(told) / 2)
        )
    every(
        [answer for answer in asked if answer.code == 503],
        says_when,
        "each 503 with a header Retry-After: 1, or more whole seconds",
        lambda answer: f"{answer.asked}: Retry-After: {answer.headers.get('retry-after', 'no such header')}",
    )
    with meanwhile("PostgreSQL answers again"):
        wait_until_well(service, db, RECOVERY)


def says_when(answer: Answer) -> bool:
    seconds = answer.headers.get("retry-after", "")
    return seconds.isascii() and seconds.isdigit() and int(seconds) > 0


@check(
    points=2,
    look="lesson 03, “The leak”",
    hint="On which way out of a request is its connection not given back? Look at every path.",
)
def flat(service, db):
    """1,500 requests on all three paths, a tenth of them for what does not exist, leave all three paths right; after the
    first 300 at most 10 sessions are opened.
    """
    settle(service, db)
    known, codes = random.sample(IDS, 900), carriers(db)
    ids = [*known, *random.sample(UNKNOWN, 70), *random.sample(TOO_LARGE, 30)]
    airlines = [*codes * 9, *random.choices(unknown_carriers(db), k=len(codes))]

    def send(requests: int) -> None:
        while requests > 0:
            busy = service.load(
                PATHS,
                users=8,
                seconds=0.5,
                timeout=PATIENCE,
                looked_at=MOST_LOOKED_AT,
                id=ids,
                carrier=airlines,
            )
            if not busy.result.good.any():
                fail(
                    "good answers for what exists, to the last of 1,500 requests",
                    f"none any more ({kinds(busy.answers)})",
                )
            requests -= len(busy.result.started)

    send(300)  # a pool may still grow here, or open anew what was ended
    with db.watch() as seen:
        send(1_200)
    require_well(service, db)
    seen.opened_sessions.at_most(BUDGET)


@check(
    points=1,
    look="lesson 03, “The leak”",
    hint="What does the query find, and what does PostgreSQL say to a number that its type cannot hold?",
)
def unknown(service, db):
    """An unknown flight, on both its paths, and an unknown airline are a 404, an id that is not a number is a 422; what
    PostgreSQL cannot hold is either.
    """
    settle(service, db)
    id, huge, code = random.choice(UNKNOWN), random.choice(TOO_LARGE), random.choice(unknown_carriers(db))
    wanted = {f"/flights/{id}": [404], f"/flights/{id}/plane": [404], f"/airlines/{code}": [404]}
    wanted |= {"/flights/seven": [422], "/flights/seven/plane": [422], "/airlines/%00": [404, 422]}
    wanted |= {f"/flights/{huge}": [404, 422], f"/flights/{huge}/plane": [404, 422]}
    for path in random.sample(list(wanted), len(wanted)):
        service.get(path, timeout=PATIENCE).status.is_in(wanted[path])
    require_well(service, db)


def unknown_carriers(db) -> list[str]:
    codes = {first + second for first in ascii_uppercase for second in ascii_uppercase}
    return sorted(codes - set(carriers(db)))


@check(
    points=1,
    look="lesson 03, “PostgreSQL restarts under you”",
    hint="Which connections does a pool look after, and which does nobody? Who finds out that one is closed?",
)
def recovers(service, db):
    """One second after all its sessions are terminated, the first request on each path gets the right answer; of the next
    24, sent at once, at most 2 get a 503 instead.
    """
    settle(service, db)
    at_once(service, db)  # so that as many connections are open as there will be
    db.terminate_backends()
    time.sleep(1)
    with meanwhile("its sessions were ended a second ago"):
        require_well(service, db)
        require_right(db, at_once(service, db), refused=2)


def at_once(service, db) -> list[Answer]:
    """Send 24 requests at once and return their answers."""
    paths = [*some(db, FLIGHTS, 16), *some(db, PLANES, 7), *some(db, AIRLINES, 1)]
    return service.send("GET", random.sample(paths, len(paths)), timeout=PATIENCE).answers()
