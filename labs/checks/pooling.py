"""What the lab of lesson 03 asks of the flight service."""

import random
import time
from typing import Any

from underload.judge import check
from underload.judge import Answer
from underload.judge import Failed, Observed, every

IDS = range(1, 336_777)
UNKNOWN = range(1_000_000, 2_000_000)
BUDGET = 10  # sessions
PATIENCE = 5.0  # seconds a visitor waits, where nothing else is said


def flight(db, id: int) -> dict[str, Any]:
    return dict(db.truth.row("SELECT id, origin, dest, tailnum FROM flights WHERE id = $1", id))


def plane(db, id: int) -> dict[str, Any]:
    query = "SELECT id, tailnum, model FROM flights LEFT JOIN planes USING (tailnum) WHERE id = $1"
    return dict(db.truth.row(query, id))


def airlines(db) -> dict[str, dict[str, Any]]:
    return {row["carrier"]: dict(row) for row in db.truth.rows("SELECT carrier, name FROM airlines")}


def every_right(pairs: list[tuple[Answer, dict[str, Any]]], expected: str) -> None:
    """Fail unless each answer is a 200 with what belongs to it."""
    every(
        pairs,
        lambda pair: pair[0].code == 200 and pair[0].value == pair[1],
        expected,
        lambda pair: f"{pair[0].asked}: {pair[0].describe()}",
    )


@check(
    points=2,
    look="lesson 03, “One connection a request” and “Change one thing: a pool”",
    hint="How many connections does one request open, and how many ways into PostgreSQL does the service have?",
)
def budget(service, db):
    """With 200 users asking for flights, at most 10 PostgreSQL sessions are open."""

    def right(answer, drawn):  # an error is not for this check to count
        return not 200 <= answer.code < 300 or answer.value == flight(db, drawn["id"])

    with db.watch() as seen:
        busy = service.load("/flights/{id}", users=200, timeout=PATIENCE, right=right, id=IDS)
    seen.peak_sessions.at_most(BUDGET)
    busy.answered.at_least(200)


@check(
    points=1,
    look="lesson 03, “Connect once, and share?” and “Waiting for ever”",
    hint="An error that says so: who shares that connection? A 503: how long does the last of 200 users usually wait?",
)
def errors(service, db):
    """200 users asking for flights, and 200 asking for airlines, get right answers and no error."""
    known = airlines(db)
    flown = service.load(
        "/flights/{id}", users=200, seconds=1, timeout=PATIENCE, id=IDS,
        right=lambda answer, drawn: answer.value == flight(db, drawn["id"]),
    )  # fmt: skip
    flown.errors.equals(0)
    called = service.load(
        "/airlines/{carrier}", users=200, seconds=1, timeout=PATIENCE, carrier=list(known),
        right=lambda answer, drawn: answer.value == known[drawn["carrier"]],
    )  # fmt: skip
    called.errors.equals(0)


@check(
    points=2,
    look="lesson 03, “Two connections for one request”",
    hint="How many connections does a request for a plane hold at once? What if all the others do so, too?",
)
def planes(service, db):
    """Of 60 requests for planes sent at once, each is answered, and right."""
    ids = random.sample(IDS, 60)
    answers = service.send("GET", [f"/flights/{id}/plane" for id in ids], timeout=PATIENCE).answers()
    pairs = [(answer, plane(db, id)) for answer, id in zip(answers, ids, strict=True)]
    every_right(pairs, "60 planes asked for at once, each with its model")


@check(
    points=2,
    look="lesson 03, “Waiting for ever”",
    hint="What does a request wait for when all connections are lent, and for how long at most?",
)
def saturated(service, db):
    """While PostgreSQL answers nobody, at least half of 300 requests are refused within 2 s, by a 503 with Retry-After."""
    service.settle("/flights/1")
    with db.paused():
        asked = service.load("/flights/{id}", rate=150, seconds=2, timeout=2, id=IDS)
    service.settle("/flights/1")
    refused = asked.result.statuses == 503
    others = {kind: count for kind, count in asked.result.error_counts.items() if not kind.startswith("503")}
    # Seen 290 with a pool of 10 and 210 with one of 90, whose size is for another check to judge.
    Observed(int(refused.sum()), f"refused within 2 s (others: {others})").at_least(150)
    asked.are_right(lambda answer, _: answer.code != 503 or says_when(answer))


def says_when(answer: Answer) -> bool:
    seconds = answer.headers.get("retry-after", "")
    return seconds.isascii() and seconds.isdigit()


@check(
    points=1,
    look="lesson 03, “PostgreSQL restarts under you”",
    hint="Which connections does a pool look after, and which does nobody?",
)
def recovers(service, db):
    """Two seconds after every session was cut, all three paths answer right again."""
    known = airlines(db)
    service.settle("/flights/1")
    db.terminate_backends()
    deadline = time.monotonic() + 2
    while True:
        late = time.monotonic() > deadline
        try:
            return all_right(service, db, known)
        except Failed:
            if late:
                raise


def all_right(service, db, known: dict[str, dict[str, Any]]) -> None:
    """Ask for twenty flights, planes and airlines at once. Raise Failed if any answer is not right."""
    ids, carriers = random.sample(IDS, 20), random.choices(list(known), k=20)
    wanted = {f"/flights/{id}": flight(db, id) for id in ids}
    wanted |= {f"/flights/{id}/plane": plane(db, id) for id in ids}
    paths = [*wanted, *(f"/airlines/{carrier}" for carrier in carriers)]
    right = [*wanted.values(), *(known[carrier] for carrier in carriers)]
    answers = service.send("GET", paths, timeout=PATIENCE).answers()
    every_right(list(zip(answers, right, strict=True)), "right answers on all three paths after the cut")


@check(
    points=2,
    look="lesson 03, “The leak”",
    hint="On which way out of a request is its connection not given back?",
)
def flat(service, db):
    """5,000 requests, a tenth of them for flights that do not exist, are right; after the first 1,000 at most 10 sessions are opened."""

    def right(answer, drawn):
        if drawn["id"] in UNKNOWN:
            return answer.code == 404
        return answer.value == flight(db, drawn["id"])

    ids = [*random.sample(IDS, 900), *random.sample(UNKNOWN, 100)]

    def send(requests: int) -> None:
        while requests > 0:
            busy = service.load("/flights/{id}", users=20, seconds=1, timeout=2, right=right, id=ids)
            requests -= len(busy.result.started)

    send(1_000)  # a pool may still grow here, or open anew what was cut
    with db.watch() as seen:
        send(4_000)
    seen.opened_sessions.at_most(BUDGET)
