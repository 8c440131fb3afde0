"""The exact loss of one output by enumeration: every support, every corner of its cube, without cancellation.

    z    input of an output's ReLU, z = b + sum_j g_j x_j       c    a corner: z where the larger values are 0 or 1
    g    gains, one row of G = W'W                              a    sizes |g| of the active gains, ascending
    k    number of active features                              U_j  mean of c_+^m / m! over the j smallest of them
    t    sum of the j smallest, each times Uniform[0, 1]        mu   E[t^q] / q!
    own  the feature that the output should reproduce           l    E[z_+^2 - 2 y z_+], y the target |x_own|

All work is vectorised over supports (C) and rows (N); a row is one output of one instance. Nothing is truncated, so
rounding is the only error. The cost grows like 3^n (5^n for signed features): this is for few features, and gives
`series.py` its closed forms. Equations (4.k) are in derivations/04-exact-loss.md.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

DUAL = 1e-60            # size of the imaginary part that carries the derivative with respect to the own gain (4.15)


class Supports(NamedTuple):
    """C ways to be active with k features each: which features, their signs, which of the J sets are on, a factor."""

    index: np.ndarray           # (k, C)
    sign: np.ndarray            # (k, C)
    on: np.ndarray              # (J, C)
    factor: np.ndarray          # (C,)


def options(feature_set, signed):
    """What one set can do, as (on, factor, members, signs): off, on, on with each member, each sign. (4.9)"""
    yield False, 1.0, (), ()
    together = feature_set.kind == "correlated"
    for members in [feature_set.members] if together else [(i,) for i in feature_set.members]:
        patterns = list(product((1.0, -1.0), repeat=len(members))) if signed else [(1.0,) * len(members)]
        for signs in patterns:
            yield True, 1 / len(patterns) / (1 if together else len(feature_set.members)), members, signs


def count_corners(sets, signed):
    """The number of (support, corner) pairs."""
    return np.prod([sum(2.0 ** len(members) for _, _, members, _ in options(s, signed)) for s in sets])


@lru_cache(maxsize=64)
def supports(sets, signed):
    """All supports of the sets, grouped by the number of active features: a list of Supports."""
    groups = {}
    for choice in product(*(options(s, signed) for s in sets)):
        on, factor, members, signs = zip(*choice)
        index, sign = sum(members, ()), sum(signs, ())
        groups.setdefault(len(index), []).append((index, sign, on, np.prod(factor)))
    return [Supports(np.array([g[0] for g in group], int).T.reshape(k, -1), np.array([g[1] for g in group]).T.reshape(k, -1),
                     np.array([g[2] for g in group]).T, np.array([g[3] for g in group]))
            for k, group in sorted(groups.items())]


def enumerate_rows(sets, signed, p, b, g, own, with_grad):
    """l (N,), dl/db (N,), dl/dg (n, N) of the rows b (N,), g (n, N), own (N,), set probabilities p (J, N).

    The gradients are None unless `with_grad`.
    """
    total, db, dg = np.zeros_like(b), np.zeros_like(b), np.zeros_like(g)
    for group in supports(sets, signed):
        on = group.on[:, :, None]
        weight = np.where(on, p[:, None], 1 - p[:, None]).prod(0) * group.factor[:, None]          # (C, N)  (4.9)
        if not weight.any():
            continue
        value, d_y, d_gain = box(b, g[group.index] * group.sign[..., None], group.index[..., None] == own, with_grad)
        total += (weight * value).sum(0)
        if with_grad:
            db += (weight * d_y).sum(0)
            d_gain *= weight * group.sign[..., None]
            for j in range(len(g)):
                dg[j] += (d_gain * (group.index == j)[..., None]).sum((0, 1))
    return total, (db if with_grad else None), (dg if with_grad else None)


def box(y, g, own, with_grad=True):
    """E[z_+^2 - 2 u_own z_+] for z = y + sum_j g_j u_j with independent u_j Uniform[0, 1], and its gradient.

    y (N,), g (k, C, N), own (k, C, N) a mask -> value (C, N), d/dy (C, N), d/dg (k, C, N); without `with_grad` the
    last two are None. The derivative with respect to the own gain, 2 E[u_own z_+], rides on the imaginary part. (4.15)
    """
    k, shape = len(g), g.shape[1:]
    size = abs(y) + abs(g).sum(0)                                       # (C, N)
    scale = np.where(size > 0, size, 1.0)
    order = np.argsort(abs(g), axis=0)
    ascending = np.take_along_axis(g, order, 0)
    flip = np.where(ascending < 0, -1.0, 1.0)
    a = ascending / scale * flip + 1j * DUAL * flip * np.take_along_axis(own, order, 0)     # (k, C, N)
    c = [None] * k + [(y / scale + np.where(flip < 0, a, 0).sum(0) * -1)[None] if k else
                      np.broadcast_to(y / scale + 0j, (1, *shape))]     # c[j]: (2^(k-j), C, N)
    for j in range(k, 0, -1):
        c[j - 1] = np.concatenate([c[j], c[j] + a[j - 1]])              # low half, high half     (4.11)

    mu = [[np.ones(shape, complex)] + [np.zeros(shape, complex)] * (k + 2)]
    for j in range(k):
        powers = [np.ones(shape, complex)]
        for r in range(1, k + 3):
            powers.append(powers[-1] * a[j] / (r + 1))                  # a^r / (r + 1)!
        mu.append([sum(mu[j][q - r] * powers[r] for r in range(q + 1)) for q in range(k + 3)])      # (4.13)

    U, above, edges = [], [], []
    for j in range(k + 1):
        m = k + 2 - j
        reach = reach + a[j - 1].real if j else 0.0
        above.append((c[j].real >= 0) & (c[j].real + reach > 0))
        value = np.where(above[j], mean_power(c[j], mu[j], m), 0)                                   # (4.13)
        if j:
            edges.append((c[j].real < 0) & (c[j].real + reach > 0))
            half = len(U[-1]) // 2
            slope = (U[-1][half:] - U[-1][:half]) / np.where(a[j - 1] == 0, 1, a[j - 1])
            value = np.where(edges[-1], slope, value)                                               # (4.12)
        U.append(value)
    A = 2 * U[k][0]
    value = scale**2 * A.real - scale * A.imag / DUAL                                               # (4.15)
    if not with_grad:
        return value, None, None

    da, dc = np.zeros_like(a), [None] * (k + 1)
    dmu = [[0] * (k + 3) for _ in range(k + 1)]
    dU = np.full((1, *shape), 2.0 + 0j)
    for j in range(k, -1, -1):                                          # the same lines backwards
        m = k + 2 - j
        d_mean = np.where(above[j], dU, 0)
        dc[j] = d_mean * mean_power(c[j], mu[j], m - 1)
        power = d_mean
        for q in range(m, 0, -1) if j else ():                          # c^(m-q) / (m-q)!
            dmu[j][q] = power.sum(0)
            power = power * c[j] / (m - q + 1)
        if j:
            d_slope = np.where(edges[j - 1], dU, 0) / np.where(a[j - 1] == 0, 1, a[j - 1])
            da[j - 1] -= (d_slope * U[j]).sum(0)
            dU = np.concatenate([-d_slope, d_slope])
    for j in range(k, 0, -1):
        powers = [np.ones(shape, complex)]
        for r in range(1, k + 3):
            powers.append(powers[-1] * a[j - 1] / (r + 1))
        for q in range(1, k + 3):
            for r in range(q + 1):
                dmu[j - 1][q - r] = dmu[j - 1][q - r] + dmu[j][q] * powers[r]
                if r:
                    slope = r * powers[r - 1] / (r + 1)
                    da[j - 1] += dmu[j][q] * mu[j - 1][q - r] * slope
    below = dc[0]
    for j in range(1, k + 1):
        half = len(below) // 2
        da[j - 1] += below[half:].sum(0)
        below = dc[j] + below[:half] + below[half:]
    d_y = below[0]
    d_g = da * flip + np.where(flip < 0, d_y, 0)
    chain = lambda d: scale * d.real - d.imag / DUAL
    unsorted = np.empty(g.shape)
    np.put_along_axis(unsorted, order, chain(d_g), 0)
    return value, chain(d_y), unsorted


def mean_power(c, mu, m):
    """E[(c + t)^m] / m! from the moments mu of t: sum_q c^(m-q) / (m-q)! mu_q, by Horner. (4.13)"""
    result = np.ones_like(c)
    for q in range(1, m + 1):
        result = result * c / (m - q + 1) + mu[q]
    return result
