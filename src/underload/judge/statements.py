"""The statements that a database is sent, read from the server's log."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from asyncpg import introspection

from underload.errors import UnderloadError
from underload.judge.connection import Connection
from underload.waiting import until

# In force for sessions that are already open too, which a setting of their database would not reach.
SETTINGS = {
    "log_statement": "all",
    "log_line_prefix": "%p|%v|%d|",  # process, virtual transaction, database
    "log_parameter_max_length": "0",
}
RELOAD_SECONDS = 5
MOST_KEPT = 1_000_000  # statements
LONGEST = 100_000  # characters of one of them
LOCK = 20130102  # in the maintenance database: the settings are one for all

# What continues a record begins with a tab, whatever was in the statement.
RECORD = re.compile(
    r"(?P<process>\d+)\|(?P<transaction>[^|]*)\|(?P<database>.*?)\|LOG:  "
    r"(?:statement: |execute (?:fetch from )?(?P<name>.*?): |fastpath function call: )(?P<text>.*)",
    re.DOTALL,
)
PIECE = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"[^\"]*\""
    r"|\$(\w*)\$.*?\$\3\$|\w+|\s+|.",
    re.DOTALL,
)
# How drivers begin and end a transaction, look after a session, and find out about types.
CONTROL = re.compile(
    r"(?:begin|start transaction|commit|end|rollback|abort|savepoint|release|set|reset|show|discard|close"
    r"|listen|unlisten|deallocate)\b.*"
    r"|select (?:1|pg_advisory_unlock_all\(\)|(?:pg_catalog\.)?version\(\)|current_schema\(\)"
    r"|current_setting\('jit'\) as cur, set_config\('jit', 'off', false\) as new"
    r"|set_config\('jit', \$1, false\))"
)
INTROSPECTION = {
    " ".join(each.lower().split()) for each in (introspection.INTRO_LOOKUP_TYPES, introspection.TYPE_BY_NAME)
}


class StatementLog:
    """Has our server log every statement, and reads which came to one database. A context manager.

    Attributes:
        texts: the statements that ask for or change data, without what drivers do for themselves.
        transactions: the virtual transactions that these were sent in.
    """

    def __init__(self, admin: Connection, log: Path, database: str, judges: Collection[int]) -> None:
        self.texts: list[str] = []
        self.transactions: set[tuple[int, str]] = set()
        self._admin = admin
        self._log = log
        self._database = database
        self._judges = judges  # whose statements do not count
        self._offset = 0

    def __enter__(self) -> "StatementLog":
        try:
            self._admin.rows("SELECT pg_advisory_lock($1)", LOCK)
        except TimeoutError:
            raise UnderloadError(
                "Another judge is counting statements on this server: wait until its check is done, "
                "or stop that notebook's kernel, and check again."
            ) from None
        try:
            for name, value in SETTINGS.items():
                self._admin.rows(f"ALTER SYSTEM SET {name} = '{value}'")
            self._reload()
        except BaseException:
            self.__exit__()
            raise
        self._offset = self._log.stat().st_size
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            _reset(self._admin)
        finally:
            self._admin.value("SELECT pg_advisory_unlock($1)", LOCK)

    def read(self) -> None:
        """Take in what was logged since the last time."""
        for record in self._records():
            found = RECORD.fullmatch(record)
            if not found or found["database"] != self._database or int(found["process"]) in self._judges:
                continue
            if commands := _sent(found["name"], found["text"]):
                self.texts += commands[: MOST_KEPT - len(self.texts)]
                self.transactions.add((int(found["process"]), found["transaction"]))

    def rewind(self) -> None:
        """Read from the beginning next time: a server that starts begins a new log."""
        self._offset = 0

    def _records(self) -> Iterator[str]:
        record, begins = "", True
        with self._log.open(encoding="utf-8", errors="replace", newline="\n") as log:
            log.seek(self._offset)
            for line in iter(lambda: log.readline(LONGEST), ""):
                if begins and not line.startswith("\t"):
                    yield record.rstrip("\n")
                    record = ""
                if len(record) < LONGEST:
                    record += line
                begins = line.endswith("\n")
            self._offset = log.tell()
        yield record.rstrip("\n")

    def _reload(self) -> None:
        self._admin.rows("SELECT pg_reload_conf()")
        # The postmaster tells all sessions of the new settings before it accepts the next connection.
        if not until(self._reached_newcomers, RELOAD_SECONDS):
            raise UnderloadError(
                "PostgreSQL does not take new settings: run `underload services stop`, try again."
            )

    def _reached_newcomers(self) -> bool:
        newcomer = Connection(self._admin.dsn)
        try:
            return newcomer.value("SHOW log_statement") == SETTINGS["log_statement"]
        finally:
            newcomer.close()


def heal(admin: Connection) -> None:
    """End the logging that a judge began which was killed."""
    if not admin.value("SELECT count(*) FROM pg_file_settings WHERE name = 'log_statement'"):
        return
    if admin.value("SELECT pg_try_advisory_lock($1)", LOCK):
        _reset(admin)
        admin.value("SELECT pg_advisory_unlock($1)", LOCK)


def _reset(admin: Connection) -> None:
    for name in SETTINGS:
        admin.rows(f"ALTER SYSTEM RESET {name}")
    admin.rows("SELECT pg_reload_conf()")


def _sent(name: str | None, text: str) -> tuple[str, ...]:
    # A prepared statement may have any name, such as "x: BEGIN --", and is one command in any case.
    return (text,) if name and ": " in text else working(text)


@lru_cache(maxsize=1_000)
def working(statement: str) -> tuple[str, ...]:
    """Return the commands in a statement, but for those that only control a transaction or a session."""
    return tuple(each for each in _commands(statement) if not _is_housekeeping(each))


def _commands(statement: str) -> Iterator[str]:
    """Split what was sent at once, leaving out comments."""
    command = ""
    for piece in PIECE.finditer(statement + ";"):
        if piece["end"]:
            if command.strip():
                yield command.strip()
            command = ""
        else:
            command += " " if piece["comment"] else piece[0]


def _is_housekeeping(command: str) -> bool:
    plain = " ".join(command.lower().split())
    return CONTROL.fullmatch(plain) is not None or plain in INTROSPECTION
