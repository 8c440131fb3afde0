"""Row 13: superposition makes a model vulnerable to adversarial examples, and training on them takes it away.

An input is moved by a tenth of the mean length of inputs, in the direction of a row of W'W, the worst for it. The loss
rises in proportion to how much features share dimensions: vulnerability, the rise in units of that of a model without
superposition, follows the number of features per dimension. Trained on attacked inputs, models give up superposition;
it takes perturbations of most of an input's length until none is left.

Many features are needed where they are rare: with n p below 1 most inputs are empty, and so is their attack.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import dimensions_per_feature
from ..theory.attack import adversarial_training, vulnerability
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Relationship to Adversarial Robustness"
LEFT = 1.05                     # superposition is gone with this many features per dimension: 1, and 5 % of grace
PAPER_SIZE = 0.1                # the attack, in units of the mean length of an input
SETTINGS = {"n_features": 100, "n_hidden": 20, "inverse_probabilities": [1.0, 1.8, 3.2, 5.6, 10, 18, 32, 56, 100],
            "steps": 1500, "batch_size": 256, "learning_rate": 5e-3, "samples": 600, "searched": 100,
            "trained_features": 20, "trained_hidden": 5, "trained_probability": 0.05,
            "sizes": [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9], "attacked_steps": 800, "attacked_batch": 128,
            "attacked_rate": 1e-2}


def run(job):
    """Vulnerability and features per dimension at each probability; features per dimension at each training size."""
    n, m, p = job["n_features"], job["n_hidden"], 1 / np.array(job["inverse_probabilities"])
    features = Features(n, p[:, None])
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    model = train(ReluOutput.init(n, m, len(p), seed=job["seed"]), features, schedule="cosine", progress=False,
                  **options).model
    attacked = {"size": PAPER_SIZE, "seed": job["seed"]}
    weak, strong = (vulnerability(model, features, samples=job["searched"], search=search, **attacked)
                    for search in (False, True))

    law, sizes = Features(job["trained_features"], job["trained_probability"]), np.array(job["sizes"])
    start = ReluOutput.init(job["trained_features"], job["trained_hidden"], len(sizes), seed=job["seed"])
    hardened = adversarial_training(start, law, size=sizes, steps=job["attacked_steps"],
                                    batch_size=job["attacked_batch"], learning_rate=job["attacked_rate"],
                                    schedule="cosine", seed=job["seed"], progress=False).model
    return {"vulnerability": vulnerability(model, features, samples=job["samples"], **attacked),
            "per_dimension": 1 / dimensions_per_feature(model.W), "weak": weak, "strong": strong,
            "hardened": 1 / dimensions_per_feature(hardened.W)}


def correlation(run):
    """Pearson's correlation of vulnerability and features per dimension over the probabilities."""
    return np.corrcoef(run["vulnerability"], run["per_dimension"])[0, 1]


def growth(run):
    """The largest vulnerability relative to that of the densest features."""
    return run["vulnerability"].max() / run["vulnerability"][np.argmin(run["inverse_probabilities"])]


def removing_size(sizes, per_dimension):
    """The size at which features per dimension fall to LEFT, interpolated; the largest of `sizes` if they never do."""
    below = np.flatnonzero(np.asarray(per_dimension) <= LEFT)
    if not len(below):
        return float(sizes[-1])
    k = below[0]
    if k == 0:
        return float(sizes[0])
    return float(np.interp(-LEFT, -np.asarray(per_dimension)[k - 1:k + 1], sizes[k - 1:k + 1]))


def draw(runs):
    """Vulnerability and features per dimension against 1/p, one against the other, and adversarial training."""
    figure, size = plots.canvas(17, 6), plots.STYLE["font"] + 3
    left, middle, right = figure.subplots(1, 3)
    inverse = np.array(runs[0]["inverse_probabilities"])
    other = left.twinx()
    for k, run in enumerate(runs):
        left.plot(inverse, run["vulnerability"], "o-", color=plots.VERMILION, linewidth=3, markersize=9,
                  label=None if k else "vulnerability")
        other.plot(inverse, run["per_dimension"], "s--", color=plots.BLUE, linewidth=3, markersize=9)
        middle.plot(run["per_dimension"], run["vulnerability"], "o", color=plots.FEATURE_COLOURS[k % 8],
                    markersize=11, label=f"seed {run['seed']}: r = {correlation(run):.3f}")
        right.plot(100 * np.array(run["sizes"]), run["hardened"], "o-", color=plots.BLUE, linewidth=3, markersize=9)
    left.set(xscale="log", ylim=(0, None))
    other.set_ylim(0, None)
    other.spines[["top"]].set_visible(False)
    left.set_xlabel(r"$1/p = 1/(1 - S)$", fontsize=size)
    left.set_ylabel("vulnerability, relative to\na model without superposition", fontsize=size, color=plots.VERMILION)
    other.set_ylabel("features per dimension (dashed)", fontsize=size, color=plots.BLUE)
    middle.set_xlabel("features per dimension", fontsize=size)
    middle.set_ylabel("vulnerability", fontsize=size)
    middle.legend(fontsize=size - 1, frameon=False, loc="lower right")
    right.axhline(1, color="0.4", linewidth=2, linestyle=":")
    right.annotate("no superposition", (0, 1), xytext=(0, -6), textcoords="offset points", va="top", fontsize=size - 1)
    right.set(ylim=(0, None))
    right.set_xlabel("perturbation in training,\n% of the mean input length", fontsize=size)
    right.set_ylabel("features per dimension", fontsize=size)
    for axes, title in ((left, "Superposition makes vulnerable"), (middle, "one against the other"),
                        (right, "Adversarial training")):
        axes.set_title(title, fontsize=size + 1)
        axes.spines[["top"]].set_visible(False)
    for axes in (left, other, middle, right):
        axes.tick_params(labelsize=size - 1)
    return figure


CLAIMS = (
    Claim("attack-spares-the-dense", SECTION, "Without superposition, at the densest features, a model is as "
          "vulnerable as the linear one.",
          lambda runs: [run["vulnerability"][np.argmin(run["inverse_probabilities"])] for run in runs],
          low=0.9, high=1.1),
    Claim("attack-grows", SECTION, "Vulnerability grows more than threefold as superposition forms.",
          lambda runs: [growth(run) for run in runs], low=3),
    Claim("attack-follows-features", SECTION, "Vulnerability follows the features per dimension (their correlation).",
          lambda runs: [correlation(run) for run in runs], low=0.95),
    Claim("attack-is-the-strongest", SECTION, "The attack along a row of W'W is the best one (its rise of the loss, "
          "relative to the strongest that a search finds, over all probabilities).",
          lambda runs: [ratio for run in runs for ratio in run["weak"] / run["strong"]], low=0.99, high=1.01,
          correction="It raises the loss by {measured} of what the strongest perturbation found does."),
    Claim("attack-training-reduces", SECTION, "Adversarial training reduces superposition (features per dimension at "
          "the middle size, relative to none).",
          lambda runs: [run["hardened"][len(run["sizes"]) // 2] / run["hardened"][0] for run in runs], high=0.9),
    Claim("attack-training-removes", SECTION, "About 80 % of an input's length is needed to remove superposition.",
          lambda runs: [removing_size(run["sizes"], run["hardened"]) for run in runs], low=0.7, high=0.9,
          correction="The size needed is {measured} of the mean input length."),
)

ADVERSARIAL = Experiment(
    "adversarial", 13, "Adversarial examples", SECTION, "10", SETTINGS | {"seeds": 2},
    SETTINGS | {"steps": 5000, "batch_size": 1024, "learning_rate": 3e-3,
                "samples": 4096, "searched": 1000, "attacked_steps": 3000, "attacked_batch": 256, "attacked_rate": 5e-3,
                "sizes": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9], "seeds": 5},
    run, draw, CLAIMS)
