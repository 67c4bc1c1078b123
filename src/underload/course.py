"""Where the course is: the checkout, or a smaller one that the tests make."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("UNDERLOAD_COURSE") or CHECKOUT)
DATA = CHECKOUT / "data"
LESSONS = ROOT / "notebooks"
SOLUTIONS = ROOT / "solutions"
LABS = ROOT / "labs"
CHECKS = LABS / "checks"
STUDY = ROOT / "study"  # the learner's own copies, in folders named as those they are made from
