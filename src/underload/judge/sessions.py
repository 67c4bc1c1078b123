"""The sessions that a service has in its database, counted without the judge's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg

from underload.judge.activity import DatabaseActivity
from underload.judge.connection import UNANSWERED, Connection

SAMPLE_SECONDS = 0.01

# The view pg_stat_activity would join each session with its role and database.
OPEN = """
    SELECT pid, backend_start, state FROM pg_stat_get_activity(NULL)
    WHERE backend_type = 'client backend' AND pid <> ALL ($2)
    AND datid = (SELECT oid FROM pg_database WHERE datname = $1)"""
COUNTED = "SELECT sessions FROM pg_stat_database WHERE datname = $1"


class Sessions:
    """The sessions of others than the judge in one database.

    PostgreSQL counts each session that it opens, but if many open at once, some enter that count only as they
    close. Samples show what is open, but not what came and went between two of them. What was opened is
    therefore the larger of the two numbers.

    Args:
        database: its name.
        admin: a connection to another database of that server, with the right to see all sessions.
        judges: the judge's connection to this database.
    """

    def __init__(self, database: str, admin: Connection, judges: Connection) -> None:
        self._database = database
        self._admin = admin
        self._judges = judges
        self._judge_is_connecting = threading.Lock()
        self._before_restarts = 0

    def open(self) -> list[asyncpg.Record]:
        """Return those that are open now: pid, backend_start and state."""
        return self._admin.rows(OPEN, self._database, self._judges.pids)

    def counted(self) -> int:
        """Return how many PostgreSQL has counted since it was last killed, the judge's included."""
        return self._admin.value(COUNTED, self._database) or 0

    def go_on_from(self, counted: int) -> None:
        """Add what was counted before PostgreSQL was killed, after which it counts from 0."""
        self._before_restarts += counted

    def connect_judge(self) -> None:
        """Open the judge's connection between two samples, which can tell it by its pid once it is open."""
        with self._judge_is_connecting:
            self._judges.open()

    @contextmanager
    def watched(self, seen: DatabaseActivity) -> Iterator[None]:
        """Note how many sessions are opened meanwhile, and the most that are open at once."""
        before, opened_before = _names(self.open()), self._opened()
        during: set[tuple[object, ...]] = set()
        with self._sampled(seen, during):
            yield
        seen.opened = max(self._opened() - opened_before, len(during - before))
        seen.total = len(before) + seen.opened
        seen.peak = max(seen.peak, min(seen.opened, 1))  # each may have come and gone between two samples

    def _opened(self) -> int:
        """Return how many PostgreSQL has counted, ever, without the judge's."""
        return self._before_restarts + self.counted() - len(self._judges.pids)

    @contextmanager
    def _sampled(self, seen: DatabaseActivity, names: set[tuple[object, ...]]) -> Iterator[None]:
        """Look at the start, at the end and every 10 ms in between."""
        seen.peak = seen.idle = 0
        over = threading.Event()

        def sample() -> None:
            with self._judge_is_connecting:
                sessions = self.open()
            idle = sum((each["state"] or "").startswith("idle in transaction") for each in sessions)
            seen.peak, seen.idle = max(seen.peak, len(sessions)), max(seen.idle, idle)
            names.update(_names(sessions))

        def keep_sampling() -> None:
            while not over.wait(SAMPLE_SECONDS):
                with suppress(asyncpg.PostgresError, *UNANSWERED):  # the server may be down
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


def _names(sessions: list[asyncpg.Record]) -> set[tuple[object, ...]]:
    """Return what tells each session from all others: a pid alone is used again."""
    return {(each["pid"], each["backend_start"]) for each in sessions}
