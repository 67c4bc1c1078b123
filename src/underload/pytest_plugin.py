"""A pytest plugin: what nbval compares in our notebooks. Measured figures differ from run to run."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let nbval read our patterns, unless the reader gives others."""
    if getattr(config.option, "nbval_sanitize_with", "absent") is None:
        config.option.nbval_sanitize_with = str(Path(__file__).with_name("nbval_sanitize.cfg"))
