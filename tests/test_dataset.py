import asyncio
import gzip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from kernels import kernel, new_home, said, until

from underload import services
from underload.errors import UnderloadError
from underload.services import dataset, state
from underload.services.database import Postgres
from underload.services.dataset import flights
from underload.waiting import finish


@pytest.fixture(scope="module")
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture
def cold_server():
    with new_home() as directory:
        yield directory


def sql(dsn: str, statement: str) -> list[asyncpg.Record]:
    async def run():
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return finish(run(), 30)


def value(dsn: str, statement: str):
    return sql(dsn, statement)[0][0]


def databases() -> dict[str, int]:
    return dict(sql(services.postgres(), "SELECT datname, oid FROM pg_database"))


def templates() -> list[str]:
    return [name for name in databases() if re.fullmatch(r"underload_flights_[0-9a-f]+", name)]


def loading() -> list[str]:
    return [name for name in databases() if name.endswith("_loading")]


def name_of(dsn: str) -> str:
    return urlsplit(dsn).path[1:]


def sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# What is in it


def test_row_counts(home):
    dsn = flights()
    expected = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}
    assert {table: value(dsn, f"SELECT count(*) FROM {table}") for table in expected} == expected


def test_keys(home):
    dsn = flights()
    query = (
        "SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype = '{}'"
    )
    assert {row[0] for row in sql(dsn, query.format("f"))} == {
        "flights: FOREIGN KEY (carrier) REFERENCES airlines(carrier)",
        "flights: FOREIGN KEY (origin) REFERENCES airports(faa)",
        "weather: FOREIGN KEY (origin) REFERENCES airports(faa)",
    }
    assert {row[0] for row in sql(dsn, query.format("p"))} == {
        "airlines: PRIMARY KEY (carrier)",
        "airports: PRIMARY KEY (faa)",
        "flights: PRIMARY KEY (id)",
        "planes: PRIMARY KEY (tailnum)",
        "weather: PRIMARY KEY (origin, time_hour)",
    }
    assert value(dsn, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'") == 5


def test_what_the_source_has_no_record_of_is_as_documented(home):
    dsn = flights()
    missing_airports = sql(
        dsn,
        "SELECT dest, count(*) FROM flights f LEFT JOIN airports a ON a.faa = f.dest WHERE faa IS NULL "
        "GROUP BY dest ORDER BY dest",
    )
    assert dict(missing_airports) == {"BQN": 896, "PSE": 365, "SJU": 5_819, "STT": 522}
    counts = sql(
        dsn,
        "SELECT count(DISTINCT f.tailnum), count(f.tailnum), count(*) FILTER (WHERE f.tailnum IS NULL) "
        "FROM flights f LEFT JOIN planes p USING (tailnum) WHERE p.tailnum IS NULL",
    )
    assert tuple(counts[0]) == (721, 50_094, 2_512)
    assert value(dsn, "SELECT count(*) FROM flights WHERE departure IS NULL") == 8_255
    assert value(dsn, "SELECT count(*) FROM flights WHERE arrival IS NULL") == 9_430


def test_instants_delays_and_order(home):
    dsn = flights()
    first = sql(
        dsn,
        "SELECT f.id, f.carrier, flight, dep_delay, arr_delay, air_time, "
        "to_char(departure AT TIME ZONE o.tzone, 'MM-DD HH24:MI') AS left, "
        "to_char(arrival AT TIME ZONE d.tzone, 'MM-DD HH24:MI') AS came "
        "FROM flights f JOIN airports o ON o.faa = origin JOIN airports d ON d.faa = dest "
        "ORDER BY f.id LIMIT 1",
    )[0]
    assert tuple(first) == (1, "UA", 1545, 2, 11, 227, "01-01 05:17", "01-01 08:30")
    out_of_order = (
        "SELECT count(*) FROM (SELECT scheduled_departure < lag(scheduled_departure) OVER (ORDER BY id) "
        "AS back FROM flights) WHERE back"
    )
    assert value(dsn, out_of_order) == 0
    in_the_air = "SELECT count(*) FROM flights WHERE arrival - departure < air_time * interval '1 minute'"
    assert value(dsn, in_the_air) == 0
    assert value(dsn, "SELECT max(arrival - departure) < interval '14 hours' FROM flights")


def test_next_id_follows_the_last(home):
    dsn = flights()
    columns = "carrier, flight, origin, dest, scheduled_departure, scheduled_arrival, distance"
    insert = f"INSERT INTO flights ({columns}) SELECT {columns} FROM flights WHERE id = 1 RETURNING id"
    assert value(dsn, insert) == 336_777


def test_planner_knows_the_tables(home):
    assert value(flights(), "SELECT reltuples FROM pg_class WHERE relname = 'flights'") == 336_776


# A private copy


def test_wrecked_copy_is_replaced(home):
    dsn = flights()
    sql(dsn, "DROP TABLE flights")
    sql(dsn, "CREATE INDEX ON weather (time_hour)")

    async def still_connected():
        connection = await asyncpg.connect(dsn)
        assert flights() == dsn  # also: from inside a running loop
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()

    asyncio.run(still_connected())
    assert value(dsn, "SELECT count(*) FROM flights") == 336_776
    assert value(dsn, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'") == 5


def test_every_process_has_its_own(home):
    mine = flights()
    theirs = said(kernel("print(dataset.flights())"))
    assert theirs != mine
    sql(theirs, "DROP TABLE flights")
    assert value(mine, "SELECT count(*) FROM flights") == 336_776


def test_copies_go_with_their_owner(home):
    alive = kernel("print(dataset.flights(), flush=True); input()")
    kept = name_of(alive.stdout.readline().strip())
    gone = name_of(said(kernel("print(dataset.flights())")))
    host, pid = kept.split("_")[1:3]
    elsewhere = f"flights_00000000_{pid}_1"  # as another machine that shares the server would name it
    recycled = f"flights_{host}_{pid}_1"  # whose pid is another process's by now
    for name in (elsewhere, recycled):
        sql(services.postgres(), f"CREATE DATABASE {name}")
    assert gone in databases()
    flights()
    assert {kept, elsewhere} <= databases().keys()
    assert not {gone, recycled} & databases().keys()
    sql(services.postgres(), f"DROP DATABASE {elsewhere}")
    alive.kill()
    alive.communicate()


def test_orphan_that_is_in_use_stays(home):
    dsn = said(kernel("print(dataset.flights())"))

    async def in_use():
        connection = await asyncpg.connect(dsn)
        flights()
        assert await connection.fetchval("SELECT count(*) FROM airlines") == 16
        await connection.close()

    asyncio.run(in_use())
    flights()
    assert name_of(dsn) not in databases()


def test_template_is_made_once_and_cannot_be_wrecked(home):
    dsn = flights()
    [template] = templates()
    made = databases()[template]
    assert said(kernel("dataset.flights(); print(1)")) == "1"
    assert templates() == [template]
    assert databases()[template] == made
    with pytest.raises(asyncpg.PostgresError):
        sql(dsn.replace(name_of(dsn), template), "SELECT 1")


def test_services_cannot_use_up_the_reserved_connections(home):
    dsn = flights()
    assert value(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert urlsplit(dsn).password != urlsplit(services.postgres()).password

    async def all_of_them():
        connections = []
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                connections.append(await asyncpg.connect(dsn))
        assert (
            value(services.postgres(), "SELECT count(*) FROM pg_stat_activity WHERE usename = 'underload'")
            > 90
        )
        for connection in connections:
            connection.terminate()
        return len(connections)

    assert asyncio.run(all_of_them()) == 97
    assert flights() == dsn


# The first time


def test_kernel_killed_while_it_loads_and_two_at_once_after_it(cold_server):
    services.postgres()
    client = kernel("dataset.flights()")
    copying = "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 100000"
    until(lambda: value(services.postgres(), copying))
    client.kill()
    client.communicate()
    assert not templates()
    assert loading()
    clients = [kernel("input(); print(dataset.flights())") for _ in range(2)]
    for client in clients:
        client.stdin.write("go\n")
        client.stdin.flush()
    copies = [said(client) for client in clients]
    assert len(set(copies)) == 2
    assert all(value(dsn, "SELECT max(id) FROM flights") == 336_776 for dsn in copies)
    assert not loading()
    assert len(templates()) == 1


# What goes wrong


@pytest.fixture
def data(home, tmp_path, monkeypatch):
    shutil.copytree(dataset.DATA, tmp_path / "data")
    monkeypatch.setattr(dataset, "DATA", tmp_path / "data")
    return tmp_path / "data"


def refused(data: Path) -> str:
    before = templates()
    (data / "keys.sql").write_text(
        (data / "keys.sql").read_text() + f"-- {data}\n"
    )  # so that it is loaded anew
    with pytest.raises(UnderloadError) as error:
        flights()
    assert templates() == before
    assert "git checkout" in sentence(error)
    return sentence(error)


def test_damaged_data_file(data):
    file = data / "planes.csv.gz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert "planes.csv.gz" in refused(data)


def test_missing_data_file(data):
    (data / "weather.csv.gz").unlink()
    assert "weather.csv.gz" in refused(data)


def test_missing_rows(data):
    file = data / "planes.csv.gz"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(gzip.compress(b"".join(gzip.decompress(file.read_bytes()).splitlines(True)[:-1])))
    sums = (data / "SHA256SUMS").read_text()
    (data / "SHA256SUMS").write_text(sums.replace(before, hashlib.sha256(file.read_bytes()).hexdigest()))
    assert "planes.csv.gz" in refused(data)


@pytest.fixture
def role(home):
    """A DSN whose role has no rights but to log in."""
    admin = services.postgres()
    sql(admin, "CREATE ROLE somebody LOGIN PASSWORD 'hunter2'")
    yield admin.replace(urlsplit(admin).netloc.rpartition("@")[0], "somebody:hunter2")
    for name in sql(admin, "SELECT datname FROM pg_database WHERE datdba = 'somebody'::regrole"):
        sql(admin, f"ALTER DATABASE {name[0]} IS_TEMPLATE false")
        sql(admin, f"DROP DATABASE {name[0]}")
    sql(admin, "DROP ROLE somebody")


def test_role_that_may_not_create_databases(role, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", role)
    with pytest.raises(UnderloadError) as error:
        flights()
    assert "CREATEDB" in sentence(error)
    assert "hunter2" not in sentence(error)


def test_own_server_with_an_ordinary_role(role, monkeypatch):
    sql(services.postgres(), "ALTER ROLE somebody CREATEDB")
    flights()
    sql(services.postgres(), f"DROP DATABASE {name_of(flights())}")  # or it would be another role's
    monkeypatch.setenv(
        "DATABASE_URL", role.replace("postgresql:", "postgresql+asyncpg:") + "?application_name=x"
    )
    dsn = flights()
    assert dsn.startswith("postgresql://somebody:") and dsn.endswith("?application_name=x")
    assert value(dsn, "SELECT count(*) FROM flights") == 336_776
    assert value(dsn, "SELECT tableowner FROM pg_tables WHERE tablename = 'flights'") == "somebody"


@pytest.fixture
def packaged(home, monkeypatch):
    """Set DATABASE_URL to a PostgreSQL as the system's packages have it, and give its major version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("no package of PostgreSQL is installed")
    folder, port = Path(tempfile.mkdtemp(prefix="underload-")), state.free_port()
    (folder / "password").write_text("hunter2")
    for path in (folder, folder / "password"):
        state.give_to_account(path)
    data, how = folder / "data", {"cwd": folder, **state.account()}
    options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8"]
    subprocess.run(
        [found[0].with_name("initdb"), "-D", data, *options], check=True, capture_output=True, **how
    )
    # In English, whatever the system speaks: the log is what tells that it takes connections.
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "lc_messages=C"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([found[0], "-D", data, "-p", str(port), *settings], stderr=log, **how)
    try:
        until(lambda: "ready to accept connections" in (folder / "log").read_text())
        monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:hunter2@127.0.0.1:{port}/postgres")
        yield int(found[0].parts[-3])
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder)


def test_own_server_from_the_systems_packages(packaged, monkeypatch):
    dsn = flights()
    assert value(dsn, "SHOW server_version_num")[:-4] == str(packaged)
    assert value(dsn, "SELECT count(*) FROM flights") == 336_776
    assert value(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert value(flights(lab=True), "SHOW server_version_num").startswith("18")
    monkeypatch.setattr(Postgres, "least", packaged + 1)
    with pytest.raises(UnderloadError) as error:
        flights()
    assert f"needs {packaged + 1} or later" in sentence(error)


def test_copies_name_this_process(home):
    assert name_of(flights()).split("_")[2] == str(os.getpid())
    assert int(name_of(flights()).split("_")[3]) == int(psutil.Process().create_time())
