"""Split a solution into its tegum factors, sets of features in orthogonal subspaces, and name each: "2 digons".

Source: paper, "The Geometry of Superposition", "Non-Uniform Superposition"; derivations/08.
"""

from collections import Counter

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..core import checks
from .measures import cosines, norms
from .polytopes import dimensions, recognise

DROPPED = 0.1               # a feature with a norm below this fraction of the largest norm is dropped,
NEGLIGIBLE = 0.01           # and so is one with a norm below this: it returns 0.0001 of its input
ORTHOGONAL = 0.1            # two features with |cos| up to this are orthogonal
BLURRED = 0.15, 0.22, 0.29  # links up to these are noise, where the parts that they join have dimensions of their own


def factors(W):
    """Index arrays of the tegum factors of W (m, n), largest first. Dropped features belong to none.

    They are the components of the graph of non-orthogonal features (8.9). A trained solution is blurred, and some of
    its factors hang together by weak links: a component without a name is cut at BLURRED, if that gives a polytope of
    two or more features and the dimensions of the pieces add up to its own (8.10). And if they do not add up in the
    whole, all of it is one factor.
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    norm = norms(W)
    kept = np.flatnonzero(norm >= max(DROPPED * norm.max(), NEGLIGIBLE))
    if not len(kept):
        return []
    parts = [piece for part in _components(W, kept, ORTHOGONAL) for piece in _split(W, part, BLURRED)]
    if all(_name(W, part) for part in parts) and _dimensions(W, parts) > _dimensions(W, [kept]):
        return [kept]
    return sorted(parts, key=len, reverse=True)


def name_geometry(W):
    """The name of the geometry of W (m, n), from W alone.

    A sum of its tegum factors, such as "pentagon", "2 digons + dropped", "triangle + digon" or "2 orthogonal": the
    factors that hold the most features come first, dropped features last. A factor that is no known polytope is
    "irregular". Tolerances: DROPPED, NEGLIGIBLE, ORTHOGONAL and BLURRED here, and those of `polytopes.py`.

    What splits is named by its factors: a regular 4-gon is "2 digons" and a regular octahedron "3 digons", since their
    diagonals are orthogonal; "square" and "octahedron" are those whose diagonals are not quite. A triangular bipyramid
    is "triangle + digon". Features that share a direction are counted after "of": "digon of 3", "bundle of 2".
    Polytopes without the room to be orthogonal are one factor: "7 digons in 6 dimensions", or "12 digons, 2 pentagons
    in 15 dimensions".
    """
    parts = factors(W)
    W = np.asarray(W, dtype=np.float64)
    missing = W.shape[1] - sum(map(len, parts))
    dropped = [_counted("dropped", missing)] * (missing > 0)
    return " + ".join(_listed([_name(W, part) or "irregular" for part in parts], map(len, parts)) + dropped)


def _components(W, part, cut):
    """The index arrays of features in `part` that hang together by |cos| above `cut`."""
    count, label = connected_components(abs(cosines(W[:, part])) > cut)
    return [part[label == c] for c in range(count)]


def _split(W, part, cuts):
    """`part`, or what it falls into at the first of the cuts where this gives more names and no more dimensions."""
    if _name(W, part) or not cuts:
        return [part]
    pieces = [small for piece in _components(W, part, cuts[0]) for small in _split(W, piece, cuts[1:])]
    named = any(len(piece) > 1 and _name(W, piece) for piece in pieces)
    return pieces if named and _dimensions(W, pieces) == _dimensions(W, [part]) else [part]


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
            room, needed = dimensions(W[:, part]), _dimensions(W, pieces)
            return f"{', '.join(_listed(names, map(len, pieces)))} in {room} dimensions" if needed > room else None
    return None


def _dimensions(W, parts):
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
    if count == 1:
        return name
    if " in " in name:                                                  # it has plurals already
        return f"{count} times {name}"
    head, of, features = name.partition(" of ")
    plural = head if head in ("orthogonal", "dropped", "irregular") else (
        head.removesuffix("ex") + "ices" if head.endswith("ex") else head + "s")
    return f"{count} {plural}{of}{features}"
