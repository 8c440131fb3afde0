"""Build the polytopes that features form, and recognise them.

    V, W  (m, n)  n corners, or features, as columns in m dimensions
    k     corners of a polygon, corners of a prism's base, or dimensions of a simplex or
          cross-polytope

    >>> digon().tolist(), recognise([[3, -2]])                  # two columns on one axis
    ([[1.0, -1.0]], 'digon')

All are built from unit columns with their centre at the origin; only `merged` shortens columns.
Recognising is by shape, not by size, and with the room below, so that a trained or a slightly
deformed solution still has its name.
Equations (8.k) are in derivations/08-polytopes-and-tegum-products.md.
Source: paper, "The Geometry of Superposition".
"""

from itertools import permutations

import numpy as np
import scipy

from ..core import checks
from .measures import directions, split_power

DIGON_COSINE = -0.95        # cosine of a digon's two columns, at most; their lengths are free
MERGED = 0.95               # cosine with their common direction at which columns share a corner
ANGLE = 0.25                # part of 360/k degrees by which a k-gon's neighbours may miss it
LENGTHS = 1.5               # the longest corner is at most this multiple of the shortest
TURNED = 12                 # degrees that a corner of another polytope may be from its place
SPANNED = 0.5               # a singular value of unit columns above this is a dimension that they
                            # span; those of a tight frame are 1 or more
TIGHT = 3**-0.5             # the height at which a prism or antiprism is a tight frame

POLYGONS = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
BASES = {3: "triangular", 4: "square", 5: "pentagonal", 6: "hexagonal", 7: "heptagonal",
         8: "octagonal"}


# -- building

def polygon(k):
    """A regular k-gon, (2, k), k >= 2, anticlockwise from the first axis. (8.1)"""
    k = checks.integer("k", k, minimum=2)
    checks.memory("k", 50 * k)
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)])


def digon():
    """Two antipodal columns on one axis, (1, 2)."""
    return np.array([[1.0, -1.0]])


def simplex(k):
    """A regular simplex, k + 1 columns in k dimensions with cosines -1/k, (k, k + 1). (8.2)"""
    k = checks.integer("k", k)
    checks.memory("k", 40 * (k + 1) ** 2)
    j = np.arange(1, k + 1)
    corners = np.tri(k, k + 1)                  # row j: j ones, then -j, which sums to zero,
    corners[j - 1, j] = -j                      # as all rows do, and they are orthogonal
    return corners * np.sqrt((k + 1) / (k * j * (j + 1.0)))[:, None]


def cross_polytope(k):
    """k antipodal pairs on k orthogonal axes, (k, 2k); k = 3 is the octahedron.

    It is the tegum product of k digons.
    """
    k = checks.integer("k", k)
    checks.memory("k", 40 * k**2)
    return np.kron(np.eye(k), digon())


def prism(k, height=TIGHT):
    """Two k-gons one above the other, (3, 2k), at the heights ±height in (0, 1). (8.3)

    The columns of the upper one come first. TIGHT makes a tight frame; for k = 4 that is the cube.
    "uniform" makes all edges equal.
    """
    return _rings(k, height, 0)


def antiprism(k, height=TIGHT):
    """Like `prism`, with the lower k-gon turned by half a step. (8.3)

    k = 3 at the height TIGHT is the octahedron.
    """
    return _rings(k, height, 1)


def bipyramid(k):
    """A k-gon with a column above and one below, (3, k + 2): a tegum product with a digon."""
    return tegum_product(polygon(k), digon())


def tegum_product(*factors, dropped=0):
    """The factors (m_1, n_1), … side by side in orthogonal subspaces, and `dropped` zeros. (8.7)"""
    dropped = checks.integer("dropped", dropped, minimum=0)
    if not factors:
        raise ValueError("tegum_product must be given at least one factor")
    blocks = [checks.array(f"factor {i}", V, ndim=2, dtype=np.float64)
              for i, V in enumerate(factors)]
    checks.memory("dropped", 16 * dropped * sum(map(len, blocks)))
    return np.pad(scipy.linalg.block_diag(*blocks), ((0, 0), (0, dropped)))


def merged(W, times):
    """Each column of W (m, n) `times` over, shortened by √times: WW' stays as it is. (8.6)"""
    W, times = checks.array("W", W, ndim=2, dtype=np.float64), checks.integer("times", times)
    checks.memory("times", 16 * W.size * times)
    return np.repeat(W, times, axis=1) / np.sqrt(times)


def _rings(k, height, half_steps):
    """Two k-gons (3, 2k), the lower one turned by so many half steps."""
    k = checks.integer("k", k, minimum=3)
    checks.memory("k", 150 * k)
    turn = half_steps * np.pi / k
    if isinstance(height, str) and height == "uniform":
        steepness = (np.cos(turn) - np.cos(2 * np.pi / k)) / 2                          # (8.5)
        height = np.sqrt(steepness / (1 + steepness))
    if isinstance(height, str):
        raise TypeError(f'height must be a real number in (0, 1) or "uniform", got {height!r}')
    if checks.real("height", height, above=0) >= 1:
        raise ValueError(f"height must be below 1, got {height}")
    angle = 2 * np.pi * np.arange(k) / k + turn * np.array([[0], [1]])                  # (2, k)
    level = np.array([[height], [-height]]) * np.ones(k)                                # (2, k)
    radius = (1 - height**2)**0.5
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius, level]).reshape(3, -1)


# -- recognising

def recognise(W):
    """The name of the polytope whose corners are the columns of W (m, n), or None.

    A single column is "orthogonal". Heights of prisms and antiprisms are free. Several columns
    that point the same way are one corner, as long as √(Σ ‖W_i‖²): "triangle of 6" is a triangle
    whose corners are shared by 6 features, "bundle of 3" one direction of 3.
    Meant for columns that belong together; `tegum.name_geometry` splits a solution into such parts
    first.
    """
    W, _ = split_power(checks.array("W", W, ndim=2, dtype=np.float64))
    if not W.any(0).all():
        return None
    name = _name(W)
    if name:
        return name
    corners = corners_of(W)
    name = None
    if corners.shape[1] == 1:
        name = "bundle"
    elif corners.shape[1] < W.shape[1]:
        name = _name(corners)
    return name and f"{name} of {W.shape[1]}"


def dimensions(W):
    """How many dimensions the columns of W (m, n) span. (8.10)

    They are the singular values of its unit columns that exceed SPANNED.
    """
    unit, _ = directions(checks.array("W", W, ndim=2, dtype=np.float64))
    return _rank(np.linalg.svd(unit, compute_uv=False))


def _rank(singular):
    return int((singular > SPANNED).sum())


def _name(W):
    """The name of the polytope with one corner a column, or None."""
    unit, lengths = directions(W)
    n = len(lengths)
    if n == 1:
        return "orthogonal"
    if n == 2:
        return "digon" if unit[:, 0] @ unit[:, 1] <= DIGON_COSINE else None
    if lengths.max() > LENGTHS * lengths.min():
        return None
    basis, singular, _ = np.linalg.svd(unit, full_matrices=False)
    rank = _rank(singular)
    unit = basis[:, :rank].T @ unit                         # coordinates in what they span
    if rank == 2:
        return _name_polygon(unit)
    if rank == n - 1 and misfit(unit[None], simplex(rank)) <= TURNED:       # in any order alike
        return "tetrahedron" if rank == 3 else f"{rank}-simplex"
    apart = (unit.T @ unit - np.eye(n)).max() < MERGED
    if rank == 3 and n % 2 == 0 and n // 2 in BASES and apart:
        return _name_rings(unit, n // 2, singular)
    return None


def _name_polygon(W):
    """The k-gon that the columns of W (2, k) form in some order, or None."""
    k = W.shape[1]
    angle = np.sort(np.arctan2(W[1], W[0]))
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    even = 2 * np.pi / k
    return POLYGONS.get(k, f"{k}-gon") if (abs(gaps - even) <= ANGLE * even).all() else None


def _name_rings(unit, k, singular):
    """The octahedron, prism or antiprism that unit columns (3, 2k) form in any order, or None."""
    if k == 3 and fit(unit, cross_polytope(3)) <= TURNED:
        return "octahedron"
    fits = {}
    # Two of three singular values are equal; the other one, first or last, is √(2k) height.
    for height in singular[[0, 2]] / np.sqrt(2 * k):
        for kind, build in (("prism", prism), ("antiprism", antiprism)):                # (8.4)
            fits[kind, height] = fit(unit, build(k, min(height, 0.99)))
    best = min(fits, key=fits.get)
    return f"{BASES[k]} {best[0]}" if fits[best] <= TURNED else None


def fit(unit, reference):
    """`misfit` over relabellings of `unit` (r, n) too. (8.12)

    Every choice of r columns is laid onto r independent ones of the reference, which labels the
    others by who comes nearest: n!/(n - r)! starts instead of n! orders.
    """
    r, n = reference.shape
    _, pivots = scipy.linalg.qr(reference, mode="r", pivoting=True)
    frame = pivots[:r]                                      # r independent columns
    starts = unit[:, np.array(list(permutations(range(n), r)))].swapaxes(0, 1)          # (S, r, r)
    turned = _onto(starts, reference[:, frame]) @ unit                                  # (S, r, n)
    nearest = (reference.T @ turned).argmax(-1)                                         # (S, n)
    # Only those count in which every column is nearest to one of its own.
    orders = np.unique(nearest[(np.sort(nearest) == np.arange(n)).all(-1)], axis=0)
    return misfit(unit[:, orders].swapaxes(0, 1), reference) if len(orders) else np.inf


def misfit(units, reference):
    """By how many degrees the worst column misses its own in the reference (r, n).

    Of several candidates, units (S, r, n), it is that of the best one.
    """
    cosine = ((_onto(units, reference) @ units) * reference).sum(-2).min(-1).max()
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _onto(units, reference):
    """Orthogonal matrices (S, r, r) that bring units (S, r, n) nearest to a reference. (8.11)"""
    U, _, Vt = np.linalg.svd(reference @ units.swapaxes(-1, -2))
    return U @ Vt


def corners_of(W):
    """W (m, n) with columns that point the same way as one corner of length √(Σ ‖W_i‖²). (8.6)"""
    unit, _ = directions(W)
    count, label = scipy.sparse.csgraph.connected_components(unit.T @ unit >= MERGED)
    shared, _ = directions(np.stack([W[:, label == c].sum(1) for c in range(count)], axis=1))
    if ((unit * shared[:, label]).sum(0) < MERGED).any():   # a chain of small steps, not one way
        return W
    return shared * np.sqrt([(W[:, label == c] ** 2).sum() for c in range(count)])
