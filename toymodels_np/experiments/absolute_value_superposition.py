"""Row 16: more absolute values than neurons, from dense to sparse features.

Signed features of falling importance, far more of them than neurons, and the task is |x|. Dense
features get a neuron for their positive and one for their negative side as long as neurons last:
all of these are monosemantic. Very sparse ones share: every neuron serves several. In between both
kinds live in one model. The important features keep neurons of their own, and many of the shared
neurons have one primary feature and others that they serve more weakly.

Only models that have learned count, those that clearly beat the best constant output: random
weights mix all features and would pass for polysemantic. The rarer the features, the larger the
batch, so that each of them is still seen a few times in it.
"""

import numpy as np

from ..core import checks
from ..core.features import Features
from ..core.models import AbsoluteValue
from ..core.streams import CHANCE_STREAM, random_stream
from ..geometry.neurons import IDLE, MONOSEMANTIC, service, stack_plot
from ..plots import rows as pictures
from ..theory.estimate import estimate_loss
from .absolute_value import LEARNED, constant_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured, place

SECTION = "Computation in Superposition"
DENSE, SPARSE = 1.0, 0.001      # the probabilities of which the paper's two extremes speak
AT_LEAST_HALF = 0.5             # of its primary feature's job, which a neuron with a primary does
WEAKER = 0.5                    # a secondary feature's slope, as a part of the primary one's
SHUFFLES = 100                  # that say what chance would do
PANELS = 4
SETTINGS = {"n_features": 30, "n_hidden": 12, "decay": 0.8,
            "probabilities": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            "starts": 1, "steps": 6000, "batch_size": 256, "seen": 4, "learning_rate": 1e-2,
            "samples": 2**13}


def run(job):
    """The best of `starts` models at each probability (P,): W1, W2, b, and what they explain.

    "explained" (P,) is the part of the best constant output's loss that the model takes away. A
    batch has `batch_size` samples, or more, so that a feature is active in `seen` of them.
    """
    rows = [_best(job, p) for p in checks.array("probabilities", job["probabilities"], ndim=1)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _best(job, p):
    n, starts = job["n_features"], job["starts"]
    features = Features(n, p, job["decay"] ** np.arange(n), signed=True)
    batch = max(job["batch_size"], int(np.ceil(job["seen"] / p)))
    model = fit(AbsoluteValue.init(n, job["n_hidden"], starts, seed=job["seed"]), features, job,
                schedule="cosine", batch_size=batch, record_every=max(1, job["steps"]))
    loss = estimate_loss(model, features, samples=job["samples"], seed=job["seed"])[0]
    best = int(loss.argmin())
    return dict(zip(("W1", "W2", "b"), model[best].parameters)) | {
        "explained": 1 - loss[best] / constant_loss(features)}


# -- what is measured -----------------------------------------------------------------------------

def model_at(run, k):
    """The model of the k-th probability."""
    return AbsoluteValue(run["W1"][k], run["W2"][k], run["b"][k])


def kinds(model):
    """Which neurons (m,) are monosemantic, and which polysemantic; idle ones are neither."""
    s = service(model)
    largest = s.max(-1)
    works, one = largest >= IDLE, largest >= MONOSEMANTIC * s.sum(-1)
    return works & one, works & ~one


def share_at(runs, p, kind):
    """The share of working neurons of a `kind`, 0 or 1 in `kinds`, at this p: one number a run.

    It is 0 for a model that has not learned, and for one none of whose neurons works.
    """
    shares = []
    for run in runs:
        k = place(run["probabilities"], p, "probability")
        both = kinds(model_at(run, k))
        working, learned = sum(np.sum(neurons) for neurons in both), run["explained"][k] > LEARNED
        shares.append(np.sum(both[kind]) / max(working, 1) if learned else 0.0)
    return shares


def between(run):
    """Where the probabilities are that lie strictly between the run's two extremes."""
    p = np.array(run["probabilities"])
    return np.flatnonzero((p > p.min()) & (p < p.max()))


def learned_between(run):
    """The models between the extremes that have learned."""
    return [model_at(run, k) for k in between(run) if run["explained"][k] > LEARNED]


def mixed(run):
    """The models between the extremes that have learned and in which both kinds of neurons live."""
    return [model for model in learned_between(run) if all(kind.any() for kind in kinds(model))]


def count_mixed(runs):
    """At how many probabilities both kinds live in one model, a number a run."""
    if max(len(run["probabilities"]) for run in runs) < 3:
        raise NotMeasured("the claim speaks of probabilities between two extremes, and there are "
                          "fewer than three")
    return [len(mixed(run)) for run in runs]


def precedences(runs, shuffled=False):
    """How likely a monosemantic neuron's feature is more important than a polysemantic one's.

    The pairs of neurons are taken within one model; a number a run, over all its mixed models.
    Ties count half. shuffled : exchange the neurons of a model at random, for what chance does.
    """
    numbers = []
    for run in runs:
        rng, pairs = random_stream(run["seed"], CHANCE_STREAM, 0), []
        for model in mixed(run):
            primary, (one, several) = service(model).argmax(-1), kinds(model)
            orders = [rng.permutation(primary) for _ in range(SHUFFLES)] if shuffled else [primary]
            for primary in orders:
                difference = np.subtract.outer(primary[one], primary[several])
                pairs += ((difference < 0) + (difference == 0) / 2).ravel().tolist()
        numbers += [np.mean(pairs)] if pairs else []
    if not numbers:
        raise NotMeasured("the claim speaks of models with both kinds of neurons; there are none")
    return numbers


def one_primary(runs):
    """1 or 0 for each polysemantic neuron of models between that have learned: has it one primary
    feature? It does at least half of that feature's job, and at most half as much for any other.

    Where no model has learned, 0 for each neuron.
    """
    found, models = [], [model for run in runs for model in learned_between(run)]
    if not models:
        found = [0 for run in runs for _ in between(run) for _ in range(run["W1"].shape[1])]
    for model in models:
        slopes = np.sort(service(model), axis=-1)[:, ::-1]
        second = slopes[:, 1] if slopes.shape[1] > 1 else np.zeros(len(slopes))
        primary = (slopes[:, 0] >= AT_LEAST_HALF) & (second <= WEAKER * slopes[:, 0])
        found += primary[kinds(model)[1]].tolist()
    if not found:
        raise NotMeasured("the claim speaks of polysemantic neurons between the extremes; there "
                          "are none")
    return found


# -- the figure and the claims ---------------------------------------------------------------------

def draw(runs):
    """Stack plots from dense to sparse of the first seed, and the share of each kind in all."""
    p = np.array(runs[0]["probabilities"])
    order = np.argsort(-p)
    chosen = order[np.unique(np.linspace(0, len(p) - 1, min(PANELS, len(p))).round().astype(int))]
    panels = []
    for k in chosen:
        model = model_at(runs[0], k)
        plot, primary, (one, several) = stack_plot(model), service(model).argmax(-1), kinds(model)
        sort = np.lexsort((primary, ~(one | several)))
        panels.append((p[k], plot.height[sort], plot.bottom[sort], primary[sort], one[sort],
                       several[sort]))
    shares = [[np.mean(kinds(model_at(run, k))[0]) for k in order] for run in runs]
    return pictures.absolute_value_superposition.figure(panels, p[order], np.array(shares))


CLAIMS = (
    Claim("absolute-dense-monosemantic", SECTION,
          "With dense features (p = 1) every neuron is monosemantic: their share in each model.",
          lambda runs: share_at(runs, DENSE, 0), low=1, summary="smallest",
          expected="every neuron of every model"),
    Claim("absolute-sparse-polysemantic", SECTION,
          "With very sparse features (p = 0.001) the neurons are polysemantic, all but at most one "
          "in twenty: their share in each model; the control are the models at p = 1.",
          lambda runs: share_at(runs, SPARSE, 1), low=0.95, summary="mean",
          control=lambda runs: share_at(runs, DENSE, 1),
          decided_by="the paper's size, 100 features in 40 neurons (--full)"),
    Claim("absolute-between-both", SECTION,
          "In between, both kinds of neurons live in one model: at how many probabilities.",
          count_mixed, low=1),
    Claim("absolute-important-monosemantic", SECTION,
          "In between, it is the important features whose neurons stay monosemantic: how likely a "
          "monosemantic neuron's feature is more important than a polysemantic one's primary "
          "feature; for neurons exchanged at random one half.", precedences, low=0.6,
          control=lambda runs: precedences(runs, shuffled=True)),
    Claim("absolute-one-primary", SECTION,
          "In between, many shared neurons have one primary feature, of whose job they do at least "
          "half, and weaker secondary ones, at most half as strong.", one_primary, low=0.2,
          summary="share", expected="at least a fifth of the shared neurons"),
)

EXPERIMENT = Experiment(
    "absolute-value-superposition", 16, "Absolute values in superposition", SECTION, "12",
    SETTINGS | {"seeds": 6},
    SETTINGS | {"n_features": 100, "n_hidden": 40, "steps": 20_000, "batch_size": 512,
                "probabilities": [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001],
                "learning_rate": 5e-3, "starts": 2, "samples": 2**15, "seeds": 6},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("absolute-value-superposition")
