"""What the lab of lesson 02 asks of the trip page."""

import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from underload.judge import check
from underload.judge import Answer
from underload.judge import Failed, Observed, fail, meanwhile, shortened
from underload.judge import Upstream

IDS = range(1, 336_777)
UNKNOWN = range(1_000_000, 2_000_000)
NO_IDS = "x", "1.5", str(10**12)  # the last is no integer of PostgreSQL's
FLIGHTS = "SELECT id, carrier, flight, origin, dest FROM flights WHERE id = ANY($1)"

USUAL = 0.05  # seconds that an upstream takes for an answer
SLOW = 0.6  # and may take for one that belongs into the page
HANGS = 2.2  # and takes for one that no page waits for
LIMIT = 1.5  # seconds that a page may take
BUSY = 0.25  # seconds that other programs on the machine may add, so that a verdict does not depend on them
QUIET = 0.05  # seconds without a call, after which what was asked for before is over
SETTLE = 3.0  # seconds that a service has to recover; 2 are asked

AT_ONCE = 15  # pages: more than the starter's pool has connections, and fewer than keep a core busy
ROUND = 5  # pages
FAILURES = 10  # pages of an outage, in which most breakers open
RATE = 20  # pages per second

secret = ""  # so that nobody but the upstreams knows what they answer


def renew() -> None:
    """Have the upstreams answer something else from now on."""
    global secret
    secret = secrets.token_hex()


def weather_at(origin: str) -> dict[str, Any] | None:
    if origin not in ("EWR", "JFK", "LGA"):
        return None
    return {"origin": origin, "degrees": random.Random(f"{secret}{origin}").randint(-1000, 1000) / 10}


def gate_of(id: str) -> dict[str, Any]:
    dice = random.Random(f"{secret}gate{id}")
    return {"trip": int(id), "gate": f"{dice.choice('ABCDEF')}{dice.randint(1, 999)}"}


def seats_of(id: str) -> dict[str, Any]:
    return {"trip": int(id), "free": random.Random(f"{secret}seats{id}").randint(0, 3000)}


def told(tell: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what an upstream answers for a path such as /gates/7."""

    def answer(path: str) -> Any:
        try:
            return tell(path.rpartition("/")[2])
        except ValueError:  # no number
            return None

    return answer


gates = Upstream("gates", told(gate_of), delay=USUAL)
seats = Upstream("seats", told(seats_of), delay=USUAL)
weather = Upstream("weather", told(weather_at), delay=USUAL)
UPSTREAMS = gates, seats, weather
PARTS = [upstream.name for upstream in UPSTREAMS]


@contextmanager
def all_three(**behaviour: Any) -> Iterator[list[Any]]:
    """Have the three behave like this meanwhile, and count what each is asked."""
    with ExitStack() as stack:
        yield [stack.enter_context(upstream.set(**behaviour)) for upstream in UPSTREAMS]


@contextmanager
def all_held() -> Iterator[None]:
    """Have the three answer nothing meanwhile."""
    with ExitStack() as stack:
        for upstream in UPSTREAMS:
            stack.enter_context(upstream.held())
        yield


def asked_for(seconds: float) -> bool:
    """Return whether any of the three is called meanwhile."""
    with all_three() as seen:
        time.sleep(seconds)
    return most_calls(seen).value > 0


class Visitors:
    """Those who ask for the pages of one check, always of the same five trips, so that what is kept shows.

    They come to a service that has just lived through an outage of all three, so that no check depends on
    what a breaker learnt in the one before. Raises Failed unless the pages are whole then.
    """

    def __init__(self, service, db) -> None:
        self._service = service
        self._ids = random.sample(IDS, ROUND)
        self._flights = {row["id"]: dict(row) for row in db.truth.rows(FLIGHTS, self._ids)}
        with all_three(failing=503, delay=0):
            self.send(FAILURES).answers()
        self.settle()

    def settle(self) -> None:
        """Wait until pages are whole and nothing is asked for any more, and have the upstreams answer something
        else from then on. Raises Failed.
        """
        until = time.monotonic() + SETTLE
        with meanwhile(f"all three upstreams are well, {SETTLE:g} s after they failed"):
            while True:
                try:
                    self.ask(ROUND)
                except Failed:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)
                else:
                    break
        while asked_for(QUIET) and time.monotonic() < until:
            pass
        renew()

    def send(self, number: int):
        """Ask for so many pages at once, and return them under way."""
        ids = itertools.islice(itertools.cycle(self._ids), number)
        return self._service.send("GET", [f"/trips/{id}" for id in ids])

    def ask(self, number: int, may_lack: Collection[str] = ()) -> list[Answer]:
        """Return so many pages, asked for at once. Raises Failed if one is wrong."""
        unknown = [f"/trips/{random.choice(UNKNOWN)}"] if random.random() < 0.3 else []
        strangers = self._service.send("GET", unknown)
        answers = self.send(number).answers()
        self.look_at(answers, may_lack)
        for stranger in strangers:
            stranger.status.equals(404)
        return answers

    def ask_in_turn(
        self, rounds: int, number: int, enough: Callable[[], bool], may_lack: Collection[str] = ()
    ) -> list[Answer]:
        """Ask for so many pages in each round, until it is ``enough``: too many calls will not become fewer."""
        answers: list[Answer] = []
        for _ in range(rounds):
            answers += self.ask(number, may_lack)
            if enough():
                break
        return answers

    def ask_while_hangs(self, hanging: Upstream):
        """Ask for a page of which one call hangs. Return it once its three calls are made, or it has come.

        Raises Failed if it is late.
        """
        made = [threading.Event() for _ in UPSTREAMS]
        with ExitStack() as stack:
            for upstream, event in zip(UPSTREAMS, made, strict=True):
                delay = telling(event, HANGS if upstream is hanging else USUAL)
                stack.enter_context(upstream.set(delay=delay))
            page, late = self.send(1), time.monotonic() + LIMIT + BUSY
            while page.open.value and not all(event.is_set() for event in made):
                if time.monotonic() > late:
                    fail(f"a page within {LIMIT:g} s", f"none after {LIMIT + BUSY:g} s")
                time.sleep(0.01)
        return page

    def come(self, seconds: float, timeout: float, **options: Any):
        """Put load on the pages, at a fixed rate."""
        workload = {"rate": RATE, "seconds": seconds, "timeout": timeout, "warm_up": 0, "id": self._ids}
        return self._service.load("/trips/{id}", **workload, **options)

    def look_at(self, answers: Collection[Answer], may_lack: Collection[str] = ()) -> None:
        """Fail, and say what is wrong and with how many, unless each of these is the page of its trip."""
        wrong = []
        for answer in answers:
            try:
                self._look_at_one(answer, may_lack)
            except Failed as failed:
                wrong.append(failed)
        if wrong:
            share = f" ({len(wrong)} of {len(answers)} pages are wrong)" if len(answers) > 1 else ""
            fail(wrong[0].expected, wrong[0].observed + share)

    def _look_at_one(self, answer: Answer, may_lack: Collection[str]) -> None:
        flight = self._flights[int(answer.asked.rpartition("/")[2])]
        for key, value in flight.items():
            answer[key].equals(value)
        id = str(flight["id"])
        true = {"gates": gate_of(id), "seats": seats_of(id), "weather": weather_at(flight["origin"])}
        for name, tells in true.items():
            part = answer[name].value
            if part != tells and not (part is None and name in may_lack):
                fail(f"{answer.asked}: {name} as its upstream tells it now, {tells}", shortened(part))
        lacks = sorted(name for name in true if answer[name].value is None)
        said = answer["missing"].value
        if not isinstance(said, list) or sorted(map(str, said)) != lacks:
            fail(f"{answer.asked}: in missing the parts that are null, {lacks}", shortened(said))


def telling(event: threading.Event, delay: float) -> Callable[[int], float]:
    """Return a delay that tells when a call has begun to wait."""

    def decide(call: int) -> float:
        event.set()
        return delay

    return decide


def in_time(answers: Collection[Answer]) -> None:
    """Fail unless each page came within the limit, or nearly so."""
    what = f"the slowest page, with {BUSY:g} s more for a busy machine,"
    Observed(max(answer.took for answer in answers), what, "s").at_most(LIMIT + BUSY)


def most_calls(seen: Sequence[Any]) -> Observed:
    """Return the calls to the upstream that was asked most."""
    return max((calls.total for calls in seen), key=lambda total: total.value)


@check(
    points=1,
    look="lesson 02, “One after another, or together”",
    hint="Three calls of 0.6 s, one after another, are 1.8 s. Which of them needs the answer of another?",
)
def whole(service, db, gates, seats, weather):
    """While each upstream takes 0.6 s, 15 pages at once are whole and right, each within 1.5 s. An unknown trip
    is a 404, what cannot be a trip's id a 404 or 422.
    """
    visitors = Visitors(service, db)
    with all_three(delay=SLOW):
        answers = visitors.ask(AT_ONCE)
    # Seen 0.65 to 0.8 s together, 1.9 one after another.
    in_time(answers)
    service.get(f"/trips/{random.choice(UNKNOWN)}").status.equals(404)
    for id in NO_IDS:
        service.get(f"/trips/{id}").status.is_in((404, 422))


@check(
    points=1,
    look="lesson 02, “Change one thing: one client”",
    hint="Each new client brings connections of its own. How often is one made, and how long does it live?",
)
def connections(service, db, gates, seats, weather):
    """For 50 pages, five at a time, each upstream sees at most 10 connections, and at most 65 calls."""
    visitors = Visitors(service, db)
    with all_three() as seen:
        visitors.ask_in_turn(
            10, ROUND, lambda: most_connections(seen).value > 10 or most_calls(seen).value > 65
        )
    # Seen 5 or 6 connections; a client for each page 50.
    most_connections(seen).at_most(10)
    most_calls(seen).at_most(65)


def most_connections(seen: Sequence[Any]) -> Observed:
    """Return the connections to the upstream that was asked over most."""
    return max((calls.connections for calls in seen), key=lambda total: total.value)


@check(
    points=2,
    look="lesson 02, “And if one fails?” and “A deadline”",
    hint="A failed call is a value, too. And when the deadline comes, what of the answers that are there already?",
)
def partial(service, db, gates, seats, weather):
    """If one upstream fails, or hangs, a page within 1.5 s has the other two parts, and says which is missing."""
    visitors = Visitors(service, db)
    pages, answers = [], []
    for hanging in random.sample(UPSTREAMS, 3):
        with meanwhile(f"the {hanging.name} service hangs"):
            pages.append((hanging, visitors.ask_while_hangs(hanging)))
    for hanging, page in pages:
        with meanwhile(f"the {hanging.name} service hangs"):
            visitors.look_at(page.answers(), may_lack=[hanging.name])
        answers += page.answers()
    for failing in random.sample(UPSTREAMS, 3):
        visitors.settle()
        with meanwhile(f"the {failing.name} service fails"), failing.set(failing=503):
            answers += visitors.ask(2, may_lack=[failing.name])
    in_time(answers)


@check(
    points=1,
    look="lesson 02, “Try again?” and “A budget”",
    hint="Count what your service asks the upstream for one page if the first call fails, and the second.",
)
def retries(service, db, gates, seats, weather):
    """While the upstreams fail every third call, each sees at most 109 calls for 90 pages, 15 at a time, and at
    least half of the pages have its part.
    """
    visitors = Visitors(service, db)
    with all_three(failing=lambda call: 0 if call % 3 else 503) as seen:
        answers = visitors.ask_in_turn(6, AT_ONCE, lambda: most_calls(seen).value > 109, may_lack=PARTS)
    # Seen 90 without a retry. With one for each failure it is 120 at least, since 5 of any 15 calls fail.
    most_calls(seen).at_most(109)
    had, name = min((sum(page[name].value is not None for page in answers), name) for name in PARTS)
    Observed(had, f"of {len(answers)} pages those with {name}", "pages").at_least(len(answers) // 2)


@check(
    points=1,
    look="lesson 02, “Stop asking”",
    hint="What did the page before this one learn about that upstream, and what does this one know of it?",
)
def spared(service, db, gates, seats, weather):
    """While an upstream fails every call, it sees at most 15 calls for 20 pages, five at a time, which have the
    other parts.
    """
    visitors = Visitors(service, db)
    failing, others = [], []
    for upstream in random.sample(UPSTREAMS, 3):
        if failing:
            visitors.settle()
        with meanwhile(f"the {upstream.name} service fails"), all_three() as seen:
            with upstream.set(failing=503) as calls:
                visitors.ask_in_turn(4, ROUND, lambda: most_calls(seen).value > 32, may_lack=[upstream.name])
        failing.append(calls)
        others += seen
    # Seen 5 to 7 with a breaker, 20 without.
    most_calls(failing).at_most(15)
    most_calls(others).at_most(32)


@check(
    points=2,
    look="lesson 02, “How long is a timeout?”, “A deadline” and “The slow one drowns the healthy one”",
    hint="Does a timeout end an answer that comes letter by letter? And what does a page hold while it waits?",
)
def deadline(service, db, gates, seats, weather):
    """While all three upstreams hang, or answer letter by letter, 15 pages at once come within 1.5 s."""
    visitors = Visitors(service, db)
    # 6 s for an answer of some 40 letters: no read of it takes longer than 0.2 s.
    with all_three(delay=lambda call: HANGS if call % 2 else USUAL, trickle=6):
        pages = visitors.send(AT_ONCE)
        over = time.monotonic() + LIMIT + 2 * BUSY
        while pages.open.value and time.monotonic() < over:
            time.sleep(0.02)
    # Those who wait still do so no longer than the upstreams hang, and so do not disturb the next check.
    answers = pages.answers()
    visitors.look_at(answers, may_lack=PARTS)
    # Seen 1.0 to 1.1 s with a deadline of 1 s.
    in_time(answers)


@check(
    points=2,
    look="lesson 02, “The outage that does not end” and “Stop asking”",
    hint="Which pages still wait when the upstream is well, what do they hold, and who else needs it? Who asks again?",
)
def recovers(service, db, gates, seats, weather):
    """When upstreams that do 30 calls per second have hung for one, at 20 pages per second, every page is whole
    from 2 s afterwards, within 1.5 s.
    """
    visitors = Visitors(service, db)
    answers: list[Answer] = []
    with all_three(at_once=2, delay=1 / 15):
        with all_held():
            visitors.come(seconds=1, timeout=0.2)
        well = time.monotonic()
        visitors.come(seconds=1.6, timeout=0.2)
        renew()
        time.sleep(max(0.0, well + 2 - time.monotonic()))
        busy = visitors.come(seconds=0.6, timeout=3, right=lambda answer, _: answers.append(answer) is None)
    busy.errors.equals(0)
    visitors.look_at(answers)
    busy.slowest.at_most(1000 * (LIMIT + BUSY))
