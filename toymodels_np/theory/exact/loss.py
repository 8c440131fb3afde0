"""The population loss of a model over its features, exactly, and its gradient.

    W   (..., m, n)  column i is feature i's direction      z   what output i's ReLU sees,
    b   (..., n)     output bias                                sum_j G_ij x_j + b_i
    G   W'W, the gains: row i belongs to output i           y   the target, x_i (|x_i| if signed)
    I   importance                                          l   E[z_+^2 - 2 y z_+]
                                                            L   sum_i I_i (E[y_i^2] + l_i)  (4.1)

Leading axes are instances. Every output of every instance is one row of work: few features are
enumerated (`corners.py`); of many the few large gains are, and the rest is summed as a series
(`rows.py`); `estimate_loss` samples (`estimate.py`). Equations (4.k) are in
derivations/04-exact-loss.md.
"""

import numpy as np

from ...core import checks
from ...core.arrays import to_host, transpose
from ...core.models import Linear, ReluOutput
from ...known import stranger
from ...machine import one_blas_thread, reuse_pages
from ..estimate import check_pair, estimate_loss
from .corners import enumerate_rows, work
from .law import Law
from .rows import sum_rows

FEW = 10_000            # enumerate while that takes at most this many values a row: 9 features
AFFORDABLE = 10**6      # what did not converge is enumerated if it takes at most this many
WORK = 2**16            # values or gains that are worked on at once
TOO_LARGE = "the loss is too large for float64: W or b is too large"
RAREST = 1e-200         # feature probability from which all that is added up fits into float64
FLOOR = 1e-2            # rtol is relative to the loss, or this part of that of outputs 0

__all__ = ["expected_loss", "expected_loss_and_grad", "estimate_loss"]


def expected_loss(model, features, *, rtol=1e-10):
    """The population loss L = E sum_i I_i (y_i - x'_i)^2, float64 of shape (...). (4.1)

    Parameters
    ----------
    model : Linear or ReluOutput of any dtype; its instances broadcast with those of the features
    features : Features
    rtol : the error allowed, in (0, 1), relative to the loss, or to 1e-2 of what always answering
        0 would lose if that is more. An estimate of the error, rounding included, is compared with
        it: the estimate must hold.

    Raises ArithmeticError where rtol cannot be reached or the loss overflows, TypeError or
    ValueError on bad arguments. Models with a ReLU hidden layer have no such formula, and neither
    have classes of your own: use `estimate_loss`.
    """
    return _solve(model, features, rtol, with_grad=False)[0]


def expected_loss_and_grad(model, features, *, rtol=1e-10):
    """`expected_loss`, and its gradient: a float64 model of the same class with the loss's
    instances.

    Where z is exactly 0 with positive probability (b_i = 0 with no gain at work) the loss may have
    a kink; there ReLU'(0) = 0, as in training. The gradient may have about 1e3 rtol of relative
    error. Arguments and errors as in `expected_loss`.
    """
    return _solve(model, features, rtol, with_grad=True)


def check_known(model, features):
    """A model and features whose loss is known exactly, else TypeError."""
    if why := stranger(model, features):
        raise TypeError(f"the exact loss knows the package's own models and features, and {why}: "
                        f"use tm.estimate_loss for it")
    cls = model if isinstance(model, type) else type(model)
    if cls not in (Linear, ReluOutput):
        raise TypeError(f"the exact loss is for a linear hidden layer (Linear, ReluOutput), "
                        f"got {cls.__name__}: use tm.estimate_loss for it")


def _solve(model, features, rtol, with_grad):
    """L (...) and its gradient, or None in its place."""
    lead = check_pair(model, features)
    rtol = checks.real("rtol", rtol, above=0)
    if rtol >= 1:
        raise ValueError(f"rtol must be below 1, got {rtol}")
    check_known(model, features)
    W, b = (to_host(a).astype(np.float64) for a in model.parameters)
    W = np.broadcast_to(W, lead + W.shape[-2:])
    loss, *slopes = loss_and_slopes(type(model), features, W, b, rtol, with_grad)
    return loss, model.from_parameters(slopes) if with_grad else None


def loss_and_slopes(kind, features, W, b, rtol, with_grad=True):
    """[L (...), dL/dW (..., m, n), dL/db (..., n)], or [L] without `with_grad`, of models of class
    `kind` that are known and fit: the loss without its checks, for those who ask again and again.
    """
    # Products are small here: a second thread would only be waited for.
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        loss, *slopes = loss_of_gains(kind, features, transpose(W) @ W, b, rtol, with_grad)
        if not with_grad:
            return [loss]
        db, dG = slopes
        dW = W @ (dG + transpose(dG))                                                       # (4.3)
    if not np.isfinite(dW).all():
        raise OverflowError(TOO_LARGE)
    return [loss, dW, db]


def loss_of_gains(kind, features, G, b, rtol, with_grad=True):
    """[L (...), dL/db (..., n), dL/dG (..., n, n)], or [L] without `with_grad`, of models of class
    `kind` with any gains G (..., n, n), whose row i is output i's alone. (4.1), (4.3)
    """
    if not np.isfinite(G).all():
        raise OverflowError(TOO_LARGE)
    lead, n = G.shape[:-2], G.shape[-1]

    def flat(a, *axes):
        return (a if a.shape == lead + axes else np.broadcast_to(a, lead + axes)).reshape(-1, *axes)

    G, b, importance = flat(G, n, n), flat(b, n), flat(features.importance, n)
    reuse_pages()
    method = _linear if issubclass(kind, Linear) else _relu
    share, *slopes, error = method(features, flat, b, G, rtol, with_grad)
    loss, error = (importance * share).sum(-1), (importance * error).sum(-1)        # (K,)  (4.1)
    result = [loss]
    if with_grad:
        result += [importance * slopes[0], importance[..., None] * slopes[1]]
    if not all(np.isfinite(a).all() for a in (error, *result)):
        raise OverflowError(TOO_LARGE)
    blank = (importance * flat(features.active_probability / 3, n)).sum(-1)
    missed = np.flatnonzero(error > rtol * np.maximum(loss, FLOOR * blank))
    if len(missed):
        k = missed[0]
        raise ArithmeticError(f"the loss of instance {k} is {loss[k]:.6g} with an estimated error "
                              f"of {error[k]:.1e}, more than rtol={rtol:g} allows; try a larger "
                              f"rtol")
    return [a.reshape(lead + a.shape[1:])[()] for a in result]


def _linear(features, flat, b, G, rtol, with_grad):
    """E (y - z)^2 (K, n), d/db (K, n), d/dG (K, n, n) and the error 0, from the first two moments
    of x. (4.2)
    """
    K, n = b.shape
    mean, q = flat(features.mean(), n), flat(features.active_probability, n)
    C = flat(features.second_moment(), n, n) - mean[:, :, None] * mean[:, None, :]  # Cov[x]
    target = 0.5 * q if features.signed else 0 * q          # the part of y that is no part of x
    R = -G if features.signed else np.eye(n) - G            # y - z = target + R x - b
    RC = R @ C
    rest = target - b + (R @ mean[..., None])[..., 0]       # (K, n)  E[y - z]
    share = (RC * R).sum(-1) + rest**2 + (q / 3 - target**2 if features.signed else 0)
    return share, -2 * rest, -2 * (RC + rest[..., None] * mean[:, None, :]), 0 * share


def _relu(features, flat, b, G, rtol, with_grad):
    """E (y - z_+)^2 (K, n), d/db (K, n), d/dG (K, n, n) and the estimated error (K, n): one row an
    output. (4.4)
    """
    K, n = b.shape
    q, chance = flat(features.active_probability, n).ravel(), flat(features.feature_probability, n)
    if chance.min() < RAREST:
        raise ValueError(f"feature_probability must be at least {RAREST:g} for the exact loss to "
                         f"keep its digits, got {chance.min():g}")
    g, b = np.ascontiguousarray(G.reshape(K * n, n).T), b.reshape(-1)   # (n, N), (N,) as q is
    instance, own = np.divmod(np.arange(K * n), n)
    l, db, error = np.empty(K * n), np.empty(K * n), np.empty(K * n)
    dg = np.empty((K * n, n) if with_grad else 0)

    def solve(r, law):
        """Fill in the rows r by the series or, if `law` is None, by enumeration."""
        sets = features.sets if law is None else law.sets
        p = chance.T[[s.members[0] for s in sets]][:, instance[r]]      # (J, rows)
        row = (p, b[r], g[:, r], own[r])
        if law is None:
            parts, error[r] = enumerate_rows(sets, features.signed, *row, with_grad)
        else:
            parts, error[r] = sum_rows(law, *row, rtol, with_grad)
        l[r] = parts[0]
        if with_grad:
            db[r], dg[r] = parts[1], parts[2].T

    size = work(features.sets, features.signed)
    law = None if size <= FEW else Law(features.sets, features.signed)
    for r in _chunks(K * n, n if law else size):
        solve(r, law)
    if law and size <= AFFORDABLE:
        missed = np.flatnonzero(error > rtol * np.maximum(q / 3 + l, FLOOR * q / 3))
        for r in _chunks(len(missed), size):
            solve(missed[r], None)
    return (q / 3 + l).reshape(K, n), db.reshape(K, n), dg.reshape(K, n, -1), error.reshape(K, n)


def _chunks(count, size):
    """Slices of so many rows, each of at most WORK values, `size` a row, or of one row."""
    step = max(1, int(WORK / size))
    return [slice(i, i + step) for i in range(0, count, step)]
