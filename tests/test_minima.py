"""True minima: problems whose answer is known, the certificate, and the parts of the search."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.penalties import NONE, Penalty
from toymodels_np.theory import descent, minima, search
from toymodels_np.theory.curvature import hessian, kinks, newton, rotations
from toymodels_np.theory.descent import descend, evaluate, pack, revive, unpack
from toymodels_np.theory.minima import Minimum

PUBLISHED = {5: (1.17046, -0.28230), 6: (1.32053, -0.61814)}     # norm and bias, one active feature


def polygon(k, norm=1.2, bias=-0.4):
    """A rough regular k-gon."""
    angle = 2 * np.pi * np.arange(k) / k
    return tm.ReluOutput(norm * np.stack([np.cos(angle), np.sin(angle)]), np.full(k, bias))


def certificate(model, features):
    """The Minimum that `find_minimum` would report if its search ended at `model`."""
    loss, gradient = tm.expected_loss_and_grad(model, features)
    return Minimum(model, float(loss), float(np.linalg.norm(pack(gradient))),
                   np.linalg.eigvalsh(hessian(model, features)), np.array([loss]),
                   tm.name_geometry(model.W),
                   rotations(model).shape[1])


def turned(model, seed=0):
    """The same model in another position: an orthogonal matrix times W."""
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(model.n_hidden, model.n_hidden)))[0]
    return type(model)(Q @ model.W, model.b)


@pytest.fixture(scope="module")
def pentagon():
    return tm.find_minimum(tm.Features(5, 0.05), 2)


# -- problems with known minima -------------------------------------------------------------------

KNOWN = {                               # (features, m, loss, geometry)
    **{f"2 in 1 at p={p}": (tm.Features(2, p), 1, lambda p=p: energies.antipodal(p).loss, "digon")
       for p in (0.01, 0.1, 0.3, 0.6)},
    "2 in 1, unequal": (tm.Features(2, 0.2, [1, 0.7]), 1,
                        lambda: energies.antipodal(0.2, (1, 0.7)).loss, "digon"),
    "3 in 1": (tm.Features(3, 0.3), 1, lambda: energies.digons(1, 0.3, dropped=1).loss,
               "digon + dropped"),
    "3 in 2, sparse": (tm.Features(3, 0.05), 2, lambda: energies.antipodal(0.05).loss,
                       "digon + orthogonal"),
    "3 in 2, dense": (tm.Features(3, 0.3), 2, lambda: energies.antipodal(0.3).loss,
                      "digon + orthogonal"),
    "4 in 2": (tm.Features(4, 0.05), 2, lambda: energies.digons(2, 0.05).loss, "2 digons"),
    "5 in 2, dense": (tm.Features(5, 0.25), 2, lambda: energies.digons(2, 0.25, dropped=1).loss,
                      "2 digons + dropped"),
    "6 in 3": (tm.Features(6, 0.1), 3, lambda: energies.digons(3, 0.1).loss, "3 digons"),
    "one feature": (tm.Features(1, 0.3), 1, lambda: 0, "orthogonal"),
    "as many dimensions as features": (tm.Features(2, 0.5), 2, lambda: 0, "2 orthogonal"),
}


@pytest.mark.parametrize("features, m, loss, geometry", KNOWN.values(), ids=list(KNOWN))
def test_known_minima_are_found_and_certified(features, m, loss, geometry):
    found = tm.find_minimum(features, m, starts=5)
    assert found.geometry == geometry
    assert abs(found.loss - loss()) < 1e-10 * max(loss(), 1e-3)
    assert found.gradient_norm <= 1e-9 and found.is_local_minimum
    assert abs(tm.expected_loss(found.model, features) - found.loss) < 1e-14
    assert found.start_losses.shape == (5,) and (np.diff(found.start_losses) >= 0).all()
    assert found.start_losses[0] > found.loss - 1e-14
    assert found.model.dtype == np.float64 and found.model.instances == ()


def test_the_pentagon(pentagon):
    """Five features of probability 0.05 in two dimensions, 32 starts."""
    best = energies.polygon(5, 0.05)
    assert pentagon.geometry == "pentagon" and abs(pentagon.loss / best.loss - 1) < 1e-11
    norm = tm.norms(pentagon.model.W)
    assert np.ptp(norm) < 1e-7 and np.ptp(pentagon.model.b) < 1e-7
    assert abs(norm[0] - best.norm) < 1e-7 and abs(pentagon.model.b[0] - best.bias) < 1e-7
    assert pentagon.gradient_norm <= 1e-9
    assert len(pentagon.start_losses) == 32 and (pentagon.start_losses
                                                 < best.loss * (1 + 1e-6)).sum() >= 16
    eigenvalues = pentagon.hessian_eigenvalues
    assert len(eigenvalues) == 15 and (np.diff(eigenvalues) >= 0).all()
    assert (pentagon.hessian_rank, pentagon.symmetry_directions,
            pentagon.learning_coefficient) == (14, 1, 7.0)


@pytest.mark.parametrize("p", (0.05, 0.1))
def test_correlated_features_are_orthogonal_and_their_opposites_come_from_the_other_set(p):
    """Paper, Correlated and Anticorrelated Features: two sets of two in two dimensions."""
    found = tm.find_minimum(tm.Features(4, p, correlated=[(0, 1), (2, 3)]), 2, starts=4)
    assert found.geometry == "2 digons" and found.is_local_minimum
    W = found.model.W / tm.norms(found.model.W)
    cosine = W.T @ W
    assert abs(cosine[0, 1]) < 0.1 and abs(cosine[2, 3]) < 0.1
    assert (cosine[:2, 2:].min(1) < -0.99).all()


def test_anticorrelated_features_are_antipodal_and_cost_nothing():
    """One of a pair is off whenever the other is on, so they share a dimension without
    interference.
    """
    found = tm.find_minimum(tm.Features(4, 0.1, anticorrelated=[(0, 1), (2, 3)]), 2, starts=4)
    expected = np.kron(np.eye(2), [[1, -1], [-1, 1]])
    np.testing.assert_allclose(tm.gram(found.model.W), expected, atol=1e-5)
    assert abs(found.loss) < 1e-12 and found.geometry == "2 digons"


@pytest.mark.parametrize("seed", [0, 6, 10, 20])
def test_correlated_pairs_collapse_onto_their_mean_where_they_are_dense(seed):
    """Each pair returns its mean: E (x - y)^2 / 2 = 1/12 a pair when it is on. All biases are 0,
    where every output has a kink that whole Newton steps lead across, to and fro.
    """
    p = 0.3
    found = tm.find_minimum(tm.Features(4, p, correlated=[(0, 1), (2, 3)]), 2, starts=4, seed=seed)
    np.testing.assert_allclose(tm.gram(found.model.W), np.kron(np.eye(2), np.full((2, 2), 0.5)),
                               atol=1e-6)
    assert abs(found.loss - p / 6) < 1e-12


# -- the linear model: principal components -------------------------------------------------------

@pytest.mark.parametrize("p, importance", [(0.2, [1, 2, 3, 4, 5]), ([0.1, 0.5, 0.3, 0.4, 0.2], 1),
                                           (1, [3, 1, 2, 5, 4])])
def test_the_linear_model_keeps_the_features_with_most_weighted_variance(p, importance):
    features = tm.Features(5, p, importance)
    found = tm.find_minimum(features, 2, model=tm.Linear, starts=4)
    variance = features.importance * (features.feature_probability / 3
                                      - features.feature_probability**2 / 4)
    order = np.argsort(variance)
    assert abs(found.loss - variance[order[:3]].sum()) < 1e-12
    G = np.zeros((5, 5))
    G[order[3:], order[3:]] = 1
    np.testing.assert_allclose(tm.gram(found.model.W), G, atol=1e-8)
    np.testing.assert_allclose(found.model.b, (np.eye(5) - G) @ features.mean(), atol=1e-8)
    assert found.learning_coefficient == 7.0


def test_the_linear_model_finds_principal_components_of_correlated_features():
    features = tm.Features(5, [0.3, 0.3, 0.3, 0.2, 0.2], correlated=[(0, 1, 2)],
                           anticorrelated=[(3, 4)])
    C = features.second_moment() - np.outer(features.mean(), features.mean())
    for m in (1, 2, 3):
        found = tm.find_minimum(features, m, model=tm.Linear, starts=4)
        values, vectors = np.linalg.eigh(C)
        assert abs(found.loss - values[:-m].sum()) < 1e-12
        if values[-m] > values[-m - 1] + 1e-6:
            np.testing.assert_allclose(tm.gram(found.model.W), vectors[:, -m:] @ vectors[:, -m:].T,
                                       atol=1e-6)


# -- invariances ----------------------------------------------------------------------------------

@pytest.mark.parametrize("scale", (1e-12, 1e-9, 1e-6, 1e3, 1e5, 1e6, 1e12))
def test_the_unit_of_importance_does_not_matter(scale):
    found = tm.find_minimum(tm.Features(3, 0.3, scale), 2, starts=4)
    assert abs(found.loss / scale / energies.antipodal(0.3).loss - 1) < 1e-9
    assert found.geometry == "digon + orthogonal" and found.learning_coefficient == 4.0
    assert found.gradient_norm <= 1e-9 * scale


@pytest.mark.parametrize("p", (1e-3, 1e-6))
def test_rare_features_have_minima_too(p):
    found = tm.find_minimum(tm.Features(5, p), 2, starts=2)
    assert found.geometry == "pentagon" and found.learning_coefficient == 7.0
    assert abs(tm.norms(found.model.W) / energies.polygon(5, p).norm - 1).max() < 1e-5


@pytest.mark.parametrize("importance, kink", [([1, 1, 0.6], True), ([1, 1, 0.9, 0.8, 0.8], False)])
def test_a_rotation_of_the_start_changes_nothing_but_the_position(importance, kink):
    n = len(importance)
    features, start = tm.Features(n, 0.1, importance), tm.ReluOutput.init(n, 2, seed=5,
                                                                          dtype=np.float64)
    a, b = (tm.find_minimum(features, 2, initial=model) for model in (start, turned(start)))
    assert abs(a.loss - b.loss) < 1e-14 and a.geometry == b.geometry
    np.testing.assert_allclose(tm.gram(a.model.W), tm.gram(b.model.W), atol=1e-7)
    assert bool(a.kinks) == kink                # across which differences of gradients jump
    assert kink or abs(a.hessian_eigenvalues - b.hessian_eigenvalues).max() < 1e-8


def test_names_of_features_do_not_matter():
    importance, order = np.array([1, 0.5, 2]), [2, 0, 1]
    a, b = (tm.find_minimum(tm.Features(3, 0.1, i), 2, starts=4).loss
            for i in (importance, importance[order]))
    assert abs(a / b - 1) < 1e-10


def test_the_seed_decides_and_nothing_else():
    features = tm.Features(3, 0.1)
    a, b, c = (tm.find_minimum(features, 2, starts=3, seed=seed) for seed in (7, 7, 8))
    assert all(np.array_equal(x, y) for x, y in zip(a.model.parameters, b.model.parameters))
    assert np.array_equal(a.start_losses, b.start_losses)
    assert not np.array_equal(a.model.W, c.model.W) and abs(a.loss - c.loss) < 1e-13


def test_initial_may_be_one_model_or_a_stack_and_is_left_alone():
    features, stack = tm.Features(3, 0.1), tm.ReluOutput.init(3, 2, 2)
    before = stack.W.copy()
    many = tm.find_minimum(features, 2, initial=stack)
    assert many.start_losses.shape == (2,) and np.array_equal(stack.W, before)
    alone = [tm.find_minimum(features, 2, initial=stack[i]) for i in range(2)]
    assert all(one.start_losses.shape == (1,) for one in alone)
    assert abs(many.loss - min(one.loss for one in alone)) < 1e-13


# -- one active feature ---------------------------------------------------------------------------

@pytest.mark.parametrize("k", PUBLISHED)
def test_as_p_falls_the_polygon_tends_to_the_published_one(k):
    """The distance is proportional to p, and one step of Richardson's extrapolation takes it out.
    """
    value = {}
    for p in (1e-4, 1e-5, 5e-6):
        found = tm.find_minimum(tm.Features(k, p), 2, initial=polygon(k))
        assert found.geometry == {5: "pentagon", 6: "hexagon"}[k] and found.is_local_minimum
        norm = tm.norms(found.model.W)
        assert np.ptp(norm) < 1e-6 and np.ptp(found.model.b) < 1e-6
        value[p] = np.array([norm.mean(), found.model.b.mean()])
    limit = 2 * value[5e-6] - value[1e-5]
    np.testing.assert_allclose(limit, PUBLISHED[k], rtol=0, atol=6e-6)
    np.testing.assert_allclose((value[1e-4] - limit) / (value[1e-5] - limit), 10, rtol=0.01)


# -- the certificate ------------------------------------------------------------------------------

def test_the_hessian_of_the_linear_model_at_the_origin():
    """At W = 0, b = E[x]: -4 I_i Var[x_i] for each weight of feature i, 2 I_i for its bias, nothing
    mixed.
    """
    p, importance = np.array([0.2, 0.5, 1]), np.array([1, 2, 0.5])
    features = tm.Features(3, p, importance)
    H = hessian(tm.Linear(np.zeros((2, 3)), features.mean()), features)
    expected = np.concatenate([np.tile(-4 * importance * (p / 3 - p**2 / 4), 2), 2 * importance])
    np.testing.assert_allclose(H, np.diag(expected), atol=1e-8)


def second_differences(model, loss, h=1e-4):
    """The Hessian from values of the loss alone; `loss` takes stacks of parameters (K, P)."""
    theta = pack(model)
    e = h * np.eye(len(theta))
    shift = lambda s, t: loss((theta + s * e[:, None] + t * e[None]).reshape(-1, len(theta)))
    return ((shift(1, 1) - shift(1, -1) - shift(-1, 1) + shift(-1, -1))
            / (4 * h * h)).reshape(e.shape)


def test_the_hessian_against_differences_of_the_loss_that_enumeration_gives(pentagon):
    features = tm.Features(3, [0.2, 0.6, 0.9], [1, 2, 0.5])
    for model, law in ((tm.ReluOutput([[1, -0.7, 0.2], [0.1, 0.4, -0.9]], [-0.1, 0.2, -0.3]),
                        features),
                       (pentagon.model, tm.Features(5, 0.05))):
        def loss(theta):
            m = unpack(model, theta)
            return energies.enumerated_loss(m.W, m.b, law.feature_probability, law.importance)

        naive, H = second_differences(model, loss), hessian(model, law)
        assert np.array_equal(H, H.T)
        np.testing.assert_allclose(H, naive, atol=2e-5)
        wrong = H.copy()
        wrong[0, -1] += 1e-3
        assert abs(wrong - naive).max() > 2e-5                      # the comparison would notice


@pytest.mark.parametrize("cls, law, penalty", [
    (tm.ReluOutput, tm.Features(5, [0.1, 0.3, 0.3, 0.2, 0.9], correlated=[(1, 2)]), NONE),
    (tm.ReluOutput, tm.Features(4, 0.3, [3, 2, 1, 0.5], anticorrelated=[(0, 3)], signed=True),
     Penalty(0.2, 0.05)),
    (tm.Linear, tm.Features(4, [0.1, 0.2, 0.2, 0.7], correlated=[(1, 2)]), Penalty(0.2, -0.05)),
    (tm.ReluOutput, tm.Features(12, 0.1, 0.8 ** np.arange(12)), Penalty(0.1, 0.0))])
def test_the_hessian_is_how_the_gradient_changes(cls, law, penalty):
    """In every parameter, where the code varies gains. (4.25)"""
    rng, n, h = np.random.default_rng(3), law.n_features, 1e-5
    model = cls(rng.normal(size=(2, n)) / 2, rng.normal(size=n) / 5)
    theta, e = pack(model), h * np.eye(3 * n)
    g = [evaluate(model, theta + s * e, law, penalty)[1] for s in (1, -1)]
    np.testing.assert_allclose(hessian(model, law, penalty=penalty), (g[0] - g[1]) / (2 * h),
                               atol=1e-7)


def test_the_hessian_of_a_stack_is_that_of_each():
    laws = tm.Features(3, [[0.1], [0.5]])
    stack = tm.ReluOutput.init(3, 2, 2, dtype=np.float64)
    together = hessian(stack, laws)
    assert together.shape == (2, 9, 9)
    for i in range(2):
        np.testing.assert_allclose(together[i], hessian(stack[i], laws[i]), atol=1e-9)


@pytest.mark.parametrize("m, rank", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 2), (4, 4),
                                     (3, 0)])
def test_rotations_move_a_matrix_of_rank_r_in_as_many_directions_as_they_should(m, rank):
    """m r - r (r + 1) / 2. (6.6)"""
    rng = np.random.default_rng(m + 10 * rank)
    W = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, 5))
    R = rotations(tm.ReluOutput(W, np.zeros(5)))
    assert R.shape == (5 * m + 5, m * rank - rank * (rank + 1) // 2)
    np.testing.assert_allclose(R.T @ R, np.eye(R.shape[1]), atol=1e-12)
    assert not R[5 * m:].any()
    for column in R.T:                                              # the Gram matrix does not move
        move = column[:5 * m].reshape(m, 5)
        np.testing.assert_allclose(W.T @ move + move.T @ W, 0, atol=1e-12)


def test_the_hessian_is_flat_along_rotations(pentagon):
    R = rotations(pentagon.model)
    assert R.shape == (15, 1)
    assert np.linalg.norm(hessian(pentagon.model, tm.Features(5, 0.05)) @ R) < 1e-9


def test_a_saddle_is_no_minimum_and_has_no_learning_coefficient():
    features = tm.Features(3, 0.3)
    for model in (tm.Linear, tm.ReluOutput):
        saddle = certificate(model(np.zeros((2, 3)), features.mean()), features)
        assert saddle.gradient_norm < 1e-12 and not saddle.is_local_minimum
        with pytest.raises(ArithmeticError, match="lowest eigenvalue -"):
            assert saddle.learning_coefficient
    slope = certificate(tm.ReluOutput(np.eye(2, 3), np.full(3, 0.1)), features)
    assert not slope.is_local_minimum


def test_a_search_that_starts_on_a_saddle_leaves_it(pentagon):
    features = tm.Features(3, 0.3)
    for model, loss in ((tm.Linear, 0.3 / 3 - 0.3**2 / 4),
                        (tm.ReluOutput, energies.antipodal(0.3).loss)):
        found = tm.find_minimum(features, 2, model=model,
                                initial=model(np.zeros((2, 3)), features.mean()))
        assert abs(found.loss - loss) < 1e-12 and found.is_local_minimum
        assert found.start_losses[0] > found.loss + 0.1             # where the start itself ended
    wrong = tm.Linear(np.eye(1, 3), [0, 0.15, 0.15])             # keeps the least important feature
    found = tm.find_minimum(tm.Features(3, 0.3, [1, 2, 3]), 1, model=tm.Linear, initial=wrong)
    assert abs(found.loss - 3 * (0.3 / 3 - 0.3**2 / 4)) < 1e-12


def test_a_degenerate_minimum_has_no_learning_coefficient():
    """Three equal features of a linear model in two dimensions: any plane is as good as any other.
    """
    found = tm.find_minimum(tm.Features(3, 0.3), 2, model=tm.Linear, starts=2)
    assert found.is_local_minimum and found.hessian_rank == 6 and found.symmetry_directions == 1
    with pytest.raises(ArithmeticError, match="3 directions are flat and rotations explain 1"):
        assert found.learning_coefficient


def test_without_importance_everything_is_a_minimum():
    found = tm.find_minimum(tm.Features(2, 0.3, 0), 1, starts=2)
    assert (found.loss, found.gradient_norm,
            found.hessian_rank) == (0, 0, 0) and found.is_local_minimum


def test_it_says_so_when_it_did_not_converge(monkeypatch):
    short = descent.Pace(steps=1)
    for name in ("QUICK", "ALL", "LAST"):
        monkeypatch.setattr(search, name, short)
    monkeypatch.setattr(minima, "newton", partial(newton, steps=0))
    words = (r"lowest of 4 starts ended with loss 0\.\d+ and a gradient of norm .*, above 1e-08: "
             "the loss has a kink there, or more starts are needed")
    with pytest.raises(tm.NotConverged, match=words):
        tm.find_minimum(tm.Features(3, 0.1), 2, starts=4)
    assert issubclass(tm.NotConverged, ArithmeticError)


# -- the parts of the search ----------------------------------------------------------------------

def test_a_stack_descends_as_each_of_its_instances_alone():
    laws = tm.Features(3, [[0.05], [0.3], [1]], [[1, 1, 1], [1, 2, 0.5], [1, 1, 0.1]])
    stack = tm.ReluOutput.init(3, 2, 3, seed=3, dtype=np.float64)
    model, loss, norm = descend(stack, laws)
    for i in range(3):
        one, one_loss, one_norm = descend(stack[i:i + 1], laws[i])
        assert abs(loss[i] / one_loss[0] - 1) < 1e-9
        np.testing.assert_allclose(model.W[i], one.W[0], atol=1e-4)
        blank = min(1, (laws[i].importance * laws[i].feature_probability).sum() / 3)
        assert norm[i] <= 1e-7 * blank and one_norm[0] <= 1e-7 * blank
    assert (loss < tm.expected_loss(stack, laws)).all()


def test_halvings_side_by_side_are_halvings_one_after_the_other(monkeypatch):
    stack = tm.ReluOutput.init(3, 2, 8, scale=1.0, dtype=np.float64)
    law, calls, evaluate = tm.Features(3, 0.1, [1, 0.9, 0.7]), [], descent.evaluate
    monkeypatch.setattr(descent, "evaluate", lambda *a: calls.append(a) or evaluate(*a))
    together, few = descend(stack, law), len(calls)
    monkeypatch.setattr(descent, "CHEAP", 0)
    alone = descend(stack, law)
    assert few < 0.9 * (len(calls) - few)
    np.testing.assert_allclose(together[1], alone[1], rtol=1e-9)
    np.testing.assert_allclose(pack(together[0]), pack(alone[0]), atol=1e-6)


@pytest.mark.parametrize("seed", [1, 2])
def test_recent_steps_are_kept_in_the_features_own_units(seed):
    """In lengths of ease^1/2 the same steps and changes of the slope lead the same way."""
    rng = np.random.default_rng(seed)
    ease = 10 ** rng.uniform(0, 4, (1, 6))
    inner = rng.normal(size=(6, 6))
    plain, eased = descent.Recent(np.ones((1, 6))), descent.Recent(ease)
    for s in rng.normal(size=(5, 1, 6)):
        y = s @ (inner @ inner.T + np.eye(6))
        for one, u in ((plain, 1), (eased, ease**0.5)):
            one.learn(np.array([0]), s * u, y / u, np.array([True]), np.array([False]))
    g = rng.normal(size=(1, 6))
    assert np.allclose(eased.times([0], g / ease**0.5), ease**0.5 * plain.times([0], g), rtol=1e-9)


def test_descent_never_goes_up_and_can_stop_early():
    features, stack = tm.Features(4, 0.1), tm.ReluOutput.init(4, 2, 5, dtype=np.float64)
    losses = [descend(stack, features, most_steps=steps)[1] for steps in range(12)]
    np.testing.assert_allclose(losses[0], tm.expected_loss(stack, features))
    assert (np.diff(losses, axis=0) <= 1e-15).all() and (losses[-1] < losses[0]).all()


def test_newton_finds_the_stationary_point_to_rounding(pentagon):
    features = tm.Features(5, 0.05)
    rough = tm.ReluOutput(pentagon.model.W + 1e-4 * np.random.default_rng(0).normal(size=(2, 5)),
                          pentagon.model.b)
    model, loss, norm = newton(rough, features)
    assert norm < 1e-13 and abs(loss - pentagon.loss) < 1e-16
    np.testing.assert_allclose(tm.gram(model.W), tm.gram(pentagon.model.W), atol=1e-9)
    stack, losses, gradients = newton(rough[None], features)
    assert losses.shape == gradients.shape == (1,) and abs(losses[0] - loss) < 1e-16


def test_dead_outputs_get_their_best_constant():
    """A dead output costs p^2/4 too much. (6.7)"""
    features = tm.Features(2, 0.2, [1, 3])
    stack = tm.ReluOutput([[[1, 0]], [[1, -1]], [[1, 0]]], [[0, -1], [0, -1], [0, 0.1]])
    model, changed = revive(stack, features)
    assert changed.tolist() == [True, True, False]
    np.testing.assert_array_equal(model.W, [[[1, 0]]] * 3)
    np.testing.assert_array_equal(model.b, [[0, 0.1]] * 3)
    gain = tm.expected_loss(stack, features) - tm.expected_loss(model, features)
    assert abs(gain[0] - 3 * 0.2**2 / 4) < 1e-14 and gain[1] >= gain[0] and gain[2] == 0
    found = tm.find_minimum(features, 1, initial=stack[0])
    assert found.loss < tm.expected_loss(model[0], features) - 0.01


def test_a_dead_output_stays_if_its_direction_serves_another():
    """Feature 1 is always on, and output 0 counts on it."""
    features = tm.Features(2, 1, [1, 0.01])
    stack = tm.ReluOutput([[[1, 0.5]]], [[-0.25, -5]])
    model, changed = revive(stack, features)
    assert not changed.any()
    assert np.array_equal(model.W, stack.W) and np.array_equal(model.b, stack.b)


# -- 2 in 1: not every change is first-order ------------------------------------------------------

def drawn_in(p):
    """The importance above which a second feature is drawn into a dimension that the first one has.
    (6.10)
    """
    tau = np.linspace(0, 1, 1_000_001)
    kept = 0.75 * p * (tau - p / 2)**2
    cost = (1 - p) * tau**2 + p * tau**3 / 3 + p * p * (1 - tau)**3 / 3 - kept
    return cost.min() / (p / 3 - p * p / 4)


@pytest.mark.parametrize("p", (0.6, 0.75))
def test_in_the_dense_plane_the_second_feature_grows_from_nothing(p):
    norm = [tm.norms(tm.find_minimum(tm.Features(2, p, [1, ratio * drawn_in(p)]), 1,
                                     starts=6).model.W)[1]
            for ratio in (0.99, 1.002, 1.01)]
    assert norm[0] < 1e-6 < 1e-3 < norm[1] < norm[2] < 0.2


def test_in_the_sparse_plane_it_jumps_before():
    found = tm.find_minimum(tm.Features(2, 0.3, [1, 0.99 * drawn_in(0.3)]), 1, starts=6)
    assert found.geometry == "digon" and tm.norms(found.model.W)[1] > 0.8


# -- unequal features, kinks, polishing, what breaks off ------------------------------------------

HARD = {                                # (features, m, the lowest loss that 500 starts know)
    "I = 0.7^i": (tm.Features(5, 0.05, 0.7 ** np.arange(5)), 2, 0.0046240229),
    "I = 0.9^i": (tm.Features(5, 0.05, 0.9 ** np.arange(5)), 2, 0.0072551872),
    "p unequal": (tm.Features(5, 0.2 * np.array([1, 0.8, 0.6, 0.5, 0.4])), 2, 0.0375024258),
    "both unequal": (tm.Features(5, [0.18, 0.09, 0.28, 0.07, 0.04],
                                 [0.56, 0.74, 0.56, 0.58, 0.98]), 2, 0.01871883033),
}


@pytest.mark.parametrize("features, m, loss", HARD.values(), ids=list(HARD))
def test_the_order_of_unequal_features_is_found(features, m, loss):
    """Random starts alone end 0.02 to 0.4 % above: a pentagon has twelve orders."""
    found = tm.find_minimum(features, m, starts=4, seed=2)
    assert abs(found.loss / loss - 1) < 1e-7 and found.is_local_minimum
    assert np.median(found.start_losses) > loss * (1 + 1e-6)


def test_a_weak_feature_is_brought_back_with_a_small_norm():
    """Beside its best constant any output costs more at first: no descent leads there."""
    features = tm.Features(5, 0.01, 0.7 ** np.arange(5))
    found = tm.find_minimum(features, 1, starts=4, seed=2)
    without = tm.ReluOutput(found.model.W * [1, 1, 1, 1, 0], [*found.model.b[:4], 0.005])
    bound = tm.find_minimum(features, 1, initial=without)
    assert bound.dropped == (4,) and bound.is_local_minimum
    assert found.geometry == "digon of 5" and found.loss < bound.loss * (1 - 1e-3)
    assert tm.norms(found.model.W)[4] < 0.3


@pytest.mark.parametrize("ratio", [1e4, 1e7])
def test_an_important_feature_hides_no_others(ratio):
    """It takes a dimension and costs next to nothing, and the others have the rest as if alone."""
    found = tm.find_minimum(tm.Features(3, 0.01, [ratio, 1, 1]), 2, starts=8)
    others = tm.find_minimum(tm.Features(2, 0.01), 1, starts=8)
    assert found.loss == pytest.approx(others.loss, rel=1e-5)
    assert found.geometry == "digon + orthogonal"


def test_two_exchanges_are_all_even_orders_of_four():
    """Three double exchanges and eight cycles of three; a pentagon can go round in twelve ways."""
    point = tm.ReluOutput(np.arange(4.0)[None], np.arange(4.0))
    (stack,) = search.two_exchanges(point).values()
    assert np.array_equal(stack.W[:, 0], stack.b)
    even = [order for order in permutations(range(4)) if np.linalg.det(np.eye(4)[list(order)]) > 0]
    assert sorted(map(tuple, stack.b)) == even[1:]
    assert search.two_exchanges(tm.ReluOutput([[1.0]], [0.0])) == {}
    assert [len(search.rounds(k)) for k in (3, 4, 5, 6, 7)] == [1, 3, 12, 12, 12]


def test_a_minimum_at_a_kink_says_so():
    """Two orthogonal features of three: z_i = b_i = 0 while they are off, so that the slope by b_i
    is 2 b_i to the right and 2 p b_i to the left of 0."""
    features = tm.Features(3, 0.3)
    model = tm.ReluOutput(np.eye(2, 3), [0, 0, 0.15])
    assert kinks(model, features) == (0, 1)
    assert kinks(tm.ReluOutput(np.eye(2, 3), [0.01, -0.01, 0.15]), features) == ()
    found = tm.find_minimum(tm.Features(4, 0.5, anticorrelated=[(0, 1), (2, 3)]), 2, starts=3)
    assert found.kinks and found.is_local_minimum and "a minimum at a kink" in repr(found)


def test_polish_takes_a_trained_model_to_its_minimum(pentagon):
    features, rng = tm.Features(5, 0.05), np.random.default_rng(1)
    near = tm.ReluOutput((pentagon.model.W + 0.02 * rng.normal(size=(2, 5))).astype(np.float32),
                         pentagon.model.b.astype(np.float32))
    found = tm.polish(near, features)
    assert abs(found.loss - pentagon.loss) < 1e-14 and found.converged and found.is_local_minimum
    with pytest.raises(TypeError, match="model must be a ReluOutput or a Linear, got 3"):
        tm.polish(3, features)


def test_ctrl_c_returns_the_best_point_so_far(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(minima, "newton", interrupted)
    found = tm.find_minimum(tm.Features(3, 0.1), 2, starts=4)
    assert not found.converged and not found.is_local_minimum and "not converged" in repr(found)
    assert np.isfinite(found.loss) and found.loss < 0.01


@pytest.mark.parametrize("n, executor", [(12, False), (3, True)])
def test_ctrl_c_at_any_moment_returns_a_point(monkeypatch, n, executor):
    """In the training of many features, before any start has come to its end, and on an executor,
    whose other work is called off.
    """
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "train", interrupted)
    monkeypatch.setattr(search, "settle_down", interrupted)
    with ThreadPoolExecutor(1) as pool:
        found = tm.find_minimum(tm.Features(n, 0.1), 2, starts=8,
                                executor=pool if executor else None)
    assert not found.converged and np.isfinite(found.loss)


def test_the_bias_of_a_column_that_is_zero_is_its_best_at_any_size():
    W = np.eye(16, 25)
    for n, m in ((25, 16), (3, 2)):
        b = np.zeros(n)
        b[-1] = 0.3
        found = tm.polish(tm.Linear(W[:m, :n], b), tm.Features(n, 0.1))
        assert found.loss == pytest.approx((n - m) * 0.1 * (4 - 0.3) / 12, rel=1e-9)


def test_without_importance_everything_is_a_minimum_of_many_features_too():
    start = tm.Linear(np.random.default_rng(0).normal(size=(16, 25)), np.zeros(25))
    found = tm.polish(start, tm.Features(25, 0.1, importance=0.0))
    assert found.loss == 0 and found.is_local_minimum


def test_an_executor_changes_nothing():
    features = tm.Features(3, 0.1, [1, 0.9, 0.7])
    alone = tm.find_minimum(features, 2, starts=2)
    with ThreadPoolExecutor(2) as pool:
        side = tm.find_minimum(features, 2, starts=2, executor=pool)
    assert abs(side.loss - alone.loss) < 1e-14


def test_a_pickled_model_is_still_known():
    """Pickling, as processes do, notes something down on the class; that is no edit."""
    model = pickle.loads(pickle.dumps(tm.ReluOutput.init(3, 2)))
    assert np.isfinite(tm.expected_loss(model, tm.Features(3, 0.1)))


def test_dropped_features_are_taken_out_and_let_back_in():
    """A feature that is worth as much as the others is not left at zero, one without worth is."""
    start = tm.ReluOutput(np.eye(2, 3), [0, 0, 0.05])
    found = tm.find_minimum(tm.Features(3, 0.1), 2, initial=start)
    assert found.dropped == () and found.geometry == "digon + orthogonal"
    rough = tm.ReluOutput([[[1, 0, 0.01], [0, 1, 0.02]]], [[0, 0, 0.05]])
    less, changed = descent.drop(rough, tm.Features(3, 0.1, [1, 1, 1e-6]))
    assert changed.all() and not less.W[0, :, 2].any()


# -- many features --------------------------------------------------------------------------------

def test_what_passes_is_foundby_halves():
    """All columns that may go, asked for in groups: one question if all may."""
    rng, asked = np.random.default_rng(0), []
    for share in (0.0, 0.1, 0.5, 1.0):
        columns, bad = rng.random((3, 40)) < 0.7, rng.random((3, 40)) < share

        def passes(k, groups, bad=bad):
            asked.append(len(k))
            return ~(groups & bad[k]).any(-1)

        assert (descent.by_halves(columns, passes) == (columns & ~bad)).all()
        assert share or asked == [3]


def test_mixtures_fill_all_dimensions_and_take_most_of_one_first():
    """As many as there are ways to write m as a sum of 1, 1', 2, 2', 3, 3': here by hand for 2."""
    found = search.mixtures(2)
    assert sorted(len(V) for V in found) == [2, 3, 3, 4, 5]     # axes, one digon, triangle, two, …
    for m in (1, 3, 5, 12):
        for V in search.mixtures(m):
            assert V.shape[1] == m and np.linalg.matrix_rank(V) == m
            np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, rtol=1e-12)
            D = tm.feature_dimensionality(V.T)
            assert (np.diff(D) <= 1e-9).all() and abs(D.sum() - m) < 1e-9
    assert len(search.mixtures(5)) == 30


@pytest.mark.parametrize("n, m", [(10, 5), (10, 12), (20, 5)])
def test_built_starts_have_room_for_their_shapes(n, m):
    """Ten features are fewer than the corners of an antiprism and a pentagon."""
    features = tm.Features(n, 0.1, 0.7 ** np.arange(n))
    built = search.built_starts(features, m, tm.ReluOutput)
    if m > n:
        assert built is None
        return
    kept = (np.linalg.norm(built.W, axis=1) > 0.5).sum(1)
    assert (np.linalg.matrix_rank(built.W) == m).all() and (kept >= m).all() and (kept <= n).all()


def test_ten_features_are_trained_first_and_end_at_a_minimum():
    features = tm.Features(10, 0.1, 0.6 ** np.arange(10))
    found = tm.find_minimum(features, 2, starts=6, progress=False)
    assert found.is_local_minimum and found.converged and len(found.start_losses) == 6
    alone = tm.find_minimum(features, 2, initial=found.model)
    assert alone.loss == pytest.approx(found.loss, rel=1e-9)
    trained = tm.train(tm.ReluOutput.init(10, 2, 8), features, steps=3000, batch_size=256,
                       learning_rate=1e-2, schedule="cosine").model
    assert found.loss <= tm.polish(trained, features).loss * (1 + 1e-9)


def test_training_that_diverges_leaves_the_starts_as_they_are():
    features = tm.Features(12, 0.1)
    starts = search.random_starts(features, 3, tm.ReluOutput, 2, 0)
    task = search.Task(features, Penalty(1e38, 0.0))
    points, f = search.trained(task, starts)
    np.testing.assert_array_equal(points.W, starts.W)
    assert np.isfinite(f).all()


def test_a_dense_feature_beside_tiny_ones_takes_no_thousands_of_nodes():
    """Always on, with gains of 1e-5 beside one of 1: the slope's terms add up in phase."""
    rng = np.random.default_rng(0)
    W = np.zeros((2, 12))
    W[:, :2] = np.eye(2) + 1e-5 * rng.normal(size=(2, 2))
    W[:, 2:] = 1e-5 * rng.normal(size=(2, 10))
    b = np.where(np.arange(12) < 2, 1e-6, 0.5)
    features = tm.Features(12, 1.0)
    loss = tm.expected_loss_and_grad(tm.ReluOutput(W, b), features, rtol=1e-9)[0]
    assert loss == pytest.approx(10 / 12, rel=1e-4)


@pytest.mark.parametrize("v, stays", [(0.5, True), (0.54, True), (0.56, False), (0.65, False)])
def test_a_way_down_from_a_kink_is_found(v, stays):
    """(6.10): at p = 1/2 a second feature is drawn in above an importance of 0.5504."""
    features = tm.Features(2, 0.5, [1.0, v])
    alone = tm.ReluOutput([[1.0, 0.0]], [0.0, 0.25])
    found = tm.polish(alone, features)
    assert found.is_local_minimum and (found.kinks != ()) == stays
    lower = found.loss < tm.expected_loss(alone, features) * (1 - 1e-6)
    assert lower != stays
