"""An author's work: what a solution is, a notebook's parts, the release of labs, a learner's copies."""

from underload import lightly  # noqa: F401
from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "STEM": "notebook",
        "check_name": "notebook",
        "hand_out": "workbook",
        "is_in_use": "workbook",
        "judged_as": "notebook",
        "lab_from": "labs",
        "lab_stems": "notebook",
        "protected": "notebook",
        "release": "labs",
        "written_metadata": "notebook",
    },
)
__all__ = __dir__()
