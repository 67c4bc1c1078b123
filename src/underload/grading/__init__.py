"""Grading a cohort: labs made from solutions, submissions read defensively, run in a sandbox, reported."""

import sys

# nbformat's validator would spend a second of every start on the grammar of addresses that no notebook holds.
sys.modules.setdefault("rfc3987_syntax", None)
