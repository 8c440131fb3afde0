"""Branches: local minima followed along a parameter, where two cost the same, and where one ends.

    v     the parameter, from `low` to `high`     E(v)  energy of a branch, the loss at its minimum
    theta (P,)  W and b in a row                  G     (n, n)  W'W
    H     (P, P)  the Hessian of the loss
    lowest  the lowest eigenvalue of H that no rotation explains, as a part of the largest

For five features in two dimensions, say, v is how much the fifth matters: the pentagon and the two
digons are branches, their critical point is where E is the same, and the pentagon's stability limit
is where it collapses. A branch is followed by Newton's method from the nearest solution that is
known; the step halves where the solution would move too far or change its name.
Equations (6.k) are in derivations/06-phase-changes.md.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy

from ..core import checks
from ..core.features import Features
from ..core.models import Model, ReluOutput
from ..geometry.measures import gram
from ..geometry.tegum import geometry_of
from ..known import stranger
from ..penalties import NONE, Penalty, check_bounded, penalty as checked_penalty
from .curvature import FLAT, hessian, kinks, newton, rotations
from .descent import RTOL, blank_loss, evaluate, pack, settle, unpack
from .exact.loss import expected_loss
from .minima import GRADIENT, Minimum, NotConverged

EQUAL = 1e-12               # part of the energies up to which two of them are equal
MOVE = 0.1                  # part of G that a step may change, else it is halved,
BACK = 1e-5                 # and by which the way back from where a saddle begins may miss
COARSE = 2e-3               # the shortest step that surveys a branch, as a part of the range,
FINE = 1e-10                # and the shortest that ends one
SURVEY = 17                 # values of v at which a branch is looked for, and followed
BEFORE_FOLD = (0.5, 0.9, 0.99, 0.999)       # of the way to a fold, where the branch is kept
STEP, NEAR = 2e-3, 1e-5     # of differences, at most; how far a limit may be from a first guess,
#                             as a part of the range


class Parameter(NamedTuple):
    """A one-parameter family of features: `features(value)` for values from `low` to `high`."""

    features: Callable
    low: float
    high: float

    def __repr__(self):
        name = getattr(self.features, "__name__", repr(self.features))
        return f"Parameter({name}, {self.low!r} to {self.high!r})"


class CriticalPoint(NamedTuple):
    """Where the energies of two branches are equal. (6.2)

    value : of the parameter        loss : of both there, penalties included
    slopes : dE/dv of each; different slopes make the change first-order
    models : the two models
    """

    value: float
    loss: float
    slopes: tuple
    models: tuple

    def __repr__(self):
        first, second = (geometry_of(model.W) for model in self.models)
        slopes = " and ".join(f"{slope:.6g}" for slope in self.slopes)
        return (f"CriticalPoint(value={self.value:.10g}, loss={self.loss:.8g}, "
                f"{first} | {second}, slopes {slopes})")


class StabilityLimit(NamedTuple):
    """Where a branch stops being a local minimum. (6.3), (6.4)

    value : of the parameter        loss, model : of the branch there
    kind : "fold" where it meets a saddle and both vanish, "crossing" where it goes on as a saddle
    """

    value: float
    loss: float
    model: Model
    kind: str

    def __repr__(self):
        return (f"StabilityLimit(value={self.value:.10g}, loss={self.loss:.8g}, "
                f"{geometry_of(self.model.W)}, {self.kind})")


def critical_point(branch_a, branch_b, parameter, *, interference=0.0, weight_decay=0.0):
    """The value of the parameter at which two geometries have the same energy: a CriticalPoint.

    It has ten digits.

    branch_a, branch_b : Minimum or ReluOutput, a local minimum somewhere in the range
    parameter : Parameter
    interference, weight_decay : penalties as in `tm.find_minimum`, a part of the energy;
        the same as those of a Minimum that has any

    Raises ValueError if the energies do not cross where both branches exist, NotConverged if the
    end of one cannot be reached and they do not cross before; TypeError or ValueError on bad
    arguments.
    """
    penalty = checked_penalty(interference, weight_decay)
    models = [_check(name, branch, parameter, penalty)
              for name, branch in (("branch_a", branch_a), ("branch_b", branch_b))]
    a, b = (_Follower(model, parameter, penalty) for model in models)
    low, high = max(a.span[0], b.span[0]), min(a.span[1], b.span[1])
    gap = lambda v: a.loss(v) - b.loss(v)
    inside = {v for v in (*a.points, *b.points) if low < v < high}
    grid = np.array(sorted({low, high, *inside})) if low < high else np.zeros(0)
    gaps = [gap(v) for v in grid]
    noise = EQUAL * max((abs(a.loss(v)) for v in grid), default=0)
    flips = [i for i, pair in enumerate(zip(gaps, gaps[1:]))
             if pair[0] * pair[1] <= 0 and max(map(abs, pair)) > noise]
    if not flips:
        what = f"do not cross: {a.describe()}; {b.describe()}"
        if lost := a.lost or b.lost:
            raise NotConverged(f"as far as the two branches can be followed, their energies "
                               f"{what}; but {lost}")
        raise ValueError(f"the energies of the two branches {what}")
    value = scipy.optimize.brentq(gap, grid[flips[0]], grid[flips[0] + 1],
                                  xtol=1e-14 * max(1, abs(high)), rtol=1e-13)
    return CriticalPoint(value, a.loss(value), (a.slope(value), b.slope(value)),
                         (a.at(value).model, b.at(value).model))


def stability_limit(branch, parameter, *, interference=0.0, weight_decay=0.0):
    """Where a local minimum stops being one as the parameter leaves its place: a StabilityLimit.

    branch : Minimum or ReluOutput, a local minimum somewhere in the range
    parameter : Parameter
    interference, weight_decay : penalties as in `tm.find_minimum`, a part of the energy;
        the same as those of a Minimum that has any

    A branch that ends on both sides has its lower limit returned: choose `low` inside the branch to
    ask for the upper. Raises ValueError if the branch is stable over the whole range, NotConverged
    if its end cannot be reached, or if the loss bends along it, so that second derivatives do not
    say where it ends; TypeError or ValueError on bad arguments.
    """
    penalty = checked_penalty(interference, weight_decay)
    follower = _Follower(_check("branch", branch, parameter, penalty), parameter, penalty)
    if bent := follower.bent():
        raise NotConverged(f"the loss bends along the branch {follower.name}: output {bent[0]} is "
                           f"exactly 0 with positive probability there, and to either side of it "
                           f"second derivatives differ, so they do not say where the branch ends")
    if not follower.limits:
        if follower.lost:
            raise follower.lost
        raise ValueError(f"the branch is a local minimum everywhere in the range: "
                         f"{follower.describe()}")
    return follower.limits[0]


def _check(name, branch, parameter, penalty):
    """The branch's model, once it, the parameter and the penalty have been found fit."""
    model = branch.model if isinstance(branch, Minimum) else branch
    if not isinstance(model, ReluOutput) or model.instances:
        raise TypeError(f"{name} must be a Minimum or a single ReluOutput, got {branch!r}")
    if isinstance(branch, Minimum):
        own = Penalty(branch.interference, branch.weight_decay)
        if own and own != penalty:
            raise ValueError(f"{name} is a minimum with interference={own.interference:g} and "
                             f"weight_decay={own.weight_decay:g}, got {penalty.interference:g} and "
                             f"{penalty.weight_decay:g}: give the same, or {name}.model")
    if not isinstance(parameter, Parameter) or not callable(parameter.features):
        raise TypeError(f"parameter must be a Parameter(features, low, high) whose features are a "
                        f"function of the value, got {parameter!r}")
    low, high = checks.real("low", parameter.low), checks.real("high", parameter.high)
    if low >= high:
        raise ValueError(f"parameter must have low < high, got {low} and {high}")
    for v in (low, high):
        law = parameter.features(v)
        if not isinstance(law, Features) or law.n_instances \
                or law.n_features != model.n_features:
            raise TypeError(f"parameter.features({v:g}) must be Features of {model.n_features} "
                            f"features without an instance axis, got {law!r}")
        if why := stranger(model, law):
            raise TypeError(f"branches are followed for the package's own ReluOutput and Features, "
                            f"and {why}")
        check_bounded(penalty, ReluOutput, law)
    return model


def lifted(H, model):
    """The Hessian H (P, P) with the directions in which rotations move the model lifted to its top.
    """
    R = rotations(model)
    return H + np.linalg.norm(H) * R @ R.T


def _same(model, other, part):
    """Whether two models' G differ by no more than this part of the other's."""
    G = gram(other.W)
    return np.linalg.norm(gram(model.W) - G) <= part * np.linalg.norm(G)


def sharp_lowest(model, features, step=STEP, penalty=NONE):
    """The lowest eigenvalue of the lifted Hessian with its differences extrapolated to a step of 0:
    those of one step leave eight digits of some limits.
    """
    weights = {1: 1 / 45, 2: -20 / 45, 4: 64 / 45}
    H = sum(weight * hessian(model, features, step / k, penalty=penalty)
            for k, weight in weights.items())
    return np.linalg.eigvalsh(lifted(H, model))[0]


class _Point(NamedTuple):
    model: Model
    loss: float
    lowest: float


class _Follower:
    """A branch and the points of it that are known so far, by the parameter's value.

    `span` is where it is a local minimum, and `limits` are the StabilityLimits that end it.
    """

    def __init__(self, model, parameter, penalty):
        self.low, self.high = float(parameter.low), float(parameter.high)
        # Losses are measured by the blank model's, so that what counts as a gradient of zero does
        # not depend on the unit of importance, or on how rare features are.
        self.unit = float(blank_loss(parameter.features((self.low + self.high) / 2))) or 1.0
        self.law, self.penalty = parameter.features, Penalty(*(a / self.unit for a in penalty))
        self.features = cache(self._features_at)        # asked for many times at every value
        self.name, self.points, self.limits = geometry_of(model.W), {}, []
        self.lost = None                                # why an end could not be reached
        self._anchor(model.astype(np.float64))
        self.span = (self._reach(self.low), self._reach(self.high))

    def bent(self):
        """The outputs at a kink of the loss, anywhere on the branch that is known."""
        return next((found for v, point in self.points.items()
                     if (found := kinks(point.model, self.features(v)))), ())

    def describe(self):
        return f"{self.name} is followed from {self.span[0]:.6g} to {self.span[1]:.6g}"

    def _features_at(self, v):
        """The features at v, with importances by which the blank model loses about 1."""
        law = self.law(v)
        return law.replace(importance=law.importance / self.unit)

    def loss(self, v):
        """E(v), penalties included."""
        return self.at(v).loss * self.unit

    def slope(self, v):
        """dE/dv: by the envelope theorem the change of the loss at fixed weights. (6.2)"""
        model, h = self.at(v).model, 1e-4 * (self.high - self.low)
        a, b = max(v - h, self.low), min(v + h, self.high)
        loss = lambda u: expected_loss(model, self.features(u), rtol=RTOL)
        return float((loss(b) - loss(a)) / (b - a)) * self.unit

    def at(self, v, shortest=FINE):
        """The branch at v, from the nearest solution that is known, or the one on the other side.
        """
        stride = np.inf                                 # what is worth a try
        while v not in self.points:
            near = min(self.points, key=lambda u: abs(u - v))
            target = v if abs(v - near) <= stride else near + np.sign(v - near) * stride
            point = self._step(near, target)
            if point is None and stride == np.inf:      # by a fold the other side is easier
                across = [u for u in self.points if (u - v) * (near - v) < 0]
                for other in sorted(across, key=lambda u: abs(u - v))[:1]:
                    point = self._step(other, target)
            stride = abs(target - near) * (0.5 if point is None else 2)
            if point is not None:
                self.points[target] = point
            elif stride < shortest * (self.high - self.low):
                raise NotConverged(f"the branch {self.name} cannot be followed beyond {near:.12g}")
        return self.points[v]

    # -- one point

    def _gradient(self, model, theta, v):
        return evaluate(model, theta[None], self.features(v), self.penalty)[1][0]       # (P,)

    def _point(self, model, v):
        """Newton's nearest stationary point, or None if it does not converge."""
        model, loss, norm = newton(model, self.features(v), steps=6, penalty=self.penalty)
        if norm > GRADIENT:
            return None
        values, _ = self._spectrum(model, v)
        return _Point(model, loss, values[0] / abs(values).max())

    def _spectrum(self, model, v):
        """Eigenvalues and vectors of the Hessian, rotations lifted to the top."""
        return np.linalg.eigh(lifted(hessian(model, self.features(v), penalty=self.penalty), model))

    def _sharp(self, v):
        """The lowest eigenvalue at v, to ten digits."""
        return sharp_lowest(self.at(v).model, self.features(v), penalty=self.penalty)

    def _step(self, near, v):
        """The branch's point at v from that at `near`, or None if it is not clearly the same."""
        start = self.points[near].model
        point = self._point(start, v)
        if point is None or geometry_of(point.model.W) != self.name:
            return None
        if not _same(point.model, start, MOVE):
            return None
        if (point.lowest > 0) != (self.points[near].lowest > 0):    # it may be another branch's
            back = self._point(point.model, near)
            if back is None or not _same(back.model, start, BACK):
                return None
        return point

    # -- the whole branch

    def _anchor(self, model):
        """Start where the model relaxes to a local minimum of its own name.

        The places where it is most nearly stationary are tried first.
        """
        values, theta = np.linspace(self.low, self.high, SURVEY), pack(model)
        size = [(self._gradient(model, theta, v) ** 2).sum() for v in values]
        for i in np.argsort(size):
            law = self.features(values[i])
            for relax in (lambda: model,
                          lambda: settle(model[None], law, penalty=self.penalty)[0][0]):
                point = self._point(relax(), values[i])
                if point and point.lowest > 0 and geometry_of(point.model.W) == self.name:
                    self.points = {float(values[i]): point}
                    return
        raise ValueError(f"the branch {self.name!r} is a local minimum nowhere from {self.low:g} "
                         f"to {self.high:g}")

    def _reach(self, end):
        """Follow the branch towards `end` while it is a local minimum; note where it stops."""
        v = min(u for u, point in self.points.items() if point.lowest > 0)
        for target in np.linspace(v, end, SURVEY)[1:] if v != end else []:
            lost = False
            try:
                self.at(target, COARSE)
            except NotConverged:
                lost = True
            if turned := self._turned(v, end):      # on the way to where it is lost, perhaps
                return self._crossing(*turned)
            if lost:
                return self._end(np.sign(end - v))
        return end

    def _turned(self, v, end):
        """(stable, unstable): neighbours from v towards `end` between which the branch becomes a
        saddle, as far as is known; or None.
        """
        signs = [(u, point.lowest > 0) for u, point in self.points.items()]
        saddles = [u for u, stable in signs if not stable and (u - v) * (end - v) > 0]
        if not saddles:
            return None
        first = min(saddles, key=lambda u: abs(u - v))
        before = [u for u, stable in signs if stable and (first - u) * (first - v) > 0]
        return min(before, key=lambda u: abs(u - first)), first

    def _crossing(self, stable, unstable):
        value = scipy.optimize.brentq(lambda u: self.at(u).lowest, stable, unstable,
                                      xtol=1e-13, rtol=1e-13)
        near = NEAR * (self.high - self.low)
        ends = max(value - near, self.low), min(value + near, self.high)
        if self._sharp(ends[0]) * self._sharp(ends[1]) < 0:
            value = scipy.optimize.brentq(self._sharp, *ends, xtol=1e-13, rtol=1e-13)
        point = self.at(value)
        self.limits.append(StabilityLimit(value, self.loss(value), point.model, "crossing"))
        return value

    def _end(self, sign):
        """The last v of the branch on this side, hardly before its fold if that is found."""
        last = max(self.points, key=lambda u: sign * u)
        try:
            return self._fold(sign, last)
        except NotConverged as error:
            self.lost = error
            return last

    def _fold(self, sign, last):
        """Past a fold the branch turns back as a saddle. (6.4)

        v along it is smooth, with its extremum at the fold. Returns the last v before it.
        """
        model = self.points[last].model
        theta, (_, vectors) = pack(model), self._spectrum(model, last)
        # By the distance from the last point, which itself may lie a little beyond the fold.
        known = {0.0: self._on_curve(model, (theta, vectors[:, 0], 0.0), theta, last)}

        def along(c):
            """sign · v at distance c from the last point, along the softest direction."""
            if c not in known:
                near = min(known, key=lambda u: abs(u - c))
                known[c] = self._on_curve(model, (theta, vectors[:, 0], c), *known[near])
            return sign * known[c][1]

        try:
            c = _highest(along, 1e-3 * np.linalg.norm(theta))
            for part in BEFORE_FOLD:
                along(part * c)
        except NotConverged:                    # from nearer by it may be seen
            nearer = self._keep(model, known.values(), sign, last)
            if nearer == last:
                raise
            return self._fold(sign, nearer)
        for part in BEFORE_FOLD:                # another direction may have turned down before
            theta, v = known[part * c]
            point = self._point(unpack(model, theta), v) if sign * v > sign * last else None
            if point and point.lowest < -FLAT and geometry_of(point.model.W) == self.name:
                self.points[float(v)] = point
                return self._crossing(last, float(v))
        end, value = unpack(model, known[c][0]), known[c][1]
        loss = expected_loss(end, self.features(value), rtol=RTOL) + self.penalty.value(end.W)
        self.limits.append(StabilityLimit(float(value), float(loss) * self.unit, end, "fold"))
        return self._keep(model, [known[part * c] for part in BEFORE_FOLD], sign, last)

    def _keep(self, model, curve, sign, last):
        """Make points of the curve, (theta, v), points of the branch where they are minima of its
        name beyond `last`; the new last v.
        """
        for theta, v in curve:
            point = self._point(unpack(model, theta), v) if sign * v > sign * last else None
            if point and point.lowest > 0 and geometry_of(point.model.W) == self.name:
                self.points[float(v)], last = point, float(v)
        return last

    def _on_curve(self, model, plane, theta, v):
        """The stationary point on a plane, and its v: Newton in both. (6.5)

        `plane` is (origin, direction, c): the points at distance c from the origin along the
        direction. The search begins at theta and v.
        """
        (origin, direction, c), h = plane, 1e-5 * (self.high - self.low)
        theta = theta + (c - direction @ (theta - origin)) * direction
        for _ in range(20):
            missed = direction @ (theta - origin) - c
            residual = np.append(self._gradient(model, theta, v), missed)               # (P + 1,)
            H = hessian(unpack(model, theta), self.features(v), penalty=self.penalty)
            below, above = max(v - h, self.low), min(v + h, self.high)
            along_v = (self._gradient(model, theta, above)
                       - self._gradient(model, theta, below)) / (above - below)
            J = np.block([[H, along_v[:, None]], [direction, 0]])
            step = np.linalg.lstsq(J, residual, rcond=FLAT)[0]
            theta, v = theta - step[:-1], min(max(v - step[-1], self.low), self.high)
            if np.linalg.norm(residual) < 1e-12:        # before the step, which squares it
                return theta, v
        if np.linalg.norm(residual) > GRADIENT:
            raise NotConverged(f"the fold of the branch {self.name} near {v:.6g} could not be "
                               f"reached")
        return theta, v


def _highest(along, c):
    """The distance from 0, of about c or more, at which `along` is highest."""
    while max(along(c), along(-c)) <= along(0.0) and abs(c) > 1e-7:
        c /= 4
    c = c if along(c) > along(-c) else -c
    while along(2 * c) > along(c):
        c *= 2
    ends = (0.0, 2 * c) if along(c) > along(0.0) else (-c, c)
    c = scipy.optimize.minimize_scalar(lambda u: -along(float(u)), bounds=sorted(ends),
                                       method="bounded", options={"xatol": 1e-7}).x
    along(float(c))
    return float(c)
