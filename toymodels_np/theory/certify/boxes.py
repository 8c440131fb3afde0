"""Boxes of weights of a model with one hidden dimension, and the tests that settle them.

    w, b     weights (n,) and biases (n,)      box     low <= w <= high, and the rest of each bias
    piece    an interval of one bias            U       an upper bound of the global minimum
    slopes   of an output's loss in its bias and its gains, as (lowest, highest)

A box is settled when no b can make it hold a global minimiser, or when it lies in a box in which a
stationary point is proved to be alone. Biases separate: each output is minimised over its own.
Equations (13.k) are in derivations/13-open-problems.md.
"""

from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

import numpy as np

from .bounds import moments
from .certificate import Certificate, certify_law
from .enclose import ball, balls_of

LOOK = Fraction(1, 2**7)        # the width at which a minimiser is looked for in a box that stays
MOST_LOOKS = 24


class Box:
    """Weights between low and high (lists of exact balls) and, for each output, pieces of its bias.
    """

    def __init__(self, low, high, pieces):
        self.low, self.high, self.pieces = low, high, pieces
        self.sides = [h - l for l, h in zip(low, high)]
        self.middle = [(l + h) / 2 for l, h in zip(low, high)]

    def halves(self):
        """Both halves across the longest side."""
        k = max(range(len(self.sides)), key=lambda j: self.sides[j])
        first, second = list(self.high), list(self.low)
        first[k] = second[k] = self.middle[k]
        return Box(self.low, first, self.pieces), Box(second, self.high, self.pieces)


class Piece(NamedTuple):
    """An interval of a bias, the output's slopes in a box (lowest, highest; value, bias, gains),
    and a lower bound of its loss there.
    """

    low: object
    high: object
    slopes: list
    loss: object


def lowest(balls):
    """The smallest lower end of some balls."""
    return min(x.lower() for x in balls)


def larger(box, j, i):
    """Whether |w_j| > |w_i| in all of the box."""
    reach = max(abs(box.low[i]), abs(box.high[i]))
    return bool(box.low[j] > reach or -box.high[j] > reach)


class Minimisers:
    """The stationary points that are known so far, each alone in its box, and the lowest loss of
    all; `distinct` has one of those that only the order of equal features tells apart.
    """

    def __init__(self, law, looks=0):
        self.law, self.upper, self.failure = law, None, ""
        self.certificates, self.distinct, self.homes, self.looks = [], [], [], looks

    def look(self, w, b):
        """Certify what Newton's method finds near w (n,), b (n,), and its twins among equal
        features.
        """
        self.looks += 1
        certificate = certify_law(np.array([w], dtype=float), np.array(b, dtype=float), self.law,
                                  near=False)
        if not certificate.proved:
            self.failure = certificate.reason
        else:
            self.add(certificate)

    def add(self, certificate):
        """Take up a proved certificate and its twins; what is known already changes nothing."""
        if any(self._same(certificate, c) for c in self.certificates):
            return
        self.distinct.append(certificate)
        for order in self._symmetries():
            twin = self._reordered(certificate, order)
            if not any(self._same(twin, c) for c in self.certificates):
                self.certificates.append(twin)
                for sign in (1, -1):
                    centre = [sign * x for x in twin.W[0]] + list(twin.b)
                    self.homes.append(([ball(x - twin.radius) for x in centre],
                                       [ball(x + twin.radius) for x in centre]))
        if certificate.index == 0:
            high = certificate.loss_interval[1]
            self.upper = high if self.upper is None else min(self.upper, high)

    def _symmetries(self):
        """All orders of the features that leave the law as it is."""
        kinds = list(zip(self.law.probability, self.law.importance))
        return [o for o in permutations(range(self.law.n)) if [kinds[i] for i in o] == kinds]

    def _reordered(self, c, order):
        W, b = (tuple(c.W[0][i] for i in order),), tuple(c.b[i] for i in order)
        columns = tuple(order.index(j) for j in c.columns)
        return Certificate(True, c.law, "", c.index, c.loss_interval, c.radius, W, b, columns)

    def _same(self, one, two):
        return any(all(abs(s * x - y) <= two.radius for x, y in zip(one.W[0], two.W[0]))
                   and all(abs(x - y) <= two.radius for x, y in zip(one.b, two.b)) for s in (1, -1))

    def hold(self, low, high):
        """Whether the box from low to high, weights then biases, lies in the box of a known point.
        """
        return any(all(l <= x for l, x in zip(first, low))
                   and all(x <= h for x, h in zip(high, last)) for first, last in self.homes)


class Tester:
    """The tests that settle a box."""

    def __init__(self, known):
        self.law, self.known = balls_of(known.law), known
        p, importance = self.law.active, self.law.importance
        self.dropped = [weight * (q / 3 - q * q / 4) for weight, q in zip(importance, p)]
        kinds = list(zip(known.law.probability, known.law.importance))
        self.alike = [(i, j) for j in range(len(kinds)) for i in range(j) if kinds[i] == kinds[j]]

    def settles(self, box):
        """Whether the box holds no global minimiser but a known one; its pieces shrink in passing.
        """
        upper, importance = ball(self.known.upper), self.law.importance
        gains = self.gains_of(box)
        if self._own_slopes_fail(gains, upper) or self._mirrored(box):
            return True
        outputs = []
        for i in range(len(box.low)):
            outputs.append(self.output(box, gains, i))
            if not outputs[-1]:
                return True                                             # no bias is left
        least = [weight * lowest(piece.loss for piece in out)
                 for weight, out in zip(importance, outputs)]
        if sum(least, ball(0)) > upper or any(x > y for x, y in zip(least, self.dropped)):
            return True
        slopes = self._weight_slopes(box, outputs)
        if not all(s.contains(0) for s in slopes):
            return True
        spare = upper - self._penalty(box)
        spare += sum((s.abs_upper() * side / 2 for s, side in zip(slopes, box.sides)), ball(0))
        centred = [[importance[i] * self.centred(gains, i, piece) for piece in out]
                   for i, out in enumerate(outputs)]
        least = [lowest(values) for values in centred]
        spare -= sum(least, ball(0))
        if spare < 0:
            return True
        box.pieces = [[(piece.low, piece.high) for piece, value in zip(out, values)
                       if not value - low > spare]
                      for out, values, low in zip(outputs, centred, least)]
        low = box.low + [pieces[0][0] for pieces in box.pieces]
        high = box.high + [pieces[-1][1] for pieces in box.pieces]
        return self.known.hold(low, high) or self._found(box, low, high)

    def _own_slopes_fail(self, gains, upper):
        """Whether the gains of the outputs' own features alone cost too much, whatever else. (13.9)
        """
        total = ball(0)
        for i, dropped in enumerate(self.dropped):
            low, high, least = gains[0][i][i], gains[1][i][i], ball(0)
            if low > 1:
                least = ((low - 1) / (low + 1)) ** 2 / 3
            elif high < 1:
                least = (1 - high) ** 2 / 12
            least *= self.law.importance[i] * self.law.active[i]
            if least > dropped:
                return True
            total += least
        return bool(total > upper)

    def _mirrored(self, box):
        """Whether an exchange of two features of one kind, or of signs, leads to a box that stays.
        """
        return any(larger(box, j, i) for i, j in self.alike)

    def centred(self, gains, i, piece):
        """A lower bound of output i's loss over the piece, with the weights at the middle of the
        box.
        """
        at = moments(self.law, i, gains[2][i], (piece.low + piece.high) / 2)
        tilt = max(map(abs, piece.slopes[1])) * (piece.high - piece.low) / 2
        return self.law.active[i] / 3 + at[0][0] - at[1][0] - tilt

    def gains_of(self, box):
        """(lowest, highest, at the middle) of all products w_i w_j, each an n × n list."""
        n = len(box.low)
        low, high = [[None] * n for _ in range(n)], [[None] * n for _ in range(n)]
        for i in range(n):
            for j in range(n):
                ends = [x * y for x in (box.low[i], box.high[i]) for y in (box.low[j], box.high[j])]
                if i == j:
                    ends = [ends[0], ends[3]] + [ball(0)] * (ends[1] < 0)
                low[i][j], high[i][j] = min(ends), max(ends)
        return low, high, [[x * y for y in box.middle] for x in box.middle]

    def output(self, box, gains, i):
        """What is left of output i's bias: a list of Pieces."""
        low, high = gains[0][i], gains[1][i]
        bottom = sum((x for x in low if x < 0), ball(0))
        top = sum((x for x in high if x > 0), ball(0))
        longest, result, todo = max(box.sides), [], list(reversed(box.pieces[i]))
        while todo:
            start, end = todo.pop()
            if end <= -top or start >= 1 - bottom:                   # dead, or always above x_i
                continue
            if end - start > longest:
                half = (start + end) / 2
                todo += [(half, end), (start, half)]
                continue
            a, b = moments(self.law, i, low, start), moments(self.law, i, high, end)
            slopes = [((x - y).lower(), (z - t).upper())
                      for x, y, z, t in zip(a[0], b[1], b[0], a[1])]
            if slopes[1][0] > 0 or slopes[1][1] < 0:
                continue
            result.append(Piece(start, end, slopes, self.law.active[i] / 3 + slopes[0][0]))
        return result

    def _weight_slopes(self, box, outputs):
        """Balls around the slope of the loss in each weight, for all biases that are left."""
        n, strength = len(outputs), self.law.interference
        w = [l.union(h) for l, h in zip(box.low, box.high)]
        total = [ball(0)] * n
        for i, out in enumerate(outputs):
            rows = [piece.slopes[2:] for piece in out]
            s = [min(r[j][0] for r in rows).union(max(r[j][1] for r in rows)) for j in range(n)]
            s = [x * self.law.importance[i] for x in s]
            for k in range(n):
                total[k] += s[k] * w[i] * (2 if k == i else 1)
                if k != i:
                    total[i] += s[k] * w[k]
        if not strength.is_zero():
            for k in range(n):
                others = sum((w[j] * w[j] for j in range(n) if j != k), ball(0))
                total[k] += 4 * strength * w[k] * others
        return total

    def _penalty(self, box):
        """λ Σ_{i≠j} (w_i w_j)² at the middle of the box."""
        squares = [x * x for x in box.middle]
        total = sum(squares, ball(0))
        return self.law.interference * sum((s * (total - s) for s in squares), ball(0))

    def _found(self, box, low, high):
        """Look for an unknown stationary point in a small box that stays; whether it settles the
        box.
        """
        known = self.known
        if known.looks >= MOST_LOOKS or max(box.sides) > ball(LOOK):
            return False
        middle = [float(l + h) / 2 for l, h in zip(low, high)]
        before = len(known.certificates)
        known.look(middle[:len(box.low)], middle[len(box.low):])
        return len(known.certificates) > before and known.hold(low, high)
