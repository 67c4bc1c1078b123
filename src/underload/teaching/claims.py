"""A lesson's last word on an experiment."""

from underload import finding
from underload.loading import number


def claim(statement: str, holds: bool, measured: float | str = "") -> None:
    """Print whether what was measured bears ``statement`` out. ``measured`` is the figure it rests on.

    Raises:
        NotMet: it does not, under pytest.
    """
    figure = number(measured) if isinstance(measured, int | float) else measured
    said = [f"{'✔' if holds else '✘'} {statement}" + (f" (measured {figure})" if figure else "")]
    if not holds:
        said.append("  Not in this run. Measure again; `underload doctor` says what may have disturbed it.")
    finding.tell("\n".join(said), holds)
