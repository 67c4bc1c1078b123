"""Grading a cohort: labs made from solutions, submissions read defensively, run in a sandbox, reported."""
