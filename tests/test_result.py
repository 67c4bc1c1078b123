import json
import math
from dataclasses import replace

import numpy as np
import pytest

from underload import Result
from underload.loading.outcome import FAILED_HERE, GIVEN_UP


def result(started, elapsed_ms, statuses=200, reasons="", **facts) -> Result:
    """A run as the generator would report it: one number for all rows, or one for each."""
    started = np.asarray(started, float)
    return Result(
        **{"users": 1, "rate": None, "seconds": 1.0}
        | {"started": started}
        | {"elapsed_ms": np.broadcast_to(np.asarray(elapsed_ms, float), started.shape)}
        | {"statuses": np.broadcast_to(np.asarray(statuses, np.int16), started.shape)}
        | {"reasons": np.broadcast_to(np.asarray(reasons, "U80"), started.shape)}
        | {"late_ms": np.zeros(started.shape)}
        | facts
    )


def busy(users: int = 10, each_ms: float = 50, spread: bool = True, **facts) -> Result:
    """Users who ask again as soon as they have an answer, from before the window to after it."""
    rounds = np.arange(-1, 2, each_ms / 1000)
    places = np.arange(users) / users * each_ms / 1000 if spread else np.zeros(users)
    return result(
        np.add.outer(rounds, places).ravel(), each_ms, **{"users": users, "generator_cpu": 0.1} | facts
    )


def offered(rate: float = 100, each_ms: float = 50, **facts) -> Result:
    """Requests at even distances, from a warm-up of half a second on."""
    started = np.arange(-0.5, 1, 1 / rate)
    return result(started, each_ms, **{"users": None, "rate": rate, "generator_cpu": 0.1} | facts)


def nothing(**facts) -> Result:
    return result([], [], [], [], **facts)


def test_percentiles_and_mean_are_of_good_answers():
    mixed = result(np.zeros(102), [*range(1, 102), 5000], [200] * 101 + [503])
    assert mixed.p50_ms == 51
    assert mixed.p95_ms == 96
    assert mixed.p99_ms == 100
    assert mixed.max_ms == 101
    assert mixed.mean_ms == 51
    assert mixed.percentile_ms(0) == 1


@pytest.mark.parametrize(("answers", "shown"), [(1, 0), (19, 50), (20, 95), (99, 95), (100, 99)])
def test_a_percentile_takes_as_many_answers_as_decide_it(answers, shown):
    few = result(np.zeros(answers), 5)
    for percent in (50, 95, 99):
        assert math.isnan(few.percentile_ms(percent)) == (percent > shown)
    assert few.max_ms == 5
    assert ("p99 –" in str(few)) == (shown < 99)


def test_what_was_given_up_lasted_at_least_so_long():
    """The same stall of a second, with three timeouts: 179 of 2,000 requests meet it."""
    met = np.linspace(1000, 20, 179)
    truth = np.percentile([*[5] * 1821, *met], 99)
    for timeout in (10_000, 500, 100):
        lasted = np.array([*[5] * 1821, *np.minimum(met, timeout)])
        gave_up = lasted >= timeout
        run = result(
            np.linspace(0, 0.9, 2000),
            lasted,
            np.where(gave_up, 0, 200),
            outcomes=np.where(gave_up, GIVEN_UP, 0),
        )
        assert run.p99_ms == pytest.approx(min(truth, timeout))
        assert run.at_least(99) == (run.p99_ms < truth) == ("≥" in str(run))
        assert not run.at_least(50)
        assert run.errors == gave_up.sum()


def test_errors_are_counted_apart():
    bad = result(
        [0.1] * 6, 1, [200, 304, 404, 404, 500, 0], ["", "", "", "", "", "connection refused"], seconds=1
    )
    assert (bad.requests, bad.errors) == (6, 4)
    assert bad.throughput == 2
    assert bad.error_counts == {"404 Not Found": 2, "500 Internal Server Error": 1, "connection refused": 1}
    assert next(iter(bad.error_counts)) == "404 Not Found"
    assert result([0.1], 1, 599).error_counts == {"599": 1}


def test_redirects_are_neither_good_nor_errors():
    run = result([0.1] * 4, 1, [200, 307, 301, 304], ["", "307 to /items/", "301 to /a", ""])
    assert (run.requests, run.errors, run.redirects, run.throughput) == (4, 0, 2, 2)
    assert "307 to /items/" in str(run) and not run.trustworthy


def test_what_failed_in_the_generator_is_no_request_of_the_services():
    run = result([0.1] * 3, 1, [200, 200, 0], "out of open files", outcomes=np.array([0, 0, FAILED_HERE]))
    assert (run.requests, run.errors, run.failed_here) == (2, 0, 1)
    assert "1 requests failed in the generator" in str(run) and "ulimit -n" in str(run)


def test_throughput_counts_the_answers_within_the_window():
    run = result([-0.2, -0.2, 0.5, 0.5, 0.9], [100, 300, 100, 600, 50], users=3)
    assert run.throughput == 3  # at 0.1, 0.6 and 0.95 s; not at -0.1 and 1.1 s
    assert busy(10, 50).throughput == pytest.approx(200, rel=0.01)
    assert offered(100, 400).throughput == pytest.approx(100, rel=0.02)


def test_silence_counts():
    answered = np.arange(0, 0.5, 0.01)
    assert result([*answered, 0.5], [*[10] * 50, 9000], [*[200] * 50, 0], users=1).throughput == 50
    only_refusals = result(
        np.repeat([0, 0.7, 1.4], 20), 700, np.repeat([200, 200, 503], 20), users=20, seconds=2.0
    )
    assert only_refusals.throughput == 20  # it used to read 28.6


def test_users_left_waiting_do_not_add_to_throughput():
    served, starved = np.arange(0, 1, 0.05), np.zeros(40)
    run = result([*served, *starved], [*[50] * 20, *np.linspace(2000, 4000, 40)], users=41)
    assert run.throughput == pytest.approx(20, rel=0.06)


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


def late_now_and_then(every: int, ms: float) -> np.ndarray:
    late = np.zeros(1500)
    late[::every] = ms
    return late


GOOD = {
    "closed": busy(),
    "open": offered(),
    "some CPU": busy(generator_cpu=0.2),
    "few users of a busy service": busy(users=2, generator_cpu=0.4, service_cpu=0.95),
    "a little late": offered(late_ms=np.full(150, 3.0)),
    "a little unread": busy(unread_ms=np.full(600, 2.0)),
    "a tail late of which little is seen": offered(1000, 200, late_ms=late_now_and_then(30, 30)),
    "thinking": result(np.arange(0.05, 1, 0.05), 5, thinking=True),  # who thinks is not idle
    "counted alike": offered(counted_in_flight=5.05),
    "a stall": offered(200, np.where((np.arange(300) >= 150) & (np.arange(300) < 200), 300.0, 5.0)),
    "waves that a window holds many of": busy(10, 20, spread=False),
}


@pytest.mark.parametrize("fine", GOOD.values(), ids=GOOD)
def test_nothing_speaks_against_a_good_run(fine):
    assert fine.doubts == []
    assert fine.trustworthy
    assert "not to be trusted" not in repr(fine)
    assert "ot to be trusted" not in fine._repr_html_()


DOUBTFUL = {
    "empty": (nothing(), "all", "No request succeeded"),
    "errors": (busy(statuses=500), "all", "No request succeeded"),
    "CPU": (busy(generator_cpu=0.93), "all", "The generator filled 93% of its core"),
    "CPU of an open one": (offered(generator_cpu=0.93), "all", "The generator filled 93% of its core"),
    "CPU for each user": (
        busy(users=2, generator_cpu=0.4),
        "all",
        "Each user spent 20% of its time in the generator",
    ),
    "CPU for each user of an idle service": (
        busy(users=2, generator_cpu=0.4, service_cpu=0.5),
        "all",
        "Each user spent 20% of its time in the generator",
    ),
    "idle": (
        replace(busy(), elapsed_ms=np.full(600, 40.0)),
        "all",
        "On average only 8.00 of 10 users had a request open",
    ),
    "late": (offered(late_ms=np.full(150, 6.0)), "latency", "Up to 6.0 of 50.0 ms of the p50"),
    # Every 30th request sent 30 ms late: p99 of 32 ms for 2, and the median is right.
    "late in its tail": (
        offered(1000, 2 + late_now_and_then(30, 30), late_ms=late_now_and_then(30, 30)),
        "latency",
        "Up to 30.0 of 32.0 ms of the p99",
    ),
    "unread": (busy(unread_ms=np.full(600, 6.0)), "latency", "Up to 6.0 of 50.0 ms of the p50"),
    "counted otherwise": (offered(counted_in_flight=5.6), "all", "The generator counted 5.60 requests open"),
    "few": (offered(8, 5), "throughput", "Only 8 answers came within the window"),
    "waves": (busy(20, 350, spread=False), "throughput", "Answers came in waves of some 20"),
    "not all started": (busy(unstarted=3), "latency", "3 of 10 users still waited for their first answer"),
    "piling up": (
        offered(100, np.arange(150) * 10 + 20.0),
        "latency",
        "Requests piled up",
    ),
}


@pytest.mark.parametrize(("doubtful", "about", "why"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubt_is_never_hidden(doubtful, about, why):
    (doubt,) = doubtful.doubts
    assert doubt.sentence.startswith(why)
    assert doubt.about == about
    assert not doubtful.trustworthy
    for shown in (str(doubtful), repr(doubtful), doubtful._repr_html_()):
        assert why in shown
    assert doubtful.to_dict()["doubts"] == [doubt.sentence]
    assert doubtful.is_doubted("throughput") == (about != "latency")
    assert doubtful.is_doubted("p99_ms") == (about != "throughput")


def test_users_that_rest_after_a_failure_are_not_idle():
    started = np.arange(0, 30, 0.15)  # each fails after 50 ms, after which the user waits for 100
    waiting = result(started, 50, np.tile([200, 503], 100), seconds=30)
    assert "had a request open" in str(waiting)
    assert "had a request open" not in str(replace(waiting, rested=0.66))


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
    assert "seed 7" in busy(seed=7)._repr_html_()
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
