"""The learner's own copies: no answer below its question, nothing overwritten, links that lead on."""

import ast
import os
import re
import subprocess
import sys

import nbformat
import pytest
from courses import code, shown, text
from nbformat.v4 import new_notebook

from underload import study
from underload.authoring.notebook import text_of
from underload.authoring.workbook import hand_out, is_in_use, without_guesses, workbook_of
from underload.course import LABS, LESSONS
from underload.errors import UnderloadError
from underload.study import find_lesson

COMMITTED = [*sorted(LESSONS.glob("*.ipynb")), *sorted(LABS.glob("*.ipynb"))]
LINK = re.compile(r"\]\((?!http)([^)#]+\.ipynb)\)")


def lesson(number=500):
    cells = [
        text("title", "# Lesson, then its [lab](../labs/01-blocking.ipynb)"),
        code("guess", f'guess = predict("req/s", {number})', **shown("Predicted: req/s: 500", 1)),
        code("answer", "measured = 19.9", "answer", **shown("19.9", 2)),
        text("end", "The usual answer is 1,000.", "instructor"),
    ]
    about = {"minutes": 60}
    return new_notebook(cells=cells, metadata={"underload": about, "language_info": {"name": "python"}})


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one lesson and its lab, which `study` opens."""
    for folder in ("notebooks", "labs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "01-blocking.ipynb").write_text(text_of(lesson()))
    for name, place in {"ROOT": ".", "LESSONS": "notebooks", "LABS": "labs", "STUDY": "study"}.items():
        monkeypatch.setattr(study, name, tmp_path / place)
    return tmp_path


@pytest.fixture
def source(course):
    return course / "notebooks/01-blocking.ipynb"


@pytest.fixture
def own(course):
    return course / "study/notebooks/01-blocking.ipynb"


def rewrite(path, change):
    """Change a notebook as somebody would who works on it."""
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    path.write_text(text_of(notebook))


def answered(notebook):
    notebook.cells[1].source = 'guess = predict("req/s", 1_000)'


def ran(notebook):
    for number, cell in enumerate(notebook.cells[1:3], 1):
        cell.update(shown("measured here", number))
    notebook.metadata.language_info["version"] = "3.12"


# What a copy is without


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_copy_holds_no_answer_of_the_course(path):
    before, copy = nbformat.read(path, as_version=4), workbook_of(path)
    nbformat.validate(copy)
    kept = [cell for cell in before.cells if "instructor" not in cell.metadata.get("tags", [])]
    assert [cell.id for cell in copy.cells] == [cell.id for cell in kept]
    for cell, other in zip(copy.cells, kept, strict=True):
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
        if "predict(" not in cell.source:
            assert cell.source == other.source
    for call in predictions_in(copy):
        assert len(call.args) == 1 and not call.keywords, ast.unparse(call)
    assert len(predictions_in(copy)) == len(predictions_in(before))


def predictions_in(notebook):
    sources = [
        cell.source for cell in notebook.cells if cell.cell_type == "code" and "predict(" in cell.source
    ]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "predict"]


@pytest.mark.parametrize(
    ("filled_in", "open"),
    [
        ('guess = predict("req/s", 1_000)', 'guess = predict("req/s")'),
        ("predict('ü → é', guess=5); after", "predict('ü → é'); after"),
        ('ö = 1; predict("a", (5))  # why', 'ö = 1; predict("a")  # why'),
        (
            'x = await f()\nguess = predict(\n    "a"\n    "b",\n    5,\n)',
            'x = await f()\nguess = predict("a"\n    "b")',
        ),
        ('a, b = predict("a", 1), predict("b", 2)', 'a, b = predict("a"), predict("b")'),
        ('predict("with (5), in it")', 'predict("with (5), in it")'),
        ('text = \'predict("a", 5)\'  # predict("a", 5)', 'text = \'predict("a", 5)\'  # predict("a", 5)'),
        ('%%writefile x.py\npredict("a", 5)', '%%writefile x.py\npredict("a", 5)'),
        ("model.predict(rows, 5)", "model.predict(rows, 5)"),
    ],
)
def test_a_guess_is_taken_out_and_nothing_else(filled_in, open):
    assert without_guesses(filled_in) == open


def test_a_copy_of_a_lab_is_still_that_lab(tmp_path):
    for path in sorted(LABS.glob("*.ipynb")):
        copy, lab = workbook_of(path), nbformat.read(path, as_version=4)
        assert copy.metadata.underload.lab == lab.metadata.underload.lab
        assert [cell.source for cell in copy.cells] == [cell.source for cell in lab.cells]
        assert [cell.metadata for cell in copy.cells] == [cell.metadata for cell in lab.cells]


# What is never overwritten


def test_a_copy_is_made_once(source, own):
    assert hand_out(source, own) == own
    before = own.stat().st_mtime_ns
    assert hand_out(source, own) == own
    assert own.stat().st_mtime_ns == before  # else JupyterLab would ask whose version to keep
    assert [path.name for path in own.parent.iterdir()] == [own.name]
    assert not is_in_use(own)


@pytest.mark.parametrize("work", [answered, ran, lambda notebook: notebook.cells.pop()])
def test_work_stays_and_a_newer_lesson_comes_to_stand_beside_it(source, own, work):
    hand_out(source, own)
    rewrite(own, work)
    mine = own.read_bytes()
    assert is_in_use(own)
    assert hand_out(source, own) == own  # the lesson is the same

    rewrite(source, lambda notebook: notebook.cells[0].update(source="# A better lesson"))
    fresh = hand_out(source, own)
    assert fresh.name == "01-blocking.fresh.ipynb"
    assert nbformat.read(fresh, as_version=4).cells[0].source == "# A better lesson"
    rewrite(fresh, work)
    also_mine = fresh.read_bytes()
    assert hand_out(source, own) == fresh

    rewrite(source, lambda notebook: notebook.cells[0].update(source="# The best lesson"))
    assert hand_out(source, own).name == "01-blocking.fresh-2.ipynb"
    assert (own.read_bytes(), fresh.read_bytes()) == (mine, also_mine)


def test_outputs_and_guesses_of_the_course_make_no_newer_lesson(source, own):
    hand_out(source, own)
    rewrite(own, answered)
    rewrite(source, ran)
    source.write_text(source.read_text().replace('\\"req/s\\", 500', '\\"req/s\\", 900'))
    assert hand_out(source, own) == own


def test_a_copy_not_yet_begun_is_renewed(source, own):
    hand_out(source, own)
    rewrite(source, lambda notebook: notebook.cells[0].update(source="# A better lesson"))
    assert hand_out(source, own) == own
    assert nbformat.read(own, as_version=4).cells[0].source == "# A better lesson"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"cells": 3, "metadata": {}}'])
def test_what_cannot_be_read_may_be_somebodys_work(source, own, content):
    own.parent.mkdir(parents=True)
    own.write_bytes(content)
    assert hand_out(source, own).name == "01-blocking.fresh.ipynb"
    assert own.read_bytes() == content


def test_a_lesson_that_cannot_be_read_is_one_sentence(source, own):
    source.write_text("{")
    with pytest.raises(UnderloadError, match=r"git checkout notebooks/01-blocking.ipynb") as error:
        hand_out(source, own)
    assert not own.exists() and str(error.value).endswith(".")


def test_a_folder_that_cannot_be_written_is_one_sentence(source, own, course):
    (course / "study").touch()
    with pytest.raises(UnderloadError, match="cannot be written") as error:
        hand_out(source, own)
    assert "\n" not in str(error.value)


# What is opened


@pytest.fixture
def opened(course, monkeypatch, capsys):
    """Open a lesson up to where JupyterLab would take over. Return what it would show, and what was said."""
    started = []
    monkeypatch.setattr(os, "execve", lambda program, command, environment: started.append(command))

    def open_course(*arguments, **options):
        study.open_course(*arguments, browser=False, **options)
        [shows] = [word for word in started.pop() if "default_url" in word]
        return shows.rpartition("/lab/tree/")[2], capsys.readouterr().out

    return open_course


def test_it_opens_the_learners_copy_and_says_which(opened, own):
    shown, said = opened("01")
    assert shown == "study/notebooks/01-blocking.ipynb"
    assert shown in said
    assert own.exists()
    assert opened("1", lab=True)[0] == "study/labs/01-blocking.ipynb"


def test_where_it_listens_can_be_said(own):
    assert "--ServerApp.ip=127.0.0.1" in study.lab_command(own, own.parent, browser=False)
    assert "--ServerApp.ip=0.0.0.0" in study.lab_command(own, own.parent, browser=False, ip="0.0.0.0")


def test_it_says_in_one_sentence_that_the_course_has_a_newer_version(opened, source, own):
    opened("01")
    rewrite(own, answered)
    assert "newer" not in opened("01")[1]
    rewrite(source, lambda notebook: notebook.cells[0].update(source="# A better lesson"))
    for _ in range(2):
        shown, said = opened("01")
        assert shown == "study/notebooks/01-blocking.ipynb"
        _, newer, _ = said.splitlines()
        assert newer.endswith("study/notebooks/01-blocking.fresh.ipynb.")


def test_links_between_copies_lead_on(opened, own, monkeypatch):
    monkeypatch.setattr(study, "LESSONS", LESSONS)
    monkeypatch.setattr(study, "LABS", LABS)
    opened("00")
    copies = sorted(own.parents[1].glob("*/*.ipynb"))
    assert len(copies) == len([*LESSONS.glob("*.ipynb"), *LABS.glob("*.ipynb")])
    for copy in copies:
        for link in LINK.findall("\n".join(cell.source for cell in nbformat.read(copy, as_version=4).cells)):
            assert (copy.parent / link).resolve() in copies, (copy, link)


def test_another_notebook_that_is_broken_or_begun_does_not_matter(opened, course, own):
    opened("01")
    rewrite(own, answered)
    mine = own.read_bytes()
    rewrite(course / "notebooks/01-blocking.ipynb", lambda notebook: notebook.cells[0].update(source="# New"))
    (course / "notebooks/02-other.ipynb").write_text("{")
    opened("01", lab=True)
    assert own.read_bytes() == mine
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_a_lesson_is_found_by_its_number_and_not_its_second_copy(tmp_path):
    for name in ("01-blocking.fresh.ipynb", "01-blocking.ipynb", "03b-sqlalchemy_pools.ipynb"):
        (tmp_path / name).touch()
    for wanted in ("1", "01", "blocking", "01-blocking", "01-blocking.ipynb"):
        assert find_lesson(wanted, tmp_path).name == "01-blocking.ipynb"
    assert find_lesson("3b", tmp_path).stem == "03b-sqlalchemy_pools"
    with pytest.raises(UnderloadError, match=r"no '07' .* one of 01-blocking, 03b-sqlalchemy_pools\."):
        find_lesson("07", tmp_path)
    with pytest.raises(UnderloadError, match="in a clone"):
        find_lesson("07", tmp_path / "nothing")


# pytest on one's own copy


def test_pytest_compares_a_learners_copy_with_nothing(source, own):
    """What the copy holds was measured when it was saved; as the lesson it would have to be seen again."""
    rewrite(source, lambda notebook: notebook.cells.pop(1))  # predict() is not imported there
    rewrite(source, lambda notebook: notebook.cells[1].update(source="import time; time.perf_counter()"))
    hand_out(source, own)
    for work in (lambda notebook: None, lambda notebook: notebook.cells[1].update(shown("12.3", 1))):
        rewrite(own, work)
        assert validated(own) == (0, "1 passed")
    rewrite(own, lambda notebook: notebook.metadata.underload.pop("copy_of"))
    assert validated(own) == (1, "1 failed")


def validated(path):
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-q", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=path.parent)
    return done.returncode, re.search(r"\d+ (passed|failed)", done.stdout)[0]
