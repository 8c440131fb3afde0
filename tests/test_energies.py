"""Energies of named geometries against rational arithmetic, integrals, sampling, and each other.

Twins: `rational_loss` is the same mathematics in fractions, which cannot round; `grid_loss` knows
no formula at all: it adds up the loss over a fine grid of inputs; Monte Carlo samples. Energies
are minima: nothing near them is lower, nor on a coarse grid.
"""

import doctest
from fractions import Fraction
from itertools import product
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.geometry import polytopes

seeds = st.integers(0, 2**32 - 1)
probabilities = st.one_of(st.floats(0.01, 1), st.sampled_from([1e-6, 0.05, 1.0]))
few = settings(max_examples=4)            # for tests in which each example is a minimisation
# and a fifth column, dropped
DIGONS = np.append(np.kron(np.eye(2), [1.0, -1.0]), np.zeros((2, 1)), axis=1)


# -- the twins

def rational_mean(a, b, power):
    """E relu(a·u + b)^power in fractions. (5.3)"""
    a = [g for g in a if g]
    k, total = len(a), Fraction(0)
    for ends in product((0, 1), repeat=k):
        z = b + sum((g for g, end in zip(a, ends) if end), Fraction(0))
        total += (-1) ** (k - sum(ends)) * max(z, Fraction(0)) ** (power + k)
    return Fraction(factorial(power), factorial(power + k)) * total / prod(a, start=Fraction(1))


def rational_loss(W, b, p, importance=1.0):
    """The exact loss of ReluOutput(W, b), to be rounded only at the end."""
    V = [[Fraction(float(w)) for w in row] for row in W]
    n = len(V[0])
    b, p, importance = ([Fraction(float(c)) for c in np.broadcast_to(a, n)]
                        for a in (b, p, importance))
    G = [[sum(row[i] * row[j] for row in V) for j in range(n)] for i in range(n)]
    total = Fraction(0)
    for i, on in product(range(n), product((False, True), repeat=n)):
        weight = importance[i] * prod(q if o else 1 - q for q, o in zip(p, on))
        a = [G[i][j] for j in range(n) if on[j]]
        square = rational_mean(a, b[i], 2)
        total += weight * square
        if on[i]:
            rest, own = [G[i][j] for j in range(n) if on[j] and j != i], G[i][i]
            edge = rational_mean(rest, b[i] + own, 2)
            product_mean = (edge - square) / (2 * own) if own else rational_mean(rest, b[i], 1) / 2
            total += weight * (Fraction(1, 3) - 2 * product_mean)
    return float(total)


def grid_loss(W, b, p, importance, points):
    """The loss with each feature on `points` midpoints of [0, 1], or off: no formula, error of
    order points^-2."""
    n = np.shape(W)[1]
    p, u = np.broadcast_to(p, n), (np.arange(points) + 0.5) / points
    x = np.stack(np.meshgrid(*[np.append(0, u)] * n, indexing="ij"), -1).reshape(-1, n)
    weight = np.where(x > 0, p / points, 1 - p).prod(1)
    return weight @ ((x - np.maximum(x @ (np.transpose(W) @ W) + b, 0)) ** 2
                     @ np.broadcast_to(importance, n))


def monte_carlo(W, b, p, importance, samples, seed):
    """Mean and standard error, in chunks."""
    W, n, chunk = np.asarray(W, float), np.shape(W)[1], 250_000
    p, importance = np.broadcast_to(p, n), np.broadcast_to(importance, n)
    rng, total, squares = np.random.default_rng(seed), 0.0, 0.0
    for _ in range(samples // chunk):
        x = np.where(rng.random((chunk, n)) < p, rng.random((chunk, n)), 0)
        losses = (x - np.maximum(x @ (W.T @ W) + b, 0)) ** 2 @ importance
        total, squares = total + losses.sum(), squares + losses @ losses
    mean = total / samples
    return mean, np.sqrt((squares / samples - mean**2) / samples)


def close(loss, exact, W, p, tolerance=1e-11):
    """Agreement to the accuracy that `enumerated_loss` states: a fraction of the loss or of an
    empty model's."""
    return abs(loss - exact) <= tolerance * max(abs(exact),
                                                float(np.broadcast_to(p, np.shape(W)[1]).sum()) / 3)


@st.composite
def small_models(draw, most=4, scale=st.sampled_from([0.3, 1.0, 3.0])):
    """(W, b, p, importance) of up to `most` features; some columns zero, some biases 0, some
    features always on."""
    rng = np.random.default_rng(draw(seeds))
    m, n = draw(st.integers(1, 3)), draw(st.integers(1, most))
    W, b = draw(scale) * rng.normal(size=(m, n)), rng.normal(size=n)
    W[:, rng.random(n) < 0.2] = 0
    b[rng.random(n) < 0.3] = 0
    return W, b, np.where(rng.random(n) < 0.2, 1, rng.uniform(0.01, 1, n)), rng.uniform(0, 3, n)


# -- the enumerated loss

@given(small_models())
def test_the_loss_is_that_of_rational_arithmetic(model):
    W, b, p, importance = model
    exact = rational_loss(W, b, p, importance)
    assert close(energies.enumerated_loss(*model), exact, W, p * importance.max())
    assert not close(energies.enumerated_loss(*model) * 1.001, exact, W,
                     p * importance.max()) or exact < 1e-9 * p.sum()


@given(small_models(most=2, scale=st.just(1.0)))
def test_the_loss_is_the_sum_over_a_fine_grid(model):
    W, b, p, importance = model
    exact, scale = energies.enumerated_loss(*model), 1 + (W * W).sum() ** 2 + b @ b
    assert abs(grid_loss(*model, points=400) - exact) < 2e-5 * scale
    assert abs(grid_loss(*model, points=400) * 1.001 - exact) > 2e-5 * scale or exact < 0.05 * scale


def test_the_loss_of_three_and_four_features_is_the_sum_over_a_grid():
    W, b = np.array([[0.9, -0.5, 0.1], [0.2, 0.8, -0.7]]), np.array([-0.1, 0.2, 0])
    exact = energies.enumerated_loss(W, b, [0.3, 0.5, 1], [1, 2, 0.5])
    assert abs(grid_loss(W, b, [0.3, 0.5, 1], [1, 2, 0.5], 80) / exact - 1) < 1e-4
    W, b = polytopes.polygon(4) * 0.9 + 0.05, np.array([0.1, -0.2, 0.05, -0.4])
    assert abs(grid_loss(W, b, 0.4, 1, 24) / energies.enumerated_loss(W, b, 0.4) - 1) < 1e-3


@given(small_models(), seeds)
def test_the_loss_does_not_depend_on_the_basis_or_the_order(model, seed):
    (W, b, p, importance), rng = model, np.random.default_rng(seed)
    exact, n = energies.enumerated_loss(*model), len(b)
    Q = ortho_group.rvs(3, random_state=rng)[:, :len(W)]            # also into a larger space
    assert close(energies.enumerated_loss(Q @ W, b, p, importance), exact, W, 3 * p, 1e-12)
    order = rng.permutation(n)
    assert close(energies.enumerated_loss(W[:, order], b[order], p[order], importance[order]),
                 exact, W, 3 * p, 1e-12)
    scaled = energies.enumerated_loss(W, b, p, 7 * importance)
    np.testing.assert_allclose(scaled, 7 * exact, rtol=1e-13)


@given(small_models(), seeds)
def test_parts_in_orthogonal_subspaces_add_up(model, seed):
    (W, *_), rng = model, np.random.default_rng(seed)
    other = (rng.normal(size=(2, 3)), rng.normal(size=3), rng.uniform(0.1, 1, 3),
             rng.uniform(0, 1, 3))
    whole = np.zeros((len(W) + 2, W.shape[1] + 3))
    whole[:len(W), :-3], whole[len(W):, -3:] = W, other[0]
    together = energies.enumerated_loss(whole,
                                        *(np.append(a, c) for a, c in zip(model[1:], other[1:])))
    apart = energies.enumerated_loss(*model) + energies.enumerated_loss(*other)
    np.testing.assert_allclose(together, apart, rtol=1e-11)


@given(small_models())
def test_a_stack_has_the_losses_of_its_instances(model):
    W, b, p, importance = model
    stack = energies.enumerated_loss(np.stack([W, 0.5 * W, -W]), np.stack([b, -b, b]), p,
                                     importance)
    assert stack.shape == (3,)
    for i, (V, c) in enumerate([(W, b), (0.5 * W, -b), (-W, b)]):
        np.testing.assert_allclose(stack[i], energies.enumerated_loss(V, c, p, importance),
                                   rtol=1e-13, atol=1e-16)


@given(st.integers(1, 8), probabilities, seeds)
def test_features_without_weights_or_output_cost_what_they_must(n, p, seed):
    rng = np.random.default_rng(seed)
    importance, b = rng.uniform(0, 2, n), rng.uniform(-1, 1, n)
    constant = np.maximum(b, 0)
    np.testing.assert_allclose(energies.enumerated_loss(np.zeros((2, n)), b, p, importance),
                               importance @ (p / 3 - p * constant + constant**2), rtol=1e-11,
                               atol=1e-15)
    W = rng.normal(size=(2, n))
    off = -abs(W.T @ W).sum(-1).max() - 1                                   # no output is ever on
    np.testing.assert_allclose(energies.enumerated_loss(W, np.full(n, off), p, importance),
                               p / 3 * importance.sum(),
                               rtol=1e-12)
    # perfect
    assert abs(energies.enumerated_loss(np.eye(n), np.zeros(n), p, importance)) < 1e-13 * n


@given(small_models())
def test_where_the_relu_is_never_off_the_loss_is_that_of_a_linear_model(model):
    W, b, p, importance = model
    G = W.T @ W
    b = abs(b) - np.minimum(G, 0).sum(1)            # z >= 0 in the whole cube
    features = tm.Features(len(b), p, importance)
    M, offset = np.eye(len(b)) - G, b
    second, mean = features.second_moment(), features.mean()
    exact = importance @ (np.einsum("ij,jk,ik->i", M, second, M) - 2 * offset * (M @ mean)
                          + offset**2)
    np.testing.assert_allclose(energies.enumerated_loss(W, b, p, importance), exact, rtol=1e-10)


# -- entries that are small but not zero

@pytest.mark.parametrize("size", [0, 1e-300, 1e-12, 1e-8, 1e-5, 1e-3, 5e-3])
@pytest.mark.parametrize("bias", [0.0, 1e-9, -0.3, 0.4, "kink"])
def test_almost_orthogonal_features_keep_their_digits(size, bias):
    """Two digons, one turned by `size`; also with the ReLU switching inside the range of the small
    variable."""
    turn = np.array([[1, -size], [size, 1]])
    W = np.array([[1, -0.9, 0, 0], [0, 0, 1.1, -1]])
    W[:, 2:] = turn @ W[:, 2:]
    b = np.array([-0.3, 0.4, -0.5, 0.25]) * size if bias == "kink" else np.full(4, bias)
    for p in (0.05, 0.6, 1.0):
        assert close(energies.enumerated_loss(W, b, p), rational_loss(W, b, p), W, p)


@given(st.floats(-9, 0), seeds)
def test_short_columns_keep_their_digits(exponent, seed):
    """A feature on its way out, its bias near 0 or near the kink of its own output or of
    another's."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(2, 3)) * [10**exponent, 1, 1]
    gram = abs(W.T @ W)
    b = -rng.uniform(0, 1, 3) * gram[np.arange(3), rng.integers(3, size=3)]
    p = rng.uniform(0.05, 1, 3)
    assert close(energies.enumerated_loss(W, b, p), rational_loss(W, b, p), W, p)


def test_a_small_entry_that_is_on_alone_is_not_smoothed():
    """Two Gauss points would be off by 4e-10 here, since nothing else moves the kink."""
    W = np.array([[1.0, 1e-3], [0, 1.0]])
    b = np.array([-2.5e-4, -2.5e-4])
    exact = rational_loss(W, b, 0.1)
    assert abs(energies.enumerated_loss(W, b, 0.1) - exact) < 1e-12
    gauss = 0.5 * sum(max(1e-3 * u - 2.5e-4, 0) ** 2 for u in energies.GAUSS)
    assert abs(gauss - (7.5e-4) ** 3 / 3e-3) > 4e-9


@given(seeds, st.floats(0.5, 5))
def test_long_columns_keep_their_digits(seed, norm):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(2, 4))
    W *= norm / np.linalg.norm(W, axis=0)
    b, p = norm**2 * rng.normal(size=4), rng.uniform(0.05, 1, 4)
    try:
        loss = energies.enumerated_loss(W, b, p)
    except ArithmeticError:            # several small cosines in one draw
        cosines = abs(W.T @ W) / norm**2
        assert np.sort(cosines, axis=1)[:, 0].min() < 0.1
    else:
        assert close(loss, rational_loss(W, b, p), W, p)


def test_what_would_lose_its_digits_is_refused():
    """Six features, all pairs at the same small angle: no quadrature, and 1/0.004^5 in every
    row."""
    W = np.eye(6) + 2e-3
    with pytest.raises(ArithmeticError,
                       match="almost but not exactly orthogonal.*tm.expected_loss"):
        energies.enumerated_loss(W, np.full(6, -0.5), 1.0)
    assert energies.enumerated_loss(np.eye(6) + 2e-5, np.full(6, -0.5), 1.0) > 0
    np.testing.assert_allclose(energies.enumerated_loss(W[:3, :3], np.full(3, -0.5), 1.0),
                               rational_loss(W[:3, :3], np.full(3, -0.5), 1.0), rtol=1e-11)


# -- energies against sampling

def weights_of(name, p):
    """(W, b, p, importance, loss) of a named geometry at its minimum."""
    if name == "dropped":
        energy = energies.dropped(p, 0.7)
        return np.zeros((1, 1)), [energy.bias], p, 0.7, energy.loss
    if name == "unequal digon":
        energy = energies.antipodal(p, (1, 0.4))
        return energy.norm * polytopes.digon(), energy.bias, p, [1, 0.4], energy.loss
    if name == "digons":
        energy = energies.digons(2, p, dropped=1, dropped_probability=p / 2, dropped_importance=0.3)
        return (energy.norm * DIGONS, [energy.bias] * 4 + [p / 4], [p] * 4 + [p / 2],
                [1, 1, 1, 1, 0.3], energy.loss)
    energy, V = {"antipodal": lambda: (energies.antipodal(p), polytopes.digon()),
                 "polygon 3": lambda: (energies.polygon(3, p), polytopes.polygon(3)),
                 "polygon 5": lambda: (energies.polygon(5, p), polytopes.polygon(5)),
                 "polygon 6": lambda: (energies.polygon(6, p), polytopes.polygon(6)),
                 "simplex 3": lambda: (energies.simplex(3, p), polytopes.simplex(3))}[name]()
    return energy.norm * V, np.full(V.shape[1], energy.bias), p, 1.0, energy.loss


GEOMETRIES = ["dropped", "antipodal", "unequal digon", "polygon 3", "polygon 5", "polygon 6",
              "simplex 3", "digons"]


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("p", [0.01, 0.05, 0.4, 1.0])
def test_an_energy_is_the_exact_loss_of_its_model(name, p):
    *model, loss = weights_of(name, p)
    assert abs(float(energies.enumerated_loss(*model)) / loss - 1) < 1e-12
    if model[0].shape[1] <= 5:
        assert abs(rational_loss(*model) / loss - 1) < 1e-11


def within_four_errors(loss, mean, error):
    return abs(mean - loss) <= 4 * error


@pytest.mark.parametrize("name, p, samples", [
    ("dropped", 0.05, 10**7), ("antipodal", 0.3, 6 * 10**6), ("unequal digon", 0.3, 6 * 10**6),
    ("polygon 3", 0.3, 3 * 10**6), ("polygon 5", 0.05, 10**7), ("polygon 6", 0.3, 10**6),
    ("simplex 3", 0.3, 2 * 10**6), ("digons", 0.4, 2 * 10**6), ("polygon 5", 1.0, 10**6),
])
def test_an_energy_is_what_sampling_finds(name, p, samples):
    *model, loss = weights_of(name, p)
    mean, error = monte_carlo(*model, samples, seed=0)
    assert within_four_errors(loss, mean, error)
    assert not within_four_errors(1.01 * loss, mean, error)                 # the test can fail


def test_an_energy_that_is_off_is_caught():
    """By the predicates above: a thousandth by exact arithmetic (a billionth too), a hundredth by
    sampling."""
    W, b, p, importance, loss = weights_of("polygon 5", 0.05)
    exact = rational_loss(W, b, p, importance)
    assert close(loss, exact, W, p) and abs(loss / exact - 1) < 1e-11
    for factor in (1.001, 0.999, 1 + 1e-9, 1 - 1e-9):
        assert not close(loss * factor, exact, W, p) and not abs(loss * factor / exact - 1) < 1e-11
    *model, loss = weights_of("digons", 0.4)
    mean, error = monte_carlo(*model, 2 * 10**6, seed=1)
    assert within_four_errors(loss, mean, error)
    assert not within_four_errors(loss * 1.01, mean, error)
    assert not within_four_errors(loss * 0.99, mean, error)


# -- energies against each other and against formulas

def agree(p, *those):
    """Losses to 1e-12 of what a feature without a model costs; norms and biases to about its
    root."""
    first = those[0]
    return all(abs(e.loss - first.loss) <= 1e-12 * p / 3 and abs(e.norm - first.norm) < 1e-8
               and abs(e.bias - first.bias) < 1e-8 for e in those)


@few
@given(probabilities)
def test_small_polytopes_are_each_other(p):
    assert agree(p, energies.antipodal(p), energies.polygon(2, p), energies.simplex(1, p))
    assert agree(p, energies.polygon(3, p), energies.simplex(2, p))
    digon, square = energies.polygon(2, p), energies.polygon(4, p)
    assert agree(p, square, energies.Energy(2 * digon.loss, digon.norm, digon.bias),
                 energies.digons(2, p))
    assert not agree(p, digon, energies.Energy(digon.loss + 1e-11 * p, *digon[1:]))


@given(probabilities, st.floats(0, 5))
def test_a_dropped_feature_costs_its_variance(p, importance):
    energy = energies.dropped(p, importance)
    np.testing.assert_allclose(energy.loss, importance * tm.Features(1, p).variance()[0],
                               rtol=1e-13)
    assert energy.norm == 0 and energy.bias == p / 2


@few
@given(probabilities, st.integers(1, 3), st.integers(0, 3), st.floats(0.01, 1), st.floats(0, 2))
def test_digons_add_up(p, count, missing, q, importance):
    pair, rest = energies.antipodal(p), energies.dropped(q, importance)
    energy = energies.digons(count, p, dropped=missing, dropped_probability=q,
                             dropped_importance=importance)
    np.testing.assert_allclose(energy.loss, count * pair.loss + missing * rest.loss, rtol=1e-14)
    assert (energy.norm, energy.bias) == pair[1:]
    assert energies.digons(count, p, dropped=1).loss == count * pair.loss + energies.dropped(p).loss


@few
@given(probabilities, st.floats(0.1, 3), st.floats(0.1, 3))
def test_the_candidate_with_unit_weights_and_no_bias_is_not_the_minimum(p, one, other):
    """It costs (I_0 + I_1) p^2 / 6, and the minimum is below it."""
    candidate = energies.enumerated_loss([[1, -1]], [0, 0], p, [one, other])
    np.testing.assert_allclose(candidate, (one + other) * p * p / 6, rtol=1e-9, atol=1e-16)
    energy = energies.antipodal(p)
    assert energy.loss < p * p / 3
    assert energy.bias > 0


def test_published_limits_for_one_active_feature():
    """Chen et al.

    2023: the k-gon's norm and bias as p goes to 0; linear terms in p are extrapolated away.
    """
    for k, norm, bias in [(5, 1.17046, -0.28230), (6, 1.32053, -0.61814)]:
        once, twice = energies.polygon(k, 1e-5), energies.polygon(k, 2e-5)
        assert abs(2 * once.norm - twice.norm - norm) < 6e-6
        assert abs(2 * once.bias - twice.bias - bias) < 6e-6


def test_very_sparse_features_and_very_small_importances_are_minimised_as_well():
    for p in (1e-9, 1e-12):
        np.testing.assert_allclose(energies.polygon(5, p)[1:], (1.1704596397, -0.2822972831),
                                   rtol=1e-7)
    for scale in (1e-12, 1e-6, 1e6):
        scaled = energies.antipodal(0.1, (scale, scale / 2))
        plain = energies.antipodal(0.1, (1, 0.5))
        np.testing.assert_allclose(scaled.norm, plain.norm, rtol=1e-7)


def test_the_pentagon_of_the_paper():
    pentagon, digons = energies.polygon(5, 0.05), energies.digons(2, 0.05, dropped=1)
    np.testing.assert_allclose(pentagon, [0.0089035937, 1.1346191695, -0.2463256163], rtol=1e-8)
    np.testing.assert_allclose(digons, [0.0177053323, 1.0030280179, 0.0002843017], rtol=1e-6)
    # the paper's claim: 0.802 against 1.135
    assert abs(pentagon.norm - 1 / (1 - pentagon.bias)) > 0.33


def test_a_dense_pair_is_its_principal_component():
    """At p = 1 the ReLU of a pair is not needed: a projector loses the variance of the sum,
    1/12."""
    np.testing.assert_allclose(energies.antipodal(1), [1 / 12, 0.5**0.5, 0.5], rtol=1e-9)


# -- energies are minima

REGULAR = [("polygon", 2), ("polygon", 3), ("polygon", 5), ("polygon", 6), ("simplex", 3),
           ("simplex", 5)]


@pytest.mark.parametrize("name, k, p",
                         [*[(*shape, p) for shape in REGULAR for p in (0.001, 0.05, 0.5, 1.0)],
                                        ("polygon", 8, 0.05)])
def test_nothing_near_or_far_is_lower(name, k, p):
    energy, V = getattr(energies, name)(k, p), getattr(polytopes, name)(k)
    n = V.shape[1]

    def loss(norm, bias):
        norm, bias = np.broadcast_arrays(norm, bias)
        G = np.append(1, (V.T @ V)[0, 1:])
        return n * energies.output_loss(norm[..., None] ** 2 * G, bias, np.full(n, p))

    for step in (1e-6, 1e-4, 1e-2):
        around = loss(energy.norm + step * np.array([1, -1, 0, 0, 1, -1]),
                      energy.bias + step * np.array([0, 0, 1, -1, 1, -1]))
        assert (around >= energy.loss - 1e-15).all()
        if step >= 1e-4:
            assert (around > energy.loss).all()
    if k <= 5:
        norm, bias = np.meshgrid(np.linspace(0.05, 3, 40), np.linspace(-5, 1.5, 44))
        assert loss(norm, bias).min() >= energy.loss * (1 - 1e-12)
    h, near = 1e-4, min(1e-4, 0.05 * abs(energy.bias))   # and it is stationary; no kink is so near
    slopes = [slope(lambda step: loss(energy.norm + step, energy.bias), h),
              slope(lambda step: loss(energy.norm, energy.bias + step), near)]
    assert max(map(abs, slopes)) < 3e-9


def slope(f, h):
    """f'(0) by differences of fourth order, for which h may be so long that rounding is small."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def best_bias(row, importance, p, biases=np.linspace(-0.1, 0.4, 501)):
    """min over b of I ℓ(row, b), by brute force; row (..., 2)."""
    every = np.broadcast_to(biases, (*row.shape[:-1], len(biases)))
    return importance * energies.output_loss(row[..., None, :], every, np.full(2, p)).min(-1)


@pytest.mark.parametrize("p, importance", [(0.05, (1, 0.5)), (0.05, (0.2, 1)), (0.3, (1, 0.8)),
                                           (0.05, (3, 1.5)), (0.5, (1, 0.6))])
def test_an_unequal_digon_is_the_lowest_of_a_scan(p, importance):
    """All pairs of lengths, each with the best biases."""
    energy, w = energies.antipodal(p, importance), np.linspace(0.6, 1.1, 26)
    first, second = np.meshgrid(w, w, indexing="ij")
    scan = best_bias(np.stack([first**2, -first * second], -1), importance[0], p)
    scan += best_bias(np.stack([second**2, -first * second], -1), importance[1], p)
    assert scan.min() >= energy.loss * (1 - 1e-12)
    assert scan.min() <= energy.loss * 1.01            # the scan passes close by
    i, j = np.unravel_index(scan.argmin(), scan.shape)
    np.testing.assert_allclose(energy.norm, [w[i], w[j]], atol=0.03)


@few
@given(st.floats(0.02, 0.4), st.floats(0.5, 1), st.floats(0.1, 10))
def test_an_unequal_digon_knows_order_and_scale(p, weak, scale):
    energy = energies.antipodal(p, (1, weak))
    swapped = energies.antipodal(p, (weak, 1))
    np.testing.assert_allclose(swapped.loss, energy.loss, rtol=1e-10)
    np.testing.assert_allclose(energies.antipodal(p, (scale, scale * weak)).loss,
                               scale * energy.loss, rtol=1e-9)
    if weak < 1:
        np.testing.assert_allclose(swapped.norm[::-1], energy.norm, rtol=1e-6)
    W, b = np.asarray(energy.norm) * polytopes.digon(), np.broadcast_to(energy.bias, 2)
    model = W, b, p, [1, weak]
    np.testing.assert_allclose(energies.enumerated_loss(*model), energy.loss, rtol=1e-12)
    assert energy.loss <= energies.antipodal(p).loss + 1e-14                # less to lose


def test_equal_importances_give_one_norm_and_nearly_equal_ones_two():
    equal, nearly = energies.antipodal(0.1, (2, 2)), energies.antipodal(0.1, (2, 2 + 1e-9))
    assert isinstance(equal.norm, float) and nearly.norm.shape == (2,)
    np.testing.assert_allclose(nearly.norm, equal.norm, rtol=1e-6)
    np.testing.assert_allclose(equal.loss, 2 * energies.antipodal(0.1).loss, rtol=1e-14)


@pytest.mark.parametrize("p, weak", [(0.5, 0.1), (0.9, 0.5), (0.05, 0.01)])
def test_a_feature_that_is_too_weak_for_its_digon_is_dropped(p, weak):
    energy = energies.antipodal(p, (1, weak))
    np.testing.assert_allclose(energy.loss, energies.dropped(p, weak).loss, rtol=1e-9)
    np.testing.assert_allclose(energy.norm, [1, 0], atol=1e-6)
    np.testing.assert_allclose(energy.bias, [0, p / 2], atol=1e-6)


# -- branches

def test_the_deformed_polygon_of_equal_features_is_regular():
    for k, p in [(3, 0.3), (5, 0.05)]:
        branch, energy = energies.deformed_polygon(k, p), energies.polygon(k, p)
        assert abs(branch.loss / energy.loss - 1) < 1e-12
        np.testing.assert_allclose(branch.norm, energy.norm, rtol=1e-7)
        np.testing.assert_allclose(branch.bias, energy.bias, rtol=1e-7)
        assert tm.distance(branch.W, energy.norm * polytopes.polygon(k)) < 1e-6


def test_a_branch_is_a_local_minimum_and_its_own_description():
    importance = np.array([1, 1, 1, 1, 0.5])
    branch = energies.deformed_polygon(5, 0.05, importance)
    np.testing.assert_allclose(branch.norm, tm.norms(branch.W), rtol=1e-14)
    np.testing.assert_allclose(energies.enumerated_loss(branch.W, branch.bias, 0.05, importance),
                               branch.loss,
                               rtol=1e-13)
    assert branch.loss < energies.enumerated_loss(energies.polygon(5, 0.05).norm
                                                  * polytopes.polygon(5),
                                                  np.full(5, energies.polygon(5, 0.05).bias), 0.05,
                                                  importance)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-3, 1e-2):
        W, b = branch.W + size * rng.normal(size=(40, 2,
                                                  5)), branch.bias + size * rng.normal(size=(40, 5))
        assert (energies.enumerated_loss(W, b, 0.05, importance) > branch.loss).all()
    assert tm.name_geometry(branch.W) == "pentagon"


@pytest.mark.parametrize("vary, ratio", [("importance", 0.3677789), ("probability", 0.2690812)])
def test_pentagon_and_digons_cost_the_same_at_the_crossing(vary, ratio):
    def gap(ratio):
        scaled = np.array([1, 1, 1, 1, ratio])
        p, importance = np.full(5, 0.05), scaled
        if vary == "probability":
            p, importance = 0.05 * scaled, np.ones(5)
        two = energies.digons(2, 0.05, dropped=1, dropped_probability=p[4],
                              dropped_importance=importance[4])
        return energies.deformed_polygon(5, p, importance).loss / two.loss - 1

    assert abs(gap(ratio)) < 1e-6
    assert gap(1 / 2.5) < -0.05            # the collapse that the paper states


def test_descent_from_the_minimum_stays():
    pair = energies.antipodal(0.2)
    branch = energies.local_minimum(pair.norm * polytopes.digon(), [pair.bias] * 2, 0.2)
    np.testing.assert_allclose([branch.loss, *branch.norm, *branch.bias],
                               [pair.loss] + [pair.norm] * 2 + [pair.bias] * 2, rtol=1e-9)


def test_larger_polygons_and_simplexes_have_an_energy():
    polygons = [energies.polygon(k, 0.1).loss for k in range(2, 7)]
    assert all(a < b for a, b in zip(polygons, polygons[1:]))        # more features, more to lose
    for k in range(1, 6):
        energy = energies.simplex(k, 0.7)
        assert 0 < energy.loss < (k + 1) * 0.7 / 3 and 0 < energy.norm < 1.2


# -- numbers at the ends of float64

def test_the_example_of_the_first_screen_says_what_happens():
    results = doctest.testmod(energies)
    assert results.attempted and not results.failed


@pytest.mark.parametrize("W, b", [(np.eye(2), [1e155, 0]), (1e78 * np.eye(2), [0, 0]),
                                  (1e200 * np.eye(2), [0, 0]), (np.eye(2), [1e308, 0])])
def test_a_loss_beyond_float64_is_refused(W, b):
    with pytest.raises(OverflowError, match="too large"):
        energies.enumerated_loss(W, b, 0.5)
    with pytest.raises(OverflowError, match="too large"):
        energies.local_minimum(W, np.array(b), 0.5)


def test_a_large_loss_within_float64_is_right():
    """With b_0 = 1e150 and p = 1/2 output 0 costs 1e300, to rounding."""
    assert energies.enumerated_loss(np.eye(2), [1e150, 0], 0.5) == pytest.approx(1e300, rel=1e-14)
    with pytest.raises(OverflowError, match="too large"):
        energies.enumerated_loss(np.eye(2), [1e150, 0], 0.5, 1e10)


@pytest.mark.parametrize("p", [1e-39, 1e-20, 1e-12])
def test_rare_features_cost_what_they_do_at_first_order(p):
    """Where one feature at most is on, all that have a direction cost nothing at first order."""
    assert energies.dropped(p).loss == pytest.approx(p / 3, rel=1e-14 + p, abs=0)
    assert energies.polygon(2, p).loss <= 1e-9 * p
    assert energies.digons(1, p, dropped=1).loss == pytest.approx(p / 3, rel=1e-8, abs=0)
    assert energies.enumerated_loss(np.zeros((1, 2)), [0, 0], p) == pytest.approx(2 * p / 3, abs=0)


@pytest.mark.parametrize("p", [5e-324, 1e-300, 1e-41])
def test_what_is_too_rare_for_the_formulas_is_refused(p):
    for of in (energies.dropped, energies.antipodal, lambda p: energies.polygon(5, p),
               lambda p: energies.simplex(3, p), lambda p: energies.digons(2, p),
               lambda p: energies.digons(2, 0.1, dropped=1, dropped_probability=p),
               lambda p: energies.deformed_polygon(5, p),
               lambda p: energies.enumerated_loss(np.eye(2), [0, 0], p)):
        with pytest.raises(ValueError, match="must be at least 1e-40 .* to keep their digits"):
            of(p)
    with pytest.raises(ValueError, match="loses less than 1e-250"):
        energies.antipodal(1e-20, (1e-240, 2e-240))
