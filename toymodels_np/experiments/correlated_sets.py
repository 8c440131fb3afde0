"""Row 8: correlated features become orthogonal, anticorrelated ones antipodal; friends without room
stand side by side.

Two pairs of features in two dimensions. Features that are on together would disturb each other
often, so each pair spreads over both dimensions and shares them with the other pair. Features
that are never on together can share one dimension at no cost at all. And three correlated pairs
in two dimensions, where there is no room for orthogonal pairs, stand side by side: interference
that pushes a present feature up costs less than one that pushes it down.

Each statement is checked on the best of the trained models, on the true minimum, to which exact
descent leads from the best few of them, and as the rate of single models. All begin with the
small weights of the paper's notebook; that the rate without room depends on it is a claim of its
own.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry.measures import cosines
from ..plots import rows as pictures
from ..theory.descent import settle
from ..theory.exact.loss import expected_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured

SECTION = "Correlated and Anticorrelated Features"
PAIRS = ((0, 1), (2, 3), (4, 5))
CASES = {                           # name: (features, kind); two hidden dimensions each
    "correlated": (4, "correlated"), "anticorrelated": (4, "anticorrelated"),
    "no_room": (6, "correlated")}
ORTHOGONAL, ANTIPODAL = 0.1, -0.95  # |cos| up to the one, cos down to the other
SCALE, OTHER_SCALE = "notebook", "xavier"       # of initial weights, and what no room is tried with
OFTENER = 0.1                       # a difference of shares that counts
LINE_STARTS = 16                    # of the search for the true minimum in one dimension
SETTINGS = {"feature_probability": 0.05, "instances": 30, "starts": 3, "steps": 3000,
            "batch_size": 256, "learning_rate": 1e-2}


def run(job):
    """Trained models of each case: W, exact losses and cosines within pairs; and the true minimum.

    In controls, which are not trained, the best model as it is stands for the true minimum.
    """
    result = {}
    for case in CASES:
        features, pairs = law(case, job["feature_probability"])
        model = trained_models(features, job, SCALE)
        loss = expected_loss(model, features, rtol=1e-6)
        best = model[np.argsort(loss)[:job["starts"]]]
        lowest = lowest_of(best, features) if job["steps"] else best[0]
        result |= {f"{case}_W": model.W, f"{case}_loss": loss,
                   f"{case}_cosines": pair_cosines(model.W, pairs),
                   f"{case}_true_cosines": pair_cosines(lowest.W, pairs)}
    features, pairs = law("no_room", job["feature_probability"])
    other = pair_cosines(trained_models(features, job, OTHER_SCALE).W, pairs)
    return result | {"no_room_other_cosines": other} | on_a_line(job)


def law(case, p):
    """(features, the pairs) of a case."""
    n, kind = CASES[case]
    pairs = PAIRS[:n // 2]
    return Features(n, p, **{kind: pairs}), pairs


def trained_models(features, job, scale):
    """`instances` models in two dimensions, float64, from initial weights of that scale."""
    start = ReluOutput.init(features.n_features, 2, job["instances"], seed=job["seed"], scale=scale)
    return fit(start, features, job, schedule="cosine",
               record_every=max(job["steps"], 1)).astype(np.float64)


def lowest_of(models, features):
    """The lowest of the minima to which exact descent from these models leads."""
    settled, loss = settle(models, features)
    return settled[int(loss.argmin())]


def on_a_line(job):
    """The cosine of two features in the true minimum in one dimension, for two laws.

    In controls, which are not trained, initial weights stand for it, the same for both.
    """
    p, found = job["feature_probability"], {}
    start = ReluOutput.init(2, 1, LINE_STARTS, seed=job["seed"])
    for name, sets in (("independent", {}), ("correlated", {"correlated": PAIRS[:1]})):
        model = start[0]
        if job["steps"]:
            model = lowest_of(start.astype(np.float64), Features(2, p, **sets))
        found[f"line_{name}"] = cosines(model.W)[0, 1]
    return found


# -- what is measured ----------------------------------------------------------------------------

def pair_cosines(W, pairs):
    """cos within each pair, (..., pairs), for W (..., m, n)."""
    C = cosines(W)
    return np.stack([C[..., i, j] for i, j in pairs], -1)


def true(case, worst):
    """The claim's measure: of each run's true minimum the worst of its pairs."""
    return lambda runs: [worst(run[f"{case}_true_cosines"]) for run in runs]


def trained(case, worst):
    """The claim's measure: of the best trained model of each run the worst of its pairs."""
    return lambda runs: [worst(run[f"{case}_cosines"][np.argmin(run[f"{case}_loss"])])
                         for run in runs]


def rate(case, good):
    """The claim's measure: 1 or 0 a trained model, whether all its pairs are `good`."""
    return lambda runs: np.concatenate([good(run[f"{case}_cosines"]).all(-1) for run in runs])


def widest(cos):
    return np.abs(cos).max()


def orthogonal(cos):
    return np.abs(cos) <= ORTHOGONAL


def antipodal(cos):
    return cos <= ANTIPODAL


def side_by_side(cos):
    return cos > 0


def scale_matters(runs):
    """How much more often all pairs are side by side from small initial weights, over all runs.

    NotMeasured where models are so few that chance may have brought it across OFTENER.
    """
    both = np.array([np.ravel([side_by_side(run[f"no_room{which}_cosines"]).all(-1)
                               for run in runs]) for which in ("", "_other")])      # (2, models)
    count, (small, large) = both.shape[1], both.mean(1)
    guess = (both.sum(1) + 1) / (count + 2)                 # of the shares, never 0 or 1
    error = (guess * (1 - guess) / count).sum() ** 0.5
    if abs(small - large - OFTENER) <= 2 * error:
        raise NotMeasured(f"the shares of {count} models each differ by {small - large:.2g}, with "
                          f"a standard error of {error:.1g}: more seeds would tell")
    return [small - large]


def same_way(runs):
    """cos on a line of two correlated features, less that of independent ones."""
    return [run["line_correlated"] - run["line_independent"] for run in runs]


def draw(runs):
    """Best trained directions of the three cases; below, the cosine of every trained pair."""
    panels = []
    for case, (n, _) in CASES.items():
        best = min(runs, key=lambda run: np.min(run[f"{case}_loss"]))
        panels.append((best[f"{case}_W"][np.argmin(best[f"{case}_loss"])], PAIRS[:n // 2],
                       np.concatenate([run[f"{case}_cosines"].ravel() for run in runs]),
                       best[f"{case}_true_cosines"]))
    return pictures.correlated_sets.figure(panels, ORTHOGONAL)


CLAIMS = (
    Claim("correlated-pairs-orthogonal", SECTION,
          "Correlated features become orthogonal: |cos| in the true minimum.",
          true("correlated", widest), high=ORTHOGONAL, summary="largest", kind="ours",
          control=true("anticorrelated", widest), expected="at most 0.1; control: the other law"),
    Claim("correlated-pairs-orthogonal-trained", SECTION,
          "Correlated features become orthogonal: |cos| in the best of the trained models.",
          trained("correlated", widest), high=ORTHOGONAL, summary="largest"),
    Claim("correlated-pairs-rate", SECTION,
          "Most single training runs make both correlated pairs orthogonal.",
          rate("correlated", orthogonal), low=0.5, summary="share", kind="ours"),
    Claim("anticorrelated-pairs-antipodal", SECTION,
          "Anticorrelated features become antipodal: cos in the true minimum.",
          true("anticorrelated", np.max), high=ANTIPODAL, summary="largest", kind="ours",
          control=true("correlated", np.max), expected="at most -0.95; control: the other law"),
    Claim("anticorrelated-pairs-antipodal-trained", SECTION,
          "Anticorrelated features become antipodal: cos in the best of the trained models.",
          trained("anticorrelated", np.max), high=ANTIPODAL, summary="largest"),
    Claim("anticorrelated-pairs-rate", SECTION,
          "Single training runs often leave anticorrelated pairs orthogonal, so that the best of "
          "many is needed: the share that makes both pairs antipodal.",
          rate("anticorrelated", antipodal), low=0.2, high=0.8, summary="share", kind="ours",
          expected="some, 20 % or more, but not all, at most 80 %"),
    Claim("no-room-side-by-side", SECTION,
          "Without room, correlated features stand side by side: the smallest cos within a pair of "
          "the true minimum.", true("no_room", np.min), low=0, summary="smallest", kind="ours",
          control=true("anticorrelated", np.min), expected="above 0; control: another law"),
    Claim("no-room-side-by-side-trained", SECTION,
          "Without room, correlated features stand side by side: the smallest cos within a pair of "
          "the best of the trained models.", trained("no_room", np.min), low=0, summary="smallest",
          expected="above 0"),
    Claim("no-room-side-by-side-rate", SECTION,
          "Without room, most single training runs put all correlated pairs side by side.",
          rate("no_room", side_by_side), low=0.5, summary="share", kind="ours"),
    Claim("no-room-rate-needs-small-weights", SECTION,
          "That so many do is due to the small initial weights of the paper's notebook: with "
          "Xavier's, fewer do. The difference of the shares, over all runs.", scale_matters,
          low=OFTENER, kind="ours", expected="at least 0.1"),
    Claim("positive-interference-preferred", SECTION,
          "In one dimension two correlated features point the same way, where independent ones "
          "point apart: the difference of their cosines.", same_way, low=1.9, summary="smallest",
          expected="2, to 0.1"),
)

EXPERIMENT = Experiment(
    "correlated-sets", 8, "Correlated and anticorrelated sets", SECTION, "01",
    SETTINGS | {"seeds": 4},
    SETTINGS | {"instances": 40, "starts": 10, "steps": 6000, "seeds": 10}, run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("correlated-sets")
