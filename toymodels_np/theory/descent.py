"""Down to a minimum of the exact loss: a quasi-Newton method for many starts at once.

    theta (K, P)  all parameters of an instance in a row       B  the inverse Hessian, estimated
    f (K,)  loss      g (K, P)  gradient      d (K, P)  direction      s, y  the changes of theta, g

The exact loss of a stack of models costs hardly more than that of one, so all starts descend
together: BFGS, or L-BFGS where B would be too large, whose every array has an axis of starts, for
which there is no library (SciPy's takes one point at a time). Far from a minimum a rough loss will
do, and some parameters may be held: those of features that have been dropped.
"""

from typing import NamedTuple

import numpy as np
import scipy

from ..geometry.measures import gram, norms
from ..machine import one_blas_thread
from ..penalties import NONE
from .exact.loss import check_known, expected_loss, loss_and_slopes

RTOL = 1e-9                 # of the exact loss: ten times what rounding makes of a loss near zero
ROUGH = 1e-5                # what will do on the way
STALLED = 1e-14             # a step that lowers the loss by less than this fraction does not count
WINDOW = 10                 # steps over which the fall of the loss is judged
HALVINGS = 20               # of a step, before the direction is given up,
AT_ONCE = 6                 # so many of them at once, as long as these are
CHEAP = 2**10               # corners in all: a call takes as long as so many do
DENSE = 2**25               # numbers in all estimates B; beyond, the last MEMORY steps are kept
MEMORY = 40
SMALL_LOSS = 1e-3           # of the blank model's: below, the tolerance shrinks with the loss,
LEAST = 1e-5                # down to this part of it
LEAST_WORTH = 1e-8          # features count as worth this part of the most valuable at least
SMALL_COLUMN = 0.3          # columns with a smaller norm are tried without


class Pace(NamedTuple):
    """When a descent ends: at this gradient norm, or once it falls by less than `gain` of the loss
    in WINDOW steps, or after so many steps; and the rtol of the loss on the way.

    The tolerance is in units of what an empty model loses, sum_i I_i E[y_i^2], if that is below 1,
    and less where hardly any loss is left.
    """

    tolerance: float = 1e-7
    gain: float = 0.0
    steps: int = 2000
    rtol: float = RTOL


def pack(model):
    """W and b of each instance in a row, (..., P) float64."""
    W = model.W.reshape(*model.instances, -1)
    return np.concatenate([W, model.b], axis=-1).astype(np.float64)


def unpack(model, theta):
    """Models of `model`'s class and size from rows theta (..., P)."""
    return model.from_parameters(split(model, theta))


def split(model, theta):
    """W (..., m, n) and b (..., n) of rows theta (..., P)."""
    *_, m, n = model.W.shape
    return theta[..., :m * n].reshape(*theta.shape[:-1], m, n), theta[..., m * n:]


def evaluate(model, theta, features, penalty=NONE, rtol=RTOL):
    """The exact loss with its penalty (K,) and gradient (K, P) at rows theta: to rtol, or to ROUGH
    where a row on the way has no more digits.
    """
    check_known(model, features)
    W, b = split(model, theta)
    loss, dW, db = to_rtol(loss_and_slopes, type(model), features, W, b, rtol=rtol)
    if penalty:
        loss, (dW, db) = penalty.on(loss, [dW, db], [W, b])
    return loss, np.concatenate([dW.reshape(*loss.shape, -1), db], axis=-1)


def value(stack, features, penalty=NONE, rtol=RTOL):
    """The loss (K,) as in `evaluate`, without the gradient."""
    return to_rtol(expected_loss, stack, features, rtol=rtol) + penalty.value(stack.W)


def to_rtol(function, *arguments, rtol):
    """An exact loss to rtol, or to ROUGH where it has no more digits."""
    try:
        return function(*arguments, rtol=rtol)
    except OverflowError:
        raise
    except ArithmeticError:
        return function(*arguments, rtol=max(rtol, ROUGH))


def select(features, k):
    """The features of instances k."""
    if features.n_instances is None:
        return features
    return features.replace(feature_probability=features.feature_probability[k],
                            importance=features.importance[k])


def blank_loss(features):
    """What a model without weights or biases loses, sum_i I_i E[y_i^2]."""
    return (features.importance * features.active_probability).sum(-1) / 3


def descend(model, features, *, tolerance=1e-7, most_steps=2000, penalty=NONE, pace=None,
            held=None, inverse=None, watch=None):
    """Every instance of `model` (K, …) down to a gradient norm of `tolerance`, or to where the loss
    stops falling; returns (model, loss (K,), gradient norm (K,)).

    Features have no instance axis or one row an instance. `pace` replaces tolerance and most_steps;
    parameters `held` (K, P) stay; `inverse()` is a first estimate (K, P, P) of the inverse Hessian,
    asked for where there is a way to go; `watch(theta, f, norm)` hears of every step.
    """
    pace = Pace(tolerance, steps=most_steps) if pace is None else pace
    run = _Descent(model, features, penalty, pace, held, inverse)
    with one_blas_thread():                     # a step is short, and waits for memory
        for _ in range(pace.steps):
            if not run.live.any():
                break
            run.step()
            if watch is not None:
                watch(run.theta, run.f, np.linalg.norm(run.g, axis=1))
    return unpack(model, run.theta), run.f, np.linalg.norm(run.g, axis=1)


def ease(model, features, K):
    """How much less each parameter of K instances bends the loss than those of the most valuable
    feature, about, (K, P): a feature's share grows with its importance and its chance of being on.
    In these units features of little worth are no slower, and none is left where it began.
    """
    worth = np.broadcast_to(features.importance * features.active_probability,
                            (K, model.n_features))
    most = worth.max(1, keepdims=True)
    share = np.clip(worth / np.where(most > 0, most, 1), LEAST_WORTH, 1)
    return np.tile(1 / share, model.n_hidden + 1)


class _Descent:
    """Where K descents are; those that are `live` go on."""

    def __init__(self, model, features, penalty, pace, held, inverse):
        self.model, self.features, self.penalty, self.pace = model, features, penalty, pace
        self.theta = pack(model)
        K, P = self.theta.shape
        self.free = np.ones((K, P)) if held is None else 1.0 - held
        blank = np.broadcast_to(blank_loss(features), K)
        self.blank = np.where(blank > 0, blank, 1)                                          # (K,)
        self.chosen, self.law = np.arange(K), features
        self.f, self.g = self.at(self.chosen, self.theta)
        self.fresh = np.full(K, inverse is None)                # B says nothing yet about the scale
        self.live = self.steep(self.chosen)
        self.ease = ease(self.model, features, K)
        if inverse is None and K * P * P <= DENSE:
            inverse = lambda: self.ease[:, :, None] * np.eye(P)
        if self.live.any():
            self.curvature = Recent(self.ease) if inverse is None else Inverse(inverse(), self.ease)
        self.past = np.full((WINDOW, K), np.inf)

    def at(self, k, theta):
        """Loss and gradient of instances k at theta, 0 for what is held."""
        if not np.array_equal(k, self.chosen):
            self.chosen, self.law = k, select(self.features, k)
        f, g = evaluate(self.model, theta, self.law, self.penalty, self.pace.rtol)
        return f, g * self.free[k]

    def steep(self, k):
        """Whether the gradient of the instances k is above the tolerance, which is less where the
        loss is small: an important feature that is all but perfect must not hide the others.
        """
        small = np.clip(self.f[k] / (SMALL_LOSS * self.blank[k]), LEAST, 1)
        tolerance = self.pace.tolerance * np.minimum(self.blank[k], 1) * small
        return np.linalg.norm(self.g[k], axis=1) > tolerance

    def step(self):
        """One step of all that are live."""
        k = np.flatnonzero(self.live)
        g, theta, f = self.g[k], self.theta[k], self.f[k]
        d, down = -self.curvature.times(k, g), -self.ease[k] * g
        slope, norm = (d * g).sum(1), np.linalg.norm(g, axis=1)
        uphill = self.fresh[k] | (slope > -1e-10 * norm * np.linalg.norm(d, axis=1))
        down *= 0.1 / np.linalg.norm(down, axis=1, keepdims=True)
        d = np.where(uphill[:, None], down, d)
        d *= np.minimum(1, 1 / np.linalg.norm(d, axis=1, keepdims=True))        # no leap beyond 1
        self.curvature.forget(k[uphill])
        new_theta, new_f, new_g, moved = self._search(k, d, (d * g).sum(1))
        moved &= f - new_f > STALLED * abs(new_f)
        self.theta[k], self.f[k], self.g[k] = new_theta, new_f, new_g
        self.past = np.roll(self.past, 1, axis=0)
        gained = self.past[0, k] - new_f > self.pace.gain * abs(new_f)
        self.past[0, k] = new_f
        going = self.steep(k)
        self.live[k] = going & (moved | ~uphill) & (gained | (self.pace.gain == 0))
        self.fresh[k] = ~moved                              # once more along the gradient, then end
        self.curvature.learn(k, new_theta - theta, new_g - g, moved, uphill)

    def _search(self, k, d, slope):
        """Halve the step from 1 until the loss falls by a ten-thousandth of what its slope says."""
        theta, f, n = self.theta[k], self.f[k], self.model.n_features
        new_theta, new_f, new_g = theta.copy(), f.copy(), self.g[k].copy()
        waiting, tried, count = np.arange(len(k)), 0, 1
        while len(waiting) and tried < HALVINGS:
            t = 0.5 ** np.arange(tried, tried + count)
            trial = theta[waiting, None] + t[:, None] * d[waiting, None]            # (w, count, P)
            trial_f, trial_g = self.at(np.repeat(k[waiting], count), trial.reshape(-1, d.shape[1]))
            trial_f, trial_g = trial_f.reshape(-1, count), trial_g.reshape(trial.shape)
            least = f[waiting, None] + 1e-4 * t * slope[waiting, None]
            good = trial_f <= least + 1e-15 * abs(f[waiting, None])
            found = good.any(1)
            done, first = waiting[found], (found, good.argmax(1)[found])            # the longest
            new_theta[done], new_f[done], new_g[done] = trial[first], trial_f[first], trial_g[first]
            waiting, tried = waiting[~found], tried + count
            affordable = CHEAP // max(1, len(waiting) << n)
            count = max(1, min(affordable, AT_ONCE, HALVINGS - tried))
        moved = np.ones(len(k), bool)
        moved[waiting] = False
        return new_theta, new_f, new_g, moved


class Inverse:
    """The estimates B (K, P, P) of BFGS, which begin again at the diagonals `ease` (K, P). They are
    symmetric, and BLAS reads and writes one triangle in place: with thousands of parameters B is
    what a step waits for.
    """

    def __init__(self, B, ease):
        self.B, self.ease = B, ease

    def forget(self, k):
        """Begin again."""
        self.B[k] = self.ease[k, :, None] * np.eye(self.B.shape[-1])

    def times(self, k, g):
        """B g of the instances k, (K, P)."""
        return np.stack([scipy.linalg.blas.dsymv(1, self.B[i].T, x) for i, x in zip(k, g)])

    def learn(self, k, s, y, moved, fresh):
        """The update of BFGS, B + s v' + v s'; a first step also sets the scale. A step along which
        the slope does not rise is skipped.
        """
        sy, yy = (s * y).sum(1), (self.ease[k] * y * y).sum(1)
        use = moved & (sy > 1e-12 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1))
        for i in np.flatnonzero(use):
            B = self.B[k[i]].T                                  # in Fortran's order, as BLAS wants
            if fresh[i]:
                B *= sy[i] / max(yy[i], 1e-300)
            By = scipy.linalg.blas.dsymv(1, B, y[i])
            v = ((1 + y[i] @ By / sy[i]) / 2 * s[i] - By) / sy[i]
            scipy.linalg.blas.dsyr2(1, s[i], v, a=B, overwrite_a=True)


class Recent:
    """The same product from the last MEMORY steps alone (L-BFGS), for large P."""

    def __init__(self, ease):
        self.ease, self.steps = ease, [[] for _ in ease]

    def forget(self, k):
        """Begin again."""
        for i in k:
            self.steps[i] = []

    def times(self, k, g):
        """B g of the instances k, (K, P)."""
        return np.stack([self._times(self.steps[i], self.ease[i], x) for i, x in zip(k, g)])

    @staticmethod
    def _times(steps, ease, q):
        if not steps:
            return q
        q, shares = q.copy(), []
        for s, y, sy in reversed(steps):
            shares.append((s @ q) / sy)
            q -= shares[-1] * y
        s, y, sy = steps[-1]
        q *= sy / (y @ (ease * y)) * ease
        for (s, y, sy), share in zip(steps, reversed(shares)):
            q += (share - (y @ q) / sy) * s
        return q

    def learn(self, k, s, y, moved, fresh):
        """Keep the step, unless the slope does not rise along it."""
        for i, s_i, y_i, moved_i in zip(k, s, y, moved):
            sy = s_i @ y_i
            if moved_i and sy > 1e-12 * np.linalg.norm(s_i) * np.linalg.norm(y_i):
                self.steps[i] = [*self.steps[i], (s_i, y_i, sy)][-MEMORY:]


# -- dropped features and dead outputs ------------------------------------------------------------

def held_parameters(model):
    """Where W's columns are zero, with their biases: (K, P) bool. There the output is a constant,
    and the loss of all else does not depend on the feature.
    """
    dropped = norms(model.W) == 0                                       # (K, n)
    columns = np.broadcast_to(dropped[..., None, :], model.W.shape)
    return np.concatenate([columns.reshape(*model.instances, -1), dropped], axis=-1)


def drop(model, features, penalty=NONE, rtol=RTOL):
    """Take the small columns that help nobody out of a stack: there W_i = 0 and b_i = E[y_i].

    All are tried together, then halves of what may not go, and so on; an instance changes if all
    that passed can go together. Returns (model, changed (K,)).
    """
    size = norms(model.W)
    small = (size > 0) & (size < SMALL_COLUMN)                          # (K, n)
    changed, best = small.any(-1), np.broadcast_to(features.active_probability / 2, small.shape)
    if not changed.any():
        return model, changed

    def without(k, columns):
        """The instances k without these columns (len(k), n), and their losses."""
        other = type(model)(np.where(columns[:, None], 0, model.W[k]),
                            np.where(columns, best[k], model.b[k]))
        return other, value(other, select(features, k), penalty, rtol)

    now = without(np.arange(len(small)), np.zeros_like(small))[1]
    limit = now + 2 * rtol * abs(now)
    going = by_halves(small, lambda k, columns: without(k, columns)[1] <= limit[k])
    some = np.flatnonzero(going.any(-1))
    changed[:] = False
    if len(some):
        other, loss = without(some, going[some])
        good = loss <= limit[some]
        model, changed[some] = replace(model, some[good], other[good]), good
    return model, changed


def by_halves(columns, passes):
    """Those of the `columns` (K, n) bool that pass: the whole of a row, or halves of what does not.

    passes(k, groups) : whether the groups (G, n) bool of the rows k (G,) pass, (G,)
    """
    good, k = np.zeros_like(columns), np.flatnonzero(columns.any(-1))
    groups = columns[k]
    while len(k):
        passed = passes(k, groups)
        np.logical_or.at(good, k[passed], groups[passed])
        k, groups = k[~passed], groups[~passed]
        count = groups.sum(-1, keepdims=True)
        first = groups & (groups.cumsum(-1) <= count // 2)
        k, groups = np.concatenate([k, k]), np.concatenate([first, groups & ~first])
        more = np.tile(count[:, 0] > 1, 2)
        k, groups = k[more], groups[more]
    return good


def replace(model, k, part):
    """The stack `model` with the instances k replaced by those of `part`."""
    W, b = model.W.copy(), model.b.copy()
    W[k], b[k] = part.W, part.b
    return type(model)(W, b)


def revive(model, features):
    """Give every output of the stack `model` that no input can switch on its best constant E[y_i],
    and no direction.

    A dead ReLU has no gradient, so descent cannot find this improvement on its own; only outputs
    whose whole model gets better change. Returns (model, changed (K,)).
    """
    reach = gram(model.W)
    reach = abs(reach) if features.signed else np.maximum(reach, 0)
    dead = model.b + reach.sum(-1) <= 0                                 # (K, n) the largest z
    if not dead.any():
        return model, dead.any(-1)
    best = features.active_probability / 2                              # E[y_i]
    other = type(model)(np.where(dead[:, None, :], 0, model.W), np.where(dead, best, model.b))
    lower = value(other, features) < value(model, features)
    changed = dead.any(-1) & lower
    keep = changed[:, None]
    W, b = np.where(keep[..., None], other.W, model.W), np.where(keep, other.b, model.b)
    return type(model)(W, b), changed


def settle(model, features, *, tolerance=1e-7, penalty=NONE, pace=None, watch=None):
    """`descend`, and once more from where dead outputs were revived: (model, loss (K,))."""
    options = dict(tolerance=tolerance, penalty=penalty, pace=pace, watch=watch)
    model, loss, _ = descend(model, features, **options)
    model, revived = revive(model, features)
    if revived.any():
        model, loss, _ = descend(model, features, **options)
    return model, loss
