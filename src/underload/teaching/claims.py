"""A lesson's last word on an experiment."""

from underload import finding
from underload.loading import number


def claim(statement: str, holds: bool, measured: float | str = "", passed_over: str = "") -> None:
    """Print whether what was measured bears ``statement`` out.

    Args:
        statement: what is claimed.
        holds: whether the measurement agrees.
        measured: the figure that this rests on.
        passed_over: why it cannot be tried here, such as on an old server. Then nothing is claimed.

    Raises:
        NotMet: it does not hold, under pytest.
    """
    if passed_over:
        print(f"– {statement} (passed over: {passed_over})")
        return
    figure = number(measured) if isinstance(measured, int | float) else measured
    said = [f"{'✔' if holds else '✘'} {statement}" + (f" (measured {figure})" if figure else "")]
    if not holds:
        said.append("  Not in this run. Measure again; `underload doctor` says what may have disturbed it.")
    finding.tell("\n".join(said), holds)
