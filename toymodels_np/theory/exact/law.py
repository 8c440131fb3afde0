"""The law of the sets of features as arrays, and the moments of a sum of theirs. (4.15), (4.23)

    p    (J, N) one probability a set and row           q    (n, N) P(x_j != 0)
    g    (n, N) gains                                   t    sum_j g_j x_j
    y    |x_own|, the target                            mu   E[t^r] / r!, r = 0, 1, …

A number with an imaginary part far below rounding carries two results at once: mu_r + i DUAL nu_r,
with nu_r = E[y t^(r-1)] / (r-1)!, which is what the derivative by the own gain would be if y were
x. (4.10) Equations (4.k) are in derivations/04-exact-loss.md.
"""

import numpy as np

from .corners import DUAL, powers, sum_products


class Law:
    """The sets as arrays: singles first, then sets of several."""

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
        self.alone = np.isin(np.arange(self.n), self.single)    # (n,)
        self.several = range(len(self.single), len(sets))       # the sets with several members
        self.mean = 0.0 if signed else 0.5                      # of an active value

    def active(self, p):
        """P(x_j != 0), (n, N)."""
        return p[self.set_of] * self.share[:, None]

    def even(self, x):
        """The mean over both signs of u, if it has two, of x = E[f(u) e^{i phi u}], f even."""
        return x.real + 0j if self.signed else x

    def odd(self, x):
        """The same for f odd."""
        return 1j * x.imag if self.signed else x

    def sums(self, p, zero):
        """t (J, ..., N) from an active feature's E e^{iwgx}, or any other transform of its law,
        zero (n, ..., N). (4.15)
        """
        sets = [p[J] * (zero[members].prod(0) if self.together[J] else zero[members].mean(0))
                for J, members in enumerate(self.members) if J in self.several]
        return np.concatenate([zero[self.single] * p[:len(self.single)], *[t[None] for t in sets]])

    def chances_off(self, p, own):
        """S (J, N), where 1 stands for the own set, and its products over all sets before and all
        after each. (4.16)
        """
        S = 1 - self.others(p, own)
        return S, products_before(S), products_before(S[::-1])[::-1]

    def others(self, p, own):
        """p (J, N) with 0 for the own set."""
        p = p.copy()
        p[self.set_of[own], np.arange(len(own))] = 0
        return p


def products_before(factors):
    """Along the first axis, the products of all factors before each."""
    return np.concatenate([np.ones_like(factors[:1]), factors[:-1].cumprod(0)])


def chance_of_any(p):
    """1 - prod(1 - p) over the sets, accurate where it is small: (N,)."""
    return -np.expm1(np.log1p(-np.minimum(p, 1 - 1e-16)).sum(0))


def feature_moments(g, is_own, order, signed):
    """mu (order + 1, ...) of one active feature alone, and d mu / dg, both with nu as a dual part
    where `is_own` (...) is true; g (...).
    """
    r = np.arange(order + 1.0).reshape(-1, *[1] * g.ndim)
    power = powers(g, order)                                            # g^r / r!
    lower = np.concatenate([np.zeros_like(power[:1]), power[:-1]])
    lowest = np.concatenate([np.zeros_like(power[:2]), power[:-2]])[:order + 1]
    if signed:
        power, lower, lowest = (np.where(r % 2 == odd, x, 0)
                                for odd, x in ((0, power), (0, lower), (1, lowest)))
        own = np.where(r % 2 == 1, lower_of(g, order), 0)
    else:
        own = lower
    mu = power / (r + 1) + 1j * DUAL * (is_own * own / (r + 1))
    return mu, lower / (r + 1) + 1j * DUAL * (is_own * lowest / (r + 1))


def lower_of(g, order):
    """g^(r-1) / (r-1)! for r = 0 … order, with 0 for r = 0."""
    power = powers(g, order)
    return np.concatenate([np.zeros_like(power[:1]), power[:-1]])


class Moments:
    """mu (order + 1, N) of t with nu as its dual part, and its derivatives by the gains."""

    def __init__(self, law, p, g, own, order):
        self.law, self.p, self.order = law, p, order
        is_own = np.arange(law.n)[:, None] == own
        self.each, self.each_by_g = feature_moments(g, is_own, order, law.signed)   # (…, n, N)
        self.factors = np.empty((order + 1, len(p), p.shape[1]), complex)
        singles = len(law.single)
        self.factors[:, :singles] = self.each[:, law.single] * p[:singles]
        for J in law.several:
            self.factors[:, J] = p[J] * self._on(self.each[:, law.members[J]], law.together[J])
        self.factors[0] = 1
        self.mu = exponential(logarithm(self.factors).sum(1))

    @staticmethod
    def _on(each, together):
        """The moments of a set that is on, each (order + 1, k, N)."""
        if not together:
            return each.mean(1)
        result = each[:, 0]
        for k in range(1, each.shape[1]):
            result = sum_products(result, each[:, k])
        return result

    def slopes(self, weight):
        """The derivative of sum_r weight_r mu_r by every gain, (n, N) with dual part."""
        law, n = self.law, self.order + 1
        others = quotient(self.mu[:, None], self.factors)               # (order + 1, J, N)
        reach = np.zeros_like(others)                   # sum_r weight_r others_{r-s}, s = 0, 1, …
        for s in range(n):
            reach[s] = (weight[s:, None] * others[:n - s]).sum(0)
        result = np.empty((law.n, weight.shape[1]), complex)
        singles = len(law.single)
        result[law.single] = (reach[:, :singles] * self.each_by_g[:, law.single]).sum(0)
        result[law.single] *= self.p[:singles]
        for J in law.several:
            for j in (members := law.members[J]):
                slope = self.each_by_g[:, j] / (1 if law.together[J] else len(members))
                for other in members if law.together[J] else ():
                    if other != j:
                        slope = sum_products(slope, self.each[:, other])
                result[j] = self.p[J] * (reach[:, J] * slope).sum(0)
        return result


def logarithm(a):
    """The logarithm of a power series whose first coefficient is 1, coefficients along axis 0."""
    result = np.zeros_like(a)
    for s in range(1, len(a)):
        result[s] = a[s] - sum(r / s * result[r] * a[s - r] for r in range(1, s))
    return result


def exponential(a):
    """The exponential of a power series whose first coefficient is 0."""
    result = np.zeros_like(a)
    result[0] = 1
    for s in range(1, len(a)):
        result[s] = sum(r / s * a[r] * result[s - r] for r in range(1, s + 1))
    return result


def quotient(a, b):
    """The power series a / b, where b's first coefficient is 1."""
    result = np.empty(np.broadcast_shapes(a.shape, b.shape), complex)
    for s in range(len(result)):
        result[s] = a[s] - sum(b[r] * result[s - r] for r in range(1, s + 1))
    return result
