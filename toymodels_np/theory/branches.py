"""Branches: local minima followed along a parameter, the critical points where two cost the same, and where one ends.

    v   the parameter                    E(v)   energy of a branch, the loss at its minimum        G   Gram matrix W'W
    lowest   the lowest Hessian eigenvalue that no rotation explains, as a fraction of the largest

A branch is followed by Newton's method from the nearest solution that is known; the step halves where the solution
would move too far or change its name. Equations (6.k) are in derivations/06-phase-changes.md.
"""

from typing import Callable, NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from ..core import checks
from ..core.features import Features
from ..core.models import Model, ReluOutput
from ..geometry.measures import gram
from ..geometry.tegum import geometry_of
from .exact.loss import expected_loss, expected_loss_and_grad
from .minima import (FLAT, GRADIENT, RTOL, Minimum, NotConverged, hessian, newton, pack, rotations,
                     settle, unpack)


SAME = 1e-12                # energies that differ by less than this fraction are equal


class Parameter(NamedTuple):
    """A one-parameter family of features: `features(value)` for values from `low` to `high`."""

    features: Callable
    low: float
    high: float


class CriticalPoint(NamedTuple):
    """Where the energies of two branches are equal: the parameter's value, the loss there, dE/dv of each branch, and
    the two models. Different slopes make the change first-order. (6.2)"""

    value: float
    loss: float
    slopes: tuple
    models: tuple


class StabilityLimit(NamedTuple):
    """Where a branch stops being a local minimum: the value, the loss and the model there, and how: "fold" where it
    meets a saddle and both vanish, "crossing" where it goes on as a saddle. (6.3), (6.4)"""

    value: float
    loss: float
    model: Model
    kind: str


def critical_point(branch_a, branch_b, parameter):
    """The value of the parameter at which two geometries have the same energy, to ten digits: a CriticalPoint.

    branch_a, branch_b : Minimum or ReluOutput, a local minimum somewhere in the range of the parameter
    parameter : Parameter
    Raises ValueError if the energies do not cross where both branches exist.
    """
    a, b = _check("branch_a", branch_a, parameter), _check("branch_b", branch_b, parameter)
    a, b = _Follower(a, parameter), _Follower(b, parameter)
    low, high = max(a.span[0], b.span[0]), min(a.span[1], b.span[1])
    gap = lambda v: a.at(v).loss - b.at(v).loss
    grid = np.array(sorted({low, high, *(v for v in (*a.points, *b.points) if low < v < high)}))
    gaps = [gap(v) for v in grid] if low < high else []
    noise = SAME * max((abs(a.at(v).loss) for v in grid), default=0) if low < high else 0
    flips = [i for i in range(len(gaps) - 1) if gaps[i] * gaps[i + 1] <= 0 and max(map(abs, gaps[i:i + 2])) > noise]
    if not flips:
        raise ValueError(f"the energies of the two branches do not cross: {a.describe()}; {b.describe()}")
    value = brentq(gap, grid[flips[0]], grid[flips[0] + 1], xtol=1e-14 * max(1, abs(high)), rtol=1e-13)
    return CriticalPoint(value, a.at(value).loss, (a.slope(value), b.slope(value)),
                         (a.at(value).model, b.at(value).model))


def stability_limit(branch, parameter):
    """Where a local minimum stops being one as the parameter leaves the branch's place: a StabilityLimit.

    branch : Minimum or ReluOutput, a local minimum somewhere in the range       parameter : Parameter
    A branch that ends on both sides has its lower limit returned: choose `low` inside the branch to ask for the upper.
    Raises ValueError if the branch is stable over the whole range.
    """
    follower = _Follower(_check("branch", branch, parameter), parameter)
    if not follower.limits:
        raise ValueError(f"the branch is a local minimum everywhere in the range: {follower.describe()}")
    return follower.limits[0]


def _check(name, branch, parameter):
    """The branch's model, once it and the parameter have been found fit."""
    model = branch.model if isinstance(branch, Minimum) else branch
    if not isinstance(model, ReluOutput) or model.instances:
        raise TypeError(f"{name} must be a Minimum or a single ReluOutput, got {branch!r}")
    if not isinstance(parameter, Parameter) or not callable(parameter.features):
        raise TypeError(f"parameter must be a Parameter(features, low, high) whose features are a function of the "
                        f"value, got {parameter!r}")
    low, high = checks.real("low", parameter.low), checks.real("high", parameter.high)
    if low >= high:
        raise ValueError(f"parameter must have low < high, got {low} and {high}")
    for v in (low, high):
        law = parameter.features(v)
        if not isinstance(law, Features) or law.n_instances or law.n_features != model.n_features:
            raise TypeError(f"parameter.features({v:g}) must be Features of {model.n_features} features without an "
                            f"instance axis, got {law!r}")
    return model


class _Point(NamedTuple):
    model: Model
    loss: float
    lowest: float               # the lowest Hessian eigenvalue that no rotation explains, over the largest


class _Follower:
    """A branch and the solutions known so far, by parameter value; `span` is where it is a local minimum."""

    MOVE = 0.1                  # a step may change the Gram matrix by this fraction, else it is halved
    COARSE, FINE = 2e-3, 1e-10  # the shortest steps, as fractions of the range: to survey the branch, and to end it

    def __init__(self, model, parameter):
        self.features, self.low, self.high = parameter.features, float(parameter.low), float(parameter.high)
        self.name, self.points, self.limits = geometry_of(model.W), {}, []
        self._anchor(model.astype(np.float64))
        self.span = (self._reach(self.low), self._reach(self.high))

    def describe(self):
        return f"{self.name} is followed from {self.span[0]:.6g} to {self.span[1]:.6g}"

    def slope(self, v):
        """dE/dv: by the envelope theorem the change of the loss at fixed weights. (6.2)"""
        model, h = self.at(v).model, 1e-4 * (self.high - self.low)
        a, b = max(v - h, self.low), min(v + h, self.high)
        loss = lambda u: expected_loss(model, self.features(u), rtol=RTOL)
        return float((loss(b) - loss(a)) / (b - a))

    def at(self, v, shortest=FINE):
        """The branch at v, from the nearest solution that is known."""
        while v not in self.points:
            near = min(self.points, key=lambda u: abs(u - v))
            target = v
            while (point := self._step(near, target)) is None:
                target = (near + target) / 2
                if abs(target - near) < shortest * (self.high - self.low):
                    raise NotConverged(f"the branch {self.name} cannot be followed beyond {near:.12g}")
            self.points[target] = point
        return self.points[v]

    def _anchor(self, model):
        """Start where in the range the model relaxes to a local minimum of its own name, most stationary places first."""
        values = np.linspace(self.low, self.high, 17)
        gradients = [expected_loss_and_grad(model, self.features(v), rtol=RTOL)[1].parameters for v in values]
        for i in np.argsort([sum((a * a).sum() for a in g) for g in gradients]):
            for relax in (lambda: model, lambda: settle(model[None], self.features(values[i]))[0][0]):
                point = self._point(relax(), values[i])
                if point and point.lowest > 0 and geometry_of(point.model.W) == self.name:
                    self.points = {float(values[i]): point}
                    return
        raise ValueError(f"the branch {self.name!r} is a local minimum nowhere from {self.low:g} to {self.high:g}")

    def _point(self, model, v):
        """Newton's nearest stationary point, or None if it does not converge."""
        model, loss, norm = newton(model, self.features(v), steps=6)
        if norm > GRADIENT:
            return None
        values, _ = self._spectrum(model, v)
        return _Point(model, loss, values[0] / abs(values).max())

    def _spectrum(self, model, v):
        """Eigenvalues and vectors of the Hessian, rotations lifted to the top."""
        H, R = hessian(model, self.features(v)), rotations(model)
        return np.linalg.eigh(H + np.linalg.norm(H) * R @ R.T)

    def _step(self, near, v):
        """The branch's point at v from the one at `near`, or None if that is not clearly the same branch."""
        start = self.points[near].model
        point = self._point(start, v)
        if point is None or geometry_of(point.model.W) != self.name:
            return None
        change = np.linalg.norm(gram(point.model.W) - gram(start.W))
        return point if change <= self.MOVE * np.linalg.norm(gram(start.W)) else None

    def _reach(self, end):
        """Follow the branch towards `end` while it is a local minimum; where it stops, note the limit."""
        v = min(self.points)
        for target in np.linspace(v, end, 17)[1:] if v != end else []:
            try:
                self.at(target, self.COARSE)
            except NotConverged:
                return self._fold(np.sign(end - v))
            if self.points[target].lowest < 0:
                return self._crossing(max((u for u in self.points if (target - u) * (target - v) > 0
                                           and self.points[u].lowest > 0), key=lambda u: -abs(u - target)), target)
        return end

    def _crossing(self, stable, unstable):
        value = brentq(lambda u: self.at(u).lowest, stable, unstable, xtol=1e-13, rtol=1e-13)
        self.limits.append(StabilityLimit(value, self.at(value).loss, self.at(value).model, "crossing"))
        return stable

    def _fold(self, sign):
        """Past a fold the branch turns back as a saddle: v along it is smooth, with its extremum at the fold. (6.4)"""
        last = max(self.points, key=lambda u: sign * u)
        model = self.points[last].model
        theta, (_, vectors) = pack(model), self._spectrum(model, last)
        known = {0.0: (theta, last)}

        def along(c):
            """sign * v at distance c from the last point, along the softest direction."""
            if c not in known:
                near = min(known, key=lambda u: abs(u - c))
                known[c] = self._on_curve(model, theta, vectors[:, 0], c, *known[near])
            return sign * known[c][1]

        c = 1e-3 * np.linalg.norm(theta)
        c = c if along(c) > along(0.0) else -c
        while along(2 * c) > along(c):
            c *= 2
        c = minimize_scalar(lambda u: -along(float(u)), bounds=sorted((0.0, 2 * c)), method="bounded",
                            options={"xatol": 1e-7}).x
        along(float(c))
        end, value = known[float(c)]
        end = unpack(model, end)
        loss = float(expected_loss(end, self.features(value), rtol=RTOL))
        self.limits.append(StabilityLimit(float(value), loss, end, "fold"))
        return last

    def _on_curve(self, model, origin, direction, c, theta, v):
        """The stationary point at distance c from the origin along the direction, and its v: Newton in both. (6.5)"""
        h = 1e-5 * (self.high - self.low)
        gradient = lambda theta, v: pack(expected_loss_and_grad(unpack(model, theta), self.features(v), rtol=RTOL)[1])
        theta = theta + (c - direction @ (theta - origin)) * direction
        for _ in range(20):
            residual = np.append(gradient(theta, v), direction @ (theta - origin) - c)
            if np.linalg.norm(residual) < 1e-12:
                return theta, v
            H = hessian(unpack(model, theta), self.features(v))
            along_v = (gradient(theta, v + h) - gradient(theta, v - h)) / (2 * h)
            J = np.block([[H, along_v[:, None]], [direction, 0]])
            step = np.linalg.lstsq(J, residual, rcond=FLAT)[0]
            theta, v = theta - step[:-1], v - step[-1]
        if np.linalg.norm(residual) > GRADIENT:
            raise NotConverged(f"the fold of the branch {self.name} near {v:.6g} could not be reached")
        return theta, v
