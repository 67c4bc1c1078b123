"""The workflow that grades a push collects what was pushed, and asks for a report of it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from underload.cli import app

WORKFLOW = yaml.safe_load((Path(__file__).parents[1] / ".github/workflows/grade.yml").read_text())
STEPS = {step.get("name", ""): step.get("run", "") for step in WORKFLOW["jobs"]["grade"]["steps"]}


def step(beginning):
    return next(run for name, run in STEPS.items() if name.startswith(beginning))


def shell(script, folder, **environment):
    identity = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **identity, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def fork(tmp_path):
    """A repository with two labs, one of which the second commit changed, and the first commit."""
    (tmp_path / "study/labs").mkdir(parents=True)
    for name in ("00-measuring", "01-blocking"):
        (tmp_path / f"study/labs/{name}.ipynb").write_text("shipped")
    shell("git init -q && git add . && git commit -qm shipped", tmp_path)
    before = shell("git rev-parse HEAD", tmp_path)
    (tmp_path / "study/labs/01-blocking.ipynb").write_text("solved")
    (tmp_path / "study/labs/notes, mine.ipynb").write_text("a name that a shell would split")
    shell("git add . && git commit -qm solved", tmp_path)
    return tmp_path, before


@pytest.mark.parametrize(
    "known, labs",
    [
        (True, ["01-blocking.ipynb", "notes, mine.ipynb"]),
        (False, ["00-measuring.ipynb", "01-blocking.ipynb", "notes, mine.ipynb"]),
    ],
)
def test_it_collects_the_labs_of_the_push_or_all_if_it_is_the_first(fork, known, labs):
    folder, before = fork
    shell(step("Collect"), folder, BEFORE=before if known else "0" * 40, STUDENT="ada")
    assert sorted(path.name for path in (folder / "submissions/ada").iterdir()) == labs


def test_its_command_is_one_that_underload_has():
    (options,) = re.findall(r"underload grade (.*)", step("Grade"))
    said = CliRunner().invoke(app, ["grade", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert {option for option in options.split() if option.startswith("--")} <= set(
        re.findall(r"--[\w-]+", said)
    )


def test_it_may_read_the_repository_and_no_more():
    assert WORKFLOW["permissions"] == {"contents": "read"}
