"""Closed-form energies of named geometries: the exact loss, minimised over what they leave free.

    n, m    features, hidden dimensions         p, I  (n,)  feature probability, importance
    W  (m, n)  weights      b  (n,)  bias       G  (n, n)   W'W; row i belongs to output i
    x       the features, of which the set A is on; their values u are uniform in the cube [0, 1]^A
    z_i     Σ_j G_ij x_j + b_i, what the ReLU of output i sees
    a, k    the active entries of one row of G, and how many they are
    v       a corner of the cube [0, 1]^k

An energy is the lowest loss that a geometry can have. A feature without a direction costs p/3 less
what its best constant saves, and two features that share one axis cost less than two dropped ones:

    >>> round(dropped(0.1).loss, 6), round(antipodal(0.1).loss, 6)
    (0.030833, 0.003319)

Output i costs p_i/3 - 2 E[x_i relu(z_i)] + E[relu(z_i)²], and given A both means are alternating
sums of truncated powers over corners. With one active feature and b = 0, for instance,
E[relu(a u)²] = (relu(a)³ - 0) / 3a. That is exact and short, and exponential in n: at most eight
features. It divides by the entries of G, which cancels digits where they are small. The smallest
are averaged by a quadrature whose error is below rounding instead; the rounding error is estimated,
and a doubtful result is refused with an ArithmeticError.

This module and `exact/` know nothing of each other: two independent witnesses.
Equations (5.k) are in derivations/05-energies.md.
"""

from functools import cache, lru_cache
from itertools import product
from math import factorial
from typing import NamedTuple

import numpy as np
import scipy

from ..core import checks

MOST_FEATURES = 8
SMALL = 1e-3                # entries of G up to this part of the largest active one are averaged by
                            # quadrature,
NEAR_ZERO = 1e-9            # which the largest active one counts as at least
GAUSS = (0.5 - 0.75**0.5 / 3, 0.5 + 0.75**0.5 / 3)      # points on [0, 1], exact for cubics   (5.5)
DOUBT = 1e-11               # error, as a part of the loss or of an empty model's, that is refused
COMPLEX_STEP = 1e-30        # for derivatives: the square of this step is lost in rounding beside 1
RAREST = 1e-40              # the smallest feature probability beside whose loss it is lost, too
FACTORIAL = np.array([factorial(q) for q in range(MOST_FEATURES + 3)], float)
LEAST = 1e-250              # the smallest loss of an empty model whose derivatives fit into float64


class Energy(NamedTuple):
    """The lowest expected loss of a geometry, and the norm and the bias that reach it.

    norm and bias are floats where all represented features share them, else arrays with one entry
    a feature.
    """

    loss: float
    norm: float
    bias: float


class Branch(NamedTuple):
    """A local minimum over all weights: its loss, a norm and a bias a feature, and W (m, n)."""

    loss: float
    norm: np.ndarray
    bias: np.ndarray
    W: np.ndarray


# -- the exact loss by enumeration

def enumerated_loss(W, b, feature_probability, importance=1.0):
    """The exact expected loss of ReluOutput(W, b) on independent features, shape (...). (5.1)

    It enumerates who is active. W is (..., m, n) and b (..., n) with n <= 8; feature_probability
    and importance are scalar or (n,). Raises ValueError or TypeError on bad arguments,
    OverflowError where W or b is too large, ArithmeticError where cancellation leaves an error
    above DOUBT.
    """
    W, b = checks.weights(W), checks.array("b", b, min_ndim=1)
    n = W.shape[-1]
    if b.shape != W.shape[:-2] + (n,):
        raise ValueError(f"b must have shape {W.shape[:-2] + (n,)} to go with W {W.shape}, "
                         f"got {b.shape}")
    if n > MOST_FEATURES:
        raise ValueError(f"enumeration is for at most {MOST_FEATURES} features, got {n}; "
                         f"see tm.expected_loss")
    return _loss(W.astype(float), b.astype(float), *_law(n, feature_probability, importance))


def _loss(W, b, p, importance):
    """Σ_i I_i times the loss of output i. (5.1)

    Each output lists its own feature first, then the others in turn.
    """
    n = len(p)
    own_first = (np.arange(n)[:, None] + np.arange(n)) % n                  # (n, n)
    with np.errstate(over="ignore", invalid="ignore"):
        G = W.swapaxes(-1, -2) @ W                                          # (..., n, n)
        rows = np.take_along_axis(G, np.broadcast_to(own_first, G.shape), axis=-1)
        return _finite(output_loss(rows, b, p[own_first]) @ importance)     # (...)


def output_loss(row, bias, p):
    """E (x_0 - relu(row·x + bias))², (...), for row and p (..., n) and bias (...).

    Complex arguments are welcome: their imaginary parts carry derivatives.
    """
    bias, square, cross, size = np.asarray(bias), 0.0, 0.0, 0.0
    for active in _sets_by_size(row.shape[-1]):                             # (sets, n)
        weight = np.where(active, p[..., None, :], 1 - p[..., None, :]).prod(-1)            # (5.2)
        possible = weight.reshape(-1, len(active)).any(0)
        if not possible.any():
            continue
        active, weight = active[possible], weight[..., possible]
        a = row[..., np.nonzero(active)[1].reshape(len(active), -1)]        # (..., sets, k)
        mean, terms = _mean_power(a, bias[..., None], 2)
        square = square + (weight * mean).sum(-1)
        size = size + (weight * terms).sum(-1)
        if own := active[:, 0].sum():                                       # these come first
            mean, terms = _mean_product(a[..., :own, :], bias[..., None], mean[..., :own],
                                        terms[..., :own])
            cross = cross + (weight[..., :own] * mean).sum(-1)
            size = size + (weight[..., :own] * terms).sum(-1)
    loss = p[..., 0] / 3 - 2 * cross + square
    error = np.finfo(float).eps * _finite(size)
    if not (error <= DOUBT * np.maximum(p[..., 0] / 3, loss.real)).all():
        raise ArithmeticError("too many features are almost but not exactly orthogonal, and this "
                              "formula cancels too many digits there; tm.expected_loss has no such "
                              "trouble")
    return loss


@cache
def _sets_by_size(n):
    """All sets A of n variables, those of one size together: n + 1 arrays (sets, n) of bools. Sets
    that have the first variable come first.
    """
    every = _corners(n)[::-1]
    return [every[every.sum(-1) == size] for size in range(n + 1)]


@cache
def _corners(k):
    """The corners of the cube [0, 1]^k: (2^k, k), True at the upper end of a variable."""
    return np.array(list(product((False, True), repeat=k))).reshape(2**k, k)


def _mean_power(a, bias, power):
    """E relu(a·u + bias)^power for u uniform in the cube, a (..., k), bias (...).

    Returns the mean and the size of its terms. Variables with a small coefficient are averaged over
    two Gauss points, the others over the ends of their range.
    """
    small, upper = _small(a), _corners(a.shape[-1]).T + 0.0                 # (k, 2^k)
    step = np.where(small, a * (GAUSS[1] - GAUSS[0]), a)
    z = (bias + (small * a * GAUSS[0]).sum(-1))[..., None] + step @ upper   # (..., 2^k)
    sign = 1 - (~small @ (1 - upper)) % 2 * 2           # by the number of large ones at lower ends
    order = power + (~small).sum(-1, keepdims=True)
    scale = FACTORIAL[power] / FACTORIAL[order] / np.where(small, 2, a).prod(-1, keepdims=True)
    terms = sign * _raised(_relu(z), order) * scale
    mean, size = terms.sum(-1), abs(terms.real).sum(-1)                     # (5.3), (5.5)
    # Where all corners are positive the ReLU does nothing, and the sum would only cancel.
    middle = bias + a.sum(-1) / 2
    plain = middle if power == 1 else middle**2 + (a * a).sum(-1) / 12
    linear = _never_off(a, bias)
    return np.where(linear, plain, mean), np.where(linear, abs(plain.real), size)


def _raised(z, order):
    """z^order for whole orders >= 1, sooner than by NumPy's power of complex numbers."""
    result, least = z, order.min()
    for done in range(1, order.max()):
        result = result * (z if done < least else np.where(order > done, z, 1))
    return result


def _mean_product(a, bias, mean, terms):
    """E u_0 relu(a·u + bias), given E relu(a·u + bias)² and the size of its terms.

    Returns the mean and the size of its terms.
    """
    own, rest, small = a[..., 0], a[..., 1:], _small(a)[..., 0]
    safe = np.where(small, 1, own)
    edge, edge_terms = _mean_power(rest, bias + safe, 2)
    result, size = (edge - mean) / (2 * safe), (edge_terms + terms) / abs(safe.real)       # (5.4)
    if small.any():
        smooth = sum(u / 2 * _mean_power(rest, bias + own * u, 1)[0] for u in GAUSS)    # (5.5)
        result, size = np.where(small, smooth, result), np.where(small, abs(smooth.real), size)
    linear, plain = _never_off(a, bias), bias / 2 + own / 3 + rest.sum(-1) / 4
    return np.where(linear, plain, result), np.where(linear, abs(plain.real), size)


def _small(a):
    """Which of the coefficients a (..., k) are too small to divide by, beside others or at all."""
    return abs(a) <= SMALL * abs(a).max(-1, keepdims=True, initial=NEAR_ZERO)


def _never_off(a, bias):
    """Whether a·u + bias >= 0 in the whole cube."""
    return np.real(bias) + np.minimum(a.real, 0).sum(-1) >= 0


def _relu(z):
    return np.where(z.real > 0, z, 0)


# -- minimising over what is free

def _minimise(loss, start, scale):
    """The local minimum of `loss` near `start`: BFGS, then one Newton step to rounding.

    `loss` takes a stack of points. Gradients are complex steps, exact for these polynomials; flat
    directions (rotations) are left alone. `scale` is what an empty model costs, by which the loss
    is divided: the tolerance of BFGS is absolute.
    """
    if scale < LEAST:
        raise ValueError(f"importance must not be so small that a model without weights loses less "
                         f"than {LEAST:g}, got a loss of {scale:g}")
    steps = 1j * COMPLEX_STEP * np.eye(len(start))

    def both(theta):
        y = loss(theta[..., None, :] + steps) / scale
        return y.real[..., 0], y.imag / COMPLEX_STEP

    theta = scipy.optimize.minimize(both, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    h = 1e-5 * np.eye(len(theta))
    hessian = (both(theta + h)[1] - both(theta - h)[1]) / 2e-5
    theta = theta - np.linalg.lstsq(hessian, both(theta)[1], rcond=1e-6)[0]
    return theta, float(loss(theta))


@lru_cache(maxsize=1024)
def _regular(cosines, p):
    """The Energy of n equal features whose Gram row is norm² cosines, a tuple: of all together."""
    n, all_p, cosines = len(cosines), np.full(len(cosines), p), np.array(cosines)

    def loss(theta):                                                        # theta = (norm, bias)
        return n * output_loss(theta[..., :1] ** 2 * cosines, theta[..., 1], all_p)

    grid = np.meshgrid(np.linspace(0.2, 2.4, 12), np.linspace(-4, 1, 21), indexing="ij")
    grid = np.stack(grid, -1).reshape(-1, 2)
    theta, lowest = _minimise(loss, grid[loss(grid).argmin()], n * p / 3)
    return Energy(lowest, abs(float(theta[0])), float(theta[1]))


def local_minimum(W, b, feature_probability, importance=1.0):
    """The local minimum of the exact expected loss that descent reaches from W (m, n), b (n,).

    It returns a Branch. The features are independent and at most eight; the other arguments and
    the errors are those of `enumerated_loss`.
    """
    W = checks.array("W", W, ndim=2, dtype=float)
    b = checks.array("b", b, ndim=1, dtype=float)
    enumerated_loss(W, b, feature_probability, importance)                  # checks the rest
    (m, n), law = W.shape, _law(W.shape[1], feature_probability, importance)
    checks.memory("W", 48 * (m * n + n) ** 3)                               # of the Hessian

    def loss(theta):
        return _loss(theta[..., :m * n].reshape(*theta.shape[:-1], m, n), theta[..., m * n:], *law)

    p, importance = law
    theta, lowest = _minimise(loss, np.concatenate([W.ravel(), b]), p @ importance / 3 or 1.0)
    W = theta[:m * n].reshape(m, n)
    return Branch(lowest, np.linalg.norm(W, axis=0), theta[m * n:], W)


# -- the named geometries

def dropped(p, importance=1.0):
    """A feature without a direction: its best constant p/2 leaves I (p/3 - p²/4). (5.6)"""
    p, importance = _probability("p", p), checks.real("importance", importance, minimum=0)
    return Energy(importance * (p / 3 - p * p / 4), 0.0, p / 2)


def polygon(k, p):
    """k features of importance 1 as a regular k-gon in two dimensions, 2 <= k <= 8. (5.7)

    k = 2 is the antipodal pair.
    """
    k, p = _number_of_features("k", k, 2, MOST_FEATURES), _probability("p", p)
    return _regular(tuple(np.cos(2 * np.pi * np.arange(k) / k)), p)


def simplex(k, p):
    """k + 1 features of importance 1 as a regular simplex in k dimensions, 1 <= k <= 7. (5.8)"""
    k, p = _number_of_features("k", k, 1, MOST_FEATURES - 1), _probability("p", p)
    return _regular((1.0, *[-1 / k] * k), p)


def antipodal(p, importance=(1, 1)):
    """Two features of the given importances on one axis, pointing apart (a digon). (5.9)

    Unequal importances have their own norm and bias each, as arrays (2,): the local minimum that
    is reached from the symmetric pair. Where there is none the weaker feature shrinks away, its
    norm to 0 and its bias to p/2.
    """
    p = _probability("p", p)
    importance = checks.array("importance", importance, ndim=1, dtype=float)
    if importance.shape != (2,) or (importance < 0).any() or not importance.any():
        raise ValueError(f"importance must be two numbers, not negative and not both 0, "
                         f"got {importance.tolist()}")
    pair = polygon(2, p)
    if importance[0] == importance[1]:
        return Energy(float(importance[0]) * pair.loss, pair.norm, pair.bias)
    start = np.array([[pair.norm, -pair.norm]])
    branch = local_minimum(start, np.full(2, pair.bias), p, importance)
    return Energy(branch.loss, branch.norm, branch.bias)


def digons(count, p, *, dropped=0, dropped_probability=None, dropped_importance=1.0):
    """`count` antipodal pairs of importance 1 in as many dimensions, and `dropped` features. (5.10)

    The dropped features have feature probability `dropped_probability` (default p) and importance
    `dropped_importance`. norm and bias are those of the represented features.
    """
    count = _number_of_features("count", count, 1, 10**15)
    missing = _number_of_features("dropped", dropped, 0, 10**15)
    q = p = _probability("p", p)
    if dropped_probability is not None:
        q = _probability("dropped_probability", dropped_probability)
    importance = checks.real("dropped_importance", dropped_importance, minimum=0)
    pair, rest = antipodal(p), importance * (q / 3 - q * q / 4)                         # (5.6)
    return Energy(count * pair.loss + missing * rest, pair.norm, pair.bias)


def deformed_polygon(k, feature_probability, importance=1.0):
    """The k-gon of unequal features, 3 <= k <= 8: what a regular k-gon relaxes to, a Branch.

    It is a local minimum over all weights and biases. feature_probability and importance are scalar
    or (k,). A strongly unequal polygon may relax into another geometry, so look at its W (2, k).
    """
    k = _number_of_features("k", k, 3, MOST_FEATURES)
    p, importance = _law(k, feature_probability, importance)
    regular = polygon(k, float(np.median(p)))
    angle = 2 * np.pi * np.arange(k) / k
    W = regular.norm * np.stack([np.cos(angle), np.sin(angle)])             # (2, k)
    return local_minimum(W, np.full(k, regular.bias), p, importance)


# -- what may be asked

def _law(n, feature_probability, importance):
    """Checked p and I, each (n,)."""
    both = []
    for name, value in (("feature_probability", feature_probability), ("importance", importance)):
        a = checks.array(name, value, dtype=float)
        if a.shape not in ((), (n,)):
            raise ValueError(f"{name} must be a scalar or have shape ({n},), got {a.shape}")
        both.append(np.broadcast_to(a, (n,)))
    p, importance = both
    if not ((p > 0) & (p <= 1)).all():
        raise ValueError(f"feature_probability must lie in (0, 1], "
                         f"got values from {p.min()} to {p.max()}")
    _probability("feature_probability", float(p.min()))
    if (importance < 0).any():
        raise ValueError(f"importance must not be negative, got {importance.min()}")
    return p, importance


def _probability(name, value):
    p = checks.real(name, value, above=0, maximum=1)
    if p < RAREST:
        raise ValueError(f"{name} must be at least {RAREST:g} for these formulas to keep their "
                         f"digits, got {p}")
    return p


def _number_of_features(name, value, minimum, most):
    value = checks.integer(name, value, minimum=minimum)
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return value


def _finite(a):
    if not np.isfinite(a).all():
        raise OverflowError("W, b or importance is too large: the loss does not fit into float64")
    return a
