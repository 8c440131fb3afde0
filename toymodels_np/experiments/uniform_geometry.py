"""Row 6: many equally important features, from dense to sparse: how many share a dimension, and in which shapes.

D*, the dimensions for each represented feature, falls as features get sparse and rests at 1 and at 1/2. Each feature's
own share D_i is a fraction that tells its shape: 1/2 is a digon, 2/3 a triangle. Which fraction belongs to which shape
is computed at the exact minimum of that shape, not read off the plot.
"""

from functools import cache

import numpy as np
from scipy.stats import spearmanr

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry import polytopes
from ..geometry.measures import (cosines, dimensions_per_feature, feature_dimensionality,
                                 leverage_scores, norms)
from ..theory.minima import find_minimum
from .. import plots
from .claims import Claim
from .base import Experiment

REPRESENTED = 0.5                               # a feature with this norm or more counts as represented
ON_LINE = 0.02                                  # a feature within this of a fraction is on its line
ANTIPODAL = -0.95                               # cosine of a digon's two features, at most
FLAT = 0.25                                     # on a plateau |d log D* / d log p| is at most this
NEAR = 0.05                                     # a plateau within this of a level is there
RANGE = 0.3, 0.8                                # where the lines of shapes lie
SECTION = "The Geometry of Superposition"
SHAPES = {"tetrahedron": (polytopes.simplex(3), 3 / 4), "triangle": (polytopes.polygon(3), 2 / 3),
          "digon": (polytopes.digon(), 1 / 2), "pentagon": (polytopes.polygon(5), 2 / 5),
          "square antiprism": (polytopes.antiprism(4), 3 / 8)}
SHAPE_PROBABILITY = 0.05                        # at which the shapes' true minima are computed
LINES = [fraction for _, fraction in SHAPES.values()]
SETTINGS = {"n_features": 80, "n_hidden": 20, "densest": 1, "sparsest": 100, "points": 24, "steps": 2000,
            "batch_size": 128, "learning_rate": 5e-3}


def run(job):
    """One model at each point of the log grid of 1/p: W (P, m, n)."""
    n, m, ps = job["n_features"], job["n_hidden"], 1 / inverse_probabilities(job)
    model = train(ReluOutput.init(n, m, len(ps), seed=job["seed"]), Features(n, ps[:, None]), schedule="cosine",
                  progress=False, record_every=job["steps"],
                  **{key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}).model
    return {"W": model.W}


def inverse_probabilities(job):
    """The grid of 1/p, (P,)."""
    return np.geomspace(job["densest"], job["sparsest"], int(job["points"]))


# -- what is measured --------------------------------------------------------------------------------------------------

def plateaus(inverse_p, dimensions):
    """[(start, end, level)] of the stretches of 1/p (P,) where D* (P,) hardly falls; the level is the mean of D*."""
    steep = abs(np.diff(np.log(dimensions)) / np.diff(np.log(inverse_p)))               # (P - 1,), an interval each
    edges = np.flatnonzero(np.diff(np.concatenate([[0], steep <= FLAT, [0]])))
    return [(inverse_p[a], inverse_p[b], dimensions[a:b + 1].mean()) for a, b in zip(edges[::2], edges[1::2])]


def off_plateau(level):
    """A measure: how far the nearest plateau of D* is from `level`; 1 where there is no plateau at all."""
    def measure(runs):
        found = [plateaus(inverse_probabilities(run), dimensions_per_feature(run["W"])) for run in runs]
        return [min((abs(there - level) for *_, there in each), default=1) for each in found]
    return measure


def in_digon(W):
    """(..., n) whether the feature is represented and has one antipodal partner that is represented too."""
    kept = norms(W) >= REPRESENTED
    pair = (cosines(W) <= ANTIPODAL) & kept[..., None] & kept[..., None, :]
    return pair.sum(-1) == 1


def digons_rule(W):
    """(...,) whether at least half of the represented features are in digons."""
    return 2 * in_digon(W).sum(-1) >= np.maximum((norms(W) >= REPRESENTED).sum(-1), 1)


def on_lines(D, lines=LINES):
    """Whether D (...) is within ON_LINE of one of the lines."""
    return (abs(D[..., None] - np.asarray(lines)) <= ON_LINE).any(-1)


def concentration(D, lines):
    """How many times more of D (k,) are on the lines than if D were uniform over RANGE; only those in RANGE count."""
    D = D[(D >= RANGE[0]) & (D <= RANGE[1])]
    fine = np.linspace(*RANGE, 5001)
    return on_lines(D, lines).mean() / on_lines(fine, lines).mean() if len(D) else 0.0


def share_at_half(W):
    """The share of represented features of all W (k, m, n) with D on the line 1/2; 0 without such features."""
    if not len(W):
        return 0.0
    kept = norms(W) >= REPRESENTED
    return on_lines(feature_dimensionality(W)[kept], [0.5]).mean() if kept.any() else 0.0


def digons_at_half(runs):
    """`share_at_half` of each seed at all p where digons rule."""
    return [share_at_half(run["W"][digons_rule(run["W"])]) for run in runs]


def plateau_at_half(runs):
    """`share_at_half` of each seed at all p on plateaus of D* near 1/2."""
    shares = []
    for run in runs:
        x, y = inverse_probabilities(run), dimensions_per_feature(run["W"])
        spans = [(start, end) for start, end, level in plateaus(x, y) if abs(level - 0.5) <= NEAR]
        shares.append(share_at_half(run["W"][[any(a <= at <= b for a, b in spans) for at in x]]))
    return shares


def dropped_at_zero(runs):
    """The share of the other features, at the same p, with D within ON_LINE of 0; 1 where there are none."""
    shares = []
    for run in runs:
        D = feature_dimensionality(run["W"])[digons_rule(run["W"])[:, None] & (norms(run["W"]) < REPRESENTED)]
        shares.append((D <= ON_LINE).mean() if D.size else 1.0)
    return shares


def represented_dimensionalities(run):
    """D of all represented features of all p where the represented ones average a share within RANGE, (k,)."""
    D, kept = feature_dimensionality(run["W"]), norms(run["W"]) >= REPRESENTED          # (P, n)
    mean = (D * kept).sum(-1) / np.maximum(kept.sum(-1), 1)
    rows = (mean >= RANGE[0]) & (mean <= RANGE[1])
    return D[rows][kept[rows]]


def concentrated_on(lines):
    """A measure: `concentration` on these lines, of each seed."""
    return lambda runs: [concentration(represented_dimensionalities(run), lines) for run in runs]


def falls(runs):
    """The rank correlation of D* with 1/p, of each seed."""
    return [spearmanr(inverse_probabilities(run), dimensions_per_feature(run["W"])).statistic for run in runs]


def packing(runs):
    """The sum of D_i over m, of every model."""
    return [total / run["n_hidden"] for run in runs for total in feature_dimensionality(run["W"]).sum(-1)]


def above_rank(runs):
    """By how much the sum of D_i exceeds the rank of W, of every model: never above 0 but for rounding."""
    return np.concatenate([(feature_dimensionality(run["W"]) - leverage_scores(run["W"])).sum(-1) for run in runs])


@cache
def shape_dimensionalities(name):
    """D of the features, sorted, at the exact minimum with this shape; there are no other features and dimensions."""
    V = SHAPES[name][0] if name in SHAPES else polytopes.bipyramid(3)
    start = ReluOutput(W=V[None], b=np.full((1, V.shape[1]), -0.1))
    minimum = find_minimum(Features(V.shape[1], SHAPE_PROBABILITY), len(V), initial=start)
    if minimum.geometry != {"triangular bipyramid": "triangle + digon"}.get(name, name):
        raise ArithmeticError(f"the minimum near the {name} is {minimum.geometry!r}")
    return np.sort(feature_dimensionality(minimum.model.W))


def off_fraction(name):
    """A measure: the share of a feature at the shape's exact minimum, that which is farthest from the fraction."""
    def measure(runs):
        D = shape_dimensionalities(name)
        return [D[abs(D - SHAPES[name][1]).argmax()]]
    return measure


def bipyramid_off_its_factors(runs):
    """How far the bipyramid's five features are from 1/2, 1/2, 2/3, 2/3, 2/3 at its exact minimum."""
    return [abs(shape_dimensionalities("triangular bipyramid") - [1 / 2, 1 / 2, 2 / 3, 2 / 3, 2 / 3]).max()]


# -- the figure --------------------------------------------------------------------------------------------------------

def draw(runs):
    """D* with its plateaus above, every feature's D_i with the lines of the shapes and their graphs below."""
    x = inverse_probabilities(runs[0])
    figure = plots.canvas(16, 13)
    top, bottom = figure.subplots(2, 2, width_ratios=(6.6, 1), height_ratios=(4, 6.4))
    axes, legend = top
    first = True
    for run in runs:
        y = dimensions_per_feature(run["W"])
        for start, end, level in plateaus(x, y):
            axes.plot([start, end], [level] * 2, color=plots.ORANGE, linewidth=11, alpha=0.45, solid_capstyle="butt",
                      label="plateau, by the detector" if first else None)
            first = False
        axes.plot(x, y, "o-", color=plots.BLUE, markersize=6, linewidth=1.5,
                  label="D* of a trained model" if run is runs[0] else None)
    for level, words in ((1, "1"), (0.5, "1/2")):
        axes.axhline(level, color="0.4", linestyle="--", linewidth=1.5)
        axes.annotate(words, (1, level), xycoords=("axes fraction", "data"), xytext=(6, -5), textcoords="offset points",
                      fontsize=plots.STYLE["title"] + 2)
    axes.set_ylabel(r"$D^* = m\, /\, \|W\|_F^2$", fontsize=plots.STYLE["title"])
    axes.set_title(f"Dimensions for each represented feature: {runs[0]['n_features']} features of equal importance in "
                   f"{runs[0]['n_hidden']} dimensions", fontsize=plots.STYLE["title"] + 1)
    axes.legend(fontsize=plots.STYLE["title"], frameon=False, loc="upper right", bbox_to_anchor=(1, 0.9))
    legend.axis("off")

    axes, graphs = bottom
    rng = np.random.default_rng(0)                          # spreads the dots of one p sideways, so that all are seen
    step = np.log(x[1] / x[0]) if len(x) > 1 else 0.1
    for run in runs:
        D, norm = feature_dimensionality(run["W"]), norms(run["W"])                     # (P, n)
        place = x[:, None] * np.exp(step * rng.uniform(-0.33, 0.33, D.shape))
        for kept, colour, words in ((norm < REPRESENTED, "0.7", "dropped (norm below ½)"),
                                    (norm >= REPRESENTED, plots.BLUE, "represented")):
            axes.plot(place[kept], D[kept], ".", color=colour, markersize=6, alpha=0.6,
                      label=words if run is runs[0] else None)
    for line in LINES:
        axes.axhline(line, color=plots.VERMILION, linewidth=1.6, zorder=0)
    axes.set(ylim=(-0.04, 1.04))
    axes.set_ylabel(r"$D_i$ of each feature", fontsize=plots.STYLE["title"])
    axes.set_xlabel("1 / p = 1 / (1 − S), from dense to sparse", fontsize=plots.STYLE["title"])
    axes.set_title("Each feature's own share of a dimension", fontsize=plots.STYLE["title"] + 1)
    axes.legend(fontsize=plots.STYLE["title"], frameon=True, loc="upper right", markerscale=3)
    graphs.set(xlim=(0, 1), ylim=(-0.04, 1.04))
    graphs.axis("off")
    places = {"tetrahedron": 0.85, "triangle": 0.685, "digon": 0.52, "pentagon": 0.355, "square antiprism": 0.19}
    words = dict(zip(SHAPES, ("¾", "⅔", "½", "⅖", "⅜")))
    for name, height in places.items():
        graphs.plot([0, 0.2], [SHAPES[name][1], height], color=plots.VERMILION, linewidth=1.6, clip_on=False)
        graphs.text(0.24, height, words[name], fontsize=plots.STYLE["title"] + 8, va="center")
        _graph(graphs.inset_axes((0.5, (height + 0.05) / 1.08 - 0.06, 0.5, 0.12)), SHAPES[name][0])
        graphs.text(0.98, height - 0.06, name, fontsize=plots.STYLE["font"] - 1, ha="right", va="top")
    graphs.plot([0, 0.2], [0, 0], color="0.6", linewidth=1.6, clip_on=False)
    graphs.text(0.24, 0, "0  dropped", fontsize=plots.STYLE["title"], va="center")
    for panel in (top[0], bottom[0]):
        panel.set(xscale="log", xlim=(x[0] / 1.15, x[-1] * 1.15))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.tick_params(labelsize=plots.STYLE["font"] + 1)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _graph(axes, V):
    """The shape's graph: a dot a feature, on a circle, and a line between features, thicker the less orthogonal."""
    n = V.shape[1]
    x, y = polytopes.polygon(n) if n > 2 else np.array([[-1.0, 1.0], [0.0, 0.0]])
    cosine = np.triu(abs(cosines(V)), 1)
    for i, j in zip(*np.nonzero(cosine > 0.1)):
        axes.plot(x[[i, j]], y[[i, j]], color="0.45", linewidth=2.5 * cosine[i, j] / cosine.max())
    axes.plot(x, y, "o", color=plots.BLUE, markersize=7)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    axes.axis("off")


CLAIMS = (
    Claim("uniform-dstar-falls", SECTION,
          "D*, the dimensions for each represented feature, falls as features get sparse.", falls, high=-0.9,
          expected="rank correlation with 1/p at most -0.9"),
    Claim("uniform-plateau-at-one", SECTION, "D* is sticky at 1: a plateau of it lies there.", off_plateau(1),
          high=NEAR, expected=f"the nearest plateau at most {NEAR:g} away"),
    Claim("uniform-plateau-at-half", SECTION, "D* is sticky at 1/2: a plateau of it lies there.", off_plateau(0.5),
          high=NEAR, expected=f"the nearest plateau at most {NEAR:g} away"),
    Claim("uniform-plateau-digons-at-half", SECTION,
          "On the plateau of D* at 1/2 the represented features have D_i = 1/2.", plateau_at_half, low=0.8,
          expected="at least 80 % within 0.02"),
    Claim("uniform-digons-at-half", SECTION, "Wherever at least half of the represented features are in digons, the "
          "represented features have D_i = 1/2.", digons_at_half, low=0.8, expected="at least 80 % within 0.02"),
    Claim("uniform-dropped-at-zero", SECTION, "Wherever at least half of the represented features are in digons, the "
          "dropped features have D_i = 0.", dropped_at_zero, low=0.8, expected="at least 80 % within 0.02"),
    Claim("uniform-clusters", SECTION, "Feature dimensionalities cluster at 3/4, 2/3, 1/2, 2/5 and 3/8.",
          concentrated_on(LINES), low=2, expected="at least twice as many as if they were spread evenly"),
    *(Claim(f"uniform-line-{name.replace(' ', '-')}", SECTION, f"There is a cluster at {words}, the {name}'s.",
            concentrated_on([SHAPES[name][1]]), low=1, expected="at least as many as if they were spread evenly")
      for name, words in (("tetrahedron", "3/4"), ("triangle", "2/3"), ("pentagon", "2/5"),
                          ("square antiprism", "3/8"))),
    Claim("uniform-no-line-at-three-fifths", SECTION, "There is no line at 3/5, since a triangular bipyramid splits "
          "into its factors.", concentrated_on([0.6]), high=1, expected="fewer than if they were spread evenly"),
    Claim("uniform-bipyramid-splits", SECTION,
          "The triangular bipyramid's features have 2/3 (triangle) and 1/2 (digon).", bipyramid_off_its_factors,
          high=1e-6, expected="exact minimum, to 1e-6"),
    *(Claim(f"uniform-{name.replace(' ', '-')}-fraction", SECTION, f"Each feature of a {name} has D_i = {words}.",
            off_fraction(name), low=SHAPES[name][1] - 1e-6, high=SHAPES[name][1] + 1e-6,
            expected=f"{words} at the exact minimum, to 1e-6",
            correction=f"At the exact minimum for p = {SHAPE_PROBABILITY:g} it is {{measured}}; {words} is the largest "
                       f"that it can be, of a tight frame.")
      for name, words in zip(SHAPES, ("3/4", "2/3", "1/2", "2/5", "3/8"))),
    Claim("uniform-packing", SECTION, "The D_i add up to about m: space is packed efficiently.", packing, low=0.95,
          high=1, expected="0.95 to 1 times m"),
    Claim("uniform-sum-below-rank", SECTION, "The sum of the D_i is never above the rank of W.", above_rank, high=1e-6,
          summary="largest", expected="at most 0, but for rounding"),
)

UNIFORM_GEOMETRY = Experiment(
    "uniform-geometry", 6, "Equally important features: dimensions, fractions and shapes", SECTION, "07",
    SETTINGS | {"seeds": 2},
    SETTINGS | {"n_features": 400, "n_hidden": 30, "points": 30, "steps": 8000, "batch_size": 512,
                "learning_rate": 3e-3, "seeds": 3}, run, draw, CLAIMS)
