"""Row 1: five features of falling importance in two dimensions, from dense to sparse.

Dense, the model does what principal components do: the two most important features get a dimension each, the others
nothing. Sparser, four features fit as two antipodal pairs, and sparser still all five as a pentagon. What is trained
is set beside the true minimum of the exact loss at each probability.
"""

from functools import cache

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import cosines, norms
from ..geometry.tegum import name_geometry
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum
from .. import plots
from .claims import Claim
from .base import Experiment

REPRESENTED = 0.5                               # a feature with this norm or more counts as represented,
DROPPED = 0.1                                   # with this norm or less as dropped
ORTHOGONAL = 0.1                                # two features with |cos| up to this are orthogonal
SECTION = "Definitions and Motivation"
SETTINGS = {"n_features": 5, "n_hidden": 2, "decay": 0.9, "probabilities": [1.0, 0.2, 0.1],
            "sweep": [20 ** (-i / 9) for i in range(10)],               # of the paper's notebook: 1 … 1/20
            "models": 10, "search": 24, "steps": 2000, "batch_size": 128, "learning_rate": 2e-2}


def run(job):
    """`models` instances at each probability, the three of the text and then the notebook's, and the true minimum.

    W (P, models, m, n)      loss (P, models), exact      minimum_W (P, m, n)      minimum_loss (P,)
    """
    n, m = job["n_features"], job["n_hidden"]
    ps = np.array([*job["probabilities"], *job["sweep"]])                               # (P,)
    importance = job["decay"] ** np.arange(n)
    features = Features(n, np.repeat(ps, job["models"])[:, None], importance)
    models = ReluOutput.init(n, m, features.n_instances, seed=job["seed"])
    model = train(models, features, schedule="cosine", progress=False,
                  **{key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}).model
    minima = [true_minimum(n, m, p, job["decay"], job["search"]) for p in ps]
    return {"W": model.W.reshape(len(ps), -1, m, n), "loss": expected_loss(model, features).reshape(len(ps), -1),
            "minimum_W": np.stack([minimum.model.W for minimum in minima]),
            "minimum_loss": np.array([minimum.loss for minimum in minima])}


@cache
def true_minimum(n, m, p, decay, starts):
    """The lowest minimum of the exact loss, which is the same for every seed."""
    return find_minimum(Features(n, p, decay ** np.arange(n)), m, starts=starts)


# -- what is measured --------------------------------------------------------------------------------------------------

def top_two(W):
    """Whether W (m, n) has features 1 and 2 at right angles and no other."""
    norm = norms(W)
    return bool((norm[:2] >= REPRESENTED).all() and (norm[2:] <= DROPPED).all()
                and abs(cosines(W)[0, 1]) <= ORTHOGONAL)


def two_pairs(W):
    """Whether four features of W (2, 5) are two antipodal pairs and the fifth is dropped."""
    return name_geometry(W) == "2 digons + dropped"


def pentagon(W):
    """Whether W (2, 5) is a pentagon."""
    return name_geometry(W) == "pentagon"


LOOKS = (top_two, two_pairs, pentagon)          # of the three probabilities of the text


def best(run):
    """The best of the trained models at each probability, (P, m, n)."""
    return run["W"][np.arange(len(run["loss"])), run["loss"].argmin(1)]


def trained_is(place):
    """A measure: 1 or 0 a seed, whether the best model at the text's probability `place` looks as the paper says."""
    return lambda runs: [LOOKS[place](best(run)[place]) for run in runs]


def rate(place):
    """A measure: 1 or 0 for every model of every seed at the text's probability `place`."""
    return lambda runs: [LOOKS[place](W) for run in runs for W in run["W"][place]]


def pairs_drop_the_last(runs):
    """1 or 0 for every model at p = 0.2 that is two pairs: whether it dropped the least important feature."""
    models = [W for run in runs for W in run["W"][1] if two_pairs(W)]
    return [norms(W).argmin() == W.shape[1] - 1 for W in models] or [0]


def best_pairs_drop_the_last(runs):
    """1 or 0 a seed: whether the best model at p = 0.2 is two pairs without the least important feature."""
    return [two_pairs(best(run)[1]) and norms(best(run)[1]).argmin() == run["W"].shape[-1] - 1 for run in runs]


def minima_look_so(runs):
    """1 or 0 a seed: whether the true minima at the three probabilities look as the paper says."""
    return [all(look(W) for look, W in zip(LOOKS, run["minimum_W"])) for run in runs]


def excess(runs):
    """By how much, relatively, the best trained model costs more than the true minimum: the worst p of each seed."""
    return [(run["loss"].min(1) / run["minimum_loss"] - 1).max() for run in runs]


def steps_back(runs):
    """How often in a seed the notebook's next sparser best model represents fewer features than the one before."""
    return [(np.diff((norms(best(run)[len(LOOKS):]) >= REPRESENTED).sum(-1)) < 0).sum() for run in runs]


# -- the figure --------------------------------------------------------------------------------------------------------

def draw(runs):
    """The best W of all seeds at the three probabilities, its loss against the true minimum, and the notebook's ten."""
    ps = np.array([*runs[0]["probabilities"], *runs[0]["sweep"]])
    winner = np.argmin([run["loss"].min(1) for run in runs], axis=0)                    # (P,), a seed each
    W = np.stack([best(runs[seed])[i] for i, seed in enumerate(winner)])                # (P, m, n)
    limit = 1.2 * max(1, norms(W).max())
    text = len(runs[0]["probabilities"])
    figure = plots.canvas(16, 12)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 6.4))
    panels = top.subplots(1, text + 1, width_ratios=(1,) * text + (1.35,))
    for axes, p, V in zip(panels[:text], ps, W):
        _panel(axes, V, limit, f"p = {p:g}")
    axes = panels[-1]
    order = np.argsort(ps)
    scale = ps[order]                                           # the loss is about proportional to p where it is small
    axes.plot(scale, np.min([run["minimum_loss"] for run in runs], axis=0)[order] / scale, color="black", linewidth=2.5,
              label="true minimum (exact)")
    for i, run in enumerate(runs):
        axes.plot(np.repeat(ps, run["loss"].shape[1]), (run["loss"] / ps[:, None]).ravel(), "o", color=plots.ORANGE,
                  markersize=8, markerfacecolor="none", markeredgewidth=1.5, label=None if i else "trained, one each")
    axes.set(xscale="log")
    axes.invert_xaxis()
    axes.set_xlabel("feature probability p = 1 − S", fontsize=plots.STYLE["font"] + 1)
    axes.set_ylabel("expected loss / p", fontsize=plots.STYLE["font"] + 1)
    axes.tick_params(labelsize=plots.STYLE["font"])
    axes.legend(fontsize=plots.STYLE["font"], frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    rows = bottom.subplots(2, -(-len(runs[0]["sweep"]) // 2), squeeze=False).ravel()
    for axes, p, V in zip(rows, ps[text:], W[text:]):
        _panel(axes, V, limit, f"p = {p:.3g}")
    for axes in rows[len(ps) - text:]:
        axes.axis("off")
    bottom.suptitle("the notebook's ten probabilities", fontsize=plots.STYLE["title"] + 1)
    handles = [axes.plot([], [], "o-", color=plots.FEATURE_COLOURS[i], linewidth=3, markersize=9)[0]
               for i in range(W.shape[-1])]
    labels = [f"feature {i + 1}, importance {runs[0]['decay'] ** i:.2g}" for i in range(W.shape[-1])]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=plots.STYLE["font"],
                  frameon=False)
    return figure


def _panel(axes, W, limit, title):
    plots.draw_directions(axes, W, limit)
    axes.set_title(f"{title}\n{name_geometry(W)}", fontsize=plots.STYLE["font"] + 1)


TEXT = (("dense", "Dense features (p = 1): the two most important are orthogonal, the rest are dropped"),
        ("pairs", "At p = 0.2 four features form two antipodal pairs"),
        ("pentagon", "At p = 0.1 all five features form a pentagon"))

CLAIMS = (
    *(Claim(f"introduction-{word}", SECTION, f"{sentence}.", trained_is(i), low=1, summary="smallest",
            expected="the best model of every seed") for i, (word, sentence) in enumerate(TEXT)),
    *(Claim(f"introduction-{word}-rate", SECTION, f"{sentence}, in most trained models.", rate(i), low=0.5,
            summary="mean", expected="at least half of the models") for i, (word, sentence) in enumerate(TEXT)),
    Claim("introduction-pairs-drop-the-last", SECTION, "The feature that the two pairs leave out is the least "
          "important one.", best_pairs_drop_the_last, low=1, summary="smallest",
          expected="the best model of every seed"),
    Claim("introduction-pairs-drop-the-last-rate", SECTION, "The feature that two pairs leave out is the least "
          "important one, in most trained models that are two pairs.", pairs_drop_the_last, low=0.5, summary="mean",
          expected="at least half of these models"),
    Claim("introduction-true-minima", SECTION, "The true minima of the loss at p = 1, 0.2 and 0.1 are these three "
          "geometries.", minima_look_so, low=1, summary="smallest", expected="all three"),
    Claim("introduction-finds-the-minimum", SECTION, "The best trained model at each p costs within 1 % of the true "
          "minimum.", excess, high=0.01, summary="largest"),
    Claim("introduction-sparser-keeps-more", SECTION, "The sparser the features, the more of them are represented.",
          steps_back, high=0, summary="largest", expected="no step back along the notebook's ten probabilities"),
)

INTRODUCTION = Experiment(
    "introduction", 1, "Five features in two dimensions", SECTION, "05", SETTINGS | {"seeds": 2},
    SETTINGS | {"models": 10, "search": 32, "steps": 6000, "batch_size": 512, "learning_rate": 1e-2, "seeds": 5},
    run, draw, CLAIMS)
