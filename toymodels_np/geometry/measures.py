"""Numbers that describe a weight matrix W (..., m, n), whose column i is feature i's direction W_i.

    W^_i  the unit vector along W_i, or 0 if W_i = 0        G = W'W  the Gram matrix

Source: paper, "Demonstrating Superposition" and "The Geometry of Superposition". All return float64 arrays.
"""

import numpy as np

from ..core import checks


def gram(W):
    """W'W, (..., n, n): what an input along feature j does to output i. Unchanged by rotations of the hidden space."""
    W = _weights(W)
    return W.swapaxes(-1, -2) @ W


def norms(W):
    """‖W_i‖, (..., n): how far feature i is represented."""
    return np.linalg.norm(_weights(W), axis=-2)


def cosines(W):
    """W^_i · W^_j, (..., n, n); 0 where either feature has no direction."""
    unit = _unit(_weights(W))
    return unit.swapaxes(-1, -2) @ unit


def interference(W):
    """Σ_{j≠i} (W^_i · W_j)^2, (..., n): how far feature i shares its dimension; the colour of the paper's norm bars."""
    W = _weights(W)
    squares = (_unit(W).swapaxes(-1, -2) @ W) ** 2
    return squares.sum(-1) - np.einsum("...ii->...i", squares)


def feature_dimensionality(W):
    """D_i = ‖W_i‖² / Σ_j (W^_i · W_j)², (..., n): the share of a dimension that feature i has; 0 where W_i = 0. (7.1)"""
    W = _weights(W)
    largest = abs(W).max((-2, -1), keepdims=True)           # D has no scale, and squares of tiny weights would be 0
    W = W / np.where(largest > 0, largest, 1)
    square = (W * W).sum(-2)
    shared = ((_unit(W).swapaxes(-1, -2) @ W) ** 2).sum(-1)
    return square / np.where(shared > 0, shared, 1)


def leverage_scores(W):
    """W_i' (WW')^+ W_i, (..., n): at least D_i, and their sum is the rank of W, as `np.linalg.matrix_rank` counts it.
    (7.3), (7.4)"""
    W = _weights(W)
    _, singular, Vt = np.linalg.svd(W, full_matrices=False)                             # W = U diag(singular) Vt
    counts = singular > singular[..., :1] * max(W.shape[-2:]) * np.finfo(np.float64).eps
    return ((Vt * counts[..., None]) ** 2).sum(-2)


def dimensions_per_feature(W):
    """D* = m / ‖W‖_F², (...): hidden dimensions for each represented feature; infinite where W = 0. (7.2)"""
    W = _weights(W)
    total = (W * W).sum((-2, -1))
    return np.where(total > 0, W.shape[-2] / np.where(total > 0, total, 1), np.inf)[()]


def _weights(W):
    return checks.weights(W).astype(np.float64, copy=False)


def _unit(W):
    norm = np.linalg.norm(W, axis=-2, keepdims=True)
    return W / np.where(norm > 0, norm, 1)
