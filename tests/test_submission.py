"""Submissions: which are found, of whom, and that nothing bad gets in without a reason that helps."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from courses import course

from underload.authoring.labs import release
from underload.errors import UnderloadError
from underload.grading import intake
from underload.grading.hand_ins import Submission, find, read
from underload.grading.intake import Rejected, parse
from underload.grading.names import folder_name


@pytest.fixture
def mini(tmp_path, monkeypatch):
    made = course(tmp_path, monkeypatch)
    release(solutions=made.solutions, labs=made.labs)
    (made.labs / "02-pooling.ipynb").write_text("{}")
    (made.labs / "01-blocking.fresh.ipynb").write_text("{}")
    made.handed_in = tmp_path / "in"
    made.handed_in.mkdir()
    return made


def hand_in(mini, place, content=None):
    """Put the lab as released, or other content, where a student would."""
    path = mini.handed_in / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((mini.labs / "01-blocking.ipynb").read_bytes() if content is None else content)
    return path


def found(mini, where=None):
    return [(each.student, each.lab) for each in find(where or mini.handed_in, mini.labs)]


def refused(mini, submission):
    with pytest.raises(Rejected) as raised:
        read(submission, mini.handed_in)
    assert_helpful(raised.value.reason)
    return raised.value


def assert_helpful(reason):
    assert reason.endswith(".")
    assert ": " in reason  # what is wrong, and what to do
    assert "\n" not in reason


def test_a_folder_of_students(mini):
    for place in ("bob/01-blocking.ipynb", "alice/02-pooling.ipynb", "alice/01-blocking.ipynb"):
        hand_in(mini, place)
    hand_in(mini, "alice/notes.txt")
    assert found(mini) == [("alice", "01-blocking"), ("alice", "02-pooling"), ("bob", "01-blocking")]
    assert not any(each.problem for each in find(mini.handed_in, mini.labs))


def test_hidden_and_deeper_notebooks_are_ignored(mini):
    hand_in(mini, "bob/01-blocking.ipynb")
    for place in (
        *(".git/01-blocking.ipynb", "bob/.ipynb_checkpoints/01-blocking.ipynb"),
        *("bob/more/01-blocking.ipynb", "bob/._01-blocking.ipynb", ".ipynb_checkpoints/bob.ipynb"),
    ):
        hand_in(mini, place)
    assert found(mini) == [("bob", "01-blocking")]


def test_one_students_folder(mini):
    hand_in(mini, "carol/01-blocking.ipynb")
    assert found(mini, mini.handed_in / "carol") == [("carol", "01-blocking")]


def test_loose_notebooks_say_which_lab_they_are(mini):
    hand_in(mini, "alice.ipynb")
    hand_in(mini, "12-smith.ipynb")
    hand_in(mini, "bob.ipynb", b"not a notebook")
    hand_in(mini, "carol.ipynb", b'{"nbformat": 4, "metadata": {}, "cells": []}')
    assert found(mini) == [("12-smith", "01-blocking"), ("alice", "01-blocking"), ("bob", ""), ("carol", "")]
    alice, bob, carol = find(mini.handed_in, mini.labs)[1:]
    read(alice, mini.handed_in)
    assert "not valid JSON" in refused(mini, bob).reason
    assert "name the notebook as the lab is" in refused(mini, carol).reason


def test_a_single_notebook(mini, monkeypatch):
    path = hand_in(mini, "carol/01-blocking.ipynb")
    assert found(mini, path) == [("carol", "01-blocking")]
    assert found(mini, hand_in(mini, "alice.ipynb")) == [("alice", "01-blocking")]
    monkeypatch.chdir(path.parent)
    [here] = find(Path("01-blocking.ipynb"), mini.labs)
    assert (here.student, here.lab) == ("carol", "01-blocking")
    read(here, Path("01-blocking.ipynb"))


def test_nothing_to_grade_is_said(mini):
    with pytest.raises(UnderloadError, match="There is no notebook in"):
        find(mini.handed_in, mini.labs)
    with pytest.raises(UnderloadError, match="give the folder"):
        find(mini.handed_in / "absent", mini.labs)


@pytest.mark.parametrize(
    "name",
    ["02-pool.ipynb", "01-blocking (1).ipynb", "01-blocking.fresh.ipynb", "homework.IPYNB", "=1.ipynb"],
)
def test_a_notebook_of_no_lab_is_refused_by_name(mini, name):
    hand_in(mini, f"bob/{name}")
    [each] = find(mini.handed_in, mini.labs)
    assert (each.student, each.lab) == ("bob", name[:-6])
    assert "01-blocking.ipynb" in refused(mini, each).reason


def test_links_are_listed_and_never_followed(mini):
    secret = mini.root / "secret"
    secret.mkdir()
    (secret / "01-blocking.ipynb").write_text("secret")
    os.mkfifo(secret / "pipe")  # who opens it, waits forever
    (mini.handed_in / "alice").mkdir()
    (mini.handed_in / "alice/01-blocking.ipynb").symlink_to(secret / "pipe")
    (mini.handed_in / "bob").symlink_to(secret)
    (mini.handed_in / "carol.ipynb").symlink_to(secret / "01-blocking.ipynb")
    (mini.handed_in / "dan.ipynb").symlink_to(secret / "absent")
    assert found(mini) == [("alice", "01-blocking"), ("bob", ""), ("carol", ""), ("dan", "")]
    for each in find(mini.handed_in, mini.labs):
        assert refused(mini, each).digest == ""
        assert "symbolic link" in refused(mini, each).reason


def test_what_is_behind_a_linked_folder_or_outside_is_not_read(mini):
    (mini.root / "elsewhere").mkdir()
    (mini.root / "elsewhere/01-blocking.ipynb").write_bytes((mini.labs / "01-blocking.ipynb").read_bytes())
    (mini.handed_in / "bob").symlink_to(mini.root / "elsewhere")
    for place, said in (
        ("bob/01-blocking.ipynb", "symbolic link"),
        ("../elsewhere/01-blocking.ipynb", "outside"),
        (mini.root / "elsewhere/01-blocking.ipynb", "outside"),
    ):
        assert said in refused(mini, Submission("bob", "01-blocking", mini.handed_in / place)).reason


def test_a_pipe_or_a_folder_in_place_of_a_notebook(mini):
    (mini.handed_in / "bob/01-blocking.ipynb").mkdir(parents=True)
    os.mkfifo(mini.handed_in / "bob/02-pooling.ipynb")
    for each in find(mini.handed_in, mini.labs):
        assert "not a file" in refused(mini, each).reason
    with pytest.raises(Rejected, match="cannot be read"):
        read(Submission("bob", "01-blocking", mini.handed_in / "bob/gone.ipynb"), mini.handed_in)


def test_two_notebooks_of_one_student_for_one_lab(mini):
    hand_in(mini, "alice/01-blocking.ipynb")
    hand_in(mini, "alice.ipynb")
    first, second = sorted(find(mini.handed_in, mini.labs), key=lambda each: bool(each.problem))
    assert (first.student, first.lab) == ("alice", "01-blocking")
    assert (second.student, second.lab) == ("alice", "./alice.ipynb")
    assert "keep one of the two" in refused(mini, second).reason


def test_a_notebook_is_read_without_its_outputs(mini):
    path = hand_in(mini, "alice/01-blocking.ipynb")
    [each] = find(mini.handed_in, mini.labs)
    notebook, digest = read(each, mini.handed_in)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in mini.lab().cells]
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_too_large_is_not_even_read(mini):
    path = hand_in(mini, "alice/01-blocking.ipynb", b"")
    os.truncate(path, 100_000_000)
    [each] = find(mini.handed_in, mini.labs)
    rejected = refused(mini, each)
    assert "100 MB" in rejected.reason
    assert rejected.digest == ""


def test_another_lab_is_refused(mini):
    hand_in(mini, "alice/02-pooling.ipynb")
    [each] = find(mini.handed_in, mini.labs)
    rejected = refused(mini, each)
    assert "'01-blocking'" in rejected.reason and "'02-pooling'" in rejected.reason
    assert len(rejected.digest) == 64


NAMES = [
    *(
        "O'Neil, Ann",
        'a "quoted" one',
        "=1+1",
        "+1",
        "-rf",
        "@you",
        "two\nlines",
        "a" * 200,
        "Åsa",
        "~",
        "日本",
    ),
    *("nul", "gradebook.csv", "$(reboot)", " ", "a b ", "a\tb", "\N{COMBINING ACUTE ACCENT}", "‮evil"),
]


def test_unusual_names(mini):
    for name in NAMES:
        hand_in(mini, f"{name}/01-blocking.ipynb")
    hand_in(mini, os.fsdecode(b"caf\xe9") + "/01-blocking.ipynb")
    submissions = find(mini.handed_in, mini.labs)
    assert {each.student for each in submissions} == {*NAMES, r"caf\xe9"}
    for each in submissions:
        each.student.encode()  # any file can hold it
        read(each, mini.handed_in)
    assert len({folder_name(each.student) for each in submissions}) == len(NAMES) + 1


@pytest.mark.parametrize("name", ["alice", "Bob Øre", "a.b@c.org", "s-1234_x", "12", "李雷"])
def test_a_plain_name_is_the_folders_name(name):
    assert folder_name(name) == name


@pytest.mark.parametrize(
    "name", [*NAMES[:8], *NAMES[9:10], *NAMES[11:], "", ".", "..", "a/b", "../x", "a\0", "x\udcff"]
)
def test_any_other_name_becomes_a_safe_one(tmp_path, name):
    folder = folder_name(name)
    assert folder != name
    assert folder != folder_name(folder)  # a student of that name has another folder
    (tmp_path / folder).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert not folder.startswith((".", "-"))


def test_names_that_look_alike_have_folders_of_their_own():
    names = ["a,b", "a;b", "a-b", "a b", "a\nb", "Å", "A\N{COMBINING RING ABOVE}"]
    assert len({folder_name(name) for name in names}) == len(names)


def raw(**changes):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [], **changes}


def cell(**changes):
    return raw(
        cells=[{"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [], **changes}]
    )


WRONG = {
    "a list": [],
    "a number": 3,
    "null": None,
    "an empty object": {},
    "nbformat a text": raw(nbformat="4"),
    "nbformat true": raw(nbformat=True),
    "minor a text": raw(nbformat_minor="5"),
    "no metadata": {"nbformat": 4, "cells": []},
    "metadata a list": raw(metadata=[]),
    "underload a list": raw(metadata={"underload": []}),
    "lab a number": raw(metadata={"underload": {"lab": 3}}),
    "cells an object": raw(cells={}),
    "cells a text": raw(cells="abc"),
    "cells of texts": raw(cells=["a"]),
    "no type": raw(cells=[{"source": "1"}]),
    "a type unheard of": cell(cell_type="magic"),
    "type a list": cell(cell_type=[]),
    "source a number": cell(source=1),
    "source null": cell(source=None),
    "source of numbers": cell(source=["a", 1]),
    "cell metadata a list": cell(metadata=[]),
    "tags a text": cell(metadata={"tags": "check"}),
    "tags of objects": cell(metadata={"tags": [{}]}),
    "outputs a number": cell(outputs=1),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_not_a_notebook(wrong):
    with pytest.raises(Rejected, match="not a notebook") as rejected:
        parse(json.dumps(wrong).encode())
    assert_helpful(rejected.value.reason)


DEEP = (
    b'{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "source": "", "metadata": {"a": %s}}]}'
)
CONTENT = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t ", "is empty"),
    "zeros": (b"\0" * 1000, "not valid JSON"),
    "latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
    "utf-16": (json.dumps(raw()).encode("utf-16"), "not UTF-8"),
    "text": (b"print('PASS')", "not valid JSON"),
    "half": (json.dumps(raw()).encode()[:-5], "not valid JSON"),
    "two": (b"{} {}", "not valid JSON"),
    "nan": (b'{"nbformat": NaN}', "not valid JSON"),
    "infinity": (b'{"nbformat": -Infinity}', "not valid JSON"),
    "huge number": (b'{"nbformat": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    "nested lists": (b"[" * 200_000, "nested too deeply"),
    "nested objects": (b'{"a":' * 200_000, "nested too deeply"),
    "nested metadata": (DEEP % (b"[" * 100 + b"]" * 100), "nested too deeply"),
    "version 3": (json.dumps({"nbformat": 3, "metadata": {}, "worksheets": []}).encode(), "an older format"),
    "version 5": (json.dumps(raw(nbformat=5)).encode(), "another format"),
    "too many cells": (json.dumps(raw(cells=[{}] * 2_001)).encode(), "2,001 cells"),
    "half a pair": (json.dumps(cell(source="\ud800")).encode(), "not Unicode text"),
    "half a pair in metadata": (json.dumps(cell(metadata={"a": "\udfff"})).encode(), "not Unicode text"),
}


@pytest.mark.parametrize(("content", "said"), CONTENT.values(), ids=CONTENT)
def test_content_that_is_refused(content, said):
    with pytest.raises(Rejected, match=said) as rejected:
        parse(content)
    assert_helpful(rejected.value.reason)


FINE = {
    "no kernelspec": raw(),
    "lines": cell(source=["1\n", "2"]),
    "no id": raw(nbformat_minor=4, cells=[{"cell_type": "markdown", "source": "", "metadata": {}}]),
    "no metadata": raw(cells=[{"cell_type": "raw", "source": ""}]),
    "attachments": raw(cells=[{"cell_type": "markdown", "source": "", "attachments": {"a": {}}}]),
    "a pair": cell(source="\N{GRINNING FACE}"),
    "outputs of anything": cell(outputs=[1, {"text": "\ud800"}], execution_count="x"),
    "more minor": raw(nbformat_minor=99, more=1),
}


@pytest.mark.parametrize("fine", FINE.values(), ids=FINE)
def test_content_that_is_fine(fine):
    for cell in parse(json.dumps(fine).encode()).cells:
        assert isinstance(cell.source, str)
        assert "attachments" not in cell
        assert intake.ID.fullmatch(cell.id)


def test_a_byte_order_mark_is_fine():
    assert parse(b"\xef\xbb\xbf" + json.dumps(raw()).encode()).cells == []


def test_ids_become_unique_and_the_first_keeps_its_own():
    ids = ["a", "a", None, "no good!", 3, "unnamed-2", "a", "x" * 65]
    cells = [{"cell_type": "code", "source": "", "id": id} for id in ids]
    made = [cell.id for cell in parse(json.dumps(raw(cells=cells)).encode()).cells]
    assert len(set(made)) == len(ids)
    assert (made[0], made[5]) == ("a", "unnamed-2")
    assert made == [cell.id for cell in parse(json.dumps(raw(cells=cells)).encode()).cells]
