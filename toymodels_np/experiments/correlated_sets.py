"""Row 8: correlated features become orthogonal, anticorrelated ones antipodal, and friends without room stand together.

Two pairs of features in two dimensions. Features that are on together would disturb each other often, so each pair
spreads over both dimensions and shares them with the other pair. Features that are never on together can share one
dimension at no cost at all. And three correlated pairs in two dimensions, where there is no room for orthogonal pairs,
stand side by side: interference that pushes a present feature up costs less than one that pushes it down.
Each statement is checked on the true minimum, to which exact descent leads from the best few of the trained models, on
the best of the trained models as it is, and as the rate of single models.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import cosines
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Correlated and Anticorrelated Features"
PAIRS = ((0, 1), (2, 3), (4, 5))
CASES = {                                       # name: (features, kind); two hidden dimensions each
    "correlated": (4, "correlated"), "anticorrelated": (4, "anticorrelated"), "no_room": (6, "correlated")}
TITLES = {"correlated": "correlated pairs:\northogonal", "anticorrelated": "anticorrelated pairs:\nantipodal",
          "no_room": "three correlated pairs,\nno room: side by side"}
ORTHOGONAL, ANTIPODAL = 0.1, -0.95              # |cos| up to the one, cos down to the other
SETTINGS = {"feature_probability": 0.05, "instances": 20, "starts": 3, "steps": 3000, "batch_size": 256,
            "learning_rate": 1e-2}


def law(case, p):
    """(features, the pairs) of a case."""
    n, kind = CASES[case]
    pairs = PAIRS[:n // 2]
    return Features(n, p, **{kind: pairs}), pairs


def pair_cosines(W, pairs):
    """cos within each pair, (..., pairs), for W (..., m, n)."""
    C = cosines(W)
    return np.stack([C[..., i, j] for i, j in pairs], -1)


def run(job):
    """For each case the true minimum, and many trained models: their W, exact losses and cosines within the pairs."""
    p, seed, K = job["feature_probability"], job["seed"], job["instances"]
    result = {}
    for case in CASES:
        features, pairs = law(case, p)
        options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
        model = train(ReluOutput.init(features.n_features, 2, K, seed=seed), features, schedule="cosine",
                      record_every=job["steps"], progress=False, **options).model.astype(np.float64)
        loss = expected_loss(model, features, rtol=1e-6)
        best = np.argsort(loss)[:job["starts"]]
        minimum = find_minimum(features, 2, initial=ReluOutput(model.W[best], model.b[best]))
        result |= {f"{case}_true_W": minimum.model.W, f"{case}_true_loss": minimum.loss,
                   f"{case}_true_cosines": pair_cosines(minimum.model.W, pairs), f"{case}_W": model.W,
                   f"{case}_loss": loss, f"{case}_cosines": pair_cosines(model.W, pairs)}
    alone = find_minimum(Features(2, p), 1, starts=job["starts"], seed=seed).model.W
    joined = find_minimum(Features(2, p, correlated=PAIRS[:1]), 1, starts=job["starts"], seed=seed).model.W
    return result | {"line_independent": cosines(alone)[0, 1], "line_correlated": cosines(joined)[0, 1]}


def true(case, worst):
    """The claim's measure: of each run's true minimum the worst of its pairs."""
    return lambda runs: [worst(run[f"{case}_true_cosines"]) for run in runs]


def trained(case, worst):
    """The claim's measure: of the best trained model of each run the worst of its pairs."""
    return lambda runs: [worst(run[f"{case}_cosines"][np.argmin(run[f"{case}_loss"])]) for run in runs]


def rate(case, good):
    """The claim's measure: 1 or 0 a trained model, whether all its pairs are `good`."""
    return lambda runs: np.concatenate([good(run[f"{case}_cosines"]).all(-1) for run in runs])


def draw(runs):
    """Best trained directions of the three cases, a colour a pair; below, the cosine of every trained pair."""
    figure = plots.canvas(14, 9)
    top, bottom = figure.subplots(2, 3, height_ratios=(3, 2))
    limit = 1.3
    for axes, below, case in zip(top, bottom, CASES):
        best = min(runs, key=lambda run: np.min(run[f"{case}_loss"]))
        draw_sets(axes, best[f"{case}_W"][np.argmin(best[f"{case}_loss"])], PAIRS, limit)
        axes.set_title(TITLES[case], fontsize=plots.STYLE["title"] + 3)
        cos = np.concatenate([run[f"{case}_cosines"].ravel() for run in runs])
        below.hist(cos, bins=np.linspace(-1.05, 1.05, 43), color=plots.GREY)
        for value in best[f"{case}_true_cosines"][:1]:
            below.axvline(value, color=plots.VERMILION, linewidth=3, linestyle="--", label="true minimum")
        below.set_xlabel("cosine within a pair", fontsize=plots.STYLE["font"] + 2)
        below.tick_params(labelsize=plots.STYLE["font"] + 1)
        below.spines[["top", "right"]].set_visible(False)
    bottom[0].set_ylabel("trained pairs, all starts", fontsize=plots.STYLE["font"] + 2)
    bottom[0].legend(fontsize=plots.STYLE["font"] + 1, frameon=False, loc="upper right")
    return figure


def draw_sets(axes, W, sets, limit):
    """The columns of W (2, n) as arrows, a colour and a marker for each of the sets, and the set's number beside it."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_color("0.85")
    for members, colour, marker in zip(sets, (plots.BLUE, plots.ORANGE, plots.GREEN), "os^"):
        for x, y in (W[:, i] for i in members if i < W.shape[1]):
            axes.plot([0, x], [0, y], color=colour, linewidth=4, solid_capstyle="round")
            axes.plot(x, y, marker, color=colour, markersize=13, markeredgecolor="white")


def _widest(cos):
    return np.abs(cos).max()


CLAIMS = (
    Claim("correlated-pairs-orthogonal", SECTION, "Correlated features become orthogonal: |cos| in the true minimum.",
          true("correlated", _widest), high=ORTHOGONAL, summary="largest"),
    Claim("correlated-pairs-orthogonal-trained", SECTION,
          "Correlated features become orthogonal: |cos| in the best of the trained models.",
          trained("correlated", _widest), high=ORTHOGONAL, summary="largest"),
    Claim("correlated-pairs-rate", SECTION, "Most single training runs make both correlated pairs orthogonal.",
          rate("correlated", lambda cos: abs(cos) <= ORTHOGONAL), low=0.5, summary="mean"),
    Claim("anticorrelated-pairs-antipodal", SECTION,
          "Anticorrelated features become antipodal: cos in the true minimum.",
          true("anticorrelated", np.max), high=ANTIPODAL, summary="largest"),
    Claim("anticorrelated-pairs-antipodal-trained", SECTION,
          "Anticorrelated features become antipodal: cos in the best of the trained models.",
          trained("anticorrelated", np.max), high=ANTIPODAL, summary="largest"),
    Claim("anticorrelated-pairs-rate", SECTION, "Most single training runs make both anticorrelated pairs antipodal.",
          rate("anticorrelated", lambda cos: cos <= ANTIPODAL), low=0.5, summary="mean"),
    Claim("no-room-side-by-side", SECTION,
          "Without room, correlated features stand side by side: cos > 0 within all pairs of the true minimum.",
          true("no_room", np.min), low=0, summary="smallest", expected="above 0"),
    Claim("no-room-side-by-side-rate", SECTION,
          "Without room, most single training runs put all correlated pairs side by side.",
          rate("no_room", lambda cos: cos > 0), low=0.5, summary="mean"),
    Claim("positive-interference-preferred", SECTION,
          "In one dimension two correlated features point the same way, where independent ones point apart.",
          lambda runs: [run["line_correlated"] - run["line_independent"] for run in runs], low=1.9, summary="smallest",
          expected="a difference of cosines of 2, to 0.1"),
)

CORRELATED_SETS = Experiment(
    "correlated-sets", 8, "Correlated and anticorrelated sets", SECTION, "01", SETTINGS | {"seeds": 2},
    SETTINGS | {"instances": 40, "starts": 10, "steps": 6000, "seeds": 10}, run, draw, CLAIMS)
