"""What a graded cohort leaves behind: a JSON file and a page a submission, and three summaries of all."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from pydantic import ValidationError

from underload.files import write_whole
from underload.grading.names import folder_name, page_name, printable
from underload.grading.page import page
from underload.grading.record import Record

COLUMNS = ("student", "lab", "points", "possible", "status", "seconds")
MORE_COLUMNS = ("attempts", "file", "page", "reason", "others")
# What a spreadsheet may take for a formula: a sign, in one of its forms, that begins a field, or what becomes
# one where a program splits at another separator than ours; blanks and quotes before it do not help.
FORMULA = re.compile(r"""(^|[;,|])([\s"'`]*)(?=[=+\-@＝＋－＠﹦﹢﹣﹫⁺⁻⁼₊₋₌−])""")
MOST_DETAILED = 15  # submissions whose lost points a job summary explains; it may have 1 MB
MOST_SAID = 2_000  # characters of one message there


def place(record: Record) -> str:
    """Return where in a report the JSON file and the page of a submission are, without their endings."""
    return f"{folder_name(record.student)}/{page_name(record.student, record.lab, record.file)}"


def write(out: Path, record: Record) -> None:
    """Write a submission's JSON file and its page. The JSON comes last: where it is, all is."""
    (out / folder_name(record.student)).mkdir(parents=True, exist_ok=True)
    write_whole(out / f"{place(record)}.html", page(record))
    write_whole(out / f"{place(record)}.json", record.model_dump_json(indent=2) + "\n")


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
    return record if path == out / f"{place(record)}.json" else None


def gradebook(out: Path, records: Iterable[Record]) -> None:
    """Write gradebook.csv, a row for each student and lab, in which no spreadsheet finds a formula."""
    text = io.StringIO(newline="")
    table = csv.writer(text, quoting=csv.QUOTE_ALL)  # its dialect is RFC 4180's
    table.writerow((*COLUMNS, *MORE_COLUMNS))
    for best, *others in rows(records):
        seconds = sum(each.seconds for each in (best, *others))
        about = best.points, best.possible, best.status, f"{seconds:.1f}", 1 + len(others)
        said = best.file, f"{place(best)}.html", best.remark, "; ".join(map(_briefly, others))
        table.writerow(_defused(str(field)) for field in (best.student, best.lab, *about, *said))
    write_whole(out / "gradebook.csv", text.getvalue())


def rows(records: Iterable[Record]) -> list[list[Record]]:
    """Return the attempts of each student at each lab, the one that counts first: the best, or else earliest.

    What is for no lab has a row of its own.
    """
    attempts = defaultdict(list)
    for each in _sorted(records):
        attempts[each.student, each.lab, "" if each.lab else each.file].append(each)
    return [sorted(several, key=_rank) for several in attempts.values()]


def _rank(record: Record) -> tuple[int, bool, bool]:
    return -record.points, record.status != "graded", not record.was_run


def _briefly(record: Record) -> str:
    result = f"{record.points}/{record.possible}" if record.was_run else record.status
    return f"{record.file}: {result}{f' ({record.remark})' if record.remark else ''}"


def _defused(text: str) -> str:
    return FORMULA.sub(r"\1'\2", printable(text))


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
    stopped = not record.was_run  # its checks were not failed
    name = printable(f"{record.student}/{record.lab}")
    error = bool(record.reason) and record.status != "ignored"
    counts = {
        "tests": len(record.checks) + bool(record.reason),
        "failures": 0 if stopped else lost,
        "errors": int(error),
        "skipped": (lost if stopped else 0) + (record.status == "ignored"),
    }
    written = {key: str(value) for key, value in counts.items()}
    suite = ElementTree.SubElement(suites, "testsuite", name=name, **written, time=f"{record.seconds:.3f}")
    suite.set("file", printable(record.file))
    if record.reason:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name="submission")
        kind = {"type": record.status} if error else {}
        said = ElementTree.SubElement(
            case, "error" if error else "skipped", **kind, message=printable(record.reason)
        )
        said.text = printable(record.reason)
    for check in record.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=printable(check.name))
        if stopped:
            ElementTree.SubElement(case, "skipped", message=f"the submission was {record.status}")
        elif not check.passed:
            said = printable(f"asked {check.expected}, observed {check.observed}")
            failure = ElementTree.SubElement(case, "failure", type="check", message=said)
            failure.text = _lines(check.message(hint=True))


def summary_markdown(records: Iterable[Record]) -> str:
    """Return a summary for a CI job: a table of the best attempts, and of a few each point that was lost."""
    graded = rows(records)
    lines = ["| student | lab | points | status | attempts |", "| --- | --- | ---: | --- | ---: |"]
    for best, *others in graded:
        names = f"{_plain(best.student)} | {_plain(best.lab)}"
        said = f"{best.points} of {best.possible} | {best.status} | {1 + len(others)}"
        lines.append(f"| {names} | {said} |")
    if len(graded) <= MOST_DETAILED:
        lines += [line for best, *_ in graded for line in _details(best)]
    return "\n".join(lines) + "\n"


def _details(record: Record) -> list[str]:
    said = [record.remark] if record.remark else []
    said += [f"{phrase} (put right before grading)" for phrase in record.restored_cells]
    if record.was_run:
        said += [check.message(hint=True) for check in record.checks if not check.passed]
    if not said:
        return []
    blocks = [f"<pre>{escape(_lines(text[:MOST_SAID]))}</pre>" for text in said]
    return ["", f"### {_plain(record.student)}, {_plain(record.lab)}", "", *blocks]


def _lines(text: str) -> str:
    return printable(text, kept="\n")


def _plain(text: str) -> str:
    """Return a text that is neither Markdown nor HTML, whatever it holds: its signs as their numbers."""
    flat = printable(" ".join(text.split()))
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in flat) or "–"


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.student, record.lab, record.file))
