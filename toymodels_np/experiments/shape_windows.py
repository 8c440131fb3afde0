"""Where each shape is the best one, for row 6: that which gains the most for each dimension that it
takes, at its exact minimum, where the features that it leaves out cost what a dropped one costs.

Between triangles and digons the best shape is none of the paper's: a square pyramid, five features
in three dimensions, four with shares of 0.59 and one with 0.63.
"""

from functools import cache

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluOutput
from ..core.streams import SEARCH_STREAM, random_stream
from ..geometry import polytopes
from ..theory import energies
from ..theory.descent import descend

SHAPES = {"tetrahedron": (polytopes.simplex(3), 3 / 4), "triangle": (polytopes.polygon(3), 2 / 3),
          "digon": (polytopes.digon(), 1 / 2), "pentagon": (polytopes.polygon(5), 2 / 5),
          "square antiprism": (polytopes.antiprism(4), 3 / 8)}
PYRAMID = "square pyramid"                      # no shape of the paper's
POLYGONS = {"digon": 2, "triangle": 3, "pentagon": 5}                   # corners
SIMPLEXES = {"tetrahedron": 3, "4-simplex": 4}                          # dimensions
CROWDED = "tetrahedron", "triangle"             # shapes that gain by standing side by side,
ROOM = 6                            # in so many dimensions: whole numbers of either,
NUDGE = 0.02                        # once their columns are moved so far off symmetric places
SEARCHED = (("4-simplex", "tetrahedron", 1.03, 1.2), ("tetrahedron", "triangle", 1.12, 1.3),
            ("triangle", PYRAMID, 1.4, 1.52), (PYRAMID, "digon", 1.52, 1.65),
            ("digon", "pentagon", 3.5, 5.0), ("pentagon", "square antiprism", 4.5, 5.5))
#                                 windows meet between these 1/p
MAIN = 10                           # the largest 1/p of the main part; sparser is drawn apart


def gain_of(loss, x, features, dimensions):
    """What each dimension gains over dropping all the features, in units of a dropped feature."""
    dropped = np.array([energies.dropped(1 / each).loss for each in np.atleast_1d(x)])
    return (features * dropped - np.asarray(loss)) / (dimensions * dropped)


@cache
def gain_alone(name, x):
    """The gain per dimension of a single shape at its exact minimum at 1/p = x; others are free."""
    if name == "square antiprism":
        return _gain_from(SHAPES[name][0], np.full(8, -0.1), x)
    if name == PYRAMID:
        return _gain_from(square_pyramid(), np.zeros(5), x)
    if name in POLYGONS:
        size, room, energy = POLYGONS[name], min(POLYGONS[name] - 1, 2), energies.polygon
        return float(gain_of(energy(size, 1 / x).loss, x, size, room)[0])
    room = SIMPLEXES[name]
    return float(gain_of(energies.simplex(room, 1 / x).loss, x, room + 1, room)[0])


@cache
def gain(name, x):
    """The same of as many as there is room for in ROOM dimensions.

    Where features are dense, several tetrahedra or triangles side by side cost a little less than
    each alone: they are not quite regular then, and not quite orthogonal.
    """
    if name not in CROWDED:
        return gain_alone(name, x)
    V = SHAPES[name][0]
    W = polytopes.tegum_product(*[V] * (ROOM // len(V)))
    turned = W + NUDGE * random_stream(0, SEARCH_STREAM, 0).normal(size=W.shape)
    return max(gain_alone(name, x), _gain_from(turned, np.zeros(W.shape[1]), x))


def _gain_from(W, b, x):
    """The gain per dimension of the exact minimum to which W (m, k), b (k,) descend."""
    m, k = W.shape
    _, (loss,), _ = descend(ReluOutput(W[None], b[None]), Features(k, 1 / x), tolerance=1e-5,
                           most_steps=300)
    return float(gain_of(loss, x, k, m)[0])


def square_pyramid():
    """Roughly, four corners of a square below and a fifth feature opposite them all, (3, 5)."""
    return np.hstack([np.vstack([polytopes.polygon(4), np.full((1, 4), -0.4)]),
                      [[0.0], [0.0], [1.0]]])


@cache
def borders():
    """The 1/p at which the best shape changes, one a row of SEARCHED.

    The first compares single shapes: below it the differences are a thousandth.
    """
    found = []
    for a, b, low, high in SEARCHED:
        of = gain if found else gain_alone
        found.append(scipy.optimize.brentq(lambda x: of(b, x) - of(a, x), low, high, xtol=2e-3))
    return tuple(found)


def windows():
    """{shape: (low, high)}, the 1/p where it is exactly best of all; the last is open."""
    edges, best = (*borders(), np.inf), [after for _, after, *_ in SEARCHED]
    found = dict(zip(best, zip(edges[:-1], edges[1:])))
    return {name: found[name] for name in SHAPES}


def within(x, name):
    """Which of 1/p = x (P,) are in the shape's window and in the main part, (P,)."""
    low, high = windows()[name]
    return (x >= low) & (x < high) & (x <= MAIN)


def best_gains(x):
    """The gain of the best shape at 1/p = x (P,); NaN outside of the windows."""
    best = np.full(len(x), np.nan)
    for name in SHAPES:
        for i in np.flatnonzero(within(x, name)):
            best[i] = gain(name, float(x[i]))
    return best
