"""The population loss of a model over its features, exactly, and its gradient.

    W   (..., m, n)  column i is feature i's direction      z   what output i's ReLU sees, sum_j G_ij x_j + b_i
    b   (..., n)     output bias                            y   the target, x_i (or |x_i| if the features are signed)
    G   W'W, the gains: row i belongs to output i           l   E[z_+^2 - 2 y z_+], output i's share of the loss
    I   importance                                          L   sum_i I_i (E[y_i^2] + l_i)                (4.1)

Leading axes are instances. Every output of every instance is one row of work: few features are enumerated
(`corners.py`), more are summed as a series (`series.py`); `estimate_loss` samples (`estimate.py`). Equations (4.k) are
in derivations/04-exact-loss.md.
"""

import numpy as np

from ...core import checks
from ...core.arrays import to_host, transpose
from ...core.models import Linear, ReluOutput
from .corners import enumerate_rows, work
from ..estimate import check_pair, estimate_loss
from .series import Law, sum_rows

FEW = 10_000            # enumerate while that takes at most this many values a row: 9 features, 5 if signed
WORK = 2**16            # values or gains that are worked on at once
TOO_LARGE = "the loss is too large for float64: W or b is too large"
FLOOR = 1e-2            # rtol is relative to the loss, or to this part of the loss of outputs that are always 0


__all__ = ["expected_loss", "expected_loss_and_grad", "estimate_loss"]


def expected_loss(model, features, *, rtol=1e-10):
    """The population loss L = E sum_i I_i (y_i - x'_i)^2, float64 of shape (...). (4.1)

    Parameters
    ----------
    model : Linear or ReluOutput of any dtype; its instances broadcast with those of the features
    features : Features
    rtol : the error allowed, in (0, 1), relative to the loss, or to 1e-2 of what always answering 0 would lose if
        that is more. An estimate of the error, rounding included, is compared with it: the estimate must hold.

    Raises ArithmeticError where rtol cannot be reached or the loss overflows, TypeError or ValueError on bad arguments.
    Models with a ReLU hidden layer have no such formula: use `estimate_loss`.
    """
    return _solve(model, features, rtol, with_grad=False)[0]


def expected_loss_and_grad(model, features, *, rtol=1e-10):
    """`expected_loss`, and its gradient: a float64 model of the same class with the loss's instances.

    Where z is exactly 0 with positive probability (b_i = 0 with no gain at work) the loss may have a kink; there
    ReLU'(0) = 0, as in training. The gradient may have about 1e3 rtol of relative error. Arguments and errors as in
    `expected_loss`.
    """
    return _solve(model, features, rtol, with_grad=True)


def _solve(model, features, rtol, with_grad):
    """L (...) and its gradient, or None in its place."""
    lead = check_pair(model, features)
    rtol = checks.real("rtol", rtol, above=0)
    if rtol >= 1:
        raise ValueError(f"rtol must be below 1, got {rtol}")
    if not isinstance(model, (Linear, ReluOutput)):
        raise TypeError(f"the exact loss is for a linear hidden layer (Linear, ReluOutput), "
                        f"got {type(model).__name__}: use tm.estimate_loss for it")
    W, b = (to_host(a).astype(np.float64) for a in model.parameters)
    m, n = W.shape[-2:]

    def flat(a, *axes):
        return np.broadcast_to(a, lead + axes).reshape(-1, *axes)

    W, b, importance = flat(W, m, n), flat(b, n), flat(features.importance, n)      # (K, m, n), (K, n), (K, n)
    method = _linear if isinstance(model, Linear) else _relu
    with np.errstate(over="ignore", invalid="ignore"):
        G = transpose(W) @ W                                            # (K, n, n)
        if not np.isfinite(G).all():
            raise OverflowError(TOO_LARGE)
        share, db, dG, error = method(features, flat, b, G, rtol, with_grad)
        loss, error = (importance * share).sum(-1), (importance * error).sum(-1)    # (K,)          (4.1)
        gradient = []
        if with_grad:
            dG = importance[..., None] * dG                             # (K, n, n)
            gradient = [W @ (dG + transpose(dG)), importance * db]      # (K, m, n), (K, n)         (4.3)
    if not all(np.isfinite(a).all() for a in (loss, error, *gradient)):
        raise OverflowError(TOO_LARGE)
    blank = (importance * flat(features.active_probability / 3, n)).sum(-1)
    missed = np.flatnonzero(error > rtol * np.maximum(loss, FLOOR * blank))
    if len(missed):
        k = missed[0]
        raise ArithmeticError(f"the loss of instance {k} is {loss[k]:.6g} with an estimated error of {error[k]:.1e}, "
                              f"more than rtol={rtol:g} allows; try a larger rtol")
    loss = loss.reshape(lead)[()]
    return loss, model.from_parameters([a.reshape(lead + a.shape[1:]) for a in gradient]) if with_grad else None


def _linear(features, flat, b, G, rtol, with_grad):
    """E (y - z)^2 (K, n), d/db (K, n), d/dG (K, n, n) and the error 0, from the first two moments of x. (4.2)"""
    K, n = b.shape
    mean, q = flat(features.mean(), n), flat(features.active_probability, n)
    C = flat(features.second_moment(), n, n) - mean[:, :, None] * mean[:, None, :]              # (K, n, n)  Cov[x]
    target = 0.5 * q if features.signed else 0 * q                      # the part of y that is no part of x: |x|
    R = -G if features.signed else np.eye(n) - G                        # y - z = target + R x - b
    RC = R @ C
    rest = target - b + (R @ mean[..., None])[..., 0]                   # (K, n)  E[y - z]
    share = (RC * R).sum(-1) + rest**2 + (q / 3 - target**2 if features.signed else 0)
    return share, -2 * rest, -2 * (RC + rest[..., None] * mean[:, None, :]), 0 * share


def _relu(features, flat, b, G, rtol, with_grad):
    """E (y - z_+)^2 (K, n), d/db (K, n), d/dG (K, n, n) and the estimated error (K, n): one row an output. (4.4)"""
    K, n = b.shape
    q = flat(features.active_probability, n)
    size = work(features.sets, features.signed)
    law = Law(features.sets, features.signed) if size > FEW else None
    first = [s.members[0] for s in (features.sets if law is None else law.sets)]
    p = np.repeat(flat(features.feature_probability, n)[:, first].T, n, axis=1)                 # (J, N)
    g, b = np.moveaxis(G, -1, 0).reshape(n, K * n), b.reshape(-1)       # (n, N), (N,)
    own = np.tile(np.arange(n), K)                                      # (N,)
    l, db, error = np.empty(K * n), np.empty(K * n), np.empty(K * n)
    dg = np.empty((K * n, n) if with_grad else 0)
    step = max(1, min(int(WORK / (n if law else size)), K * n))
    for r in (slice(i, i + step) for i in range(0, K * n, step)):
        row = (p[:, r], b[r], g[:, r], own[r])
        parts, error[r] = sum_rows(law, *row, rtol, with_grad) if law else \
            enumerate_rows(features.sets, features.signed, *row, with_grad)
        l[r] = parts[0]
        if with_grad:
            db[r], dg[r] = parts[1], parts[2].T
    share = q / 3 + l.reshape(K, n)                                     # E[y^2] + l
    return share, db.reshape(K, n), dg.reshape(K, n, -1), error.reshape(K, n)
