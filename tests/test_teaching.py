"""Predictions, comparisons, claims and figures: what a learner sees of a measurement."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nbval.plugin import get_sanitize_patterns

from underload import claim, compare, predict, predictions, pytest_plugin
from underload.errors import UnderloadError
from underload.finding import NotMet
from underload.loading import Result, number
from underload.loading.outcome import GIVEN_UP
from underload.teaching import ceilings, plots, prediction

SANITIZE = Path(pytest_plugin.__file__).with_name("nbval_sanitize.cfg")


def run(latencies_ms, users=10, seconds=2.0, statuses=None, lag=None):
    count = len(latencies_ms)
    return Result(
        users=users,
        rate=None,
        seconds=seconds,
        started=np.linspace(0, seconds, count, endpoint=False),
        elapsed_ms=np.array(latencies_ms, float),
        statuses=np.full(count, 200) if statuses is None else np.array(statuses),
        reasons=np.full(count, ""),
        late_ms=np.zeros(count),
        thinking=True,
        lag=np.array(lag if lag is not None else [[0.0, 1.0], [1.0, 50.0]]),
    )


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(prediction, "_predictions", {})
    monkeypatch.setenv("UNDERLOAD_HOME", str(tmp_path))


def png(plot):
    bundle, metadata = plot._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == plot.text
    return bundle["image/png"]


def test_a_claim_that_holds_is_one_line_with_the_figure_it_rests_on(capsys):
    claim("a pool serves 3 times the requests", True, 7.512)
    assert capsys.readouterr().out == "✔ a pool serves 3 times the requests (measured 7.51)\n"


def test_a_claim_that_fails_says_so_and_what_to_do(in_jupyterlab, capsys):
    claim("a pool serves 3 times the requests", False)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "✘ a pool serves 3 times the requests"
    assert "underload doctor" in second


def test_a_claim_that_fails_says_the_same_under_pytest_and_fails_its_cell(capsys):
    with pytest.raises(
        NotMet, match=r"^✘ a pool serves 3 times the requests \(measured 2\)\n.*underload doctor"
    ):
        claim("a pool serves 3 times the requests", False, 2)
    assert capsys.readouterr().out == ""


def test_a_claim_that_is_passed_over_says_why_and_claims_nothing(capsys):
    claim("a skip scan pays", False, 7, passed_over="it needs PostgreSQL 18, and this is 15")
    said = capsys.readouterr().out
    assert said == "– a skip scan pays (passed over: it needs PostgreSQL 18, and this is 15)\n"
    claim("a skip scan pays", True, 7)
    assert compared(said) == compared(capsys.readouterr().out)
    assert compared(said) != compared("✘ a skip scan pays\n")


def compared(text):
    """Return what nbval compares of a text."""
    for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text()):
        text = re.sub(pattern, replacement, text)
    return text


def test_a_comparison_answers_the_prediction_with_the_last_run():
    guess = predict("req/s", 500)
    slow, fast = run([10] * 20), run([1] * 200)
    compare("throughput", guess, slow=slow, fast=fast)
    assert guess.outcome == fast.throughput


def test_a_prediction_asked_again_replaces_the_first():
    predict("req/s", 1)
    compare("throughput", predict("req/s", 500), fast=run([1] * 200))
    assert predictions().text == "predictions against outcomes: 1"


@pytest.mark.parametrize("guess", [1, None])
def test_predictions_without_an_answer_say_what_to_do(guess):
    predict("req/s", guess)
    with pytest.raises(UnderloadError, match="Run the cells above"):
        predictions()


def test_a_question_without_a_number_asks_for_one_and_goes_on(capsys):
    guess = predict("req/s")
    assert capsys.readouterr().out == 'Your number goes in: predict("req/s", <number>)\n'
    plot = compare("throughput", guess, slow=run([10] * 20), fast=run([1] * 200))
    assert ":" not in [line.get_linestyle() for line in plot.axes[0].lines]
    assert png(plot)
    assert repr(guess) == "No prediction: req/s"


def test_predictions_leave_out_what_was_given_no_number(capsys):
    compare("throughput", predict("req/s"), fast=run([1] * 200))
    assert predictions() is None
    assert capsys.readouterr().out.splitlines()[1].startswith("You gave none of the predictions a number")
    compare("throughput", predict("req/s, later", 500), fast=run([1] * 200))
    assert predictions().text == "predictions against outcomes: 1"


@pytest.mark.parametrize("guess", ["many", ..., [500]])
def test_a_prediction_that_is_no_number_is_one_sentence(guess):
    with pytest.raises(UnderloadError, match=r"is a number, .* write predict\('req/s', 500\)"):
        predict("req/s", guess)


def test_an_unknown_metric_names_those_there_are():
    with pytest.raises(UnderloadError, match="p99_ms"):
        compare("speed", fast=run([1] * 20))


def test_a_comparison_of_nothing_says_how_to_name_a_run():
    with pytest.raises(UnderloadError, match="naive=naive"):
        compare("throughput")


def test_the_guess_is_dotted_and_the_ceiling_is_a_red_rule():
    ceilings.keep("doing nothing", 9000)
    plot = compare("throughput", predict("req/s", 500), ceiling="doing nothing", fast=run([1] * 200))
    styles = {line.get_label(): (line.get_linestyle(), line.get_color()) for line in plot.axes[0].lines}
    assert styles["your prediction: 500"][0] == ":"
    assert styles["doing nothing: 9,000"] == ("-", plots.LIMIT)


def test_ceilings_are_kept_by_name_and_survive_a_broken_file(tmp_path):
    ceilings.keep("one SELECT", 2000)
    ceilings.keep("one SELECT", 3000)
    assert ceilings.read() == {"one SELECT": 3000}
    (tmp_path / "ceilings.json").write_text("{")
    assert ceilings.read() == {}


def test_a_ceiling_is_kept_where_no_server_of_ours_has_made_the_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("UNDERLOAD_HOME", str(tmp_path / "not" / "yet"))
    ceilings.keep("one SELECT", 2000)
    assert ceilings.read() == {"one SELECT": 2000}


def test_a_ceiling_that_cannot_be_kept_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNDERLOAD_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(UnderloadError):
        ceilings.keep("one SELECT", 2000)


def test_before_is_grey_and_after_is_the_accent_in_every_figure():
    before, after = run([10] * 20), run([1] * 20)
    assert [bar.get_facecolor() for bar in compare("p50_ms", before=before, after=after).axes[0].patches] == [
        pytest.approx((*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1))
        for colour in (plots.BEFORE, plots.AFTER)
    ]
    for draw in (plots.latency, plots.lag, plots.percentiles):
        assert [line.get_color() for line in draw(before=before, after=after).axes[0].lines] == [
            plots.BEFORE,
            plots.AFTER,
        ]


@pytest.mark.parametrize("draw", [plots.latency, plots.lag, plots.percentiles])
def test_each_figure_of_a_run_becomes_a_small_png_that_fits_a_notebook(draw):
    image = png(draw(before=run([10, 20, 900] * 300), after=run([1] * 900)))
    assert image.startswith(b"\x89PNG") and len(image) < 60_000


@pytest.mark.parametrize("draw", [plots.latency, plots.lag, plots.percentiles])
def test_a_run_without_a_single_answer_can_still_be_drawn(draw):
    failed = run([5] * 10, statuses=[0] * 10, lag=np.empty((0, 2)))
    assert png(draw(failed=failed)).startswith(b"\x89PNG")


def test_the_knee_draws_one_point_a_run():
    plot = plots.knee([run([1] * 50, users=users) for users in (1, 10, 100)], {"ceiling": 9000})
    assert list(plot.axes[0].lines[0].get_xdata()) == [1, 10, 100]
    assert png(plot)


def test_a_sweep_draws_one_point_a_value():
    plot = plots.sweep("connections", {1: run([1] * 50), 60: run([5] * 50)})
    assert list(plot.axes[1].lines[0].get_xdata()) == [1, 60]
    assert png(plot)


def test_parts_draw_each_whole_to_its_sum_however_many_parts_it_has():
    plot = plots.parts("ms", naive={f"step {n}": 1.0 for n in range(9)}, pooled={"step 0": 2.0})
    ends = [max(bar.get_x() + bar.get_width() for bar in plot.axes[0].patches[row::2]) for row in (0, 1)]
    assert ends[0] == 9
    assert [text.get_text().strip() for text in plot.axes[0].texts] == ["9", "2"]
    assert png(plot)


def test_a_prediction_of_nothing_is_drawn_at_the_edge():
    plot = plots.guesses({"errors": (0, 50), "answers": (10, 0), "seats": (5, 5)})
    assert len(plot.axes[0].lines) == 2 * 3 + 1
    assert png(plot)


def test_a_failed_request_is_crossed_in_red():
    plot = plots.latency(cut=run([10] * 10, statuses=[200] * 8 + [500] * 2))
    crosses = [line for line in plot.axes[0].lines if line.get_marker() == "x"]
    assert [len(line.get_xdata()) for line in crosses] == [2]
    assert [line.get_color() for line in crosses] == [plots.LIMIT]


def test_where_several_runs_failed_each_keeps_its_colour():
    runs = {name: run([10] * 10, statuses=[200] * 8 + [500] * 2) for name in ("naive", "better")}
    crosses = [line for line in plots.latency(**runs).axes[0].lines if line.get_marker() == "x"]
    assert [line.get_color() for line in crosses] == [plots.BEFORE, plots.AFTER]


def test_a_timeline_draws_each_series_and_the_limit():
    plot = plots.timeline("sessions", {"budget": 10}, naive=[(0, 1), (0.1, 40)], pooled=[(0, 10)])
    assert [list(line.get_ydata()) for line in plot.axes[0].lines] == [[1, 40], [10], [10, 10]]
    assert [line.get_color() for line in plot.axes[0].lines] == [plots.BEFORE, plots.AFTER, plots.LIMIT]
    assert repr(plot) == "<figure: sessions over seconds: naive, pooled>"


def test_theory_is_a_line_and_each_measurement_a_point():
    plot = plots.against_theory("ms", "% busy", theory=[(50, 1), (90, 9)], measured=[(90, 7), (90, 12)])
    line, points = plot.axes[0].lines
    assert (line.get_linestyle(), points.get_linestyle()) == ("-", "None")
    assert list(points.get_xydata().ravel()) == [90, 7, 90, 12]


def test_what_was_otherwise_for_a_while_is_shaded_and_named():
    stall = {"the stall": (0.2, 0.6)}
    for plot in (
        plots.timeline("calls", during=stall, naive=[(0, 1), (1, 4)]),
        plots.latency(stall, naive=run([10])),
    ):
        (axes,) = plot.axes
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0.2, pytest.approx(0.6))
        assert "the stall" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_spans_rule_off_the_calls_that_had_a_place():
    plot = plots.spans([(0, 0.5)] * 40 + [(0, 1.0)], mark=40)
    assert len({line.get_color() for line in plot.axes[0].lines[:41]}) == 2
    assert png(plot)


def test_requests_sent_before_the_window_opened_are_drawn_too():
    result = run([5000, 10, 10])
    result.started[0] = -0.01
    assert len(plots.latency(run=result).axes[0].lines[0].get_xdata()) == 3


def test_numbers_carry_three_figures():
    assert [number(value) for value in (0, 0.12345, 7.512, 52.37, 1234.5)] == [
        "0",
        "0.123",
        "7.51",
        "52.4",
        "1,234",
    ]


def test_a_result_is_plain_json():
    assert json.loads(json.dumps(run([1] * 20).to_dict()))["requests"] == 20


def test_a_doubted_number_is_never_drawn_like_the_others():
    sound, full = run([1] * 200), replace(run([1] * 400), generator_cpu=0.95)
    axes = compare("throughput", sound=sound, full=full).axes[0]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, True]
    assert [text.get_text() for text in axes.texts] == ["100", "200  not to be trusted"]
    hollow = [
        line for line in plots.knee([sound, replace(full, users=20)]).axes[0].lines if line.get_zorder() == 4
    ]
    assert [list(line.get_xdata()) for line in hollow] == [[20]]
    labels = plots.percentiles(sound=sound, full=full).axes[0].get_legend_handles_labels()[1]
    assert labels == ["sound", "full  not to be trusted"]


def test_a_lower_bound_and_too_few_requests_are_said_in_the_figure():
    cut = run([5] * 90 + [100] * 20, statuses=[200] * 90 + [0] * 20)
    cut = replace(cut, outcomes=np.array([0] * 90 + [GIVEN_UP] * 20))
    texts = compare("p99_ms", cut=cut, few=run([1] * 20)).axes[0].texts
    assert [text.get_text() for text in texts] == ["≥ 100", "too few requests"]
