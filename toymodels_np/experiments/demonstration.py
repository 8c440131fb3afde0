"""Rows 2 and 3: twenty features of falling importance in five dimensions, from dense to sparse; then eighty in twenty.

The linear model keeps exactly the top m features, whatever the sparsity: principal components. With a ReLU at the
output, the same when dense; the sparser, the more features, in superposition, beginning with the least important. With
four times as many features and dimensions, and importance that falls more slowly, it is the same picture, rescaled.
"""

from dataclasses import replace

import numpy as np

from ..core.features import Features
from ..core.models import Linear, ReluOutput
from ..engine.train import train
from ..geometry.measures import norms
from ..theory.exact.loss import expected_loss
from .. import plots
from .claims import Claim
from .base import Experiment

REPRESENTED = 0.5                               # a feature with this norm or more counts as represented
SECTION = "Demonstrating Superposition"
SETTINGS = {"n_features": 20, "n_hidden": 5, "decay": 0.7, "probabilities": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            "steps": 3000, "batch_size": 1024, "learning_rate": 1e-2}
LARGER = SETTINGS | {"n_features": 80, "n_hidden": 20, "decay": 0.9}


def run(job):
    """Both models at every sparsity, one instance each: W, b and exact loss of the ReLU output model, the linear W."""
    n, m, p = job["n_features"], job["n_hidden"], np.array(job["probabilities"])
    features = Features(n, p[:, None], job["decay"] ** np.arange(n))
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    relu, linear = (train(cls.init(n, m, len(p), seed=job["seed"]), features, schedule="cosine", progress=False,
                          **options).model for cls in (ReluOutput, Linear))
    return {"W": relu.W, "b": relu.b, "loss": expected_loss(relu, features, rtol=1e-6), "linear_W": linear.W}


def represented(W):
    """How many features each instance of W (..., m, n) represents."""
    return (norms(W) >= REPRESENTED).sum(-1)


def linear_keeps_top(runs):
    """1 or 0 a seed: whether every linear model represents the first m features and no other."""
    def top(W):
        m, n = W.shape[-2:]
        return ((norms(W) >= REPRESENTED) == (np.arange(n) < m)).all()
    return [top(run["linear_W"]) for run in runs]


def draw(runs):
    """W'W of each sparsity with norms coloured by superposition, of the best seed at each."""
    best = np.argmin([run["loss"] for run in runs], axis=0)
    models = [runs[seed]["W"][i] for i, seed in enumerate(best)]
    titles = ["linear"] + [f"p = {p:g}" for p in runs[0]["probabilities"]]
    return plots.gram_rows([runs[0]["linear_W"][0], *models], titles)


CLAIMS = (
    Claim("linear-keeps-the-top", SECTION,
          "The linear model keeps exactly the m most important features, at any sparsity.", linear_keeps_top, low=1,
          summary="smallest", expected="every seed"),
    Claim("dense-keeps-the-top", SECTION, "With dense features the ReLU output model represents m features, no more.",
          lambda runs: [represented(run["W"][0]) / run["n_hidden"] for run in runs], low=1, high=1),
    Claim("sparse-represents-more", SECTION, "Sparser features: more of them than dimensions are represented.",
          lambda runs: [represented(run["W"]).max() / run["n_hidden"] for run in runs], low=2),
)

DEMONSTRATION = Experiment(
    "demonstration", 2, "Demonstrating superposition", SECTION, "01", SETTINGS | {"seeds": 3},
    SETTINGS | {"steps": 10_000, "seeds": 10}, run, draw, CLAIMS)

DEMONSTRATION_LARGER = Experiment(
    "demonstration-larger", 3, "Demonstrating superposition: eighty features in twenty dimensions", SECTION, "01",
    LARGER | {"steps": 2000, "batch_size": 256, "learning_rate": 3e-2, "seeds": 2},
    LARGER | {"steps": 10_000, "seeds": 5}, run, draw,
    tuple(replace(claim, name=f"larger-{claim.name}") for claim in CLAIMS))
