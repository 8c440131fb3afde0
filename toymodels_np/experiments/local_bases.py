"""Row 9: local almost-orthogonal bases. Two correlated sets of ten features share ten dimensions.

As a whole the model is in superposition, twenty features in ten dimensions. But features that are
on together must not disturb each other, so each set becomes an almost orthogonal basis of the
whole space, and the interference is between the sets, which are rarely on at once. Independent
features with the same law pair up without regard to the sets.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry.measures import REPRESENTED, gram, norms
from ..plots import rows as pictures
from ..theory.exact.loss import expected_loss
from .base import Experiment, fit
from .claims import Claim

SECTION = "Local Almost-Orthogonal Bases"
NEARLY = 0.1                        # "nearly the identity": root mean square of what is off it
SETTINGS = {"size": 10, "feature_probability": 0.05, "instances": 4, "steps": 3000,
            "batch_size": 512, "learning_rate": 1e-2}


def run(job):
    """Trained models of correlated sets and of independent features: W, loss, interference."""
    s, p, K = job["size"], job["feature_probability"], job["instances"]
    result = {}
    for name, sets in (("correlated", (range(s), range(s, 2 * s))), ("independent", ())):
        features = Features(2 * s, p, correlated=sets)
        model = fit(ReluOutput.init(2 * s, s, K, seed=job["seed"]), features, job,
                    schedule="cosine", record_every=max(job["steps"], 1))
        within, across = within_and_across(gram(model.W))
        result |= {f"{name}_W": model.W, f"{name}_within": within, f"{name}_across": across,
                   f"{name}_loss": expected_loss(model, features, rtol=1e-4)}
    return result


# -- what is measured ----------------------------------------------------------------------------

def own_rows(G):
    """G (..., 2s, 2s), features of one set first -> what each own set does to a feature, less 1 for
    itself: (..., 2s, s), rows of the blocks on the diagonal less the identity."""
    s = G.shape[-1] // 2
    return np.concatenate([G[..., :s, :s], G[..., s:, s:]], -2) - np.tile(np.eye(s), (2, 1))


def within_and_across(G):
    """Root mean squares: (entries of G - 1 inside the sets, entries between them), (...) each."""
    s = G.shape[-1] // 2
    return (np.sqrt((own_rows(G) ** 2).mean((-1, -2))),
            np.sqrt((G[..., :s, s:] ** 2).mean((-1, -2))))


def usable(W):
    """(..., 2s) whether a feature is represented, and comes back undisturbed by its own set."""
    clear = np.sqrt((own_rows(gram(W)) ** 2).mean(-1)) <= NEARLY
    return clear & (norms(W) >= REPRESENTED)


def usable_per_dimension(runs):
    """Usable features for each hidden dimension, one number a trained model."""
    return np.concatenate([usable(run["correlated_W"]).sum(-1) / run["size"] for run in runs])


def of_each_model(key):
    """The claim's measure: this number, one a trained model."""
    return lambda runs: np.concatenate([np.atleast_1d(run[key]) for run in runs])


def between_over_inside(runs):
    return np.concatenate([run["correlated_across"] / run["correlated_within"] for run in runs])


def more_than_correlated(runs):
    """The independent features' interference inside the sets over that of the correlated ones."""
    return [np.median(run["independent_within"]) / np.median(run["correlated_within"])
            for run in runs]


def local_bases(runs):
    """1 or 0 a model: whether both sets are bases, with all features represented."""
    return np.concatenate([(run["correlated_within"] <= NEARLY)
                           & (norms(run["correlated_W"]) >= REPRESENTED).all(-1) for run in runs])


def draw(runs):
    """WᵀW of the best trained model beside that of independent features."""
    panels = []
    for name in ("correlated", "independent"):
        run = min(runs, key=lambda run: np.min(run[f"{name}_loss"]))
        best = np.argmin(run[f"{name}_loss"])
        panels.append((gram(run[f"{name}_W"][best]), run[f"{name}_within"][best],
                       run[f"{name}_across"][best]))
    return pictures.local_bases.figure(*panels)


CLAIMS = (
    Claim("local-bases-nearly-identity", SECTION,
          "Inside each correlated set WᵀW is nearly the identity.",
          of_each_model("correlated_within"), high=NEARLY),
    Claim("local-bases-in-superposition", SECTION,
          "The whole is in superposition: about twice as many features as dimensions are "
          "represented and undisturbed by their own set.", usable_per_dimension, low=1.5,
          expected="at least 1.5 such features a dimension"),
    Claim("local-bases-interference-between", SECTION,
          "The interference is between the sets, not inside them.", between_over_inside, low=2,
          expected="between the sets at least twice that inside"),
    Claim("local-bases-due-to-correlation", SECTION,
          "Correlation does it: independent features have more interference inside the same sets.",
          more_than_correlated, low=2, expected="at least twice that of the correlated"),
    Claim("local-bases-rate", SECTION,
          "Most training runs reach local bases, with all features represented.", local_bases,
          low=0.5, summary="share", kind="ours"),
)

EXPERIMENT = Experiment(
    "local-bases", 9, "Local almost-orthogonal bases", SECTION, "01", SETTINGS | {"seeds": 3},
    SETTINGS | {"instances": 8, "steps": 10_000, "seeds": 10}, run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("local-bases")
