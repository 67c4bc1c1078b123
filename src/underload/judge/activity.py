"""What came to a database while it was watched."""

from dataclasses import dataclass

from underload.errors import UnderloadError
from underload.judge.expect import Observed
from underload.judge.statements import StatementLog

NOTHING = float("nan")


@dataclass
class DatabaseActivity:
    """What came to a database while it was watched, known at the end of the watch."""

    peak: float = NOTHING
    idle: float = NOTHING
    opened: float = NOTHING
    total: float = NOTHING
    looked_at: float | None = None
    log: StatementLog | None = None

    @property
    def peak_sessions(self) -> Observed:
        """How many sessions were open at once."""
        return Observed(self.peak, "PostgreSQL sessions at once", "sessions")

    @property
    def opened_sessions(self) -> Observed:
        """How many sessions were opened."""
        return Observed(self.opened, "PostgreSQL sessions opened", "sessions")

    @property
    def total_sessions(self) -> Observed:
        """How many sessions there were: those open at the start and those opened."""
        return Observed(self.total, "PostgreSQL sessions in all", "sessions")

    @property
    def idle_in_transaction(self) -> Observed:
        """How many sessions at once held a transaction open and did nothing."""
        return Observed(self.idle, "PostgreSQL sessions idle in a transaction", "sessions")

    @property
    def buffers(self) -> Observed:
        """How many buffers of 8 kB the service's sessions looked at."""
        if self.looked_at is None:
            raise UnderloadError("Buffers were not counted: watch with `db.watch(buffers=True)`.")
        return Observed(self.looked_at, "buffers looked at", "buffers")

    @property
    def statements(self) -> Observed:
        """How many statements asked for data or changed it."""
        return Observed(len(self.queries), "SQL statements", "statements")

    @property
    def transactions(self) -> Observed:
        """In how many transactions they did."""
        return Observed(len(self._logged.transactions), "transactions", "transactions")

    @property
    def queries(self) -> list[str]:
        """The texts of those statements, in order."""
        return self._logged.texts

    @property
    def _logged(self) -> StatementLog:
        if self.log is None:
            raise UnderloadError("Statements were not counted: watch with `db.watch(statements=True)`.")
        return self.log
