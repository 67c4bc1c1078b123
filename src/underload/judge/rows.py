"""The rows that an answer lists, held against those that are right, so that a difference explains itself."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from underload.judge.client import Answer
from underload.judge.expect import Failed, fail, shortened

MOST_IDS = 6  # shown of many


def require_rows(
    answers: Sequence[Answer],
    fields: Sequence[str],
    expected: Sequence[Sequence[tuple]],
    rows_of: Callable[[Answer], Any] = lambda answer: answer.value,
) -> None:
    """Fail unless each answer lists the rows expected of it, showing the first that does not, and how many.

    Args:
        answers: of the service.
        fields: what each row is an object of: "id", a whole number, first. A moment is text in ISO format.
        expected: for each answer its rows, each with the values of ``fields``.
        rows_of: finds the list in an answer.
    """
    failures = []
    for answer, rows in zip(answers, expected, strict=True):
        try:
            _require(answer.asked, rows_of(answer), fields, rows)
        except Failed as failed:
            failures.append(failed)
    if failures:
        share = f" ({len(failures):,} of {len(answers):,} answers are not right)" if len(answers) > 1 else ""
        raise Failed(failures[0].expected, failures[0].observed + share)


def _require(what: str, rows: Any, fields: Sequence[str], expected: Sequence[tuple]) -> None:
    wanted = {row[0]: row for row in expected}
    seen = _listed(what, rows, fields, expected)
    ids = [row[0] for row in seen]
    if missing := [id for id in wanted if id not in ids]:
        nameless = ", each with a value that is null" if all(None in wanted[id] for id in missing) else ""
        fail(
            f"{what}: {_counted(expected)}, with the ids {_shown(wanted)}",
            f"{len(missing):,} missing, with the ids {_shown(missing)}{nameless}",
        )
    if len(seen) > len(expected):
        beyond = [id for id in ids if id not in wanted] or [id for id in wanted if ids.count(id) > 1]
        fail(f"{what}: {_counted(expected)}", f"{_counted(seen)}, too many with the ids {_shown(beyond)}")
    differing = [row for row in seen if row != wanted[row[0]]]
    for row in differing[:1]:
        pairs = zip(fields, row, wanted[row[0]], strict=True)
        name, given, right = next(each for each in pairs if each[1] != each[2])
        fail(
            f"{what}: {name} {_said(right)} in the row with id {row[0]}",
            f"{name} {_said(given)} ({len(differing):,} of {_counted(seen)} differ)",
        )
    if ids != list(wanted):
        fail(f"{what}: the order of ids {_shown(wanted)}", f"the order of ids {_shown(ids)}")


def _listed(what: str, rows: Any, fields: Sequence[str], expected: Sequence[tuple]) -> list[tuple]:
    """Return the rows of an answer, with moments as such where moments are expected."""
    if not isinstance(rows, list):
        fail(f"{what}: a list of rows", shortened(rows))
    moments = {name for row in expected for name, value in zip(fields, row, strict=True) if _is_moment(value)}
    for number, row in enumerate(rows, start=1):
        lacking = [name for name in fields if not isinstance(row, dict) or name not in row]
        if lacking:
            fail(f"{what}: the field {lacking[0]!r} in row {number}", shortened(row))
        if not isinstance(row[fields[0]], int):
            fail(f"{what}: a whole number as {fields[0]!r} in row {number}", shortened(row[fields[0]]))
    return [tuple(_moment(row[name]) if name in moments else row[name] for name in fields) for row in rows]


def _moment(text: Any) -> Any:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text


def _is_moment(value: Any) -> bool:
    return isinstance(value, datetime)


def _counted(rows: Sequence[tuple]) -> str:
    return f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"


def _shown(ids: Collection[int]) -> str:
    first = ", ".join(str(id) for id in list(ids)[:MOST_IDS])
    return first if len(ids) <= MOST_IDS else f"{first}, …"


def _said(value: Any) -> str:
    return value.isoformat() if _is_moment(value) else shortened(repr(value))
