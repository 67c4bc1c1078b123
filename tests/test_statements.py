"""What a service sends, counted: as PostgreSQL reads it, whatever the service calls it, for a graded run."""

import random
from contextlib import suppress

import asyncpg
import pytest
from kernels import new_home
from sqlalchemy import text as sql_text
from sqlalchemy.ext.asyncio import create_async_engine

from underload import services
from underload.judge import accounts
from underload.judge.connection import Connection
from underload.judge.database import Database
from underload.judge.statements import LONGEST, OPENING, Sent, counting, working
from underload.services import dataset
from underload.waiting import finish

RESET = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
MANY = 60  # rows of an N+1


@pytest.fixture(scope="module")
def dsn():
    with new_home():
        dataset.truth(services.postgres())
        yield accounts.open_database()


@pytest.fixture
def db(dsn):
    database = Database(dsn)
    yield database
    database.close()


def running(work):
    return finish(work, 30)


def counted(db, dsn, work):
    """Return how many statements are counted of what ``work`` does with one session."""

    async def with_session():
        connection = await asyncpg.connect(dsn)
        try:
            await work(connection)
        finally:
            await connection.close()

    with db.watch(statements=True) as seen:
        running(with_session())
    return seen.statements.value


# Texts


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", 0),
        (";", 0),
        ("-- nothing", 0),
        ("SELECT 1", 0),
        ("select pg_catalog.version();", 0),
        ("SELECT 1 FROM flights", 1),
        ("BEGIN", 0),
        ("SET search_path = public", 0),
        ("SET seed TO 0.5", 0),
        ("BEGIN; SELECT * FROM flights", 1),
        ("/* BEGIN */ SELECT * FROM flights", 1),
        ("-- BEGIN\nSELECT * FROM flights", 1),
        ("-- BEGIN\rSELECT * FROM flights", 1),
        ("BEGIN -- \rISOLATION LEVEL SERIALIZABLE; SELECT 2", 1),
        ("/* /* */ BEGIN */ SELECT 2; /* ; */ SELECT 3", 2),
        ("BEGIN /* /* */ ; */ ; SELECT 2 -- */", 1),
        ("SELECT ';' ; SELECT E'\\';' ; SELECT $a$;$$;$a$ ; SELECT \";\" FROM x", 4),
        ("SELECT E'a'\n'\\'' ; SELECT 2; SELECT 3 -- '", 3),
        ("SELECT E'a' -- and\r  '\\'' ; SELECT 2; SELECT 3 -- '", 3),
        ("SELECT '\\'; SELECT 2; --'", 2),  # or 1, if the session reads backslashes so
        ("SELECT U&'\\'; SELECT 2", 2),
        ("SELECT 2 a$b$; SELECT 3 b$b$; SELECT 4", 3),
        ("SELECT $1$; SELECT 2; SELECT 3 $1$", 3),
        ("DO $$ BEGIN PERFORM 1; END $$", 1),
        ("BEGIN '", 1),
        ("BEGIN /* ; SELECT 2", 2),
        ("BEGIN $a$ ; $b$", 2),
    ],
)
def test_commands_in_a_text(text, commands):
    assert len(working(text)) == commands


PIECES = [
    *("'", "''", "\\", "E'", "e'", "U&'", "b'", "N'", '"', "--", "\r", "\n", "\f", "/*", "*/", "/", "*", "-"),
    *(";", "$$", "$a$", "a$", "$", "1", " ", "x", "\u00a0", "é", "SELECT ", "SELECT 1", "'a'"),
    *(";INSERT INTO hits VALUES (1)" + end for end in (";", "--", "\n", "\r")),
]


@pytest.mark.parametrize("backslashes", ["on", "off"])
def test_never_fewer_commands_than_postgresql_carries_out(dsn, backslashes):
    async def compare():
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE hits (x int)")
        await connection.execute(f"SET standard_conforming_strings = {backslashes}")
        sound = carried_out = 0
        for _ in range(6_000):
            text = "SELECT " + "".join(random.choices(PIECES, k=random.randint(2, 14)))
            with suppress(AttributeError):  # asyncpg of a text that ends in a comment
                try:
                    await connection.execute(text)
                except asyncpg.PostgresError:
                    continue
            hits = await connection.fetchval(
                "WITH h AS (DELETE FROM hits RETURNING 1) SELECT count(*) FROM h"
            )
            assert len(working(text)) >= hits, text
            sound, carried_out = sound + 1, carried_out + hits
        await connection.execute("DROP TABLE hits")
        await connection.close()
        return sound, carried_out

    sound, carried_out = running(compare())
    assert min(sound, carried_out) > 50  # seen 440 and 150


@pytest.mark.parametrize(
    ("sent", "count"),
    [
        ({1: "c"}, 1),
        ({1: "?" * OPENING}, 0),
        ({1: "?" * (OPENING + 3)}, 3),
        ({1: "c" + "?" * (2 * OPENING + 1)}, 1),
        ({1: "c" + "?" * (2 * OPENING + 2)}, 2),
        ({1: "c?" * 100}, 100),
        ({1: "c" * 100, 2: "?" * 100}, 200 - 2 * OPENING),
        (dict.fromkeys(range(100), "?"), 100 - OPENING),
        (dict.fromkeys(range(100), "c?"), 100),
    ],
)
def test_what_drivers_ask_for_themselves_is_free_as_often_as_drivers_ask(sent, count):
    log = [Sent(pid, "1/1", each, each == "?") for pid, texts in sent.items() for each in texts]
    assert len(counting(log)) == count


# Attacks: an N+1 as something else


@pytest.mark.parametrize(
    "text",
    [
        "-- BEGIN\rSELECT name FROM airlines WHERE carrier = 'UA'",
        "BEGIN -- \r; SELECT name FROM airlines WHERE carrier = 'UA'; COMMIT",
        "/* /* */ BEGIN; */ SELECT name FROM airlines WHERE carrier = 'UA'",
        "SET x.a$b$='1'; SELECT name AS c$b$ FROM airlines -- $b$",
        "SET application_name = E'a'\n'\\''; SELECT name FROM airlines; SET application_name = '\\'",
    ],
)
def test_nothing_hides_in_a_comment_or_string(db, dsn, text):
    async def lookups(connection):
        for _ in range(MANY):
            with suppress(AttributeError):
                await connection.execute(text)

    assert counted(db, dsn, lookups) >= MANY


LOOKUP = "SELECT name FROM public.airlines WHERE carrier = current_setting('my.carrier')"
JIT = "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new"
IMPOSTORS = [
    ("version()", "SELECT version()"),
    ("current_schema()", "SELECT current_schema()"),
    ("pg_advisory_unlock_all()", RESET),
    (
        "set_config(text, text, boolean)",
        "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
    ),
]


@pytest.mark.parametrize("passing", ["SET my.carrier = 'UA'", "SET LOCAL my.carrier TO 'UA'"])
@pytest.mark.parametrize(("function", "text"), IMPOSTORS)
def test_no_function_answers_in_a_drivers_name(db, dsn, function, text, passing):
    owner = Connection(dsn)
    owner.rows(f"CREATE FUNCTION public.{function} RETURNS text LANGUAGE sql AS $${LOOKUP}$$")
    owner.rows("ALTER ROLE learner SET search_path = public, pg_catalog")  # which outlives RESET ALL

    async def lookups(connection):
        for _ in range(MANY):
            await connection.execute(f"BEGIN; {passing}; COMMIT")
            await connection.execute(text)

    try:
        assert counted(db, dsn, lookups) >= 2 * MANY - OPENING
    finally:
        owner.rows("ALTER ROLE learner RESET search_path")
        owner.rows(f"DROP FUNCTION public.{function}")
        owner.close()


def test_no_table_answers_in_the_place_of_types(db, dsn):
    query = "SELECT t.oid, t.typelem AS elemtype, t.typtype AS kind FROM pg_catalog.pg_type AS t INNER JOIN"
    query += (
        " pg_catalog.pg_namespace ns ON (ns.oid = t.typnamespace) WHERE t.typname = $1 AND ns.nspname = $2"
    )

    async def lookups(connection):
        for _ in range(MANY):
            await connection.fetch(query, "int4", "pg_catalog")

    assert counted(db, dsn, lookups) >= MANY - OPENING


@pytest.mark.parametrize("text", ["SHOW my.carrier", 'SHOW U&"my\\002ecarrier"', 'SHOW my."carrier"'])
def test_own_settings_are_no_way_in_or_out(db, dsn, text):
    async def lookups(connection):
        await connection.execute("SET my.carrier = 'UA'")
        for _ in range(MANY):
            await connection.fetchval(text)

    assert counted(db, dsn, lookups) >= MANY - OPENING


def test_no_trigger_that_runs_again_and_again(db, dsn):
    owner = Connection(dsn)
    owner.rows("CREATE TABLE asked (x int)")
    body = "BEGIN RAISE NOTICE '%', (SELECT name FROM airlines LIMIT 1); RETURN NULL; END"
    owner.rows(f"CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    owner.rows(
        "CREATE CONSTRAINT TRIGGER answers AFTER INSERT ON asked INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION answer()"
    )
    heard = []

    async def lookups(connection):
        connection.add_log_listener(lambda _, message: heard.append(message))
        await connection.execute("BEGIN; INSERT INTO asked VALUES (1)")
        for _ in range(MANY):
            await connection.execute("SAVEPOINT s; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s")

    try:
        assert counted(db, dsn, lookups) >= MANY - 2 * OPENING
        assert len(heard) == MANY
    finally:
        owner.rows("DROP TABLE asked")
        owner.rows("DROP FUNCTION answer")
        owner.close()


ANSWERS_EARLY = """
    CREATE FUNCTION said(key text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
    DECLARE found text;
    BEGIN SELECT name INTO found FROM airlines WHERE carrier = key; RAISE {0} '%', found; RETURN found;
    END $$"""


@pytest.mark.parametrize("level", ["EXCEPTION", "NOTICE"])
def test_what_answers_before_it_is_executed_counts(db, dsn, level):
    owner = Connection(dsn)
    owner.rows(ANSWERS_EARLY.format(level))
    heard = []

    async def lookups(connection):
        connection.add_log_listener(lambda _, message: heard.append(message))
        await connection.execute("SET plan_cache_mode = force_custom_plan")  # or a cached plan asks no more
        async with connection.transaction():
            for _ in range(MANY):
                try:
                    async with connection.transaction():
                        await connection.cursor("SELECT said($1)", "UA")  # binds, and no more
                except asyncpg.RaiseError as error:
                    heard.append(error)

    try:
        assert counted(db, dsn, lookups) >= MANY
        assert len(heard) >= MANY
    finally:
        owner.rows("DROP FUNCTION said")
        owner.close()


def test_many_sessions_do_not_each_have_something_free(db, dsn):
    async def lookups():
        for _ in range(MANY):
            connection = await asyncpg.connect(dsn)
            await connection.execute("SET my.carrier = 'UA'")
            await connection.fetchval("SELECT version()")
            await connection.close()

    with db.watch(statements=True) as seen:
        running(lookups())
    assert seen.statements.value >= 2 * MANY - OPENING


def test_what_is_too_long_to_be_kept_is_counted_all_the_same(db, dsn):
    async def behind_a_comment(connection):
        await connection.execute(f"/*{'x' * LONGEST}*/" + "SELECT name FROM airlines;" * MANY)

    assert counted(db, dsn, behind_a_comment) >= MANY


# What honest drivers send


@pytest.mark.parametrize("requests", [1, 100])
def test_an_asyncpg_pool_costs_nothing(db, dsn, requests):
    async def work():
        async with asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool:
            for number in range(requests):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.fetchval("SELECT $1::text[]", [str(number)])

    with db.watch(statements=True) as seen:
        running(work())
    assert (seen.statements.value, seen.transactions.value) == (requests, requests)


@pytest.mark.parametrize("requests", [1, 20])
def test_sqlalchemy_costs_nothing(db, dsn, requests):
    async def work():
        url = dsn.replace("postgresql:", "postgresql+asyncpg:")
        engine = create_async_engine(url, pool_pre_ping=True)
        for number in range(requests):
            async with engine.begin() as connection:
                await connection.execute(sql_text("SET LOCAL app.tenant = '7'"))
                await connection.execute(sql_text("SELECT CAST(:x AS text[])"), {"x": [str(number)]})
        await engine.dispose()

    with db.watch(statements=True) as seen:
        running(work())
    assert (seen.statements.value, seen.transactions.value) == (requests, requests)


# That it is counted is not to be seen


def test_nothing_tells_a_service_that_its_statements_are_counted(db, dsn):
    learner = Connection(dsn)

    def look():
        settings = learner.rows("SELECT name, setting, source, sourcefile FROM pg_settings ORDER BY name")
        locks = learner.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        own = [learner.value(f"SHOW {name}") for name in ("log_statement", "log_parameter_max_length")]
        return settings, locks, own, learner.rows("SELECT * FROM pg_db_role_setting")

    before = look()
    with db.watch(statements=True):
        during = look()
    assert before == during == look()
    assert before[2] == ["all", "0"]
    learner.close()


def test_counting_goes_on_whatever_a_service_resets(db, dsn):
    learner = Connection(dsn)
    for text in ("ALTER ROLE learner RESET ALL", "DISCARD ALL", "RESET ALL"):
        learner.rows(text)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        learner.rows("ALTER ROLE learner RESET log_statement")
    learner.close()

    async def one(connection):
        await connection.fetch("SELECT name FROM airlines")
        assert await connection.fetchval("SHOW temp_file_limit") == "1GB"

    assert counted(db, dsn, one) == 1
