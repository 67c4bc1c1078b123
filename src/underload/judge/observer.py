"""The judge's own process: it answers what a kernel asks for, observes, and alone grants points."""

import inspect
import json
import random
import re
import selectors
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from underload.errors import UnderloadError
from underload.files import write_whole
from underload.judge import accounts
from underload.judge.address import check_address
from underload.judge.expect import Failed, listed, noting, shortened
from underload.judge.requirements import Check, Requirements, load_requirements
from underload.judge.scene import Scene
from underload.judge.verdict import Verdict
from underload.loading import prepare

LONGEST_CHECK = 60.0  # seconds
LONGEST_LINE = 64_000  # bytes
LONGEST_TEXT = 2_000  # characters, as Verdict has it
MOST_CONNECTIONS = 100
MOST_HANDED = 20  # databases, or Valkeys, in one run: each takes a moment of a machine that others share
SERVED_AT = re.compile(r"http://127\.0\.0\.1:(\d{1,5})")


class Turn(Protocol):
    """A check's turn on a machine that is shared."""

    @property
    def was_crowded(self) -> bool:
        """Whether others may have kept the service waiting."""


class Undisturbed:
    """The turn of a learner who is alone."""

    was_crowded = False


@dataclass
class Terms:
    """On what terms a judge observes. A learner alone is trusted, since there is nobody to deceive.

    Attributes:
        lab: the only lab to be judged, or "" for any.
        record: where verdicts are kept when a submission is graded, or None.
        turn: held during a check; it is told whether the check is to have the machine alone, as one that
            measures needs it, and yields what tells whether others may have disturbed a check.
        longest: seconds that a check may take.
    """

    lab: str = ""
    record: Path | None = None
    turn: Callable[[bool], AbstractContextManager[Turn]] = lambda alone: nullcontext(Undisturbed())
    longest: float = LONGEST_CHECK


@dataclass
class Observer:
    """What the judge knows while it attends to one kernel.

    A learner alone has one check judged after the other, as they ask for them. A submission has all of them
    judged by `judge_all` once its notebook has run: a service that knew which check comes next could behave
    for that one alone.
    """

    terms: Terms = field(default_factory=Terms)
    scene: Scene | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    times_handed: Counter[str] = field(default_factory=Counter)
    handed: dict[str, str | None] = field(default_factory=dict)
    labs: dict[str, Requirements] = field(default_factory=dict)
    _is_judging: bool = False
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, line: bytes) -> dict[str, Any]:
        """Answer one request of the kernel. Whatever it sent, this returns."""
        try:
            request = json.loads(line)
            wish = _WISHES[request.pop("ask")]
            inspect.signature(wish).bind(self, **request)
        except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
            return {"error": "The judge did not understand that. Use Lab and lab.check()."}
        try:
            with self._one_at_a_time:
                if self._is_judging and wish is not Observer._upstream:
                    raise UnderloadError("This service is being judged. Nothing of it can change any more.")
                return wish(self, **request)
        except UnderloadError as error:
            return {"error": str(error)}

    def judge_all(self) -> None:
        """Observe everything that the lab requires, in an order that nobody can know, and keep the verdicts.

        Kernels are answered meanwhile: a process that the service starts may ask for an upstream.
        """
        with self._one_at_a_time:
            self._is_judging = True
        checks = list(self.scene.requirements.checks.values()) if self.scene else []
        for check in random.SystemRandom().sample(checks, len(checks)):
            self._judge(check)

    def _upstream(self, lab: str, name: str) -> dict[str, Any]:
        upstreams = self._requirements(lab).upstreams
        if not isinstance(name, str) or name not in upstreams:
            known = ", ".join(upstreams) or "none"
            raise UnderloadError(f"The lab {lab!r} has no upstream {name!r}. It has {known}.")
        return {"url": upstreams[name].url}

    def _flights(self) -> dict[str, Any]:
        self._check_allowed("flights")
        return self._hand("db", accounts.open_database())

    def _valkey(self) -> dict[str, Any]:
        self._check_allowed("valkey")
        return self._hand("cache", accounts.open_cache())

    def _hand(self, name: str, url: str) -> dict[str, Any]:
        self.handed[name] = url
        if self.scene:
            self.scene.hand(name, url)
        return {"url": url}

    def _check_allowed(self, server: str) -> None:
        if not self.terms.record:
            raise UnderloadError("Servers are handed out only to graded runs. Call flights() or valkey().")
        self.times_handed[server] += 1
        if self.times_handed[server] > MOST_HANDED:
            raise UnderloadError(f"{server}() has been called {MOST_HANDED} times. Keep what it returned.")

    def _open(
        self, lab: str, url: str, database: str | None = None, cache: str | None = None
    ) -> dict[str, Any]:
        served = SERVED_AT.fullmatch(url) if isinstance(url, str) else None
        if not served:
            raise UnderloadError("A lab serves on 127.0.0.1. Give Lab an app or an import string.")
        check_address(int(served[1]), [database, cache, *self.handed.values()])
        requirements = self._requirements(lab)
        self.close()
        # Another service begins anew: points of one are not added to those of another.
        self.verdicts = {}
        self._keep()
        # A learner alone was handed these by their own kernel, which is believed.
        handed = self.handed if self.terms.record else {"db": database, "cache": cache}
        self.scene = Scene(requirements, url, handed)
        return {
            "checks": [
                {"name": each.name, "requirement": each.requirement, "points": each.points}
                for each in requirements.checks.values()
            ]
        }

    def _requirements(self, name: str) -> Requirements:
        if not isinstance(name, str) or self.terms.lab not in ("", name):
            raise UnderloadError(f"This is the lab {self.terms.lab!r}, not {name!r}. Give Lab its name.")
        if name not in self.labs:
            self.labs[name] = load_requirements(name)
        return self.labs[name]

    def _check(self, name: str) -> dict[str, Any]:
        if self.scene is None:
            raise UnderloadError("There is no service to judge yet. Run the cell with Lab(…) first.")
        check = self.scene.requirements.checks.get(name) if isinstance(name, str) else None
        if check is None:
            known = ", ".join(self.scene.requirements.checks)
            raise UnderloadError(f"This lab has no check {name!r}. Its checks are {known}.")
        if self.terms.record:
            return {"verdict": None}
        self._judge(check)
        return {"verdict": self.verdicts[name].model_dump()}

    def _judge(self, check: Check) -> None:
        with self.terms.turn(check.measures) as turn:
            verdict = judge(check, self.scene, self.terms.longest)
            is_final = verdict.passed or not turn.was_crowded
        if not is_final:  # what a neighbour did to a service is not its fault
            with self.terms.turn(True):
                verdict = judge(check, self.scene, self.terms.longest)
        self.verdicts[check.name] = verdict
        self._keep()

    def _keep(self) -> None:
        if self.terms.record:
            kept = {name: each.model_dump() for name, each in self.verdicts.items()}
            write_whole(self.terms.record, json.dumps(kept), private=True)

    def close(self) -> None:
        """Let go of the service that was observed."""
        if self.scene:
            self.scene.close()
            self.scene = None


_WISHES: dict[str, Callable[..., dict[str, Any]]] = {
    "open": Observer._open,
    "check": Observer._check,
    "upstream": Observer._upstream,
    "flights": Observer._flights,
    "valkey": Observer._valkey,
}


def judge(check: Check, scene: Scene, longest: float = LONGEST_CHECK) -> Verdict:
    """Observe, and say what came of it. A check that is not completed within ``longest`` s is not passed."""
    expected, observed, passed = check.requirement, "", False
    with noting() as figures:
        try:
            with _limited(longest):
                check.observe(**{name: scene.part(name) for name in check.needs})
            observed, passed = listed(figures), True
        except Failed as failure:
            expected, observed = failure.expected, failure.observed
        except UnderloadError as error:
            observed = str(error)
        except Exception as error:  # what a service does to a check must not end the judge
            observed = f"the judge could not go on ({shortened(f'{type(error).__name__}: {error}')})"
    return Verdict(
        name=check.name,
        requirement=check.requirement,
        points=check.points if passed else 0,
        possible=check.points,
        passed=passed,
        expected=shortened(expected, LONGEST_TEXT),  # a service's JSON may hold what is not Unicode text
        observed=shortened(observed, LONGEST_TEXT),
        look=check.look,
        hint=check.hint,
    )


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Fail what takes longer than this. Only the main thread of a process can."""

    def too_long(signum: int, frame: FrameType | None) -> None:
        raise Failed(f"a check that is done within {seconds:g} s", "it was still waiting for the service")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Desk:
    """Where kernels come with their wishes: one connection when alone, a listening socket when grading."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._selector = selectors.DefaultSelector()

    def attend(self, connection: socket.socket) -> None:
        """Take wishes from a connection, each a line of JSON."""
        self._selector.register(connection, selectors.EVENT_READ, bytearray())

    def listen(self, listener: socket.socket) -> None:
        """Attend to every connection that is made to a socket."""
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self, until: socket.socket | None = None) -> None:
        """Answer, one wish at a time, until nobody can ask any more, or the other end of ``until`` closes."""
        if until:
            self._selector.register(until, selectors.EVENT_READ)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if key.fileobj is until:
                    return self.observer.close()
                if key.data is None:
                    self._welcome(key.fileobj)
                elif not self._heard(key.fileobj, key.data):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
        return self.observer.close()

    def _welcome(self, listener: socket.socket) -> None:
        """Attend to one more connection, unless there are so many that nobody honest can have made them."""
        with suppress(OSError):  # it has gone, or we have no files left for it
            connection, _ = listener.accept()
            if len(self._selector.get_map()) > MOST_CONNECTIONS:
                connection.close()
            else:
                self.attend(connection)

    def _heard(self, connection: socket.socket, buffer: bytearray) -> bool:
        """Read what came and answer each whole line; return whether to go on."""
        with suppress(OSError):
            data = connection.recv(LONGEST_LINE)
            buffer += data
            while b"\n" in buffer:
                line, _, rest = bytes(buffer).partition(b"\n")
                buffer[:] = rest
                answer = json.dumps(self.observer.answer(line)).encode() + b"\n"
                connection.settimeout(5)  # who does not read its answer is not waited for
                connection.sendall(answer)
            return bool(data) and len(buffer) <= LONGEST_LINE
        return False


def main() -> None:
    """Attend to the kernel that started this process, over its standard input, which is a socket."""
    prepare()
    desk = Desk(Observer())
    desk.attend(socket.socket(fileno=sys.stdin.fileno()))
    desk.serve()


if __name__ == "__main__":
    main()
