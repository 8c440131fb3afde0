"""Row 13: superposition makes a model vulnerable, and two ways to train take superposition away.

An input is moved by a tenth of the mean length of inputs, in the direction of a row of W'W, the
worst for it. The loss rises in proportion to how much features share dimensions: vulnerability,
the rise in units of that of a model without superposition, follows the number of features per
dimension.

Trained on inputs that are attacked along a random feature, models give up superposition. The paper
needs perturbations of some 80 % of an input's length until none is left; how many it takes depends
on how sparse features are, and on the attack: along the worst direction less is enough. A penalty
on |h_1| + … + |h_m|, from the paper's strategic picture, removes superposition, too, by removing
features: no two interfere any more only where fewer are left than there are dimensions.

Many features are needed where they are rare: with n p below 1 most inputs are empty, and so is
their attack.
"""

import numpy as np

from ..core.arrays import transpose
from ..core.features import Features
from ..core.models import ReluOutput
from ..core.optim import AdamState, adam, schedule
from ..core.streams import ATTACK_STREAM, TRAIN_STREAM, random_stream
from ..geometry.measures import REPRESENTED, dimensions_per_feature, interference, norms
from ..plots import rows as pictures
from ..theory.attack import adversarial_training, mean_input_norm, vulnerability
from .base import Experiment, fit
from .claims import Claim, NotMeasured, place

SECTION = "Relationship to Adversarial Robustness"
STRATEGIC = "The Strategic Picture of Superposition"
LEFT = 1.05                     # superposition is gone with this many features per dimension
PAPER_SIZE = 0.1                # the attack, in units of the mean length of an input
REMOVED_AT = 0.1                # the p at which the size that removes superposition is looked at
SPARSER = 0.05                  # and one at which it is larger
ABOUT = 0.6, 1.0                # about 80 %
APART = 0.05                    # of interference is none
SETTINGS = {"n_features": 100, "n_hidden": 20,
            "inverse_probabilities": [1.0, 1.8, 3.2, 5.6, 10.0, 18.0, 32.0, 56.0, 100.0],
            "steps": 1500, "batch_size": 256, "learning_rate": 5e-3, "samples": 600,
            "searched": 100,
            "trained_features": 20, "trained_hidden": 5, "trained_batch": 128, "trained_rate": 1e-2,
            "trained_probabilities": [SPARSER, REMOVED_AT], "attacked_steps": 500,
            "sizes": [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 1.0, 1.2],
            "penalised_steps": 1500, "penalised_probability": 0.1, "penalised_decay": 0.9,
            "penalties": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}


def run(job):
    """What an attack costs at each p (P,), and what training against it, or with a penalty, leaves.

    vulnerability, per_dimension, weak, strong : (P,)   hardened, worst : features per dimension,
    (trained probabilities, sizes)                      penalised_W : (penalties, m, n)
    """
    inverse = np.array(job["inverse_probabilities"])
    features = Features(job["n_features"], 1 / inverse[:, None])
    start = alike(job["n_features"], job["n_hidden"], len(inverse), job["seed"])
    model = fit(start, features, job, schedule="cosine", record_every=max(job["steps"], 1))
    attacked = {"size": PAPER_SIZE, "seed": job["seed"]}
    few = attacked | {"samples": job["searched"]}
    weak, strong = (vulnerability(model, features, search=search, **few)
                    for search in (False, True))
    return {"vulnerability": vulnerability(model, features, samples=job["samples"], **attacked),
            "per_dimension": 1 / dimensions_per_feature(model.W), "weak": weak, "strong": strong,
            "hardened": harden(job, worst=False), "worst": harden(job, worst=True),
            "penalised_W": penalise(job).W}


def alike(n, m, count, seed):
    """`count` models with the same random weights, so that only training makes them differ."""
    one = ReluOutput.init(n, m, seed=seed)
    return ReluOutput(*(np.repeat(a[None], count, axis=0) for a in one.parameters))


def harden(job, worst):
    """Features per dimension (P, S) after training on attacked inputs, at each p and each size.

    The attack goes along a random feature, or along the worst one for each input.
    """
    p, sizes = np.array(job["trained_probabilities"]), np.array(job["sizes"])
    law = Features(job["trained_features"], np.repeat(p, len(sizes))[:, None])
    size = np.tile(sizes, len(p))
    model = alike(job["trained_features"], job["trained_hidden"], len(size), job["seed"])
    steps, rate, batch = job["attacked_steps"], job["trained_rate"], job["trained_batch"]
    if worst and steps > 0:
        model = adversarial_training(model, law, size=size, steps=steps, batch_size=batch,
                                     learning_rate=rate, schedule="cosine", seed=job["seed"],
                                     progress=False).model
    elif steps > 0:
        epsilon = (size * mean_input_norm(law)).astype(np.float32)
        rngs = [random_stream(job["seed"], TRAIN_STREAM, i) for i in range(len(size))]
        choice = random_stream(job["seed"], ATTACK_STREAM, 0)

        def gradient(model):
            x = law.sample(rngs, batch, dtype=np.float32)
            moved = along_a_random_feature(model, x, epsilon, choice)
            return model.unchecked_loss_and_grad(moved, law, target=x)[1].parameters
        model = descend(model, steps, rate, gradient)
    return (1 / dimensions_per_feature(model.W)).reshape(len(p), len(sizes))


def along_a_random_feature(model, x, epsilon, rng):
    """x (K, B, n) moved by ± epsilon (K,) along row i of W'W, i at random, to the worse side.

    A feature that is dropped has no direction: its input stays.
    """
    G = transpose(model.W) @ model.W                                            # (K, n, n)
    length = np.linalg.norm(G, axis=-1, keepdims=True)
    D = epsilon[:, None, None] * G / np.where(length > 0, length, 1)            # rows are attacks
    i = rng.integers(G.shape[-1], size=x.shape[:-1])                            # (K, B)
    delta = np.take_along_axis(D, i[..., None], axis=-2)                        # (K, B, n)
    plus, minus = (((model.forward(moved) - x) ** 2).sum(-1) for moved in (x + delta, x - delta))
    return x + np.where(plus >= minus, 1, -1)[..., None].astype(x.dtype) * delta


def penalise(job):
    """Models whose loss has each of the penalties times the mean of |h_1| + … + |h_m| in it."""
    n, m, batch = job["trained_features"], job["trained_hidden"], job["trained_batch"]
    penalty = np.array(job["penalties"], np.float32)[:, None, None]             # (K, 1, 1)
    law = Features(n, job["penalised_probability"], job["penalised_decay"] ** np.arange(n))
    rngs = [random_stream(job["seed"], TRAIN_STREAM, i) for i in range(len(penalty))]

    def gradient(model):
        x = law.sample(rngs, batch, dtype=np.float32)
        dW, db = model.unchecked_loss_and_grad(x, law)[1].parameters
        return dW + penalty_gradient(model.W, x, penalty), db
    start = alike(n, m, len(penalty), job["seed"])
    return descend(start, job["penalised_steps"], job["trained_rate"], gradient)


def penalty_gradient(W, x, penalty):
    """The gradient in W (K, m, n) of `penalty` (K, 1, 1) times the mean of Σ_j |h_j|, h = W x."""
    h = x @ transpose(W)                                                        # (K, B, m)
    return penalty / x.shape[-2] * (transpose(np.sign(h)) @ x)                  # (K, m, n)


def descend(model, steps, learning_rate, gradient):
    """`model` after so many steps of Adam along `gradient`, a function of the model."""
    state, rate = AdamState.zeros_like(model.parameters), schedule("cosine", learning_rate, steps)
    for step in range(steps):
        parameters, state = adam(model.parameters, gradient(model), state, rate(step))
        model = model.from_parameters([a.astype(model.dtype, copy=False) for a in parameters])
    return model


# -- what is measured ----------------------------------------------------------------------------

def densest(run):
    """The vulnerability at p = 1, where all features are on."""
    return run["vulnerability"][place(run["inverse_probabilities"], 1.0, "1/p")]


def correlation(run):
    """Pearson's correlation of vulnerability and features per dimension; 0 if one is constant."""
    pair = run["vulnerability"], run["per_dimension"]
    if len(pair[0]) < 3:
        raise NotMeasured("the claim speaks of a correlation, and there are fewer than three p")
    return 0.0 if min(map(np.ptp, pair)) < 1e-6 else float(np.corrcoef(*pair)[0, 1])


def growth(run):
    """Vulnerability where features share dimensions most, relative to p = 1."""
    if len(run["vulnerability"]) < 2:
        raise NotMeasured("the claim speaks of sparser features than those of p = 1, too")
    return run["vulnerability"][np.argmax(run["per_dimension"])] / densest(run)


def reduction(run, p=REMOVED_AT, size=0.4):
    """Features per dimension after training against a random feature, relative to no attack."""
    left = run["hardened"][place(run["trained_probabilities"], p, "p")]
    return left[place(run["sizes"], size, "size")] / left[place(run["sizes"], 0.0, "size")]


def removing_size(sizes, per_dimension, beyond):
    """The size at which features per dimension fall to LEFT, interpolated.

    If they never do, it is more than the largest of `sizes`, which stands for it; that must lie
    beyond the number that it is compared with, else NotMeasured. So it is where they are there at
    the smallest size already, or come there in a step that is as wide as ABOUT.
    """
    sizes, per_dimension = (np.asarray(a, float) for a in (sizes, per_dimension))
    order = np.argsort(sizes)
    sizes, per_dimension = sizes[order], per_dimension[order]
    below = np.flatnonzero(per_dimension <= LEFT)
    if not len(below):
        if sizes[-1] <= beyond:
            raise NotMeasured(f"the claim speaks of perturbations of more than {beyond:g}, and "
                              f"training had none")
        return float(sizes[-1])
    k = below[0]
    if k == 0:
        raise NotMeasured("the claim speaks of superposition that training removes, and there is "
                          f"none left at the smallest perturbation, {sizes[0]:g}")
    if sizes[k] - sizes[k - 1] > ABOUT[1] - ABOUT[0] + 1e-9:
        raise NotMeasured(f"superposition goes somewhere from {sizes[k - 1]:g} to {sizes[k]:g}, "
                          f"and training had no perturbations between them")
    return float(np.interp(-LEFT, -per_dimension[k - 1:k + 1], sizes[k - 1:k + 1]))


def removed_at(run, p, name="hardened"):
    """`removing_size` at this p, of training against "hardened" random features or the "worst"."""
    left = run[name][place(run["trained_probabilities"], p, "p")]
    return removing_size(run["sizes"], left, ABOUT[1])


def shared(W):
    """Mean interference of the represented features of W (m, n); NotMeasured for fewer than two."""
    kept = norms(W) >= REPRESENTED
    if kept.sum() < 2:
        raise NotMeasured("there are no two represented features")
    return float(interference(W)[kept].mean())


def least_shared(run):
    """The least interference among the penalised models that still represent features."""
    found = []
    for W, penalty in zip(run["penalised_W"], run["penalties"]):
        if penalty == 0:
            continue
        try:
            found.append(shared(W))
        except NotMeasured:
            continue
    if not found:
        raise NotMeasured("no penalised model has two represented features")
    return min(found)


def without_penalty(runs):
    """Interference of the represented features where the penalty is 0."""
    return [shared(run["penalised_W"][place(run["penalties"], 0.0, "penalty")]) for run in runs]


def draw(runs):
    """What attacks cost, against p and features per dimension; two ways to remove superposition."""
    names = ("inverse_probabilities", "vulnerability", "per_dimension", "sizes", "hardened",
             "worst", "penalties")
    shown = [{name: np.asarray(run[name]) for name in names} | {
        "seed": run["seed"],
        "correlation": correlation(run) if len(run["vulnerability"]) > 2 else None,
        "represented": (norms(run["penalised_W"]) >= REPRESENTED).sum(-1),
        "penalised": 1 / dimensions_per_feature(run["penalised_W"])} for run in runs]
    return pictures.adversarial.figure(
        shown, runs[0]["trained_probabilities"], runs[0]["trained_hidden"])


CLAIMS = (
    Claim("attack-spares-the-dense", SECTION,
          "Without superposition, at p = 1, a model is as vulnerable as the linear one.",
          lambda runs: [densest(run) for run in runs], low=0.9, high=1.1),
    Claim("attack-grows", SECTION,
          "Vulnerability grows more than threefold as superposition forms.",
          lambda runs: [growth(run) for run in runs], low=3),
    Claim("attack-follows-features", SECTION,
          "Vulnerability follows the features per dimension: their correlation.",
          lambda runs: [correlation(run) for run in runs], low=0.9),
    Claim("attack-is-the-strongest", SECTION,
          "The attack along a row of W'W is the best one: its rise of the loss, relative to the "
          "strongest that a search finds, over all probabilities.",
          lambda runs: [float(np.median(run["weak"] / run["strong"])) for run in runs],
          low=0.99, high=1.01, kind="ours",
          correction="It raises the loss by {measured} of what the strongest perturbation does."),
    Claim("attack-training-reduces", SECTION,
          "Adversarial training reduces superposition: features per dimension after training "
          "against a random feature with 40 % of an input's length, relative to none, at p = 0.1.",
          lambda runs: [reduction(run) for run in runs], high=0.85),
    Claim("attack-training-removes", SECTION,
          "About 80 % of an input's length is needed to remove superposition, in training against "
          "a random feature, at p = 0.1.",
          lambda runs: [removed_at(run, REMOVED_AT) for run in runs],
          low=ABOUT[0], high=ABOUT[1],
          expected="0.6 to 1, until 1.05 features per dimension are left"),
    Claim("attack-training-depends-on-sparsity", SECTION,
          "How much is needed depends on how sparse features are: the size at p = 0.05, relative "
          "to p = 0.1.",
          lambda runs: [removed_at(run, SPARSER) / removed_at(run, REMOVED_AT) for run in runs],
          low=1.25, kind="ours",
          expected="at least 1.25; the largest size that was tried stands for one beyond it"),
    Claim("attack-training-against-the-worst", SECTION,
          "Against the worst direction less is needed than against a random feature: the size, "
          "relative to that, at p = 0.1.",
          lambda runs: [removed_at(run, REMOVED_AT, "worst") / removed_at(run, REMOVED_AT)
                        for run in runs], high=0.9, kind="ours"),
    Claim("penalty-removes-superposition", STRATEGIC,
          "An L1 penalty on the hidden activations removes superposition: the least interference "
          "of represented features over all penalties.",
          lambda runs: [least_shared(run) for run in runs],
          high=APART, control=without_penalty, expected="at most 0.05; the control has no penalty"),
)

EXPERIMENT = Experiment(
    "adversarial", 13, "Adversarial examples", SECTION, "10", SETTINGS | {"seeds": 2},
    SETTINGS | {"steps": 5000, "batch_size": 1024, "learning_rate": 3e-3, "samples": 4096,
                "searched": 1000, "attacked_steps": 3000, "trained_batch": 256,
                "trained_rate": 5e-3, "penalised_steps": 5000, "seeds": 5,
                "sizes": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0,
                          1.2, 1.4]},
    run, draw, CLAIMS, control={"steps": 0, "attacked_steps": 0, "penalised_steps": 0})

if __name__ == "__main__":
    from .command import main
    main("adversarial")
