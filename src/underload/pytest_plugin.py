"""A pytest plugin: what nbval compares in our notebooks. Measured figures differ from run to run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell


def pytest_configure(config: pytest.Config) -> None:
    """Let nbval read our patterns, unless the reader gives others."""
    if getattr(config.option, "nbval_sanitize_with", "absent") is None:
        config.option.nbval_sanitize_with = str(Path(__file__).with_name("nbval_sanitize.cfg"))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let nbval compare nothing in a learner's notebook: what it holds are outputs of the learner's own runs.

    A cell of it fails by what it raises, as a check does that is not met.
    """
    if isinstance(item, IPyNbCell) and is_learners(item.parent.nb.metadata):
        item.cell.update(outputs=[], execution_count=None)  # nbval compares no cell that was never run


def is_learners(metadata: Mapping[str, Any]) -> bool:
    """Tell by the metadata of a notebook whether it is a lab, or a learner's copy of a lesson."""
    ours = metadata.get("underload")
    return isinstance(ours, Mapping) and ("lab" in ours or "copy_of" in ours)
