"""Equivalent solutions have one canonical position; a distance is 0 for these and for no others.

The twin tries all relabellings, each with the best rotation (Procrustes), and for two dimensions
all angles too.
"""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.geometry import align as align_module, polytopes

seeds = st.integers(0, 2**32 - 1)


def rotation(m, rng):
    """A random orthogonal matrix, reflections included."""
    return ortho_group.rvs(m, random_state=rng) if m > 1 else np.array([[rng.choice([-1.0, 1.0])]])


@st.composite
def solutions(draw, rows=st.integers(1, 3), columns=st.integers(1, 7)):
    """Random columns, columns of one length, polytopes, and any of these with columns missing or
    doubled."""
    m, n, rng = draw(rows), draw(columns), np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["free", "equal lengths", "integers", "polygon", "simplex"]))
    W = rng.normal(size=(m, n))
    if kind == "equal lengths":
        W /= np.linalg.norm(W, axis=0)
    elif kind == "integers":
        W = rng.integers(-2, 3, (m, n)).astype(float)
    elif kind == "polygon" and m > 1 and n > 1:
        W = np.vstack([polytopes.polygon(n), np.zeros((m - 2, n))])
    elif kind == "simplex":
        W = polytopes.simplex(m)
    i, j = rng.integers(W.shape[1], size=2)
    W[:, i] = W[:, j] * draw(st.sampled_from([1.0, 0.0, -1.0])) if draw(st.booleans()) else W[:, i]
    return W


def equivalent(W, seed):
    """The same solution elsewhere: QWP."""
    rng = np.random.default_rng(seed)
    return rotation(len(W), rng) @ W[:, rng.permutation(W.shape[1])]


def same(A, B):
    return np.linalg.norm(A - B) <= 1e-9 * (np.linalg.norm(A) + np.linalg.norm(B) + 1e-300)


def turned_onto(W, R):
    """min over rotations of ‖QW - R‖, from singular values alone."""
    return np.sqrt(max(0, (W * W).sum() + (R * R).sum() - 2
                       * np.linalg.svd(R @ W.T, compute_uv=False).sum()))


def slow_distance(W, R):
    return min(turned_onto(W[:, list(order)], R) for order in permutations(range(W.shape[1])))


# -- the canonical position

@given(solutions(), seeds)
def test_equivalent_solutions_have_one_position(W, seed):
    A = tm.align(W)
    assert same(tm.align(equivalent(W, seed)), A)
    assert same(tm.align(A), A)


@pytest.mark.parametrize("n", [8, 20])
def test_close_neighbours_do_not_confuse_the_order(n):
    """Two columns whose first coordinates differ by less than rounding to the grid of
    comparison."""
    rng = np.random.default_rng(n)
    for _ in range(20):
        angle = rng.uniform(0, 2 * np.pi, n)
        angle[1] = angle[0] + 1e-3
        W = np.stack([np.cos(angle), np.sin(angle)])
        assert same(tm.align(equivalent(W, rng.integers(2**32))), tm.align(W))


@pytest.mark.parametrize("size", [1e-5, 1e-6, 1e-8])
def test_short_columns_have_an_order_too(size):
    """Columns that the grid of comparison does not tell apart."""
    W = np.array([[1.0, 0.48 * size, -0.36 * size, 0.3 * size], [0, 0.7, -0.7, 0.1]])
    for A in (W[:1], W):
        for seed in range(10):
            np.testing.assert_allclose(tm.align(equivalent(A, seed)), tm.align(A),
                                       atol=1e-14 * len(A))


@given(solutions(), seeds, st.booleans())
def test_a_position_is_a_rotation_of_the_features(W, seed, relabel):
    A = tm.align(W, relabel=relabel)
    if relabel:            # some order of the columns gives the same Gram matrix
        assert tm.distance(A, W) <= 1e-9 * (1 + np.linalg.norm(W))
        np.testing.assert_allclose(np.sort(tm.norms(A)), np.sort(tm.norms(W)),
                                   atol=1e-12 * (1 + abs(W).max()))
    else:
        np.testing.assert_allclose(tm.gram(A), tm.gram(W), atol=1e-12 * (1 + (W * W).sum()))


@given(solutions(), seeds)
def test_features_keep_their_places_without_relabelling(W, seed):
    A = tm.align(W, relabel=False)
    assert same(tm.align(rotation(len(W), np.random.default_rng(seed)) @ W, relabel=False), A)
    if np.linalg.norm(W[:, 0]) > 1e-3 * tm.norms(W).max() > 0:
        np.testing.assert_allclose(A[:, 0], np.linalg.norm(W[:, 0]) * np.eye(len(W))[0], atol=1e-12)
    if min(W.shape) > 1 and abs(np.linalg.det(A[:2, :2])) > 1e-3:
        assert A[1, 1] > 0 and abs(A[2:, 1]).max(initial=0) < 1e-12


def test_the_longest_column_comes_first_and_lies_along_the_first_axis():
    A = tm.align([[0, 3, 1], [1, 4, 0]])
    # (1, 0) is farthest from (3, 4)
    np.testing.assert_allclose(A, [[5, 0.8, 0.6], [0, -0.6, 0.8]], atol=1e-12)
    np.testing.assert_allclose(tm.align(-polytopes.polygon(5)),
                               polytopes.polygon(5)[:, [0, 1, 4, 2, 3]], atol=1e-12)


# -- onto a reference

@given(solutions(), seeds)
def test_an_exact_match_is_found(W, seed):
    assert same(tm.align(equivalent(W, seed), W), W)
    turned = rotation(len(W), np.random.default_rng(seed)) @ W
    assert same(tm.align(turned, W, relabel=False), W)


@pytest.mark.parametrize("m, n", [(2, 20), (3, 12), (4, 10), (5, 10), (5, 4)])
def test_an_exact_match_is_found_among_many_columns(m, n):
    rng = np.random.default_rng(m * n)
    for lengths in (1, rng.uniform(0.5, 2, n)):
        W = rng.normal(size=(m, n))
        W *= lengths / np.linalg.norm(W, axis=0)
        assert same(tm.align(equivalent(W, n), W), W)


@given(solutions(columns=st.integers(1, 5)), seeds)
def test_nothing_lies_closer_than_what_align_finds(W, seed):
    """Against every relabelling with its best rotation."""
    R = np.random.default_rng(seed).normal(size=W.shape)
    np.testing.assert_allclose(tm.distance(W, R), slow_distance(W, R), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(tm.distance(W, R, relabel=False), turned_onto(W, R), rtol=1e-7,
                               atol=1e-7)


@pytest.mark.parametrize("seed", [9, 26])
def test_relabelling_what_was_found_brings_it_no_nearer(seed):
    """Of many columns the order is best for the rotation, and the rotation for the order."""
    W, R = np.random.default_rng(seed).normal(size=(2, 3, 9))
    A = tm.align(W, R)
    order = linear_sum_assignment(-R.T @ A)[1]
    assert tm.distance(A[:, order], R, relabel=False) == pytest.approx(tm.distance(W, R), rel=1e-9)


def test_a_distance_of_few_features_is_exact():
    """No search over starts finds this order, 9 % below what it ends at."""
    W = np.array([[0.0, -1, 0, 1], [1, 0, 1, 0]])
    R = np.array([[-0.5, -1.33, 0.69, -0.03], [-0.29, 0.4, 0.03, 1.36]])
    assert tm.distance(W, R) == pytest.approx(slow_distance(W, R), rel=1e-9)


@pytest.mark.parametrize("size", [1e-8, 1e-9, 1e-11])
@pytest.mark.parametrize("V", [polytopes.digon(), polytopes.polygon(5), polytopes.simplex(3),
                               polytopes.cross_polytope(3), polytopes.simplex(5)], ids=np.shape)
@given(seed=seeds)
def test_an_almost_symmetric_solution_is_laid_onto_itself_to_rounding(V, size, seed):
    W = V + size * np.random.default_rng(seed).normal(size=V.shape)
    moved = equivalent(W, seed)
    for one, other in ((moved, W), (W, moved)):
        assert tm.distance(one, other) < 1e-13
        np.testing.assert_allclose(tm.align(one, other), other, rtol=0, atol=1e-13)


@pytest.mark.parametrize("W, R", [
    ([[0, -1, 0, 1], [0, 1, 1, 1]], [[-0.25, 0.01, 1.33, -0.45], [-0.96, -0.95, 0.87, 1.84]]),
    ([[0, -1, -1, 1], [1, 0, 0, -1]], [[-0.02, 0.7, 0.5, 0.65], [-1.21, -0.73, 0.06, 1.17]])])
def test_a_search_with_relabelling_is_never_worse_than_none(monkeypatch, W, R):
    """The best order here is the one that is given, and no other start leads to it."""
    monkeypatch.setattr(align_module, "MOST_ORDERED", 0)
    W, R = np.array(W, float), np.array(R)
    assert tm.distance(W, R) <= turned_onto(W, R) + 1e-12
    assert tm.distance(W, R) == pytest.approx(slow_distance(W, R), rel=1e-9)
    assert tm.distance(R, W) == pytest.approx(tm.distance(W, R), rel=1e-9)


@given(seeds, st.floats(0, 0.05))
def test_a_noisy_solution_is_laid_onto_its_reference(seed, noise):
    rng, R = np.random.default_rng(seed), polytopes.polygon(5)
    W = R + noise * rng.normal(size=R.shape)
    assert tm.distance(equivalent(W, seed), R) <= np.linalg.norm(W - R) + 1e-9


def test_labels_are_kept_where_they_are_asked_for():
    W = np.array([[1.0, 0, 0.3], [0, 2, 0.1]])
    swapped = W[:, [1, 0, 2]]
    assert tm.distance(swapped, W) < 1e-9
    assert tm.distance(swapped, W, relabel=False) > 0.5


# -- distance

@given(solutions(), seeds)
def test_distance_is_symmetric_and_does_not_see_rotations(W, seed):
    R = np.random.default_rng(seed).normal(size=W.shape)
    d = tm.distance(W, R)
    np.testing.assert_allclose(tm.distance(R, W), d, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(tm.distance(equivalent(W, seed), R), d, rtol=1e-6, atol=1e-7)
    assert tm.distance(W, R, relabel=False) >= d - 1e-7
    np.testing.assert_allclose(tm.distance(R, W, relabel=False), tm.distance(W, R, relabel=False),
                               rtol=1e-7)


def congruent(A, B):
    return tm.distance(A, B) <= 1e-9 * (1 + np.linalg.norm(A))


@given(solutions(), seeds, st.sampled_from([1e-6, 1e-3, 0.1]))
def test_distance_is_zero_for_congruent_solutions_and_for_no_others(W, seed, change):
    assert congruent(equivalent(W, seed), W)
    longer = W.copy()
    longer[0, np.random.default_rng(seed).integers(W.shape[1])] += change
    # lengths say that they differ
    if abs(np.sort(tm.norms(longer)) - np.sort(tm.norms(W))).max() > 1e-8:
        assert not congruent(equivalent(longer, seed), W)


@given(seeds)
def test_distances_of_three_solutions_obey_the_triangle_inequality(seed):
    A, B, C = np.random.default_rng(seed).normal(size=(3, 2, 4))
    assert tm.distance(A, C) <= tm.distance(A, B) + tm.distance(B, C) + 1e-9


def test_a_reflection_is_no_difference():
    scalene = np.array([[1.0, 0, -0.5], [0, 2, -1.5]])
    assert congruent(scalene * [[1], [-1]], scalene)


# -- shapes

@pytest.mark.parametrize("relabel", [True, False])
def test_a_stack_is_aligned_one_by_one(relabel):
    rng = np.random.default_rng(0)
    W, R = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 4))
    before = W.copy()
    alone, onto = tm.align(W, relabel=relabel), tm.align(W, R, relabel=relabel)
    apart = tm.distance(W, R, relabel=relabel)
    for i in np.ndindex(2, 3):
        np.testing.assert_array_equal(alone[i], tm.align(W[i], relabel=relabel))
        np.testing.assert_array_equal(onto[i], tm.align(W[i], R, relabel=relabel))
        np.testing.assert_allclose(apart[i], np.linalg.norm(onto[i] - R), rtol=1e-14)
    np.testing.assert_array_equal(W, before)
    assert tm.align(W.astype(np.float32), relabel=relabel).dtype == np.float64


def test_zeros_stay_zeros():
    assert not tm.align(np.zeros((2, 3))).any()
    assert tm.distance(np.zeros((2, 3)), polytopes.polygon(3)) == pytest.approx(np.sqrt(3))


# -- numbers at the ends of float64

@given(solutions(), seeds, st.integers(-900, 900))
def test_a_power_of_two_changes_no_digit(W, seed, power):
    R, scaled = np.random.default_rng(seed).normal(size=W.shape), np.ldexp(W, power)
    for relabel in (True, False):
        plain = tm.align(W, relabel=relabel)
        np.testing.assert_array_equal(tm.align(scaled, relabel=relabel), np.ldexp(plain, power))
        np.testing.assert_array_equal(tm.distance(scaled, np.ldexp(R, power), relabel=relabel),
                                      np.ldexp(tm.distance(W, R, relabel=relabel), power))


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e100, 1e155, 1e300])
def test_any_size_is_aligned(size):
    turned = size * equivalent(polytopes.polygon(5), 3)
    assert congruent(tm.align(turned) / size, polytopes.polygon(5))
    assert tm.distance(turned, size * polytopes.polygon(5)) <= 1e-12 * size
    assert tm.distance(turned, np.zeros((2, 5))) == pytest.approx(5**0.5 * size, rel=1e-12)


def test_what_does_not_fit_into_float64_is_refused():
    W = np.full((3, 2), 1.7e308)
    with pytest.raises(OverflowError, match="W or reference is too large"):
        tm.align(W)
    with pytest.raises(OverflowError, match="W or reference is too large"):
        tm.distance(W, np.zeros((3, 2)), relabel=False)
