"""Rows 14, 15 and 17: what their claims measure, by hand and with runs that must fail them; their examples, reduced."""

import json

import numpy as np
import pytest

import toymodels_np as tm
from loading import EXAMPLES, load
from toymodels_np.experiments import absolute_value as absolute
from toymodels_np.experiments import asymmetric_motif as motif
from toymodels_np.experiments import privileged_basis as privileged



def verdicts(experiment, runs):
    """{claim: (measured, whether it holds)}."""
    return {r["name"]: (r["measured"], r["verdict"] == "holds") for r in experiment.check(runs)}


# -- the examples ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, figure, constants", [
    ("14_privileged_basis", "privileged_basis",
     dict(N_FEATURES=4, N_HIDDEN=2, PROBABILITIES=[1.0, 0.2], MODELS=3, STEPS=100, SEEDS=2)),
    ("15_absolute_value", "absolute_value", dict(N_FEATURES=2, N_HIDDEN=4, MODELS=4, STEPS=200, SEEDS=2)),
    ("17_asymmetric_motif", "asymmetric_motif", dict(N_FEATURES=2, N_HIDDEN=3, N_ROOM=4, MODELS=3, STEPS=100)),
])
def test_the_example_runs(name, figure, constants, tmp_path, monkeypatch, capsys):
    example = load(name)
    for constant, value in constants.items():
        assert hasattr(example, constant)
        monkeypatch.setattr(example, constant, value)
    example.main(["--out", str(tmp_path)])
    record = json.loads((tmp_path / f"{figure}.json").read_text())
    assert record["settings"]["steps"] == constants["STEPS"] and record["settings"]["models"] == constants["MODELS"]
    experiment = tm.experiments[figure.replace("_", "-")]
    assert [claim["name"] for claim in record["claims"]] == [claim.name for claim in experiment.claims]
    png = (tmp_path / f"{figure}.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and len(png) > 20_000
    assert all(f"{claim.name}: " in text for text in [capsys.readouterr().out] for claim in experiment.claims)


def test_the_example_runs_the_quick_settings():
    """What a reader starts and what the report runs are the same numbers."""
    for name in ("14_privileged_basis", "15_absolute_value", "17_asymmetric_motif"):
        text = (EXAMPLES / f"{name}.py").read_text()
        quick = tm.experiments[name[3:].replace("_", "-")].quick
        for constant, setting in (("MODELS", "models"), ("STEPS", "steps"), ("SEEDS", "seeds"),
                                  ("N_FEATURES", "n_features"), ("N_HIDDEN", "n_hidden")):
            assert f"{constant} = {quick[setting]}" in text


# -- row 14 ------------------------------------------------------------------------------------------------------------

ONE, BOTH, SEVERAL = ([[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 1]])


def privileged_run(W, linear, losses=None, turned=1.2, probabilities=(1.0, 0.75, 0.4, 0.1)):
    """A run as `privileged.run` returns it, with these W, one a p, and these linear ones for every p."""
    P, p = len(probabilities), np.array(probabilities)
    losses = 0.25 * (p / 3 - p**2 / 4) if losses is None else np.array(losses)      # the third feature left out
    return {"probabilities": list(probabilities), "n_features": 3, "n_hidden": 2, "decay": 0.5, "models": 1,
            "W": np.array(W, float), "loss": losses, "linear_W": np.array([linear] * P, float),
            "turned": np.full((P, 3), turned), "linear_turned": np.ones((P, 3))}


def test_alignment_and_kinds_that_everyone_can_work_out():
    assert privileged.alignment(np.array([ONE, BOTH, SEVERAL])).tolist() == [1, 0.75, 0.5]
    assert privileged.alignment(np.array([[3.0, -4, 0], [0, 0, 0]])) == pytest.approx(0.32)
    one, several = privileged.kinds(np.array([ONE, BOTH, SEVERAL, np.zeros((2, 3)), -np.array(BOTH)], float))
    assert one.tolist() == [2, 1, 0, 0, 0] and several.tolist() == [0, 1, 2, 0, 0]


def test_rotations_are_orthogonal_and_leave_no_direction_out():
    Q = privileged.rotations(4, 3000)
    np.testing.assert_allclose(Q @ Q.swapaxes(-1, -2), np.broadcast_to(np.eye(4), Q.shape), atol=1e-12)
    assert abs(Q.mean(0)).max() < 5 * 0.5 / 3000**0.5               # an entry's deviation is 1/sqrt(4)
    assert abs((Q**2).mean(0) - 1 / 4).max() < 0.03
    np.testing.assert_array_equal(Q, privileged.rotations(4, 3000))


def test_a_random_rotation_has_a_random_rank_and_neurons_have_the_highest():
    W = np.hstack([np.eye(4), np.zeros((4, 2))])
    rng = np.random.default_rng(5)
    ranks = [privileged.rank(np.linalg.qr(rng.normal(size=(4, 4)))[0] @ W, 300) for _ in range(60)]
    assert abs(np.mean(ranks) - 0.5) < 5 * (1 / 12 / 60) ** 0.5      # uniform between 0 and 1
    assert privileged.rank(W) == 1 and privileged.rank(np.ones((4, 6))) < 0.05


def test_turning_changes_the_loss_where_there_is_a_relu_and_only_there():
    law, Q = tm.Features(3, 0.8), privileged.rotations(2, 20)
    x = law.sample(np.random.default_rng(0), 200)
    for cls in (tm.ReluHidden, tm.ReluOutput):
        model = cls(np.array(ONE, float), np.zeros(3))
        ratios = privileged.turned_losses(model, law, x, Q)
        slow = [cls(q @ model.W, model.b).loss(x, law) / model.loss(x, law) for q in Q]
        np.testing.assert_allclose(ratios, slow, rtol=1e-12)
        if cls is tm.ReluOutput:
            np.testing.assert_allclose(ratios, 1, rtol=1e-12)
        else:
            assert (ratios > 1.001).all()


def test_the_best_model_at_each_p_may_come_from_any_run():
    runs = [privileged_run([ONE] * 4, [ONE], [0, 1, 0, 1]), privileged_run([SEVERAL] * 4, [ONE], [1, 0, 1, 0])]
    assert privileged.best(runs).tolist() == [ONE, SEVERAL, ONE, SEVERAL]


def test_the_claims_of_row_14_hold_for_the_papers_picture_and_not_for_its_opposite():
    turn = np.random.default_rng(1).permutation(privileged.rotations(2, 200))[:40]
    good = privileged_run([ONE, ONE, BOTH, SEVERAL], turn @ np.array(ONE, float))
    found = verdicts(privileged.PRIVILEGED_BASIS, [good])
    assert found.pop("relu-aligns-at-any-sparsity")[1] is False     # half of SEVERAL's rotations are more aligned
    assert all(holds for _, holds in found.values()), found
    assert found["polysemantic-from-about-a-half"][0] == 0.4 and found["both-kinds-in-one-model"][0] == 1

    bad = privileged_run([SEVERAL, BOTH, BOTH, ONE], [ONE] * 40, [0.02, 0.02, 0.02, 0.01], turned=1.0)
    found = verdicts(privileged.PRIVILEGED_BASIS, [bad])
    assert {name for name, (_, holds) in found.items() if holds} == {"both-kinds-in-one-model",
                                                                     "linear-keeps-the-rotation"}
    bad["linear_turned"][0, 0] = 1.01
    assert not verdicts(privileged.PRIVILEGED_BASIS, [bad])["linear-keeps-the-rotation"][1]
    plain = verdicts(privileged.PRIVILEGED_BASIS, [privileged_run([ONE] * 4, [ONE])])
    assert not plain["both-kinds-in-one-model"][1] and plain["polysemantic-from-about-a-half"] == (0, False)


def test_the_order_in_which_p_is_given_does_not_matter():
    W, p = [ONE, ONE, BOTH, SEVERAL], [1.0, 0.75, 0.4, 0.1]
    mixed = privileged_run([W[i] for i in (2, 0, 3, 1)], [ONE], probabilities=[p[i] for i in (2, 0, 3, 1)])
    assert verdicts(privileged.PRIVILEGED_BASIS, [mixed]) == verdicts(privileged.PRIVILEGED_BASIS,
                                                                      [privileged_run(W, [ONE])])


# -- row 15 ------------------------------------------------------------------------------------------------------------

def sides(*reads):
    """The model in which each neuron reads so much of the features and writes 1/read to them."""
    W1 = np.array(reads, float)
    return tm.AbsoluteValue(W1, np.divide(1, abs(W1), out=np.zeros_like(W1), where=W1 != 0).T, np.zeros(W1.shape[1]))


EXACT = sides([1, 0], [-2, 0], [0, 0.5], [0, -1])


def absolute_run(*models):
    law = tm.Features(models[0].n_features, 1.0, signed=True)
    x = law.sample(np.random.default_rng(0), 1000)
    stack = {name: np.stack([getattr(model, name) for model in models]) for name in ("W1", "W2", "b")}
    return stack | {"loss": np.array([model.loss(x, law) for model in models])}


@pytest.mark.parametrize("model, all_sides", [
    (EXACT, True),
    (tm.AbsoluteValue(EXACT.W1 * 100, EXACT.W2 / 100, EXACT.b), True),                # the free scale
    (sides([1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]), True),                          # one neuron idles
    (sides([1, 0], [-1, 0], [0, 1], [0, 1]), False),                                  # a side twice, a side never
    (sides([1, 0], [-1, 0], [0, 1]), False),
    (sides([1, 0], [-1, 0], [0, 1], [0, -1], [0, -1]), False),                        # a side with two neurons
    (sides([1, 0], [-1, 0], [0, 1], [0.5, -1]), False),                               # a neuron with two sides
])
def test_what_counts_as_a_neuron_for_each_side(model, all_sides):
    assert bool(absolute.one_neuron_a_side(model)) is all_sides


def test_slopes_and_names_of_the_sides():
    assert absolute.slopes_off(EXACT) == 0
    W2 = EXACT.W2.copy()
    W2[0, 1] *= 0.98
    assert absolute.slopes_off(tm.AbsoluteValue(EXACT.W1, W2, EXACT.b)) == pytest.approx(0.02)
    names, order = absolute.side_names(sides([0, -1], [-1, 0], [0, 0], [0, 1], [1, 0]))
    assert [names[j] for j in order] == ["+0", "−0", "+1", "−1", ""]


def test_the_claims_of_row_15_and_runs_that_fail_them():
    lame = sides([1, 0], [-1, 0], [0, 1], [0, 1])
    found = verdicts(absolute.ABSOLUTE_VALUE, [absolute_run(EXACT, lame), absolute_run(EXACT, EXACT)])
    assert all(holds for _, holds in found.values()) and found["absolute-value-rate"][0] == 0.75
    found = verdicts(absolute.ABSOLUTE_VALUE, [absolute_run(lame, lame)])
    assert [name for name, (_, holds) in found.items() if holds] == ["sides-are-what-it-takes"]
    run = absolute_run(EXACT, EXACT)
    run["loss"][1] = 1e-3                                           # all sides, and yet not computed
    assert verdicts(absolute.ABSOLUTE_VALUE, [run])["sides-are-what-it-takes"] == (0.5, False)


def test_a_short_training_finds_all_sides():
    job = absolute.ABSOLUTE_VALUE.jobs(absolute.SETTINGS | {"models": 6, "steps": 1200, "batch_size": 128, "seeds": 1,
                                                            "learning_rate": 2e-2})[0]
    found = verdicts(absolute.ABSOLUTE_VALUE, [job | absolute.run(job)])
    assert found["one-neuron-a-side"][1] and found["absolute-value-computed"][1]


# -- row 17 ------------------------------------------------------------------------------------------------------------

LAW = tm.Features(2, 0.2, signed=True)


def by_hand(inhibition):
    """The paper's example: neuron 0 stores x_0 > 0 and x_1 < 0; neuron 1 inhibits output 1; all rescaled by 3."""
    W1, W2 = [[2, -0.5], [1, 0], [-1, 0], [0, 1]], [[0.5, 0, 1, 0], [2, inhibition, 0, 1]]
    return tm.AbsoluteValue(3 * np.array(W1), np.array(W2) / 3, np.zeros(2))


def motif_run(*inhibitions, room=0, samples=2**12):
    """A run as `motif.run` returns it."""
    models = [by_hand(inhibition) for inhibition in inhibitions]
    stack = tm.AbsoluteValue(*(np.stack([getattr(model, name) for model in models]) for name in ("W1", "W2", "b")))
    loss = tm.estimate_loss(stack, LAW, samples=samples)[0]
    return (motif.motifs_of(stack, LAW, loss, samples) | dict(zip(("W1", "W2", "b"), stack.parameters))
            | {"loss": loss, "room_motifs": np.full(len(models), room), "n_hidden": 4, "room": 5})


def test_the_numbers_of_the_papers_motif():
    run = motif_run(0.0, -4.0, -3.0, samples=2**17)
    assert run["motifs"].tolist() == [0, 1, 1] and run["motif_model"].tolist() == [1, 2]
    for name, values in dict(asymmetry=[4, 4], read=[4, 4], write=[4, 4], cancelled=[1, 0.75]).items():
        np.testing.assert_allclose(run[name], values, rtol=1e-12)
    np.testing.assert_allclose(run["ablated"] * run["loss"][1:], run["loss"][0], rtol=0.05)     # that is model 0
    assert run["ablated"][0] > 20
    found, = tm.asymmetric_motifs(by_hand(-4.0))
    read, write = motif.weights_of(by_hand(-4.0), found)
    np.testing.assert_allclose(read, [[2, -0.5], [1, 0]], rtol=1e-12)
    np.testing.assert_allclose(write, [[0.5, 2], [0, -4]], rtol=1e-12)


def test_the_claims_of_row_17_and_runs_that_fail_them():
    found = verdicts(motif.ASYMMETRIC_MOTIF, [motif_run(-4.0, 0.0), motif_run(-4.0, -4.0)])
    assert all(holds for _, holds in found.values()) and found["asymmetric-motif-found"][0] == 0.75
    found = verdicts(motif.ASYMMETRIC_MOTIF, [motif_run(0.0, 0.0, room=1)])
    assert not any(holds for _, holds in found.values())
    assert found["asymmetric-motif-found"][0] == 0 and found["no-motif-with-room"][0] == 1
    assert not verdicts(motif.ASYMMETRIC_MOTIF, [motif_run(-2.4)])["motif-inhibits"][1]


def test_figures_are_drawn_without_any_motif_too():
    assert len(motif.draw([motif_run(0.0)]).axes) == len(motif.draw([motif_run(-4.0)]).axes) == 3
