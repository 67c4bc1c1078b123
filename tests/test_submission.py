"""Submissions: which are found, of whom, and that nothing bad gets in without a reason that helps."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from courses import course

from underload.authoring.labs import release
from underload.errors import UnderloadError
from underload.grading import intake
from underload.grading.hand_ins import MOST_ATTEMPTS, find, read
from underload.grading.intake import Rejected, parse
from underload.grading.names import folder_name
from underload.grading.sources import Source


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


def notebook(lab, source="1"):
    """Return a notebook that says which lab it is of, or does not."""
    about = {"underload": {"lab": lab}} if lab else {}
    return json.dumps({**cell(source=source), "metadata": about}).encode()


def search(mini, where=None):
    return find(where or mini.handed_in, mini.labs)


def found(mini, where=None):
    return [(each.student, each.lab) for each in search(mini, where)]


def refused(submission):
    with pytest.raises(Rejected) as raised:
        read(submission)
    assert_helpful(raised.value.reason)
    return raised.value.reason


def assert_helpful(reason):
    assert reason.endswith(".")
    assert ": " in reason  # what is wrong, and what to do
    assert "\n" not in reason


def test_a_folder_of_students(mini):
    for place in ("bob/01-blocking.ipynb", "alice/01-blocking.ipynb"):
        hand_in(mini, place)
    hand_in(mini, "alice/02-pooling.ipynb", notebook("02-pooling"))
    assert found(mini) == [("alice", "01-blocking"), ("alice", "02-pooling"), ("bob", "01-blocking")]
    assert not any(each.problem for each in search(mini))


@pytest.mark.parametrize(
    "place",
    [
        *("bob/01-blocking/01-blocking.ipynb", "bob/week 2/mine/01-blocking.ipynb", "bob/homework.IPYNB"),
        *("01-blocking/bob/01-blocking.ipynb", "Lab 1/bob/solved.ipynb", "01-blocking/bob.ipynb"),
        *("bob/01-blocking (1).ipynb", "bob/01-blocking-Copy1.ipynb", "bob.ipynb", "bob (2).ipynb"),
        *("bob_01-blocking.ipynb", "01-blocking-bob/01-blocking.ipynb", "01-blocking/bob/x/y/z.ipynb"),
        *("bob_LATE_123_456_01-blocking.ipynb", "bob_123_456_01-blocking-1.ipynb"),
        *("bob_123_assignsubmission_file_/01-blocking.ipynb", "bob_123_assignsubmission_file/x.ipynb"),
        *("01-blocking/bob_123_assignsubmission_file_/x/y.ipynb", "bob_123_assignsubmission_file_x.ipynb"),
    ],
)
def test_whose_and_of_which_lab_a_notebook_is(mini, place):
    hand_in(mini, place)
    hand_in(mini, "alice/01-blocking.ipynb")
    (_, bob) = search(mini)
    assert (bob.student, bob.lab, bob.file, bob.problem) == ("bob", "01-blocking", place, "")
    assert read(bob).cells


def test_a_moodle_name_of_two_words(mini):
    hand_in(mini, "Doe_Jane_1234567_assignsubmission_file/01-blocking.ipynb")
    hand_in(mini, "Roe Jim_123456_assignsubmission_file_/01-blocking.ipynb")
    assert found(mini) == [("Doe Jane", "01-blocking"), ("Roe Jim", "01-blocking")]


def test_two_students_of_one_name_are_told_apart_by_the_platforms_number(mini):
    for place in ("Doe Jane_11_assignsubmission_file_", "Doe Jane_12_assignsubmission_file_"):
        hand_in(mini, f"{place}/01-blocking.ipynb")
    hand_in(mini, "Doe Jane_12_assignsubmission_file_/02-pooling.ipynb", notebook("02-pooling"))
    assert found(mini) == [
        ("Doe Jane (11)", "01-blocking"),
        ("Doe Jane (12)", "01-blocking"),
        ("Doe Jane (12)", "02-pooling"),
    ]


def test_nobody_hands_in_under_another_name(mini):
    hand_in(mini, "alice/Roe Jim_123_assignsubmission_file_/01-blocking.ipynb")
    hand_in(mini, "alice/bob/01-blocking.ipynb", notebook("01-blocking", "2"))
    hand_in(mini, "bob/01-blocking.ipynb")
    assert found(mini) == [("alice", "01-blocking"), ("alice", "01-blocking"), ("bob", "01-blocking")]


def test_downloads_of_a_platform_are_not_students(mini):
    for lab in ("01-blocking", "02-pooling"):
        for student in ("Doe Jane_1", "Roe Jim_2"):
            place = f"course-{lab}-99/{student}_assignsubmission_file_/{lab}.ipynb"
            hand_in(mini, place, notebook(lab))
    hand_in(mini, "grades.csv", b"")
    assert [each.student for each in search(mini) if each.lab] == ["Doe Jane"] * 2 + ["Roe Jim"] * 2


def test_what_the_notebook_says_counts_more_than_its_name(mini):
    hand_in(mini, "alice/02-pooling.ipynb", notebook("01-blocking"))
    hand_in(mini, "bob/01_blocking final.ipynb", notebook(""))
    hand_in(mini, "carol/01-blocking.ipynb", notebook("77-other"))
    hand_in(mini, "dan/01-blocking or 02-pooling.ipynb", notebook(""))
    hand_in(mini, "eve/101-blocking.ipynb", notebook(""))
    assert found(mini) == [
        *(("alice", "01-blocking"), ("bob", "01-blocking"), ("carol", ""), ("dan", ""), ("eve", "")),
    ]
    alice, bob, *others = search(mini)
    assert read(alice) and read(bob)
    carol, dan, eve = map(refused, others)
    assert "'77-other'" in carol
    assert "which lab it is" in dan and "which lab it is" in eve


def test_hidden_files_and_those_of_a_system_are_ignored(mini):
    hand_in(mini, "bob/01-blocking.ipynb")
    for place in (
        *(".git/01-blocking.ipynb", "bob/.ipynb_checkpoints/01-blocking.ipynb", "bob/.DS_Store"),
        *("__MACOSX/bob/01-blocking.ipynb", "bob/._01-blocking.ipynb", ".ipynb_checkpoints/bob.ipynb"),
    ):
        hand_in(mini, place)
    assert found(mini) == [("bob", "01-blocking")]


def test_files_that_are_no_notebooks_have_a_row_and_a_reason(mini):
    hand_in(mini, "alice/report.pdf", b"%PDF")
    for number in range(5):
        hand_in(mini, f"bob/service{number}.py", b"")
    hand_in(mini, "bob/01-blocking.ipynb")
    hand_in(mini, "carol.docx", b"")
    (mini.handed_in / "dan/deep/er").mkdir(parents=True)
    hand_in(mini, "eve/.ipynb_checkpoints/01-blocking.ipynb")
    alice, beside, bob, carol, dan, eve = search(mini)
    assert [each.student for each in (alice, beside, bob, carol, dan, eve)] == [
        *("alice", "bob", "bob", "carol", "dan", "eve")
    ]
    assert "report.pdf is no notebook" in refused(alice) and not alice.needless
    assert "service0.py, service1.py, service2.py and 2 more are no notebooks" in refused(beside)
    assert beside.needless and read(bob)
    assert "carol.docx is no notebook" in refused(carol)
    for each in (dan, eve):
        assert "There is no notebook in it" in refused(each)


def test_one_students_folder(mini):
    hand_in(mini, "carol/01-blocking.ipynb")
    hand_in(mini, "carol/02-pooling/x.ipynb", notebook("02-pooling"))
    assert found(mini, mini.handed_in / "carol")[0] == ("carol", "01-blocking")


def test_loose_notebooks(mini):
    hand_in(mini, "alice.ipynb")
    hand_in(mini, "12-smith.ipynb")
    hand_in(mini, "bob.ipynb", b"not a notebook")
    hand_in(mini, "carol.ipynb", b'{"nbformat": 4, "metadata": {}, "cells": []}')
    assert found(mini) == [("12-smith", "01-blocking"), ("alice", "01-blocking"), ("bob", ""), ("carol", "")]
    _, alice, bob, carol = search(mini)
    read(alice)
    assert "not valid JSON" in refused(bob)
    assert "which lab it is" in refused(carol)


def test_a_single_notebook(mini, monkeypatch):
    path = hand_in(mini, "carol/01-blocking.ipynb")
    assert found(mini, path) == [("carol", "01-blocking")]
    assert found(mini, hand_in(mini, "alice.ipynb")) == [("alice", "01-blocking")]
    monkeypatch.chdir(path.parent)
    [here] = search(mini, Path("01-blocking.ipynb"))
    assert (here.student, here.lab) == ("carol", "01-blocking")
    read(here)


def test_nothing_to_grade_is_said(mini):
    with pytest.raises(UnderloadError, match="There is no notebook in"):
        search(mini)
    with pytest.raises(UnderloadError, match="give the folder"):
        search(mini, mini.handed_in / "absent")


def test_the_report_is_not_handed_in(mini):
    hand_in(mini, "alice/01-blocking.ipynb")
    hand_in(mini, "report/alice/01-blocking.json", b"{}")
    [alice] = find(mini.handed_in, mini.labs, besides=(mini.handed_in / "report").resolve())
    assert alice.student == "alice"


def test_links_are_listed_and_never_followed(mini):
    secret = mini.root / "secret"
    secret.mkdir()
    (secret / "01-blocking.ipynb").write_text("secret")
    os.mkfifo(secret / "pipe")  # who opens it, waits forever
    (mini.handed_in / "alice").mkdir()
    (mini.handed_in / "alice/01-blocking.ipynb").symlink_to(secret / "pipe")
    (mini.handed_in / "bob").symlink_to(secret)
    (mini.handed_in / "carol.ipynb").symlink_to(secret / "01-blocking.ipynb")
    (mini.handed_in / "dan.zip").symlink_to(secret / "absent")
    (mini.handed_in / "eve").mkdir()
    (mini.handed_in / "eve/again").symlink_to(mini.handed_in)
    assert found(mini) == [("alice", "01-blocking"), *((name, "") for name in ("bob", "carol", "dan", "eve"))]
    for each in search(mini):
        assert "symbolic link" in refused(each)
        assert each.digest == ""


def test_what_is_behind_a_linked_folder_or_outside_is_not_read(mini):
    (mini.root / "elsewhere").mkdir()
    (mini.root / "elsewhere/01-blocking.ipynb").write_bytes((mini.labs / "01-blocking.ipynb").read_bytes())
    (mini.handed_in / "bob").symlink_to(mini.root / "elsewhere")
    for place, said in (
        ("bob/01-blocking.ipynb", "symbolic link"),
        ("../elsewhere/01-blocking.ipynb", "outside"),
        (mini.root / "elsewhere/01-blocking.ipynb", "outside"),
    ):
        with pytest.raises(Rejected, match=said):
            Source(mini.handed_in, mini.handed_in / place).content()


def test_a_pipe_or_a_folder_in_place_of_a_notebook(mini):
    (mini.handed_in / "bob/01-blocking.ipynb").mkdir(parents=True)
    os.mkfifo(mini.handed_in / "bob/02-pooling.ipynb")
    os.mkfifo(mini.handed_in / "bob/03-third.zip")
    for each in search(mini):
        assert "not a file" in refused(each)
    with pytest.raises(Rejected, match="cannot be read"):
        Source(mini.handed_in, mini.handed_in / "bob/gone.ipynb").content()


def test_attempts_at_one_lab_are_all_to_be_graded(mini):
    for number, place in enumerate(
        ("alice/01-blocking.ipynb", "alice/01-blocking-Copy1.ipynb", "alice.ipynb")
    ):
        hand_in(mini, place, notebook("01-blocking", f"x = {number}"))
    assert found(mini) == [("alice", "01-blocking")] * 3
    assert [each.file for each in search(mini)] == [
        *("alice.ipynb", "alice/01-blocking-Copy1.ipynb", "alice/01-blocking.ipynb")
    ]
    assert len({read(each).cells[0].source for each in search(mini)}) == 3


def test_one_file_twice_is_one_attempt(mini):
    hand_in(mini, "alice/01-blocking.ipynb")
    hand_in(mini, "alice/01-blocking (1).ipynb")
    hand_in(mini, "bob/01-blocking.ipynb")  # the same, though of somebody else
    first, second, bob = search(mini)
    assert not first.problem and not bob.problem
    assert "the same file as alice/01-blocking (1).ipynb" in refused(second)
    assert second.needless


def test_no_one_tries_their_luck_without_end(mini):
    for number in range(MOST_ATTEMPTS + 2):
        hand_in(mini, f"alice/try {number:02}.ipynb", notebook("01-blocking", f"x = {number}"))
    submissions = search(mini)
    assert [bool(each.problem) for each in submissions] == [False] * MOST_ATTEMPTS + [True] * 2
    assert "keep the one" in refused(submissions[-1])


def test_a_notebook_is_read_without_its_outputs(mini):
    path = hand_in(mini, "alice/01-blocking.ipynb")
    [each] = search(mini)
    assert each.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    cells = read(each).cells
    assert [cell.source for cell in cells] == [cell.source for cell in mini.lab().cells]
    assert all(cell.outputs == [] for cell in cells if cell.cell_type == "code")
    assert all(cell.execution_count is None for cell in cells if cell.cell_type == "code")


def test_what_changes_meanwhile_is_not_graded_as_what_it_was(mini):
    path = hand_in(mini, "alice/01-blocking.ipynb")
    [each] = search(mini)
    path.write_bytes(notebook("01-blocking", "x = 2"))
    assert "was changed" in refused(each)


def test_too_large_is_not_even_read(mini):
    path = hand_in(mini, "alice/01-blocking.ipynb", b"")
    os.truncate(path, 100_000_000)
    [each] = search(mini)
    assert "100 MB" in refused(each)
    assert each.digest == ""


def test_a_thousand_files(mini):
    for number in range(1_000):
        hand_in(mini, f"student {number}/01-blocking.ipynb", notebook("01-blocking"))
    assert len(search(mini)) == 1_000


def test_nothing_handed_in_is_changed(mini):
    hand_in(mini, "alice/01-blocking.ipynb")
    hand_in(mini, "bob/x.zip", b"PK")
    before = {path: path.stat() for path in mini.handed_in.rglob("*")}
    for each in search(mini):
        with suppress(Rejected):
            read(each)
    after = {path: path.stat() for path in mini.handed_in.rglob("*")}
    assert after.keys() == before.keys()
    assert {path: (at.st_mtime_ns, at.st_mode) for path, at in after.items()} == {
        path: (at.st_mtime_ns, at.st_mode) for path, at in before.items()
    }


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
    submissions = search(mini)
    assert {each.student for each in submissions} == {*NAMES, r"caf\xe9"}
    for each in submissions:
        each.student.encode()  # any file can hold it
        read(each)
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
