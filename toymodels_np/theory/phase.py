"""Phase diagrams: the true minimum in every cell, beside the candidates that the paper compares.

    n, m  features, hidden dimensions       p     feature probability of all features
    r     importance of the extra feature, the last; the others have 1
    R, P  lengths of the axes r and p       C     cells, R P or a part of them
    S     starts in each cell               W, b  (C, m, n), (C, n)  a model in every cell

Every cell is solved from the same starts, all cells at once, and then neighbours try each other's
solutions. Equation (6.1) is in derivations/06-phase-changes.md.
Source: paper, "Superposition as a Phase Change".
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm.auto import tqdm

from ..core import checks
from ..core.features import Features
from ..core.models import Model, ReluOutput
from ..core.streams import SEARCH_STREAM, random_stream
from ..geometry.measures import gram, interference as superposition, norms
from ..geometry.polytopes import simplex
from ..geometry.tegum import geometry_of, kept
from ..known import stranger
from ..penalties import NONE, check_bounded, penalty as checked_penalty
from .curvature import newton
from .descent import RTOL, blank_loss, descend, select, settle
from .energies import dropped
from .exact.loss import expected_loss
from .minima import GRADIENT, IMPORTANCES, NotConverged

NOT_LEARNED, SUPERPOSED, OWN_DIMENSION = "not learned", "superposed", "own dimension"
SHARED = 0.01               # interference above this part of the longest norm² is superposition
TIE = 1e-9                  # part of their losses up to which candidates are equally good
MOST_FEATURES = 8
RANDOM_STARTS = 3
MOST_CELLS = 512            # cells that descend together
WORTH = 0.3                 # part of its loss by which a neighbour's solution may be worse at first
BETTER = 1e-10              # by how much a solution must be lower to take the place of another


@dataclass(frozen=True, eq=False, repr=False)
class PhaseDiagram:
    """True minima over a grid of R importances and P feature probabilities, beside candidates.

    importance (R,), feature_probability (P,) : the axes
    model : ReluOutput with instances (R, P)
    loss, gradient_norm : (R, P), penalties included
    geometry : (R, P) names
    phase : (R, P) "not learned", "superposed" or "own dimension": what becomes of the extra feature
    extra_norm, extra_superposition : (R, P) its norm, and Σ_j (W^ · W_j)²
    candidates : {(geometry, phase): (R, P) loss}; they have unit norms and no biases but those of
        dropped features
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

    def __repr__(self):
        span = lambda a: f"{min(a):g}…{max(a):g} ({len(a)})" if len(a) > 1 else f"{a[0]:g}"
        cells = ", ".join(f"{phase} {count}" for phase, count in
                          sorted(Counter(self.phase.ravel().tolist()).items()))
        return (f"PhaseDiagram({self.model.n_features} in {self.model.n_hidden}, "
                f"importance={span(self.importance)}, p={span(self.feature_probability)}: {cells}; "
                f"{int(self.differs.sum())} of {self.loss.size} cells differ from the candidates)")

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
        """Where the minimum's geometry or phase is that of no lowest candidate, (R, P) bool."""
        limit = self.candidate_loss * (1 + TIE)
        same = [(loss <= limit) & (self.geometry == geometry) & (self.phase == phase)
                for (geometry, phase), loss in self.candidates.items()]
        return ~np.any(same, axis=0)


def phase_diagram(n_features, n_hidden, *, importance, feature_probability, seed=0,
                  interference=0.0, weight_decay=0.0, progress=None):
    """Solve `ReluOutput` for every importance (R,) of the last feature and probability (P,) of all.

    Each cell starts from the paper's candidates, from a simplex and from a few random weights; then
    neighbours try each other's solutions until none improves. Meant for small sizes: n_features up
    to 8. `interference` and `weight_decay` are penalties as in `tm.find_minimum`, and part of all
    losses. `progress` is True, False or None, for a bar.

    Returns a PhaseDiagram. Raises NotConverged if a cell's gradient norm stays above 1e-8 of the
    largest importance, or of what an empty model loses if that is more; ValueError or TypeError on
    bad arguments.
    """
    if why := stranger(Features, ReluOutput):
        raise TypeError(f"a phase diagram knows the package's own ReluOutput and Features, "
                        f"and {why}")
    n, m = checks.integer("n_features", n_features, minimum=2), checks.integer("n_hidden", n_hidden)
    if n > MOST_FEATURES:
        raise ValueError(f"n_features must be at most {MOST_FEATURES}, got {n}")
    r = checks.array("importance", importance, ndim=1, dtype=np.float64)
    p = checks.array("feature_probability", feature_probability, ndim=1, dtype=np.float64)
    checks.memory("n_hidden", _bytes(n, m, len(r) * len(p)))
    features, penalty = _cells(n, r, p), checked_penalty(interference, weight_decay)
    check_bounded(penalty, ReluOutput, features)
    shapes, bar = candidates(n, m), checks.progress(progress)
    starts = _starts(n, m, [W for W, _ in shapes], checks.seed(seed))
    with tqdm(total=features.n_instances, unit="cell", desc="phase diagram", **bar) as shown:
        theta = _solve_cells(features, starts, penalty, shown)
        for _ in range(len(r) + len(p)):
            if not spread(features, theta, (len(r), len(p)), penalty):
                break
        solved = newton(theta, features, penalty=penalty)
    return _described(solved, features, (r, p), shapes, penalty)


def extra_phase(W):
    """What becomes of the last feature of W (m, n).

    It is "not learned", "superposed" or "own dimension".
    """
    W = checks.array("W", W, ndim=2, dtype=np.float64)
    if W.shape[1] - 1 not in kept(W):
        return NOT_LEARNED
    return SUPERPOSED if superposition(W)[-1] > SHARED * norms(W).max() ** 2 else OWN_DIMENSION


def _described(solved, features, axes, shapes, penalty):
    """The PhaseDiagram of what Newton's method made of all cells: models, losses, gradients."""
    (model, loss, norm), (r, p) = solved, axes
    cell_p, weights = features.feature_probability[:, 0], features.importance     # (C,), (C, n)
    allowed = GRADIENT * np.maximum(blank_loss(features), weights.max(1))
    if (norm > allowed).any():
        i = (norm / allowed).argmax()
        raise NotConverged(f"the cell importance={weights[i, -1]:g}, feature_probability="
                           f"{cell_p[i]:g} ended with a gradient of norm {norm[i]:.1e}, "
                           f"above {allowed[i]:g}")

    def fold(a):
        """(C, …) as (R, P, …)."""
        return np.asarray(a).reshape(len(r), len(p), *np.shape(a)[1:])

    costs = {}
    for W, phase in shapes:
        cost = fixed_energy(W, cell_p, weights) + penalty.value(W)
        costs[geometry_of(W), phase] = fold(cost)
    return PhaseDiagram(r, p, model.from_parameters([fold(model.W), fold(model.b)]), fold(loss),
                        fold(norm), fold([geometry_of(W) for W in model.W]),
                        fold([extra_phase(W) for W in model.W]), fold(norms(model.W)[:, -1]),
                        fold(superposition(model.W)[:, -1]), costs)


# -- what is compared with

def candidates(n, m):
    """[(W (m, n), phase)]: all ways to give each dimension a unit feature or an antipodal pair."""
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


def fixed_energy(W, p, importance):
    """The loss (C,) of a candidate W (m, n), at p (C,) and importance (C, n). (6.1)

    It is I p²/6 for each half of a pair, nothing for a feature with its own dimension, and
    I (p/3 - p²/4) for a dropped one.
    """
    left_out = np.array([dropped(float(q)).loss for q in p])                        # (C,)
    paired, absent = (gram(W) < 0).any(1), norms(W) == 0                            # (n,)
    return importance[:, paired].sum(1) * p**2 / 6 + importance[:, absent].sum(1) * left_out


# -- how cells are solved

def _cells(n, r, p):
    """The features of all cells, one instance each, p running fastest."""
    if (highest := r.max()) > IMPORTANCES[1]:       # squares of slopes would not fit into float64
        raise ValueError(f"importance must be at most {IMPORTANCES[1]:g}, got {highest:g}")
    cell_r, cell_p = (a.ravel() for a in np.meshgrid(r, p, indexing="ij"))          # (C,)
    weights = np.ones((len(cell_r), n))
    weights[:, -1] = cell_r
    return Features(n, cell_p[:, None], weights)


def _starts(n, m, shapes, seed):
    """Starting weights (S, m, n): candidates and a simplex, a little displaced, and random ones."""
    if m < n:
        W = np.zeros((m, n))
        W[:, n - m - 1:] = simplex(m)
        shapes = shapes + [W]
    noise = random_stream(seed, SEARCH_STREAM, 0)
    random = noise.normal(scale=m**-0.5, size=(RANDOM_STARTS, m, n))
    displaced = shapes + 0.02 * noise.normal(size=(len(shapes), m, n))
    return np.concatenate([displaced, random])


def _solve_cells(features, starts, penalty, shown):
    """The lowest of all starts in each cell, as a stack of models."""
    S, W, b = len(starts), [], []
    options = dict(penalty=penalty, watch=lambda *_: shown.update(0))   # a step of large models is
    for i in range(0, features.n_instances, MOST_CELLS):                # slow: the bar comes early
        part = features[i:i + MOST_CELLS]
        C = part.n_instances
        many = select(part, np.repeat(np.arange(C), S))                             # (C S)
        stack = ReluOutput(np.tile(starts, (C, 1, 1)), many.mean())
        model, loss = settle(stack, many, tolerance=1e-5, **options)
        best = np.arange(C) * S + loss.reshape(C, S).argmin(1)
        W.append(model.W[best])
        b.append(model.b[best])
        shown.update(C)
    model = ReluOutput(np.concatenate(W), np.concatenate(b))
    return descend(model, features, tolerance=1e-8, **options)[0]


def spread(features, theta, shape, penalty=NONE):
    """Let every cell try its neighbours' solutions; True if there were improvements in `theta`.

    `shape` is (R, P), of the cells of the stack `theta`.
    """
    index = np.arange(features.n_instances).reshape(shape)
    loss = _loss(theta, features, penalty)                                          # (C,)
    improved = False
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        source = np.roll(index, shift, axis)
        edge = [slice(None)] * 2
        edge[axis] = 0 if shift == 1 else -1
        source[tuple(edge)] = index[tuple(edge)]
        source = source.ravel()
        there = _loss(theta[source], features, penalty)
        # Only a solution that is lower after a short descent counts; start where it is close.
        close = there < loss + WORTH * abs(loss)
        worth = np.flatnonzero((source != index.ravel()) & close)
        if not len(worth):
            continue
        model, lower, _ = descend(theta[source[worth]], select(features, worth), tolerance=1e-8,
                                  penalty=penalty)
        better = lower < loss[worth] - BETTER
        k = worth[better]
        theta.W[k], theta.b[k], loss[k] = model.W[better], model.b[better], lower[better]
        improved |= bool(better.any())
    return improved


def _loss(theta, features, penalty):
    return expected_loss(theta, features, rtol=RTOL) + penalty.value(theta.W)


def _bytes(n, m, cells):
    """Of the models that descend together and of those that are kept, some ten arrays each."""
    return 80 * m * n * ((n + RANDOM_STARTS) * min(cells, MOST_CELLS) + cells)
