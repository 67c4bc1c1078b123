"""Where the course is: the checkout, or a smaller one that the tests make."""

import os
from pathlib import Path

ROOT = Path(os.environ.get("UNDERLOAD_COURSE") or Path(__file__).resolve().parents[2])
SOLUTIONS = ROOT / "solutions"
LABS = ROOT / "labs"
CHECKS = LABS / "checks"
