"""What a check gets as ``db``: the learner's database, seen by somebody who may see and do all."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil

from underload import services
from underload.errors import UnderloadError
from underload.judge import statements
from underload.judge.activity import DatabaseActivity
from underload.judge.connection import UNANSWERED, Connection
from underload.judge.expect import Failed, shortened
from underload.judge.outage import frozen, own_process
from underload.judge.statements import StatementLog
from underload.services import POSTGRES, NotAnswering, dataset, embedded, external

SAMPLE_SECONDS = 0.01
END_SECONDS = 5
POLL_SECONDS = 0.002

# Parallel workers would have to be started by a process that a check may have paused.
TRUTHFUL = {"default_transaction_read_only": "on", "max_parallel_workers_per_gather": "0"}
SESSIONS = """
    SELECT pid, backend_start, state FROM pg_stat_get_activity(NULL)
    WHERE backend_type = 'client backend' AND pid IS DISTINCT FROM $2
    AND datid = (SELECT oid FROM pg_database WHERE datname = $1)"""
NEWCOMERS = """
    SELECT pid FROM pg_stat_get_activity(NULL)
    WHERE backend_type = 'client backend' AND coalesce(datid, 0) = 0"""
LEFT = "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE pid = ANY ($1)"
# A session enters here as it opens but, if many do at once, some only as they close.
OPENED = "SELECT sessions FROM pg_stat_database WHERE datname = $1"


class Database:
    """One database of the server that `services.postgres` finds, by the DSN with which a service uses it.

    What is read from it is read with the service's own rights, since a learner's function or view would
    otherwise run with the judge's. Every call ends in some 10 s, whatever the service did to it.
    """

    def __init__(self, dsn: str) -> None:
        self.name = urlsplit(dsn).path[1:]
        self._external = external.given(POSTGRES) is not None
        quiet = {} if self._external else {"log_statement": "none"}
        self._admin = Connection(services.postgres(), **quiet)
        self._copy = Connection(dsn)
        self._connecting = threading.Lock()
        self._opened_before_restart = 0  # a server that was killed counts from 0
        self._log: StatementLog | None = None
        if not self._external:
            statements.heal(self._admin)

    @cached_property
    def truth(self) -> Connection:
        """The flights as they were, out of the service's reach: ``truth.value``, ``.row`` and ``.rows``."""
        return Connection(dataset.truth(), **TRUTHFUL)

    def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return what the service's database holds. Raises Failed if that cannot be had."""
        try:
            with self._connecting:  # so that no sample takes us for a session of the service's
                self._copy.open()
            return self._copy.rows(sql, *arguments)
        except (asyncpg.PostgresError, *UNANSWERED) as error:
            observed = shortened(str(NotAnswering.because(error)))
            raise Failed("a database to read from, as it was handed out", observed) from None

    def row(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Return the first row, or None."""
        return next(iter(self.rows(sql, *arguments)), None)

    def value(self, sql: str, *arguments: Any) -> Any:
        """Return the first value of the first row, or None."""
        row = self.row(sql, *arguments)
        return row[0] if row else None

    @contextmanager
    def watch(self, statements: bool = False) -> Iterator[DatabaseActivity]:
        """Count sessions meanwhile and, if told to, statements and transactions. The judge's never count.

        Raises:
            UnderloadError: statements are to be counted in the log of a server that is not ours.
        """
        seen = DatabaseActivity()
        with ExitStack() as stack:
            if statements:
                seen.log = stack.enter_context(self._logging())
            open_before, opened_before = self._open(), self._opened()
            with self._sampling(seen):
                yield seen
            seen.opened = max(self._opened() - opened_before, len(self._open() - open_before))
            seen.total = len(open_before) + seen.opened
            seen.peak = max(seen.peak, min(seen.opened, 1))  # a sample may have missed them all
            if seen.log:
                seen.log.read()

    def terminate_backends(self) -> int:
        """End every session of the service, wait until they are gone, and return how many there were."""
        ended = [session["pid"] for session in self._sessions()]
        self._admin.rows("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", ended)
        deadline = time.monotonic() + END_SECONDS
        while self._admin.value(LEFT, ended) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return len(ended)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the service's sessions where they are, and let nobody in. The truth stays within reach."""
        postmaster = own_process(POSTGRES)
        self.truth.open()  # while somebody lets us in
        with frozen([postmaster]):  # first, or it would make more of them
            sessions = self._sessions() + self._admin.rows(NEWCOMERS)
            with frozen(list(_processes(session["pid"] for session in sessions))):
                yield

    @contextmanager
    def down(self) -> Iterator[None]:
        """Kill PostgreSQL, and start it again at the end, on the same port and with the same data."""
        own_process(POSTGRES)
        opened = self._admin.value(OPENED, self.name) or 0
        with embedded.down(POSTGRES):
            self._opened_before_restart += opened
            if self._log:
                self._log.read()
                self._log.rewind()
            yield

    def close(self) -> None:
        """Let go of all connections."""
        for session in (self._admin, self._copy, self.__dict__.get("truth")):
            if session:
                session.close()

    def _sessions(self) -> list[asyncpg.Record]:
        """Return the sessions that are open, without the judge's."""
        return self._admin.rows(SESSIONS, self.name, self._copy.pid)

    def _open(self) -> set[tuple[Any, ...]]:
        return {(session["pid"], session["backend_start"]) for session in self._sessions()}

    def _opened(self) -> int:
        """How many sessions others than the judge have opened, ever."""
        opened = self._admin.value(OPENED, self.name) or 0
        return opened + self._opened_before_restart - len(self._copy.pids)

    @contextmanager
    def _logging(self) -> Iterator[StatementLog]:
        if self._external:
            raise UnderloadError(
                "Statements are counted in the server's log, and that of DATABASE_URL is out of reach: "
                "unset DATABASE_URL for this check."
            )
        with StatementLog(self._admin, POSTGRES.log(), self.name, self._copy.pids) as self._log:
            try:
                yield self._log
            finally:
                self._log = None

    @contextmanager
    def _sampling(self, seen: DatabaseActivity) -> Iterator[None]:
        """Note the most sessions that are open at once, at the start and the end for certain."""
        seen.peak = seen.idle = 0
        over = threading.Event()

        def sample() -> None:
            with self._connecting:
                sessions = self._sessions()
            idle = sum((session["state"] or "").startswith("idle in transaction") for session in sessions)
            seen.peak, seen.idle = max(seen.peak, len(sessions)), max(seen.idle, idle)

        def keep_sampling() -> None:
            while not over.wait(SAMPLE_SECONDS):
                # While the server is down there is nothing to see.
                with suppress(asyncpg.PostgresError, *UNANSWERED):
                    sample()

        sample()
        sampler = threading.Thread(target=keep_sampling, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            over.set()
            sampler.join()
        sample()


def _processes(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)
