"""Split a solution into its tegum factors, sets of features in orthogonal subspaces, and name each: "2 digons".

Source: paper, "The Geometry of Superposition", "Non-Uniform Superposition".
"""

from collections import Counter

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..core import checks
from .measures import cosines, norms
from .polytopes import recognise

DROPPED = 0.1               # a feature with a norm below this fraction of the largest norm is dropped,
NEGLIGIBLE = 0.01           # and so is one with a norm below this: it returns 0.0001 of its input
ORTHOGONAL = 0.1            # two features with |cos| up to this are orthogonal


def factors(W):
    """Index arrays of the tegum factors of W (m, n), largest first: components of the graph of non-orthogonal
    features. Dropped features belong to none."""
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    norm = norms(W)
    kept = np.flatnonzero(norm >= max(DROPPED * norm.max(), NEGLIGIBLE))
    count, label = connected_components(abs(cosines(W[:, kept])) > ORTHOGONAL) if len(kept) else (0, None)
    return sorted((kept[label == c] for c in range(count)), key=len, reverse=True)


def name_geometry(W):
    """The name of the geometry of W (m, n), from W alone.

    A sum of its tegum factors, such as "pentagon", "2 digons + dropped", "triangle + digon" or "2 orthogonal": the
    factors that hold the most features come first, dropped features last. A factor that is no known polytope is
    "irregular". Tolerances: DROPPED, NEGLIGIBLE and ORTHOGONAL here, and those of `polytopes.py`. A regular 4-gon is
    "2 digons", since its diagonals are orthogonal; "square" is a 4-gon whose diagonals are not quite.
    """
    parts = factors(W)
    names = Counter((recognise(np.asarray(W)[:, part]) or "irregular", len(part)) for part in parts)
    ordered = sorted(names.items(), key=lambda item: (-item[1] * item[0][1], -item[0][1], item[0][0]))
    words = [_counted(name, count) for (name, _), count in ordered]
    missing = np.shape(W)[1] - sum(map(len, parts))
    return " + ".join(words + [_counted("dropped", missing)] * (missing > 0))


def _counted(name, count):
    plural = name if name in ("orthogonal", "dropped", "irregular") else name.removesuffix("x") + (
        "ces" if name.endswith("x") else "s")
    return name if count == 1 else f"{count} {plural}"
