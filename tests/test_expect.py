"""An expectation explains itself, met or not."""

import pytest

from underload.judge.expect import Failed, Observed, every, listed, meanwhile, noting, shortened


def failure(expectation, *given, **named):
    with pytest.raises(Failed) as caught:
        expectation(*given, **named)
    return caught.value.expected, caught.value.observed


def test_bounds_hold_at_their_edge():
    Observed(10, "sessions").at_most(10)
    Observed(10, "sessions").at_least(10)
    Observed(110, "p50", "ms").within(0.1, of=100)


def test_a_bound_says_what_was_asked_and_what_was_seen():
    assert failure(Observed(96, "sessions").at_most, 10) == ("sessions at most 10", "96")
    assert failure(Observed(0.5, "throughput", "req/s").at_least, 1) == (
        "throughput at least 1 req/s",
        "0.5 req/s",
    )
    assert failure(Observed(120, "p50", "ms").within, 0.1, of=100) == ("p50 within 10% of 100 ms", "120 ms")


def test_one_is_not_several():
    assert failure(Observed(1, "calls to the archive", "calls").at_least, 5)[1] == "1 call"
    assert failure(Observed(1, "p50", "ms").at_least, 5)[1] == "1 ms"


def test_a_failure_says_what_the_judge_did_meanwhile():
    def check():
        with meanwhile("the archive hangs"):
            Observed(503, "GET /x: the status").equals(200)

    assert failure(check) == ("while the archive hangs, GET /x: the status exactly 200", "503")


@pytest.mark.parametrize("bound", ["at_most", "at_least"])
def test_nothing_measured_meets_no_bound(bound):
    assert failure(getattr(Observed(float("nan"), "p99", "ms"), bound), 5)[1] == "nothing measured"


def test_what_is_not_a_number_meets_no_bound():
    for value in (None, "5", [5], {}, True):
        with pytest.raises(Failed):
            Observed(value, "errors").at_most(10)
        with pytest.raises(Failed):
            Observed(value, "errors").within(0.1, of=1)


@pytest.mark.parametrize("value, other", [(True, 1), (0, False), ("1", 1), (None, 0), ([1], (1,))])
def test_equals_means_the_same_kind_of_thing(value, other):
    with pytest.raises(Failed):
        Observed(value, "the answer").equals(other)


def test_equals_and_is_in_hold():
    Observed({"a": [1, 2.0]}, "the answer").equals({"a": [1, 2]})
    Observed(204, "the status").is_in((200, 204))
    assert failure(Observed(500, "the status").is_in, (200, 204)) == ("the status one of [200, 204]", "500")


def test_every_shows_the_first_that_does_not_hold_and_how_many():
    every([2, 4], lambda n: n % 2 == 0, "even numbers", str)
    assert failure(every, iter([2, 3, 5]), lambda n: n % 2 == 0, "even numbers", str) == (
        "even numbers",
        "3 (2 of 3 wrong)",
    )


def test_every_says_how_many_also_where_looking_at_one_raises():
    def is_even(n):
        Observed(n % 2, f"{n}: the rest").equals(0)
        return True

    assert failure(every, [2, 3, 5], is_even, "even numbers", str) == (
        "3: the rest exactly 0",
        "1 (2 of 3 wrong)",
    )
    assert failure(every, [3], is_even, "even numbers", str) == ("3: the rest exactly 0", "1")


def test_what_stands_beside_a_value_is_said_only_where_it_fails():
    good = Observed(0, "good answers", beside="503 Service Unavailable × 80")
    assert failure(good.at_least, 1)[1] == "0 (503 Service Unavailable × 80)"
    with noting() as figures:
        good.at_most(0)
    assert listed(figures) == "0"


def test_figures_are_noted_and_named_only_where_there_are_several():
    with noting() as figures:
        Observed(9, "GET /x: sessions").at_most(10)
        assert listed(figures) == "9"
        Observed(1234.5, "throughput", "req/s").at_least(1)
        Observed(1, "errors").equals(1)  # it says nothing that the requirement does not
    assert listed(figures) == "sessions 9; throughput 1,234 req/s"


def test_what_a_service_sent_is_shown_in_one_short_line():
    assert shortened("a\nb\x1b[31m\u202ec" + "d" * 500).startswith("a b [31m c")
    assert len(shortened("d" * 10**7)) == 120
    assert "\n" not in shortened({"a": "\n"})
