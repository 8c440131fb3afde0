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

from itertools import product

import numpy as np

from .corners import box

RARE = 40.0             # P(|z| > P) is at most 2 exp(-RARE)                                              (4.19)
TINY = 1e-10            # another feature's gain below TINY P acts through its mean alone                 (4.20)
GRAD = 1000             # how much more error the gradient may have than the loss
FIRST, LAST = 64, 2**15         # nodes of the first block, and where the sum gives up
CHUNK = 2**15           # complex numbers in one work array: more leaves the cache, less leaves the work to Python
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
        self.several = range(len(self.single), len(sets))       # the sets with several members
        self.mean = 0.0 if signed else 0.5                      # of an active value

    def active(self, p):
        """P(x_j != 0), (n, N)."""
        return p[self.set_of] * self.share[:, None]

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
        """t (J, N, …) from an active feature's E e^{iwgx}, zero (n, N, …). (4.15)"""
        p = p.reshape(p.shape + (1,) * (zero.ndim - 2))
        t = zero[self.single] * p[:len(self.single)]
        sets = [p[J] * (zero[self.members[J]].prod(0) if self.together[J] else zero[self.members[J]].mean(0))
                for J in self.several]
        return np.concatenate([t, sets]) if sets else t


def geometric(base, count):
    """1, base, base^2, …: (..., count)."""
    factors = np.repeat(base[..., None], count, axis=-1)
    factors[..., 0] = 1
    return factors.cumprod(-1)


def uniform(alpha, kappa, order):
    """E[u^r e^{i phi u}] for r = 0 … order of u Uniform[0, 1], at phi = alpha kappa: arrays (..., K). (4.14)

    kappa are consecutive odd numbers, so that the exponentials are products of a few.
    """
    K = len(kappa)
    stride = 2 ** (K.bit_length() // 2)                                 # K is a power of 2, or nearly
    fine = geometric(np.exp(2j * alpha), stride)                        # (..., stride)
    coarse = geometric(np.exp(2j * stride * alpha), -(-K // stride)) * np.exp(1j * kappa[0] * alpha)[..., None]
    turn = (coarse[..., None] * fine[..., None, :]).reshape(*alpha.shape, -1)[..., :K]              # e^{i phi}
    inverse = (-1j / np.where(alpha == 0, 1, alpha))[..., None] * (1 / kappa + 0j)                  # 1 / (i phi)
    result = [(turn - 1) * inverse]
    for r in range(1, order + 1):
        result.append((turn - (result[-1] if r == 1 else r * result[-1])) * inverse)                # by parts
    some = np.nonzero(abs(alpha) * kappa[0] < SMALL)
    where, k = np.nonzero(abs(alpha[some])[:, None] * kappa < SMALL)
    small = (*(axis[where] for axis in some), k)
    phi = 1j * alpha[small[:-1]] * kappa[k]
    for r, x in enumerate(result):                                      # sum_s phi^s / (s! (s + r + 1)), by Horner
        value = 0
        for s in range(TERMS, -1, -1):
            value = value * phi / (s + 1) + 1 / (s + r + 1)
        x[small] = value
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
    start, stop, last = 0, FIRST, np.zeros((2, 2, len(b)))           # last: how far it moved, and the ratio
    while len(rows):
        kappa = 2.0 * np.arange(start, stop) + 1
        chunks = np.array_split(rows, min(len(rows), 1 + len(rows) * law.n * len(kappa) // CHUNK))
        parts = [block(law, p[:, r], b[r], g[:, r], own[r], P[r], kappa, with_grad) for r in chunks]
        parts = [np.concatenate(x, -2) for x in zip(*parts)]
        halves = [[x[..., i] for x in parts] for i in (0, 1)]
        for sums, first, second in zip(total, *halves):
            sums[..., rows] += first + second
        # How far the end of the sum moved in the last doubling, or in the last half of it, and how that shrinks.
        moved = np.zeros((2, len(rows)))
        moved[0] = np.maximum(abs(halves[0][0] + halves[1][0]), abs(halves[1][0]))
        if with_grad:
            moved[1] = np.maximum(abs(halves[0][2] + halves[1][2]), abs(halves[1][2])).max(0)
        before = last[0][:, rows]
        ratio = np.clip(moved / np.where(before > 0, before, 2 * moved + 1e-300), 0.1, 0.9)
        slowest = np.maximum(ratio, last[1][:, rows])
        error[:, rows] = moved * slowest / (1 - slowest)                                            # (4.21)
        last[0][:, rows], last[1][:, rows] = moved, ratio
        allowed = rtol * np.maximum(y_y + total[0], 1e-3 * y_y)
        going = (error[0] > allowed) | (error[1] * worth > GRAD * allowed) | (start == 0)
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
    P = largest = np.where(largest > 0, largest, 1.0)                   # (N,)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for power in range(6):
            slope = RARE / largest * 2.0**power
            bound = 0.0
            for s in (slope, -slope):
                y = g * s
                y = np.where(abs(y) < 1e-300, 1e-300, y)
                t = law.sums(p, np.sinh(y) / y if law.signed else np.expm1(y) / y)
                bound = np.maximum(bound, s * b + np.log(t + (1 - p)).sum(0) + RARE)
            P = np.where(bound < P * slope, bound / slope, P)           # False where the bound overflowed
    return P


def off(law, p, own):
    """The own sets (N,), then of the other sets: S (J, N) with 1 for the own set, the products of S before and after
    each, and without the own set and J. (4.16)"""
    own_set, everyone = law.set_of[own], np.arange(len(own))
    S = 1 - p
    S[own_set, everyone] = 1
    before, after = ahead(S), ahead(S[::-1])[::-1]
    return own_set, S, before, after, before * after


def ahead(factors, start=1.0):
    """Along the first axis, `start` times the products of all factors before each."""
    result = np.empty_like(factors)
    result[0] = start
    for J in range(1, len(factors)):
        np.multiply(result[J - 1], factors[J - 1], out=result[J])
    return result


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

    own_set, _, _, _, others = off(law, p, own)
    simple = np.flatnonzero(law.simple[law.set_of])                     # features that are active alone in their set
    J = law.set_of[simple]                                              # (C,)
    mine = J[:, None] == own_set                                        # (C, N)
    signs = (1.0, -1.0) if law.signed else (1.0,)

    def put_back(weight, index, sign):
        """Supports that hold exactly the features `index`, arrays that broadcast to (C, N), with these signs."""
        if not (weight > 1e-40).any():
            return
        index = [np.broadcast_to(i, weight.shape) for i in index]
        gains = np.stack([g[i, everyone] * s for i, s in zip(index, sign)])
        parts = kernel(b, gains, np.stack(index) == own, P, with_grad)
        l[:] += (weight * parts[0]).sum(0)
        if with_grad:
            db[:] += (weight * parts[1]).sum(0)
            dg[simple] += weight * parts[2][-1] * sign[-1]
            if len(index) == 2:
                dg[index[0][0], everyone] += (weight * parts[2][0]).sum(0) * sign[0]

    alone = q[simple] * np.where(mine, 1, 1 - p[own_set, everyone]) * others[J] / len(signs)
    for s in signs:
        put_back(alone, [simple[:, None]], [s])
    pair = np.where(mine, 0, q[simple] * others[J]) * law.simple[own_set] / len(signs)**2
    for i in range(max(map(len, law.members))):                         # each member of the own set with each other
        member = np.array([m[i % len(m)] for m in law.members])[own_set]                            # (N,)
        exists = np.array([i < len(m) for m in law.members])[own_set]
        for s, s_own in product(signs, signs):
            put_back(pair * exists * q[member, everyone], [member, simple[:, None]], [s_own, s])
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


def block(law, p, b, g, own, P, kappa, with_grad):
    """The terms kappa of the series, each half summed: l (N, 2), and with_grad dl/db (N, 2), dl/dg (n, N, 2). (4.18)"""
    rows, half = np.arange(len(b)), len(kappa) // 2
    both = lambda x: np.add.reduceat(x.real, (0, half), axis=-1)
    dot = lambda how, x, y: np.stack([np.einsum(how, x[..., part], y[..., part]).real
                                      for part in (slice(half), slice(half, None))], -1)
    turn = np.exp(1j * (np.pi * b / P)[:, None] * kappa)                # (N, K)
    q = law.active(p)[..., None]
    alpha = np.pi * g / P                                               # (n, N)
    zero, *one = uniform(alpha, kappa, int(with_grad))                  # (n, N, K)
    y_one, y_two = uniform(alpha[own, rows], kappa, 2)[1:]              # (N, K)
    if law.signed:                                                      # the means over both signs of x
        zero, one = zero.real + 0j, [1j * x.imag for x in one]
        y_one, y_two = y_one.real + 0j, 1j * y_two.imag
    t = law.sums(p, zero)                                               # (J, N, K)
    t_y = q[own, rows] * y_one                                          # (N, K)
    for J in law.several:                                               # … and the partners in a correlated own set
        for i in law.members[J] if law.together[J] else ():
            r = np.flatnonzero(own == i)
            t_y[r] *= zero[[j for j in law.members[J] if j != i]][:, r].prod(0)

    own_set, S, S_before, S_after, S_others = off(law, p, own)
    T_off = 1 - p[own_set, rows][:, None]                               # (N, 1)
    T = T_off + t[own_set, rows]
    t[own_set, rows] = 0
    simple = law.simple[:, None, None]
    factors = S[..., None] + t
    before = ahead(factors)                                             # (J, N, K)
    F = before[-1] * factors[-1]                                        # (N, K)
    some_before = before - simple * S_before[..., None]
    some_before *= t
    some_before *= S_after[..., None]
    D = some_before.sum(0)                                              # (N, K)                    (4.16)
    a3, a2, a1 = 4 * P[:, None]**2 / np.pi**3 / kappa**3, 4 * P[:, None] / np.pi**2 / kappa**2, 4 / np.pi / kappa
    tau = turn * (1j * a3 * T + a2 * t_y)
    closed = law.simple[own_set][:, None]                               # whether pairs with the own set are taken out
    tau_closed = np.where(closed, tau, turn * 1j * a3 * T_off)
    l = both(tau_closed * D + (tau - tau_closed) * F)                                               # (4.13)
    if not with_grad:
        return (l,)

    iw = 1j * np.pi * kappa / P[:, None]
    tau, tau_closed = iw * tau, iw * tau_closed
    db = both(tau_closed * D + (tau - tau_closed) * F)                                              # (4.18)
    C = ahead(factors[::-1], tau)[::-1]                                 # (J, N, K)
    C *= before                                                         # tau times all sets but the own and J
    one, = one                                                          # (n, N, K)
    t_j = one.copy() if law.several else one                            # t_j but for the chance q
    for J in law.several:
        for j in law.members[J] if law.together[J] else ():
            t_j[j] *= zero[[i for i in law.members[J] if i != j]].prod(0)
    C = C[law.set_of] if law.several else C
    apart = (law.simple[:, None] * S_others)[law.set_of]                # (n, N)
    dg = q * (dot("jnk,jnk->jn", C, t_j) - apart[..., None] * dot("nk,jnk->jn", tau_closed, t_j))   # (4.18)
    weight = turn * np.where(closed, D, F)                              # the own set's features
    same = lambda r, j, t_yj: both(weight[r] * (1j * a1 * t_yj - a2[r] * q[j, r] * t_j[j, r]))
    alone = np.flatnonzero(np.isin(own_set, law.several, invert=True))
    dg[own[alone], alone] = same(alone, own[alone], q[own[alone], alone] * y_two[alone])
    for J in law.several:
        members = law.members[J]
        for i in members:
            r = np.flatnonzero(own == i)
            for j in members:
                if i == j:
                    t_yj = q[i, r] * y_two[r]
                    rest = [k for k in members if k != i]
                else:
                    t_yj = q[i, r] * y_one[r] * one[j, r] if law.together[J] else 0
                    rest = [k for k in members if k not in (i, j)]
                if law.together[J]:
                    t_yj = t_yj * zero[rest][:, r].prod(0)
                dg[j, r] = same(r, j, t_yj)
    return l, db, dg
