"""The one line that lives while a load runs: in a notebook cell, or on a terminal."""

import html
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ProgressLine:
    """A line of text that is rewritten in place."""

    def __init__(self, workload: str) -> None:
        self.workload = workload

    def show(self, elapsed: float, throughput: float, p99_ms: float | None, errors: int) -> None:
        """Show how the run is going: seconds so far, req/s, p99 in ms, errors so far."""
        p99 = "–" if p99_ms is None else f"{p99_ms:,.0f} ms"
        self.write(
            f"{self.workload} · {elapsed:.1f} s · {throughput:,.0f} req/s · p99 {p99} · errors {errors:,}"
        )

    def finish(self, text: str) -> None:
        """Leave ``text`` as the last word."""
        self.write(text)

    def write(self, text: str) -> None:
        """Rewrite the line; here nobody is looking."""


class CellLine(ProgressLine):
    """The line in a notebook's output area."""

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        from IPython.display import display

        self.handle = display(self._bundle(f"{workload} · starting"), raw=True, display_id=True)

    @staticmethod
    def _bundle(text: str) -> dict[str, str]:
        marked = f"<div class='underload-measured'>{html.escape(text)}</div>"
        return {"text/plain": f"load: {text}", "text/html": marked}

    def write(self, text: str) -> None:
        self.handle.update(self._bundle(text), raw=True)


class TerminalLine(ProgressLine):
    """The line on standard error, so that standard output stays clean for the result."""

    def write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def finish(self, text: str) -> None:
        self.write("")


@contextmanager
def progress(workload: str) -> Iterator[ProgressLine]:
    """Yield the line that suits the place we run in."""
    if _in_notebook():
        yield CellLine(workload)
    elif sys.stderr.isatty():
        line = TerminalLine(workload)
        try:
            yield line
        finally:
            line.write("")
    else:
        yield ProgressLine(workload)


def _in_notebook() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
