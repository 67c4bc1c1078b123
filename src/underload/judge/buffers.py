"""How many buffers the sessions of a service look at, by counters that it cannot lower."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from underload.judge.activity import DatabaseActivity
from underload.judge.connection import Connection
from underload.judge.expect import Failed

# The counters of a table leave with it, and a database's never hear of what a session read in a table that it
# made in the same transaction. What the server counts stays, and is of one service where it serves only one.
OF_SERVER = """
    SELECT sum(hits + read_bytes / current_setting('block_size')::int)::bigint
    FROM pg_catalog.pg_stat_get_io() WHERE backend_type IN ('client backend', 'background worker')"""
OF_DATABASE = """
    SELECT pg_catalog.pg_stat_get_db_blocks_fetched(oid) FROM pg_catalog.pg_database WHERE datname = $1"""
OF_SESSION = """
    SELECT pid, sum(hits + read_bytes / current_setting('block_size')::int)::bigint AS looked_at
    FROM unnest($1::int[]) AS pid, LATERAL pg_catalog.pg_stat_get_backend_io(pid) GROUP BY pid"""
BEGINNING = "SELECT pg_catalog.pg_stat_get_bgwriter_stat_reset_time()"
TELL = "SELECT pg_catalog.pg_stat_force_next_flush()"


class BufferCount:
    """Counts the buffers that others than the judge look at: in one database, or on a server all its own.

    Args:
        admin: a connection to another database of that server.
        database: its name, or None for all that the server does.
        judges: the judge's sessions that would be counted too, if the server can tell what they look at.
    """

    def __init__(self, admin: Connection, database: str | None, judges: Sequence[Connection]) -> None:
        self._admin = admin
        self._database = database
        self._judges = judges

    @contextmanager
    def counting(self, seen: DatabaseActivity) -> Iterator[None]:
        """Count meanwhile. All others' sessions must just have ended, here and once more in the end.

        Raises:
            Failed: the server was killed meanwhile, and has forgotten.
        """
        beginning, total, own = self._counted()
        yield
        beginning_after, total_after, own_after = self._counted()
        # A session of the judge's that was opened meanwhile began at 0.
        judges = sum(looked_at - own.get(pid, 0) for pid, looked_at in own_after.items())
        looked_at = total_after - total - judges
        if beginning != beginning_after or looked_at < 0:
            raise Failed("a PostgreSQL that goes on counting", "it was restarted, or its counters reset")
        seen.looked_at = looked_at

    def _counted(self) -> tuple[object, int, dict[int, int]]:
        """Return since when the server counts, what it has counted, and the judge's part by session."""
        ours = [session for session in self._judges if session.is_open]
        for session in ours:
            session.rows(TELL)
        own = self._admin.rows(OF_SESSION, [session.pids[-1] for session in ours]) if ours else []
        named = () if self._database is None else (self._database,)
        total = self._admin.value(OF_SERVER if self._database is None else OF_DATABASE, *named)
        return self._admin.value(BEGINNING), total, {row["pid"]: row["looked_at"] for row in own}
