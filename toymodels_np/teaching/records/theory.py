"""Exercises on exact losses: what a feature costs that is dropped, paired, or in a pentagon.

    relu(z)² of z = a·u + b, u uniform in [0, 1], is the brick of which all of them are made.
"""

import numpy as np

from ...core.features import Features
from ...core.models import ReluOutput
from ...theory.energies import dropped, enumerated_loss, output_loss
from ...theory.exact.loss import expected_loss
from ...theory.phase import NOT_LEARNED, OWN_DIMENSION, SUPERPOSED, candidates, fixed_energy
from ..draw import POSITIVE, PROBABILITIES
from ..exercise import Exercise, Mistake

# -- 11: a dropped feature

def _dropped(p, importance):
    energy = dropped(p, importance)
    return energy.bias, energy.loss


DROPPED = Exercise(
    name="11_dropped_feature", title="what a feature costs that has no direction",
    function="dropped",
    inputs=lambda draw: (draw.one_of(PROBABILITIES), draw.one_of(POSITIVE)), answer=_dropped,
    mistakes=(
        Mistake("the bias is left at 0", lambda p, importance: (0.0, importance * p / 3)),
        Mistake("p and 1 - p are mixed up", lambda p, importance: _dropped(1 - p, importance)),
        Mistake("the bias is ½, the mean of a feature that is on, and rare features are mostly off",
                lambda p, importance: (0.5, importance * (p / 12 + (1 - p) / 4))),
        Mistake("the importance is squared",
                lambda p, importance: _dropped(p, importance ** 2)),
        Mistake("the importance is left out", lambda p, importance: _dropped(p, 1.0)),
        Mistake("the bias is the mean of the switch, p, without the value's ½",
                lambda p, importance: (p, importance * (p / 3 - p ** 2)),
                also=(lambda p, importance: (p, importance * p / 3),)),
        Mistake("the loss is p times the variance of a value that is on, and its being on or off "
                "is left out", lambda p, importance: (p / 2, importance * p / 12)),
        Mistake("the importance scales the bias too",
                lambda p, importance: (importance * p / 2, _dropped(p, importance)[1])),
        Mistake("the best bias is right, and the loss is that of the bias 0",
                lambda p, importance: (p / 2, importance * p / 3))),
    hints=("The output is a constant c. E[(x - c)²] is lowest at the mean of x.",
           "What is left is the variance of exercise 2."),
    solution="theory.energies:dropped", line="return Energy(importance * (p / 3",
    shown="A dropped feature costs I (p/3 - p²/4), its variance. That is the price that every "
          "geometry with a hole pays, and superposition pays off where interference costs less.")


# -- 12: an antipodal pair

def _pair(p, importance):
    return enumerated_loss([[1.0, -1.0]], [0.0, 0.0], p, importance)


PAIR = Exercise(
    name="12_antipodal_pair", title="two features on one axis", function="pair_loss",
    inputs=lambda draw: (draw.one_of(PROBABILITIES), draw.array(2, values=POSITIVE)),
    answer=_pair,
    mistakes=(
        Mistake("only the first of the two outputs is counted",
                lambda p, importance: importance[0] * p ** 2 / 6),
        Mistake("the two outputs are averaged and not summed up",
                lambda p, importance: importance.mean() * p ** 2 / 6),
        Mistake("they disturb each other whenever one is on: p and not p²",
                lambda p, importance: importance.sum() * p / 6),
        Mistake("the whole feature is lost when both are on, 1/3, and not the smaller one of the "
                "two", lambda p, importance: importance.sum() * p ** 2 / 3),
        Mistake("E min(u, v)² is taken for (E min(u, v))², 1/9",
                lambda p, importance: importance.sum() * p ** 2 / 9),
        Mistake("p and 1 - p are mixed up",
                lambda p, importance: importance.sum() * (1 - p) ** 2 / 6),
        Mistake("there is no ReLU: a feature that is off suffers from the other, too",
                lambda p, importance: importance.sum() * p / 3),
        Mistake("the importances are left out", lambda p, importance: p ** 2 / 3),
        Mistake("p² is left out: 1/6 is lost where both are on, and they rarely are",
                lambda p, importance: importance.sum() / 6),
        Mistake("the importances are multiplied",
                lambda p, importance: importance.prod() * p ** 2 / 6)),
    hints=("With one feature on, h has its sign, the ReLU cuts the other output off, and nothing "
           "is lost. What happens if both are on?",
           "Then x' = relu(u - v), and u - relu(u - v) = min(u, v), whose square has mean 1/6."),
    solution="theory.phase:fixed_energy", line="return importance[:, paired]",
    shown="A pair costs (I_0 + I_1) p²/6 and a dropped feature about I p/3: one is quadratic in p "
          "and the other linear. However little the features matter, they go in pairs once they "
          "are sparse enough. (The true pair does better still: its bias is a little positive, "
          "and up to p = 0.41 its norm is a little above 1.)")


# -- 13: the mean of a squared ReLU

def _mean_square(a, b):
    n = len(a) + 1                                          # an own feature, that is never on
    return output_loss(np.append(1.0, a), b, np.append(0.0, np.ones(n - 1)))


def _mean_square_inputs(draw):
    return (draw.array(draw.integer(1, 2), values=(1.0, -1.0, 0.5, -0.5, 2.0)),
            draw.one_of((0.0, -0.25, 0.25, -0.5, 1.0)))


def _corner_sum(a, b, sign, power, divisor):
    total = 0.0
    for corner in np.ndindex(*(2,) * len(a)):
        total += sign ** (len(a) - sum(corner)) * max(b + a @ corner, 0) ** power(len(a))
    return total / divisor(a)


def _product_of(a):
    return {1: 3, 2: 12}[len(a)] * np.prod(a)


def _product_of_means(a):
    return {1: 2, 2: 6}[len(a)] * np.prod(a)


MEAN_SQUARE = Exercise(
    name="13_mean_square", title="E relu(a·u + b)² for one and for two features",
    function="mean_square", inputs=_mean_square_inputs, answer=_mean_square, tolerance=1e-6,
    mistakes=(
        Mistake("there is no ReLU", lambda a, b: (b + a.sum() / 2) ** 2 + (a ** 2).sum() / 12),
        Mistake("it is the mean of relu, and not that of its square",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 1 + k, _product_of_means)),
        Mistake("it is the square of the mean, and not the mean of squares",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 1 + k, _product_of_means) ** 2),
        Mistake("only the lowest corner and the highest are counted",
                lambda a, b: (max(b + a.sum(), 0) ** (2 + len(a)) - max(b, 0) ** (2 + len(a)))
                / _product_of(a)),
        Mistake("it is divided by |a|: a coefficient that is negative turns the sign of its "
                "difference", lambda a, b: _corner_sum(
                    a, b, -1, lambda k: 2 + k, lambda a: abs(_product_of(a)))),
        Mistake("the factor is 1/3 for each integral: ∫ t² is t³/3, and the next one t⁴/4",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 2 + k,
                                         lambda a: 3 ** len(a) * np.prod(a))),
        Mistake("it is not divided by the coefficients a",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 2 + k,
                                         lambda a: {1: 3, 2: 12}[len(a)])),
        Mistake("corners have no signs: a lower end counts negative",
                lambda a, b: _corner_sum(a, b, 1, lambda k: 2 + k, _product_of)),
        Mistake("the power is not raised by one for each integral",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 2, _product_of)),
        Mistake("the factor is 1/2 for each integral: ∫ t² is t³/3, and the next one t⁴/4",
                lambda a, b: _corner_sum(a, b, -1, lambda k: 2 + k,
                                         lambda a: 2 ** len(a) * np.prod(a))),
        Mistake("it is the square at the middle of the range, and not the mean of squares",
                lambda a, b: max(b + a.sum() / 2, 0) ** 2)),
    hints=("For one feature: ∫ relu(a u + b)² du = [relu(a + b)³ - relu(b)³] / (3 a).",
           "For two do it again: [r(a1+a2+b)⁴ - r(a1+b)⁴ - r(a2+b)⁴ + r(b)⁴] / (12 a1 a2)."),
    solution="theory.energies:_mean_power", line="terms = sign * _raised(_relu(z)",
    shown="An integral over the cube is a sum over its corners: exact, without a sample. Losses "
          "of whole models are sums of such terms, one for each set of features that may be on.")


# -- 14: the pentagon

def _pentagon(norm, bias, k=5, turns=1.0, relu_on_others=True, own=True, others=True, square=2):
    """The loss with one feature on, summed over whose it is; switches make the mistakes."""
    row, each = norm ** square * np.cos(2 * np.pi * turns * np.arange(k) / k), np.eye(k)
    total = output_loss(row, bias, each[0]) if own else 0.0
    if not others:
        return total
    if relu_on_others:
        return total + sum(output_loss(row, bias, one) for one in each[1:])
    return total + sum((bias + a / 2) ** 2 + a * a / 12 for a in row[1:])


def _each_output(norm, loss):
    """The sum over outputs of loss(gain, whether it is the feature's own)."""
    return sum(loss(norm ** 2 * np.cos(2 * np.pi * j / 5), j == 0) for j in range(5))


PENTAGON = Exercise(
    name="14_pentagon", title="what a pentagon costs, one feature at a time",
    function="pentagon_loss",
    inputs=lambda draw: (draw.one_of((1.0, 1.2, 0.8, 1.1)),
                         draw.one_of((-0.25, 0.0, -0.1, -0.3, -0.5))),
    answer=lambda norm, bias: _pentagon(norm, bias), tolerance=1e-5,
    mistakes=(
        Mistake("only the feature's own output is counted, and not what it does to the others",
                lambda norm, bias: _pentagon(norm, bias, others=False)),
        Mistake("only the others' outputs are counted",
                lambda norm, bias: _pentagon(norm, bias, own=False)),
        Mistake("the gain is the norm times the cosine, and not the squared norm",
                lambda norm, bias: _pentagon(norm, bias, square=1)),
        Mistake("the angles between corners are multiples of 2π/6 as in a hexagon",
                lambda norm, bias: _pentagon(norm, bias, turns=5 / 6)),
        Mistake("the angles are multiples of π/5 and not of 2π/5",
                lambda norm, bias: _pentagon(norm, bias, turns=1 / 2)),
        Mistake("the angle is given in degrees, and np.cos takes radians",
                lambda norm, bias: _pentagon(norm, bias, turns=180 / np.pi)),
        Mistake("the bias is left out", lambda norm, bias: _pentagon(norm, 0.0)),
        Mistake("the target of every output is u, and not 0 for the others",
                lambda norm, bias: _each_output(norm, lambda a, own: output_loss(
                    np.array([a]), bias, np.ones(1)))),
        Mistake("u is its mean, ½, and not integrated over",
                lambda norm, bias: _each_output(norm, lambda a, own: (
                    max(a / 2 + bias, 0) - own / 2) ** 2)),
        Mistake("the others have no ReLU: negative interference costs, which should be free",
                lambda norm, bias: _pentagon(norm, bias, relu_on_others=False)),
        Mistake("the sign of the bias is turned: it is added",
                lambda norm, bias: _pentagon(norm, -bias)),
        Mistake("the loss is averaged over outputs and not summed up",
                lambda norm, bias: _pentagon(norm, bias) / 5)),
    hints=("By symmetry let feature 0 be on with value u: output j sees norm² cos(2πj/5) u + bias. "
           "Its target is u for j = 0, and 0 otherwise.",
           "Four outputs cost E relu(a u + b)² as in exercise 13; a sum over a fine grid of u does "
           "it too, if you take the midpoints of ten thousand cells."),
    solution="theory.energies:polygon", line="return _regular(tuple(np.cos",
    shown="Only the two neighbours, at 72°, are disturbed; the two at 144° see a negative number, "
          "and their ReLU makes that free. A negative bias quietens the neighbours, and a longer "
          "norm makes up for it: the minimum is near norm 1.17 and bias -0.28.")


# -- 15: the phase boundary

def _phase_losses(p, importance):
    weights = np.array([[1.0, importance]])
    return {phase: float(fixed_energy(W, np.array([p]), weights)[0])
            for W, phase in candidates(2, 1)}


def _lowest(losses):
    return min(losses, key=losses.get)


def _phase(p, importance):
    return _lowest(_phase_losses(p, importance))


def _phase_of(not_learned, superposed, own_dimension):
    """The mistake with these losses of the candidates, functions of p and the importance."""
    return lambda p, importance: _lowest({NOT_LEARNED: not_learned(p, importance),
                                          SUPERPOSED: superposed(p, importance),
                                          OWN_DIMENSION: own_dimension(p, importance)})


def _cost(p):
    return p / 3 - p * p / 4


def _phase_inputs(draw):
    """Importances of all sizes, and close to where two of the losses are equal: a label alone says
    little.
    """
    p = draw.one_of((0.9, 0.7, 0.5, 0.3, 0.1, 0.05, 0.02))
    if draw.one_of((False, True)):
        pair = p * p / 6 / (_cost(p) - p * p / 6) if p < 4 / 7 else 1.0
        return p, draw.one_of((pair, 1 / pair)) * draw.one_of((0.98, 1.02))
    return p, draw.one_of((2.0, 0.5, 0.9, 1.2, 4.0, 8.0, 0.2, 0.1, 0.02, 50.0))


PHASE = Exercise(
    name="15_phase_boundary", title="dropped, superposed, or alone", function="phase",
    inputs=_phase_inputs, answer=_phase,
    mistakes=(
        Mistake("p and 1 - p are mixed up", lambda p, importance: _lowest(
            _phase_losses(1 - p, importance))),
        Mistake("a dropped feature has the bias 0, not its best one", _phase_of(
            lambda p, r: r * p / 3, lambda p, r: (1 + r) * p * p / 6, lambda p, r: p / 3)),
        Mistake("the pair's loss leaves importances out", _phase_of(
            lambda p, r: r * _cost(p), lambda p, r: 2 * p * p / 6, lambda p, r: _cost(p))),
        Mistake("the pair's loss is averaged over both outputs and not summed up", _phase_of(
            lambda p, r: r * _cost(p), lambda p, r: (1 + r) * p * p / 12, lambda p, r: _cost(p))),
        Mistake("the pair's loss counts the extra feature only", _phase_of(
            lambda p, r: r * _cost(p), lambda p, r: r * p * p / 6, lambda p, r: _cost(p))),
        Mistake("the losses of being dropped and of being alone are exchanged", _phase_of(
            lambda p, r: _cost(p), lambda p, r: (1 + r) * p * p / 6, lambda p, r: r * _cost(p))),
        Mistake("the pair is never chosen: it pays p²/6, and not p/6 whenever one is on", _phase_of(
            lambda p, r: r * _cost(p), lambda p, r: (1 + r) * p / 6, lambda p, r: _cost(p))),
        Mistake("importances are squared", _phase_of(
            lambda p, r: r * r * _cost(p), lambda p, r: (1 + r * r) * p * p / 6,
            lambda p, r: _cost(p)))),
    hints=("Compute three losses: the extra feature dropped, both as an antipodal pair, and the "
           "other feature dropped. Exercises 11 and 12 have all that you need.",
           "r (p/3 - p²/4), (1 + r) p²/6, and p/3 - p²/4; the lowest wins."),
    solution="theory.phase:fixed_energy", line="return importance[:, paired]",
    shown="Three straight lines in r cross: the energies are smooth, the lowest of them has kinks. "
          "That is a first-order phase change. True minima do the same where features are sparse; "
          "where they are dense the extra feature grows from nothing (chapter 6).")


# -- 16: correlations

def _correlated_law(p, kind):
    return Features(2, p, **({} if kind == "independent" else {kind: [(0, 1)]}))


def _correlated(cosine, p, kind):
    W = np.array([[1.0, cosine], [0.0, (1 - cosine ** 2) ** 0.5]])
    return expected_loss(ReluOutput(W, np.zeros(2)), _correlated_law(p, kind))


def _cases(p, kind):
    """(P(both on), P(only the other one is on))."""
    return {"independent": (p * p, p * (1 - p)), "correlated": (p, 0.0),
            "anticorrelated": (0.0, p / 2)}[kind]


def _costs(cosine):
    """(loss of an output if both are on, if only the other one is)."""
    if cosine > 0:
        return cosine ** 2 / 3, cosine ** 2 / 3
    c = -cosine
    return c * c / 3 - c ** 3 / 6, 0.0


def _total(cosine, both, other, outputs=2):
    on_both, on_other = _costs(cosine)
    return outputs * (both * on_both + other * on_other)


def _changed(kind, cases):
    """The mistake with other probabilities for one kind of features."""
    return lambda cosine, p, given: _total(cosine, *(cases(p) if given == kind
                                                     else _cases(p, given)))


def _on_both(cosine, p, kind, divisor):
    """The mistake in which an output loses c²/divisor if both are on and c < 0."""
    if cosine > 0:
        return _total(cosine, *_cases(p, kind))
    return 2 * _cases(p, kind)[0] * cosine ** 2 / divisor


CORRELATED = Exercise(
    name="16_correlated", title="why friends stand at right angles and rivals back to back",
    function="cost",
    inputs=lambda draw: (draw.one_of((-1.0, -0.5, 0.5, 1.0, 0.25, -0.25)),
                         draw.one_of(PROBABILITIES),
                         draw.one_of(("correlated", "anticorrelated", "independent"))),
    answer=_correlated,
    mistakes=(
        Mistake("correlated features are treated as if they were independent",
                lambda cosine, p, kind: _total(cosine, *_cases(
                    p, "independent" if kind == "correlated" else kind))),
        Mistake("anticorrelated features are treated as if they were independent",
                lambda cosine, p, kind: _total(cosine, *_cases(
                    p, "independent" if kind == "anticorrelated" else kind))),
        Mistake("the kind is left out: all features are treated as if they were independent",
                lambda cosine, p, kind: _total(cosine, *_cases(p, "independent"))),
        Mistake("two correlated features are on with probability p², and it is p",
                _changed("correlated", lambda p: (p * p, 0.0))),
        Mistake("the other one is on alone with probability p, and it is p (1 - p) if they are "
                "independent", _changed("independent", lambda p: (p * p, p))),
        Mistake("two independent features are never on together",
                _changed("independent", lambda p: (0.0, p * (1 - p)))),
        Mistake("each of an anticorrelated pair is on with probability p; it is p/2",
                lambda cosine, p, kind: _total(cosine, *_cases(
                    2 * p if kind == "anticorrelated" else p, kind))),
        Mistake("there is no ReLU: negative interference costs as much as positive",
                lambda cosine, p, kind: 2 * sum(_cases(p, kind)) * cosine ** 2 / 3),
        Mistake("only one of the two outputs is counted",
                lambda cosine, p, kind: _total(cosine, *_cases(p, kind), outputs=1)),
        Mistake("negative interference is free even when both are on",
                lambda cosine, p, kind: _total(max(cosine, 0.0), *_cases(p, kind))),
        Mistake("negative interference costs c²/3 if both are on, which forgets that the ReLU cuts "
                "some of it off", lambda cosine, p, kind: _on_both(cosine, p, kind, 3)),
        Mistake("negative interference costs c²/6 if both are on, as if E min(u, |c| v)² were c² "
                "E min(u, v)²", lambda cosine, p, kind: _on_both(cosine, p, kind, 6)),
        Mistake("p and 1 - p are mixed up",
                lambda cosine, p, kind: _total(cosine, *_cases(1 - p, kind)))),
    hints=("Output 0 sees x_0 + c x_1. Write down P(both are on) and P(only 1 is on) for each "
           "kind, and what output 0 loses in either case; double it for output 1.",
           "For c > 0 it loses c²/3 in both cases. For c < 0 it loses nothing if it is off, and "
           "min(u, |c| v) if both are on, the mean of whose square is c²/3 - |c|³/6."),
    solution="core.features:Features._draw", line="chosen = rng.integers",
    shown="Correlated features are on together, so any overlap costs, and a right angle is free. "
          "Anticorrelated ones are never on together, and an antipode's output is cut off: c = -1 "
          "costs nothing, and two features fit into one dimension.")

EXERCISES = (DROPPED, PAIR, MEAN_SQUARE, PENTAGON, PHASE, CORRELATED)
