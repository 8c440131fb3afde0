"""Penalties and the bound on coherence: slopes by hand, independent twins, what has no answer."""

from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
import scipy
from hypothesis import given, strategies as st
from penalised import lowest_loss, naive

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.core.optim import AdamState, adam
from toymodels_np.penalties import Penalty, penalty
from toymodels_np.theory import coherence as coherent
from toymodels_np.theory.coherence import coherence
from toymodels_np.theory.search import Task

# -- the terms ------------------------------------------------------------------------------------

@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 6), st.floats(0, 3),
       st.floats(-2, 2))
def test_value_and_slopes_against_sums_over_pairs(seed, m, n, lam, mu):
    rng = np.random.default_rng(seed)
    W, V, h = rng.normal(size=(m, n)), rng.normal(size=(m, n)), 1e-4
    value, slope = penalty(lam, mu).value_and_grad(W)
    assert value == pytest.approx(naive(W, lam, mu), rel=1e-12, abs=1e-12)
    rise = (naive(W + h * V, lam, mu) - naive(W - h * V, lam, mu)) / (2 * h)
    assert abs((slope * V).sum() - rise) <= 1e-5 * (1 + abs(rise))
    bend = sum(s * penalty(lam, mu).value_and_grad(W + s * h * V)[1] for s in (1, -1)) / (2 * h)
    product = penalty(lam, mu).hessian_product(W, V)
    np.testing.assert_allclose(product, bend, atol=1e-5 * (1 + abs(bend).max()))


def test_a_slope_without_its_factor_of_two_is_caught():
    """Each pair counts from both sides: 4 lam W O, not 2."""
    W = np.array([[1.0, -2.0]])
    assert penalty(0.1).value_and_grad(W)[1][0, 0] == pytest.approx(1.6)        # by hand
    rise = (naive(W + [[1e-5, 0]], 0.1, 0) - naive(W - [[1e-5, 0]], 0.1, 0)) / 2e-5
    assert rise == pytest.approx(1.6, rel=1e-8) and rise != pytest.approx(0.8, rel=0.1)


def test_a_stack_is_its_instances_and_zero_is_false():
    W = np.random.default_rng(0).normal(size=(4, 2, 5))
    values, slopes = penalty(0.3, 0.1).value_and_grad(W)
    for i in range(4):
        value, slope = penalty(0.3, 0.1).value_and_grad(W[i])
        assert value == pytest.approx(values[i], rel=1e-14)
        np.testing.assert_allclose(slope, slopes[i], rtol=1e-13)
    assert not penalty() and penalty(0.1) and penalty(0, -0.1)
    assert Penalty(2.0, 1.0).in_units_of(4.0) == Penalty(0.5, 0.25)


# -- minima with penalties ------------------------------------------------------------------------

@pytest.mark.parametrize("lam, mu", [(0.02, 0), (0.3, 0), (0.05, 0.02)])
def test_two_features_in_one_dimension_with_penalties(lam, mu):
    features = tm.Features(2, 0.1, [1, 0.8])
    found = tm.find_minimum(features, 1, starts=8, interference=lam, weight_decay=mu)
    assert abs(found.loss - lowest_loss(features, 1, lam, mu)) < 1e-9 and found.is_local_minimum
    plain = float(tm.expected_loss(found.model, features))
    assert found.loss == pytest.approx(plain + naive(found.model.W, lam, mu), rel=1e-12)


@pytest.mark.parametrize("p, lam, mu, geometry", [(0.05, 0.001, 0, "pentagon"),
                                                  (0.2, 0.003, 0, "2 digons + dropped")])
def test_five_features_in_two_dimensions_with_penalties(p, lam, mu, geometry):
    features = tm.Features(5, p)
    found = tm.find_minimum(features, 2, starts=8, interference=lam, weight_decay=mu)
    assert found.geometry == geometry and found.is_local_minimum
    assert abs(found.loss - lowest_loss(features, 2, lam, mu, starts=5)) < 1e-9


def test_the_price_of_interference_moves_the_minimum_and_never_pays():
    features, last = tm.Features(4, 0.05), -1.0
    for lam in (0, 0.01, 0.1, 1):
        found = tm.find_minimum(features, 2, starts=8, interference=lam)
        assert found.loss >= last - 1e-12
        last = found.loss
    assert abs(last - 2 * 0.05 * (4 - 3 * 0.05) / 12) < 1e-9        # two features, and no price


def test_the_unit_of_importance_takes_the_penalty_with_it():
    a, b = (tm.find_minimum(tm.Features(3, 0.1, unit), 2, starts=6, interference=0.02 * unit,
                            weight_decay=0.01 * unit).loss / unit for unit in (1.0, 1e-6))
    assert a == pytest.approx(b, rel=1e-9)


def test_negative_weight_decay_has_no_minimum_behind_a_relu():
    """W grows, the biases keep all outputs off: the loss is constant, the penalty falls."""
    features, lower = tm.Features(2, 0.2), []
    for size in (1, 10, 100):
        W = np.array([[size, 0.0]])
        model = tm.ReluOutput(W, np.full(2, -2.0 * size**2))
        lower.append(float(tm.expected_loss(model, features)) + penalty(0, -0.01).value(W))
    assert lower[0] > lower[1] > lower[2] and lower[2] < -90
    with pytest.raises(ValueError, match="weight_decay=-0.01: the loss has no minimum, .* biases"):
        tm.find_minimum(features, 1, weight_decay=-0.01)
    with pytest.raises(ValueError, match="no minimum, .* column of feature 1 grows"):
        tm.find_minimum(tm.Features(2, 0.2, [1, 0]), 1, model=tm.Linear, weight_decay=-0.01)


# -- training with penalties ----------------------------------------------------------------------

class Plain(tm.ReluOutput):
    """The same model as a class of its own, which the plain loop trains."""


@pytest.mark.parametrize("cls", [tm.Linear, tm.ReluOutput, tm.ReluHidden, Plain])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_recorded_loss_has_the_penalty_in_it(cls, dtype):
    features, model = tm.Features(6, 0.1), cls.init(6, 2, 3, seed=4, dtype=dtype)
    losses = [tm.train(model, features, steps=1, batch_size=64, **terms).losses[0]
              for terms in ({}, dict(interference=0.3), dict(l2=0.2))]
    by_pairs = [naive(W, 0.3, 0) for W in model.W.astype(float)]
    np.testing.assert_allclose(losses[1] - losses[0], by_pairs, rtol=1e-4)
    np.testing.assert_allclose(losses[2] - losses[0], 0.2 * (model.W**2).sum((1, 2)), rtol=1e-4)


UNEVEN = tm.Features(2, 0.5, [1, 0.8])


@cache
def exact_minimum(interference=0.0, l2=0.0):
    """What both loops must reach, searched once."""
    return tm.find_minimum(UNEVEN, 1, starts=8, interference=interference, weight_decay=l2)


@pytest.mark.parametrize("cls", [tm.ReluOutput, Plain])
@pytest.mark.parametrize("terms", [dict(interference=0.05), dict(l2=0.01),
                                   dict(interference=0.02, l2=0.005)])
def test_training_ends_where_the_exact_search_does(cls, terms):
    model = cls(np.array([[0.9, -0.7]]), np.zeros(2))
    run = tm.train(model, UNEVEN, steps=3000, batch_size=512, learning_rate=3e-3,
                   schedule="cosine", **terms)
    best, end = exact_minimum(**terms), tm.ReluOutput(*run.model.parameters)
    loss = float(tm.expected_loss(end, UNEVEN))
    loss += naive(end.W, terms.get("interference", 0), terms.get("l2", 0))
    without = float(tm.expected_loss(best.model, UNEVEN))
    assert best.loss <= loss < best.loss + 0.02 * (best.loss - without) + 1e-4
    assert run.engine == ("core.loop" if cls is Plain else "engine.host")


def test_batches_that_are_lists_have_the_same_term():
    """Where batches are lists the passes differ; an importance of 0 leaves the penalty alone."""
    features = tm.Features(100, 0.02, 0.0)
    model = tm.ReluOutput.init(100, 10, 2, dtype=np.float64)
    run = tm.train(model, features, steps=40, batch_size=1024, learning_rate=1e-3, l2=0.1,
                   interference=0.1)
    W, state = model.W, AdamState.zeros_like([model.W])
    for _ in range(40):
        (W,), state = adam([W], [penalty(0.1, 0.1).value_and_grad(W)[1]], state, 1e-3)
    np.testing.assert_allclose(run.model.W, W, rtol=1e-9, atol=1e-12)


def test_a_penalised_run_is_kept_and_goes_on_to_the_bit(tmp_path):
    features, model = tm.Features(5, 0.1), tm.ReluOutput.init(5, 2, 2)
    options = dict(batch_size=64, interference=0.02, l2=0.01, record_every=10)
    whole = tm.train(model, features, steps=60, **options)
    tm.save(tmp_path / "run.npz", tm.train(model, features, steps=25, **options))
    later = tm.resume(tm.load(tmp_path / "run.npz"), steps=35)
    assert later.settings == whole.settings and later.settings["interference"] == 0.02
    np.testing.assert_array_equal(later.model.W, whole.model.W)
    np.testing.assert_array_equal(later.losses, whole.losses)


@pytest.mark.parametrize("cls, terms, error, match", [
    (tm.ReluOutput, {"interference": -1}, ValueError, "interference must be .* at least 0"),
    (tm.ReluOutput, {"interference": np.nan}, ValueError, "interference must be finite"),
    (tm.ReluOutput, {"l2": "some"}, TypeError, "l2 must be a real number, got 'some'"),
    (tm.ReluOutput, {"l2": -0.1}, ValueError, "l2=-0.1: the loss has no minimum, .* biases"),
    (tm.ReluHidden, {"l2": -0.1}, ValueError, "l2=-0.1: the loss has no minimum, .* biases"),
    (tm.AbsoluteValue, {"interference": 1}, ValueError,
     "a penalty acts on W, and AbsoluteValue has the parameters W1, W2, b"),
])
def test_training_refuses_penalties_that_mean_nothing(cls, terms, error, match):
    signed = cls is tm.AbsoluteValue
    with pytest.raises(error, match=match):
        tm.train(cls.init(4, 2), tm.Features(4, 0.1, signed=signed), steps=1, **terms)


# -- coherence ------------------------------------------------------------------------------------

def test_the_frontier_of_three_features_in_two_dimensions():
    p = 0.1
    features = tm.Features(3, p)
    losses = [tm.find_minimum(features, 2, starts=1, coherence=c) for c in (0, 0.4, 0.5, 1)]
    for c, x in zip((0, 0.4, 0.5, 1), losses):
        assert coherence(x.model.W) <= c + 1e-6 and np.isfinite(x.loss)
    free = tm.find_minimum(features, 2, starts=3).loss
    values = [x.loss for x in losses]
    assert (np.diff(values) <= 1e-10).all()
    assert abs(values[0] - p * (4 - 3 * p) / 12) < 1e-10                            # (14.6)
    assert abs(values[1] - values[0]) < 1e-8                # three lines need 60 degrees
    assert abs(values[2] - energies.polygon(3, p).loss) < 1e-8
    assert abs(values[-1] - free) < 1e-12


@pytest.mark.parametrize("n, m, p", [(3, 2, 0.2), (10, 1, 0.1)])
def test_a_bound_that_binds_nothing_changes_nothing(n, m, p):
    """Also from a saddle, where all columns are zero and keep any bound."""
    features = tm.Features(n, p)
    initial = tm.ReluOutput(np.zeros((m, n)), np.zeros(n)) if n == 3 else None
    free = tm.find_minimum(features, m, starts=2, initial=initial)
    bound = tm.find_minimum(features, m, starts=2, initial=initial, coherence=1)
    assert free.is_local_minimum
    assert bound.loss == pytest.approx(free.loss, rel=1e-12)
    assert bound.converged and bound.bound == 1 and "the lowest with coherence 1" in repr(bound)


@pytest.mark.parametrize("breaks", [0, 4])
def test_ctrl_c_in_a_bounded_search_returns_what_keeps_the_bound(monkeypatch, breaks):
    calls, whole = [], coherent.slsqp

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > breaks:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(coherent, "slsqp", interrupted)
    found = tm.find_minimum(tm.Features(3, 0.1), 2, starts=2, coherence=0.2)
    assert coherence(found.model.W) <= 0.2 + 1e-6 and found.bound == 0.2
    assert not found.converged and np.isfinite(found.loss)


def test_choices_of_what_is_kept_are_few_and_reach_every_size():
    for features in (tm.Features(40, 0.1), tm.Features(40, 0.1, 0.9 ** np.arange(40))):
        sizes = [len(kept) for kept in coherent.choices(features, 5, 1.0)]
        assert len(sizes) <= coherent.CHOICES and set(sizes) == set(range(5, 41))
    few = tm.Features(5, 0.1, 0.9 ** np.arange(5))
    for bound, count in ((1.0, 10 + 10 + 5 + 1), (0.5, 10 + 10), (0.49, 10), (0.0, 10)):
        assert len(coherent.choices(few, 2, bound)) == count


@given(st.integers(0, 1000), st.sampled_from([tm.ReluOutput, tm.Linear]), st.booleans())
def test_what_is_dropped_loses_its_variance_at_least(seed, model, signed):
    rng = np.random.default_rng(seed)
    features = tm.Features(4, np.repeat(rng.uniform(0.1, 1, 2), 2), rng.uniform(0, 3, 4),
                           signed=signed, correlated=[[0, 1], [2, 3]] if seed % 2 else ())
    on = rng.random(4) < 0.5
    W = rng.normal(size=(2, 4)) * on
    least = coherent.least_loss(Task(features), np.flatnonzero(on))
    loss = tm.expected_loss(model(W, rng.normal(scale=0.3, size=4)), features)
    assert least <= loss + 1e-12
    dropped = features.replace(importance=np.where(on, 0, features.importance))
    best = model(W, features.active_probability / 2)
    assert least == pytest.approx(tm.expected_loss(best, dropped), abs=1e-12)


def test_weights_that_pay_make_no_choice_hopeless():
    """With a negative decay other terms of the loss may be below zero."""
    task = Task(tm.Features(3, 0.5, 2.0), penalty(0.0, -0.01))
    assert coherent.least_loss(task, np.array([0])) == -np.inf


def isosceles(features, c):
    """The lowest loss of three columns in two dimensions, two of which have the cosine -c, and the
    third is halfway between them on the other side.
    """
    down, aside = ((1 - c) / 2) ** 0.5, ((1 + c) / 2) ** 0.5

    def loss(theta):
        a, b, *bias = theta
        W = np.array([[a, -b * down, -b * down], [0, b * aside, -b * aside]])
        model = tm.ReluOutput(W, np.array([bias[0], bias[1], bias[1]]))
        return float(tm.expected_loss(model, features)) / scale

    scale = 3 * features.variance()[0]
    found = scipy.optimize.minimize(loss, [1, 1, 0, 0], method="Nelder-Mead", options={
        "xatol": 1e-8, "fatol": 1e-13})
    return found.fun * scale


@pytest.mark.parametrize("p, c", [(0.001, 0.8), (0.001, 0.95), (0.05, 0.8)])
def test_a_bound_between_the_triangle_and_the_digon(p, c):
    """Rare features have small losses, of which a search must not leave more than of large ones."""
    features = tm.Features(3, p)
    found = tm.find_minimum(features, 2, starts=2, coherence=c)
    assert found.converged and found.loss == pytest.approx(isosceles(features, c), rel=1e-5)
    assert coherence(found.model.W) == pytest.approx(c, abs=1e-6)


def lines_in_the_plane(features):
    """The lowest loss of as many columns as there are features, evenly spread over the lines of a
    plane, in all orders and pointing both ways.
    """
    n, q = features.n_features, features.active_probability
    angle, scale, found = np.pi * np.arange(n) / n, features.importance @ q / 3, []
    orders = [(0, *rest) for rest in permutations(range(1, n)) if rest[0] <= rest[-1]]
    for order in orders if np.ptp(features.importance) else orders[:1]:
        for signs in product((1, -1), repeat=n - 1):
            turned = (angle + np.pi * (np.array([1, *signs]) < 0))[np.argsort(order)]
            V = np.stack([np.cos(turned), np.sin(turned)])

            def loss(theta):
                f, slopes = tm.expected_loss_and_grad(
                    tm.ReluOutput(theta[:n] * V, theta[n:]), features)
                return f / scale, np.append((slopes.W * V).sum(0), slopes.b) / scale

            start = np.append(np.full(n, 0.9), np.full(n, -0.05))
            found.append(scipy.optimize.minimize(loss, start, jac=True).fun)
    return min(found) * scale


@pytest.mark.parametrize("importance", [1.0, [1.99, 1.91, 1.08, 1.59]])
def test_four_columns_that_just_have_room(importance):
    """At 45 degrees there is no way to turn, and descent comes by no other order: minima were 30 to
    45 % too high.
    """
    features = tm.Features(4, 0.01, importance)
    found = tm.find_minimum(features, 2, starts=2, coherence=0.5**0.5)
    assert found.converged and found.loss == pytest.approx(lines_in_the_plane(features), rel=1e-7)


def test_columns_that_just_have_room_have_the_simplex():
    found = tm.find_minimum(tm.Features(4, 0.1), 3, starts=2, coherence=1 / 3)
    assert found.loss == pytest.approx(energies.simplex(3, 0.1).loss, rel=1e-8)


@pytest.mark.parametrize("k, m, least", [(3, 2, 0.5), (4, 3, 1 / 3), (6, 3, 5**-0.5), (5, 1, 1.0),
                                         (3, 3, 0.0), (1, 4, 0.0)])
def test_directions_turn_until_they_keep_the_bound(k, m, least):
    """Where the bound of (14.7) is met, and nowhere below it."""
    assert coherent.least_coherence(k, m) == pytest.approx(least, abs=1e-12)
    V = np.random.default_rng(k).normal(size=(m, k))
    turned = coherent.turned_apart(V, least)
    assert coherence(turned) <= least + 1e-9 and np.allclose(tm.norms(turned), 1)
    if k > m:
        assert coherent.turned_apart(V, least - 1e-3) is None


@pytest.mark.parametrize("n, c, loss", [(5, 0.2, 3 * 0.05 * (4 - 3 * 0.05) / 12),       # (14.6)
                                        (3, 0.5, energies.polygon(3, 0.05).loss)])
def test_a_bound_that_leaves_no_room_or_hardly_any_is_no_reason_to_be_slow(monkeypatch, n, c, loss):
    """Five columns cannot keep the first bound, and three keep the second at 60 degrees alone,
    where a search took thousands of looks at the loss.
    """
    looks, seen = [], coherent.evaluate
    monkeypatch.setattr(coherent, "evaluate", lambda *args: looks.append(args) or seen(*args))
    found = tm.find_minimum(tm.Features(n, 0.05), 2, starts=1, coherence=c)
    assert found.loss == pytest.approx(loss, rel=1e-8) and len(looks) < 1200


@pytest.mark.parametrize("rate, goal, goes_on", [(1e-3, np.inf, True), (1e-3, 0, False),
                                                 (0.1, 0, True), (0, np.inf, False)])
def test_a_search_goes_on_as_long_as_it_gains_and_may_reach_its_goal(monkeypatch, rate, goal,
                                                                     goes_on):
    """SLSQP creeps where bounds lean on each other, and did so for thousands of looks."""
    def creep(fun, x, **_):
        for _ in range(2 * coherent.PATIENCE):
            x = x - rate * fun(x)[1]
        ends.append(x)

    ends, task, start = [], Task(tm.Features(2, 0.05)), tm.ReluOutput(0.3 * np.eye(2), np.zeros(2))
    monkeypatch.setattr(scipy.optimize, "minimize", creep)
    loss = coherent.slsqp(task, start, np.arange(2), 0.5, goal)[1]
    assert (loss < tm.expected_loss(start, task.features)) == (rate > 0)
    assert (len(ends) == 3) == goes_on                          # one in each unit of the loss


@pytest.mark.parametrize("bound", [0, 0.4])
@pytest.mark.parametrize("cosine", [-0.5, 0, 0.5])
def test_a_search_ends_nowhere_that_breaks_the_bound(monkeypatch, bound, cosine):
    """Nor where two columns lean away from each other."""
    monkeypatch.setattr(scipy.optimize, "minimize", lambda fun, x, **_: fun(x))
    start = tm.ReluOutput([[1, cosine], [0, (1 - cosine**2) ** 0.5]], np.zeros(2))
    loss = coherent.slsqp(Task(tm.Features(2, 0.05)), start, np.arange(2), bound)[1]
    assert np.isfinite(loss) == (abs(cosine) <= bound)


def test_dropped_features_have_their_best_bias_whatever_the_start():
    task = Task(tm.Features(3, [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]))
    start = tm.ReluOutput([[0.9, 0.1, 0.8], [0.1, 0.9, 0.7]], [0.0, 0.0, 0.9])
    found, loss = coherent.slsqp(task, start, np.array([0, 1]), 0.0)
    assert not found.W[:, 2].any() and found.b[2] == 0.15
    assert loss == pytest.approx(3 * energies.dropped(0.3).loss, rel=1e-9)


def test_a_point_that_leaves_its_bound_downhill_is_no_minimum(monkeypatch):
    """Two features that are at a cosine of 0.4, with their best lengths and biases: the bound
    would have to pull, and it can only push.
    """
    features = tm.Features(3, 0.1)

    def point(theta):
        length, bias = theta
        W = length * np.array([[0.7**0.5, 0.7**0.5, 0], [0.3**0.5, -(0.3**0.5), 0]])    # cosine 0.4
        return tm.ReluOutput(W, np.array([bias, bias, 0.05]))

    best = scipy.optimize.minimize(lambda theta: tm.expected_loss(point(theta), features), [1, 0],
                                   method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-16})
    monkeypatch.setattr(coherent, "slsqp", lambda *_: (point(best.x), best.fun))
    found = tm.find_minimum(features, 2, starts=1, coherence=0.4)
    assert found.loss == pytest.approx(best.fun) and coherence(found.model.W) == pytest.approx(0.4)
    assert not found.converged and found.gradient_norm > 1e-4


def test_a_bound_where_nothing_matters():
    """Without importance an empty model loses nothing, and the search has no unit to divide by."""
    found = tm.find_minimum(tm.Features(3, 0.1, 0.0), 2, starts=2, coherence=0.3)
    assert found.converged and found.loss == 0 and coherence(found.model.W) <= 0.3 + 1e-6


def test_coherence_is_the_largest_cosine():
    assert coherence(np.array([[1.0, 0, 2, 0], [0, 3, 2, 0]])) == pytest.approx(0.5**0.5)
    assert coherence(np.eye(3)) == 0 and coherence(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("bad, error, match", [
    ({"interference": "much"}, TypeError, "interference must be a real number, got 'much'"),
    ({"interference": -1}, ValueError, "interference must be .* at least 0.*, got -1"),
    ({"interference": np.nan}, ValueError, "interference must be finite"),
    ({"weight_decay": None}, TypeError, "weight_decay must be a real number"),
    ({"coherence": 1.5}, ValueError, "coherence must be .* at most 1, got 1.5"),
    ({"coherence": -0.1}, ValueError, "coherence must be .* at least 0.* got -0.1"),
    ({"coherence": True}, TypeError, "coherence must be a real number"),
    ({"executor": 3}, TypeError, "executor must be None or a concurrent.futures.Executor, got 3"),
    ({"progress": 3}, TypeError, "progress must be True, False or None"),
])
def test_bad_penalties_are_refused(bad, error, match):
    with pytest.raises(error, match=match):
        tm.find_minimum(tm.Features(3, 0.1), 2, **bad)
