"""The naive twin of the exact loss: every support, every corner of its cube, in exact rational
arithmetic.

A float is a rational number, so nothing here is rounded before the very end. For values u uniform
on the unit cube, E[f(y + a·u)] is an alternating sum of antiderivatives of f over the cube's
corners, divided by the product of the a.
"""

from fractions import Fraction
from itertools import product
from math import factorial, prod

import numpy as np


def supports(features):
    """All (probability, {active feature: sign}), one by one."""
    p = [Fraction(float(x)) for x in features.feature_probability]
    partial = [(Fraction(1), {})]
    for s in features.sets:
        chance, k = p[s.members[0]], len(s.members)
        if s.kind == "correlated":
            cases = [(1 - chance, ()), (chance, s.members)]
        else:
            cases = [(1 - chance, ())] + [(chance / k, (i,)) for i in s.members]
        grown = []
        for probability, members in cases:
            for signs in product((1, -1) if features.signed else (1,), repeat=len(members)):
                share = probability / 2 ** (len(members) if features.signed else 0)
                grown += [(q * share, {**active, **dict(zip(members, signs))}) for q,
                          active in partial if share]
        partial = grown
    return partial


def corners(y, a):
    """(sign, corner vector, y + a·v) of the cube's 2^k corners."""
    for v in product((0, 1), repeat=len(a)):
        yield (-1) ** (len(a) - sum(v)), v, y + sum(g for g, on in zip(a, v) if on)


def antiderivative(z, m):
    """z_+^m / m!"""
    return z**m / Fraction(factorial(m)) if z > 0 else Fraction(0)


def output_share(b, gains, own):
    """E[z_+^2 - 2 u_own z_+], the second part only if own is in `gains`, a dict from feature to
    gain.
    """
    mean_own = None
    if own in gains and gains[own] == 0:
        mean_own = Fraction(1, 2)                       # an own value that z does not see
    a = {j: g for j, g in gains.items() if g != 0}
    k, volume = len(a), prod(a.values(), start=Fraction(1))
    names = list(a)
    square = first = weighted = Fraction(0)
    for sign, v, z in corners(b, list(a.values())):
        square += 2 * sign * antiderivative(z, k + 2)
        first += sign * antiderivative(z, k + 1)
        if own in a:
            on = v[names.index(own)]
            weighted += sign * (on * antiderivative(z, k + 1) - antiderivative(z, k + 2) / a[own])
    if own in a:
        return (square - 2 * weighted) / volume
    return (square - (2 * mean_own * first if mean_own else 0)) / volume


def loss(model, features, linear=False):
    """The population loss of one ReluOutput model, as a Fraction."""
    W, b = ([[Fraction(float(x)) for x in row] for row in np.atleast_2d(a)]
            for a in model.parameters)
    n = len(W[0])
    G = [[sum(row[i] * row[j] for row in W) for j in range(n)] for i in range(n)]
    cases = supports(features)
    total = Fraction(0)
    for i in range(n):
        importance = Fraction(float(features.importance[i]))
        active = sum(q for q, x in cases if i in x)
        share = sum(q * output_share(b[0][i], {j: s * G[i][j] for j, s in x.items()}, i) for q,
                    x in cases)
        total += importance * (active / 3 + share)
    return total
