"""Phase diagrams: the true minimum in every cell, beside the fixed candidates that the paper compares.

    r   importance of the extra feature, the last; the others have 1       p   feature probability of all
    R, P  lengths of the two axes          C  cells          S  starts in each          m, n  hidden dimensions, features

Every cell is solved from the same starts, all cells at once. Equation (6.1) is in derivations/06-phase-changes.md.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core import checks
from ..core.features import Features
from ..core.models import Model, ReluOutput, random_stream
from ..geometry.measures import gram, interference, norms
from ..geometry.polytopes import simplex
from ..geometry.tegum import geometry_of, kept
from .energies import dropped
from .exact.loss import expected_loss
from .minima import GRADIENT, RTOL, SEARCH_STREAM, NotConverged, descend, polish, settle

NOT_LEARNED, SUPERPOSED, OWN_DIMENSION = "not learned", "superposed", "own dimension"
SHARED = 0.01               # interference above this is superposition
TIE = 1e-9                  # candidates whose losses differ by less than this fraction are equally good
RANDOM_STARTS = 3
MOST_CELLS = 512            # cells that descend together


@dataclass(frozen=True)
class PhaseDiagram:
    """True minima over a grid of R importances and P feature probabilities, beside the paper's fixed candidates.

    importance (R,), feature_probability (P,)
    model : ReluOutput with instances (R, P)        loss, gradient_norm : (R, P)
    geometry : (R, P) names                         phase : (R, P) "not learned", "superposed" or "own dimension",
    extra_norm, extra_superposition : (R, P)            of the extra feature, the last
    candidates : {(geometry, phase): (R, P) loss}, with unit norms and no biases but the dropped features'
    """

    importance: np.ndarray
    feature_probability: np.ndarray
    model: Model
    loss: np.ndarray
    gradient_norm: np.ndarray
    geometry: np.ndarray
    phase: np.ndarray
    extra_norm: np.ndarray
    extra_superposition: np.ndarray
    candidates: dict

    @cached_property
    def candidate_loss(self):
        """The lowest candidate's loss, (R, P): an upper bound of `loss`."""
        return np.min(list(self.candidates.values()), axis=0)

    @cached_property
    def _best(self):
        return np.argmin(list(self.candidates.values()), axis=0)

    @cached_property
    def candidate_geometry(self):
        """The lowest candidate's geometry, (R, P)."""
        return np.array([geometry for geometry, _ in self.candidates])[self._best]

    @cached_property
    def candidate_phase(self):
        """What becomes of the extra feature in the lowest candidate, (R, P)."""
        return np.array([phase for _, phase in self.candidates])[self._best]

    @cached_property
    def differs(self):
        """Where geometry or phase of the true minimum are not those of a lowest candidate, (R, P) bool."""
        same = [(loss <= self.candidate_loss * (1 + TIE)) & (self.geometry == geometry) & (self.phase == phase)
                for (geometry, phase), loss in self.candidates.items()]
        return ~np.any(same, axis=0)


def phase_diagram(n_features, n_hidden, *, importance, feature_probability, seed=0):
    """Solve `ReluOutput` at every importance (R,) of the last feature and every feature probability (P,) of all.

    Each cell starts from the paper's candidates, from a simplex and from a few random weights; then neighbours try each
    other's solutions until none improves. Meant for small sizes: n_features up to 8. Returns a PhaseDiagram. Raises
    NotConverged if a cell's gradient norm stays above 1e-8, ValueError or TypeError on bad arguments.
    """
    n, m = checks.integer("n_features", n_features, minimum=2), checks.integer("n_hidden", n_hidden)
    if n > 8:
        raise ValueError(f"n_features must be at most 8, got {n}")
    r = checks.array("importance", importance, ndim=1, dtype=np.float64)
    p = checks.array("feature_probability", feature_probability, ndim=1, dtype=np.float64)
    cells = [a.ravel() for a in np.meshgrid(r, p, indexing="ij")]                       # (RP,), (RP,)
    weights = np.ones((len(cells[0]), n))
    weights[:, -1] = cells[0]
    features = Features(n, cells[1][:, None], weights)                                  # checks r and p

    shapes = _candidates(n, m)
    starts = _starts(n, m, [W for W, _ in shapes], checks.seed(seed))
    theta = _solve_cells(features, starts)
    for _ in range(len(r) + len(p)):
        improved = _spread(features, theta, (len(r), len(p)))
        if not improved:
            break
    model, loss, norm = polish(ReluOutput(theta.W, theta.b), features)
    if norm.max() > GRADIENT:
        i = norm.argmax()
        raise NotConverged(f"the cell importance={cells[0][i]:g}, feature_probability={cells[1][i]:g} ended with a "
                           f"gradient of norm {norm[i]:.1e}, above {GRADIENT:g}")
    shape = len(r), len(p)
    fold = lambda a: np.asarray(a).reshape(shape + np.shape(a)[1:])
    candidates = {}
    for W, phase in shapes:
        energy = _fixed_energy(W, cells[1], weights)
        candidates[geometry_of(W), phase] = fold(energy)
    return PhaseDiagram(r, p, model.from_parameters([fold(model.W), fold(model.b)]), fold(loss), fold(norm),
                        fold([geometry_of(W) for W in model.W]), fold([extra_phase(W) for W in model.W]),
                        fold(norms(model.W)[:, -1]), fold(interference(model.W)[:, -1]), candidates)


def extra_phase(W):
    """What becomes of the last feature of W (m, n): "not learned", "superposed" or "own dimension"."""
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    if W.shape[1] - 1 not in kept(W):
        return NOT_LEARNED
    return SUPERPOSED if interference(W)[-1] > SHARED * norms(W).max() ** 2 else OWN_DIMENSION


def _candidates(n, m):
    """[(W (m, n), phase)]: every way to give each dimension one feature or an antipodal pair of unit features."""
    found = []
    for phase in (NOT_LEARNED, OWN_DIMENSION, SUPERPOSED):
        others, free = n - 1 - (phase == SUPERPOSED), m - (phase != NOT_LEARNED)
        if others < 0 or free < 0:
            continue
        for pairs in range(min(free, others // 2) + 1):
            W = np.zeros((m, n))
            for d in range(pairs):
                W[d, 2 * d:2 * d + 2] = 1, -1
            for d in range(pairs, min(free, others - pairs)):
                W[d, d + pairs] = 1
            if phase != NOT_LEARNED:
                W[-1, -1] = 1
            if phase == SUPERPOSED:
                W[-1, -2] = -1
            found.append((W, phase))
    return found


def _fixed_energy(W, p, importance):
    """The loss of a candidate W, (C,), at p (C,) and importance (C, n): I p^2 / 6 for each half of a pair, (6.1)
    nothing for a feature with its own dimension, I (p/3 - p^2/4) for a dropped one."""
    dropped_too = np.array([dropped(float(q)).loss for q in p])
    paired = (gram(W) < 0).any(1)
    return importance[:, paired].sum(1) * p**2 / 6 + importance[:, norms(W) == 0].sum(1) * dropped_too


def _starts(n, m, shapes, seed):
    """Starting weights (S, m, n): the candidates and a simplex, a little off their symmetric places, and random ones."""
    if m < n:
        W = np.zeros((m, n))
        W[:, n - m - 1:] = simplex(m)
        shapes = shapes + [W]
    noise = random_stream(seed, SEARCH_STREAM, 0)
    random = noise.normal(scale=m**-0.5, size=(RANDOM_STARTS, m, n))
    return np.concatenate([shapes + 0.02 * noise.normal(size=(len(shapes), m, n)), random])


def _solve_cells(features, starts):
    """The lowest of all starts in each cell, as a stack of models."""
    S, (m, n) = len(starts), starts.shape[1:]
    W, b = [], []
    for i in range(0, features.n_instances, MOST_CELLS):
        part = features[i:i + MOST_CELLS]
        C = part.n_instances
        many = Features(n, np.repeat(part.feature_probability, S, 0), np.repeat(part.importance, S, 0))
        stack = ReluOutput(np.tile(starts, (C, 1, 1)), many.mean())
        model, loss = settle(stack, many, tolerance=1e-5)
        best = np.arange(C) * S + loss.reshape(C, S).argmin(1)
        W.append(model.W[best])
        b.append(model.b[best])
    model, _, _ = descend(ReluOutput(np.concatenate(W), np.concatenate(b)), features, tolerance=1e-8)
    return model


def _spread(features, theta, shape):
    """Let every cell try its neighbours' solutions; write improvements into `theta`. True if there were any."""
    index = np.arange(features.n_instances).reshape(shape)
    loss = expected_loss(theta, features, rtol=RTOL)
    improved = False
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        source = np.roll(index, shift, axis)
        edge = [slice(None)] * 2
        edge[axis] = 0 if shift == 1 else -1
        source[tuple(edge)] = index[tuple(edge)]
        source = source.ravel()
        there = expected_loss(theta[source], features, rtol=RTOL)
        # Only a solution that is lower after a short descent counts; start where it is close at all.
        worth = np.flatnonzero((source != index.ravel()) & (there < loss + 0.3 * abs(loss)))
        if not len(worth):
            continue
        some = Features(features.n_features, features.feature_probability[worth], features.importance[worth])
        model, lower, _ = descend(theta[source[worth]], some, tolerance=1e-8)
        better = lower < loss[worth] - 1e-10
        k = worth[better]
        theta.W[k], theta.b[k], loss[k] = model.W[better], model.b[better], lower[better]
        improved |= bool(better.any())
    return improved
