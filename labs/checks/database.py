"""What the lab of lesson 04 asks of the departures board."""

import json
import random
import secrets
import statistics as stats
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from underload.judge import check
from underload.judge import Failed, Observed, every, fail, shortened

ORIGINS = ["EWR", "JFK", "LGA"]
BEGIN = datetime(2013, 1, 2, tzinfo=UTC)
MINUTES = 330 * 24 * 60  # of the year, so that each board has flights enough
PAGE = 20
ARRIVED = 0.3  # seconds in which 40 requests come as far as PostgreSQL, which is paused

BOARD = """
    SELECT id, flight, scheduled_departure, airlines.name, airports.name, model, carrier, dest, tailnum
    FROM flights LEFT JOIN airlines USING (carrier) LEFT JOIN airports ON faa = dest LEFT JOIN planes USING (tailnum)
    WHERE origin = $1 AND scheduled_departure >= $2 ORDER BY scheduled_departure, id LIMIT $3"""
BOARD_FIELDS = "id", "flight", "departure", "airline", "to", "plane"
PLANES = """
    SELECT tailnum FROM flights WHERE tailnum IS NOT NULL
    GROUP BY tailnum HAVING count(*) BETWEEN 20 AND 150"""
PLANE = """
    SELECT id, scheduled_departure, origin, dest FROM flights WHERE tailnum = $1 ORDER BY scheduled_departure, id"""
PLANE_FIELDS = "id", "departure", "origin", "dest"
WORST = """
    SELECT id, dep_delay, carrier, flight, dest FROM flights WHERE dep_delay IS NOT NULL
    ORDER BY dep_delay DESC, id DESC LIMIT $1 OFFSET $2"""
WORST_FIELDS = "id", "dep_delay", "carrier", "flight", "dest"
BUFFERS = """
    SELECT sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0) + coalesce(idx_blks_read, 0)
               + coalesce(idx_blks_hit, 0) + coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0))::float
    FROM pg_statio_user_tables"""


def told(rows: Any, fields: Sequence[str]) -> list[tuple] | None:
    """What an answer lists, a tuple a row, with moments as such; None if it is no list of that kind."""
    try:
        return [
            tuple(datetime.fromisoformat(row[name]) if name == "departure" else row[name] for name in fields)
            for row in rows
        ]
    except (TypeError, KeyError, ValueError):
        return None


def require_rows(what: str, rows: Any, fields: Sequence[str], expected: Sequence[tuple]) -> None:
    """Fail unless the rows of an answer are those expected, showing the first that is not."""
    seen = told(rows, fields)
    if seen is None:
        fail(f"{what}: a list of {', '.join(fields)}", shortened(rows))
    if len(seen) != len(expected):
        fail(f"{what}: {len(expected)} of them", f"{len(seen)}")
    every(
        list(zip(seen, expected, strict=True)),
        lambda pair: pair[0] == pair[1],
        f"{what}: each right, and in order",
        lambda pair: f"{said(pair[0], fields)} for {said(pair[1], fields)}",
    )


def said(row: tuple, fields: Sequence[str]) -> str:
    return shortened(", ".join(f"{name} {value}" for name, value in zip(fields, row, strict=True)), 100)


def moment() -> str:
    return f"{BEGIN + timedelta(minutes=random.randrange(MINUTES)):%Y-%m-%dT%H:%M:%SZ}"


def board(db, origin: str, at: str, rows: int) -> list[Any]:
    """The truth, with three codes more in each row than a board shows."""
    return db.truth.rows(BOARD, origin, datetime.fromisoformat(at), rows)


@check(
    points=2,
    look="lesson 04, “Look inside” and “Change one thing: a join”",
    hint="What does the loop do for each row? And if you keep names in memory, how do you hear of a new one?",
)
def statements(service, db):
    """A board of 5 flights and one of 100 take at most 5 SQL statements each, and a changed name shows at once."""
    for rows in (5, 100):
        origin, at = random.choice(ORIGINS), moment()
        expected = board(db, origin, at, rows)
        path = f"/departures/{origin}?at={at}&rows={rows}"
        with db.watch(statements=True) as seen:
            answer = service.get(path)
        require_rows(path, answer.value, BOARD_FIELDS, [tuple(row)[:6] for row in expected])
        # Seen 1 for a join, 4 for a statement a table; for each row it would be 16 and 301.
        Observed(seen.statements.value, f"for {rows} flights", "statements").at_most(5)
    named = random.choice([row for row in expected if row["model"] and row[4]])
    with renamed(db, named) as names:
        again = service.get(path)
        new = [(*row[:3], *(names.get(code, name) for code, name in zip(row[6:], row[3:6], strict=True)))
               for row in map(tuple, expected)]  # fmt: skip
        require_rows(f"{path} after names have changed in the database", again.value, BOARD_FIELDS, new)


@contextmanager
def renamed(db, flight: Any) -> Iterator[dict[str, str]]:
    """Change the names of a flight's airline, airport and plane meanwhile; yield the new ones by code."""
    names = {
        code: f"name {secrets.token_hex(4)}"
        for code in (flight["carrier"], flight["dest"], flight["tailnum"])
    }

    def rename(carrier: str, dest: str, tailnum: str) -> None:
        db.rows("UPDATE airlines SET name = $2 WHERE carrier = $1", flight["carrier"], carrier)
        db.rows("UPDATE airports SET name = $2 WHERE faa = $1", flight["dest"], dest)
        db.rows("UPDATE planes SET model = $2 WHERE tailnum = $1", flight["tailnum"], tailnum)

    rename(*names.values())
    try:
        yield names
    finally:
        rename(*tuple(flight)[3:6])


@check(
    points=2,
    look="lesson 04, “The missing index” and “The wrong column first”",
    hint="EXPLAIN (ANALYZE, BUFFERS) each query. What is fixed with =, and what is the order after it?",
)
def indexes(service, db):
    """Under load a board of 20, a plane's flights and the longest delays look at 500 buffers a request at most."""
    moments = [moment() for _ in range(20)]
    tailnums = [tailnum for (tailnum,) in random.sample(db.truth.rows(PLANES), 40)]

    @cache
    def of_board(origin: str, at: str) -> list[tuple]:
        return [tuple(row)[:6] for row in board(db, origin, at, PAGE)]

    @cache
    def of_plane(tailnum: str) -> list[tuple]:
        return [tuple(row) for row in db.truth.rows(PLANE, tailnum)]

    # A session counts for itself and tells the server once a second, so what earlier checks did is told first.
    service.load("/delays", users=20, seconds=1.1)
    for what, path, parameters, right in (
        ("a board", "/departures/{origin}?at={at}", {"origin": ORIGINS, "at": moments},
         lambda answer, drawn: told(answer.value, BOARD_FIELDS) == of_board(drawn["origin"], drawn["at"])),
        ("a plane", "/planes/{tailnum}", {"tailnum": tailnums},
         lambda answer, drawn: told(answer.value, PLANE_FIELDS) == of_plane(drawn["tailnum"])),
        ("a page of delays", "/delays", {}, None),
    ):  # fmt: skip
        before = db.value(BUFFERS)
        busy = service.load(path, users=20, seconds=1.1, right=right, **parameters)
        busy.errors.equals(0)
        looked_at = (db.value(BUFFERS) - before) / len(busy.result.started)
        # Seen 25 to 250, 300 where names are asked for one by one; the table has 4,470.
        Observed(looked_at, f"for {what}", "buffers").at_most(500)


@check(
    points=2,
    look="lesson 04, “Page 5,000” and “The same in other words”",
    hint="What does PostgreSQL walk over on its way to a page? What could `next` carry instead of a number?",
)
def pages(service, db):
    """Following `next` from page 5,000 on takes at most 3 times as long as from page 1."""
    deep = random.randint(4_900, 5_100)
    walks = [walk(service, db, first) for first in (1, deep)]
    # In turn, so that what disturbs one disturbs the other.
    steps = [[next(each) for each in walks] for _ in range(30)]
    near, far = (stats.median(each) for each in zip(*steps, strict=True))
    # Seen 0.9 to 1.2; by offset 10 and more.
    Observed(far / near, f"a page after {deep:,} takes", "times as long").at_most(3)


def walk(service, db, first: int) -> Iterator[float]:
    """Follow `next` from a page on: yield what each page after it took, in ms."""
    expected = [tuple(row) for row in db.truth.rows(WORST, 31 * PAGE, (first - 1) * PAGE)]
    answer = service.get("/delays" if first == 1 else f"/delays?page={first}")
    for number in range(31):
        rows = answer["flights"].value
        require_rows(answer.asked, rows, WORST_FIELDS, expected[number * PAGE : (number + 1) * PAGE])
        if number:
            yield 1000 * answer.took
        link = answer["next"].value
        if not isinstance(link, str) or not link.startswith("/"):
            fail(f"{answer.asked}: in `next`, a path such as /delays?…", shortened(link))
        answer = service.get(link)


@check(
    points=2,
    look="lesson 04, “And if one row is bad?”",
    hint="Look at every line before you write the first, or write all in one transaction. Lines count from 1.",
)
def imports(service, db):
    """A file of 1,200 flights comes in whole; one with a bad line is refused with 422, its line, and nothing kept."""
    with file_of(db, 1_200) as (flights, kept):
        answer = service.post("/flights", content=lines(flights))
        answer.status.equals(201)
        answer.number("imported").equals(1_200)
        if kept() != sorted(tuple(flight.values()) for flight in flights):
            fail("each flight of the file in the table, as it was", f"{len(kept()):,} flights, or others")
    for what, spoil in BAD.items():
        number = random.randint(700, 1_150)  # so that those before it would be many
        with file_of(db, 1_200) as (flights, kept):
            flights[number - 1] = spoil(flights[number - 1])
            answer = service.post("/flights", content=lines(flights))
            answer.status.equals(422)
            detail = error_of(answer)
            line = detail.get("line") if isinstance(detail, dict) else detail
            Observed(line, f"the line that is told of a file with {what} in line {number}").equals(number)
            Observed(len(kept()), f"flights kept of a file with {what}").equals(0)


BAD = {
    "no JSON": lambda flight: '{"carrier": "UA", "flight": 17',
    "a field missing": lambda flight: {name: flight[name] for name in flight if name != "distance"},
    "a word for a number": lambda flight: {**flight, "flight": "seventeen"},
    "an unknown carrier": lambda flight: {**flight, "carrier": "ZZ"},
    "an unknown origin": lambda flight: {**flight, "origin": "XYZ"},
}
COLUMNS = (
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "scheduled_departure",
    "scheduled_arrival",
    "distance",
)


@contextmanager
def file_of(db, number: int) -> Iterator[tuple[list[Any], Any]]:
    """Yield new flights of one plane that nobody knows, and what tells which are in the table. They go at the end."""
    tailnum = f"X{secrets.token_hex(4)}"
    carriers = [carrier for (carrier,) in db.truth.rows("SELECT carrier FROM airlines")]
    flights = []
    for _ in range(number):
        departure = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(400_000))
        values = [random.choice(carriers), random.randint(1, 9_999), tailnum, random.choice(ORIGINS), "BOS", departure,
                  departure + timedelta(hours=1), random.randint(100, 3_000)]  # fmt: skip
        flights.append(dict(zip(COLUMNS, values, strict=True)))

    def kept() -> list[tuple]:
        rows = db.rows(f"SELECT {', '.join(COLUMNS)} FROM flights WHERE tailnum = $1", tailnum)
        return sorted(tuple(row) for row in rows)

    try:
        yield flights, kept
    finally:
        db.rows("DELETE FROM flights WHERE tailnum = $1", tailnum)


def lines(flights: list[Any]) -> str:
    return "\n".join(each if isinstance(each, str) else json.dumps(each, default=str) for each in flights)


def error_of(answer) -> Any:
    try:
        return json.loads(answer.body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Failed(
            f'{answer.asked}: an error such as {{"detail": {{"line": 17}}}}', answer.describe()
        ) from None


@check(
    points=2,
    look="lesson 04, “The last seat”",
    hint="What may happen between the look and the taking? And what does a traveller see who lost?",
)
def seats(service, db):
    """Of 40 who book the last few seats at once, as many get one as there are; the others get 409."""
    for free in random.sample(range(1, 9), 4):
        flight = f"/flights/{random.randint(1, 300_000)}"
        service.request("PUT", f"{flight}/seats", json={"free": free}).status.equals(204)
        names = [secrets.token_hex(4) for _ in range(40)]
        with db.paused():  # so that those who look first look at the same moment
            calls = [service.send("POST", [f"{flight}/bookings"], json={"name": name}) for name in names]
            time.sleep(ARRIVED)
        answers = {name: call.answers()[0] for name, call in zip(names, calls, strict=True)}
        every(answers.values(), lambda answer: answer.code in (201, 409), "201 or 409 for each",
              lambda answer: f"{answer.asked}: {answer.describe()}")  # fmt: skip
        booked = [name for name, answer in answers.items() if answer.code == 201]
        Observed(len(booked), f"bookings of {free} seats").equals(free)
        listed = service.get(f"{flight}/bookings").value
        if not isinstance(listed, list) or sorted(map(str, listed)) != sorted(booked):
            fail(f"{flight}/bookings: the {free} names that were booked", shortened(listed))
