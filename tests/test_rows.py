"""What a wrong list is told: what is missing, differs, or is out of order, and in how many answers."""

import json
from datetime import UTC, datetime

import pytest

from underload.judge import Answer, Failed, require_rows

FIELDS = "id", "departure", "plane"
NOON = datetime(2013, 7, 4, 12, tzinfo=UTC)
RIGHT = [(1, NOON, "A320"), (2, NOON, None), (3, NOON, "B737")]


def answer(rows, code=200):
    return Answer("GET /board", code, body=json.dumps(rows).encode())


def listed(rows):
    return [{"id": id, "departure": "2013-07-04T08:00:00-04:00", "plane": plane} for id, _, plane in rows]


def test_the_same_rows_are_right_whatever_the_zone_of_their_moments():
    require_rows([answer(listed(RIGHT)), answer([])], FIELDS, [RIGHT, []])


@pytest.mark.parametrize(
    ("rows", "expected", "observed"),
    [
        (listed(RIGHT[:1]), "3 rows, with the ids 1, 2, 3", "2 missing, with the ids 2, 3"),
        (listed(RIGHT[::2]), "3 rows", "1 missing, with the ids 2, each with a value that is null"),
        (listed([*RIGHT, (9, NOON, "")]), "3 rows", "4 rows, too many with the ids 9"),
        (listed([*RIGHT, RIGHT[0]]), "3 rows", "4 rows, too many with the ids 1"),
        (listed(RIGHT[::-1]), "the order of ids 1, 2, 3", "the order of ids 3, 2, 1"),
        (listed([(1, NOON, "X"), (2, NOON, ""), RIGHT[2]]), "plane 'A320' in the row with id 1",
         "plane 'X' (2 of 3 rows differ)"),
        ([{"id": 1, "plane": ""}], "the field 'departure' in row 1", "{'id': 1, 'plane': ''}"),
        ([{"id": [], "departure": "", "plane": ""}], "a whole number as 'id' in row 1", "[]"),
        ({"flights": []}, "a list of rows", "{'flights': []}"),
    ],
)  # fmt: skip
def test_a_difference_is_named(rows, expected, observed):
    with pytest.raises(Failed) as failed:
        require_rows([answer(rows)], FIELDS, [RIGHT])
    assert failed.value.expected.startswith(f"GET /board: {expected}")
    assert failed.value.observed == observed


def test_a_moment_is_named_as_such():
    late = [{**row, "departure": "2013-07-04T13:00:00Z"} for row in listed(RIGHT)]
    with pytest.raises(
        Failed, match=r"departure 2013-07-04T12:00:00\+00:00 .* departure 2013-07-04T13:00:00"
    ):
        require_rows([answer(late)], FIELDS, [RIGHT])


def test_of_several_answers_it_is_said_how_many_are_not_right():
    answers = [answer(listed(RIGHT)), answer({}, code=500), answer(listed(RIGHT[::-1]))]
    with pytest.raises(Failed, match=r"status 500, \{\} \(2 of 3 answers are not right\)"):
        require_rows(answers, FIELDS, [RIGHT] * 3)
