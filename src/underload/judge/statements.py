"""The statements that a database is sent, read from the server's log."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from asyncpg import introspection

from underload.judge import sql

MOST_KEPT = 1_000_000  # statements
LONGEST = 1_000_000  # characters of one of them
REMEMBERED = 10_000  # characters of one that is looked at only once

BIND, FAILED, SIMPLE = "bind ", "STATEMENT:  ", "statement: "
# What continues a record begins with a tab, whatever was in the statement. One may answer before it is
# executed: its constants are computed when it is bound, by functions that can raise what they found.
RECORD = re.compile(
    r"(?P<process>\d+)\|(?P<transaction>[^|]*)\|(?P<database>.*?)\|"
    rf"(?:LOG:  (?:duration: \S+ ms  (?={BIND}))?)?"
    rf"(?P<kind>{SIMPLE}|execute |fastpath function call: |{BIND}|{FAILED})(?P<text>.*)",
    re.DOTALL,
)
# How drivers begin and end a transaction and look after a session: nothing of the service's runs by it.
CONTROL = re.compile(
    r"(?:begin|start transaction|commit|end|rollback|abort|savepoint|release|set|reset|show|discard|close"
    r"|listen|unlisten|deallocate)\b.*"
    r"|select (?:1|pg_catalog\.version\(\))"
)
# What they ask for themselves, and a service may answer by a function, table or setting of its own.
SUSPECT = re.compile(
    r"select (?:pg_advisory_unlock_all\(\)|version\(\)|current_schema\(\)"
    r"|current_setting\('jit'\) as cur, set_config\('jit', 'off', false\) as new"
    r"|set_config\('jit', \$1, false\))"
    r"|(?:set|show)\b(?:(?! to |=).)*[.\"].*"  # a name with a dot is its own
    r"|set constraints\b.*"  # which runs its triggers
)
INTROSPECTION = {
    " ".join(each.lower().split()) for each in (introspection.INTRO_LOOKUP_TYPES, introspection.TYPE_BY_NAME)
}
# So many of these are free beyond one for each statement of the session: asyncpg sends 3 about each kind of
# array, SQLAlchemy 1 for itself.
OPENING = 6


Command = tuple[str, bool]


class Sent(NamedTuple):
    """A command that came to the database, but for those that only control a transaction or a session."""

    process: int
    transaction: str
    text: str
    is_suspect: bool


class StatementLog:
    """Reads which statements came to one database from the log of a server that logs them all.

    One that is bound counts, whether or not it is executed, and one that fails counts for that once more.

    Attributes:
        texts: the statements that ask for or change data, without what drivers do for themselves.
        transactions: the virtual transactions that these were sent in.
    """

    def __init__(self, log: Path, database: str, judges: Collection[int]) -> None:
        self.texts: list[str] = []
        self.transactions: set[tuple[int, str]] = set()
        self._log = log
        self._database = database
        self._judges = judges  # whose statements do not count
        self._offset = log.stat().st_size
        self._sent: list[Sent] = []
        self._bound: Counter[tuple[str, str]] = Counter()  # by process: not yet executed

    def read(self) -> None:
        """Take in what was logged since the last time."""
        for record, more in self._records():
            found = RECORD.fullmatch(record)
            if not found or found["database"] != self._database or int(found["process"]) in self._judges:
                continue
            if self._is_counted_already(found):
                continue
            session = int(found["process"]), found["transaction"]
            commands = _commands(found["kind"], found["text"], more)
            self._sent += [Sent(*session, *each) for each in commands[: MOST_KEPT - len(self._sent)]]
        counted = counting(self._sent)
        self.texts = [each.text for each in counted]
        self.transactions = {(each.process, each.transaction) for each in counted}

    def _is_counted_already(self, found: re.Match[str]) -> bool:
        """Tell whether this is the execution of what was counted when it was bound."""
        what = found["process"], found["text"]
        if found["kind"] == BIND:
            self._bound[what] += 1
        elif found["kind"] == "execute " and self._bound[what]:
            self._bound[what] -= 1
            return True
        return False

    def rewind(self) -> None:
        """Read from the beginning next time: a server that starts begins a new log."""
        self._offset = 0

    def _records(self) -> Iterator[tuple[str, int]]:
        """Yield each record and, if it is too long to be kept whole, how many commands more it may hold."""
        record, more, begins = "", 0, True
        with self._log.open(encoding="utf-8", errors="replace", newline="\n") as log:
            log.seek(self._offset)
            for line in iter(lambda: log.readline(LONGEST), ""):
                if begins and not line.startswith("\t"):
                    yield record.rstrip("\n"), more
                    record, more = "", 0
                if len(record) < LONGEST:
                    record += line
                else:
                    more += 1 + line.count(";")
                begins = line.endswith("\n")
            self._offset = log.tell()
        yield record.rstrip("\n"), more


def counting(sent: list[Sent]) -> list[Sent]:
    """Return what counts: all but what drivers ask for themselves, and of that what is too much for them."""
    work = Counter(each.process for each in sent if not each.is_suspect)
    free = OPENING * (1 + len(work))
    asked: Counter[int] = Counter()
    counted = []
    for each in sent:
        if each.is_suspect:
            asked[each.process] += 1
            if asked[each.process] <= work[each.process]:
                continue
            free -= 1
            if free >= 0:
                continue
        counted.append(each)
    return counted


def _commands(kind: str, text: str, more: int) -> tuple[Command, ...]:
    """Return the commands in a record that may do something, each with whether it is suspect."""
    if kind in (SIMPLE, FAILED):
        if more:
            return ((text[:REMEMBERED], False),) * (1 + text.count(";") + more)
        return working(text) if len(text) < REMEMBERED else working.__wrapped__(text)
    # A prepared statement is one command, and may have any name, such as "x: BEGIN --".
    _, colon, text = text.partition(": ")
    found = working(text) if colon and ": " not in text and len(text) < REMEMBERED else None
    return found if found is not None and len(found) < 2 else ((text[:REMEMBERED], False),)


@lru_cache(maxsize=1_000)
def working(statement: str) -> tuple[Command, ...]:
    """Return the commands in a statement, but for those that only control a transaction or a session.

    With each comes whether it is suspect: what drivers ask for themselves, or somebody in their name.
    """
    readings = sql.readings(statement)
    if not readings:
        return ((statement, False),) * (1 + statement.count(";"))
    found = [
        tuple((each, suspect) for each in commands if (suspect := _is_suspect(each)) or not _is_control(each))
        for commands in readings
    ]
    return max(found, key=len)


def _is_suspect(command: str) -> bool:
    plain = _plain(command)
    return SUSPECT.fullmatch(plain) is not None or plain in INTROSPECTION


def _is_control(command: str) -> bool:
    return CONTROL.fullmatch(_plain(command)) is not None


def _plain(command: str) -> str:
    return " ".join(command.lower().split())
