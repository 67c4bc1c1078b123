"""Numbers of a load, held against services whose true figures are known."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from fastapi import FastAPI

from underload import load, serve
from underload.bench import Known, waits


@pytest.fixture
def known():
    """Serve a `Known` and return its URL."""
    servers = []

    def start(service, **options):
        servers.append(serve(service.app, name="known", **options))
        return servers[-1].url

    yield start
    for server in servers:
        server.stop()


def test_either_event_loop_answers_at_once(known):
    """In pieces, and Nagle's algorithm left on, an answer took 44 ms where it takes 0.6."""
    took = [load(known(Known(), loop=loop), users=5, seconds=1).p50_ms for loop in ("uvloop", "asyncio")]
    assert took[1] < 10 * took[0]


def test_the_end_of_the_window_is_counted_as_it_is(known):
    """After 100 answers it is silent: 20 came as users started, and 80 in the 2 s that count."""
    result = load(known(Known(wait=0.1, answers=100)), users=20, seconds=2, timeout=3)
    assert result.throughput == pytest.approx(80 / 2, abs=2)


def test_users_in_step_are_told_apart_in_time(known):
    """20 users of 0.7 s are 28.6/s, wherever a window of 2 s happens to end."""
    result = load(known(Known(wait=0.7)), users=20, seconds=2)
    assert result.throughput == pytest.approx(20 / 0.7, rel=0.05)


def test_a_timeout_hides_nothing(known):
    """A stall of 1 s at a known request: whatever the timeout, no p99 below the truth is shown as exact."""
    runs = [
        load(known(Known(wait=0.005, stall_at=300)), rate=200, seconds=4, timeout=timeout)
        for timeout in (10, 0.5, 0.1)
    ]
    whole, *cut = runs
    # Of 800 requests 200 meet the stall, the 8 longest for 960 ms and more.
    assert whole.p99_ms == pytest.approx(960, rel=0.05)
    for run, timeout in zip(cut, (0.5, 0.1), strict=True):
        assert run.errors > 50
        assert run.at_least(99)
        assert run.p99_ms == pytest.approx(1000 * timeout, rel=0.1)
        assert "p99 ≥" in str(run)


def test_a_timeout_counts_from_the_intended_start(known):
    """One connection, 100 ms each, 20/s offered: what waits for it is given up when its time is over."""
    result = load(known(Known(wait=0.1)), rate=20, users=1, seconds=2, timeout=0.5)
    given_up = result.elapsed_ms[result.given_up]
    assert given_up.size
    assert given_up.max() < 700


def test_refusing_is_not_punished_by_the_tool(known):
    """Users who are refused wait as those do who get no answer."""
    service = Known(status=503)
    load(known(service), users=10, seconds=1, back_off=0.1)
    assert service.calls < 1.5 * 10 * (1 / 0.1 + 2)


def test_a_busy_service_is_believed_with_few_users(known):
    """Four users fill it as ten do, though each spends a good part of its time in the generator."""
    url = known(Known(work=0.0001))
    few, many = load(url, users=4), load(url, users=10)
    assert few.throughput > 0.85 * many.throughput
    assert few.generator_cpu / 4 > 0.025
    assert few.service_cpu > 0.85
    assert not few.is_doubted("throughput"), few


def test_an_open_run_counts_what_is_open(known):
    result = load(known(Known(wait=0.05)), rate=200, seconds=2)
    assert result.counted_in_flight == pytest.approx(10, rel=0.1)
    assert result.counted_in_flight == pytest.approx(result.throughput * result.mean_ms / 1000, rel=0.05)
    assert result.trustworthy, result


ARRIVALS = """
from underload.loading.generator.arrivals import offsets
from itertools import islice
print(*islice(offsets({"arrivals": "poisson", "rate": 50.0, "seed": 7}), 20_000))
"""


def test_random_arrivals_are_exponential():
    drawn = subprocess.run([sys.executable, "-c", ARRIVALS], capture_output=True, text=True, timeout=60)
    gaps = np.diff(np.array(drawn.stdout.split(), float))
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.var() == pytest.approx(1 / 50**2, rel=0.08)
    assert np.mean(gaps > 2 / 50) == pytest.approx(np.exp(-2), rel=0.05)


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_a_queue_before_one_server_is_as_long_as_the_arrivals_make_it(known, arrivals):
    """One at a time, 20 ms each, 30/s: each wait follows from the arrivals (Lindley's recursion)."""
    alone = load(known(Known(wait=0.02, at_once=1)), users=1, seconds=1).p50_ms
    run = load(known(Known(wait=0.02, at_once=1)), rate=30, seconds=6, arrivals=arrivals, seed=11)
    expected = alone + waits(run.started, alone)
    assert run.elapsed_ms.mean() == pytest.approx(expected.mean(), rel=0.1)
    assert (expected.mean() > 1.3 * alone) == (arrivals == "poisson")


def test_arrivals_are_on_time(known):
    """Beside k6, see `underload bench`: gevent's own timers came up to a millisecond late."""
    run = load(known(Known()), rate=1000, seconds=1)
    assert np.median(run.late_ms) < 0.2


def test_random_arrivals_are_drawn_anew(known):
    url = known(Known())
    runs = [load(url, rate=100, seconds=0.3, arrivals="poisson", seed=seed) for seed in (None, None, 3, 3)]
    gaps = [np.diff(np.sort(run.started))[:20] for run in runs]
    assert not np.allclose(gaps[0], gaps[1])
    assert np.allclose(gaps[2], gaps[3], atol=1e-6)


# What is not the service's doing

FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from underload import load
from underload.errors import UnderloadError
try:
    load(sys.argv[1], users=600, seconds=0.5)
except UnderloadError as error:
    print(error)
run = load(sys.argv[1], rate=2000, seconds=0.5, timeout=2)
print(run.errors, run.failed_here > 0, run.trustworthy, str(run))
"""


def test_a_limit_of_files_is_not_the_services(known):
    url = known(Known(wait=0.4))
    ended = subprocess.run([sys.executable, "-c", FEW_FILES, url], capture_output=True, text=True, timeout=60)
    refused, found = ended.stdout.splitlines()
    assert "600 users need" in refused and "allows 256" in refused
    assert found.startswith("0 True False"), found
    assert "failed in the generator, not in the service (out of open files)" in found


ELSEWHERE = """
from locust import FastHttpUser, HttpUser, task, constant

class Stubborn(FastHttpUser):
    host = "http://192.0.2.1"
    wait_time = constant(0.01)

    @task
    def visit(self):
        self.client.get("/")

class Absolute(HttpUser):
    wait_time = constant(0.01)

    @task
    def visit(self):
        self.client.get("http://8.8.8.8/")
"""


def test_the_url_given_is_the_target_of_a_user_class(known, folder):
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    service = Known()
    run = load(known(service), user="elsewhere:Stubborn", users=2, seconds=0.3)
    assert run.errors == 0 < run.requests <= service.calls


def test_a_user_class_drives_no_public_address(known, folder):
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    run = load(known(Known()), user="elsewhere:Absolute", users=2, seconds=0.3)
    assert run.failed_here > 0 == run.requests
    assert "8.8.8.8 is a public address" in str(run)


def test_a_pool_of_another_event_loop_is_explained(known):
    elsewhere = asyncio.new_event_loop()
    threading.Thread(target=elsewhere.run_forever, daemon=True).start()
    app = FastAPI()

    @app.get("/")
    async def uses() -> None:
        await elsewhere.create_future()

    with serve(app, name="known") as server:
        run = load(server.url, users=2, seconds=0.2)
    elsewhere.call_soon_threadsafe(elsewhere.stop)
    assert run.errors
    assert "attached to a different loop" in str(run)
    assert "make the pool or client in the app's lifespan" in str(run)


def test_a_redirecting_mix_says_where_to(known):
    app = FastAPI()

    @app.get("/items/")
    async def items() -> list[int]:
        return []

    with serve(app, name="known") as server:
        run = load(server.url + "/items", users=5, seconds=0.3)
    assert Counter(map(str, run.reasons[run.redirected])).keys() == {"307 to /items/"}
    assert run.throughput == 0


@pytest.fixture
def certificate(tmp_path):
    """A key and a certificate that no authority has signed."""
    key, signed = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(signed)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return {"ssl_keyfile": str(key), "ssl_certfile": str(signed)}


@pytest.mark.parametrize("workload", [{"users": 5}, {"rate": 50}], ids=["closed", "open"])
def test_tls_on_this_machine_is_taken_as_it_is(known, certificate, workload):
    port = known(Known(), **certificate).rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        run = load(f"https://{host}:{port}/", seconds=0.5, **workload)
        assert run.errors == 0 < run.requests
        assert run.service_cpu > 0


def test_plain_http_to_tls_is_an_error_not_a_crash(known, certificate):
    port = known(Known(), **certificate).rpartition(":")[2]
    assert load(f"http://127.0.0.1:{port}/", users=2, seconds=0.2).throughput == 0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = load(f"https://127.0.0.1:{silent.getsockname()[1]}/", users=2, seconds=0.2, timeout=0.3)
    assert run.error_counts.keys() == {"no answer within 0.3 s"}
