import socket
import sys

import pytest
from typer.testing import CliRunner

from underload import cli, serve
from underload.bench import budgets, references
from underload.bench.budgets import Effort, Row
from underload.bench.references import SOURCES, find, k6_latency, left_out, run, wrk_throughput
from underload.errors import UnderloadError


def needs(tool):
    return pytest.mark.skipif(not find(tool), reason=f"install {SOURCES[tool]}")


@pytest.fixture(scope="module")
def url():
    with serve(budgets.SPECIMENS, name="specimens", processes=1) as server:
        yield server.url


@pytest.fixture
def nowhere():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@needs("wrk")
def test_wrk_counts_users_that_wait(url):
    # 10 users, 50 ms each: at most 200 a second.
    assert 120 < wrk_throughput(f"{url}/wait/50", 10, 1) <= 220


@needs("wrk")
def test_wrk_with_nothing_to_load_says_so(nowhere):
    with pytest.raises(UnderloadError, match="wrk"):
        wrk_throughput(nowhere, 1, 1)


@needs("wrk")
def test_wrk_refuses_to_count_errors(url):
    with pytest.raises(UnderloadError, match="Non-2xx"):
        wrk_throughput(f"{url}/nowhere", 1, 1)


@needs("k6")
def test_k6_latency_is_what_the_service_takes(url):
    p50, p99 = k6_latency(f"{url}/wait/50", rate=50, seconds=1, most_open=20)
    assert 50 <= p50 <= p99 < 500


@needs("k6")
def test_k6_with_too_few_users_to_send_on_time_says_so(url):
    with pytest.raises(UnderloadError, match="k6"):
        k6_latency(f"{url}/wait/50", rate=100, seconds=1, most_open=1)


@needs("k6")
def test_k6_refuses_to_time_errors(url):
    with pytest.raises(UnderloadError, match="k6"):
        k6_latency(f"{url}/nowhere", rate=20, seconds=1, most_open=5)


def test_absent_tools_are_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(references, "find", lambda _: None)
    assert [sentence.split()[0] for sentence in left_out()] == ["wrk", "k6"]
    assert all("install" in sentence for sentence in left_out())


def test_program_that_fails_is_quoted():
    with pytest.raises(UnderloadError, match="no such luck"):
        run(sys.executable, "-c", "raise SystemExit('no such luck')")


def test_program_that_hangs_is_given_up():
    with pytest.raises(UnderloadError, match="did not end"):
        run(sys.executable, "-c", "import time; time.sleep(60)", timeout=0.5)


def test_in_turn_takes_the_median_of_each():
    one, other = iter([(1, 10), (5, 30), (3, 20)]), iter([(2, 9), (2, 9), (8, 1)])
    medians = budgets.in_turn(Effort(rounds=3), lambda: next(one), lambda: next(other))
    assert medians.tolist() == [[3, 20], [2, 9]]


@pytest.mark.parametrize(("met", "code"), [(True, 0), (False, 1)])
def test_command_fails_when_a_bar_is_missed(monkeypatch, met, code):
    monkeypatch.setattr(budgets, "measure", lambda _: iter([Row("speed", "0.90", "0.97", met)]))
    result = CliRunner().invoke(cli.app, ["bench"])
    assert result.exit_code == code
    assert "speed" in result.output
