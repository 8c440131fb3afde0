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

ROUNDING = 32 * np.finfo(float).eps
NOTHING = 1e-30         # gains below this part of the largest |z| are as good as zero
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
    result = []
    for k, group in sorted(groups.items()):
        index, sign, on, factor = zip(*group)
        result.append(Supports(np.array(index, int).T.reshape(k, len(group)), np.array(sign).T.reshape(k, len(group)),
                               np.array(on).T, np.array(factor)))
    return result


def enumerate_rows(sets, signed, p, b, g, own, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)], or [l] without `with_grad`, and a bound on l's rounding error (N,).

    p (J, N) set probabilities, b (N,), g (n, N), own (N,).
    """
    total, error = [np.zeros_like(b), np.zeros_like(b), np.zeros_like(g)], np.zeros_like(b)
    for group in supports(sets, signed):
        weight = np.where(group.on[:, :, None], p[:, None], 1 - p[:, None]).prod(0) * group.factor[:, None]   # (C, N)
        if not weight.any():                                            # (4.9)
            continue
        gains = g[group.index] * group.sign[..., None]                  # (k, C, N)
        parts = box(b, gains, group.index[..., None] == own, with_grad)
        total[0] += (weight * parts[0]).sum(0)
        size = abs(b) + abs(gains).sum(0) if len(gains) else np.maximum(b, 0)
        error += (weight * size * (size + 1)).sum(0) * ROUNDING
        if with_grad:
            total[1] += (weight * parts[1]).sum(0)
            scaled = weight * parts[2] * group.sign[..., None]          # (k, C, N)
            for j in range(len(g)):
                total[2][j] += scaled[group.index == j].sum(0)
    return total if with_grad else total[:1], error


def box(y, g, own, with_grad=True):
    """E[z_+^2 - 2 u_own z_+] for z = y + sum_j g_j u_j with independent u_j Uniform[0, 1], and its gradient.

    y (N,), g (k, C, N), own (k, C, N) a mask -> value (C, N), d/dy (C, N), d/dg (k, C, N); without `with_grad` the
    last two are None. The derivative with respect to the own gain, 2 E[u_own z_+], rides on the imaginary part. (4.15)
    """
    k, shape = len(g), g.shape[1:]
    scale = abs(y) + abs(g).sum(0)                                      # (C, N)
    scale[scale == 0] = 1
    order = np.argsort(abs(g), axis=0)
    dual = np.take_along_axis(g / scale + 1j * DUAL * own, order, 0)
    flip = np.where(dual.real < 0, -1.0, 1.0)
    a = dual * flip                                                     # (k, C, N), ascending
    a.real[a.real < NOTHING] = 0
    reach = np.cumsum(a.real, axis=0)                                   # (k, C, N)  the largest t
    c = [None] * k + [(y / scale - (a * (flip < 0)).sum(0))[None]]      # c[j] (2^(k-j), C, N): z with all u_j low
    for j in range(k, 0, -1):
        c[j - 1] = np.concatenate([c[j], c[j] + a[j - 1]])              # u_j low, then u_j high            (4.11)
    mu, powers = [None], []
    for j in range(k):                                                  # mu[j] (k + 3 - j, C, N)           (4.13)
        powers.append(np.cumprod([np.ones_like(a[j])] + [a[j] / (r + 1) for r in range(1, k + 2 - j)], axis=0))
        mu.append(powers[j].copy())
        for r in range(k + 2 - j) if j else ():
            mu[j + 1][r:] = (mu[j + 1][r:] if r else 0) + powers[j][r] * mu[j][:k + 2 - j - r]
    U, below, across = [], [], []
    for j in range(k + 1):
        top = c[j].real + (reach[j - 1] if j else 0)
        below.append((c[j].real >= 0) & (top > 0))                      # z > 0 for every t: a polynomial
        value = np.where(below[j], mean_power(c[j], mu[j], k + 2 - j), 0)                           # (4.13)
        if j:
            across.append((c[j].real < 0) & (top > 0))                  # z changes sign: a difference
            inverse = 1 / np.where(across[-1].any(0), a[j - 1], 1)
            low, high = np.split(U[-1], 2)
            value = np.where(across[-1], (high - low) * inverse, value)                             # (4.12)
        U.append(value)
    value = 2 * U[k][0]
    value = scale**2 * value.real - scale * value.imag / DUAL                                       # (4.15)
    if not with_grad:
        return value, None, None

    da, dc, dmu = np.zeros_like(a), [None] * (k + 1), [None] * (k + 1)
    dU = np.full((1, *shape), 2 + 0j)
    for j in range(k, -1, -1):                                          # the same steps backwards          (4.14)
        m = k + 2 - j
        d_power = np.where(below[j], dU, 0)
        dc[j] = d_power * mean_power(c[j], mu[j], m - 1)
        if j:
            dmu[j] = np.zeros_like(mu[j])
            for q in range(m, 0, -1):
                dmu[j][q] = d_power.sum(0)
                d_power = d_power * c[j] * (1 / (m - q + 1))
            d_slope = np.where(across[j - 1], dU, 0) / np.where(across[j - 1].any(0), a[j - 1], 1)
            da[j - 1] -= (d_slope * U[j]).sum(0)
            dU = np.concatenate([-d_slope, d_slope])
    for j in range(k, 0, -1):
        for r in range(k + 3 - j):
            through = dmu[j][r:] * (mu[j - 1][:k + 3 - j - r] if j > 1 else np.eye(1, k + 3 - j - r)[0][:, None, None])
            if r:
                da[j - 1] += through.sum(0) * powers[j - 1][r - 1] * (r / (r + 1))
            if j > 1:
                dmu[j - 1][:k + 3 - j - r] += dmu[j][r:] * powers[j - 1][r]
    d = dc[0]
    for j in range(1, k + 1):
        low, high = np.split(d, 2)
        da[j - 1] += high.sum(0)
        d = dc[j] + low + high
    dg = np.empty_like(g)
    np.put_along_axis(dg, order, _real(da * flip + (flip < 0) * d[0], scale), 0)
    return value, _real(d[0], scale), dg


def _real(derivative, scale):
    """d(scale^2 Re - scale Im / DUAL) for a variable that was divided by scale. (4.15)"""
    return scale * derivative.real - derivative.imag / DUAL


def mean_power(c, mu, m):
    """E[(c + t)^m] / m! from the moments mu of t: sum_q c^(m-q) / (m-q)! mu_q, by Horner. (4.13)"""
    result = c * (1 / m) if m else np.ones_like(c)
    for q in range(1, m + 1):
        if mu is not None:
            result += mu[q]
        if q < m:
            result *= c
            result *= 1 / (m - q)
    return result
