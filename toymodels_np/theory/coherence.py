"""The lowest loss of weights whose columns are nearly orthogonal, by SciPy's SLSQP.

    c   a bound on |cos| between any two columns of W, the coherence                        (14.5)
    V, s  (m, k), (k,)  the columns that are kept: W_i = s_i V_i / |V_i|, the others are zero

Which features are kept is chosen first, and each choice is a search of its own. Only directions are
bounded, so a search begins where they keep the bound already. On the way lengths are free, even
where the bound leaves the directions none, as three lines in a plane at 60 degrees have.
"""

from itertools import combinations, islice

import numpy as np
import scipy

from ..core.streams import SEARCH_STREAM, random_stream
from ..geometry.measures import norms
from .descent import blank_loss, evaluate, pack, unpack
from .search import SAME, built_starts, by_worth, changes

CHOICES = 60                # choices of kept features that are tried, those worth most of each size
TRIED = 1000                # so many of each size are looked at for different ones
STARTS = 8                  # starts that a choice of features has
ACTIVE = 1e-7               # a bound that is met to so much counts,
LEANING = 1e-4              # and one with no more room than this may push back
STEPS = 300
NOTHING = 1e-6              # columns that are shorter are as good as zero
SHAKEN, SHAKE = 8, 0.1      # displaced copies of the free minimum, and by how much of the longest
APART = 1e-3                # by so much directions are displaced that are to turn apart,
ROUNDS, TIGHT = 200, 1e-10  # in so many steps at most, until the bound is met to so much
DIGITS = 1e-13              # SLSQP stops once the loss moves by less, of the blank model's


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
    def best_of(ends):
        best, lowest = None, np.inf
        for point, f in ends:
            watch(pack(point)[None], np.array([f]), np.zeros(1))
            if f < lowest:
                best, lowest = point, f
        return best, lowest

    best, lowest = best_of(_ends(task, starts, bound, free))
    while True:
        point, f = best_of(_beside(task, best, bound))
        if not f < lowest - SAME * abs(lowest):
            return best, lowest, _slope_along(task, best, bound)
        best, lowest = point, f


def _beside(task, best, bound):
    """Where searches end that begin at the best point with two columns exchanged or one turned
    round: what keeps the bound, and where a search does not come by itself.
    """
    made = changes(task.features, best)
    for stack in (made[kind] for kind in ("exchange", "turn") if kind in made):
        for start in stack:
            yield slsqp(task, start, np.flatnonzero(norms(start.W) > 0), bound)


def _ends(task, starts, bound, free):
    """Where searches end, and their losses. At the free minimum itself two columns may be opposite,
    where no bound says which way to turn: it is displaced first.
    """
    size = norms(free.W)
    shaken, kept = [], np.flatnonzero(size > 0)
    for number in range(SHAKEN):
        noise = random_stream(0, SEARCH_STREAM, number).normal(size=free.W.shape)
        shaken.append(type(free)(free.W + SHAKE * size.max() * noise * (size > 0), free.b))
    for start in _with_room(shaken, kept, bound):
        yield slsqp(task, start, kept, bound)
    for kept in choices(task.features, free.n_hidden, bound):
        room = _with_room(_from(task.features, starts, free, kept), kept, bound)
        if not room:                                        # nor is there for more of them
            break
        for start in room:
            yield slsqp(task, start, kept, bound)


def choices(features, m, bound):
    """Which features may be kept, few first, and the most valuable of every number."""
    n, order, chosen = features.n_features, by_worth(features), []
    counts = [k for k in range(min(m, n), n + 1) if least_coherence(k, m) <= bound + ACTIVE]
    for count in counts:
        seen, most = set(), max(1, CHOICES // len(counts))
        for kept in islice(combinations(order, count), TRIED):
            kind = tuple((features.importance[i], features.feature_probability[i]) for i in kept)
            alike = len(features.sets) == n and kind in seen        # equal features: one is enough
            if not alike and len(seen) < most:
                seen.add(kind)
                chosen.append(np.sort(kept))
    return chosen


def least_coherence(k, m):
    """What the coherence of k columns in m dimensions is at least. (14.7)"""
    return ((k - m) / (m * (k - 1))) ** 0.5 if k > m else 0.0


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


def _with_room(starts, kept, bound):
    """Those of the starts whose columns `kept` could be turned until they keep the bound."""
    some = []
    for start in starts:
        W, size = start.W.copy(), norms(start.W)
        # Columns on one line do not say which way to turn, and zero ones have no direction.
        noise = random_stream(0, SEARCH_STREAM, SHAKEN).normal(size=W.shape)
        V = W / np.where(size > 0, size, 1) + np.where(size > 0, APART, 1) * noise
        V = turned_apart(V[:, kept], bound)
        if V is not None:
            W[:, kept] = V * np.maximum(size[kept], NOTHING)
            some.append(type(start)(W, start.b))
    return some


def turned_apart(V, bound):
    """The columns V (m, k) as unit vectors that keep the bound, or None: Newton's method on what
    breaks it, by the shortest step.
    """
    for _ in range(ROUNDS):
        V = V / norms(V)
        room = _room(V, bound)
        broken = np.flatnonzero((abs(room) if bound == 0 else -room) > TIGHT)
        if not len(broken):
            return V
        slopes = _room_slopes(V, bound)[broken]
        V = V - np.linalg.lstsq(slopes, room[broken], rcond=DIGITS)[0].reshape(V.shape)
    return None


def slsqp(task, start, kept, bound):
    """The minimum near `start` with no columns but `kept`, which keep the bound, and its loss."""
    m, n, count = start.n_hidden, start.n_features, len(kept)
    off = np.isin(np.arange(n), kept, invert=True)
    whole = type(start)(np.where(off, 0, start.W),
                        np.where(off, task.features.active_probability / 2, start.b))
    free, theta, split = _places(m, n, kept), pack(whole), np.cumsum([m * count, count])

    def loss(x, unit):
        V, s, b = np.split(x, split)
        V = V.reshape(m, count)
        U = V / norms(V)
        theta[free] = np.append((s * U).ravel(), b)
        f, g = evaluate(whole[None], theta[None], task.features, task.penalty)
        by_W, by_b = np.split(g[0, free] / unit, split[:1])
        by_W = by_W.reshape(m, count)
        by_s = (by_W * U).sum(0)
        by_V = (by_W - by_s * U) * s / norms(V)
        return float(f[0]) / unit, np.concatenate([by_V.ravel(), by_s, by_b])

    def rule(function):
        return lambda x: function(x[:m * count].reshape(m, count), bound)

    rules = [{"type": "eq" if bound == 0 else "ineq", "fun": rule(_room),
              "jac": lambda x: np.pad(rule(_room_slopes)(x), ((0, 0), (0, 2 * count)))}]
    size = norms(start.W[:, kept])
    x, ends = np.concatenate([(start.W[:, kept] / size).ravel(), size, start.b[kept]]), []
    # In units of its own a steep loss would throw the first steps far away, and from a point that
    # is as good as found it is only in these that what is left of a rare feature's loss counts.
    for unit in (blank_loss(task.features) or 1.0) ** np.array([0.0, 0.5, 1.0]):
        try:
            x = scipy.optimize.minimize(loss, x, (unit,), jac=True, method="SLSQP",
                                        constraints=rules if count > 1 else (),
                                        options={"maxiter": STEPS, "ftol": DIGITS}).x
            loss(x, unit)                                       # theta is there from now on
            point = unpack(whole, _inside(theta, m, n))
            f, _ = evaluate(whole[None], pack(point)[None], task.features, task.penalty)
        except ArithmeticError:
            continue
        legal = coherence(point.W) <= bound + ACTIVE
        ends.append((float(f[0]) if legal else np.inf, len(ends), point))
    f, _, point = min(ends, default=(np.inf, 0, whole))
    return point, f


def _places(m, n, kept):
    """Where the columns `kept` of W (m, n) and their biases stand among all parameters, W, b."""
    return np.concatenate([(np.arange(m)[:, None] * n + kept).ravel(), m * n + kept])


def _room(V, bound):
    """What is left of the bound, for all pairs of columns of V (m, k) and both signs, (rules,)."""
    U, (i, j) = V / norms(V), np.triu_indices(V.shape[1], 1)
    cosine = (U[:, i] * U[:, j]).sum(0)
    return np.concatenate([bound - s * cosine for s in _signs(bound)])


def _room_slopes(V, bound):
    """The slopes of `_room` by V, (rules, m k)."""
    size, (i, j) = norms(V), np.triu_indices(V.shape[1], 1)
    U, rows = V / size, np.arange(len(i))
    cosine, slope = (U[:, i] * U[:, j]).sum(0), np.zeros((len(i), *V.shape))
    slope[rows, :, i] = ((U[:, j] - cosine * U[:, i]) / size[i]).T
    slope[rows, :, j] = ((U[:, i] - cosine * U[:, j]) / size[j]).T
    return np.concatenate([-s * slope for s in _signs(bound)]).reshape(-1, V.size)


def _signs(bound):
    """Of the cosines that are bounded; two columns that must be orthogonal have but one."""
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
    _, g = evaluate(point[None], pack(point)[None], task.features, task.penalty)
    g, V = g[0, _places(m, n, kept)], point.W[:, kept]
    slope = _room_slopes(V, bound)[_room(V, bound) < LEANING] if len(kept) > 1 else V[:0]
    if not len(slope):
        return float(np.linalg.norm(g))
    low, slope = -np.inf if bound == 0 else 0, np.pad(slope, ((0, 0), (0, len(kept))))
    push = scipy.optimize.lsq_linear(slope.T, g, bounds=(low, np.inf)).x
    return float(np.linalg.norm(g - slope.T @ push))
