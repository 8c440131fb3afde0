"""Rows 1 to 5: measures on made inputs, claims on untrained models, any size, kept minima."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from axes_of_p import row_figure

import toymodels_np as tm
from toymodels_np.experiments import (
    analysis,
    demonstration,
    introduction,
    phase_2_1,
    phase_3_2,
    phase_grids,
)
from toymodels_np.experiments.claims import FAILS, HOLDS, UNDECIDED, NotMeasured
from toymodels_np.experiments.polished import leaves_little, polished
from toymodels_np.theory import energies

ROWS = ("introduction", "demonstration", "demonstration-larger", "phase-2-1", "phase-3-2")
SMALL = {                                               # as small as each row can be, and odd
    "introduction": {"n_features": 3, "n_hidden": 1, "probabilities": [0.5], "models": 2,
                     "sweep": [0.7, 0.2], "sweep_models": 2, "search": 2, "steps": 30},
    "demonstration": {"n_features": 4, "n_hidden": 2, "probabilities": [0.02, 0.2, 0.9],
                      "steps": 30, "linear_steps": 30, "polish": [0.2]},
    "demonstration-larger": {"n_features": 7, "n_hidden": 3, "probabilities": [0.5],
                             "steps": 30, "linear_steps": 30},
    "phase-2-1": {"n_features": 3, "n_hidden": 1, "cells": 3, "every": 2, "starts": 2,
                  "lines": [], "steps": 30},
    "phase-3-2": {"cells": 3, "near_cells": 2, "every": 2, "starts": 2, "lines": [],
                  "steps": 30},
}
# What is said of true minima alone has a rival, or a reason; the rest must fail untrained.
OF_MINIMA = {"2-in-1-first-order-dense", "3-in-2-joint-solution", "introduction-true-minima"}


def claim_of(name, claim):
    found, = (each for each in tm.experiments[name].claims if each.name == claim)
    return found


def verdict(name, claim, runs):
    return claim_of(name, claim).check(runs)["verdict"]


# -- every row: controls, any size, figures -------------------------------------------------------

@pytest.fixture(scope="module")
def controls():
    """Runs of each row's quick settings without training, on which the paper's claims must fail."""
    found = {}
    for name in ROWS:
        row = tm.experiments[name]
        changes = {"phase-2-1": {"lines": [], "every": 12}, "phase-3-2": {"lines": [], "every": 12},
                   "introduction": {"search": 1, "models": 4, "sweep_models": 2,
                                    "sweep": [1.0, 0.4, 0.15, 0.05]}}
        settings = row.settings(changes=changes.get(name, {}) | row.control | {"seeds": 2})
        found[name] = [job | row.run(job) for job in row.jobs(settings)]
    return found


@pytest.mark.parametrize("name", ROWS)
def test_no_claim_about_training_holds_for_untrained_models(name, controls):
    trained = [claim for claim in tm.experiments[name].claims if claim.control is None]
    assert len(trained) >= 2
    for claim in trained:
        assert claim.check(controls[name])["verdict"] in (FAILS, UNDECIDED), claim.name
    failed = [claim.check(controls[name])["verdict"] == FAILS for claim in trained]
    assert np.mean(failed) >= 0.8                       # the others say why they are not measured


@pytest.mark.parametrize("name", ["phase-2-1", "phase-3-2"])
def test_rivals_of_what_is_said_of_true_minima_fail(name, controls):
    """A linear model, or the side where the change is continuous."""
    rivals = [claim for claim in tm.experiments[name].claims
              if callable(claim.control) and claim.kind == "paper"]
    assert len(rivals) >= 2
    for claim in rivals:
        record = claim.check(controls[name])
        assert record["control_verdict"] == FAILS or "not measured" in record["control_reason"]


def test_only_claims_of_minima_are_without_a_control():
    without = {claim.name for name in ROWS for claim in tm.experiments[name].claims
               if isinstance(claim.control, str)}
    assert without == OF_MINIMA


@pytest.mark.parametrize("name", ROWS)
def test_a_row_runs_and_draws_at_any_size_and_says_what_it_did_not_measure(name):
    row = tm.experiments[name]
    settings = row.settings(changes=SMALL[name] | {"seeds": 2})
    runs = [job | row.run(job) for job in row.jobs(settings)]
    records = row.check(runs)
    assert json.loads(json.dumps(records)) == records
    unmeasured = [r for r in records if r["measured"] is None]
    assert all(r["verdict"] == UNDECIDED and "not measured: " in r["reason"] for r in unmeasured)
    assert unmeasured
    assert row_figure(row, runs)._repr_png_().startswith(b"\x89PNG\r\n\x1a\n")


# -- row 1 ----------------------------------------------------------------------------------------

ORTHOGONAL = np.array([[1.0, 0, 0, 0, 0], [0, 1, 0.05, 0, 0]])
PAIRS = np.array([[1.0, -1, 0, 0, 0], [0, 0, 1, -1, 0]])
PENTAGON = 1.1 * tm.polytopes.polygon(5)


def introduction_run(*W, order=(1.0, 0.2, 0.1), minimum=1.0):
    """A run at three probabilities with these models W (m, n), in the text and in the sweep."""
    by_p = dict(zip((1.0, 0.2, 0.1), W))
    W = np.array([by_p[p] for p in order])
    return {"n_features": 5, "n_hidden": 2, "probabilities": list(order), "sweep": list(order),
            "text_W": np.repeat(W[:, None], 40, 1), "best_W": np.concatenate([W, W]),
            "best_loss": np.ones(6), "minimum_W": W, "minimum_loss": np.full(6, minimum)}


@pytest.mark.parametrize("order", [(1.0, 0.2, 0.1), (0.1, 1.0, 0.2)])
def test_the_introductions_claims_hold_for_what_the_paper_draws_and_fail_for_all_else(order):
    right = [introduction_run(ORTHOGONAL, PAIRS, PENTAGON, order=order)] * 4
    wrong = [introduction_run(PENTAGON, PAIRS[:, ::-1], ORTHOGONAL, order=order, minimum=0.9)] * 4
    for claim in introduction.CLAIMS:
        assert claim.check(right)["verdict"] == HOLDS, claim.name
        still = claim.name in ("introduction-pairs-rate", "introduction-pairs")
        assert claim.check(wrong)["verdict"] == (HOLDS if still else FAILS), claim.name


def test_the_introductions_claims_speak_of_five_in_two_and_of_their_p():
    run = introduction_run(ORTHOGONAL, PAIRS, PENTAGON)
    for change in ({"n_hidden": 3}, {"n_features": 9}, {"probabilities": [1.0, 0.5, 0.3]}):
        record = claim_of("introduction", "introduction-pairs").check([run | change])
        assert record["verdict"] == UNDECIDED and "not measured" in record["reason"]


def test_with_a_dimension_for_each_feature_nothing_is_said_of_the_least_loss():
    run = introduction_run(ORTHOGONAL, PAIRS, PENTAGON, minimum=0.0) | {"n_hidden": 5}
    for name in ("introduction-finds-the-minimum", "introduction-sparser-keeps-more"):
        assert verdict("introduction", name, [run]) == UNDECIDED


def test_the_looks_of_the_introduction():
    assert introduction.keeps_top(ORTHOGONAL) and not introduction.keeps_top(ORTHOGONAL[:, ::-1])
    three = np.eye(3, 7)
    assert introduction.keeps_top(three) and not introduction.keeps_top(three[:, ::-1])
    assert not introduction.keeps_top(ORTHOGONAL + 0.2 * np.eye(2, 5, 1))
    other = PAIRS[:, [0, 1, 2, 4, 3]]                               # the fourth is dropped instead
    assert introduction.two_pairs(PAIRS) and introduction.two_pairs(other)
    assert introduction.drops_the_last(PAIRS) and not introduction.drops_the_last(other)


def test_more_features_are_kept_only_if_never_fewer_and_at_the_end_more():
    rising = introduction_run(ORTHOGONAL, PAIRS, PENTAGON)
    still = introduction_run(PAIRS, PAIRS, PAIRS)
    back = introduction_run(ORTHOGONAL, PENTAGON, PAIRS)
    assert introduction.keeps_more([rising, still, back]) == [True, False, False]
    with pytest.raises(NotMeasured, match="two or more"):
        introduction.keeps_more([rising | {"sweep": [0.1]}])


def test_the_true_minimum_is_that_of_the_closed_form():
    minimum = introduction.true_minimum(2, 1, 0.1, 0.9, 4)
    assert minimum.is_local_minimum and minimum is introduction.true_minimum(2, 1, 0.1, 0.9, 4)
    assert minimum.loss == pytest.approx(energies.antipodal(0.1, (1, 0.9)).loss)


# -- rows 2 and 3 ---------------------------------------------------------------------------------

def demonstration_run(*W, p, linear=None):
    W = np.stack(W)
    return {"W": W, "linear_W": W if linear is None else linear, "probabilities": list(p),
            "n_hidden": W.shape[1], "n_features": W.shape[2], "decay": 0.7}


def with_pairs(m, n, alone):
    """The first `alone` features alone, and antipodal pairs in the other dimensions."""
    W = np.zeros((m, n))
    W[:alone, :alone] = np.eye(alone)
    for d in range(alone, m):
        W[d, alone + 2 * (d - alone):alone + 2 * (d - alone) + 2] = 1, -1
    return W


def test_row_three_has_the_claims_and_measures_of_row_two():
    small, large = tm.experiments["demonstration"], tm.experiments["demonstration-larger"]
    trained = small.claims[:-len(analysis.CLAIMS)]      # the analysis is row 2's alone
    assert [c.name for c in large.claims] == [f"larger-{c.name}" for c in trained]
    assert [c.measure for c in large.claims] == [c.measure for c in trained]
    for settings in (large.quick, large.full):
        assert (settings["n_features"], settings["n_hidden"], settings["decay"]) == (80, 20, 0.9)


def test_a_linear_model_that_swaps_two_features_fails():
    top = np.eye(2, 6)
    runs = [demonstration_run(top, p=[1])] * 2
    assert verdict("demonstration", "linear-keeps-the-top", runs) == HOLDS
    swapped = top[:, [0, 2, 1, 3, 4, 5]]
    runs = runs + [demonstration_run(top, p=[1], linear=swapped[None])]
    assert verdict("demonstration", "linear-keeps-the-top", runs) == FAILS


def test_the_most_important_are_kept_where_others_matter_clearly_less():
    first, second = np.eye(3, 6), np.eye(3, 6)[:, [0, 1, 3, 2, 4, 5]]       # feature 3 instead of 2
    assert demonstration.keeps_top(np.stack([first, second]), 0.7).tolist() == [True, False]
    assert demonstration.keeps_top(np.stack([first, second]), 0.9).tolist() == [True, True]
    lost, more = first * [1, 1, 0, 0, 0, 0], np.eye(3, 6) + np.eye(3, 6, 1)
    assert demonstration.keeps_top(np.stack([lost, more, 2 * first]), 0.9).sum() == 0
    swapped = np.eye(3, 6)[:, [3, 1, 2, 0, 4, 5]]                           # 0 matters clearly more
    assert not demonstration.keeps_top(swapped, 0.9)
    assert demonstration.keeps_top(second, 0) and not demonstration.keeps_top(swapped, 0)


def test_superposition_that_begins_with_the_least_important_in_pairs_is_told_from_others():
    least = with_pairs(5, 12, 3)                                    # 0, 1, 2 alone, then two pairs
    most = least[:, [3, 4, 5, 6, 0, 1, 2, *range(7, 12)]]           # the pairs come first
    assert demonstration.order_of_sharing(least) == 1
    assert demonstration.order_of_sharing(most) == 0
    assert demonstration.order_of_sharing(with_pairs(5, 12, 0)) == 0.5      # all share: chance
    assert demonstration.order_of_sharing(np.eye(5, 12)) == 0.5             # none does: chance
    assert demonstration.in_pairs(least) == demonstration.in_pairs(most) == 1
    assert demonstration.in_pairs(np.eye(5, 12)) == 0
    assert demonstration.in_pairs(np.hstack([PENTAGON, np.zeros((2, 4))])) == 0
    three = np.array([[1.0, -1, -1]])                               # an antipode, but two of them
    assert demonstration.in_pairs(three) == 0


def test_what_training_leaves_is_its_loss_above_the_minimum_at_the_worst_p():
    run = {"trained_loss": np.array([1.1, 2.0, 3.0]), "polished_loss": np.array([1.0, np.nan, 2.0]),
           "empty_loss": np.array([3.0, 9, 5])}
    claim = leaves_little("left", "a section")
    assert claim.measure([run]) == [pytest.approx(0.5)]
    assert claim.control([run]) == [pytest.approx(2.0)]
    with pytest.raises(NotMeasured, match="polish"):
        claim.measure([run | {"polished_loss": np.full(3, np.nan)}])


@pytest.mark.parametrize("rounding", [-1e-17, 0.0, 1e-17])
def test_of_a_minimum_that_loses_nothing_no_part_is_left(rounding):
    run = {"trained_loss": np.array([0.1]), "polished_loss": np.array([rounding]),
           "empty_loss": np.ones(1)}
    record = leaves_little("x", "y").check([run])
    assert (record["measured"], record["verdict"]) == (None, UNDECIDED)


def test_polished_losses_are_those_of_the_minima_next_to_each_model():
    features = tm.Features(3, [[0.1], [0.5]], [1, 0.9, 0.8])
    model = tm.train(tm.ReluOutput.init(3, 2, 2), features, steps=300, batch_size=128,
                     learning_rate=1e-2).model
    found = polished(model, features, np.array([True, False]))
    best = tm.find_minimum(features[0], 2, initial=model[0])
    assert found["polished_loss"][0] == pytest.approx(best.loss, rel=1e-12)
    assert np.isnan(found["polished_loss"][1])
    np.testing.assert_allclose(found["trained_loss"], tm.expected_loss(model, features), rtol=1e-5)
    mean = tm.ReluOutput(np.zeros((2, 2, 3)), features.mean())
    np.testing.assert_allclose(found["empty_loss"], tm.expected_loss(mean, features), rtol=1e-9)


def test_superposition_begins_where_more_features_than_dimensions_are_first_represented():
    dense, first, later = np.eye(4, 9), with_pairs(4, 9, 2), with_pairs(4, 9, 0)
    run = demonstration_run(later, dense, first, p=[0.01, 1, 0.3])
    assert (demonstration.where_it_begins(run) == first).all()
    assert demonstration.sparse_over_dense([run]) == [2]
    rising = demonstration_run(later, dense, with_pairs(4, 9, 3), first, p=[0.01, 1, 0.3, 0.1])
    still = demonstration_run(*[dense] * 4, p=[1, 0.3, 0.1, 0.01])
    assert demonstration.steps_up([rising, still]) == [1, 0.5]
    with pytest.raises(NotMeasured, match="four or more"):
        demonstration.steps_up([run])
    with pytest.raises(NotMeasured, match="nowhere"):
        demonstration.where_it_begins(demonstration_run(dense, p=[1]))
    with pytest.raises(NotMeasured, match="probabilities = 0.01"):
        demonstration.sparse_over_dense([demonstration_run(dense, p=[1])])


# -- rows 4 and 5 ---------------------------------------------------------------------------------

def test_candidates_are_those_of_the_diagram_and_cost_what_equation_6_1_says():
    for n, m in ((2, 1), (3, 2), (4, 2)):
        r, p = np.array([0.15, 0.999, 4]), np.array([0.03, 0.4, 0.9])
        diagram = tm.phase_diagram(n, m, importance=r, feature_probability=p)
        mine = phase_2_1.candidate_phases(n, m, r, p)
        np.testing.assert_array_equal(mine, diagram.candidate_phase)
        if n < 4:
            np.testing.assert_array_equal(phase_2_1.merged(phase_2_1.phases(diagram.model.W)),
                                          diagram.phase)


def test_a_triangle_is_a_joint_solution_and_pairs_are_not():
    triangle = tm.polytopes.polygon(3)
    pair = np.array([[1.0, -1, 0], [0, 0, 1]])
    assert phase_2_1.phases(np.stack([triangle, pair, pair[:, ::-1], np.eye(2, 3)])).tolist() == [
        "joint", "own dimension", "superposed", "not learned"]
    assert not phase_2_1.is_joint(np.ones((4, 1, 2))).any()


def phase_run(trained, losses, true):
    """A run on one trained cell with so many models, whose true phase is `true`."""
    return {"trained_rows": np.array([0]), "trained_columns": np.array([0]),
            "true_phase": np.array([[true]]), "trained_phase": np.array([[trained]]),
            "trained_loss": np.array([[losses]])}


def test_the_best_of_all_models_counts_and_the_rate_is_the_mean_over_phases():
    run = phase_run(["superposed", "not learned"], [1.0, 2.0], "superposed")
    other = phase_run(["not learned", "not learned"], [0.5, 2.0], "superposed")
    assert phase_2_1.best_phase([run, other]).item() == "not learned"
    assert phase_2_1.found_by_best([run, other]) == [1, 0]
    assert phase_2_1.success([run, other]) == [0.5, 0]
    both = run | {"trained_columns": np.arange(4),
                  "true_phase": np.array([["superposed"] * 3 + ["not learned"]]),
                  "trained_phase": np.full((1, 4, 2), "superposed")}
    assert phase_2_1.success([both]) == [0.5]               # right in 3 of 4 cells, and blind


@pytest.mark.parametrize("name", ["phase-2-1", "phase-3-2"])
def test_few_cells_decide_nothing(name):
    """The kept minima are there; of these every 30th cell is trained, not at all."""
    row = tm.experiments[name]
    exact = "-regions", "-decide", "-dropped"
    for changes, known in (({"cells": 1}, ()), ({"every": 30}, exact)):
        settings = row.settings(changes={"lines": [], "near_cells": 1, "steps": 0, "seeds": 1,
                                         "starts": 10} | changes)
        for record in row.check([job | row.run(job) for job in row.jobs(settings)]):
            measured = record["kind"] == "identity" or record["name"].endswith(known)
            assert (record["measured"] is not None) == measured, record["name"]


def test_the_mean_of_ten_is_without_the_worst():
    run = {"starts": 10, "trained_rows": np.array([0]), "trained_columns": np.array([0]),
           "true_norm": np.array([[1.0]]), "true_sharing": np.array([[0.0]]),
           "trained_norm": np.array([[[1.0] * 5 + [0.2] * 5]]),
           "trained_sharing": np.zeros((1, 1, 10)), "trained_loss": np.ones((1, 1, 10))}
    run["trained_loss"][..., -1] = 2                        # nine have a mean norm of 0.64
    assert phase_2_1.mean_of_ten([run]) == [1]
    run["trained_norm"][..., :3] = 0.2                      # and now of 0.38
    assert phase_2_1.mean_of_ten([run]) == [0]
    with pytest.raises(NotMeasured, match="starts = 10"):
        phase_2_1.mean_of_ten([run | {"starts": 5}])


def test_a_jump_is_told_from_a_continuous_change():
    """Equation (6.10): the extra feature jumps at p = 0.3, and grows from nothing at 0.6."""
    assert phase_2_1.appearance(2, 1, 0.3) > 0.5 > 0.1 > phase_2_1.appearance(2, 1, 0.6)


# -- the minima that are kept ---------------------------------------------------------------------

@pytest.mark.parametrize("grid", phase_grids.KEPT, ids=lambda grid: grid.name)
def test_kept_minima_are_those_that_a_search_finds(grid):
    model = phase_grids.minima(grid)
    assert model.instances == (grid.cells, grid.cells)
    assert phase_grids.steepest(model, grid) <= phase_grids.STATIONARY
    features = grid.features()
    loss = tm.expected_loss(tm.ReluOutput(model.W.reshape(-1, grid.m, grid.n),
                                          model.b.reshape(-1, grid.n)), features)
    for i in np.random.default_rng(grid.cells + grid.n).choice(len(loss), 4, replace=False):
        found = tm.find_minimum(features[int(i)], grid.m, starts=8)
        assert loss[i] == pytest.approx(found.loss, rel=1e-7, abs=1e-12)


def test_minima_of_another_loss_are_not_used(monkeypatch, tmp_path):
    grid = phase_grids.Grid(2, 1, 3)
    right = phase_grids.solve(grid)
    for shift, used in ((0.0, True), (0.01, False)):
        path = tmp_path / f"{shift}.npz"
        np.savez(path, **{f"{grid.name}_W": right.W, f"{grid.name}_b": right.b + shift})
        monkeypatch.setattr(phase_grids, "FILE", path)
        monkeypatch.setattr(phase_grids, "KEPT", (grid,))
        monkeypatch.setattr(phase_grids, "solve", lambda grid: "solved")
        assert (phase_grids.minima.__wrapped__(grid) == "solved") != used


def made_up(grows):
    """In the place of `phase_diagram`: the extra feature's norm as a function of its importance."""
    return lambda n, m, importance, feature_probability: SimpleNamespace(
        extra_norm=grows(importance)[:, None])


@pytest.mark.parametrize("grows, low, high", [
    (lambda r: np.where(r > 0.0123, 0.8, 0), 0.8, 0.8),                 # a jump
    (lambda r: np.sqrt(np.maximum(r - 0.0123, 0)), 0.01, 0.02),         # from nothing
    (lambda r: np.sqrt(np.maximum(r / 0.3 - 1, 0)), 0.01, 0.06)])
def test_the_extra_features_norm_is_that_just_above_its_appearance(grows, low, high, monkeypatch):
    monkeypatch.setattr(phase_2_1, "phase_diagram", made_up(grows))
    assert low <= phase_2_1.appearance.__wrapped__(3, 2, 0.1) <= high


@pytest.mark.parametrize("norm", [1.0, 0.0])
def test_a_feature_that_is_there_everywhere_or_nowhere_does_not_appear(norm, monkeypatch):
    monkeypatch.setattr(phase_2_1, "phase_diagram", made_up(lambda r: np.full(len(r), norm)))
    found = phase_2_1.appearance.__wrapped__(3, 2, 0.1)
    lines = [*phase_3_2.SPARSE, phase_3_2.DENSE]
    run = {"n_features": 3, "n_hidden": 2, "lines": lines, "line_norms": [0.9] * 4 + [0.1]}
    claim = claim_of("phase-3-2", "3-in-2-first-order")
    assert (claim.check([run])["verdict"], claim.check([run])["control_verdict"]) == (HOLDS, FAILS)
    record = claim.check([run | {"line_norms": [0.9] * 3 + [found, found]}])
    assert np.isnan(found) and record["verdict"] == UNDECIDED
    assert "does not appear between" in record["reason"]


def test_sparse_features_appear_with_a_large_norm_and_dense_ones_with_a_small_one():
    assert phase_2_1.appearance(3, 2, 0.2, low=0.1, refinements=2) > 0.5
    assert phase_2_1.appearance(3, 2, 0.9, low=0.1, refinements=3) < 0.2


def test_dense_features_that_matter_alike_are_an_uneven_pair_and_none_is_dropped():
    """W orthogonal to (1, 0, 0) is the best fixed candidate there, and costs more than the pair."""
    dense = tm.Features(3, 0.8, [1, 1, 3])
    found = tm.find_minimum(dense, 2, starts=8)
    null = phase_2_1.null_direction(found.model.W[None])[0]
    assert phase_3_2.candidate_of(null) == "(1, 1, 0)"
    assert found.loss < energies.dropped(0.8).loss - 1e-4
    run = {"probability": np.array([0.5, 0.6]), "true_null": np.ones((1, 2, 3)),
           "candidate_phase": np.array([["own dimension"] * 2])}
    assert phase_3_2.drops_another([run])[0].tolist() == [[False, True]]      # from p = 4/7 on


def test_candidates_are_told_by_the_null_direction():
    nulls = {"(0, 0, 1)": [0, 0, 1], "(1, 0, 0)": [0, -1, 0.02], "(0, 1, 1)": [-1, 0.01, -0.7],
             "(1, 1, 0)": [1, 1, 0], "": [1, 1, 1], "  ": [1, -1, 0]}
    for name, null in nulls.items():
        assert phase_3_2.candidate_of(np.array(null, float)) == name.strip()
    W = np.array([[1.0, 0, 0], [0, 1, -1]])
    found = abs(phase_2_1.null_direction(W[None]))[0]
    np.testing.assert_allclose(found, np.array([0, 1, 1]) / 2**0.5, atol=1e-12)
    assert np.isnan(phase_2_1.null_direction(np.ones((4, 1, 3)))).all()
