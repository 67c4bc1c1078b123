"""A lab's author: what a solution is, the parts of a notebook, and the release of labs from solutions."""

from underload import lightly  # noqa: F401
from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "STEM": "notebook",
        "check_name": "notebook",
        "judged_as": "notebook",
        "lab_from": "labs",
        "lab_stems": "notebook",
        "protected": "notebook",
        "release": "labs",
        "written_metadata": "notebook",
    },
)
__all__ = __dir__()
