"""What the lab of lesson 04 asks of the departures board."""

import json
import random
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from underload.judge import check
from underload.judge import Failed, Observed, every, fail, meanwhile, require_rows, shortened

ORIGINS = ["EWR", "JFK", "LGA"]
BEGIN = datetime(2013, 1, 2, tzinfo=UTC)
YEAR = 330  # days of it on which a board has flights enough to follow
PAGE = 20
AT_ONCE = 60  # requests of one kind
ARRIVED = 0.1  # seconds at least in which 40 requests come as far as PostgreSQL, which is paused
PATIENCE = 20.0  # seconds for a service to open new sessions

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
WITHOUT_DELAY = "SELECT id, carrier, flight, dest FROM flights WHERE dep_delay IS NULL"
DELAYED = "SELECT count(dep_delay) FROM flights"
INDEXES = """
    SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
    FROM pg_index WHERE indrelid = 'public.flights'::regclass ORDER BY indexrelid"""
CONSTRAINTS = """
    SELECT conrelid::regclass || ' ' || pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    AND conrelid::regclass::text NOT IN ('flights', 'airlines', 'airports', 'planes', 'weather') ORDER BY 1"""


def ready(service) -> None:
    """Wait until ten requests at once are answered well, such as after the sessions of a service were ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answers = service.send("GET", ["/flights/1/bookings"] * 10).answers()
        bad = [answer for answer in answers if answer.code != 200]
        if not bad:
            return
        if time.monotonic() > deadline:
            fail(f"{bad[0].asked}: status 200 within {PATIENCE:g} s", bad[0].describe())
        time.sleep(0.05)


def moment(days: int = YEAR, after: int = 0) -> datetime:
    """Return a minute of the year, of so many days after so many."""
    return BEGIN + timedelta(days=after, minutes=random.randrange(days * 24 * 60))


def board(origin: str, at: datetime, rows: int = PAGE) -> str:
    return f"/departures/{origin}?at={at:%Y-%m-%dT%H:%M:%SZ}&rows={rows}"


@contextmanager
def quiet_airport(db) -> Iterator[tuple[str, datetime, list[tuple]]]:
    """Have five flights leave at one moment late in the year from an airport where no other does.

    The higher the id, the earlier they came into the table. A destination and a plane are unknown to the
    database, and one flight has no plane. Yield the airport, the moment, and the rows of its board.
    """
    codes = db.truth.rows("SELECT faa FROM airports WHERE faa <> ALL ($1)", ORIGINS)
    (airport,), (known,) = random.sample(codes, 2)
    carrier, plane = random.choice(db.truth.rows("SELECT carrier, tailnum FROM airlines, planes"))
    at, id = moment(days=30, after=YEAR - 30), random.randint(1_000_000_000, 2_000_000_000)
    nobodys = f"X{secrets.token_hex(3)}"
    kinds = [(known, plane), ("SJU", plane), (known, None), (known, nobodys), (known, plane)]
    db.rows(
        """INSERT INTO flights
               (id, carrier, flight, tailnum, origin, dest, scheduled_departure, scheduled_arrival, distance)
           SELECT $1 - place, $2, place, tailnum, $3, dest, $4, $4, 99
           FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS t (dest, tailnum, place) ORDER BY place""",
        id, carrier, airport, at, *map(list, zip(*kinds, strict=True)),
    )  # fmt: skip
    try:
        airline = db.truth.value("SELECT name FROM airlines WHERE carrier = $1", carrier)
        to = db.truth.value("SELECT name FROM airports WHERE faa = $1", known)
        model = db.truth.value("SELECT model FROM planes WHERE tailnum = $1", plane)
        rows = [
            (id - place, place, at, airline, to if dest == known else None, model if tail == plane else None)
            for place, (dest, tail) in enumerate(kinds, start=1)
        ]
        yield airport, at, rows[::-1]
    finally:
        db.rows("DELETE FROM flights WHERE origin = $1", airport)


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


@contextmanager
def showing(db, what: str, query: str) -> Iterator[None]:
    """Add to a failure what the database holds, since IF NOT EXISTS passes over a changed definition in silence."""
    try:
        yield
    except Failed as failed:
        found = "; ".join(shortened(defined(text)) for (text,) in db.rows(query)[:12]) or "none"
        raise Failed(failed.expected, f"{failed.observed}; {what}: {found}") from None


def defined(text: str) -> str:
    """Return an index as its name and what it is on, a constraint as it is."""
    return re.sub(r"^CREATE (UNIQUE )?INDEX (\S+) ON \S+ (?:USING btree )?", r"\2 ", text)


@check(
    points=2,
    look="lesson 04, “Look inside” and “Change one thing: a join”",
    hint="Too many statements: what does the loop do for each row? Flights missing: which JOIN keeps a flight whose "
    "plane nobody knows? An old name: if you keep names in memory, how do you hear of a new one?",
)
def statements(service, db):
    """A board of 5 flights and one of 100 are right, take at most 5 SQL statements each, and show a changed name at once."""
    ready(service)
    origin, at = random.choice(ORIGINS), moment()
    known = db.truth.rows(BOARD, origin, at, 100)
    with quiet_airport(db) as (airport, when, few):
        for path, expected in (
            (board(airport, when, 5), few),
            (board(origin, at, 100), [tuple(row)[:6] for row in known]),
        ):
            with db.watch(statements=True) as seen:
                answer = service.get(path)
            require_rows([answer], BOARD_FIELDS, [expected])
            # Seen 1 for a join, 4 for a statement a table; for each row it would be 16 and 301.
            Observed(seen.statements.value, f"for {len(expected)} flights", "statements").at_most(5)
    named = random.choice([row for row in known if row["model"] and row[4]])
    with renamed(db, named) as names:
        again = service.get(path)
        new = [(*row[:3], *(names.get(code, name) for code, name in zip(row[6:], row[3:6], strict=True)))
               for row in map(tuple, known)]  # fmt: skip
        with meanwhile("names have been changed in the database"):
            require_rows([again], BOARD_FIELDS, [new])


@check(
    points=2,
    look="lesson 04, “The missing index” and “The wrong column first”",
    hint="EXPLAIN (ANALYZE, BUFFERS) each query. What is fixed with =, and what is the order after it? If an index is "
    "not the one you wrote, it was there before under the same name.",
)
def indexes(service, db):
    """A board of 20, one of an airport with few flights, and a plane's flights look at 1,500 buffers at most, on average."""
    tailnums = random.sample([tailnum for (tailnum,) in db.truth.rows(PLANES)], AT_ONCE)
    drawn = [(random.choice(ORIGINS), moment()) for _ in range(AT_ONCE)]
    boards = [[tuple(row)[:6] for row in db.truth.rows(BOARD, *each, PAGE)] for each in drawn]
    planes = [[tuple(row) for row in db.truth.rows(PLANE, tailnum)] for tailnum in tailnums]
    with quiet_airport(db) as (airport, _, few):
        early = [moment(days=30) for _ in range(AT_ONCE)]
        for what, paths, fields, expected in (
            ("for a board of 20", [board(*each) for each in drawn], BOARD_FIELDS, boards),
            ("for an airport with few flights", [board(airport, at) for at in early], BOARD_FIELDS, [few] * AT_ONCE),
            ("for a plane's flights", [f"/planes/{tailnum}" for tailnum in tailnums], PLANE_FIELDS, planes),
        ):  # fmt: skip
            looked_at = buffers(service, db, paths, fields, expected)
            with showing(db, "the indexes on flights", INDEXES):
                # Seen 50 to 280 with a pool, up to 930 with a connection a request, which reads the catalogue anew.
                # With the wrong column first 2,900 and more, without an index 5,000.
                Observed(looked_at, what, "buffers").at_most(1_500)


def buffers(service, db, paths: Sequence[str], fields: Sequence[str], expected: Sequence) -> float:
    """Return how many buffers are looked at for each of these requests, whose answers must be right."""
    with db.watch(buffers=True) as seen:
        ready(service)  # whose sessions have just been ended
        answers = service.send("GET", paths).answers()
    ready(service)
    require_rows(answers, fields, expected)
    return seen.buffers.value / len(paths)


@check(
    points=2,
    look="lesson 04, “Page 5,000” and “The same in other words”",
    hint="What does PostgreSQL walk over on its way to a page? What could `next` carry instead of a number?",
)
def pages(service, db):
    """Following `next`, a page after page 15,000 looks at 600 buffers at most; a new delay is on its page at once; the last `next` is null."""
    ready(service)
    with showing(db, "the indexes on flights", INDEXES):
        # Seen 41 to 62 with a pool, 400 with a connection a request. By offset within the index 870, and by
        # any other 20,000 and more.
        Observed(walk(service, db, 15_000), "a page after page 15,000", "buffers").at_most(600)
    with new_delay(db) as (page, rows):
        answer = service.get(f"/delays?page={page}")
        with meanwhile("a delay has been entered in the database"):
            require_rows([answer], WORST_FIELDS, [rows], flights_of)
    count = db.truth.value(DELAYED)
    before_last = service.get(f"/delays?page={count // PAGE}")
    last = service.get(link_of(before_last))
    require_rows([last], WORST_FIELDS, worst(db, count // PAGE + 1, 1), flights_of)
    last["next"].equals(None)


@contextmanager
def new_delay(db) -> Iterator[tuple[int, list[tuple]]]:
    """Have a flight been late that has no delay yet; yield one of the pages that this changes, and its rows."""
    page = random.randint(2, 20)  # where few delays are equal
    before = [row for rows in worst(db, 1, page) for row in rows]
    id, *others = random.choice(db.truth.rows(WITHOUT_DELAY))
    late = id, before[-PAGE // 2][1], *others
    after = sorted([*before, late], key=lambda row: (-row[1], -row[0]))
    set_delay(db, *late[:2])
    try:
        yield page, after[PAGE * (page - 1) : PAGE * page]
    finally:
        set_delay(db, id, None)


def set_delay(db, id: int, minutes: int | None) -> None:
    late = "scheduled_departure + make_interval(mins => $2)"
    db.rows(f"UPDATE flights SET departure = {late} WHERE id = $1", id, minutes)


WALKS = 10
STEPS = 12
AMONG = 100  # pages that a walk may begin with


def walk(service, db, first: int) -> float:
    """Follow `next` from pages after the first, and return how many buffers were looked at for each that came."""
    right = worst(db, first, AMONG + STEPS)
    begins = random.sample(range(AMONG), WALKS)
    answers = service.send("GET", [f"/delays?page={first + place}" for place in begins]).answers()
    require_rows(answers, WORST_FIELDS, [right[place] for place in begins], flights_of)
    walked = []
    with db.watch(buffers=True) as seen:
        ready(service)  # whose sessions have just been ended
        for _ in range(STEPS):
            answers = service.send("GET", [link_of(answer) for answer in answers]).answers()
            walked += answers
    ready(service)
    places = [place + step for step in range(1, STEPS + 1) for place in begins]
    require_rows(walked, WORST_FIELDS, [right[place] for place in places], flights_of)
    return seen.buffers.value / len(walked)


def worst(db, first: int, pages: int) -> list[list[tuple]]:
    """Return so many pages of the longest delays, from the first on."""
    rows = [tuple(row) for row in db.truth.rows(WORST, PAGE * pages, PAGE * (first - 1))]
    return [rows[begin : begin + PAGE] for begin in range(0, len(rows), PAGE)]


def flights_of(answer) -> Any:
    return answer["flights"].value


def link_of(answer) -> str:
    link = answer["next"].value
    if not isinstance(link, str) or not link.startswith("/"):
        fail(f"{answer.asked}: in `next` a path such as /delays?…", shortened(link))
    return link


@check(
    points=1,
    look="lesson 04, “And if one row is bad?”",
    hint="Look at every line before you write the first, or write all in one transaction. Lines count from 1.",
)
def imports(service, db):
    """A file of 1,200 flights comes in whole; one with a bad line is refused with 422, its line, and nothing kept."""
    ready(service)
    with file_of(db, 1_200) as (flights, kept):
        answer = service.post("/flights", content=lines(flights))
        answer.status.equals(201)
        answer.number("imported").equals(1_200)
        if kept() != sorted(tuple(flight.values()) for flight in flights):
            fail("each flight of the file in the table, as it was", f"{len(kept()):,} flights, or others")
        plane = service.get(f"/planes/{flights[0]['tailnum']}")
        in_order = [tuple(row) for row in db.rows(PLANE, flights[0]["tailnum"])]
        require_rows([plane], PLANE_FIELDS, [in_order])
    for what, spoil in random.sample(list(BAD.items()), len(BAD)):
        number = random.randint(700, 1_150)  # so that those before it would be many
        with file_of(db, 1_200) as (flights, kept), meanwhile(f"line {number} of a file has {what}"):
            flights[number - 1] = spoil(flights[number - 1])
            answer = service.post("/flights", content=lines(flights))
            if answer.code != 422:
                fail(f"{answer.asked}: status 422", answer.describe())
            detail = error_of(answer)
            line = detail.get("line") if isinstance(detail, dict) else detail
            Observed(line, "the line that the answer names").equals(number)
            Observed(len(kept()), "flights of the file in the table").equals(0)
            plane = service.get(f"/planes/{flights[0]['tailnum']}")
            if plane.code != 404:
                require_rows([plane], PLANE_FIELDS, [[]])


BAD = {
    "no JSON": lambda flight: '{"carrier": "UA", "flight": 17',
    "a field missing": lambda flight: {name: flight[name] for name in flight if name != "distance"},
    "a word for a number": lambda flight: {**flight, "flight": "seventeen"},
    "a number too large for the column (10^12)": lambda flight: {**flight, "flight": 10**12},
    "a NUL in a text": lambda flight: {**flight, "dest": "B\0S"},
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
    points=1,
    look="lesson 04, “And if one row is bad?”",
    hint="Which values does the column's type, or LIMIT, not take? FastAPI can refuse them before your code runs.",
)
def refuses(service, db):
    """rows=-1, page=0, free=-1, a flight or seats numbered 10^12, and a NUL in a name are each refused with a 4xx."""
    ready(service)
    flight, at = f"/flights/{any_flight()}", moment()
    service.request("PUT", f"{flight}/seats", json={"free": 9}).status.equals(204)
    for method, senseless, sound in (
        ("GET", (board("JFK", at, -1),), (board("JFK", at, 1),)),
        ("GET", ("/delays?page=0",), ("/delays?page=1",)),
        ("PUT", (f"/flights/{10**12}/seats", {"free": 9}), (f"/flights/{any_flight()}/seats", {"free": 9})),
        ("PUT", (f"{flight}/seats", {"free": -1}), (f"{flight}/seats", {"free": 9})),
        ("PUT", (f"{flight}/seats", {"free": 10**12}), (f"{flight}/seats", {"free": 9})),
        ("POST", (f"{flight}/bookings", {"name": "A\0da"}), (f"{flight}/bookings", {"name": "Ada"})),
    ):
        require_status(4, service, method, *senseless)
        require_status(2, service, method, *sound)


def require_status(hundreds: int, service, method: str, path: str, body: Any = None) -> None:
    answer = service.request(method, path, **({"json": body} if body else {}))
    if answer.code // 100 != hundreds:
        what = f"{answer.asked} with {json.dumps(body)}" if body else answer.asked
        fail(f"{what}: a status of {hundreds}xx", answer.describe())


def any_flight() -> int:
    return random.randint(1, 300_000)


@check(
    points=1,
    look="lesson 04, “The last seat”",
    hint="What may happen between the look and the taking? And what does a traveller see who lost?",
)
def seats(service, db):
    """Of 40 who book at once, as many get a seat as there are, be it 1 or 38; the others get 409."""
    ready(service)
    few, many = random.sample(range(1, 9), 2), random.sample(range(30, 39), 2)
    with showing(db, "the constraints on your tables", CONSTRAINTS):
        for offers in ((few[0], many[0]), (many[1], few[1])):
            flight = f"/flights/{any_flight()}"
            for free in offers:  # the second time over what was sold the first time
                offer(service, flight, free)
                rush(service, db, flight, free)


def offer(service, flight: str, free: int) -> None:
    """Put seats on sale: afterwards nobody has booked."""
    service.request("PUT", f"{flight}/seats", json={"free": free}).status.equals(204)
    if names := names_of(service, flight):
        fail(f"GET {flight}/bookings right after a PUT of {free} seats: no names", shortened(names))


def names_of(service, flight: str) -> list[str]:
    answer = service.get(f"{flight}/bookings")
    if not isinstance(answer.value, list):
        fail(f"{answer.asked}: a list of names", shortened(answer.value))
    return sorted(map(str, answer.value))


@contextmanager
def all_at_once(service, db) -> Iterator[None]:
    """Let what is sent meanwhile come as far as PostgreSQL, and nothing of it be answered before the end."""
    with db.paused():
        yield
        time.sleep(ARRIVED)
        for _ in range(5):  # answered after the requests before it have begun, however busy the machine
            service.get("/", timeout=ARRIVED)


def rush(service, db, flight: str, free: int) -> None:
    """Have 40 book at once: as many get a seat as there are."""
    names = [secrets.token_hex(4) for _ in range(40)]
    with all_at_once(service, db):  # so that those who look first look at the same moment
        calls = [service.send("POST", [f"{flight}/bookings"], json={"name": name}) for name in names]
    answers = {name: call.answers()[0] for name, call in zip(names, calls, strict=True)}
    every(answers.values(), lambda answer: answer.code in (201, 409), f"{free} seats and 40 who book: 201 or 409",
          lambda answer: f"{answer.asked}: {answer.describe()}")  # fmt: skip
    booked = sorted(name for name, answer in answers.items() if answer.code == 201)
    Observed(len(booked), f"bookings of {free} seats by 40 at once").equals(free)
    if (listed := names_of(service, flight)) != booked:
        asked = f"GET {flight}/bookings: the {free} names that were booked"
        fail(asked, f"{len(listed)}: {shortened(listed)}")


@check(
    points=1,
    look="lesson 04, “The last seat”",
    hint="A booking that comes between the two statements of a PUT: is it forgotten, and is its seat free again? "
    "Change the row first that every booking changes: then bookings wait.",
)
def resold(service, db):
    """After a PUT of 2 seats that came while people booked, exactly 2 seats are sold before the next gets 409."""
    ready(service)
    flights = [f"/flights/{id}" for id in random.sample(range(1, 300_000), SALES)]
    sold = []
    for flight in flights:
        service.request("PUT", f"{flight}/seats", json={"free": 2 * BUYERS}).status.equals(204)
        with all_at_once(service, db):
            early = service.send("POST", [f"{flight}/bookings"] * 4, json={"name": "early"})
            put = service.send("PUT", [f"{flight}/seats"], json={"free": 2})
            later = service.send("POST", [f"{flight}/bookings"] * (BUYERS - 4), json={"name": "early"})
        put.answers()[0].status.equals(204)
        every([*early.answers(), *later.answers()], lambda answer: answer.code in (201, 409),
              "201 or 409 for each who books while seats are offered again",
              lambda answer: f"{answer.asked}: {answer.describe()}")  # fmt: skip
        sold.append((flight, sold_out(service, flight)))
    with showing(db, "the constraints on your tables", CONSTRAINTS):
        every(
            sold,
            lambda pair: pair[1] == 2,
            "2 names for each flight with 2 seats, offered again while somebody booked",
            lambda pair: f"GET {pair[0]}/bookings: {pair[1]} names",
        )


SALES = 8
BUYERS = 20  # who book while seats are offered again: more than most pools have connections


def sold_out(service, flight: str) -> int:
    """Book until a flight is sold out, and return how many have a seat."""
    for _ in range(5):
        answer = service.post(f"{flight}/bookings", json={"name": "late"})
        answer.status.is_in([201, 409])
        if answer.code == 409:
            return len(names_of(service, flight))
    return fail(f"{answer.asked}: 409 after 2 bookings of 2 seats", answer.describe())
