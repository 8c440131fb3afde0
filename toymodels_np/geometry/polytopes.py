"""Build the polytopes that features form, and recognise them.

All are built from unit columns with their centre at the origin; only `merged` shortens columns. Recognising is by
shape, not by size, and with the room below, so that a trained or a slightly deformed solution still has its name.

    k  the number of corners (polygons), of corners of a base (prisms), or of dimensions (simplex, cross-polytope)

Source: paper, "The Geometry of Superposition"; derivations/08.
"""

from itertools import permutations

import numpy as np
from scipy.linalg import block_diag, qr
from scipy.sparse.csgraph import connected_components

from ..core import checks

DIGON_COSINE = -0.95        # a digon's two columns point apart at least this much; their lengths are free
MERGED = 0.95               # columns that agree at least this much with their common direction share one corner
ANGLE = 0.25                # a k-gon's neighbouring columns are 360/k degrees apart, give or take this fraction
LENGTHS = 1.5               # the longest corner is at most this multiple of the shortest
TURNED = 12                 # degrees: a corner of a simplex, prism or antiprism is at most this far from its place
FLAT = 0.5                  # singular values of unit columns up to this are no dimension; a tight frame's are 1 or more
TIGHT = 3**-0.5             # the height at which a prism or antiprism is a tight frame

POLYGONS = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
BASES = {3: "triangular", 4: "square", 5: "pentagonal", 6: "hexagonal", 7: "heptagonal", 8: "octagonal"}


# -- building --------------------------------------------------------------------------------------------------------

def polygon(k):
    """A regular k-gon, (2, k), k >= 2, anticlockwise from the first axis. (8.1)"""
    angle = 2 * np.pi * np.arange(checks.integer("k", k, minimum=2)) / k
    return np.stack([np.cos(angle), np.sin(angle)])


def digon():
    """Two antipodal columns on one axis, (1, 2)."""
    return np.array([[1.0, -1.0]])


def simplex(k):
    """A regular simplex, k + 1 columns in k dimensions with cosines -1/k, (k, k + 1). (8.2)"""
    k = checks.integer("k", k)
    centred = np.eye(k + 1) - 1 / (k + 1)
    corners = np.linalg.svd(centred)[2][:k] @ centred
    return corners / np.linalg.norm(corners, axis=0)


def cross_polytope(k):
    """k antipodal pairs on k orthogonal axes, (k, 2k): the tegum product of k digons. k = 3 is the octahedron."""
    return tegum_product(*[digon()] * checks.integer("k", k))


def prism(k, height=TIGHT):
    """Two k-gons one above the other, (3, 2k), at the heights ±height in (0, 1), or "uniform": all edges equal. (8.3)

    The columns of the upper one come first. TIGHT makes a tight frame; for k = 4 that is the cube.
    """
    return _rings(checks.integer("k", k, minimum=3), height, 0)


def antiprism(k, height=TIGHT):
    """Like `prism`, with the lower k-gon turned by half a step; k = 3 at the height TIGHT is the octahedron. (8.3)"""
    return _rings(checks.integer("k", k, minimum=3), height, np.pi / k)


def bipyramid(k):
    """A k-gon with a column above and one below, (3, k + 2): the tegum product of a k-gon and a digon."""
    return tegum_product(polygon(k), digon())


def tegum_product(*factors, dropped=0):
    """The factors (m_1, n_1), … in orthogonal subspaces, side by side, and `dropped` columns of zeros. (8.7)"""
    dropped = checks.integer("dropped", dropped, minimum=0)
    if not factors:
        raise ValueError("tegum_product must be given at least one factor")
    blocks = [checks.array(f"factor {i}", V, ndim=2, dtype=np.float64) for i, V in enumerate(factors)]
    return np.pad(block_diag(*blocks), ((0, 0), (0, dropped)))


def merged(W, times):
    """Each column of W (m, n) `times` over, shortened by √times: WW' stays the same. `times` is one count. (8.6)"""
    W, times = checks.array("W", W, ndim=2, dtype=np.float64), checks.integer("times", times)
    return np.repeat(W, times, axis=1) / np.sqrt(times)


def _rings(k, height, turn):
    if isinstance(height, str) and height == "uniform":
        steepness = (np.cos(turn) - np.cos(2 * np.pi / k)) / 2                                              # (8.5)
        height = np.sqrt(steepness / (1 + steepness))
    if checks.real("height", height, above=0) >= 1:
        raise ValueError(f"height must be below 1, got {height}")
    angle = 2 * np.pi * np.arange(k) / k + turn * np.array([[0], [1]])
    level = np.array([[height], [-height]]) * np.ones(k)
    return np.stack([np.cos(angle) * (1 - height**2)**0.5, np.sin(angle) * (1 - height**2)**0.5, level]).reshape(3, -1)


# -- recognising -----------------------------------------------------------------------------------------------------

def recognise(W):
    """The name of the polytope whose corners are the columns of W (m, n), or None. A single column is "orthogonal".

    Heights of prisms and antiprisms are free. Several columns that point the same way are one corner, as long as
    √(Σ ‖W_i‖²): "triangle of 6" is a triangle whose corners are shared by 6 features, "bundle of 3" one direction of 3.
    Meant for columns that belong together; `tegum.name_geometry` splits a solution into such parts first.
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    if not np.linalg.norm(W, axis=0).all():
        return None
    name = _name(W)
    if name:
        return name
    corners = _merge(W)
    name = "bundle" if corners.shape[1] == 1 else _name(corners) if corners.shape[1] < W.shape[1] else None
    return name and f"{name} of {W.shape[1]}"


def dimensions(W):
    """How many dimensions the columns of W (m, n) span: how many singular values of unit columns exceed FLAT. (8.10)"""
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    lengths = np.linalg.norm(W, axis=0)
    return int((np.linalg.svd(W / np.where(lengths > 0, lengths, 1), compute_uv=False) > FLAT).sum())


def _name(W):
    n, lengths = W.shape[1], np.linalg.norm(W, axis=0)
    unit = W / lengths
    if n == 1:
        return "orthogonal"
    if n == 2:
        return "digon" if unit[:, 0] @ unit[:, 1] <= DIGON_COSINE else None
    if lengths.max() > LENGTHS * lengths.min():
        return None
    basis, singular, _ = np.linalg.svd(unit, full_matrices=False)
    rank = int((singular > FLAT).sum())                                 # as in `dimensions`
    unit = basis[:, :rank].T @ unit                                     # coordinates in the space that they span
    if rank == 2:
        return _name_polygon(unit)
    if rank == n - 1 and _misfit(unit[None], simplex(rank)) <= TURNED:              # corners in any order are alike
        return "tetrahedron" if rank == 3 else f"{rank}-simplex"
    if rank == 3 and n % 2 == 0 and n // 2 in BASES and (unit.T @ unit - np.eye(n)).max() < MERGED:
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
    """The octahedron, or the prism or antiprism of any height, that unit columns (3, 2k) form in any order, or None."""
    if k == 3 and _fit(unit, cross_polytope(3)) <= TURNED:
        return "octahedron"
    fits = {}
    for height in singular[[0, 2]] / np.sqrt(2 * k):                    # the odd one of the three is 2k height² (8.4)
        for kind, build in (("prism", prism), ("antiprism", antiprism)):
            fits[kind, height] = _fit(unit, build(k, min(height, 0.99)))
    best = min(fits, key=fits.get)
    return f"{BASES[k]} {best[0]}" if fits[best] <= TURNED else None


def _fit(unit, reference):
    """`_misfit` over relabellings of `unit` (r, n) too. Each r of its columns are laid onto r independent ones of the
    reference, which labels the others by who comes nearest: n!/(n - r)! starts instead of n! orders. (8.12)"""
    r, n = reference.shape
    frame = qr(reference, mode="r", pivoting=True)[-1][:r]
    starts = unit[:, np.array(list(permutations(range(n), r)))].swapaxes(0, 1)      # (S, r, r)
    nearest = (reference.T @ _onto(starts, reference[:, frame]) @ unit).argmax(-1)  # (S, n)
    orders = np.unique(nearest[(np.sort(nearest) == np.arange(n)).all(-1)], axis=0)
    return _misfit(unit[:, orders].swapaxes(0, 1), reference) if len(orders) else np.inf


def _misfit(units, reference):
    """The angle in degrees by which the worst column misses its own in the reference; of units (S, r, n), the best."""
    cosine = ((_onto(units, reference) @ units) * reference).sum(-2).min(-1).max()
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _onto(units, reference):
    """The rotations (S, r, r) that bring units (S, r, n) nearest to the reference (r, n), column by column. (8.11)"""
    U, _, Vt = np.linalg.svd(reference @ units.swapaxes(-1, -2))
    return U @ Vt


def _merge(W):
    """W (m, n) with columns that point the same way put together: a corner's length is √(Σ ‖W_i‖²). (8.6)"""
    unit = W / np.linalg.norm(W, axis=0)
    count, label = connected_components(unit.T @ unit >= MERGED)
    corners = np.stack([W[:, label == c].sum(1) for c in range(count)], axis=1)
    corners /= np.maximum(np.linalg.norm(corners, axis=0), np.finfo(float).tiny)
    if ((unit * corners[:, label]).sum(0) < MERGED).any():              # a chain of small steps, not one direction
        return W
    return corners * np.sqrt([(W[:, label == c] ** 2).sum() for c in range(count)])
