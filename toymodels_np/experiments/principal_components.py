"""Row 10: from superposition to principal components. Three correlated pairs in two dimensions,
sparse to dense.

Very sparse, the six features form a hexagon with the members of a pair side by side. The denser,
the more pairs collapse, one after another: both members take the direction (a + b)/sqrt(2), the
pair's principal component. When all three have, the model is all but principal component
analysis.

Trained models miss the lowest geometry at some p. So at each p the solutions of its neighbours
are carried over too, and the lowest of all counts; between two p, where a pair collapses,
bisection compares the exact energies of the solutions of both sides.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry.measures import REPRESENTED, norms
from ..geometry.polytopes import MERGED
from ..geometry.tegum import name_geometry
from ..plots import rows as pictures
from ..theory.descent import descend
from ..theory.exact.loss import expected_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured
from .correlated_sets import PAIRS, pair_cosines

SECTION = "Collapsing of Correlated Features"
COLLAPSED = MERGED                  # cos within a pair from which it is one direction, as in names
PAPER = (0.05, 0.15)                # p at which the first and second pair collapse, read off a plot
ALIKE = 1.005                       # a start found the lowest geometry if it loses up to so much
BETTER = 1e-7                       # a solution carried over counts if it is lower by this fraction
DESCENT = 60                        # steps down the exact loss, at most
ROUNDS = 6                          # in which solutions are carried to their neighbours, at most
SETTINGS = {"probabilities": [0.02, 0.045, 0.06, 0.09, 0.13, 0.16, 0.2, 0.3, 0.36, 0.41, 0.5, 0.75],
            "starts": 6, "steps": 1500, "batch_size": 128, "learning_rate": 2e-2, "bisections": 5}


def run(job):
    """At each p the lowest solution (P): W, loss, name, cosines; and p where each pair collapses.

    Controls, which are not trained, stay as they are: the best of the starts at each p.
    """
    p, S = np.sort(job["probabilities"]), job["starts"]
    features = Features(6, np.repeat(p, S)[:, None], correlated=PAIRS)
    model = fit(ReluOutput.init(6, 2, len(p) * S, seed=job["seed"]), features, job,
                schedule="cosine", record_every=max(job["steps"], 1)).astype(np.float64)
    losses = expected_loss(model, features, rtol=1e-6).reshape(len(p), S)
    best = np.arange(len(p)) * S + losses.argmin(1)
    model, loss, edges = model[best], losses.min(1), np.full(3, np.nan)
    if job["steps"]:
        model, loss = carry_over(*relax(model, p), p)
        edges = boundaries(p, model, job["bisections"])
    return {"sorted_probabilities": p, "W": model.W, "loss": loss, "trained_losses": losses,
            "collapsed": collapsed(model.W), "cosines": pair_cosines(model.W, PAIRS),
            "geometry": np.array([name_geometry(W) for W in model.W]), "boundaries": edges,
            "principal_loss": np.array([principal_loss(q) for q in p])}


def relax(model, p):
    """Instances of `model` down the exact loss at p (K,): (model, loss (K,))."""
    features = Features(6, np.asarray(p)[:, None], correlated=PAIRS)
    return descend(model, features, tolerance=1e-5, most_steps=DESCENT)[:2]


def carry_over(model, loss, p):
    """The solutions at p (P,), each replaced by a neighbour's that is lower, relaxed here."""
    for _ in range(ROUNDS):
        changed = False
        for shift in (-1, 1):
            here = np.arange(len(p))[max(0, -shift):len(p) - max(0, shift)]
            if not len(here):
                continue
            carried, lower = relax(model[here + shift], p[here])
            wins = here[lower < loss[here] * (1 - BETTER)]
            chosen, W, b = wins - here[0], model.W.copy(), model.b.copy()
            W[wins], b[wins], loss[wins] = carried.W[chosen], carried.b[chosen], lower[chosen]
            model, changed = ReluOutput(W, b), changed or len(wins) > 0
        if not changed:
            break
    return model, loss


def boundaries(p, model, bisections):
    """p where the k-th pair collapses in the lowest minimum, (3,), NaN where it does not.

    model : the lowest minimum at each p (P,). Each step relaxes the solutions of both sides
    half-way between, on the scale of log p.
    """
    count = collapsed(model.W)
    found = np.full(3, np.nan)
    for k in range(3):
        above = np.flatnonzero(count > k)
        if not len(above) or above[0] == 0:
            continue
        (low, high), sides = p[above[0] - 1:above[0] + 1], model[above[0] - 1:above[0] + 1]
        for _ in range(bisections):
            middle = np.sqrt(low * high)
            sides, energy = relax(sides, np.full(2, middle))
            beyond = collapsed(sides.W[energy.argmin()]) > k
            low, high = (low, middle) if beyond else (middle, high)
        found[k] = np.sqrt(low * high)
    return found


def principal_loss(p):
    """The linear model's lowest loss, that of principal component analysis with two components."""
    law = Features(6, p, correlated=PAIRS)
    covariance = law.second_moment() - np.outer(law.mean(), law.mean())
    return np.linalg.eigvalsh(covariance)[:-2].sum()


# -- what is measured ----------------------------------------------------------------------------

def collapsed(W):
    """How many of the three pairs of W (..., 2, 6) have collapsed to one direction."""
    return (pair_cosines(W, PAIRS) >= COLLAPSED).sum(-1)


def lowest(runs):
    """The lowest minimum over all runs at each p: W, cosines, collapsed, loss and geometry."""
    best = np.argmin([run["loss"] for run in runs], axis=0)
    return {key: np.array([runs[k][key][i] for i, k in enumerate(best)])
            for key in ("W", "cosines", "collapsed", "loss", "geometry")}


def between(runs, low, high):
    """Which p of the runs lie in [low, high], (P,); NotMeasured if none does."""
    p = runs[0]["sorted_probabilities"]
    inside = (p >= low) & (p <= high)
    if not inside.any():
        raise NotMeasured(f"the claim speaks of p from {low:g} to {high:g}, and the runs have none")
    return inside


def counts(low, high):
    """The claim's measure: collapsed pairs of the lowest minimum at each p in [low, high]."""
    return lambda runs: lowest(runs)["collapsed"][between(runs, low, high)]


def two_collapsed(runs):
    """1 or 0 at each p from 0.15 to 0.2: whether two pairs are collapsed, no more and no fewer."""
    return counts(0.15, 0.2)(runs) == 2


def six_directions(runs):
    """1 or 0 at each p below 0.05: whether all features are represented and pairs stand side by
    side, none collapsed."""
    found, inside = lowest(runs), between(runs, 0, 0.0499)
    cos, kept = found["cosines"], (norms(found["W"]) >= REPRESENTED).all(-1)
    return (kept & (cos > 0).all(-1) & (found["collapsed"] == 0))[inside]


def boundary(k):
    """The claim's measure: p at which pair k of 0, 1, 2 collapses, of each run that saw it."""
    def measure(runs):
        found = [run["boundaries"][k] for run in runs if np.isfinite(run["boundaries"][k])]
        if not found:
            raise NotMeasured(f"the claim speaks of the p from which {k + 1} pairs are collapsed, "
                              f"and there is none inside the runs' range of p")
        return found
    return measure


def one_by_one(runs):
    """1 or 0: whether the lowest minimum has 0, 1, 2 and 3 collapsed pairs in this order of p."""
    between(runs, 0, PAPER[0]), between(runs, 0.5, 1)
    count = lowest(runs)["collapsed"]
    if len(count) < 4:
        raise NotMeasured("the claim speaks of 0, 1, 2 and 3 collapsed pairs, and the runs have "
                          "fewer than four p")
    return [(np.diff(count) >= 0).all() and set(count.tolist()) == {0, 1, 2, 3}]


def hexagon(runs):
    """1 or 0: whether the lowest minimum at the smallest p is a hexagon with pairs side by side."""
    between(runs, 0, 0.0499)
    found = lowest(runs)
    return [found["geometry"][0] == "hexagon" and found["cosines"][0].min() > 0]


def off_the_component(runs):
    """How far the members of a pair are from their mean, relatively, at the largest p, each pair.

    0 on (a + b)/sqrt(2).
    """
    between(runs, 0.5, 1)
    W = lowest(runs)["W"][-1]
    return [norms(W[:, i:i + 1] - W[:, j:j + 1])[0] / norms(W[:, i:i + 1] + W[:, j:j + 1])[0]
            for i, j in PAIRS]


def over_principal(runs):
    """The lowest loss at the largest p over that of principal components."""
    between(runs, 0.5, 1)
    return [lowest(runs)["loss"][-1] / runs[0]["principal_loss"][-1]]


def found_by_one(runs):
    """1 or 0 a trained model: whether it is as low as the lowest minimum at its p."""
    limit = ALIKE * lowest(runs)["loss"][:, None]
    return np.concatenate([(run["trained_losses"] <= limit).ravel() for run in runs])


def draw(runs):
    """The lowest minimum at a few p; cos within each pair against p, and the regimes."""
    found = lowest(runs)
    edges = np.array([run["boundaries"] for run in runs])
    edges = [np.median(edge) for edge in edges.T if np.isfinite(edge).all()]
    merged = pair_cosines(found["W"], PAIRS) >= COLLAPSED
    return pictures.principal_components.figure(
        runs[0]["sorted_probabilities"], found["W"], PAIRS, merged,
        -np.sort(-found["cosines"], axis=1), edges, PAPER)


PLOT = "read off a plot, to 20 %"
EXACT = "the numbers are exact: whatever has no correlated pairs has nothing that could collapse"
CLAIMS = (
    Claim("sparse-hexagon", SECTION,
          "Very sparse: a hexagon with the members of each pair side by side.", hexagon, low=1,
          expected="yes, which is 1"),
    Claim("none-collapsed-below-0.05", SECTION,
          "Below p = 0.05 no pair has collapsed: all six features are represented, and the members "
          "of a pair stand side by side.", six_directions, low=1, summary="smallest"),
    Claim("pairs-collapse-one-by-one", SECTION,
          "As features get denser the pairs collapse one after another.", one_by_one, low=1,
          expected="yes, which is 1"),
    Claim("first-pair-collapses", SECTION, "One pair has collapsed from p = 0.05 on (plot).",
          boundary(0), low=0.8 * PAPER[0], high=1.2 * PAPER[0], expected=f"0.05, {PLOT}",
          correction="the first pair collapses at p = {measured}", control=EXACT),
    Claim("second-pair-collapses", SECTION, "Two pairs have collapsed from p = 0.15 on (plot).",
          boundary(1), low=0.8 * PAPER[1], high=1.2 * PAPER[1], expected=f"0.15, {PLOT}",
          correction="the second pair collapses at p = {measured}", control=boundary(0)),
    Claim("two-collapsed-0.15-to-0.2", SECTION,
          "Between p = 0.15 and 0.2 two pairs are collapsed.", two_collapsed, low=1,
          summary="smallest", expected="at every such p"),
    Claim("third-pair-collapses", SECTION,
          "The third pair collapses at some p from 0.25 to 0.5, where the plot begins to show "
          "principal components.",
          boundary(2), low=0.25, high=0.5, correction="the third pair collapses at p = {measured}",
          control=boundary(1)),
    Claim("all-collapsed-above-half", SECTION, "From p = 1/2 on all three pairs are collapsed.",
          counts(0.5, 1), low=3, high=3, summary="smallest"),
    Claim("collapse-onto-the-component", SECTION,
          "What a pair collapses onto is (a + b)/sqrt(2): both weights are equal.",
          off_the_component, high=0.05, summary="largest"),
    Claim("dense-is-principal-components", SECTION,
          "Dense: the model is all but principal component analysis, whose loss it has at the "
          "largest p.", over_principal, low=0.95, high=1.05,
          expected="the linear model's loss, to 5 %"),
    Claim("collapse-success-rate", SECTION,
          "Single training runs often miss the lowest geometry, so that the best of several is "
          "needed: the share that finds it.", found_by_one, low=0.3, high=0.9, summary="share",
          kind="ours", expected="some, 30 % or more, but not all, at most 90 %"),
)

EXPERIMENT = Experiment(
    "principal-components", 10, "Collapse to principal components", SECTION, "01",
    SETTINGS | {"seeds": 2},
    SETTINGS | {"probabilities": [0.01, 0.02, 0.03, 0.045, 0.055, 0.065, 0.075, 0.09, 0.11, 0.13,
                                  0.145, 0.16, 0.18, 0.2, 0.25, 0.3, 0.34, 0.38, 0.41, 0.45, 0.5,
                                  0.55, 0.6, 0.68, 0.75],
                "starts": 16, "steps": 4000, "batch_size": 256, "bisections": 8, "seeds": 6},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("principal-components")
