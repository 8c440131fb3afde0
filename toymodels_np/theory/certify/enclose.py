"""Guaranteed enclosures of the loss of ReluOutput, its gradient and its Hessian, in ball
arithmetic.

    a, k     gains and number of the active features        c    the bias, or bias and small terms
    v        a corner of the cube [0, 1]^k                  z_v  c + a·v
    T_s(z)   max(z, 0)^s / s!; T_0 is the step [z > 0] and T_{-1} its derivative, a delta
    F        E relu(z)^2 given who is active                beta a multi-index over gains and bias
    F_beta   its derivative, 2 E[u^beta T_{2 - |beta|}(z)], with u = 1 for the bias

A ball is a midpoint and a radius; whatever is computed with balls contains all values that the
operands allow, rounding included (Arb, through python-flint). Equations (13.k) are in
derivations/13-open-problems.md.
"""

from fractions import Fraction
from functools import cache, wraps
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import NamedTuple

from ...core import checks
from ...core.features import Features
from ...known import stranger
from ...penalties import LARGEST

MOST_FEATURES = 8
PRECISION = 256                 # bits of every midpoint


class Kink(ArithmeticError):
    """The loss has no bounded second derivative on a box."""


class Law(NamedTuple):
    """What the loss is made of, as exact rational intervals (low, high).

    n : int     probability, importance : n intervals each     sets : ((kind, members), …), of all
    interference, weight_decay : the intervals of λ and μ in λ Σ_{i≠j} (W_i·W_j)² + μ ‖W‖²
    """

    n: int
    probability: tuple
    importance: tuple
    sets: tuple
    interference: tuple = (Fraction(0), Fraction(0))
    weight_decay: tuple = (Fraction(0), Fraction(0))


@cache
def flint():
    """python-flint, or an ImportError that names the extra."""
    try:
        import flint as library
    except ImportError:
        raise ImportError("certificates need python-flint, which is not installed: install the "
                          "extra `certify`, as in pip install 'toymodels_np[certify]'") from None
    return library


def precise(function):
    """The function with every ball's midpoint kept to PRECISION bits while it runs."""
    @wraps(function)
    def run(*args, **kwargs):
        with flint().ctx.workprec(PRECISION):
            return function(*args, **kwargs)
    return run


def interval(name, value):
    """An exact interval (low, high) from a float, an integer, a Fraction or a pair of these.

    A float is read twice, as the binary number that it is and as the shortest decimal that names
    it, so that what is proved for 0.05 is proved for 1/20 too.
    """
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be a number or a pair (low, high), got {value!r}")
        low, high = interval(name, value[0])[0], interval(name, value[1])[1]
        if low > high:
            raise ValueError(f"{name} must have low <= high, got {value!r}")
        return low, high
    if isinstance(value, (Fraction, int)) and not isinstance(value, bool):
        return Fraction(value), Fraction(value)
    number = checks.real(name, value)
    both = Fraction(number), Fraction(repr(number))
    return min(both), max(both)


def law_of(features, interference=0.0, weight_decay=0.0):
    """The Law of Features and penalties. Raises TypeError or ValueError for what cannot be
    enclosed.
    """
    if strange := stranger(features):
        raise TypeError(f"only the package's own features can be certified, and {strange}")
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    checks.single(features)
    if features.signed:
        raise ValueError("signed features cannot be certified: the formula knows no target |x|")
    if features.n_features > MOST_FEATURES:
        raise ValueError(f"at most {MOST_FEATURES} features can be certified, "
                         f"got {features.n_features}")
    read = lambda name, values: tuple(interval(name, float(v)) for v in values)
    strength, decay = interval("interference", interference), interval("weight_decay", weight_decay)
    if strength[0] < 0:
        raise ValueError(f"interference must not be negative, got {interference}")
    for name, (low, high) in (("interference", strength), ("weight_decay", decay)):
        if max(-low, high) > LARGEST:
            raise ValueError(f"{name} must be at most {LARGEST:g} in size, got a larger number")
    return Law(features.n_features, read("feature_probability", features.feature_probability),
               read("importance", features.importance),
               tuple((s.kind, s.members) for s in features.sets), strength, decay)


def middle_of(law):
    """The law whose numbers are the exact middles of the intervals."""
    mid = lambda q: ((q[0] + q[1]) / 2,) * 2
    return Law(law.n, tuple(map(mid, law.probability)), tuple(map(mid, law.importance)), law.sets,
               mid(law.interference), mid(law.weight_decay))


# -- balls -----------------------------------------------------------------------------------------

def ball(low, high=None):
    """The smallest ball that is sure to contain the rational interval [low, high]."""
    arb, fmpq = flint().arb, flint().fmpq
    if high is None and type(low) is int:
        return arb(low)                                                     # exactly
    low = Fraction(low)
    result = arb(fmpq(low.numerator, low.denominator))
    if high is None or high == low:
        return result
    high = Fraction(high)
    return result.union(arb(fmpq(high.numerator, high.denominator)))


def rational(exact):
    """The Fraction that a ball without radius is."""
    value = exact.fmpq()
    return Fraction(int(value.p), int(value.q))


def bounds(x):
    """Rational (low, high) around a ball. Raises ArithmeticError for one that is not finite."""
    if not x.is_finite():
        raise ArithmeticError("an enclosure is unbounded")
    return rational(x.mid()) - rational(x.rad()), rational(x.mid()) + rational(x.rad())


@cache
def unit():
    """The ball [0, 1]."""
    return ball(0, 1)


def power(x, k):
    """x^k for k >= 0 by multiplication: Arb's own power of a ball around 0 is not finite."""
    return prod((x for _ in range(k)), start=ball(1))


def truncated(z, s):
    """T_s(z) = max(z, 0)^s / s!; the step for s = 0 and the delta for s = -1, where z must not
    contain 0.
    """
    if z > 0:
        return z**s / factorial(s) if s > 0 else ball(1 + s)
    if z < 0 or (s > 0 and z == 0):
        return ball(0)
    if s == -1:
        raise Kink(f"an output's ReLU switches inside the box while no active feature moves it: "
                   f"z is in {z.str(5)}")
    return unit() if s == 0 else power(z.nonnegative_part(), s) / factorial(s)


# -- one output, one set of active features --------------------------------------------------------

class Corners:
    """F_beta for one list of active gains: alternating truncated powers over a cube's corners.
    (13.2)

    A gain whose ball contains 0, or nearly, is not divided by: a Taylor step of order 0 replaces
    its variable by the ball [0, 1] in z, and keeps the exact moment 1/(m + 1) of the power in
    front. (13.3)
    """

    def __init__(self, gains, bias):
        self.large, self.small = {}, set()
        for j, a in enumerate(gains):
            if a.abs_upper() ** 2 <= a.rad() or a.contains(0):
                self.small.add(j)
                bias = bias if a.is_zero() else bias + a * unit()
            else:
                self.large[j] = len(self.large)
        self.inverse = {j: 1 / gains[j] for j in self.large}
        self.z = [bias]
        for j in self.large:
            self.z += [x + gains[j] for x in self.z]
        self.bias = len(gains)
        self.volume = prod(self.inverse.values(), start=ball(2))
        self.columns, self.sums = {}, {}

    def mean(self, beta, lower=None):
        """F_beta for a tuple of positions, the bias being the last of all; or 2 E[u^beta T_{2 -
        lower}].
        """
        lower = len(beta) if lower is None else lower
        factor, terms = self.volume, [((), 0, ball(1))]
        for j in set(beta) - {self.bias}:
            m = beta.count(j)
            if j in self.small:
                factor = factor / (m + 1)
                continue
            x = self.inverse[j]
            terms = [(where + ((self.large[j],) if on else ()), t + shift, c * number * x**shift)
                     for where, t, c in terms for on, shift, number in RATIOS[m]]
        total = ball(0)
        for where, t, c in terms:
            total += c * self._sum(tuple(sorted(where)), lower - t)
        return factor * total

    def _sum(self, where, d):
        """Σ_v ± T_{k + 2 - d}(z_v) over the corners with v = 1 at all places of `where`."""
        if (where, d) not in self.sums:
            if d not in self.columns:
                k = len(self.large)
                self.columns[d] = [truncated(z, k + 2 - d) * (-1) ** (k - v.bit_count())
                                   for v, z in enumerate(self.z)]
            mask = sum(1 << place for place in where)
            terms = (t for v, t in enumerate(self.columns[d]) if v & mask == mask)
            self.sums[where, d] = sum(terms, ball(0))
        return self.sums[where, d]


# What u^m puts in place of a corner's sign/a: (needs v = 1?, power of 1/a, number). (13.2)
RATIOS = {1: ((True, 0, 1), (False, 1, -1)),
          2: ((True, 0, 1), (True, 1, -2), (False, 2, 2)),
          3: ((True, 0, 1), (True, 1, -3), (True, 2, 6), (False, 3, -6))}


def output_terms(gains, bias, own, order, floor=False):
    """l = F - F_own given who is active, and its derivatives in gains and bias: (l, gradient,
    Hessian).

    `own` is the position of the output's own feature among the active ones, or None. The Hessian is
    {(j, k): entry} for j <= k; what is above `order` is left out. With `floor`, a Hessian that
    jumps between 0 and a positive semidefinite one, as the ReLU switches in the box, becomes 0.
    (13.8)
    """
    corners, places = Corners(gains, bias), range(len(gains) + 1)
    if floor and own is None and not corners.large and corners.z[0].contains(0):
        order = min(order, 1)

    def value(*beta):
        plain = corners.mean(beta)
        return plain if own is None else plain - corners.mean((own, *beta))

    gradient = [value(j) for j in places] if order > 0 else []
    pairs = combinations_with_replacement(places, 2) if order > 1 else ()
    return value(), gradient, {pair: value(*pair) for pair in pairs}


# -- the law ---------------------------------------------------------------------------------------

class Balls(NamedTuple):
    """A law in balls: supports [(weight, active features)], P(x_i ≠ 0), importance, penalties."""

    supports: list
    active: list
    importance: list
    interference: object
    weight_decay: object


def balls_of(law):
    """The Balls of a Law; sets of active features that cannot occur are left out."""
    p = [ball(*q) for q in law.probability]
    supports = [(ball(1), ())]
    active = list(p)
    for kind, members in law.sets:
        chance, size = p[members[0]], len(members)
        if kind == "correlated":
            cases = [(1 - chance, ()), (chance, members)]
        else:
            cases = [(1 - chance, ())] + [(chance / size, (i,)) for i in members]
            for i in members:
                active[i] = chance / size
        supports = [(weight * share, on + more) for weight, on in supports for share, more in cases
                    if not share.is_zero()]
    return Balls(supports, active, [ball(*i) for i in law.importance],
                 ball(*law.interference), ball(*law.weight_decay))


# -- the whole loss --------------------------------------------------------------------------------

@precise
def enclosure(law, W, b, order=2, floor=False):
    """Balls for the loss (order 0), its gradient (1) and its Hessian (2) on a box of parameters.

    law : Law or Balls       W : m lists of n balls       b : n balls
    Returns (loss, gradient [P], Hessian arb_mat (P, P)) in the order W row by row, then b, as far
    as `order` asks. With `floor` the Hessian is only a lower bound, in the order of quadratic
    forms. Raises Kink where the second derivative is unbounded on the box.
    """
    law = balls_of(law) if isinstance(law, Law) else law
    m, n = len(W), len(b)
    G = [[sum((row[i] * row[j] for row in W), ball(0)) for j in range(n)] for i in range(n)]
    P = m * n + n
    loss, gradient = ball(0), [ball(0)] * P
    hessian = flint().arb_mat(P, P)
    for i in range(n):
        value, slope, curvature = output_loss(law, i, G[i], b[i], order, floor)
        loss += law.importance[i] * value
        if order > 0:
            jacobian = _jacobian(W, i)
            moved = jacobian.transpose() * flint().arb_mat([[s * law.importance[i]] for s in slope])
            gradient = [g + moved[r, 0] for r, g in enumerate(gradient)]
        if order > 1:
            hessian += jacobian.transpose() * (curvature * law.importance[i]) * jacobian
            _add_bend(hessian, [s * law.importance[i] for s in slope], i, m, n)
    loss = _add_penalties(law, W, G, loss, gradient, hessian, order)
    return (loss, gradient, hessian)[:order + 1]


def output_loss(law, i, gains, bias, order=2, floor=False):
    """E (x_i - relu(z_i))^2 from a row of gains (n,) and the bias, with derivatives in these:
    (value, gradient [n + 1], Hessian arb_mat (n + 1, n + 1)). (13.1)
    """
    n = len(gains)
    value, gradient = law.active[i] / 3, [ball(0)] * (n + 1)
    hessian = [[ball(0)] * (n + 1) for _ in range(n + 1)]
    for weight, on in law.supports:
        own = on.index(i) if i in on else None
        mean, slope, curvature = output_terms([gains[j] for j in on], bias, own, order, floor)
        value += weight * mean
        places = (*on, n)
        for j, s in zip(places, slope):
            gradient[j] += weight * s
        for (j, k), c in curvature.items():
            j, k, c = places[j], places[k], weight * c
            hessian[j][k] += c
            if j != k:
                hessian[k][j] += c
    return value, gradient, flint().arb_mat(hessian)


def _jacobian(W, i):
    """The derivatives of row i of W'W and of b_i in all parameters, (n + 1, P)."""
    m, n = len(W), len(W[0])
    rows = [[ball(0)] * (m * n + n) for _ in range(n + 1)]
    for c in range(m):
        for j in range(n):
            rows[j][c * n + j] += W[c][i]
            rows[j][c * n + i] += W[c][j]
    rows[n][m * n + i] = ball(1)
    return flint().arb_mat(rows)


def _add_bend(hessian, slope, i, m, n):
    """Add Σ_j slope_j times the second derivative of W_i·W_j."""
    for c in range(m):
        for j in range(n):
            hessian[c * n + j, c * n + i] += slope[j]
            hessian[c * n + i, c * n + j] += slope[j]


def _add_penalties(law, W, G, loss, gradient, hessian, order):
    """λ Σ_{i≠j} (W_i·W_j)² + μ ‖W‖² on top: returns the loss, changes the gradient and the Hessian.
    """
    strength, decay, m, n = law.interference, law.weight_decay, len(W), len(W[0])
    if not decay.is_zero():
        loss += decay * sum((w * w for row in W for w in row), ball(0))
        for c in range(m if order > 0 else 0):
            for k in range(n):
                gradient[c * n + k] += 2 * decay * W[c][k]
                hessian[c * n + k, c * n + k] += 2 * decay
    if strength.is_zero():
        return loss
    for k in range(n):
        others = [j for j in range(n) if j != k]
        loss += strength * sum((G[k][j] * G[k][j] for j in others), ball(0))
        for c in range(m if order > 0 else 0):
            here = c * n + k
            gradient[here] += 4 * strength * sum((G[k][j] * W[c][j] for j in others), ball(0))
            for d in range(m):
                same = sum((W[c][j] * W[d][j] for j in others), ball(0))
                hessian[here, d * n + k] += 4 * strength * same
                for j in others:
                    bend = W[c][j] * W[d][k] + (G[k][j] if c == d else 0)
                    hessian[here, d * n + j] += 4 * strength * bend
    return loss
