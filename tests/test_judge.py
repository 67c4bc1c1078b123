"""The judge grants points for what it sees, and for nothing a kernel tells it."""

import json
import os
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from underload import App, channel
from underload.errors import UnderloadError
from underload.finding import NotMet
from underload.judge import own, requirements
from underload.judge.lab import Lab
from underload.judge.observer import Desk, Observer, Terms, Undisturbed
from underload.judge.upstream import Upstream
from underload.judge.verdict import Verdict
from underload.services import postgres, valkey
from underload.serving import running, start

CHECKS = '''
import time
from underload.judge.requirements import check
from underload.judge.expect import Observed

@check(points=3, look="lesson 99, “Here”", hint="Say ok.")
def says_ok(service):
    """The service says ok."""
    service.get("/")["ok"].equals(True)

@check(points=2, look="lesson 99", hint="Be small.", measures=True)
def small(service):
    """The answer has at most 20 bytes."""
    service.get("/").bytes.at_most(20)

@check(points=1, look="lesson 99", hint="None.")
def waits(service):
    """It waits for ever."""
    while True:
        time.sleep(0.01)

@check(points=1, look="lesson 99", hint="None.")
def breaks(service):
    """A check trips over an answer."""
    service.get("/").value["none"]["of"]["this"]
'''


SERVED = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
"""


async def good(scope, receive, send):
    await respond(send, b'{"ok": true}')


async def bad(scope, receive, send):
    await respond(send, b'{"ok": 1, "much": "too much to be small"}')


async def respond(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def mini(tmp_path, monkeypatch):
    """A course of two labs with the same checks."""
    for name in ("mini", "other"):
        (tmp_path / f"{name}.py").write_text(CHECKS)
    monkeypatch.setattr(requirements, "CHECKS", tmp_path)
    yield
    channel.hang_up()
    if server := running.named("lab"):
        server.stop()


@pytest.fixture
def serving():
    """Serve an app and return its URL."""
    return lambda app: start(app, name="app").url


def ask(judge, **request):
    return judge.answer(json.dumps(request).encode())


def opened(url, terms=None):
    judge = Observer(terms or Terms())
    assert "checks" in ask(judge, ask="open", lab="mini", url=url, database=None)
    return judge


def test_a_met_requirement_is_granted_its_points(serving):
    verdict = ask(opened(serving(good)), ask="check", name="says_ok")["verdict"]
    assert (verdict["passed"], verdict["points"], verdict["possible"]) == (True, 3, 3)


def test_a_failure_says_what_was_asked_what_was_seen_and_where_to_look(serving):
    judge = opened(serving(bad))
    verdict = Verdict(**ask(judge, ask="check", name="says_ok")["verdict"])
    assert (verdict.passed, verdict.points) == (False, 0)
    assert verdict.message(hint=False).splitlines() == [
        "✘ 0/3 The service says ok",
        "  asked:    GET /: ok exactly True",
        "  observed: 1",
        "  look at:  lesson 99, “Here”",
    ]
    assert verdict.message(hint=True).endswith("  hint:     Say ok.")


def test_what_was_measured_stands_in_parentheses(serving):
    verdict = Verdict(**ask(opened(serving(good)), ask="check", name="small")["verdict"])
    assert verdict.headline == "✔ 2/2 The answer has at most 20 bytes (measured 12 bytes)"


def test_a_check_that_takes_too_long_fails_and_the_judge_goes_on(serving):
    judge = opened(serving(good), Terms(longest=0.2))
    assert "still waiting" in ask(judge, ask="check", name="waits")["verdict"]["observed"]
    assert ask(judge, ask="check", name="says_ok")["verdict"]["passed"]


def test_what_a_service_does_to_a_check_does_not_end_the_judge(serving):
    judge = opened(serving(good))
    verdict = ask(judge, ask="check", name="breaks")["verdict"]
    assert not verdict["passed"] and "KeyError" in verdict["observed"]


REPEATS = '''
@check(points=1, look="lesson 99", hint="None.")
def repeats(service):
    """What it says is asked for."""
    service.get(service.get("/")["next"].value)["ok"].equals(True)
'''


async def half_a_pair(scope, receive, send):
    await respond(send, rb'{"next": "/\ud800", "ok": "\ud800"}')


def test_what_cannot_be_written_does_not_end_the_judge(serving, tmp_path):
    (tmp_path / "mini.py").write_text(CHECKS + REPEATS)
    verdict = Verdict(**ask(opened(serving(half_a_pair)), ask="check", name="repeats")["verdict"])
    assert not verdict.passed and (verdict.expected + verdict.observed).encode()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no json",
        b"null",
        b"[1, 2]",
        b"[" * 50_000,
        b"{}",
        b'{"ask": "points", "points": 10}',
        b'{"ask": ["check"]}',
        b'{"ask": "check"}',
        b'{"ask": "check", "name": {"a": 1}}',
        b'{"ask": "check", "name": "says_ok", "points": 3}',
        b'{"ask": "check", "name": "observe"}',
        b'{"ask": "open", "lab": "../mini", "url": "http://127.0.0.1:1", "database": null}',
        b'{"ask": "open", "lab": 7, "url": "http://127.0.0.1:1", "database": null}',
        b'{"ask": "open", "lab": "mini", "url": "http://192.0.2.1:80", "database": null}',
        b'{"ask": "open", "lab": "mini", "url": "http://127.0.0.1:1@192.0.2.1:80", "database": null}',
        b'{"ask": "open", "lab": "mini", "url": 5, "database": null}',
        b'{"ask": "upstream", "lab": "mini", "name": "archive"}',
        b"\xff\xfe",
        b'{"ask": "check", "name": "\xed\xa0\x80"}',
    ],
)
def test_whatever_is_said_to_it_earns_a_sentence_and_no_point(said, serving, tmp_path):
    terms = Terms(record=tmp_path / "record.json")
    judge = opened(serving(bad), terms)
    assert list(judge.answer(said)) == ["error"]
    assert json.loads(terms.record.read_text()) == {}


def test_the_judge_is_not_judged(serving):
    judge = opened(serving(good))
    upstream = Upstream("archive", lambda path: {"ok": True})
    refused = ask(judge, ask="open", lab="mini", url=upstream.url, database=None)
    assert "The judge listens on port" in refused["error"]
    assert ask(judge, ask="check", name="says_ok")["verdict"]["points"] == 3  # of the service before


@pytest.mark.parametrize("url", [postgres, valkey])
def test_a_backing_service_is_not_judged(url):
    port = urlsplit(url()).port
    for handed in ({}, {"cache": f"redis://127.0.0.1:{port}/0"}):
        refused = ask(Observer(), ask="open", lab="mini", url=f"http://127.0.0.1:{port}", **handed)
        assert refused["error"].startswith(f"A backing service listens on port {port}")


def test_a_submission_is_judged_at_its_end_whatever_its_kernel_asks_for(serving, tmp_path):
    terms = Terms(record=tmp_path / "record.json", longest=1)
    judge = opened(serving(good), terms)
    for _ in range(2):
        assert ask(judge, ask="check", name="says_ok") == {"verdict": None}
    assert json.loads(terms.record.read_text()) == {}
    judge.judge_all()
    kept = {name: each["points"] for name, each in json.loads(terms.record.read_text()).items()}
    assert kept == {"says_ok": 3, "small": 2, "waits": 0, "breaks": 0}


def test_a_submission_is_judged_in_an_order_that_it_cannot_know(serving, tmp_path):
    judge = opened(serving(good), Terms(record=tmp_path / "record.json", longest=0.3))
    orders = set()
    for _ in range(5):
        judge.verdicts = {}
        judge.judge_all()
        orders.add(tuple(judge.verdicts))
    assert len(orders) > 1


def test_verdicts_are_kept_as_they_fall(serving, tmp_path):
    terms = Terms(record=tmp_path / "record.json", longest=0.3)
    kept = []

    @contextmanager
    def turn(alone):
        yield Undisturbed()
        kept.append(len(json.loads(terms.record.read_text())))

    terms.turn = turn
    opened(serving(good), terms).judge_all()
    assert kept == [0, 1, 2, 3]


def test_while_it_is_judged_a_service_is_not_exchanged(serving, tmp_path):
    judge = opened(serving(bad), Terms(record=tmp_path / "record.json", longest=0.3))
    asked = []

    @contextmanager
    def turn(alone):
        asked.append(ask(judge, ask="open", lab="mini", url=serving(good), database=None))
        asked.append(ask(judge, ask="flights"))
        yield Undisturbed()

    judge.terms.turn = turn
    judge.judge_all()
    assert asked and all("being judged" in each["error"] for each in asked)
    assert judge.verdicts["says_ok"].points == 0


def test_of_two_services_the_last_is_judged(serving, tmp_path):
    terms = Terms(record=tmp_path / "record.json", longest=0.3)
    judge = opened(serving(good), terms)
    ask(judge, ask="open", lab="mini", url=serving(bad), database=None)
    judge.judge_all()
    assert json.loads(terms.record.read_text())["says_ok"]["points"] == 0


def test_a_notebook_that_never_opened_a_service_is_judged_on_nothing(tmp_path):
    terms = Terms(record=tmp_path / "record.json")
    Observer(terms).judge_all()
    assert not terms.record.exists()


def test_a_graded_run_is_of_one_lab(serving):
    judge = opened(serving(good), Terms(lab="mini"))
    refused = ask(judge, ask="open", lab="other", url=serving(good), database=None)
    assert refused == {"error": "This is the lab 'mini', not 'other'. Give Lab its name."}


def test_a_check_waits_for_its_turn(serving):
    turns = []

    @contextmanager
    def turn(alone):
        turns.append(("begun", alone))
        yield Undisturbed()
        turns.append(("ended", alone))

    judge = opened(serving(good), Terms(turn=turn))
    for name in ("says_ok", "small"):
        ask(judge, ask="check", name=name)
    assert turns == [("begun", False), ("ended", False), ("begun", True), ("ended", True)]


def test_what_failed_in_a_crowd_is_asked_again_alone(serving):
    turns = []

    @contextmanager
    def turn(alone):
        turns.append(alone)
        yield Crowded(not alone)

    judge = opened(serving(good), Terms(turn=turn))
    ask(judge, ask="check", name="says_ok")
    assert turns == [False]
    ask(judge, ask="check", name="breaks")
    assert turns == [False, False, True]
    ask(judge, ask="check", name="small")
    assert turns == [False, False, True, True]


@dataclass
class Crowded:
    was_crowded: bool


@pytest.fixture
def desk():
    """A desk in a thread, and what connects to it."""
    desk, ours = Desk(Observer()), []
    first, theirs = socket.socketpair()
    desk.attend(theirs)
    serving = threading.Thread(target=desk.serve)
    serving.start()
    ours.append(first)
    first.settimeout(10)
    yield first
    for each in ours:
        each.close()
    serving.join(10)
    assert not serving.is_alive()


def test_a_wish_may_come_in_pieces_and_several_at_once(desk):
    desk.sendall(b'{"ask": "no')
    desk.sendall(b'thing"}\nhello\n')
    answers = desk.makefile("rb")
    assert b"did not understand" in answers.readline() + answers.readline()


def test_an_endless_line_ends_the_connection(desk):
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        while True:
            desk.sendall(b"x" * 10_000)


def test_connections_that_nobody_honest_needs_are_closed(tmp_path):
    desk, (farewell, theirs) = Desk(Observer()), socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, farewell:
        listener.bind(str(tmp_path / "desk"))
        listener.listen(500)
        desk.listen(listener)
        serving = threading.Thread(target=desk.serve, args=(theirs,))
        serving.start()
        many = [socket.socket(socket.AF_UNIX) for _ in range(300)]
        for each in many:
            each.settimeout(10)
            each.connect(str(tmp_path / "desk"))
        assert many[-1].recv(1) == b""
        many[1].sendall(b'{"ask": "no')  # and never goes on
        many[0].sendall(b"nothing\n")
        assert b"did not understand" in many[0].recv(1000)
        for each in many:
            each.close()
    serving.join(10)
    theirs.close()
    assert not serving.is_alive()


def test_a_lab_prints_verdicts_and_the_hint_on_the_second_failure(in_jupyterlab, capsys):
    channel._channels[os.getpid()] = here = InProcess()
    lab = Lab("mini", bad)
    lab.check("says_ok")
    assert "Say ok" not in capsys.readouterr().out
    lab.check("says_ok")
    assert "  hint:     Say ok." in capsys.readouterr().out
    assert (lab.points, lab.possible, repr(lab)) == (0, 7, "<Lab 'mini': 0 of 7 points>")

    lab = Lab("mini", good)
    lab.check("says_ok")
    assert capsys.readouterr().out == "✔ 3/3 The service says ok\n"
    assert "3/3" in lab._repr_html_() and lab.points == 3
    with pytest.raises(UnderloadError, match="no check 'nonsense'"):
        lab.check("nonsense")
    here.judge.close()


def test_under_pytest_a_lab_raises_verdicts_and_counts_them_the_same(capsys):
    channel._channels[os.getpid()] = here = InProcess()
    lab = Lab("mini", bad)
    with pytest.raises(NotMet, match=r"^✘ 0/1 A check trips(?s:.)*  hint:     after the next failure$"):
        lab.check("breaks")
    with pytest.raises(NotMet, match=r"^✘ 0/1 A check trips(?s:.)*  hint:     None\.$"):
        lab.check("breaks")
    assert (lab.points, lab.possible) == (0, 7) and "✘" in lab._repr_html_()
    with pytest.raises(UnderloadError, match="no check 'nonsense'"):
        lab.check("nonsense")
    assert capsys.readouterr().out == ""
    here.judge.close()


class InProcess:
    """A channel to a judge in this process, which knows the miniature course."""

    def __init__(self):
        self.judge = Observer()

    def ask(self, wish, **details):
        return ask(self.judge, ask=wish, **details)

    def close(self):
        pass


def test_a_failure_tells_what_the_service_raised_meanwhile(in_jupyterlab, capsys):
    channel._channels[os.getpid()] = here = InProcess()

    async def broken(scope, receive, send):
        raise NameError("name 'tpyo' is not defined")

    lab = Lab("mini", broken)
    lab.check("small")
    assert capsys.readouterr().out.endswith("  raised:   NameError: name 'tpyo' is not defined\n")
    lab.server.stop()
    with pytest.raises(UnderloadError, match="does not run any more"):
        lab.check("small")
    here.judge.close()


def test_a_judge_that_was_killed_is_followed_by_another(serving):
    url = serving(good)
    assert own.ask("open", lab="blocking", url=url, database=None)["checks"]
    child = channel._channels[os.getpid()]._child
    os.killpg(child.process.pid, signal.SIGKILL)
    with pytest.raises(UnderloadError, match="The judge ended without an answer"):
        own.ask("check", name="health")
    assert own.ask("open", lab="blocking", url=url, database=None)["checks"]


def test_a_lab_takes_an_app_that_says_how_it_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service.py").write_text(SERVED)
    assert Lab("measuring", App("service:app", processes=2)).server.processes == 2


def test_the_stop_button_ends_the_judge_with_its_check(serving, tmp_path, monkeypatch):
    """An answer that came late would be taken for the next one."""
    (tmp_path / "labs/checks").mkdir(parents=True)
    (tmp_path / "labs/checks/mini.py").write_text(CHECKS)
    monkeypatch.setenv("UNDERLOAD_COURSE", str(tmp_path))  # which a judge's process reads
    url = serving(good)
    own.ask("open", lab="mini", url=url, database=None)
    process = channel._channels[os.getpid()]._child.process
    threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        own.ask("check", name="waits")
    assert process.poll() is not None
    assert own.ask("open", lab="mini", url=url, database=None)["checks"]
