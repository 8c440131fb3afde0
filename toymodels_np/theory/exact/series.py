"""The exact loss of one output by a sine series over its characteristic function, for any number of features.

    z     input of an output's ReLU, z = b + sum_j g_j x_j      own   the feature that the output should reproduce
    y     the target, x_own (or |x_own| if signed)              l     E[z_+^2 - 2 y z_+]
    P     half a period: |z| <= P                               kappa, w    1, 3, 5, … and w = pi kappa / P
    S, t  one set's part of E e^{iwz}: off has probability S, the rest is t
    t_j   the same with a factor x_j; t_y, t_yj for the own set with a factor y, y x_j
    F, D  the other sets' part of E e^{iwz}; the part of F where at least two of them are on

On |z| <= P the identity (4.11), z|z| = P z - 8 P^2 / pi^3 sum_kappa sin(w z) / kappa^3, turns l into moments and a sum
of products over independent sets. Supports with few active features, whose terms decay slowly, are taken out of the sum
and put back in closed form (`corners.box`). Rows N are outputs of instances; the sum runs over blocks of K nodes until
the last ones no longer count. Equations (4.k) are in derivations/04-exact-loss.md.
"""

from functools import reduce
from itertools import product

import numpy as np

from .corners import box

RARE = 40.0             # P(|z| > P) is at most 2 exp(-RARE)                                              (4.19)
TINY = 1e-10            # another feature's gain below TINY P acts through its mean alone                 (4.20)
GRAD = 1000             # how much more error the gradient may have than the loss
FIRST, LAST = 128, 2**15        # nodes of the first block, and where the sum gives up
SLICE = 2**13           # complex numbers in one work array: more leaves the cache, less leaves the work to Python
SMALL, TERMS = 0.1, 8   # phi below this goes by the first terms of the power series: 1e-14 on either side
ROUNDING = 4 * np.finfo(float).eps


class Law:
    """The sets as arrays: singles first, then sets of several. Below, p is (J, N): one probability a set and row."""

    def __init__(self, sets, signed):
        sets = sorted(sets, key=lambda s: len(s.members) > 1)
        self.signed, self.sets = signed, sets
        self.members = [list(s.members) for s in sets]
        self.n = sum(map(len, self.members))
        self.together = [s.kind == "correlated" for s in sets]
        self.simple = np.array([s.kind == "anticorrelated" or len(s.members) == 1 for s in sets])
        share = np.array([1.0 if s.kind == "correlated" else 1 / len(s.members) for s in sets])
        self.set_of = np.empty(self.n, int)                     # feature -> set
        for J, members in enumerate(self.members):
            self.set_of[members] = J
        self.share = share[self.set_of]                         # (n,) P(x_j != 0 | its set is on)
        self.single = [members[0] for members in self.members if len(members) == 1]
        self.alone = np.isin(np.arange(self.n), self.single)    # (n,)
        self.several = range(len(self.single), len(sets))       # the sets with several members
        self.mean = 0.0 if signed else 0.5                      # of an active value

    def active(self, p):
        """P(x_j != 0), (n, N)."""
        return p[self.set_of] * self.share[:, None]

    def even(self, x):
        """The mean over both signs of u, if it has two, of x = E[f(u) e^{i phi u}], f even."""
        return x.real + 0j if self.signed else x

    def odd(self, x):
        """The same for f odd."""
        return 1j * x.imag if self.signed else x

    def covariance(self, p, v):
        """Cov[x] v for each row's v (n, N): only members of one set are tied."""
        q = self.active(p)
        result = (q / 3 - (self.mean * q) ** 2) * v
        for J in () if self.signed else self.several:
            members = self.members[J]
            joint = (p[J] if self.together[J] else 0) - q[members[0]] ** 2
            result[members] += joint / 4 * (v[members].sum(0) - v[members])
        return result

    def sums(self, p, zero):
        """t (J, …, N) from an active feature's E e^{iwgx}, or any other transform of its law, zero (n, …, N). (4.15)"""
        sets = [p[J] * (zero[members].prod(0) if self.together[J] else zero[members].mean(0))
                for J, members in enumerate(self.members) if J in self.several]
        return np.concatenate([zero[self.single] * p[:len(self.single)], *[t[None] for t in sets]])


def waves(alpha, kappa, weight=1, room=None):
    """weight e^{i alpha kappa} (..., K) for consecutive odd kappa, K a power of 2, by doubling."""
    turn = np.empty((*alpha.shape, len(kappa)), complex) if room is None else room
    turn[..., 0] = weight * np.exp(1j * kappa[0] * alpha)
    known = 1
    while known < len(kappa):
        np.multiply(turn[..., :known], np.exp(2j * known * alpha)[..., None], out=turn[..., known:2 * known])
        known *= 2
    return turn


class Uniform:
    """Integrals over u Uniform[0, 1] against weight e^{i phi u}, phi = alpha kappa, one feature at a time. (4.14)

    alpha and weight (n, N), kappa (K,) as in `waves`, whose result is kept in room (n, N, K).
    """

    def __init__(self, alpha, kappa, weight=1.0, room=None):
        alpha = np.where(abs(alpha) < 1e-30, 1e-30, alpha)
        self.alpha, self.kappa, self.weight = alpha, kappa, np.broadcast_to(weight, alpha.shape)
        self.column = self.weight[..., None] + 0j                       # NumPy is slow where it has to mix types
        self.turn = waves(alpha, kappa, weight, room)
        self.over_alpha, self.over_kappa = -1j / alpha[..., None], 1 / kappa + 0j
        self.some_small = (abs(alpha) * kappa[0] < SMALL).any(-1)

    def over_phi(self, j):
        """1 / (i phi) at feature j: (N, K)."""
        return self.over_alpha[j] * self.over_kappa

    def __call__(self, j, order):
        """weight E[u^r e^{i phi u}] at feature j, (N, K), for r = 0 … order - 1, and i phi times that for r = order."""
        inverse, turn = self.over_phi(j), self.turn[j]
        result = [(turn - self.column[j]) * inverse]
        for r in range(1, order):
            result.append((turn - (result[-1] if r == 1 else r * result[-1])) * inverse)    # by parts
        result.append(turn - (result[-1] if order == 1 else order * result[-1]))
        if self.some_small[j]:
            row, k = np.nonzero(abs(self.alpha[j])[:, None] * self.kappa < SMALL)
            phi, value = 1j * self.alpha[j, row] * self.kappa[k], 0
            for s in range(TERMS, -1, -1):                              # sum_s phi^s / (s! (s + order + 1)), by Horner
                value = value * phi / (s + 1) + 1 / (s + order + 1)
            lifted = phi * (self.weight[j, row] * value)
            result[order][row, k] = lifted
            for r in range(order - 1, -1, -1):                          # and back: nothing cancels this way
                value = (turn[row, k] - lifted) / (r + 1)
                result[r][row, k], lifted = value, phi * value
        return result


def sum_rows(law, p, b, g, own, rtol, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)], and the estimated error (N,) of l, or if this is more
    max(P, 1) / GRAD times that of the gradient's worst entry.

    p (J, N) set probabilities, b (N,), g (n, N), own (N,). A row is summed until its error is below rtol times its
    share of the loss, E[y^2] + l, or 1e-3 E[y^2] if that is more, and until the gradient's is below GRAD times that
    over max(P, 1); or else until LAST nodes. Without `with_grad` only l is there.
    """
    everyone = np.arange(len(b))
    low, high = reach(law, b, g)
    y_y = law.active(p)[own, everyone] / 3
    total = [2 * x * ((low >= 0) & (high > 0)) for x in moments(law, p, b, g, own)]     # where z never changes sign
    error = np.zeros((2, len(b)))
    rows = np.flatnonzero((low < 0) & (high > 0))
    if not len(rows):
        return total, error[0]
    P = half_period(law, p, b, g)                                       # (N,)
    worth = np.maximum(P, 1)                                            # a gradient's error counts so much, / GRAD
    tiny = (abs(g) < TINY * P) & (low < 0) & (high > 0)                                             # (4.20)
    tiny[[i for J in law.several for i in law.members[J]]] = False
    tiny[own, everyone] = False
    mean = law.mean * law.active(p)                                     # (n, N)  E[x]
    b, g, p = b + (np.where(tiny, g, 0) * mean).sum(0), np.where(tiny, 0, g), p.copy()
    p[:len(law.single)][tiny[law.single]] = 0

    for sums, x in zip(total, closed_form(law, p[:, rows], b[rows], g[:, rows], own[rows], P[rows], with_grad)):
        sums[..., rows] = x
    room = np.empty((3, (law.n + 1) * SLICE), complex)                        # for `block`, which needs it again and again
    start, stop, last = 0, FIRST, np.zeros((2, 2, len(b)))           # last: how far it moved, and the ratio
    while len(rows):
        kappa = 2.0 * np.arange(start, stop) + 1
        pieces = sum_nodes(law, p, b, g, own, P, rows, kappa, with_grad, room, 2 if start else 4)
        for sums, x in zip(total, pieces):
            sums[..., rows] += x.sum(0)
        for i in range(0, len(pieces[0]), 2):                           # the first block is two doublings
            # How far the end of the sum moved in the last doubling, or in the last half of it, and how that shrinks.
            moved = np.zeros((2, len(rows)))
            for x, moved_x in zip(pieces[::2], moved):                  # of l and dl/dg
                first, second = x[i:i + 2].reshape(2, -1, len(rows))
                moved_x[:] = np.maximum(abs(first + second), abs(second)).max(0)
            before = last[0][:, rows]
            ratio = np.clip(moved / np.where(before > 0, before, 2 * moved + 1e-300), 0.1, 0.9)
            slowest = np.maximum(ratio, last[1][:, rows])
            error[:, rows] = moved * slowest / (1 - slowest)                                        # (4.21)
            last[0][:, rows], last[1][:, rows] = moved, ratio
        allowed = rtol * np.maximum(y_y + total[0], 1e-3 * y_y)
        going = (error[0] > allowed) | (error[1] * worth > GRAD * allowed) 
        rows, start, stop = rows[going[rows]] if stop < LAST else [], stop, 2 * stop
    if with_grad:
        total[2][tiny] = (mean * total[1])[tiny]
        error[0] = np.maximum(error[0], error[1] * worth / GRAD)
    error[0] += ROUNDING * (chance_of_any(p) * P**2 + np.maximum(b, 0) ** 2)
    return total, error[0]


def reach(law, b, g):
    """Bounds on z: two arrays (N,)."""
    return b + np.minimum(g, -g if law.signed else 0).sum(0), b + np.maximum(g, -g if law.signed else 0).sum(0)


def half_period(law, p, b, g):
    """P (N,): max |z|, or less where |z| > P is too rare to matter, by Chernoff's bound. (4.19)"""
    largest = abs(np.stack(reach(law, b, g))).max(0)
    largest = np.where(largest > 0, largest, 1.0)                       # (N,)
    slope = RARE / largest * 2.0 ** np.arange(6)[:, None]               # (6, N)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        s = np.concatenate([slope, -slope])
        y = g[:, None] * s                                              # (n, 12, N)
        y = np.where(abs(y) < 1e-300, 1e-300, y)
        t = law.sums(p[:, None], np.sinh(y) / y if law.signed else np.expm1(y) / y)
        bound = s * b + np.log(t + (1 - p)[:, None]).sum(0) + RARE
        P = bound.reshape(2, *slope.shape).max(0) / slope
    return np.minimum(largest, np.where(np.isfinite(P), P, np.inf).min(0))


def off(law, p, own):
    """Of the sets but the own: S (J, N), 1 for the own set, and its products over all before and all after each. (4.16)"""
    S = 1 - p
    S[law.set_of[own], np.arange(len(own))] = 1
    return S, ahead(S), ahead(S[::-1])[::-1]


def ahead(factors):
    """Along the first axis, the products of all factors before each."""
    return np.concatenate([np.ones_like(factors[:1]), factors[:-1].cumprod(0)])


def moments(law, p, b, g, own, none=0.0):
    """E[z^2] / 2 - E[y z], less b^2 / 2 times the chance `none` that nothing is on, and d/db, d/dg. (4.13)"""
    everyone = np.arange(len(b))
    q = law.active(p)
    mean_x, cov = law.mean * q, law.covariance(p, g)                    # (n, N)  E[x], Cov[x, z]
    some = chance_of_any(p) if np.any(none) else 1.0
    shift, mean_y = (g * mean_x).sum(0), 0.5 * q[own, everyone]         # (N,)    E[z] - b, E[y]
    one_hot = np.zeros_like(g)
    one_hot[own, everyone] = 1
    y_x = 0 * g if law.signed else law.covariance(p, one_hot) + mean_x * mean_y                 # E[y x]
    value = (0.5 * ((g * cov).sum(0) + shift * (shift + 2 * b) + some * b * b) - b * mean_y - (g * y_x).sum(0))
    return [value, shift + some * b - mean_y, cov + mean_x * (b + shift) - y_x]


def closed_form(law, p, b, g, own, P, with_grad):
    """[l, dl/db, dl/dg] without the series: all moments, and the few active features that it leaves out. (4.17)"""
    everyone = np.arange(len(b))
    q = law.active(p)
    none = (1 - p).prod(0)                                              # (N,)  nothing is on
    some = chance_of_any(p)
    l, db, dg = moments(law, p, b, g, own, none)
    l += 0.5 * P * (some * b + law.mean * (g * q).sum(0) - 0.5 * q[own, everyone]) + none * np.maximum(b, 0) ** 2
    db += 0.5 * P * some + 2 * none * np.maximum(b, 0)
    dg += 0.5 * P * law.mean * q

    own_set, others = law.set_of[own], np.multiply(*off(law, p, own)[1:])
    simple = np.flatnonzero(law.simple[law.set_of])                     # features that are active alone in their set
    J = law.set_of[simple]                                              # (C,)
    mine = J[:, None] == own_set                                        # (C, N)
    signs = (1.0, -1.0) if law.signed else (1.0,)
    # Each such feature with none but its own set on, and with each member of the own set: (weight, partner, two signs).
    supports = [(q[simple] * np.where(mine, 1, 1 - p[own_set, everyone]) * others[J] / len(signs), None, s, 0.0)
                for s in signs]
    pair = np.where(mine, 0, q[simple] * others[J]) * law.simple[own_set] / len(signs)**2
    for i in range(max(map(len, law.members))):
        member = np.array([m[i % len(m)] for m in law.members])[own_set]                            # (N,)
        exists = np.array([i < len(m) for m in law.members])[own_set]
        supports += [(pair * exists * q[member, everyone], member, s, s_own) for s, s_own in product(signs, signs)]
    supports = [support for support in supports if (support[0] > 1e-40).any()]
    if not supports:
        return [l, db, dg]
    weight, partners, sign, sign_own = zip(*supports)
    weight = np.stack(weight)                                           # (K, C, N)
    partner = np.stack([own if x is None else x for x in partners])[:, None]                        # (K, 1, N)
    sign, sign_own = (np.array(x)[:, None, None] for x in (sign, sign_own))
    gains = np.stack([np.broadcast_to(g[partner, everyone] * sign_own, weight.shape), g[simple] * sign])
    is_own = np.stack([np.broadcast_to((partner == own) & (sign_own != 0), weight.shape),
                       np.broadcast_to(simple[:, None] == own, weight.shape)])
    flat = lambda x: x.reshape(*x.shape[:-3], -1, len(b))               # (…, K, C, N) -> (…, K C, N)
    value, d_y, d_g = kernel(b, flat(gains), flat(is_own), P, with_grad)
    l += (flat(weight) * value).sum(0)
    if with_grad:
        d_g = d_g.reshape(gains.shape) * weight
        db += (flat(weight) * d_y).sum(0)
        dg[simple] += (d_g[1] * sign).sum(0)
        for partner, d in zip(partners, (d_g[0] * sign_own).sum(1)):
            if partner is not None:
                dg[partner, everyone] += d
    return [l, db, dg]


def chance_of_any(p):
    """1 - prod(1 - p) over the sets, accurate where it is small: (N,)."""
    return -np.expm1(np.log1p(-np.minimum(p, 1 - 1e-16)).sum(0))


def kernel(b, gains, own, P, with_grad):
    """l of a box less what its moments say, that is the sum of its series, with gradients as in `box`. (4.17)"""
    value, d_y, d_g = box(b, gains, np.ones_like(gains), own, with_grad)
    mean = b + 0.5 * gains.sum(0)
    active, own_gain = own.any(0), (gains * own).sum(0)
    value = value - (0.5 * (mean**2 + (gains**2).sum(0) / 12 + P * mean) - active * (0.5 * (mean + 0.5 * P))
                     - own_gain / 12)
    if with_grad:
        d_mean = mean + 0.5 * P - 0.5 * active
        d_y = d_y - d_mean
        d_g = d_g - (0.5 * d_mean + gains / 12 - own / 12)
    return value, d_y, d_g


def sum_nodes(law, p, b, g, own, P, rows, kappa, with_grad, room, pieces):
    """The terms kappa of the series, each of so many pieces summed: l (pieces, N), and with_grad dl/db (pieces, N),
    dl/dg (pieces, n, N)."""
    done = []
    for nodes in np.split(kappa, max(1, len(kappa) // SLICE)):
        chunks = np.array_split(rows, -(-len(rows) * len(nodes) // SLICE))
        parts = [block(law, p[:, r], b[r], g[:, r], own[r], P[r], nodes, with_grad, room, pieces) for r in chunks]
        done.append([np.concatenate(x, -2) for x in zip(*parts)])       # (…, N, pieces)
    return [np.stack([part.sum(-1) for part in np.split(np.concatenate(x, -1), pieces, -1)]) for x in zip(*done)]


def block(law, p, b, g, own, P, kappa, with_grad, room, pieces):
    """Some rows' and nodes' terms, each piece of the nodes summed: l (N, pieces), and with_grad dl/db, dl/dg (n, …).

    There are at most SLICE pairs of a row and a node, so that arrays (N, K) stay in the cache.
    """
    own_set, rows, shape = law.set_of[own], np.arange(len(b)), (len(b), len(kappa))
    S, S_before, S_after = off(law, p, own)                             # (J, N)
    q = law.active(1 - S)                                               # (n, N), 0 for the own set
    room = room[:, :(law.n + 1) * len(b) * len(kappa)].reshape(3, law.n + 1, *shape)
    lifted, factors, before = room                                      # t_j times i phi; S + t; products of those before
    gains = np.concatenate([g, g[None, own, rows]])                     # the own gain once more, on its own
    weight = np.where(law.alone[:, None], q, 1)                         # t of several members is multiplied by q later
    integrals = Uniform(np.pi * gains / P, kappa, np.concatenate([weight, np.ones((1, len(b)))]), lifted)
    T_off, T, t_y, same = own_terms(law, p, integrals, own, with_grad)

    before[0], D = 1, np.zeros(shape, complex)
    off_chance, off_before, off_after = (x[..., None] + 0j for x in (S, S_before, S_after))         # (J, N, 1)
    for J, members in enumerate(law.members):
        psi = [integrals(j, 1) for j in members]
        zero = [law.even(x[0]) for x in psi]
        t = zero[0]
        if len(members) > 1:
            t = q[members[0], :, None] * reduce(np.multiply if law.together[J] else np.add, zero)
        np.add(t, off_chance[J], out=factors[J])
        np.multiply(before[J], factors[J], out=before[J + 1])
        t *= off_after[J]
        t *= before[J] - off_before[J] if law.simple[J] else before[J]
        D += t                                                          # (N, K)                    (4.16)
        for k, j in enumerate(members) if with_grad else ():
            lifted[j] = law.even(psi[k][1])
            for other in zero[:k] + zero[k + 1:] if law.together[J] else ():
                lifted[j] *= other

    F = before[len(p)]
    a3, a2, a1 = (c * P[:, None]**k / kappa**(k + 1) for c, k in ((4 / np.pi**3, 2), (4 / np.pi**2, 1), (4 / np.pi, 0)))
    turn = waves(np.pi * b / P, kappa)                                  # (N, K)
    tau = turn * (1j * a3 * T + a2 * t_y)
    closed = law.simple[own_set][:, None]                               # whether pairs with the own set are taken out
    tau_closed = np.where(closed, tau, turn * (1j * a3 * T_off))
    sums = lambda x: x.reshape(len(x), pieces, -1).sum(-1).real
    terms = tau_closed * D + (tau - tau_closed) * F
    l = sums(terms)                                                                                 # (4.13)
    if not with_grad:
        return (l,)
    db = sums(1j * np.pi * kappa / P[:, None] * terms)                                              # (4.18)
    apart = (law.simple[:, None] * S_before * S_after)[law.set_of]      # (n, N)
    slopes = leave_one_out(law, room, tau, tau_closed, apart, pieces)   # (n, N, pieces), but for the factor iw / (i phi)
    dg = (np.where(law.alone[:, None], 1, q) / integrals.alpha[:-1] * np.pi / P)[..., None] * slopes
    inside = turn * np.where(closed, D, F)                              # the own set's features
    for j, r, t_j, t_yj in same:
        dg[j, r] = sums(inside[r] * (1j * a1[r] * t_yj - a2[r] * t_j))
    return l, db, dg


def leave_one_out(law, room, tau, tau_closed, apart, pieces):
    """Re sum tau t_j (products without the own set and j's, less `apart` with tau_closed): (n, N, pieces). (4.18)"""
    lifted, factors, before = room
    row, column = (lambda x: x.reshape(len(tau), pieces, 1, -1)), (lambda x: x.reshape(len(tau), pieces, -1, 1))
    dots, tau_closed = np.empty((2, law.n, len(tau), pieces, 1, 1), complex), row(tau_closed)
    tau = tau.copy()
    for J, members in reversed(list(enumerate(law.members))):           # tau is that of all later sets, too
        C = row(before[J] * tau)                                        # all sets but the own and J
        for j in members:
            np.matmul(C, column(lifted[j]), out=dots[0, j])
            np.matmul(tau_closed, column(lifted[j]), out=dots[1, j])
        tau *= factors[J]
    dots = dots[..., 0, 0].real                                         # (2, n, N, pieces)
    return dots[0] - apart[..., None] * dots[1]


def own_terms(law, p, integrals, own, with_grad):
    """T_off (N, 1), T and t_y (N, K), and a list of (j, r, t_j, t_yj): in the rows r feature j belongs to the own set.

    integrals (4.14) of all features, those of sets of several with weight 1, and last of the own gain with weight 1.
    """
    rows, own_set = np.arange(len(own)), law.set_of[own]
    T_off, q = 1 - p[own_set, rows][:, None], law.active(p)[own, rows][:, None]
    psi = integrals(law.n, 1 + with_grad)
    psi[-1] *= integrals.over_phi(law.n)
    T, t_y, t_j, t_yj = T_off + q * law.even(psi[0]), q * law.even(psi[1]), q * law.odd(psi[1]), q * law.odd(psi[-1])
    same = [(own, rows, t_j, t_yj)]
    for J, i in ((J, i) for J in law.several for i in law.members[J]):
        r = np.flatnonzero(own == i)
        if not len(r):
            continue
        members = [i] + [j for j in law.members[J] if j != i]
        psi = [integrals(j, 1) for j in members]
        zero = [law.even(x[0][r]) for x in psi]
        one = [law.odd((x[1] * integrals.over_phi(j))[r]) for j, x in zip(members, psi)]
        if not law.together[J]:
            T[r] = T_off[r] + q[r] * sum(zero)
            same += [(j, r, q[r] * x, 0) for j, x in zip(members[1:], one[1:])]
            continue
        for k in range(1, len(members)):
            rest = reduce(np.multiply, zero[1:k] + zero[k + 1:], 1)     # the own set without i and this one
            same.append((members[k], r, q[r] * one[k] * zero[0] * rest, t_y[r] * one[k] * rest))
        rest = reduce(np.multiply, zero[1:])
        T[r] = T_off[r] + q[r] * zero[0] * rest
        for x in (t_y, t_j, t_yj):
            x[r] *= rest
    return T_off, T, t_y, same
