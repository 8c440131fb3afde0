"""The exact loss of one output from the corners of its cubes, for few features: no cancellation.

    z    input of an output's ReLU, y + sum_j g_j x_j       a    sizes |g| of the gains, ascending
    p    P(x_j != 0); an active x_j is Uniform[0, 1]        c    a corner: z, larger x_j 0 or 1
    t    the rest: sum of the j smallest a x, and more      mu   E[t^q] / q!
    own  the feature that the output should reproduce       H    E[(c + t)_+^q] / q!
    l    E[z_+^2 - 2 |x_own| z_+]

All work is vectorised over cases (C), the states of the sets and signs, and rows (N), the outputs
of the instances. Nothing is truncated, so rounding is the only error. `enumerate_rows` costs about
n 2^n (n 4^n for signed features): it is for few features. With many, `rows.py` uses `Corners` for
the few large gains, and a series takes the place of the smallest cubes. Equations (4.k) are in
derivations/04-exact-loss.md.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

ROUNDING = 32 * np.finfo(float).eps
NOTHING = 1e-30         # gains below this part of the largest |z| are as good as zero
DUAL = 1e-60            # size of the imaginary part: the derivative by the own gain (4.10)


def options(feature_set, signed):
    """What a set can do, as (on, share, {member: sign}); single features are on by chance inside a
    case. (4.5)
    """
    together, members = feature_set.kind == "correlated", feature_set.members
    if len(members) == 1:
        signs = (1, -1) if signed else (1,)
        return [(None, 1 / len(signs), {members[0]: sign}) for sign in signs]
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
    """All combinations of the options: on (J, C) 1, 0 or NaN for None, share (C,), sign (n, C) with
    0 for absent.
    """
    n = sum(len(s.members) for s in sets)
    on, share, sign = [], [], []
    for case in product(*(options(s, signed) for s in sets)):
        on.append([np.nan if o is None else float(o) for o, _, _ in case])
        share.append(np.prod([f for _, f, _ in case]))
        present = {j: s for _, _, signs in case for j, s in signs.items()}
        sign.append([present.get(j, 0) for j in range(n)])
    return np.array(on).T, np.array(share), np.array(sign, float).T


def enumerate_rows(sets, signed, p, b, g, own, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)], or [l] without `with_grad`, and a bound on l's rounding
    error (N,).

    p (J, N) set probabilities, b (N,), g (n, N), own (N,).
    """
    on, share, sign = cases(sets, signed)
    on = on[:, :, None]
    weight = np.where(on == 1, p[:, None], np.where(on == 0, 1 - p[:, None], 1)).prod(0)
    weight *= share[:, None]                                            # (C, N)            (4.5)
    chance = np.ones_like(sign)[..., None] * np.ones_like(b)            # (n, C, N)
    for s, on_s, p_s in zip(sets, on, p):
        chance[list(s.members)] = np.where(np.isnan(on_s), p_s, 1)
    sign = sign[..., None]
    chance = chance * abs(sign)
    is_own = np.arange(len(g))[:, None, None] == own
    value, d_y, d_g = box(b, g[:, None] * sign, chance, is_own, with_grad)
    parts = [(weight * value).sum(0)]
    if with_grad:
        parts += [(weight * d_y).sum(0), (weight * sign * d_g).sum(1)]
    return parts, ROUNDING * _size(b, g[:, None] * sign, chance, p, weight)


def _size(b, g, chance, p, weight):
    """What rounding errors of a row are relative to, (N,): the smaller of two bounds on the squares
    at work, by the largest z that there is, or by the second moment of all sizes.
    """
    some = 1 - (1 - p).prod(0)
    largest = np.maximum(b + np.maximum(g, 0).sum(0).max(0), 0)
    mean = (chance * abs(g)).sum(0) / 2                                 # (C, N)
    square = (weight * (mean**2 + (chance * g**2).sum(0) / 3)).sum(0)
    by_moment = 2 * (some * b**2 + square)
    by_largest = some * largest * (abs(b) + abs(g).sum(0).max(0))
    return np.maximum(b, 0) ** 2 + np.minimum(by_largest, by_moment)


def box(y, g, p, own, with_grad=True):
    """E[z_+^2 - 2 x_own z_+] for z = y + sum_j g_j x_j, each x_j Uniform[0, 1] with chance p_j, or
    else 0; and its gradient.

    y (N,), g, p and the mask own (k, C, N) -> value (C, N), d/dy (C, N), d/dg (k, C, N); without
    `with_grad` the last two are None. The derivative with respect to the own gain, 2 E[x_own z_+],
    rides on the imaginary part. (4.10)
    """
    scale = abs(y) + abs(g).sum(0)                                      # (C, N)
    scale[scale == 0] = 1
    cube = lay(y / scale, g / scale + 1j * DUAL * own, p)
    corners = Corners(cube)
    H = corners.combine()[0]
    value = scale**2 * 2 * H.real - scale * 2 * H.imag / DUAL                               # (4.10)
    if not with_grad:
        return value, None, None
    corners.weigh(np.full((1, *scale.shape), 2 + 0j))
    da, dc, _ = corners.slopes()

    def unscaled(derivative):
        """d(scale^2 Re - scale Im / DUAL) by a variable that was divided by scale. (4.10)"""
        return scale * derivative.real - derivative.imag / DUAL

    return value, unscaled(dc), unscaled(cube.by_gain(da, dc))


class Cube(NamedTuple):
    """A cube laid with its lowest corner down: z = bottom + sum a x with all a >= 0, ascending.

    A negative gain runs backwards, -a x = -a + a (1 - x): there `back` says that off is the high
    end, and `flip` is -1. `order` (k, C, N) says which gain came where. bottom is y - sum a back.
    """

    y: np.ndarray
    a: np.ndarray
    p: np.ndarray
    back: np.ndarray
    flip: np.ndarray
    order: np.ndarray

    def by_gain(self, da, dc):
        """The derivatives by the gains in their old order, from those by a and by bottom."""
        result = np.empty_like(da)
        np.put_along_axis(result, self.order, da * self.flip + self.back * dc, 0)
        return result


def lay(y, g, p):
    """The Cube of z = y + sum_j g_j x_j, y (C, N) or (N,), g and p (k, C, N), complex as in (4.10).
    """
    order = np.argsort(abs(g.real), axis=0)
    p = np.take_along_axis(p, order, 0)
    a = np.take_along_axis(g, order, 0)                                 # (k, C, N)
    flip = np.where(a.real < 0, -1.0, 1.0)
    a = a * flip
    a.real[a.real < NOTHING] = 0
    back = flip < 0
    return Cube(y, a, p, back, flip, order)


class Corners:
    """The corners of cubes, level by level, and H on them. (4.6) to (4.9)

    cube : of (C, N) cases and rows
    orders : the first and the last q of H_k that is wanted
    rest : None, or (mu (top + 1, C, N), low, high (C, N)), the moments and the range of a further
        random sum below all of these features, top = k + orders[1]

    First `weigh` for the gradient, then `combine`, then `slopes`. Where a rest may cross zero the
    caller says what H_0 is there, as `leaf` (size + 1, 2^k, C, N) of the orders first - 1, …
    """

    def __init__(self, cube, orders=(2, 2), rest=None):
        self.a, self.p, self.back, self.first = cube.a, cube.p, cube.back, orders[0]
        self.k, self.shape, self.top = len(cube.a), cube.a.shape[1:], orders[1] + len(cube.a)
        k, shape, a, back = self.k, self.shape, cube.a, cube.back
        # Where the corners of level j are among those of all levels; the last level comes first.
        self.at = at = [slice(2 ** (k - j) - 1, 2 ** (k - j + 1) - 1) for j in range(k + 1)]
        # First y and what is on, so that c is y to the last digit where nothing is: there it may
        # be 0, and all else be rare. Then the least that the features to come can add.
        down, up = a * back, a * ~back
        c = np.empty((2 ** (k + 1) - 1, *shape), complex)
        c[0] = cube.y
        for j in range(k, 0, -1):
            half = 2 ** (k - j)
            np.subtract(c[at[j]], down[j - 1], out=c[2 * half - 1:3 * half - 1])
            np.add(c[at[j]], up[j - 1], out=c[3 * half - 1:4 * half - 1])           # (4.6)
        for j, least in enumerate(np.cumsum(down, axis=0), 1):
            c[at[j]] -= least
        self.c, self.rest = c, rest
        low, high = (0, 0) if rest is None else rest[1:]
        reach = np.zeros((k + 1, *shape))
        reach[:k] = np.cumsum(a.real, axis=0)[::-1]
        reach += high                                                   # the largest t, by level
        positive = c.real + np.repeat(reach, 2 ** np.arange(k + 1), axis=0) > 0
        self.below = positive & (c.real + low >= 0)                     # z > 0 for every t
        self.across = positive & (c.real + low < 0)
        for j in range(k, 0, -1):                           # only what the corners above ask for
            here, on = self.across[at[j]], self.p[j - 1] > 0
            asked = np.concatenate([here & (on | ~back[j - 1]), here & (on | back[j - 1])])
            self.below[at[j - 1]] &= asked
            self.across[at[j - 1]] &= asked
        self.over_a = 1 / np.where(a.real > 0, a, 1)                    # never used where a is 0
        self._polynomials()

    def _polynomials(self):
        """E (c + t)^q / q! at the corners `below`, (top + 1, V), from the moments of t. (4.7)
        """
        k, top = self.k, self.top
        self.step = powers(self.a, top)                                 # (top + 1, k, C, N)
        r = np.arange(top + 1.0).reshape(-1, 1, 1, 1)
        self.chance = self.p / (r + 1) + (1 - self.p) * self.back       # E[(a x)^r] over a^r
        self.chance[0] = 1
        law = self.step * self.chance
        self.mu = mu = np.zeros((top + 1, k + 1, *self.shape), complex)     # level j at k - j
        mu[0, k] = 1
        if self.rest is not None:
            mu[:, k] = self.rest[0]
        for j in range(k):
            plain = j == 0 and self.rest is None
            mu[:, k - j - 1] = law[:, 0] if plain else sum_products(law[:, j], mu[:, k - j])
        self.where = np.nonzero(self.below)                             # corner, case, row: (V,)
        level = np.frexp(self.where[0] + 1)[1] - 1                      # k - j
        self.moment_of = (level, *self.where[1:])
        self.power = powers(self.c[self.where], top)                    # (top + 1, V)
        self.poly = sum_products(mu[:, *self.moment_of], self.power)

    def size(self, j):
        """How many orders H has on level j."""
        return self.top - self.first + 1 - j

    def weigh(self, top):
        """How much a sum of `top` (orders, C, N) times H_k changes with H on every level. (4.9)"""
        self.dH = [None] * self.k + [top[:, None]]
        for j in range(self.k, 0, -1):
            p, back = self.p[j - 1], self.back[j - 1]
            on = self.dH[j] * self.across[self.at[j]]
            idle = on * (1 - p)
            on *= p * self.over_a[j - 1]
            half = on.shape[1]
            lower = np.zeros((len(on) + 1, 2 * half, *self.shape), complex)
            lower[1:, :half] -= on
            lower[1:, half:] += on
            lower[:-1, :half] += idle * ~back
            lower[:-1, half:] += idle * back
            self.dH[j - 1] = lower
        return self.dH[0]

    def combine(self, leaf=None):
        """H_k (orders, C, N) at the bottom. (4.8)"""
        at = self.at
        H = np.zeros((self.size(0), *self.c.shape), complex)
        H[:, *self.where] = self.poly[self.first:]
        if leaf is not None:
            H[:, at[0]] += leaf[1:]
        self.leaf, self.slope = leaf, [None] * (self.k + 1)
        for j in range(1, self.k + 1):                                  # x_j on or off
            middle, part = 2 ** (self.k - j), H[:self.size(j - 1), at[j - 1]]
            low, high = part[:, :middle], part[:, middle:]
            self.slope[j] = slope = (high[1:] - low[1:]) * self.over_a[j - 1]
            idle = np.where(self.back[j - 1], high[:-1], low[:-1])
            mixed = self.p[j - 1] * slope + (1 - self.p[j - 1]) * idle
            H[:self.size(j), at[j]] += self.across[at[j]] * mixed
        return H[:self.size(self.k), 0]

    def slopes(self):
        """The derivatives by a (k, C, N), by all corners alike (C, N), and by the moments of the
        rest (top + 1, C, N), after `weigh` and `combine`: the same steps backwards. (4.9)
        """
        at, da = self.at, np.zeros_like(self.a)
        d_H = np.zeros((self.size(0), *self.c.shape), complex)
        for j in range(self.k + 1):
            d_H[:self.size(j), at[j]] = self.dH[j]
            if j:
                on = self.dH[j] * self.across[at[j]] * (self.p[j - 1] * self.over_a[j - 1])
                da[j - 1] -= (on * self.slope[j]).sum((0, 1))
        d_poly, dc = d_H[:, *self.where], np.zeros_like(self.c)         # (size, V), (corners, C, N)
        dc[self.where] = (d_poly * self.poly[self.first - 1:-1]).sum(0)
        if self.leaf is not None:
            dc[at[0]] += (self.dH[0] * self.leaf[:-1]).sum(0)
        d_rest = self._moment_slopes(d_poly, da)
        total = dc[at[0]]
        for j in range(1, self.k + 1):
            half = len(total) // 2
            da[j - 1] += total[half:].sum(0)
            total = dc[at[j]] + total[:half] + total[half:]
        return da, total[0], d_rest

    def _moment_slopes(self, d_poly, da):
        """Add to da what the moments contribute; the derivative by the moments of the rest."""
        k, top, first = self.k, self.top, self.first
        dmu = np.zeros((top + 1, k + 1, *self.shape), complex)
        place = np.ravel_multi_index(self.moment_of, dmu.shape[1:])
        for q in range(top + 1):
            d = np.einsum("qv,qv->v", d_poly[max(0, q - first):],
                          self.power[max(0, first - q):top + 1 - q])
            for part, x in ((dmu.real, d.real), (dmu.imag, d.imag)):
                part[q] = np.bincount(place, x, part[q].size).reshape(part[q].shape)
        shift = np.minimum(np.add.outer(np.arange(top + 1), np.arange(top + 1)), top + 1)
        padded = np.zeros((top + 2, *self.shape), complex)
        for j in range(k, 0, -1):
            padded[:-1] = dmu[:, k - j]
            d = padded[shift]                                           # d[r, q] = dmu[r + q]
            d_law = np.einsum("rqcn,qcn->rcn", d, self.mu[:, k - j + 1])
            da[j - 1] += (d_law[1:] * self.chance[1:, j - 1] * self.step[:-1, j - 1]).sum(0)
            if j > 1 or self.rest is not None:
                law = self.step[:, j - 1] * self.chance[:, j - 1]
                dmu[:, k - j + 1] += np.einsum("rqcn,rcn->qcn", d, law)
        return dmu[:, k]


def powers(x, order):
    """x^q / q! for q = 0 … order, along a new first axis."""
    x = np.asarray(x)
    result = x * (1 / np.arange(1.0, order + 2)).reshape(-1, *[1] * x.ndim)
    result[1:] = result[:-1]
    result[0] = 1
    return np.multiply.accumulate(result, axis=0)


def sum_products(first, second):
    """The product of two polynomials, coefficients along the first axis, up to the shorter one's
    order.
    """
    n = min(len(first), len(second))
    result = first[0] * second[:n]
    for r in range(1, n):
        result[r:] += first[r] * second[:n - r]
    return result
