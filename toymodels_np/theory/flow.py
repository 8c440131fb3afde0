"""Learning without noise: the gradient flow of the exact loss, its plateaus, and its saddles.

    theta  (P,)    W and b in a row             t      time, at T points: 0, then a logarithmic grid
    g      (P,)    the gradient of L at theta   v      the speed, |d theta / dt| = |g|
    H      (P, P)  the Hessian at theta         index  how many directions go down from a saddle
    r      the fall of the loss in a decade of time, as a part of its whole drop

The flow slows down where it passes near a saddle, and stays for a time that grows with the
logarithm of how near (9.9). Such a rest is a plateau, and from the slowest point of it the saddle
is found. Equations (9.k) are in derivations/09-gradient-flow.md.
Source: paper, "Superposition and Learning Dynamics".
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy
from tqdm.auto import tqdm

from ..core import checks
from ..core.features import Features
from ..core.models import Linear, Model, ReluOutput
from ..geometry.tegum import geometry_of
from ..known import stranger
from ..penalties import NONE, Penalty, check_bounded, penalty as checked_penalty
from .curvature import DIFFERENCE, FLAT, hessian
from .descent import evaluate, pack, split, unpack
from .estimate import check_pair

ACCURACY = {"rtol": 1e-6, "atol": 1e-9}     # of the integration, for each parameter
POINTS, DECADES = 50, 7     # grid: so many points to a decade, over so many decades up to t_final
SLOW = 0.03                 # r on a plateau, at most
DIP = 1.5                   # the speed dips there: before and after it is this many times higher
ARRIVED = 1e-6              # part of the highest speed at which the flow has arrived, or at rest
LATEST = 1e12               # t_final at importances up to 1, at most: later rounding errors lead
FASTEST = 1e100             # speed at the start, at most, so that its square is float64
STATIONARY = 1e-9           # gradient norm of a polished saddle, at most, at importances up to 1
STEP, FINE = 1e-7, 1e-10    # of one-sided differences of g: short, not to reach across a kink
NEAR = 0.5                  # distance of a saddle from the slowest point of its plateau, at most; a
                            # represented feature has a norm of about 1
TOGETHER = 0.05             # distance in (W_i, b_i) of features that may share them at a saddle
KINKED = 1e-3               # part of the largest curvature that may differ on the two sides


@dataclass(frozen=True, repr=False)
class Plateau:
    """A stretch of time in which the loss hardly falls, and the saddle that holds the flow there.

    At the end of the flow it is a minimum.

    start, end : times; the last end is t_final
    loss : the flow's, where it is slowest
    model, saddle_loss, gradient_norm : the saddle, polished, or None where it could not be
    index : how many eigendirections of the Hessian go down from it, on both sides; None without a
        saddle
    geometry : the saddle's name, or the flow's where it is slowest
    note : "", or a sentence: why there is no saddle, or that the curvature jumps there
    """

    start: float
    end: float
    loss: float
    model: Model | None
    saddle_loss: float | None
    gradient_norm: float | None
    index: int | None
    geometry: str
    note: str

    def __repr__(self):
        what = "no saddle found"
        if self.index is not None:
            what = f"saddle of index {self.index}" if self.index else "minimum"
            what += f" with loss {self.saddle_loss:.6g}"
        return f"Plateau({self.start:.3g} to {self.end:.3g}, {self.geometry}, {what})"


@dataclass(frozen=True, eq=False, repr=False)
class Flow:
    """The path of a flow, at T times, and where it rested.

    times (T,) : 0 and then a logarithmic grid        losses (T,) : penalties included
    speeds (T,) : norms of the gradient
    parameters : a model with a leading axis T
    plateaus : a tuple of Plateau
    """

    times: np.ndarray
    losses: np.ndarray
    speeds: np.ndarray
    parameters: Model
    plateaus: tuple

    def __repr__(self):
        model = self.parameters
        path = " > ".join(plateau.geometry for plateau in self.plateaus) or "no plateaus"
        return (f"Flow({type(model).__name__} {model.n_features} in {model.n_hidden}, "
                f"{len(self.times)} times to {self.times[-1]:g}, loss {self.losses[0]:.6g} to "
                f"{self.losses[-1]:.6g}: {path})")


def gradient_flow(model, features, *, t_final, interference=0.0, weight_decay=0.0, progress=None):
    """d theta / dt = -dL/d theta from `model` on the exact loss, with plateaus and saddles. (9.1)

    Parameters
    ----------
    model : ReluOutput or Linear without an instance axis, of any dtype
    features : Features without an instance axis
    t_final : > 0, in units of 1 / curvature of the loss; at most 1e12 / the largest importance
    interference, weight_decay : penalties as in `tm.find_minimum`, a part of the loss
    progress : True, False or None, for a bar

    Returns a Flow. Raises ArithmeticError where the integrator gives up or the speed at the start
    is too large for it, ValueError or TypeError on bad arguments.
    """
    model, t_final = _check(model, features, t_final)
    penalty = checked_penalty(interference, weight_decay)
    check_bounded(penalty, type(model), features)
    loss, bar = _Loss(model, features, penalty), checks.progress(progress)
    with np.errstate(over="ignore"):
        speed = np.linalg.norm(loss.at(pack(model)[None])[1])
    if not speed <= FASTEST:
        raise OverflowError(f"the speed at the start, {speed:.1e}, is too large for the "
                            f"integration: the model, importance or penalties are too large")
    theta_at = _integrated(loss, pack(model), t_final, bar)
    grid = t_final * np.logspace(-DECADES, 0, POINTS * DECADES + 1)
    times = np.append(0.0, grid)                                        # (T,)
    theta = theta_at(times).T                                           # (T, P)
    losses, g = loss.at(theta)                                          # (T,), (T, P)
    speeds = np.linalg.norm(g, axis=1)                                  # (T,)
    plateaus = tuple(_plateau(loss, theta[slowest], times[start], times[end], losses[slowest])
                     for start, slowest, end in find_plateaus(times, losses, speeds, loss.rest))
    return Flow(times, losses, speeds, unpack(model, theta), plateaus)


class _Loss(NamedTuple):
    """The loss that falls, as a function of theta."""

    model: Model
    features: Features
    penalty: Penalty

    def at(self, theta):
        """Loss (K,) and gradient (K, P) at rows theta (K, P)."""
        return evaluate(self.model, theta, self.features, self.penalty)

    @property
    def rest(self):
        """The gradient norm up to which a point is stationary: as large as importances are."""
        return STATIONARY * (self.features.importance.max() or 1.0)

    def slopes(self, theta, directions, step):
        """Columns (P, D): how the gradient changes along each row of `directions` (D, P).

        They are one-sided differences, but a penalty's slopes are exact: where it is steep, what
        differences miss of them would be more than the loss's own.
        """
        moved = theta + step * np.vstack([np.zeros(len(theta)), directions])
        g = evaluate(self.model, moved, self.features)[1]
        slopes = (g[1:] - g[0]) / step
        if self.penalty:
            W, V = split(self.model, theta)[0], split(self.model, directions)[0]
            bent = self.penalty.hessian_product(W, V)
            slopes[:, :W.size] += bent.reshape(len(V), -1)
        return slopes.T

    def index(self, theta):
        """How many eigendirections at theta go down to both sides, and whether the sides differ."""
        H = hessian(unpack(self.model, theta), self.features, penalty=self.penalty)
        values, vectors = np.linalg.eigh(H)
        sides = [(self.slopes(theta, vectors.T, side * DIFFERENCE) * vectors).sum(0)
                 for side in (1, -1)]
        largest = abs(values).max()
        down = np.maximum(*sides) < -FLAT * largest
        return int(down.sum()), bool(abs(sides[0] - sides[1]).max() > KINKED * largest)


def _integrated(loss, start, t_final, bar):
    """theta as a function of times (T,): (P, T).

    The equations are stiff: curvatures differ by 10^4 and more. They are real, where BDF is stable
    whatever its step; and it asks for the fewest Hessians, which cost as much as P + 1 gradients.
    """
    def velocity(t, theta):
        done = DECADES + np.log10(max(t / t_final, 10.0**-DECADES))
        shown.update(max(0.0, done - shown.n))
        return -loss.at(theta[None])[1][0]                              # (P,)                (9.1)

    def jacobian(t, theta):
        return -loss.slopes(theta, np.eye(len(theta)), STEP)            # (P, P)

    with tqdm(total=DECADES, desc="gradient flow", bar_format="{l_bar}{bar}| {elapsed}",
              **bar) as shown:
        steps = scipy.integrate.solve_ivp(velocity, (0.0, t_final), start, method="BDF",
                                          jac=jacobian, dense_output=True, **ACCURACY)
    if not steps.success:
        raise ArithmeticError(f"the integration stopped at t = {steps.t[-1]:.6g} of {t_final:g}: "
                              f"{steps.message}")
    return steps.sol


# -- plateaus

def find_plateaus(times, losses, speeds, rest=STATIONARY):
    """Where a flow rests: a list of (start, slowest, end), indices into the arrays (T,).

    times : 0, then a grid that is even in log t        losses : falling
    speeds : norms of the gradient there                rest : the speed up to which it is at rest

    A plateau lies around a dip of the speed, DIP times deeper than the speed's peaks to its left
    and right, and reaches as far as r <= SLOW and no farther than those peaks. A flow that has
    ARRIVED ends with one. They come in order of time. (9.10)
    """
    still = max(ARRIVED * speeds.max(), rest)
    t, v, drop = times[1:], np.maximum(speeds[1:], still), losses[0] - losses[-1]
    r = np.log(10) * t * v**2 / max(drop, np.finfo(float).tiny)         # (T - 1,)           (9.10)
    r[v <= still] = 0                                   # whatever the drop, which may be rounding
    dips = [int(i) for i in scipy.signal.find_peaks(-np.log(v), prominence=np.log(DIP))[0]]
    if speeds[-1] <= still:
        dips.append(len(t) - 1)
    found, left = [], 0
    for dip, following in zip(dips, [*dips[1:], None]):
        right = len(t) - 1
        if following is not None:
            right = dip + int(v[dip:following].argmax())
        if r[dip] <= SLOW:
            fast = np.flatnonzero(r > SLOW)
            start, end = max([left, *(fast[fast < dip] + 1)]), min([right, *(fast[fast > dip] - 1)])
            found.append((start + 1, dip + 1, end + 1))                 # times[0] is not in t
        left = right
    return found


def _plateau(loss, theta, start, end, level):
    """The record of one plateau; theta (P,) is its slowest point, `level` the loss there."""
    found, norm, distance = _polish(loss, theta)
    times = float(start), float(end), float(level)
    if norm <= loss.rest and distance <= NEAR:
        saddle, value = unpack(loss.model, found), float(loss.at(found[None])[0][0])
        index, kinked = loss.index(found)
        note = ("the curvature jumps at this saddle, where a ReLU is at its kink: the index counts "
                "the directions that go down on both sides") if kinked else ""
        return Plateau(*times, saddle, value, norm, index, geometry_of(saddle.W), note)
    note = f"the saddle that was found is {distance:.2f} away, more than {NEAR:g}"
    if norm > loss.rest:
        note = (f"the search for a saddle ended with a gradient norm of {norm:.1e}, "
                f"above {loss.rest:g}")
    geometry = geometry_of(unpack(loss.model, theta).W)
    return Plateau(*times, None, None, None, None, geometry, note)


# -- saddles

def _polish(loss, theta):
    """The stationary point (P,) near theta, its gradient norm and distance. (9.16)

    It is found by least squares on the gradient. Features that have nearly merged are held together
    (9.7), at first and, if need be, at the end: that keeps to one side of the kinks at which a
    whole set rests, where the Hessian jumps and the search would stall. Rotations leave the Hessian
    singular, which it can bear.
    """
    start = theta
    for held, step in ((True, STEP), (False, STEP), (True, FINE)):
        S = merging(unpack(loss.model, start)) if held else np.eye(len(theta))      # (P, Q)
        if held and S.shape[1] == len(theta):
            continue
        search = scipy.optimize.least_squares(
            lambda phi: S.T @ loss.at((S @ phi)[None])[1][0], S.T @ start,
            jac=lambda phi: S.T @ loss.slopes(S @ phi, S.T, step),
            method="lm", xtol=1e-12, ftol=1e-15, gtol=1e-15, max_nfev=60)
        found = S @ search.x
        norm = float(np.linalg.norm(loss.at(found[None])[1]))
        distance = float(np.linalg.norm(found - theta))
        if norm <= loss.rest and distance <= NEAR:
            break
        if not held:
            start = found
    return found, norm, distance


def merging(model):
    """Orthonormal columns S (P, Q) of the parameters in which merged features stay together.

    Features that are TOGETHER share their column and bias.
    """
    rows = np.vstack([model.W, model.b]).T                              # (n, m + 1)
    near = [np.linalg.norm(rows - row, axis=1) <= TOGETHER for row in rows]
    leader = [int(np.flatnonzero(one)[0]) for one in near]
    share = (np.arange(len(rows))[:, None] == leader).T.astype(float)   # (n, n): i follows leader j
    share = share[:, share.any(0)]
    share /= np.linalg.norm(share, axis=0)                              # (n, groups)
    (m, n), k = model.W.shape, share.shape[1]
    S = np.zeros(((m + 1) * n, (m + 1) * k))
    for a in range(m + 1):                                              # the rows of W, then b
        S[a * n:(a + 1) * n, a * k:(a + 1) * k] = share
    return S


def index_at(model, features, penalty=NONE):
    """How many eigendirections go down on both sides of a stationary model, and a bool.

    It says whether the curvatures on the two sides differ, as at a kink.
    """
    return _Loss(model, features, penalty).index(pack(model))


# -- what may be asked

def _check(model, features, t_final):
    """The model in float64 and t_final, else TypeError or ValueError."""
    if not isinstance(model, (Linear, ReluOutput)):
        raise TypeError(f"model must be a ReluOutput or a Linear, whose loss is known exactly, "
                        f"got {model!r}")
    check_pair(model, features)
    if why := stranger(model, features):
        raise TypeError(f"the flow of the exact loss knows the package's own models and features, "
                        f"and {why}")
    if model.instances:
        raise ValueError(f"model must be single, without an instance axis, got {model!r}; "
                         f"take model[i]")
    checks.single(features)
    t_final, importance = checks.real("t_final", t_final, above=0), features.importance.max()
    if t_final > (latest := LATEST / (importance or 1.0)):
        raise ValueError(f"t_final must be at most {latest:g} for importances up to "
                         f"{importance:g}, got {t_final:g}: so late rounding errors lead the flow")
    return model.astype(np.float64), t_final
