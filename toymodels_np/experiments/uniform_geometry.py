"""Row 6: many equally important features, dense to sparse: how many share a dimension, and how.

D*, the dimensions for each represented feature, falls as features get sparse and rests at 1 and
1/2. Each feature's own share D_i is a fraction that tells its shape: 1/2 is a digon, 2/3 a
triangle. Each shape is the best one in a narrow window of 1/p only, most of them between 1 and 2.
The windows are computed here: the shape that gains the most for each dimension that it takes, at
its exact minimum, where the features that it leaves out cost what a dropped feature costs.

Near the ends of a window training stops at the neighbouring shape, which costs hardly more. So
all models are trained a little on, once from where they are and twice from their neighbours'
solutions, and at each p the one of the lowest exact loss counts.
"""

from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import spearmanr

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry import polytopes
from ..geometry.measures import (REPRESENTED, cosines, dimensions_per_feature,
                                 feature_dimensionality, leverage_scores, norms)
from ..plots.rows import uniform_geometry as picture
from ..theory import energies
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum
from .base import Experiment, fit
from .claims import Claim, NotMeasured

SECTION = "The Geometry of Superposition"
SHAPES = {"tetrahedron": (polytopes.simplex(3), 3 / 4), "triangle": (polytopes.polygon(3), 2 / 3),
          "digon": (polytopes.digon(), 1 / 2), "pentagon": (polytopes.polygon(5), 2 / 5),
          "square antiprism": (polytopes.antiprism(4), 3 / 8)}
LINES = [fraction for _, fraction in SHAPES.values()]
WORDS = dict(zip(SHAPES, ("3/4", "2/3", "1/2", "2/5", "3/8")))
BIPYRAMIDS = {"triangular": (3, [1 / 2] * 2 + [2 / 3] * 3),
              "pentagonal": (5, [2 / 5] * 5 + [1 / 2] * 2)}
SHAPE_PROBABILITY = 0.05            # at which the shapes' fractions are computed
SEARCHED = (("4-simplex", "tetrahedron", 1.03, 1.2), ("tetrahedron", "triangle", 1.1, 1.5),
            ("triangle", "digon", 1.4, 2.0), ("digon", "pentagon", 3.5, 5.0),
            ("pentagon", "square antiprism", 4.5, 5.5))     # windows meet between these 1/p
ON_LINE = 0.02                      # a feature within this of a fraction is on its line
NEAR = 0.05                         # D* within this of a level is on its plateau
BETTER = 1e-6                       # a carried solution counts if it is lower by this fraction
RTOL = 1e-7                         # of exact losses: far below what shapes differ by
MAIN = 10                           # the largest 1/p of the main part; sparser is drawn apart
SETTINGS = {"n_features": 48, "n_hidden": 6,
            "dense": [1, 1.05, 1.1, 1.12, 1.15, 1.18, 1.2, 1.22, 1.25, 1.3, 1.35, 1.4, 1.45, 1.5,
                      1.53, 1.6, 1.7, 1.85],
            "sparse": [2, 2.3, 2.7, 3.2, 3.7, 4.2, 4.5, 4.6, 4.7, 4.8, 5, 5.5, 6, 7, 8.5, 10],
            "sparsest": [20, 45, 100], "compared": [2.3, 2.7, 3.2], "steps": 15_000,
            "sparse_steps": 5000, "batch_size": 512, "learning_rate": 1e-2, "settle_steps": 1000,
            "settle_rate": 3e-3}


def run(job):
    """The lowest model at each 1/p (P): W (P, m, n); how far it was from settled; models of twice
    the size (m or n) at a few p; and where each shape is best."""
    n, m = job["n_features"], job["n_hidden"]
    x, dense = grid(job), len(job["dense"])
    start = ReluOutput.init(n, m, len(x), seed=job["seed"])
    parts = ((slice(dense), job["steps"]), (slice(dense, None), job["sparse_steps"]))
    parts = [train_at(start[part], x[part], job, steps) for part, steps in parts if len(x[part])]
    model = stacked(parts)
    settled = train_at(model, x, job, job["settle_steps"], job["settle_rate"])
    loss = exact_losses(settled, x)
    if job["steps"]:
        settled, loss = carry_over(settled, loss, x, job)
    result = {"inverse_p": x, "trained_W": model.W, "W": settled.W, "gain": gain_of(loss, x, n, m),
              "best_gain": best_gains(x)}
    other = np.sort(np.array(job["compared"], float))
    for name, size in (("compared", (n, m)), ("twice_m", (n, 2 * m)), ("twice_n", (2 * n, m))):
        begin = ReluOutput.init(*size, len(other), seed=job["seed"])
        result[f"{name}_W"] = train_at(begin, other, job, job["sparse_steps"]).W
    return result


def grid(job):
    """All 1/p (P,), ascending; those of `dense` come first and are trained longest."""
    parts = [np.sort(np.array(job[name], float)) for name in ("dense", "sparse", "sparsest")]
    x = np.concatenate(parts)
    if not len(x) or (x < 1).any() or (np.diff(x) <= 0).any():
        raise ValueError("dense, sparse and sparsest must hold values of 1/p from 1 on, each "
                         f"larger than all before it, got {x.tolist()}")
    return x


def train_at(model, x, job, steps, rate=None):
    """The stack `model` (K), trained so many steps at 1/p = x (K,)."""
    features = Features(model.n_features, (1 / x)[:, None])
    return fit(model, features, job, steps=steps, schedule="cosine", record_every=max(steps, 1),
               learning_rate=rate or job["learning_rate"])


def carry_over(model, loss, x, job):
    """The models at 1/p = x (P,), each replaced by its neighbour's, trained on here, where that is
    lower: from sparse to dense, and back. Returns (model, loss (P,))."""
    models = [model[[i]] for i in range(len(x))]
    ways = [(i, i + 1) for i in range(len(x) - 1)][::-1] + [(i, i - 1) for i in range(1, len(x))]
    for here, there in ways:
        carried = train_at(models[there], x[[here]], job, job["settle_steps"], job["settle_rate"])
        lower, = exact_losses(carried, x[[here]])
        if lower < loss[here] * (1 - BETTER):
            models[here], loss[here] = carried, lower
    return stacked(models), loss


def stacked(models):
    """One stack of several stacks of models."""
    return ReluOutput(*(np.concatenate(arrays) for arrays in
                        zip(*(model.parameters for model in models))))


def exact_losses(model, x):
    """The exact loss of each of the models (K) at 1/p = x (K,)."""
    return np.array(expected_loss(model, Features(model.n_features, (1 / x)[:, None]), rtol=RTOL))


# -- where each shape is best --------------------------------------------------------------------

def gain_of(loss, x, features, dimensions):
    """What each dimension gains over dropping all the features, in units of a dropped feature."""
    dropped = np.array([energies.dropped(1 / each).loss for each in np.atleast_1d(x)])
    return (features * dropped - np.asarray(loss)) / (dimensions * dropped)


@cache
def gain(name, x):
    """The gain per dimension of a shape at its exact minimum at 1/p = x; others are free."""
    p = 1 / x
    if name == "square antiprism":
        V = SHAPES[name][0]
        start = ReluOutput(V[None], np.full((1, 8), -0.1))
        loss, size, room = find_minimum(Features(8, p), 3, initial=start).loss, 8, 3
    elif name in POLYGONS:
        size, room = POLYGONS[name], min(POLYGONS[name] - 1, 2)
        loss = energies.polygon(size, p).loss
    else:
        room = SIMPLEXES[name]
        size, loss = room + 1, energies.simplex(room, p).loss
    return float(gain_of(loss, x, size, room)[0])


POLYGONS = {"digon": 2, "triangle": 3, "pentagon": 5}
SIMPLEXES = {"tetrahedron": 3, "4-simplex": 4}


@cache
def borders():
    """The 1/p at which the best shape changes, one a row of SEARCHED."""
    return tuple(brentq(lambda x: gain(b, x) - gain(a, x), low, high, xtol=1e-3)
                 for a, b, low, high in SEARCHED)


def windows():
    """{shape: (low, high)}, the 1/p where it is exactly best of all these; the last is open."""
    edges = (*borders(), np.inf)
    return dict(zip(SHAPES, zip(edges[:-1], edges[1:])))


def best_gains(x):
    """The gain of the best shape at 1/p = x (P,); NaN outside of the windows."""
    best = np.full(len(x), np.nan)
    for name, (low, high) in windows().items():
        for i in np.flatnonzero((x >= low) & (x < high) & (x <= MAIN)):
            best[i] = gain(name, float(x[i]))
    return best


def inside(run, *names):
    """(P,) which of a run's 1/p are in the windows of these shapes, and no model gains more there.

    Where a model gains more than the best shape, there is a better one that is not in the list.
    """
    x = run["inverse_p"]
    held = np.zeros(len(x), bool)
    for low, high in (windows()[name] for name in names):
        held |= (x >= low) & (x < high) & (x <= MAIN)
    held &= ~(run["gain"] > run["best_gain"] * (1 + BETTER))
    if not held.any():
        raise NotMeasured(f"the claim speaks of 1/p where {' or '.join(names)} is best, and the "
                          f"runs have none")
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
        W = run["W"][inside(run, "digon")]
        D = feature_dimensionality(W)[norms(W) < REPRESENTED]
        if not len(D):
            raise NotMeasured("all features are represented")
        shares.append(on_lines(D, [0]).mean())
    return shares


def main_part(run, x=None):
    """(1/p, D*) of the run up to MAIN."""
    held = run["inverse_p"] <= MAIN
    return run["inverse_p"][held], dimensions_per_feature(run["W"][held])


def falls(runs):
    """The rank correlation of D* with 1/p, of each seed."""
    return [spearmanr(*main_part(run)).statistic for run in runs]


def stickiness(level):
    """A measure: the stretch of log 1/p on which D* is within NEAR of the level, over that of a
    curve that falls evenly, on logarithmic scales, from the first to the last D*.

    0 if D* does not fall past the level.
    """
    def measure(runs):
        found = []
        for run in runs:
            x, y = main_part(run)
            if len(x) < 3:
                raise NotMeasured("at least three 1/p up to 10 are needed")
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


def no_count(runs):
    """Represented features over m / D*, where D* is within NEAR of 1: the median of each seed."""
    ratios = []
    for run in runs:
        x, y = main_part(run)
        kept = (norms(run["W"]) >= REPRESENTED).sum(-1)[:len(x)]
        near = abs(y - 1) <= NEAR
        if not near.any():
            raise NotMeasured("D* is nowhere near 1")
        ratios.append(np.median(kept[near] * y[near] / run["n_hidden"]))
    return ratios


def packing(runs):
    """The sum of D_i over m, of every model."""
    return [total / run["n_hidden"] for run in runs
            for total in feature_dimensionality(run["W"]).sum(-1)]


def above_rank(runs):
    """By how much the sum of D_i exceeds the rank of W, of every model: never, but for rounding."""
    return np.concatenate([(feature_dimensionality(run["W"]) - leverage_scores(run["W"])).sum(-1)
                           for run in runs])


def settled(runs):
    """The share of the represented features that had stopped moving: their D is within ON_LINE of
    what it was before the models were trained on."""
    shares = []
    for run in runs:
        before, after = (feature_dimensionality(run[name]) for name in ("trained_W", "W"))
        kept = norms(run["W"]) >= REPRESENTED
        shares.append((abs(before - after) <= ON_LINE)[kept].mean())
    return shares


def on_a_line(W):
    """How many features of all W (k, m, n) are represented and on a line."""
    return int(((norms(W) >= REPRESENTED) & on_lines(feature_dimensionality(W))).sum())


def times_as_many(which):
    """A measure: such features of models of twice the size over those of the row's own, a seed."""
    def measure(runs):
        return [on_a_line(run[f"{which}_W"]) / max(on_a_line(run["compared_W"]), 1) for run in runs]
    return measure


# -- exact minima of shapes ----------------------------------------------------------------------

@cache
def shape_dimensionalities(name):
    """D of the features, sorted, at the exact minimum with this shape and nothing else."""
    V = SHAPES[name][0] if name in SHAPES else polytopes.bipyramid(BIPYRAMIDS[name][0])
    start = ReluOutput(W=V[None], b=np.full((1, V.shape[1]), -0.1))
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


def draw(runs):
    """D* with the number of represented features, and every D_i, under the shapes' windows."""
    x = runs[0]["inverse_p"]
    W = np.stack([run["W"] for run in runs])                                # (R, P, m, n)
    kept = norms(W) >= REPRESENTED
    spans = {name: (low, min(high, MAIN)) for name, (low, high) in windows().items()}
    graphs = [(name, line, cosines(V)) for name, (V, line) in SHAPES.items()]
    return picture.figure(
        x, dimensions_per_feature(W), kept.sum(-1) / runs[0]["n_hidden"], feature_dimensionality(W),
        kept, spans, graphs, (runs[0]["n_features"], runs[0]["n_hidden"]), MAIN)


PAPER_SIZE = "the paper's size and longer training (--full) would decide it"
SHARE = "of the represented features, within 0.02"
CLAIMS = (
    Claim("uniform-dstar-falls", SECTION,
          "D*, the dimensions for each represented feature, falls as features get sparse.", falls,
          high=-0.9, expected="rank correlation with 1/p at most -0.9"),
    Claim("uniform-plateau-at-one", SECTION, "D* is sticky at 1.", stickiness(1), low=1.5,
          expected="near 1 at least 1.5 times as long as a curve that falls evenly"),
    Claim("uniform-plateau-at-half", SECTION, "D* is sticky at 1/2.", stickiness(0.5), low=1.5,
          expected="near 1/2 at least 1.5 times as long as a curve that falls evenly"),
    Claim("uniform-dstar-is-no-count", SECTION,
          "D* near 1 does not mean one represented feature a dimension: their number over m / D*.",
          no_count, high=0.9, kind="ours", expected="at most 0.9, where D* is within 0.05 of 1"),
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
          "There are clusters at 2/5 and 3/8 where the pentagon is exactly best.",
          share_on([2 / 5, 3 / 8], "pentagon"), low=0.7, expected=f"at least 70 % {SHARE}",
          decided_by=PAPER_SIZE),
    Claim("uniform-line-square-antiprism", SECTION,
          "There are clusters at 2/5 and 3/8 where the square antiprism is exactly best.",
          share_on([2 / 5, 3 / 8], "square antiprism"), low=0.7,
          expected=f"at least 70 % {SHARE}", decided_by=PAPER_SIZE),
    Claim("uniform-between-lines-empty", SECTION,
          "There is nothing between the lines at 1/2, 2/3 and 3/4 where their shapes are best.",
          between_lines, high=0.05, expected="at most 5 % of the features from 1/2 to 3/4",
          control=lambda runs: [between(np.linspace(0.48, 0.77, 2901))], decided_by=PAPER_SIZE),
    Claim("uniform-no-line-at-three-fifths", SECTION,
          "There is no line at 3/5, since a triangular bipyramid splits into its factors, at 2/3 "
          "and 1/2: their shares less that at 3/5.", off_three_fifths, low=0.8,
          expected="at least 0.8, where triangles or digons are exactly best",
          decided_by=PAPER_SIZE),
    *(Claim(f"uniform-{'' if name == 'triangular' else name + '-'}bipyramid-splits", SECTION,
            f"The {name} bipyramid's features have the shares of its factors: {words}.",
            off_its_factors(name), high=1e-6, kind="identity", control=even_shares(name),
            expected="exact minimum, to 1e-6; the control shares evenly")
      for name, words in (("triangular", "3 × 2/3 and 2 × 1/2"),
                          ("pentagonal", "5 × 2/5 and 2 × 1/2"))),
    *(Claim(f"uniform-{name.replace(' ', '-')}-fraction", SECTION,
            f"Each feature of a {name} has D_i = {WORDS[name]}.", off_fraction(name),
            low=line - 1e-6, high=line + 1e-6, kind="identity", control=of_another(name),
            expected=f"{WORDS[name]} at the exact minimum, to 1e-6; the control is another shape",
            correction=f"At the exact minimum for p = {SHAPE_PROBABILITY:g} it is {{measured}}; "
                       f"{WORDS[name]} is the largest that it can be, of a tight frame.")
      for name, (_, line) in SHAPES.items()),
    Claim("uniform-packing", SECTION,
          "The D_i add up to about m: space is packed efficiently.", packing, low=0.97, high=1,
          expected="0.97 to 1 times m"),
    Claim("uniform-sum-below-rank", SECTION,
          "The sum of the D_i is never above the rank of W.", above_rank, high=1e-6,
          summary="largest", kind="identity", expected="at most 0, but for rounding",
          control="a theorem of all matrices"),
    Claim("uniform-twice-the-dimensions", SECTION,
          "Twice the dimensions hold twice the features: represented ones on a line.",
          times_as_many("twice_m"), low=1.9, high=2.1, expected="2, to 5 %"),
    Claim("uniform-number-of-features-is-free", SECTION,
          "How many features there are does not matter where they are many more than dimensions: "
          "with twice as many, as many are represented and on a line.", times_as_many("twice_n"),
          low=0.95, high=1.05, expected="1, to 5 %"),
    Claim("uniform-settled", SECTION,
          "Training was long enough: represented features whose D_i training on did not change.",
          settled, low=0.7, kind="ours", expected="at least 70 %, within 0.02",
          control="without training nothing moves"),
)

EXPERIMENT = Experiment(
    "uniform-geometry", 6, "Equally important features: dimensions, fractions and shapes", SECTION,
    "07", SETTINGS | {"seeds": 2},
    SETTINGS | {"n_features": 400, "n_hidden": 30, "steps": 60_000, "sparse_steps": 30_000,
                "learning_rate": 3e-3, "settle_steps": 10_000, "settle_rate": 1e-3, "seeds": 3},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("uniform-geometry")
