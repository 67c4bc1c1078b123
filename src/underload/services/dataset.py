"""The flights of 2013 from New York, in PostgreSQL: a private copy for each notebook."""

import gzip
import hashlib
import hmac
import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from underload import channel
from underload.course import DATA
from underload.errors import UnderloadError
from underload.services.copies import copy_name, drop_orphans
from underload.services.servers import POSTGRES, address
from underload.waiting import finish

if TYPE_CHECKING:
    from asyncpg import Connection

ROWS = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}

LIMIT_SECONDS = 120
LOCK = "SELECT pg_advisory_lock(20130101)"  # one number for all who share a server
LOCK_TIMEOUT = "SET lock_timeout = '90s'"

ROLE = "underload"


_latest: dict[int, str] = {}  # by pid, since what a fork inherits is not its own


def flights(lab: bool = False) -> str:
    """Return the DSN of this process's own copy of the flights, which it may wreck.

    Calling again drops the copy and makes a fresh one. The first call on a server loads the data, in seconds;
    later calls copy it, in a moment. Copies whose process has ended are removed. A graded run is given
    one by the judge. Raises UnderloadError.

    Args:
        lab: whether it is for a lab whose judge has to pause or kill PostgreSQL, or to read its log. The copy
            is then on the embedded server, even if DATABASE_URL is set.
    """
    if channel.is_graded():
        dsn = channel.ask("flights")["url"]
    else:
        dsn = copied(copy_name(os.getpid()), address(POSTGRES, lab))
    _latest[os.getpid()] = dsn
    return dsn


def latest() -> str | None:
    """Return the DSN of the copy that this process made last, or None if it has made none."""
    return _latest.get(os.getpid())


def copied(name: str, maintenance: str) -> str:
    """Return the DSN of a fresh copy of the flights with this name. What had the name is dropped.

    ``maintenance`` is the DSN of a server's maintenance database. Raises UnderloadError.
    """
    with _explained():
        return finish(_make_copy(maintenance, name), LIMIT_SECONDS)


def truth(maintenance: str) -> str:
    """Return the DSN of a copy that no service can reach, to know right answers by. It is made once.

    ``maintenance`` is the DSN of a server's maintenance database. Raises UnderloadError.
    """
    with _explained():
        return finish(_make_truth(maintenance), LIMIT_SECONDS)


def sibling(dsn: str, database: str) -> str:
    """Return the DSN of another database of the same server."""
    url = urlsplit(dsn)
    return f"{url.scheme}://{url.netloc}/{database}" + (f"?{url.query}" if url.query else "")


async def _make_copy(maintenance: str, name: str) -> str:
    async with _alone(maintenance) as connection:
        server, owner = await _owner(connection, maintenance)
        template = await _template(connection, server, owner)
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await drop_orphans(connection)
        await connection.execute(f'CREATE DATABASE {name} TEMPLATE {template} OWNER "{owner}"')
    return sibling(server, name)


async def _make_truth(maintenance: str) -> str:
    async with _alone(maintenance) as connection:
        template = await _template(connection, *await _owner(connection, maintenance))
        name = template.replace("flights", "truth")
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    return sibling(maintenance, name)


@asynccontextmanager
async def _alone(maintenance: str) -> AsyncIterator["Connection"]:
    """Connect, and hold the lock under which databases are made until the connection ends."""
    async with _connected(maintenance) as connection:
        await connection.execute(LOCK_TIMEOUT)
        await connection.execute(LOCK)
        yield connection


async def _owner(connection: "Connection", maintenance: str) -> tuple[str, str]:
    """Return a DSN and role for copies to belong to: a superuser's become those of an ordinary role.

    As a superuser, a service could use up the connections that PostgreSQL reserves for administrators.
    """
    user = await connection.fetchval("SELECT current_user")
    superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    url = urlsplit(maintenance)
    if not superuser or not url.password:
        return maintenance, user
    # Made from the superuser's password, to which it does not lead back.
    password = hmac.digest(url.password.encode(), ROLE.encode(), "sha256").hex()
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ROLE):
        await connection.execute(f"CREATE ROLE {ROLE} LOGIN IN ROLE pg_monitor")
    await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"{ROLE}:{password}@{host}").geturl(), ROLE


async def _template(connection: "Connection", server: str, owner: str) -> str:
    """Return the name of the database to copy, which is made if this data and owner have none here yet."""
    name = f"underload_flights_{_fingerprint(owner)}"
    draft = name + "_loading"
    if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
        return name
    # No other process is loading, since we hold the lock: this is what a killed kernel left.
    await connection.execute(f"DROP DATABASE IF EXISTS {draft} WITH (FORCE)")
    await connection.execute(f'CREATE DATABASE {draft} TEMPLATE template0 OWNER "{owner}"')
    async with _connected(sibling(server, draft)) as loading:
        await _load(loading)
    await connection.execute(f"ALTER DATABASE {draft} IS_TEMPLATE true ALLOW_CONNECTIONS false")
    await connection.execute(f"ALTER DATABASE {draft} RENAME TO {name}")  # the last step: now it is whole
    return name


async def _load(connection: "Connection") -> None:
    async with connection.transaction():
        await connection.execute((DATA / "schema.sql").read_text())
        for table, expected in ROWS.items():
            with _table(f"{table}.csv.gz") as rows:
                columns = rows.readline().decode().strip().split(",")
                # Frozen, so that the first to read a copy does not have to write to it.
                done = await connection.copy_to_table(
                    table, source=rows, columns=columns, format="csv", freeze=True
                )
            if done != f"COPY {expected}":
                raise _damaged(f"{table}.csv.gz")
        await connection.execute((DATA / "keys.sql").read_text())
    await connection.execute("ANALYZE")


@contextmanager
def _table(file: str) -> Iterator[gzip.GzipFile]:
    """Open a data file that is what SHA256SUMS says."""
    sums = dict(reversed(line.split()) for line in (DATA / "SHA256SUMS").read_text().splitlines())
    content = (DATA / file).read_bytes()
    if hashlib.sha256(content).hexdigest() != sums.get(file):
        raise _damaged(file)
    with gzip.open(io.BytesIO(content)) as rows:
        yield rows


def _fingerprint(owner: str) -> str:
    parts = [(DATA / file).read_bytes() for file in ("SHA256SUMS", "schema.sql", "keys.sql")]
    return hashlib.sha256(b"".join([*parts, owner.encode()])).hexdigest()[:12]


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["Connection"]:
    import asyncpg

    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


def _damaged(file: str) -> UnderloadError:
    return UnderloadError(f"{DATA / file} is not the file the course came with: run `git checkout {DATA}`.")


@contextmanager
def _explained() -> Iterator[None]:
    import asyncpg

    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(Path(error.filename).name) from None
    except TimeoutError:
        problem = f"was not done with the flights within {LIMIT_SECONDS} s: see what keeps it busy"
    except asyncpg.LockNotAvailableError:
        problem = "has been preparing the flights for another notebook for 90 s: stop that notebook's kernel"
    except asyncpg.InsufficientPrivilegeError:
        problem = "lets the role in DATABASE_URL make no databases: have it given CREATEDB (ALTER ROLE)"
    except asyncpg.DiskFullError:
        problem = "has no room left on its disk: free some 500 MB"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        problem = f"failed to prepare the flights ({error}): see that it still runs"
    else:
        return
    raise UnderloadError(f"PostgreSQL {problem}, and try again.")
