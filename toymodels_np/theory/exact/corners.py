"""The exact loss of one output from the corners of its cubes, for few features: no cancellation.

    z    input of an output's ReLU, y + sum_j g_j x_j       a    sizes |g| of the gains, ascending
    p    P(x_j != 0); an active x_j is Uniform[0, 1]        c    a corner: z, larger x_j 0 or 1
    t    the rest: sum of the j smallest a x, and more      mu   E[t^q] / q!
    own  the feature that the output should reproduce       H    E[(c + t)_+^q] / q!
    l    E[z_+^2 - 2 |x_own| z_+]

All work is vectorised over cases (C), the states of the sets and signs, and rows (N), the outputs
of the instances. Nothing is truncated, so rounding is the only error. `enumerate_rows` costs about
n 2^n (n 4^n for signed features, less where sets are off): it is for few features. With many,
`rows.py` uses `Corners` for the few large gains, and a series takes the place of the smallest
cubes. Equations (4.k) are in derivations/04-exact-loss.md.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

EPSILON = np.finfo(float).eps
ROUNDING = 32 * EPSILON
NOTHING = 1e-30         # gains below this part of the largest |z| are as good as zero
SPARED = 2**11          # corners that take as long as the calls for one stack of cubes more,
WHOLE = [(slice(None), slice(None), None)]              # which fewer are not cut into
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


@lru_cache(maxsize=64)
def work(sets, signed):
    """The number of values that `enumerate_rows` works out for a row, about: (k + 1) 2^k for a case
    of k features that are present.
    """
    count = np.ones(1)                                                  # of such cases, by k
    for s in sets:
        present = [len(signs) for _, _, signs in options(s, signed)]
        count = np.convolve(count, np.bincount(present))
    k = np.flatnonzero(count)
    with np.errstate(over="ignore"):                                    # more than a float can say
        return float((count[k] * (k + 1) * 2.0**k).sum())


@lru_cache(maxsize=64)
def cases(sets, signed):
    """All combinations of the options: weight and chance (2, J, C, 1), the a and b of a + b p_j
    that a set gives to the case's probability and to its members' inside it; share (C, 1), sign
    (n, C, 1) with 0 for absent, and the set of each feature, set_of (n,).
    """
    n = sum(len(s.members) for s in sets)
    set_of = np.empty(n, int)
    for j, s in enumerate(sets):
        set_of[list(s.members)] = j
    weight, chance, share, sign = [], [], [], []
    for case in product(*(options(s, signed) for s in sets)):
        weight.append([{True: (0, 1), False: (1, -1), None: (1, 0)}[on] for on, _, _ in case])
        chance.append([(0, 1) if on is None else (1, 0) for on, _, _ in case])
        share.append(np.prod([f for _, f, _ in case]))
        present = {j: s for _, _, signs in case for j, s in signs.items()}
        sign.append([present.get(j, 0) for j in range(n)])
    weight, chance = (np.array(a, float).T[..., None] for a in (weight, chance))
    return weight, chance, np.array(share)[:, None], np.array(sign, float).T[..., None], set_of


@lru_cache(maxsize=64)
def alike(sets, signed):
    """The cases with as many features present each, as [(which (c,), the features present (k, c),
    the same as 0 and 1 (n, k c)), …]: so a cube has no dimension for what is absent. And how many
    corners a row is spared by each of these parts but one.
    """
    there = cases(sets, signed)[3][..., 0] != 0                         # (n, C)
    size, result, corners = there.sum(0), [], 0
    for k in np.unique(size):
        which = np.flatnonzero(size == k)
        present = np.argsort(~there[:, which], axis=0, kind="stable")[:k]
        of = present.ravel() == np.arange(len(there))[:, None]
        result.append((which, present, of.astype(float)))
        corners += len(which) * 2.0**k
    return result, (there.shape[1] * 2.0**len(there) - corners) / max(1, len(result) - 1)


def enumerate_rows(sets, signed, p, b, g, own, with_grad):
    """[l (N,), dl/db (N,), dl/dg (n, N)], or [l] without `with_grad`, and a bound on l's rounding
    error (N,).

    p (J, N) set probabilities, b (N,), g (n, N), own (N,).
    """
    weight, chance, share, sign, set_of = cases(sets, signed)
    weight = (weight[0] + weight[1] * p[:, None]).prod(0) * share       # (C, N)            (4.5)
    chance = (chance[0] + chance[1] * p[:, None])[set_of] * abs(sign)   # (n, C, N)
    signed_g = g[:, None] * sign
    is_own = np.broadcast_to(np.arange(len(g))[:, None, None] == own, signed_g.shape)
    parts, (apart, spared) = [0.0] * (3 if with_grad else 1), alike(sets, signed)
    for which, present, of in apart if spared * len(b) > SPARED else WHOLE:
        at, part = (present, which), weight[which]
        value, d_y, d_g = box(b, signed_g[at], chance[at], is_own[at], with_grad)
        parts[0] += (part * value).sum(0)
        if with_grad:
            parts[1] += (part * d_y).sum(0)
            by_gain = part * sign[at] * d_g                             # (k, c, N)
            parts[2] += by_gain.sum(1) if of is None else of @ by_gain.reshape(-1, len(b))
    turned = (is_own & (signed_g < 0)).any(0)                           # (C, N)
    return parts, ROUNDING * _size(b, signed_g, chance, p, weight, turned)


def _size(b, g, chance, p, weight, turned):
    """What rounding errors of a row are relative to, (N,): the smaller of two bounds on the squares
    at work, by the largest z that there is, or by the second moment of all sizes; and an eighth of
    E z_+ where the own gain is `turned` (C, N): there E[y z_+], however rare y is, is a difference
    of two terms that are not.
    """
    some, size = 1 - (1 - p).prod(0), abs(g)
    room = abs(b) + size.sum(0).max(0)
    largest = np.maximum(b + np.maximum(g, 0).sum(0).max(0) + EPSILON * room, 0)
    each = chance * size
    mean = each.sum(0) / 2                                              # (C, N)
    square = (weight * (mean**2 + (each * size).sum(0) / 3)).sum(0)
    by_moment = 2 * (some * b**2 + square)
    by_largest = some * largest * room
    target = (weight * turned * np.minimum(np.maximum(b, 0) + mean, largest)).sum(0)
    return np.maximum(b, 0) ** 2 + np.minimum(by_largest, by_moment) + target / 8


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
    end, and `flip` is -1. `place` is the index of the gains as they are here among those that came.
    bottom is y - sum a back.
    """

    y: np.ndarray
    a: np.ndarray
    p: np.ndarray
    back: np.ndarray
    flip: np.ndarray
    place: tuple

    def by_gain(self, da, dc):
        """The derivatives by the gains in their old order, from those by a and by bottom."""
        result = np.empty_like(da)
        result[self.place] = da * self.flip + self.back * dc
        return result


def lay(y, g, p):
    """The Cube of z = y + sum_j g_j x_j, y (C, N) or (N,), g and p (k, C, N), complex as in (4.10).
    """
    _, C, N = g.shape
    place = np.argsort(abs(g.real), axis=0), np.arange(C)[:, None], np.arange(N)
    p, a = p[place], g[place]                                           # (k, C, N)
    back = a.real < 0
    flip = 1.0 - 2 * back
    a *= flip
    a.real[a.real < NOTHING] = 0
    return Cube(y, a, p, back, flip, place)


@lru_cache(maxsize=64)
def levels(k):
    """Where the corners of each of the levels 0 … k are among those of all, of which the last level
    comes first; the level of every corner; and, for 1 … k, whether it lies on x_j's upper side.
    """
    at = [slice(2 ** (k - j) - 1, 2 ** (k - j + 1) - 1) for j in range(k + 1)]
    level, upper = np.zeros(2 ** (k + 1) - 1, int), np.zeros((k, 2 ** (k + 1) - 1))
    for j in range(k, 0, -1):
        half = 2 ** (k - j)
        level[at[j]] = j
        upper[:, at[j - 1]] = np.tile(upper[:, at[j]], 2)
        upper[j - 1, at[j - 1]][half:] = 1
    return at, level, upper + 0j


class Corners:
    """The corners of cubes, level by level, and H on them. (4.6) to (4.9)

    cube : of (C, N) cases and rows
    orders : the first and the last q of H_k that is wanted
    rest : None, or (mu (top + 1, C, N), low, high (C, N)), the moments and the range of a further
        random sum below all of these features, top = k + orders[1]

    First `weigh` for the gradient, then `combine`, then `slopes`. Where a rest may cross zero the
    caller says what H_0 is there, as `leaf` (size + 1, 2^k, C, N) of the orders first - 1, …

    Most stacks are small, and then the number of calls counts: what can be done for all levels at
    once is, and what meets a complex array is complex.
    """

    def __init__(self, cube, orders=(2, 2), rest=None):
        self.p, self.back, self.first = cube.p + 0j, cube.back, orders[0]
        self.k, self.shape, self.top = len(cube.a), cube.a.shape[1:], orders[1] + len(cube.a)
        k, a, self.rest, self.turned = self.k, cube.a, rest, cube.back + 0j
        self.at, self.level, self.upper = levels(k)
        self.idle, self.over_a = 1 - self.p, 1 / np.where(a.real > 0, a, 1)  # not used where a is 0
        self.slope_of = self.p * self.over_a
        down = a * self.turned
        self.c = self._places(cube.y, down, a - down)
        low, high = (0, 0) if rest is None else rest[1:]
        reach = np.zeros((k + 1, *self.shape))
        np.cumsum(a.real, axis=0, out=reach[1:])
        reach += high                                                   # the largest t, by level
        z = self.c.real
        positive = z + reach[self.level] > 0
        self.below = positive & (z + low >= 0)                          # z > 0 for every t
        across = positive ^ self.below
        self._ask(across, cube.p > 0)
        self.across, self.open = across, across + 0j
        self._polynomials(a)

    def _places(self, y, down, up):
        """c at all corners. First y and what is on, so that c is y to the last digit where nothing
        is: there it may be 0, and all else be rare. Then the least that the features to come add.
        """
        c, at = np.empty((2 ** (self.k + 1) - 1, *self.shape), complex), self.at
        c[0] = y
        for j in range(self.k, 0, -1):
            middle = at[j - 1].start + 2 ** (self.k - j)
            np.subtract(c[at[j]], down[j - 1], out=c[at[j - 1].start:middle])
            np.add(c[at[j]], up[j - 1], out=c[middle:at[j - 1].stop])                   # (4.6)
        least = np.zeros((self.k + 1, *self.shape), complex)
        np.cumsum(down, axis=0, out=least[1:])
        c -= least[self.level]
        return c

    def _ask(self, across, on):
        """Leave in `below` and `across` only what the corners above ask for."""
        asked, at = np.ones(across.shape, bool), self.at
        lower, upper = on | ~self.back, on | self.back
        for j in range(self.k, 0, -1):
            middle = at[j - 1].start + 2 ** (self.k - j)
            np.logical_and(across[at[j]], lower[j - 1], out=asked[at[j - 1].start:middle])
            np.logical_and(across[at[j]], upper[j - 1], out=asked[middle:at[j - 1].stop])
            across[at[j - 1]] &= asked[at[j - 1]]
        self.below &= asked

    def _polynomials(self, a):
        """E (c + t)^q / q! at the corners `below`, (top + 1, V), from the moments of t. (4.7)
        """
        k, top = self.k, self.top
        self.step = powers(a, top)                                      # (top + 1, k, C, N)
        r = np.arange(1.0, top + 2).reshape(-1, 1, 1, 1)
        self.chance = self.p.real / r + self.idle * self.turned         # E[(a x)^r] over a^r
        self.chance[0] = 1
        padded = np.zeros((2 * top + 1, k, *self.shape), complex)
        self.law = law = np.multiply(self.step, self.chance, out=padded[top:])
        shifted = shifts(padded)                                        # [q, …, s]: q + s - top
        self.mu = mu = np.zeros((top + 1, k + 1, *self.shape), complex)     # by level
        mu[0, 0] = 1
        if self.rest is not None:
            mu[:, 0] = self.rest[0]
        for j in range(k):
            if j == 0 and self.rest is None:
                mu[:, 1] = law[:, 0]
            else:
                np.einsum("qcns,scn->qcn", shifted[:, j], mu[::-1, j], out=mu[:, j + 1])
        corner, case, row = self.where = np.nonzero(self.below)         # (V,)
        self.moment_of = self.level[corner], case, row
        self.power = powers(self.c[self.where], top)                    # (top + 1, V)
        self.poly = sum_products(mu[:, *self.moment_of], self.power)

    def size(self, j):
        """How many orders H has on level j."""
        return self.top - self.first + 1 - j

    def weigh(self, top):
        """How much a sum of `top` (orders, C, N) times H_k changes with H on every level. (4.9)"""
        self.d_H = np.zeros((self.size(0), *self.c.shape), complex)
        self.dH = [self.d_H[:self.size(j), self.at[j]] for j in range(self.k + 1)]
        self.dH[self.k][:, 0] = top
        self.d_slope = np.zeros((self.size(1), 2**self.k - 1, *self.shape), complex)
        for j in range(self.k, 0, -1):
            here, lower, half = self.dH[j] * self.open[self.at[j]], self.dH[j - 1], 2**(self.k - j)
            on, idle = here * self.slope_of[j - 1], here * self.idle[j - 1]
            high = idle * self.turned[j - 1]
            lower[1:, half:] = on
            lower[:-1, half:] += high
            lower[:-1, :half] = idle - high
            lower[1:, :half] -= on
            self.d_slope[:self.size(j), self.at[j]] = on
        return self.dH[0]

    def combine(self, leaf=None):
        """H_k (orders, C, N) at the bottom. (4.8)"""
        at = self.at
        H = np.zeros((self.size(0), *self.c.shape), complex)
        H[:, *self.where] = self.poly[self.first:]
        if leaf is not None:
            H[:, at[0]] += leaf[1:]
        self.leaf = leaf
        self.rise = np.zeros((self.size(1), 2**self.k - 1, *self.shape), complex)
        for j in range(1, self.k + 1):                                  # x_j on or off
            middle, part = 2 ** (self.k - j), H[:self.size(j - 1), at[j - 1]]
            low, high = part[:, :middle], part[:, middle:]
            rise = np.subtract(high[1:], low[1:], out=self.rise[:self.size(j), at[j]])
            mixed = self.slope_of[j - 1] * rise
            mixed += self.idle[j - 1] * np.where(self.back[j - 1], high[:-1], low[:-1])
            H[:self.size(j), at[j]] += self.open[at[j]] * mixed
        return H[:self.size(self.k), 0]

    def slopes(self):
        """The derivatives by a (k, C, N), by all corners alike (C, N), and by the moments of the
        rest (top + 1, C, N), after `weigh` and `combine`: the same steps backwards. (4.9)
        """
        by_corner = (self.d_slope * self.rise).sum(0)                   # (2^k - 1, C, N)
        starts = [level.start for level in self.at[:0:-1]]
        da = np.add.reduceat(by_corner, starts)[::-1] * -self.over_a
        d_poly, dc = self.d_H[:, *self.where], np.zeros_like(self.c)    # (size, V), (corners, C, N)
        dc[self.where] = (d_poly * self.poly[self.first - 1:-1]).sum(0)
        if self.leaf is not None:
            dc[self.at[0]] += (self.dH[0] * self.leaf[:-1]).sum(0)
        d_law, d_rest = self._moment_slopes(d_poly)
        da += (d_law[1:] * self.chance[1:] * self.step[:-1]).sum(0)
        da += (self.upper @ dc.reshape(len(dc), -1)).reshape(da.shape)
        return da, dc.sum(0), d_rest

    def _moment_slopes(self, d_poly):
        """The derivatives by what each feature adds to the moments, E[(a x)^r] / r!, (top + 1, k,
        C, N), and by the moments of the rest.
        """
        k, n, shape = self.k, self.top + 1, self.shape
        d = np.zeros((n, d_poly.shape[1]), complex)
        for q, d_q in enumerate(d_poly, self.first):
            d[:q + 1] += d_q * self.power[q::-1]
        dmu = np.zeros((2 * n - 1, k + 1, *shape), complex)             # 0 beyond top
        place = np.ravel_multi_index((np.arange(n)[:, None], *self.moment_of), (n, k + 1, *shape))
        for part, x in ((dmu.real[:n], d.real), (dmu.imag[:n], d.imag)):
            part[:] = np.bincount(place.ravel(), x.ravel(), part.size).reshape(part.shape)
        shifted = shifts(dmu)                                           # [r, …, q]: r + q
        d_law = np.empty((n, k, *shape), complex)
        for j in range(k, 0, -1):
            d_mu = shifted[:, j]
            d_law[:, j - 1] = np.einsum("rcnq,qcn->rcn", d_mu, self.mu[:, j - 1])
            if j > 1 or self.rest is not None:
                dmu[:n, j - 1] += np.einsum("rcnq,qcn->rcn", d_mu, self.law[:, j - 1])
        return d_law, dmu[:n, 0]


def shifts(x):
    """A view of the new array x (2n - 1, …) as [r, …, q] = x[r + q], (n, …, n)."""
    n = len(x) // 2 + 1
    return np.ndarray((n, *x.shape[1:], n), x.dtype, x, strides=(*x.strides, x.strides[0]))


@lru_cache(maxsize=64)
def reciprocals(order):
    """1 / q for q = 1 … order + 1."""
    return 1 / np.arange(1.0, order + 2)


def powers(x, order):
    """x^q / q! for q = 0 … order, along a new first axis."""
    result = np.multiply.outer(reciprocals(order), x)
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
