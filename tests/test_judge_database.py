import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from kernels import elsewhere, kernel, new_home, said, until

from underload import services
from underload.errors import UnderloadError
from underload.judge import log_switch
from underload.judge.connection import Connection
from underload.judge.database import Database
from underload.judge.expect import Failed
from underload.judge.log_switch import SETTINGS
from underload.judge.outage import frozen
from underload.services import dataset
from underload.services.database import Postgres
from underload.waiting import finish

ONE = "SELECT origin, dest FROM flights WHERE id = $1"


@pytest.fixture(scope="module")
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture(scope="module")
def dsn(home):
    return dataset.flights()


@pytest.fixture
def db(dsn):
    database = Database(dsn)
    yield database
    database.close()
    until(lambda: not database._sessions.open())  # its backend ends a moment after it has closed


@pytest.fixture
def admin(home):
    session = Connection(services.postgres())
    yield session
    session.close()


def running(work):
    """What a service does, whose event loop is its own."""
    return finish(work, 30)


async def connect_per_request(dsn, requests, at_once):
    turn = asyncio.Semaphore(at_once)

    async def request(number):
        async with turn:
            connection = await asyncpg.connect(dsn)
            try:
                return await connection.fetchrow(ONE, number + 1)
            finally:
                await connection.close()

    await asyncio.gather(*map(request, range(requests)))


async def pooled(dsn, requests, size, at_start=1):
    async with asyncpg.create_pool(dsn, min_size=at_start, max_size=size) as pool:
        await asyncio.gather(*(pool.fetchrow(ONE, number + 1) for number in range(requests)))


class Service:
    """Sessions held open by another thread's event loop, as a service's are."""

    def __init__(self, dsn, size):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.connections = [self.do(asyncpg.connect(dsn)) for _ in range(size)]

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def ask(self, sql, *arguments):
        return self.do(self.connections[0].fetchval(sql, *arguments))

    def begin(self, sql):
        return asyncio.run_coroutine_threadsafe(self.connections[0].fetchval(sql), self.loop)

    def close(self):
        for connection in self.connections:
            with suppress(Exception):
                self.do(connection.close(timeout=2))
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def service(dsn):
    made = []

    def start(size=1):
        made.append(Service(dsn, size))
        return made[-1]

    yield start
    for each in made:
        each.close()


# Sessions


@pytest.mark.parametrize("requests", [1, 2, 200])
def test_a_connection_for_every_request_is_counted_exactly(db, dsn, requests):
    with db.watch() as seen:
        running(connect_per_request(dsn, requests, at_once=20))
    assert seen.opened_sessions.value == seen.total_sessions.value == requests
    assert 1 <= seen.peak_sessions.value <= 20 + 5  # one that is closed may still be on its way out


@pytest.mark.parametrize("size", [1, 2, 10, 80])
def test_a_pool_is_counted_exactly(db, dsn, size):
    with db.watch() as seen:
        running(pooled(dsn, 200, size, at_start=size))
    assert seen.peak_sessions.value == seen.total_sessions.value == size


def test_sessions_open_before_count_as_open_but_not_as_opened(db, service):
    pool = service(3)
    with db.watch() as seen:
        pool.ask("SELECT 1")
    assert (seen.opened_sessions.value, seen.total_sessions.value, seen.peak_sessions.value) == (0, 3, 3)


def test_a_peak_between_start_and_end_is_seen(db, dsn):
    async def burst():
        connections = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(30)))
        await asyncio.sleep(0.05)
        await asyncio.gather(*(each.close() for each in connections))

    with db.watch() as seen:
        running(burst())
    assert seen.peak_sessions.value == 30


def test_sessions_idle_in_a_transaction(db, service):
    one = service()
    with db.watch() as busy:
        one.ask("SELECT 1")
    one.ask("BEGIN")
    with db.watch() as idle:
        one.ask("SELECT 1")
    one.ask("ROLLBACK")
    assert (busy.idle_in_transaction.value, idle.idle_in_transaction.value) == (0, 1)


def test_the_judge_does_not_count(db, admin):
    with db.watch(statements=True) as seen:
        assert db.value("SELECT count(*) FROM airlines") == 16
        assert db.truth.value("SELECT count(*) FROM airlines") == 16
        assert admin.value("SELECT count(*) FROM pg_database")  # nor does another database
        db.close()
        assert db.row("SELECT 1, 2") == (1, 2)
    assert (seen.total_sessions.value, seen.peak_sessions.value) == (0, 0)
    assert (seen.statements.value, seen.transactions.value) == (0, 0)


def test_nothing_is_known_before_the_end_of_the_watch(db):
    with pytest.raises(ZeroDivisionError), db.watch(statements=True) as seen:
        raise ZeroDivisionError
    with pytest.raises(Failed, match="nothing measured"):
        seen.total_sessions.at_most(10)
    with db.watch() as seen:
        pass
    with pytest.raises(UnderloadError, match="statements=True"):
        seen.statements.at_most(3)


def test_which_copy_a_process_made_last(dsn, db):
    assert dataset.latest() == dsn
    assert said(kernel("print(dataset.latest())")) == "None"
    truth = "dataset.truth(services.postgres())"
    other = said(kernel(f"dsn = dataset.flights(); assert dataset.latest() == dsn; print({truth})"))
    assert other == dataset.truth(services.postgres()) == db.truth.dsn


# Statements


def test_statements_of_sessions_that_were_open_already(db, service):
    one = service()
    for number in range(3):
        one.ask(ONE, number + 1)
    with db.watch(statements=True) as seen:
        for number in range(5):
            one.ask(ONE, number + 1)
    one.ask(ONE, 1)
    assert seen.queries == [ONE] * 5
    assert seen.transactions.value == 5


@pytest.mark.parametrize("requests", [1, 300])
def test_what_a_driver_does_for_itself_does_not_count(db, dsn, requests):
    async def work():
        async with asyncpg.create_pool(dsn, min_size=1, max_size=5) as pool:

            async def request(number):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.fetchval("SELECT $1::text[]", ["type"])  # it looks this type up first
                    return await connection.fetchrow(ONE, number + 1)

            await asyncio.gather(*map(request, range(requests)))

    with db.watch(statements=True) as seen:
        running(work())
    assert seen.statements.value == 2 * requests
    assert seen.transactions.value == requests


def test_every_kind_of_statement(db, service):
    one = service()
    connection = one.connections[0]
    with db.watch(statements=True) as seen:
        one.do(connection.execute("BEGIN; SELECT 1 /* ; */ + 1; SELECT ';''\n;'; COMMIT"))
        one.do(connection.executemany("INSERT INTO airlines VALUES ($1, 'x')", [("Q1",), ("Q2",)]))
        one.do(connection.copy_records_to_table("airlines", records=[("Q3", "x")]))
        with pytest.raises(asyncpg.DivisionByZeroError):
            one.ask("SELECT 1 / (id - id) FROM flights WHERE id = $1", 1)
        one.do(connection.execute("DELETE FROM airlines WHERE carrier LIKE 'Q%'"))
    texts = [" ".join(text.split()) for text in seen.queries]
    assert texts[:2] == ["SELECT 1 + 1", "SELECT ';'' ;'"]
    assert texts[2:4] == ["INSERT INTO airlines VALUES ($1, 'x')"] * 2
    assert [text.split()[0] for text in texts[4:]] == ["COPY", "SELECT", "SELECT", "DELETE"]  # one fails
    assert seen.transactions.value == 5


def test_the_name_of_a_prepared_statement_hides_nothing(db, service):
    one = service()
    for name in (
        "begin",
        "x: BEGIN --",
        "set x",
        "fetch from y: COMMIT",
        "x\n1|1/1|y|LOG:  statement: BEGIN",
    ):
        prepared = one.do(one.connections[0].prepare("SELECT count(*) FROM airlines", name=name))
        with db.watch(statements=True) as seen:
            one.do(prepared.fetchval())
        assert seen.statements.value == 1


def test_log_is_as_before_afterwards_and_after_a_judge_was_killed(db, dsn, admin, service):
    def settings():
        return [admin.value(f"SHOW {name}") for name in SETTINGS]

    before = settings()
    with pytest.raises(ZeroDivisionError), db.watch(statements=True):
        until(lambda: settings() != before)
        raise ZeroDivisionError
    until(lambda: settings() == before)
    left_on = log_switch.logging_all(db._admin)
    left_on.__enter__()
    Database(dsn).close()  # the other one still counts
    assert settings() != before
    db.close()  # as the end of its process would
    Database(dsn).close()
    until(lambda: settings() == before)


def test_two_judges_do_not_count_at_once(db, dsn, monkeypatch):
    other = Database(dsn)
    other._admin.patience = 0.2
    with db.watch(statements=True):
        with pytest.raises(UnderloadError, match="Another judge"), other.watch(statements=True):
            pass
        with other.watch() as seen:
            pass
    assert seen.total_sessions.value == 0
    other.close()


# Disturbances


def test_terminated_backends(db, service):
    pool = service(4)
    assert db.value("SELECT 1") == 1
    with db.watch() as seen:
        assert db.terminate_backends() == 4
        assert not db._sessions.open()
    assert seen.peak_sessions.value == 4
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        pool.ask("SELECT 1")
    assert db.value("SELECT 1") == 1
    assert db.terminate_backends() == 0


def test_paused_and_resumed(db, dsn, service):
    one = service()
    with db.watch() as seen, db.paused():
        asked = one.begin("SELECT 1")
        with pytest.raises(TimeoutError):
            running(asyncpg.connect(dsn, timeout=0.2))
        assert db.truth.value("SELECT count(*) FROM flights") == 336_776
        assert not asked.done()
    assert asked.result(10) == 1
    assert seen.peak_sessions.value >= 1
    running(pooled(dsn, 1, 1))


def test_resumed_although_the_check_raises(db, service):
    one = service()
    with pytest.raises(ZeroDivisionError), db.paused():
        raise ZeroDivisionError
    assert one.ask("SELECT 1") == 1


def test_resumed_although_the_judge_is_killed():
    sleeper = subprocess.Popen(["sleep", "60"])
    code = f"""
import psutil
from underload.judge.outage import frozen
with frozen([psutil.Process({sleeper.pid})]):
    print(flush=True)
    input()"""
    judge = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    judge.stdout.readline()
    process = psutil.Process(sleeper.pid)
    assert process.status() == psutil.STATUS_STOPPED
    judge.kill()
    judge.communicate()
    until(lambda: process.status() != psutil.STATUS_STOPPED)
    sleeper.kill()
    sleeper.wait()
    with frozen([process]):  # which has ended by now
        pass


def test_killed_and_up_again_on_the_same_port(db, dsn, service):
    one = service()
    one.ask("CREATE TABLE kept AS SELECT 1")
    host, port = urlsplit(dsn).hostname, urlsplit(dsn).port
    assert db.truth.value("SELECT 1") == 1
    with db.watch(statements=True) as seen:
        one.ask("SELECT * FROM kept")
        running(pooled(dsn, 3, 1))
        with db.down():
            for _ in range(200):  # nor is any of these given the port to connect from
                with pytest.raises(ConnectionRefusedError), socket.create_connection((host, port)):
                    pass
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                one.ask("SELECT 2")
        running(pooled(dsn, 4, 1))
    assert seen.opened_sessions.value == 2
    assert seen.statements.value == 1 + 3 + 4
    assert db.value("SELECT count(*) FROM kept") == 1
    assert db.truth.value("SELECT count(*) FROM flights") == 336_776
    db.rows("DROP TABLE kept")


def test_up_again_although_the_check_raises(db, dsn):
    with pytest.raises(ZeroDivisionError), db.down():
        raise ZeroDivisionError
    running(pooled(dsn, 1, 1))


# What a service does to its database


def test_truth_is_not_the_services_to_change(db, service):
    service().ask("UPDATE airlines SET name = 'wrong'")
    assert db.truth.value("SELECT count(*) FROM airlines WHERE name = 'wrong'") == 0
    assert db.value("SELECT count(*) FROM airlines WHERE name = 'wrong'") == 16
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        db.truth.rows("DELETE FROM airlines")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        running(asyncpg.connect(dataset.sibling(db._copy.dsn, db.truth.dsn.rpartition("/")[2])))


def test_locked_table_does_not_hang_the_judge(dsn, service):
    impatient = Database(dsn)
    impatient._copy = Connection(dsn, patience=1)
    impatient._copy.patience = 0.3
    one = service()
    one.ask("BEGIN")
    one.ask("LOCK TABLE planes")
    started = time.monotonic()
    with pytest.raises(Failed, match="no answer in time"):
        impatient.value("SELECT count(*) FROM planes")
    assert time.monotonic() - started < 5
    one.ask("ROLLBACK")
    assert impatient.value("SELECT count(*) FROM planes") == 3_322
    impatient.close()


def test_table_that_is_gone_fails_the_check(db):
    with pytest.raises(Failed, match='relation "bookings" does not exist'):
        db.value("SELECT count(*) FROM bookings")


def test_what_is_read_runs_with_the_services_rights(db, service):
    one = service()
    one.ask("CREATE FUNCTION spy() RETURNS text LANGUAGE sql AS 'SELECT session_user::text'")
    one.ask("CREATE VIEW bookings AS SELECT spy() AS who")
    assert db.value("SELECT who FROM bookings") == "underload"
    one.ask("DROP VIEW bookings")
    one.ask("DROP FUNCTION spy")


@pytest.fixture
def others_dsn(home, monkeypatch):
    """A copy of the flights on a server of the learner's own, reached as an ordinary role."""
    with elsewhere(services.postgres) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        dsn = dataset.flights()
        monkeypatch.setenv("DATABASE_URL", dataset.sibling(dsn, "postgres"))
        yield dsn


def test_server_of_ones_own_is_observed_and_never_disturbed(others_dsn, monkeypatch):
    database = Database(others_dsn)
    with database.watch() as seen:
        running(connect_per_request(others_dsn, 7, at_once=2))
    assert seen.opened_sessions.value == 7
    assert 1 <= seen.peak_sessions.value <= 4
    for disturbance in (database.paused, database.down, lambda: database.watch(statements=True)):
        with pytest.raises(UnderloadError, match=r"write flights\(lab=True\)"), disturbance():
            pass
    monkeypatch.setattr(Postgres, "program", lambda self: Path("/nowhere/postgres"))
    with pytest.raises(UnderloadError, match="do this lab on Linux"), database.paused():
        pass
    database.close()


def test_a_lab_with_a_server_of_ones_own_has_the_courses_beside_it(others_dsn):
    dsn = dataset.flights(lab=True)
    assert urlsplit(dsn).port != urlsplit(others_dsn).port
    database = Database(dsn)
    assert database.truth.value("SELECT count(*) FROM flights") == 336_776
    with database.watch(statements=True) as seen:
        running(pooled(dsn, 7, 2, at_start=2))
    assert (seen.opened_sessions.value, seen.statements.value) == (2, 7)
    with database.paused(), pytest.raises(TimeoutError):
        running(asyncpg.connect(dsn, timeout=0.2))
    with database.down(), pytest.raises(OSError):
        running(asyncpg.connect(dsn, timeout=2))
    running(pooled(dsn, 1, 1))
    database.close()


def test_a_backend_that_cannot_end_is_not_waited_for_long(db, service, monkeypatch):
    monkeypatch.setattr("underload.judge.database.END_SECONDS", 0.2)
    one = service()
    pid = one.ask("SELECT pg_backend_pid()")
    psutil.Process(pid).send_signal(signal.SIGSTOP)
    try:
        assert db.terminate_backends() == 1
    finally:
        psutil.Process(pid).send_signal(signal.SIGCONT)
    until(lambda: not db._sessions.open())
