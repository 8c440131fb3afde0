"""What a random sum spends beyond zero, as a sine series over its characteristic function.

    t     sum_j g_j x_j                             own   the feature to be reproduced
    y     the target, x_own (or |x_own| if signed)  v     a number: the target's unit
    c     a corner; L of them a row                 h_q   E[F_q(c + t) - v y F_(q-1)(c + t)],
                                                          F_q(z) = z_+^q / q!
    P     half a period: |c + t| <= P               kappa, w    1, 3, 5, … and w = pi kappa / P
    S, p' one set's part of E e^{iwt}: off has probability S, the rest is p' (`t` in 4.15)
    F, D  the other sets' part of E e^{iwt}; the part of F where at least two of them are on

On |z| <= P the identity (4.22) turns h_q into moments and a sum of products over independent sets.
Supports with few active features, whose terms decay slowly, are taken out of the sum, and `rows.py`
puts them back in closed form. All orders q and all corners of a row share their products, and the
gradient is that of one weighted sum of them, sum u h. Rows N are outputs of instances; the sum runs
over blocks of K nodes until the last ones no longer count. Equations (4.k) are in
derivations/04-exact-loss.md.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

GRAD = 300              # how much more error the gradient may have than the loss
SAFETY = 2              # by which estimated errors are multiplied
BIAS = 0.1              # what an error of dl/db counts beside one of dl/dg, which is a share of it
FIRST, LAST = 128, 2**15        # nodes of the first block, and where the sum gives up
SLICE = 2**13           # complex numbers in one work array: more would leave the cache
SMALL, TERMS = 0.1, 8   # phi below this goes by the first terms of the power series, to 1e-14


class Sums(NamedTuple):
    """What a series is to sum, N rows: see the legend above."""

    p: np.ndarray
    g: np.ndarray
    own: np.ndarray
    P: np.ndarray
    v: np.ndarray
    c: np.ndarray               # (L, N)
    u: np.ndarray               # (Q, L, N), of the orders q = 1 … Q

    def rows(self, r):
        """The rows r alone."""
        return Sums(*(a[..., r] for a in self))


def waves(alpha, kappa, weight=1, room=None):
    """weight e^{i alpha kappa} (..., K) for consecutive odd kappa, K a power of 2, by doubling."""
    turn = np.empty((*alpha.shape, len(kappa)), complex) if room is None else room
    turn[..., 0] = weight * np.exp(1j * kappa[0] * alpha)
    known = 1
    while known < len(kappa):
        step = np.exp(2j * known * alpha)[..., None]
        np.multiply(turn[..., :known], step, out=turn[..., known:2 * known])
        known *= 2
    return turn


class Uniform:
    """Integrals over u Uniform[0, 1] against weight e^{i phi u}, phi = alpha kappa, one feature at
    a time. (4.14)

    alpha and weight (n, N), kappa (K,) as in `waves`, whose result is kept in room (n, N, K).
    """

    def __init__(self, alpha, kappa, weight=1.0, room=None):
        alpha = np.where(abs(alpha) < 1e-30, 1e-30, alpha)
        self.alpha, self.kappa = alpha, kappa
        self.weight = np.broadcast_to(weight, alpha.shape)
        self.column = self.weight[..., None] + 0j           # NumPy is slow if it has to mix types
        self.turn = waves(alpha, kappa, weight, room)
        self.over_alpha, self.over_kappa = -1j / alpha[..., None], 1 / kappa + 0j
        self.some_small = (abs(alpha) * kappa[0] < SMALL).any(-1)

    def over_phi(self, j):
        """1 / (i phi) at feature j: (N, K)."""
        return self.over_alpha[j] * self.over_kappa

    def __call__(self, j, order):
        """weight E[u^r e^{i phi u}] at feature j, (N, K), for r = 0, …, order - 1, and i phi times
        that for r = order.
        """
        inverse, turn = self.over_phi(j), self.turn[j]
        result = [(turn - self.column[j]) * inverse]
        for r in range(1, order):                                       # by parts
            result.append((turn - (result[-1] if r == 1 else r * result[-1])) * inverse)
        result.append(turn - (result[-1] if order == 1 else order * result[-1]))
        if self.some_small[j]:
            row, k = np.nonzero(abs(self.alpha[j])[:, None] * self.kappa < SMALL)
            phi, value = 1j * self.alpha[j, row] * self.kappa[k], 0
            for s in range(TERMS, -1, -1):          # sum_s phi^s / (s! (s + order + 1)), by Horner
                value = value * phi / (s + 1) + 1 / (s + order + 1)
            lifted = phi * (self.weight[j, row] * value)
            result[order][row, k] = lifted
            for r in range(order - 1, -1, -1):      # and back: nothing cancels this way
                value = (turn[row, k] - lifted) / (r + 1)
                result[r][row, k], lifted = value, phi * value
        return result


def sum_series(law, sums, allowed, worth, with_grad, first=FIRST):
    """The h_q (Q, L, N) of q = 1 … Q less their moments and few supports, the gradient (n, N) of
    sum u h, and the estimated error (N,) of sum u h, or if that is more, `worth` (N,) times that of
    the gradient's worst entry.

    A row is summed until its error is below what `allowed` (N,) says for its sum u h, a function,
    or else until LAST nodes, beginning with the `first`, a power of 2.
    """
    N = len(sums.own)
    table, dg = np.zeros(sums.u.shape), np.zeros((law.n if with_grad else 0, N))
    error, last = np.zeros((2, N)), np.zeros((2, 2, N))     # last: how far it moved, and the ratio
    room = np.empty((3, (law.n + 1) * SLICE), complex)      # for `Block`, again and again
    rows, start, stop = np.arange(N), 0, first
    while len(rows):
        kappa, some = 2.0 * np.arange(start, stop) + 1, sums.rows(rows)
        parts = _sum_nodes(law, some, kappa, with_grad, room, 2 if start else 4)
        for total, part in zip((table, dg), parts):
            total[..., rows] += part.sum(-1)
        for i in range(0, 2 if start else 4, 2):            # the first block is two doublings
            moved = _moved(some.u, parts, slice(i, i + 2))  # (2, rows)
            before, ratio_before = last[..., rows]
            shrinks = moved / np.where(before > 0, before, 2 * moved + 1e-300)
            ratio = np.clip(shrinks, 0.1, 0.9)
            slowest = np.maximum(ratio, ratio_before)
            error[:, rows] = SAFETY * moved * slowest / (1 - slowest)                       # (4.21)
            last[..., rows] = moved, ratio
        enough = allowed((sums.u * table).sum((0, 1)))
        going = (error[0] > enough) | (error[1] * worth > enough)
        rows, start, stop = rows[going[rows]] if stop < LAST else [], stop, 2 * stop
    return table, dg, np.maximum(error[0], error[1] * worth if with_grad else 0)


def _moved(u, parts, halves):
    """How far sum u h and its gradient, (2, N), moved in two halves or in the second of them."""
    result = []
    for x in ((u[..., None] * parts[0]).sum((0, 1))[None], parts[1]):   # (…, N, pieces)
        first, second = np.moveaxis(x[..., halves], -1, 0)
        result.append(np.maximum(abs(first + second), abs(second)).max(0, initial=0))
    slope = (u[1:, ..., None] * parts[0][:-1]).sum((0, 1))              # by c, all corners alike
    first, second = np.moveaxis(slope[..., halves], -1, 0)
    result[1] = np.maximum(result[1], BIAS * np.maximum(abs(first + second), abs(second)))
    return np.stack(result)


def _sum_nodes(law, sums, kappa, with_grad, room, pieces):
    """The terms kappa of the series, each of so many pieces summed: table (Q, L, N, pieces) and
    gradient (n, N, pieces).
    """
    rows, done = np.arange(len(sums.own)), []
    for nodes in np.split(kappa, max(1, len(kappa) // SLICE)):
        chunks = np.array_split(rows, -(-len(rows) * len(nodes) // SLICE))
        parts = [Block(law, sums.rows(r), nodes, room, pieces).solve(with_grad) for r in chunks]
        done.append([np.concatenate(x, -2) for x in zip(*parts)])       # (…, N, pieces)
    if len(done) == 1:
        return done[0]
    return [np.stack([part.sum(-1) for part in np.split(np.concatenate(x, -1), pieces, -1)], -1)
            for x in zip(*done)]


class Block:
    """Some rows' and nodes' terms, each piece of the nodes summed.

    There are at most SLICE pairs of a row and a node, so that arrays (N, K) stay in the cache.
    """

    def __init__(self, law, sums, kappa, room, pieces):
        self.law, self.sums, self.kappa, self.pieces = law, sums, kappa, pieces
        self.n, N, K = law.n, len(sums.own), len(kappa)
        self.rows, self.own_set, self.shape = np.arange(N), law.set_of[sums.own], (N, K)
        self.lifted, self.factors, self.before = (
            room[:, :(law.n + 1) * N * K].reshape(3, law.n + 1, N, K))
        self.iw = 1j * np.pi / sums.P[:, None] * kappa                  # (N, K)

    def solve(self, with_grad):
        """table (Q, L, N, pieces) and gradient (n, N, pieces), with no features if not
        `with_grad`.
        """
        law, sums = self.law, self.sums
        off = law.chances_off(sums.p, sums.own)
        q = law.active(law.others(sums.p, sums.own))                    # (n, N), 0 for the own set
        self._products(off, q, with_grad)
        closed = law.simple[self.own_set][:, None]      # whether pairs with the own set are out
        on = self.T_on - sums.v[:, None] * self.iw * self.t_y
        T_all, F = self.T_off + on, self.before[len(sums.p)]
        T_closed = np.where(closed, T_all, self.T_off)
        Y = T_closed * self.D + np.where(closed, 0, on) * F                                 # (4.24)
        turn = waves(np.pi * sums.c / sums.P, self.kappa)               # (L, N, K)
        table, V = self._table(turn, Y)
        if not with_grad:
            return table, np.zeros((0, len(sums.own), self.pieces))
        apart = (law.simple[:, None] * off[1] * off[2])[law.set_of]     # (n, N)
        slopes = self._leave_one_out(V * T_all, V * T_closed, apart)
        unit = np.where(law.alone[:, None], 1, q) / self.uniform.alpha[:-1] * np.pi / sums.P
        dg = unit[..., None] * slopes                                   # (n, N, pieces)    (4.18)
        inside = self.iw * V * np.where(closed, self.D, F)              # the own set's features
        for j, r, t_j, t_yj in self.same:
            dg[j, r] = self._sum(inside[r] * (t_j - sums.v[r, None] * self.iw[r] * t_yj))
        return table, dg

    def _sum(self, x):
        """The real part of x (…, K) summed piece by piece."""
        return x.real.reshape(*x.shape[:-1], self.pieces, -1).sum(-1)

    def _table(self, turn, Y):
        """The terms' sums of all h, (Q, L, N, pieces), and the weight V (N, K) of Y in sum u h."""
        P, u, Q = self.sums.P, self.sums.u, len(self.sums.u)
        order = np.arange(1, Q + 1)[:, None]
        basis = (1 / (1j * self.kappa)) ** (order + 1)                  # (Q, K)            (4.22)
        unit = 2 / P * (P / np.pi) ** (order + 1)                       # (Q, N)
        weight = np.moveaxis(u * unit[:, None], 0, -1)                  # (L, N, Q)
        V = (turn * (weight @ basis)).sum(0)
        L, N, K = turn.shape
        parts = (turn * Y).reshape(L, N, self.pieces, 1, -1)
        pieces = np.moveaxis(basis.reshape(Q, self.pieces, -1), 0, -1)  # (pieces, K/pieces, Q)
        table = (parts @ pieces)[..., 0, :].real                        # (L, N, pieces, Q)
        return np.moveaxis(table, -1, 0) * unit[:, None, :, None], V

    def _products(self, off, q, with_grad):
        """D, and the sets' parts and products, into factors and before; t_j times i phi into
        lifted.
        """
        law, sums, lifted, factors = self.law, self.sums, self.lifted, self.factors
        before, S, (S_before, S_after) = self.before, off[0], off[1:]
        gains = np.concatenate([sums.g, sums.g[None, sums.own, self.rows]])     # own once more
        weight = np.where(law.alone[:, None], q, 1)     # several members are multiplied by q later
        weight = np.concatenate([weight, np.ones((1, len(sums.own)))])
        self.uniform = Uniform(np.pi * gains / sums.P, self.kappa, weight, lifted)
        self._own_terms(with_grad)
        before[0], self.D = 1, np.zeros(self.shape, complex)
        S, S_before, S_after = (x[..., None] + 0j for x in (S, S_before, S_after))      # (J, N, 1)
        for J, members in enumerate(law.members):
            psi = [self.uniform(j, 1) for j in members]
            zero = [law.even(x[0]) for x in psi]
            t = zero[0]
            if len(members) > 1:
                t = q[members[0], :, None] * reduce(
                    np.multiply if law.together[J] else np.add, zero)
            np.add(t, S[J], out=factors[J])
            np.multiply(before[J], factors[J], out=before[J + 1])
            t *= S_after[J]
            t *= before[J] - S_before[J] if law.simple[J] else before[J]
            self.D += t                                                                     # (4.16)
            for k, j in enumerate(members) if with_grad else ():
                lifted[j] = law.even(psi[k][1])
                for other in zero[:k] + zero[k + 1:] if law.together[J] else ():
                    lifted[j] *= other

    def _leave_one_out(self, tau, tau_closed, apart):
        """Re sum tau t_j (products without the own set and j's, less `apart` with tau_closed), (n,
        N, pieces). (4.18)
        """
        pieces, N = self.pieces, len(tau)
        row, column = (lambda x: x.reshape(N, pieces, 1, -1),
                       lambda x: x.reshape(N, pieces, -1, 1))
        dots = np.empty((2, self.n, N, pieces, 1, 1), complex)
        tau_closed = row(tau_closed)
        for J, members in reversed(list(enumerate(self.law.members))):
            C = row(self.before[J] * tau)                               # all sets but the own and J
            for j in members:
                np.matmul(C, column(self.lifted[j]), out=dots[0, j])
                np.matmul(tau_closed, column(self.lifted[j]), out=dots[1, j])
            tau = tau * self.factors[J]                                 # that of later sets, too
        dots = dots[..., 0, 0].real                                     # (2, n, N, pieces)
        return dots[0] - apart[..., None] * dots[1]

    def _own_terms(self, with_grad):
        """T_off (N, 1), T_on and t_y (N, K), and a list `same` of (j, r, t_j, t_yj): in the rows r
        feature j belongs to the own set.

        The integrals (4.14) are those of all features, of sets of several with weight 1, and last
        that of the own gain with weight 1.
        """
        law, own, integrals = self.law, self.sums.own, self.uniform
        p_own = self.sums.p[self.own_set, self.rows][:, None]
        q = p_own * law.share[own][:, None]
        psi = integrals(law.n, 1 + with_grad)
        psi[-1] *= integrals.over_phi(law.n)
        self.T_off = 1 - p_own
        self.T_on, self.t_y = q * law.even(psi[0]), q * law.even(psi[1])
        self.same = [(own, self.rows, q * law.odd(psi[1]), q * law.odd(psi[-1]))]
        for J in law.several:
            for i in law.members[J]:
                r = np.flatnonzero(own == i)
                if len(r):
                    self._own_set_of_several(J, i, r, q[r])

    def _own_set_of_several(self, J, i, r, q):
        """Correct `_own_terms` in the rows r, whose own feature i belongs to a set J of several.
        """
        law, integrals, same = self.law, self.uniform, self.same
        members = [i] + [j for j in law.members[J] if j != i]
        psi = [integrals(j, 1) for j in members]
        zero = [law.even(x[0][r]) for x in psi]
        one = [law.odd((x[1] * integrals.over_phi(j))[r]) for j, x in zip(members, psi)]
        if not law.together[J]:
            self.T_on[r] = q * sum(zero)
            same += [(j, r, q * x, 0) for j, x in zip(members[1:], one[1:])]
            return
        t_j, t_yj = same[0][2:]
        for k in range(1, len(members)):
            rest = reduce(np.multiply, zero[1:k] + zero[k + 1:], 1)     # without i and this one
            same.append((members[k], r, q * one[k] * zero[0] * rest, self.t_y[r] * one[k] * rest))
        rest = reduce(np.multiply, zero[1:])
        self.T_on[r] = q * zero[0] * rest
        for x in (self.t_y, t_j, t_yj):
            x[r] *= rest
