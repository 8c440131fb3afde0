"""Rows 12, 13 and 16: the examples at a reduced size, and what their claims measure, on inputs made by hand."""

import json
import sys

import numpy as np
import pytest

import toymodels_np as tm
from loading import load
from toymodels_np.experiments import absolute_superposition, adversarial, learning_dynamics

OCTAHEDRON = np.hstack([np.eye(3), -np.eye(3)])
PRISM, ANTIPRISM = tm.polytopes.prism(3), tm.polytopes.antiprism(3)


def run_example(name, folder, monkeypatch, capsys, **constants):
    """(JSON record, lines printed) of the example's main() with these constants."""
    module = load(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    for constant, value in constants.items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    module.main(["--out", str(folder)])
    figure = next(folder.glob("*.png"))
    assert figure.read_bytes().startswith(b"\x89PNG") and figure.stat().st_size > 20_000
    return json.loads(next(folder.glob("*.json")).read_text()), capsys.readouterr().out


def verdicts(experiment, runs):
    return {record["name"]: record["verdict"] for record in experiment.check(runs)}


# -- the examples ------------------------------------------------------------------------------------------------------

def test_learning_dynamics_runs(tmp_path, monkeypatch, capsys):
    record, out = run_example("12_learning_dynamics", tmp_path, monkeypatch, capsys, STARTS=2, STEPS=200, FRAMES=3,
                              MINIMUM_STARTS=1)
    assert [claim["name"] for claim in record["claims"]] == [c.name for c in learning_dynamics.CLAIMS]
    page = (tmp_path / "learning_dynamics.html").read_text()
    assert page.count("data:image/png;base64") == 3 and "<script" in page
    assert "http" not in page and "<link" not in page               # self-contained: nothing from the network
    assert f"wrote {tmp_path / 'learning_dynamics.html'}" in out


def test_adversarial_runs(tmp_path, monkeypatch, capsys):
    record, out = run_example("13_adversarial", tmp_path, monkeypatch, capsys, N_FEATURES=8, N_HIDDEN=2, STEPS=200,
                              INVERSE_PROBABILITIES=[1.0, 10.0], SAMPLES=100, SIZES=[0.0, 0.8], ATTACKED_STEPS=20)
    assert len(record["claims"]) == len(adversarial.CLAIMS) and "attack-grows" in out


def test_absolute_value_superposition_runs(tmp_path, monkeypatch, capsys):
    record, out = run_example("16_absolute_value_superposition", tmp_path, monkeypatch, capsys, N_FEATURES=6,
                              N_HIDDEN=4, PROBABILITIES=[1.0, 0.1], STARTS=1, STEPS=150, SEEDS=1)
    assert len(record["claims"]) == len(absolute_superposition.CLAIMS) and "absolute-dense-monosemantic" in out


# -- row 12 ------------------------------------------------------------------------------------------------------------

def test_shapes_have_their_words():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    merged = np.array([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0.3, 0, 0, 0.3]])
    for W, name in ((OCTAHEDRON, "octahedron"), (PRISM, "prism"), (ANTIPRISM, "octahedron"),
                    (merged, "1 + 1 directions")):
        assert learning_dynamics.words(Q @ W) == name
    pair = np.array([[1.0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
    assert learning_dynamics.directions(pair) == (1, 2)


@pytest.mark.parametrize("degrees", [0, 17, 45, 60])
def test_the_twist_is_that_of_the_triangles(degrees):
    """Set 2 of a prism is turned about the axis between the sets; 60 and 180 degrees are the same turn."""
    half = np.radians(degrees)
    turn = np.array([[np.cos(half), -np.sin(half), 0], [np.sin(half), np.cos(half), 0], [0, 0, 1]])
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    axis = np.array([0, 0, 1.0])
    assert np.allclose(abs(PRISM[:, :3].sum(1) @ axis), np.linalg.norm(PRISM[:, :3].sum(1)))
    turned = Q @ np.hstack([PRISM[:, :3], turn @ PRISM[:, 3:]])
    assert abs(learning_dynamics.twist(turned) - degrees) < 1e-4 and learning_dynamics.face_each_other(turned)
    assert abs(learning_dynamics.twist(OCTAHEDRON) - 60) < 1e-4


def test_what_is_no_octahedron():
    skew = OCTAHEDRON + 0.05 * np.random.default_rng(0).normal(size=(3, 6))
    assert learning_dynamics.is_octahedron(skew) and learning_dynamics.antipodes_cross(skew)
    within = OCTAHEDRON[:, [0, 3, 1, 4, 2, 5]]
    assert learning_dynamics.is_octahedron(within) and not learning_dynamics.antipodes_cross(within)
    narrow = OCTAHEDRON.copy()
    narrow[:, [1, 4]] += 0.5 * OCTAHEDRON[:, [0, 3]]
    assert not learning_dynamics.is_octahedron(narrow) and not learning_dynamics.is_octahedron(PRISM)


def test_plateaus_are_those_of_a_curve_made_by_hand():
    """ln L falls in three steps at t = 2, 5 and 8: rests between them, and one at the end; a straight line has none."""
    t = np.linspace(0, 11, 400)
    losses = np.exp(-sum(1 / (1 + np.exp(-8 * (t - fall))) for fall in (2, 5, 8)))
    found = learning_dynamics.find_plateaus(t, losses)
    assert len(found) == 3 and found[-1][2] == len(t) - 1
    for (start, slowest, end), middle in zip(found, (3.5, 6.5)):
        assert abs(t[slowest] - middle) < 0.3 and middle - 1.4 < t[start] < t[slowest] < t[end] < middle + 1.4
    assert learning_dynamics.find_plateaus(t, np.exp(-t)) == []


def learned(last, middle=((1, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 1), (0,) * 6)):
    """A run of two starts with one plateau on the way, from `middle` to `last`."""
    t = np.arange(200)
    losses = 0.01 * np.exp(sum(1 / (1 + np.exp((t - fall) / 4)) for fall in (30, 100)))
    W = np.where((t < 90)[:, None, None], np.array(middle, float), last)
    return {"steps_at": t, "learning_rate": 1.0, "losses": np.stack([losses] * 2), "W": np.stack([W] * 2), "seed": 0,
            "final": losses[[-1, -1]], "minimum": 0.01, "regular": 0.0101, "symmetric": 0.0101}


def test_a_run_that_ends_in_an_octahedron_and_one_that_does_not():
    good, bad = (verdicts(learning_dynamics.LEARNING_DYNAMICS, [learned(W)]) for W in (OCTAHEDRON, PRISM))
    assert good["dynamics-octahedron"] == good["dynamics-antipodes"] == good["dynamics-early-linear"] == "holds"
    assert good["dynamics-late-antiprism"] == "holds" and good["dynamics-plateaus"] == "does not reproduce"
    assert bad["dynamics-octahedron"] == bad["dynamics-antipodes"] == "does not reproduce"
    assert bad["dynamics-late-antiprism"] == "does not reproduce"
    scattered = np.random.default_rng(0).normal(size=(3, 6))
    assert verdicts(learning_dynamics.LEARNING_DYNAMICS, [learned(OCTAHEDRON, scattered)])[
        "dynamics-early-linear"] == "does not reproduce"


def test_the_regular_octahedron_is_above_the_minimum():
    """The named one is no minimum, and freeing its height brings it down; both by the exact loss."""
    features = tm.Features(6, 0.1, correlated=learning_dynamics.SETS)
    regular, symmetric = (learning_dynamics.octahedron_loss(features, free) for free in (False, True))
    assert abs(regular - 0.00995845) < 1e-8 and abs(symmetric - 0.00989571) < 1e-8


# -- row 13 ------------------------------------------------------------------------------------------------------------

def attacked(**changes):
    """A run whose vulnerability is four times the features per dimension, less three."""
    per_dimension = np.array([1.0, 2, 3, 4])
    return {"inverse_probabilities": [1, 3, 10, 30], "vulnerability": 4 * per_dimension - 3, "weak": np.ones(4),
            "per_dimension": per_dimension, "strong": np.ones(4), "sizes": [0, 0.4, 0.8], "seed": 0,
            "hardened": np.array([4, 2, 1.0])} | changes


def test_all_claims_about_attacks_can_hold_and_fail():
    assert set(verdicts(adversarial.ADVERSARIAL, [attacked()]).values()) == {"holds"}
    bad = verdicts(adversarial.ADVERSARIAL, [attacked(vulnerability=np.array([2, 1.9, 2.1, 2]), strong=np.full(4, 1.25),
                                                      hardened=np.array([4.0, 4, 4]), sizes=[0, 0.3, 0.6])])
    assert [bad[name] for name in ("attack-spares-the-dense", "attack-grows", "attack-follows-features",
                                   "attack-training-reduces")] == ["does not reproduce"] * 4
    assert bad["attack-is-the-strongest"] == bad["attack-training-removes"] == "holds with a correction"


def test_the_size_that_removes_superposition_is_interpolated():
    assert adversarial.removing_size([0, 0.5, 0.9], [3, 2.05, 0.05]) == pytest.approx(0.7)
    assert adversarial.removing_size([0, 0.5], [1.0, 0.9]) == 0 and adversarial.removing_size([0, 0.5], [3, 2]) == 0.5


def test_growth_is_from_the_densest():
    run = attacked(inverse_probabilities=[30, 10, 3, 1])
    assert adversarial.growth(run) == 1 and adversarial.growth(attacked()) == 13
    assert adversarial.correlation(attacked()) == pytest.approx(1)


# -- row 16 ------------------------------------------------------------------------------------------------------------

def neurons(*services):
    """An AbsoluteValue whose neurons serve features with these slopes, (m, n)."""
    s = np.array(services, float)
    return tm.AbsoluteValue(np.sqrt(s), np.sqrt(s).T, np.zeros(s.shape[1]))


MONO = neurons([1, 0, 0], [0, 1, 0], [0, 0, 0])
BOTH = neurons([1, 0, 0], [0, 1, 0.3], [0, 0.6, 1])
POLY = neurons([1, 1, 0], [0, 1, 1], [1, 1, 1])


def test_neurons_are_counted_by_kind():
    share = absolute_superposition.share_monosemantic
    assert [share(model) for model in (MONO, BOTH, POLY)] == [1, pytest.approx(1 / 3), 0]
    assert absolute_superposition.one_primary(BOTH) == [True, False] and absolute_superposition.one_primary(MONO) == []
    assert absolute_superposition.precedence(BOTH) == 1
    assert absolute_superposition.precedence(neurons([0.5, 1, 0], [0, 1, 0], [0, 0, 1])) == 0.25


def with_models(*chosen):
    return {"probabilities": [1.0, 0.1, 0.01], "seed": 0, "loss": np.zeros(3)} | {
        name: np.stack([getattr(model, name) for model in chosen]) for name in ("W1", "W2", "b")}


def test_all_claims_about_neurons_can_hold_and_fail():
    good = verdicts(absolute_superposition.ABSOLUTE_SUPERPOSITION, [with_models(MONO, BOTH, POLY)])
    assert set(good.values()) == {"holds"}
    bad = verdicts(absolute_superposition.ABSOLUTE_SUPERPOSITION, [with_models(POLY, POLY, MONO)])
    assert bad.pop("absolute-sparse-polysemantic") == bad.pop("absolute-one-primary") == "holds with a correction"
    assert set(bad.values()) == {"does not reproduce"}


def test_the_best_start_is_taken(monkeypatch):
    job = absolute_superposition.SETTINGS | {"n_features": 4, "n_hidden": 3, "probabilities": [1.0, 0.2], "starts": 3,
                                             "steps": 20, "batch_size": 16, "samples": 100, "seed": 0}
    losses = np.array([3.0, 1, 2, 9, 8, 7])
    monkeypatch.setattr(absolute_superposition, "estimate_loss", lambda models, *_, **__: (losses, losses))
    assert absolute_superposition.run(job)["loss"].tolist() == [1, 7]
