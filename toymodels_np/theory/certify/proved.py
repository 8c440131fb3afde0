"""Long proofs that are kept beside the code, so that a part of them can be repeated at any time.

    I, p    importance of feature 1 (feature 0 has 1), probability of both
    λ_c     the strength of the penalty λ Σ_{i≠j} (W_i·W_j)² above which dropping feature 1 is best
    v       p/3 - p²/4, what a dropped feature of importance 1 costs (5.6)

`tests/benchmark/certificates.py` makes what is read here; it stands in the folder `proved`.
"""

import json
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ... import disk
from ...core.features import Features
from .certificate import certify_law
from .enclose import law_of
from .overall import certify_global

FOLDER = Path(__file__).with_name("proved")


class Critical(NamedTuple):
    """One point of the surface λ_c(I, p): low < λ_c <= high.

    importance, p : floats       low, high : Fractions       w, b : lists of two floats, near the
        pair that is better than dropping feature 1 at λ = low
    """

    importance: float
    p: float
    low: Fraction
    high: Fraction
    w: list
    b: list

    @property
    def features(self):
        """The two features."""
        return Features(2, self.p, [1, self.importance])

    @property
    def dropping(self):
        """What dropping feature 1 costs, I v, a Fraction."""
        p = Fraction(repr(self.p))
        return Fraction(repr(self.importance)) * (p / 3 - p**2 / 4)

    def bounded_below(self):
        """Prove low < λ_c anew: whether a stationary pair costs less than dropping at λ = low."""
        pair = certify_law(np.array([self.w]), np.array(self.b), law_of(self.features, self.low),
                           near=False)
        return pair.proved and pair.loss_interval[1] < self.dropping

    def bounded_above(self, most_boxes=100_000):
        """Prove λ_c <= high anew: whether all global minimisers at λ = high drop a feature."""
        proof = certify_global(self.features, interference=self.high, most_boxes=most_boxes,
                               progress=False)
        return proof.proved and all(map(self._drops, proof.minimisers))

    def _drops(self, certificate):
        """Whether one feature alone, w = (1, 0) and b = (0, p/2) or the other way round, lies in
        the box of a Certificate: as it is stationary, it is the only stationary point there.
        """
        here, half = [*map(abs, certificate.W[0]), *certificate.b], Fraction(repr(self.p)) / 2
        return any(all(abs(x - y) <= certificate.radius for x, y in zip(here, alone))
                   for alone in ((1, 0, 0, half), (0, 1, half, 0)))


def load_critical():
    """All points of the surface that are proved, a list of Critical, by p and importance."""
    points = [Critical(e["importance"], e["p"], Fraction(e["low"]), Fraction(e["high"]), e["w"],
                       e["b"]) for e in _read("critical.json")]
    return sorted(points, key=lambda c: (c.p, c.importance))


def phase(points, low, high, strength):
    """What is proved for every importance in [low, high]: "pair", "dropped" or "" for neither.

    points : Criticals of one p       strength : λ
    λ_c never falls with an importance up to 1, so that one point speaks for a range (13.13). Beyond
    1 the other feature is the one to drop, and nothing is said.
    """
    if high > 1:
        return ""
    if any(c.importance <= low and strength <= c.low for c in points):
        return "pair"
    if any(c.importance >= high and strength >= c.high for c in points):
        return "dropped"
    return ""


def load_pentagon():
    """The ends of all stretches on which the pentagon is proved, Fractions that rise."""
    return [Fraction(end) for end in _read("pentagon.json")]


def _read(name):
    path = FOLDER / name
    with disk.os_errors_as(f"cannot read {path}"), disk.open_regular(path) as stream:
        return json.loads(stream.read().decode())
