"""The figures of the book, at least one a chapter, each computed when the book is made.

A chapter names its figure in a comment, `<!-- figure: pentagon -->`, at the place where it belongs.
The docstring of the function is the caption; what it draws is computed here, in about a second.
"""

import io
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np

from .. import plots
from ..core.features import Features
from ..core.models import AbsoluteValue, Linear, ReluHidden, ReluOutput
from ..core.optim import SCHEDULES, schedule
from ..engine.train import train
from ..geometry import polytopes
from ..geometry.neurons import asymmetric_motifs
from ..penalties import Penalty
from ..theory import energies
from ..theory.certify import proved
from ..theory.exact.loss import expected_loss
from ..theory.flow import gradient_flow
from ..theory.minima import find_minimum

DPI = 100


def pentagon():
    """Five features in two dimensions. The columns of W are the directions of the features, and
    entry (i, j) of the gains says how much of feature j arrives at output i: 1 on the diagonal,
    where a feature meets itself, and beside it interference of both signs."""
    return plots.lessons.directions_and_gram(polytopes.polygon(5))


def samples():
    """Forty samples of six features with p = 0.3. On the left all are independent; in the middle
    features 0 and 1 are correlated, on or off together; on the right at most one of 2, 3 and 4
    is on in any sample, each of them as often."""
    laws = (Features(6, 0.3), Features(6, 0.3, correlated=[(0, 1)]),
            Features(6, 0.3, anticorrelated=[(2, 3, 4)]))
    batches = [law.sample(np.random.default_rng(3), 40) for law in laws]
    return plots.lessons.samples(
        batches, ("independent", "0 and 1 correlated", "2, 3, 4 anticorrelated"))


def relu_door():
    """The loss of the example by hand, W = (1, w), for the one sample x = (1, 0). Without a ReLU
    any w but 0 disturbs output 1. With it a negative w costs nothing, and feature 1 may share
    the dimension."""
    w, x, law = np.linspace(-1, 1, 101), np.array([[1.0, 0.0]]), Features(2, 0.1)
    losses = {name: (w, [float(cls([[1, each]], [0, 0]).loss(x, law)) for each in w])
              for name, cls in (("Linear", Linear), ("ReluOutput", ReluOutput))}
    return plots.lessons.curves([{
        "x": "w, the weight of feature 1", "y": "loss of the sample (1, 0)", "curves": losses}])


def schedules():
    """The three schedules of (3.7) and (3.8): by what the learning rate is multiplied in the
    course of a training run."""
    steps = 200
    rates = {name: (np.arange(steps) / steps,
                    [schedule(name, 1.0, steps=steps)(step) for step in range(steps)])
             for name in SCHEDULES}
    return plots.lessons.curves([{
        "x": "share of the steps", "y": "factor of the learning rate", "curves": rates}])


def exact_line():
    """The loss of five features in two dimensions along a line from nothing, on the left, through
    the pentagon with unit norms, at 1. A dot is the mean over 500 samples, drawn afresh for each
    dot; the line is the expectation, with no noise at all, so that its minimum can be read off."""
    law, rng = Features(5, 0.05), np.random.default_rng(0)
    scale = np.linspace(0, 1.4, 57)
    models = [ReluOutput(t * polytopes.polygon(5), np.full(5, -0.2 * t)) for t in scale]
    return plots.lessons.curves([{
        "x": "factor t of the pentagon, bias −0.2 t", "y": "loss", "curves": {
            "expectation": (scale, [expected_loss(model, law) for model in models])},
        "points": {"means over 500 samples": (scale, [
            float(model.loss(law.sample(rng, 500), law)) for model in models])}}])


def energy_of_shapes():
    """Energies of five equal features in two dimensions as a share of what an empty model costs.
    For sparse features, on the right, the pentagon is far better. Between p = 0.23 and 0.7 two
    digons with one feature dropped are, by 11 % at most; for p above that the two hardly differ,
    and at p = 1 they cost the same."""
    p = np.geomspace(1, 0.01, 9)
    empty = np.array([5 * energies.dropped(each).loss for each in p])
    shapes = {"pentagon": [energies.polygon(5, each).loss for each in p],
              "2 digons, 1 dropped": [energies.digons(2, each, dropped=1).loss for each in p]}
    return plots.lessons.curves([{
        "x": "probability p (dense to sparse)", "log": "x", "reverse": True,
        "y": "energy / energy of nothing",
        "curves": {name: (p, loss / empty) for name, loss in shapes.items()}}])


def crossing():
    """Two branches at p = 0.05 as feature 4 gets less important: the pentagon and two digons
    without it. Each is smooth; the lower of the two has a kink where they cross, at 0.3678. The
    pentagon lives on below that, as a minimum that is not the lowest, to 0.2902."""
    values, pentagons = np.linspace(0.7, 0.295, 7), []
    model = ReluOutput(1.13 * polytopes.polygon(5), np.full(5, -0.25))
    for value in values:
        law = Features(5, 0.05, [1, 1, 1, 1, value])
        found = find_minimum(law, 2, initial=model)
        model = found.model
        pentagons.append(found.loss)
    digons = [energies.digons(2, 0.05, dropped=1, dropped_importance=value).loss
              for value in values]
    return plots.lessons.curves([{
        "x": "importance of feature 4", "y": "energy: expected loss", "curves": {
            "pentagon": (values, pentagons), "2 digons, 1 dropped": (values, digons)},
        "at": {"they cross": 0.3677789}}])


def shares():
    """Twelve features in six dimensions: a tetrahedron, a triangle, a digon, and three that are
    dropped. Each has the share of its own shape, whatever else is in the model; the shares add
    up to the rank, 6."""
    W = polytopes.tegum_product(polytopes.simplex(3), polytopes.polygon(3), polytopes.digon(),
                                dropped=3)
    return plots.dimensionality(W).figure


def solids():
    """Three ways for eight or fewer features to share three dimensions. The square antiprism and
    the cube give each of eight features 3/8; the triangular bipyramid is a triangle beside a
    digon, and its features have 2/3 and 1/2."""
    return plots.lessons.shapes(
        (polytopes.antiprism(4), polytopes.prism(4), polytopes.bipyramid(3)),
        ("square antiprism", "square prism (cube)", "triangular bipyramid"))


def plateau():
    """The flow of two correlated features into one dimension, from a start near nothing. It waits
    near the saddle where nothing is represented, for a time that grows with the logarithm of how
    near it started, and then falls to the minimum."""
    law = Features(2, 0.1, correlated=[(0, 1)])
    start = ReluOutput(1e-3 * np.array([[1, 0.9]]), 0.9 * law.mean())
    return plots.flow(gradient_flow(start, law, t_final=1e3)).figure


def directions_of_attack():
    """How much the empty input's loss rises, in units of ε², when it is moved in each direction of
    the hidden plane of a pentagon. The linear model is equally weak on all sides, by λ² = 6.25;
    the ReLUs take away about half of it. Radius is the rise, numbers at the rim are the
    features."""
    W, length = polytopes.polygon(5), 0.1
    angles = np.linspace(0, 2 * np.pi, 361)
    along = np.array([np.cos(angles), np.sin(angles)]).T @ W
    moved = length * along / np.linalg.norm(along, axis=1, keepdims=True)
    rises = {name: (cls(W, np.zeros(5)).forward(moved)**2).sum(1) / length**2
             for name, cls in (("Linear", Linear), ("ReluOutput", ReluOutput))}
    return plots.lessons.rose(angles, rises, W, "rise of the loss / ε²")


def neurons():
    """A trained model of ten features and five neurons at p = 0.25, where both kinds of neuron
    live together. A bar is a neuron, a rectangle in it the weight of a feature: blue neurons
    serve one feature, hatched ones several."""
    law = Features(10, 0.25, 0.75**np.arange(10))
    start = ReluHidden.init(10, 5, 8, seed=0)
    models = train(start, law, steps=1500, batch_size=128, learning_rate=1e-2, schedule="cosine",
                   progress=False).model
    x = law.sample(np.random.default_rng(0), 20_000, dtype=np.float32)
    return plots.stack(models[int(models.loss(x, law).argmin())]).figure


def motif():
    """The asymmetric motif with A = 4. The upper neuron reads feature 0 strongly and writes feature
    1 strongly, so that feature 0 disturbs output 1; the lower neuron, which is on with the same
    side of feature 0, takes that disturbance back."""
    model = AbsoluteValue([[2, -0.5], [1, 0], [-1, 0], [0, 1]], [[0.5, 0, 1, 0], [2, -4, 0, 1]],
                          [0, 0])
    found, = asymmetric_motifs(model)
    return plots.motif(model, found).figure


def landscape():
    """What a proof about the whole must search: the loss of two features in one dimension at
    p = 0.05, over both weights, with biases of 0. The two dark valleys are one minimum and its
    mirror image, the antipodal pair; along the dashed lines one weight is 0, where one feature is
    kept and the other is lost."""
    law, axis = Features(2, 0.05), np.linspace(-1.5, 1.5, 61)
    grid = np.array([[[[w, v]] for w in axis] for v in axis])
    losses = expected_loss(ReluOutput(grid, np.zeros((*grid.shape[:2], 2))), law)
    return plots.lessons.landscape(
        axis, axis, losses, ("weight of feature 0", "weight of feature 1"))


def critical_surface():
    """The penalty λ_c above which nothing beats dropping the less important of two features, over
    its importance I and over p. Each point is proved to six digits; lines between points lead the
    eye, and on the left they never fall, by (13.13)."""
    points = proved.load_critical()
    value = lambda c: float(c.low + c.high) / 2
    line = lambda x, chosen: ([x(c) for c in chosen], [value(c) for c in chosen])
    by_p = {f"p = {p:g}": line(lambda c: c.importance, [c for c in points if c.p == p])
            for p in (0.3, 0.2, 0.1, 0.05, 0.02)}
    by_i = {f"I = {i:g}": line(lambda c: c.p, [c for c in points if c.importance == i])
            for i in (1, 0.8, 0.5, 0.3)}
    proofs = lambda chosen: {"proved": tuple(map(np.concatenate, zip(*chosen.values())))}
    return plots.lessons.curves([
        {"x": "importance I of feature 1", "y": r"critical penalty $\lambda_c$", "curves": by_p,
         "points": proofs(by_p)},
        {"x": "feature probability p", "y": r"critical penalty $\lambda_c$", "log": "x",
         "reverse": True, "curves": by_i, "points": proofs(by_i)}])


def certified_phases():
    """Whether both features are kept or the less important one is dropped, for three penalties λ.
    A cell speaks for all importances in it, at the p of its column; (13.13) carries what is proved
    at a point up or down the column. Cells through which λ_c passes, or where a point is missing,
    stay white."""
    points, edges = proved.load_critical(), np.append(0, np.arange(2, 11)) / 10
    columns = sorted({c.p for c in points}, reverse=True)
    grid = lambda strength: [
        [proved.phase([c for c in points if c.p == p], low, high, Fraction(strength))
         for p in columns] for low, high in pairwise(edges.tolist())]
    colours = {"pair": plots.ORANGE, "dropped": plots.GREY}
    return plots.lessons.cells(
        {f"λ = {strength}": grid(strength) for strength in ("0.003", "0.01", "0.02")},
        edges, [f"{p:g}" for p in columns], colours,
        ("feature probability p", "importance I of feature 1"))


def price_of_interference():
    """Five features in two dimensions at p = 0.05 as the price λ of interference in (14.1) grows.
    On the left the loss without that price, on the right how much interference the solution
    keeps. Up to about 3·10⁻⁴ interference is given up at almost no loss; at the end no two of the
    features that are left interfere, and three of the five are lost."""
    law, prices = Features(5, 0.05), np.geomspace(1e-5, 3e-2, 9)
    found = [find_minimum(law, 2, starts=4, interference=price).model for price in prices]
    kept = [Penalty(interference=1.0).value(each.W) for each in found]
    return plots.lessons.curves([
        {"x": "price λ of interference", "y": "loss without the price", "log": "x", "curves": {
            "loss": (prices, [expected_loss(each, law) for each in found])}},
        {"x": "price λ of interference", "y": "Σ (W_i·W_j)² over pairs i ≠ j", "log": "x",
         "curves": {"interference": (prices, kept)}}])


FIGURES = {each.__name__.replace("_", "-"): each for each in (
    pentagon, samples, relu_door, schedules, exact_line, energy_of_shapes, crossing, shares, solids,
    plateau, directions_of_attack, neurons, motif, landscape,
    critical_surface, certified_phases, price_of_interference)}


def caption(name):
    """What is said under the figure of this name; RuntimeError where Python has left it out."""
    words = FIGURES[name].__doc__
    if words is None:
        raise RuntimeError("captions of figures are docstrings, which python -OO leaves out")
    return " ".join(words.split())


@cache
def png(name):
    """The figure of this name as PNG, made once a process."""
    stream = io.BytesIO()
    FIGURES[name]().savefig(stream, format="png", dpi=DPI, facecolor="white")
    return stream.getvalue()
