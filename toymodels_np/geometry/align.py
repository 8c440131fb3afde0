"""A canonical position for a solution, and the distance between two: both up to O(m), and up to the features' names.

    Q  a rotation or reflection of the hidden space, (m, m)      R  the reference, (m, n)

Nothing that a model with a linear hidden layer computes changes under W -> QW, so two runs that found the same
solution differ by a Q, and for features that are alike also by their order.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..core import checks

SAME = 1e-6                 # relative difference below which two lengths or coordinates count as equal
MOST_FRAMES = 512           # starting positions tried at most; past that, ties are broken by index


def align(W, reference=None, *, relabel=True):
    """W (..., m, n) turned, and its columns reordered if `relabel`, into a canonical position or onto `reference`.

    Without a reference: the longest column lies along the first axis, the column farthest from it in the half plane
    of the first two, and so on, all with positive coordinates; columns come in descending order of their coordinates.
    Equivalent matrices give the same result to rounding. With relabel=False column 0 lies along the first axis,
    column 1 in the half plane, …: features keep their place.

    With a reference (m, n): the position that minimises ‖QW - R‖_F. That is exact with relabel=False (Procrustes);
    with relabelling it is a search over starts that finds any exact match.
    """
    W = checks.weights(W).astype(np.float64, copy=False)
    if not isinstance(relabel, (bool, np.bool_)):
        raise TypeError(f"relabel must be True or False, got {relabel!r}")
    if reference is not None:
        reference = checks.array("reference", reference, ndim=2, dtype=np.float64)
        if reference.shape != W.shape[-2:]:
            raise ValueError(f"reference must have shape {W.shape[-2:]} like W, got {reference.shape}")
    flat = W.reshape(-1, *W.shape[-2:])
    if reference is None:
        place = _canonical if relabel else _in_order
        return np.stack([place(w) for w in flat]).reshape(W.shape)
    place = _match if relabel else _procrustes
    return np.stack([place(w, reference) for w in flat]).reshape(W.shape)


def distance(W, reference, *, relabel=True):
    """min ‖QWP - R‖_F over rotations and reflections Q and, if `relabel`, permutations P; (...) for W (..., m, n).

    As exact as `align`: the same whichever of the two is the reference, and 0 to rounding where they are equivalent.
    """
    reference = checks.array("reference", reference, ndim=2, dtype=np.float64)
    return np.linalg.norm(align(W, reference, relabel=relabel) - reference, axis=(-2, -1))


def _in_order(W):
    """Rotate so that the first independent columns are upper triangular with a positive diagonal."""
    return _frame(W, lambda lengths: [np.flatnonzero(lengths > SAME * lengths.max())[0]])[0] @ W


def _canonical(W):
    """Of all frames that start at a longest column, the one whose sorted columns are lexicographically last."""
    scale = np.linalg.norm(W, axis=0).max() or 1.0                      # the same for all that are equivalent
    candidates = []
    for Q in _frame(W, _longest(SAME)):
        A = Q @ W
        coarse = np.round(A / scale / SAME / 10) + 0.0
        order = np.lexsort(coarse[::-1])[::-1]
        candidates.append((tuple(coarse[:, order].T.ravel()), A[:, order]))
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _procrustes(W, R):
    U, _, Vt = np.linalg.svd(R @ W.T)
    return U @ Vt @ W


def _match(W, R):
    """The best of many starting positions of W, each improved by relabelling and turning it in turn.

    They are: every frame of W laid onto one of R, every frame of R laid onto one of W, and columns paired by their
    rows of the Gram matrix. Exchanging W and R exchanges the first two, so the distance has no direction.
    """
    frames, R_frames = _frame(W, _any), _frame(R, _any)
    rows, R_rows = (np.sort(A.T @ A, axis=0) for A in (W, R))
    unlike = ((rows[:, None, :] - R_rows[:, :, None]) ** 2).sum(0)      # [j, i]: columns R_j and W_i
    starts = [_procrustes(W[:, linear_sum_assignment(unlike)[1]], R)]
    starts += [R_frames[0].T @ Q @ W for Q in frames] + [Q.T @ frames[0] @ W for Q in R_frames]
    best, lowest = None, np.inf
    for A in starts:
        cost = np.inf
        while True:
            _, order = linear_sum_assignment(-R.T @ A)                  # row j of R takes column order[j] of A
            A = _procrustes(A[:, order], R)
            last, cost = cost, np.linalg.norm(A - R)
            if not cost < last - 1e-12:
                break
        if cost < lowest:
            best, lowest = A, cost
        if lowest <= 1e-12 * np.linalg.norm(R):                         # an exact match
            break
    return best


def _any(lengths):
    order = np.argsort(-lengths, kind="stable")
    return order[lengths[order] > SAME * lengths.max()]


def _longest(tolerance):
    return lambda lengths: np.flatnonzero(lengths >= (1 - tolerance) * lengths.max())


def _frame(W, pivots):
    """Orthogonal matrices Q (m, m), one for each way to pick pivot columns one after the other. A list, never empty.

    `pivots(lengths)` lists the columns that may come next, given their lengths outside the span of those before.
    """
    m = len(W)
    frames, smallest = [np.empty((0, m))], SAME * (np.linalg.norm(W, axis=0).max() or 1.0)
    for _ in range(m):
        longer = []
        for basis in frames:
            outside = W - basis.T @ (basis @ W)
            lengths = np.linalg.norm(outside, axis=0)
            if lengths.max() <= smallest:
                longer.append(basis)                                    # W's columns end here
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
