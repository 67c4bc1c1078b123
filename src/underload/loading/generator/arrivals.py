"""When requests are made: by users who wait for their answers, at times set beforehand, or as a class says.

Like `underload.loading.generator.main` this is for the Locust process alone: it imports gevent. Each function
makes a whole run. It returns the seconds before the window opened, and how many users had no answer by then.
"""

import importlib
import ipaddress
import itertools
import random
import statistics
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import gevent
import gevent.event
import gevent.lock
import gevent.socket
from locust import FastHttpUser, User, task
from locust.env import Environment
from locust.exception import StopUser

from underload.loading.generator.alarm import clock
from underload.loading.generator.run import Run
from underload.loading.generator.wire import Connection, PublicAddress, explain
from underload.loading.outcome import ANSWERED, NO_ANSWER

FIRST_ANSWER_LIMIT = 5.0  # seconds the window waits for the first answer
START_LIMIT = 3.0  # and a closed workload then for the users who have none
MOST_SPREAD = 1.0  # seconds over which users start
IDLE_LIMIT = 3.0  # seconds; uvicorn drops a connection idle for 5, so an older one is not used again


def closed(run: Run) -> tuple[float, int]:
    """Run users who each wait for an answer before they ask again.

    A user has started when it has had one answer, and then waits until all have. Otherwise a fast service
    is busy with the first users while the last still wait to be accepted: uvloop accepts one connection each
    time round its loop. Then they go on one after the other, spread over the time that an answer takes, so
    that their answers do not come in waves.
    """
    users = run.spec["users"]
    answered, ready, begin = gevent.event.Event(), gevent.event.Event(), gevent.event.Event()
    places = itertools.count()
    starting, spread = users, 0.0

    class Visitor(User):
        @task
        def visit(self) -> None:
            nonlocal starting
            place = next(places)
            connection = run.connection()
            run.send(connection)
            answered.set()
            starting -= 1
            if not starting:
                ready.set()
            begin.wait()
            gevent.sleep(spread * place / users)
            while not run.stopping:  # here, since Locust's own loop costs as much again as a request
                if not run.send(connection):
                    run.resting.more(clock())
                    gevent.sleep(run.spec["back_off"])
                    run.resting.less(clock())
            raise StopUser

    began = clock()
    Environment(user_classes=[Visitor]).create_local_runner().start(users, spawn_rate=users)
    answered.wait(FIRST_ANSWER_LIMIT)
    ready.wait(START_LIMIT)  # users who wait for longer start within the window
    unstarted = starting
    spread = min(MOST_SPREAD, statistics.median(run.rows.latency)) if run.rows.latency else 0.0
    begin.set()
    run.pause_until(clock() + spread)
    ramp = clock() - began
    run.measure()
    run.drain()
    return ramp, unstarted


def opened(run: Run) -> tuple[float, int]:
    """Send requests at times set beforehand, whether or not earlier ones are answered.

    With a number of connections, those that find none free wait for one. The window opens after the warm-up
    and the first answer.
    """
    idle: list[Connection] = []
    connections = run.spec["users"]
    free = gevent.lock.BoundedSemaphore(connections) if connections else nullcontext()
    first, begun = gevent.event.Event(), clock()

    def arrive(intended: float) -> None:
        now = clock()
        run.open.more(now)
        run.queued.add(intended)
        with free:
            run.queued.remove(intended)
            connection = idle.pop() if idle else run.connection()
            if clock() - connection.last_used > IDLE_LIMIT:
                connection.close()
            run.send(connection, intended, now - intended)
            idle.append(connection)
            first.set()

    def schedule() -> None:
        for offset in offsets(run.spec):
            intended = begun + offset
            if intended > clock():
                run.alarm.wait_until(intended)
            if run.opened and intended >= run.opened + run.seconds:
                return
            gevent.spawn(arrive, intended)

    arrivals = gevent.spawn(schedule)
    gevent.sleep(run.spec["warm_up"])
    first.wait(FIRST_ANSWER_LIMIT)
    ramp = clock() - begun
    run.measure()
    arrivals.join()
    run.drain()
    return ramp, 0


def offsets(spec: dict[str, Any]) -> Iterator[float]:
    """Yield when requests are due, in seconds since the first."""
    if spec["arrivals"] == "even":
        yield from (number / spec["rate"] for number in itertools.count())
    chance = random.Random(spec["seed"])  # of its own: the draws of keys do not shift the arrivals
    moment = 0.0
    while True:
        moment += chance.expovariate(spec["rate"])
        yield moment


def custom(run: Run) -> tuple[float, int]:
    """Run a Locust user class of the reader's own. It decides what to send and how long to think."""
    keep_private()
    user_class = find_user_class(run.spec["folder"], run.spec["user"])
    user_class.host = run.spec["url"]
    for limit in ("connection_timeout", "network_timeout"):
        if getattr(user_class, limit, None) == getattr(FastHttpUser, limit):
            setattr(user_class, limit, run.timeout)
    environment = Environment(user_classes=[user_class], stop_timeout=run.spec["drain"])

    def on_request(response_time: float, response: Any, exception: Any, **_: Any) -> None:
        ended = clock()
        status = getattr(response, "status_code", 0) or 0
        outcome, reason = ANSWERED, ""
        if exception is None:  # the reader's class may call a 404 a success
            status = status if 200 <= status < 400 else 200
        elif status < 400:
            outcome, reason = explain(exception, run.timeout)
            status = 0
        run.rows.add(ended - response_time / 1000, ended, status, outcome, reason, unread=run.starved.waited)

    def on_user_error(exception: Exception, **_: Any) -> None:
        reason = f"the user class raised {type(exception).__name__}: {exception}"[:120]
        run.rows.add(clock(), clock(), 0, NO_ANSWER, reason)

    environment.events.request.add_listener(on_request)
    environment.events.user_error.add_listener(on_user_error)
    runner = environment.create_local_runner()
    began = clock()
    users = run.spec["users"]
    runner.start(users, spawn_rate=users)
    runner.spawning_greenlet.get()  # raises what the class raises when it is made
    ramp = clock() - began
    run.measure()
    runner.stop()
    return ramp, 0


def find_user_class(folder: str, import_string: str) -> type[User]:
    """Import ``module:Class`` from ``folder``."""
    module, _, name = import_string.partition(":")
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()  # the file may be younger than this process
    return getattr(importlib.import_module(module), name)


def keep_private() -> None:
    """Let this process connect to this machine and private networks only, whatever a user class asks for."""
    connect = gevent.socket.socket.connect

    def guarded(self: gevent.socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            _check_private(*address[:2])
        connect(self, address)

    gevent.socket.socket.connect = guarded


def _check_private(host: str, port: int) -> None:
    for *_, (address, *_) in gevent.socket.getaddrinfo(host, port):
        if not ipaddress.ip_address(address).is_private:
            raise PublicAddress(f"{host} is a public address, which load() does not drive")
