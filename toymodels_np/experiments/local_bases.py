"""Row 9: local almost-orthogonal bases. Two correlated sets of ten features share ten dimensions.

As a whole the model is in superposition, twenty features in ten dimensions. But features that are on together must not
disturb each other, so each set becomes an almost orthogonal basis of the whole space, and the interference is between
the sets, which are rarely on at once. Independent features with the same law pair up without regard to the sets.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import gram, norms
from ..theory.exact.loss import expected_loss
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Local Almost-Orthogonal Bases"
REPRESENTED = 0.5                               # a feature with this norm or more counts as represented
NEARLY = 0.1                                    # "nearly the identity": root mean square distance of its entries
SETTINGS = {"size": 10, "feature_probability": 0.05, "instances": 4, "steps": 3000, "batch_size": 512,
            "learning_rate": 1e-2}


def within_and_across(G):
    """G (..., 2s, 2s), features of one set first -> root mean squares: (entries of G - 1 inside the sets, between)."""
    s = G.shape[-1] // 2
    own = np.concatenate([G[..., :s, :s], G[..., s:, s:]], -2) - np.tile(np.eye(s), (2, 1))
    return np.sqrt((own**2).mean((-1, -2))), np.sqrt((G[..., :s, s:]**2).mean((-1, -2)))


def run(job):
    """Trained models of the correlated sets and of independent features: W, exact loss, interference in and between."""
    s, p, K = job["size"], job["feature_probability"], job["instances"]
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    result = {}
    for name, sets in (("correlated", (range(s), range(s, 2 * s))), ("independent", ())):
        features = Features(2 * s, p, correlated=sets)
        model = train(ReluOutput.init(2 * s, s, K, seed=job["seed"]), features, schedule="cosine",
                      record_every=job["steps"], progress=False, **options).model
        within, across = within_and_across(gram(model.W))
        result |= {f"{name}_W": model.W, f"{name}_loss": expected_loss(model, features, rtol=1e-4),
                   f"{name}_within": within, f"{name}_across": across}
    return result


def represented(runs):
    """Represented features for each hidden dimension, one number a trained model."""
    return np.concatenate([(norms(run["correlated_W"]) >= REPRESENTED).sum(-1) / run["size"] for run in runs])


def draw(runs):
    """W'W of the best trained model beside that of independent features, the sets marked off, features in order."""
    figure = plots.canvas(15, 7)
    panels = figure.subplots(1, 2)
    image = None
    for axes, name in zip(panels, ("correlated", "independent")):
        run = min(runs, key=lambda run: np.min(run[f"{name}_loss"]))
        best = np.argmin(run[f"{name}_loss"])
        s = run["size"]
        image = axes.imshow(gram(run[f"{name}_W"][best]), cmap="RdBu_r", vmin=-1, vmax=1)
        axes.axhline(s - 0.5, color="black", linewidth=2)
        axes.axvline(s - 0.5, color="black", linewidth=2)
        axes.set(xticks=[s / 2 - 0.5, 1.5 * s - 0.5], yticks=[s / 2 - 0.5, 1.5 * s - 0.5])
        axes.set_xticklabels(["set 1", "set 2"], fontsize=plots.STYLE["font"] + 4)
        axes.set_yticklabels(["set 1", "set 2"], fontsize=plots.STYLE["font"] + 4, rotation=90, va="center")
        axes.tick_params(length=0)
        title = "two correlated sets" if name == "correlated" else "independent features"
        axes.set_title(f"{title}: distance from the\nidentity {run[f'{name}_within'][best]:.3f} inside, "
                       f"{run[f'{name}_across'][best]:.3f} between", fontsize=plots.STYLE["title"] + 2)
    bar = figure.colorbar(image, ax=panels, shrink=0.8)
    bar.set_label(r"$W^T W$", fontsize=plots.STYLE["font"] + 4)
    bar.ax.tick_params(labelsize=plots.STYLE["font"] + 1)
    return figure


def _all(key):
    return lambda runs: np.concatenate([np.atleast_1d(run[key]) for run in runs])


CLAIMS = (
    Claim("local-bases-nearly-identity", SECTION, "Inside each correlated set W'W is nearly the identity.",
          _all("correlated_within"), high=NEARLY),
    Claim("local-bases-in-superposition", SECTION,
          "The whole is in superposition: twice as many features as dimensions.",
          represented, low=1.5, expected="at least 1.5 represented features a dimension"),
    Claim("local-bases-interference-between", SECTION, "The interference is between the sets, not inside them.",
          lambda runs: np.concatenate([run["correlated_across"] / run["correlated_within"] for run in runs]), low=2,
          expected="between the sets at least twice that inside"),
    Claim("local-bases-due-to-correlation", SECTION,
          "Correlation does it: independent features have more interference inside the same sets.",
          lambda runs: [np.median(run["independent_within"]) / np.median(run["correlated_within"]) for run in runs],
          low=2, expected="at least twice that of the correlated"),
    Claim("local-bases-rate", SECTION, "Most training runs reach local bases, with all features represented.",
          lambda runs: np.concatenate([(run["correlated_within"] <= NEARLY)
                                       & (norms(run["correlated_W"]) >= REPRESENTED).all(-1) for run in runs]),
          low=0.5, summary="mean"),
)

LOCAL_BASES = Experiment(
    "local-bases", 9, "Local almost-orthogonal bases", SECTION, "01", SETTINGS | {"seeds": 3},
    SETTINGS | {"instances": 8, "steps": 10_000, "seeds": 10}, run, draw, CLAIMS)
