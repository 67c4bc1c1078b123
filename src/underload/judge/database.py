"""What a check gets as ``db``: the learner's database, seen with an administrator's rights."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil

from underload import services
from underload.judge import accounts, statements
from underload.judge.activity import DatabaseActivity
from underload.judge.buffers import BufferCount
from underload.judge.connection import UNANSWERED, Connection
from underload.judge.expect import Failed, shortened
from underload.judge.outage import frozen, own_process
from underload.judge.sessions import Sessions
from underload.judge.statements import StatementLog
from underload.services import POSTGRES, NotAnswering, dataset, embedded
from underload.waiting import until

END_SECONDS = 5

TRUTHFUL = {"default_transaction_read_only": "on"}
NEWCOMERS = """
    SELECT pid FROM pg_stat_get_activity(NULL)
    WHERE backend_type = 'client backend' AND coalesce(datid, 0) = 0"""
LEFT = "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE pid = ANY ($1) OR leader_pid = ANY ($1)"


class Database:
    """One database, by the DSN with which a service uses it.

    What is read from it is read with the service's own rights, since a learner's function or view would
    otherwise run with the judge's. Every call ends in some 10 s, whatever the service did to it. What needs
    more than a connection, which is to pause or kill the server or to read its log, is done to the embedded
    server only.
    """

    def __init__(self, dsn: str) -> None:
        self.name = urlsplit(dsn).path[1:]
        self._dsn = dsn
        self._is_ours = embedded.serves(POSTGRES, dsn)
        quiet = {"log_statement": "none"} if self._is_ours else {}  # which only a superuser may ask for
        self._admin = Connection(services.behind(POSTGRES, dsn), **quiet)
        self._copy = Connection(dsn)
        self._sessions = Sessions(self.name, self._admin, self._copy)
        self._log: StatementLog | None = None
        if self._is_ours:
            statements.heal(self._admin)

    @cached_property
    def truth(self) -> Connection:
        """The flights as they were, out of the service's reach: ``truth.value``, ``.row`` and ``.rows``."""
        return Connection(dataset.truth(self._admin.dsn), **TRUTHFUL)

    def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return what the service's database holds. Raises Failed if there is no answer."""
        try:
            self._sessions.connect_judge()
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
    def watch(self, statements: bool = False, buffers: bool = False) -> Iterator[DatabaseActivity]:
        """Count sessions meanwhile and, if told to, more of what they did. The judge never counts.

        A session tells what it looked at when a transaction ends, and once a second at most, but all when it
        ends. So where buffers are counted, every session of the service is ended at the start and at the end.

        Raises:
            UnderloadError: statements are to be counted in the log of a server that is not ours.
            Failed: buffers cannot be counted, by what the service did.
        """
        seen = DatabaseActivity()
        with ExitStack() as stack:
            if buffers:
                stack.enter_context(self._counting_buffers(seen))
            if statements:
                seen.log = stack.enter_context(self._logging())
            with self._sessions.watched(seen):
                yield seen
            if seen.log:
                seen.log.read()

    def terminate_backends(self) -> int:
        """End every session of the service, wait until they are gone, and return how many there were."""
        ended, _ = self._end_sessions()
        return ended

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the service's sessions where they are, and accept no new ones. The truth can still be read."""
        postmaster = own_process(POSTGRES, self._dsn)
        self.truth.open()  # while connections are still accepted
        with frozen([postmaster]):  # first, or it would make more of them
            sessions = self._sessions.open() + self._admin.rows(NEWCOMERS)
            with frozen(list(_processes(session["pid"] for session in sessions))):
                yield

    @contextmanager
    def down(self) -> Iterator[None]:
        """Kill PostgreSQL, and start it again at the end, on the same port and with the same data."""
        own_process(POSTGRES, self._dsn)
        counted = self._sessions.counted()
        with embedded.down(POSTGRES):
            self._sessions.go_on_from(counted)
            if self._log:
                self._log.read()
                self._log.rewind()
            yield

    def close(self) -> None:
        """Disconnect."""
        for session in (self._admin, self._copy, self.__dict__.get("truth")):
            if session:
                session.close()

    @contextmanager
    def _counting_buffers(self, seen: DatabaseActivity) -> Iterator[None]:
        if accounts.is_account(self._dsn):
            count = BufferCount(self._admin, None, [self._admin, self._copy, self.truth])
        else:
            count = BufferCount(self._admin, self.name, [self._copy] if self._is_ours else [])
        self._have_all_told()
        with count.counting(seen):
            yield
            self._have_all_told()

    def _have_all_told(self) -> None:
        """End the service's sessions: the server has then counted all that they looked at. Raises Failed."""
        _, gone = self._end_sessions()
        if not gone:
            raise Failed(f"sessions that end within {END_SECONDS} s of being told to", "some went on")

    def _end_sessions(self) -> tuple[int, bool]:
        """End every session of the service. Return how many there were, and whether all are gone in time."""
        ended = [session["pid"] for session in self._sessions.open()]
        self._admin.rows("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", ended)
        gone = until(lambda: not self._admin.value(LEFT, ended), END_SECONDS, pause=0.002)
        return len(ended), gone

    @contextmanager
    def _logging(self) -> Iterator[StatementLog]:
        own_process(POSTGRES, self._dsn)
        with StatementLog(self._admin, POSTGRES.log(), self.name, self._copy.pids) as self._log:
            try:
                yield self._log
            finally:
                self._log = None


def _processes(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)
