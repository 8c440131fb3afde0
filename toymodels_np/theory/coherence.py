"""The lowest loss of weights whose columns are nearly orthogonal, by SciPy's SLSQP.

    c   a bound on |cos| between any two columns of W, the coherence                        (14.5)

The bound is c |W_i| |W_j| -+ W_i . W_j >= 0 for all pairs. It holds where a column is zero: such
features are dropped, and each choice of features that are kept is a search of its own.
"""

from contextlib import suppress
from itertools import combinations, islice

import numpy as np
import scipy

from ..core.streams import SEARCH_STREAM, random_stream
from ..geometry.measures import norms
from .descent import blank_loss, evaluate, pack, unpack
from .search import built_starts, by_worth

CHOICES = 60                # choices of kept features that are tried, those worth most of each size
TRIED = 1000                # so many of each size are looked at for different ones
STARTS = 8                  # starts that a choice of features has
ROOT = 1e-16                # under the roots, so that they have slopes at zero columns
ACTIVE = 1e-7               # a bound that is met to so much counts
STEPS = 300
NOTHING = 1e-6              # columns that are shorter are as good as zero
SHAKEN, SHAKE = 8, 0.1      # displaced copies of the free minimum, and by how much of the longest
DIGITS = 1e-13              # SLSQP stops once the loss moves by less, of the blank model's


class Vanished(Exception):
    """All columns are as good as zero, where SLSQP would be busy with the roots' slopes for long.
    """


def coherence(W):
    """max |cos| between two columns of W (m, n) that are not zero; 0 if there are no two."""
    size = norms(W)
    V = W[:, size > 0] / size[size > 0]
    cosine = abs(V.T @ V)
    np.fill_diagonal(cosine, 0)
    return float(cosine.max(initial=0))


def coherent_minimum(task, starts, bound, free, watch):
    """The lowest point (a model) with coherence `bound` that is found, its loss, and the norm of
    the gradient along what is allowed; `free` is the minimum without the bound, which breaks it.
    """
    best, lowest = None, np.inf
    for point, f in _ends(task, starts, bound, free):
        watch(pack(point)[None], np.array([f]), np.zeros(1))
        if f < lowest:
            best, lowest = point, f
    return best, lowest, _slope_along(task, best, bound)


def _ends(task, starts, bound, free):
    """Where searches end, and their losses. At the free minimum itself two columns may be opposite,
    where no bound says which way to turn: it is displaced first.
    """
    size = norms(free.W)
    for number in range(SHAKEN):
        noise = random_stream(0, SEARCH_STREAM, number).normal(size=free.W.shape)
        start = type(free)(free.W + SHAKE * size.max() * noise * (size > 0), free.b)
        yield slsqp(task, start, np.flatnonzero(size > 0), bound)
    for kept in choices(task.features, free.n_hidden):
        for start in _from(task.features, starts, free, kept):
            yield slsqp(task, start, kept, bound)


def choices(features, m):
    """Which features may be kept, the most valuable of every number first."""
    n, order, chosen = features.n_features, by_worth(features), []
    fewest = min(m, n)
    for count in range(n, fewest - 1, -1):
        seen, most = set(), max(1, CHOICES // (n - fewest + 1))
        for kept in islice(combinations(order, count), TRIED):
            kind = tuple((features.importance[i], features.feature_probability[i]) for i in kept)
            alike = len(features.sets) == n and kind in seen        # equal features: one is enough
            if not alike and len(seen) < most:
                seen.add(kind)
                chosen.append(np.sort(kept))
    return chosen


def _from(features, starts, free, kept):
    """Where a search of the kept columns starts: the minimum without a bound and others."""
    some = [free, *(starts[i] for i in range(min(STARTS, len(starts.W))))]
    off = np.ones(free.n_features, bool)
    off[kept] = False
    built = built_starts(features, free.n_hidden, type(free))
    for x in built if built is not None else ():
        if not x.W[:, off].any():
            some.append(x)
    return some


def slsqp(task, start, kept, bound):
    """The minimum near `start` with no columns but `kept`, and its loss."""
    m, n, count = start.n_hidden, start.n_features, len(kept)
    off = np.isin(np.arange(n), kept, invert=True)
    whole = type(start)(np.where(off, 0, start.W),
                        np.where(off, task.features.active_probability / 2, start.b))
    stack = whole[None]
    free, theta = _places(m, n, kept), pack(whole)

    def loss(x, unit):
        theta[free] = x
        if np.linalg.norm(x[:m * count].reshape(m, count), axis=0).max() < NOTHING:
            raise Vanished
        f, g = evaluate(stack, theta[None], task.features, task.penalty)
        return float(f[0]) / unit, g[0, free] / unit

    rules = []
    if count > 1:
        rules = [{"type": "eq" if bound == 0 else "ineq", "fun": _room, "jac": _room_slopes,
                  "args": (m, count, np.triu_indices(count, 1), bound)}]
    ends, x = [], theta[free].copy()
    # In units of its own a steep loss would throw the first steps far away, and from a point that
    # is as good as found it is only in these that what is left of a rare feature's loss counts.
    for unit in (blank_loss(task.features) or 1.0) ** np.array([0.0, 0.5, 1.0]):
        with suppress(ArithmeticError):
            with suppress(Vanished):                            # theta is where that happened
                theta[free] = scipy.optimize.minimize(
                    loss, x, (unit,), jac=True, method="SLSQP", constraints=rules,
                    options={"maxiter": STEPS, "ftol": DIGITS}).x
            x = theta[free]
            point = unpack(whole, _inside(theta, m, n))
            f, _ = evaluate(stack, pack(point)[None], task.features, task.penalty)
            legal = coherence(point.W) <= bound + ACTIVE
            ends.append((float(f[0]) if legal else np.inf, len(ends), point))
    if not ends:
        return whole, np.inf
    f, _, point = min(ends)
    return point, f


def _places(m, n, kept):
    """Where the columns `kept` of W (m, n) and their biases stand among all parameters, W, b."""
    return np.concatenate([(np.arange(m)[:, None] * n + kept).ravel(), m * n + kept])


def _room(x, m, count, pairs, bound):
    """What is left of the bound, for all pairs and both signs, (rules,)."""
    W, size, (i, j) = *_sized(x, m, count), pairs
    most, product = bound * size[i] * size[j], (W[:, i] * W[:, j]).sum(0)
    return np.concatenate([most - s * product for s in _signs(bound)])


def _room_slopes(x, m, count, pairs, bound):
    """The slopes of `_room`, (rules, len(x))."""
    W, size, (i, j) = *_sized(x, m, count), pairs
    rows, (by_product, by_size) = np.arange(len(i)), np.zeros((2, len(i), m, count))
    by_product[rows, :, i], by_product[rows, :, j] = W[:, j].T, W[:, i].T
    by_size[rows, :, i] = (W[:, i] * size[j] / size[i]).T
    by_size[rows, :, j] = (W[:, j] * size[i] / size[j]).T
    slope = np.concatenate([bound * by_size - s * by_product for s in _signs(bound)])
    return np.hstack([slope.reshape(-1, m * count), np.zeros((len(slope), count))])


def _sized(x, m, count):
    """The columns W (m, count) in x, and their norms, which have slopes at 0, too."""
    W = x[:m * count].reshape(m, count)
    return W, np.sqrt((W * W).sum(0) + ROOT)


def _signs(bound):
    """Of the products that are bounded; two columns that must be orthogonal have but one."""
    return (1,) if bound == 0 else (1, -1)


def _inside(theta, m, n):
    """theta with columns that SLSQP left as good as zero at zero."""
    W = theta[:m * n].reshape(m, n).copy()
    W[:, norms(W) < NOTHING] = 0
    return np.append(W.ravel(), theta[m * n:])


def _slope_along(task, point, bound):
    """The norm of the gradient less what active bounds push back: zero at a stationary point."""
    m, n = point.n_hidden, point.n_features
    kept = np.flatnonzero(norms(point.W) > 0)
    free = _places(m, n, kept)
    _, g = evaluate(point[None], pack(point)[None], task.features, task.penalty)
    g = g[0, free]
    if len(kept) < 2:
        return float(np.linalg.norm(g))
    where = pack(point)[free], m, len(kept), np.triu_indices(len(kept), 1), bound
    slope = _room_slopes(*where)[abs(_room(*where)) < 1e3 * ACTIVE]
    if not len(slope):
        return float(np.linalg.norm(g))
    low = -np.inf if bound == 0 else 0
    push = scipy.optimize.lsq_linear(slope.T, g, bounds=(low, np.inf)).x
    return float(np.linalg.norm(g - slope.T @ push))
