"""Branches: where two cost the same, how steeply they cross there, and where one ends."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.penalties import Penalty
from toymodels_np.theory.curvature import hessian, newton
from toymodels_np.theory.minima import NotConverged

FOUR = np.ones(4)
# pentagon and digons at p = 0.05
CROSSING = {"importance": 0.3677788998524, "probability": 0.2690811529702}
FOLD = {"importance": 0.2902372, "probability": 0.1241505}            # where the pentagon ends


def law(vary, value, p=0.05):
    """Feature probability and importance of five features of which the fifth is special."""
    probability = p * np.append(FOUR, value if vary == "probability" else 1)
    return probability, np.append(FOUR, value if vary == "importance" else 1)


def family(vary, low, high):
    return tm.Parameter(lambda value: tm.Features(5, *law(vary, value)), low, high)


def digons(pairs, p, dropped=0, dropped_probability=None):
    """`pairs` digons and `dropped` features without a direction, from their closed forms."""
    e = energies.antipodal(p)
    W = np.hstack([np.kron(np.eye(pairs), [e.norm, -e.norm]), np.zeros((pairs, dropped))])
    return tm.ReluOutput(W, np.append(np.full(2 * pairs, e.bias),
                                      np.full(dropped, (dropped_probability or p) / 2)))


def witness(vary, value, near):
    """(energy of the pentagon, of the digons) at `value`, from `energies.py` alone; `near` is a
    pentagon close by."""
    p, importance = law(vary, value)
    two = energies.digons(2, 0.05, dropped=1, dropped_probability=p[4],
                          dropped_importance=importance[4])
    return energies.local_minimum(near.W, near.b, p, importance).loss, two.loss


@pytest.fixture(scope="module")
def pentagon():
    return tm.find_minimum(tm.Features(5, 0.05), 2, starts=2)


@pytest.fixture(scope="module", params=CROSSING)
def crossing(request, pentagon):
    """(what varies, the CriticalPoint of pentagon and digons)."""
    vary, value = request.param, CROSSING[request.param]
    return vary, tm.critical_point(pentagon, digons(2, 0.05, 1),
                                   family(vary, value - 0.01, value + 0.015))


@pytest.fixture(scope="module", params=FOLD)
def fold(request, pentagon):
    """(what varies, the StabilityLimit of the pentagon)."""
    vary, value = request.param, FOLD[request.param]
    return vary, tm.stability_limit(pentagon, family(vary, value - 0.004, value + 0.02))


# -- critical points

def test_the_pentagon_and_the_digons_cross_where_the_closed_forms_say(crossing):
    vary, point = crossing
    assert abs(point.value - CROSSING[vary]) < 1e-11
    gap = lambda value: np.subtract(*witness(vary, value, point.models[0]))
    assert abs(point.value - brentq(gap, CROSSING[vary] - 1e-4, CROSSING[vary] + 1e-4,
                                    xtol=1e-11)) < 1e-9
    assert np.ptp([point.loss, *witness(vary, point.value, point.models[0])]) < 1e-12
    assert [tm.name_geometry(model.W)
            for model in point.models] == ["pentagon", "2 digons + dropped"]
    for model in point.models:
        loss, gradient = tm.expected_loss_and_grad(model, tm.Features(5, *law(vary, point.value)))
        assert abs(loss - point.loss) < 1e-12
        assert all(abs(a).max() < 1e-8 for a in gradient.parameters)


def test_the_slopes_are_those_of_the_energies_and_differ(crossing):
    """dE/dv from the envelope theorem against differences of re-minimised energies. (6.2)"""
    vary, point = crossing
    h = 1e-4
    around = np.array([witness(vary, point.value + s * h, point.models[0]) for s in (1, -1)])
    np.testing.assert_allclose(point.slopes, (around[0] - around[1]) / (2 * h), rtol=3e-6)
    assert point.slopes[1] > 2 * point.slopes[0] > 0


def test_along_an_importance_the_slope_is_the_loss_of_the_output():
    """In 3 in 1, dropping feature 2 or feature 1 costs the same at r = 1; the slopes are known.

    A branch may be a model of any precision or a Minimum.
    """
    p = 0.3
    a = digons(1, p, 1)
    b = tm.ReluOutput(a.W[:, [0, 2, 1]], a.b[[0, 2, 1]]).astype(np.float32)
    a = tm.find_minimum(tm.Features(3, p), 1, initial=a)
    point = tm.critical_point(a, b, tm.Parameter(lambda r: tm.Features(3, p, [1, 1, r]), 0.7, 1.2))
    assert abs(point.value - 1) < 1e-11
    pair, missing = energies.antipodal(p).loss, energies.dropped(p).loss
    assert abs(point.loss - pair - missing) < 1e-13
    np.testing.assert_allclose(point.slopes, (missing, pair / 2), rtol=1e-8)


def test_along_the_probability_of_all_features():
    """Both branches stay regular, so their energies are functions of one norm and one bias."""
    p = brentq(lambda p: energies.polygon(5, p).loss - energies.digons(2, p, dropped=1).loss, 0.224,
               0.226, xtol=1e-13)
    e = energies.polygon(5, 0.22)
    angle = 2 * np.pi * np.arange(5) / 5
    regular = tm.ReluOutput(e.norm * np.stack([np.cos(angle), np.sin(angle)]), np.full(5, e.bias))
    point = tm.critical_point(digons(2, 0.22, 1), regular,
                              tm.Parameter(lambda p: tm.Features(5, p), 0.223, 0.226))
    assert abs(point.value - p) < 1e-10 and abs(point.loss / energies.polygon(5, p).loss - 1) < 1e-9
    assert point.slopes[1] > 1.2 * point.slopes[0]


# -- stability limits

def lowest(model, features):
    """The lowest eigenvalue of the Hessian that the one rotation does not explain."""
    values = np.linalg.eigvalsh(hessian(model, features))
    return np.delete(values, abs(values).argmin())[0]


def test_the_pentagon_ends_in_a_fold(fold):
    vary, limit = fold
    assert limit.kind == "fold" and abs(limit.value - FOLD[vary]) < 2e-6
    features = tm.Features(5, *law(vary, limit.value))
    assert tm.name_geometry(limit.model.W) == "pentagon"
    assert abs(tm.expected_loss(limit.model, features) - limit.loss) < 1e-14
    assert abs(lowest(limit.model, features)) < 1e-5
    _, gradient = tm.expected_loss_and_grad(limit.model, features)
    assert all(abs(a).max() < 1e-8 for a in gradient.parameters)


def test_inside_the_fold_it_is_a_minimum_and_outside_descent_leaves_it(fold):
    vary, limit = fold
    inside = tm.find_minimum(tm.Features(5, *law(vary, limit.value + 1e-5)), 2, initial=limit.model)
    assert inside.geometry == "pentagon"
    assert inside.is_local_minimum
    assert inside.hessian_eigenvalues[1] > 1e-6
    outside = tm.find_minimum(tm.Features(5, *law(vary, limit.value - 1e-5)), 2,
                              initial=limit.model)
    assert outside.geometry == "2 digons + dropped" and outside.loss < inside.loss


def test_the_other_witness_finds_the_fold_too(fold):
    """Descent on the loss by enumeration keeps the fifth feature inside and drops it outside."""
    vary, limit = fold
    for shift in (3e-4, -3e-4) if vary == "importance" else ():
        branch = energies.local_minimum(limit.model.W, limit.model.b,
                                        *law(vary, limit.value + shift))
        assert (branch.norm[4] > 0.5) if shift > 0 else (branch.norm[4] < 1e-3)


def test_near_the_fold_the_eigenvalue_is_the_root_of_the_distance(fold):
    """A quarter of the distance, half of the eigenvalue. (6.4)"""
    vary, limit = fold
    model, values = limit.model, {}
    for distance in (2.5e-5, 1e-4):
        features = tm.Features(5, *law(vary, limit.value + distance))
        found = tm.find_minimum(features, 2, initial=model)
        model, values[distance] = found.model, found.hessian_eigenvalues[1]
    assert abs(values[1e-4] / values[2.5e-5] - 2) < 0.02


def test_the_limit_does_not_depend_on_the_range(fold, pentagon):
    vary, limit = fold
    if vary == "importance":
        assert abs(tm.stability_limit(pentagon,
                                      family(vary, 0.25, 0.33)).value - limit.value) < 1e-9


@pytest.mark.parametrize("pairs", (1, 2))
def test_digons_end_in_a_crossing_where_the_second_variation_says(pairs):
    """At p = 0.5 digons are shorter than 1 and become unstable when the dropped feature matters
    enough. (6.8), (6.9)"""
    p = 0.5
    branch, e, rest = digons(pairs, p, 1), energies.antipodal(p), 2 * pairs + 1
    rho = e.bias / e.norm**2
    curvature = (2 * (1 - p) + 2 * p * (1 - p) * rho + p**2 * (2 - (1 - rho)**2)
                 - p**2 * (1 - rho)**2 / e.norm**2)
    expected = e.norm**2 * curvature / (2 - 2 * e.norm**2)
    features = lambda value: tm.Features(rest, p, np.append(np.ones(rest - 1), value))
    limit = tm.stability_limit(branch, tm.Parameter(features, 2, 15))
    assert limit.kind == "crossing" and abs(limit.value / expected - 1) < 1e-7
    for value, sign in ((0.99 * expected, 1), (1.01 * expected, -1)):
        model, _, norm = newton(branch, features(value))            # the branch goes on as a saddle
        values = np.linalg.eigvalsh(hessian(model, features(value)))
        assert norm < 1e-9 and tm.norms(model.W)[-1] < 1e-9
        assert (values[0] > -1e-9) if sign > 0 else (values[0] < -1e-4)


def test_the_second_variation_in_the_direction_of_a_dropped_feature():
    """The Schur complement of its block of the Hessian is the bracket of (6.8), twice."""
    for pairs, p, q, importance in ((1, 0.5, 0.5, 1), (2, 0.05, 0.05, 100), (2, 0.05, 0.02, 3),
                                    (2, 0.3, 0.6, 1)):
        model, e, n = digons(pairs, p, 1, q), energies.antipodal(p), 2 * pairs + 1
        H = hessian(model, tm.Features(n, np.append(np.full(n - 1, p), q),
                                       np.append(np.ones(n - 1), importance)))
        own = [n * d + n - 1 for d in range(pairs)]
        rest = np.setdiff1d(np.arange(len(H)), own)
        mixed = H[np.ix_(own, rest)]
        block = H[np.ix_(own, own)] - mixed @ np.linalg.pinv(H[np.ix_(rest, rest)],
                                                             rcond=1e-7) @ mixed.T
        v, u, rho = p / 3 - p**2 / 4, q / 3 - q**2 / 4, e.bias / e.norm**2
        curvature = (2 * (1 - p) + 2 * p * (1 - p) * rho + p**2 * (2 - (1 - rho)**2)
                     - p**2 * (1 - rho)**2 / e.norm**2)
        expected = 2 * (e.norm**2 * curvature * u + 2 * importance * (e.norm**2 * v - u))
        np.testing.assert_allclose(block, expected * np.eye(pairs), atol=1e-8)


def test_at_small_p_digons_are_stable_whatever_the_dropped_feature_matters():
    wide = tm.Parameter(lambda value: tm.Features(3, 0.05, [1, 1, value]), 0.01, 1000)
    with pytest.raises(ValueError, match="the branch is a local minimum everywhere in the range: "
                                         "digon \\+ dropped is followed from 0.01 to 1000"):
        tm.stability_limit(digons(1, 0.05, 1), wide)


def test_the_pentagon_along_the_probability_of_all_ends_in_a_crossing(pentagon):
    features = lambda p: tm.Features(5, p)
    limit = tm.stability_limit(pentagon, tm.Parameter(features, 0.28, 0.32))
    assert limit.kind == "crossing" and abs(limit.value - 0.3028835) < 1e-6
    assert abs(limit.loss - energies.polygon(5, limit.value).loss) < 1e-10
    for shift, sign in ((-1e-3, 1), (1e-3, -1)):
        model, _, norm = newton(limit.model, features(limit.value + shift))
        assert norm < 1e-9 and sign * lowest(model, features(limit.value + shift)) > 1e-5


@pytest.mark.parametrize("start, span", [(1.0, (0.02, 1.0)), (0.0641, (0.06, 0.07)),
                                         (0.0641, (0.001, 10.0))])
def test_a_crossing_hardly_before_a_fold_is_found_whatever_the_range(start, span):
    """The fold is at 0.06155 and the crossing at 0.06317; where the branch was seen first, and how
    coarsely it is surveyed, is all the same."""
    p, penalty = 0.04193436477206916, {"weight_decay": 0.001}
    features = lambda v: tm.Features(2, p, [1, v])
    pair, single = (tm.find_minimum(features(v), 1, starts=4, **penalty) for v in (start, 0.03))
    crossing = tm.critical_point(pair, single, tm.Parameter(features, *span), **penalty)
    assert crossing.value == pytest.approx(0.0631705772332, rel=1e-9)
    fold = tm.stability_limit(pair, tm.Parameter(features, *span), **penalty)
    assert fold.kind == "fold" and fold.value == pytest.approx(0.0615468312272, rel=1e-10)


def test_where_a_branch_ends_elsewhere_does_not_hide_a_crossing():
    p, penalty = 0.058498694344934, {"interference": 0.003}
    features = lambda v: tm.Features(5, [p, p, p, p, p * v])
    others, last = (tm.find_minimum(features(v), 2, starts=4, **penalty) for v in (1.2, 0.05))
    crossing = tm.critical_point(others, last, tm.Parameter(features, 0.05, 1.2), **penalty)
    assert crossing.value == pytest.approx(1, rel=1e-9)                     # by symmetry


# -- what is refused

def test_branches_that_do_not_cross_are_named(pentagon):
    with pytest.raises(ValueError, match="the energies of the two branches do not cross: "
                                         "pentagon is followed from 0.8 "
                                         "to 1; 2 digons \\+ dropped is followed from 0.8 to 1"):
        tm.critical_point(pentagon, digons(2, 0.05, 1), family("importance", 0.8, 1))
    same = digons(1, 0.05, 1)
    features = tm.Parameter(lambda v: tm.Features(3, 0.05, [1, 1, v]), 0.5, 1)
    with pytest.raises(ValueError, match="do not cross: digon"):
        tm.critical_point(same, same, features)
    mirrored = tm.ReluOutput(-same.W[:, [1, 0, 2]] + 1e-9, same.b)    # the same energy to rounding
    with pytest.raises(ValueError, match="do not cross: digon"):
        tm.critical_point(same, mirrored, features)


def test_branches_that_are_lost_before_they_cross_are_not_said_not_to_cross():
    """Of rare features the digon is lost at 0.004, and only at 0.43 p it costs as much as if its
    weaker feature is dropped.
    """
    p = 0.001
    digon = energies.polygon(2, p)
    pair = tm.ReluOutput(digon.norm * np.array([[1.0, -1.0]]), np.full(2, digon.bias))
    dropped = tm.ReluOutput(np.array([[1.0, 0.0]]), np.array([0, p / 2]))
    gaps = [energies.antipodal(p, (1, r)).loss - r * energies.dropped(p).loss
            for r in (0.42 * p, 0.435 * p)]
    assert gaps[0] > 0 > gaps[1]
    rarer = tm.Parameter(lambda r: tm.Features(2, p, [1, r]), p / 10, 1.0)
    with pytest.raises(NotConverged, match="can be followed, .* digon is followed from 0.00.*but "):
        tm.critical_point(pair, dropped, rarer)


def test_a_branch_that_is_nowhere_a_minimum_is_refused():
    with pytest.raises(ValueError, match="the branch 'digon \\+ dropped' is a local minimum "
                                         "nowhere from 10 to 12"):
        tm.stability_limit(digons(1, 0.5, 1),
                           tm.Parameter(lambda v: tm.Features(3, 0.5, [1, 1, v]), 10, 12))


def test_a_branch_may_start_away_from_its_place():
    """The dropped feature's bias is four times too large here, and a leap downhill would switch its
    output off."""
    p, q = 0.05, 0.0125
    features = tm.Parameter(lambda v: tm.Features(3, [p, p, v * q]), 0.9, 1.1)
    with pytest.raises(ValueError,
                       match="local minimum everywhere in the range: digon \\+ dropped"):
        tm.stability_limit(digons(1, p, 1, 4 * q), features)


# -- penalties

def penalised(theta, vary, value, interference, weight_decay):
    """The loss of 5 in 2 from the closed forms, and its penalty written out. (14.1)"""
    W, b = theta[..., :10].reshape(*theta.shape[:-1], 2, 5), theta[..., 10:]
    off = (W.swapaxes(-1, -2) @ W)[..., ~np.eye(5, dtype=bool)]
    return (energies.enumerated_loss(W, b, *law(vary, value)) + interference * (off**2).sum(-1)
            + weight_decay * (W**2).sum((-1, -2)))


def slope(f, theta, h=1e-6):
    """Central differences of f, all at once."""
    step = h * np.eye(len(theta))
    return (f(theta + step) - f(theta - step)) / (2 * h)


PENALTIES = [(1e-5, 0.0), (0.0, 2e-5)]


@pytest.mark.parametrize("interference, weight_decay", PENALTIES)
def test_penalties_move_the_critical_point(pentagon, interference, weight_decay):
    """Against scipy on the closed forms: both models are minima, and cost the same."""
    vary, place = "importance", CROSSING["importance"]
    options = dict(interference=interference, weight_decay=weight_decay)
    features = family(vary, place - 0.01, place + 0.06)
    point = tm.critical_point(pentagon, digons(2, 0.05, 1), features, **options)
    assert point.value - place > 1e-3                               # the pentagon pays for more
    f = lambda theta: penalised(theta, vary, point.value, **options)
    for model in point.models:
        theta = np.append(model.W.ravel(), model.b)
        assert abs(f(theta) - point.loss) < 1e-12
        found = minimize(f, theta, jac=lambda theta: slope(f, theta), tol=1e-9)
        assert abs(found.fun - point.loss) < 1e-11
    plain = tm.expected_loss(point.models[0], tm.Features(5, *law(vary, point.value)))
    assert point.loss - plain > 1e-6                                # the penalty is a part of it


@pytest.mark.parametrize("interference, weight_decay", PENALTIES)
def test_penalties_move_the_stability_limit(pentagon, interference, weight_decay):
    """At the fold the Hessian of the penalised closed forms has a direction without curvature."""
    vary, place = "importance", FOLD["importance"]
    options = dict(interference=interference, weight_decay=weight_decay)
    limit = tm.stability_limit(pentagon, family(vary, place - 0.004, place + 0.05), **options)
    assert limit.kind == "fold" and limit.value - place > 1e-3
    theta, h = np.append(limit.model.W.ravel(), limit.model.b), 1e-4
    f = lambda theta: penalised(theta, vary, limit.value, **options)
    a, b = h * np.eye(15)[:, None], h * np.eye(15)
    H = f(theta + a + b) - f(theta + a - b) - f(theta - a + b) + f(theta - a - b)
    eigenvalues = np.linalg.eigvalsh(H / (4 * h * h))
    assert abs(f(theta) - limit.loss) < 1e-12
    assert abs(eigenvalues[:2]).max() < 1e-5 < 1e-4 < eigenvalues[2]    # a rotation, and the fold


def test_a_penalty_without_a_minimum_is_refused(pentagon):
    features = family("importance", 0.3, 0.4)
    pair = pentagon, digons(2, 0.05, 1)
    for options, words in ((dict(weight_decay=-0.1), "weight_decay=-0.1: the loss has no minimum"),
                           (dict(interference=-1), "interference must be")):
        with pytest.raises(ValueError, match=words):
            tm.critical_point(*pair, features, **options)
        with pytest.raises(ValueError, match=words):
            tm.stability_limit(pentagon, features, **options)


def test_the_penalties_of_a_minimum_are_not_forgotten():
    found = tm.find_minimum(tm.Features(5, 0.05), 2, starts=1, interference=1e-4)
    other, features = digons(2, 0.05, 1), family("importance", 0.3, 1.0)
    for options in ({}, {"interference": 1e-5}):
        with pytest.raises(ValueError, match="branch_a is a minimum with interference=0.0001"):
            tm.critical_point(found, other, features, **options)
        with pytest.raises(ValueError, match="branch is a minimum with interference=0.0001"):
            tm.stability_limit(found, features, **options)
    same, alone = (tm.critical_point(one, other, features, interference=1e-4).value
                   for one in (found, found.model))
    assert same == pytest.approx(alone, rel=1e-9)


# -- classes of a user's own, and how results look

class Leaky(tm.ReluOutput):
    pass


class Doubled(tm.Features):
    def target(self, x):
        return 2 * x


def test_strangers_are_refused(pentagon):
    features, model = family("importance", 0.3, 0.4), pentagon.model
    own = tm.Parameter(lambda v: Doubled(5, *law("importance", v)), 0.3, 0.4)
    for of in (lambda branch, p: tm.critical_point(branch, model, p),
               lambda branch, p: tm.critical_point(model, branch, p), tm.stability_limit):
        with pytest.raises(TypeError, match="branches are followed .*Leaky is a class of its own"):
            of(Leaky(model.W, model.b), features)
        with pytest.raises(TypeError, match="branches are followed .*Doubled is a class of"):
            of(model, own)


def test_results_show_on_one_line(crossing, fold):
    (_, point), (_, limit) = crossing, fold
    assert repr(point).startswith(f"CriticalPoint(value={point.value:.10g}, loss=0.00")
    assert "pentagon | 2 digons + dropped, slopes 0.00" in repr(point) and len(repr(point)) < 150
    geometry = tm.name_geometry(limit.model.W)
    assert repr(limit) == (f"StabilityLimit(value={limit.value:.10g}, loss={limit.loss:.8g}, "
                           f"{geometry}, fold)")
    assert repr(tm.Parameter(law, 0.1, 0.2)) == "Parameter(law, 0.1 to 0.2)"


def test_a_branch_that_begins_inside_the_range_ends_where_its_second_variation_says():
    """One feature alone loses its place when the other one may enter: seen from the dense end. Its
    weight decays, so that its output is not at the kink where the feature is off.
    """
    law, decay = lambda p: tm.Features(2, p), Penalty(0.0, 0.01)
    alone = tm.ReluOutput([[1.0, 0.0]], [0.0, 0.475])
    limit = tm.stability_limit(alone, tm.Parameter(law, 0.05, 0.95), weight_decay=0.01)
    values = [np.linalg.eigvalsh(hessian(newton(alone, law(p), penalty=decay)[0], law(p),
                                         penalty=decay))[0]
              for p in (limit.value - 1e-4, limit.value + 1e-4)]
    assert limit.kind == "crossing" and values[0] < 0 < values[1]


@pytest.mark.parametrize("p", [0.3, 0.6, 0.9])
def test_a_branch_at_a_kink_has_no_limit_by_second_derivatives(p):
    """(6.10) has the true one, at up to half of what the mean of both sides would say."""
    alone = tm.ReluOutput([[1.0, 0.0]], [0.0, p / 2])
    family = tm.Parameter(lambda v: tm.Features(2, p, [1.0, v]), 0.05, 3.0)
    with pytest.raises(NotConverged, match="the loss bends along the branch .* output 0 is"):
        tm.stability_limit(alone, family)


def test_limits_and_crossings_do_not_depend_on_the_unit_of_the_loss():
    """Neither on how rare features are, to first order, nor on the unit of importance."""
    limits = []
    for p in (1e-5, 1e-6):
        law = lambda v: tm.Features(5, p, [1, 1, 1, 1, v])
        limits.append(tm.stability_limit(tm.find_minimum(law(1.0), 2, starts=4),
                                         tm.Parameter(law, 0.01, 1)))
    assert limits[0].value == pytest.approx(limits[1].value, rel=1e-3)
    points = []
    for unit in (1.0, 1e-9):
        law = lambda p: tm.Features(5, p, unit)
        ends = [tm.find_minimum(law(p), 2, starts=4) for p in (0.05, 0.3)]
        points.append(tm.critical_point(*ends, tm.Parameter(law, 0.1, 0.3)))
        assert points[-1].loss == pytest.approx(unit * points[0].loss, rel=1e-9)
        assert points[-1].value == pytest.approx(points[0].value, abs=1e-10)


def test_a_crossing_before_a_fold_is_the_limit():
    """Whatever the range: the branch is followed beyond it as a saddle, up to the fold."""
    law = lambda v: tm.Features(3, [v, 0.05, 0.05], [0.8, 0.5, 0.8])
    penalties = {"interference": 0.1, "weight_decay": 0.01}
    start = tm.find_minimum(law(0.517), 1, starts=4, **penalties)
    for low, high in ((0.002, 0.8), (0.0192, 0.03)):
        limit = tm.stability_limit(start, tm.Parameter(law, low, high), **penalties)
        assert limit.value == pytest.approx(0.02051591186, abs=1e-10)


def test_a_step_does_not_lead_to_a_saddle_that_crosses_the_branch_later():
    """It and the branch meet where both change their stability. Where it was taken for the branch,
    limits came 0.02 too early, at three places from three starts."""
    law = lambda p: tm.Features(4, p, [0.9, 0.8, 0.9, 0.9])
    for p in (0.2, 0.3, 0.4):
        W = [[1, 0, -1, 0], [0, 0.32, 0, 1.03]]
        start = tm.find_minimum(law(p), 2, interference=1e-3,
                                initial=tm.ReluOutput(W, [0.02, 0.08, 0.02, -0.13]))
        limit = tm.stability_limit(start, tm.Parameter(law, 0.005, 0.6), interference=1e-3)
        assert limit.kind == "crossing" and limit.value == pytest.approx(0.5685397, abs=1e-6)
