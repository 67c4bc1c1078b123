"""Accounts for a submission's service: a database and a Valkey that are all its own, and nothing else."""

from urllib.parse import urlsplit

import asyncpg

from underload.errors import UnderloadError
from underload.files import write_whole
from underload.judge.connection import UNANSWERED, Connection
from underload.services import POSTGRES, VALKEY, dataset, embedded, state

LEARNER = "learner"
DATABASE = "flights_learner"
JUDGES_SESSIONS = 4  # that a service can never take
MOST_TEMPORARY = "1GB"  # that one session of it may sort on disk
MOST_CACHED = "256mb"

# Everything but what would harm the server or blind the judge, who counts commands and reads keys.
RIGHTS = "~* &* +@all -@admin -@dangerous +keys +info +flushdb +flushall +sort +sort_ro +swapdb"


def open_database() -> str:
    """Return the DSN of a fresh copy of the flights, for a role that can reach nothing else of the server.

    It is on the embedded server, whatever DATABASE_URL says. What the submission before had is dropped, and
    its role with all that it could set. Raises UnderloadError.
    """
    maintenance = embedded.running(POSTGRES)
    copy = dataset.copied(DATABASE, maintenance)
    admin = Connection(maintenance)
    owned = Connection(dataset.sibling(admin.dsn, DATABASE))  # no submission has written anything there yet
    try:
        password = state.new_password()
        _make_role(admin, password)
        _confine(admin)
        _hand_over(owned)
    except (asyncpg.PostgresError, *UNANSWERED) as error:
        raise UnderloadError(
            f"PostgreSQL failed to prepare a database for a submission ({error}): see that it still runs."
        ) from None
    finally:
        owned.close()
        admin.close()
    return _as_learner(copy, password)


def is_account(dsn: str) -> bool:
    """Tell whether a DSN was handed out by `open_database`: then its server has nobody else to serve."""
    return urlsplit(dsn).username == LEARNER and embedded.serves(POSTGRES, dsn)


def close() -> None:
    """End what a submission left running in its servers, and drop its database. Raises UnderloadError.

    A statement goes on after the process that sent it was killed, and so does a script.
    """
    if embedded.process(POSTGRES):
        admin = Connection(embedded.running(POSTGRES))
        try:
            admin.rows(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        except (asyncpg.PostgresError, *UNANSWERED) as error:
            raise UnderloadError(
                f"PostgreSQL kept a submission's database ({error}): see that it still runs."
            ) from None
        finally:
            admin.close()
    if embedded.process(VALKEY):
        with embedded.down(VALKEY):
            pass


def open_cache() -> str:
    """Return the URL of an empty Valkey for a user who cannot configure, halt or watch it.

    It is the embedded one, restarted, since scripts, functions and clients of the submission before could
    linger in it. Raises UnderloadError.
    """
    if embedded.process(VALKEY) is None:
        embedded.running(VALKEY)
    password = state.new_password()
    with embedded.down(VALKEY):
        user = f"user {LEARNER} on >{password} {RIGHTS}\n"
        lines = f"{user}maxmemory {MOST_CACHED}\nmaxmemory-clients 25%\n"
        write_whole(VALKEY.additions(), lines, private=True)
    return _as_learner(embedded.running(VALKEY), password)


def _make_role(admin: Connection, password: str) -> None:
    admin.rows(f"DROP ROLE IF EXISTS {LEARNER}")
    free = admin.value(
        "SELECT current_setting('max_connections')::int - current_setting('reserved_connections')::int "
        "- current_setting('superuser_reserved_connections')::int"
    )
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    limit = f"CONNECTION LIMIT {free - JUDGES_SESSIONS}"
    admin.rows(f"CREATE ROLE {LEARNER} {rights} {limit} PASSWORD '{password}'")
    admin.rows(f"ALTER ROLE {LEARNER} SET temp_file_limit = '{MOST_TEMPORARY}'")


def _confine(admin: Connection) -> None:
    """Close every database to all but its owner, and open one to the learner, who does not own it.

    The owner of a database could make it a template, which is not dropped so easily, or refuse the judge.
    """
    for (name,) in admin.rows("SELECT datname FROM pg_database"):
        admin.rows(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    admin.rows(f"ALTER DATABASE {DATABASE} OWNER TO CURRENT_USER")
    admin.rows(f"GRANT ALL ON DATABASE {DATABASE} TO {LEARNER}")


def _hand_over(owned: Connection) -> None:
    owned.rows(f"ALTER SCHEMA public OWNER TO {LEARNER}")
    for table in dataset.ROWS:
        owned.rows(f"ALTER TABLE {table} OWNER TO {LEARNER}")


def _as_learner(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{LEARNER}:{password}@{rest.rpartition('@')[2]}"
