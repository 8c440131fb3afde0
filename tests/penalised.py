"""Penalties pair by pair, and minima with them by SciPy alone: the twin of the package's search."""

import numpy as np
from scipy.optimize import minimize

from toymodels_np import energies


def naive(W, interference, weight_decay):
    """The penalty of W (..., m, n), pair by pair. (14.1)"""
    n, total = W.shape[-1], weight_decay * (W**2).sum((-2, -1))
    for i in range(n):
        for j in range(n):
            if i != j:
                total += interference * (W[..., i] * W[..., j]).sum(-1) ** 2
    return total


def lowest_loss(features, m, lam, mu, starts=6):
    """The lowest loss by SciPy's BFGS on closed forms, without any of the package's gradients."""
    n, best = features.n_features, np.inf
    p, importance = features.feature_probability, features.importance

    def losses(x):
        W, b = x[:, :m * n].reshape(-1, m, n), x[:, m * n:]
        return energies.enumerated_loss(W, b, p, importance) + naive(W, lam, mu)

    def loss(x):
        step = 1e-6 * np.eye(len(x))
        value, *around = losses(np.vstack([x, x + step, x - step]))
        return value, np.subtract(*np.split(np.array(around), 2)) / 2e-6

    rng = np.random.default_rng(5)
    ends = []
    for _ in range(starts):
        start = np.append(rng.normal(scale=m**-0.5, size=m * n), features.mean())
        ends.append(minimize(loss, start, method="BFGS", jac=True,
                             options={"maxiter": 60}))
    for end in sorted(ends, key=lambda x: x.fun)[:2]:
        options = {"gtol": 1e-9}
        best = min(best, minimize(loss, end.x, method="BFGS", jac=True, options=options).fun)
    return best
