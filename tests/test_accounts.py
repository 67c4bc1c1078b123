import asyncio
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import redis
from kernels import elsewhere, new_home, until

from underload import services
from underload.jobs import worker
from underload.jobs.machine import Machine
from underload.judge import accounts
from underload.judge.cache import Cache
from underload.judge.connection import UNANSWERED, Connection
from underload.judge.database import Database
from underload.services import POSTGRES, dataset, embedded
from underload.waiting import finish

REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.CantChangeRuntimeParamError)


@pytest.fixture(scope="module")
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture(scope="module")
def dsn(home):
    dataset.flights()  # somebody else's
    dataset.truth(services.postgres())
    return accounts.open_database()


@pytest.fixture
def learner(dsn):
    session = Connection(dsn)
    yield session
    session.close()


@pytest.fixture
def admin(home):
    session = Connection(services.postgres())
    yield session
    session.close()


@pytest.fixture(scope="module")
def url(home):
    return accounts.open_cache()


@pytest.fixture
def client(url):
    with redis.Redis.from_url(url, decode_responses=True) as connected:
        yield connected


# PostgreSQL


def test_the_database_is_the_learners_own(learner):
    assert learner.value("SELECT count(*) FROM flights") == 336_776
    learner.rows("CREATE INDEX ON flights (tailnum)")
    learner.rows("ALTER TABLE airlines ADD COLUMN country text")
    learner.rows("CREATE TABLE bookings (id integer GENERATED ALWAYS AS IDENTITY)")
    learner.rows("CREATE SCHEMA mine")
    learner.rows("CREATE TEMPORARY TABLE scratch (id integer)")
    learner.rows("TRUNCATE weather")
    learner.rows("DROP TABLE planes")
    learner.rows("UPDATE flights SET tailnum = 'N1' WHERE id = 1")
    learner.rows("ANALYZE flights")
    assert learner.value("SELECT nextval('flights_id_seq')") == 336_777
    learner.rows("DROP TABLE flights")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'",
        "SELECT pg_stat_get_db_sessions(oid) FROM pg_database",
        "SELECT * FROM pg_stat_io",
        "SELECT pg_stat_get_backend_io(pid) FROM pg_stat_activity",
        "SELECT pg_stat_reset()",
        "SELECT pg_stat_reset_shared('io')",
        "SELECT pg_stat_reset_single_table_counters('airlines'::regclass)",
        "SELECT pg_reload_conf()",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY airlines FROM '/etc/passwd'",
        "COPY airlines TO PROGRAM 'cat'",
        "SELECT rolpassword FROM pg_authid",
        "SET log_statement = 'none'",
        "SET track_activities = off",
        "SET track_counts = off",
        "SET log_min_messages = 'panic'",
        "SET temp_file_limit = -1",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER SYSTEM SET log_statement = 'none'",
        "ALTER ROLE learner SET log_statement = 'none'",
        "ALTER ROLE learner SUPERUSER",
        "ALTER ROLE learner CONNECTION LIMIT 1000",
        "ALTER ROLE postgres SET work_mem = '1MB'",
        "ALTER ROLE underload PASSWORD 'x'",
        "ALTER DATABASE flights_learner SET log_statement = 'none'",
        "ALTER DATABASE flights_learner IS_TEMPLATE true",
        "ALTER DATABASE flights_learner ALLOW_CONNECTIONS false",
        "DROP DATABASE template1",
        "CREATE DATABASE another",
        "CREATE ROLE another",
        "GRANT pg_monitor TO learner",
        "CREATE EVENT TRIGGER spy ON ddl_command_start EXECUTE FUNCTION pg_catalog.current_user()",
        "CREATE EXTENSION vector",
    ],
)
def test_what_is_refused(learner, statement):
    with pytest.raises((*REFUSED, asyncpg.PostgresSyntaxError, asyncpg.ObjectInUseError)) as error:
        learner.rows(statement)
    assert "syntax" not in str(error.value)


def test_no_other_database_can_be_entered(dsn, admin):
    for (name,) in admin.rows("SELECT datname FROM pg_database WHERE datname <> 'flights_learner'"):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            Connection(dataset.sibling(dsn, name)).open()


def test_others_are_neither_ended_nor_read(learner, admin):
    pid = admin.value("SELECT pg_backend_pid()")
    for function in ("pg_terminate_backend", "pg_cancel_backend"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            learner.value(f"SELECT {function}({pid})")
    others = learner.rows(
        "SELECT query FROM pg_stat_activity WHERE usename = 'postgres' AND datname IS NOT NULL"
    )
    assert {query for (query,) in others} == {"<insufficient privilege>"}
    assert admin.value("SELECT pg_backend_pid()") == pid


def test_judge_gets_in_when_the_service_has_taken_all_it_can(dsn):
    async def take_all():
        connections = []
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                connections.append(await asyncpg.connect(dsn))
        return connections

    async def with_all(work):
        connections = await take_all()
        try:
            return len(connections), await asyncio.to_thread(work)
        finally:
            for connection in connections:
                connection.terminate()

    judge = Database(dsn)

    def look():
        ordinary = dsn.replace(
            dsn.split("//")[1].split("@")[0], services.postgres().split("//")[1].split("@")[0]
        )
        others = [Connection(dataset.sibling(ordinary, "postgres")) for _ in range(4)]
        for each in others:
            each.open()
        with judge.watch() as seen:
            pass
        ended = judge.terminate_backends()
        for each in others:
            each.close()
        return seen.peak_sessions.value, ended

    taken, (peak, ended) = finish(with_all(look), 60)
    assert taken == peak == ended == 93
    judge.close()


def test_every_submission_begins_anew(admin):
    before = Connection(accounts.open_database())
    before.rows("ALTER ROLE learner SET work_mem = '1MB'")
    before.rows("DROP TABLE flights")
    before.rows("CREATE TABLE left_behind ()")
    for role in ("PUBLIC", "underload"):
        before.rows(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}")
    before.rows("BEGIN")  # and is still connected
    after = Connection(accounts.open_database())
    assert after.dsn != before.dsn
    with pytest.raises(asyncpg.InvalidPasswordError):
        before.rows("SELECT 1")
    assert after.value("SELECT count(*) FROM flights") == 336_776
    assert after.value("SELECT to_regclass('left_behind')") is None
    assert after.value("SHOW work_mem") == "4MB"
    after.close()


# What no signal of PostgreSQL's own ends: it looks for one text in another, 10¹¹ comparisons in one go.
ENDLESS = "SELECT position('b' || repeat('a', 100000) in repeat('a', 5000000))"
UNDER_WAY = "SELECT pid FROM pg_stat_activity WHERE query = $1 AND now() - query_start > interval '300 ms'"


@pytest.fixture
def busy():
    """A server of its own, in which a submission has a statement under way, and the backend of that."""
    with new_home():
        dataset.truth(services.postgres())
        session = Connection(accounts.open_database())
        gone = threading.Thread(target=lambda: suppress_all(session.rows, ENDLESS))
        gone.start()
        admin = Connection(services.postgres())
        pid = until(lambda: admin.value(UNDER_WAY, ENDLESS))
        admin.close()
        yield embedded.process(POSTGRES), psutil.Process(pid)
        gone.join()


def has_ended(process):
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def suppress_all(work, *arguments):
    with suppress(asyncpg.PostgresError, *UNANSWERED):
        work(*arguments)


def next_one_is_served():
    dataset.truth(services.postgres())
    after = Connection(accounts.open_database())
    assert after.value("SELECT count(*) FROM flights") == 336_776
    after.close()


def test_a_statement_that_cannot_be_interrupted_ends_with_its_submission(busy):
    _, backend = busy
    accounts.close()
    assert has_ended(backend)
    next_one_is_served()


def test_a_session_that_does_not_run_ends_with_its_submission(busy, tmp_path):
    _, backend = busy
    backend.suspend()
    with worker._servers(
        "pooling", Machine(tmp_path / "lock")
    ):  # which fails no notebook for what it has to end
        pass
    assert has_ended(backend)
    next_one_is_served()


def test_a_server_that_does_not_answer_ends_with_its_submission(busy, monkeypatch):
    server, backend = busy
    monkeypatch.setattr(embedded, "START_SECONDS", 1)
    server.suspend()
    accounts.close()
    assert has_ended(server)
    assert has_ended(backend)
    monkeypatch.undo()
    next_one_is_served()


def test_a_submissions_log_ends_with_it(dsn):
    session = Connection(accounts.open_database())
    for _ in range(100):
        session.rows("SELECT name FROM airlines")
    session.close()
    logged = POSTGRES.log().read_text().splitlines()
    assert len([line for line in logged if "execute" in line and "SELECT name FROM airlines" in line]) == 100
    accounts.close()
    assert "SELECT name FROM airlines" not in POSTGRES.log().read_text()
    next_one_is_served()


def test_copies_of_notebooks_still_work(dsn):
    notebook = Connection(dataset.flights())
    assert notebook.value("SELECT count(*) FROM flights") == 336_776
    assert notebook.dsn == dataset.latest()
    notebook.close()


# Valkey


def test_what_a_service_may_do(client):
    client.set("a", 1, ex=10)
    assert client.keys() == ["a"]
    assert client.info("memory")["maxmemory"] == 256 * 1024 * 1024
    assert client.eval("return redis.call('get', 'a')", 0) == "1"
    client.xadd("jobs", {"x": 1})
    client.xgroup_create("jobs", "workers", id="0")
    assert client.xreadgroup("workers", "me", {"jobs": ">"})
    assert client.xautoclaim("jobs", "workers", "other", 0)
    client.rpush("list", 2, 1)
    assert client.sort("list") == ["1", "2"]
    with client.pubsub() as listener:
        listener.subscribe("news")
        listener.get_message(timeout=1)
        assert client.publish("news", "x") == 1
    client.client_setname("service")
    with client.pipeline(transaction=True) as together:
        together.incr("n").incr("n")
        assert together.execute() == [1, 2]
    client.function_load("#!lua name=mine\nredis.register_function('f', function() return 1 end)")
    client.flushdb()
    client.flushall()
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET *",
        "CONFIG SET maxmemory 0",
        "CONFIG RESETSTAT",
        "ACL LIST",
        "ACL SETUSER learner +@all",
        "SHUTDOWN NOSAVE",
        "DEBUG SLEEP 0",
        "REPLICAOF 127.0.0.1 1",
        "FAILOVER",
        "MONITOR",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "CLIENT PAUSE 10000",
        "CLIENT NO-EVICT on",
        "SLOWLOG RESET",
        "LATENCY RESET",
        "COMMANDLOG RESET slow",
        "MODULE LOAD /tmp/x.so",
        "MIGRATE 127.0.0.1 1 a 0 1000",
        "SAVE",
        "BGREWRITEAOF",
        "CLUSTER RESET",
    ],
)
def test_what_valkey_refuses(client, command):
    with pytest.raises(redis.ResponseError, match=r"not allowed|permission"):
        client.execute_command(*command.split())
    script = "return redis.call(unpack(ARGV))"
    with pytest.raises(redis.RedisError, match=r"ACL|permission|not allowed"):
        client.eval(script, 0, *command.split())


def test_every_submission_has_an_empty_valkey(url, client):
    client.set("a", 1)
    client.function_load("#!lua name=left\nredis.register_function('g', function() return 1 end)")

    def block():
        with pytest.raises(redis.RedisError):
            client.eval("while 1 do end", 0)

    endless = threading.Thread(target=block)
    endless.start()
    fresh = accounts.open_cache()
    endless.join()
    with redis.Redis.from_url(fresh) as connected:
        assert connected.dbsize() == 0
        assert connected.function_list() == []
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(url) as connected:
        connected.ping()


def test_the_account_outlives_a_restart():
    fresh = accounts.open_cache()
    judge = Cache(fresh)
    with judge.down():
        pass
    with judge.watch() as seen, redis.Redis.from_url(fresh) as connected:
        connected.set("a", 1)
    assert seen.commands.value == 1
    assert judge.keys() == ["a"]
    judge.close()


@pytest.mark.parametrize(
    ("variable", "face", "open_account"),
    [
        ("DATABASE_URL", services.postgres, accounts.open_database),
        ("REDIS_URL", services.valkey, accounts.open_cache),
    ],
)
def test_accounts_are_on_the_courses_servers_whatever_others_are_set(
    home, monkeypatch, variable, face, open_account
):
    ours = urlsplit(face()).port
    with elsewhere(face) as url:
        monkeypatch.setenv(variable, url)
        assert urlsplit(face()).port != ours
        assert urlsplit(open_account()).port == ours
