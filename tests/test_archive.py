"""Zip archives that were handed in: what is found in them, and that none does harm."""

import io
import json
import random
import stat
import struct
import tracemalloc
import zipfile

import pytest

from underload.grading import archive
from underload.grading.archive import Allowance, Archive
from underload.grading.hand_ins import find, read
from underload.grading.intake import Rejected

LABS = ("01-blocking", "02-pooling")


def notebook(lab="01-blocking", source="x = 1"):
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": []}
    about = {"underload": {"lab": lab}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": [cell]}).encode()


def packed(files, method=zipfile.ZIP_DEFLATED):
    """Return an archive of files by name, or by what zipfile knows of one."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return made.getvalue()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "labs").mkdir()
    for lab in LABS:
        (tmp_path / f"labs/{lab}.ipynb").write_text("{}")
    (tmp_path / "in").mkdir()
    return tmp_path


def hand_in(place, name, content):
    (place / "in" / name).parent.mkdir(parents=True, exist_ok=True)
    (place / "in" / name).write_bytes(content)


def found(place, name="in"):
    return find(place / name, place / "labs")


def rows(place, name="in"):
    return [(each.student, each.lab, each.file) for each in found(place, name)]


def reason(place, content):
    """Return why an archive is not graded, of one who handed in this alone beside an honest one."""
    hand_in(place, "alice.zip", content)
    hand_in(place, "bob/01-blocking.ipynb", notebook())
    *alices, bob = found(place)
    assert read(bob)
    assert {each.student for each in alices} == {"alice"}
    problems = [each.problem for each in alices if each.problem]
    for problem in problems:
        assert problem.endswith(".") and ": " in problem and "\n" not in problem
    return " ".join(problems)


def test_a_students_archive(place):
    hand_in(place, "bob/01-blocking.ipynb", notebook())
    hand_in(place, "alice.zip", packed({f"my labs/{lab}.ipynb": notebook(lab) for lab in LABS}))
    hand_in(place, "carol/all (1).zip", packed({"01-blocking/x.ipynb": notebook(), "notes.txt": b""}))
    assert rows(place) == [
        ("alice", "01-blocking", "alice.zip/my labs/01-blocking.ipynb"),
        ("alice", "02-pooling", "alice.zip/my labs/02-pooling.ipynb"),
        ("bob", "01-blocking", "bob/01-blocking.ipynb"),
        ("carol", "", "carol/all (1).zip/notes.txt"),
        ("carol", "01-blocking", "carol/all (1).zip/01-blocking/x.ipynb"),
    ]
    alice, *_ = found(place)
    assert read(alice).cells[0].source == "x = 1"


COHORTS = {
    "folders": ["alice/01-blocking.ipynb", "bob/01-blocking.ipynb"],
    "a folder around": ["course/alice/01-blocking.ipynb", "course/bob/x/01-blocking.ipynb"],
    "loose": ["alice.ipynb", "bob.ipynb"],
    "with what macOS leaves": ["alice/1.ipynb", "__MACOSX/alice/._1.ipynb", "bob/1.ipynb", "bob/.DS_Store"],
    "Moodle": [f"{name}_1{name}_assignsubmission_file_/01-blocking.ipynb" for name in ("alice", "bob")],
    "Canvas": ["alice_12_345_01-blocking.ipynb", "bob_LATE_13_346_01-blocking-2.ipynb"],
    "by lab": ["01-blocking/alice/1.ipynb", "01-blocking/bob/1.ipynb"],
}
COHORTS["Moodle"] = [
    f"{name}_{number}_assignsubmission_file_/1.ipynb" for number, name in enumerate(("alice", "bob"))
]


@pytest.mark.parametrize("names", COHORTS.values(), ids=COHORTS)
def test_an_archive_of_the_whole_cohort(place, names):
    content = packed({name: notebook() for name in names})
    hand_in(place, "all.zip", content)
    for where in ("in", "in/all.zip"):
        assert [each.student for each in found(place, where)] == ["alice", "bob"]
        assert all(read(each) for each in found(place, where))


def test_the_archives_of_students_in_one_of_the_cohort(place):
    inner = packed({"01-blocking.ipynb": notebook(), "deep/02-pooling.ipynb": notebook("02-pooling")})
    names = ["Doe Jane_1_assignsubmission_file_/labs.zip", "Roe Jim_2_assignsubmission_file_/x/labs.zip"]
    hand_in(place, "download.zip", packed(dict.fromkeys(names, inner)))
    assert [(student, lab) for student, lab, _ in rows(place)] == [
        (student, lab) for student in ("Doe Jane", "Roe Jim") for lab in LABS
    ]
    assert all(read(each) for each in found(place))


def test_a_students_archive_alone_is_the_students(place):
    for inner in ("01-blocking.ipynb", "01-blocking/01-blocking.ipynb", "work/01-blocking.ipynb"):
        beside = {"notes.txt": b"", "data/x.csv": b"", "src/app.py": b""}
        hand_in(place, "alice.zip", packed({inner: notebook(), **beside}))
        assert {each.student for each in found(place)} == {"alice"}


def test_several_downloads_of_a_platform(place):
    for lab in LABS:
        hand_in(place, f"course-{lab}-9.zip", packed({f"doejane_7_8_{lab}.ipynb": notebook(lab)}))
    assert [(student, lab) for student, lab, _ in rows(place)] == [("doejane", lab) for lab in LABS]


def test_one_name_twice_is_two_attempts(place):
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(place / "in/alice.zip", "w") as made,
    ):
        for source in ("1", "2"):
            made.writestr("01-blocking.ipynb", notebook(source=source))
    assert [file for _, _, file in rows(place)] == [
        *("alice.zip/01-blocking.ipynb", "alice.zip/01-blocking.ipynb#2")
    ]
    assert [read(each).cells[0].source for each in found(place)] == ["1", "2"]


def test_an_empty_archive(place):
    assert "no notebook in it" in reason(place, packed({}))
    assert "no notebook in it" in reason(place, packed({"a/": b"", ".DS_Store": b""}))


CLIMBING = ["../../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "..\\..\\x.ipynb", "C:\\x.ipynb", "\\x.ipynb"]


@pytest.mark.parametrize("name", [*CLIMBING, "../bob/01-blocking.ipynb", "C:x.ipynb", "a/.."])
def test_no_path_leads_out(place, name):
    assert "leads out of it" in reason(place, packed({name: notebook()}))
    assert sorted(path.name for path in place.rglob("*.ipynb")) == [
        *("01-blocking.ipynb", "01-blocking.ipynb", "02-pooling.ipynb")
    ]


def test_a_path_that_leads_out_keeps_no_other_from_being_graded(place):
    hand_in(place, "alice.zip", packed({"../x.ipynb": b"", "01-blocking.ipynb": notebook()}))
    assert [bool(each.problem) for each in found(place)] == [True, False]


def test_backslashes_of_windows_are_folders(place):
    hand_in(place, "all.zip", packed({f"{who}\\01-blocking.ipynb": notebook() for who in ("alice", "bob")}))
    assert [file for _, _, file in rows(place)] == [
        *("all.zip/alice/01-blocking.ipynb", "all.zip/bob/01-blocking.ipynb")
    ]


def test_a_link_is_not_followed(place):
    link = zipfile.ZipInfo("01-blocking.ipynb")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert "symbolic link" in reason(place, packed({link: b"/etc/passwd"}))


def changed(content, offset_local, offset_listed, form, value):
    """Return an archive of one file with a field of both its headers changed."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(b"PK\3\4") + offset_local, value)
    struct.pack_into(form, changed, content.index(b"PK\1\2") + offset_listed, value)
    return bytes(changed)


ONE = packed({"01-blocking.ipynb": notebook(source="x" * 1000)})
SIZE = (22, 24, "<I")  # where a file's own size stands, in its header and in the list of all


def test_an_encrypted_one(place):
    assert "without a password" in reason(place, changed(ONE, 6, 8, "<H", 1))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_one_that_is_packed_in_another_way(place, method):
    assert "another way than Deflate" in reason(place, packed({"01-blocking.ipynb": notebook()}, method))
    assert "another way than Deflate" in reason(place, changed(ONE, 8, 10, "<H", 97))


BROKEN = {
    "nothing": b"",
    "text": b"no archive",
    "half": ONE[: len(ONE) // 2],
    "its end alone": b"PK\5\6" + bytes(18),
    "another sum": changed(ONE, 14, 16, "<I", 7),
    "zeros for content": ONE[:60] + bytes(40) + ONE[100:],
    "a size too small": changed(ONE, *SIZE, 5),
    "a name that is not UTF-8": changed(ONE, 6, 8, "<H", 0x800).replace(b"01-blocking", b"01-bl\xffcking"),
    "a list that begins nowhere": ONE[:-6] + struct.pack("<I", 2**31) + ONE[-2:],
    "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(100),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_one(place, content):
    if content == BROKEN["its end alone"]:
        assert "no notebook in it" in reason(place, content)
    else:
        assert "broken" in reason(place, content)


def test_whatever_is_broken_is_refused(place):
    """Bytes are changed at random; what comes of that is a reason, or a notebook."""
    draw = random.Random(7)
    for _ in range(500):
        content = bytearray(packed({"a/01-blocking.ipynb": notebook(), "b.zip": ONE}))
        for _ in range(draw.choice((1, 3, 10))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        hand_in(place, "alice.zip", bytes(content))
        for each in found(place):
            assert each.problem or read(each)


BOMBS = {
    "claims 4 GB": (changed(ONE, *SIZE, 2**32 - 2), "allowed"),
    "claims 15 MB": (changed(ONE, *SIZE, 15_000_000), "packed more than"),
    "is 15 MB of one letter": (packed({"01-blocking.ipynb": b"a" * 15_000_000}), "packed more than"),
    "is 30 MB of one letter": (packed({"01-blocking.ipynb": b"a" * 30_000_000}), "allowed"),
    "an archive of 200 MB": (packed({"x.zip": b"a" * 200_000_000}), "allowed"),
    "many files": (packed({f"{number}.txt": b"" for number in range(20_001)}), "20,000 files"),
}


@pytest.mark.parametrize(("content", "said"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_not_unpacked(place, content, said):
    hand_in(place, "alice.zip", content)
    tracemalloc.start()
    try:
        assert said in reason(place, content)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_many_that_are_large_only_together(place):
    content = packed({f"{number}.ipynb": notebook(source="1" * 600) for number in range(9)})
    Archive(io.BytesIO(content)).members(Allowance(unpacked=9_000))
    with pytest.raises(Rejected, match="unpacks to more than"):
        Archive(io.BytesIO(content)).members(Allowance(unpacked=6_000))


def test_one_archive_of_many_cannot_use_up_what_all_may_hold(place):
    many = packed({f"{number}.py": b"" for number in range(2_001)})
    hand_in(place, "all.zip", packed({**{f"a/{n:02}.zip": many for n in range(11)}, "b/x.zip": ONE}))
    *alices, bob = found(place)
    assert all("2,000 files" in each.problem for each in alices) and read(bob)


def test_archives_in_one_share_what_it_may_hold(place):
    many = packed({f"{number}.py": b"" for number in range(1_100)})
    assert "2,000 files" in reason(place, packed({"x.zip": packed({"1.zip": many, "2.zip": many})}))
    assert "20,000 files" in reason(place, packed({f"{number}.zip": many for number in range(20)}))


def test_a_list_of_files_that_is_as_large_as_memory_is_not_read():
    """The end of an archive says how long its list is, and zipfile would read that at once."""

    class Endless(io.BytesIO):
        def read(self, wanted=-1):
            assert wanted <= archive.MOST_DIRECTORY + 1
            return super().read(wanted)

    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, archive.MOST_DIRECTORY + 9, 0, 0)
    with pytest.raises(Rejected, match="broken"):
        Archive(Endless(bytes(archive.MOST_DIRECTORY + 9) + end))


def test_archives_in_one_another_have_an_end(place):
    content = ONE
    for depth in range(archive.DEEPEST - 1):
        content = packed({f"{depth}.zip": content})
    hand_in(place, "alice.zip", content)
    assert [each.problem for each in found(place)] == [""]
    assert "3 deep" in reason(place, packed({"more.zip": content}))


def test_an_archive_in_itself_has_an_end(place):
    inner = packed({"x.zip": packed({"x.zip": packed({"x.zip": packed({"x.zip": ONE})})})})
    assert "3 deep" in reason(place, inner)


NAMES = {
    "UTF-8 that says so": ("Müller/01-blocking.ipynb", None, "Müller"),
    "UTF-8 that does not": ("M__ller/01-blocking.ipynb", "Müller".encode(), "Müller"),
    "cp437": ("M_ller/01-blocking.ipynb", "Müller".encode("cp437"), "Müller"),
    "control characters": ("M__ller/01-blocking.ipynb", b"M\x1b\x07ller", "M\x1b\x07ller"),
}


@pytest.mark.parametrize(("name", "raw", "student"), NAMES.values(), ids=NAMES)
def test_names_in_any_encoding(place, name, raw, student):
    content = packed({name: notebook(), "bob/01-blocking.ipynb": notebook()})
    if raw:
        content = content.replace(name.partition("/")[0].encode(), raw)
    hand_in(place, "all.zip", content)
    assert {each.student for each in found(place)} == {student, "bob"}


def test_a_thousand_files_in_one(place):
    names = [f"student {number:03}/01-blocking.ipynb" for number in range(1_000)]
    hand_in(place, "all.zip", packed({name: notebook() for name in names}))
    assert [each.student for each in found(place)] == [name.partition("/")[0] for name in names]
    assert read(found(place)[-1])
