"""Row 4: two features in one dimension; what becomes of the second one.

As its importance r and the probability p of both vary, the extra feature is not learned, stored in
superposition, or given the dimension. The paper compares fixed candidates; here every cell has its
true minimum, and trained models too. The changes are jumps where two energies cross, but where the
extra feature grows from nothing they are continuous. Row 5 is run and measured by the same code.

    R, P  importances, probabilities        T, U  those of them at which models are trained
    S     starts in each cell
"""

from functools import cache

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry.measures import REPRESENTED, gram, interference, norms
from ..plots import rows as pictures
from ..theory.energies import dropped
from ..theory.exact.loss import expected_loss
from ..theory.phase import (
    NOT_LEARNED,
    OWN_DIMENSION,
    SUPERPOSED,
    TIE,
    extra_phase,
    phase_diagram,
)
from .base import Experiment, fit
from .claims import Claim, NotMeasured, requires
from .phase_grids import Grid, minima

SECTION = "Superposition as a Phase Change"
PHASES = NOT_LEARNED, OWN_DIMENSION, SUPERPOSED       # of equally good candidates the first counts
JOINT = "joint"             # of three features: all push each other away, a triangle
PUSH = 0.02                 # an interference counts above this fraction of the largest norm²
SHARED = 0.5                # an averaged feature shares its dimension from this interference on
JUMP = 0.1                  # an extra feature's norm from which its appearance is a jump
APPEARED = 0.01             # its norm from which it is there at all
FEWEST, FEWEST_TRAINED = 10, 5      # cells along an axis that decide anything
SETTINGS = {"n_features": 2, "n_hidden": 1, "cells": 60, "near_cells": 0, "every": 6, "starts": 10,
            "lines": [0.3, 0.6], "steps": 1000, "batch_size": 256, "learning_rate": 3e-2}


def run(job):
    """True minima and fixed candidates on all cells, trained models on every so many of them.

    importance (R,), probability (P,)
    true_phase, candidate_phase, true_norm, true_sharing (R, P), true_null (R, P, n)
    trained_rows (T,), trained_columns (U,)           where on the grid models are trained
    trained_loss (T, U, S), trained_null (T, U, S, n) of each of them
    trained_phase, _norm, _sharing (T, U, S)          of the extra feature there
    near_importance, near_probability, near_phase, near_candidate_phase    the close-up, if any
    line_norms (L,)             with which it appears at p of each line; see `appearance`
    """
    n, m = job["n_features"], job["n_hidden"]
    grid = Grid(n, m, job["cells"])
    result = truth(grid) | train_cells(job, grid)
    if job["near_cells"]:
        near = truth(Grid(n, m, job["near_cells"], near=True))
        names = {"importance": "near_importance", "probability": "near_probability",
                 "true_phase": "near_phase", "candidate_phase": "near_candidate_phase"}
        result |= {new: near[old] for old, new in names.items()}
    if job["lines"]:
        result["line_norms"] = np.array([appearance(n, m, p) for p in job["lines"]])
    return result


def train_cells(job, grid):
    """Models trained on every so many cells of the grid, and what became of the extra feature."""
    S, n, m = job["starts"], job["n_features"], job["n_hidden"]
    chosen = np.arange(min(job["every"] // 2, grid.cells - 1), grid.cells, job["every"])
    r, p = (a.ravel() for a in np.meshgrid(grid.importance[chosen], grid.probability[chosen],
                                           indexing="ij"))
    weights = np.ones((len(r) * S, n))
    weights[:, -1] = np.repeat(r, S)
    features = Features(n, np.repeat(p, S)[:, None], weights)
    model = fit(ReluOutput.init(n, m, len(weights), seed=job["seed"]), features, job,
                schedule="cosine", record_every=max(job["steps"], 1))
    shape = len(chosen), len(chosen), S
    return {"trained_rows": chosen, "trained_columns": chosen,
            "trained_phase": phases(model.W).reshape(shape),
            "trained_norm": norms(model.W)[:, -1].reshape(shape),
            "trained_sharing": interference(model.W)[:, -1].reshape(shape),
            "trained_null": null_direction(model.W).reshape(*shape, n),
            "trained_loss": expected_loss(model, features, rtol=1e-6).reshape(shape)}


# -- the truth, and the paper's candidates ---------------------------------------------------------

@cache
def truth(grid):
    """Phases of the true minima and of the best candidates on a Grid: part of a run's result."""
    W = minima(grid).W
    return {"importance": grid.importance, "probability": grid.probability,
            "true_phase": phases(W),
            "candidate_phase": candidate_phases(grid.n, grid.m, grid.importance, grid.probability),
            "true_norm": norms(W)[..., -1], "true_sharing": interference(W)[..., -1],
            "true_null": null_direction(W)}


def null_direction(W):
    """The unit vector that each W (..., n - 1, n) is orthogonal to, (..., n); NaN for other W."""
    m, n = W.shape[-2:]
    if n != m + 1:
        return np.full((*W.shape[:-2], n), np.nan)
    return np.linalg.svd(W)[2][..., -1, :]


def phases(W):
    """What became of the extra feature, the last, in each of W (..., m, n): an array of names."""
    flat = np.array([extra_phase(V) for V in W.reshape(-1, *W.shape[-2:])])
    return np.where(is_joint(W), JOINT, flat.reshape(W.shape[:-2]))


def is_joint(W):
    """Where three features in two dimensions all push each other away, W (..., m, n): a triangle,
    deformed where the features differ in importance."""
    if W.shape[-2:] != (2, 3):
        return np.zeros(W.shape[:-2], dtype=bool)
    G = gram(W)
    others = ~np.eye(3, dtype=bool)
    return (G[..., others] < -PUSH * G.max((-1, -2))[..., None]).all(-1)


def candidate_phases(n, m, importance, probability):
    """What becomes of the extra feature in the best fixed candidate, (R, P).

    A candidate gives each dimension one feature or an antipodal pair, with unit norms. A feature of
    a pair costs I p²/6, one that is dropped I (p/3 − p²/4), all others nothing. (6.1)
    """
    r, p = np.meshgrid(importance, probability, indexing="ij")
    pair, nothing = p**2 / 6, np.vectorize(lambda q: dropped(float(q)).loss)(p)

    def rest(k, room):
        """The cheapest way to put k features of importance 1 into so many dimensions."""
        held = [2 * pairs + min(room - pairs, k - 2 * pairs)
                for pairs in range(min(room, k // 2) + 1)]
        return np.min([2 * i * pair + (k - h) * nothing for i, h in enumerate(held)], axis=0)

    costs = np.array([r * nothing + rest(n - 1, m), rest(n - 1, m - 1),
                      (1 + r) * pair + rest(n - 2, m - 1)])
    return np.array(PHASES)[(costs <= costs.min(0) * (1 + TIE)).argmax(0)]


@cache
def appearance(n, m, p, low=1e-3, refinements=5, points=6):
    """The norm with which the extra feature appears as its importance grows, in true minima.

    The importance is found to 0.3 %, between `low` and 1. NaN if the feature is there at `low`
    already, or not even at 1: then it appears where nobody looked.
    """
    high, above = 1.0, np.nan
    for _ in range(refinements):
        line = np.geomspace(low, high, points)
        norm = phase_diagram(n, m, importance=line, feature_probability=[p]).extra_norm[:, 0]
        first = int(np.argmax(norm > APPEARED))
        if first == 0:
            return np.nan
        low, high, above = line[first - 1], line[first], norm[first]
    return above


# -- what is measured ------------------------------------------------------------------------------

def at_trained(run, key):
    """What the run has under `key` for all cells (R, P), at those where models are trained."""
    return run[key][np.ix_(run["trained_rows"], run["trained_columns"])]


def of_best(runs, key):
    """What the best model of all runs in each trained cell has under `key`, (T, U, …)."""
    loss, values = (np.concatenate([run[name] for run in runs], axis=2)
                    for name in ("trained_loss", key))
    row, column = np.indices(loss.shape[:2])
    return values[row, column, loss.argmin(-1)]


def best_phase(runs):
    """The phase of the best model of all runs in each trained cell, (T, U)."""
    return of_best(runs, "trained_phase")


def regions(runs):
    """How many different phases the true minima have; a triangle is a kind of superposition."""
    return len(set(merged(runs[0]["true_phase"]).ravel()))


def linear_regions(runs):
    """How many phases a linear model has: it drops the feature that matters least."""
    return len({NOT_LEARNED if r < 1 else OWN_DIMENSION for r in runs[0]["importance"]})


def merged(phase):
    """The paper's three phases: the joint solution is a superposition."""
    return np.where(phase == JOINT, SUPERPOSED, phase)


def wrong_candidates(runs):
    """The share of cells where the best candidate names another phase than the true minimum."""
    return (runs[0]["candidate_phase"] != merged(runs[0]["true_phase"])).mean()


def wrong_linear(runs):
    """The same for a rival that knows no superposition: learned if it matters more than others."""
    r = runs[0]["importance"][:, None]
    return (np.where(r < 1, NOT_LEARNED, OWN_DIMENSION)
            != merged(runs[0]["true_phase"])).mean()


def found_by_best(runs):
    """The share of trained cells whose best model has the true phase, one number a seed."""
    return [(merged(best_phase([run])) == merged(at_trained(run, "true_phase"))).mean()
            for run in runs]


def success_by_phase(run):
    """Of single models: the mean over the true phases of the share that ends in that phase."""
    true = merged(at_trained(run, "true_phase"))
    right = merged(run["trained_phase"]) == true[..., None]
    return np.mean([right[true == phase].mean() for phase in sorted(set(true.ravel()))])


def success(runs):
    """`success_by_phase`, one number a seed; chance is the reciprocal of the number of phases."""
    return [success_by_phase(run) for run in runs]


def shown(norm, sharing):
    """What a cell of the paper's figure shows, by the mean norm and the mean interference in it."""
    learned = np.where(sharing >= SHARED, SUPERPOSED, OWN_DIMENSION)
    return np.where(norm < REPRESENTED, NOT_LEARNED, learned)


def mean_of_ten(runs):
    """The share of cells that show the truth where ten models are averaged without the worst."""
    requires(runs, starts=10)
    agree = []
    for run in runs:
        kept = np.argsort(run["trained_loss"], axis=-1)[..., :-1]
        mean = (np.take_along_axis(run[key], kept, -1).mean(-1)
                for key in ("trained_norm", "trained_sharing"))
        true = (at_trained(run, key) for key in ("true_norm", "true_sharing"))
        agree.append((shown(*mean) == shown(*true)).mean())
    return agree


def appears_at(p):
    """A measure: the norm with which the extra feature appears at p as its importance grows."""
    def measure(runs):
        for line, norm in zip(runs[0]["lines"], runs[0].get("line_norms", ())):
            if np.isclose(line, p) and np.isnan(norm):
                raise NotMeasured(f"at p = {p:g} the extra feature does not appear between the "
                                  "importances that were looked at")
            if np.isclose(line, p):
                return norm
        raise NotMeasured(f"the claim speaks of the line p = {p:g}, and the runs have "
                          f"{runs[0]['lines']}")
    return measure


def of_size(n, m, measure):
    """`measure` for runs of n features in m dimensions; NotMeasured for others."""
    def checked(runs):
        requires(runs, n_features=n, n_hidden=m)
        return measure(runs)
    return checked


def over_cells(measure, *, trained=False):
    """`measure` of all cells, or of the `trained` ones; NotMeasured where these are too few."""
    def checked(runs):
        along = len(runs[0]["trained_rows"]) if trained else runs[0]["cells"]
        if along < (FEWEST_TRAINED if trained else FEWEST):
            raise NotMeasured(f"the claim speaks of many {'trained ' * trained}cells, and the runs "
                              f"have {along} along each axis")
        return measure(runs)
    return checked


def draw(runs):
    """Fixed candidates, true minima and the best trained models; and a close-up if there is one."""
    run = runs[0]
    axes = run["importance"], run["probability"]
    trained = run["trained_rows"], run["trained_columns"]
    near = [run[f"near_{key}"] for key in ("importance", "probability", "phase",
                                           "candidate_phase")] if run["near_cells"] else None
    return pictures.phase_2_1.figure(
        *axes, run["candidate_phase"], run["true_phase"], *trained,
        best_phase(runs), near)


def shared_claims(n, m):
    """The claims that rows 4 and 5 both make."""
    name, key = f"{n} in {m}", f"{n}-in-{m}"

    def claim(words, sentence, measure, **options):
        return Claim(f"{key}-{words}", SECTION, f"{name}: {sentence}", of_size(n, m, measure),
                     **options)

    return (
        claim("three-regions", "the extra feature has three phases: not learned, superposed, own "
              "dimension.", over_cells(regions), low=3, high=3,
              control=of_size(n, m, linear_regions)),
        claim("candidates-decide", "the best fixed candidate tells the true phase: share of cells "
              "where it does not.", over_cells(wrong_candidates), high=0.01,
              control=of_size(n, m, wrong_linear),
              correction="the best candidate names another phase than the truth in a share "
                         "{measured} of the cells"),
        claim("training-finds-it", "the best of the trained models has the true phase: share of "
              "cells.", over_cells(found_by_best, trained=True), low=0.85),
        claim("mean-of-ten", "the mean of ten trained models without the worst, as the paper draws "
              "it, shows the true phase: share of cells.", over_cells(mean_of_ten, trained=True),
              low=0.75),
    )


CLAIMS = (
    *shared_claims(2, 1),
    Claim("2-in-1-first-order", SECTION, "2 in 1: the change is first-order: at p = 0.3 the extra "
          "feature appears with a norm that is not small.", of_size(2, 1, appears_at(0.3)),
          low=JUMP, control=of_size(2, 1, appears_at(0.6))),
    Claim("2-in-1-first-order-dense", SECTION, "2 in 1: the change is first-order also among "
          "denser features, p = 0.6: norm with which the extra feature appears.",
          of_size(2, 1, appears_at(0.6)), low=JUMP,
          correction="at p = 0.6 the change is continuous: the norm grows from 0, and is "
                     "{measured} just above it",
          control="none: the claim itself fails; at p = 0.3 the same measure finds a jump"),
    Claim("2-in-1-success-rate", SECTION, "2 in 1: most single training runs end in the true "
          "phase, whichever it is.", of_size(2, 1, over_cells(success, trained=True)), low=0.5,
          kind="ours",
          expected="at least half in the mean over the phases; chance is a third"),
)

EXPERIMENT = Experiment(
    "phase-2-1", 4, "Phase diagram, two features in one dimension", SECTION, "06",
    SETTINGS | {"seeds": 2},
    SETTINGS | {"every": 3, "steps": 4000, "batch_size": 512, "learning_rate": 2e-2, "seeds": 3},
    run, draw, CLAIMS)


if __name__ == "__main__":
    from .command import main
    main(EXPERIMENT.name)
