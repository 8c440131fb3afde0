"""A claim is judged by its bounds; its control must fail; what is near a bound is undecided."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

import toymodels_np as tm
from toymodels_np.experiments.base import FIRST_SEED, FRESH_SEED, Experiment, fit
from toymodels_np.experiments.claims import (
    CORRECTED,
    FAILS,
    HOLDS,
    KINDS,
    NEAR,
    UNDECIDED,
    VERDICTS,
    NotMeasured,
    place,
    requires,
)

finite = st.floats(-1e6, 1e6)


def claim(measure=lambda runs: [run["y"] for run in runs], **options):
    return tm.Claim("grows", "Section", "It grows.", measure, **{"low": 2, "high": 6} | options)


def runs_of(*numbers):
    return [{"y": y} for y in numbers]


# -- verdicts -------------------------------------------------------------------------------------

@given(numbers=st.lists(finite, min_size=1, max_size=9), low=finite, width=st.floats(0, 1e6),
       summary=st.sampled_from(["median", "mean", "smallest", "largest"]))
def test_a_decided_claim_holds_if_and_only_if_its_number_lies_within_its_bounds(
        numbers, low, width, summary):
    record = claim(lambda runs: runs, low=low, high=low + width, summary=summary).check(numbers)
    assume(record["verdict"] != UNDECIDED)
    assert (record["verdict"] == HOLDS) == (low <= record["measured"] <= low + width)
    assert record["spread"] == [min(numbers), max(numbers)] and record["count"] == len(numbers)
    slack = 1e-9 * (1 + max(map(abs, numbers)))
    assert min(numbers) - slack <= record["measured"] <= max(numbers) + slack


@given(numbers=st.lists(finite, min_size=2, max_size=9), low=finite)
def test_a_median_is_undecided_exactly_within_a_quarter_of_the_spread_of_its_bound(numbers, low):
    record = claim(lambda runs: runs, low=low, high=None).check(numbers)
    near = abs(np.median(numbers) - low) < NEAR * (max(numbers) - min(numbers))
    assert (record["verdict"] == UNDECIDED) == near


@pytest.mark.parametrize("options, verdict, said", [
    ({}, HOLDS, ""), ({"low": 5}, FAILS, ""), ({"high": 3}, FAILS, ""),
    ({"low": None, "high": 4.6}, HOLDS, ""),
    ({"low": 5, "correction": "it is {measured}"}, CORRECTED, "it is 4"),
    ({"correction": "never seen"}, HOLDS, ""), ({"low": 4.4}, UNDECIDED, ""),
    ({"low": 4}, UNDECIDED, ""), ({"low": 4, "high": 4}, HOLDS, ""),
    ({"low": 3, "summary": "smallest"}, HOLDS, ""), ({"low": 3.1, "summary": "smallest"},
                                                     UNDECIDED, ""),
])
def test_verdicts(options, verdict, said):
    record = claim(**options).check(runs_of(3, 4, 5))
    assert (record["verdict"], record["correction"]) == (verdict, said)
    assert (record["reason"] != "") == (verdict == UNDECIDED)
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("successes, of, verdict", [
    (9, 9, HOLDS), (4, 4, UNDECIDED), (50, 100, UNDECIDED), (61, 100, HOLDS), (39, 100, FAILS),
    (0, 9, FAILS), (60, 100, UNDECIDED)])
def test_a_share_is_decided_when_its_binomial_interval_is_on_one_side(successes, of, verdict):
    numbers = runs_of(*[1] * successes, *[0] * (of - successes))
    assert claim(low=0.5, high=None, summary="share").check(numbers)["verdict"] == verdict


def test_a_share_is_of_ones_and_zeros():
    with pytest.raises(ArithmeticError, match="share.*0.5.*not all 0 or 1"):
        claim(summary="share", low=0, high=1).check(runs_of(0.5))


@pytest.mark.parametrize("numbers", [[], [np.nan], [1, np.inf]])
def test_no_number_is_an_error_and_not_a_verdict(numbers):
    with pytest.raises(ArithmeticError, match="'grows' measured .* no number"):
        claim(lambda runs: numbers).check([])


@pytest.mark.parametrize("values", ["many", {}, [[1], [1, 2]], [1j]])
def test_what_is_no_number_at_all_is_named(values):
    with pytest.raises(TypeError, match="'grows' must measure numbers, got"):
        claim(lambda runs: values).check([])


@pytest.mark.parametrize("bounds, words", [((2, None), "at least 2"), ((None, 3), "at most 3"),
                                           ((1, 1), "1"), ((1, 2), "1 to 2")])
def test_the_bounds_in_words(bounds, words):
    assert claim(low=bounds[0], high=bounds[1]).check(runs_of(1))["expected"] == words


@pytest.mark.parametrize("options", [
    {"low": None, "high": None}, {"low": 3, "high": 2}, {"low": np.nan}, {"high": np.inf},
    {"summary": "best"}, {"kind": "theirs"}, {"correction": "{x}"}, {"correction": "{"},
    {"correction": "{}"}, {"correction": "{measured.x}"}])
def test_a_claim_without_bounds_or_of_no_known_kind_is_refused(options):
    with pytest.raises(ValueError, match="'grows'"):
        claim(**options)


# -- what was not measured, and what small runs cannot refute -------------------------------------

def test_what_was_not_measured_is_undecided_and_says_why():
    def measure(runs):
        return runs[0]["y"][place(runs[0]["p"], 0.2, "p")]
    record = claim(measure).check([{"p": [0.1, 0.3], "y": [3, 4]}])
    assert record["verdict"] == UNDECIDED and record["measured"] is None
    assert record["reason"] == ("not measured: the claim speaks of p = 0.2, "
                                "and the runs have 0.1, 0.3")
    assert claim(measure).check([{"p": [0.1, 0.2], "y": [3, 4]}])["measured"] == 4
    assert json.loads(json.dumps(record)) == record


def test_a_place_is_found_whatever_its_index_and_a_size_is_required():
    assert place([0.3, 0.1 + 0.2 - 0.1], 0.2, "p") == 1
    with pytest.raises(NotMeasured, match="have none"):
        place([], 0.2, "p")
    assert requires([{"n": 5, "m": 2}], n=5, m=2) is None
    with pytest.raises(NotMeasured, match="m = 3, and the runs have 2"):
        requires([{"n": 5, "m": 2}], n=5, m=3)


def test_quick_runs_do_not_refute_what_only_the_full_size_decides():
    short = claim(low=10, high=None, decided_by="more steps would")
    assert short.check(runs_of(3))["verdict"] == UNDECIDED
    assert short.check(runs_of(3))["reason"] == "more steps would"
    assert short.check(runs_of(3), full=True)["verdict"] == FAILS
    assert short.check(runs_of(11))["verdict"] == HOLDS


# -- controls -------------------------------------------------------------------------------------

def test_the_control_is_the_same_measure_on_the_control_runs():
    record = claim().check(runs_of(3), runs_of(7, 8, 9))
    assert (record["control"], record["control_verdict"]) == (8, FAILS)
    assert claim().check(runs_of(3), runs_of(4))["control_verdict"] == HOLDS        # and is seen


@pytest.mark.parametrize("bad, words", [({"full": 1}, "full must be True or False, got 1"),
                                        ({"controls": {"y": 3}}, "controls must be a list")])
def test_what_a_claim_is_checked_on_is_checked(bad, words):
    with pytest.raises(TypeError, match=words):
        claim().check(runs_of(3), **bad)


def test_a_control_never_holds_with_a_correction():
    record = claim(correction="it is {measured}").check(runs_of(3), runs_of(9))
    assert record["control_verdict"] == FAILS and record["correction"] == ""


def test_a_control_may_be_a_rival_or_a_reason():
    rival = claim(control=lambda runs: [10 * run["y"] for run in runs])
    assert rival.check(runs_of(3), runs_of(4))["control"] == 30
    reasoned = claim(control="none: it is arithmetic").check(runs_of(3), runs_of(4))
    assert (reasoned["control"], reasoned["control_reason"]) == (None, "none: it is arithmetic")
    assert claim().check(runs_of(3))["control_reason"].startswith("not measured")


# -- experiments ----------------------------------------------------------------------------------

def square(job):
    if job["x"] < 0:
        raise ArithmeticError("no square")
    return {"y": job["x"] * (job["seed"] - FIRST_SEED + 1)}


TINY = Experiment("tiny", 1, "A tiny one", "Section", "01",
                  {"x": 2.0, "n": 5, "p": [1, 0.1], "word": "a", "flag": True, "seeds": 3},
                  {"x": 3.0, "n": 6, "p": [0.2], "word": "b", "flag": True, "seeds": 4},
                  square, None, (claim(), claim(summary="largest", high=5)),
                  control={"x": 0})


def test_settings_change_by_name_and_keep_their_sort():
    assert TINY.settings(changes={"x": 2.5, "p": []})["x"] == 2.5
    assert TINY.settings(changes={"x": 4, "p": [1, 0.5]})["x"] == 4
    assert TINY.settings(True, [("seeds", 2)]) == TINY.full | {"seeds": 2}
    for changes, said in (({"y": 1}, "unknown setting 'y'"), ({"seed": 1}, "did you mean 'seeds'"),
                          ({"x": "2"}, "'x' must be a number"), ({"x": True}, "'x' must be"),
                          ({"x": float("nan")}, "not finite|'x' must be"),
                          ({"n": 2.5}, "'n' must be a whole number, such as 5, got 2.5"),
                          ({"p": 0.1}, "'p' must be a list"),
                          ({"p": ["a"]}, "'p' must be a number"),
                          ({"word": 1}, "'word' must be text"),
                          ({"flag": 1}, "'flag' must be true"),
                          ({"n": -1}, "'n' must be at least 0, got -1"),
                          ({"seeds": 0}, "seeds must be"),
                          ({"seeds": -1}, "^seeds must be a whole number of at least 1, got -1"),
                          ({"seeds": 1.5}, "'seeds' must be")):
        with pytest.raises(ValueError, match=said):
            TINY.settings(changes=changes)


@pytest.mark.parametrize("name", tm.experiments)
def test_a_count_that_no_run_can_be_without_is_refused_before_the_runs(name):
    experiment = tm.experiments[name]
    counts = [key for key, value in experiment.quick.items() if type(value) is int]
    for key in counts:
        with pytest.raises(ValueError, match=f"{key}.*at least"):
            experiment.settings(changes={key: -1})
    for key in set(counts) & {"models", "starts", "kept", "turns", "cells", "every"}:
        with pytest.raises(ValueError, match=f"{key}.*at least 1, got 0"):
            experiment.settings(changes={key: 0})
    assert experiment.settings(changes=experiment.control)


def test_all_seeds_of_an_experiment_are_one_sweep(tmp_path):
    runs = TINY.runs(TINY.settings(), tmp_path)
    assert [(run["x"], run["seed"] - FIRST_SEED, run["y"]) for run in runs] == [
        (2, 0, 2), (2, 1, 4), (2, 2, 6)]
    fresh = TINY.runs(TINY.settings(), tmp_path, first_seed=FRESH_SEED)
    assert [run["seed"] for run in fresh] == [FRESH_SEED, FRESH_SEED + 1, FRESH_SEED + 2]
    records = TINY.check(runs, TINY.runs(TINY.settings() | TINY.control, tmp_path))
    assert [(r["experiment"], r["row"], r["verdict"], r["control"]) for r in records] == [
        ("tiny", 1, HOLDS, 0), ("tiny", 1, FAILS, 0)]


def test_a_run_that_fails_is_an_error_with_its_reason(tmp_path):
    with pytest.raises(RuntimeError, match="3 of 3 runs failed.*no square"):
        TINY.runs(TINY.settings(changes={"x": -1}), tmp_path)


def test_a_control_is_not_trained_and_what_is_fitted_is():
    job = {"steps": 3, "batch_size": 8, "learning_rate": 0.1, "seed": 5}
    features, start = tm.Features(3, 0.5), tm.ReluOutput.init(3, 2, seed=5)
    assert fit(start, features, job | {"steps": 0}) is start
    assert fit(start, features, job | {"steps": 0}, steps=9) is start
    trained = fit(start, features, job, schedule="cosine")
    twin = tm.train(start, features, **job, schedule="cosine", progress=False).model
    np.testing.assert_array_equal(trained.W, twin.W)
    assert (fit(start, features, job, steps=4).W != trained.W).any()


def test_experiments_are_rows_of_one_table():
    rows = list(tm.experiments.values())
    assert list(tm.experiments) == [row.name for row in rows]
    assert [row.row for row in rows] == list(range(1, 18))
    names = [each.name for row in rows for each in row.claims]
    assert len(set(names)) == len(names) >= 136
    for row in rows:
        assert row.claims and set(row.quick) == set(row.full)
        assert json.loads(json.dumps([row.quick, row.full])) == [row.quick, row.full]
        for each in row.claims:
            assert each.sentence.endswith(".") and each.kind in KINDS
            assert not isinstance(each.control, str) or len(each.control) > 10


def test_verdicts_and_kinds_are_four_and_three():
    assert len(set(VERDICTS)) == 4 and set(KINDS) == {"paper", "identity", "ours"}
