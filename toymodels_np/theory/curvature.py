"""The Hessian of the exact loss and what it says of a point: its eigenvalues, kinks, the directions
that rotations make flat, and Newton's method.

    theta (..., P)  all parameters of a model in a row, W, b     H  the Hessian, (..., P, P)
    g (..., P)  gradient                                         R  directions of rotations, (P, s)
"""

import math

import numpy as np

from ..core.arrays import transpose
from ..core.models import ReluOutput
from ..machine import memory, one_blas_thread
from ..penalties import NONE
from .descent import RTOL, evaluate, pack, select, to_rtol, unpack
from .exact.loss import check_known, loss_of_gains

FLAT = 1e-6                 # Hessian eigenvalues up to this fraction of the largest count as zero
ROUNDING = 1e-13            # a gradient norm that Newton's method leaves alone
DIFFERENCE = 1e-5           # step of the Hessian's differences
PRODUCTS = 40               # of a larger Hessian with a vector, in Lanczos' method
CURVED = 1e-7               # rtol of the losses in a Hessian where features are many
STIFF = 1e-4                # a curvature below this part of the largest counts as so much
KINK = 0.05                 # a slope that differs by this share on both sides bends
SHORTER = 0.5 ** np.arange(1, 11)       # of a step that leads across a kink


def hessian(model, features, difference=DIFFERENCE, *, penalty=NONE, rtol=RTOL):
    """The Hessian (..., P, P) of the exact loss in the order W, b. What an output loses depends on
    its n gains and its bias alone: only there are differences taken. (4.25)
    """
    W = model.W.astype(np.float64)                                      # (..., m, n)
    *lead, m, n = W.shape
    P = (m + 1) * n
    memory("the Hessian", 16 * math.prod(lead) * (P * P + n * (n + 1) * P))
    A, D = output_hessians(model, features, difference, rtol)
    J, every = np.zeros((*lead, n, n + 1, m + 1, n)), np.arange(n)      # gains and bias by W and b
    J[..., every, :n, :m, every] = transpose(W)
    J[..., every, :m, every] += transpose(W)
    J[..., every, n, m, every] = 1
    J = J.reshape(*lead, n, n + 1, P)
    AJ = (A @ J).reshape(*lead, -1, P)
    H = transpose(J.reshape(AJ.shape)) @ AJ
    rows = np.arange(m)
    H.reshape(*lead, m + 1, n, m + 1, n)[..., rows, :, rows, :] += D + transpose(D)
    if penalty:
        along = np.eye(m * n).reshape(-1, m, n)
        bent = penalty.hessian_product(W[..., None, :, :], along)
        H[..., :m * n, :m * n] += bent.reshape(*lead, m * n, m * n)
    return (H + transpose(H)) / 2


def output_hessians(model, features, difference, rtol):
    """The second derivatives of the loss by each output's gains and bias, (..., n, n + 1, n + 1),
    and dL/dG, (..., n, n): central differences of exact slopes to `rtol`.
    """
    check_known(model, features)
    W, b = (a.astype(np.float64) for a in model.parameters)
    *lead, _, n = W.shape
    shifts = difference * np.concatenate([np.eye(n + 1), -np.eye(n + 1), np.zeros((1, n + 1))])
    G = (transpose(W) @ W)[..., None, :, :] + shifts[:, None, :n]       # (..., 2n + 3, n, n)
    b = b[..., None, :] + shifts[:, n:]
    law = features
    if features.n_instances is not None:
        law = select(features, np.repeat(np.arange(features.n_instances), len(shifts)))
    with one_blas_thread():
        _, db, dG = to_rtol(loss_of_gains, type(model), law, G.reshape(-1, n, n),
                            b.reshape(-1, n), rtol=rtol)
    slopes = np.concatenate([dG, db[..., None]], -1).reshape(*lead, -1, n, n + 1)
    A = (slopes[..., :n + 1, :, :] - slopes[..., n + 1:-1, :, :]) / (2 * difference)
    A = A.swapaxes(-3, -2)                                              # (..., n, n + 1, n + 1)
    return (A + transpose(A)) / 2, slopes[..., -1, :, :n]


def inverse_hessian(model, features, held=None, penalty=NONE):
    """The inverse (..., P, P) of the Hessian for a descent to begin with: all curvatures positive,
    and at least STIFF of the largest; 0 for the parameters that are `held` (..., P).
    """
    values, vectors = np.linalg.eigh(hessian(model, features, penalty=penalty, rtol=CURVED))
    size = np.maximum(abs(values), STIFF * abs(values).max(-1, keepdims=True))
    size[size == 0] = 1
    inverse = (vectors / size[..., None, :]) @ transpose(vectors)
    if held is None:
        return inverse
    return inverse * ~held[..., :, None] * ~held[..., None, :]


def extreme_eigenvalues(model, features, penalty=NONE):
    """The lowest and the highest eigenvalue of the Hessian (2,), by Lanczos' method; none, (0,),
    where it does not find both.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
    theta, R = pack(model), rotations(model)
    P, found = len(theta), []

    def product(v):
        v = v.ravel() - R @ (R.T @ v.ravel())                           # rotations are flat
        step = DIFFERENCE * np.array([[1.0], [-1.0]]) * v
        _, g = evaluate(model[None], theta + step, features, penalty)
        return (g[0] - g[1]) / (2 * DIFFERENCE)

    operator = LinearOperator((P, P), matvec=product, dtype=float)
    start = np.random.default_rng(0).normal(size=P)
    if not product(start).any():                                        # where nothing matters
        return np.zeros(2)
    for which in ("LA", "SA"):
        try:
            value = eigsh(operator, 1, which=which, v0=start, ncv=PRODUCTS // 2, maxiter=4,
                          tol=1e-3, return_eigenvectors=False)
        except ArpackNoConvergence as error:
            value = error.eigenvalues
        if len(value):
            found.append(value[0])
    return np.sort(found) if len(found) == 2 else np.zeros(0)


def kinks(model, features, step=1e-6):
    """The outputs whose slope by their bias bends where they are: the second derivatives to the
    left and to the right differ. There z_i is exactly 0 with positive probability.
    """
    theta, m, n = pack(model), model.n_hidden, model.n_features
    at_zero = np.flatnonzero(abs(model.b) < step)
    if type(model) is not ReluOutput or not len(at_zero):
        return ()
    shift = np.zeros((2 * len(at_zero) + 1, len(theta)))
    for k, i in enumerate(at_zero):
        shift[2 * k + 1, m * n + i], shift[2 * k + 2, m * n + i] = 3 * step, -3 * step
    _, g = evaluate(model[None], theta + shift, features)
    bends = []
    for k, i in enumerate(at_zero):
        right, left = (g[2 * k + 1] - g[0])[m * n + i], (g[0] - g[2 * k + 2])[m * n + i]
        if abs(right - left) > KINK * max(abs(right), abs(left)):
            bends.append(int(i))
    return tuple(bends)


def rotations(model):
    """Orthonormal directions (P, s) in which a rotation of the hidden space moves W (m, n): those
    of A W, A = -A'.
    """
    m, P = model.n_hidden, model.W.size + model.b.size
    moves = []
    for i in range(m):
        for j in range(i):
            A = np.zeros((m, m))
            A[i, j], A[j, i] = 1, -1
            moves.append(np.append((A @ model.W).ravel(), np.zeros(model.b.size)))
    if not moves or not model.W.any():
        return np.zeros((P, 0))
    U, size, _ = np.linalg.svd(np.array(moves).T, full_matrices=False)
    return U[:, size > FLAT * np.linalg.norm(model.W)]


def newton(model, features, *, steps=10, enough=ROUNDING, penalty=NONE, rtol=RTOL):
    """Newton steps on one model or a stack, each kept if the gradient shrinks; flat directions are
    left alone. A Hessian, worked out to `rtol`, serves as long as each step takes nine tenths of
    the gradient away.

    Returns (model, loss, gradient norm), floats where the model is single.
    """
    theta = np.atleast_2d(pack(model))
    f, g = evaluate(model, theta, features, penalty)
    norm, difference = np.linalg.norm(g, axis=1), DIFFERENCE
    inverse, due = np.zeros((*theta.shape, theta.shape[1])), np.ones(len(theta), bool)
    for _ in range(steps):
        k = np.flatnonzero(norm > enough)
        if not len(k):
            break
        if len(now := k[due[k]]):
            H = hessian(unpack(model, theta[now]), select(features, now), difference,
                        penalty=penalty, rtol=rtol)
            inverse[now] = np.linalg.pinv(H, rcond=FLAT, hermitian=True)
        step = np.einsum("kij,kj->ki", inverse[k], g[k])
        trial, new_f, new_g, new_norm = _after(model, theta[k], step, norm[k],
                                               select(features, k), penalty)
        better, slow = new_norm < norm[k], new_norm > norm[k] / 10
        if (slow & due[k]).any():                       # a kink is near: look at one side of it
            difference = max(difference / 100, 1e-9)
        due[k] = slow
        k = k[better]
        theta[k], norm[k] = trial[better], new_norm[better]
        f[k], g[k] = new_f[better], new_g[better]
        if not better.any() and difference <= 1e-9:
            break
    if model.instances == ():
        return unpack(model, theta[0]), float(f[0]), float(norm[0])
    return unpack(model, theta), f, norm


def _after(model, theta, step, norm, features, penalty):
    """Where the steps (K, P) from theta lead, with the loss, the gradient and its norm. Where that
    is not below `norm` (K,), a kink may lie in between, and the best of shorter steps is taken.
    """
    def at(theta, features):
        f, g = evaluate(model, theta, features, penalty)
        return [theta, f, g, np.linalg.norm(g, axis=1)]

    result = at(theta - step, features)
    for i in np.flatnonzero(result[-1] >= norm):
        shorter = at(theta[i] - SHORTER[:, None] * step[i], select(features, [i] * len(SHORTER)))
        for all_of, x in zip(result, shorter):
            all_of[i] = x[shorter[-1].argmin()]
    return result
