"""Numbers that describe a weight matrix: how long its columns are, how they share the dimensions.

    W    (..., m, n)  weights: m hidden dimensions, n features; column i is W_i, the direction of
                      feature i
    W^_i (m,)         the unit vector along W_i, or 0 if W_i = 0
    G    (..., n, n)  W'W, the Gram matrix
    D_i  (..., n)     the dimensionality of feature i, its share of a dimension
    D*   (...)        hidden dimensions for each represented feature

    >>> feature_dimensionality([[1, -1, 0], [0, 0, 1]]).tolist()    # two on one axis, one alone
    [0.5, 0.5, 1.0]

Leading axes are instances. All results are float64; what float64 cannot hold is an OverflowError.
Equations (7.k) are in derivations/07-feature-dimensionality.md.
Source: paper, "Demonstrating Superposition" and "The Geometry of Superposition".
"""

import warnings

import numpy as np

from ..core import checks

# In units of ‖W_i‖, which is 1 where the model returns the whole of feature i.
REPRESENTED = 0.5           # a feature with this norm or more counts as represented,
DROPPED = 0.1               # and one with this norm or less as dropped

ORTHOGONAL = 0.1            # two features with |cos| up to this count as orthogonal


def gram(W):
    """G = W'W, (..., n, n): what an input along feature j does to output i."""
    W = _weights(W)
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(W.swapaxes(-1, -2) @ W)


def norms(W):
    """‖W_i‖, (..., n): how far feature i is represented."""
    return directions(_weights(W))[1]


def cosines(W):
    """W^_i · W^_j, (..., n, n); 0 where either feature has no direction."""
    unit, _ = directions(_weights(W))
    return unit.swapaxes(-1, -2) @ unit


def interference(W):
    """Σ_{j≠i} (W^_i · W_j)², (..., n): how far others reach into the direction of feature i.

    It colours the bars of the paper's norm plots.
    """
    W = _weights(W)
    unit, _ = directions(W)                                        # (..., m, n)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.where(np.eye(W.shape[-1]), 0, unit.swapaxes(-1, -2) @ W) ** 2
        return _finite(squares.sum(-1))


def feature_dimensionality(W):
    """D_i = ‖W_i‖² / Σ_j (W^_i · W_j)², (..., n): feature i's share of a dimension. (7.1)

    It is 0 where W_i = 0, and warns where W has more dimensions than features.
    """
    W = _weights(W)
    warn_if_tall(W)
    unit, length = directions(W)                                   # (..., m, n), (..., n)
    with np.errstate(over="ignore", invalid="ignore"):
        onto = _finite(unit.swapaxes(-1, -2) @ W)                   # (..., n, n)  Ŵ_i · W_j
        # D_i has no unit of length: divided by a power of 2, no square overflows.
        _, power = np.frexp(length)
        square = np.ldexp(length, -power) ** 2                      # (..., n)
        shared = (np.ldexp(onto, -power[..., None]) ** 2).sum(-1)   # (..., n)
    return square / np.where(shared > 0, shared, 1)


def leverage_scores(W):
    """W_i' (WW')^+ W_i, (..., n): at least D_i, and their sum is the rank of W. (7.3), (7.4)

    Both up to the numerical rank, as `np.linalg.matrix_rank` counts: what is shorter scores 0.
    """
    W = _weights(W)
    _, singular, Vt = np.linalg.svd(W, full_matrices=False)         # W = U diag(singular) Vt
    rounding = max(W.shape[-2:]) * np.finfo(np.float64).eps
    counts = _finite(singular) > singular[..., :1] * rounding       # (..., min(m, n))
    return ((Vt * counts[..., None]) ** 2).sum(-2)


def dimensions_per_feature(W):
    """D* = m / ‖W‖_F², (...): hidden dimensions for each represented feature. (7.2)

    It is infinite where W = 0, and warns where W has more dimensions than features.
    """
    W = _weights(W)
    warn_if_tall(W)
    with np.errstate(over="ignore", divide="ignore"):
        result = W.shape[-2] / (W * W).sum((-2, -1))
    if (np.isinf(result) & W.any((-2, -1))).any():
        raise OverflowError("W is too small: its dimensions per feature do not fit into float64")
    return result


# -- what the measures, and other modules of geometry, are made of

def directions(W):
    """The columns of W (..., m, n) as unit vectors, (..., m, n), and their lengths, (..., n).

    A column of zeros has no direction and stays as it is. No square overflows.
    """
    columns, power = split_power(W, axis=-2)                        # (..., m, n), (..., 1, n)
    length = np.linalg.norm(columns, axis=-2, keepdims=True)        # (..., 1, n)
    with np.errstate(over="ignore"):
        whole = _finite(np.ldexp(length, power)[..., 0, :])
    return columns / np.where(length > 0, length, 1), whole


def split_power(a, axis=None):
    """`a` as mantissa · 2^power, whose largest entry along `axis` lies in [1/2, 1), or is 0.

    This changes no digit: what has no scale can be computed from the mantissa, whose squares fit.
    """
    _, power = np.frexp(abs(a).max(axis, keepdims=axis is not None))
    return np.ldexp(a, -power), power


def warn_if_tall(W):
    """A UserWarning to the caller's caller if W (..., m, n) has more dimensions than features.

    That is a legitimate W, but more often one that lies on its side.
    """
    m, n = W.shape[-2:]
    if m > n:
        warnings.warn(f"W has {m} dimensions for {n} feature{'s' * (n > 1)}: did you mean W.T? "
                      f"Its columns are the features", UserWarning, stacklevel=3)


def _weights(W):
    return checks.weights(W).astype(np.float64, copy=False)


def _finite(result):
    """`result`, whose inputs were finite, if it is so too."""
    if not np.isfinite(result).all():
        raise OverflowError("W is too large: what is asked of it does not fit into float64")
    return result
