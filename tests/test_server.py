import asyncio
import gc
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.error import URLError

import httpx
import psutil
import pytest
from conftest import all_gone
from fastapi import FastAPI

from underload import App, load, serve
from underload.errors import UnderloadError
from underload.serving import in_kernel
from underload.waiting import until

ME = psutil.Process()


def answering(text: str) -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: text)
    return app


def get(server, path: str = "/") -> object:
    """A client of its own each time: nothing of it stays open."""
    with urllib.request.urlopen(server.url + path, timeout=10) as answer:
        return json.load(answer)


def lags(server, begin: float, end: float) -> list[float]:
    return server.lag(begin, end)[:, 1].tolist()


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("underload")}


def sentences(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# In this process


def test_it_answers_on_return_and_on_loopback_only():
    with serve(answering("yes")) as server:
        assert get(server) == "yes"
        listening = [c for c in ME.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert [c.laddr.ip for c in listening if c.laddr.port == server.port] == ["127.0.0.1"]


def test_two_servers_take_two_ports():
    with serve(answering("a"), name="a") as a, serve(answering("b"), name="b") as b:
        assert (get(a), get(b)) == ("a", "b")


def test_the_lifespan_runs():
    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield
        seen.append("down")

    with serve(FastAPI(lifespan=lifespan)):
        assert seen == ["up"]
    assert seen == ["up", "down"]


def test_stop_frees_the_port_and_may_be_called_twice():
    server = serve(answering("yes"))
    assert server.url in repr(server)
    server.stop()
    server.stop()
    assert refuses(server.port)
    assert "stopped" in repr(server)
    assert "stopped" in server._repr_html_()
    serve(answering("again"), port=server.port).stop()


def test_the_same_name_replaces_and_another_does_not():
    with serve(answering("other"), name="other") as other:
        old = serve(answering("old"))
        new = serve(answering("new"))
        assert refuses(old.port)
        assert (get(new), get(other)) == ("new", "other")


def test_fifty_runs_of_a_cell_leak_nothing():
    app = answering("yes")

    def run_cell():
        server = serve(app)
        held = threading.active_count(), ME.num_fds(), len(ME.net_connections())
        assert get(server) == "yes"
        return held

    run_cell()
    before = run_cell()
    for _ in range(50):
        after = run_cell()
    assert after == before


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnderloadError) as error:
            serve(answering("no"), port=port)
    assert str(port) in sentences(error)
    with pytest.raises(UnderloadError, match="70000"):
        serve(answering("no"), port=70000)


@pytest.mark.parametrize("kind", ["lifespan", "process"])
def test_what_cannot_be_served_is_said(kind):
    arguments = {"processes": 2} if kind == "lifespan" else {"processes": 0}
    with pytest.raises(UnderloadError) as error:
        serve(answering("no"), **arguments)
    sentences(error)


def test_what_the_lifespan_raises_is_raised():
    class NoDatabase(Exception):
        pass

    failure = NoDatabase("the database is <not> there")

    @asynccontextmanager
    async def lifespan(app):
        raise failure
        yield

    began = time.monotonic()
    with pytest.raises(NoDatabase) as error:
        serve(FastAPI(lifespan=lifespan))
    assert error.value is failure
    assert time.monotonic() - began < 5
    assert not threads()


def test_a_lifespan_that_hangs_is_ended():
    cancelled = threading.Event()

    @asynccontextmanager
    async def lifespan(app):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield

    before = ME.num_fds()
    with pytest.raises(UnderloadError) as error:
        serve(FastAPI(lifespan=lifespan))
    assert "lifespan" in sentences(error)
    assert cancelled.is_set()
    assert not threads()
    assert ME.num_fds() <= before + 3  # a generator was made ready: three pipes


def test_an_error_in_the_shutdown_is_not_lost():
    @asynccontextmanager
    async def lifespan(app):
        yield
        raise ValueError("flush failed")

    server = serve(FastAPI(lifespan=lifespan))
    with pytest.warns(RuntimeWarning, match="ValueError: flush failed"):
        server.stop()


def test_an_app_without_lifespan_may_refuse_it():
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'"raw"'})

    with serve(app) as server:
        assert get(server) == "raw"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_options_are_uvicorns(loop):
    app = FastAPI()

    @app.get("/")
    async def loop_module():
        return type(asyncio.get_running_loop()).__module__

    with serve(app, loop=loop, timeout_graceful_shutdown=1) as server:
        assert get(server).startswith(loop)


@contextmanager
def request_in_background(url: str):
    def ask():
        with suppress(httpx.HTTPError):
            httpx.get(url, timeout=60)

    client = threading.Thread(target=ask)
    client.start()
    yield
    client.join(30)
    assert not client.is_alive()


def stop_while_blocked(path: str) -> None:
    app, entered, release = FastAPI(), threading.Event(), threading.Event()

    @app.get("/thread")
    def block():
        entered.set()
        release.wait(60)

    @app.get("/loop")
    async def block_loop():
        block()

    server = serve(app)
    with request_in_background(server.url + path):
        assert entered.wait(10)
        try:
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 15
            assert refuses(server.port)
            with serve(answering("next")) as following:
                assert get(following) == "next"
        finally:
            release.set()
    for thread in threads():
        thread.join(20)
    assert not threads()


def test_a_blocked_thread_does_not_block_stop():
    stop_while_blocked("/thread")


def test_a_blocked_loop_does_not_block_stop(monkeypatch):
    monkeypatch.setattr(in_kernel, "STOP_LIMIT", 1.0)
    with pytest.warns(RuntimeWarning, match="blocks"):
        stop_while_blocked("/loop")


def test_an_exception_is_kept_and_not_printed(capfd):
    app = FastAPI()

    @app.get("/")
    async def broken():
        raise ValueError("<b>bad</b>")

    with serve(app) as server:
        result = load(server.url, users=5, seconds=0.5)
    assert result.exception == "ValueError: <b>bad</b>"
    assert result.error_counts.keys() == {"500 Internal Server Error"}
    assert result.errors == result.requests > 0
    assert "<b>bad" not in result._repr_html_()
    assert "&lt;b&gt;bad" in result._repr_html_()
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert server.exception_since(time.perf_counter()) == ""


def test_lag_tells_a_blocked_loop_from_a_waiting_one():
    app = FastAPI()

    @app.get("/blocks")
    async def blocks():
        time.sleep(0.2)

    @app.get("/waits")
    async def waits():
        await asyncio.sleep(0.2)

    with serve(app) as server:
        blocked = load(server.url + "/blocks", users=2, seconds=1)
        waiting = load(server.url + "/waits", users=2, seconds=1)
    assert blocked.lag_ms >= 150
    assert waiting.lag_ms < blocked.lag_ms / 3


def test_lag_is_seen_while_the_loop_is_blocked_and_by_who_looks_at_a_part_of_that():
    blocked, go_on = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        if scope["type"] == "http":
            blocked.set()
            go_on.wait(10)

    with serve(app) as server:
        asking = threading.Thread(target=httpx.get, args=(server.url,), daemon=True)
        asking.start()
        assert blocked.wait(10)
        begin = time.perf_counter()
        # Until the loop goes on, there is no sample of all that time but the one that is still to come.
        late = until(lambda: lags(server, begin, time.perf_counter()), 10)
        now = time.perf_counter()
        go_on.set()
        assert until(lambda: lags(server, now, now), 10)
    assert late[-1] > 0


def test_an_apps_own_logging_stays(caplog):
    app = FastAPI()

    @app.get("/")
    async def log():
        logging.getLogger("uvicorn.error").warning("mine, under uvicorn's name")
        logging.getLogger("shop").warning("mine")
        raise ValueError

    levels = [logging.getLogger(name).level for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access")]
    with serve(app) as server:
        assert httpx.get(server.url).status_code == 500
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "mine, under uvicorn's name",
        "mine",
    ]
    assert levels == [
        logging.getLogger(name).level for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access")
    ]


SERVING = """
import asyncio, threading
from contextlib import asynccontextmanager
from fastapi import FastAPI
from underload import serve

@asynccontextmanager
async def lifespan(app):
    print("starting", flush=True)
    if WAITS:
        await asyncio.Event().wait()
    yield

try:
    serve(FastAPI(lifespan=lifespan))
except KeyboardInterrupt:
    print("left", [thread.name for thread in threading.enumerate()], flush=True)
"""


def test_a_kernel_may_end_while_it_serves():
    ended = subprocess.run(
        [sys.executable, "-c", "WAITS = False" + SERVING], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_stop_button_ends_a_start_that_hangs():
    kernel = subprocess.Popen(
        [sys.executable, "-c", "WAITS = True" + SERVING], stdout=subprocess.PIPE, text=True
    )
    assert kernel.stdout.readline() == "starting\n"
    kernel.send_signal(signal.SIGINT)
    said, _ = kernel.communicate(timeout=30)
    assert said == "left ['MainThread']\n"


# As processes

SERVICE = """
import os
from fastapi import FastAPI
app = FastAPI()

@app.get("/")
def pid():
    return os.getpid()

@app.get("/crash")
def crash():
    os.kill(os.getpid(), 9)
"""


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def left_in(folder) -> list[psutil.Process]:
    """Processes of a service in ``folder``, orphans too: uvicorn, its workers and what tracks them."""
    found = psutil.process_iter(["cwd", "cmdline"])
    here = [process for process in found if process.info["cwd"] == str(folder) and process != ME]
    return [p for p in here if {"uvicorn", "-c"} & set(p.info["cmdline"] or ())]


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_are_real_and_end(folder, processes):
    (folder / "service.py").write_text(SERVICE)
    server = serve("service:app", processes=processes)
    seen = set()
    for _ in range(500):  # the system hands out connections as it likes
        seen.add(get(server))
        if len(seen) == processes:
            break
    assert len(seen) == processes
    assert ME.pid not in seen
    everyone = family(server.pid)
    assert {process.pid for process in left_in(folder)} == {process.pid for process in everyone}
    assert seen <= {process.pid for process in everyone}
    server.stop()
    server.stop()
    assert all_gone(everyone)
    assert refuses(server.port)
    assert "Application shutdown complete" in server.log()


def test_an_app_may_say_itself_how_it_is_served(folder):
    (folder / "service.py").write_text(SERVICE)
    with serve(App("service:app", processes=2, server_header=False)) as server:
        assert server.processes == 2
        assert "server" not in httpx.get(server.url).headers
    with serve(App(answering("here"), root_path="/behind")) as server:
        assert get(server) == "here"
        assert httpx.get(server.url + "/openapi.json").json()["servers"] == [{"url": "/behind"}]
    with pytest.raises(UnderloadError, match="is no app"):
        serve(App(42))


FAILING_LIFESPAN = """
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield

app = FastAPI(lifespan=lifespan)
"""
FAILING = {
    "syntax": ("app = FastAPI(", "SyntaxError"),
    "import": ("raise RuntimeError('no configuration')", "RuntimeError: no configuration"),
    "lifespan": (FAILING_LIFESPAN, "RuntimeError: no database"),
}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("source", "said"), FAILING.values(), ids=FAILING)
def test_a_file_that_fails_shows_its_own_traceback(folder, processes, source, said):
    (folder / "service.py").write_text(source)
    with pytest.raises(UnderloadError) as error:
        serve("service:app", processes=processes)
    assert said in str(error.value)
    assert "service.py" in str(error.value)
    assert all_gone(left_in(folder))


def test_a_file_that_is_not_there(folder):
    with pytest.raises(UnderloadError, match="nowhere"):
        serve("nowhere:app")


def test_processes_that_never_start_are_ended(folder):
    (folder / "service.py").write_text(
        "import asyncio\nasync def app(scope, receive, send):\n    await asyncio.Event().wait()"
    )
    with pytest.raises(UnderloadError, match=r"within 1\.5 s"):
        serve("service:app", start_within=1.5)
    assert all_gone(left_in(folder))


SLOW_TO_START = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    await asyncio.sleep(0.8)  # such as for a model to be loaded
    yield

app = FastAPI(lifespan=lifespan)
"""


def test_an_app_that_has_much_to_load_is_given_the_time(folder):
    (folder / "slow.py").write_text(SLOW_TO_START)
    made: dict[str, FastAPI] = {}
    exec(SLOW_TO_START, made)
    for app in (made["app"], "slow:app"):
        with pytest.raises(UnderloadError, match=r"start_within=…"):
            serve(app, start_within=0.3)
        assert serve(app, start_within=30).running


@pytest.mark.parametrize("thing", [42, None, {"app": 1}], ids=str)
def test_what_is_no_app_is_refused_in_a_sentence(thing):
    with pytest.raises(UnderloadError, match=r"is no app\. Give serve\(\)"):
        serve(thing)
    with pytest.raises(UnderloadError, match="start_within=0"):
        serve(FastAPI(), start_within=0)


def test_a_process_that_crashed_is_not_running(folder):
    (folder / "service.py").write_text(SERVICE)
    server = serve("service:app", limit_concurrency=50, proxy_headers=False)
    everyone = family(server.pid)
    with pytest.raises((URLError, ConnectionError)):
        get(server, "/crash")
    assert all_gone(everyone)
    assert not server.running
    assert get(serve("service:app")) != everyone[0].pid


def test_no_process_outlives_a_killed_kernel(folder):
    (folder / "service.py").write_text(SERVICE)
    code = 'from underload import serve; serve("service:app", processes=2); print("up", flush=True); input()'
    kernel = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with kernel:
        assert kernel.stdout.readline() == "up\n"
        everyone = family(kernel.pid)
        assert len(everyone) >= 4  # itself, a supervisor, two workers
        kernel.kill()
        assert all_gone(everyone)


def test_what_the_kernel_holds_does_not_stall_its_service():
    ballast = [[number] for number in range(1_000_000)]  # as a notebook does that has drawn and loaded a lot
    began = time.perf_counter()
    gc.collect()
    full_collection = time.perf_counter() - began
    app = FastAPI()

    @app.get("/")
    async def collect() -> None:
        gc.collect()

    with serve(app, name="collecting") as server:
        result = load(server.url, users=1, seconds=0.3)
    assert len(ballast) and result.lag[:, 1].max() / 1000 < full_collection / 2
