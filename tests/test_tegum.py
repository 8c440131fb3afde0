"""A solution splits into its tegum factors, and has its name whatever its position, order, size and
noise."""

import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.linalg import block_diag
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.geometry import polytopes, tegum

# Names do not depend on empty dimensions. That there are some is warned of, which has a test.
pytestmark = pytest.mark.filterwarnings("ignore:W has .* dimensions for .* feature")

seeds = st.integers(0, 2**32 - 1)


def lines(V):
    """Each column with its antipode: as many digons as V has columns."""
    return np.hstack([V, -V])


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
    "2 triangles + pentagon": block_diag(polytopes.polygon(3), polytopes.polygon(5),
                                         polytopes.polygon(3)),
    "2 digons + triangle": block_diag([[1, -1]], polytopes.polygon(3), [[1, -1]]),
    "tetrahedron + triangle + orthogonal": block_diag(polytopes.polygon(3), polytopes.simplex(3),
                                                      np.eye(1)),
    "2 hexagons": block_diag(polytopes.polygon(6), polytopes.polygon(6)),
    "triangular prism": polytopes.prism(3),
    "square prism": polytopes.prism(4),
    "pentagonal prism + digon": block_diag(polytopes.prism(5), [[1, -1]]),
    "square antiprism": polytopes.antiprism(4),
    "2 square antiprisms + triangle": block_diag(polytopes.antiprism(4),
                                                 polytopes.antiprism(4, "uniform"),
                                                 polytopes.polygon(3)),
    "octahedron": polytopes.antiprism(3, 0.7),
    "triangular antiprism": polytopes.antiprism(3, 0.8),
    "3 digons + triangle + 2 dropped":
        polytopes.tegum_product(polytopes.cross_polytope(3), polytopes.polygon(3), dropped=2),
    "bundle of 2": np.ones((1, 2)),
    "2 bundles of 3": polytopes.merged(np.eye(2), 3),
    "digon of 3": np.array([[0.7, 0.7, -1]]),
    "2 digons of 4": polytopes.merged(polytopes.polygon(4), 2),
    "triangle of 6 + digon": block_diag(polytopes.merged(polytopes.polygon(3), 2), [[1, -1]]),
    "pentagon of 6": polytopes.polygon(5)[:, [0, 0, 1, 2, 3, 4]] * [0.5**0.5, 0.5**0.5, 1, 1, 1, 1],
    "7 digons in 6 dimensions": lines(polytopes.simplex(6)),
    "2 times 7 digons in 6 dimensions + digon": block_diag(*[lines(polytopes.simplex(6))] * 2,
                                                           [[1, -1]]),
    "12 digons in 11 dimensions": lines(polytopes.simplex(11)),      # its |cos| is below ORTHOGONAL
    "11-simplex": polytopes.simplex(11),
    "irregular": at(0, 45),
    "2 irregular": block_diag(at(0, 30), at(0, 60)),
    "irregular + digon": block_diag(at(0, 30, 60), [[1, -1]]),
    "irregular + dropped": np.append(at(0, 45), np.zeros((2, 1)), axis=1),
}


# -- names

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
    """Neighbours up to a quarter of 360/k off, lengths within a factor of 1.5; and nothing
    beyond."""
    rng, even = np.random.default_rng(seed), 360 / k
    angle = even * (np.arange(k) + rng.uniform(-0.12, 0.12, k))      # gaps change by less than 0.24
    W = scale * at(*angle) * rng.uniform(1, 1.49, k)
    assert tm.name_geometry(moved(W, rng)) == GONS[k]
    beyond = even * np.arange(k) + np.where(np.arange(k) == 1, 0.27 * even, 0)
    assert tm.name_geometry(moved(at(*beyond), rng)) == "irregular"
    lopsided = at(*even * np.arange(k)) * np.where(np.arange(k) == 1, 1.6, 1)
    assert tm.name_geometry(moved(lopsided, rng)) == "irregular"


@given(seeds, st.floats(0.06, 100))
def test_digons_within_their_tolerances_keep_their_name(seed, scale):
    """Each direction up to 2.8 degrees off: right angles stay within |cos| <= 0.1.

    Lengths are free, down to 0.012: below 0.01 nothing is represented.
    """
    rng = np.random.default_rng(seed)
    angle = np.array([0, 180, 90, 270]) + rng.uniform(-2.8, 2.8, 4)
    # and the fifth is dropped
    W = np.append(at(*angle) * rng.uniform(0.2, 1.9, 4), 0.0199 * at(77), axis=1)
    assert tm.name_geometry(scale * moved(W, rng)) == "2 digons + dropped"
    bent = rng.uniform(20, 80)
    assert tm.name_geometry(moved(at(0, 180 - bent), rng)) == "irregular"
    assert tm.name_geometry(moved(at(0, rng.uniform(162, 198)), rng)) == "digon"


@given(seeds, st.integers(3, 6))
def test_a_simplex_within_its_tolerance_keeps_its_name(seed, k):
    rng, V = np.random.default_rng(seed), polytopes.simplex(k)
    noise = rng.normal(size=V.shape)
    W = V + 0.03 * noise / np.linalg.norm(noise, axis=0)            # cosines move by less than 0.1
    assert tm.name_geometry(moved(W, rng)) == ("tetrahedron" if k == 3 else f"{k}-simplex")


@given(seeds, st.floats(6.5, 22))
def test_a_sheared_square_is_a_square_until_its_diagonals_are_orthogonal(seed, shear):
    rng = np.random.default_rng(seed)
    assert tm.name_geometry(moved(at(0, 90 + shear, 180, 270 + shear), rng)) == "square"
    upright = shear / 4            # less than 5.7 degrees: |cos| < 0.1
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
    W = np.random.default_rng(seed).normal(size=(m, n))
    W = W * np.random.default_rng(seed + 1).choice([0, 1, 1], n)
    name, parts = tm.name_geometry(W), tegum.factors(W)
    kept = sorted(i for part in parts for i in part)
    assert len(set(kept)) == len(kept) and name
    assert set(kept) == set(np.flatnonzero(tm.norms(W) >= max(0.1 * tm.norms(W).max(), 0.01)))
    assert [len(part) for part in parts] == sorted(map(len, parts), reverse=True)
    cosine = abs(tm.gram(W)) / np.maximum(np.outer(tm.norms(W), tm.norms(W)), 1e-300)
    for k, part in enumerate(parts):
        for other in parts[:k]:
            assert (cosine[np.ix_(part, other)] <= tegum.BLURRED[-1] + 1e-12).all()


def test_a_name_of_one_geometry_is_not_given_to_another():
    """The negative control: names of different shapes differ."""
    assert len({tm.name_geometry(W) for W in NAMES.values()}) == len(NAMES)


# -- products of many factors, with noise

FACTORS = {
    "digon": polytopes.digon(), "triangle": polytopes.polygon(3), "pentagon": polytopes.polygon(5),
    "hexagon": polytopes.polygon(6), "tetrahedron": polytopes.simplex(3),
    "4-simplex": polytopes.simplex(4),
    "triangular prism": polytopes.prism(3), "square antiprism": polytopes.antiprism(4),
    "triangular antiprism": polytopes.antiprism(3, 0.8),
    "pentagonal antiprism": polytopes.antiprism(5),
    "triangle of 6": polytopes.merged(polytopes.polygon(3), 2), "orthogonal": np.eye(1),
}
PLURALS = {"4-simplex": "4-simplices", "triangle of 6": "triangles of 6",
           "orthogonal": "orthogonal"}


def parsed(name):
    """Counter of the parts of a name, in the singular."""
    singular = {PLURALS.get(one, f"{one}s"): one for one in FACTORS}
    parts = Counter()
    for words in name.split(" + "):
        head, _, tail = words.partition(" ")
        count, word = (int(head), singular.get(tail, tail)) if head.isdigit() else (1, words)
        parts[word] += count
    return parts


def noisy(W, rng, degrees):
    """Lengths up to 10 % and directions `degrees` off, in any of the dimensions that there are."""
    noise = rng.normal(size=W.shape)
    noise -= W * (noise * W).sum(0) / np.maximum((W * W).sum(0), 1e-300)
    length, size = np.linalg.norm(W, axis=0), np.linalg.norm(noise, axis=0)
    noise *= np.tan(np.radians(degrees)) * length / np.maximum(size, 1e-300)
    return (W + noise) * rng.uniform(0.9, 1.1, W.shape[1])


@given(st.lists(st.sampled_from(sorted(FACTORS)), min_size=1, max_size=12), st.integers(0, 5),
       seeds,
       st.floats(0.02, 1e3))
def test_a_product_is_named_by_its_factors(names, dropped, seed, scale):
    """Directions 2.5 degrees off: right angles stay within |cos| <= 0.1."""
    rng = np.random.default_rng(seed)
    W = polytopes.tegum_product(*[FACTORS[name] for name in names], dropped=dropped)
    # room for the noise of a single digon
    W = np.vstack([W, np.zeros((rng.integers(1, 4), W.shape[1]))])
    expected = Counter(names) + Counter(dropped=dropped)
    assert parsed(tm.name_geometry(scale * moved(noisy(W, rng, 2.5), rng))) == expected


def test_sixty_features_in_thirty_dimensions():
    rng = np.random.default_rng(0)
    names = ["digon"] * 12 + ["triangle"] * 4 + ["pentagon"] * 2 + ["square antiprism"] * 2
    W = polytopes.tegum_product(*[FACTORS[name] for name in names], dropped=2)
    assert W.shape == (30, 64)
    assert (tm.name_geometry(moved(noisy(W, rng, 3), rng))
            == "12 digons + 2 square antiprisms + 4 triangles + 2 pentagons + 2 dropped")


# -- blurred solutions, and crowded ones

def tilted(k, cosine):
    """k digons whose axes have this cosine, each with the next."""
    gram = np.eye(k) + cosine * (np.eye(k, k=1) + np.eye(k, k=-1))
    return lines(np.linalg.cholesky(gram).T)


@pytest.mark.parametrize("k, cosine, name", [
    (2, 0.09, "2 digons"), (3, 0.09, "3 digons"), (2, 0.12, "square"), (3, 0.12, "octahedron"),
    (5, 0.12, "5 digons"),
    (5, 0.28, "5 digons"), (5, 0.3, "irregular"), (9, 0.17, "9 digons")])
def test_weak_links_are_cut_where_the_dimensions_add_up(k, cosine, name):
    assert tm.name_geometry(moved(tilted(k, cosine), np.random.default_rng(k))) == name


@pytest.mark.parametrize("k", range(4, 14))
def test_one_digon_too_many_is_said(k):
    """k + 1 lines in k dimensions have |cos| 1/k, and look like digons one by one."""
    assert tm.name_geometry(moved(lines(polytopes.simplex(k)), np.random.default_rng(k))) == (
        f"{k + 1} digons in {k} dimensions")


@pytest.mark.parametrize("room, name", [(16, "12 digons + 2 pentagons"),
                                        (15, "12 digons, 2 pentagons in 15 dimensions")])
def test_shapes_without_room_are_one_factor(room, name):
    """Sixteen dimensions of shapes, seen along their diagonal: no |cos| between them exceeds 0.1;
    one is missing."""
    W = polytopes.tegum_product(*[polytopes.digon()] * 12, polytopes.polygon(5),
                                polytopes.polygon(5))
    onto = np.linalg.svd(np.ones((1, 16)))[2][16 - room:]
    assert tm.name_geometry(moved(onto @ W, np.random.default_rng(0))) == name


def test_the_largest_come_first_in_factors_and_in_names():
    """Of names that hold as many features, that of the largest polytope."""
    W = polytopes.tegum_product(polytopes.digon(), polytopes.polygon(5), [[1.0]], dropped=1)
    assert [part.tolist() for part in tm.factors(W)] == [[2, 3, 4, 5, 6], [0, 1], [7]]
    digon, tetrahedron = polytopes.digon(), polytopes.simplex(3)
    W = polytopes.tegum_product(digon, tetrahedron, digon)
    assert tm.name_geometry(W) == "tetrahedron + 2 digons"


def test_lines_at_equal_angles_are_not_orthogonal():
    """Five lines in four dimensions at |cos| = 1/4: single features, and too many of them."""
    W = polytopes.simplex(4)
    W[:, 0] *= -1
    assert tm.name_geometry(W) == "irregular"


@pytest.mark.parametrize("link, name", [(0.12, "irregular"), (0.05, "2 irregular")])
def test_a_weak_link_is_not_cut_for_the_sake_of_no_polytope(link, name):
    angle = np.radians([0, 60, 100])
    W = block_diag(*[[np.cos(angle), np.sin(angle)]] * 2)
    W[0, 3] = link
    assert tm.name_geometry(W) == name


def test_two_features_are_orthogonal_or_not():
    """The looser cuts are for the sake of polytopes."""
    assert tm.name_geometry(at(0, 95)) == "2 orthogonal"
    assert tm.name_geometry(at(0, 98)) == "irregular"                       # |cos| = 0.14
    assert tm.name_geometry(at(0, 180, 98)) == "digon + orthogonal"


@given(seeds, st.integers(3, 12), st.integers(2, 4))
def test_random_weights_are_irregular(seed, m, times):
    """The negative control: at least twice as many features as dimensions, in no order."""
    W = np.random.default_rng(seed).normal(size=(m, times * m))
    assert tm.name_geometry(W).count("irregular") == 1


# -- weights that lie on their side, and numbers at the ends of float64

@pytest.mark.parametrize("function", [tm.name_geometry, tm.factors])
def test_more_dimensions_than_features_are_warned_of(function):
    with pytest.warns(UserWarning, match=r"W has 5 dimensions for 2 features: .* W\.T\?") as caught:
        function(polytopes.polygon(5).T)
    assert caught[0].filename == __file__                           # it points at the caller
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(polytopes.polygon(5))
        function(np.eye(3))
        tegum.geometry_of(polytopes.polygon(5).T)                   # who knows what W is asks this


@pytest.mark.parametrize("size", [1e155, 1e307])
@pytest.mark.parametrize("name", ["pentagon", "2 digons of 4", "square antiprism", "octahedron"])
def test_a_name_has_no_upper_size(name, size):
    assert tm.name_geometry(size * NAMES[name]) == name
    assert polytopes.recognise(NAMES["pentagon"] * 1e-300) == "pentagon"


def test_what_is_kept_is_what_is_not_dropped():
    assert tegum.kept([[1, 0.099, 0.101, 0]]).tolist() == [0, 2]
    assert tegum.kept([[0.0099, 0.0101]]).tolist() == [1]
    assert tegum.kept([[0.0, 0.0]]).tolist() == []
