"""What single neurons do, in the models whose hidden ReLU makes neurons a privileged basis: ReluHidden, AbsoluteValue.

    j, k   neurons          W1_ji   what feature i gives to neuron j        W1 is W in ReluHidden
    a, b   features         W2_ij   what neuron j gives to output i         W2 is W' in ReluHidden
    s_ji   |W1_ji| relu(W2_ij): how strongly neuron j serves feature i      M_j   monosemanticity

Neuron j is on where W1_ji x_i > 0, so s_ji is the slope in |x_i| that it alone gives to output i there: 1 is the whole
job. No rescaling of the neuron, row j of W1 times alpha and column j of W2 divided by alpha, changes s or M. Equations
(11.k) and (12.k) are in derivations/11-privileged-basis.md and 12-computing-absolute-values.md.
Source: paper, "Superposition in a Privileged Basis" and "Computation in Superposition".
"""

from dataclasses import dataclass

import numpy as np

from ..core import checks
from ..core.arrays import to_host
from ..core.models import AbsoluteValue, ReluHidden, check_sizes, random_stream

IDLE = 0.01                 # a neuron that serves no feature with a slope of this much serves none
SERVED = 0.1                # a feature is served if its slope is at least this part of the neuron's largest
MONOSEMANTIC = 0.9          # a neuron with at least this M serves one feature for all practical purposes
AT_WORK = 0.25              # a neuron of a motif does at least this part of the job for both of its features
ASYMMETRIC = 2.0            # the asymmetry from which two features are stored asymmetrically; the paper's example has 4
INHIBITED = 0.5             # an inhibition takes back at least this part of the wrong excitation

ABLATION_STREAM = 3         # beside the streams of init, training and estimates


@dataclass(frozen=True)
class StackPlot:
    """The rectangles of a stack plot: neuron j's bar is `height[j]` from `bottom[j]`, one rectangle a feature.

    height, bottom : (..., m, n); weights above 0 are stacked upwards in the order of the features, the others downwards
    monosemanticity : (..., m), for the colours
    """

    height: np.ndarray
    bottom: np.ndarray
    monosemanticity: np.ndarray


@dataclass(frozen=True)
class Neuron:
    """One neuron: its features as (feature, sign, slope), the strongest first, so the primary feature and then the
    secondary ones; sign +1 or -1 says on which side of the feature the neuron is on. Empty if it is idle."""

    features: tuple
    monosemanticity: float

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
    """The asymmetric superposition motif: a neuron that stores two features unequally, and one that repairs the harm.

    neuron : j, which serves two features       inhibitor : k, which is on with the first and holds the second down
    strong : (a, sign), the feature that j reads strongly and writes weakly, and the side on which j is on
    weak : (b, sign), the feature that j reads weakly and writes strongly
    asymmetry : sqrt((|W1_ja| / |W1_jb|) (W2_bj / W2_aj)); 1 for equals, 4 for inputs 2 and -1/2, outputs 1/2 and 2
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


def service(model):
    """s_ji = |W1_ji| relu(W2_ij), (..., m, n): the slope in |x_i| that neuron j alone gives to output i. (11.3)"""
    encode, decode = _weights(model)
    return abs(encode) * np.maximum(decode, 0)


def monosemanticity(model):
    """M_j = max_i s_ji / Σ_i s_ji, (..., m): 1 for one feature, 1/k for k alike, 0 for an idle neuron. (11.4)

    In ReluHidden s_ji is the square of a positive weight, so M_j is the share of the neuron's squared weight that its
    largest feature has. Neurons of at least MONOSEMANTIC count as monosemantic, idle ones as neither.
    """
    s = service(model)
    largest = s.max(-1)
    return np.where(largest >= IDLE, largest, 0) / np.where(largest >= IDLE, s.sum(-1), 1)


def served_features(model):
    """Which features each neuron serves, (..., m, n) of integers: the sign of x_i with which neuron j is on, else 0.

    Feature i is served if s_ji is at least SERVED times the neuron's largest, and that at least IDLE.
    """
    s = service(model)
    largest = s.max(-1, keepdims=True)
    return np.where((s >= SERVED * largest) & (largest >= IDLE), np.sign(_weights(model)[0]), 0).astype(int)


def describe_neurons(model):
    """A list of one `Neuron` for each neuron of a single model: its primary and secondary features."""
    _single(model)
    s, signs, score = service(model), served_features(model), monosemanticity(model)
    result = []
    for j, slopes in enumerate(s):
        order = [int(i) for i in np.argsort(-slopes, kind="stable") if signs[j, i]]
        result.append(Neuron(tuple((i, int(signs[j, i]), float(slopes[i])) for i in order), float(score[j])))
    return result


def normalise_neurons(model):
    """The same function with its neurons rescaled, in float64: the largest |W1_ji| of each is 1. (11.2)

    ReluHidden has tied weights and no such freedom: it comes back as it is. So does a neuron that reads nothing.
    """
    encode, decode = _weights(model)
    if isinstance(model, ReluHidden):
        return model.from_parameters([to_host(a).astype(np.float64) for a in model.parameters])
    alpha = abs(encode).max(-1, keepdims=True)
    alpha = np.where(alpha > 0, alpha, 1)                                           # (..., m, 1)
    return AbsoluteValue(encode / alpha, (decode * alpha).swapaxes(-1, -2), to_host(model.b).astype(np.float64))


def stack_plot(model, *, weights="input"):
    """The paper's stack plot of the neurons' "input" or "output" weights, normalised as there: a StackPlot."""
    checks.choice("weights", weights, ("input", "output"))
    height = _weights(normalise_neurons(model))[weights == "output"]
    up, down = np.maximum(height, 0), np.minimum(height, 0)
    bottom = np.where(height > 0, up.cumsum(-1) - up, down.cumsum(-1) - down)
    return StackPlot(height, bottom, monosemanticity(model))


def asymmetric_motifs(model, features=None, *, samples=2**15, seed=0):
    """All asymmetric superposition motifs of an AbsoluteValue model, the most asymmetric first: a list of `Motif`.

    Neuron j must serve features a and b with slopes of at least AT_WORK, read a more strongly and write b more strongly,
    with an asymmetry of at least ASYMMETRIC; and another neuron k must be on with a on the same side and take back at
    least INHIBITED of what x_a gives to output b through j. Of several such k the strongest is named. (12.6)

    Parameters
    ----------
    model : AbsoluteValue, a single one
    features : Features of one instance, or None. With features, each motif's `ablation` is the difference of two
        losses, without and with the inhibition W2_bk, on the same batch.
    samples, seed : the batch is drawn from (seed) alone

    Raises TypeError or ValueError on bad arguments.
    """
    if not isinstance(model, AbsoluteValue):
        raise TypeError(f"model must be AbsoluteValue, got {model!r}")
    _single(model)
    checks.integer("samples", samples)
    checks.seed(seed)
    if features is not None:
        check_sizes(model, features)
        if features.n_instances is not None:
            raise ValueError(f"features must have no instance axis, got {features.n_instances} instances")
    model = normalise_neurons(model)
    encode, decode = model.W1, model.W2.T                                           # (m, n), (m, n)
    sides = served_features(model) * (service(model) >= AT_WORK)
    found = []
    for j in range(model.n_hidden):
        served = np.flatnonzero(sides[j])
        for a, b in [(a, b) for a in served for b in served]:
            read, write = abs(encode[j, a] / encode[j, b]), decode[j, b] / decode[j, a]
            if min(read, write) <= 1 or (asymmetry := (read * write) ** 0.5) < ASYMMETRIC:                 # (12.4)
                continue
            excitation = abs(encode[j, a]) * decode[j, b]                                                  # (12.5)
            taken = np.maximum(encode[:, a] * sides[j, a], 0) * np.maximum(-decode[:, b], 0) / excitation  # (12.6)
            k = int(taken.argmax())
            if taken[k] >= INHIBITED:
                found.append(Motif(int(j), k, (int(a), int(sides[j, a])), (int(b), int(sides[j, b])), float(asymmetry),
                                   float(excitation), float(decode[k, b]), float(taken[k]), None))
    if features is not None and found:
        x = features.sample(random_stream(seed, ABLATION_STREAM, 0), samples)
        found = [_ablated(model, motif, x, features) for motif in found]
    return sorted(found, key=lambda motif: -motif.asymmetry)


def _ablated(model, motif, x, features):
    """The motif with its ablation: the loss on x without the inhibition, less the loss with it."""
    W2 = model.W2.copy()
    W2[motif.weak[0], motif.inhibitor] = 0
    rise = AbsoluteValue(model.W1, W2, model.b).loss(x, features) - model.loss(x, features)
    return Motif(**vars(motif) | {"ablation": float(rise)})


def _weights(model):
    """What features give to neurons and neurons to outputs, both (..., m, n) and float64."""
    if not isinstance(model, (ReluHidden, AbsoluteValue)):
        raise TypeError(f"model must be ReluHidden or AbsoluteValue, whose neurons have a ReLU, got {model!r}")
    if isinstance(model, ReluHidden):
        W = checks.weights(to_host(model.W)).astype(np.float64)
        return W, W
    encode, decode = (checks.weights(to_host(a), name).astype(np.float64) for a, name in ((model.W1, "W1"),
                                                                                          (model.W2, "W2")))
    return encode, decode.swapaxes(-1, -2)


def _single(model):
    if isinstance(model, (ReluHidden, AbsoluteValue)) and model.instances:
        raise ValueError(f"model must be a single model, got instances {model.instances}: index it first")
