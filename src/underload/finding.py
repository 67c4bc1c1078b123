"""What a check or a claim found: printed, or raised under pytest if it does not hold."""

import os

# pytest sets this variable while it runs, and the kernels that nbval starts inherit it. The grader's do not:
# there the judge's record decides, and only what broke the notebook counts as an error of a cell.
UNDER_PYTEST = "PYTEST_VERSION"


class NotMet(AssertionError):
    """A requirement that is not met, or a claim that does not hold.

    Only the message is shown, since the frames above it are ours, not the learner's.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [str(self)]


def tell(found: str, holds: bool) -> None:
    """Print what was found, so that Run All goes on. Raises NotMet under pytest if it does not hold."""
    if not holds and UNDER_PYTEST in os.environ:
        raise NotMet(found)
    print(found)
