"""Row 15: absolute values with room to spare: three features, six neurons.

|x| is relu(x) + relu(-x): each feature gets one neuron for its positive and one for its negative
side, and the output adds the two. Not every training run gets there: some leave a side without a
neuron and stop at a worse minimum, which the loss gives away.
"""

import numpy as np

from ..core.features import Features
from ..core.models import AbsoluteValue
from ..geometry.neurons import served_features, service, stack_plot
from ..plots import rows as pictures
from ..theory.estimate import estimate_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured

SECTION = "Computation in Superposition"
COMPUTED = 1e-4                                 # a loss of at most this counts as computing |x|
LEARNED = 0.1       # of the best constant's loss: a model that has learned takes this away, or more
SETTINGS = {"n_features": 3, "n_hidden": 6, "feature_probability": 1.0, "models": 100,
            "steps": 3000, "batch_size": 256, "learning_rate": 1e-2, "samples": 2**13}


def run(job):
    """Many models from different starts: weights W1, W2, b and losses (models,), nothing picked."""
    features = Features(job["n_features"], job["feature_probability"], signed=True)
    start = AbsoluteValue.init(job["n_features"], job["n_hidden"], job["models"], seed=job["seed"])
    model = fit(start, features, job, schedule="cosine", record_every=max(1, job["steps"]))
    loss = estimate_loss(model, features, samples=job["samples"])[0]
    return dict(zip(("W1", "W2", "b"), model.parameters)) | {"loss": loss}


# -- what is measured -----------------------------------------------------------------------------

def constant_loss(features):
    """The loss of the best constant output: sum_i I_i times the variance of |x_i|, p/3 - p^2/4."""
    p = features.active_probability
    return float((features.importance * (p / 3 - p**2 / 4)).sum())


def model_of(run):
    """The run's models, one instance each."""
    return AbsoluteValue(run["W1"], run["W2"], run["b"])


def one_neuron_a_side(model):
    """Where each side of each feature has exactly one neuron and no neuron serves two: (...)."""
    sides = served_features(model)                                              # (..., m, n)
    each = ((sides == 1).sum(-2) == 1) & ((sides == -1).sum(-2) == 1)           # (..., n)
    return each.all(-1) & ((sides != 0).sum(-1) <= 1).all(-1)


def all_sides_served(model):
    """Where each side of each feature has at least one neuron: (...)."""
    sides = served_features(model)
    return ((sides == 1).any(-2) & (sides == -1).any(-2)).all(-1)


def slopes_off(model):
    """How far from 1 the slope of any side is, at most, all its neurons together: (...)."""
    sides, s = served_features(model), service(model)
    slopes = np.stack([np.where(sides == sign, s, 0).sum(-2) for sign in (1, -1)])
    return abs(slopes - 1).max((0, -1))


def best_model(runs):
    """The single model of lowest loss of all runs."""
    run = min(runs, key=lambda run: run["loss"].min())
    return model_of(run)[int(run["loss"].argmin())]


def gathered(runs, measure):
    """`measure` of every model of every run, in a row."""
    _with_room(runs)
    return np.concatenate([np.atleast_1d(measure(model_of(run))) for run in runs])


def lowest_loss(runs):
    """The loss of the best model; NotMeasured where a small one does not show that |x| is computed,
    since that of the best constant is small, too.
    """
    law = Features(runs[0]["n_features"], runs[0]["feature_probability"], signed=True)
    if COMPUTED > LEARNED * constant_loss(law):
        raise NotMeasured(f"a loss of {COMPUTED:g} says little of features that are so rare: that "
                          f"of the best constant is {constant_loss(law):g}")
    return [min(run["loss"].min() for run in runs)]


def computed(runs):
    """Which models compute |x|."""
    lowest_loss(runs)
    return np.concatenate([run["loss"] <= COMPUTED for run in runs])


def sides_of(runs, which):
    """1 or 0 for each model of `which`: whether all sides are served."""
    served = gathered(runs, all_sides_served)
    if not which.any():
        raise NotMeasured("the claim compares models that compute |x| with others, and here all "
                          "are of one kind")
    return served[which]


def computed_slopes_off(runs):
    """`slopes_off` of all models that compute |x|; of all models if none does."""
    off, which = gathered(runs, slopes_off), computed(runs)
    return off[which] if which.any() else off


def _with_room(runs):
    """NotMeasured unless there is a neuron for each side of each feature."""
    if runs[0]["n_hidden"] < 2 * runs[0]["n_features"]:
        raise NotMeasured("the claim speaks of at least two neurons a feature, and the runs have "
                          f"{runs[0]['n_hidden']} for {runs[0]['n_features']}")


def _best_has_all(runs):
    _with_room(runs)
    return [one_neuron_a_side(best_model(runs))]


# -- the figure and the claims ---------------------------------------------------------------------

def side_names(model):
    """(m,) such as "+0": the side that each neuron serves most, "" if idle; and a sorting order."""
    s, sides = service(model), served_features(model)
    primary = s.argmax(1)
    sign = sides[np.arange(len(s)), primary]
    order = np.lexsort((-sign, np.where(sign == 0, s.shape[1], primary)))
    names = [f"{'+' if value > 0 else '−'}{i}" if value else "" for value, i in zip(sign, primary)]
    return names, order


def draw(runs):
    """Weights of the best model's neurons, and every model's loss by whether it has all sides."""
    model = best_model(runs)
    names, order = side_names(model)
    stacks = [stack_plot(model, weights=weights) for weights in ("input", "output")]
    loss = np.concatenate([run["loss"] for run in runs])
    found = np.concatenate([one_neuron_a_side(model_of(run)) for run in runs])
    return pictures.absolute_value.figure(
        [(plot.height[order], plot.bottom[order], plot.monosemanticity[order]) for plot in stacks],
        [names[j] for j in order], loss, found, COMPUTED)


CLAIMS = (
    Claim("one-neuron-a-side", SECTION,
          "Each feature gets one neuron for its positive and one for its negative side: so in the "
          "best model.", _best_has_all, low=1, summary="smallest", expected="all sides"),
    Claim("absolute-value-computed", SECTION,
          "With room to spare |x| is computed: the loss of the best model.",
          lowest_loss, high=COMPUTED, summary="smallest"),
    Claim("absolute-value-rate", SECTION,
          "Training from a random start finds all these neurons more often than not.",
          lambda runs: gathered(runs, one_neuron_a_side), low=0.5, summary="share", kind="ours"),
    Claim("sides-are-what-it-takes", SECTION,
          f"What it takes is a neuron for each side: all models with a loss of at most "
          f"{COMPUTED:g} have one; the control are the others, which lack one.",
          lambda runs: sides_of(runs, computed(runs)), low=1, summary="smallest", kind="ours",
          control=lambda runs: sides_of(runs, ~computed(runs)), expected="all models"),
    Claim("each-side-with-slope-1", SECTION,
          "The neurons of a side do its whole job: how far its slope is from 1, at most, in models "
          "that compute |x|.", computed_slopes_off, high=0.01, summary="largest", kind="ours"),
)

EXPERIMENT = Experiment(
    "absolute-value", 15, "Computing absolute values", SECTION, "12", SETTINGS | {"seeds": 1},
    SETTINGS | {"steps": 5000, "batch_size": 512, "samples": 2**16, "seeds": 4}, run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("absolute-value")
