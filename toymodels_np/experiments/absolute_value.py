"""Row 15: computing absolute values with room to spare: |x| = relu(x) + relu(-x) for three features in six neurons.

Each feature gets one neuron for its positive and one for its negative side, and the output adds the two. Not every
training run gets there: some leave a side without a neuron and stop at a worse minimum, which the loss gives away.
"""

import numpy as np

from ..core.features import Features
from ..core.models import AbsoluteValue
from ..engine.train import train
from ..geometry.neurons import served_features, service, stack_plot
from ..theory.exact.loss import estimate_loss
from .. import plots
from .claims import Claim
from .base import Experiment

COMPUTED = 1e-4                                 # a loss of at most this much counts as computing |x|
FLOOR = 1e-10                                   # the figure shows losses below this as this
SECTION = "Computation in Superposition"
SETTINGS = {"n_features": 3, "n_hidden": 6, "feature_probability": 1.0, "models": 50, "steps": 3000, "batch_size": 256,
            "learning_rate": 1e-2, "samples": 2**13}


def run(job):
    """Many models from different starts: weights and losses, nothing picked."""
    law = Features(job["n_features"], job["feature_probability"], signed=True)
    start = AbsoluteValue.init(job["n_features"], job["n_hidden"], job["models"], seed=job["seed"])
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    model = train(start, law, schedule="cosine", record_every=job["steps"], progress=False, **options).model
    loss = estimate_loss(model, law, samples=job["samples"])[0]
    return dict(zip(("W1", "W2", "b"), model.parameters)) | {"loss": loss}


def model_of(run):
    """The run's models, one instance each."""
    return AbsoluteValue(run["W1"], run["W2"], run["b"])


def one_neuron_a_side(model):
    """Whether each side of each feature has exactly one neuron and no neuron serves two: (...) of bools."""
    sides = served_features(model)                                                      # (..., m, n)
    each = ((sides == 1).sum(-2) == 1) & ((sides == -1).sum(-2) == 1)                   # (..., n)
    return each.all(-1) & ((sides != 0).sum(-1) <= 1).all(-1)


def slopes_off(model):
    """How far from 1 the slopes of all served sides are, at most: (...)."""
    return np.where(served_features(model) != 0, abs(service(model) - 1), 0).max((-2, -1))


def _best(runs):
    """The single model of lowest loss of all runs."""
    run = min(runs, key=lambda run: run["loss"].min())
    return model_of(run)[int(run["loss"].argmin())]


def _found(runs):
    return np.concatenate([one_neuron_a_side(model_of(run)) for run in runs])


def _computed(runs):
    return np.concatenate([run["loss"] <= COMPUTED for run in runs])


def computed_slopes_off(runs):
    """`slopes_off` of all models that compute |x|; 1, as if nothing were served, if none does."""
    return np.append(np.concatenate([slopes_off(model_of(run)) for run in runs])[_computed(runs)],
                     [] if _computed(runs).any() else [1.0])


def side_names(model):
    """(m,) such as "+0": the side that each neuron serves most, "" if it is idle; and the order that sorts them."""
    s, sides = service(model), served_features(model)
    primary = s.argmax(1)
    sign = sides[np.arange(len(s)), primary]
    order = np.lexsort((-sign, np.where(sign == 0, s.shape[1], primary)))
    return [("+" if value > 0 else "−") + str(i) if value else "" for value, i in zip(sign, primary)], order


def draw(runs):
    """Weights of the best model's neurons, and every model's loss by whether each side has a neuron."""
    model = _best(runs)
    names, order = side_names(model)
    figure = plots.canvas(18, 6.8)
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    for axes, weights in zip(panels, ("input", "output")):
        plot = stack_plot(model, weights=weights)
        plots.draw_stack(axes, plot.height[order], plot.bottom[order], plot.monosemanticity[order])
        axes.set_xticks(range(len(order)), [names[j] for j in order])
        axes.set_ylim(-1.25, 1.25)
        plots.label(axes, "neuron, by the side that it serves", None, f"{weights} weights, a number a feature",
                      larger=2)
        axes.tick_params(labelsize=plots.STYLE["font"] + 2)
    panels[0].set_ylabel("weight, the largest input scaled to 1", fontsize=plots.STYLE["font"] + 2)

    loss, found = np.concatenate([run["loss"] for run in runs]), _found(runs)
    sort = np.argsort(loss)
    place, axes = np.arange(1, len(loss) + 1), panels[2]
    for which, colour, marker, label in ((found, plots.BLUE, "o", "a neuron for each side"),
                                         (~found, plots.ORANGE, "X", "a side without its own")):
        axes.plot(place[which[sort]], np.maximum(loss[sort][which[sort]], FLOOR), marker, color=colour, markersize=10,
                  linestyle="", markeredgecolor="white", label=f"{label}: {which.sum()} of {len(which)}")
    axes.axhline(COMPUTED, color="black", linestyle="--", linewidth=2, label=f"loss {COMPUTED:g}")
    axes.set(yscale="log", ylim=(FLOOR / 2, 5))
    axes.legend(fontsize=plots.STYLE["font"] + 2, frameon=False, loc="center right", bbox_to_anchor=(1, 0.7))
    plots.label(axes, "models, by loss", "loss", "all starts, none picked", larger=2)
    return figure


CLAIMS = (
    Claim("one-neuron-a-side", SECTION,
          "Each feature gets one neuron for its positive and one for its negative side: so in the best model.",
          lambda runs: [one_neuron_a_side(_best(runs))], low=1, expected="all sides"),
    Claim("absolute-value-computed", SECTION,
          "With a neuron for each side |x| is computed: the loss of the best model.",
          lambda runs: [min(run["loss"].min() for run in runs)], high=COMPUTED),
    Claim("absolute-value-rate", SECTION,
          "Training from a random start finds all these neurons more often than not.", _found, low=0.5, summary="mean"),
    Claim("sides-are-what-it-takes", SECTION,
          f"The models with a loss of at most {COMPUTED:g} are exactly those with a neuron for each side: the share of "
          "models for which both or neither is true.", lambda runs: _found(runs) == _computed(runs), low=1,
          summary="mean", expected="all models"),
    Claim("each-side-with-slope-1", SECTION,
          "Each such neuron does its side's whole job: how far its slope is from 1, at most.", computed_slopes_off,
          high=0.01, summary="largest"),
)

ABSOLUTE_VALUE = Experiment(
    "absolute-value", 15, "Computing absolute values", SECTION, "12", SETTINGS | {"seeds": 1},
    SETTINGS | {"steps": 5000, "batch_size": 512, "samples": 2**16, "seeds": 4}, run, draw, CLAIMS)
