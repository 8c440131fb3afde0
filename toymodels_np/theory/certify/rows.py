"""One output of a regular polygon, with derivatives, on a whole box of gains and bias.

    gains, bias   of output 0: n balls, those of features j and n - j the same, and a ball
    lo, hi        the lowest and the highest corner of the box
    D             2 E[u_o^m u^gamma δ(z)], the part of the Hessian that is no monotone function

The Hessian of `enclose.py` is a difference of large terms, and its balls grow a thousand times
faster than what it can be. Here every term is a mean that rises, or falls, with the gains and the
bias, so that the two corners bound it: (13.10), (13.11).
"""

from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb, factorial
from typing import NamedTuple

from .enclose import Balls, Corners, Law, ball, balls_of, flint
from .local import NotProved


class Row(NamedTuple):
    """One output on a box: balls for E relu(z)^2 - 2 E[x relu(z)], its slopes (n + 1) in the gains
    and in the bias, its Hessian arb_mat (n + 1, n + 1).
    """

    value: object
    slope: list
    hessian: object


def equal_law(n, low, high):
    """The Law of n independent features of importance 1 with one probability in [low, high]."""
    return Law(n, ((Fraction(low), Fraction(high)),) * n, ((Fraction(1), Fraction(1)),) * n,
               tuple(("correlated", (i,)) for i in range(n)))


def slopes_of(n, low, high):
    """Balls whose weights are the derivatives of P(A) = p^k (1 - p)^(n - k) in p, on [low, high].
    """
    p = ball(low, high)
    supports = []
    for _, on in balls_of(equal_law(n, Fraction(1, 2), Fraction(1, 2))).supports:
        k = len(on)
        up = k * p ** (k - 1) * (1 - p) ** (n - k) if k else ball(0)
        down = (n - k) * p**k * (1 - p) ** (n - k - 1) if k < n else ball(0)
        supports.append((up - down, on))
    return Balls(supports, [ball(1)] * n, [ball(1)] * n, ball(0), ball(0))


def row_bounds(laws, gains, bias, order=2):
    """The Row of a polygon's output 0 on a box of gains (n balls) and bias, for each of some Balls,
    without its Hessian where order is 1. At p = 1 one of the Balls has only the supports that can
    occur, the other has all.

    The gains of features j and n - j are the same, so that supports which mirror each other share
    their means.
    """
    n, cases, result = len(gains), {}, []
    mirror = lambda on: tuple(sorted(-j % n for j in on))
    for _, on in (support for law in laws for support in law.supports):
        if on not in cases and mirror(on) not in cases:
            cases[on] = _case(on, gains, bias, order)
    for law in laws:
        value, slope, H = ball(0), [ball(0)] * (n + 1), flint().arb_mat(n + 1, n + 1)
        for weight, on in law.supports:
            places = (*on, n) if on in cases else (*(-j % n for j in mirror(on)), n)
            v, s, h = cases[on if on in cases else mirror(on)]
            value += weight * v
            for x, j in enumerate(places):
                slope[j] += weight * s[x]
            for (x, y), entry in h.items():
                j, k = places[x], places[y]
                H[j, k] += weight * entry
                if j != k:
                    H[k, j] += weight * entry
        result.append(Row(value, slope, H))
    return result


def _case(on, gains, bias, order):
    """(value, slopes, {(x, y): entry}) of output 0 given that the features `on` are active."""
    lo, hi = [gains[j].lower() for j in on], [gains[j].upper() for j in on]
    ends = bias.lower(), bias.upper()
    own, places = on.index(0) if 0 in on else None, range(len(on) + 1)
    low, high = Corners(lo, ends[0]), Corners(hi, ends[1])
    plain = lambda beta: low.mean(beta).union(high.mean(beta))

    def less(beta):
        """F_beta - F_own,beta for a beta of at most one place: a difference of rising means."""
        if own is None:
            return plain(beta)
        first, last = (c.mean(beta) - d.mean((own, *beta)) for c, d in ((low, high), (high, low)))
        return first.union(last)

    delta = own is not None and order > 1 and Delta(lo, hi, ends, own)
    pairs = combinations_with_replacement(places, 2) if order > 1 else ()
    entries = {pair: plain(pair) - (delta.mean(pair) if delta else 0) for pair in pairs}
    return less(()), [less((x,)) for x in places], entries


class Delta:
    """D for one list of active gains in a box, the own gain positive. (13.11)"""

    def __init__(self, low, high, ends, own):
        self.own, self.size = own, len(low)
        self.s = low[own].union(high[own])
        if not self.s > 0:
            raise NotProved("the row: an output's own gain may vanish")
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
