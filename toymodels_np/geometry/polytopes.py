"""Build the polytopes that features form, and recognise them.

All have unit vectors as columns and their centre at the origin. Recognising is by shape, not by size, and with the
room below, so that a trained or a slightly deformed solution still has its name. Source: paper, "The Geometry of
Superposition".
"""

import numpy as np

from ..core import checks

DIGON_COSINE = -0.95        # a digon's two columns point apart at least this much; their lengths are free
ANGLE = 0.25                # a k-gon's neighbouring columns are 360/k degrees apart, give or take this fraction
LENGTHS = 1.5               # a polygon's or simplex's longest column is at most this multiple of its shortest
SIMPLEX_COSINE = 0.1        # a simplex's cosines are -1/k, give or take this
FLAT = 0.05                 # singular values below this fraction of the largest do not count as a dimension

POLYGONS = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}


def polygon(k):
    """A regular k-gon, (2, k), k >= 2, anticlockwise from the first axis."""
    angle = 2 * np.pi * np.arange(checks.integer("k", k, minimum=2)) / k
    return np.stack([np.cos(angle), np.sin(angle)])


def digon():
    """Two antipodal columns on one axis, (1, 2)."""
    return np.array([[1.0, -1.0]])


def simplex(k):
    """A regular simplex, k + 1 columns in k dimensions with cosines -1/k, (k, k + 1)."""
    k = checks.integer("k", k)
    centred = np.eye(k + 1) - 1 / (k + 1)
    corners = np.linalg.svd(centred)[2][:k] @ centred
    return corners / np.linalg.norm(corners, axis=0)


def recognise(W):
    """The name of the polytope whose corners are the columns of W (m, n), or None. A single column is "orthogonal".

    Meant for columns that belong together; `tegum.name_geometry` splits a solution into such parts first.
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    lengths = np.linalg.norm(W, axis=0)
    if not lengths.all():
        return None
    n = W.shape[1]
    cosine = (W / lengths).T @ (W / lengths)
    singular = np.linalg.svd(W, compute_uv=False)
    rank = int((singular > FLAT * singular[0]).sum())
    if n == 1:
        return "orthogonal"
    if n == 2:
        return "digon" if cosine[0, 1] <= DIGON_COSINE else None
    if lengths.max() > LENGTHS * lengths.min():
        return None
    if rank == 2:
        return _name_polygon(W if len(W) == 2 else _in_plane(W))
    off_diagonal = cosine[~np.eye(n, dtype=bool)]
    if rank == n - 1 and (abs(off_diagonal + 1 / rank) <= SIMPLEX_COSINE).all():
        return "tetrahedron" if rank == 3 else f"{rank}-simplex"
    return None


def _name_polygon(W):
    """The k-gon that the columns of W (2, k) form in some order, or None."""
    k = W.shape[1]
    angle = np.sort(np.arctan2(W[1], W[0]))
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    even = 2 * np.pi / k
    return POLYGONS.get(k, f"{k}-gon") if (abs(gaps - even) <= ANGLE * even).all() else None


def _in_plane(W):
    """Coordinates (2, n) of columns that span a plane of a larger space."""
    return np.linalg.svd(W, full_matrices=False)[0][:, :2].T @ W
