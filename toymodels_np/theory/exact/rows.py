"""The exact loss of one output for any number of features: corners for the few large gains, a
series for the many small ones.

    z     input of an output's ReLU, b + sum_j g_j x_j      own   the feature to be reproduced
    y     the target, x_own (or |x_own| if signed)          l     E[z_+^2 - 2 v y z_+]
    v     the target's unit                                 A     the K features that are split off
    t     sum of g_j x_j over all features but those        c     a corner: z where t = 0 and those
    F_q   z_+^q / q!                                              in A are at their ends
    h_q   E[F_q(c + t) - v y F_(q-1)(c + t)], y being 0 if own is in A

The recursion of `corners.py` splits off A. It ends where z no longer changes sign, with a
polynomial, or else at a corner c that is within reach of t: there h_q is a polynomial too, plus the
supports with at most one other small feature on, as cubes, plus a sine series (`series.py`). All of
this is linear in h_q, so that all corners of a row share one sum over the nodes. Rows N are outputs
of instances. Equations (4.k) are in derivations/04-exact-loss.md.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from .corners import DUAL, Corners, lay, powers, sum_products
from .law import Moments, chance_of_any
from .series import FIRST, GRAD, LAST, Sums, sum_series

RARE = 40.0             # what is left out happens at most exp(-RARE) as often as that any
                        # feature is on                                                     (4.19)
TINY = 1e-10            # another feature's gain below this part of |z| acts by its mean     (4.20)
MOST = 10               # features that are split off at most
ROOM = 2**20            # numbers in one array of corners
ROUGH = 1e-6            # from this rtol on, a quarter of the nodes are tried first
STEEP = 4.0             # a gain is split off if what is left reaches at most so many times further
NODE, CORNER, GROUP = 50, 500, 2e6       # nanoseconds: a node and feature, a corner, a group
STEADY = 0.1            # what is left of a product if it does not shrink
CAUTION = 20.0          # by which corners count as dearer, since nodes are guessed too high
NEGLIGIBLE = 1e-40      # supports rarer than this part of any feature's being on are left out
ROUNDING = 4 * np.finfo(float).eps
# 1 / (1 + e^-x) as a power series                                                         (4.22)
SIGMOID = (1 / 2, 1 / 4, 0, -1 / 48, 0, 1 / 480, 0, -17 / 80640, 0, 31 / 1451520, 0,
           -691 / 319334400, 0)


class Rows(NamedTuple):
    """N rows: p (J, N) set probabilities, b (N,), g (n, N) gains, own (N,), v (N,)."""

    p: np.ndarray
    b: np.ndarray
    g: np.ndarray
    own: np.ndarray
    v: np.ndarray

    def take(self, r):
        """The rows r alone."""
        return Rows(*(a[..., r] for a in self))


def sum_rows(law, p, b, g, own, rtol, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)] for v = 1, and the estimated error (N,) of l, or if this
    is more max(P, 1) / GRAD times that of the gradient's worst entry, for P the largest |z|.

    p (J, N) set probabilities, b (N,), g (n, N), own (N,). A row is summed until its error is below
    rtol times its share of the loss, E[y^2] + l, or 1e-3 E[y^2] if that is more, and until the
    gradient's is below GRAD times that over max(P, 1); or else until LAST nodes. Without
    `with_grad` only l is there.
    """
    everyone = np.arange(len(b))
    size = np.maximum(abs(b), abs(g).max(0))
    scale = 2.0 ** np.round(np.log2(np.clip(size, 1e-100, None)))
    rows = Rows(p, b / scale, g / scale, own, 1 / scale)
    low, high = reach(law, rows.p, rows.g)
    P = np.maximum(rows.b + high, -rows.b - low)
    y_y = law.active(p)[own, everyone] / 3
    tiny = (abs(rows.g) < TINY * P) & (low + rows.b < 0) & (high + rows.b > 0)              # (4.20)
    tiny[~law.alone] = False
    tiny[own, everyone] = False
    mean = law.mean * law.active(p)                                     # (n, N)  E[x]
    rows = rows._replace(b=rows.b + (np.where(tiny, rows.g, 0) * mean).sum(0),
                         g=np.where(tiny, 0, rows.g), p=p.copy())
    rows.p[:len(law.single)][tiny[law.single]] = 0

    total = [np.zeros(len(b)), np.zeros(len(b)), np.zeros((law.n, len(b)))][:1 + 2 * with_grad]
    error, worth = np.zeros(len(b)), np.maximum(P, rows.v) / GRAD
    count, order = split(law, rows, y_y, rtol, worth)
    for r in groups(count):
        K = count[r].max()
        chosen = np.where(np.arange(K)[:, None] < count[r], order[:K, r], -1)
        part = Meeting(law, rows.take(r), chosen)
        parts, error[r] = part.solve(rtol, y_y[r], worth[r], with_grad)
        for sums, x in zip(total, parts):
            sums[..., r] = x
    if with_grad:
        total[2][tiny] = (mean * total[1])[tiny]
        total[1], total[2] = scale * total[1], scale * total[2]
    some = np.where(chance_of_any(rows.p) > 0, chance_of_any(p), 0)
    error += ROUNDING * (some * P**2 + np.maximum(rows.b, 0) ** 2)
    return [scale**2 * total[0], *total[1:]], scale**2 * error


def groups(count):
    """Sets of rows that are worked on together, not too many. A row that splits off fewer features
    than the others of its set costs as they do, which a set of its own must outweigh.
    """
    sets, spare, top = [], 0.0, 0
    for k, rows in sorted(Counter(count.tolist()).items(), reverse=True):
        spare -= rows * (corner_cost(top) - corner_cost(k))
        if not sets or spare < 0:
            sets, spare, top = [*sets, []], GROUP, k
        sets[-1].append(k)
    for ks in sets:
        r = np.flatnonzero(np.isin(count, ks))
        yield from np.array_split(r, -(-len(r) * (max(ks) + 4 << max(ks) + 1) // ROOM))


def corner_cost(k):
    """Nanoseconds that the corners of a row cost if k features are split off."""
    return CORNER * 2**k * (k + 3)


def reach(law, p, g, tries=6):
    """Two arrays (N,): t is below the first or above the second with a chance of at most
    exp(-RARE) times that of any feature. (4.19)
    """
    low, high = np.minimum(g, -g if law.signed else 0), np.maximum(g, -g if law.signed else 0)
    low, high = low.sum(0), high.sum(0)
    largest = np.maximum(high, -low)
    largest = np.where(largest > 0, largest, 1.0)                       # (N,)
    rare = RARE - np.log(np.maximum(chance_of_any(p), 1e-300))
    slope = rare / largest * 2.0 ** np.arange(tries)[:, None]           # (tries, N)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        y = g[:, None] * np.concatenate([slope, -slope])                # (n, 2 tries, N)
        y = np.where(abs(y) < 1e-300, 1e-300, y)
        t = law.sums(p[:, None], np.sinh(y) / y if law.signed else np.expm1(y) / y)
        bound = np.log(t + (1 - p)[:, None]).sum(0) + rare              # (2 tries, N)
        bound = bound.reshape(2, *slope.shape) / slope
    bound = np.where(np.isfinite(bound), bound, np.inf).min(1)          # (2, N)
    return np.maximum(low, -bound[1]), np.minimum(high, bound[0])


def split(law, rows, y_y, rtol, worth):
    """How many features each row splits off (N,), and which, (MOST, N), the largest first: as many
    as make the work least.
    """
    N = len(rows.b)
    single = np.array(law.single, int)
    most = 0 if law.signed else min(MOST, len(single))
    if not most:
        return np.zeros(N, int), np.zeros((0, N), int)
    size = abs(rows.g[single]) * (rows.p[:len(single)] > 0)
    order = single[np.argpartition(-size, most - 1, axis=0)[:most]]     # (most, N)
    order = np.take_along_axis(order, np.argsort(-abs(rows.g[order, np.arange(N)]), axis=0), 0)
    cost, left = np.full((most + 1, N), np.inf), rows
    corners, allowed = rows.b[None], rtol * y_y * rows.v**2
    for k in range(most + 1):
        if k:
            left, gain = without(law, left, order[k - 1:k])
            corners = np.concatenate([corners, corners + gain])         # (2^k, N)
        low, high = reach(law, left.p, left.g, 2)
        live = ((corners + low < 0) & (corners + high > 0)).sum(0)
        width = high - low
        nodes = np.where(live > 0, count_nodes(law, left, width, allowed, worth), 0)
        cost[k] = (nodes + 100 * live) * NODE * law.n + CAUTION * corner_cost(k)
        if k:
            cost[k, ~((abs(gain[0]) > 0) & (abs(gain[0]) * STEEP >= width))] = np.inf
        if (nodes <= FIRST).all():                                      # more would cost more
            break
    return cost.argmin(0), order


def without(law, rows, features):
    """The rows without some of their features (K, N), -1 for none, and their gains (K, N)."""
    everyone, p, g = np.arange(len(rows.b)), rows.p.copy(), rows.g.copy()
    there = features >= 0
    gain = np.where(there, g[features, everyone], 0)
    for j, here in zip(features, there):
        g[j[here], everyone[here]] = 0
        p[law.set_of[j[here]], everyone[here]] = 0
    return rows._replace(p=p, g=g), gain


def count_nodes(law, rows, width, allowed, worth):
    """About how many nodes a series over t will need, (N,)."""
    kappa = FIRST * 2.0 ** np.arange(0, 8)[:, None]                      # (8, N)
    omega = np.pi * kappa / np.where(width > 0, width, 1)
    decay = np.minimum(1, 2 / (omega * np.maximum(abs(rows.g), 1e-300)[:, None]))
    t = law.sums(rows.p[:, None], decay)
    S = np.maximum(1 - rows.p, 1e-100)[:, None]
    none, one = S.prod(0), S.prod(0) * (t / S).sum(0)
    several = np.maximum((S + t).prod(0) - none - one, 0)
    # A slope lacks its own gain's decay: where all else is tiny but on, its terms do not shrink,
    # nor do their phases turn, so that they add up.
    slope = ((S + t).prod(0) / (S + t) - none / S).max(0) - one
    slope = np.where(slope > STEADY, slope * kappa / 2, 0)
    term = 4 / np.maximum(width, 1e-300) / omega**2
    with np.errstate(over="ignore"):
        bad = (term * several / omega > allowed) | (term * (one + slope) * worth > allowed)
    guess = FIRST * 2.0 ** bad.sum(0)
    return np.clip(1024 * (guess / 1500) ** 1.8, FIRST, LAST)           # as measured


class Meeting:
    """Some rows, with as many features `chosen` (K, N) split off, or -1 where a row has fewer."""

    def __init__(self, law, rows, chosen):
        self.law, self.chosen, self.all_rows = law, chosen, rows
        self.K, self.N, self.everyone = len(chosen), len(rows.b), np.arange(len(rows.b))
        self.Q = self.K + 2                                             # the highest order
        self.rows, gain = without(law, rows, chosen)
        self.unit = rows.v / DUAL
        p = np.where(chosen >= 0, rows.p[law.set_of[chosen], self.everyone], 0)
        self.own_here = (chosen != rows.own).all(0)                     # own is one of the small
        gain = gain + 1j * DUAL * (chosen == rows.own)
        self.cube = cube = lay(rows.b[None], gain[:, None], p[:, None])
        own = np.where(self.own_here, rows.own, -1)
        self.moments = Moments(law, self.rows.p, self.rows.g, own, self.Q)
        self.range = reach(law, self.rows.p, self.rows.g)
        rest = (self.moments.mu[:, None], self.range[0][None], self.range[1][None])
        self.tree = Corners(cube, rest=rest)
        self.tree.weigh(np.full((1, 1, self.N), 2 + 0j))

    def real(self, x):
        """A result with the dual part's share: Re x - v Im x / DUAL. (4.10)"""
        return x.real - self.unit * x.imag

    def solve(self, rtol, y_y, worth, with_grad):
        """[l, dl/db, dl/dg], or [l], and the error of l (N,)."""
        weights = self.tree.dH[0][:, :, 0]                              # (K + 1, 2^K, N)
        live = self.tree.across[self.tree.at[0]][:, 0]
        if not live.any():
            parts = self._finish(None, np.zeros((self.Q + 1, self.N)), with_grad)
            return parts, np.zeros(self.N)
        ends = Ends(self, live, weights)
        known = self.real(self.tree.combine(ends.spread())[0, 0])[ends.rows] * 2
        v, y_y = self.all_rows.v[ends.rows], y_y[ends.rows]

        def allowed(total):
            return rtol * np.maximum(y_y * v**2 + known + total, 1e-3 * y_y * v**2)

        first = FIRST if rtol < ROUGH else FIRST // 4
        part, error = ends.add_series(allowed, worth[ends.rows], with_grad, first)
        parts = self._finish(ends.spread(), ends.moment_weights(), with_grad)
        if with_grad:
            parts[2][:, ends.rows] += part + ends.support_slopes()
        full = np.zeros(self.N)
        full[ends.rows] = error
        return parts, full

    def _finish(self, leaf, moment_weights, with_grad):
        """The parts of the result, once the values at the ends are there."""
        value = 2 * self.real(self.tree.combine(leaf)[0, 0])
        if not with_grad:
            return [value]
        da, dc, d_mu = self.tree.slopes()
        dg = self.real(self.moments.slopes(d_mu[:, 0] + moment_weights))
        split = self.real(self.cube.by_gain(da, dc)[:, 0])              # (K, N)
        for j, d in zip(self.chosen, split):
            dg[j[j >= 0], self.everyone[j >= 0]] = d[j >= 0]
        return [value, self.real(dc[0]), dg]


class Ends:
    """The corners of some rows that are within reach of t: L of each row.

    rows (N,) those of the meeting that have any       place, c, w (…, L, N) where, what, how much
    """

    def __init__(self, meeting, live, weights):
        self.meeting, self.law, self.Q = meeting, meeting.law, meeting.Q
        self.rows = r = np.flatnonzero(live.any(0))
        L = live[:, r].sum(0).max()
        self.place = np.argsort(~live[:, r], axis=0, kind="stable")[:L]             # (L, N)
        self.live = np.take_along_axis(live[:, r], self.place, 0)
        corner = meeting.tree.c[meeting.tree.at[0]][:, 0, r]
        self.c = np.take_along_axis(corner, self.place, 0)
        self.c = np.where(self.live, self.c, self.c[0])
        w = np.take_along_axis(weights[:, :, r], self.place[None], 1) * self.live
        self.w = np.concatenate([np.zeros_like(w[:1]), w])              # (Q, L, N) of q = 1 … Q
        low, high = (x[r] for x in meeting.range)
        self.P = np.maximum(self.c.real + high, -self.c.real - low).max(0)          # (N,)
        self.small = meeting.rows.take(r)
        self._polynomial()
        self._supports()

    def spread(self):
        """h_q at all corners of all rows, 0 where nothing is live: (Q, 2^K, 1, all N)."""
        m = self.meeting
        leaf = np.zeros((self.Q, 2**m.K, 1, m.N), complex)
        place, row = self.place[self.live], np.broadcast_to(self.rows, self.place.shape)[self.live]
        leaf[:, place, 0, row] = self.h[:, self.live]
        return leaf

    def _polynomial(self):
        """The part of h_q in moments, of what is left without the few supports. (4.23)"""
        law, own = self.law, np.where(self.meeting.own_here[self.rows], self.small.own, -1)
        self.few = few = Supports(law, self.small, own, self.Q)
        mu = self.meeting.moments.mu[:, self.rows] - few.mu.sum(1)
        mu[0] = few.rest
        zeta = np.array(SIGMOID)[:self.Q + 1, None] * self.P ** np.arange(self.Q + 1)[:, None]
        self.zeta, self.power = zeta, powers(self.c, self.Q)            # (Q + 1, L, N)
        self.h = sum_products(sum_products(zeta, mu)[:, None], self.power)[1:]

    def moment_weights(self):
        """What a moment of t counts in the result by way of these corners, (Q + 1, all N)."""
        n, full = self.Q + 1, np.zeros((self.Q + 1, self.meeting.N), complex)
        by_power = np.stack([(self.w[max(s, 1) - 1:] * self.power[max(1 - s, 0):n - s]).sum((0, 1))
                             for s in range(n)])
        self.by_moment = np.stack([(by_power[s:] * self.zeta[:n - s]).sum(0) for s in range(n)])
        full[:, self.rows] = self.by_moment
        return full

    def _supports(self):
        """The supports that the series leaves out: a cube each, at every corner. (4.17)"""
        self.pair = np.nonzero(self.live)                               # (2, M): corner and row
        gains, self.chance = self.few.gains[:, :, self.pair[1]], self.few.weight[:, self.pair[1]]
        self.cube = cube = lay(self.c[self.pair], gains, np.ones(gains.shape))      # (…, C, M)
        self.corners = Corners(cube, (1, self.Q))
        self.h[:, *self.pair] += (self.chance * self.corners.combine()).sum(1)

    def support_slopes(self):
        """The derivative by all gains (n, N) of what `_supports` added and `_polynomial` took."""
        unit, (_, row) = self.meeting.unit[self.rows], self.pair
        self.corners.weigh(self.chance * self.w[:, *self.pair][:, None])
        da, dc, _ = self.corners.slopes()
        by_pair = self.cube.by_gain(da, dc)                             # (2, C, M)
        starts = np.flatnonzero(np.diff(row[order := np.argsort(row, kind="stable")], prepend=-1))
        by_gain = np.add.reduceat(by_pair[..., order], starts, axis=-1)
        by_gain = by_gain - self.few.slopes(self.by_moment)             # (2, C, N)
        return self.few.collect(by_gain.real - unit * by_gain.imag)

    def add_series(self, allowed, worth, with_grad, first):
        """Add the series to h_q; its gradient (n, N) and error (N,)."""
        alpha, beta, v = self.w.real, self.w.imag / DUAL, self.small.v
        slope = self.c.imag / DUAL                                      # of c by the own gain
        u = alpha - v * beta
        u[:-1] -= v * slope * alpha[1:]
        s = self.small
        sums = Sums(s.p, s.g, s.own, self.P, v, self.c.real, u)
        table, dg, error = sum_series(self.law, sums, allowed, worth, with_grad, first)
        self.h += table
        self.h[1:] += 1j * DUAL * slope * table[:-1]
        return dg, error


class Supports:
    """The supports of a row with no other set on, or one with one active feature, and with or
    without the own feature: each a cube of at most two gains. (4.17)

    weight (C, N), gains (2, C, N) with a dual part, mu (order + 1, C, N) weighted moments; `rest`
    (N,) the chance of all other supports
    """

    def __init__(self, law, rows, own, order):
        self.law, self.order, everyone = law, order, np.arange(len(own))
        self.least = NEGLIGIBLE * chance_of_any(rows.p)                 # (N,)
        own_set, q = law.set_of[rows.own], law.active(rows.p)
        off = 1 - rows.p[own_set, everyone]                             # (N,)
        items = [(w1 * w2, member, s2, other, s1)
                 for w1, other, s1 in self._others(rows, own_set, q)
                 for w2, member, s2 in [(off, None, 0.0), *self._members(own_set, q)]]
        items = [x for x in items if (x[0] > self.least).any()] or items[:1]
        weight, member, sign_own, other, sign = zip(*items)
        zero = np.zeros(len(own), int)
        self.weight = np.stack(weight) + 0j                             # (C, N)
        self.who = np.stack([[zero if j is None else j + zero for j in x]
                             for x in (member, other)])                 # (2, C, N)
        self.sign = np.array([sign_own, sign])[..., None]               # (2, C, 1)
        is_own = (self.who == own) & (self.sign != 0)
        self.gains = rows.g[self.who, everyone] * self.sign + 1j * DUAL * is_own
        self._law_of_two()

    def _others(self, rows, own_set, q):
        """What the other sets do in a support, as (chance, None or a feature, sign); and `rest`,
        the chance of all supports that are not taken out.
        """
        law, everyone = self.law, np.arange(len(own_set))
        S, before, after = law.chances_off(rows.p, rows.own)
        signs = (1.0, -1.0) if law.signed else (1.0,)
        result, one = [(S.prod(0), None, 0.0)], 0
        for j in np.flatnonzero(law.simple[law.set_of]):                # active alone in their set
            J = law.set_of[j]
            share = np.where(J == own_set, 0, q[j] * before[J] * after[J])
            one = one + share
            result += [(share / len(signs), j, sign) for sign in signs]
        several = np.maximum(chance_of_any(law.others(rows.p, rows.own)) - one, 0)
        joined = np.where(law.simple[own_set], 0, rows.p[own_set, everyone])
        self.rest = several * (1 - joined) + joined                     # (N,)
        return result

    def _members(self, own_set, q):
        """The members of the own set, if one alone is active, as (chance, feature (N,), sign)."""
        law, everyone = self.law, np.arange(len(own_set))
        signs = (1.0, -1.0) if law.signed else (1.0,)
        most, result = max(map(len, law.members)), []
        padded = np.array([m + m[:1] * (most - len(m)) for m in law.members])[own_set].T    # (k, N)
        for i, member in enumerate(padded):
            there = law.simple[own_set] & ((i == 0) | (member != padded[0]))
            share = np.where(there, q[member, everyone], 0) / len(signs)
            if (share > self.least).any():
                result += [(share, member, sign) for sign in signs]
        return result

    def _law_of_two(self):
        """The moments of both gains, and of their sum."""
        power = [powers(g, self.order) for g in self.gains]
        r = np.arange(self.order + 1.0)[:, None, None]
        self.each = [x / (r + 1) for x in power]
        self.by_gain = []
        for x in power:
            lower = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
            self.by_gain.append(lower * np.where(r > 0, 1 / (r + 1), 0))
        self.mu = self.weight * sum_products(*self.each)

    def slopes(self, by_moment):
        """The derivative of sum_r by_moment_r mu_r by both gains, (2, C, N) with dual part."""
        return np.stack([(by_moment[:, None] * sum_products(d, other)).sum(0) * self.weight
                         for d, other in zip(self.by_gain, self.each[::-1])])

    def collect(self, by_gain):
        """What (2, C, N) means for the gains of all features: (n, N)."""
        result, everyone = np.zeros((self.law.n, by_gain.shape[-1])), np.arange(by_gain.shape[-1])
        for who, d in zip(self.who, by_gain * self.sign):
            for j, x in zip(who, d):
                result[j, everyone] += x
        return result
