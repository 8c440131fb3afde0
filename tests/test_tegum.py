"""Polytopes are built as they are defined, and a solution has its name whatever its position, order, size and noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.geometry import polytopes, tegum

seeds = st.integers(0, 2**32 - 1)


def at(*degrees):
    """Unit columns in the plane at these angles."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def moved(W, rng):
    """The same geometry elsewhere: turned or reflected, features in another order."""
    m = len(W)
    Q = ortho_group.rvs(m, random_state=rng) if m > 1 else np.array([[rng.choice([-1.0, 1.0])]])
    return Q @ W[:, rng.permutation(W.shape[1])]


GONS = {3: "triangle", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon", 9: "9-gon"}

NAMES = {
    "digon": polytopes.digon(),
    "2 digons": polytopes.polygon(4),
    "3 digons": np.kron(np.eye(3), [1, -1]),
    **{name: polytopes.polygon(k) for k, name in GONS.items()},
    "square": at(0, 100, 180, 280),
    "tetrahedron": polytopes.simplex(3),
    "4-simplex": polytopes.simplex(4),
    "7-simplex": polytopes.simplex(7),
    "orthogonal": np.eye(1),
    "2 orthogonal": np.eye(2),
    "5 orthogonal": np.eye(5),
    "dropped": np.zeros((2, 1)),
    "3 dropped": np.zeros((2, 3)),
    "orthogonal + dropped": np.array([[1.0, 0], [0, 0]]),
    "digon + orthogonal": block_diag([[1, -1]], [[1.0]]),
    "digon + orthogonal + dropped": block_diag([[1, -1]], [[1.0]])[:, [0, 1, 2, 2]] * [1, 1, 1, 0],
    "2 digons + dropped": np.append(polytopes.polygon(4), np.zeros((2, 1)), axis=1),
    "pentagon + 2 dropped": np.append(polytopes.polygon(5), np.zeros((2, 2)), axis=1),
    "triangle + digon": block_diag(polytopes.polygon(3), [[1, -1]]),
    "2 triangles + pentagon": block_diag(polytopes.polygon(3), polytopes.polygon(5), polytopes.polygon(3)),
    "2 digons + triangle": block_diag([[1, -1]], polytopes.polygon(3), [[1, -1]]),
    "tetrahedron + triangle + orthogonal": block_diag(polytopes.polygon(3), polytopes.simplex(3), np.eye(1)),
    "2 hexagons": block_diag(polytopes.polygon(6), polytopes.polygon(6)),
    "irregular": at(0, 45),
    "2 irregular": block_diag(at(0, 30), at(0, 60)),
    "irregular + digon": block_diag(at(0, 30, 60), [[1, -1]]),
    "irregular + dropped": np.append(at(0, 45), np.zeros((2, 1)), axis=1),
}


# -- building --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("k", range(2, 12))
def test_a_polygon_is_regular(k):
    V = polytopes.polygon(k)
    assert V.shape == (2, k) and V[:, 0].tolist() == [1, 0] and (k == 2 or V[1, 1] > 0)
    steps = np.arange(k)
    np.testing.assert_allclose(V.T @ V, np.cos(2 * np.pi * (steps - steps[:, None]) / k), atol=1e-14)
    np.testing.assert_allclose(V.sum(1), 0, atol=1e-14)


@pytest.mark.parametrize("k", range(1, 12))
def test_a_simplex_is_regular(k):
    V = polytopes.simplex(k)
    assert V.shape == (k, k + 1)
    np.testing.assert_allclose(V.T @ V, np.where(np.eye(k + 1), 1, -1 / k), atol=1e-14)
    np.testing.assert_allclose(V.sum(1), 0, atol=1e-13)


def test_small_polytopes_are_each_other():
    assert tm.distance(polytopes.simplex(1), polytopes.digon()) < 1e-12
    assert tm.distance(polytopes.simplex(2), polytopes.polygon(3)) < 1e-12


# -- names -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_its_name(name):
    assert tm.name_geometry(NAMES[name]) == name


@given(st.sampled_from(sorted(NAMES)), seeds, st.floats(0.02, 1e6))
def test_position_order_and_size_do_not_change_the_name(name, seed, scale):
    assert tm.name_geometry(scale * moved(NAMES[name], np.random.default_rng(seed))) == name


@given(st.sampled_from(sorted(NAMES)), seeds, st.integers(1, 3))
def test_unused_dimensions_do_not_change_the_name(name, seed, extra):
    W = np.vstack([NAMES[name], np.zeros((extra, NAMES[name].shape[1]))])
    assert tm.name_geometry(moved(W, np.random.default_rng(seed))) == name


@given(st.sampled_from(sorted(GONS)), seeds, st.floats(0.02, 100))
def test_a_polygon_within_its_tolerances_keeps_its_name(k, seed, scale):
    """Neighbours up to a quarter of 360/k off, lengths within a factor of 1.5; and nothing beyond."""
    rng, even = np.random.default_rng(seed), 360 / k
    angle = even * (np.arange(k) + rng.uniform(-0.12, 0.12, k))             # gaps change by less than 0.24
    W = scale * at(*angle) * rng.uniform(1, 1.49, k)
    assert tm.name_geometry(moved(W, rng)) == GONS[k]
    beyond = even * np.arange(k) + np.where(np.arange(k) == 1, 0.27 * even, 0)
    assert tm.name_geometry(moved(at(*beyond), rng)) == "irregular"
    lopsided = at(*even * np.arange(k)) * np.where(np.arange(k) == 1, 1.6, 1)
    assert tm.name_geometry(moved(lopsided, rng)) == "irregular"


@given(seeds, st.floats(0.02, 100))
def test_digons_within_their_tolerances_keep_their_name(seed, scale):
    """Each direction up to 2.8 degrees off: right angles stay within |cos| <= 0.1. Lengths are free."""
    rng = np.random.default_rng(seed)
    angle = np.array([0, 180, 90, 270]) + rng.uniform(-2.8, 2.8, 4)
    W = np.append(at(*angle) * rng.uniform(0.2, 1.9, 4), 0.0199 * at(77), axis=1)        # and the fifth is dropped
    assert tm.name_geometry(scale * moved(W, rng)) == "2 digons + dropped"
    bent = rng.uniform(20, 80)
    assert tm.name_geometry(moved(at(0, 180 - bent), rng)) == "irregular"
    assert tm.name_geometry(moved(at(0, rng.uniform(162, 198)), rng)) == "digon"


@given(seeds, st.integers(3, 6))
def test_a_simplex_within_its_tolerance_keeps_its_name(seed, k):
    rng, V = np.random.default_rng(seed), polytopes.simplex(k)
    noise = rng.normal(size=V.shape)
    W = V + 0.03 * noise / np.linalg.norm(noise, axis=0)                    # cosines move by less than 0.1
    assert tm.name_geometry(moved(W, rng)) == ("tetrahedron" if k == 3 else f"{k}-simplex")


@given(seeds, st.floats(6.5, 22))
def test_a_sheared_square_is_a_square_until_its_diagonals_are_orthogonal(seed, shear):
    rng = np.random.default_rng(seed)
    assert tm.name_geometry(moved(at(0, 90 + shear, 180, 270 + shear), rng)) == "square"
    upright = shear / 4                                                     # less than 5.7 degrees: |cos| < 0.1
    assert tm.name_geometry(moved(at(0, 90 + upright, 180, 270 + upright), rng)) == "2 digons"
    assert tm.name_geometry(moved(at(0, 120 + shear, 180, 300 + shear), rng)) == "irregular"


@pytest.mark.parametrize("norm, name", [(0.099, "orthogonal + dropped"), (0.101, "2 orthogonal")])
def test_a_feature_with_a_tenth_of_the_longest_norm_is_just_represented(norm, name):
    assert tm.name_geometry(np.diag([1, norm])) == name
    assert tm.name_geometry(np.diag([100, 100 * norm])) == name


def test_below_a_hundredth_nothing_is_represented():
    assert tm.name_geometry(0.0099 * np.eye(2)) == "2 dropped"
    assert tm.name_geometry(0.0101 * np.eye(2)) == "2 orthogonal"


@given(seeds, st.integers(1, 4), st.integers(1, 9))
def test_any_matrix_has_a_name_and_its_factors_are_a_partition(seed, m, n):
    W = np.random.default_rng(seed).normal(size=(m, n)) * np.random.default_rng(seed + 1).choice([0, 1, 1], n)
    name, parts = tm.name_geometry(W), tegum.factors(W)
    kept = sorted(i for part in parts for i in part)
    assert len(set(kept)) == len(kept) and name
    assert set(kept) == set(np.flatnonzero(tm.norms(W) >= max(0.1 * tm.norms(W).max(), 0.01)))
    assert [len(part) for part in parts] == sorted(map(len, parts), reverse=True)
    cosine = abs(tm.gram(W)) / np.maximum(np.outer(tm.norms(W), tm.norms(W)), 1e-300)
    for k, part in enumerate(parts):
        for other in parts[:k]:
            assert (cosine[np.ix_(part, other)] <= tegum.ORTHOGONAL + 1e-12).all()


def test_recognise_does_not_split():
    assert polytopes.recognise(polytopes.polygon(4)) == "square"            # of itself; as a solution it is two digons
    assert polytopes.recognise(np.eye(2)) is None
    assert polytopes.recognise(np.zeros((2, 2))) is None
    assert polytopes.recognise(np.array([[2.0], [1.0]])) == "orthogonal"
    assert polytopes.recognise(np.array([[1, -1, 1]])) is None


def test_a_name_of_one_geometry_is_not_given_to_another():
    """The negative control: names of different shapes differ."""
    assert len({tm.name_geometry(W) for W in NAMES.values()}) == len(NAMES)
