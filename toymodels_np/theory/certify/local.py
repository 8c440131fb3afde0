"""Proof of one stationary point: Newton for a guess, then Krawczyk's test and an interval LDL'.

    theta    all free parameters: W row by row and b, without the entries that the gauge holds at 0
    centre   an exact rational point      X  the box centre ± radius      C  about the inverse of H
    K        Krawczyk's image of X, relative to the centre

What is proved about X: exactly one stationary point theta* lies in it, and the Hessian has `index`
negative and no zero eigenvalue on all of X. Equations (13.k) are in
derivations/13-open-problems.md.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .enclose import Kink, ball, balls_of, enclosure, flint, middle_of, rational

DIGITS = 40                     # decimal digits of a centre
NOTHING = Fraction(1, 10**11), Fraction(1, 10**25)      # entries below are taken for 0, in turn
NEWTON_STEPS = 12
SURE = Fraction(9, 10)          # |1 - C H| up to this is below 1 for the checker too
STILL = Fraction(1, 10**34)     # a Newton step this short ends the iteration
INDEPENDENT = 1e-6              # of the longest column: what is left of a new direction
RADII = [Fraction(k, 10**e) for e in range(1, 21) for k in (5, 2, 1)]       # to be bisected


class NotProved(ArithmeticError):
    """A test failed; the message says which, and by how much."""


class TooSmall(NotProved):
    """A box is too small for what is not known about the law or the centre."""


class Gauge(NamedTuple):
    """The triangular gauge of W (m, n): column columns[k] is 0 below row k. (13.4)"""

    m: int
    n: int
    columns: tuple

    @property
    def zeros(self):
        """The places (row, column) of W that are held at 0."""
        return {(c, j) for k, j in enumerate(self.columns) for c in range(k + 1, self.m)}

    @property
    def free(self):
        """Positions of the free parameters among all, in the order W row by row, then b."""
        held = {c * self.n + j for c, j in self.zeros}
        return [i for i in range(self.m * self.n + self.n) if i not in held]

    def unpack(self, theta):
        """(W, b) as lists of balls from the free parameters."""
        W, b = self.matrix(theta)
        lift = lambda row: [x if isinstance(x, flint().arb) else ball(x) for x in row]
        return [lift(row) for row in W], lift(b)

    def matrix(self, theta):
        """(W, b) as tuples of the entries of theta, zeros where the gauge holds them."""
        full = [Fraction(0)] * (self.m * self.n + self.n)
        for i, x in zip(self.free, theta):
            full[i] = x
        cut = self.m * self.n
        return tuple(tuple(full[c:c + self.n]) for c in range(0, cut, self.n)), tuple(full[cut:])


def fix_gauge(W, b):
    """Rotate W (m, n) into a triangular gauge: (Gauge, free parameters as floats)."""
    m, n = W.shape
    rest, columns, longest = W.copy(), [], np.linalg.norm(W, axis=0).max()
    while len(columns) < m:
        size = np.linalg.norm(rest, axis=0)
        j = int(size.argmax())
        if size[j] <= INDEPENDENT * longest or longest == 0:
            break
        columns.append(j)
        direction = rest[:, j] / size[j]
        rest = rest - np.outer(direction, direction @ rest)
    gauge = Gauge(m, n, tuple(columns))
    return gauge, rotated_into(gauge, W, b)


def rotated_into(gauge, W, b):
    """The free parameters (P,) of W (m, n) and b (n,), rotated so that the gauge holds."""
    columns = list(gauge.columns)
    if columns:
        q, r = np.linalg.qr(W[:, columns], mode="complete")
        q[:, :len(columns)] *= np.where(np.diag(r) < 0, -1, 1)
        W = q.T @ W
    return np.concatenate([W.ravel(), b])[gauge.free]


def evaluate(law, gauge, theta, order=2, floor=False):
    """The enclosure in the free parameters: [loss, gradient column, Hessian] up to `order`."""
    result = enclosure(law, *gauge.unpack(theta), order, floor)
    free, library = gauge.free, flint()
    parts = [result[0]]
    if order > 0:
        parts.append(library.arb_mat([[result[1][i]] for i in free]))
    if order > 1:
        parts.append(library.arb_mat([[result[2][i, j] for j in free] for i in free]))
    return parts


def newton(law, gauge, start):
    """A stationary point near floats `start`, as Fractions of DIGITS decimals. Raises NotProved
    where Newton's method runs away. Entries next to 0 are first taken for 0, as symmetric solutions
    have it.
    """
    law = balls_of(middle_of(law))
    for nothing in NOTHING:
        try:
            return _iterate(law, gauge, start, nothing)
        except NotProved as error:
            failure = error
    raise failure


def _iterate(law, gauge, start, nothing):
    theta = [_tidy(Fraction(float(x)), nothing) for x in start]
    for _ in range(NEWTON_STEPS):
        try:
            _, g, H = evaluate(law, gauge, [ball(x) for x in theta])
            step = [rational(x.mid()) for x in H.mid().solve(g.mid()).entries()]
        except ZeroDivisionError:
            raise NotProved("Newton's method: the Hessian is singular, so that the stationary "
                            "points are not isolated or cannot be told apart") from None
        except Kink as kink:
            raise NotProved(f"Newton's method: the point lies at a kink: {kink}") from None
        size = max(map(abs, step))
        if size > 1:
            raise NotProved(f"Newton's method: a step of {float(size):.2g} leads away")
        theta = [_tidy(x - s, nothing) for x, s in zip(theta, step)]
        if size < STILL:
            return theta
    raise NotProved(f"Newton's method: the last of {NEWTON_STEPS} steps has length "
                    f"{float(size):.2g}")


def _tidy(x, nothing):
    return Fraction(round(x * 10**DIGITS), 10**DIGITS) if abs(x) > nothing else Fraction(0)


class Proof:
    """The tests around one centre: `largest_radius` leaves radius, index and loss."""

    def __init__(self, law, gauge, centre):
        self.law, self.gauge, self.centre = balls_of(law), gauge, centre
        self.middle = [ball(x) for x in centre]
        self.loss_there, self.g, H = self._evaluate(self.middle)
        P = len(centre)
        self.one = flint().arb_mat([[int(i == j) for j in range(P)] for i in range(P)])
        try:
            self.C = H.mid().inv().mid()
        except ZeroDivisionError:
            raise NotProved("Krawczyk's test: the Hessian is singular at the centre") from None
        floats = np.array([[float(x.mid()) for x in row] for row in H.tolist()])
        vectors = np.linalg.eigh((floats + floats.T) / 2)[1]
        self.M = flint().arb_mat([[ball(Fraction(float(x))) for x in row] for row in vectors])

    def _evaluate(self, theta, floor=False):
        try:
            return evaluate(self.law, self.gauge, theta, floor=floor)
        except Kink as kink:
            raise NotProved(f"Krawczyk's test: {kink}") from None

    def test(self, radius):
        """(index, reach) on the box of this radius: theta* is within `reach` of the centre. Raises
        NotProved with the test that fails, TooSmall if a larger box might do.
        """
        box = ball(-radius, radius)
        for k, j in enumerate(self.gauge.columns):
            if abs(self.centre[self.gauge.free.index(k * self.gauge.n + j)]) <= radius:
                raise NotProved(f"the gauge: W[{k}, {j}] may vanish within {float(radius):.2g}")
        H = self._evaluate([x + box for x in self.middle])[2]
        q = _row_sum(self.one - self.C * H)                                     # (13.5)
        if q < SURE:
            index = inertia(self.M.transpose() * H * self.M)
            reach = max(_upper(x) for x in (self.C * self.g).entries()) / (1 - q)
        else:
            index, reach = 0, self._convex_reach(box, q)
        if reach >= radius:
            raise TooSmall(f"Krawczyk's test: the stationary point may be {float(reach):.3g} away "
                           f"from the centre of a box of radius {float(radius):.3g}")
        self.H = H
        return index, reach

    def _convex_reach(self, box, q):
        """The same where the loss is strongly convex on the box, even if H jumps there. (13.8)"""
        H = self._evaluate([x + box for x in self.middle], floor=True)[2]
        try:
            least = 1 / (2 * _row_sum(H.mid().inv()))       # at most half the lowest curvature
            if inertia(H - self.one * ball(least)) == 0:
                slope = _upper(sum((abs(x) for x in self.g.entries()), ball(0)))
                return 2 * slope / least
        except (NotProved, ZeroDivisionError):
            pass
        raise NotProved(f"Krawczyk's test: |1 - C H| is {float(q):.3g} where less than 1 is "
                        f"needed, and the loss is not sure to be convex there")

    def largest_radius(self, notches):
        """Bisect for the largest radius that passes, and take one some notches below; the loss at
        theta* by Taylor's formula. (13.7)
        """
        low, high, best, failure = 0, len(RADII) - 2, None, None
        while low <= high:
            k = (low + high) // 2
            try:
                self.test(RADII[k])
                best, high = k, k - 1
            except TooSmall as error:
                failure, high = error, k - 1
            except NotProved as error:
                failure, low = error, k + 1
        if best is None:
            raise failure
        self.radius = RADII[min(best + notches, len(RADII) - 1)]
        self.index, self.reach = self.test(self.radius)
        H = self.H
        d = flint().arb_mat([[ball(-self.reach, self.reach)] for _ in self.centre])
        across = d.transpose()
        self.loss = self.loss_there + (across * self.g)[0, 0] + (across * H * d)[0, 0] / 2
        return self


def _upper(x):
    """A rational upper bound of |x|; a huge number where there is none."""
    return rational(x.abs_upper()) if x.is_finite() else Fraction(10**30)


def _row_sum(A):
    """A rational upper bound of the largest sum of absolute values in a row of A."""
    return max(_upper(sum((abs(x) for x in row), ball(0))) for row in A.tolist())


def inertia(T):
    """The number of negative eigenvalues of all symmetric matrices in T, by LDL'. (13.6)

    Raises NotProved if a pivot may be 0.
    """
    P, negative = T.nrows(), 0
    rows = [[T[i, j] for j in range(P)] for i in range(P)]
    for k in range(P):
        pivot = rows[k][k]
        if pivot.contains(0) or not pivot.is_finite():
            raise NotProved(f"LDL': pivot {k} of {P} may be 0: it lies in {pivot.str(3)}")
        negative += pivot < 0
        for i in range(k + 1, P):
            factor = rows[k][i] / pivot
            for j in range(i, P):
                rows[i][j] -= factor * rows[k][j]
    return int(negative)
