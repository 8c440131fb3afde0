"""Is this gradient right? Central differences of the loss along one direction, in float64."""

import numpy as np

from . import checks
from .models import check_sizes
from .streams import CHECK_STREAM, random_stream

STEPS = (1e-4, 1e-5, 1e-6, 1e-7)                # long steps meet kinks, short ones meet rounding
NEARBY, FAINT = 1e-1, 1e-4      # of the loss so far along v: smaller slopes drown in its rounding


def check_gradient(model, x, features, *, seed=0):
    """The relative error of `model.loss_and_grad` on x (..., B, n): a float, the worst instance's.

    The direction v is the sum of two unit vectors: that of the claimed gradient g and a random one
    that sees every component, turned so that v·g >= |g|. A five-point stencil takes the derivative
    along v, exact for the quartic that the four models' loss is between kinks (2.14), at four step
    lengths; the best counts. It is relative to the slope, or to FAINT of the loss NEARBY if that is
    more, as at a minimum. A right gradient comes out below 1e-7 unless an activation is within
    about 1e-7 of its kink; a wrong one is wrong at every step length.
    """
    rng = random_stream(checks.seed(seed), CHECK_STREAM, 0)
    check_sizes(model, features)
    model, x = model.astype(np.float64), checks.array("x", x, dtype=np.float64)
    loss, gradient = model.loss_and_grad(x, features)
    g, lead = gradient.parameters, np.shape(loss)
    noise = [rng.standard_normal(a.shape) for a in g]
    v = [a / _norm(noise, lead, g, a) + b / _norm(g, lead, g, b) for a, b in zip(noise, g)]
    claimed = _dot(v, g, lead)

    def loss_at(t):
        moved = [a + t * d for a, d in zip(model.parameters, v)]
        return model.with_parameters(moved).loss(x, features)

    best, faint = np.full(lead, np.inf), FAINT * abs(loss_at(NEARBY))
    for t in STEPS:
        near, far = loss_at(t) - loss_at(-t), loss_at(2 * t) - loss_at(-2 * t)
        measured = (8 * near - far) / (12 * t)                                              # (2.14)
        size = np.maximum(np.maximum(abs(measured), abs(claimed)), faint)
        best = np.minimum(best, abs(measured - claimed) / np.where(size > 0, size, 1))
    return float(best.max())


def _dot(a, b, lead):
    """Σ over the parameters of one instance of a·b, shape `lead`."""
    return sum((p * q).reshape(*lead, -1).sum(-1) for p, q in zip(a, b))


def _norm(a, lead, g, part):
    """The norm of each instance's parameters, negative where a·g is, with axes to divide `part`."""
    norm = np.sqrt(_dot(a, a, lead)) * np.where(_dot(a, g, lead) < 0, -1, 1)
    return np.where(norm != 0, norm, 1).reshape(lead + (1,) * (part.ndim - len(lead)))
