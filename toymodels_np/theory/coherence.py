"""The lowest loss of weights whose columns are nearly orthogonal, by SciPy's SLSQP.

    c   a bound on |cos| between any two columns of W, the coherence                        (14.5)
    V, s  (m, k), (k,)  the columns that are kept: W_i = s_i V_i / |V_i|, the others are zero

Which features are kept is chosen first, and each choice is a search of its own. Only directions are
bounded, so a search begins where they keep the bound already. On the way lengths are free, even
where the bound leaves the directions none, as three lines in a plane at 60 degrees have.
"""

from contextlib import suppress
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
PATIENCE = 60               # looks after which a search ends that has gained no more than
GAIN, PACE = 1e-7, 0.05     # so much of its loss, and of what it is still above the lowest
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
    lowest, roomless = _Lowest(task, bound, watch), set()
    lowest.search(_shaken(free), np.flatnonzero(norms(free.W) > 0))
    for kept in choices(task.features, free.n_hidden, bound):
        if len(kept) not in roomless and least_loss(task, kept) < lowest.loss:
            if not lowest.search(_from(task.features, starts, free, kept), kept):
                roomless.add(len(kept))                         # whichever they are
    lowest.exchange()
    return lowest.point, lowest.loss, _slope_along(task, lowest.point, bound)


class _Lowest:
    """The lowest point so far that keeps the bound, and its loss."""

    def __init__(self, task, bound, watch):
        self.task, self.bound, self.watch = task, bound, watch
        self.point, self.loss = None, np.inf

    def end(self, start, kept):
        """Search from `start`, whose end may be the lowest point."""
        point, f = slsqp(self.task, start, kept, self.bound, self.loss)
        self.watch(pack(point)[None], np.array([f]), np.zeros(1))
        if f < self.loss:
            self.point, self.loss = point, f

    def search(self, starts, kept):
        """Search from all starts that have room for the columns `kept`; False where none has."""
        room = _with_room(starts, kept, self.bound)
        for start in room:
            self.end(start, kept)
        return bool(room)

    def exchange(self):
        """Search from the lowest point with two columns exchanged or one turned round, which keeps
        the bound and where a search does not come by itself, until none of them lowers it.
        """
        before = np.inf
        while self.loss < before - SAME * abs(self.loss):
            before, made = self.loss, changes(self.task.features, self.point)
            for stack in (made[kind] for kind in ("exchange", "turn") if kind in made):
                for start in stack:
                    self.end(start, np.flatnonzero(norms(start.W) > 0))


def choices(features, m, bound):
    """Which features may be kept, many first, and the most valuable of every number."""
    n, order, chosen = features.n_features, by_worth(features), []
    counts = [k for k in range(min(m, n), n + 1) if least_coherence(k, m) <= bound + ACTIVE]
    for count in reversed(counts):
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


def least_loss(task, kept):
    """What a model that keeps these features loses at least: with its column zero an output is a
    constant, and from no constant is y_i, which is |x_i|, nearer than by its variance.
    """
    if min(task.penalty) < 0:
        return -np.inf
    q = task.features.active_probability
    return np.delete(task.features.importance * q * (4 - 3 * q) / 12, kept).sum()


def _shaken(free):
    """Copies of the free minimum that are displaced: at the minimum itself two columns may be
    opposite, where no bound says which way to turn.
    """
    size, some = norms(free.W), []
    for number in range(SHAKEN):
        noise = random_stream(0, SEARCH_STREAM, number).normal(size=free.W.shape)
        some.append(type(free)(free.W + SHAKE * size.max() * noise * (size > 0), free.b))
    return some


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
        broken = np.flatnonzero(_excess(V, bound) > TIGHT)
        if not len(broken):
            return V
        room, slopes = _room(V, bound)[broken], _room_slopes(V, bound)[broken]
        V = V - np.linalg.lstsq(slopes, room, rcond=DIGITS)[0].reshape(V.shape)
    return None


def slsqp(task, start, kept, bound, goal=np.inf):
    """The minimum near `start` with no columns but `kept`, which keep the bound, and its loss; or
    where the search is when there is no more hope that it comes below `goal`.
    """
    way, m, count = _Way(task, start, kept, bound, goal), start.n_hidden, len(kept)

    def rule(function):
        return lambda x: function(x[:m * count].reshape(m, count), bound)

    rules = [{"type": "eq" if bound == 0 else "ineq", "fun": rule(_room),
              "jac": lambda x: np.pad(rule(_room_slopes)(x), ((0, 0), (0, 2 * count)))}]
    # In units of its own a steep loss would throw the first steps far away, and from a point that
    # is as good as found it is only in these that what is left of a rare feature's loss counts.
    for unit in (blank_loss(task.features) or 1.0) ** np.array([0.0, 0.5, 1.0]):
        way.unit, way.past = unit, []
        with suppress(ArithmeticError, Stalled):
            scipy.optimize.minimize(way.loss, way.x, jac=True, method="SLSQP",
                                    constraints=rules if count > 1 else (),
                                    options={"maxiter": STEPS, "ftol": DIGITS})
    return way.end()


class Stalled(Exception):
    """A search comes no further: its steps shrink to nothing where bounds depend on each other."""


class _Way:
    """The way of one search: the loss of x = V, s and the biases of the columns `kept`, in a unit,
    and the lowest x that keeps the bound.
    """

    def __init__(self, task, start, kept, bound, goal):
        self.task, self.bound, self.goal = task, bound, goal
        self.m, self.count = start.n_hidden, len(kept)
        off = np.isin(np.arange(start.n_features), kept, invert=True)
        q, size = task.features.active_probability, norms(start.W[:, kept])
        self.model = type(start)(np.where(off, 0, start.W), np.where(off, q / 2, start.b))
        self.theta, self.free = pack(self.model), _places(self.m, len(q), kept)
        self.x = np.concatenate([(start.W[:, kept] / size).ravel(), size, start.b[kept]])
        self.lowest, self.unit, self.past = np.inf, 1.0, []

    def place(self, x):
        """Put x into theta, and return V, |V| and s."""
        V, s, b = np.split(x, np.cumsum([self.m * self.count, self.count]))
        V = V.reshape(self.m, self.count)
        size = norms(V)
        self.theta[self.free] = np.append((s * V / size).ravel(), b)
        return V, size, s

    def evaluate(self, theta):
        """The loss at theta, a float, and its gradient (P,)."""
        f, g = evaluate(self.model[None], theta[None], self.task.features, self.task.penalty)
        return float(f[0]), g[0]

    def loss(self, x):
        """The loss at x and its gradient, in the unit."""
        V, size, s = self.place(x)
        f, g = self.evaluate(self.theta)
        if f < self.lowest and _excess(V, self.bound).max(initial=0) <= ACTIVE:
            self.x, self.lowest = x.copy(), f
        self.past.append(self.lowest)
        least = max(GAIN * abs(self.lowest), PACE * (self.lowest - self.goal))
        if len(self.past) > PATIENCE and not self.past[-PATIENCE] - self.lowest > least:
            raise Stalled
        by_W, by_b = g[self.free][:V.size].reshape(V.shape), g[self.free][V.size:]
        U = V / size
        by_s = (by_W * U).sum(0)
        by_V = (by_W - by_s * U) * s / size
        return f / self.unit, np.concatenate([by_V.ravel(), by_s, by_b]) / self.unit

    def end(self):
        """The lowest point, its columns that are as good as zero at zero, and its loss, which is
        infinite where none was seen.
        """
        if self.lowest == np.inf:
            return self.model, np.inf
        self.place(self.x)
        W = self.theta[:self.model.W.size].reshape(self.model.W.shape)      # a view
        W[:, norms(W) < NOTHING] = 0
        f, _ = self.evaluate(self.theta)
        return unpack(self.model, self.theta), f


def _places(m, n, kept):
    """Where the columns `kept` of W (m, n) and their biases stand among all parameters, W, b."""
    return np.concatenate([(np.arange(m)[:, None] * n + kept).ravel(), m * n + kept])


def _room(V, bound):
    """What is left of the bound, for all pairs of columns of V (m, k) and both signs, (rules,)."""
    U, (i, j) = V / norms(V), np.triu_indices(V.shape[1], 1)
    cosine = (U[:, i] * U[:, j]).sum(0)
    return np.concatenate([bound - s * cosine for s in _signs(bound)])


def _excess(V, bound):
    """By how much the bound is broken, for every rule of `_room`; below 0 where it is not."""
    room = _room(V, bound)
    return abs(room) if bound == 0 else -room


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
