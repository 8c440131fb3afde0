"""Row 6: many equally important features, dense to sparse: how many share a dimension, and how.

D*, the dimensions for each represented feature, falls as features get sparse and rests at 1 and
1/2. Each feature's own share D_i is a fraction that tells its shape: 1/2 is a digon, 2/3 a
triangle. Each shape is the best one in a window of 1/p, tetrahedra and triangles below 1.6, digons
up to 4.4, pentagons near 4.7 and square antiprisms from 4.9 on: the one that gains the most for
each dimension that it takes, at its exact minimum.

Near the ends of a window training stops at the neighbouring shape, which costs hardly more, and
where many features are dense it rests for long at some W'W that is a projection. So at each 1/p the
model of the lowest exact loss counts that training led to: there, from nearby, or with as many
features as a shape holds. Where it gains more than every listed shape, a better one is not in the
list, and no window is there. From 1/p = 1.493 to 1.562, between triangles and digons, a shape is
best that is none of the paper's: a square pyramid, five features in three dimensions, with shares
near 3/5.
"""

from functools import cache

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry import polytopes
from ..geometry.measures import (
    REPRESENTED,
    cosines,
    dimensions_per_feature,
    feature_dimensionality,
    leverage_scores,
    norms,
)
from ..interrupts import passed_on
from ..plots import rows as pictures
from ..theory.minima import find_minimum
from .base import Experiment
from .claims import Claim, NotMeasured
from .lowest_models import (
    Lowest,
    carry_over,
    polish_few,
    train_as_many,
    train_at,
    train_on,
)
from .polished import leaves_little, left_on_the_table
from .shape_windows import (
    MAIN,
    SHAPES,
    best_gains,
    gain,
    gain_of,
    square_pyramid,
    windows,
    within,
)

SECTION = "The Geometry of Superposition"
LINES = [fraction for _, fraction in SHAPES.values()]
WORDS = dict(zip(SHAPES, ("3/4", "2/3", "1/2", "2/5", "3/8")))
BIPYRAMIDS = {"triangular": (3, [1 / 2] * 2 + [2 / 3] * 3),
              "pentagonal": (5, [2 / 5] * 5 + [1 / 2] * 2)}
SHAPE_PROBABILITY = 0.05            # at which the shapes' fractions are computed
PYRAMID_AT = 1.52                   # 1/p at which a square pyramid is best
ON_LINE = 0.02                      # a feature within this of a fraction is on its line
NEAR = 0.05                         # D* within this of a level is on its plateau
BETTER = 1e-2                       # a gain over 1 above all shapes' by this fraction beats them
CLOSE = [1, 1.05, 1.1, 1.12, 1.14, 1.16, 1.24, 1.28, 1.34, 1.4, 1.46, 1.52]     # narrow windows
CLOSER = [4.5, 4.6, 4.7, 4.78, 4.86, 4.95, 5.03, 5.1, 5.2]
WIDE = [1.6, 1.7, 1.85, 2.2, 2.7, 3.3, 4, 6, 8, 10, 20, 45, 100]
SETTINGS = {"n_features": 48, "n_hidden": 6, "long": CLOSE + CLOSER, "short": WIDE,
            "compared": [2.5, 3], "as_many": False, "steps": 8000, "short_steps": 5000,
            "batch_size": 512, "learning_rate": 1e-2, "carry_steps": 500, "carry_rate": 1e-3,
            "polish": [1.7, 2.2, 3.3, 4.5]}     # 1/p at which the minimum next to it is sought


def run(job):
    """The lowest model at each 1/p (P): W (P, m, n), its gain and that of the best shape, what it
    leaves on the table (see `polished`), and W trained on where digons are best; and W of models of
    the row's own size, of twice as many dimensions and of half as many features.
    """
    n, m = job["n_features"], job["n_hidden"]
    x, long = grid(job)
    start = ReluOutput.init(n, m, len(x), seed=job["seed"])
    W, b = (np.empty_like(a) for a in start.parameters)
    for part, steps in ((long, job["steps"]), (~long, job["short_steps"])):
        if part.any():
            i = np.flatnonzero(part)
            W[i], b[i] = train_at(start[i], x[i], job, steps).parameters
    lowest = Lowest(ReluOutput(W, b), x)
    if job["steps"]:
        if job["as_many"]:
            train_as_many(lowest, job)
        carry_over(lowest, job)
        polish_few(lowest, ReluOutput(W, b))
    digons = np.flatnonzero(within(x, "digon"))
    result = {"inverse_p": x, "W": lowest.W, "gain": gain_of(lowest.loss, x, n, m),
              "best_gain": best_gains(x),
              "digons_W": train_on(lowest.model[digons], x[digons], job).W if len(digons) else
              lowest.W[:0]}
    sought = (job["steps"] > 0) & np.isclose(x[:, None], job["polish"]).any(1)
    result |= {"trained_loss": lowest.loss, "polished_loss": lowest.polished(sought),
               "empty_loss": np.array([n * each.loss for each in lowest.dropped])}
    other = np.sort(np.array(job["compared"], float))
    for name, size in (("compared", (n, m)), ("twice_m", (n, 2 * m)), ("half_n", (n // 2, m))):
        begin = ReluOutput.init(*size, len(other), seed=job["seed"])
        result[f"{name}_W"] = train_at(begin, other, job, job["short_steps"]).W
    return result


def grid(job):
    """All 1/p (P,), ascending, and which of them are trained long, (P,)."""
    x = np.array([*job["long"], *job["short"]], float)
    order = np.argsort(x)
    if not len(x) or (x < 1).any() or (np.diff(x[order]) <= 0).any():
        raise ValueError("long and short must hold different values of 1/p, from 1 on, "
                         f"got {x[order].tolist()}")
    if job["n_features"] < 2 or not job["compared"]:
        raise ValueError("n_features must be at least 2 and compared hold a value of 1/p, since "
                         f"half as many features are compared, got n_features={job['n_features']} "
                         f"and compared={job['compared']}")
    return x[order], order < len(job["long"])


def beaten(run):
    """(P,) where a run's model gains more over a plain dimension, whose gain is 1, than every
    listed shape, so that a better one exists."""
    return run["gain"] - 1 > (run["best_gain"] - 1) * (1 + BETTER)


def inside(run, *names):
    """(P,) which of a run's 1/p are in the windows of these shapes, and not `beaten`."""
    held = np.any([within(run["inverse_p"], name) for name in names], axis=0)
    held &= ~beaten(run)
    if not held.any():
        raise NotMeasured(f"the claim speaks of 1/p where a {' or '.join(names)} is best, and the "
                          f"runs have no such 1/p, or at all of them a model that gains more")
    return held


# -- what is measured ----------------------------------------------------------------------------

def on_lines(D, lines=LINES):
    """Whether D (...) is within ON_LINE of one of the lines."""
    return (abs(D[..., None] - np.asarray(lines)) <= ON_LINE).any(-1)


def represented(run, *names):
    """D of the represented features at all 1/p in the windows of these shapes, (k,)."""
    W = run["W"][inside(run, *names)]
    D = feature_dimensionality(W)[norms(W) >= REPRESENTED]
    if not len(D):
        raise NotMeasured("no feature is represented")
    return D


def share_on(lines, *names):
    """A measure: the share of represented features on the lines in the windows, of each seed."""
    return lambda runs: [on_lines(represented(run, *names), lines).mean() for run in runs]


def off_three_fifths(runs):
    """Shares on 2/3 and 1/2 less that on 3/5 where triangles and digons are best, of each seed."""
    found = [represented(run, "triangle", "digon") for run in runs]
    return [on_lines(D, [2 / 3, 1 / 2]).mean() - on_lines(D, [3 / 5]).mean() for D in found]


def between(D):
    """The share of D (k,) between two lines, of those from 1/2 to 3/4."""
    D = D[(D >= 1 / 2 - ON_LINE) & (D <= 3 / 4 + ON_LINE)]
    if not len(D):
        raise NotMeasured("no feature has a share from 1/2 to 3/4")
    return 1 - on_lines(D, LINES).mean()


def between_lines(runs):
    """`between` of the represented features where tetrahedra, triangles or digons are best."""
    return [between(represented(run, "tetrahedron", "triangle", "digon")) for run in runs]


def dropped_at_zero(runs):
    """The share of features that are not represented, in the digons' window, with D at 0."""
    shares = []
    for run in runs:
        W = run["digons_W"][inside(run, "digon")[within(run["inverse_p"], "digon")]]
        D = feature_dimensionality(W)[norms(W) < REPRESENTED]
        if not len(D):
            raise NotMeasured("all features are represented")
        shares.append(on_lines(D, [0]).mean())
    return shares


def main_part(run):
    """(1/p, D*) of the run up to MAIN; NotMeasured if these are fewer than three."""
    held = run["inverse_p"] <= MAIN
    if held.sum() < 3:
        raise NotMeasured("the claim speaks of D* along 1/p, and the runs have fewer than three "
                          f"values of it up to {MAIN}")
    return run["inverse_p"][held], dimensions_per_feature(run["W"][held])


def falls(runs):
    """The rank correlation of D* with 1/p, of each seed; 0 if D* stays what it is."""
    parts = [main_part(run) for run in runs]
    return [scipy.stats.spearmanr(x, y).statistic if np.ptp(y) else 0.0 for x, y in parts]


def stickiness(level):
    """A measure: the stretch of log 1/p on which D* is within NEAR of the level, over that of a
    curve that falls evenly, on logarithmic scales, from the first to the last D*.

    0 if D* does not fall past the level.
    """
    def measure(runs):
        found = []
        for run in runs:
            x, y = main_part(run)
            fine = np.linspace(np.log(x[0]), np.log(x[-1]), 4001)
            curve = np.interp(fine, np.log(x), y)
            even = np.exp(np.interp(fine, fine[[0, -1]], np.log(y[[0, -1]])))
            fell = y[-1] < level - NEAR and even.min() < level
            near = (abs(even - level) <= NEAR).mean() if fell else 0
            found.append((abs(curve - level) <= NEAR).mean() / near if near else 0.0)
        return found
    return measure


def plateau_at_half(runs):
    """The share on 1/2 of the features represented where D* is within NEAR of 1/2, of each seed."""
    shares = []
    for run in runs:
        W = run["W"][abs(dimensions_per_feature(run["W"]) - 0.5) <= NEAR]
        D = feature_dimensionality(W)[norms(W) >= REPRESENTED] if len(W) else np.zeros(0)
        if not len(D):
            raise NotMeasured("D* is nowhere near 1/2")
        shares.append(on_lines(D, [0.5]).mean())
    return shares


def own_dimension(runs):
    """The share of represented features with a dimension to themselves, D_i within NEAR of 1, where
    D* is within NEAR of 1, of each seed."""
    shares = []
    for run in runs:
        W = run["W"][abs(dimensions_per_feature(run["W"]) - 1) <= NEAR]
        D = feature_dimensionality(W)[norms(W) >= REPRESENTED] if len(W) else np.zeros(0)
        if not len(D):
            raise NotMeasured("D* is nowhere near 1 with represented features")
        shares.append((abs(D - 1) <= NEAR).mean())
    return shares


def one_each(runs):
    """The same if as many features as dimensions had one each, as D* = 1 suggests."""
    return own_dimension([{"W": np.eye(run["n_hidden"])[None]} for run in runs])


def packing(runs):
    """The sum of D_i over m, of every model."""
    return [total / run["n_hidden"] for run in runs
            for total in feature_dimensionality(run["W"]).sum(-1)]


def above_rank(runs):
    """By how much the sum of D_i exceeds the rank of W, of every model; 0 where it does not.

    A feature so short that it adds nothing to the rank as it is counted is left out of both.
    """
    excess = []
    for run in runs:
        W = np.asarray(run["W"], np.float64)
        rounding = max(W.shape[-2:]) * np.finfo(W.dtype).eps
        short = norms(W) <= rounding * np.linalg.norm(W, 2, axis=(-2, -1))[..., None]
        W = np.where(short[..., None, :], 0, W)
        excess.append((feature_dimensionality(W) - leverage_scores(W)).sum(-1))
    return np.maximum(np.concatenate(excess), 0)


def shortfall(runs):
    """What models lack of the best shape's gain, as a part of what it has over a plain dimension's,
    which gains 1: the median over all 1/p in windows, of each seed."""
    missing = []
    for run in runs:
        held = inside(run, *SHAPES)
        best = run["best_gain"][held]
        missing.append(np.median((best - run["gain"][held]) / (best - 1)))
    return missing


def on_a_line(W):
    """How many features of all W (k, m, n) are represented and on a line."""
    return int(((norms(W) >= REPRESENTED) & on_lines(feature_dimensionality(W))).sum())


def times_as_many(which):
    """A measure: such features of models of another size over those of the row's own, a seed.

    0 where not even one feature a dimension is on a line, so that there is nothing to compare.
    """
    def measure(runs):
        found = []
        for run in runs:
            held = on_a_line(run["compared_W"])
            enough = held >= run["n_hidden"] * len(run["compared_W"])
            found.append(on_a_line(run[f"{which}_W"]) / held if enough else 0)
        return found
    return measure


# -- exact minima of shapes ----------------------------------------------------------------------

@cache
def shape_dimensionalities(name):
    """D of the features, sorted, at the exact minimum with this shape and nothing else."""
    V = SHAPES[name][0] if name in SHAPES else polytopes.bipyramid(BIPYRAMIDS[name][0])
    start = ReluOutput(W=V[None], b=np.full((1, V.shape[1]), -0.1))
    with passed_on():                   # half a search would be kept, and be no shape
        minimum = find_minimum(Features(V.shape[1], SHAPE_PROBABILITY), len(V), initial=start)
    expected = {"triangular": "triangle + digon", "pentagonal": "pentagon + digon"}.get(name, name)
    if minimum.geometry != expected:
        raise ArithmeticError(f"the minimum near the {name} is {minimum.geometry!r}")
    return np.sort(feature_dimensionality(minimum.model.W))


def off_fraction(name):
    """A measure: a feature's share at the shape's exact minimum, the farthest from the fraction."""
    def measure(runs):
        D = shape_dimensionalities(name)
        return [D[abs(D - SHAPES[name][1]).argmax()]]
    return measure


def of_another(name):
    """The same of another shape, whose fraction is another."""
    other = "triangle" if name != "triangle" else "digon"
    return off_fraction(other)


def off_its_factors(name):
    """A measure: how far the bipyramid's features are from their factors' fractions."""
    return lambda runs: [abs(shape_dimensionalities(name) - sorted(BIPYRAMIDS[name][1])).max()]


def even_shares(name):
    """The same if the bipyramid did not split and its features shared the space evenly."""
    parts = np.array(BIPYRAMIDS[name][1])
    return lambda runs: [abs(3 / len(parts) - parts).max()]


@cache
def pyramid():
    """The minimum of five features in three dimensions at 1/p = PYRAMID_AT: a square pyramid."""
    start = ReluOutput(W=square_pyramid()[None], b=np.zeros((1, 5)))
    with passed_on():
        return find_minimum(Features(5, 1 / PYRAMID_AT), 3, initial=start)


def over_the_best(gained):
    """What a shape with this gain has over a plain dimension, over what triangles or digons have.
    """
    return [(gained - 1) / (max(gain(name, PYRAMID_AT) for name in ("triangle", "digon")) - 1)]


def pyramid_over_the_best(runs):
    """`over_the_best` of the square pyramid."""
    return over_the_best(gain_of(pyramid().loss, PYRAMID_AT, 5, 3)[0])


def bipyramid_over_the_best(runs):
    """The same of a triangular bipyramid, which is a triangle beside a digon."""
    return over_the_best((2 * gain("triangle", PYRAMID_AT) + gain("digon", PYRAMID_AT)) / 3)


def spans(runs):
    """{shape: (low, high)}, the part of each window where no run has a model that gains more."""
    x, better = runs[0]["inverse_p"], np.any([beaten(run) for run in runs], axis=0)
    found = {}
    for name, (low, high) in windows().items():
        held = x[within(x, name) & ~better]
        if len(held):
            beyond = x[better & (x > held[-1])]
            before = x[better & (x >= low) & (x < held[0])]
            found[name] = (held[0] if len(before) else low, min([high, MAIN, *beyond[:1]]))
    return found


def draw(runs):
    """D* with the number of represented features, and every D_i, under the shapes' windows."""
    x = runs[0]["inverse_p"]
    W = np.stack([run["W"] for run in runs])                                # (R, P, m, n)
    kept = norms(W) >= REPRESENTED
    graphs = [(name, line, cosines(V)) for name, (V, line) in SHAPES.items()]
    return pictures.uniform_geometry.figure(
        x, dimensions_per_feature(W), kept.sum(-1) / runs[0]["n_hidden"], feature_dimensionality(W),
        kept, spans(runs), graphs, (runs[0]["n_features"], runs[0]["n_hidden"]), MAIN,
        np.array([left_on_the_table(run) for run in runs]))


PAPER_SIZE = "the paper's size and longer training (--full) would decide it"
SHARE = "of the represented features, within 0.02"
BAND = "the share in one band from 0.355 to 0.42, which does not tell the two lines apart"
CLAIMS = (
    Claim("uniform-dstar-falls", SECTION,
          "D*, the dimensions for each represented feature, falls as features get sparse.", falls,
          high=-0.9, expected="rank correlation with 1/p at most -0.9"),
    Claim("uniform-plateau-at-one", SECTION, "D* is sticky at 1.", stickiness(1), low=1.2,
          expected="near 1 at least 1.2 times as long as a curve that falls evenly"),
    Claim("uniform-plateau-at-half", SECTION, "D* is sticky at 1/2.", stickiness(0.5), low=1.2,
          expected="near 1/2 at least 1.2 times as long as a curve that falls evenly"),
    Claim("uniform-dstar-is-no-count", SECTION,
          "D* near 1 does not mean that each represented feature has a dimension to itself: the "
          "share that has.", own_dimension, high=0.1, kind="ours", control=one_each,
          expected="at most 10 %, where D* is within 0.05 of 1; the control has one each"),
    Claim("uniform-plateau-digons-at-half", SECTION,
          "On the plateau of D* at 1/2 the represented features have D_i = 1/2.", plateau_at_half,
          low=0.8, expected=f"at least 80 % {SHARE}"),
    Claim("uniform-digons-at-half", SECTION,
          "Where digons are exactly best, the represented features have D_i = 1/2.",
          share_on([1 / 2], "digon"), low=0.9, expected=f"at least 90 % {SHARE}",
          decided_by=PAPER_SIZE),
    Claim("uniform-dropped-at-zero", SECTION,
          "Where digons are exactly best, the dropped features have D_i = 0.", dropped_at_zero,
          low=0.8, expected="at least 80 % of them, within 0.02"),
    Claim("uniform-clusters", SECTION,
          "Feature dimensionalities cluster at 3/4, 2/3, 1/2, 2/5 and 3/8, wherever one of their "
          "shapes is exactly best.", share_on(LINES, *SHAPES), low=0.8,
          expected=f"at least 80 % {SHARE}", decided_by=PAPER_SIZE),
    Claim("uniform-line-tetrahedron", SECTION,
          "There is a cluster at 3/4, the tetrahedron's, where that is exactly best.",
          share_on([3 / 4], "tetrahedron"), low=0.9, expected=f"at least 90 % {SHARE}",
          decided_by=PAPER_SIZE),
    Claim("uniform-line-triangle", SECTION,
          "There is a cluster at 2/3, the triangle's, where that is exactly best.",
          share_on([2 / 3], "triangle"), low=0.9, expected=f"at least 90 % {SHARE}",
          decided_by=PAPER_SIZE),
    Claim("uniform-line-pentagon", SECTION,
          f"Where the pentagon is exactly best, features gather at 2/5 or 3/8: {BAND}.",
          share_on([2 / 5, 3 / 8], "pentagon"), low=0.7, expected=f"at least 70 % {SHARE}",
          decided_by=PAPER_SIZE),
    Claim("uniform-line-square-antiprism", SECTION,
          f"Where the square antiprism is exactly best, features gather at 2/5 or 3/8: {BAND}.",
          share_on([2 / 5, 3 / 8], "square antiprism"), low=0.7,
          expected=f"at least 70 % {SHARE}", decided_by=PAPER_SIZE),
    Claim("uniform-between-lines-empty", SECTION,
          "There is nothing between the lines at 1/2, 2/3 and 3/4 where their shapes are best.",
          between_lines, high=0.05, expected="at most 5 % of the features from 1/2 to 3/4",
          control=lambda runs: [between(np.linspace(0.48, 0.77, 2901))], decided_by=PAPER_SIZE),
    Claim("uniform-no-line-at-three-fifths", SECTION,
          "Where triangles or digons are exactly best there is no line at 3/5, since a triangular "
          "bipyramid splits into its factors, at 2/3 and 1/2: their shares less that at 3/5.",
          off_three_fifths, low=0.8, expected="at least 0.8",
          decided_by=PAPER_SIZE),
    Claim("uniform-square-pyramid", SECTION,
          f"At 1/p = {PYRAMID_AT} neither triangles nor digons are best: a square pyramid gains "
          "more, five features in three dimensions.",
          pyramid_over_the_best, low=1, kind="ours", control=bipyramid_over_the_best,
          expected="gains at least as much over a plain dimension as the better of the two, at "
                   "exact minima; the control is a triangle beside a digon"),
    *(Claim(f"uniform-{'' if name == 'triangular' else name + '-'}bipyramid-splits", SECTION,
            f"The {name} bipyramid's features have the shares of its factors: {words}.",
            off_its_factors(name), high=1e-6, kind="identity", control=even_shares(name),
            expected="exact minimum, to 1e-6; the control shares evenly")
      for name, words in (("triangular", "3 × 2/3 and 2 × 1/2"),
                          ("pentagonal", "5 × 2/5 and 2 × 1/2"))),
    *(Claim(f"uniform-{name.replace(' ', '-')}-fraction", SECTION,
            f"Each feature of a {name} has D_i = {WORDS[name]}.", off_fraction(name),
            low=line - 1e-6, high=line + 1e-6, kind="identity", control=of_another(name),
            expected=f"{WORDS[name]} at the exact minimum, to 1e-6; the control is another shape")
      for name, (_, line) in SHAPES.items() if name != "square antiprism"),
    Claim("uniform-square-antiprism-fraction", SECTION,
          "Each feature of a square antiprism has at most D_i = 3/8, what a tight frame has: "
          f"at its exact minimum, at p = {SHAPE_PROBABILITY:g}.", off_fraction("square antiprism"),
          high=3 / 8 + 1e-6, kind="identity", control=of_another("square antiprism"),
          expected="at most 3/8, to 1e-6; the control is another shape"),
    Claim("uniform-packing", SECTION,
          "The D_i add up to about m: space is packed efficiently.", packing, low=0.97,
          expected="at least 0.97 times m"),
    Claim("uniform-sum-below-rank", SECTION,
          "The sum of the D_i is never above the rank of W.", above_rank, high=1e-6,
          summary="largest", kind="identity", expected="at most 0, but for rounding",
          control="a theorem of all matrices"),
    Claim("uniform-twice-the-dimensions", SECTION,
          "Twice the dimensions hold twice the features: represented ones on a line.",
          times_as_many("twice_m"), low=1.9, high=2.1, expected="2, to 5 %"),
    Claim("uniform-number-of-features-is-free", SECTION,
          "How many features there are does not matter where they are many more than dimensions: "
          "with half as many, as many are represented and on a line.", times_as_many("half_n"),
          low=0.95, high=1.05, expected="1, to 5 %"),
    leaves_little("uniform-training-leaves-little", SECTION),
    Claim("uniform-converged", SECTION,
          "Training was long enough: what models lack of the best shape's exact gain.", shortfall,
          high=0.2, kind="ours",
          expected="at most a fifth of what it has over a plain dimension's"),
)

EXPERIMENT = Experiment(
    "uniform-geometry", 6, "Equally important features: dimensions, fractions and shapes", SECTION,
    "07", SETTINGS | {"seeds": 2},
    SETTINGS | {"n_features": 400, "n_hidden": 30, "long": CLOSER, "short": CLOSE + WIDE,
                "as_many": True, "steps": 20_000, "short_steps": 10_000, "learning_rate": 5e-3,
                "carry_steps": 3000, "seeds": 2,
                "polish": [1.12, 1.28, 1.46, 1.7, 2.2, 3.3, 4.5, 5.1]},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("uniform-geometry")
