"""Polytopes are built as they are defined, and recognised whatever their position, order, size,
height and noise."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.geometry import polytopes

seeds = st.integers(0, 2**32 - 1)
KINDS = {"prism": polytopes.prism, "antiprism": polytopes.antiprism}
RINGS = [(kind, k) for kind in KINDS for k in polytopes.BASES]
heights = st.floats(0.3, 0.65)


def moved(W, rng):
    """The same polytope elsewhere: turned or reflected, its corners in another order."""
    return ortho_group.rvs(len(W), random_state=rng) @ W[:, rng.permutation(W.shape[1])]


def shifted(W, rng, degrees):
    """Each column up to `degrees` off, and up to 10 % longer or shorter."""
    noise = rng.normal(size=W.shape)
    noise -= W * (noise * W).sum(0) / (W * W).sum(0)
    noise *= np.tan(np.radians(degrees)) * np.linalg.norm(W, axis=0) / np.linalg.norm(noise, axis=0)
    return (W + noise * rng.uniform(0, 1, W.shape[1])) * rng.uniform(0.9, 1.1, W.shape[1])


def distances(V):
    """The distance of each two corners, a corner's distance to itself taken as infinite."""
    return np.linalg.norm(V[:, :, None] - V[:, None], axis=0) + np.diag(np.full(V.shape[1], np.inf))


# -- building

@pytest.mark.parametrize("k", range(2, 12))
def test_a_polygon_is_regular(k):
    V = polytopes.polygon(k)
    assert V.shape == (2, k) and V[:, 0].tolist() == [1, 0] and (k == 2 or V[1, 1] > 0)
    steps = np.arange(k)
    np.testing.assert_allclose(V.T @ V, np.cos(2 * np.pi * (steps - steps[:, None]) / k),
                               atol=1e-14)
    np.testing.assert_allclose(V.sum(1), 0, atol=1e-14)


@pytest.mark.parametrize("k", range(1, 12))
def test_a_simplex_is_regular(k):
    V = polytopes.simplex(k)
    assert V.shape == (k, k + 1)
    np.testing.assert_allclose(V.T @ V, np.where(np.eye(k + 1), 1, -1 / k), atol=1e-14)
    np.testing.assert_allclose(V.sum(1), 0, atol=1e-13)


@pytest.mark.parametrize("k", range(1, 7))
def test_a_cross_polytope_has_its_corners_on_the_axes(k):
    V = polytopes.cross_polytope(k)
    assert V.shape == (k, 2 * k)
    assert {tuple(column) for column in V.T} == {tuple(s * axis) for s in (1, -1)
                                                 for axis in np.eye(k)}
    assert tm.name_geometry(V) == ("digon" if k == 1 else f"{k} digons")


@pytest.mark.parametrize("kind, k", RINGS)
@pytest.mark.parametrize("height", [0.2, "uniform", polytopes.TIGHT, 0.9])
def test_prisms_are_two_polygons_one_above_the_other(kind, k, height):
    V = KINDS[kind](k, height)
    upper, lower = V[:, :k], V[:, k:]
    assert V.shape == (3, 2 * k)
    assert np.ptp(upper[2]) == np.ptp(lower[2]) == 0
    assert upper[2, 0] == -lower[2, 0] > 0
    if height != "uniform":
        assert upper[2, 0] == height
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1, rtol=1e-14)
    side, turn = np.hypot(*upper[:2, 0]), {"prism": 0, "antiprism": np.pi / k}[kind]
    np.testing.assert_allclose(upper[:2], side * polytopes.polygon(k), atol=1e-14)
    turned = np.array([[np.cos(turn), -np.sin(turn)],
                       [np.sin(turn), np.cos(turn)]]) @ polytopes.polygon(k)
    np.testing.assert_allclose(lower[:2], side * turned, atol=1e-14)


@pytest.mark.parametrize("kind, k", RINGS)
def test_a_uniform_prism_has_edges_of_one_length(kind, k):
    # 3 meet at a prism's corner, else 4
    edges = np.sort(distances(KINDS[kind](k, "uniform")), axis=0)
    meet = {"prism": 3, "antiprism": 4}[kind]
    np.testing.assert_allclose(edges[:meet], edges[0, 0], rtol=1e-12)
    assert (edges[meet] > 1.05 * edges[0, 0]).all()


@pytest.mark.parametrize("kind, k", RINGS)
def test_shares_of_prisms_are_those_of_the_formula(kind, k):
    """(8.4), and the tight height is the best."""
    for h in (0.2, 0.5, polytopes.TIGHT, 0.8):
        expected = 1 / (k * ((1 - h**2) ** 2 + 2 * h**4))
        np.testing.assert_allclose(tm.feature_dimensionality(KINDS[kind](k, h)), expected,
                                   rtol=1e-12)
    best = minimize_scalar(lambda h: -tm.feature_dimensionality(KINDS[kind](k, h))[0],
                           bounds=(0.1, 0.9),
                           method="bounded", options={"xatol": 1e-9})
    assert abs(best.x - polytopes.TIGHT) < 1e-6 and abs(best.fun + 3 / (2 * k)) < 1e-12


def test_small_polytopes_are_each_other():
    assert tm.distance(polytopes.simplex(1), polytopes.digon()) < 1e-12
    assert tm.distance(polytopes.simplex(2), polytopes.polygon(3)) < 1e-12
    assert tm.distance(polytopes.polygon(4), polytopes.cross_polytope(2)) < 1e-12
    for height in (polytopes.TIGHT, "uniform"):
        assert tm.distance(polytopes.antiprism(3, height), polytopes.cross_polytope(3)) < 1e-12
        cube = np.array(list(np.ndindex(2, 2, 2))).T * 2 - 1
        assert tm.distance(polytopes.prism(4, height), cube / np.sqrt(3)) < 1e-12


def test_a_product_puts_its_factors_into_orthogonal_subspaces():
    V = polytopes.tegum_product(polytopes.polygon(3), polytopes.digon(), [[2]], dropped=2)
    assert V.shape == (4, 8)
    np.testing.assert_array_equal(V[:2, :3], polytopes.polygon(3))
    np.testing.assert_array_equal(V[2, 3:5], [1, -1])
    assert V[3, 5] == 2 and np.count_nonzero(V) == np.count_nonzero(polytopes.polygon(3)) + 3
    np.testing.assert_array_equal(polytopes.bipyramid(3), V[:3, :5])
    assert tm.name_geometry(polytopes.bipyramid(3)) == "triangle + digon"


@given(st.lists(st.integers(2, 7), min_size=1, max_size=5), st.integers(0, 3))
def test_shares_in_a_product_are_those_in_its_factors(gons, dropped):
    """(8.8), and they add up to the dimension, since polygons are tight frames."""
    D = tm.feature_dimensionality(polytopes.tegum_product(*map(polytopes.polygon, gons),
                                                          dropped=dropped))
    alone = np.concatenate([tm.feature_dimensionality(polytopes.polygon(k)) for k in gons]
                           + [np.zeros(dropped)])
    np.testing.assert_allclose(D, alone, rtol=1e-12)
    # the 2-gon spans one dimension of two
    assert abs(D.sum() - 2 * len(gons) + gons.count(2)) < 1e-12


@given(seeds, st.integers(1, 5))
def test_merging_keeps_the_frame_and_divides_the_shares(seed, times):
    W = np.random.default_rng(seed).normal(size=(3, 4))
    V = polytopes.merged(W, times)
    np.testing.assert_allclose(V @ V.T, W @ W.T, atol=1e-12)            # (8.6)
    D = tm.feature_dimensionality(V).reshape(4, times)
    np.testing.assert_allclose(D * times, np.repeat(tm.feature_dimensionality(W)[:, None], times,
                                                    1), rtol=1e-12)
    corners = np.linalg.norm(polytopes.corners_of(V), axis=0)
    np.testing.assert_allclose(corners, np.linalg.norm(polytopes.corners_of(W), axis=0), rtol=1e-12)
    assert (corners**2).sum() == pytest.approx((W * W).sum(), rel=1e-12)


# -- the fit of labelled and unlabelled corners

def slow_fit(unit, reference):
    """The best of all n! orders."""
    return min(polytopes.misfit(unit[None, :, list(order)], reference)
               for order in permutations(range(len(unit.T))))


@given(seeds, st.sampled_from([("prism", 3), ("antiprism", 3)]), heights, st.floats(0, 10))
def test_the_fit_agrees_with_all_orders(seed, ring, height, degrees):
    rng, reference = np.random.default_rng(seed), KINDS[ring[0]](ring[1], height)
    W = moved(shifted(reference, rng, degrees), rng)
    unit = W / np.linalg.norm(W, axis=0)
    fit = polytopes.fit(unit, reference)
    assert fit <= 1.5 * degrees + 1e-5            # Procrustes is best on average
    assert abs(fit - slow_fit(unit, reference)) < 1e-5


def test_no_order_fits_another_polytope():
    assert 20 < slow_fit(polytopes.prism(3), polytopes.antiprism(3)) <= polytopes.fit(
        polytopes.prism(3), polytopes.antiprism(3)) + 1e-9


# -- recognising

def expected(kind, k):
    return f"{polytopes.BASES[k]} {kind}"


@given(st.sampled_from([ring for ring in RINGS if ring != ("antiprism", 3)]), heights, seeds,
       st.floats(0.02, 1e6))
def test_prisms_of_any_height_have_their_names(ring, height, seed, scale):
    """Directions up to 3 degrees off, lengths up to 10 %."""
    rng = np.random.default_rng(seed)
    W = scale * moved(shifted(KINDS[ring[0]](ring[1], height), rng, 3), rng)
    assert polytopes.recognise(W) == expected(*ring)
    assert polytopes.recognise(ortho_group.rvs(5, random_state=rng)[:, :3] @ W) == expected(*ring)


@given(st.floats(0.25, 0.85), seeds)
def test_a_triangular_antiprism_is_an_octahedron_near_the_regular_height(height, seed):
    """The corners of the octahedron stand 54.7 degrees from the axis of any two opposite faces."""
    off = abs(np.degrees(np.arccos(height) - np.arccos(polytopes.TIGHT)))
    W = moved(polytopes.antiprism(3, height), np.random.default_rng(seed))
    if abs(off - polytopes.TURNED) > 0.01:
        assert polytopes.recognise(W) == ("octahedron" if off < polytopes.TURNED
                                          else "triangular antiprism")


@pytest.mark.parametrize("W, name", [
    (polytopes.polygon(4), "square"),            # of itself; as a solution it is two digons
    (polytopes.cross_polytope(3), "octahedron"),
    (np.array([[2.0], [1.0]]), "orthogonal"),
    (np.ones((2, 3)), "bundle of 3"),
    (np.array([[1, -1, 1]]), "digon of 3"),
    (polytopes.merged(polytopes.simplex(3), 3), "tetrahedron of 12"),
    (polytopes.merged(polytopes.antiprism(4), 2), "square antiprism of 16"),
    (polytopes.prism(3, 0.05), "triangle of 6"),            # too flat: the two triangles are one
    (polytopes.antiprism(3, 0.05), "hexagon"),
    (polytopes.prism(5, 0.99), "digon of 10"),
    (polytopes.polygon(40), "40-gon"),            # neighbours are close, but not one corner
    (np.eye(2), None), (np.zeros((2, 2)), None), (np.eye(2)[:, [0, 0, 1]], None),
    (polytopes.polygon(40) * np.linspace(1, 2, 40), None),
])
def test_recognise_does_not_split(W, name):
    assert polytopes.recognise(W) == name


@given(seeds, st.integers(2, 4), st.floats(0, 9))
def test_corners_are_shared_by_columns_that_nearly_agree(seed, times, degrees):
    """No two are more than 18 degrees apart: cos 18.2° = 0.95."""
    rng = np.random.default_rng(seed)
    W = np.vstack([polytopes.merged(polytopes.polygon(5), times), np.zeros((2, 5 * times))])
    assert polytopes.recognise(moved(shifted(W, rng, degrees), rng)) == f"pentagon of {5 * times}"


NAMED = [(expected(kind, k), KINDS[kind](k, 0.5))
         for kind, k in RINGS if k < 6 and (kind, k) != ("antiprism", 3)]
NAMED += [("tetrahedron", polytopes.simplex(3)), ("5-simplex", polytopes.simplex(5))]


@given(st.sampled_from(NAMED), seeds)
def test_a_deformed_polytope_has_no_name(case, seed):
    """The negative control: one corner 35 degrees off, or twice as long as the others."""
    (name, V), rng = case, np.random.default_rng(seed)
    off = V.copy()
    aside = np.linalg.svd(V[:, :1])[0][:, 1:] @ rng.normal(size=len(V) - 1)
    off[:, 0] += np.tan(np.radians(35)) * aside / np.linalg.norm(aside)
    long = V * np.where(np.arange(V.shape[1]) == 0, 2, 1)
    assert polytopes.recognise(moved(V, rng)) == name
    assert polytopes.recognise(moved(off, rng)) is None
    assert polytopes.recognise(moved(long, rng)) is None


@given(seeds, st.integers(3, 5), st.integers(6, 12))
def test_random_columns_are_no_polytope(seed, m, n):
    assert polytopes.recognise(np.random.default_rng(seed).normal(size=(m, n))) is None


@pytest.mark.parametrize("p", [0.05, 0.2])
def test_the_true_minimum_of_eight_features_in_three_dimensions(p):
    """A square antiprism, but flatter than the tight one, so its features have less than 3/8 of a
    dimension."""
    start = tm.ReluOutput(1.1 * polytopes.antiprism(4)[None], np.full((1, 8), -0.2))
    found = tm.find_minimum(tm.Features(8, p), 3, initial=start)
    D = tm.feature_dimensionality(found.model.W)
    assert found.geometry == "square antiprism" and found.is_local_minimum
    assert np.ptp(D) < 1e-7 and 0.366 < D[0] < 0.375


@given(seeds, st.integers(1, 5), st.integers(1, 9))
def test_dimensions_are_those_of_the_directions(seed, m, n):
    rng = np.random.default_rng(seed)
    axes = rng.integers(m, size=n)
    W = ortho_group.rvs(m, random_state=rng)[:, axes] if m > 1 else np.ones((1, n))
    W = W * 10.0 ** rng.uniform(-5, 5, n) * rng.choice([0, 1], n, p=[0.2, 0.8])
    assert polytopes.dimensions(W) == len(set(axes[W.any(0)]))


@pytest.mark.parametrize("build", [polytopes.polygon, polytopes.simplex, polytopes.cross_polytope,
                                   polytopes.prism, polytopes.antiprism, polytopes.bipyramid])
@pytest.mark.parametrize("k", [10**13, 10**400])
def test_what_does_not_fit_into_memory_is_refused_first(build, k):
    with pytest.raises(ValueError, match="k is too large: it would take"):
        build(k)
    with pytest.raises(ValueError, match="times is too large: it would take"):
        polytopes.merged(np.eye(2), k)
