"""Row 14: what its claims measure, by hand and with runs that must fail them."""

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np.experiments import privileged_basis as privileged


def verdicts(experiment, runs):
    """{claim: (measured, whether it holds)}."""
    return {r["name"]: (r["measured"], r["verdict"] == "holds") for r in experiment.check(runs)}


# -- row 14 ---------------------------------------------------------------------------------------

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
