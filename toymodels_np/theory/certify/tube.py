"""Minima along an interval of p: what is proved for all probabilities in it at once.

    P          an interval of the probability that all features share       X   a box of parameters
    lo, hi     the lowest and the highest corner of a box of gains and bias
    D          2 E[u_o^m u^gamma δ(z)], the part of the Hessian that is no monotone function (13.11)

The Hessian of `enclose.py` is a difference of large terms, and its balls grow a thousand times
faster than what it can be. Here every term is a mean that rises, or falls, with the gains and the
bias, so that the two corners bound it. Boxes may be a hundred times as wide.
"""

from fractions import Fraction
from math import comb, factorial
from typing import NamedTuple

from .bounds import moments
from .enclose import (
    Balls,
    Corners,
    Law,
    ball,
    balls_of,
    bounds,
    enclosure,
    flint,
    precise,
    rational,
)
from .local import NotProved, fix_gauge, inertia, newton


class Stretch(NamedTuple):
    """A branch of strict local minima that is proved to exist for every p in [low, high].

    low, high : Fractions       energy : (low, high), Fractions around the loss at the middle of P
    slope : (low, high), around dE/dp on all of P      radius, reach : of the box of uniqueness, and
        how far from its centre the minimum can be
    """

    low: Fraction
    high: Fraction
    energy: tuple
    slope: tuple
    radius: Fraction
    reach: Fraction


def equal_law(n, low, high):
    """The Law of n independent features of importance 1 with one probability in [low, high]."""
    return Law(n, ((Fraction(low), Fraction(high)),) * n, ((Fraction(1), Fraction(1)),) * n,
               tuple(("correlated", (i,)) for i in range(n)))


def slopes_of(law, low, high):
    """Balls whose weights are the derivatives of P(A) = p^k (1 - p)^(n - k) in p, on [low, high].
    """
    p, n = ball(low, high), law.n
    supports = []
    for _, on in balls_of(equal_law(n, Fraction(1, 2), Fraction(1, 2))).supports:
        k = len(on)
        up = k * p ** (k - 1) * (1 - p) ** (n - k) if k else ball(0)
        down = (n - k) * p**k * (1 - p) ** (n - k - 1) if k < n else ball(0)
        supports.append((up - down, on))
    return Balls(supports, [ball(1)] * n, [ball(1)] * n, ball(0), ball(0))


def tight_hessian(law, W, b):
    """The Hessian (P, P) on a box, as `enclosure` has it, with the bounds of (13.10) and (13.11).
    """
    m, n = len(W), len(b)
    size, library = m * n + n, flint()
    result = library.arb_mat(size, size)
    for i in range(n):
        gains = [sum((row[i] * row[j] for row in W), ball(0)) for j in range(n)]
        slope, curvature = row_bounds(law, i, gains, b[i])
        jacobian = library.arb_mat(n + 1, size)
        for c in range(m):
            for j in range(n):
                jacobian[j, c * n + j] += W[c][i]
                jacobian[j, c * n + i] += W[c][j]
                result[c * n + j, c * n + i] += law.importance[i] * slope[j]
                result[c * n + i, c * n + j] += law.importance[i] * slope[j]
        jacobian[n, m * n + i] = 1
        result += jacobian.transpose() * (curvature * law.importance[i]) * jacobian
    return result


def row_bounds(law, i, gains, bias):
    """Balls for the slopes [n] in the gains and the Hessian (n + 1, n + 1) of output i on a box."""
    n = len(gains)
    lo, hi = [g.lower() for g in gains], [g.upper() for g in gains]
    ends = bias.lower(), bias.upper()
    first, last = moments(law, i, lo, ends[0]), moments(law, i, hi, ends[1])
    slope = [(first[0][j + 2] - last[1][j + 2]).union(last[0][j + 2] - first[1][j + 2])
             for j in range(n)]
    H = flint().arb_mat(n + 1, n + 1)
    for weight, on in law.supports:
        places, own = (*on, n), on.index(i) if i in on else None
        low, high = (Corners([x[j] for j in on], e) for x, e in ((lo, ends[0]), (hi, ends[1])))
        delta = own is not None and Delta([lo[j] for j in on], [hi[j] for j in on], ends, own)
        for x, j in enumerate(places):
            for y, k in enumerate(places[:x + 1]):
                value = low.mean((x, y)).union(high.mean((x, y)))
                if delta:
                    value -= delta.mean((x, y))
                H[j, k] += weight * value
                if j != k:
                    H[k, j] += weight * value
    return slope, H


class Delta:
    """D for one list of active gains in a box, the own gain positive. (13.11)"""

    def __init__(self, low, high, ends, own):
        self.own, self.size = own, len(low)
        self.s = low[own].union(high[own])
        if not self.s > 0:
            raise NotProved("the tube: an output's own gain may vanish")
        rest = [j for j in range(len(low)) if j != own]
        self.place = {j: x for x, j in enumerate(rest)}
        below = lambda a, shift: Corners([-a[j] for j in rest], -shift)
        self.near = below(high, ends[1]), below(low, ends[0])
        self.far = below(high, ends[1] + high[own]), below(low, ends[0] + low[own])

    def mean(self, pair):
        """The derivative F_ojk for the positions j, k of `pair`; the bias is the last position."""
        m = 1 + pair.count(self.own)
        gamma = tuple(self.place[j] for j in pair if j not in (self.own, self.size))
        of = lambda two, t: two[0].mean(gamma, 2 - t).union(two[1].mean(gamma, 2 - t))
        total = factorial(m) * of(self.near, m)
        for t in range(m + 1):
            total -= comb(m, t) * factorial(t) * self.s ** (m - t) * of(self.far, t)
        return total / self.s ** (m + 1)


@precise
def stretch(W, b, low, high, radius):
    """Prove that near floats W (m, n), b (n,) there is one strict local minimum for each p in [low,
    high].

    n equal, independent features of importance 1. Returns a Stretch; raises NotProved with what
    fails.
    """
    low, high, radius = Fraction(low), Fraction(high), Fraction(radius)
    n, middle = len(b), (low + high) / 2
    law = equal_law(n, low, high)
    gauge, start = fix_gauge(W, b)
    centre = newton(equal_law(n, middle, middle), gauge, start)
    point, box = [ball(x) for x in centre], ball(-radius, radius)
    value, g = enclosure(balls_of(equal_law(n, middle, middle)), *gauge.unpack(point), 1)
    _, g_p = enclosure(slopes_of(law, low, high), *gauge.unpack(point), 1)
    half = ball(low - middle, high - middle)
    g0 = flint().arb_mat([[g[i]] for i in gauge.free])
    g = flint().arb_mat([[g[i] + g_p[i] * half] for i in gauge.free])
    there, here = gauge.unpack([x + box for x in point]), balls_of(equal_law(n, middle, middle))
    full = tight_hessian(here, *there) + tight_hessian(slopes_of(law, low, high), *there) * half
    H = flint().arb_mat([[full[i, j] for j in gauge.free] for i in gauge.free])
    if any(abs(centre[gauge.free.index(k * n + j)]) <= radius for k, j in enumerate(gauge.columns)):
        raise NotProved("the gauge: a column may vanish in the box")
    reach = _reach(H, g)
    if reach >= radius:
        raise NotProved(f"Krawczyk's test: the minimum may be {float(reach):.3g} away, in a box of "
                        f"radius {float(radius):.3g}")
    near = [x + ball(-reach, reach) for x in point]
    slope = _loss_bounds(slopes_of(law, low, high), *gauge.unpack(near))
    size = flint().arb_mat([[ball(-reach, reach)] for _ in centre]).transpose()
    exact = value + (size * g0)[0, 0] + (size * H * size.transpose())[0, 0] / 2
    return Stretch(low, high, bounds(exact), slope, radius, reach)


def _reach(H, g):
    """How far the minimum can be from the centre, by Krawczyk's test. (13.5)"""
    P, upper = H.nrows(), lambda x: rational(x.abs_upper())
    if not all(x.is_finite() for x in H.entries() + g.entries()):
        raise NotProved("the tube: an enclosure is unbounded")
    C = H.mid().inv().mid()
    one = flint().arb_mat([[int(i == j) for j in range(P)] for i in range(P)])
    q = max(upper(sum(map(abs, row), ball(0))) for row in (one - C * H).tolist())
    if q >= 1:
        raise NotProved(f"Krawczyk's test: |1 - C H| is {float(q):.3g} where less than 1 is needed")
    if index := inertia(H.mid()):                   # all matrices in H are regular, of one index
        raise NotProved(f"LDL': the index is {index}")
    return max(map(upper, (C * g).entries())) / (1 - q)


def cover(branch, low, high, widest=Fraction(1, 2000), narrowest=Fraction(1, 10**6)):
    """Stretches that together hold every p in [low, high], as far as they go from the left.

    branch : a function of p (a float) that returns W and b near the minimum, in floats
    Every stretch's box overlaps its neighbour's: the same branch goes through all of them.
    """
    result, low, width = [], Fraction(low), Fraction(widest)
    while low < high and width >= narrowest:
        end = min(low + width, Fraction(high))
        for radius in (2 * width, width, 4 * width):
            try:
                result.append(stretch(*branch(float((low + end) / 2)), low, end, radius))
                break
            except NotProved:
                continue
        else:
            width /= 2
            continue
        low, width = end, min(width * Fraction(5, 4), widest)
    return result


def _loss_bounds(weights, W, b):
    """Bounds of Σ_A P'(A) E[...] on a box, from the corners."""
    total = ball(0)
    for i in range(len(b)):
        gains = [sum((row[i] * row[j] for row in W), ball(0)) for j in range(len(b))]
        total += ball(1) / 3
        for weight, on in weights.supports:
            one = Balls([(ball(1), on)], [ball(0)] * len(b), None, None, None)
            low = moments(one, i, [g.lower() for g in gains], b[i].lower())
            high = moments(one, i, [g.upper() for g in gains], b[i].upper())
            total += weight * (low[0][0] - high[1][0]).union(high[0][0] - low[1][0])
    return rational(total.lower()), rational(total.upper())
