"""One connection to PostgreSQL for ordinary code: opened when first needed, kept, every answer in time."""

import asyncio
import os
import threading
from contextlib import suppress
from functools import cache
from typing import Any

import asyncpg

PATIENCE = 10.0  # seconds for an answer, the connecting included
GRACE = 1.0  # seconds more before we stop believing that the loop still keeps time

# In force whatever the role or the database has set, which a service may have done. What is not named in the
# path, pg_catalog, comes first in it.
SETTINGS = {
    "search_path": "public, pg_temp",
    "role": "none",
    "row_security": "off",  # then a policy that would hide rows is an error
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # Workers would be counted as a service's, and be started by a process that a check may have paused.
    "max_parallel_workers_per_gather": "0",
}

# What a statement meets whose connection broke, or was broken, since the one before.
GONE = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's farewell has come, the end of the connection not yet
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
# What keeps PostgreSQL from answering, whatever it was asked. TimeoutError is an OSError.
UNANSWERED = (*GONE, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


class Connection:
    """A connection that any thread may use and that is made again when it was lost.

    Every method raises asyncpg.PostgresError for what the server refuses, and one of `UNANSWERED` (such as
    TimeoutError) if no answer comes within ``patience`` seconds.
    """

    def __init__(self, dsn: str, patience: float = PATIENCE, **settings: str) -> None:
        self.dsn = dsn
        self.patience = patience
        self.pids: list[int] = []  # of every backend it has had
        # Or it would go on, and hold its session, after we have given up on it.
        self._settings = {**SETTINGS, "statement_timeout": f"{patience:.0f}s", **settings}
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of one statement."""
        return self._finish(self._fetch(sql, arguments))

    def row(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Return the first row, or None."""
        return next(iter(self.rows(sql, *arguments)), None)

    def value(self, sql: str, *arguments: Any) -> Any:
        """Return the first value of the first row, or None."""
        row = self.row(sql, *arguments)
        return row[0] if row else None

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self._connection is not None and not self._connection.is_closed()

    def open(self) -> None:
        """Connect now rather than with the first statement."""
        self._finish(self._opened())

    def close(self) -> None:
        """Disconnect. What is asked afterwards connects again."""
        with suppress(*UNANSWERED):
            self._finish(self._closed())

    def _finish(self, work: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(self._in_turn(work), _loop(os.getpid()))
        try:
            return future.result(self.patience + GRACE)
        except TimeoutError:
            future.cancel()
            raise TimeoutError("no answer in time") from None

    async def _in_turn(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(self.patience), self._turn:
                return await work
        finally:
            work.close()  # if its turn never came

    async def _fetch(self, sql: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        kept = self._connection
        connection = await self._opened()
        try:
            return await self._asked(connection, sql, arguments)
        except GONE:
            if connection is not kept:
                raise
        return await self._asked(await self._opened(), sql, arguments)

    async def _asked(
        self, connection: asyncpg.Connection, sql: str, arguments: tuple[Any, ...]
    ) -> list[asyncpg.Record]:
        whole = False
        try:
            rows = await connection.fetch(sql, *arguments)
            whole = True
            return rows
        except asyncpg.PostgresError as error:
            whole = not isinstance(error, GONE)
            raise
        finally:
            if not whole:  # an answer that comes too late must not be taken for the next one's
                connection.terminate()
                self._connection = None

    async def _opened(self) -> asyncpg.Connection:
        if not self.is_open:
            self._connection = await asyncpg.connect(self.dsn, server_settings=self._settings)
            self.pids.append(self._connection.get_server_pid())
        return self._connection

    async def _closed(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close(timeout=GRACE)


@cache  # by pid, since a fork does not inherit the thread
def _loop(pid: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="judge's sessions", daemon=True).start()
    return loop
