"""The exact loss of one output from the corners of its cubes, for few features, without cancellation.

    z    input of an output's ReLU, y + sum_j g_j x_j           a    sizes |g| of the gains, ascending
    p    P(x_j != 0); an active x_j is Uniform[0, 1]            c    a corner: z where the larger x_j are 0 or 1
    t    sum of the j smallest a x                              mu   E[t^q] / q!
    own  the feature that the output should reproduce           H    E[(c + t)_+^q] / q!, for q = 2, 3, …
    l    E[z_+^2 - 2 |x_own| z_+]

All work is vectorised over cases (C), the states of the sets and signs, and rows (N), the outputs of the instances.
Nothing is truncated, so rounding is the only error. The cost grows like n 2^n (n 4^n for signed features): this is for
few features, and gives `series.py` its closed forms. Equations (4.k) are in derivations/04-exact-loss.md.
"""

from functools import lru_cache
from itertools import product

import numpy as np

ROUNDING = 32 * np.finfo(float).eps
NOTHING = 1e-30         # gains below this part of the largest |z| are as good as zero
DUAL = 1e-60            # size of the imaginary part that carries the derivative with respect to the own gain (4.10)


def options(feature_set, signed):
    """What a set can do, as (on, share, {member: sign}); single features are on by chance inside a case. (4.5)"""
    together, members = feature_set.kind == "correlated", feature_set.members
    if len(members) == 1:
        return [(None, 1 / (1 + signed), {members[0]: sign}) for sign in ((1, -1) if signed else (1,))]
    result = [(False, 1.0, {})]
    for group in [members] if together else [(i,) for i in members]:
        patterns = list(product((1, -1), repeat=len(group))) if signed else [(1,) * len(group)]
        share = 1 / len(patterns) / (1 if together else len(members))
        result += [(True, share, dict(zip(group, signs))) for signs in patterns]
    return result


def work(sets, signed):
    """The number of values that `enumerate_rows` works out for a row, about."""
    n = sum(len(s.members) for s in sets)
    return np.prod([float(len(options(s, signed))) for s in sets]) * 2.0**n * (n + 1)


@lru_cache(maxsize=64)
def cases(sets, signed):
    """All combinations of the options: on (J, C) 1, 0 or NaN for None, share (C,), sign (n, C) with 0 for absent."""
    n = sum(len(s.members) for s in sets)
    on, share, sign = [], [], []
    for case in product(*(options(s, signed) for s in sets)):
        on.append([np.nan if o is None else float(o) for o, _, _ in case])
        share.append(np.prod([f for _, f, _ in case]))
        present = {j: s for _, _, signs in case for j, s in signs.items()}
        sign.append([present.get(j, 0) for j in range(n)])
    return np.array(on).T, np.array(share), np.array(sign, float).T


def enumerate_rows(sets, signed, p, b, g, own, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)], or [l] without `with_grad`, and a bound on l's rounding error (N,).

    p (J, N) set probabilities, b (N,), g (n, N), own (N,).
    """
    on, share, sign = cases(sets, signed)
    weight = np.where(on[:, :, None] == 1, p[:, None], np.where(on[:, :, None] == 0, 1 - p[:, None], 1)).prod(0)
    weight *= share[:, None]                                            # (C, N)                            (4.5)
    chance = np.ones_like(sign)[..., None] * np.ones_like(b)            # (n, C, N)
    for s, on_s, p_s in zip(sets, on, p):
        chance[list(s.members)] = np.where(np.isnan(on_s[:, None]), p_s, 1)
    sign = sign[..., None]
    is_own = np.arange(len(g))[:, None, None] == own
    parts = box(b, g[:, None] * sign, chance * abs(sign), is_own, with_grad)
    some = 1 - (1 - p).prod(0)
    error = ROUNDING * (np.maximum(b, 0) ** 2 + some * (abs(b) + abs(g).sum(0)) ** 2)
    parts = [(weight * parts[0]).sum(0)] + ([(weight * parts[1]).sum(0), (weight * sign * parts[2]).sum(1)]
                                            if with_grad else [])
    return parts, error


def box(y, g, p, own, with_grad=True):
    """E[z_+^2 - 2 x_own z_+] for z = y + sum_j g_j x_j, each x_j Uniform[0, 1] with chance p_j or 0; its gradient.

    y (N,), g, p and the mask own (k, C, N) -> value (C, N), d/dy (C, N), d/dg (k, C, N); without `with_grad` the last
    two are None. The derivative with respect to the own gain, 2 E[x_own z_+], rides on the imaginary part. (4.10)
    """
    k = len(g)
    scale = abs(y) + abs(g).sum(0)                                      # (C, N)
    scale[scale == 0] = 1
    order = np.argsort(abs(g), axis=0)
    p = np.take_along_axis(p, order, 0)
    a = np.take_along_axis(g / scale + 1j * DUAL * own, order, 0)       # (k, C, N)
    flip = np.where(a.real < 0, -1.0, 1.0)
    a *= flip
    a.real[a.real < NOTHING] = 0
    back = flip < 0                                                     # -a x = -a + a (1 - x): off is the high end
    H, *tape = _forward(y / scale - (a * back).sum(0), a, p, back)
    value = scale**2 * 2 * H.real - scale * 2 * H.imag / DUAL                                       # (4.10)
    if not with_grad:
        return value, None, None
    da, dc = _backward(a, p, back, *tape)
    dg = np.empty_like(g)
    np.put_along_axis(dg, order, _unscaled(da * flip + back * dc, scale), 0)
    return value, _unscaled(dc, scale), dg


def _levels(k):
    """Where the corners of level j are among the 2^(k + 1) - 1 of all levels, for j = 0 … k; the last level comes first."""
    return [slice(2 ** (k - j) - 1, 2 ** (k - j + 1) - 1) for j in range(k + 1)]


def _forward(bottom, a, p, back):
    """H (C, N) of q = 2 for z = bottom + sum a x, all a >= 0 and ascending, and what `_backward` needs."""
    k, shape = len(a), bottom.shape
    at, inner, doubling = _levels(k), 2**k - 1, 2 ** np.arange(k + 1)   # inner: the corners of all levels but 0
    c = np.empty((2 ** (k + 1) - 1, *shape), complex)
    c[0] = bottom
    for j in range(k, 0, -1):
        half = 2 ** (k - j)
        c[2 * half - 1:3 * half - 1] = c[at[j]]                         # x_j low
        np.add(c[at[j]], a[j - 1], out=c[3 * half - 1:4 * half - 1])    # x_j high                           (4.6)

    step = powers(a, k + 1)                                             # (k + 2, k, C, N)
    r = np.arange(k + 2.0).reshape(-1, 1, 1, 1)
    chance = p / (r + 1) + (1 - p) * back                               # E[(a x)^r] / r!: a^r / r! times a chance
    chance[0] = 1
    law = step * chance
    mu = np.zeros((k + 2, k + 1, *shape), complex)                      # level j at k - j, like the corners
    mu[0, k] = 1
    for j in range(k):
        r = k + 2 - j                                                   # moments that level j + 1 has a use for
        mu[:r, k - j - 1] = sum_products(law[:r, j], mu[:r, k - j]) if j else law[:, 0]             # (4.7)

    power = powers(c, k + 2)                                            # (k + 3, 2^(k+1) - 1, C, N)
    poly = power.copy()                                                 # E (c + t)^q / q!               (4.7)
    poly[:-1, :inner] = sum_products(np.repeat(mu[:, :k], doubling[:k], axis=1), power[:-1, :inner])
    reach = np.concatenate([np.cumsum(a.real, axis=0)[::-1], np.zeros((1, *shape))])        # the largest t, by level
    positive = c.real + np.repeat(reach, doubling, axis=0) > 0
    below, across = positive & (c.real >= 0), positive & (c.real < 0)   # z > 0 for every t: a polynomial
    over_a = 1 / np.where(a.real > 0, a, 1)                             # never used where a is 0
    H, slope = poly[2:] * below, [None] * (k + 1)                       # (k + 1, 2^(k+1) - 1, C, N)
    for j in range(1, k + 1):                                           # z changes sign: x_j on or off      (4.8)
        middle, part = 2 ** (k - j), H[:k + 2 - j, at[j - 1]]
        low, high = part[:, :middle], part[:, middle:]
        slope[j] = (high[1:] - low[1:]) * over_a[j - 1]
        idle = np.where(back[j - 1], high[:-1], low[:-1])
        H[:k + 1 - j, at[j]] += across[at[j]] * (p[j - 1] * slope[j] + (1 - p[j - 1]) * idle)
    return H[0, 0], step, chance, mu, power, poly, below, across, slope, over_a


def _backward(a, p, back, step, chance, mu, power, poly, below, across, slope, over_a):
    """d(2 H) / da (k, C, N), and with respect to every corner alike, (C, N): the same steps backwards. (4.9)"""
    k, shape = len(a), a.shape[1:]
    at, inner = _levels(k), 2**k - 1
    da, d_poly = np.zeros_like(a), np.zeros_like(poly[2:])
    dH = np.full((1, 1, *shape), 2 + 0j)
    for j in range(k, 0, -1):
        d_poly[:k + 1 - j, at[j]] = dH * below[at[j]]
        d_on = dH * across[at[j]]                                       # (k + 1 - j, 2^(k-j), C, N)
        d_idle = d_on * (1 - p[j - 1])
        d_on *= p[j - 1] * over_a[j - 1]
        da[j - 1] -= (d_on * slope[j]).sum((0, 1))
        half = d_on.shape[1]
        dH = np.zeros((k + 2 - j, 2 * half, *shape), complex)
        dH[1:, :half] -= d_on
        dH[1:, half:] += d_on
        dH[:-1, :half] += d_idle * ~back[j - 1]
        dH[:-1, half:] += d_idle * back[j - 1]
    d_poly[:, at[0]] = dH * below[at[0]]
    dc = (d_poly * poly[1:-1]).sum(0)                                   # (2^(k+1) - 1, C, N)

    dmu = np.empty((k + 2, k + 1, *shape), complex)
    for q in range(k + 2):
        d = np.einsum("qvcn,qvcn->vcn", d_poly[max(0, q - 2):, :inner], power[max(0, 2 - q):k + 3 - q, :inner])
        dmu[q, :k] = np.add.reduceat(d, 2 ** np.arange(k) - 1, axis=0)
    shift = np.minimum(np.add.outer(np.arange(k + 2), np.arange(k + 2)), k + 2)
    padded = np.zeros((k + 3, *shape), complex)
    for j in range(k, 0, -1):
        padded[:-1] = dmu[:, k - j]
        d = padded[shift]                                               # d[r, q] = dmu[r + q]
        d_law = np.einsum("rqcn,qcn->rcn", d, mu[:, k - j + 1])
        da[j - 1] += (d_law[1:] * chance[1:, j - 1] * step[:-1, j - 1]).sum(0)
        if j > 1:
            dmu[:, k - j + 1] += np.einsum("rqcn,rcn->qcn", d, step[:, j - 1] * chance[:, j - 1])
    total = dc[at[0]]
    for j in range(1, k + 1):
        half = len(total) // 2
        da[j - 1] += total[half:].sum(0)
        total = dc[at[j]] + total[:half] + total[half:]
    return da, total[0]


def _unscaled(derivative, scale):
    """d(scale^2 Re - scale Im / DUAL) with respect to a variable that was divided by scale. (4.10)"""
    return scale * derivative.real - derivative.imag / DUAL


def powers(x, order):
    """x^q / q! for q = 0 … order, along a new first axis."""
    result = x * (1 / np.arange(1.0, order + 2)).reshape(-1, *[1] * x.ndim)
    result[1:] = result[:-1]
    result[0] = 1
    return np.multiply.accumulate(result, axis=0)


def sum_products(first, second):
    """The product of two polynomials, coefficients along the first axis, up to the shorter one's order."""
    n = min(len(first), len(second))
    result = first[0] * second[:n]
    for r in range(1, n):
        result[r:] += first[r] * second[:n - r]
    return result
