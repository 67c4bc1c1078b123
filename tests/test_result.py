import json
import math
from dataclasses import replace

import numpy as np
import pytest

from underload import Result


def result(started, elapsed_ms, statuses=200, reasons="", **facts) -> Result:
    """A run as the generator would report it: one number for all rows, or one for each."""
    started = np.asarray(started, float)
    return Result(
        **{"users": 1, "rate": None, "seconds": 1.0, "ramp": 0.0, "generator_cpu": 0.0}
        | {"started": started}
        | {"elapsed_ms": np.broadcast_to(np.asarray(elapsed_ms, float), started.shape)}
        | {"statuses": np.broadcast_to(np.asarray(statuses, np.int16), started.shape)}
        | {"reasons": np.broadcast_to(np.asarray(reasons, "U80"), started.shape)}
        | {"late_ms": np.zeros(started.shape)}
        | facts
    )


def busy(users: int = 10, each_ms: float = 50, **facts) -> Result:
    """Users who ask again as soon as they have an answer, from before the window to after it."""
    times = np.arange(-1, 2, each_ms / 1000)
    return result(np.repeat(times, users), each_ms, **{"users": users, "generator_cpu": 0.1} | facts)


def offered(rate: float = 100, each_ms: float = 50, **facts) -> Result:
    started = np.arange(0, 1, 1 / rate)
    return result(started, each_ms, **{"users": None, "rate": rate, "generator_cpu": 0.1} | facts)


def nothing(**facts) -> Result:
    return result([], [], [], [], **facts)


def test_percentiles_and_mean_are_of_successful_answers():
    mixed = result(np.zeros(102), [*range(1, 102), 5000], [200] * 101 + [503])
    assert mixed.p50_ms == 51
    assert mixed.p95_ms == 96
    assert mixed.p99_ms == 100
    assert mixed.max_ms == 101
    assert mixed.mean_ms == 51
    assert mixed.percentile_ms(0) == 1


def test_errors_are_counted_apart():
    bad = result(
        [0.1] * 6, 1, [200, 302, 404, 404, 500, 0], ["", "", "", "", "", "connection refused"], seconds=1
    )
    assert (bad.requests, bad.errors) == (6, 4)
    assert bad.throughput == pytest.approx(2)
    assert bad.error_counts == {"404 Not Found": 2, "500 Internal Server Error": 1, "connection refused": 1}
    assert next(iter(bad.error_counts)) == "404 Not Found"
    assert result([0.1], 1, 599).error_counts == {"599": 1}


def test_closed_throughput_counts_the_answers_within_the_window():
    run = result([-0.2, -0.2, 0.5, 0.5, 0.9], [100, 300, 100, 600, 50], users=3)
    assert run.throughput == pytest.approx(3 / 0.95)  # at 0.1, 0.6 and 0.95 s; not at -0.1 and 1.1 s
    assert busy(10, 50).throughput == pytest.approx(200, rel=0.06)


def test_users_in_step_read_alike_wherever_the_window_cuts():
    in_step = [result(np.repeat(np.arange(0, 2, wave), 20), 1000 * wave, users=20) for wave in (0.3, 0.7)]
    assert [run.throughput * wave for run, wave in zip(in_step, (0.3, 0.7), strict=True)] == pytest.approx(
        [20, 20]
    )


def test_a_service_that_falls_silent_is_not_credited_with_the_time_before():
    answered = np.arange(0, 0.5, 0.01)
    assert result([*answered, 0.5], [*[10] * 50, 9000], [*[200] * 50, 0], users=1).throughput == 50


def test_users_left_waiting_do_not_add_to_throughput():
    served, starved = np.arange(0, 1, 0.05), np.zeros(40)
    run = result([*served, *starved], [*[50] * 20, *np.linspace(2000, 4000, 40)], users=41)
    assert run.throughput == pytest.approx(20, rel=0.06)


def test_open_throughput_is_not_lowered_by_the_first_answers_delay():
    assert offered(100, 400).throughput == pytest.approx(100, rel=0.02)
    assert offered(100, 5).throughput == pytest.approx(100, rel=0.02)
    slow_start = np.full(100, 50.0)
    slow_start[:5] = 80
    assert offered(100, slow_start).throughput == pytest.approx(100, rel=0.02)


def test_open_throughput_of_a_service_that_cannot_keep_up():
    started = np.arange(0, 1, 0.01)
    answered = 0.02 * (np.arange(100) + 1)  # 50 a second are answered, 100 are asked for
    run = result(started, (answered - started) * 1000, users=None, rate=100)
    assert run.throughput == pytest.approx(50, rel=0.03)


def test_answers_after_the_window_are_no_throughput():
    assert offered(100, 1500).throughput == 0
    assert offered(100, 1500).p50_ms == 1500


def test_a_request_open_in_the_window_counts():
    run = result([-0.5, -0.5, 0.5, 0.5, 1.5], [100, 900, 100, 900, 10])
    assert run.requests == 3
    assert sorted(run.latencies_ms) == [100, 900, 900]


def test_in_flight_is_littles_l():
    assert busy(10, 50).in_flight == pytest.approx(10)
    assert offered(100, 50).in_flight == pytest.approx(5, rel=0.05)
    assert result([-1, 0.5], [5000, 250]).in_flight == pytest.approx(1.25)
    run = busy(20, 50)
    assert run.in_flight == pytest.approx(run.throughput * run.mean_ms / 1000, rel=0.06)


def test_lag_is_the_99th_percentile():
    lag = np.column_stack([np.linspace(0, 1, 101), np.arange(101.0)])
    assert result([0.1], 1, lag=lag).lag_ms == 99
    assert math.isnan(result([0.1], 1).lag_ms)


# Doubts


@pytest.mark.parametrize(
    "fine",
    [
        busy(),
        offered(),
        busy(generator_cpu=0.2),
        offered(late_ms=np.full(100, 4.0)),
        busy(unread_ms=2.0),
        result([0.1], 5, thinking=True),  # who thinks is not idle
    ],
    ids=["closed", "open", "some CPU", "a little late", "a little unread", "thinking"],
)
def test_nothing_speaks_against_a_good_run(fine):
    assert fine.doubts == []
    assert fine.trustworthy
    assert "not to be trusted" not in repr(fine)
    assert "Not to be trusted" not in fine._repr_html_()


@pytest.mark.parametrize(
    ("doubtful", "why"),
    [
        (nothing(), "No request succeeded"),
        (busy(statuses=500), "No request succeeded"),
        (busy(generator_cpu=0.93), "The generator filled 93% of its core"),
        (offered(generator_cpu=0.93), "The generator filled 93% of its core"),
        (busy(users=2, generator_cpu=0.4), "Each user spent 20% of its time in the generator"),
        (
            replace(busy(), elapsed_ms=np.full(600, 40.0)),
            "On average only 8.00 of 10 users had a request open",
        ),
        (offered(late_ms=np.full(100, 6.0)), "The generator sent requests 6.0 ms late"),
        (busy(unread_ms=6.0), "Answers lay unread for up to 6.0 ms"),
    ],
    ids=["empty", "errors", "CPU", "CPU of an open one", "CPU for each user", "idle", "late", "unread"],
)
def test_a_doubt_is_never_hidden(doubtful, why):
    (doubt,) = doubtful.doubts
    assert doubt.startswith(why)
    assert not doubtful.trustworthy
    for shown in (str(doubtful), repr(doubtful), doubtful._repr_html_()):
        assert why in shown
    assert doubtful.to_dict()["doubts"] == [doubt]


def test_users_that_back_off_after_no_answer_are_not_idle():
    started = np.arange(0, 30, 0.15)  # each has no answer for 50 ms, after which the user waits for 100
    waiting = result(started, 50, [200] + [0] * (started.size - 1), "connection refused", seconds=30)
    assert waiting.trustworthy
    answered = replace(waiting, statuses=np.full(started.size, 200))
    assert not answered.trustworthy


# Shown and stored


def test_to_dict_is_json():
    facts = json.loads(json.dumps(busy().to_dict()))
    keys = "throughput requests errors mean_ms p50_ms p95_ms p99_ms max_ms trustworthy"
    assert facts.keys() >= set(keys.split())
    assert facts["trustworthy"] is True
    assert facts["requests"] == busy().requests
    assert facts["p99_ms"] == 50
    empty = json.loads(json.dumps(nothing().to_dict(), allow_nan=False))
    assert empty["p99_ms"] is None
    assert empty["throughput"] == 0


def test_it_is_shown_in_a_line_and_in_a_table():
    assert repr(busy()) == "<Result 10 users · 1 s · 200 req/s · p50 50 ms · p99 50 ms · 0 errors>"
    assert "1 user " in str(result([0.1], 1))
    assert "1 error" in str(result([0.1], 1, 500)) and "no answers" in str(result([0.1], 1, 500))
    assert "300/s offered" in str(offered(300))
    table = busy()._repr_html_()
    assert "underload-measured" in table
    assert "10 users for 1 s" in table


def test_what_a_service_says_is_not_markup():
    run = result([0.1, 0.2], 1, 0, ["<script>", "a & b"], exception="ValueError: <b>bold</b>")
    shown = run._repr_html_()
    assert "<script>" not in shown and "<b>bold" not in shown
    assert "&lt;script&gt; × 1" in shown and "&lt;b&gt;bold&lt;/b&gt;" in shown and "a &amp; b" in shown


def test_a_run_without_requests_is_still_a_result():
    run = nothing()
    assert (run.requests, run.errors, run.throughput, run.in_flight) == (0, 0, 0, 0)
    assert math.isnan(run.p50_ms) and math.isnan(run.mean_ms)
    assert "no answers" in repr(run)
    assert "–" in run._repr_html_()
    assert nothing(users=None, rate=5).throughput == 0
