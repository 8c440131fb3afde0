"""Row 14: a ReLU on the hidden layer makes its axes mean something: they are neurons.

With a linear hidden layer a rotation of the hidden space changes nothing, so W ends up rotated
anyhow. With a ReLU there, W aligns with the axes. Dense features get a neuron each; the sparser
they are, the more neurons serve several features, and on the way down both kinds live in one
model: three features in two neurons, five in three, six in four, eight in five.

Single runs often stop at a worse minimum, so that the best of many is looked at. A structure is
judged by what it costs: the loss of the best model that has it, over that of the best that has it
not. The paper's p are read off a plot, and a p within a sixth of one will do. Where it looks at
1000 models for each p, the full report does at 400.
"""

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluHidden, ReluOutput
from ..core.streams import CHANCE_STREAM, EVALUATION_STREAM, random_stream
from ..geometry.measures import feature_dimensionality
from ..geometry.neurons import (
    IDLE,
    MONOSEMANTIC,
    monosemanticity,
    served_features,
    service,
    stack_plot,
)
from ..plots import rows as pictures
from ..theory.estimate import estimate_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured, place, requires

DENSE = 0.5                         # the paper's "about": above it all neurons are monosemantic
FILLED = 0.95                       # of m: a linear model whose D_i add up to this uses its room
ONSET = 1 / 3, 3 / 4                # p about 1/2, within a factor of 1.5
STEP = 1.5                          # to the next p, at most, where something appears between them
TURNS = 1000                        # random rotations that an alignment is compared with
SECTION = "Superposition in a Privileged Basis"
SIZE = {"n_features": 10, "n_hidden": 5, "decay": 0.75}         # what the named structures are of
SETTINGS = SIZE | {
    "probabilities": [1.0, 0.75, 0.5, 0.45, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05,
                      0.04, 0.02],
    "models": 120, "first_steps": 400, "kept": 16, "linear_models": 3, "steps": 2000,
    "batch_size": 128, "learning_rate": 2e-2, "samples": 2**14, "turns": 20}


def run(job):
    """Many models at every p with what each loses, beside a few with a linear hidden layer.

    W (P, kept, m, n), losses (P, kept)             linear_W (P, linear models, m, n)
    loss (P,) : the best model's, estimated well
    turned, linear_turned (P, turns) : `turned_losses`
    """
    few = train_at_each_p(job, ReluOutput, job["linear_models"], job)
    many = train_at_each_p(job, ReluHidden, job["models"], job | {"steps": job["first_steps"]})
    kept = [law_and_models[1][np.argsort(loss_of(job, *law_and_models))[:job["kept"]]]
            for law_and_models in many]
    finished = train_at_each_p(job, ReluHidden, job["kept"], job, start=kept)
    found = [look(job, law, hidden, linear) for (law, hidden), (_, linear) in zip(finished, few)]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def train_at_each_p(job, cls, count, options, start=None):
    """[(features, model), …] for each p: `count` instances from random starts, or those given."""
    n, m, probabilities = job["n_features"], job["n_hidden"], job["probabilities"]
    importance = job["decay"] ** np.arange(n)
    count = count if start is None else len(start[0].W)
    law = Features(n, np.repeat(probabilities, count)[:, None], importance)
    if start is None:
        model = cls.init(n, m, count * len(probabilities), seed=job["seed"])
    else:
        model = cls(*(np.concatenate(a) for a in zip(*(one.parameters for one in start))))
    if job["steps"] > 0:                                                # the control has no steps
        model = fit(model, law, options, schedule="cosine", record_every=options["steps"])
    return [(Features(n, p, importance), model[i * count:(i + 1) * count])
            for i, p in enumerate(probabilities)]


def samples(job, law):
    """The inputs on which all models of one p are compared, in all runs."""
    rng = random_stream(0, EVALUATION_STREAM, 0)
    return law.sample(rng, job["samples"], dtype=np.float32)


def loss_of(job, law, models):
    """The loss of each model on a quarter of the samples: enough to see which are worth more."""
    return models.loss(samples(job, law)[:max(1, job["samples"] // 4)], law)


def look(job, law, hidden, linear):
    """What `run` keeps of the models at one p: an entry for each of its names."""
    x, turns = samples(job, law), rotations(job["n_hidden"], job["turns"])
    losses = hidden.loss(x, law)
    best = hidden[int(np.argmin(losses))]
    return {"W": hidden.W, "losses": losses, "linear_W": linear.W,
            "loss": estimate_loss(best, law, samples=job["samples"])[0],
            "turned": turned_losses(best, law, x[:1024], turns),
            "linear_turned": turned_losses(linear[0], law, x[:1024], turns)}


def rotations(m, count):
    """Random orthogonal matrices, (count, m, m), the same ones at every call."""
    rng = random_stream(0, CHANCE_STREAM, 0)
    Q, R = np.linalg.qr(rng.normal(size=(count, m, m)))
    signs = np.sign(np.diagonal(R, axis1=-2, axis2=-1))                 # these make them uniform
    return Q * signs[:, None]


def turned_losses(model, law, x, turns):
    """The loss of the model with W turned by each Q (count, m, m) over its own, on one batch x."""
    model, x = model.astype(np.float64), x.astype(np.float64)
    turned = [type(model)(Q @ model.W, model.b).loss(x, law) for Q in turns]
    return np.array(turned) / model.loss(x, law)


# -- what is measured ----------------------------------------------------------------------------

def alignment(W):
    """How far rows of W (..., m, n) are single features: the mean share of each largest W_ji²."""
    squares = np.square(W, dtype=np.float64)
    return (squares.max(-1) / np.maximum(squares.sum(-1), 1e-300)).mean(-1)


def check_rotations(m):
    """NotMeasured for one neuron alone."""
    if m < 2:
        raise NotMeasured("the claim speaks of rotations, and a single neuron has none")


def rank(W, count=TURNS):
    """The share of random rotations of W (m, n) that are less aligned: 1/2 if W is one itself."""
    check_rotations(len(W))
    return (alignment(rotations(len(W), count) @ W) < alignment(W)).mean()


def of_neurons(W):
    """The model whose neurons W (..., m, n) are; its biases do not matter to them."""
    return ReluHidden(W, np.zeros_like(W[..., 0, :]))


def kinds(W):
    """(monosemantic, polysemantic): how many neurons of each W (..., m, n) are of either kind.

    Idle ones are of none.
    """
    model = of_neurons(W)
    one = monosemanticity(model) >= MONOSEMANTIC
    return one.sum(-1), (~one & (service(model).max(-1) >= IDLE)).sum(-1)


def blocks(W):
    """[(features, neurons), …]: how many of either hang together in W (m, n), the largest first.

    A neuron hangs together with the features that it serves.
    """
    on = served_features(of_neurons(W)) != 0                            # (m, n)
    m, n = on.shape
    links = np.zeros((m + n, m + n), int)
    links[:m, m:] = on
    count, label = scipy.sparse.csgraph.connected_components(links, directed=False)
    sizes = [(int((label[m:] == c).sum()), int((label[:m] == c).sum())) for c in range(count)]
    return sorted((size for size in sizes if min(size) > 0), reverse=True)


def has_block(features, neurons):
    """A function of W: whether so many features hang together in so many neurons."""
    return lambda W: (features, neurons) in blocks(W)


def in_pairs(W):
    """The share of the features of W (m, n) that two neurons serve, neither more nor fewer."""
    return float(((served_features(of_neurons(W)) != 0).sum(0) == 2).mean())


def named_size(run):
    """NotMeasured unless the run is of the size that the paper's structures are of."""
    requires([run], **SIZE)


def dropping(run, p):
    """The exact loss of a neuron for each of the top m features, the others dropped. (11.5)"""
    left_out = (run["decay"] ** np.arange(run["n_hidden"], run["n_features"])).sum()
    return left_out * (p / 3 - p**2 / 4)


def relative_cost(run, has, low, high):
    """The loss of the best model that has a structure, over that of the best that has it not.

    has : W (m, n) -> bool          low, high : the p between which the structure is looked for

    At the p that suits it best. Among those that have it not is the model with a neuron for each of
    the top m features, whose loss is known. NotMeasured at other sizes, or where no such p or no
    such model is there.
    """
    named_size(run)
    found = zip(run["probabilities"], run["W"], run["losses"])
    within, costs = [(p, Ws, losses) for p, Ws, losses in found if low <= p <= high], []
    if not within:
        raise NotMeasured(f"there is no p from {low:g} to {high:g}")
    for p, Ws, losses in within:
        having = np.array([has(W) for W in Ws])
        if having.any():
            rest = [*losses[~having], dropping(run, p)]
            costs.append(losses[having].min() / min(rest))
    if not costs:
        raise NotMeasured(f"no model has the structure, at p from {low:g} to {high:g}")
    return float(min(costs))


def both_kinds(run):
    """At how many p the best model has features that share neurons, and neurons of one feature."""
    if len(run["probabilities"]) < 3:
        raise NotMeasured("the claim speaks of three or more p, and there are fewer")
    found = [blocks(W) for W in best(run)]
    return sum((1, 1) in sizes and max(sizes)[0] > 1 for sizes in found)


def pairs_at(p):
    """A measure: `in_pairs` of the best model at p, of each seed."""
    def measure(runs):
        for run in runs:
            named_size(run)
        return [in_pairs(best(run)[place(run["probabilities"], p, "p")]) for run in runs]
    return measure


def best(run):
    """W (P, m, n) of the best model at each p."""
    return run["W"][np.arange(len(run["W"])), run["losses"].argmin(1)]


def sparser(run):
    """The order of the probabilities from dense to sparse, and they in it."""
    order = np.argsort(-np.array(run["probabilities"]))
    return order, np.array(run["probabilities"])[order]


def shares(run):
    """Shares of monosemantic and polysemantic neurons in the best models, from dense to sparse."""
    one, several = kinds(best(run)[sparser(run)[0]])
    return one / run["n_hidden"], several / run["n_hidden"]


def dense(run):
    """Which probabilities are above DENSE; NotMeasured if none is."""
    above = np.array(run["probabilities"]) > DENSE
    if not above.any():
        raise NotMeasured(f"the runs have no p above {DENSE:g}")
    return above


def monosemantic_share(runs):
    """The share of monosemantic neurons in each best model at p above 1/2."""
    return [share for run in runs
            for share in kinds(best(run)[dense(run)])[0] / run["n_hidden"]]


def excess(runs):
    """How far the best loss at each dense p is off that of a neuron for each of the top m."""
    found = []
    for run in runs:
        above = dense(run)
        exact = dropping(run, np.array(run["probabilities"])[above])
        if not exact.all():
            raise NotMeasured("the claim speaks of features that are dropped, and there is a "
                              "neuron for each")
        found += list(abs(run["loss"][above] / exact - 1))
    return found


def begins(run):
    """The p at which polysemantic neurons appear.

    It is midway between the last p without and the first with them; 0 if there are none; and the
    densest p if they are there from the start. NotMeasured where they may as well appear elsewhere
    about ONSET: beyond the run's p, or in a long step between two of them.
    """
    p, several = sparser(run)[1], shares(run)[1] > 0
    k = int(several.argmax()) if several.any() else len(p)
    before, after = (p[k - 1] if k else 1.0), (p[k] if k < len(p) else 0.0)
    told = (before <= ONSET[0] or after >= ONSET[1]         # the same verdict at either end
            or ONSET[0] <= after and before <= ONSET[1])
    if not told and after < before / STEP - 1e-9:
        raise NotMeasured(f"polysemantic neurons appear somewhere from p = {after:g} to "
                          f"{before:g}, and the runs have no p between them")
    if not several.any():
        return 0.0
    return float(p[0] if k == 0 else (before + after) / 2)


def trend(run):
    """Spearman's correlation of the share of polysemantic neurons with sparsity; 0 if constant."""
    several = shares(run)[1]
    if len(several) < 3:
        raise NotMeasured("the claim speaks of a trend, and there are fewer than three p")
    if np.ptp(several) == 0:
        return 0.0
    return float(scipy.stats.spearmanr(np.arange(len(several)), several)[0])


def gain(run):
    """The share of polysemantic neurons at the sparsest p, less that at the densest."""
    several = shares(run)[1]
    if len(several) < 2:
        raise NotMeasured("the claim compares two p, and there is only one")
    return several[-1] - several[0]


def least_turned(runs):
    """The least loss of a rotated model over its own, of each seed."""
    check_rotations(runs[0]["n_hidden"])
    return [run["turned"].min() for run in runs]


def linear_rank(run):
    """The mean `rank` of those linear-hidden W whose D_i add up to m, as trained ones do."""
    Ws = [W for row in run["linear_W"] for W in row]
    Ws = [W for W in Ws if feature_dimensionality(W).sum() >= FILLED * len(W)]
    if not Ws:
        raise NotMeasured("no model with a linear hidden layer uses all of its dimensions")
    return np.mean([rank(W) for W in Ws])


def draw(runs):
    """Stack plots of the best model at each p, neurons of either kind, and how aligned W is."""
    run = runs[0]
    order, p = sparser(run)
    models, m = best(run)[order], run["n_hidden"]
    ordered = [W[np.argsort(W.argmax(1), kind="stable")] for W in models]
    turned = [np.quantile(alignment(rotations(m, TURNS) @ W), (0.025, 0.975)) for W in models]
    words = [" + ".join(f"{f} in {k}" for f, k in blocks(W) if f > 1) or "one each" for W in models]
    return pictures.privileged_basis.figure(
        p, [stack_plot(of_neurons(W)) for W in ordered], words, kinds(models),
        (alignment(models), np.array(turned), alignment(run["linear_W"][order])),
        run["models"])


def _regime(name, words, has, low, high):
    """The claim that a structure is the best at p from low to high."""
    where = f"p = {low:g}" if low == high else f"some p from {low:g} to {high:g}"
    return Claim(
        name, SECTION,
        f"{words}, at {where}: what the best model with it costs, relative to the best without.",
        lambda runs: [relative_cost(run, has, low, high) for run in runs], high=1.0,
        expected="at most 1: it is the best that is found",
        correction="It costs {measured} times the best model without it.")


CLAIMS = (
    Claim("dense-neurons-monosemantic", SECTION,
          "Dense features, p above 1/2: every neuron of the best model is monosemantic.",
          monosemantic_share, low=1, summary="smallest", expected="all neurons at every such p"),
    Claim("dense-monosemantic-rate", SECTION,
          "Not only the best: of the models at p above 1/2 that are trained to the end, those "
          "whose neurons are all monosemantic.",
          lambda runs: [bool(one) for run in runs
                        for one in np.ravel(kinds(run["W"][dense(run)])[0] == run["n_hidden"])],
          low=0.5, summary="share", kind="ours", expected="more often than not"),
    Claim("dense-keeps-the-top-features", SECTION,
          "At p above 1/2 the best model costs what a neuron for each of the top m features costs: "
          "the relative difference.", excess, high=0.02, summary="largest", kind="ours"),
    Claim("polysemantic-from-about-a-half", SECTION,
          "The first polysemantic neurons appear at p about 1/2, within a factor of 1.5.",
          lambda runs: [begins(run) for run in runs], low=ONSET[0], high=ONSET[1]),
    Claim("sparser-more-polysemantic", SECTION,
          "The sparser the features, the more neurons are polysemantic: Spearman's correlation of "
          "their share with sparsity.", lambda runs: [trend(run) for run in runs], low=0.8),
    Claim("sparse-neurons-polysemantic", SECTION,
          "Where features are sparsest, most neurons are polysemantic that are not where features "
          "are dense: the difference of their shares.",
          lambda runs: [gain(run) for run in runs], low=0.5),
    Claim("both-kinds-in-one-model", SECTION,
          "In between, one model has neurons of both kinds, some that share features and some with "
          "one of their own: at how many p.",
          lambda runs: [both_kinds(run) for run in runs], low=3),
    _regime("three-features-in-two-neurons", "Three features share two neurons", has_block(3, 2),
            0.2, 0.5),
    _regime("five-features-in-three-neurons", "Five features share three neurons", has_block(5, 3),
            0.13, 0.17),
    _regime("six-features-in-four-neurons", "Six features share four neurons", has_block(6, 4),
            0.1, 0.14),
    _regime("eight-features-in-five-neurons", "Eight features share five neurons", has_block(8, 5),
            0.05, 0.08),
    Claim("features-in-pairs", SECTION,
          "At p = 0.04 each feature has a pair of neurons: the share of features that two neurons "
          "serve in the best model.", pairs_at(0.04), low=0.8,
          correction="At p = 0.04 it is {measured} of them. Pairs are best where features are "
                     "sparser still, as the next claim says."),
    Claim("features-in-pairs-when-sparser", SECTION,
          "At p = 0.02 each feature has a pair of neurons: the same share.", pairs_at(0.02),
          low=0.8, kind="ours",
          decided_by="the best of more models, of which few end so, would decide it (--full)"),
    Claim("relu-breaks-the-rotation", SECTION,
          "With a ReLU on the hidden layer no random rotation of W is as good: the least loss of a "
          "rotated model over its own.", least_turned, low=1 + 1e-6, summary="smallest",
          expected="above 1"),
    Claim("linear-keeps-the-rotation", SECTION,
          "With a linear hidden layer every rotation of W has the same loss: the largest relative "
          "difference.", lambda runs: [abs(run["linear_turned"] - 1).max() for run in runs],
          high=1e-9, summary="largest", kind="identity",
          control=lambda runs: [abs(run["turned"] - 1).max() for run in runs],
          expected="at most 1e-9; the control has a ReLU there"),
    Claim("relu-aligns-with-neurons", SECTION,
          "With a ReLU on the hidden layer and p above 1/2 W aligns with the neurons: the share of "
          "its random rotations that are less aligned.",
          lambda runs: [rank(W) for run in runs for W in best(run)[dense(run)]], low=0.95,
          summary="smallest"),
    Claim("relu-aligns-at-any-sparsity", SECTION,
          "The same at every p, where neurons serve several features, too: the least share.",
          lambda runs: [rank(W) for run in runs for W in best(run)], low=0.95, summary="smallest",
          kind="ours", correction="Where neurons serve several features W looks less aligned: only "
                                  "{measured} of its rotations are less so."),
    Claim("linear-rotated-arbitrarily", SECTION,
          "With a linear hidden layer W is as aligned as a random rotation of itself: the same "
          "share, 1/2 on average.",
          lambda runs: [linear_rank(run) for run in runs], low=0.25, high=0.75,
          control=lambda runs: [rank(W) for run in runs for W in best(run)[dense(run)]],
          expected="0.25 to 0.75; the control has a ReLU there"),
)

EXPERIMENT = Experiment(
    "privileged-basis", 14, "A privileged basis", SECTION, "11", SETTINGS | {"seeds": 2},
    SETTINGS | {"models": 400, "first_steps": 1000, "kept": 50, "steps": 5000, "batch_size": 256,
                "seeds": 10},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("privileged-basis")
