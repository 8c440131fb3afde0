"""Split a solution into its tegum factors, sets of features in orthogonal subspaces; name each.

    W     (m, n)  a solution; column i is feature i's direction
    part  (k,)    the indices of features that belong together, such as a factor's

    >>> name_geometry([[1, -1, 0, 0], [0, 0, 1, -1]])               # two pairs, each on its axis
    '2 digons'
    >>> [part.tolist() for part in factors([[1, -1, 0, 0], [0, 0, 1, -1]])]
    [[0, 1], [2, 3]]

Equations (8.k) are in derivations/08-polytopes-and-tegum-products.md.
Source: paper, "The Geometry of Superposition", "Non-Uniform Superposition".
"""

from collections import Counter

import numpy as np
import scipy

from ..core import checks
from .measures import ORTHOGONAL, cosines, norms, warn_if_tall
from .polytopes import dimensions, recognise

SHORT = 0.1                 # a feature with a norm below this part of the longest is dropped here,
NEGLIGIBLE = 0.01           # and so is one with a norm below this: it returns 0.0001 of its input
BLURRED = 0.15, 0.22, 0.29  # |cos| up to these is noise, where what it joins has dimensions of its
                            # own; up to ORTHOGONAL it always is


def factors(W):
    """Index arrays of the tegum factors of W (m, n), largest first; dropped features are in none.

    They are the components of the graph of non-orthogonal features (8.9). A trained solution is
    blurred, and some of its factors hang together by weak links: a component without a name is cut
    at BLURRED, if that gives a polytope of two or more features and the dimensions of the pieces
    add up to its own (8.10). If the dimensions of all parts add up to more than W spans, nothing
    is split, and all of W is one factor.

    It warns where W has more dimensions than features.
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    warn_if_tall(W)
    return _factors(W)


def name_geometry(W):
    """The name of the geometry of W (m, n), from W alone.

    It is a sum of its tegum factors, such as "pentagon", "2 digons + dropped", "triangle + digon"
    or "2 orthogonal": the factors that hold the most features come first, dropped features last. A
    factor that is no known polytope is "irregular". Tolerances: SHORT, NEGLIGIBLE, BLURRED here,
    ORTHOGONAL in `measures.py`, and those of `polytopes.py`.

    What splits is named by its factors: a regular 4-gon is "2 digons" and a regular octahedron
    "3 digons", since their diagonals are orthogonal; "square" and "octahedron" are those whose
    diagonals are not quite. A triangular bipyramid is "triangle + digon". Features that share a
    direction are counted after "of": "digon of 3", "bundle of 2". Polytopes without the room to be
    orthogonal are one factor: "7 digons in 6 dimensions", or "12 digons, 2 pentagons in 15
    dimensions".

    It warns where W has more dimensions than features.
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    warn_if_tall(W)
    return geometry_of(W)


def geometry_of(W):
    """`name_geometry` for callers that know which axis of W is which: it warns of nothing."""
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    parts = _factors(W)
    names = [_name(W, part) or "irregular" for part in parts]
    missing = W.shape[1] - sum(map(len, parts))
    dropped = [_counted("dropped", missing)] * (missing > 0)
    return " + ".join(_listed(names, map(len, parts)) + dropped)


def kept(W):
    """The indices of the features of W (m, n) that are not dropped: not SHORT, not NEGLIGIBLE."""
    norm = norms(W)
    return np.flatnonzero(norm >= max(SHORT * norm.max(), NEGLIGIBLE))


def _factors(W):
    represented = kept(W)
    if not len(represented):
        return []
    parts = [piece for part in _components(W, represented, ORTHOGONAL)
             for piece in _split(W, part, BLURRED)]
    if all(_name(W, part) for part in parts) and _room(W, parts) > _room(W, [represented]):
        return [represented]
    return sorted(parts, key=len, reverse=True)


def _components(W, part, cut):
    """The index arrays of features in `part` that hang together by |cos| above `cut`."""
    count, label = scipy.sparse.csgraph.connected_components(abs(cosines(W[:, part])) > cut)
    return [part[label == c] for c in range(count)]


def _split(W, part, cuts):
    """`part`, or what it falls into at the first of the cuts that gives names and costs no room."""
    if _name(W, part) or not cuts:
        return [part]
    pieces = [small for piece in _components(W, part, cuts[0])
              for small in _split(W, piece, cuts[1:])]
    named = any(len(piece) > 1 and _name(W, piece) for piece in pieces)
    return pieces if named and _room(W, pieces) == _room(W, [part]) else [part]


def _name(W, part):
    """The name of a polytope, or of several that share too few dimensions; else None."""
    name = recognise(W[:, part])
    if name:
        return name
    for cut in (*BLURRED[::-1], ORTHOGONAL):
        pieces = _components(W, part, cut)
        if len(pieces) == 1:
            continue
        names = [recognise(W[:, piece]) for piece in pieces]
        if all(names) and (cut == ORTHOGONAL or min(map(len, pieces)) > 1):
            room, listed = dimensions(W[:, part]), ", ".join(_listed(names, map(len, pieces)))
            return f"{listed} in {room} dimensions" if _room(W, pieces) > room else None
    return None


def _room(W, parts):
    """How many dimensions the parts span, each counted by itself."""
    return sum(dimensions(W[:, part]) for part in parts)


def _listed(names, sizes):
    """["2 digons", "pentagon", …]: names counted, those that hold the most features first."""
    count, held = Counter(), Counter()
    for name, size in zip(names, sizes):
        count[name] += 1
        held[name] += size
    ordered = sorted(count, key=lambda name: (-held[name], -held[name] / count[name], name))
    return [_counted(name, count[name]) for name in ordered]


def _counted(name, count):
    """"2 digons", "3 simplices of 8"; "pentagon" if there is one."""
    if count == 1:
        return name
    if " in " in name:                                      # it has plurals already
        return f"{count} times {name}"
    head, of, features = name.partition(" of ")
    if head.endswith("ex"):
        head = head.removesuffix("ex") + "ices"
    elif head not in ("orthogonal", "dropped", "irregular"):
        head = head + "s"
    return f"{count} {head}{of}{features}"
