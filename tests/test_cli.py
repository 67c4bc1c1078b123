import json
import os
import pty
import signal
import socket
import subprocess
import sys
import sysconfig
import threading

import psutil
import pytest
from conftest import all_gone
from fastapi import FastAPI, Request

from underload import serve

COMMAND = f"{sysconfig.get_path('scripts')}/underload"
SHORT = ("--users", "5", "--seconds", "0.3")


def underload(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def service():
    app = FastAPI()
    app.state.seen = []
    app.state.asked = threading.Event()

    @app.api_route("/", methods=["GET", "POST", "PUT"])
    async def answer(request: Request):
        app.state.seen.append((request.method, await request.body(), request.headers.get("content-type")))
        app.state.asked.set()

    with serve(app) as server:
        server.seen = app.state.seen
        server.asked = app.state.asked
        yield server


def test_one_json_object(service):
    ended = underload("load", service.url, *SHORT, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    facts = json.loads(ended.stdout)
    keys = "throughput requests errors mean_ms p50_ms p95_ms p99_ms max_ms trustworthy"
    assert facts.keys() >= set(keys.split())
    assert facts["users"] == 5
    assert facts["errors"] == 0 < facts["requests"]
    assert ended.stdout.count("\n") == 1


def test_an_open_workload(service):
    ended = underload("load", service.url, "--rate", "50", "--seconds", "0.4", "--json")
    facts = json.loads(ended.stdout)
    assert (facts["rate"], facts["users"], facts["errors"]) == (50, None, 0)
    assert 19 <= facts["requests"] <= 22  # one more may be open when the window opens
    assert len(service.seen) >= 29  # with those of the warm-up of 0.2 s


def test_a_line_for_people(service):
    ended = underload("load", service.url, *SHORT)
    assert ended.stdout.startswith("5 users · 0.3 s · ")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_errors_of_the_service_are_told_by_kind():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended = underload("load", url, *SHORT)
    assert ended.returncode == 0
    assert "no answers" in ended.stdout
    assert "connection refused × " in ended.stdout


@pytest.mark.parametrize(
    ("options", "method"), [((), "POST"), (("--method", "PUT"), "PUT")], ids=["POST", "named"]
)
def test_a_body(service, options, method):
    ended = underload("load", service.url, *SHORT, "--body", '{"n": 1}', *options)
    assert ended.returncode == 0
    assert set(service.seen) == {(method, b'{"n": 1}', "application/json")}


@pytest.mark.parametrize(
    "arguments",
    [("load",), ("load", "http://127.0.0.1:1", "--users", "many"), ("load", "--fast"), ("lift",), ()],
    ids=["no URL", "no number", "no such option", "no such command", "nothing"],
)
def test_wrong_usage(arguments):
    ended = underload(*arguments)
    assert ended.returncode == 2
    assert "Usage" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("http://127.0.0.1:1",),
        ("http://127.0.0.1:1", "--users", "0"),
        ("ftp://127.0.0.1:1", "--users", "5"),
        ("http://8.8.8.8/", "--users", "5"),
    ],
    ids=["no workload", "no users", "ftp", "a public address"],
)
def test_what_makes_no_sense_is_one_sentence(arguments):
    ended = underload("load", *arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("underload: ")
    assert ended.stderr.count("\n") == 1


def test_ctrl_c(service):
    command = subprocess.Popen(
        [COMMAND, "load", service.url, "--users", "5", "--seconds", "30", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.asked.wait(30)
    at_work = psutil.Process(command.pid).children(recursive=True)
    assert len(at_work) == 2
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=30)
    assert (command.returncode, out, err) == (130, "", "")
    assert all_gone(at_work)


def test_a_terminal_sees_it_live(service):
    """The line that lives is on standard error, and nothing is left of it but the result."""
    ours, theirs = pty.openpty()
    arguments = [COMMAND, "load", service.url, "--users", "5", "--seconds", "1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=theirs, text=True) as command:
        os.close(theirs)
        out, _ = command.communicate(timeout=30)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "5 users · 0.5 s · " in shown
    assert "errors 0" in shown
    assert shown.endswith("\r\x1b[K")
    assert out.startswith("5 users · 1 s · ")


def test_it_runs_as_a_module_and_starts_without_the_numbers():
    code = "import sys, underload.cli; print(sorted({'numpy', 'matplotlib', 'gevent'} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.stdout == "[]\n"


def test_a_lesson_that_is_not_there_is_one_sentence_and_makes_nothing():
    ended = underload("study", "no-such-lesson", "--no-browser")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("underload: There is no 'no-such-lesson' in notebooks; choose one of 00-")
    assert ended.stderr.count("\n") == 1
