"""What one run measured, on its way from the generator to the process that asked for it."""

import json
import os
import sys
from array import array
from typing import Any, BinaryIO

from underload.loading.outcome import ANSWERED

MOST_REASONS = 100
COLUMNS = ("started", "latency", "late", "unread", "status", "outcome", "reason")
_answers: BinaryIO = sys.stdout.buffer


def claim_stdout() -> None:
    """Keep standard output for answers: what a reader's user class prints goes to standard error."""
    global _answers
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)


class Rows:
    """What was measured, one row for each request. Times are seconds on this machine's monotonic clock."""

    def __init__(self) -> None:
        self.started = array("d")  # an open workload counts from the intended start
        self.latency = array("d")
        self.late = array("d")  # how long after its intended start the generator came to it
        self.unread = array("d")  # how long its answer may have lain unread, see `starved`
        self.status = array("h")  # 0: no answer
        self.outcome = array("b")
        self.reason = array("h")  # index into reasons, -1 where there is nothing to say
        self.reasons: dict[str, int] = {}
        self.good = 0

    def add(
        self,
        started: float,
        ended: float,
        status: int,
        outcome: int = ANSWERED,
        reason: str = "",
        late: float = 0.0,
        unread: float = 0.0,
    ) -> None:
        self.started.append(started)
        self.latency.append(ended - started)
        self.late.append(late)
        self.unread.append(unread)
        self.status.append(status)
        self.outcome.append(outcome)
        self.good += 200 <= status < 300
        self.reason.append(self._index(reason) if reason else -1)

    def _index(self, reason: str) -> int:
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS - 1:
            reason = "other reasons"
        return self.reasons.setdefault(reason, len(self.reasons))

    def send(self, **facts: Any) -> None:
        """Send ``facts`` and the columns, the last that is said of a run."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        layout = {name: [column.typecode, len(column)] for name, column in columns.items()}
        tell(columns=layout, reasons=list(self.reasons), **facts)
        for column in columns.values():
            _answers.write(column.tobytes())
        _answers.flush()


def tell(**facts: Any) -> None:
    """Write one line to the process that asked for this run."""
    _answers.write(json.dumps(facts).encode() + b"\n")
    _answers.flush()
