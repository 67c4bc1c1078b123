"""The first command of README.md, run as it stands there, and the lesson it leads to in a real browser."""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

if not os.environ.get("CI"):
    pytest.importorskip("playwright", reason="for the browser: uv sync --group dev")

from browser import CLAIM, facts, opened, restart_and_run_all, served

from underload.course import CHECKOUT

LESSON = CHECKOUT / "notebooks" / "01-blocking.ipynb"


@pytest.fixture
def chromium():
    """Skip without the browser, but not where the whole course is checked."""
    if not shutil.which("chromium"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("apt-get install chromium")


def readme_command() -> str:
    """The line of a fenced block in README.md that a learner copies first."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (CHECKOUT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return next(line for block in blocks for line in block.splitlines() if "underload study" in line)


def newcomers_environment() -> dict[str, str]:
    """Ours without this virtual environment, which a newcomer does not have yet."""
    path = [
        folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "activate").exists()
    ]
    outside = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return outside | {"PATH": os.pathsep.join(path)}


def committed(notebook: Path) -> tuple[list[str], int]:
    """The claims in a notebook's saved outputs, and the number of its figures."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    return CLAIM.findall("\n".join(output.get("text", "") for output in outputs)), len(figures)


def without_measurements(claims: list[str]) -> list[str]:
    return [re.sub(r" \(measured .*\)$", "", claim) for claim in claims]


@pytest.fixture
def newcomers_course(tmp_path):
    """This course in a folder of its own, lest the newcomer works on copies of ours."""
    for name in ("notebooks", "labs"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    return tmp_path


def test_the_readme_leads_to_a_lesson_that_runs(chromium, newcomers_course):
    claims, figures = committed(LESSON)
    before = LESSON.read_bytes()
    command = ["bash", "-c", f"{readme_command()} --no-browser"]
    environment = newcomers_environment() | {"UNDERLOAD_COURSE": str(newcomers_course)}
    with served(command, CHECKOUT, environment, seconds=600) as address:
        assert urlsplit(address).path == "/lab/tree/study/notebooks/00-measuring.ipynb"
        with opened(address.replace("00-measuring", LESSON.stem)) as page:
            assert page.locator(".jp-Notebook .jp-OutputArea-output").count() == 0  # no answer, no guess
            restart_and_run_all(page)
            shown = facts(page)

    assert shown.errors == shown.not_run == shown.popups == shown.console == []
    assert without_measurements(shown.claims) == without_measurements(claims)
    assert len(claims) >= 8
    assert all(claim.startswith("✔") for claim in shown.claims)
    # Nobody gave a prediction a number, so the last figure, of predictions against outcomes, is a sentence.
    assert shown.figures == figures - 1 >= 5
    assert LESSON.read_bytes() == before
