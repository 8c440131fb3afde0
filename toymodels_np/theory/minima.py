"""True minima of the exact loss: many starts, descent, a Newton polish, and the certificate of what
was found.

    theta (K, P)  all parameters of an instance in a row       H  the Hessian, (P, P)
    g (K, P)  gradient                                         f (K,)  loss

How a descent goes is in `descent.py`, which points are tried in `search.py`, what is known of the
slopes around a point in `curvature.py`, what a penalty is in `penalties.py`.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from tqdm.auto import tqdm

from ..core import checks
from ..core.features import Features
from ..core.models import Linear, Model, ReluOutput
from ..core.streams import SEARCH_STREAM, random_stream
from ..geometry.measures import DROPPED, norms
from ..geometry.tegum import geometry_of
from ..known import stranger
from ..machine import check_executor, memory, progress as progress_options
from ..penalties import LARGEST, check_bounded, penalty as checked_penalty
from . import search
from .coherence import ACTIVE, coherence as coherence_of, coherent_minimum
from .curvature import (
    CURVED,
    FLAT,
    ROUNDING,
    extreme_eigenvalues,
    hessian,
    kinks,
    newton,
    rotations,
)
from .descent import RTOL, Pace, blank_loss, evaluate, pack, unpack, value

GRADIENT = 1e-8             # a gradient norm up to this counts as zero: converged
GRADIENT_LARGE = 1e-6       # and up to this where there is no Hessian to polish with
GRADIENT_BOUNDED = 1e-4     # and under a bound, as a share of the blank model's loss
BESIDE, BESIDE_BY = 16, (0.03, 0.1)     # displaced copies of a point at a kink, and by how much
SMALL = 1e-9                # one that Newton's method leaves alone where features are many
NEWTON = 400                # parameters up to which the whole Hessian is worked out
RAREST = 1e-6               # where all features are rarer, losses are too small to be compared
IMPORTANCES = 1e-100, 1e100         # what the largest importance may be, unless it is 0
SLOW = 1e-6                 # a polish ends once a hundred steps lower the loss by less than this
PART = 2**11                # numbers n m K of the starts that descend together
SHARES = 4                  # into which an executor's work is cut


class NotConverged(ArithmeticError):
    """The search ended at a point where the gradient is not zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Minimum:
    """The lowest point that was found, and what certifies it.

    model : the solution, float64         loss : the exact loss there, penalties included
    gradient_norm : that of the loss      hessian_eigenvalues : ascending; (P,), or for many
    start_losses : (starts,) where each       parameters the lowest and the highest, (2,), or none
        start ended, ascending, without   geometry : its name
        regard to a bound
    symmetry_directions : flat directions that rotations explain
    unit : the power of 2 next to the largest importance, in which small gradients are small
    converged : whether the gradient is zero and the search was not broken off
    kinks : outputs whose slope bends at their bias: "a minimum at a kink"
    bound : None, or the coherence that was allowed: the gradient is that along what is allowed
    features, interference, weight_decay : what it is a minimum of, as for `find_minimum`
    """

    model: Model
    loss: float
    gradient_norm: float
    hessian_eigenvalues: np.ndarray
    start_losses: np.ndarray
    geometry: str
    symmetry_directions: int
    unit: float = 1.0
    converged: bool = True
    kinks: tuple = ()
    bound: float | None = None
    features: Features | None = None
    interference: float = 0.0
    weight_decay: float = 0.0

    def __repr__(self):
        if not self.converged:
            what = "not converged"
        elif self.bound is not None:
            what = f"the lowest with coherence {self.bound:g}"
        elif not self.is_local_minimum:
            what = "a stationary point"
        else:
            what = "a minimum at a kink" if self.kinks else "a minimum"
        return (f"Minimum({self.model.n_features} in {self.model.n_hidden}, {self.geometry}, "
                f"loss={self.loss:.8g}, gradient={self.gradient_norm:.0e}, {what})")

    @property
    def dropped(self):
        """The features whose columns count as dropped."""
        return tuple(int(i) for i in np.flatnonzero(norms(self.model.W) <= DROPPED))

    @property
    def hessian_rank(self):
        """How many eigenvalues of the Hessian are not zero, to FLAT of the largest."""
        P = self.model.W.size + self.model.b.size
        if len(self.hessian_eigenvalues) != P:
            raise ArithmeticError(f"the rank needs all {P} eigenvalues of the Hessian, and "
                                  f"{len(self.hessian_eigenvalues)} are known")
        size = abs(self.hessian_eigenvalues)
        return int((size > FLAT * size.max()).sum())

    @property
    def is_local_minimum(self):
        """True if no direction goes down to second order: the gradient is zero and no eigenvalue
        is negative. At a kink second derivatives are a mean of both sides: there it is also that
        none of some displaced copies descended lower, or none of as many starts.
        """
        if not self.converged or not len(self.hessian_eigenvalues) or self.bound is not None:
            return False
        lowest, highest = self.hessian_eigenvalues[[0, -1]]
        return bool(self.gradient_norm <= _enough(self.model) * self.unit
                    and lowest >= -FLAT * highest)

    @property
    def learning_coefficient(self):
        """Half the rank of the Hessian: the local learning coefficient where the minimum is
        non-degenerate, that is flat along rotations only. Anywhere else ArithmeticError. Source:
        Chen et al. 2023, arXiv 2310.06301.
        """
        flat = len(self.hessian_eigenvalues) - self.hessian_rank
        if not self.is_local_minimum or flat != self.symmetry_directions:
            raise ArithmeticError(f"the learning coefficient is half the Hessian's rank only at a "
                                  f"minimum that is flat along rotations alone; here {flat} "
                                  f"directions are flat and rotations explain "
                                  f"{self.symmetry_directions}, lowest eigenvalue "
                                  f"{self.hessian_eigenvalues[0]:.2e}")
        return self.hessian_rank / 2


def _enough(model):
    """The gradient norm that counts as zero, for a largest importance of 1."""
    return GRADIENT if model.W.size + model.b.size <= NEWTON else GRADIENT_LARGE


def find_minimum(features, n_hidden, *, model=ReluOutput, starts=32, seed=0, initial=None,
                 interference=0.0, weight_decay=0.0, coherence=None, executor=None, progress=None):
    """The lowest minimum of the exact expected loss that a search from many starts leads to.

    Parameters
    ----------
    features : Features without an instance axis
    n_hidden : int
    model : ReluOutput or Linear, the class
    starts : int; W from N(0, 1/m) and b = E[x]. They descend or, with more than nine features, are
        trained for a moment. From the best ends, exchanges of features, known shapes and the like
        go on until nothing lowers the loss. With nine features or more, of unequal worth, another
        seed may yet find a lower point: of 47 drawn problems with 9 to 16 features 9 ended 6e-5 to
        2.3e-2 of the loss apart, of 29 with 4 to 8 none.
    seed : int
    initial : a model whose instances are the only starts, such as trained ones: no local search
    interference, weight_decay : what is added to the loss, lam sum_{i != j} (W_i . W_j)^2 and
        mu ||W||^2. (14.1)
    coherence : None, or a bound in [0, 1] on |cos| between any two columns of W
    executor : None or a concurrent.futures.Executor, on which parts of the search run side by side
    progress : whether a bar shows the best loss so far; None for one on a terminal

    Returns a Minimum; after Ctrl-C, the best point so far with `converged` false. Raises
    NotConverged (an ArithmeticError) where the lowest point of at most nine features has a gradient
    above 1e-8 (for a largest importance of 1) and no bound. With more of them `converged` says
    whether it is below, or below 1e-6 with more than 400 parameters, and under a bound whether it
    is below 1e-4 of what an empty model loses. ValueError or TypeError on bad arguments.
    """
    stack = _starts(features, n_hidden, model, starts, seed, initial)
    task, unit, bound = _task(features, model, interference, weight_decay, coherence, executor)
    with _Watch(progress) as watch:
        try:
            first = value(stack[[0]], task.features, task.penalty, search.ROUGHLY)
            watch(pack(stack[[0]]), first, np.ones(1))          # there is a best point from now on
            points, f, ends = _search(task, stack, initial is None, seed, executor, watch)
            if bound is not None:
                return _finish_bounded(task, stack, points, f, bound, ends, unit, watch)
            return _finish(task, points, f, ends, unit, watch)
        except KeyboardInterrupt:
            if watch.best is None:
                raise
            return _broken_off(task, unpack(stack[0], watch.best), unit, bound)


def polish(model, features, *, starts=32, seed=0, interference=0.0, weight_decay=0.0,
           coherence=None, executor=None, progress=None):
    """The minimum of the exact expected loss that a trained model is next to.

    model : a ReluOutput or Linear of any dtype; of several instances, the best end is returned
    features and all else : as for `find_minimum`, whose `initial` the model is
    """
    other = type(model) not in (ReluOutput, Linear) and not stranger(model)
    if not isinstance(model, Model) or other:
        raise TypeError(f"model must be a ReluOutput or a Linear, got {model!r}")
    return find_minimum(features, model.n_hidden, model=type(model), starts=starts, seed=seed,
                        initial=model, interference=interference, weight_decay=weight_decay,
                        coherence=coherence, executor=executor, progress=progress)


def _task(features, model, interference, weight_decay, coherence, executor):
    """What is searched, with importances in units of a power of 2; the unit; the bound."""
    penalty = checked_penalty(interference, weight_decay)
    check_bounded(penalty, model, features)
    bound = None if coherence is None else checks.real("coherence", coherence, minimum=0, maximum=1)
    check_executor(executor)
    highest, (lower, upper) = features.importance.max(), IMPORTANCES
    if highest and not lower <= highest <= upper:
        raise ValueError(f"the largest importance must be from {lower:g} to {upper:g} for a search "
                         f"to keep its digits, got {highest:g}")
    unit = 2.0 ** np.round(np.log2(highest)) if highest else 1.0    # so that no digit changes
    law = features.replace(importance=features.importance / unit)
    penalty = penalty.in_units_of(unit)
    if max(map(abs, penalty)) > LARGEST:
        raise ValueError(f"interference and weight_decay must be at most {LARGEST:g} times the "
                         f"largest importance, {highest:g}, got {interference:g} and "
                         f"{weight_decay:g}")
    return search.Task(law, penalty), unit, bound


class _Watch:
    """Hears of every step: a bar with the best loss so far, and the best point."""

    def __init__(self, progress):
        self.bar = tqdm(unit=" steps", desc="minimum", **progress_options(progress))
        self.best, self.f, self.progress = None, np.inf, progress

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def __call__(self, theta, f, norm):
        i = int(np.argmin(f))
        if f[i] < self.f:
            self.f, self.best = float(f[i]), theta[i].copy()
        self.bar.set_postfix(loss=f"{self.f:.8g}", gradient=f"{norm[i]:.0e}", refresh=False)
        self.bar.update()


# -- the search -----------------------------------------------------------------------------------

def _search(task, stack, with_changes, seed, executor, watch):
    """The best points, their losses, and where every start ended."""
    few, unequal = task.few, _unequal(task.features)
    pace = search.QUICK if unequal else search.ALL
    if not with_changes:
        pace = Pace(GRADIENT, 0.0 if few else 1e-10, 3000, RTOL if few else 1e-7)
    run = _runner(executor, watch)
    curved = not few and not with_changes and stack[0].W.size + stack[0].b.size <= NEWTON
    settle = partial(search.settle_down, curved=curved)

    def descend_all(points, pace):
        size = max(1, PART // points.W[0].size) if not few else len(points.W)
        if executor is not None:
            size = min(size, -(-len(points.W) // SHARES))
        parts = [points[i:i + size] for i in range(0, len(points.W), size)]
        done = run(settle, *zip(*((task, part, pace, watch) for part in parts)))
        return search.joined([x for x, _ in done]), np.concatenate([f for _, f in done])

    if few or not with_changes:
        points, f = descend_all(stack, pace)
    else:
        points, f = search.trained(task, stack, seed, watch.progress)
        watch(pack(points), f, 0 * f)
    ends = np.sort(f)
    if not with_changes:
        return points, f, ends
    built = search.built_starts(task.features, stack.n_hidden, type(stack))
    if built is not None and unequal:
        more, f_more = search.race(task, built, f.min(), pace, watch) if few else search.trained(
            task, built, options=search.HEAT)
        points, f = search.joined([points, more]), np.append(f, f_more)
    if not few:
        order = np.argsort(f, kind="stable")[:search.MANY]
        points, f = descend_all(points[order], search.THEN)
    if unequal:
        pace = search.QUICK if few else search.THEN
        points, f = search.local_search(task, points, f, pace, watch, run)
    return points, f, ends


def _runner(executor, watch):
    """A function like `map`, here or on the executor; the last of its arguments are `watch`."""
    if executor is None:
        return lambda function, *arguments: list(map(function, *arguments))

    def run(function, *arguments):
        results = [executor.submit(function, *each) for each in zip(*arguments[:-1])]
        try:
            for result in results:
                points, f = result.result()
                if len(f):
                    watch(pack(points), f, f * 0)
        finally:
            for result in results:
                result.cancel()                         # what has not begun, after an error
        return [result.result() for result in results]

    return run


def _unequal(features):
    """Whether exchanges of features could matter."""
    same = np.ptp(features.importance) == 0 and np.ptp(features.feature_probability) == 0
    return not same or len(features.sets) < features.n_features


def _finish(task, points, f, ends, unit, watch):
    """The Minimum at the best of the points."""
    best = points[[int(np.argmin(f))]]
    P = best.W.size + best.b.size
    if P > NEWTON:
        return _finish_large(task, best, ends, unit, watch)
    best, loss, norm = _end(task, best, watch)
    for left in reversed(range(8)):                     # leave a saddle along its steepest way down
        values, vectors = _eigen(best, task)
        if values[0] >= -FLAT * values[-1] or not left:
            break
        theta = pack(best) + 1e-2 * np.array([[1.0], [-1.0]]) * vectors[:, 0]
        lower, f, less = _end(task, unpack(best, theta), watch)
        if f >= loss:                                   # a kink looks like a saddle
            break
        best, loss, norm = lower, f, less
    if task.few and len(ends) < BESIDE and (bent := kinks(best, task.features)):
        lower, f, less = _end(task, _beside(best, bent), watch)
        if f < loss - 1e-9 * abs(loss):
            best, loss, norm = lower, f, less
            values, _ = _eigen(best, task)
    theta = pack(best)[None]
    loss = float(evaluate(best[None], theta, task.features, task.penalty)[0][0])
    if task.few and norm > GRADIENT:
        why = "a penalty makes it stiff" if task.penalty else "the loss has a kink there"
        raise NotConverged(f"the lowest of {len(ends)} starts ended with loss {loss * unit:.8g} "
                           f"and a gradient of norm {norm * unit:.1e}, above {GRADIENT * unit:g}: "
                           f"{why}, or more starts are needed")
    return _minimum(task, unit, best, loss, norm, values, ends, converged=norm <= GRADIENT,
                    kinks=kinks(best, task.features))


def _beside(point, bent):
    """Displaced copies (K, …) of a point at a kink, where second derivatives, which are different
    on its two sides, do not say whether any way leads down. Biases go to the side where the outputs
    `bent` are on.
    """
    n, theta = point.n_features, pack(point)
    noise = np.stack([random_stream(0, SEARCH_STREAM, number).normal(size=theta.size)
                      for number in range(BESIDE)])                                     # (K, P)
    noise[:, -n:] = np.where(np.isin(np.arange(n), bent), abs(noise[:, -n:]) / 4, 0)
    size = np.resize(BESIDE_BY, BESIDE)[:, None] * norms(point.W).max()
    return unpack(point, theta + size * noise)


def _eigen(point, task):
    """The Hessian's eigenvalues and eigenvectors. Along rotations it is zero, which differences of
    gradients miss by their rounding.
    """
    R = rotations(point)
    other = np.eye(len(R)) - R @ R.T
    H = hessian(point, task.features, penalty=task.penalty, rtol=RTOL if task.few else CURVED)
    return np.linalg.eigh(other @ H @ other)


def _minimum(task, unit, model, loss, norm, values, ends, **more):
    """The Minimum of what was found in units of `unit`."""
    features = task.features.replace(importance=task.features.importance * unit)
    penalty = task.penalty.in_units_of(1 / unit)
    return Minimum(model, loss * unit, norm * unit, values * unit, np.sort(ends) * unit,
                   geometry_of(model.W), rotations(model).shape[1], unit, features=features,
                   interference=penalty.interference, weight_decay=penalty.weight_decay, **more)


def _end(task, points, watch):
    """The best of the stack `points`, once they are where the gradient is zero, by Newton's method
    at last: (point, loss, gradient norm).
    """
    options = dict(enough=ROUNDING, penalty=task.penalty)
    if not task.few:
        options |= {"enough": SMALL, "rtol": CURVED}
    for pace in (search.LAST,) if task.few else (search.CLOSER, search.LAST):
        points, f = search.settle_down(task, points, pace, watch, curved=not task.few)
        point = points[int(f.argmin())]
        kept, part, law = search.without_dropped(task.features, point)
        if len(kept) < point.n_features:
            point = search.with_columns(point, kept, newton(part, law, **options)[0])
        point, loss, norm = newton(point, task.features, **options)
        if norm <= GRADIENT:
            break
    return point, loss, norm


def _finish_large(task, best, ends, unit, watch):
    """The Minimum of many parameters: L-BFGS or BFGS to the end, eigenvalues by Lanczos."""
    past, f = np.inf, None
    pace = Pace(GRADIENT_LARGE / 2, 0.0, 100, 1e-8)
    while True:
        best, f = search.settle_down(task, best, pace, watch)
        _, g = evaluate(best, pack(best), task.features, task.penalty, RTOL)
        norm = float(np.linalg.norm(g))
        if norm <= GRADIENT_LARGE or past - f[0] <= SLOW * abs(f[0]) and past < np.inf:
            break
        past = f[0]
    loss = float(evaluate(best, pack(best), task.features, task.penalty)[0][0])
    values = extreme_eigenvalues(best[0], task.features, task.penalty)
    return _minimum(task, unit, best[0], loss, norm, values, ends,
                    converged=norm <= GRADIENT_LARGE)


def _finish_bounded(task, stack, points, f, bound, ends, unit, watch):
    """The Minimum with a bound on the coherence: that without it, if it keeps it."""
    free = points[int(np.argmin(f))]
    try:
        minimum = _finish(task, points, f, ends, unit, watch)
        if coherence_of(minimum.model.W) <= bound + ACTIVE:
            return replace(minimum, bound=bound)
        free = minimum.model
    except NotConverged:
        pass
    watch.f = np.inf                            # any point that keeps the bound is better than none
    best, loss, norm = coherent_minimum(task, stack, bound, free, watch)
    return _minimum(task, unit, best, loss, norm, np.zeros(0), ends,
                    converged=norm <= GRADIENT_BOUNDED * blank_loss(task.features), bound=bound)


def _orthogonal(task, model):
    """A model of the same size with coherence 0: those features that are worth most, a dimension
    each.
    """
    m, n = model.W.shape
    kept = search.by_worth(task.features)[:m]
    W, b = np.zeros((m, n)), task.features.active_probability / 2
    W[np.arange(len(kept)), kept], b[kept] = 1, 0
    return type(model)(W, b)


def _broken_off(task, model, unit, bound=None):
    """The Minimum that the best point so far would be, without any certificate."""
    if bound is not None and coherence_of(model.W) > bound + ACTIVE:
        model = _orthogonal(task, model)
    f, g = evaluate(model[None], pack(model)[None], task.features, task.penalty)
    return _minimum(task, unit, model, float(f[0]), float(np.linalg.norm(g)), np.zeros(0), f,
                    converged=False, bound=bound)


def _starts(features, n_hidden, model, starts, seed, initial):
    """The checked stack of starting models."""
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    checks.single(features)
    m, n = checks.integer("n_hidden", n_hidden), features.n_features
    known = isinstance(model, type) and issubclass(model, Model)
    if known and (why := stranger(model, features)):
        raise TypeError(f"minima are found for the package's own models and features, and {why}: "
                        f"use tm.estimate_loss to judge its models")
    if not known or model not in (ReluOutput, Linear):
        raise TypeError(f"model must be the class ReluOutput or Linear, whose loss is known "
                        f"exactly, got {model!r}; use tm.estimate_loss to judge any other")
    starts, seed = checks.integer("starts", starts), checks.seed(seed)
    if (rarest := features.active_probability.max()) < RAREST:
        raise ValueError(f"feature_probability must be at least {RAREST:g} for some feature, so "
                         f"that a search can tell losses apart, got {rarest:g}")
    memory("n_hidden", 12 * m**2 * (m + 1) * n)         # of `rotations`
    if initial is None:
        memory("the starts", 32 * starts * m * n)
        return search.random_starts(features, m, model, starts, seed)
    if type(initial) is not model or (initial.n_hidden, initial.n_features) != (m, n):
        raise ValueError(f"initial, the model to start from, must be a {model.__name__} with "
                         f"n_features={n} and n_hidden={m}, got {initial!r}")
    if why := stranger(initial):
        raise TypeError(f"initial must be the package's own, and {why}")
    return model(initial.W.reshape(-1, m, n).astype(np.float64),
                 initial.b.reshape(-1, n).astype(np.float64))
