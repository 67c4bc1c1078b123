"""What the lab of lesson 02 asks of the trip page."""

import random
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any

from underload.judge import check
from underload.judge import Answer
from underload.judge import Failed, Observed, fail, meanwhile, shortened
from underload.judge import Upstream

IDS = range(1, 336_777)
UNKNOWN = range(1_000_000, 2_000_000)
FLIGHT = "SELECT id, carrier, flight, origin, dest FROM flights WHERE id = $1"
LIMIT = 1.5  # seconds that a page may take
SLOW = 0.6  # seconds that an upstream may take for an answer that belongs into the page
SETTLE = 4.0  # seconds

secret = ""  # so that nobody but the upstreams knows what they answer


def renew() -> None:
    """Have the upstreams answer something else from now on."""
    global secret
    secret = secrets.token_hex()


def weather_at(origin: str) -> dict[str, Any] | None:
    if origin not in ("EWR", "JFK", "LGA"):
        return None
    return {"origin": origin, "degrees": random.Random(f"{secret}{origin}").randint(-10, 100)}


def gate_of(id: str) -> dict[str, Any]:
    dice = random.Random(f"{secret}gate{id}")
    return {"trip": int(id), "gate": f"{dice.choice('ABCDEF')}{dice.randint(1, 99)}"}


def seats_of(id: str) -> dict[str, Any]:
    return {"trip": int(id), "free": random.Random(f"{secret}seats{id}").randint(0, 300)}


def told(tell: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what an upstream answers for a path such as /gates/7."""

    def answer(path: str) -> Any:
        try:
            return tell(path.rpartition("/")[2])
        except ValueError:  # no number
            return None

    return answer


weather = Upstream("weather", told(weather_at), delay=0.05)
gates = Upstream("gates", told(gate_of), delay=0.05)
seats = Upstream("seats", told(seats_of), delay=0.05)
PARTS = "gates", "seats", "weather"


def look_at(answer: Answer, db, id: int, may_lack: Collection[str] = ()) -> bool:
    """Return True if this is the page of a trip. Raises Failed, which says what is wrong with it."""
    flight = dict(db.truth.row(FLIGHT, id))
    for key, value in flight.items():
        if answer[key].value != value:
            fail(f"{answer.asked}: {key} {value!r}", shortened(answer[key].value))
    true = {"gates": gate_of(str(id)), "seats": seats_of(str(id)), "weather": weather_at(flight["origin"])}
    for name in PARTS:
        part = answer[name].value
        if part is None and name not in may_lack:
            fail(f"{answer.asked}: {name} as its upstream tells it, {true[name]}", "null")
        if part is not None and part != true[name]:
            fail(f"{answer.asked}: {name} as its upstream tells it now, {true[name]}", shortened(part))
    lacks = sorted(name for name in PARTS if answer[name].value is None)
    said = answer["missing"].value
    if not isinstance(said, list) or sorted(map(str, said)) != lacks:
        fail(f"{answer.asked}: in missing the parts that are null, {lacks}", shortened(said))
    return True


def are_pages(db, may_lack: Collection[str] = ()) -> Callable[[Answer, dict[str, Any]], bool]:
    """Return what looks at the pages of a load."""
    return lambda answer, drawn: look_at(answer, db, drawn["id"], may_lack)


def look_at_some(service, db, number: int, may_lack: Collection[str] = ()) -> float:
    """Ask for some pages at once and return how long the slowest took. Raises Failed if one is not right."""
    ids = random.sample(IDS, number)
    answers = service.send("GET", [f"/trips/{id}" for id in ids], timeout=2 * LIMIT).answers()
    for id, answer in zip(ids, answers, strict=True):
        look_at(answer, db, id, may_lack)
    return max(answer.took for answer in answers)


def settle(service, db) -> None:
    """Wait until a page is whole, as after an outage, but for no longer than four seconds."""
    until = time.monotonic() + SETTLE
    while time.monotonic() < until:
        try:
            look_at_some(service, db, 1)
        except Failed:
            time.sleep(0.1)
        else:
            return


def calls_for_pages(service, db, upstream: Upstream, failing: Any) -> tuple[Observed, int]:
    """Return the calls that a failing upstream sees, and for how many pages. Raises Failed if one is not right."""
    settle(service, db)
    with upstream.set(failing=failing) as calls:
        busy = service.load("/trips/{id}", rate=30, right=are_pages(db, [upstream.name]), id=IDS)
    busy.errors.equals(0)
    return calls.total, len(busy.result.started)


def in_time(busy) -> None:
    """Fail unless all pages of a load came, and within the limit."""
    busy.errors.equals(0)
    busy.slowest.at_most(1000 * LIMIT)


@check(
    points=1,
    look="lesson 02, “One after another, or together”",
    hint="Three calls of 0.6 s, one after another, are 1.8 s. Which of them needs the answer of another?",
)
def whole(service, db, gates, seats, weather):
    """While each upstream takes 0.6 s, 30 pages a second are whole and right, each within 1.5 s."""
    renew()
    settle(service, db)
    renew()
    with ExitStack() as slow:
        for upstream in (gates, seats, weather):
            slow.enter_context(upstream.set(delay=SLOW))
        busy = service.load("/trips/{id}", rate=30, seconds=1.5, timeout=3, right=are_pages(db), id=IDS)
    # Seen 610 to 660 ms together, 1,820 one after another.
    in_time(busy)
    service.get(f"/trips/{random.choice(UNKNOWN)}").status.equals(404)


@check(
    points=1,
    look="lesson 02, “Change one thing: one client”",
    hint="Each new client brings connections of its own. How often is one made, and how long does it live?",
)
def connections(service, db, gates, seats, weather):
    """Under five users each connection to an upstream carries at least 5 calls."""
    settle(service, db)
    with gates.watch() as to_gates, seats.watch() as to_seats, weather.watch() as to_weather:
        service.load("/trips/{id}", users=5, seconds=1.2, right=are_pages(db), id=IDS)
    over_each = [
        calls.total.value / max(1, calls.connections.value) for calls in (to_gates, to_seats, to_weather)
    ]
    # Seen 12 to 40; a client for each page 1.
    Observed(min(over_each), "calls over each connection to an upstream", "calls").at_least(5)


@check(
    points=2,
    look="lesson 02, “And if one fails?” and “A deadline”",
    hint="A failed call is a value, too. And when the deadline comes, what of the answers that are there already?",
)
def partial(service, db, gates, seats, weather):
    """If one upstream fails, or hangs, a page within 1.5 s has the other two parts, and says which is missing."""
    took = []
    for upstream in random.sample([gates, seats, weather], 3):
        settle(service, db)
        renew()  # what was said before is not an answer
        with meanwhile(f"the {upstream.name} service fails"), upstream.set(failing=503):
            took.append(look_at_some(service, db, 2, may_lack=[upstream.name]))
    settle(service, db)
    renew()
    hanging = random.choice([gates, seats, weather])
    with meanwhile(f"the {hanging.name} service hangs"), hanging.held():
        took.append(look_at_some(service, db, 2, may_lack=[hanging.name]))
    Observed(max(took), "the slowest page", "s").at_most(LIMIT)


@check(
    points=1,
    look="lesson 02, “Try again?” and “A budget”",
    hint="Count what your service asks the upstream for one page if the first call fails, and the second.",
)
def retries(service, db, gates, seats, weather):
    """While an upstream fails every other call, it sees at most 1.1 calls a page, and 10 more."""
    upstream = random.choice([gates, seats, weather])
    calls, pages = calls_for_pages(service, db, upstream, failing=lambda call: 503 if call % 2 else 0)
    # Of 60 pages seen 60 without a retry, 90 with one for each failure.
    calls.at_most(1.1 * pages + 10)


@check(
    points=1,
    look="lesson 02, “Stop asking”",
    hint="What did the page before this one learn about that upstream, and what does this one know of it?",
)
def spared(service, db, gates, seats, weather):
    """While an upstream fails every call, it sees at most one call for two pages, and 10 more; each has the other parts."""
    upstream = random.choice([gates, seats, weather])
    calls, pages = calls_for_pages(service, db, upstream, failing=503)
    # Of 60 pages seen 8 to 30 with a breaker, 60 without.
    calls.at_most(0.5 * pages + 10)


@check(
    points=2,
    look="lesson 02, “How long is a timeout?”, “A deadline” and “The slow one drowns the healthy one”",
    hint="Does a timeout end an answer that comes letter by letter? And what does a page hold while it waits?",
)
def deadline(service, db, gates, seats, weather):
    """While all three upstreams hang, or answer letter by letter, pages come within 1.5 s, 30 a second, without parts."""
    settle(service, db)
    renew()
    with gates.held(), seats.held(), weather.held():
        busy = service.load("/trips/{id}", rate=30, seconds=1, timeout=3, right=are_pages(db, PARTS), id=IDS)
    # Seen 910 to 960 ms with a deadline of 0.9 s.
    in_time(busy)
    settle(service, db)
    renew()
    # 20 s for an answer of some 40 letters: no read of it takes longer than a second.
    with gates.set(trickle=20), seats.set(trickle=20), weather.set(trickle=20):
        took = look_at_some(service, db, 3, may_lack=PARTS)
    Observed(took, "the slowest page, letter by letter", "s").at_most(LIMIT)


@check(
    points=2,
    look="lesson 02, “The outage that does not end” and “Stop asking”",
    hint="Which pages still wait when the upstream is well, what do they hold, and who else needs it? Who asks again?",
)
def recovers(service, db, gates, seats, weather):
    """When an upstream that does 30 calls a second has hung for one, every page is whole from 2 s afterwards."""
    renew()
    settle(service, db)
    upstream = random.choice([gates, seats, weather])
    with upstream.set(at_once=2, delay=1 / 15):
        with upstream.held():
            service.load("/trips/{id}", rate=20, seconds=1.2, timeout=2, id=IDS)
        well = time.monotonic()
        service.load("/trips/{id}", rate=20, seconds=1.7, timeout=0.2, id=IDS)
        renew()
        time.sleep(max(0.0, well + 2 - time.monotonic()))
        in_time(service.load("/trips/{id}", rate=20, seconds=0.8, timeout=3, right=are_pages(db), id=IDS))
