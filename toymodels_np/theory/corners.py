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
    k, shape = len(g), g.shape[1:]
    scale = abs(y) + abs(g).sum(0)                                      # (C, N)
    scale[scale == 0] = 1
    order = np.argsort(abs(g), axis=0)
    p = np.take_along_axis(p, order, 0)
    a = np.take_along_axis(g / scale + 1j * DUAL * own, order, 0)       # (k, C, N)
    flip = np.where(a.real < 0, -1.0, 1.0)
    a *= flip
    a.real[a.real < NOTHING] = 0
    back = flip < 0                                                     # -a x = -a + a (1 - x): off is the high end
    reach = np.cumsum(a.real, axis=0)                                   # (k, C, N)  the largest t
    c = [None] * k + [(y / scale - (a * back).sum(0))[None]]            # c[j] (2^(k-j), C, N): all x_j low
    for j in range(k, 0, -1):
        c[j - 1] = np.concatenate([c[j], c[j] + a[j - 1]])              # x_j low, then x_j high             (4.6)

    orders = np.arange(k + 2.0).reshape(-1, 1, 1)                       # q, r
    mu, step, chance = [np.eye(k + 3, 1)[..., None] * np.ones(shape, complex)], [], []      # mu[j] (k + 3 - j, C, N)
    for j in range(k):                                                  # E[(a x)^r] / r!: a^r / r! times a chance
        r = orders[:k + 2 - j]
        step.append(powers(a[j], k + 1 - j))
        chance.append(np.where(r == 0, 1, p[j] / (r + 1) + (1 - p[j]) * back[j]))
        mu.append(sum_products(step[j] * chance[j], mu[j]))                                         # (4.7)

    power, poly, H, below, across, slope = [], [], [], [], [], []
    for j in range(k + 1):
        M = k + 2 - j
        power.append(powers(c[j], M))
        poly.append(sum_products(mu[j][:, None], power[j]) if j else power[j])      # E (c + t)^q / q!     (4.7)
        top = c[j].real + (reach[j - 1] if j else 0)
        below.append((c[j].real >= 0) & (top > 0))                      # z > 0 for every t: a polynomial
        H.append(poly[j][2:] * below[j])                                # (k + 1 - j, 2^(k-j), C, N)
        if j:
            across.append((c[j].real < 0) & (top > 0))                  # z changes sign: x_j on or off      (4.8)
            half = H[-2].shape[1] // 2
            low, high = H[-2][:, :half], H[-2][:, half:]
            slope.append((high[1:] - low[1:]) / np.where(across[-1].any(0), a[j - 1], 1))
            idle = np.where(back[j - 1], high[:-1], low[:-1])
            H[-1] += across[-1] * (p[j - 1] * slope[-1] + (1 - p[j - 1]) * idle)
    value = 2 * H[k][0, 0]
    value = scale**2 * value.real - scale * value.imag / DUAL                                       # (4.10)
    if not with_grad:
        return value, None, None

    da, dc, dmu = np.zeros_like(a), [None] * (k + 1), [None] * (k + 1)
    dH = np.full((1, 1, *shape), 2 + 0j)
    for j in range(k, -1, -1):                                          # the same steps backwards          (4.9)
        M = k + 2 - j
        d_poly = dH * below[j]                                          # (k + 1 - j, 2^(k-j), C, N)
        dc[j] = (d_poly * poly[j][1:-1]).sum(0)
        if j:
            dmu[j] = np.empty((M + 1, *shape), complex)
            for q in range(M + 1):
                np.einsum("qvcn,qvcn->cn", d_poly[max(0, q - 2):], power[j][max(0, 2 - q):M + 1 - q], out=dmu[j][q])
            d_on = dH * across[j - 1]
            d_idle = d_on * (1 - p[j - 1])
            d_on *= p[j - 1] / np.where(across[j - 1].any(0), a[j - 1], 1)
            da[j - 1] -= (d_on * slope[j - 1]).sum((0, 1))
            half = d_on.shape[1]
            dH = np.zeros_like(H[j - 1])
            dH[1:, :half] -= d_on
            dH[1:, half:] += d_on
            dH[:-1, :half] += d_idle * ~back[j - 1]
            dH[:-1, half:] += d_idle * back[j - 1]
    for j in range(k, 0, -1):
        M = k + 3 - j
        d_law = np.empty((M, *shape), complex)
        for r in range(M):
            np.einsum("qcn,qcn->cn", dmu[j][r:], mu[j - 1][:M - r], out=d_law[r])
        da[j - 1] += (d_law[1:] * chance[j - 1][1:] * step[j - 1][:-1]).sum(0)
        law = step[j - 1] * chance[j - 1]
        for r in range(M) if j > 1 else ():
            dmu[j - 1][:M - r] += law[r] * dmu[j][r:]
    d = dc[0]
    for j in range(1, k + 1):
        half = len(d) // 2
        da[j - 1] += d[half:].sum(0)
        d = dc[j] + d[:half] + d[half:]
    dg = np.empty_like(g)
    np.put_along_axis(dg, order, _unscaled(da * flip + back * d[0], scale), 0)
    return value, _unscaled(d[0], scale), dg


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
