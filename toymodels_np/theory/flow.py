"""Learning without noise: the gradient flow of the exact loss, its plateaus, and the saddles that it passes.

    theta (P,)  W and b in a row       g  the gradient of L at theta      v  the speed, |d theta / dt| = |g|
    t  time                            H  the Hessian                     index  how many directions go down
    r  the fall of the loss in a decade of time, as a part of its whole drop

The flow slows down where it passes near a saddle, and stays for a time that grows with the logarithm of how near (9.9).
Equations (9.k) are in derivations/09-gradient-flow.md.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from ..core import checks
from ..core.models import Linear, Model, ReluOutput
from ..geometry.tegum import geometry_of
from .estimate import check_pair
from .minima import DIFFERENCE, FLAT, evaluate, hessian, pack, unpack

RTOL, ATOL = 1e-6, 1e-9     # of the integration, for each parameter
POINTS, DECADES = 50, 7     # grid: so many points to a decade, over so many decades up to t_final
SLOW = 0.03                 # on a plateau the loss falls by at most this part of its whole drop in a decade of time,
DIP = 1.5                   # and the speed dips: it is this many times faster both before and after
ARRIVED = 1e-6              # the flow has arrived when its speed is this part of its highest, or STATIONARY
STATIONARY = 1e-9           # gradient norm of a polished saddle, at most
STEP, FINE = 1e-7, 1e-10    # of the one-sided differences of the gradient: short, not to reach across a kink
NEAR = 0.5                  # its distance from the slowest point, at most; a represented feature has a norm of about 1
MERGED = 0.05               # features whose columns and biases are this close may share them at the saddle
KINKED = 1e-3               # part of the largest curvature by which those on two sides may differ and count as the same


@dataclass(frozen=True)
class Plateau:
    """A stretch of time in which the loss hardly falls, and the saddle (at the end, the minimum) that holds the flow.

    start, end : times; the last end is t_final       loss : the flow's, where it is slowest
    model, saddle_loss, gradient_norm : the saddle, polished, or None where it could not be
    index : how many eigendirections of the Hessian go down from it, on both sides; None without a saddle
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


@dataclass(frozen=True)
class Flow:
    """times (T,), 0 and then a logarithmic grid; losses (T,); speeds (T,); parameters, a model (T, …); and plateaus."""

    times: np.ndarray
    losses: np.ndarray
    speeds: np.ndarray
    parameters: Model
    plateaus: tuple


def gradient_flow(model, features, *, t_final):
    """d theta / dt = -dL/d theta from `model` on the exact loss, its plateaus and their saddles. (9.1)

    Parameters
    ----------
    model : ReluOutput or Linear without an instance axis, of any dtype
    features : Features without an instance axis        t_final : > 0, in units of 1 / curvature of the loss

    Returns a Flow. Raises ArithmeticError where the integrator gives up, ValueError or TypeError on bad arguments.
    Source: paper, "Superposition and Learning Dynamics".
    """
    model, t_final = _check(model, features, t_final)

    def velocity(t, theta):
        return -evaluate(model, theta[None], features)[1][0]           # (P,)                      (9.1)

    def jacobian(t, theta):
        return -_slopes(model, theta, features, np.eye(len(theta)), STEP)

    # Stiff: curvatures differ by 10^4 and more. They are real, where BDF is stable whatever its step; and it asks for
    # the fewest Hessians, which cost as much as P + 1 gradients.
    steps = solve_ivp(velocity, (0.0, t_final), pack(model), method="BDF", jac=jacobian, rtol=RTOL, atol=ATOL,
                      dense_output=True)
    if not steps.success:
        raise ArithmeticError(f"the integration stopped at t = {steps.t[-1]:.6g} of {t_final:g}: {steps.message}")
    times = np.append(0.0, t_final * np.logspace(-DECADES, 0, POINTS * DECADES + 1))        # (T,)
    theta = steps.sol(times).T                                          # (T, P)
    losses, g = evaluate(model, theta, features)
    speeds = np.linalg.norm(g, axis=1)
    plateaus = tuple(_plateau(model, features, theta[slowest], times[start], times[end], float(losses[slowest]))
                     for start, slowest, end in find_plateaus(times, losses, speeds))
    return Flow(times, losses, speeds, unpack(model, theta), plateaus)


def find_plateaus(times, losses, speeds):
    """Where a flow rests: a list of (start, slowest, end), indices into the arrays (T,), in order of time.

    times : 0, then a grid that is even in log t        losses : falling        speeds : norms of the gradient there
    A plateau lies around a dip of the speed, DIP times deeper than the speed's peaks to its left and right, and reaches
    as far as r <= SLOW and no farther than those peaks. A flow that has ARRIVED ends with one. (9.10)
    """
    from scipy.signal import find_peaks                                 # here, since it takes long to import
    still = max(ARRIVED * speeds.max(), STATIONARY)
    t, v, drop = times[1:], np.maximum(speeds[1:], still), losses[0] - losses[-1]
    rate = np.log(10) * t * v**2 / max(drop, np.finfo(float).tiny)      # (T - 1,)                  (9.10)
    dips = [int(i) for i in find_peaks(-np.log(v), prominence=np.log(DIP))[0]]
    if speeds[-1] <= still:
        rate[-1] = 0
        dips.append(len(t) - 1)
    found, left = [], 0
    for k, dip in enumerate(dips):
        right = dip + int(v[dip:dips[k + 1]].argmax()) if k + 1 < len(dips) else len(t) - 1
        if rate[dip] <= SLOW:
            fast = np.flatnonzero(rate > SLOW)
            start, end = max([left, *(fast[fast < dip] + 1)]), min([right, *(fast[fast > dip] - 1)])
            found.append((start + 1, dip + 1, end + 1))                 # times[0] = 0 is no point of the grid
        left = right
    return found


def _plateau(model, features, theta, start, end, loss):
    """The record of one plateau, from the slowest point theta (P,) on it."""
    found, norm, distance = _polish(model, features, theta)
    if norm <= STATIONARY and distance <= NEAR:
        saddle, value = unpack(model, found), float(evaluate(model, found[None], features)[0][0])
        index, kinked = _index(model, features, found)
        note = ("the curvature jumps at this saddle, where a ReLU is at its kink: the index counts the directions that "
                "go down on both sides") if kinked else ""
        return Plateau(float(start), float(end), loss, saddle, value, norm, index, geometry_of(saddle.W), note)
    note = (f"the saddle that was found is {distance:.2f} away, more than {NEAR:g}" if norm <= STATIONARY else
            f"the search for a saddle ended with a gradient norm of {norm:.1e}, above {STATIONARY:g}")
    return Plateau(float(start), float(end), loss, None, None, None, None, geometry_of(unpack(model, theta).W), note)


def _polish(model, features, theta):
    """The stationary point (P,) near theta, its gradient norm and distance: least squares on the gradient. (9.16)

    Features that have nearly merged are held together (9.7), at first and, if need be, at the end: that keeps to one
    side of the kinks at which a whole set rests, where the Hessian jumps and the search would stall. Rotations leave
    the Hessian singular, which it can bear.
    """
    start = theta
    for held, step in ((True, STEP), (False, STEP), (True, FINE)):
        S = _merging(unpack(model, start)) if held else np.eye(len(theta))           # (P, Q)
        if held and S.shape[1] == len(theta):
            continue
        search = least_squares(lambda phi: S.T @ evaluate(model, (S @ phi)[None], features)[1][0], S.T @ start,
                               jac=lambda phi: S.T @ _slopes(model, S @ phi, features, S.T, step),
                               method="lm", xtol=1e-12, ftol=1e-15, gtol=1e-15, max_nfev=60)
        found = S @ search.x
        norm = float(np.linalg.norm(evaluate(model, found[None], features)[1]))
        distance = float(np.linalg.norm(found - theta))
        if norm <= STATIONARY and distance <= NEAR:
            break
        if not held:
            start = found
    return found, norm, distance


def _merging(model):
    """Orthonormal columns S (P, Q) that span the parameters in which merged features share their column and bias."""
    rows = np.vstack([model.W, model.b]).T                              # (n, m + 1)
    leader = [int(np.flatnonzero(np.linalg.norm(rows - row, axis=1) <= MERGED)[0]) for row in rows]
    share = (np.arange(len(rows))[:, None] == leader).T.astype(float)   # (n, n): feature i follows leader j
    share = share[:, share.any(0)]
    share /= np.linalg.norm(share, axis=0)                              # (n, groups)
    (m, n), k = model.W.shape, share.shape[1]
    S = np.zeros(((m + 1) * n, (m + 1) * k))
    for a in range(m + 1):                                              # the rows of W, then b
        S[a * n:(a + 1) * n, a * k:(a + 1) * k] = share
    return S


def _index(model, features, theta):
    """How many eigendirections have a negative curvature to both sides, and whether the sides differ."""
    values, vectors = np.linalg.eigh(hessian(unpack(model, theta), features))
    sides = [(_slopes(model, theta, features, vectors.T, side * DIFFERENCE) * vectors).sum(0) for side in (1, -1)]
    largest = abs(values).max()
    down = np.maximum(*sides) < -FLAT * largest
    return int(down.sum()), bool(abs(sides[0] - sides[1]).max() > KINKED * largest)


def _slopes(model, theta, features, directions, step):
    """Columns (P, D): how the gradient changes along each row of `directions` (D, P), by one-sided differences."""
    g = evaluate(model, theta + step * np.vstack([np.zeros(len(theta)), directions]), features)[1]
    return ((g[1:] - g[0]) / step).T


def _check(model, features, t_final):
    """The model in float64 and t_final, else TypeError or ValueError."""
    if not isinstance(model, (Linear, ReluOutput)):
        raise TypeError(f"model must be a ReluOutput or a Linear, whose loss is known exactly, got {model!r}")
    check_pair(model, features)
    if model.instances:
        raise ValueError(f"model must be single, without an instance axis, got {model!r}; take model[i]")
    if features.n_instances is not None:
        raise ValueError(f"features must have no instance axis, got {features.n_instances} instances; take features[i]")
    return model.astype(np.float64), checks.real("t_final", t_final, above=0)
