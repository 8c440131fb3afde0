"""Row 10: from superposition to principal components. Three correlated pairs in two dimensions, sparse to dense.

Very sparse, the six features form a hexagon with the members of a pair side by side. The denser, the more pairs
collapse, one after another: both members take the direction (a + b)/sqrt(2), the pair's principal component. When
all three have, the model is all but principal component analysis. Where each pair collapses is found by bisection on
exact energies.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import norms
from ..geometry.polytopes import MERGED
from ..geometry.tegum import name_geometry
from ..theory.exact.loss import expected_loss
from ..theory.minima import descend
from .. import plots
from .claims import Claim
from .base import Experiment
from .correlated_sets import PAIRS, draw_sets, pair_cosines

SECTION = "Collapsing of Correlated Features"
COLLAPSED = MERGED                              # cos within a pair from which it counts as one direction, as in names
PAPER = (0.05, 0.15)                            # p at which the first and the second pair collapse, read off a plot
ALIKE = 1.005                                   # a start found the best geometry if it loses up to this times as much
SETTINGS = {"probabilities": [0.02, 0.045, 0.06, 0.09, 0.13, 0.16, 0.2, 0.3, 0.36, 0.41, 0.5, 0.75], "starts": 6,
            "steps": 1500, "batch_size": 128, "learning_rate": 2e-2, "bisections": 3}


def collapsed(W):
    """How many of the three pairs of W (..., 2, 6) have collapsed to one direction."""
    return (pair_cosines(W, PAIRS) >= COLLAPSED).sum(-1)


def relax(model, p):
    """Instances of `model` down the exact loss at p (K,): (model, loss (K,))."""
    return descend(model, Features(6, p[:, None], correlated=PAIRS), tolerance=1e-5, most_steps=60)[:2]


def boundaries(p, model, loss, bisections):
    """p where the k-th pair collapses in the lowest minimum, (3,), NaN where it does not: grid, then bisection.

    model, loss : the lowest minimum at each p (P,). Each step relaxes the solutions of both sides half-way between.
    """
    count = collapsed(model.W)
    found = np.full(3, np.nan)
    for k in range(3):
        above = np.flatnonzero(count > k)
        if not len(above) or above[0] == 0:
            continue
        (low, high), sides = p[above[0] - 1:above[0] + 1], [above[0] - 1, above[0]]
        sides = ReluOutput(model.W[sides], model.b[sides])
        for _ in range(bisections):
            middle = np.sqrt(low * high)
            sides, energy = relax(sides, np.full(2, middle))
            low, high = (low, middle) if collapsed(sides.W[energy.argmin()]) > k else (middle, high)
        found[k] = np.sqrt(low * high)
    return found


def principal_loss(p):
    """The linear model's lowest loss, that of principal component analysis with two components."""
    law = Features(6, p, correlated=PAIRS)
    covariance = law.second_moment() - np.outer(law.mean(), law.mean())
    return np.linalg.eigvalsh(covariance)[:-2].sum()


def run(job):
    """At each p the best of the trained models, relaxed on the exact loss, and the p where each pair collapses."""
    p, S = np.array(job["probabilities"]), job["starts"]
    features = Features(6, np.repeat(p, S)[:, None], correlated=PAIRS)
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    model = train(ReluOutput.init(6, 2, len(p) * S, seed=job["seed"]), features, schedule="cosine",
                  record_every=job["steps"], progress=False, **options).model.astype(np.float64)
    losses = expected_loss(model, features, rtol=1e-6).reshape(len(p), S)
    best = np.arange(len(p)) * S + losses.argmin(1)
    model, loss = relax(ReluOutput(model.W[best], model.b[best]), p)
    return {"W": model.W, "b": model.b, "loss": loss, "trained_losses": losses, "collapsed": collapsed(model.W),
            "geometry": np.array([name_geometry(W) for W in model.W]), "cosines": pair_cosines(model.W, PAIRS),
            "boundaries": boundaries(p, model, loss, job["bisections"]),
            "principal_loss": np.array([principal_loss(q) for q in p])}


def lowest(runs):
    """The lowest minimum over all runs at each p: dictionary of W, cosines (sorted), collapsed, loss and geometry."""
    best = np.argmin([run["loss"] for run in runs], axis=0)
    return {key: np.array([runs[k][key][i] for i, k in enumerate(best)])
            for key in ("W", "cosines", "collapsed", "loss", "geometry")}


def draw(runs):
    """Above, the lowest minimum at a few p, a colour a pair; below, cos within each pair against p, and the regimes."""
    p, found = np.array(runs[0]["probabilities"]), lowest(runs)
    figure = plots.canvas(15, 9.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=(2.4, 3.6))
    shown = np.unique(np.linspace(0, len(p) - 1, 6).round().astype(int))
    for axes, i in zip(top.subplots(1, len(shown)), shown):
        draw_sets(axes, found["W"][i], PAIRS, 1.2)
        axes.set_title(f"p = {p[i]:g}\n{found['collapsed'][i]} of 3 collapsed", fontsize=plots.STYLE["title"] + 2)
    axes = bottom.subplots()
    cos = np.sort(found["cosines"], axis=1)
    for k, colour in enumerate((plots.BLUE, plots.ORANGE, plots.GREEN)):
        axes.plot(p, cos[:, 2 - k], "osd"[k] + "-", color=colour, linewidth=2.5, markersize=11,
                  label=("closest pair", "second", "third")[k])
    edges = [np.median(edge) for edge in np.array([run["boundaries"] for run in runs]).T if np.isfinite(edge).all()]
    for edge in edges:
        axes.axvline(edge, color="black", linewidth=2, linestyle="--",
                     label="a pair collapses" if edge == edges[0] else None)
        axes.text(edge, 1.1, f" {edge:.3f}", fontsize=plots.STYLE["font"] + 4)
    for edge in PAPER:
        axes.axvline(edge, color=plots.GREY, linewidth=2.5, linestyle=":",
                     label="paper's reading" if edge == PAPER[0] else None)
    axes.set(xscale="log", ylim=(-0.1, 1.18), xticks=p[::2])
    axes.set_xticklabels([f"{q:g}" for q in p[::2]])
    axes.minorticks_off()
    axes.set_xlabel("probability that a pair is on", fontsize=plots.STYLE["font"] + 3)
    axes.set_ylabel("cosine within a pair", fontsize=plots.STYLE["font"] + 3)
    axes.tick_params(labelsize=plots.STYLE["font"] + 2)
    axes.legend(fontsize=plots.STYLE["font"] + 1, loc="lower right", framealpha=0.95)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def counts(low, high):
    """The claim's measure: of the runs together, collapsed pairs of the lowest minimum at each p in [low, high]."""
    def measure(runs):
        p = np.array(runs[0]["probabilities"])
        return lowest(runs)["collapsed"][(p >= low) & (p <= high)]
    return measure


def boundary(k):
    """The claim's measure: p at which pair k of 0, 1, 2 collapses; 0 where a run saw none."""
    return lambda runs: [np.nan_to_num(run["boundaries"][k]) for run in runs]


def one_by_one(runs):
    """1 or 0: whether the lowest minimum has 0, 1, 2 and 3 collapsed pairs in this order as p grows."""
    count = lowest(runs)["collapsed"]
    return [(np.diff(count) >= 0).all() and set(count.tolist()) == {0, 1, 2, 3}]


def hexagon(runs):
    """1 or 0: whether the lowest minimum at the smallest p is a hexagon with all pairs side by side, cos > 0."""
    found = lowest(runs)
    return [found["geometry"][0] == "hexagon" and found["cosines"][0].min() > 0]


def off_the_component(runs):
    """How far the members of a pair are from their mean, relatively, at the largest p; 0 on (a + b)/sqrt(2)."""
    W = lowest(runs)["W"][-1]
    return [norms(W[:, i:i + 1] - W[:, j:j + 1])[0] / norms(W[:, i:i + 1] + W[:, j:j + 1])[0] for i, j in PAIRS]


CLAIMS = (
    Claim("sparse-hexagon", SECTION,
          "Very sparse: a hexagon with the members of each pair side by side.", hexagon, low=1),
    Claim("none-collapsed-below-0.05", SECTION, "Below p = 0.05 no pair has collapsed.", counts(0, 0.0499), high=0,
          summary="largest"),
    Claim("pairs-collapse-one-by-one", SECTION, "As features get denser the pairs collapse one after another.",
          one_by_one, low=1),
    Claim("first-pair-collapses", SECTION, "One pair has collapsed from p = 0.05 on (plot).", boundary(0),
          low=0.8 * PAPER[0], high=1.2 * PAPER[0], expected="0.05 to 20 %",
          correction="the first pair collapses at p = {measured}"),
    Claim("second-pair-collapses", SECTION, "Two pairs have collapsed from p = 0.15 on (plot).", boundary(1),
          low=0.8 * PAPER[1], high=1.2 * PAPER[1], expected="0.15 to 20 %",
          correction="the second pair collapses at p = {measured}"),
    Claim("two-collapsed-0.15-to-0.2", SECTION, "Between p = 0.15 and 0.2 two pairs are collapsed.", counts(0.15, 0.2),
          low=2, high=2),
    Claim("third-pair-collapses", SECTION,
          "The next regime, before principal components, begins at 0.25 to 0.5 (plot).",
          boundary(2), low=0.25, high=0.5, correction="the third pair collapses at p = {measured}"),
    Claim("all-collapsed-above-half", SECTION,
          "From p = 1/2 on all three pairs are collapsed.", counts(0.5, 0.75), low=3,
          high=3, summary="smallest"),
    Claim("collapse-onto-the-component", SECTION,
          "What a pair collapses onto is (a + b)/sqrt(2): both weights are equal.",
          off_the_component, high=0.05, summary="largest"),
    Claim("dense-is-principal-components", SECTION,
          "Dense: the model is all but principal component analysis, whose loss "
          "it has at the largest p.", lambda runs: [lowest(runs)["loss"][-1] / runs[0]["principal_loss"][-1]], low=0.95,
          high=1.05, expected="the linear model's loss, to 5 %"),
    Claim("collapse-success-rate", SECTION, "Most single training runs find the lowest geometry at their p.",
          lambda runs: np.concatenate([(run["trained_losses"] <= ALIKE * lowest(runs)["loss"][:, None]).ravel()
                                       for run in runs]), low=0.5, summary="mean"),
)

PRINCIPAL_COMPONENTS = Experiment(
    "principal-components", 10, "Collapse to principal components", SECTION, "01", SETTINGS | {"seeds": 2},
    SETTINGS | {"probabilities": [0.01, 0.02, 0.03, 0.045, 0.055, 0.065, 0.075, 0.09, 0.11, 0.13, 0.145, 0.16, 0.18,
                                  0.2, 0.25, 0.3, 0.34, 0.38, 0.41, 0.45, 0.5, 0.55, 0.6, 0.68, 0.75],
                "starts": 16, "steps": 4000, "batch_size": 256, "bisections": 8, "seeds": 6}, run, draw, CLAIMS)
