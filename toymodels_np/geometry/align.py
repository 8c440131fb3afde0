"""A canonical position for a solution, and the distance between two: both up to O(m).

    W  (m, n)  a solution; column i is feature i's direction      R  (m, n)  the reference
    Q  (m, m)  a rotation or reflection of the hidden space       P  an order of the features

    >>> align([[0, 3], [-4, 0]]).tolist()             # the longest column first, on the first axis
    [[4.0, 0.0], [0.0, 3.0]]

Nothing that a model with a linear hidden layer computes changes under W -> QW, so two runs that
found the same solution differ by a Q, and for features that are alike also by their order.
"""

from itertools import permutations

import numpy as np
import scipy

from ..core import checks
from .measures import split_power

SAME = 1e-6                 # relative difference up to which two lengths or coordinates are equal
ROUNDING = 1e-12            # and up to which it is rounding
MOST_FRAMES = 512           # starting positions tried at most; past that, ties are broken by index
MOST_ORDERED = 6            # columns of which every order is tried, 720 at most


def align(W, reference=None, *, relabel=True):
    """W (..., m, n), turned into a canonical position or onto `reference` (m, n).

    Without a reference the longest column lies along the first axis, the column farthest from it
    in the half plane of the first two, and so on, each positive along the axis that it adds; the
    columns come in descending order of their coordinates. Equivalent matrices give the same result
    to rounding, if there are at most MOST_FRAMES starting positions.
    With relabel=False features keep their place: column 0 lies along the first axis, column 1 in
    the half plane, …

    With a reference it is the position that minimises ‖QWP - R‖_F. With relabel=False, and for up
    to MOST_ORDERED features, that is exact (Procrustes); else it is a search over starts, which
    finds any exact match if there are at most MOST_FRAMES of them.

    Raises TypeError or ValueError on bad arguments, OverflowError where float64 is too small.
    """
    W, reference = _check(W, reference, relabel)
    found = [_scaled(A, power) for A, _, power in _positions(W, reference, relabel)]
    return np.reshape(found, W.shape)


def distance(W, reference, *, relabel=True):
    """min ‖QWP - R‖_F over all Q and, if `relabel`, all P: (...) for W (..., m, n).

    As exact as `align`: the same whichever of the two is the reference, and 0 to rounding where
    they are equivalent.
    """
    if reference is None:
        raise TypeError("reference must be an array of real numbers (m, n), got None")
    W, reference = _check(W, reference, relabel)
    found = [_scaled(np.linalg.norm(A - R, axis=(-2, -1)), power)
             for A, R, power in _positions(W, reference, relabel)]
    return np.reshape(found, W.shape[:-2])[()]


def _positions(W, reference, relabel):
    """(A, R, power) of each matrix of W: 2^power A is its position, 2^power R the reference.

    The power of 2 changes no digit, and makes the largest entry about 1, so no square overflows.
    """
    for w in W.reshape(-1, *W.shape[-2:]):
        if reference is None:
            w, power = split_power(w)
            yield _canonical(w) if relabel else _in_order(w), None, power
        else:
            (w, R), power = split_power(np.stack([w, reference]))
            yield _match(w, R) if relabel else _procrustes(w, R), R, power


# -- canonical positions

def _in_order(W):
    """W turned so that its first independent columns are upper triangular, the diagonal
    positive."""
    return _frames(W, _first)[0] @ W


def _canonical(W):
    """Of all frames from a longest column, that whose sorted columns are lexicographically last.

    What is alike on a coarse grid is told apart on a fine one.
    """
    scale = np.linalg.norm(W, axis=0).max() or 1.0      # the same for all that are equivalent
    candidates = []
    for Q in _frames(W, _longest):
        A = Q @ W
        coarse, fine = (np.round(A / scale / step) + 0.0 for step in (10 * SAME, ROUNDING))
        order = np.lexsort(np.vstack([fine[::-1], coarse[::-1]]))[::-1]
        keys = [grid[:, order].T.ravel() for grid in (coarse, fine)]
        candidates.append((tuple(np.concatenate(keys)), A[:, order]))
    return max(candidates, key=lambda candidate: candidate[0])[1]


# -- onto a reference

def _procrustes(W, R):
    """QW for the Q that brings W (..., m, n) nearest to R: Q = UV' where RW' = U S V'."""
    U, _, Vt = np.linalg.svd(R @ W.swapaxes(-1, -2))
    return U @ Vt @ W


def _match(W, R):
    """The best of all orders of W's columns, turned onto R; of more than MOST_ORDERED columns the
    best of many starting positions, each improved by relabelling and turning in turn.

    They are: every frame of W laid onto one of R, every frame of R laid onto one of W, columns
    paired by their rows of the Gram matrix, and columns paired as they stand, so that relabelling
    is never worse than none. Exchanging W and R exchanges the first two, so the distance has no
    direction.
    """
    if W.shape[1] <= MOST_ORDERED:
        orders = np.array(list(permutations(range(W.shape[1]))))
        overlap = np.linalg.svd(R @ W.T[orders], compute_uv=False).sum(-1)
        # That is (‖W‖² + ‖R‖² - d²) / 2, which cannot tell orders apart whose d² is rounding.
        near = orders[overlap >= overlap.max() - ROUNDING * (W * W + R * R).sum()]
        turned = _procrustes(W[:, near].swapaxes(0, 1), R)                              # (S, m, n)
        return turned[np.linalg.norm(turned - R, axis=(-2, -1)).argmin()]
    frames, R_frames = _frames(W, _any), _frames(R, _any)
    rows, R_rows = (np.sort(A.T @ A, axis=0) for A in (W, R))
    unlike = ((rows[:, None, :] - R_rows[:, :, None]) ** 2).sum(0)      # [j, i]: columns R_j, W_i
    starts = [_procrustes(W[:, scipy.optimize.linear_sum_assignment(unlike)[1]], R)]
    starts += [_procrustes(W, R)]
    starts += [R_frames[0].T @ Q @ W for Q in frames] + [Q.T @ frames[0] @ W for Q in R_frames]
    best, lowest = None, np.inf
    for start in starts:
        A, cost = _improved(start, R)
        if cost < lowest:
            best, lowest = A, cost
        if lowest <= 1e-12 * np.linalg.norm(R):                         # an exact match
            break
    return best


def _improved(A, R):
    """A (m, n), relabelled and turned in turn while that brings it nearer to R, and ‖A - R‖."""
    cost = np.inf
    while True:
        _, order = scipy.optimize.linear_sum_assignment(-R.T @ A)      # row j of R: column order[j]
        A = _procrustes(A[:, order], R)
        last, cost = cost, np.linalg.norm(A - R)
        if not cost < last - 1e-12:
            return A, cost


# -- frames: orthogonal matrices made of W's own columns

def _first(lengths):
    """The first column that is no combination of those before."""
    return np.flatnonzero(lengths > SAME * lengths.max())[:1]


def _any(lengths):
    """All columns outside the span of those before, the farthest first."""
    order = np.argsort(-lengths, kind="stable")
    return order[lengths[order] > SAME * lengths.max()]


def _longest(lengths):
    """The columns that are farthest from the span of those before."""
    return np.flatnonzero(lengths >= (1 - SAME) * lengths.max())


def _frames(W, pivots):
    """Orthogonal matrices Q (m, m), one for each way to pick pivot columns: a list, never empty.

    `pivots(lengths)` lists the columns that may come next, given their lengths outside the span of
    those before.
    """
    m = len(W)
    frames = [np.empty((0, m))]                             # orthonormal rows (k, m), k growing
    smallest = SAME * (np.linalg.norm(W, axis=0).max() or 1.0)
    for _ in range(m):
        longer = []
        for basis in frames:
            outside = W - basis.T @ (basis @ W)
            lengths = np.linalg.norm(outside, axis=0)
            if lengths.max() <= smallest:
                longer.append(basis)                        # W's columns end here
                continue
            columns = pivots(lengths)
            room = MOST_FRAMES - len(frames)
            for i in columns[:max(1, room)]:
                longer.append(np.vstack([basis, outside[:, i] / lengths[i]]))
        frames = longer[:MOST_FRAMES]
    return [_complete(basis) for basis in frames]


def _complete(basis):
    """Orthonormal rows (k, m) completed to an orthogonal (m, m)."""
    k, m = basis.shape
    if k == m:
        return basis
    return np.vstack([basis, np.linalg.svd(basis)[2][k:] if k else np.eye(m)])


# -- what may be asked

def _check(W, reference, relabel):
    """W (..., m, n) and the reference (m, n) or None in float64, else TypeError or ValueError."""
    W = checks.weights(W).astype(np.float64, copy=False)
    if not isinstance(relabel, (bool, np.bool_)):
        raise TypeError(f"relabel must be True or False, got {relabel!r}")
    if reference is not None:
        reference = checks.array("reference", reference, ndim=2, dtype=np.float64)
        if reference.shape != W.shape[-2:]:
            raise ValueError(f"reference must have shape {W.shape[-2:]} like W, "
                             f"got {reference.shape}")
    return W, reference


def _scaled(a, power):
    """2^power a, or an OverflowError."""
    with np.errstate(over="ignore"):
        a = np.ldexp(a, power)
    if not np.isfinite(a).all():
        raise OverflowError("W or reference is too large: the result does not fit into float64")
    return a
