"""What measures of a weight matrix say: twins by loops, axioms, and Σ_i D_i <= rank W."""

import doctest
import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.geometry import align, measures, neurons, polytopes, tegum

# The axioms hold for any W. That one with more dimensions than features is warned of has a test.
pytestmark = pytest.mark.filterwarnings("ignore:W has .* dimensions for .* feature")

seeds = st.integers(0, 2**32 - 1)
MEASURES = {name: getattr(measures, name) for name in
            ("gram", "norms", "cosines", "interference", "feature_dimensionality",
             "leverage_scores",
             "dimensions_per_feature")}


def rotation(m, rng):
    """A random orthogonal matrix, reflections included."""
    return ortho_group.rvs(m, random_state=rng) if m > 1 else np.array([[rng.choice([-1.0, 1.0])]])


@st.composite
def matrices(draw, rows=st.integers(1, 5), columns=st.integers(1, 8)):
    """W of any rank: columns of very different lengths, zero columns, parallel and antipodal ones,
    stray dimensions."""
    m, n, rng = draw(rows), draw(columns), np.random.default_rng(draw(seeds))
    rank = draw(st.integers(1, m))
    W = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n)) * 10.0 ** rng.uniform(-3, 3, n)
    kinds = rng.choice(["free", "zero", "copy"], n, p=[0.7, 0.15, 0.15])
    W[:, kinds == "zero"] = 0
    for i in np.flatnonzero(kinds == "copy"):
        W[:, i] = rng.choice([-2, 0.5]) * W[:, rng.integers(n)]
    return W


# -- twins

def slow_dimensionality(W):
    """(7.1) with loops and no tricks."""
    result = []
    for i in range(W.shape[1]):
        w = W[:, i]
        length = sum(c * c for c in w) ** 0.5
        shared = sum((sum(a * b for a, b in zip(w, v)) / (length or 1)) ** 2 for v in W.T)
        result.append(length**2 / shared if length else 0.0)
    return np.array(result)


def dimensionality_holds(D, W):
    return np.allclose(D, slow_dimensionality(W), rtol=1e-10, atol=0)


@given(matrices())
def test_dimensionality_agrees_with_loops(W):
    D = tm.feature_dimensionality(W)
    assert dimensionality_holds(D, W)
    if D.any():
        assert not dimensionality_holds(D * 1.001, W)                       # the test can fail


@given(matrices())
def test_the_other_measures_are_those_of_the_columns(W):
    n = W.shape[1]
    length = [np.sqrt(np.dot(w, w)) for w in W.T]
    np.testing.assert_allclose(tm.norms(W), length, rtol=1e-12)
    shared = [sum(np.dot(W[:, i] / length[i], W[:, j]) ** 2 for j in range(n) if j != i)
              if length[i] else 0
              for i in range(n)]
    np.testing.assert_allclose(tm.interference(W), shared, rtol=1e-9, atol=1e-12 * max(length) ** 2)
    for i in range(n):
        for j in range(n):
            scale = length[i] * length[j]
            assert abs(tm.gram(W)[i, j] - np.dot(W[:, i], W[:, j])) <= 1e-13 * scale
            assert abs(measures.cosines(W)[i, j]
                       - (np.dot(W[:, i], W[:, j]) / scale if scale else 0)) <= 1e-12
    if any(length):
        np.testing.assert_allclose(tm.dimensions_per_feature(W),
                                   len(W) / sum(s * s for s in length), rtol=1e-12)


@pytest.mark.parametrize("function", [*MEASURES.values(), tm.name_geometry, tm.factors, tm.align])
@pytest.mark.parametrize("value", [tm.ReluOutput.init(3, 2), None])
def test_what_is_no_array_is_named_by_its_type(function, value):
    with pytest.raises(TypeError, match=f"W must be an array.*{type(value).__name__}"):
        function(value)


def test_small_interference_keeps_its_digits_beside_a_long_column():
    np.testing.assert_allclose(tm.interference([[1e9, 0.5]]), [0.25, 1e18])
    np.testing.assert_allclose(tm.interference([[1, 1e-9], [0, 1]]), [1e-18, 1e-18])


# -- axioms

@given(matrices(), seeds)
def test_nothing_depends_on_the_basis_of_the_hidden_space(W, seed):
    Q, scale = rotation(len(W), np.random.default_rng(seed)), tm.norms(W).max() + 1
    np.testing.assert_allclose(tm.gram(Q @ W), tm.gram(W), atol=1e-12 * scale**2)
    np.testing.assert_allclose(tm.norms(Q @ W), tm.norms(W), atol=1e-12 * scale)
    np.testing.assert_allclose(tm.interference(Q @ W), tm.interference(W), atol=1e-10 * scale**2)
    np.testing.assert_allclose(tm.feature_dimensionality(Q @ W), tm.feature_dimensionality(W),
                               rtol=1e-10)
    np.testing.assert_allclose(tm.dimensions_per_feature(Q @ W), tm.dimensions_per_feature(W),
                               rtol=1e-12)


@given(matrices(), seeds)
def test_features_carry_their_numbers_along_when_they_change_places(W, seed):
    order = np.random.default_rng(seed).permutation(W.shape[1])
    for name in ("norms", "interference", "feature_dimensionality"):
        of = MEASURES[name]
        np.testing.assert_allclose(of(W[:, order]), of(W)[order], rtol=1e-10,
                                   atol=1e-10 * abs(of(W)).max())
    for name in ("gram", "cosines"):
        of = MEASURES[name]
        np.testing.assert_allclose(of(W[:, order]), of(W)[np.ix_(order, order)], rtol=1e-12)


@given(matrices(), st.floats(-150, 150))
def test_dimensionality_has_no_scale_and_dimensions_per_feature_has_two(W, exponent):
    D, scale = tm.feature_dimensionality(W), 10.0**exponent
    np.testing.assert_allclose(tm.feature_dimensionality(scale * W), D, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tm.feature_dimensionality(-W), D, rtol=1e-12)
    if abs(exponent) < 50:
        np.testing.assert_allclose(tm.dimensions_per_feature(scale * W),
                                   tm.dimensions_per_feature(W) / scale**2,
                                   rtol=1e-12)


@given(matrices())
def test_shares_lie_between_0_and_1_and_below_the_leverage(W):
    """D_i <= leverage of column i, and leverages add up to the rank. (7.3), (7.4)"""
    W = W / np.where(tm.norms(W) > 0, tm.norms(W), 1)            # ranks are well defined now
    D, rank = tm.feature_dimensionality(W), np.linalg.matrix_rank(W, tol=1e-7)
    leverage = tm.leverage_scores(W)
    assert ((D >= 0) & (D <= 1 + 1e-12)).all()
    assert ((D == 0) == (tm.norms(W) == 0)).all()
    assert ((leverage >= 0) & (leverage <= 1 + 1e-12)).all()
    assert abs(leverage.sum() - np.linalg.matrix_rank(W)) < 1e-9
    assert (leverage[tm.norms(W) == 0] < 1e-12).all()
    if np.linalg.matrix_rank(W, tol=1e-4) == rank == np.linalg.matrix_rank(W):
        assert (D <= leverage + 1e-6).all()
        # (7.3) as it stands
        pseudo = np.einsum("ki,kl,li->i", W, np.linalg.pinv(W @ W.T, rcond=1e-10), W)
        np.testing.assert_allclose(leverage, pseudo, atol=1e-6)
    assert D.sum() <= rank + 1e-9


def test_leverage_is_reached_by_eigenvectors_only():
    """(7.4) is an equality exactly where a column is an eigenvector of WW'."""
    W = polytopes.tegum_product(polytopes.polygon(5), [[3, -1]], np.eye(1), dropped=1)
    np.testing.assert_allclose(tm.leverage_scores(W), tm.feature_dimensionality(W), atol=1e-14)
    W = polytopes.antiprism(4, 0.5)
    assert (tm.feature_dimensionality(W) < tm.leverage_scores(W) - 1e-3).all()
    assert not tm.leverage_scores(np.zeros((2, 3, 4))).any()


@given(matrices(st.integers(1, 4), st.integers(1, 6)),
       matrices(st.integers(1, 4), st.integers(1, 6)), seeds)
def test_parts_in_orthogonal_subspaces_do_not_share(V, W, seed):
    whole = np.zeros((len(V) + len(W), V.shape[1] + W.shape[1]))
    whole[:len(V), :V.shape[1]], whole[len(V):, V.shape[1]:] = V, W
    whole = rotation(len(whole), np.random.default_rng(seed)) @ whole
    apart = np.concatenate([tm.feature_dimensionality(V), tm.feature_dimensionality(W)])
    balanced = min(tm.norms(A)[tm.norms(A) > 0].min(initial=np.inf)
                   for A in (V, W)) > 1e-4 * tm.norms(whole).max()
    if balanced:            # else rounding of the rotation shows
        np.testing.assert_allclose(tm.feature_dimensionality(whole), apart, rtol=1e-6)


# -- the named fractions

@pytest.mark.parametrize("W, share", [
    (polytopes.simplex(3), 3 / 4), (polytopes.polygon(3), 2 / 3), (polytopes.digon(), 1 / 2),
    (polytopes.polygon(5), 2 / 5), (polytopes.antiprism(4), 3 / 8), (np.zeros((2, 3)), 0),
    (np.eye(4), 1),
    *[(polytopes.polygon(k), 2 / k) for k in (2, 4, 6, 7, 8, 13)],
    *[(polytopes.simplex(k), k / (k + 1)) for k in range(1, 8)],
])
def test_named_polytopes_have_their_fractions(W, share):
    expected = np.full(W.shape[1],
                       share if np.linalg.matrix_rank(W) == len(W) or not share else 1 / 2)
    for A in (W, 0.3 * W, rotation(len(W), np.random.default_rng(0)) @ W):
        np.testing.assert_allclose(tm.feature_dimensionality(A), expected, rtol=1e-12)
    np.testing.assert_allclose(tm.feature_dimensionality(W).sum(), np.linalg.matrix_rank(W),
                               rtol=1e-12)


def test_equality_is_for_tight_frames_only():
    assert abs(tm.feature_dimensionality(polytopes.antiprism(4)).sum() - 3) < 1e-12
    for height in (0.2, 0.5, 0.65):
        assert tm.feature_dimensionality(polytopes.antiprism(4, height)).sum() < 3 - 1e-3
    # any lengths
    np.testing.assert_allclose(tm.feature_dimensionality([[3, -1, 0]]), [0.9, 0.1, 0], rtol=1e-14)


def test_interference_is_what_dimensionality_pays_for():
    W = np.random.default_rng(0).normal(size=(3, 6))
    square = tm.norms(W) ** 2
    np.testing.assert_allclose(tm.feature_dimensionality(W), square / (square + tm.interference(W)),
                               rtol=1e-12)
    assert tm.interference(np.eye(5)).max() == 0
    # 5/2 less its own 1
    np.testing.assert_allclose(tm.interference(polytopes.polygon(5)), 1.5, rtol=1e-12)


def test_zero_weights_have_no_dimension_and_no_room_to_count():
    assert tm.dimensions_per_feature(np.zeros((3, 4))) == np.inf
    assert not tm.feature_dimensionality(np.zeros((3, 4))).any()
    assert not tm.interference(np.zeros((3, 4))).any()
    both = np.stack([np.zeros((2, 2)), np.eye(2)])
    assert tm.dimensions_per_feature(both).tolist() == [np.inf, 1.0]


# -- shapes and types

@pytest.mark.parametrize("name", MEASURES)
def test_a_stack_is_measured_one_by_one(name):
    of, W = MEASURES[name], np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    W[0, 1] = 0
    W[1, 2, :, 3] = 0
    stack = of(W)
    assert stack.dtype == np.float64
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(stack[index], of(W[index]), rtol=1e-12)
    np.testing.assert_allclose(of(W.astype(np.float32)), stack, rtol=1e-3, atol=1e-5)
    before = W.copy()
    of(W)
    np.testing.assert_array_equal(W, before)


# -- weights that lie on their side

@pytest.mark.parametrize("measure", [tm.feature_dimensionality, tm.dimensions_per_feature])
def test_more_dimensions_than_features_are_warned_of(measure):
    pentagon = polytopes.polygon(5)
    with pytest.warns(UserWarning, match=r"W has 5 dimensions for 2 features: .* W\.T\?") as caught:
        measure(np.stack([pentagon, pentagon]).swapaxes(1, 2))
    assert caught[0].filename == __file__                           # it points at the caller
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure(pentagon)
        measure(np.eye(3))


def test_what_is_measured_of_any_columns_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("gram", "norms", "cosines", "interference", "leverage_scores"):
            MEASURES[name](np.ones((5, 2)))


# -- numbers at the ends of float64

@given(matrices(), st.integers(-900, 900))
def test_a_power_of_two_changes_no_digit(W, power):
    scaled = np.ldexp(W, power)
    np.testing.assert_array_equal(tm.norms(scaled), np.ldexp(tm.norms(W), power))
    np.testing.assert_array_equal(measures.cosines(scaled), measures.cosines(W))
    np.testing.assert_array_equal(tm.feature_dimensionality(scaled), tm.feature_dimensionality(W))
    np.testing.assert_allclose(tm.leverage_scores(scaled), tm.leverage_scores(W), atol=1e-9)


@pytest.mark.parametrize("size", [5e-324, 1e-200, 1e155, 1e307])
def test_a_measure_is_right_at_any_size_or_refuses(size):
    W = np.array([[size, -size, 0], [0, 0, size]])
    np.testing.assert_array_equal(tm.norms(W), [size] * 3)
    np.testing.assert_array_equal(tm.feature_dimensionality(W), [0.5, 0.5, 1])
    np.testing.assert_allclose(tm.leverage_scores(W), [0.5, 0.5, 1])
    if size > 1:
        for measure in (tm.gram, tm.interference):
            with pytest.raises(OverflowError, match="W is too large"):
                measure(W)
        assert tm.dimensions_per_feature(W) == 0                    # 1e-310 and less
    else:
        assert not tm.gram(W).any() and not tm.interference(W).any()
        with pytest.raises(OverflowError, match="W is too small"):
            tm.dimensions_per_feature(W)


def test_a_length_beyond_float64_is_refused():
    with pytest.raises(OverflowError, match="W is too large"):
        tm.norms(np.full((4, 2), 1.7e308))


def test_a_feature_that_is_far_shorter_than_the_others_keeps_its_dimension():
    assert tm.feature_dimensionality(np.diag([1, 1e-200])).tolist() == [1, 1]


@pytest.mark.parametrize("module", [measures, align, polytopes, tegum, neurons])
def test_the_examples_of_the_first_screens_say_what_happens(module):
    results = doctest.testmod(module)
    assert results.attempted and not results.failed
