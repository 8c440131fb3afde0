"""Row 14: a ReLU on the hidden layer makes its axes mean something: neurons, with one feature each or with several.

With a linear hidden layer a rotation of the hidden space changes nothing, so W ends up rotated anyhow. With a ReLU
there, W aligns with the axes. Dense features get a neuron each; the sparser they are, the more neurons serve several
features, and on the way down both kinds live in one model. Single runs often stop at a worse minimum, so that the best
of many is looked at.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluHidden, ReluOutput
from ..engine.train import train
from ..geometry.neurons import IDLE, MONOSEMANTIC, monosemanticity, service, stack_plot
from ..theory.exact.loss import estimate_loss
from .. import plots
from .claims import Claim
from .base import Experiment

DENSE = 0.5                                     # the paper's "about": above it all neurons are monosemantic
SECTION = "Superposition in a Privileged Basis"
SETTINGS = {"n_features": 10, "n_hidden": 5, "decay": 0.75, "probabilities": [1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 0.04],
            "models": 12, "linear_models": 2, "steps": 2500, "batch_size": 128, "learning_rate": 2e-2,
            "samples": 2**15, "turns": 50}


def run(job):
    """Many models at every p and the best of them, beside a few with a linear hidden layer."""
    n, m, probabilities = job["n_features"], job["n_hidden"], job["probabilities"]
    importance = job["decay"] ** np.arange(n)
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    result = {"W": [], "b": [], "loss": [], "linear_W": [], "turned": [], "linear_turned": []}
    trained = []
    for cls, count in ((ReluHidden, job["models"]), (ReluOutput, job["linear_models"])):
        law = Features(n, np.repeat(probabilities, count)[:, None], importance)
        start = cls.init(n, m, count * len(probabilities), seed=job["seed"])
        model = train(start, law, schedule="cosine", record_every=job["steps"], progress=False, **options).model
        trained.append((model, count))
    for i, p in enumerate(probabilities):
        law = Features(n, p, importance)
        x = law.sample(np.random.default_rng(0), job["samples"], dtype=np.float32)          # the same for all models
        hidden, linear = (model[i * count:(i + 1) * count] for model, count in trained)
        best = hidden[int(np.argmin(hidden.loss(x, law)))]
        result["W"].append(best.W)
        result["b"].append(best.b)
        result["loss"].append(estimate_loss(best, law, samples=job["samples"])[0])
        result["linear_W"].append(linear.W)
        for name, model in (("turned", best), ("linear_turned", linear[0])):
            result[name].append(turned_losses(model, law, x[:2048], rotations(m, job["turns"])))
    return {name: np.array(values) for name, values in result.items()}


def rotations(m, count):
    """Random orthogonal matrices, (count, m, m), the same ones at every call."""
    Q, R = np.linalg.qr(np.random.default_rng(0).normal(size=(count, m, m)))
    return Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[:, None]             # signs that make them uniform


def turned_losses(model, law, x, turns):
    """The loss of the model with W turned by each Q (count, m, m) over its own, on the same batch x: (count,)."""
    model, x = model.astype(np.float64), x.astype(np.float64)
    return np.array([type(model)(Q @ model.W, model.b).loss(x, law) for Q in turns]) / model.loss(x, law)


def alignment(W):
    """How far rows of W (..., m, n) are single features: the mean share of a row's largest squared weight, (...)."""
    squares = np.square(W, dtype=np.float64)
    return (squares.max(-1) / np.maximum(squares.sum(-1), 1e-300)).mean(-1)


def rank(W, count=1000):
    """The share of random rotations of W (m, n) that are less aligned: 1/2 on average if W is a random one itself."""
    return (alignment(rotations(len(W), count) @ W) < alignment(W)).mean()


def kinds(W):
    """(monosemantic, polysemantic): how many neurons of each W (..., m, n) are of either kind; idle ones of none."""
    model = ReluHidden(W, np.zeros_like(W[..., 0, :]))
    one = monosemanticity(model) >= MONOSEMANTIC
    return one.sum(-1), (~one & (service(model).max(-1) >= IDLE)).sum(-1)


def best(runs):
    """W (P, m, n) of the best model at each p over all runs."""
    return np.array([runs[r]["W"][i] for i, r in enumerate(np.argmin([run["loss"] for run in runs], axis=0))])


def _shares(runs):
    """Shares of monosemantic and of polysemantic neurons in the best models, two arrays (P,), from dense to sparse."""
    order = np.argsort(-np.array(runs[0]["probabilities"]))
    one, several = kinds(best(runs)[order])
    return one / runs[0]["n_hidden"], several / runs[0]["n_hidden"]


def _dense(runs):
    return np.array(runs[0]["probabilities"]) > DENSE


def excess(runs):
    """How far the best loss at each p above 1/2 is off the exact one of a neuron for each of the top m, relatively."""
    m, dense = runs[0]["n_hidden"], _dense(runs)
    p = np.array(runs[0]["probabilities"])[dense]
    dropped = (runs[0]["decay"] ** np.arange(m, runs[0]["n_features"])).sum() * (p / 3 - p**2 / 4)           # (11.5)
    return abs(np.min([run["loss"][dense] for run in runs], axis=0) / dropped - 1)


def begins(runs):
    """The largest p at which the best model has a polysemantic neuron, 0 if there is none."""
    p = np.sort(runs[0]["probabilities"])[::-1]
    return [max([0.0, *p[_shares(runs)[1] > 0]])]


def draw(runs):
    """Stack plots of the best model at each p, how many neurons are of either kind, and how aligned W is with them."""
    p, m = np.array(runs[0]["probabilities"]), runs[0]["n_hidden"]
    models = best(runs)
    figure = plots.canvas(18, 10)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4.2))
    panels = top.subplots(1, len(p), sharey=True, squeeze=False)[0]
    room = 0.045 * (np.maximum(models, 0).sum(-1).max() + np.maximum(-models, 0).sum(-1).max())
    for axes, W, value in zip(panels, models, p):
        W = W[np.argsort(W.argmax(1), kind="stable")]
        plot = stack_plot(ReluHidden(W, np.zeros(W.shape[1])))
        plots.draw_stack(axes, plot.height, plot.bottom, plot.monosemanticity, least=room)
        axes.set_title(f"p = {value:g}", fontsize=plots.STYLE["title"] + 1)
        axes.set_xlabel("neuron", fontsize=plots.STYLE["font"])
    panels[0].set_ylabel("weights $W_{ji}$, stacked", fontsize=plots.STYLE["font"] + 1)
    models_each = len(runs) * runs[0]["models"]
    top.suptitle(f"The best of {models_each} models at each p; numbers are features, 0 the most important",
                 fontsize=plots.STYLE["title"] + 1)

    left, right = bottom.subplots(1, 2)
    one, several = kinds(models)
    place = np.arange(len(p))
    left.bar(place, one, color=plots.BLUE, label="monosemantic")
    left.bar(place, several, bottom=one, color=plots.ORANGE, hatch="//", edgecolor="white", label="polysemantic")
    left.set_ylim(0, 1.3 * m)
    left.set_yticks(range(m + 1))
    left.legend(fontsize=plots.STYLE["font"] + 1, frameon=False, ncols=2, loc="upper center")
    turned = np.array([np.quantile(alignment(rotations(m, 1000) @ W), (0.025, 0.975)) for W in models])
    right.fill_between(place, *turned.T, color="0.85", label="the ReLU models, turned at random (95 %)")
    right.plot(place, alignment(models), "o-", color=plots.BLUE, markersize=10, linewidth=2.5,
               label="ReLU on the hidden layer, best")
    linear = np.concatenate([alignment(run["linear_W"]) for run in runs], axis=1)                   # (P, models)
    right.plot(place, linear, "x", color=plots.VERMILION, markersize=10, markeredgewidth=2.5)
    right.plot([], [], "x", color=plots.VERMILION, markersize=10, markeredgewidth=2.5, label="linear hidden layer")
    right.set_ylim(0, 1.6)
    right.set_yticks([0, 0.5, 1])
    right.legend(fontsize=plots.STYLE["font"], frameon=False, loc="upper center", ncols=2)
    for axes, height in ((left, "neurons of the best model"),
                         (right, "alignment: the largest share\nof a neuron's squared weights")):
        axes.set_xticks(place, [f"{value:g}" for value in p])
        plots.label(axes, r"feature probability $p = 1 - S$", height, larger=1)
    return figure


CLAIMS = (
    Claim("dense-neurons-monosemantic", SECTION,
          "Dense features, p above 1/2: every neuron of the best model is monosemantic.",
          lambda runs: _shares(runs)[0][np.sort(_dense(runs))[::-1]], low=1, summary="smallest",
          expected="all neurons at every such p"),
    Claim("dense-monosemantic-rate", SECTION,
          "Runs whose own best models at p above 1/2 have monosemantic neurons only: more often than not.",
          lambda runs: [(kinds(run["W"])[0][_dense(runs)] == run["n_hidden"]).all() for run in runs],
          low=0.5, summary="mean"),
    Claim("dense-keeps-the-top-features", SECTION,
          "At p above 1/2 the best model costs what a neuron for each of the top m features costs, exactly: the "
          "relative difference.", excess, high=0.02, summary="largest"),
    Claim("polysemantic-from-about-a-half", SECTION,
          "The first polysemantic neurons appear at p about 1/2, within a factor of 1.5.", begins, low=1 / 3,
          high=3 / 4, correction="at the p looked at, they appear from {measured} on"),
    Claim("sparser-more-polysemantic", SECTION,
          "The sparser the features, the more neurons are polysemantic: their share never falls from one p to the "
          "next, the least change.", lambda runs: np.diff(_shares(runs)[1]), low=0, summary="smallest"),
    Claim("sparse-neurons-polysemantic", SECTION, "Where features are sparsest, most neurons are polysemantic.",
          lambda runs: [_shares(runs)[1][-1]], low=0.5),
    Claim("both-kinds-in-one-model", SECTION, "In between, one model has neurons of both kinds: at how many p.",
          lambda runs: [((_shares(runs)[0] > 0) & (_shares(runs)[1] > 0)).sum()], low=1),
    Claim("relu-breaks-the-rotation", SECTION,
          "With a ReLU on the hidden layer no random rotation of W is as good: the least loss of a rotated model over "
          "its own.", lambda runs: [run["turned"].min() for run in runs], low=1 + 1e-6, summary="smallest",
          expected="above 1"),
    Claim("linear-keeps-the-rotation", SECTION,
          "With a linear hidden layer every rotation of W has the same loss: the largest relative difference.",
          lambda runs: [abs(run["linear_turned"] - 1).max() for run in runs], high=1e-9, summary="largest"),
    Claim("relu-aligns-with-neurons", SECTION,
          "With a ReLU on the hidden layer and p above 1/2 W aligns with the neurons: the share of its random "
          "rotations that are less aligned.", lambda runs: [rank(W) for W in best(runs)[_dense(runs)]], low=0.95,
          summary="smallest"),
    Claim("relu-aligns-at-any-sparsity", SECTION,
          "The same at every p, where neurons serve several features too: the least share.",
          lambda runs: [rank(W) for W in best(runs)], low=0.95, summary="smallest"),
    Claim("linear-rotated-arbitrarily", SECTION,
          "With a linear hidden layer W is as aligned as a random rotation of itself: the same share, 1/2 on average.",
          lambda runs: [rank(W) for run in runs for Ws in run["linear_W"] for W in Ws], low=0.25, high=0.75,
          summary="mean"),
)

PRIVILEGED_BASIS = Experiment(
    "privileged-basis", 14, "A privileged basis", SECTION, "11", SETTINGS | {"seeds": 2},
    SETTINGS | {"probabilities": [1.0, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.04], "models": 50, "linear_models": 1,
                "steps": 5000, "seeds": 20}, run, draw, CLAIMS)
