"""The exact loss against its naive twins, its axioms, its errors; the sampled loss against the
exact one.
"""

import enumeration
import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from toymodels_np.core.features import Features
from toymodels_np.core.models import AbsoluteValue, Linear, ReluHidden, ReluOutput
from toymodels_np.theory.exact import corners, law, rows
from toymodels_np.theory.exact.loss import estimate_loss, expected_loss, expected_loss_and_grad

SHAPES = ["plain", "zero", "duplicate", "opposite", "orthogonal", "digon", "tiny column",
          "tiny entries", "all sizes",
          "large"]


def weights(rng, m, n, shape):
    """W (m, n) of one of the SHAPES."""
    W = rng.normal(size=(m, n))
    if shape in ("orthogonal", "digon", "tiny entries"):            # columns along the axes
        W = np.zeros((m, n))
        signs = rng.choice([-1.0, 1.0], n) if shape == "digon" else rng.normal(size=n)
        W[np.arange(n) % m, np.arange(n)] = signs
    if shape == "zero":
        W[:, 0] = 0
    if shape in ("duplicate", "opposite") and n > 1:
        W[:, 1] = W[:, 0] if shape == "duplicate" else -W[:, 0]
    if shape == "tiny column":
        W[:, -1] *= 1e-8
    if shape == "tiny entries":
        W[W == 0] = 1e-8
    if shape == "all sizes":
        W *= 10.0 ** rng.uniform(-8, 0.7, n)
    if shape == "large":
        W *= 5 / np.linalg.norm(W, axis=0)
    return W


def sets(rng, n, kind):
    """Keyword arguments of Features with one set of two or three members, if there is room."""
    k = min(n, int(rng.integers(2, 4)))
    return {kind: [tuple(int(i) for i in rng.permutation(n)[:k])]} if kind and n > 1 else {}


@st.composite
def problems(draw, max_features=5, signed=st.booleans()):
    """(model, features) of the ReluOutput kind, with everything that has ever been hard."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    signed = draw(signed)
    n = draw(st.integers(1, min(max_features, 3) if signed else max_features))
    W = weights(rng, draw(st.integers(1, 3)), n, draw(st.sampled_from(SHAPES)))
    b = draw(st.sampled_from([0.0, 1e-8, 0.3])) * rng.normal(size=n)
    features = Features(n, draw(st.sampled_from([1.0, 0.7, 0.05, 1e-3, 1e-9])), rng.random(n),
                        signed=signed,
                        **sets(rng, n, draw(st.sampled_from([None, "correlated",
                                                             "anticorrelated"]))))
    return ReluOutput(W, b), features


def relative(value, reference):
    return abs(value - reference) / abs(reference)


def scale(loss, features):
    """What rtol refers to: the loss, or a thousandth of what always answering 0 would lose."""
    return max(loss, 1e-3 * (features.importance * features.active_probability / 3).sum())


# -- against enumeration in rational numbers ------------------------------------------------------

@given(problems())
def test_the_loss_is_that_of_enumeration_in_rational_numbers(problem):
    true = float(enumeration.loss(*problem))
    assert abs(expected_loss(*problem) - true) <= 1e-12 * scale(true, problem[1])


@pytest.mark.parametrize("kind", [None, "correlated", "anticorrelated"])
def test_the_loss_is_that_of_enumeration_with_eight_features(kind):
    rng = np.random.default_rng(8)
    model = ReluOutput(weights(rng, 3, 8, "plain"), 0.2 * rng.normal(size=8))
    features = Features(8, 0.3, rng.random(8), **sets(rng, 8, kind))
    assert relative(expected_loss(model, features),
                    float(enumeration.loss(model, features))) <= 1e-12


def by_series(model, features, rtol=1e-10):
    """(loss, dl/db, dl/dg, estimated error) of one model by the series, however few the features.
    """
    sets = law.Law(features.sets, features.signed)
    n = features.n_features
    p = np.repeat(features.feature_probability[[m[0] for m in sets.members]][:, None], n, axis=1)
    (l, db, dg), error = rows.sum_rows(sets, p, model.b, model.W.T @ model.W, np.arange(n), rtol,
                                       True)
    I = features.importance
    return (I * (features.active_probability / 3 + l)).sum(), db, dg, (I * error).sum()


@given(problems(max_features=7))
def test_the_series_is_as_good_as_it_says(problem):
    model, features = problem
    loss, db, dg, error = by_series(model, features)
    true = expected_loss(model, features)
    assume(error <= 1e-10 * scale(true, features))             # otherwise expected_loss would raise
    assert abs(loss - true) <= 1e-10 * scale(true, features)
    p = np.repeat(features.feature_probability[[s.members[0] for s in features.sets]][:, None],
                  len(db), axis=1)
    (_, db_true, dg_true), _ = corners.enumerate_rows(features.sets, features.signed, p, model.b,
                                                      model.W.T @ model.W, np.arange(len(db)), True)
    size = max(abs(db_true).max(), abs(dg_true).max(), features.active_probability.min())
    assert max(abs(db - db_true).max(), abs(dg - dg_true).max()) <= 1e-6 * size


def test_the_series_meets_enumeration_on_easy_models():
    """The assumption of the test above is no way out: on generic models the series always gets
    there.
    """
    rng = np.random.default_rng(1)
    for kind in (None, "correlated", "anticorrelated"):
        for signed in (False, True):
            model = ReluOutput(rng.normal(size=(2, 5)), 0.3 * rng.normal(size=5))
            features = Features(5, 0.3, rng.random(5), signed=signed, **sets(rng, 5, kind))
            loss, _, _, error = by_series(model, features)
            assert error <= 1e-10 * loss and relative(loss, expected_loss(model, features)) <= 1e-11


def test_a_dropped_term_is_caught(monkeypatch):
    """The comparison with enumeration is sharp enough to see the rarest support missing."""
    rng = np.random.default_rng(2)
    model, features = ReluOutput(rng.normal(size=(2, 4)),
                                 0.3 * rng.normal(size=4)), Features(4, 0.05)
    loss, cases = expected_loss(model, features), enumeration.supports(features)
    assert relative(loss, float(enumeration.loss(model, features))) <= 1e-12
    cases.remove(min(cases, key=lambda case: case[0]))
    monkeypatch.setattr(enumeration, "supports", lambda _: cases)
    assert relative(loss, float(enumeration.loss(model, features))) > 1e-12


# -- gradients ------------------------------------------------------------------------------------

def slope_error(model, features, rng, step=1e-4, **kwargs):
    """Five-point differences of the loss along one random direction against the gradient: the
    relative error.
    """
    _, gradient = expected_loss_and_grad(model, features, **kwargs)
    v = [rng.normal(size=a.shape) for a in model.parameters]

    def at(t):
        return expected_loss(type(model)(*(a + t * d for a, d in zip(model.parameters, v))),
                             features, **kwargs)

    measured = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    claimed = sum((a * d).sum() for a, d in zip(gradient.parameters, v))
    return abs(measured - claimed) / max(abs(measured), abs(claimed),
                                         1e-3 * features.active_probability.max())


@pytest.mark.parametrize("n, m, kind, signed",
                         [(2, 1, None, False), (3, 2, None, True), (5, 2, "correlated", False),
                          (6, 3, "anticorrelated", False), (4, 2, "correlated", True),
                          (11, 3, None, False), (11, 3, "correlated", False),
                          (11, 3, "anticorrelated", False), (7, 3, None, True)])
def test_the_gradient_is_the_slope_of_the_loss(n, m, kind, signed):
    rng = np.random.default_rng(n + 10 * m)
    features = Features(n, 0.3, rng.random(n), signed=signed, **sets(rng, n, kind))
    for model in (ReluOutput, Linear):
        model = model(rng.normal(size=(m, n)) / m**0.5, 0.3 * rng.normal(size=n))
        assert slope_error(model, features, rng, rtol=1e-12) <= 1e-7    # else the loss is too rough


def test_a_gradient_that_is_a_little_wrong_is_caught(monkeypatch):
    rng = np.random.default_rng(5)
    model, features = ReluOutput(rng.normal(size=(2, 4)),
                                 0.3 * rng.normal(size=4)), Features(4, 0.3)
    original = corners.box

    def off(*args):
        value, d_y, d_g = original(*args)
        return value, d_y, None if d_g is None else 1.001 * d_g

    monkeypatch.setattr(corners, "box", off)
    assert slope_error(model, features, rng) > 1e-5


def test_at_the_kink_the_slope_of_the_relu_is_zero():
    features = Features(3, 0.4)
    for n_features, model in ((3, ReluOutput(np.zeros((2, 3)), np.zeros(3))),):
        loss, gradient = expected_loss_and_grad(model, features)
        assert loss == pytest.approx(n_features * 0.4 / 3, rel=1e-15)
        assert not gradient.W.any() and not gradient.b.any()


# -- axioms ---------------------------------------------------------------------------------------

@given(problems(signed=st.just(False)), st.integers(0, 100))
def test_rotating_the_hidden_space_changes_nothing(problem, seed):
    model, features = problem
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(model.n_hidden,) * 2))
    assert expected_loss(ReluOutput(Q @ model.W, model.b), features) == pytest.approx(
        expected_loss(model, features), rel=1e-7, abs=1e-14)        # gains of 1e-16 may come and go


@given(problems(), st.integers(0, 100))
def test_relabelling_the_features_permutes_everything(problem, seed):
    model, features = problem
    n = features.n_features
    order = np.random.default_rng(seed).permutation(n)           # new feature i is the old order[i]
    new = np.argsort(order)
    renamed = Features(n, features.feature_probability[order], features.importance[order],
                       signed=features.signed,
                       **{name: [tuple(int(new[i]) for i in s) for s in getattr(features, name)]
                          for name in ("correlated", "anticorrelated")})
    loss, gradient = expected_loss_and_grad(model, features)
    loss_2, gradient_2 = expected_loss_and_grad(ReluOutput(model.W[:, order], model.b[order]),
                                                renamed)
    assert loss_2 == pytest.approx(loss, rel=1e-11, abs=1e-30)
    np.testing.assert_allclose(gradient_2.b, gradient.b[order], rtol=1e-9, atol=1e-12)


@given(problems(), st.floats(0.01, 100))
def test_the_loss_is_linear_in_the_importance(problem, factor):
    model, features = problem
    scaled = Features(features.n_features, features.feature_probability,
                      factor * features.importance,
                      signed=features.signed, correlated=features.correlated,
                      anticorrelated=features.anticorrelated)
    assert expected_loss(model, scaled) == pytest.approx(factor * expected_loss(model, features),
                                                         rel=1e-12)


def test_two_models_that_share_nothing_add_up():
    """A block-diagonal W: what the features of one block do is nothing to the outputs of the other.
    """
    rng = np.random.default_rng(3)
    A, B = rng.normal(size=(2, 5)), rng.normal(size=(3, 6))
    W = np.block([[A, np.zeros((2, 6))], [np.zeros((3, 5)), B]])
    b = 0.2 * rng.normal(size=11)
    joint = expected_loss(ReluOutput(W, b), Features(11, 0.2))
    parts = [expected_loss(ReluOutput(w, c), Features(len(c), 0.2)) for w,
             c in ((A, b[:5]), (B, b[5:]))]
    assert joint == pytest.approx(sum(parts), rel=1e-10)


@given(st.floats(0.01, 2), st.floats(0.01, 1))
def test_one_feature_by_hand(w, p):
    assert expected_loss(ReluOutput([[w]], [0.0]),
                         Features(1, p)) == pytest.approx(p * (1 - w**2) ** 2 / 3,
                                                          rel=1e-12, abs=1e-16)


def test_where_the_relu_never_switches_it_is_the_linear_model_or_nothing():
    rng = np.random.default_rng(6)
    W = 0.1 * rng.normal(size=(3, 12))
    features = Features(12, 0.3, correlated=[(0, 1)])
    on, off = np.full(12, 5.0), np.full(12, -5.0)
    assert expected_loss(ReluOutput(W, on),
                         features) == pytest.approx(expected_loss(Linear(W, on), features),
                                                    rel=1e-12)
    assert expected_loss(ReluOutput(W, off), features) == pytest.approx(12 * 0.3 / 3, rel=1e-12)


def test_the_linear_model_with_an_orthonormal_basis_loses_the_rest():
    """Keeping m of n independent features loses the variance of the others."""
    features = Features(6, 0.4)
    model = Linear(np.eye(2, 6), features.mean() * (np.arange(6) > 1))
    assert expected_loss(model, features) == pytest.approx(4 * features.variance()[0], rel=1e-14)


# -- batches, extremes, errors --------------------------------------------------------------------

@pytest.mark.parametrize("n, signed", [(3, False), (3, True), (11, False)])
def test_a_stack_is_its_instances(n, signed):
    rng = np.random.default_rng(4)
    model = ReluOutput(rng.normal(size=(3, 2, 1, 2, n))[:, 0], 0.2 * rng.normal(size=(3, 1, n)))
    features = Features(n, np.array([[0.1], [0.4]]), rng.random((2, n)), signed=signed,
                        correlated=[(0, 2)])
    loss, gradient = expected_loss_and_grad(model, features, rtol=1e-8)
    assert loss.shape == (3, 2)
    assert gradient.W.shape == (3, 2, 2, n) and gradient.b.shape == (3, 2, n)
    for i in range(3):
        for j in range(2):
            one, slope = expected_loss_and_grad(model[i, 0], features[j], rtol=1e-8)
            assert loss[i, j] == pytest.approx(one, rel=1e-12)
            np.testing.assert_allclose(gradient.W[i, j], slope.W, rtol=1e-9, atol=1e-12)


def test_float32_models_are_solved_in_float64():
    model = ReluOutput.init(4, 2, seed=1)
    loss, gradient = expected_loss_and_grad(model, Features(4, 0.1))
    assert loss.dtype == gradient.W.dtype == gradient.b.dtype == np.float64
    assert loss == expected_loss(model.astype(np.float64), Features(4, 0.1))


@pytest.mark.parametrize("n", [4, 12])
@pytest.mark.parametrize("size", [0.0, 1e-200, 1e-100, 1e-8, 1e8, 1e60])
def test_any_size_of_w_gives_a_finite_loss(n, size):
    W = size * np.random.default_rng(7).normal(size=(2, n))
    loss, gradient = expected_loss_and_grad(ReluOutput(W, np.full(n, -0.1)), Features(n, 1.0))
    assert np.isfinite(loss) and np.isfinite(gradient.W).all() and np.isfinite(gradient.b).all()


@pytest.mark.parametrize("n", [4, 12])
def test_overflow_is_an_error(n):
    with pytest.raises(OverflowError, match="too large for float64"):
        expected_loss(ReluOutput(np.full((2, n), 1e155), np.zeros(n)), Features(n, 0.1))


@pytest.mark.parametrize("n", [2, 12])
@pytest.mark.parametrize("p", [1e-20, 1e-100, 1e-200])
def test_the_rarest_features_cost_what_they_do_at_first_order(n, p):
    """One feature at most is on: p times an integral over x_j, of 2 outputs by a fine grid."""
    rng = np.random.default_rng(n)
    model = ReluOutput(rng.normal(size=(2, n)), -rng.uniform(0.05, 0.3, n))
    x = (np.arange(4000) + 0.5) / 4000
    each = [((model.forward(x[:, None] * one) - x[:, None] * one) ** 2).sum(1).mean()
            for one in np.eye(n)]
    assert expected_loss(model, Features(n, p)) == pytest.approx(p * sum(each), rel=1e-5)


@pytest.mark.parametrize("n", [5, 11])
@pytest.mark.parametrize("bias", [0.0, -0.1])
@pytest.mark.parametrize("p", [1e-12, 1e-35, 1e-60, 1e-150])
def test_so_does_their_gradient(n, bias, p):
    """The mean of the model's own gradient over a fine grid, one feature on at a time; at a bias of
    0 the ReLUs of an empty sample stand at their kink.
    """
    W = np.random.default_rng(1 if n == 11 else 0).normal(size=(2, n))
    model = ReluOutput(W, np.full(n, bias))
    x = ((np.arange(4000) + 0.5) / 4000)[:, None]
    each = [model.loss_and_grad(x * one, Features(n, 1.0)) for one in np.eye(n)]
    loss, gradient = expected_loss_and_grad(model, Features(n, p))
    assert loss / p == pytest.approx(sum(one for one, _ in each), rel=1e-5)
    for name in ("W", "b"):
        np.testing.assert_allclose(getattr(gradient, name) / p,
                                   sum(getattr(g, name) for _, g in each), atol=1e-3)


@pytest.mark.parametrize("p", [5e-324, 1e-260, [0.5, 1e-300]])
def test_what_is_too_rare_for_float64_is_refused(p):
    """At 1e-260 the loss was off by 0.1 %, at 1e-270 by 84 %."""
    with pytest.raises(ValueError, match="feature_probability must be at least 1e-200"):
        expected_loss(ReluOutput.init(2, 1), Features(2, p))


NEARLY_OFF = ([[-3.5910354538372316e-17, -0.325000453859792, 0.09225014061417922],
               [-2.0693579859150774e-17, -1.371764407187533, -1.8477911926081756]],
              [-7.498227718291573e-17, 0, 0], Features(3, [1e-88, 0.5, 0.5], [1, 0, 0]))


@pytest.mark.parametrize("W, b, features", [
    ([[1e-8]], [1e-8], Features(1, 1e-15, signed=True)),
    ([[1e-6, 1e-4]], [1e-9, 0], Features(2, [1e-20, 0.5], [1, 0], signed=True)),
    NEARLY_OFF,
])
def test_rounding_that_is_much_beside_a_rare_feature_is_an_error(W, b, features):
    """It was not seen, and these losses were off by 2e-9, 4e-8 and 1.7e-10."""
    model = ReluOutput(np.array(W), np.array(b))
    with pytest.raises(ArithmeticError, match="estimated error of .* more than rtol=1e-10 allows"):
        expected_loss(model, features)


def test_accuracy_out_of_reach_is_an_error():
    rng = np.random.default_rng(9)
    with pytest.raises(ArithmeticError, match="estimated error of .* more than rtol=1e-16 allows"):
        expected_loss(ReluOutput(rng.normal(size=(3, 12)), np.zeros(12)), Features(12, 0.1),
                      rtol=1e-16)


def test_a_tight_rtol_is_honoured():
    rng = np.random.default_rng(10)
    model, features = ReluOutput(rng.normal(size=(3, 12)), rng.normal(size=12)), Features(12, 0.4)
    best = expected_loss(model, features, rtol=1e-12)
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        assert relative(expected_loss(model, features, rtol=rtol), best) <= rtol


@pytest.mark.parametrize("rtol, error", [(1, ValueError), (-1e-3, ValueError),
                                         (np.nan, ValueError), (None, TypeError)])
def test_a_bad_rtol_is_refused(rtol, error):
    with pytest.raises(error, match="rtol"):
        expected_loss(ReluOutput.init(2, 1), Features(2, 0.1), rtol=rtol)


@pytest.mark.parametrize("solve", [expected_loss, expected_loss_and_grad, estimate_loss])
def test_instances_that_do_not_broadcast_are_refused(solve):
    with pytest.raises(ValueError, match="instances of model and features must broadcast"):
        solve(ReluOutput.init(3, 2, 2), Features(3, [[0.1], [0.2], [0.3]]))


def test_absolute_values_point_to_the_estimate():
    with pytest.raises(TypeError, match="tm.estimate_loss"):
        expected_loss(AbsoluteValue.init(3, 2), Features(3, 0.1))


# -- sampling -------------------------------------------------------------------------------------

@pytest.mark.parametrize("n, m, p", [(20, 5, 0.1), (60, 10, 0.05)])
def test_the_exact_loss_lies_within_the_error_of_sampling(n, m, p):
    model = ReluOutput.init(n, m, seed=2)
    features = Features(n, p, 0.9 ** np.arange(n))
    mean, error = estimate_loss(model, features, samples=2**16)
    exact = expected_loss(model, features, rtol=1e-8)
    assert abs(mean - exact) < 4 * error and error < 0.01 * exact
    assert abs(mean - 1.1 * exact) > 4 * error                      # the test can fail


def test_mixed_probabilities_and_sure_features_are_sampled_rightly():
    rng = np.random.default_rng(12)
    features = Features(6, [1, 0.01, 0.9, 0.3, 0.3, 0.999], correlated=[(3, 4)])
    model = Linear(rng.normal(size=(2, 6)), rng.normal(size=6))
    mean, error = estimate_loss(model, features, samples=2**14)
    assert abs(mean - expected_loss(model, features)) < 4 * error


@pytest.mark.parametrize("model", [Linear, ReluOutput, ReluHidden, AbsoluteValue])
def test_every_model_can_be_estimated(model):
    features = Features(4, [[0.1], [0.5]], signed=True)
    model = model.init(4, 3, 2, seed=3)
    mean, error = estimate_loss(model, features, samples=2**12, seed=5)
    x = features.sample(np.random.default_rng(0), 40_000)
    losses = [((m.forward(x_i) - features.target(x_i)) ** 2).sum(-1)
              for m, x_i in zip((model.astype(np.float64)[i] for i in range(2)), x)]
    plain = np.array([[a.mean(), a.std() / 200] for a in losses])
    assert mean.shape == error.shape == (2,)
    assert (abs(mean - plain[:, 0]) < 4 * np.hypot(error, plain[:, 1])).all()
    assert (estimate_loss(model, features, samples=2**12, seed=5)[0] == mean).all()


def test_more_features_than_a_float_has_corners_for():
    """2^1100 is no float, but what decides between enumeration and the series."""
    p, G = 0.01, 0.9**2
    loss = expected_loss(ReluOutput(0.9 * np.eye(2, 1100), np.zeros(1100)), Features(1100, p))
    assert loss == pytest.approx(p / 3 * (1098 + 2 * (1 - G) ** 2), rel=1e-12)
