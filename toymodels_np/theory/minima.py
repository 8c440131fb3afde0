"""True minima of the exact loss: many starts, descent, a Newton polish, and the certificate of what was found.

    theta (K, P)  all parameters of an instance in a row       H  the Hessian, (P, P)       B  its inverse, estimated
    f (K,)  loss      g (K, P)  gradient      d (K, P)  direction      s, y  the changes of theta and g in a step

The exact loss of a stack of models costs hardly more than that of one, so all starts descend together: a BFGS whose
every array has an axis of starts, for which there is no library (scipy's takes one point at a time).
"""

from dataclasses import dataclass

import numpy as np

from ..core import checks
from ..core.features import Features
from ..core.models import Linear, Model, ReluOutput, random_stream
from ..geometry.measures import gram
from ..geometry.tegum import name_geometry
from .exact.loss import expected_loss, expected_loss_and_grad

GRADIENT = 1e-8             # a gradient norm up to this counts as zero: converged
FLAT = 1e-6                 # Hessian eigenvalues up to this fraction of the largest count as zero
SEARCH_STREAM = 2           # the spawn key of random starts
RTOL = 1e-9                 # of the exact loss: ten times what rounding makes of a loss near zero
LOOSE = 1e-5                # what will do on the way: more features than nine, some of them vanishing
STALLED = 1e-14             # a step that lowers the loss by less than this fraction does not count
HALVINGS = 20               # of a step, before the direction is given up
ROUNDING = 1e-13            # a gradient norm that Newton's method leaves alone
DIFFERENCE = 1e-5           # step of the Hessian's differences


class NotConverged(ArithmeticError):
    """The search ended at a point where the gradient is not zero, such as a kink of the loss."""


@dataclass(frozen=True)
class Minimum:
    """The lowest point that was found, and what certifies it.

    model : the solution, float64         loss, gradient_norm : the exact loss and its gradient's norm there
    hessian_eigenvalues : (P,) ascending  start_losses : (starts,) where each start ended, ascending
    geometry : its name                   symmetry_directions : flat directions that rotations explain
    unit : the power of 2 next to the largest importance, in which small gradients are small
    """

    model: Model
    loss: float
    gradient_norm: float
    hessian_eigenvalues: np.ndarray
    start_losses: np.ndarray
    geometry: str
    symmetry_directions: int
    unit: float = 1.0

    @property
    def hessian_rank(self):
        """How many eigenvalues of the Hessian are not zero, to FLAT of the largest."""
        size = abs(self.hessian_eigenvalues)
        return int((size > FLAT * size.max()).sum())

    @property
    def is_local_minimum(self):
        """True if no direction goes down to second order: the gradient is zero and no eigenvalue is negative."""
        lowest, highest = self.hessian_eigenvalues[[0, -1]]
        return bool(self.gradient_norm <= GRADIENT * self.unit and lowest >= -FLAT * highest)

    @property
    def learning_coefficient(self):
        """Half the rank of the Hessian: the local learning coefficient where the minimum is non-degenerate, that is
        flat along rotations only. Anywhere else ArithmeticError. Source: Chen et al. 2023, arXiv 2310.06301."""
        flat = len(self.hessian_eigenvalues) - self.hessian_rank
        if not self.is_local_minimum or flat != self.symmetry_directions:
            raise ArithmeticError(f"the learning coefficient is half the Hessian's rank only at a minimum that is flat "
                                  f"along rotations alone; here {flat} directions are flat and rotations explain "
                                  f"{self.symmetry_directions}, lowest eigenvalue {self.hessian_eigenvalues[0]:.2e}")
        return self.hessian_rank / 2


def find_minimum(features, n_hidden, *, model=ReluOutput, starts=32, seed=0, initial=None):
    """The lowest minimum of the exact expected loss that `starts` random starts, or the given ones, lead to.

    Parameters
    ----------
    features : Features without an instance axis
    n_hidden : int
    model : ReluOutput or Linear, the class
    starts : int; W from N(0, 1/m) and b = E[x]        seed : int
    initial : a model whose instances are the starts, instead of random ones

    Returns a Minimum. Raises NotConverged (an ArithmeticError) where the lowest point has a gradient above 1e-8
    (for a largest importance of 1), ValueError or TypeError on bad arguments.
    """
    stack = _starts(features, n_hidden, model, starts, seed, initial)
    highest = features.importance.max()
    unit = 2.0 ** np.round(np.log2(highest)) if highest else 1.0    # a power of 2, so that no digit changes
    features = Features(features.n_features, features.feature_probability, features.importance / unit,
                        signed=features.signed, correlated=features.correlated, anticorrelated=features.anticorrelated)
    points, losses = settle(stack, features)
    best, loss, norm = polish(points[int(losses.argmin())], features)
    for _ in range(5):                                              # leave a saddle along its steepest way down
        values, vectors = np.linalg.eigh(hessian(best, features))
        if values[0] >= -FLAT * values[-1]:
            break
        theta = pack(best) + 1e-2 * np.array([[1.0], [-1.0]]) * vectors[:, 0]
        points, lower, _ = descend(unpack(best, theta), features)
        if lower.min() >= loss:                                     # a kink looks like a saddle
            break
        best, loss, norm = polish(points[int(lower.argmin())], features)
    else:
        values = np.linalg.eigvalsh(hessian(best, features))
    loss = float(expected_loss(best, features, rtol=RTOL))          # or an error: nothing doubtful is certified
    if norm > GRADIENT:
        raise NotConverged(f"the lowest of {len(losses)} starts ended with loss {loss * unit:.8g} and a gradient of norm "
                           f"{norm * unit:.1e}, above {GRADIENT * unit:g}: the loss has a kink there, or more starts are "
                           f"needed")
    return Minimum(best, loss * unit, norm * unit, values * unit, np.sort(losses) * unit, name_geometry(best.W),
                   rotations(best).shape[1], unit)


def settle(model, features, *, tolerance=1e-7):
    """`descend`, and once more from where dead outputs were revived: (model, loss (K,))."""
    model, loss, _ = descend(model, features, tolerance=tolerance)
    model, changed = revive(model, features)
    if changed.any():
        model, loss, _ = descend(model, features, tolerance=tolerance)
    return model, loss


def hessian(model, features, difference=DIFFERENCE):
    """The Hessian (..., P, P) of the exact loss in the order W, b: central differences of the exact gradient."""
    theta = pack(model)                                            # (..., P)
    P = theta.shape[-1]
    shifts = difference * np.concatenate([np.eye(P), -np.eye(P)])   # (2P, P)
    lead = theta.shape[:-1]
    around = (theta[..., None, :] + shifts).reshape(-1, P)
    _, g = evaluate(model, around, _repeat(features, 2 * P))
    g = g.reshape(*lead, 2, P, P)
    H = (g[..., 0, :, :] - g[..., 1, :, :]) / (2 * difference)
    return (H + H.swapaxes(-1, -2)) / 2


def rotations(model):
    """Orthonormal directions (P, s) in which a rotation of the hidden space moves W (m, n): those of A W, A = -A'."""
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


def descend(model, features, *, tolerance=1e-7, most_steps=2000):
    """Every instance of `model` (K, …) down to a gradient norm of `tolerance`, or to where the loss stops falling.

    The tolerance is in units of what an empty model loses, Σ_i I_i E[y_i^2], where that is below 1. Features have no
    instance axis or one row an instance. Returns (model, loss (K,), gradient norm (K,)).
    """
    theta = pack(model)
    K, P = theta.shape
    blank = np.broadcast_to((features.importance * features.active_probability).sum(-1) / 3, K)
    tolerance = tolerance * np.where(blank > 0, np.minimum(blank, 1), 1)                            # (K,)
    f, g = evaluate(model, theta, features)
    B = np.broadcast_to(np.eye(P), (K, P, P)).copy()
    fresh = np.ones(K, bool)                                        # B says nothing yet about the scale
    live = np.linalg.norm(g, axis=1) > tolerance
    for _ in range(most_steps):
        k = np.flatnonzero(live)
        if not len(k):
            break
        norm = np.linalg.norm(g[k], axis=1, keepdims=True)
        d = -np.einsum("kij,kj->ki", B[k], g[k])
        slope = (d * g[k]).sum(1)
        uphill = fresh[k] | (slope > -1e-10 * norm[:, 0] * np.linalg.norm(d, axis=1))
        d = np.where(uphill[:, None], -g[k] * (0.1 / norm), d)
        d *= np.minimum(1, 1 / np.linalg.norm(d, axis=1, keepdims=True))                # no leap beyond 1
        B[k[uphill]] = np.eye(P)
        slope = (d * g[k]).sum(1)
        new_theta, new_f, new_g, moved = _search(model, features, k, theta[k], f[k], g[k], d, slope)
        s, y = new_theta - theta[k], new_g - g[k]
        moved &= f[k] - new_f > STALLED * abs(new_f)
        theta[k], f[k], g[k] = new_theta, new_f, new_g
        live[k] = (np.linalg.norm(new_g, axis=1) > tolerance[k]) & (moved | ~uphill)
        fresh[k] = ~moved                                           # once more along the gradient, then give up
        _update(B, k, s, y, moved, uphill)
    return unpack(model, theta), f, np.linalg.norm(g, axis=1)


def revive(model, features):
    """Give every output of the stack `model` that no input can switch on its best constant E[y_i], and no direction.

    A dead ReLU has no gradient, so descent cannot find this improvement on its own; only outputs whose whole model gets
    better change. Returns (model, changed (K,)).
    """
    reach = gram(model.W)
    top = model.b + (abs(reach) if features.signed else np.maximum(reach, 0)).sum(-1)           # (K, n) the largest z
    dead = top <= 0
    if not dead.any():
        return model, dead.any(-1)
    best = features.active_probability / 2                          # E[y_i]
    other = type(model)(np.where(dead[:, None, :], 0, model.W), np.where(dead, best, model.b))
    changed = dead.any(-1) & (expected_loss(other, features, rtol=RTOL) < expected_loss(model, features, rtol=RTOL))
    keep = changed[:, None]
    return type(model)(np.where(keep[..., None], other.W, model.W), np.where(keep, other.b, model.b)), changed


def _search(model, features, k, theta, f, g, d, slope):
    """Halve the step from 1 until the loss falls by a ten-thousandth of what the slope promises."""
    new_theta, new_f, new_g = theta.copy(), f.copy(), g.copy()
    waiting, t = np.arange(len(k)), 1.0
    for _ in range(HALVINGS):
        trial = theta[waiting] + t * d[waiting]
        trial_f, trial_g = evaluate(model, trial, _select(features, k[waiting]))
        good = trial_f <= f[waiting] + 1e-4 * t * slope[waiting] + 1e-15 * abs(f[waiting])
        done = waiting[good]
        new_theta[done], new_f[done], new_g[done] = trial[good], trial_f[good], trial_g[good]
        waiting, t = waiting[~good], t / 2
        if not len(waiting):
            break
    moved = np.ones(len(k), bool)
    moved[waiting] = False
    return new_theta, new_f, new_g, moved


def _update(B, k, s, y, moved, fresh):
    """The BFGS update of B[k]; a first step also sets the scale. Steps along which the slope does not rise are skipped."""
    sy = (s * y).sum(1)
    use = moved & (sy > 1e-12 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1))
    k, s, y, sy, fresh = k[use], s[use], y[use], sy[use], fresh[use]
    P = s.shape[1]
    scale = np.where(fresh, sy / np.maximum((y * y).sum(1), 1e-300), 1)
    left = np.eye(P) - s[:, :, None] * y[:, None, :] / sy[:, None, None]
    B[k] = left @ (B[k] * scale[:, None, None]) @ left.swapaxes(1, 2) + s[:, :, None] * s[:, None, :] / sy[:, None, None]


def polish(model, features, *, steps=10):
    """Newton steps on one model or a stack, each kept if the gradient shrinks; flat directions are left alone.

    Returns (model, loss, gradient norm), floats where the model is single.
    """
    theta = np.atleast_2d(pack(model))
    f, g = evaluate(model, theta, features)
    norm, difference = np.linalg.norm(g, axis=1), DIFFERENCE
    for _ in range(steps):
        k = np.flatnonzero(norm > ROUNDING)
        if not len(k):
            break
        some = _select(features, k)
        H = hessian(unpack(model, theta[k]), some, difference)
        trial = theta[k] - np.einsum("kij,kj->ki", np.linalg.pinv(H, rcond=FLAT, hermitian=True), g[k])
        new_f, new_g = evaluate(model, trial, some)
        new_norm = np.linalg.norm(new_g, axis=1)
        better = new_norm < norm[k]
        if (new_norm > norm[k] / 10).any():                         # a kink is near: look at one side of it only
            difference = max(difference / 100, 1e-9)
        k = k[better]
        theta[k], f[k], g[k], norm[k] = trial[better], new_f[better], new_g[better], new_norm[better]
    if model.instances == ():
        return unpack(model, theta[0]), float(f[0]), float(norm[0])
    return unpack(model, theta), f, norm


# -- parameters in a row, features for some of the instances ---------------------------------------------------------

def pack(model):
    """W and b of each instance in a row, (..., P) float64."""
    return np.concatenate([model.W.reshape(*model.instances, -1), model.b], axis=-1).astype(np.float64)


def unpack(model, theta):
    """Models of `model`'s class and size from rows theta (..., P)."""
    m, n = model.n_hidden, model.n_features
    return model.from_parameters([theta[..., :m * n].reshape(*theta.shape[:-1], m, n), theta[..., m * n:]])


def evaluate(model, theta, features):
    """Exact loss (K,) and gradient (K, P) at rows theta: to RTOL, or to LOOSE where a row on the way has no more digits."""
    try:
        loss, gradient = expected_loss_and_grad(unpack(model, theta), features, rtol=RTOL)
    except OverflowError:
        raise
    except ArithmeticError:
        loss, gradient = expected_loss_and_grad(unpack(model, theta), features, rtol=LOOSE)
    return np.array(loss), pack(gradient)


def _select(features, k):
    """The features of instances k."""
    return features if features.n_instances is None else _with(features, lambda a: a[k])


def _repeat(features, times):
    """Each instance's features `times` times in a row."""
    return features if features.n_instances is None else _with(features, lambda a: np.repeat(a, times, axis=0))


def _with(features, change):
    return Features(features.n_features, change(features.feature_probability), change(features.importance),
                    signed=features.signed, correlated=features.correlated, anticorrelated=features.anticorrelated)


def _starts(features, n_hidden, model, starts, seed, initial):
    """The checked stack of starting models."""
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    if features.n_instances is not None:
        raise ValueError(f"features must have no instance axis, got {features.n_instances} instances; take features[i]")
    m, n = checks.integer("n_hidden", n_hidden), features.n_features
    if model not in (ReluOutput, Linear):
        raise TypeError(f"model must be the class ReluOutput or Linear, whose loss is known exactly, got {model!r}")
    starts, seed = checks.integer("starts", starts), checks.seed(seed)
    if initial is None:
        W = np.stack([random_stream(seed, SEARCH_STREAM, i).normal(scale=m**-0.5, size=(m, n)) for i in range(starts)])
        return model(W, np.broadcast_to(features.mean(), (starts, n)))
    if type(initial) is not model or (initial.n_hidden, initial.n_features) != (m, n):
        raise ValueError(f"initial must be a {model.__name__} with n_features={n} and n_hidden={m}, got {initial!r}")
    return model(initial.W.reshape(-1, m, n).astype(np.float64), initial.b.reshape(-1, n).astype(np.float64))
