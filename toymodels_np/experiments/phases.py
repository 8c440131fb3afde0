"""Rows 4 and 5: what becomes of one extra feature, as its importance and the sparsity of all vary.

Two features in one dimension, and three in two. The extra feature is not learned, stored in superposition, or given a
dimension of its own. The paper compares fixed candidates; here every cell has its true minimum, and trained models too.
The changes are jumps where two energies cross, but where the extra feature grows from nothing they are continuous. And
of three features in two dimensions the joint solution, a triangle (W orthogonal to (1, 1, 1)), is missing in the paper.
"""

from functools import cache

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import gram
from ..theory.exact.loss import expected_loss
from ..theory.phase import extra_phase, phase_diagram
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Superposition as a Phase Change"
PUSH = 0.02                                     # an interference counts above this fraction of the largest norm^2
JUMP = 0.1                                      # an extra feature's norm from which its appearance is a jump
IMPORTANCE, PROBABILITY = (0.1, 10), (0.01, 1)  # from, to; evenly on log axes
NEAR = (0.7, 1.45), (0.5, 1)                    # importance and probability where the joint solution competes
SETTINGS = {"every": 2, "starts": 5, "steps": 1500, "batch_size": 256, "learning_rate": 2e-2}
TWO = SETTINGS | {"n_features": 2, "n_hidden": 1, "cells": 10, "near_cells": 0, "lines": [0.3, 0.6]}
THREE = SETTINGS | {"every": 1, "starts": 2, "steps": 1200, "n_features": 3, "n_hidden": 2, "cells": 8,
                    "near_cells": 6, "lines": []}


def is_joint(W):
    """Where three features all push each other away, W (..., m, 3): a triangle, deformed where importances differ."""
    G = gram(W)
    others = ~np.eye(W.shape[-1], dtype=bool)
    return (G[..., others] < -PUSH * G.max((-1, -2))[..., None]).all(-1) & (W.shape[-1] == 3)


@cache
def truth(n, m, cells):
    """The true minima and the fixed candidates over the grid: a PhaseDiagram of cells x cells."""
    importance, probability = (np.geomspace(*span, cells) for span in (IMPORTANCE, PROBABILITY))
    return phase_diagram(n, m, importance=importance, feature_probability=probability)


@cache
def close_up(cells):
    """The true minima of 3 features in 2 dimensions where all matter about the same and none is rare."""
    importance, probability = np.geomspace(*NEAR[0], cells), np.linspace(*NEAR[1], cells)
    return phase_diagram(3, 2, importance=importance, feature_probability=probability)


@cache
def appearance(p, refinements=4, points=6):
    """(importance at which the second of two features in one dimension appears, its norm just above), true minima."""
    low, high = 0.1, 1.0
    for _ in range(refinements):
        line = np.linspace(low, high, points)
        norm = phase_diagram(2, 1, importance=line, feature_probability=[p]).extra_norm[:, 0]
        first = max(int(np.argmax(norm > 0.01)), 1)
        low, high, above = line[first - 1], line[first], norm[first]
    return high, above


def run(job):
    """True phases, candidates' phases, and the phase of every trained model on every so many cells along each axis."""
    n, m, S, every = job["n_features"], job["n_hidden"], job["starts"], job["every"]
    d = truth(n, m, job["cells"])
    r, p = (a.ravel() for a in np.meshgrid(d.importance[::every], d.feature_probability[::every], indexing="ij"))
    weights = np.ones((len(r) * S, n))
    weights[:, -1] = np.repeat(r, S)
    features = Features(n, np.repeat(p, S)[:, None], weights)
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    model = train(ReluOutput.init(n, m, len(weights), seed=job["seed"]), features, schedule="cosine", progress=False,
                  record_every=job["steps"], **options).model
    shape = (*d.phase[::every, ::every].shape, S)
    result = {"importance": d.importance, "probability": d.feature_probability, "phase": d.phase,
              "candidate_phase": d.candidate_phase, "joint": is_joint(d.model.W),
              "trained_phase": np.array([extra_phase(W) for W in model.W]).reshape(shape),
              "trained_loss": expected_loss(model, features, rtol=1e-6).reshape(shape)}
    if job["near_cells"]:
        near = close_up(job["near_cells"])
        result |= {"near_importance": near.importance, "near_probability": near.feature_probability,
                   "near_phase": near.phase, "near_candidate_phase": near.candidate_phase,
                   "near_joint": is_joint(near.model.W)}
    for line in job["lines"]:
        result[f"appears_at_{line:g}"], result[f"norm_at_{line:g}"] = appearance(line)
    return result


def best_phase(runs):
    """The phase of the best trained model in each trained cell, over all runs and starts."""
    loss, phase = (np.concatenate([run[key] for run in runs], axis=-1) for key in ("trained_loss", "trained_phase"))
    return np.take_along_axis(phase, loss.argmin(-1)[..., None], -1)[..., 0]


def true_phase(run):
    """The true phase on the trained cells."""
    every = -(-len(run["importance"]) // run["trained_phase"].shape[0])
    return run["phase"][::every, ::every]


def draw(runs):
    """Fixed candidates, true minima and the best trained models side by side; and a close-up if there is one."""
    run = runs[0]
    near = "near_phase" in run
    figure = plots.canvas(21 if near else 16.5, 7)
    panels = figure.subplots(1, 3 + near)
    place = run["importance"], run["probability"]
    plots.draw_phases(panels[0], *place, run["candidate_phase"])
    differs = (run["candidate_phase"] != run["phase"]) & ~run["joint"]
    plots.draw_phases(panels[1], *place, run["phase"], dots=differs, triangles=run["joint"])
    best, every = best_phase(runs), -(-len(place[0]) // run["trained_phase"].shape[0])
    plots.draw_phases(panels[2], *(a[::every] for a in place), best, dots=best != true_phase(run), within=place)
    titles = ["fixed candidates (paper)", "true minima", "trained, best of all"]
    if near:
        differs = (run["near_candidate_phase"] != run["near_phase"]) & ~run["near_joint"]
        plots.draw_phases(panels[3], run["near_importance"], run["near_probability"], run["near_phase"], log=False,
                            dots=differs, triangles=run["near_joint"])
        panels[3].yaxis.set_major_formatter("{x:g}")
        panels[3].yaxis.set_minor_formatter("{x:g}")
        titles.append("true minima, close up")
    for axes, title in zip(panels, titles):
        axes.set_title(title, fontsize=plots.STYLE["title"] + 5)
        axes.xaxis.label.set_fontsize(plots.STYLE["font"] + 4)
        axes.tick_params(which="both", labelsize=plots.STYLE["font"] + 3)
    panels[0].set_ylabel("relative importance\nof the extra feature", fontsize=plots.STYLE["font"] + 4)
    for name, colour in plots.PHASE_COLOURS.items():
        panels[0].plot([], [], "s", color=colour, markeredgecolor="0.4", markersize=16, label=f"extra feature {name}")
    panels[0].plot([], [], "o", color="black", markersize=9, label="candidates, or training, differ from the truth")
    if near:
        panels[0].plot([], [], "^", color="black", markersize=12, label="joint solution (triangle)")
    figure.legend(loc="outside lower center", ncols=5 if near else 4, fontsize=plots.STYLE["font"] + 2, frameon=False)
    return figure


def regions(runs):
    """How many different phases the true minima have, one number a run."""
    return [len(set(run["phase"].ravel())) for run in runs]


def wrong_candidates(runs):
    """1 or 0 a cell: whether the best fixed candidate names another phase than the true minimum."""
    return (runs[0]["candidate_phase"] != runs[0]["phase"]).ravel()


def found_by_best(runs):
    """1 or 0 a trained cell: whether the best of all models there has the true phase."""
    return (best_phase(runs) == true_phase(runs[0])).ravel()


def found_by_one(runs):
    """1 or 0 a trained model: whether it has the true phase."""
    return np.concatenate([(run["trained_phase"] == true_phase(run)[..., None]).ravel() for run in runs])


def shared_claims(name):
    """The claims that both rows make, `name` being "2 in 1" or "3 in 2"."""
    key = name.replace(" ", "-")
    return (
        Claim(f"{key}-three-regions", SECTION,
              f"{name}: the extra feature has three phases: not learned, superposed, own "
              "dimension.", regions, low=3, high=3),
        Claim(f"{key}-candidates-decide", SECTION, f"{name}: the best fixed candidate tells the true phase: share of "
              "cells where it does not.", wrong_candidates, high=0.02, summary="mean",
              correction="the best candidate names another phase than the truth in a share {measured} of the cells"),
        Claim(f"{key}-training-finds-it", SECTION,
              f"{name}: the best of the trained models has the true phase: share of "
              "cells.", found_by_best, low=0.9, summary="mean"),
    )


CLAIMS_TWO = (
    *shared_claims("2 in 1"),
    Claim("2-in-1-first-order", SECTION,
          "2 in 1: the change is first-order: at p = 0.3 the extra feature appears with a "
          "norm that is not small.", lambda runs: [run["norm_at_0.3"] for run in runs], low=JUMP),
    Claim("2-in-1-first-order-dense", SECTION, "2 in 1: the change is first-order also among denser features, p = 0.6: "
          "norm with which the extra feature appears.", lambda runs: [run["norm_at_0.6"] for run in runs], low=JUMP,
          correction="at p = 0.6 the change is continuous: the norm grows from 0, and is {measured} just above it"),
    Claim("2-in-1-success-rate", SECTION,
          "2 in 1: most single training runs end in the true phase.", found_by_one, low=0.5,
          summary="mean"),
)
CLAIMS_THREE = (
    *shared_claims("3 in 2"),
    Claim("3-in-2-joint-solution", SECTION,
          "3 in 2: the candidates are complete; the joint solution (triangle) never wins: "
          "share of cells near equal importance where it does.", lambda runs: runs[0]["near_joint"].ravel(), high=0,
          summary="mean", correction="the joint solution wins in a share {measured} of cells near equal importance"),
    Claim("3-in-2-hard-to-train", SECTION,
          "3 in 2: hard to replicate: at most half of single training runs end in the true "
          "phase.", found_by_one, high=0.5, summary="mean"),
)

PHASE_TWO_ONE = Experiment(
    "phase-2-1", 4, "Phase diagram, two features in one dimension", SECTION, "06", TWO | {"seeds": 2},
    TWO | {"cells": 40, "every": 2, "starts": 10, "steps": 4000, "batch_size": 512, "seeds": 3}, run, draw, CLAIMS_TWO)
PHASE_THREE_TWO = Experiment(
    "phase-3-2", 5, "Phase diagram, three features in two dimensions", SECTION, "06", THREE | {"seeds": 2},
    THREE | {"cells": 40, "near_cells": 16, "every": 2, "starts": 10, "steps": 4000, "batch_size": 512, "seeds": 3},
    run, draw, CLAIMS_THREE)
