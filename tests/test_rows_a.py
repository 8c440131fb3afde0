"""Rows 1, 3, 6 and 11 of the paper's table: the examples at a reduced size, and their measures on made inputs."""

import json

import numpy as np
import pytest

import toymodels_np as tm
from loading import load
from toymodels_np.experiments import demonstration, energy_jumps, introduction, uniform_geometry

SMALL = {
    "01_introduction": ("introduction", {"PROBABILITIES": [1.0, 0.2, 0.1], "SWEEP": [1.0, 0.1], "MODELS": 2,
                                         "SEARCH": 2, "STEPS": 50, "SEEDS": 1}),
    "03_demonstration_larger": ("demonstration-larger", {"N_FEATURES": 8, "N_HIDDEN": 2, "PROBABILITIES": [1.0, 0.1],
                                                         "STEPS": 50, "SEEDS": 2}),
    "06_uniform_geometry": ("uniform-geometry", {"N_FEATURES": 12, "N_HIDDEN": 3, "POINTS": 6, "STEPS": 100,
                                                 "SEEDS": 2}),
    "11_energy_jumps": ("energy-jumps", {"N_FEATURES": 12, "N_HIDDEN": 3, "STEPS": 400, "RECORD_EVERY": 4, "SEEDS": 2}),
}


@pytest.mark.parametrize("example", SMALL)
def test_an_example_writes_its_figure_and_its_claims(example, tmp_path, monkeypatch, capsys):
    name, constants = SMALL[example]
    module = load(example)
    for constant, value in constants.items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    module.main(["--out", str(tmp_path)])
    png, numbers = (tmp_path / f"{name.replace('-', '_')}{suffix}" for suffix in (".png", ".json"))
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and png.stat().st_size > 20_000
    record, said = json.loads(numbers.read_text()), capsys.readouterr().out
    assert [claim["name"] for claim in record["claims"]] == [claim.name for claim in tm.experiments[name].claims]
    for claim in record["claims"]:
        assert np.isfinite(claim["measured"]) and f"{claim['name']}: " in said
    assert said.split("\n")[-3:] == [f"wrote {png}", f"wrote {numbers}", ""]


@pytest.mark.parametrize("example", SMALL)
def test_an_example_shows_the_quick_settings(example):
    """What is set in the example is what the report's quick run does."""
    name, constants = SMALL[example]
    module, quick = load(example), tm.experiments[name].settings()
    words = {"n_features", "n_hidden", "decay", "probabilities", "sweep", "models", "search", "steps", "batch_size",
             "seeds", "learning_rate", "points", "densest", "sparsest", "probability", "record_every"}
    for word in words & set(quick):
        if hasattr(module, word.upper()):
            assert getattr(module, word.upper()) == quick[word], word


def verdict(experiment, name, runs):
    claim, = (claim for claim in experiment.claims if claim.name == name)
    return claim.check(runs)["verdict"]


# -- row 1 -------------------------------------------------------------------------------------------------------------

ORTHOGONAL = np.array([[1.0, 0, 0, 0, 0], [0, 1, 0.05, 0, 0]])
PAIRS = np.array([[1.0, -1, 0, 0, 0], [0, 0, 1, -1, 0]])
PENTAGON = 1.1 * tm.polytopes.polygon(5)


def introduction_run(*W, losses=None, minimum=1.0):
    """A run at three probabilities with these models W (m, n), one each; the notebook's are the same three."""
    W = np.array([*W, *W])[:, None]
    loss = np.ones((6, 1)) if losses is None else np.array(losses)[:, None]
    return {"W": W, "loss": loss, "minimum_W": W[:, 0], "minimum_loss": np.full(6, minimum)}


def test_the_introductions_claims_hold_for_what_the_paper_draws_and_fail_for_anything_else():
    right = [introduction_run(ORTHOGONAL, PAIRS, PENTAGON)]
    wrong = [introduction_run(PENTAGON, ORTHOGONAL, PAIRS, minimum=0.9)]
    for claim in introduction.CLAIMS:
        assert claim.check(right)["verdict"] == "holds", claim.name
        assert claim.check(wrong)["verdict"] == "does not reproduce", claim.name


def test_the_looks_of_the_introduction():
    assert introduction.top_two(ORTHOGONAL) and not introduction.top_two(ORTHOGONAL[:, ::-1])
    assert not introduction.top_two(ORTHOGONAL + 0.2 * np.eye(2, 5, 1))          # neither dropped nor orthogonal
    other = PAIRS[:, [0, 1, 2, 4, 3]]                                             # the fourth is dropped, not the last
    assert introduction.two_pairs(PAIRS) and introduction.two_pairs(other)
    runs = [introduction_run(ORTHOGONAL, W, PENTAGON) for W in (PAIRS, other)]
    assert introduction.pairs_drop_the_last(runs) == introduction.best_pairs_drop_the_last(runs) == [True, False]


def test_the_best_model_is_the_one_that_is_compared():
    run = {"loss": np.array([[2.0, 1.1], [1.0, 3.0]]), "W": np.stack([[PAIRS, PENTAGON]] * 2),
           "minimum_loss": np.array([1.0, 0.8])}
    np.testing.assert_array_equal(introduction.best(run), [PENTAGON, PAIRS])
    assert introduction.excess([run]) == [pytest.approx(0.25)]


def test_the_true_minimum_is_that_of_the_closed_form():
    minimum = introduction.true_minimum(2, 1, 0.1, 0.9, 4)
    assert minimum.is_local_minimum and minimum is introduction.true_minimum(2, 1, 0.1, 0.9, 4)
    assert minimum.loss == pytest.approx(tm.energies.antipodal(0.1, (1, 0.9)).loss)


# -- row 3 -------------------------------------------------------------------------------------------------------------

def test_the_larger_demonstration_has_the_claims_of_the_smaller():
    small, large = tm.experiments["demonstration"], tm.experiments["demonstration-larger"]
    assert [claim.name for claim in large.claims] == [f"larger-{claim.name}" for claim in small.claims]
    assert [claim.measure for claim in large.claims] == [claim.measure for claim in small.claims]
    for settings in (large.quick, large.full):
        assert (settings["n_features"], settings["n_hidden"], settings["decay"]) == (80, 20, 0.9)


def test_a_linear_model_that_swaps_two_features_fails_the_larger_claim():
    top = np.eye(2, 6)
    name, row = "larger-linear-keeps-the-top", demonstration.DEMONSTRATION_LARGER
    assert verdict(row, name, [{"linear_W": top[None]}] * 2) == "holds"
    swapped = top[:, [0, 2, 1, 3, 4, 5]]
    assert verdict(row, name, [{"linear_W": top[None]}, {"linear_W": swapped[None]}]) == "does not reproduce"


# -- row 6 -------------------------------------------------------------------------------------------------------------

def uniform_run(*models):
    """A run with these W (m, n), from 1/p = 1 to 100."""
    return {"W": np.stack(models), "n_hidden": models[0].shape[0], "densest": 1, "sparsest": 100, "points": len(models)}


def digons(count, norm=1.0):
    return norm * tm.polytopes.tegum_product(*[tm.polytopes.digon()] * count, dropped=3)


def test_plateaus_are_found_where_they_were_made_and_nowhere_on_a_slope():
    x = np.geomspace(1, 100, 41)
    made = np.interp(np.log(x), np.log([1, 1.5, 3, 6, 30, 100]), np.log([1, 1, 0.5, 0.5, 0.1, 0.03]))
    found = uniform_geometry.plateaus(x, np.exp(made))
    assert [round(level, 2) for *_, level in found] == [1.0, 0.5]
    (a, b, _), (c, d, _) = found
    assert a == 1 and 1.3 < b <= 1.6 and 2.8 <= c < 3.4 and 5.3 < d <= 6.3
    assert uniform_geometry.plateaus(x, 1 / x) == []
    assert len(uniform_geometry.plateaus(x, np.full(41, 0.7))) == 1


def test_the_plateau_claims_fail_without_a_plateau():
    flat = [uniform_run(*[digons(3)] * 6)]                                              # D* = 1/2 everywhere
    name = "uniform-plateau-at-{}".format
    assert verdict(uniform_geometry.UNIFORM_GEOMETRY, name("half"), flat) == "holds"
    assert verdict(uniform_geometry.UNIFORM_GEOMETRY, name("one"), flat) == "does not reproduce"
    slope = [uniform_run(*[digons(3, norm) for norm in np.geomspace(0.6, 6, 6)])]
    assert verdict(uniform_geometry.UNIFORM_GEOMETRY, name("half"), slope) == "does not reproduce"
    assert uniform_geometry.plateau_at_half(slope) == [0]


def test_digons_are_counted_from_the_directions():
    W = np.concatenate([digons(2), np.zeros((1, 7))])
    assert uniform_geometry.in_digon(W).tolist() == [True] * 4 + [False] * 3
    three = np.array([[1.0, -1, -1]])                                                   # two share one side
    assert uniform_geometry.in_digon(three).tolist() == [False, True, True]
    weak = np.array([[1.0, -0.4]])
    assert not uniform_geometry.in_digon(weak).any() and not uniform_geometry.digons_rule(weak)
    assert uniform_geometry.digons_rule(np.stack([digons(2)] * 3)).all()


def test_the_shares_where_digons_rule():
    pure = [uniform_run(digons(3), digons(3))]
    assert uniform_geometry.digons_at_half(pure) == uniform_geometry.dropped_at_zero(pure) == [1]
    assert uniform_geometry.plateau_at_half(pure) == [1]
    pentagon = [uniform_run(tm.polytopes.polygon(5), tm.polytopes.polygon(5))]          # no digon, and not at 1/2
    assert uniform_geometry.digons_at_half(pentagon) == uniform_geometry.plateau_at_half(pentagon) == [0]


def test_concentration_is_one_for_an_even_spread_and_more_on_a_line():
    even = np.linspace(*uniform_geometry.RANGE, 4001)
    assert uniform_geometry.concentration(even, [0.5]) == pytest.approx(1, abs=0.02)
    assert uniform_geometry.concentration(np.full(9, 0.51), [0.5]) == pytest.approx(12.5, abs=0.1)
    assert uniform_geometry.concentration(np.full(9, 0.51), [0.6]) == 0
    assert uniform_geometry.concentration(np.full(9, 0.1), [0.5]) == 0                  # none in the range


def test_the_shapes_have_their_fractions_at_their_minima_except_the_antiprism():
    runs = [{}]
    for name, (_, fraction) in uniform_geometry.SHAPES.items():
        said = verdict(uniform_geometry.UNIFORM_GEOMETRY, f"uniform-{name.replace(' ', '-')}-fraction", runs)
        assert said == ("holds with a correction" if name == "square antiprism" else "holds")
        assert uniform_geometry.shape_dimensionalities(name).max() <= fraction + 1e-9
    assert uniform_geometry.bipyramid_off_its_factors(runs)[0] < 1e-6


# -- row 11 ------------------------------------------------------------------------------------------------------------

T = 401
JUMPS_AT = (80, 140, 200, 260, 320)


def step(at, low, high, width=2.0):
    return low + (high - low) / (1 + np.exp(-(np.arange(T) - at) / width))


def staircase():
    """Five features that jump from 0.2 to 1/2, one after the other, and one that drifts as far but slowly."""
    return np.stack([*(step(at, 0.2, 0.5) for at in JUMPS_AT), np.linspace(0.2, 0.5, T)], axis=1)


def test_jumps_are_found_where_they_were_made_and_not_in_a_drift():
    found = energy_jumps.jumps(staircase())
    assert [i for i, *_ in found] == [0, 1, 2, 3, 4]
    for (_, t, before, after), at in zip(found, JUMPS_AT):
        assert abs(t - at) <= 1 and abs(before - 0.2) < 0.01 and abs(after - 0.5) < 0.01
    assert energy_jumps.jumps(np.full((T, 3), 0.4)) == []
    noise = np.random.default_rng(0).normal(0.5, 0.01, (T, 20))
    assert energy_jumps.jumps(noise) == []


def energy_run(loss):
    return {"D": staircase(), "loss": loss, "norm": np.array([1, 1, 1, 1, 1, 0.1])}


def test_a_loss_that_drops_at_the_jumps_coincides_and_one_that_falls_evenly_does_not():
    noise = 1e-3 * np.random.default_rng(1).normal(size=T)
    together = [energy_run(3 + sum(step(at, 0.1, 0) for at in JUMPS_AT) + noise)]
    elsewhere = [energy_run(3 + sum(step(at + 30, 0.1, 0) for at in JUMPS_AT) + noise)]
    evenly = [energy_run(3 - np.linspace(0, 0.5, T) + noise)]
    names = [claim.name for claim in energy_jumps.CLAIMS if "loss-drops" in claim.name]
    assert len(names) == 4
    for name in names:
        assert verdict(energy_jumps.ENERGY_JUMPS, name, together) == "holds"
        for runs in (elsewhere, evenly):
            assert verdict(energy_jumps.ENERGY_JUMPS, name, runs) == "does not reproduce"
    assert energy_jumps.contrasts(together)[0] > 3 and energy_jumps.contrasts(evenly)[0] == pytest.approx(1, abs=0.1)


def test_a_smooth_fall_is_no_coincidence():
    """Jumps all at the beginning, where the loss falls fastest in any case."""
    loss = 3 + np.exp(-np.arange(T) / 100)
    contrast, chance = energy_jumps.coincidence(loss, list(range(60, 130, 5)))
    assert contrast == pytest.approx(1, abs=0.1) and chance > 0.05
    decay = np.stack([np.exp(-np.arange(T) / scale) for scale in (90, 100, 110)], axis=1)
    assert energy_jumps.moving_together(decay, loss)[0] < 0.5
    assert energy_jumps.coincidence(loss, []) == energy_jumps.coincidence(loss, [0, T - 1]) == (1, 1)


def test_where_jumps_begin_and_end():
    run = energy_run(np.zeros(T))
    assert energy_jumps.to_a_fraction([run]) == [1] and energy_jumps.between_fractions([run]) == [0]
    levels = {"D": np.stack([step(100, 0.375, 0.5), step(300, 0.5, 0)], axis=1), "norm": np.array([1, 0]), "loss": None}
    assert energy_jumps.between_fractions([levels]) == [1] and energy_jumps.share_of_jumpers([levels]) == [1]
    assert energy_jumps.ends_as_digons([levels]) == [1]
    still = {"D": np.full((T, 2), 0.3), "norm": np.ones(2), "loss": None}
    for measure in (energy_jumps.to_a_fraction, energy_jumps.between_fractions, energy_jumps.share_of_jumpers,
                    energy_jumps.ends_as_digons):
        assert measure([still]) == [0]
