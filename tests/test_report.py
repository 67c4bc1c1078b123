"""Records and reports: what adds up, what comes back, and that hostile text stays text everywhere."""

import csv
import io
import json
import re
import unicodedata
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from underload.grading import report
from underload.grading.page import page
from underload.grading.record import FAILED, Record, unrun, unseen
from underload.jobs import CellError
from underload.judge.requirements import Check
from underload.judge.verdict import Verdict

HOSTILE = (
    "</pre><script>alert(1)</script> | `x` [a](http://b.c) \x00\x1b[31m\ufffe \u202eevil ]]> & \"q\" 'q'"
)
HEALTH = Check("health", "It answers while it works", 2, "round 1", "ask it", lambda service: None)


def verdict(name="budget", passed=True, observed="10 sessions", points=3):
    return Verdict(
        name=name,
        requirement=f"At most 10 sessions in {name}",
        points=points if passed else 0,
        possible=points,
        passed=passed,
        expected="at most 10 sessions",
        observed=observed,
        look="lesson 03, round 2",
        hint="count them",
    )


def record(student="alice", lab="01-blocking", status="graded", observed="31 sessions", file="", **more):
    checks = [verdict(), verdict("peak", False, observed)]
    reason = "" if status == "graded" else "It took too long."
    file = file or f"{student}/{lab}.ipynb"
    return Record.of(student, lab, file, status, checks, seconds=12.3456, reason=reason, **more)


def refuse(student="bob", lab="01-blocking", reason="The file is empty: save it again.", **more):
    return unrun(student, lab, f"{student}/{lab}.ipynb", reason, [HEALTH], **more)


def test_points_add_up():
    graded = record()
    assert (graded.points, graded.possible) == (3, 6)


def test_what_was_rejected_says_what_it_would_have_been_asked():
    refused = refuse()
    assert (refused.points, refused.possible, refused.status) == (0, 2, "rejected")
    assert refused.checks[0].observed == "nothing, since the notebook was not run"
    assert unrun("bob", "", "bob/x.ipynb", "No lab: name it.").possible == 0


@pytest.mark.parametrize(
    "change",
    [
        {"points": 4},
        {"points": -3},
        {"possible": 7},
        {"points": "3"},
        {"points": 3.0},
        {"status": "passed"},
        {"seconds": -1.0},
        {"seconds": float("inf")},
        {"reason": "but"},
        {"status": "timeout"},
        {"status": "rejected", "reason": "why: because."},
        {"status": "ignored", "reason": "why: because."},
        {"digest": "abc"},
        {"bonus": 1},
        {"restored_cells": "a"},
    ],
)
def test_a_record_that_does_not_hold_together_is_refused(change):
    with pytest.raises(ValidationError):
        Record.model_validate({**record().model_dump(), **change})


@pytest.mark.parametrize("change", [{"points": 1}, {"passed": True}, {"possible": -1}, {"more": 1}])
def test_a_check_that_does_not_hold_together_is_refused(change):
    data = record().model_dump()
    data["checks"][1].update(change)
    with pytest.raises(ValidationError):
        Record.model_validate(data)


def test_text_that_no_file_holds_is_escaped(tmp_path):
    odd = record("\udcff", restored_cells=["\ud800"])
    report.write(tmp_path, odd)
    assert report.read_all(tmp_path) == ([odd], [])
    assert odd.student == r"\udcff"


def test_a_check_counts_once():
    with pytest.raises(ValidationError, match="twice"):
        Record.of("alice", "01-blocking", "x.ipynb", "graded", [verdict(), verdict()])


def test_what_is_written_comes_back(tmp_path):
    records = [
        record(),
        record("bob, jr", digest="a" * 64, restored_cells=['check "peak": edited']),
        refuse("=1"),
    ]
    for each in reversed(records):
        report.write(tmp_path, each)
    assert report.read_all(tmp_path) == (sorted(records, key=lambda each: each.student), [])
    assert (tmp_path / "alice/01-blocking.json").exists()
    assert (tmp_path / "alice/01-blocking.html").exists()
    assert set(json.loads((tmp_path / "alice/01-blocking.json").read_text())) == {
        *("student", "lab", "file", "status", "points", "possible", "checks", "errors", "restored_cells"),
        *("seconds", "reason", "digest"),
    }
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_records_that_do_not_hold_are_named_and_ignored(tmp_path):
    report.write(tmp_path, record())
    written = (tmp_path / "alice/01-blocking.json").read_text()
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob/01-blocking.json").write_text(written)  # alice's
    (tmp_path / "bob/02-pooling.json").write_text(written[:-20])
    (tmp_path / "bob/03-deep.json").write_text("[" * 100_000)
    (tmp_path / "bob/04-bytes.json").write_bytes(b"\xff")
    (tmp_path / "bob/05-folder.json").mkdir()
    records, ignored = report.read_all(tmp_path)
    assert records == [record()]
    assert [said.split()[0][4:6] for said in ignored] == ["01", "02", "03", "04", "05"]


def gradebook(folder, *records):
    report.gradebook(folder, records)
    return (folder / "gradebook.csv").read_bytes().decode()


def table(folder, *records):
    return list(csv.DictReader(io.StringIO(gradebook(folder, *records), newline="")))


def test_the_gradebook(tmp_path):
    assert gradebook(tmp_path, refuse(), record()) == (
        '"student","lab","points","possible","status","seconds","attempts","file","page","reason","others"\r\n'
        '"alice","01-blocking","3","6","graded","12.3","1",'
        '"alice/01-blocking.ipynb","alice/01-blocking.html","",""\r\n'
        '"bob","01-blocking","0","2","rejected","0.0","1",'
        '"bob/01-blocking.ipynb","bob/01-blocking.html","The file is empty: save it again.",""\r\n'
    )


def attempt(file, points, status="graded"):
    reason = "" if status == "graded" else "It took too long."
    checks = [verdict(points=points), verdict("peak", False, points=10 - points)]
    return Record.of("alice", "01-blocking", file, status, checks, seconds=1.0, reason=reason)


def test_the_best_of_several_attempts_counts_and_the_row_says_which(tmp_path):
    others = attempt("a.ipynb", 3), attempt("b.ipynb", 7, "timeout"), attempt("d.ipynb", 7)
    [row] = table(tmp_path, attempt("c.ipynb", 7), *others, refuse("alice"))
    assert (row["points"], row["possible"], row["attempts"], row["file"]) == ("7", "10", "5", "c.ipynb")
    assert row["others"] == (
        "d.ipynb: 7/10; b.ipynb: 7/10 (It took too long.); a.ipynb: 3/10; "
        "alice/01-blocking.ipynb: rejected (The file is empty: save it again.)"
    )
    assert row["seconds"] == "4.0"


def test_what_is_for_no_lab_has_a_row_each(tmp_path):
    files = [unrun("alice", "", file, "No lab: name it.") for file in ("a.pdf", "b.ipynb")]
    assert [row["file"] for row in table(tmp_path, *files)] == ["a.pdf", "b.ipynb"]


def test_each_attempt_has_files_of_its_own(tmp_path):
    files = ["alice/01-blocking.ipynb", "01-blocking.ipynb", "alice.zip/01-blocking.ipynb", "alice/x/y.ipynb"]
    for file in files:
        report.write(tmp_path, record(file=file))
    for file in ("a/x.ipynb", "b/x.ipynb", "x.pdf", "x/", "con.ipynb", "../../x.ipynb"):
        report.write(tmp_path, unrun("alice", "", file, "No lab: name it."))
    records, ignored = report.read_all(tmp_path)
    assert (len(records), ignored) == (10, [])
    assert (tmp_path / "alice/01-blocking.html").exists()
    for row in table(tmp_path, *records):
        assert (tmp_path / row["page"]).is_file()


FORMULAS = [
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        " =1",
        "＝1",
        "＋1",
        "﹣1",
        "−1",
        '"=1',
        "'=1",
        ' "=1',
        ";=1",
        "a;=1",
        "a; +1",
    ),
    *("a,@x", ';"=1', "a|-1", "\t=1", "a\t=1", "\r=1", "\n=1", "\u00a0=1", "\u200b=1", "\ufeff=1"),
]


def test_every_field_is_quoted_and_no_formula_is_left(tmp_path):
    plain = ["O'Neil, Ann", 'a "b"', "a=b", "Smith-Jones", "x - y", "李雷", "a@b.org"]
    text = gradebook(tmp_path, *(record(name, "=lab") for name in plain + FORMULAS))
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert {row[0] for row in rows} >= {*plain}
    assert {row[1] for row in rows} == {"'=lab"}
    assert {len(row) for row in rows} == {11}
    for row in rows:
        for part in re.split("[;,|\t]", row[0] if row[0] not in plain else ""):
            assert unicodedata.normalize("NFKC", part.strip(' "')[:1]) not in {*"=+-@−"}
    assert all(re.fullmatch(r'"(?:[^"]|"")*"(?:,"(?:[^"]|"")*")*', line) for line in text.splitlines())


def test_what_does_not_print_is_written_out(tmp_path):
    name = "a\x1b[31m\u202eb\nc\u2066\x00\ufffe\u200d"
    shown = r"a\x1b[31m\u202eb\nc\u2066\x00\ufffe\u200d"
    each = record(name, file=f"{name}.ipynb")
    [row] = table(tmp_path, each)
    assert (row["student"], row["file"]) == (shown, f"{shown}.ipynb")
    [suite] = junit(tmp_path, each)
    assert suite.get("name") == f"{shown}/01-blocking"
    assert suite.get("file") == f"{shown}.ipynb"
    written = [
        *(path.read_text() for path in tmp_path.glob("*.*")),
        page(each),
        report.summary_markdown([each]),
    ]
    for text in written:
        assert not [sign for sign in text if not sign.isprintable() and sign != "\n"]
        assert not re.search("&#(27|8238|x1b|x202e);", text)


def junit(folder, *records):
    report.junit(folder, records)
    return ElementTree.parse(folder / "junit.xml").getroot()


def test_junit_counts_checks_and_errors(tmp_path):
    root = junit(tmp_path, record(), refuse(), record("carol", status="timeout"))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        **{"tests": "7", "failures": "2", "errors": "2", "skipped": "1"}
    }
    alice, bob, carol = root
    assert [case.get("name") for case in alice] == ["budget", "peak"]
    assert alice.find("testcase/failure").get("message") == "asked at most 10 sessions, observed 31 sessions"
    assert "hint:     count them" in alice.find("testcase/failure").text
    assert bob.find("testcase/error").get("message").startswith("The file is empty")
    assert carol.find("testcase/error").get("type") == "timeout"
    assert len(carol.findall("testcase/failure")) == 1
    for suite in root:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        for kind in ("failure", "error", "skipped"):
            counted = suite.get("skipped" if kind == "skipped" else f"{kind}s")
            assert int(counted) == len(suite.findall(f"testcase/{kind}"))


def test_what_need_not_be_graded_is_no_error(tmp_path):
    root = junit(tmp_path, refuse(ignored=True), unrun("bob", "", "bob/x.py", "No notebook.", ignored=True))
    assert (root.get("errors"), root.get("failures"), root.get("skipped")) == ("0", "0", "3")
    assert [len(suite.findall("testcase/skipped")) for suite in root] == [1, 2]


def test_junit_is_xml_whatever_was_said(tmp_path):
    root = junit(tmp_path, record(HOSTILE, observed=HOSTILE), refuse(HOSTILE, reason=HOSTILE + ": do."))
    assert "<script>" in root[0].get("name")
    assert "\x1b" not in ElementTree.tostring(root, encoding="unicode")


class Reader(HTMLParser):
    """The tags of a page, and its text without its style."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.said, self.open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.said.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.said).split())


def test_the_page_says_what_to_act_on():
    html = page(record(restored_cells=['check "peak": edited'], status="timeout"))
    read = Reader(html)
    assert read.open == []
    for said in (
        *("alice", "01-blocking", "3 of 6 points", "At most 10 sessions in peak", "0 of 3", "31 sessions"),
        *("lesson 03, round 2", "count them", 'check "peak": edited', "It took too long.", "submit again"),
    ):
        assert said in read.text
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"https?:|url\(|@import", html)


def test_the_page_of_what_was_rejected():
    read = Reader(page(refuse()))
    assert "The file is empty: save it again." in read.text
    assert "It answers while it works" in read.text
    assert "counts 0 points for now" in read.text  # as the gradebook says
    assert "Judged from outside" not in read.text
    Reader(page(unrun("bob", "", "bob/x.ipynb", "No lab: name it.")))


def test_hostile_text_is_only_text_on_the_page():
    dull = page(record("x", observed="x", restored_cells=["x"]))
    html = page(record(HOSTILE, HOSTILE, observed=HOSTILE, restored_cells=[HOSTILE]))
    assert Reader(html).tags == Reader(dull).tags
    assert not [character for character in ("\x00", "\x1b", "\u202e") if character in html]


def test_a_row_of_many_lines_stays_one_row():
    said = "two\nlines\n  hint:     forged"
    html = page(Record.of("a", "01-b", "a/01-b.ipynb", "graded", [verdict(passed=False, observed=said)]))
    assert f'<dd class="said">{said}</dd>' in html
    assert html.count("<dt>hint</dt>") == 1


def test_the_page_shows_what_a_passed_check_measured():
    read = Reader(page(Record.of("a", "01-b", "a/01-b.ipynb", "graded", [verdict(observed="7 sessions")])))
    assert "measured 7 sessions" in read.text
    assert "count them" not in read.text


def broken(error="ModuleNotFoundError: No module named 'psycopg'"):
    """A notebook whose third cell kept it from its second check."""
    errors = [
        CellError(cell=3, error=error, line="import psycopg"),
        CellError(cell=4, error="NameError: name 'app'…"),
    ]
    checks = [verdict(), unseen(HEALTH)]
    file = "eve/01-blocking.ipynb"
    return Record.of("eve", "01-blocking", file, "broken", checks, errors=errors, reason=str(errors[0]))


def test_a_check_that_was_never_reached_is_put_down_to_the_first_error(tmp_path):
    record = broken()
    report.write(tmp_path, record)
    assert report.read_all(tmp_path) == ([record], [])
    assert json.loads((tmp_path / "eve/01-blocking.json").read_text())["errors"][0] == {
        **{"cell": 3, "error": "ModuleNotFoundError: No module named 'psycopg'", "line": "import psycopg"}
    }
    said = "Code cell 3 raised ModuleNotFoundError: No module named 'psycopg', at the line “import psycopg”."
    assert said in Reader(page(record)).text
    assert junit(tmp_path, record).find("testsuite/testcase/error").get("message") == said
    assert said in unescape(report.summary_markdown([record]))


def test_an_error_is_told_as_well_where_every_check_was_judged(tmp_path):
    """Such as of an import, after which the service that was to be repaired was judged."""
    errors = [CellError(cell=2, error="ImportError: no", line="import no")]
    lost, won = record(errors=errors), Record.of("b", "01-b", "x", "graded", [verdict()], errors=errors)
    said = "Code cell 2 raised ImportError: no, at the line “import no”."
    assert said in Reader(page(lost)).text and said in unescape(report.summary_markdown([lost]))
    assert table(tmp_path, lost)[0]["reason"] == said
    assert said not in page(won) and table(tmp_path, won)[0]["reason"] == ""


def test_an_error_is_only_text_and_no_novel():
    dull = page(broken("E: x"))
    hostile = page(broken(f"E: {HOSTILE}"))
    assert Reader(hostile).tags == Reader(dull).tags
    with pytest.raises(ValidationError):
        CellError(cell=1, error="E" * 1000)


def test_a_check_that_was_never_reached_sends_nobody_to_the_lesson():
    assert "round 1" not in page(broken()) and "ask it" not in page(broken())


def test_the_summary_is_a_table_and_what_was_lost():
    text = report.summary_markdown([refuse(), record()])
    assert text.splitlines()[2] == "| alice | 01&#45;blocking | 3 of 6 | graded | 1 |"
    assert "  hint:     count them</pre>" in text
    assert "<pre>The file is empty" in text
    assert "budget" not in text
    many = report.summary_markdown(record(f"student {number}") for number in range(100))
    assert len(many.splitlines()) == 102


def test_hostile_text_is_only_text_in_the_summary():
    text = report.summary_markdown([record(HOSTILE + "\n\n# x", HOSTILE, observed=HOSTILE)])
    assert text.splitlines()[2].count("|") == 6
    assert set(re.findall(r"</?\w+", text)) == {"<pre", "</pre"}
    assert "[a](" not in text.partition("<pre>")[0]


def test_the_same_records_make_the_same_bytes(tmp_path):
    records = [record(), refuse(), record("carol", status="crashed")]
    made = []
    for name, several in (("one", records), ("two", records[::-1])):
        for each in several:
            report.write(tmp_path / name, each)
        report.gradebook(tmp_path / name, several)
        report.junit(tmp_path / name, several)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append([(path.relative_to(tmp_path / name), path.read_bytes()) for path in files])
    assert made[0] == made[1]
    assert len(made[0]) == 8


def test_a_failure_of_the_graders_own_is_not_laid_at_the_learners_door():
    record = Record.of("ada", "01-blocking", "x.ipynb", "crashed", [], reason=f"{FAILED}its disk is full.")
    said = page(record)
    assert "Not graded yet" in said and "not the notebook's fault" in said and "not final" in said
    assert "submit again" not in said
