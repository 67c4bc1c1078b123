"""The grader as it is used, from the command line, on a cohort in which nearly everybody means harm."""

import csv
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, cycle
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from cheats import CLAIMS, DECEITS, EDITED, HARM, HONEST, Handed
from conftest import all_gone
from kernels import until
from minicourse import HALF, MINI, OTHER, POINTS, SOLVED, handed_in, make_course
from typer.testing import CliRunner

from underload import sandbox
from underload.cli import app
from underload.grading.names import folder_name
from underload.grading.record import Record
from underload.judge import Verdict

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())

SECONDS = 600
COMMAND = [sys.executable, "-c", "from underload.cli import main; main()", "grade"]
LOCKS = [f"underload-turn-{os.getuid()}.lock{end}" for end in ("", ".door")]  # stay: others may hold them

# What is not run at all: the file's content, and what is said of it.
REJECTED = {
    "not JSON": (b'{"cells": [', "is not valid JSON"),
    "empty": (b"", "The file is empty"),
    "not UTF-8": (b'{"cells": ["\xff\xfe"]}', "is not UTF-8"),
    "nested deeply": (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
    "a list": (b"[]", "is not a notebook"),
    "nbformat 3": (b'{"nbformat": 3, "metadata": {}, "worksheets": []}', "is of an older format"),
}
# Names that a spreadsheet, a file system or a page could stumble over.
NAMES = {
    'O"Brien, Pat': 'O"Brien, Pat',
    '=HYPERLINK("http:evil")': '\'=HYPERLINK("http:evil")',
    "@cmd|'x'!A1": "'@cmd|'x'!A1",
    "-1+2": "'-1+2",
    "<b>Łukasz & 学生": "<b>Łukasz & 学生",
    "two\nlines": r"two\nlines",
    "\x1b[31m\u202ered": r"\x1b[31m\u202ered",
}


def cohort() -> list[tuple[str, str, Handed]]:
    """Return who hands in what, with an honest one after every seventh that is not."""
    honest = cycle(HONEST.items())
    edited = {name: handed for name, (_, handed) in EDITED.items()}
    hostile = list((CLAIMS | DECEITS | HARM | edited).items())
    spread = list(chain(*([*hostile[i : i + 7], next(honest)] for i in range(0, len(hostile), 7))))
    return [(f"{number:02} {name}", name, handed) for number, (name, handed) in enumerate(spread)]


COHORT = cohort()


class Place:
    """A course, submissions, a report, and a folder for temporary files, all of one grader's own."""

    def __init__(self, folder: Path) -> None:
        self.course, self.handed, self.out, self.tmp = (
            folder / name for name in ("course", "in", "out", "tmp")
        )
        make_course(self.course)
        self.handed.mkdir()
        self.tmp.mkdir()
        self.started: set[psutil.Process] = set()  # all that was seen to descend from the grader

    def hand_in(self, student: str, content: dict | bytes, lab: str = OTHER) -> Path:
        path = self.handed / student / f"{lab}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen:
        own = {"UNDERLOAD_COURSE": str(self.course), "TMPDIR": str(self.tmp)}
        arguments = [str(each) for each in (self.handed, "--out", self.out, *arguments)]
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={**os.environ, **own, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def grade(self, *arguments: object, **environment: str) -> tuple[int, str]:
        """Run the command to its end, and return its exit code and what it said."""
        process = self.start(*arguments, **environment)
        with self.watching(process):
            said, _ = process.communicate(timeout=SECONDS)
        return process.returncode, said

    @contextmanager
    def watching(self, process: subprocess.Popen) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            with suppress(psutil.NoSuchProcess):
                while not over.wait(0.2):
                    self.started.update(psutil.Process(process.pid).children(recursive=True))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def records(self) -> dict[tuple[str, str], Record]:
        found = [Record.model_validate_json(path.read_bytes()) for path in self.out.glob("*/*.json")]
        return {(each.student, each.lab): each for each in found}

    def rows(self, *without: str) -> list[dict[str, str]]:
        with (self.out / "gradebook.csv").open(newline="", encoding="utf-8") as file:
            return [
                {name: each[name] for name in each if name not in without} for each in csv.DictReader(file)
            ]

    def left(self) -> list[str]:
        return sorted(path.name for path in self.tmp.iterdir())


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def new_place() -> Iterator[Place]:
    # Not pytest's tmp_path: root's is closed to the user that servers run as.
    folder = Path(tempfile.mkdtemp(prefix="underload-"))
    folder.chmod(0o711)
    try:
        yield Place(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def place():
    with new_place() as made:
        yield made


class Doubler(BaseHTTPRequestHandler):
    """Somebody outside the sandbox, who knows the answer."""

    def do_GET(self):
        body = str(2 * int(self.path.rpartition("/")[2])).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def accomplice():
    with ThreadingHTTPServer(("127.0.0.1", 0), Doubler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def graded(accomplice):
    """Grade the whole cohort once."""
    with new_place() as place:
        for student, name, handed in COHORT:
            code = handed.code.replace("COURSE", str(place.course)).replace("PORT", str(accomplice))
            notebook = handed_in(code, handed.lab)
            if name in EDITED:
                EDITED[name][0](notebook)
            place.hand_in(student, notebook, handed.lab)
        for student, (content, _) in REJECTED.items():
            place.hand_in(student, content, MINI)
        for student in NAMES:
            place.hand_in(student, handed_in(HALF, OTHER) if student[0] in "O=" else b"")
        hand_in_no_files(place)
        place.code, place.said = place.grade("--jobs", 2, "--cell-seconds", 6)
        yield place


def hand_in_no_files(place: Place) -> None:
    secret = place.course / f"solutions/{MINI}.ipynb"
    for student in ("a link", "a pipe", "a folder", "100 MB"):
        (place.handed / student).mkdir()
    (place.handed / f"a link/{MINI}.ipynb").symlink_to(secret)
    (place.handed / "a linked folder").symlink_to(place.course / "solutions")
    os.mkfifo(place.handed / f"a pipe/{MINI}.ipynb")
    (place.handed / "nothing").mkdir()
    (place.handed / "a report").mkdir()
    (place.handed / "a report/report.pdf").write_text("%PDF")
    (place.handed / f"a folder/{MINI}.ipynb").mkdir()
    with (place.handed / f"100 MB/{MINI}.ipynb").open("wb") as file:
        file.truncate(100_000_000)


NO_FILES = {
    ("a link", MINI): "symbolic link",
    ("a linked folder", ""): "symbolic link",
    ("a report", ""): "report.pdf is no notebook",
    ("nothing", ""): "There is no notebook in it",
    ("a pipe", MINI): "This is not a file",
    ("a folder", MINI): "This is not a file",
    ("100 MB", MINI): "The file has 100 MB",
}


@pytest.mark.parametrize(("student", "name", "handed"), COHORT, ids=[student for student, _, _ in COHORT])
def test_each_earns_what_its_service_does_and_nothing_else(graded, student, name, handed):
    record, points = graded.records()[student, handed.lab], POINTS[handed.lab]
    assert {check.name for check in record.checks if check.passed} == set(handed.earns.split())
    assert record.points == sum(points[check] for check in handed.earns.split())
    assert (record.possible, [check.name for check in record.checks]) == (sum(points.values()), list(points))
    assert record.status == handed.status and handed.reason in record.reason
    assert set(handed.restored) <= set(record.restored_cells)
    if name not in EDITED:
        assert record.restored_cells == []


def test_everything_was_graded_or_rejected_with_a_reason(graded):
    assert graded.code == 0, graded.said
    assert len(graded.records()) == len(COHORT) + len(REJECTED) + len(NO_FILES) + len(NAMES)


def test_the_terminal_says_why_a_notebook_was_not_simply_graded(graded):
    for record in graded.records().values():
        if record.reason and record.student.isprintable():
            points = f"{record.points}/{record.possible}"
            assert f"{record.lab}  {points}  {record.status}: {record.reason}" in graded.said


@pytest.mark.parametrize("student", REJECTED)
def test_what_is_no_notebook_is_rejected(graded, student):
    record = graded.records()[student, MINI]
    assert (record.status, record.points, record.possible) == ("rejected", 0, 10)
    assert REJECTED[student][1] in record.reason


@pytest.mark.parametrize("student", NO_FILES, ids=str)
def test_what_is_no_file_is_rejected(graded, student):
    record = graded.records()[student]
    assert (record.status, record.points) == ("rejected", 0)
    assert NO_FILES[student] in record.reason


def test_the_gradebook_holds_everybody_and_no_formula(graded):
    rows = {(row["student"], row["lab"]): row for row in graded.rows()}
    assert len(rows) == len(graded.records())
    for (student, lab), record in graded.records().items():
        row = rows[NAMES.get(student, student), lab]
        found = int(row["points"]), int(row["possible"]), row["status"]
        assert found == (record.points, record.possible, record.status)
        assert float(row["seconds"]) >= 0
    assert not [row for row in rows.values() if row["student"][0] in "=+-@"]


def test_names_of_any_kind_have_their_report(graded):
    for student in NAMES:
        record = graded.records()[student, OTHER]
        assert record.points == (student[0] in "O=")
        folder = graded.out / folder_name(student)
        assert sorted(path.name for path in folder.iterdir()) == [f"{OTHER}.html", f"{OTHER}.json"]
    assert "\x1b[31m" not in graded.said and "\u202e" not in graded.said


def test_a_record_is_what_is_documented(graded):
    for path in graded.out.glob("*/*.json"):
        record = json.loads(path.read_text())
        assert set(record) == set(Record.model_fields)
        assert all(set(check) == set(Verdict.model_fields) for check in record["checks"])


def test_the_report_for_ci_counts_every_check(graded):
    suites = ElementTree.parse(graded.out / "junit.xml").getroot()
    records = graded.records().values()
    assert len(suites) == len(records)
    ran = [record for record in records if record.status != "rejected"]
    lost = sum(not check.passed for record in ran for check in record.checks)
    assert int(suites.get("failures")) == lost
    assert int(suites.get("errors")) == sum(record.status != "graded" for record in records)


def test_nothing_that_was_started_goes_on(graded):
    assert len(graded.started) > 100
    assert all_gone(list(graded.started), seconds=1)


def test_no_temporary_file_stays(graded):
    assert graded.left() == LOCKS


def test_no_secret_and_nothing_of_a_submission_is_written_elsewhere(graded):
    assert sorted(path.name for path in graded.course.iterdir()) == ["labs", "solutions"]
    assert not [path for path in graded.out.rglob("*") if path.is_symlink()]
    assert stat.S_ISFIFO((graded.handed / f"a pipe/{MINI}.ipynb").stat().st_mode)


# What is handed in by other names, and more than once.

SOLVED_OTHER, BROKEN_OTHER = (json.dumps(handed_in(code, OTHER)).encode() for code in (HALF, ""))
FAILS = json.dumps(handed_in("# %% service\nimport psycopg99\napp = 1", OTHER)).encode()


def hand_in_by_other_names(place: Place) -> None:
    """Hand in what platforms, browsers and learners make of one notebook."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("my labs/homework.ipynb", SOLVED_OTHER)
        opened.writestr("__MACOSX/my labs/._homework.ipynb", b"")
    files = {
        "Doe Jane_123456_assignsubmission_file_/01-other.ipynb": SOLVED_OTHER,
        "roejim_LATE_123_456_01-other-1.ipynb": SOLVED_OTHER,
        f"folders/{OTHER}/{OTHER}.ipynb": SOLVED_OTHER,
        "packed.zip": archive.getvalue(),
        "packed too.zip": b"PK\3\4 half of it",
        f"several/{OTHER}.ipynb": BROKEN_OTHER,
        f"several/{OTHER}-Copy1.ipynb": SOLVED_OTHER,
        f"several/{OTHER} (1).ipynb": SOLVED_OTHER,
        "several/notes.txt": b"",
        f"fails/{OTHER}.ipynb": FAILS,
    }
    for name, content in files.items():
        (place.handed / name).parent.mkdir(parents=True, exist_ok=True)
        (place.handed / name).write_bytes(content)


def test_everything_handed_in_is_in_the_gradebook_whatever_it_is_called(place):
    hand_in_by_other_names(place)
    before = {path: path.stat().st_mtime_ns for path in place.handed.rglob("*")}
    code, said = place.grade("--fail-under", "60")
    assert code == 3, said
    rows = {(row["student"], row["lab"]): row for row in place.rows()}
    good = [student for (student, _), row in rows.items() if row["points"] == "1"]
    assert good == ["Doe Jane", "folders", "packed", "roejim", "several"]
    several = rows["several", OTHER]
    assert (several["attempts"], several["file"]) == ("3", f"several/{OTHER} (1).ipynb")
    assert f"several/{OTHER}-Copy1.ipynb: ignored (This is the same file" in several["others"]
    assert f"several/{OTHER}.ipynb: 0/1" in several["others"]
    assert rows["several", ""]["status"] == "ignored" and "notes.txt" in rows["several", ""]["reason"]
    assert rows["packed", OTHER]["file"] == "packed.zip/my labs/homework.ipynb"
    assert rows["packed too", ""]["status"] == "rejected" and "broken" in rows["packed too", ""]["reason"]
    assert len(rows) == 8
    assert all((place.out / row["page"]).is_file() for row in rows.values())
    assert "several, 01-other" not in said.splitlines()[-1]
    assert [line.partition(",")[0] for line in said.splitlines()[-2:]] == ["fails", "packed too"]

    reason = "ModuleNotFoundError: No module named 'psycopg99', at the line “import psycopg99”."
    record = place.records()["fails", OTHER]
    assert record.errors[0].line == "import psycopg99"
    assert record.reason == f"Code cell 2 raised {reason}"
    page = unescape((place.out / rows["fails", OTHER]["page"]).read_text())
    assert record.reason in said and record.reason in page

    again = [path.stat().st_mtime_ns for path in place.out.glob("several/*.json")]
    late = place.handed / f"several/{OTHER}-Copy2.ipynb"
    late.write_bytes(json.dumps(handed_in("# %% service\napp = 1", OTHER)).encode())
    place.hand_in("fails", SOLVED_OTHER)
    shutil.copy(place.handed / "packed.zip", place.handed / "packed too.zip")
    code, said = place.grade("--resume", "--fail-under", "60")
    assert code == 0, said
    assert len(set(again) & {path.stat().st_mtime_ns for path in place.out.glob("several/*.json")}) == 2
    rows = {(row["student"], row["lab"]): row for row in place.rows()}
    assert rows["several", OTHER]["attempts"] == "4" and rows["fails", OTHER]["points"] == "1"
    assert ("packed too", "") not in rows and rows["packed too", OTHER]["points"] == "1"
    late.unlink()
    place.grade("--resume")
    assert {row["student"]: row["attempts"] for row in place.rows() if row["lab"]}["several"] == "3"
    mine = [
        late,
        place.handed / f"fails/{OTHER}.ipynb",
        place.handed / "packed too.zip",
        place.handed / "fails",
    ]
    kept = {path for path in before if path not in mine and path.is_file()}
    assert {path: path.stat().st_mtime_ns for path in kept}.items() <= before.items()
    assert place.left() == LOCKS


def test_attempts_of_a_student_are_in_one_shard(place):
    for student in "abc":
        for attempt in range(2):
            name = f"{OTHER} ({attempt})"
            place.hand_in(student, json.dumps(handed_in(f"# %% end\n{attempt}", OTHER)).encode(), name)
    attempts = []
    for part in (1, 2):
        assert place.grade("--shard", f"{part}/2", "--out", place.out / str(part))[0] == 0
        with (place.out / f"{part}/gradebook.csv").open(newline="") as file:
            attempts += [(row["student"], row["attempts"]) for row in csv.DictReader(file)]
    assert attempts == [("a", "2"), ("c", "2"), ("b", "2")]


# How it is called, stopped, and resumed.


def test_wrong_usage_is_refused_before_anything_is_done(place):
    def refused(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["grade", str(place.handed), "--out", str(place.out), *arguments])
        assert done.exit_code == 2
        return done.output

    assert "There is no notebook in" in refused()
    place.hand_in("solved", handed_in(HALF, OTHER))
    for shard in ("3/2", "0/2", "half", "1/0"):
        assert "is not a part of a whole" in refused("--shard", shard)
    refused("--jobs", "0")
    code, said = place.grade("--isolate", "required", PATH="/nowhere")
    assert code == 2 and "There is no sandbox, since bubblewrap is not installed" in said
    assert not place.out.exists()
    place.out.write_text("")
    assert "is a file" in refused()
    shutil.rmtree(place.handed)
    assert "There is no" in refused()
    assert place.left() == []


def test_shards_make_up_the_whole_and_none_is_graded_over(place):
    for student in ("a", "c"):
        place.hand_in(student, handed_in(HALF, OTHER))
    for student in ("b", "d", "e"):
        place.hand_in(student, b"")
    rows = []
    for part in (1, 2):
        assert place.grade("--shard", f"{part}/2")[0] == 0
        rows += place.rows()
        done = CliRunner().invoke(app, ["grade", str(place.handed), "--out", str(place.out)])
        assert done.exit_code == 2 and "holds a report: add --resume" in done.output
        shutil.rmtree(place.out)
    assert [(row["student"], row["points"], row["status"]) for row in rows] == [
        ("a", "1", "graded"),
        ("c", "1", "graded"),
        ("e", "0", "rejected"),
        ("b", "0", "rejected"),
        ("d", "0", "rejected"),
    ]


def test_killed_half_way_and_resumed_it_ends_the_same(place):
    for student in "abcd":
        place.hand_in(student, handed_in(HALF if student in "abd" else "", OTHER))
    process = place.start()
    until(lambda: len(list(place.out.glob("*/*.json"))) >= 2, SECONDS)
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert started and all_gone(started)
    assert len(place.left()) == len(LOCKS) + 1  # it could not remove its folder
    before = place.records()
    assert 2 <= len(before) < 4

    changed = "a"
    place.hand_in(changed, b"")
    assert place.grade("--resume")[0] == 0
    points = {record.student: record.points for record in place.records().values()}
    assert points == {"a": 0, "b": 1, "c": 0, "d": 1}
    assert place.records()[changed, OTHER].status == "rejected"
    untouched = [key for key in before if key[0] != changed]
    assert [place.records()[key] for key in untouched] == [before[key] for key in untouched]
    assert [row["student"] for row in place.rows()] == list("abcd")
    assert place.left() == LOCKS


def test_stopped_it_leaves_a_gradebook_and_nothing_else(place):
    place.hand_in("a", handed_in(HALF, OTHER))
    place.hand_in("b", handed_in("# %% lab\nimport time; time.sleep(600)", OTHER))
    process = place.start()
    until(lambda: list(place.out.glob("a/*.json")), SECONDS)
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert all_gone(started, seconds=1)
    assert [row["student"] for row in place.rows()] == ["a"]
    assert place.left() == LOCKS


def test_a_lab_whose_checks_fail_to_load_is_the_graders_failure_and_no_one_elses(place):
    third = copy_lab(place.course, "02-third")
    checks = place.course / "labs/checks/third.py"
    sound = checks.read_text()
    checks.write_text("import nothing_of_this_name")
    place.hand_in("a", third, "02-third")
    place.hand_in("b", handed_in(HALF, OTHER))
    place.hand_in("c", b"", "02-third")
    code, said = place.grade()
    assert code == 1 and "The grader itself failed on this notebook: ModuleNotFoundError" in said
    assert {student: record.points for (student, _), record in place.records().items()} == {
        "a": 0,
        "b": 1,
        "c": 0,
    }
    assert place.records()["a", "02-third"].status == "crashed"

    checks.write_text(sound)
    assert place.grade("--resume")[0] == 0
    assert place.records()["a", "02-third"].points == 1
    assert place.records()["c", "02-third"].status == "rejected"


def copy_lab(course: Path, stem: str) -> bytes:
    """Give the course one more lab, like its last, and return a notebook that has solved it."""

    def renamed(content: str) -> str:
        return (
            content.replace(OTHER, stem)
            .replace('"other', f'"{stem[3:]}')
            .replace('other\\"', f'{stem[3:]}\\"')
        )

    for folder, names in (("solutions", (OTHER, stem)), ("labs/checks", (OTHER[3:], stem[3:]))):
        (source,) = (course / folder).glob(f"{names[0]}.*")
        source.with_stem(names[1]).write_text(renamed(source.read_text()))
    return renamed(json.dumps(handed_in(HALF, OTHER))).encode()


SERVICE = "# %% service"
# As many as are allowed, once a neighbour has had the time to begin.
CROWD = """
# %% service
import subprocess, sys, time
time.sleep(3)
for _ in range(45):
    subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
time.sleep(60)
# %% lab
time.sleep(60)
"""
# It waits for the crowd, which does not come if it is alone, and then has something to do.
BESIDE = """
import time

def worked(seconds):
    until, began = time.process_time() + seconds, time.monotonic()
    while time.process_time() < until:
        pass
    return time.monotonic() - began

latest = time.monotonic() + 5
while worked(0.02) < 0.1 and time.monotonic() < latest:
    time.sleep(0.1)
worked(2)
"""


def test_a_cell_is_not_late_by_the_neighbours_doing(place):
    place.hand_in("crowd", handed_in(CROWD, OTHER))
    place.hand_in("honest", handed_in(HALF.replace(SERVICE, SERVICE + BESIDE), OTHER))
    assert place.grade("--jobs", 2, "--cell-seconds", 10)[0] == 0
    records = place.records()
    assert records["crowd", OTHER].status == "timeout"
    assert (records["honest", OTHER].status, records["honest", OTHER].points) == ("graded", 1)


def test_a_worker_that_dies_is_followed_by_another(place):
    place.hand_in("a", handed_in("# %% lab\nimport time; time.sleep(600)", OTHER))
    place.hand_in("b", handed_in(HALF, OTHER))
    process = place.start()

    def running(what: str) -> list[psutil.Process]:
        below = psutil.Process(process.pid).children(recursive=True)
        return [each for each in below if what in command_of(each)]

    until(lambda: running("ipykernel.kernelapp"), SECONDS)
    workers = [each for each in running("underload.jobs.worker") if "bwrap" not in command_of(each)]
    min(workers, key=psutil.Process.create_time).kill()  # the others are its forks
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "The grader's worker ended" in said
    assert {record.student: record.points for record in place.records().values()} == {"a": 0, "b": 1}
    assert place.left() == LOCKS


def test_without_a_sandbox_it_warns_and_grades(place, accomplice):
    place.hand_in("solved", handed_in(SOLVED), MINI)
    code = DECEITS["asks outside"].code.replace("PORT", str(accomplice))
    place.hand_in("asks outside", handed_in(code, OTHER))
    code, said = place.grade(PATH="/nowhere")
    assert code == 0, said
    assert "There is no sandbox." in said and "they can read your files" in said
    points = {record.student: record.points for record in place.records().values()}
    assert points == {"solved": 10, "asks outside": 1}  # as the warning says
    assert all_gone(list(place.started), seconds=1)
    assert place.left() == LOCKS
