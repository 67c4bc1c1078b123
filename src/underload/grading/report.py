"""What a graded cohort leaves behind: a JSON file and a page a submission, and three summaries of all."""

import csv
import io
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from pydantic import ValidationError

from underload.files import write_whole
from underload.grading.names import folder_name
from underload.grading.page import page
from underload.grading.record import Record

COLUMNS = ("student", "lab", "points", "possible", "status", "seconds")
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_DETAILED = 15  # submissions whose lost points a job summary explains; it may have 1 MB
MOST_SAID = 2_000  # characters of one message there


def record_path(out: Path, student: str, lab: str) -> Path:
    """Return where the JSON file of a submission is."""
    return out / folder_name(student) / f"{folder_name(lab)}.json"


def write(out: Path, record: Record) -> None:
    """Write a submission's JSON file and its page. The JSON comes last: where it is, all is."""
    path = record_path(out, record.student, record.lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_name(f"{folder_name(record.lab)}.html"), page(record))
    write_whole(path, record.model_dump_json(indent=2) + "\n")


def read_all(out: Path) -> tuple[list[Record], list[str]]:
    """Return the records of a report in order, and a sentence on each file that holds none."""
    records, ignored = [], []
    for path in sorted(out.glob("*/*.json")):
        if record := _read(out, path):
            records.append(record)
        else:
            ignored.append(f"{path.relative_to(out)} is not the record of a submission: it is ignored.")
    return _sorted(records), ignored


def _read(out: Path, path: Path) -> Record | None:
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return record if path == record_path(out, record.student, record.lab) else None


def gradebook(out: Path, records: Iterable[Record]) -> None:
    """Write gradebook.csv, in which no spreadsheet finds a formula."""
    text = io.StringIO(newline="")
    table = csv.writer(text)  # its dialect is RFC 4180's
    table.writerow(COLUMNS)
    for each in _sorted(records):
        names = _defused(each.student), _defused(each.lab)
        table.writerow([*names, each.points, each.possible, each.status, f"{each.seconds:.1f}"])
    write_whole(out / "gradebook.csv", text.getvalue())


def _defused(text: str) -> str:
    return f"'{text}" if FORMULA.match(text) else text


def junit(out: Path, records: Iterable[Record]) -> None:
    """Write junit.xml: a suite a submission, a case a check, and an error for each that was not graded."""
    suites = ElementTree.Element("testsuites", name="underload")
    for each in _sorted(records):
        _add_suite(suites, each)
    for counted in ("tests", "failures", "errors", "skipped"):
        suites.set(counted, str(sum(int(suite.get(counted, 0)) for suite in suites)))
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    write_whole(out / "junit.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _add_suite(suites: ElementTree.Element, record: Record) -> None:
    lost = sum(not check.passed for check in record.checks)
    stopped = record.status == "rejected"  # its checks were not failed, they were not run
    name = _xml(f"{record.student}/{record.lab}")
    counts = {
        "tests": len(record.checks) + bool(record.reason),
        "failures": 0 if stopped else lost,
        "errors": int(bool(record.reason)),
        "skipped": lost if stopped else 0,
    }
    written = {key: str(value) for key, value in counts.items()}
    suite = ElementTree.SubElement(suites, "testsuite", name=name, **written, time=f"{record.seconds:.3f}")
    if record.reason:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name="submission")
        error = ElementTree.SubElement(case, "error", type=record.status, message=_xml(record.reason))
        error.text = _xml(record.reason)
    for check in record.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=_xml(check.name))
        if stopped:
            ElementTree.SubElement(case, "skipped", message="the submission was rejected")
        elif not check.passed:
            said = _xml(f"asked {check.expected}, observed {check.observed}")
            failure = ElementTree.SubElement(case, "failure", type="check", message=said)
            failure.text = _xml(check.message(hint=True))


def _xml(text: str) -> str:
    return NOT_XML.sub("", text)


def summary_markdown(records: Iterable[Record]) -> str:
    """Return a summary for a CI job: a table of all, and for a few submissions each point that was lost."""
    records = _sorted(records)
    lines = ["| student | lab | points | status |", "| --- | --- | ---: | --- |"]
    for each in records:
        names = f"{_plain(each.student)} | {_plain(each.lab)}"
        lines.append(f"| {names} | {each.points} of {each.possible} | {each.status} |")
    if len(records) <= MOST_DETAILED:
        lines += [line for each in records for line in _details(each)]
    return "\n".join(lines) + "\n"


def _details(record: Record) -> list[str]:
    said = [record.reason] if record.reason else []
    said += [f"{phrase} (put right before grading)" for phrase in record.restored_cells]
    if record.status != "rejected":
        said += [check.message(hint=True) for check in record.checks if not check.passed]
    if not said:
        return []
    blocks = [f"<pre>{escape(text[:MOST_SAID])}</pre>" for text in said]
    return ["", f"### {_plain(record.student)}, {_plain(record.lab)}", "", *blocks]


def _plain(text: str) -> str:
    """Return a text that is neither Markdown nor HTML, whatever it holds: its signs as their numbers."""
    flat = " ".join(text.split())
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in flat) or "–"


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.student, record.lab))
