"""Row 1: five features of falling importance in two dimensions, from dense to sparse.

Dense, the model does what principal components do: the two most important features get a dimension
each, the others nothing. Sparser, four features fit as two antipodal pairs, and sparser still all
five as a pentagon. What is trained is set beside the true minimum of the exact loss.

    P  probabilities: those of the text first, then those of the notebook's sweep
"""

from functools import cache

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry.align import align
from ..geometry.measures import DROPPED, ORTHOGONAL, REPRESENTED, cosines, norms
from ..geometry.tegum import name_geometry
from ..interrupts import passed_on
from ..plots import rows as pictures
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum, polish
from .base import Experiment, fit
from .claims import Claim, NotMeasured, place, requires

SECTION = "Definitions and Motivation"
SETTINGS = {"n_features": 5, "n_hidden": 2, "decay": 0.9,
            "probabilities": [1.0, 0.2, 0.1], "models": 30,         # those of the text
            "sweep": [20 ** (-i / 9) for i in range(10)],           # of the notebook, 1 to 1/20
            "sweep_models": 8,
            "search": 8, "steps": 2000, "batch_size": 128, "learning_rate": 2e-2}


def run(job):
    """Models trained at each probability, the true minimum there, and where the best model leads.

    text_W (T, models, m, n), sweep_W (S, sweep_models, m, n) trained; text_loss, sweep_loss, exact
    best_W (P, m, n), best_loss (P,)    the best of them
    polished_loss (P,)                  that of the minimum that the best one leads to
    minimum_W (P, m, n), minimum_loss (P,)      the lowest minimum that is known
    """
    n, m = job["n_features"], job["n_hidden"]
    importance = job["decay"] ** np.arange(n)
    result, best, laws = {}, [], []
    for part, values, count in (("text", job["probabilities"], job["models"]),
                                ("sweep", job["sweep"], job["sweep_models"])):
        if not values:
            continue
        features = Features(n, np.repeat(values, count)[:, None], importance)
        start = ReluOutput.init(n, m, features.n_instances, seed=job["seed"])
        model = fit(start, features, job, schedule="cosine")
        loss = expected_loss(model, features).reshape(len(values), count)
        result |= {f"{part}_W": model.W.reshape(len(values), count, m, n), f"{part}_loss": loss}
        chosen = np.arange(len(values)) * count + loss.argmin(1)
        best += [model[int(i)] for i in chosen]
        laws += [features[int(i)] for i in chosen]
    minima = [true_minimum(n, m, p, job["decay"], job["search"])
              for p in job["probabilities"] + job["sweep"]]
    below = [polish(model, law, progress=False).loss for model, law in zip(best, laws)]
    return result | {
        "best_W": np.stack([model.W for model in best]),
        "best_loss": np.array([expected_loss(model, law) for model, law in zip(best, laws)]),
        "polished_loss": np.array(below),
        "minimum_W": np.stack([minimum.model.W for minimum in minima]),
        "minimum_loss": np.array([minimum.loss for minimum in minima])}


@cache
def true_minimum(n, m, p, decay, starts):
    """The lowest minimum of the exact loss, which is the same for every seed."""
    law = Features(n, p, decay ** np.arange(n))
    with passed_on():                   # half a search would be kept for all that come after
        return find_minimum(law, m, starts=starts, progress=False)


# -- what is measured ------------------------------------------------------------------------------

def represented(W):
    """How many features W (..., m, n) represents, (...)."""
    return (norms(W) >= REPRESENTED).sum(-1)


def keeps_top(W):
    """Whether W (m, n) has the first m features at right angles, and no other."""
    m, norm = len(W), norms(W)
    beside = abs(cosines(W)[:m, :m])[~np.eye(m, dtype=bool)]
    return bool((norm[:m] >= REPRESENTED).all() and (norm[m:] <= DROPPED).all()
                and (beside <= ORTHOGONAL).all())


def two_pairs(W):
    """Whether four features of W (2, 5) are two antipodal pairs and the fifth is dropped."""
    return represented(W) == 4 and name_geometry(W) == "2 digons + dropped"


def pentagon(W):
    """Whether W (2, 5) is a pentagon."""
    return represented(W) == 5 and name_geometry(W) == "pentagon"


LOOKS = {1.0: keeps_top, 0.2: two_pairs, 0.1: pentagon}     # at the probabilities of the text


def five_in_two(runs, p):
    """Where the probability p of the text stands, in runs of the text's size; else NotMeasured."""
    requires(runs, n_features=5, n_hidden=2)
    return place(runs[0]["probabilities"], p, "probabilities")


def best_is(p):
    """A measure: 1 or 0 a seed, whether the best model at p looks as the text says."""
    def measure(runs):
        at = five_in_two(runs, p)
        return [LOOKS[p](run["best_W"][at]) for run in runs]
    return measure


def rate(p):
    """A measure: 1 or 0 for every model of every seed, whether it looks at p as the text says."""
    def measure(runs):
        at = five_in_two(runs, p)
        return [LOOKS[p](W) for run in runs for W in run["text_W"][at]]
    return measure


def drops_the_last(W):
    """Whether the least important feature of W (m, n) is the one with the smallest norm."""
    return norms(W).argmin() == W.shape[1] - 1


def best_pairs_drop_the_last(runs):
    """1 or 0 a seed: whether the best model at p = 0.2 is two pairs without the last feature."""
    at = five_in_two(runs, 0.2)
    return [two_pairs(run["best_W"][at]) and drops_the_last(run["best_W"][at]) for run in runs]


def pairs_drop_the_last(runs):
    """1 or 0 for every model at p = 0.2 that is two pairs: whether it dropped the last feature."""
    at = five_in_two(runs, 0.2)
    models = [W for run in runs for W in run["text_W"][at] if two_pairs(W)]
    if not models:
        raise NotMeasured("no model at p = 0.2 is two pairs and a dropped feature")
    return [drops_the_last(W) for W in models]


def minima_look_so(runs):
    """1 or 0 for each probability of the text: whether the true minimum there looks so."""
    return [look(runs[0]["minimum_W"][five_in_two(runs, p)]) for p, look in LOOKS.items()]


def short_of_dimensions(runs):
    """NotMeasured unless there are more features than dimensions: else nothing need be lost."""
    n, m = runs[0]["n_features"], runs[0]["n_hidden"]
    if n <= m:
        raise NotMeasured(f"the claim speaks of more features than dimensions, and the runs have "
                          f"{n} in {m}")


def finds_the_minimum(runs):
    """1 or 0 a seed and p: whether the best trained model costs within 1 % of the true minimum."""
    short_of_dimensions(runs)
    return np.concatenate([run["best_loss"] <= 1.01 * run["minimum_loss"] for run in runs])


def keeps_more(runs):
    """1 or 0 a seed: whether along the sweep, from dense to sparse, the best model represents more.

    Never fewer features than at the probability before, and at the end more than at the start.
    """
    short_of_dimensions(runs)
    p = np.array(runs[0]["sweep"])
    if len(p) < 2:
        raise NotMeasured("the claim speaks of a sweep of two or more probabilities")
    order = len(runs[0]["probabilities"]) + np.argsort(-p, kind="stable")
    counts = [represented(run["best_W"][order]) for run in runs]
    return [(np.diff(count) >= 0).all() and count[-1] > count[0] for count in counts]


def draw(runs):
    """The best W at each probability, and what training leaves on the table there."""
    first, seeds = runs[0], np.arange(len(runs[0]["best_loss"]))
    p = np.array(first["probabilities"] + first["sweep"])
    winner = np.argmin([run["best_loss"] for run in runs], axis=0)              # (P,), a run each
    W = align(np.stack([runs[k]["best_W"][i] for k, i in zip(winner, seeds)]), relabel=False)
    with np.errstate(divide="ignore", invalid="ignore"):        # a minimum of 0 has no ratio
        lost = [np.array([run[key] / run["minimum_loss"] - 1 for run in runs])
                for key in ("best_loss", "polished_loss")]
    return pictures.introduction.figure(
        p, len(first["probabilities"]), W, [name_geometry(V) for V in W],
        first["decay"] ** np.arange(first["n_features"]), *lost)


TEXT = (("dense", 1.0, "Dense features (p = 1): the two most important are orthogonal, "
                       "the rest are dropped"),
        ("pairs", 0.2, "At p = 0.2 four features form two antipodal pairs"),
        ("pentagon", 0.1, "At p = 0.1 all five features form a pentagon"))

CLAIMS = (
    *(Claim(f"introduction-{word}", SECTION, f"{sentence}.", best_is(p), low=1, summary="smallest",
            expected="the best model of every seed") for word, p, sentence in TEXT),
    *(Claim(f"introduction-{word}-rate", SECTION, f"{sentence}, in most trained models.", rate(p),
            low=0.5, summary="share", expected="more than half of the models", kind="ours")
      for word, p, sentence in TEXT),
    Claim("introduction-pairs-drop-the-last", SECTION,
          "The feature that the two pairs leave out is the least important one.",
          best_pairs_drop_the_last, low=1, summary="smallest",
          expected="the best model of every seed"),
    Claim("introduction-pairs-drop-the-last-rate", SECTION,
          "The feature that two pairs leave out is the least important one more often than chance "
          "would have it, which is once in five.", pairs_drop_the_last, low=0.2, summary="share",
          expected="more than 1/5 of the models that are two pairs", kind="ours"),
    Claim("introduction-true-minima", SECTION,
          "The true minima of the loss at p = 1, 0.2 and 0.1 are these three geometries.",
          minima_look_so, low=1, summary="smallest", expected="all three", kind="ours",
          control="none: nothing is trained, and the other two geometries are the rivals that each "
                  "of the three is told from"),
    Claim("introduction-finds-the-minimum", SECTION,
          "The best of the models trained at a p costs within 1 % of the true minimum, nearly "
          "always.", finds_the_minimum, low=0.8, summary="share",
          expected="at more than 4 of 5 probabilities, over all seeds", kind="ours"),
    Claim("introduction-sparser-keeps-more", SECTION,
          "The sparser the features, the more of them are represented.", keeps_more, low=1,
          summary="smallest", expected="in every seed, no step back along the sweep"),
)

EXPERIMENT = Experiment(
    "introduction", 1, "Five features in two dimensions", SECTION, "05", SETTINGS | {"seeds": 3},
    SETTINGS | {"models": 50, "sweep_models": 10, "search": 32, "steps": 6000, "batch_size": 512,
                "learning_rate": 1e-2, "seeds": 5}, run, draw, CLAIMS)


if __name__ == "__main__":
    from .command import main
    main(EXPERIMENT.name)
