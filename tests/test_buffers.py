"""Buffers that a service looks at, counted, for a graded run and for a learner alone."""

import re

import asyncpg
import psutil
import pytest
from kernels import new_home, until

from underload import services
from underload.errors import UnderloadError
from underload.judge import accounts
from underload.judge.connection import Connection
from underload.judge.database import Database
from underload.judge.expect import Failed
from underload.services import dataset
from underload.waiting import finish

WHOLE = "SELECT count(*) FROM flights WHERE distance > 0"
POINT = "SELECT * FROM flights WHERE id = 4711"
ALONE = "SET max_parallel_workers_per_gather = 0"  # EXPLAIN does not tell what it takes to start a worker
A_SESSION = 4_000  # buffers at most that a new session, or autovacuum's, reads in catalogs: seen 31 to 1,440


@pytest.fixture(scope="module")
def home():
    with new_home():
        dataset.truth(services.postgres())
        yield


@pytest.fixture(scope="module")
def graded(home):
    return accounts.open_database()


@pytest.fixture(scope="module", params=["alone", "graded"])
def dsn(home, request):
    return dataset.flights() if request.param == "alone" else request.getfixturevalue("graded")


@pytest.fixture
def judge():
    made = []

    def look_at(dsn):
        made.append(Database(dsn))
        return made[-1]

    yield look_at
    for each in made:
        each.close()


def running(work):
    return finish(work, 60)


async def asked(dsn, *texts):
    connection = await asyncpg.connect(dsn)
    for text in texts:
        await connection.fetch(text)
    await connection.close()


def looked_at(db, *texts):
    with db.watch(buffers=True) as seen:
        running(asked(db._dsn, *texts))
    return seen.buffers.value


def explained(dsn, text):
    """Return what EXPLAIN says of a query that has been asked before."""

    async def explain():
        connection = await asyncpg.connect(dsn)
        await connection.execute(ALONE)
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {text}")
        await connection.close()
        return sum(
            map(int, re.findall(r"(?:hit|read)=(\d+)", next(row[0] for row in rows if "Buffers" in row[0])))
        )

    return running(explain())


# The number


@pytest.mark.parametrize("query", [WHOLE, POINT, f"{WHOLE} AND carrier IN (SELECT carrier FROM airlines)"])
def test_as_many_as_explain_says(judge, graded, query):
    db = judge(graded)
    looked_at(db, ALONE, query)  # the first session of a database has catalogs to read
    few, many = (looked_at(db, ALONE, *[query] * times) for times in (2, 7))
    assert many - few == 5 * explained(graded, query)


def test_about_as_many_in_one_database_of_several(judge, dsn):
    db = judge(dsn)
    in_others = dataset.truth(services.postgres())
    with db.watch(buffers=True) as seen:
        running(asked(dsn, ALONE, *[WHOLE] * 5))
        if not accounts.is_account(dsn):  # which has its server to itself
            running(asked(in_others, *[WHOLE] * 3))
    assert 0 <= seen.buffers.value - 5 * explained(dsn, WHOLE) <= A_SESSION  # autovacuum may have a look, too


def test_what_the_judge_reads_is_not_counted(judge, dsn):
    db = judge(dsn)
    with db.watch(buffers=True) as seen:
        for _ in range(3):
            db.value(WHOLE)
            db.truth.value(WHOLE)
    assert seen.buffers.value == 0


def test_what_was_looked_at_before_is_not_counted(judge, dsn):
    db = judge(dsn)

    async def keep_open():
        connection = await asyncpg.connect(dsn)
        await connection.execute("BEGIN")
        for _ in range(5):
            await connection.fetch(WHOLE)
        with db.watch(buffers=True) as seen:
            pass
        connection.terminate()
        return seen.buffers.value

    assert running(keep_open()) == 0


def test_it_is_known_only_where_it_was_asked_for(judge, dsn):
    with judge(dsn).watch() as seen:
        pass
    with pytest.raises(UnderloadError, match="buffers=True"):
        seen.buffers.at_most(3)


# Attacks: looking, and not having looked


def test_dropping_what_was_looked_at_takes_nothing_back(judge, dsn):
    db = judge(dsn)
    running(asked(dsn, "CREATE TABLE heated AS SELECT * FROM flights", *["SELECT count(*) FROM heated"] * 20))
    looked = looked_at(db, ALONE, *[WHOLE] * 3, "DROP TABLE heated")
    assert looked >= 3 * explained(dsn, WHOLE)


@pytest.mark.parametrize(
    "texts",
    [
        ("BEGIN", WHOLE, WHOLE, WHOLE),  # and no end of it
        ("BEGIN", WHOLE, WHOLE, WHOLE, "ROLLBACK"),
        ("BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM flights f, generate_series(1, 2)", "COMMIT"),
        ("SET track_io_timing = on", WHOLE, WHOLE, WHOLE),
        (WHOLE, WHOLE, WHOLE),  # too short for the session to tell before it ends
    ],
)
def test_a_session_that_does_not_tell_is_made_to(judge, graded, texts):
    db = judge(graded)

    async def kept_open():
        connection = await asyncpg.connect(graded)
        for text in (ALONE, *texts):
            try:
                await connection.execute(text)
            except asyncpg.InsufficientPrivilegeError:
                continue
        return connection

    async def watched():
        with db.watch(buffers=True) as seen:
            connection = await kept_open()
        connection.terminate()
        return seen.buffers.value

    expected = (
        explained(graded, "SELECT * FROM flights") if "DECLARE" in texts[1] else 3 * explained(graded, WHOLE)
    )
    assert running(watched()) >= expected


@pytest.mark.parametrize("kind", ["TABLE", "TEMP TABLE"])
@pytest.mark.parametrize("end", ["ROLLBACK", "DROP TABLE mine; COMMIT"])
def test_a_table_made_in_the_same_transaction_hides_nothing(judge, graded, kind, end):
    db = judge(graded)
    make = f"CREATE {kind} mine AS SELECT * FROM flights LIMIT 100000"
    look = "SELECT count(*) FROM mine"
    make_only, and_look = (
        looked_at(db, ALONE, "BEGIN", make, *[look] * times, *end.split("; ")) for times in (0, 20)
    )
    assert and_look - make_only >= 20 * 1_000  # 1,327 pages


def test_parallel_workers_count(judge, dsn):
    db = judge(dsn)
    in_parallel = "SET debug_parallel_query = on"
    assert looked_at(db, in_parallel, *[WHOLE] * 5) >= 5 * explained(dsn, WHOLE)


def test_counters_that_were_lost_fail_the_check(judge, dsn):
    db = judge(dsn)
    with pytest.raises(Failed, match="goes on counting"), db.watch(buffers=True), db.down():
        pass
    assert looked_at(db, POINT) <= A_SESSION


def test_counters_that_went_back_fail_the_check(judge, dsn, home):
    db = judge(dsn)
    admin = Connection(services.postgres())
    with pytest.raises(Failed, match="reset"), db.watch(buffers=True):
        admin.rows("SELECT pg_stat_reset_shared('io')")
        db._admin.rows("SELECT pg_stat_reset_shared('bgwriter')")
    admin.close()


def test_a_session_that_cannot_end_fails_the_check(judge, dsn, monkeypatch):
    monkeypatch.setattr("underload.judge.database.END_SECONDS", 0.2)
    db = judge(dsn)
    service = Connection(dsn)
    with pytest.raises(Failed, match="sessions that end"), db.watch(buffers=True):
        backend = psutil.Process(service.value("SELECT pg_backend_pid()"))
        backend.suspend()
    backend.resume()
    until(lambda: not db._sessions.open())


# What the judge reads


def test_the_judge_reads_the_servers_own_views(judge, graded):
    owner = Connection(graded)
    for text in (
        "CREATE VIEW public.pg_statio_user_tables AS SELECT 0::bigint AS heap_blks_hit",
        "CREATE SCHEMA mine",
        "CREATE TABLE mine.airlines (carrier text, name text)",
        "ALTER ROLE learner SET search_path = mine, public, pg_catalog",
    ):
        owner.rows(text)
    db = judge(graded)
    try:
        assert db.value("SELECT count(relname) FROM pg_statio_user_tables") >= len(dataset.ROWS)
        assert db.value("SELECT count(*) FROM airlines") == dataset.ROWS["airlines"]
    finally:
        for text in (
            "ALTER ROLE learner RESET search_path",
            "DROP VIEW public.pg_statio_user_tables",
            "DROP SCHEMA mine CASCADE",
        ):
            owner.rows(text)
        owner.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("statement_timeout", "1ms"),
        ("lock_timeout", "1ms"),
        ("transaction_timeout", "1ms"),
        ("idle_session_timeout", "1ms"),
        ("default_transaction_read_only", "on"),
        ("default_transaction_isolation", "serializable"),
        ("row_security", "on"),
        ("timezone", "Asia/Tokyo"),
        ("standard_conforming_strings", "off"),
        ("max_parallel_workers_per_gather", "8"),
        ("role", "learner"),
    ],
)
def test_what_a_role_has_set_does_not_reach_the_judge(judge, graded, name, value):
    owner = Connection(graded)
    owner.rows("SELECT 1")
    owner.rows(f"ALTER ROLE learner SET {name} = '{value}'")
    try:
        db = judge(graded)
        assert db.value("SELECT current_setting($1)", name) != value
        db.rows("UPDATE airlines SET name = name")
        assert db.value("SELECT extract(hour FROM timestamptz '2013-01-01 05:00+00')") == 5
    finally:
        owner.rows("ALTER ROLE learner RESET ALL")
        owner.close()
