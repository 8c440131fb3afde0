"""Row 2: twenty features of falling importance in five dimensions, from dense to sparse.

The linear model keeps exactly the top m features, whatever the sparsity: principal components.
With a ReLU at the output it is the same when dense; the sparser, the more features, in
superposition, which begins with the least important of them and with antipodal pairs. Row 3 is the
same with four times as many features and dimensions.

    P  probabilities
"""

import numpy as np

from ..core.features import Features
from ..core.models import Linear, ReluOutput
from ..geometry.measures import REPRESENTED, cosines, interference, norms
from ..plots import rows as pictures
from . import analysis
from .base import Experiment, fit
from .claims import Claim, NotMeasured, place
from .polished import leaves_little, left_on_the_table, polished

SECTION = "Demonstrating Superposition"
ALONE = 0.1                 # a feature with interference up to this has a dimension to itself
OPPOSITE = -0.95            # two features with a cosine down to this are antipodal
NEARLY = 0.2                # importances that differ by a smaller part are about the same
ROOM = 0.5                  # by how much the squared norms may miss the number of dimensions
SPARSE = 0.01               # where "sparse" is measured: below, quick training is not done
SETTINGS = {"n_features": 20, "n_hidden": 5, "decay": 0.7,
            "probabilities": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            "polish": [0.3, 0.1, 0.03],     # p at which the minimum next to each model is sought
            "steps": 2000, "batch_size": 1024, "learning_rate": 1e-2,
            "linear_steps": 2000, "linear_batch_size": 512, "linear_learning_rate": 3e-2}


def run(job):
    """Both models at every sparsity, one instance each.

    W (P, m, n), b (P, n) of the ReLU output model      linear_W (P, m, n)
    trained_loss, polished_loss, empty_loss (P,)        see `polished`
    """
    n, m, count = job["n_features"], job["n_hidden"], len(job["probabilities"])
    features = Features(n, np.reshape(job["probabilities"], (-1, 1)),
                        job["decay"] ** np.arange(n))
    relu = fit(ReluOutput.init(n, m, count, seed=job["seed"]), features, job, schedule="cosine")
    linear = fit(Linear.init(n, m, count, seed=job["seed"]), features, job, schedule="cosine",
                 **{name: job[f"linear_{name}"]
                    for name in ("steps", "batch_size", "learning_rate")})
    sought = [job["steps"] > 0 and np.isclose(p, job["polish"]).any() for p in job["probabilities"]]
    return {"W": relu.W, "b": relu.b, "linear_W": linear.W} | polished(relu, features, sought)


# -- what is measured ------------------------------------------------------------------------------

def keeps_top(W, decay):
    """Whether W (..., m, n) has room for m features and gives it to the most important, (...).

    All that matter clearly more than feature m − 1 are represented, none that matters clearly less,
    and the squared norms add up to m. With the importance decay^i of row 2 that leaves the first m;
    in row 3 the next two may stand for the last, which no short training tells apart.
    """
    m, n = W.shape[-2:]
    norm = norms(W)
    importance, last = float(decay) ** np.arange(n), float(decay) ** (m - 1)
    more, less = importance > (1 + NEARLY) * last, importance < (1 - NEARLY) * last
    return ((norm[..., more] >= REPRESENTED).all(-1) & (norm[..., less] < REPRESENTED).all(-1)
            & (abs((norm**2).sum(-1) - m) < ROOM))


def represented(W):
    """How many features W (..., m, n) represents, (...)."""
    return (norms(W) >= REPRESENTED).sum(-1)


def order_of_sharing(W):
    """How surely a feature of W (m, n) that shares its dimension matters less than one alone.

    Of all pairs of a represented feature that shares and one that does not: the part in which the
    one that shares is the less important. 1/2, as chance has it, where there is no such pair.
    """
    kept = np.flatnonzero(norms(W) >= REPRESENTED)
    shares = interference(W)[kept] > ALONE
    pairs = kept[shares][:, None] > kept[~shares]
    return pairs.mean() if pairs.size else 0.5


def in_pairs(W):
    """The part of the features of W (m, n) that share a dimension who do so with one antipode."""
    kept = np.flatnonzero(norms(W) >= REPRESENTED)
    cos = cosines(W)[np.ix_(kept, kept)]
    shares = interference(W)[kept] > ALONE
    partners = (cos <= OPPOSITE).sum(1)
    others = (abs(cos) > ALONE**0.5).sum(1) - 1                 # all that it is not orthogonal to
    return ((partners == 1) & (others == 1))[shares].mean() if shares.any() else 0.0


def densest_first(run):
    """The places of the run's probabilities from dense to sparse."""
    return np.argsort(-np.array(run["probabilities"]), kind="stable")


def where_it_begins(run):
    """W (m, n) at the densest probability at which more than m features are represented."""
    for i in densest_first(run):
        if represented(run["W"][i]) > run["n_hidden"]:
            return run["W"][i]
    raise NotMeasured("nowhere are more features represented than there are dimensions")


def linear_keeps_top(runs):
    """1 or 0 a seed: whether every linear model keeps the most important features."""
    return [keeps_top(run["linear_W"], run["decay"]).all() for run in runs]


def dense_keeps_top(runs):
    """1 or 0 a seed: whether the dense model keeps the most important features."""
    at = place(runs[0]["probabilities"], 1, "probabilities")
    return [keeps_top(run["W"][at], run["decay"]) for run in runs]


def sparse_over_dense(runs):
    """How many times as many features are represented at p = SPARSE as when dense, one a seed."""
    dense, sparse = (place(runs[0]["probabilities"], p, "probabilities") for p in (1, SPARSE))
    return [represented(run["W"][sparse]) / max(represented(run["W"][dense]), 1) for run in runs]


def steps_up(runs):
    """The part of steps to the next sparser p that represents more features, down to p = SPARSE.

    A step at which the number stays counts half, so that chance has 1/2.
    """
    p = np.array(runs[0]["probabilities"])
    order = [i for i in densest_first(runs[0]) if p[i] >= SPARSE * (1 - 1e-9)]
    if len(order) < 4:
        raise NotMeasured(f"the claim speaks of four or more probabilities from {SPARSE:g} to 1, "
                          f"and the runs have {len(order)}")
    return [(np.sign(np.diff(represented(run["W"][order]))) / 2 + 0.5).mean() for run in runs]


def begins_with_the_least(runs):
    """`order_of_sharing` where superposition begins, one number a seed."""
    return [order_of_sharing(where_it_begins(run)) for run in runs]


def begins_with_pairs(runs):
    """`in_pairs` where superposition begins, one number a seed."""
    return [in_pairs(where_it_begins(run)) for run in runs]


def draw(runs):
    """W'W of each sparsity beside norms coloured by superposition, of the best seed at each."""
    best = np.argmin([run["trained_loss"] for run in runs], axis=0)
    order = densest_first(runs[0])
    W = np.stack([runs[0]["linear_W"][order[-1]], *(runs[best[i]]["W"][i] for i in order)])
    p = [runs[0]["probabilities"][i] for i in order]
    left = [np.nan, *(left_on_the_table(runs[best[i]])[i] for i in order)]
    return pictures.demonstration.figure(
        W, [f"linear, p = {p[-1]:g}", *(f"ReLU, p = {q:g}" for q in p)], left)


def claims(prefix=""):
    """The claims of row 2, and those of row 3 with a prefix to their names."""
    return (
        Claim(f"{prefix}linear-keeps-the-top", SECTION,
              "The linear model keeps exactly the m most important features, at any sparsity.",
              linear_keeps_top, low=1, summary="smallest",
              expected="every seed, at every p; features within 20 % of the m-th in importance "
                       "count alike"),
        Claim(f"{prefix}dense-keeps-the-top", SECTION,
              "With dense features the ReLU output model keeps exactly the m most important ones.",
              dense_keeps_top, low=1, summary="smallest",
              expected="every seed; features within 20 % of the m-th in importance count alike"),
        Claim(f"{prefix}sparse-represents-more", SECTION,
              f"Sparse features (p = {SPARSE:g}): at least twice as many are represented as when "
              "dense.", sparse_over_dense, low=2),
        Claim(f"{prefix}sparser-represents-more", SECTION,
              "The sparser, the more features are represented, step by step down to "
              f"p = {SPARSE:g}.",
              steps_up, low=0.8, expected="more at 4 of 5 steps at least; chance is 1 of 2"),
        Claim(f"{prefix}superposition-begins-with-the-least", SECTION,
              "Superposition begins with the least important of the features that are represented.",
              begins_with_the_least, low=0.75,
              expected="one that shares is the less important in 3 of 4 pairs; chance is 1/2"),
        Claim(f"{prefix}superposition-begins-with-pairs", SECTION,
              "Superposition begins with antipodal pairs.", begins_with_pairs, low=0.9,
              expected="9 of 10 features that share, share with one antipode"),
        leaves_little(f"{prefix}training-leaves-little", SECTION),
    )


EXPERIMENT = Experiment(
    "demonstration", 2, "Demonstrating superposition", SECTION, "01", SETTINGS | {"seeds": 6},
    SETTINGS | {"polish": SETTINGS["probabilities"], "steps": 10_000, "linear_steps": 10_000,
                "linear_batch_size": 1024, "linear_learning_rate": 1e-2, "seeds": 10},
    run, draw, (*claims(), *analysis.CLAIMS))


if __name__ == "__main__":
    from .command import main
    main(EXPERIMENT.name)
