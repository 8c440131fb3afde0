"""Exercises on learning, on neurons that compute, and on attacks.

    theta, g  (P,)  parameters and their gradient        W1 (m, n), W2 (n, m)  untied weights
"""

import numpy as np

from ...core.features import Features
from ...core.gradcheck import check_gradient
from ...core.models import AbsoluteValue, Model, ReluHidden, ReluOutput
from ...core.optim import BETA1, BETA2, EPSILON, AdamState, adam
from ...geometry.neurons import asymmetric_motifs, monosemanticity, service
from ...theory.attack import attack
from ...theory.exact.loss import expected_loss
from ..draw import PROBABILITIES
from ..exercise import Exercise, Mistake

RIGHT = 1e-6                # relative error of a gradient up to which it counts as right


# -- 19: is this gradient right?

class Bowl:
    """loss(theta) = scale · Σ_i c_i theta_i⁴ / 4 + theta_i, and its gradient."""

    def __init__(self, scale, c):
        self.scale, self.c = scale, np.asarray(c, float)

    def __call__(self, theta):
        theta = np.asarray(theta, float)
        return float(self.scale * (self.c * theta ** 4 / 4 + theta).sum(-1))

    def gradient(self, theta):
        return self.scale * (self.c * theta ** 3 + 1)

    def __repr__(self):
        c = ", ".join(f"{one:g}" for one in self.c)
        return f"{self.scale:g}·Σ([{c}]·theta⁴/4 + theta)"


SCALES = 1.0, 1e-6
OF_ONE = {"sign": (-1, -1), "last": (-1, 0), "first": (0, 0), "thousandth": (-1, 1.001)}
DEFECTS = ("none", *OF_ONE, "double", "all signs", "exchanged", "+d, -d")
OF_TWO = DEFECTS[-2:]       # these need two components, and leave their sum as it is
PAIRS = tuple((scale, defect) for defect in DEFECTS for scale in SCALES)


def claim(gradient, defect):
    """A gradient with a defect, or without one."""
    claimed = gradient.copy()
    if defect in OF_ONE:
        place, factor = OF_ONE[defect]
        claimed[place] *= factor
    if defect == "exchanged":
        claimed[[0, -1]] = claimed[[-1, 0]]
    if defect == "+d, -d":
        claimed[[0, -1]] += abs(gradient[0]) * np.array([0.5, -0.5])
    return claimed * {"double": 2, "all signs": -1}.get(defect, 1)


def _claim_inputs(draw):
    scale, defect = draw.one_of(PAIRS)
    n = draw.integer(2 if defect in OF_TWO else 1, 3)
    loss = Bowl(scale, draw.array(n, values=(1.0, 0.5, 2.0)))
    theta = draw.array(n, values=(1.0, 0.5, 2.0, -0.5, -1.5))       # slopes of either sign
    return loss, theta, claim(loss.gradient(theta), defect)


def _is_right(loss, theta, claimed):
    class Curve(Model):
        parameter_shapes = {"W": "mn"}

        def loss(self, x, features):
            return np.asarray(loss(self.W[0]))

        def loss_and_grad(self, x, features):
            return self.loss(x, features), self.from_parameters([claimed[None]])

    n = len(theta)
    return check_gradient(Curve(theta[None]), np.ones((1, n)), Features(n, 1.0)) < RIGHT


def _slopes(loss, theta, t=1e-4, width=2.0):
    each = t * np.eye(len(theta))
    return np.array([(loss(theta + v) - loss(theta - v)) / (width * t) for v in each])


def _near(measured, claimed, tolerance=1e-5):
    size = max(abs(measured).max(), abs(claimed).max())
    return bool(abs(measured - claimed).max() <= tolerance * size)


def _largest(errors):
    return abs(errors).max()


def _total(errors):
    return abs(errors).sum()


def _absolute(tolerance, size=_largest):
    return lambda loss, theta, claimed: bool(size(_slopes(loss, theta) - claimed) < tolerance)


def _within(tolerance):
    return lambda loss, theta, claimed: _near(_slopes(loss, theta), claimed, tolerance)


def _each(judge):
    """The answer that `judge` makes of relative errors with their signs, one a component."""
    return lambda loss, theta, claimed: bool(judge((_slopes(loss, theta) - claimed) / abs(claimed)))


CHECK = Exercise(
    name="19_gradient_check", title="is this gradient right?", function="is_right",
    inputs=_claim_inputs, answer=_is_right, examples=360,      # all PAIRS, whatever the version
    mistakes=(
        Mistake("the error is absolute: a wrong gradient of a small loss passes", _absolute(1e-4),
                also=tuple(_absolute(10.0 ** -k, size) for k in (2, 3, 4, 5, 6, 8)
                           for size in (_largest, np.linalg.norm, _total))),
        Mistake("atol = 1e-8 is absolute, and np.allclose has it by default: an error of a "
                "thousandth passes where the loss is small",
                lambda loss, theta, claimed: bool(np.allclose(_slopes(loss, theta), claimed))),
        Mistake("only the sum is looked at, or the mean, or one difference along (1, …, 1): "
                "errors that cancel pass",
                lambda loss, theta, claimed: _near(
                    _slopes(loss, theta).sum()[None], claimed.sum()[None])),
        Mistake("only the first component is looked at",
                lambda loss, theta, claimed: _near(_slopes(loss, theta)[:1], claimed[:1])),
        Mistake("only the last component is looked at, as where a loop keeps its last comparison",
                lambda loss, theta, claimed: _near(_slopes(loss, theta)[-1:], claimed[-1:])),
        Mistake("one component that is right is enough: any stands where all is meant",
                _each(lambda errors: (abs(errors) < 1e-5).any())),
        Mistake("errors keep their sign: a claim passes that is only too large, or only too small",
                _each(lambda errors: (errors < 1e-5).all()),
                also=(_each(lambda errors: (errors > -1e-5).all()),)),
        Mistake("only the lengths are compared, and a sign that is wrong passes",
                lambda loss, theta, claimed: _near(
                    np.linalg.norm(_slopes(loss, theta))[None], np.linalg.norm(claimed)[None])),
        Mistake("only the directions are compared, and a factor that is wrong passes",
                lambda loss, theta, claimed: _near(*(g / np.linalg.norm(g) for g in (
                    _slopes(loss, theta), claimed)))),
        Mistake("the difference is divided by the step and not by twice the step: nothing passes "
                "but what is twice too large",
                lambda loss, theta, claimed: _near(_slopes(loss, theta, width=1.0), claimed)),
        Mistake("the tolerance is so wide that an error of a thousandth passes",
                _within(1e-2), also=(_within(0.1),)),
        Mistake("True and False are exchanged",
                lambda loss, theta, claimed: not _is_right(loss, theta, claimed)),
        Mistake("no gradient is right: the tolerance is tighter than a difference is exact, and a "
                "one-sided one, or a step like 0.1 or 1e-12, is far from exact",
                lambda loss, theta, claimed: False),
        Mistake("every gradient is right", lambda loss, theta, claimed: True)),
    hints=("(loss(theta + t v) - loss(theta - t v)) / (2 t) is v·g up to t². Take v along each "
           "axis in turn, and t = 1e-4 or so.",
           "Compare with the claim relative to the larger of the two: 1e-5 of it is generous."),
    solution="core.gradcheck:check_gradient", line="measured = (8 * near - far)",
    shown="A right gradient agrees to many digits and a wrong one to none: there is nothing "
          "between. The package looks along one random direction with five points, and every "
          "backward pass in it is checked so.")


# -- 20: Adam

def _adam_inputs(draw):
    n = draw.integer(1, 2)
    return (draw.array(n), draw.array(n, values=(1.0, -0.5, 2.0, 1e-4)), draw.array(n),
            draw.array(n, values=(0.0, 1.0, 0.25, 1e-8)), draw.integer(1, 4),
            draw.one_of((0.1, 1.0, 0.01)))


def _adam(theta, g, mean, square, t, learning_rate):
    (theta,), state = adam((theta,), (g,), AdamState(t - 1, (mean,), (square,)), learning_rate)
    return theta, state.mean[0], state.square[0]


def _variant(beta1=BETA1, beta2=BETA2, corrected=(True, True), inside=False, count=lambda t: t,
             squared=True, decay=True, root=0.5, returned=False, epsilon=EPSILON, early=False,
             way=-1):
    """Adam with a mistake."""
    def step(theta, g, mean, square, t, learning_rate):
        new = 1 - beta1 if decay else 1.0
        mean = beta1 * mean + new * g
        square = beta2 * square + (1 - beta2) * (g * g if squared else abs(g))
        k = count(t)
        m = mean / (1 - beta1 ** k) if corrected[0] else mean
        v = square / (1 - beta2 ** k) if corrected[1] else square
        small = epsilon / (1 - beta2 ** k) ** 0.5 if early else epsilon
        below = (v + small) ** 0.5 if inside else v ** root + small
        return theta + way * learning_rate * m / below, *((m, v) if returned else (mean, square))
    return step


ADAM = Exercise(
    name="20_adam", title="one step of Adam", function="adam", inputs=_adam_inputs, answer=_adam,
    mistakes=(
        Mistake("there is no bias correction", _variant(corrected=(False, False))),
        Mistake("only the first running mean is corrected", _variant(corrected=(True, False))),
        Mistake("only the second running mean is corrected", _variant(corrected=(False, True))),
        Mistake("the step goes up the gradient: it is subtracted from theta", _variant(way=1)),
        Mistake("the corrected running means are returned: they are for the step alone",
                _variant(returned=True)),
        Mistake("the root of the second running mean is missing", _variant(root=1)),
        Mistake("epsilon stands inside the root", _variant(inside=True)),
        Mistake("epsilon is added before the bias correction, which then divides it too by the "
                "root of 1 - 0.999^t", _variant(early=True)),
        Mistake("epsilon is left out", _variant(epsilon=0.0)),
        Mistake("epsilon is 1e-7, as in some libraries, and not 1e-8", _variant(epsilon=1e-7)),
        Mistake("steps are counted from 0: the correction uses t + 1 where t is meant",
                _variant(count=lambda t: t + 1)),
        Mistake("the bias correction is 1 - beta at every step, without the power t",
                _variant(count=lambda t: 1)),
        Mistake("beta1 and beta2 are exchanged", _variant(beta1=BETA2, beta2=BETA1)),
        Mistake("the second running mean is that of |g| and not of g²", _variant(squared=False)),
        Mistake("the first running mean adds all of g, as momentum does, and not 1 - beta1 of it",
                _variant(decay=False))),
    hints=("Three lines: mean = 0.9 mean + 0.1 g; square = 0.999 square + 0.001 g²; and the step.",
           "Divide mean by (1 - 0.9^t) and square by (1 - 0.999^t) for the step alone. Return "
           "them without. epsilon is added after the root."),
    solution="core.optim:adam", line="updated = tuple(theta - step",
    shown="The first step moves every parameter by the learning rate, whatever its gradient: m and "
          "the root of v cancel. That is why Adam leaves flat saddles quickly.")


# -- 21: the first plateau

def _covariance(p, k):
    features = Features(k, p, correlated=[range(k)] if k > 1 else ())
    return features.second_moment() - np.outer(features.mean(), features.mean()), features


def _plateau(p, k):
    C, features = _covariance(p, k)
    saddle = ReluOutput(np.zeros((1, k)), features.mean())
    return float(expected_loss(saddle, features)), 4 * np.linalg.eigvalsh(C)[-1]


def _with_rate(rate):
    return lambda p, k: (_plateau(p, k)[0], rate(p, k))


PLATEAU = Exercise(
    name="21_plateau", title="a plateau and its saddle", function="plateau",
    inputs=lambda draw: (draw.one_of(PROBABILITIES), draw.integer(1, 5)), answer=_plateau,
    mistakes=(
        Mistake("the rate comes from E[x x'] and not from the covariance: b takes the mean",
                _with_rate(lambda p, k: 4 * np.linalg.eigvalsh(
                    _covariance(p, k)[1].second_moment())[-1])),
        Mistake("the members are taken for independent features",
                _with_rate(lambda p, k: 4 * (p / 3 - p * p / 4))),
        Mistake("the members of a set are taken for equal: they are on together, and their values "
                "are independent", _with_rate(lambda p, k: 4 * k * (p / 3 - p * p / 4))),
        Mistake("each member is counted among the k - 1 others",
                _with_rate(lambda p, k: _plateau(p, k)[1] + p - p * p)),
        Mistake("p and 1 - p are mixed up", lambda p, k: _plateau(1 - p, k)),
        Mistake("the rate is that of a difference of two members, the slowest",
                _with_rate(lambda p, k: 4 * p / 12)),
        Mistake("the rate is the curvature's eigenvalue without its factor 4: W is used twice, "
                "and the loss is a square", _with_rate(lambda p, k: _plateau(p, k)[1] / 4)),
        Mistake("the rate has the factor 2 where it has 4: W is used twice",
                _with_rate(lambda p, k: _plateau(p, k)[1] / 2)),
        Mistake("the loss is that of the output 0, with b = 0",
                lambda p, k: (k * p / 3, _plateau(p, k)[1])),
        Mistake("the loss is that of one member and not of all",
                lambda p, k: (_plateau(p, k)[0] / k, _plateau(p, k)[1]))),
    hints=("The loss is k times the variance of exercise 2. Near W = 0 the ReLU is idle and "
           "dW/dt = 4 W C, with C the covariance.",
           "C has p/3 - p²/4 on its diagonal and p/4 - p²/4 beside it; its largest eigenvalue "
           "belongs to (1, …, 1)."),
    solution="core.features:Features.second_moment", line="within = 0.0 if",
    shown="The sum of the set grows fastest, so the model first learns one direction for all of "
          "its members, as principal components do, and rests at the next saddle before it tells "
          "them apart. A plateau is a saddle nearby; it lasts longer the nearer the flow came.")


# -- 22: monosemantic neurons

def _neuron_inputs(draw):
    W = draw.array(draw.integer(1, 3), draw.integer(2, 4))
    W[(W <= 0).all(1), 0] = 1.0
    return (W,)


def _share(s, axis=-1):
    return s.max(axis) / s.sum(axis)


MONOSEMANTIC = Exercise(
    name="22_monosemantic", title="neurons of one feature, and neurons of many",
    function="monosemanticity", inputs=_neuron_inputs,
    answer=lambda W: monosemanticity(ReluHidden(W, np.zeros(W.shape[1]))),
    mistakes=(
        Mistake("negative weights count too", lambda W: _share(W ** 2)),
        Mistake("negative weights count in the sum below",
                lambda W: W.max(1) ** 2 / (W ** 2).sum(1)),
        Mistake("negative weights count too, and weights are not squared",
                lambda W: _share(abs(W))),
        Mistake("the sum below is squared, and not its terms",
                lambda W: np.maximum(W, 0).max(1) ** 2 / np.maximum(W, 0).sum(1) ** 2),
        Mistake("weights are not squared: a neuron reads and writes with the same weight",
                lambda W: _share(np.maximum(W, 0))),
        Mistake("you say how one feature is spread over neurons, and not how many a neuron has",
                lambda W: _share(np.maximum(W, 0) ** 2, 0)),        # NaN where none is positive
        Mistake("the largest is divided by the length, the root of the sum of squares",
                lambda W: np.maximum(W, 0).max(1) / np.linalg.norm(np.maximum(W, 0), axis=1)),
        Mistake("features are counted and not weighed: 1 over their number",
                lambda W: 1 / (W > 0).sum(1))),
    hints=("s = np.maximum(W, 0) ** 2. A neuron is a row of W.",
           "s.max(1) / s.sum(1)"),
    solution="geometry.neurons:monosemanticity", line="return np.where(largest >= IDLE",
    shown="A neuron with 1 has a feature to itself, and one with ½ is shared by two. The hidden "
          "ReLU makes neurons worth reading; dense features get neurons of their own.")


# -- 23: |x| with two neurons

def _two_neurons(draw):
    W1 = draw.array(2, values=(1.0, 2.0, 0.5, 4.0)) * (1, -1)
    return (W1[::draw.one_of((1, -1))][:, None].copy(),)


def _decoder(W1):
    return 1 / service(AbsoluteValue(W1, np.ones((1, 2)), np.zeros(1))).T


ABSOLUTE = Exercise(
    name="23_absolute_value", title="|x| with two neurons", function="decoder",
    inputs=_two_neurons, answer=_decoder,
    mistakes=(
        Mistake("the signs are kept: both sides must push the output up", lambda W1: 1 / W1.T),
        Mistake("weights are not inverted: what is read twice must be written half",
                lambda W1: abs(W1).T),
        Mistake("the scales of the neurons are left out", lambda W1: np.ones((1, 2))),
        Mistake("the two neurons are exchanged", lambda W1: 1 / abs(W1[::-1]).T),
        Mistake("W2 is the transpose of W1: that decodes x, and not |x|", lambda W1: W1.T.copy()),
        Mistake("W2 is the pseudoinverse of W1, which forgets the ReLU between them",
                np.linalg.pinv),
        Mistake("only one side of |x| is computed, the positive one",
                lambda W1: np.maximum(1 / W1, 0).T),
        Mistake("a half is lost: the neurons are never on together, so nothing is shared",
                lambda W1: 0.5 / abs(W1).T)),
    hints=("|x| = relu(x) + relu(-x): each neuron does one side.",
           "A neuron that reads with w gives |w| |x| on its side, so it must write with 1/|w|."),
    solution="geometry.neurons:service", line="np.maximum(decode, 0)",
    shown="Two neurons compute |x|, one a side, and only the product of what a neuron reads and "
          "writes matters. With fewer than 2n neurons features have to share.")


# -- 24: the asymmetric motif

def _motif_inputs(draw):
    read = np.array([draw.one_of((2.0, 4.0, 3.0)), draw.one_of((-0.5, 0.5, -1.0))])
    write = np.array([draw.one_of((0.5, 0.25)), draw.one_of((2.0, 3.0, 1.5))])
    return read, write


def _motif(read, write):
    W1 = np.array([read, [1.0, 0.0]])
    W2 = np.column_stack([write, [0.0, -abs(read[0]) * write[1]]])
    found = asymmetric_motifs(AbsoluteValue(W1, W2, np.zeros(2)))[0]
    return found.asymmetry, -found.excitation


def _asymmetry(read, write):
    return (abs(read[0] / read[1]) * write[1] / write[0]) ** 0.5


MOTIF = Exercise(
    name="24_asymmetric_motif", title="two features in one neuron, and one that repairs it",
    function="motif", inputs=_motif_inputs, answer=_motif,
    mistakes=(
        Mistake("the asymmetry is turned upside down",
                lambda read, write: (1 / _asymmetry(read, write), -read[0] * write[1])),
        Mistake("the root is missing in the asymmetry",
                lambda read, write: (_asymmetry(read, write) ** 2, -read[0] * write[1])),
        Mistake("the asymmetry looks at what is read alone",
                lambda read, write: (abs(read[0] / read[1]), -read[0] * write[1]),
                also=(lambda read, write: (abs(read[0] / read[1]) ** 0.5, -read[0] * write[1]),)),
        Mistake("the asymmetry has write_a / write_b, and it is the other way round",
                lambda read, write: (abs(read[0] / read[1] * write[0] / write[1]) ** 0.5,
                                     -read[0] * write[1])),
        Mistake("what is read has a sign, of which the root is none: absolute values are missing",
                lambda read, write: ((read[0] / read[1] * write[1] / write[0]) ** 0.5,
                                     -read[0] * write[1])),
        Mistake("the second weight excites output b even more: it has to be negative",
                lambda read, write: (_asymmetry(read, write), read[0] * write[1])),
        Mistake("it is x_b whose excitation is cancelled, and that one is wanted",
                lambda read, write: (_asymmetry(read, write), -abs(read[1]) * write[1])),
        Mistake("output a is inhibited, where x_a belongs",
                lambda read, write: (_asymmetry(read, write), -read[0] * write[0])),
        Mistake("the second neuron only undoes the output weight, and not the input weight too",
                lambda read, write: (_asymmetry(read, write), -write[1])),
        Mistake("the second neuron only undoes the input weight, and not the output weight too",
                lambda read, write: (_asymmetry(read, write), -read[0]))),
    hints=("x_a excites output b through the first neuron with the slope |read_a| write_b.",
           "The second neuron is on with x_a and has the slope 1 times its weight: minus that."),
    solution="geometry.neurons:_motifs_of", line="asymmetry = (read * write)",
    shown="The neuron wrongly excites b whenever a is on, strongly, and the second neuron takes it "
          "back; a is excited by b only weakly. So two features share a neuron, and one side of "
          "the interference is moved to where it can be repaired.")


# -- 25: the attack

def _attack_inputs(draw):
    m = draw.integer(1, 2)
    n = draw.integer(2, 3)
    return (draw.array(m, n, values=(0.5, -0.5, 1.0, 0.25, -1.0)),
            draw.array(n, values=(0.0, -0.5, 0.5)), draw.array(
                draw.integer(1, 2), n, values=(1.0, 0.0, 0.5)), draw.one_of((0.5, 0.1)))


def _attacked(W, b, x, epsilon):
    model, features = ReluOutput(W, b), Features(len(b), 1.0)
    moved = attack(model, x, features, epsilon)
    return ((model.forward(moved) - x) ** 2).sum(1)


def _clean(W, b, x):
    return np.maximum(x @ W.T @ W + b, 0)


def _tried(W, b, x, epsilon, directions=None, signs=(1, -1), relu=True, follow=0, choose=np.max,
           target=None):
    """The losses of a naive attack; keywords make the mistakes."""
    target = x if target is None else target
    G = W.T @ W
    D = G / np.linalg.norm(G, axis=1, keepdims=True) if directions is None else directions(G)
    losses = []
    for delta in [sign * epsilon * d for d in D for sign in signs]:
        z = (x + delta) @ G + b
        losses.append((((np.maximum(z, 0) if relu else z) - target - follow * delta) ** 2).sum(1))
    return choose(np.array(losses), axis=0)


def _tries(**changes):
    return lambda W, b, x, epsilon: _tried(W, b, x, epsilon, **changes)


ATTACK = Exercise(
    name="25_attack", title="the best small attack", function="attacked_loss",
    inputs=_attack_inputs, answer=_attacked,
    mistakes=(
        Mistake("the directions are not scaled to unit length", _tries(directions=lambda G: G)),
        Mistake("only one sign of each direction is tried", _tries(signs=(1,)),
                also=(_tries(signs=(-1,)),)),
        Mistake("the target moves with the input: it is the clean x", _tries(follow=1)),
        Mistake("the loss is measured from the output of the clean x, and not from x",
                lambda W, b, x, epsilon: _tried(W, b, x, epsilon, target=_clean(W, b, x))),
        Mistake("the model has no ReLU", _tries(relu=False)),
        Mistake("the bias is missing",
                lambda W, b, x, epsilon: _tried(W, 0 * b, x, epsilon)),
        Mistake("features are averaged and not summed up",
                lambda W, b, x, epsilon: _tried(W, b, x, epsilon) / len(b)),
        Mistake("the clean loss is subtracted, and the whole loss is asked for",
                lambda W, b, x, epsilon: _tried(W, b, x, epsilon)
                - ((_clean(W, b, x) - x) ** 2).sum(1)),
        Mistake("G_i is divided by the length of W_i and not by its own",
                lambda W, b, x, epsilon: _tried(
                    W, b, x, epsilon,
                    directions=lambda G: G / np.sqrt(np.diag(G))[:, None])),
        Mistake("rows of W are taken for directions, and not those of G = W'W",
                lambda W, b, x, epsilon: _tried(
                    W, b, x, epsilon,
                    directions=lambda G: W / np.linalg.norm(W, axis=1, keepdims=True))),
        Mistake("single features are moved, the directions e_i and not G_i",
                _tries(directions=lambda G: np.eye(len(G)))),
        Mistake("the weakest attack is taken, and not the strongest", _tries(choose=np.min)),
        Mistake("losses are averaged over the attacks", _tries(choose=np.mean))),
    hints=("Loop over rows of G and both signs; z = (x + delta) @ G + b.",
           "Collect the losses (2n, B) and take the maximum over the first axis."),
    solution="theory.attack:_worst", line="values.append(np.einsum(",
    shown="Output i sees G_i · delta, so the direction that hurts it most is G_i itself: "
          "superposition gives G_i entries on other features, and an attack collects a little "
          "from each of them. Vulnerability grows with the features per dimension.")

EXERCISES = (CHECK, ADAM, PLATEAU, MONOSEMANTIC, ABSOLUTE, MOTIF, ATTACK)
