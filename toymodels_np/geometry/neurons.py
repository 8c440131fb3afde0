"""What single neurons do where a hidden ReLU makes them a privileged basis.

These are the models ReluHidden and AbsoluteValue.

    j, k   neurons          W1_ji  (m, n)  what feature i gives to neuron j      W in ReluHidden
    a, b   features         W2_ij  (n, m)  what neuron j gives to output i       W' in ReluHidden
    s_ji   (m, n)  |W1_ji| relu(W2_ij): how strongly neuron j serves feature i
    M_j    (m,)    monosemanticity: 1 for a neuron of one feature

    >>> model = ReluHidden([[1, 0], [0.5, 0.5]], [0, 0])        # neuron 1 serves both features
    >>> service(model).tolist(), monosemanticity(model).tolist()
    ([[1.0, 0.0], [0.25, 0.25]], [1.0, 0.5])

Neuron j is on where W1_ji x_i > 0, so s_ji is the slope in |x_i| that it alone gives to output i
there: 1 is the whole job. No rescaling of the neuron, row j of W1 times alpha and column j of W2
divided by alpha, changes s or M. Leading axes are instances.
Equations (11.k) and (12.k) are in derivations/11-privileged-basis.md and
12-computing-absolute-values.md. Source: paper, "Superposition in a Privileged Basis" and
"Computation in Superposition".
"""

from dataclasses import dataclass, replace

import numpy as np

from ..core import checks
from ..core.arrays import to_host, transpose
from ..core.models import AbsoluteValue, ReluHidden, check_sizes
from ..core.streams import ABLATION_STREAM, random_stream

# Slopes s_ji, where 1 is the whole job, and parts of slopes.
IDLE = 0.01                 # a neuron with no slope of this much serves no feature
SERVED = 0.1                # a served feature's slope is this part of the neuron's largest, or more
MONOSEMANTIC = 0.9          # a neuron with this M serves one feature for all practical purposes
AT_WORK = 0.25              # a neuron of a motif has this slope or more for both of its features
ASYMMETRIC = 2.0            # asymmetry from which a pair is a motif; the paper's example has 4
INHIBITED = 0.5             # an inhibition takes back this part of the wrong excitation, or more


@dataclass(frozen=True, eq=False)
class StackPlot:
    """The rectangles of a stack plot: neuron j's bar is `height[j]` from `bottom[j]`.

    height, bottom : (..., m, n); one rectangle a feature, those of weights above 0 stacked upwards
        in the order of the features, the others downwards
    monosemanticity : (..., m), for the colours
    """

    height: np.ndarray
    bottom: np.ndarray
    monosemanticity: np.ndarray

    def __repr__(self):
        *stack, m, n = self.height.shape
        return f"StackPlot(neurons={m}, features={n}{f', instances={tuple(stack)}' * bool(stack)})"


@dataclass(frozen=True)
class Neuron:
    """One neuron: the features that it serves, and how far it serves one alone.

    features : (feature, sign, slope) of each, the strongest first, so the primary feature and then
        the secondary ones; sign +1 or -1 says on which side of the feature the neuron is on. Empty
        if the neuron is idle.
    monosemanticity : M_j
    """

    features: tuple
    monosemanticity: float

    def __repr__(self):
        served = ", ".join(f"{'+' if sign > 0 else '-'}x{i}: {slope:.3g}"
                           for i, sign, slope in self.features)
        return f"Neuron({served or 'idle'}; monosemanticity={self.monosemanticity:.3g})"

    @property
    def primary(self):
        """The feature that the neuron serves most, or None."""
        return self.features[0][0] if self.features else None

    @property
    def secondary(self):
        """The other features that it serves."""
        return tuple(feature for feature, _, _ in self.features[1:])


@dataclass(frozen=True)
class Motif:
    """The asymmetric superposition motif: two features in one neuron, and another that repairs it.

    neuron : j, which serves two features
    inhibitor : k, which is on with the first and holds the second down
    strong : (a, sign), the feature that j reads strongly and writes weakly, and the side on which
        j is on
    weak : (b, sign), the feature that j reads weakly and writes strongly
    asymmetry : sqrt((|W1_ja| / |W1_jb|) (W2_bj / W2_aj)); 1 for equals, 4 for inputs 2 and -1/2,
        outputs 1/2 and 2
    excitation : |W1_ja| W2_bj, the slope that x_a wrongly gives to output b
    inhibition : W2_bk < 0, with neuron k scaled to a largest input weight of 1
    cancelled : the part of the excitation that k takes back; 1 is all of it
    ablation : how much the loss rises when W2_bk is set to 0, or None if it was not asked for
    """

    neuron: int
    inhibitor: int
    strong: tuple
    weak: tuple
    asymmetry: float
    excitation: float
    inhibition: float
    cancelled: float
    ablation: float | None

    def __repr__(self):
        (a, a_side), (b, b_side) = self.strong, self.weak
        sign = {1: "+", -1: "-"}
        rise = "" if self.ablation is None else f", ablation={self.ablation:.3g}"
        return (f"Motif(neuron {self.neuron}: {sign[a_side]}x{a} strong, {sign[b_side]}x{b} weak, "
                f"asymmetry={self.asymmetry:.3g}; neuron {self.inhibitor} inhibits "
                f"{self.cancelled:.0%}{rise})")


def service(model):
    """s_ji, (..., m, n): the slope in |x_i| that neuron j alone gives to output i. (11.3)"""
    encode, decode = _weights(model)
    return _product(abs(encode), np.maximum(decode, 0))


def monosemanticity(model):
    """M_j = max_i s_ji / Σ_i s_ji, (..., m): 1 for one feature, 1/k for k alike. (11.4)

    It is 0 for an idle neuron. In ReluHidden s_ji is the square of a positive weight, so M_j is the
    share of the neuron's squared weight that its largest feature has. Neurons of at least
    MONOSEMANTIC count as monosemantic, idle ones as neither.
    """
    s = service(model)                                              # (..., m, n)
    largest = s.max(-1)                                             # (..., m)
    return np.where(largest >= IDLE, largest, 0) / np.where(largest >= IDLE, s.sum(-1), 1)


def served_features(model):
    """Which features each neuron serves, (..., m, n) of the integers -1, 0 and 1.

    Feature i is served if s_ji is at least SERVED times the neuron's largest, and that at least
    IDLE. It is marked with the sign of x_i at which neuron j is on, others with 0.
    """
    s = service(model)                                              # (..., m, n)
    largest = s.max(-1, keepdims=True)                              # (..., m, 1)
    side = np.sign(_weights(model)[0])                              # (..., m, n)
    return np.where((s >= SERVED * largest) & (largest >= IDLE), side, 0).astype(int)


def describe_neurons(model):
    """One `Neuron` for each neuron of a single model, a list: which features it serves."""
    _single(model)
    s, signs, score = service(model), served_features(model), monosemanticity(model)
    result = []
    for j, slopes in enumerate(s):
        order = [int(i) for i in np.argsort(-slopes, kind="stable") if signs[j, i]]
        served = tuple((i, int(signs[j, i]), float(slopes[i])) for i in order)
        result.append(Neuron(served, float(score[j])))
    return result


def normalise_neurons(model):
    """The same function in float64, the largest |W1_ji| of each neuron rescaled to 1. (11.2)

    ReluHidden has tied weights and no such freedom: it comes back as it is. So does a neuron that
    reads nothing.
    """
    encode, decode = _weights(model)                                # (..., m, n) both
    b = to_host(model.b).astype(np.float64)
    if type(model) is ReluHidden:
        return model.from_parameters([encode, b])
    alpha = abs(encode).max(-1, keepdims=True)                      # (..., m, 1)
    alpha = np.where(alpha > 0, alpha, 1)
    return AbsoluteValue(encode / alpha, transpose(_product(decode, alpha)), b)


def stack_plot(model, *, weights="input"):
    """The paper's stack plot of the neurons' "input" or "output" weights: a StackPlot.

    Neurons are normalised as there, to a largest input weight of 1.
    """
    checks.choice("weights", weights, ("input", "output"))
    encode, decode = _weights(normalise_neurons(model))
    height = encode if weights == "input" else decode               # (..., m, n)
    up, down = np.maximum(height, 0), np.minimum(height, 0)
    bottom = np.where(height > 0, up.cumsum(-1) - up, down.cumsum(-1) - down)
    return StackPlot(height, bottom, monosemanticity(model))


def asymmetric_motifs(model, features=None, *, samples=2**15, seed=0):
    """All asymmetric superposition motifs of an AbsoluteValue model, the most asymmetric first.

    Neuron j must serve features a and b with slopes of at least AT_WORK, read a more strongly and
    write b more strongly, with an asymmetry of at least ASYMMETRIC; and another neuron k must be on
    with a on the same side and take back at least INHIBITED of what x_a gives to output b through
    j. Of several such k the strongest is named. (12.6)

    Parameters
    ----------
    model : AbsoluteValue, a single one
    features : Features of one instance, or None. With features, each motif's `ablation` is the
        difference of two losses, without and with the inhibition W2_bk, on the same batch.
    samples, seed : the batch is drawn from (seed) alone

    Returns a list of `Motif`. Raises TypeError or ValueError on bad arguments.
    """
    _check_motifs(model, features, samples, seed)
    model = normalise_neurons(model)
    sides = served_features(model) * (service(model) >= AT_WORK)                        # (m, n)
    found = [motif for j in range(model.n_hidden) for motif in _motifs_of(j, model, sides[j])]
    if features is not None and found:
        x = features.sample(random_stream(seed, ABLATION_STREAM, 0), samples)
        found = [_ablated(model, motif, x, features) for motif in found]
    return sorted(found, key=lambda motif: -motif.asymmetry)


def _motifs_of(j, model, sides):
    """The motifs that neuron j of a normalised model stores; `sides` (n,) is what it serves."""
    encode, decode = model.W1, model.W2.T                                               # (m, n)
    served = np.flatnonzero(sides)
    for a, b in [(a, b) for a in served for b in served]:
        read, write = abs(encode[j, a] / encode[j, b]), decode[j, b] / decode[j, a]
        asymmetry = (read * write) ** 0.5                                               # (12.4)
        if min(read, write) <= 1 or asymmetry < ASYMMETRIC:
            continue
        excitation = abs(encode[j, a]) * decode[j, b]                                   # (12.5)
        on, inhibition = np.maximum(encode[:, a] * sides[a], 0), np.maximum(-decode[:, b], 0)
        taken = on * inhibition / excitation                                            # (12.6)
        k = int(taken.argmax())
        if taken[k] >= INHIBITED:
            yield Motif(j, k, (int(a), int(sides[a])), (int(b), int(sides[b])), float(asymmetry),
                        float(excitation), float(decode[k, b]), float(taken[k]), None)


def _ablated(model, motif, x, features):
    """The motif with its ablation: the loss on x without the inhibition, less the loss with it."""
    W2 = model.W2.copy()
    W2[motif.weak[0], motif.inhibitor] = 0
    rise = AbsoluteValue(model.W1, W2, model.b).loss(x, features) - model.loss(x, features)
    return replace(motif, ablation=float(rise))


def _weights(model):
    """What features give to neurons and neurons to outputs, both (..., m, n) and float64."""
    if type(model) is ReluHidden:
        W = checks.weights(to_host(model.W)).astype(np.float64)
        return W, W
    if type(model) is not AbsoluteValue:                    # nor a subclass, which may do otherwise
        raise TypeError(f"model must be ReluHidden or AbsoluteValue, whose neurons have a ReLU, "
                        f"got {model!r}")
    W1, W2 = (checks.weights(to_host(a), name).astype(np.float64)
              for name, a in (("W1", model.W1), ("W2", model.W2)))
    return W1, transpose(W2)


def _product(a, b):
    """a b, or an OverflowError."""
    with np.errstate(over="ignore"):
        result = a * b
    if not np.isfinite(result).all():
        raise OverflowError("the weights of the model are too large: their products do not fit "
                            "into float64")
    return result


def _single(model):
    if isinstance(model, (ReluHidden, AbsoluteValue)) and model.instances:
        raise ValueError(f"model must be a single model, got instances {model.instances}: "
                         f"index it first")


def _check_motifs(model, features, samples, seed):
    if type(model) is not AbsoluteValue:
        raise TypeError(f"model must be AbsoluteValue, got {model!r}")
    _single(model)
    samples = checks.integer("samples", samples)
    checks.seed(seed)
    if features is not None:
        check_sizes(model, features)
        checks.memory("samples", 32 * samples * (model.n_features + model.n_hidden))
        checks.single(features)
