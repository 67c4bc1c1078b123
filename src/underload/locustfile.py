"""The load generator. The only module that runs inside the Locust process.

It is started once, with Locust imported, and forks for every run: a run begins at once and
leaves nothing behind. A run is one line of JSON on standard input (see `underload.workload`).
It answers on standard output: a line of progress twice a second, then one line that describes
the record, then the record itself, column by column, as raw arrays.
"""

import gc
import importlib
import json
import os
import random
import resource
import sys
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
import httptools
from gevent import monkey, socket
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

PROGRESS_EVERY = 0.5  # seconds
BACK_OFF = 0.1  # seconds a user waits after it could not connect, so that a dead port is not hammered
IDLE_LIMIT = 3.0  # seconds; uvicorn drops a connection idle for 5, so an older one is not used again

clock = time.perf_counter


class Connection:
    """One keep-alive connection: send a request, read the whole answer.

    Locust's FastHttpSession costs about 110 µs of generator CPU a request and saturates before a
    trivial service does; this costs about 35 µs. It follows no redirects and keeps no cookies.
    """

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self.socket = None
        self.sent_at: float | None = None
        self.last_used = 0.0

    def open(self) -> None:
        self.socket = socket.create_connection(self.address, self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = httptools.HttpResponseParser(self)

    def close(self) -> None:
        if self.socket:
            self.socket.close()
            self.socket = None

    def on_message_complete(self) -> None:  # httptools calls this
        self.complete = True
        self.keep = self.parser.should_keep_alive()  # llhttp forgets once it has left this callback

    def exchange(self, request: bytes) -> int:
        """Send ``request`` and return the status of its answer once the body has been read."""
        if self.socket is None:
            self.open()
        try:
            return self._exchange(request)
        except BaseException:
            self.close()  # whatever is still on its way belongs to no later request
            raise

    def _exchange(self, request: bytes) -> int:
        self.complete = self.keep = False
        self.socket.sendall(request)
        head = data = self.socket.recv(65536)
        while data:
            self.parser.feed_data(data)
            if self.complete or request.startswith(b"HEAD "):
                break
            data = self.socket.recv(65536)
        else:  # the server closed: a whole answer only if nothing announced its length
            announced = head.partition(b"\r\n\r\n")[0].lower()
            if not head or b"\r\ncontent-length:" in announced or b"\r\ntransfer-encoding:" in announced:
                raise ConnectionAbortedError
        status = self.parser.get_status_code()
        if not self.keep or status == 500:  # uvicorn closes, unannounced, when the app has raised
            self.close()
        return status


class Template:
    """One kind of request, its varied parts drawn at random for each one sent."""

    def __init__(self, spec: dict[str, Any], host: str) -> None:
        self.method = spec["method"]
        self.path = spec["path"]
        self.parameters = {
            name: range(*values["range"]) if isinstance(values, dict) else values
            for name, values in spec["parameters"].items()
        }
        self.headers = {"Host": [host], **spec["headers"]}
        self.bodies = [body.encode() for body in spec["bodies"]]
        varied = [*self.parameters.values(), *self.headers.values(), self.bodies]
        self.fixed = None if any(len(values) > 1 for values in varied) else self.draw()

    def draw(self) -> bytes:
        path = self.path
        if self.parameters:
            path = path.format_map({name: random.choice(values) for name, values in self.parameters.items()})
        lines = [f"{self.method} {path} HTTP/1.1"]
        lines += [f"{name}: {random.choice(values)}" for name, values in self.headers.items()]
        body = random.choice(self.bodies) if self.bodies else b""
        if body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Requests:
    """The mix of requests: which one comes next, by weight."""

    def __init__(self, specs: list[dict[str, Any]], host: str) -> None:
        self.templates = [Template(spec, host) for spec in specs]
        self.weights = [spec["weight"] for spec in specs]
        self.one = self.templates[0] if len(specs) == 1 else None

    def next(self) -> bytes:
        template = self.one or random.choices(self.templates, self.weights)[0]
        return template.fixed or template.draw()


class Record:
    """What was measured, one row a request. Times are seconds on this machine's monotonic clock."""

    def __init__(self) -> None:
        self.started = array("d")  # an open workload counts from the intended start
        self.latency = array("d")
        self.late = array("d")  # how long after its intended start the generator sent it
        self.status = array("h")  # 0: no answer
        self.reason = array("h")  # index into reasons, when there is no answer
        self.reasons: list[str] = []
        self.good = 0

    def add(self, started: float, ended: float, status: int, late: float = 0.0, reason: str = "") -> None:
        self.started.append(started)
        self.latency.append(ended - started)
        self.late.append(late)
        self.status.append(status)
        self.good += 0 < status < 400
        if reason and reason not in self.reasons:
            self.reasons.append(reason)
        self.reason.append(self.reasons.index(reason) if reason else -1)

    def send(self, **facts: Any) -> None:
        columns = {name: getattr(self, name) for name in ("started", "latency", "late", "status", "reason")}
        layout = {name: [column.typecode, len(column)] for name, column in columns.items()}
        tell(columns=layout, reasons=self.reasons, **facts)
        for column in columns.values():
            sys.stdout.buffer.write(column.tobytes())
        sys.stdout.buffer.flush()


def tell(**facts: Any) -> None:
    """Write one line to the process that asked for this run."""
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n")
    sys.stdout.buffer.flush()


def explain(error: BaseException, timeout: float) -> str:
    """Say in a few words why there was no answer."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, httptools.HttpParserError):
        return "the answer was not HTTP"
    known = {
        ConnectionRefusedError: "connection refused",
        ConnectionResetError: "connection reset",
        BrokenPipeError: "connection reset",
        ConnectionAbortedError: "connection closed before the answer ended",
    }
    return known.get(type(error)) or getattr(error, "strerror", None) or type(error).__name__


class Run:
    """One load run: a window in which it counts, then a drain for what is still open."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.seconds = spec["seconds"]
        self.timeout = spec["timeout"]
        self.address = (spec["host"], spec["port"])
        self.record = Record()
        self.requests = Requests(spec["requests"], spec["authority"])
        self.connections: list[Connection] = []
        self.stopping = False
        self.opened = 0.0  # when the window opened
        self.cpu = 0.0

    def connection(self) -> Connection:
        connection = Connection(self.address, self.timeout)
        self.connections.append(connection)
        return connection

    def send(self, connection: Connection, intended: float | None = None) -> bool:
        """Send the next request and record it. False if it could not be answered."""
        sent = clock()
        started = sent if intended is None else intended
        connection.sent_at = started
        try:
            status = connection.exchange(self.requests.next())
        except (OSError, httptools.HttpParserError) as error:
            self.record.add(started, clock(), 0, sent - started, explain(error, self.timeout))
            return False
        finally:
            connection.sent_at = None
        connection.last_used = ended = clock()
        self.record.add(started, ended, status, sent - started)
        return True

    def measure(self) -> None:
        """Open the window, report progress until it closes, and note the CPU this took."""
        self.opened, cpu = clock(), time.process_time()
        seen = len(self.record.status), self.record.good
        for tick in range(1, int(self.seconds / PROGRESS_EVERY) + 1):
            self.pause_until(self.opened + tick * PROGRESS_EVERY)
            seen = self.tell_progress(*seen)
        self.pause_until(self.opened + self.seconds)
        self.cpu = (time.process_time() - cpu) / (clock() - self.opened)
        self.stopping = True

    @staticmethod
    def pause_until(moment: float) -> None:
        gevent.sleep(max(0.0, moment - clock()))

    def tell_progress(self, rows: int, good: int) -> tuple[int, int]:
        record, total = self.record, len(self.record.status)
        # A thousand latencies are enough for a live line; sorting them all would itself stall the load.
        some = sorted(record.latency[rows :: max(1, (total - rows) // 1000)])
        tell(
            elapsed=clock() - self.opened,
            throughput=(record.good - good) / PROGRESS_EVERY,
            p99_ms=some[int(len(some) * 0.99)] * 1000 if some else None,
            errors=total - record.good,
        )
        return total, record.good

    def drain(self) -> None:
        """Wait for what is still open; what stays open has not been answered, and is counted so."""
        deadline = clock() + self.spec["drain"]
        while any(c.sent_at is not None for c in self.connections) and clock() < deadline:
            gevent.sleep(0.005)
        for connection in self.connections:
            if connection.sent_at is not None:
                reason = f"no answer {self.spec['drain']:g} s after the load ended"
                self.record.add(connection.sent_at, clock(), 0, 0.0, reason)


def closed(run: Run, users: int) -> float:
    """Run ``users`` users, each waiting for its answer. Returns the seconds it took to spawn them."""
    spawned = gevent.event.Event()
    waiting = users

    class Visitor(User):
        def on_start(self) -> None:
            nonlocal waiting
            self.connection = run.connection()
            with suppress(OSError):  # the first request tries again, and is recorded
                self.connection.open()
            waiting -= 1
            if not waiting:
                spawned.set()

        @task
        def visit(self) -> None:
            if run.stopping:
                raise StopUser
            if not run.send(self.connection):
                gevent.sleep(BACK_OFF)

    began = clock()
    Environment(user_classes=[Visitor]).create_local_runner().start(users, spawn_rate=users)
    spawned.wait(run.spec["drain"])
    ramp = clock() - began
    run.measure()
    run.drain()
    return ramp


def opened(run: Run, rate: float) -> float:
    """Send ``rate`` requests a second at times set beforehand, whether or not earlier ones are answered."""
    idle: list[Connection] = []

    def arrive(intended: float) -> None:
        connection = idle.pop() if idle else run.connection()
        if clock() - connection.last_used > IDLE_LIMIT:
            connection.close()
        run.send(connection, intended)
        idle.append(connection)

    def schedule() -> None:
        begin = clock()
        for number in range(int(rate * run.seconds)):
            intended = begin + number / rate
            if intended > clock():
                run.pause_until(intended)
            gevent.spawn(arrive, intended)

    arrivals = gevent.spawn(schedule)
    run.measure()
    arrivals.join()
    run.drain()
    return 0.0


def custom(run: Run, users: int, import_string: str) -> float:
    """Run a Locust user class of the reader's own. It decides what to send and how long to think."""
    module, _, name = import_string.partition(":")
    sys.path.insert(0, str(run.spec["folder"]))
    user_class = getattr(importlib.import_module(module), name)
    user_class.host = user_class.host or run.spec["url"]
    environment = Environment(user_classes=[user_class], stop_timeout=run.spec["drain"])
    spawned = gevent.event.Event()
    environment.events.spawning_complete.add_listener(lambda **_: spawned.set())

    def on_request(response_time: float, response: Any, exception: Any, **_: Any) -> None:
        ended = clock()
        status = getattr(response, "status_code", 0) or 0
        if exception is None:
            status = status or 200
        elif status < 400:
            status = 0
        reason = "" if status else explain(exception, run.timeout)
        run.record.add(ended - response_time / 1000, ended, status, 0.0, reason)

    def on_user_error(exception: Exception, **_: Any) -> None:
        run.record.add(clock(), clock(), 0, 0.0, f"the user class raised {type(exception).__name__}")

    environment.events.request.add_listener(on_request)
    environment.events.user_error.add_listener(on_user_error)
    runner = environment.create_local_runner()
    began = clock()
    runner.start(users, spawn_rate=users)
    spawned.wait(run.spec["drain"])
    ramp = clock() - began
    run.measure()
    runner.stop()
    return ramp


def perform(spec: dict[str, Any]) -> None:
    """Make one run and send back what was measured."""
    random.seed(spec["seed"])
    gc.disable()  # a collection would show up as latency; the run is short and the process ends with it
    run = Run(spec)
    if spec["user"]:
        ramp = custom(run, spec["users"], spec["user"])
    elif spec["rate"]:
        ramp = opened(run, spec["rate"])
    else:
        ramp = closed(run, spec["users"])
    run.record.send(opened=run.opened, cpu=run.cpu, ramp=ramp)


def in_a_fork(work: Callable[[], None]) -> None:
    """Do ``work`` in a forked process and wait for it. The originals, so that no event loop exists here."""
    process = monkey.get_original("os", "fork")()
    if process:
        monkey.get_original("os", "waitpid")(process, 0)
        return
    try:
        work()
    except BaseException as error:  # to be told, not lost with the process
        tell(problem=f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def main() -> None:
    """Serve runs until standard input closes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    for line in sys.stdin.buffer:
        spec = json.loads(line)
        in_a_fork(lambda spec=spec: perform(spec))


if __name__ == "__main__":
    main()
