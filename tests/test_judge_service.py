"""What a check can see of a service, and do to it: requests, load, processes, and the services it calls."""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import psutil
import pytest
from conftest import all_gone

from underload.judge.client import Client
from underload.judge.expect import Failed
from underload.judge.gateway import MOST_CALLS
from underload.judge.service import Service
from underload.judge.upstream import Upstream
from underload.serving import start
from underload.waiting import until


async def answering(scope, receive, send):
    """Answer by path: what tests need of a service."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path == "/never":
        await asyncio.sleep(60)
    if path == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
    kind = b"text/plain"
    if path == "/headers":
        body = json.dumps(sorted(name.decode() for name, _ in scope["headers"])).encode()
    elif path.startswith("/double/"):
        body = json.dumps({"double": 2 * int(path.rpartition("/")[2])}).encode()
    elif path == "/lies":
        body = b"not json"
    elif path == "/zipped":
        body = gzip.compress(bytes(100_000))
    else:
        body = json.dumps({"path": path, "flag": True, "much": 5}).encode()
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if path == "/zipped":
        headers.append((b"content-encoding", b"gzip"))
    status = 503 if path == "/refused" else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def service():
    service = Service(start(answering, name="app").url)
    yield service
    service.close()


def test_an_answer_can_be_asked_about(service):
    answer = service.get("/x")
    answer.status.equals(200)
    answer["path"].equals("/x")
    answer.number("much").at_most(5)
    answer.header("Content-Type").equals("text/plain")
    answer.bytes.equals(len(answer.body))
    answer.json.equals({"path": "/x", "flag": True, "much": 5})
    assert 0 < answer.first_byte <= answer.took


@pytest.mark.parametrize(
    "expected, message",
    [
        ({"path": "/y", "flag": True, "much": 5}, ("GET /x: path '/y'", "path '/x'")),
        ({"path": "/x", "flag": True}, ("GET /x: no much", "much 5")),
        ({"path": "/x", "flag": True, "much": 5, "more": 1}, ("GET /x: more 1", "no more")),
        ([1], ("GET /x: [1]", "{'path': '/x', 'flag': True, 'much': 5}")),
    ],
)
def test_an_answer_that_shows_something_else_says_where_it_differs(service, expected, message):
    assert service.get("/x").shows({"path": "/x", "flag": True, "much": 5})
    with pytest.raises(Failed) as caught:
        service.get("/x").shows(expected)
    assert (caught.value.expected, caught.value.observed) == message


@pytest.mark.parametrize(
    "wish",
    [
        lambda service: service.get("/lies")["path"],
        lambda service: service.get("/x")["absent"],
        lambda service: service.get("/x").number("flag"),
        lambda service: service.get("/x").number("path"),
        lambda service: service.get("/headers")["path"],
        lambda service: service.get("/x").header("absent").equals("1"),
        lambda service: service.get("/never", timeout=0.1)["path"],
    ],
)
def test_what_is_not_there_fails_the_check_and_nothing_else(service, wish):
    with pytest.raises(Failed):
        wish(service)


def test_no_answer_is_waited_for_or_read_without_end(service, monkeypatch):
    monkeypatch.setattr("underload.judge.client.MOST_BYTES", 3_000_000)
    assert service.get("/never", timeout=0.1).problem == "no answer within 0.1 s"
    assert service.get("/endless").problem == "an answer of over 3,000,000 bytes"


def test_nobody_there_is_an_answer_too():
    service = Service("http://127.0.0.1:9")
    assert service.get("/").problem and service.get("/").code == 0
    with pytest.raises(Failed, match="nobody listens"):
        service.processes.listening()
    service.close()


def test_bytes_are_those_on_the_wire(service):
    service.get("/zipped").bytes.at_most(1_000)


def test_a_service_cannot_tell_the_judge_from_the_load_by_its_headers(service):
    assert service.get("/headers").value == ["host"]


def test_many_requests_are_under_way_at_once():
    slow = Upstream("slow", lambda path: path)
    service = Service(slow.url)
    with slow.held() as calls:
        asked = service.send("GET", [f"/{n}" for n in range(120)])
        calls.wait_for(120, seconds=10)
        asked.open.equals(120)
    assert [answer.value for answer in asked] == [f"/{n}" for n in range(120)]
    calls.peak.equals(120)
    service.close()


def test_a_load_is_observed(service):
    run = service.load("/x", users=4, seconds=1)
    run.errors.equals(0)
    run.throughput.at_least(1)
    run.p99.at_least(0.01)
    run.answered.at_least(1)


def test_answers_of_the_load_are_looked_at(service):
    def right(answer, drawn):
        return answer["double"].value == 2 * drawn["n"]

    service.load("/double/{n}", users=4, seconds=0.3, right=right, n=range(1_000_000))
    with pytest.raises(Failed) as caught:
        service.load("/x{n}", users=4, seconds=0.3, right=lambda *_: False, n=range(10))
    assert "right answer to each request" in caught.value.expected


def test_one_wrong_answer_of_a_load_is_told_from_all(service):
    wrong = iter([False])
    with pytest.raises(Failed, match=r"\(1 of \d+ wrong\)"):
        service.load("/x", users=4, seconds=0.3, right=lambda *_: next(wrong, True))
    with pytest.raises(Failed, match=r"GET /x: 7, observed \{.*\} \((\d+) of \1 wrong\)"):
        service.load("/x", users=4, seconds=0.3, right=lambda answer, _: answer.shows(7))


def test_a_load_of_no_good_answers_says_what_came_instead(service):
    nothing = service.load("/refused", users=4, seconds=0.3)
    with pytest.raises(
        Failed, match=r"good answers at least 1, observed 0 \(503 Service Unavailable × [\d,]+\)"
    ):
        nothing.answered.at_least(1)


def test_several_paths_are_asked_for_in_a_mix_and_share_what_is_drawn(service):
    paths = ["/double/{n}", "/double/{n}", "/fixed/{word}"]
    mixed = service.load(paths, users=4, seconds=1, looked_at=1_000, n=range(1, 100), word=["a b", "c"])
    mixed.errors.equals(0)
    asked = [answer.asked for answer in mixed.answers]
    fixed = [each for each in asked if not each.startswith("GET /double/")]
    assert set(fixed) == {"GET /fixed/a%20b", "GET /fixed/c"}
    assert 0 < 3 * len(fixed) / len(asked) < 1.4  # a third of them, and by chance rarely a tenth more


def test_a_service_that_answers_again_has_settled(service):
    service.settle("/x")
    with pytest.raises(Failed, match="answers again"):
        Service("http://127.0.0.1:9").settle("/x", seconds=0.2)


SERVICE = """
import os, subprocess, sys, time
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/burn":
        end = time.process_time() + 0.5
        while time.process_time() < end:
            pass
    if scope["path"] == "/children":
        burn = "import time\\nwhile time.process_time() < 0.3: pass"
        for _ in range(3):
            subprocess.run([sys.executable, "-c", burn])
    if scope["path"] == "/grow":
        app.held = bytearray(os.urandom(1) * 100_000_000)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.fixture
def instances(folder):
    """A service of two uvicorn workers."""
    (folder / "instances.py").write_text(SERVICE)
    server = start("instances:app", name="app", processes=2)
    service = Service(server.url)
    yield service
    service.close()
    server.stop()


def test_processes_behind_a_port_are_found_and_used_cpu_is_theirs(instances):
    assert int(instances.get("/").body) in {each.pid for each in instances.processes.all()}
    with instances.watch_cpu() as used:
        instances.get("/burn")
    used.cores.at_least(0.2)
    assert psutil.Process() not in instances.processes.all()


def test_cpu_of_children_that_ended_is_the_services_too(instances):
    with instances.watch_cpu() as used:
        instances.get("/children")
    in_all, busiest = used.cpu * used.seconds, used.most * used.seconds
    assert in_all >= 0.8  # three children burnt 0.3 s each, one after the other
    assert busiest <= 0.6 * in_all


def test_one_that_works_while_three_wait_is_one_at_work(instances):
    with instances.watch_cpu() as used:
        instances.get("/burn")
    used.busiest.at_least(0.9 * used.cpu)
    used.interpreters.at_most(1.2)


def test_visitors_come_while_something_else_is_looked_at(service):
    with service.visited(lambda: "/double/4", rate=50) as sent:
        until(lambda: len(sent) >= 3, seconds=10)
    assert {answer["double"].value for pending in sent for answer in pending} == {8}


def test_what_was_sent_has_come_back_once_a_service_has_settled():
    slow = Upstream("slow", lambda path: path)
    service = Service(slow.url)
    with slow.set(delay=0.2):
        asked = service.send("GET", ["/a", "/b"])
        service.settle("/c")
    asked.open.equals(0)
    service.close()


def test_memory_that_a_service_takes_is_seen(instances):
    before = instances.processes.memory
    instances.get("/grow")
    instances.processes.memory.at_least(before.value + 50)


def test_an_instance_can_be_killed(instances):
    killed = instances.processes.kill(instance=1)
    assert all_gone([killed])
    with pytest.raises(Failed, match="99 instances"):
        instances.processes.kill(instance=98)


def test_a_kernel_is_never_killed(service):
    """In this test the service runs in the judge's own process, as it does in a learner's kernel."""
    with pytest.raises(Failed, match="processes of its own"):
        service.processes.send_signal(signal.SIGTERM)


def test_an_upstream_counts_calls_and_connections():
    upstream = Upstream("archive", lambda path: {"path": path} if path != "/none" else None)
    with upstream.watch() as calls, httpx.Client(base_url=upstream.url) as one:
        assert one.get("/a").json() == {"path": "/a"}
        assert one.get("/none").status_code == 404
        httpx.get(upstream.url + "/b")
    calls.total.equals(3)
    calls.connections.equals(2)
    calls.peak.equals(1)


def test_an_upstream_misbehaves_on_command_and_afterwards_no_more():
    upstream = Upstream("archive", lambda path: path)
    with upstream.set(failing=lambda call: 503 if call % 2 else 0, delay=lambda call: 0.01 * call):
        assert [httpx.get(upstream.url).status_code for _ in range(4)] == [200, 503, 200, 503]
    with upstream.set(failing=500) as calls:
        assert httpx.get(upstream.url).status_code == 500
    calls.total.equals(1)
    with upstream.set(trickle=0.2), httpx.stream("GET", upstream.url) as answer:
        assert [len(piece) for piece in answer.iter_raw()] == [1, 1, 1]  # "/" with its quotes
    assert httpx.get(upstream.url).json() == "/"


def test_calls_beyond_what_an_upstream_does_at_once_stand_in_line():
    upstream = Upstream("archive", lambda path: path)
    client = Client(upstream.url)
    with upstream.set(delay=0.05, at_once=2):
        took = [answer.took for answer in client.send("GET", ["/"] * 6).answers()]
    client.close()
    assert sorted(took)[-1] >= 3 * 0.05  # it sleeps for that long, so no answer can be sooner


def test_calls_whose_caller_left_do_not_hold_up_the_others():
    upstream = Upstream("archive", lambda path: path)
    with upstream.held() as calls:
        impatient = subprocess.Popen(
            [sys.executable, "-c", f"import httpx; httpx.get({upstream.url!r}, timeout=60)"],
            stderr=subprocess.DEVNULL,
        )
        calls.wait_for(1, seconds=20)
        impatient.kill()
        impatient.wait()
    assert httpx.get(upstream.url).json() == "/"


def test_only_calls_for_some_paths_are_counted_and_a_path_once():
    upstream = Upstream("archive", lambda path: path)
    client = Client(upstream.url)
    with upstream.held(["/a", "/b"]) as asked, upstream.watch() as all_calls:
        client.send("GET", ["/a", "/a", "/b", "/c", "/d"])
        all_calls.wait_for(5, seconds=20)
    client.settle()
    client.close()
    asked.total.equals(3)
    asked.different.equals(2)
    all_calls.different.equals(4)


def test_calls_that_no_longer_come_are_not_waited_for():
    upstream = Upstream("archive", lambda path: path)
    client = Client(upstream.url)
    with upstream.held() as calls:
        client.send("GET", ["/a"])
        calls.wait_for(2, seconds=600, still=0.5)
    calls.peak.equals(1)
    client.close()


def test_an_upstream_has_settled_when_nobody_waits_for_it_any_more():
    upstream = Upstream("archive", lambda path: path)
    client = Client(upstream.url)
    with upstream.set(delay=0.3) as calls:
        asked = client.send("GET", ["/a", "/b"])
        calls.wait_for(2, seconds=20)
        upstream.settle()
    assert [answer.code for answer in asked] == [200, 200]
    client.close()


FLOOD = """
import resource, socket, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
for number in range(int(sys.argv[2])):
    one = socket.socket()
    one.settimeout(2)
    held.append(one)
    try:
        one.connect(("127.0.0.1", int(sys.argv[1])))
        one.sendall(sys.argv[3].encode())
    except OSError:
        break
print(number, flush=True)
sys.stdin.read()
"""


@contextmanager
def flood(upstream, connections, sent):
    """Hold connections to an upstream over which something was sent each; yield how many there are."""
    arguments = [upstream.url.rpartition(":")[2], str(connections), sent]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", FLOOD, *arguments], **pipes) as flooding:
        yield int(flooding.stdout.readline()) + 1
        flooding.stdin.close()


def test_half_sent_requests_without_number_are_not_the_judges_to_hold():
    upstream = Upstream("archive", lambda path: path)
    kept = httpx.Client(base_url=upstream.url)
    assert kept.get("/before").json() == "/before"
    files = psutil.Process().num_fds()
    with flood(upstream, 6_000, "GET /a HTTP/1.1") as connections:
        assert connections > 1_000
        assert kept.get("/meanwhile").json() == "/meanwhile"
        assert psutil.Process().num_fds() <= files + 10  # the flood's pipes
    kept.close()
    assert until(lambda: _answers(upstream), seconds=20)


def test_of_more_calls_than_an_upstream_takes_at_a_time_the_judge_does_not_hear():
    upstream = Upstream("archive", lambda path: path)
    kept = httpx.Client(base_url=upstream.url)
    kept.get("/")
    with upstream.held() as calls, flood(upstream, 2_100, "GET /a HTTP/1.1\r\nhost: here\r\n\r\n"):
        calls.wait_for(MOST_CALLS, seconds=60)
        assert kept.get("/b").status_code == 503
    kept.close()
    calls.peak.equals(MOST_CALLS)  # one that comes once they are let go may still be heard


def _answers(upstream):
    try:
        return httpx.get(upstream.url + "/after", timeout=1).json() == "/after"
    except httpx.HTTPError:
        return False


def test_a_path_longer_than_any_honest_one_is_refused_and_the_judge_does_not_hear_of_it():
    upstream = Upstream("archive", lambda path: path)
    with upstream.watch() as calls:
        assert httpx.get(upstream.url + "/" + "x" * 3_000).status_code == 503
    calls.total.equals(0)
