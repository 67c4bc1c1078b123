"""Each lab, proven both ways by the real grader, and against services that look right and are not."""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

from underload import sandbox
from underload.authoring.labs import release
from underload.cli import main
from underload.course import LABS, SOLUTIONS
from underload.judge.requirements import load_requirements

WRONG = sorted((Path(__file__).parent / "submissions").glob("*/*.py"))
STEMS = {path.stem.partition("-")[2]: path.stem for path in sorted(SOLUTIONS.glob("*.ipynb"))}
HEADER = re.compile(r"# from (lab|solution); loses: ([\w ]+)\n")
LESSONS = SOLUTIONS.parent / "notebooks"
MINUTES = 15  # a lab
JOBS = 4  # most checks wait, count or compare: these share the machine

by_lab = pytest.mark.parametrize("lab", STEMS)


def wrong_notebook(path: Path) -> nbformat.NotebookNode:
    """Return a lab, or its solution, with the cell of a wrong service before the judge's."""
    start, _ = HEADER.match(path.read_text()).groups()
    folder = LABS if start == "lab" else SOLUTIONS
    notebook = nbformat.read(folder / f"{STEMS[path.parent.name]}.ipynb", as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "lab")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(path.read_text(), id="wrong"))
    return notebook


def hand_in(folder: Path, lab: str) -> None:
    """Make a cohort of one lab: who hands it in as shipped, who the solution, and who a wrong service."""
    name = f"{STEMS[lab]}.ipynb"
    for student, source in (("as shipped", LABS), ("solved", SOLUTIONS)):
        (folder / student).mkdir(parents=True, exist_ok=True)
        (folder / student / name).write_bytes((source / name).read_bytes())
    for path in WRONG:
        if path.parent.name == lab:
            (folder / path.stem).mkdir(exist_ok=True)
            nbformat.write(wrong_notebook(path), folder / path.stem / name)


def lab_of(item: pytest.Item) -> str:
    parameters = item.callspec.params
    return parameters["lab"] if "lab" in parameters else parameters["path"].parent.name


@pytest.fixture(scope="module")
def graded(request, tmp_path_factory):
    """Grade the cohorts of all labs that are asked for, at once: by lab and student, the checks not passed.

    Together they start the grader's servers once, and fill the machine to the last of them.
    """
    labs = {lab_of(item) for item in request.session.items if item.get_closest_marker("cohort")}
    folder = tmp_path_factory.mktemp("cohorts")
    for lab in labs:
        hand_in(folder / "in", lab)
    command = [sys.executable, "-c", f"from {main.__module__} import main; main()", "grade"]
    options = ["--out", folder / "out", "--jobs", str(JOBS)]
    subprocess.run([*command, folder / "in", *options], check=True, timeout=60 * MINUTES * len(labs))
    records = [json.loads(path.read_text()) for path in (folder / "out").glob("*/*.json")]
    assert {record["status"] for record in records} == {"graded"}
    lost: dict[str, dict[str, set[str]]] = {lab: {} for lab in labs}
    for record in records:
        failed = {check["name"] for check in record["checks"] if not check["passed"]}
        lost[record["lab"].partition("-")[2]][record["student"]] = failed
    return lost


def test_the_labs_are_what_the_solutions_release():
    assert release(check=True) == []


@pytest.mark.cohort
@by_lab
def test_as_shipped_it_fails_every_check(graded, lab):
    assert graded[lab]["as shipped"] == set(load_requirements(lab).checks)


@pytest.mark.cohort
@by_lab
def test_solved_it_passes_every_check(graded, lab):
    assert graded[lab]["solved"] == set()


@pytest.mark.cohort
@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_plausible_wrong_service_loses_exactly_what_it_should(graded, path):
    """One that is right in another way than the solution "loses: nothing"."""
    _, loses = HEADER.match(path.read_text()).groups()
    assert graded[path.parent.name][path.stem] == set(loses.split()) - {"nothing"}


@by_lab
def test_where_to_look_are_headings_of_the_lesson(lab):
    lesson = nbformat.read(LESSONS / f"{STEMS[lab]}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    headings = set(re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    for check in load_requirements(lab).checks.values():
        named = set(re.findall(r"“(.*?)”", check.look))
        assert named and named <= headings, check.name


@by_lab
def test_a_lab_says_which_packages_there_are(lab):
    cells = nbformat.read(LABS / f"{STEMS[lab]}.ipynb", as_version=4).cells
    said = re.search(
        r"Use any package that this course installs, such as (.*)\. No others\s+are there", cells[0].source
    )
    assert said and all(map(find_spec, re.findall(r"`(\w+)`", said[1])))


@by_lab
def test_a_lab_ships_without_outputs(lab):
    cells = nbformat.read(LABS / f"{STEMS[lab]}.ipynb", as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code and all((cell.outputs, cell.execution_count) == ([], None) for cell in code)


def test_a_learner_alone_sees_exactly_the_checks_of_the_shipped_lab_fail():
    """The solved ones are run by pytest itself, which collects solutions/. One that fails stands for all."""
    lab, path = "blocking", LABS / f"{STEMS['blocking']}.ipynb"
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-q", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    checks = {number for number, cell in enumerate(code) if "check" in cell.metadata.get("tags", [])}
    assert {
        int(number) for number in re.findall(r"^FAILED .*::Cell (\d+)", done.stdout, re.MULTILINE)
    } == checks
    assert f"{len(checks)} failed, {len(code) - len(checks)} passed" in done.stdout
    for check in load_requirements(lab).checks.values():
        assert f"✘ 0/{check.points} {check.requirement}" in done.stdout


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_submissions_here_are_graded_in_a_sandbox():
    """Without one the tests above would pass as well, and prove less."""
    assert sandbox.unavailable() == ""
