"""Row 16: more absolute values than neurons, from dense to sparse features.

Signed features of falling importance, far more of them than neurons, and the task is |x|. Dense features get a neuron
for their positive and one for their negative side as long as neurons last: all of these are monosemantic. Very sparse
ones share: every neuron serves several. In between both kinds live in one model. The important features keep neurons
of their own, and many of the shared neurons have one primary feature and others that they serve more weakly.
"""

import numpy as np

from ..core.features import Features
from ..core.models import AbsoluteValue
from ..engine.train import train
from ..geometry.neurons import IDLE, MONOSEMANTIC, describe_neurons, service, stack_plot
from ..theory.estimate import estimate_loss
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Computation in Superposition"
WEAKER = 0.5                    # a secondary feature is weaker if its slope is at most this part of the primary one's
THIN = 0.02                     # rectangles of a stack plot that are thinner are not drawn
PANELS = 4
SETTINGS = {"n_features": 30, "n_hidden": 12, "decay": 0.8, "probabilities": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            "starts": 2, "steps": 3000, "batch_size": 256, "learning_rate": 1e-2, "samples": 2**13}


def run(job):
    """The best of a few models at each probability: weights, loss, and what each neuron serves."""
    n, m, p = job["n_features"], job["n_hidden"], np.array(job["probabilities"])
    features = Features(n, np.repeat(p, job["starts"])[:, None], job["decay"] ** np.arange(n), signed=True)
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    models = train(AbsoluteValue.init(n, m, len(p) * job["starts"], seed=job["seed"]), features, schedule="cosine",
                   progress=False, **options).model
    loss, _ = estimate_loss(models, features, samples=job["samples"], seed=job["seed"])
    best = loss.reshape(len(p), -1).argmin(1) + job["starts"] * np.arange(len(p))
    return {"W1": models.W1[best], "W2": models.W2[best], "b": models.b[best], "loss": loss[best]}


def models(run):
    """The best model of each probability, in their order."""
    return [AbsoluteValue(*parameters) for parameters in zip(run["W1"], run["W2"], run["b"])]


def working(model):
    """The neurons that serve anything."""
    return [neuron for neuron in describe_neurons(model) if neuron.features]


def share_monosemantic(model):
    """The part of the working neurons that are monosemantic."""
    return float(np.mean([neuron.monosemanticity >= MONOSEMANTIC for neuron in working(model)] or [0]))


def at_extreme(run, pick):
    """The share of monosemantic neurons at the largest or smallest probability: `pick` is np.argmax or np.argmin."""
    return share_monosemantic(models(run)[pick(run["probabilities"])])


def mixed(run):
    """The models in which both kinds live."""
    return [model for model in models(run) if 0 < share_monosemantic(model) < 1]


def precedence(model):
    """How likely a monosemantic neuron's primary feature is more important than a polysemantic one's; ties are half."""
    kinds = [[neuron.primary for neuron in working(model) if (neuron.monosemanticity >= MONOSEMANTIC) is mono]
             for mono in (True, False)]
    difference = np.subtract.outer(*kinds)
    return float(np.mean((difference < 0) + (difference == 0) / 2))


def one_primary(model):
    """1 or 0 for each polysemantic neuron: whether all its secondary features are weaker by WEAKER than its primary."""
    slopes = np.sort(service(model), axis=-1)[:, ::-1]
    total = slopes.sum(-1)
    poly = (slopes[:, 0] >= IDLE) & (slopes[:, 0] < MONOSEMANTIC * total)
    return (slopes[poly, 1] <= WEAKER * slopes[poly, 0]).tolist()


def draw_neurons(axes, model):
    """The neurons' input weights, one rectangle a feature, neurons by their primary feature, coloured by their kind."""
    plot, neurons = stack_plot(model), describe_neurons(model)
    order = sorted(range(len(neurons)), key=lambda j: (not neurons[j].features, neurons[j].primary))
    plots.draw_stack(axes, plot.height[order], plot.bottom[order], plot.monosemanticity[order], least=np.inf,
                       thin=THIN, line=1.1, hatch=None)
    few = -(-len(order) // 12)
    names = [neurons[j].primary if neurons[j].features else "–" for j in order]
    axes.set_xticks(range(0, len(order), few), names[::few])
    axes.set_xlim(-0.6, len(order) - 0.4)


def draw(runs):
    """Stack plots from dense to sparse of one seed, and the share of monosemantic neurons of all."""
    run, p = runs[0], np.array(runs[0]["probabilities"])
    chosen = np.unique(np.linspace(0, len(p) - 1, min(PANELS, len(p))).round().astype(int))
    figure, names = plots.canvas(17, 9.5), [f"stack {k}" for k in chosen]
    rows = [names[:2] + ["share"], names[2:] + ["key"]] if len(chosen) == PANELS else [names + ["share", "key"]]
    grid = figure.subplot_mosaic(rows)
    for k in chosen:
        axes, model = grid[f"stack {k}"], models(run)[k]
        draw_neurons(axes, model)
        count = round(share_monosemantic(model) * len(working(model)))
        plots.label(axes, "primary feature (0 is the most important)", "input weights",
                      f"p = {p[k]:g}: {count} of {len(working(model))} monosemantic", larger=2)
    for one in runs:
        grid["share"].plot(p, [100 * share_monosemantic(model) for model in models(one)], "o-", color="black",
                           linewidth=2.5, markersize=9)
    grid["share"].set(xscale="log", ylim=(-4, 104))
    grid["share"].invert_xaxis()
    plots.label(grid["share"], "feature probability $p = 1 - S$", None, "monosemantic neurons, %", larger=2)
    grid["key"].axis("off")
    for y, colour, text in ((0.8, plots.BLUE, "monosemantic:\none feature has 90 % of its service"),
                            (0.52, plots.ORANGE, "polysemantic"), (0.34, plots.GREY, "serves no feature"),
                            (0.16, "black", "one rectangle is one feature")):
        grid["key"].text(0.02, y, text, color=colour, fontsize=plots.STYLE["title"] + 2, fontweight="bold",
                         va="center")
    return figure


CLAIMS = (
    Claim("absolute-dense-monosemantic", SECTION, "With dense features every neuron is monosemantic.",
          lambda runs: [at_extreme(run, np.argmax) for run in runs], low=1, summary="smallest",
          expected="every neuron"),
    Claim("absolute-sparse-polysemantic", SECTION, "With very sparse features every neuron is polysemantic (the share "
          "of monosemantic ones).", lambda runs: [at_extreme(run, np.argmin) for run in runs], high=0,
          summary="largest", expected="none monosemantic",
          correction="In the worst seed {measured} of the neurons stays monosemantic."),
    Claim("absolute-between-both", SECTION, "In between, both kinds of neurons live in one model (the number of "
          "probabilities at which they do).", lambda runs: [len(mixed(run)) for run in runs], low=1,
          summary="smallest"),
    Claim("absolute-important-monosemantic", SECTION, "In between, the important features' neurons stay monosemantic "
          "(how likely a monosemantic neuron's feature is more important than a polysemantic one's primary feature).",
          lambda runs: [precedence(model) for run in runs for model in mixed(run)] or [0], low=0.8, high=1),
    Claim("absolute-one-primary", SECTION, "In between, many shared neurons have one primary feature and weaker "
          "secondary ones, at most half as strong (their share among the polysemantic neurons).",
          lambda runs: [one for run in runs for model in mixed(run) for one in one_primary(model)] or [0], low=1 / 3,
          summary="mean", expected="at least a third", correction="A part of {measured} of them is like that."),
)

ABSOLUTE_SUPERPOSITION = Experiment(
    "absolute-value-superposition", 16, "Absolute values in superposition", SECTION, "12", SETTINGS | {"seeds": 5},
    SETTINGS | {"n_features": 100, "n_hidden": 40, "steps": 10_000, "batch_size": 512,
                "probabilities": [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001],
                "learning_rate": 5e-3, "starts": 2, "samples": 2**15, "seeds": 3},
    run, draw, CLAIMS)
