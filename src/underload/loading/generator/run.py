"""The load generator, which runs inside the Locust process.

It is started once, with Locust imported, and forks for every run: a run begins at once and
leaves nothing behind. A run is one line of JSON on standard input (see `underload.loading.workload`).
It answers on standard output: a line of progress twice a second, then one line that describes
the record, then the record itself, column by column, as raw arrays.
"""

import gc
import importlib
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import gevent
import gevent.event
import gevent.lock
from gevent import monkey
from locust import FastHttpUser, User, task
from locust.env import Environment
from locust.exception import StopUser

from underload.loading.generator.rows import Rows, claim_stdout, tell
from underload.loading.generator.starved import Turns
from underload.loading.generator.wire import Connection, Requests, SampledConnection, clock, explain
from underload.loading.samples import Reservoir

PROGRESS_EVERY = 0.5  # seconds
FIRST_ANSWER_LIMIT = 5.0  # seconds a closed workload waits for the first answer before it begins to count
START_LIMIT = 0.5  # and for the users who have none by then
IDLE_LIMIT = 3.0  # seconds; uvicorn drops a connection idle for 5, so an older one is not used again


class Run:
    """One load run: a window in which it counts, then a drain for what is still open."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.seconds = spec["seconds"]
        self.timeout = spec["timeout"]
        self.address = (spec["host"], spec["port"])
        self.rows = Rows()
        self.requests = Requests(spec["requests"], spec["authority"])
        self.samples = Reservoir(spec["samples"]) if spec["samples"] else None
        self.connections: list[Connection] = []
        self.queued: set[float] = set()  # intended starts that still wait for a connection
        self.stopping = False
        self.opened = 0.0  # when the window opened
        self.cpu = 0.0
        self.turns = Turns()

    def connection(self) -> Connection:
        kind = SampledConnection if self.samples else Connection
        connection = kind(self.address, self.timeout)
        self.connections.append(connection)
        return connection

    def send(self, connection: Connection, intended: float | None = None) -> bool:
        """Send the next request and record it. False if it could not be answered."""
        sent = clock()
        started = sent if intended is None else intended
        connection.sent_at = started
        request = self.requests.next()
        if self.samples:
            connection.sample = self.samples.offer(request, self.requests.drawn)
        try:
            status = connection.exchange(request)
        except Exception as error:
            reason = explain(error, self.timeout)
            self.rows.add(started, clock(), 0, sent - started, reason)
            if connection.sample:
                connection.sample.end(0, reason)
            return False
        finally:
            connection.sent_at = None
        connection.last_used = ended = clock()
        self.rows.add(started, ended, status, sent - started)
        self.turns.count()
        if connection.sample:
            connection.sample.end(status)
        return True

    def measure(self) -> None:
        """Open the window, report progress until it closes, and note the CPU this took."""
        self.opened, cpu = clock(), time.process_time()
        seen = len(self.rows.status), self.rows.good
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
        record, total = self.rows, len(self.rows.status)
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
        while self.unanswered() and clock() < deadline:
            gevent.sleep(0.005)
        reason = f"no answer {self.spec['drain']:g} s after the load ended"
        for started in self.unanswered():
            self.rows.add(started, clock(), 0, 0.0, reason)

    def unanswered(self) -> list[float]:
        """When each of the requests started that are still open or in line."""
        sent = (connection.sent_at for connection in self.connections)
        return [*self.queued, *(started for started in sent if started is not None)]


def closed(run: Run, users: int) -> float:
    """Run ``users`` users, each waiting for its answer. Returns the seconds it took to start them all.

    A user has started when it has had one answer. Otherwise a fast service is busy with the first users
    while the last still wait to be accepted: uvloop accepts one connection each time round its loop.
    """
    answered, ready, begin = gevent.event.Event(), gevent.event.Event(), gevent.event.Event()
    starting = users

    class Visitor(User):
        @task
        def visit(self) -> None:
            nonlocal starting
            connection = run.connection()
            run.send(connection)
            answered.set()
            starting -= 1
            if not starting:
                ready.set()
            begin.wait()
            while not run.stopping:  # here, since Locust's own loop costs as much again as a request
                if not run.send(connection):
                    gevent.sleep(run.spec["back_off"])
            raise StopUser

    began = clock()
    Environment(user_classes=[Visitor]).create_local_runner().start(users, spawn_rate=users)
    answered.wait(FIRST_ANSWER_LIMIT)
    ready.wait(START_LIMIT)  # users who stand in line for longer start within the window
    ramp = clock() - began
    begin.set()
    run.measure()
    run.drain()
    return ramp


def opened(run: Run, rate: float, connections: int | None) -> float:
    """Send ``rate`` requests a second at times set beforehand, whether or not earlier ones are answered.

    With a number of ``connections``, those that find none free wait in line.
    """
    idle: list[Connection] = []
    free = gevent.lock.BoundedSemaphore(connections) if connections else nullcontext()

    def arrive(intended: float) -> None:
        run.queued.add(intended)
        with free:
            run.queued.remove(intended)
            connection = idle.pop() if idle else run.connection()
            if clock() - connection.last_used > IDLE_LIMIT:
                connection.close()
            run.send(connection, intended)
            idle.append(connection)

    def schedule() -> None:
        for number in range(math.ceil(rate * run.seconds)):
            intended = run.opened + number / rate
            if intended > clock():
                run.pause_until(intended)
            gevent.spawn(arrive, intended)

    arrivals = gevent.spawn(schedule)  # it begins when measure() first pauses
    run.measure()
    arrivals.join()
    run.drain()
    return 0.0


def custom(run: Run, users: int, import_string: str) -> float:
    """Run a Locust user class of the reader's own. It decides what to send and how long to think."""
    user_class = find_user_class(run.spec["folder"], import_string)
    user_class.host = user_class.host or run.spec["url"]
    for limit in ("connection_timeout", "network_timeout"):
        if getattr(user_class, limit, None) == getattr(FastHttpUser, limit):
            setattr(user_class, limit, run.timeout)
    environment = Environment(user_classes=[user_class], stop_timeout=run.spec["drain"])

    def on_request(response_time: float, response: Any, exception: Any, **_: Any) -> None:
        ended = clock()
        status = getattr(response, "status_code", 0) or 0
        if exception is None:  # the reader's class may call a 404 a success
            status = status if 0 < status < 400 else 200
        elif status < 400:
            status = 0
        reason = "" if status else explain(exception, run.timeout)
        run.rows.add(ended - response_time / 1000, ended, status, 0.0, reason)
        run.turns.count()

    def on_user_error(exception: Exception, **_: Any) -> None:
        reason = f"the user class raised {type(exception).__name__}: {exception}"[:120]
        run.rows.add(clock(), clock(), 0, 0.0, reason)

    environment.events.request.add_listener(on_request)
    environment.events.user_error.add_listener(on_user_error)
    runner = environment.create_local_runner()
    began = clock()
    runner.start(users, spawn_rate=users)
    runner.spawning_greenlet.get()  # raises what the class raises when it is made
    ramp = clock() - began
    run.measure()
    runner.stop()
    return ramp


def find_user_class(folder: str, import_string: str) -> type[User]:
    """Import ``module:Class`` from ``folder``."""
    module, _, name = import_string.partition(":")
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()  # the file may be younger than this process
    return getattr(importlib.import_module(module), name)


def perform(spec: dict[str, Any]) -> None:
    """Make one run and send back what was measured."""
    random.seed(spec["seed"])
    gc.disable()  # a collection would show up as latency; the run is short and the process ends with it
    run = Run(spec)
    if spec["user"]:
        ramp = custom(run, spec["users"], spec["user"])
    elif spec["rate"]:
        ramp = opened(run, spec["rate"], spec["users"])
    else:
        ramp = closed(run, spec["users"])
    samples = [sample.told() for sample in run.samples.samples] if run.samples else []
    run.rows.send(opened=run.opened, cpu=run.cpu, unread=run.turns.unread, ramp=ramp, samples=samples)


def in_a_fork(work: Callable[[], None]) -> None:
    """Do ``work`` in a forked process and wait for it. The originals, so that no event loop exists here."""
    process = monkey.get_original("os", "fork")()
    if process:
        _, ending = monkey.get_original("os", "waitpid")(process, 0)
        if os.WIFSIGNALED(ending):
            tell(problem=f"it was ended by signal {os.WTERMSIG(ending)}")
        return
    try:
        work()
    except BaseException as error:  # to be told, not lost with the process
        tell(problem=f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def main() -> None:
    """Serve runs until standard input closes."""
    claim_stdout()
    gc.freeze()
    for line in sys.stdin.buffer:
        spec = json.loads(line)
        in_a_fork(lambda spec=spec: perform(spec))


if __name__ == "__main__":
    main()
