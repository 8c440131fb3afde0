"""Adversarial attacks on the models with a linear hidden layer, and training against them.

    G   (..., n, n)  W'W, the gains; row G_i belongs to output i
    x   (..., B, n)  clean inputs        y   (..., B, n)  their targets
    delta    (..., B, n)  a perturbation of length epsilon at most
    f        (..., B)     Σ_i I_i (x'_i(x + delta) - y_i)², the loss of each sample
    E‖x‖     the mean length of an input
    size     epsilon / E‖x‖, 0.1 in the paper

Equations (10.k) are in derivations/10-adversarial-examples.md.
Source: paper, "Relationship to Adversarial Robustness".
"""

import math
from itertools import product
from typing import NamedTuple

import numpy as np
import scipy
from tqdm.auto import tqdm

from ..core import checks, optim
from ..core.arrays import to_host, transpose
from ..core.features import Features
from ..core.loop import History
from ..core.models import Linear, ReluOutput
from ..core.optim import AdamState
from ..core.streams import ATTACK_STREAM, TRAIN_STREAM, random_stream
from ..geometry.measures import split_power
from ..known import stranger
from .estimate import check_pair

NO_DIRECTION = 1e-12        # rows of G shorter than this part of the longest point nowhere
RAREST = 1e-290             # feature probability from which the mean length of an input has digits
MOST_STEPS = 2**40
RESOLVED = 1e-3             # part of a vulnerability that rounding may make up


class _Attacked(NamedTuple):
    """What an attack works on, all in one dtype."""

    G: np.ndarray               # (..., n, n)
    b: np.ndarray               # (..., 1, n)
    x: np.ndarray               # (..., B, n)
    y: np.ndarray               # (..., B, n)
    importance: np.ndarray      # (..., 1, n)
    epsilon: np.ndarray         # (..., 1)
    relu: bool                  # whether outputs have a ReLU

    def clean(self):
        """What the outputs' ReLUs see of x: (..., B, n)."""
        return self.x @ self.G + self.b


# -- how long an input is

def mean_input_norm(features):
    """E‖x‖ to ten digits: float64 of shape (), or (K,) where features have instances. (10.6)"""
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    if why := stranger(features):
        raise TypeError(f"the mean length of an input is known for the package's own features, "
                        f"and {why}")
    p = np.atleast_2d(features.feature_probability)                     # (K, n)
    if p.min() < RAREST:
        raise ValueError(f"feature_probability must be at least {RAREST:g} for the mean length of "
                         f"an input to have digits, got {p.min()}")
    norms = np.array([_mean_norm(features.sets, one) for one in p])
    return norms[0] if features.n_instances is None else norms


def _mean_norm(sets, p):
    """E‖x‖ of one instance with p (n,): an integral over r in [0, 1], and over 1/r. (10.6)"""
    power = [1 if s.kind == "anticorrelated" else len(s.members) for s in sets]
    kinds, count = np.unique([(p[s.members[0]], k) for s, k in zip(sets, power)], axis=0,
                             return_counts=True)
    p, k = kinds.T

    def one_less_transform(r):
        """1 - E exp(-r² ‖x‖²). (10.7)"""
        lost = r * r * (-1 / 3 + r * r * (1 / 10 + r * r * (-1 / 42 + r * r / 216)))
        if r > 0.03:                                        # E exp(-r² u²) - 1, a series below that
            lost = np.sqrt(np.pi) / 2 * scipy.special.erf(r) / r - 1
        with np.errstate(divide="ignore"):                              # p = 1 and nothing left
            return -np.expm1(count @ np.log1p(p * np.expm1(k * np.log1p(lost))))

    options = {"epsabs": 0, "epsrel": 1e-11, "limit": 500}
    near = scipy.integrate.quad(lambda r: one_less_transform(r) / r**2, 0, 1, **options)[0]
    far = scipy.integrate.quad(lambda v: one_less_transform(1 / v), 0, 1, **options)[0]
    return (near + far) / np.sqrt(np.pi)


# -- the attacks

def attack(model, x, features, epsilon):
    """x + delta (..., B, n), where delta is the worst of ± epsilon G_i / ‖G_i‖ over i. (10.4)

    Parameters
    ----------
    model : Linear or ReluOutput
    x : (..., B, n) clean inputs; instances of model, x and features broadcast
    features : Features, for targets and importances
    epsilon : at least 0; a number, or an array (...) with one for each instance

    The worst is the largest f, the loss at x + delta against the target of x, sample by sample.
    Dropped features have no direction. Raises TypeError or ValueError on bad arguments.
    """
    at = _check(model, x, features, epsilon)
    (delta,), worst = _worst(at)
    return at.x + _finite(worst, delta)


def strongest_attack(model, x, features, epsilon, *, starts=8, steps=60, progress=None):
    """x + delta (..., B, n) with the largest f that a search finds over ‖delta‖ <= epsilon.

    It is gradient ascent on the sphere, sample by sample, from the `starts` worst directions of
    `attack` and from the steepest one, with steps that go all the way at first and then shorten.
    The best point met is the answer, so it is never weaker than `attack`, nor than no attack.
    Arguments as for `attack`, and a bar as `progress` says. (10.9)
    """
    starts = checks.integer("starts", starts)
    look = checks.progress(progress)
    steps = _check_steps(steps)
    checks.memory("steps", 64 * steps)
    at = _check(model, x, features, epsilon)
    keep = min(starts, 2 * at.x.shape[-1])
    checks.memory("starts", keep * at.x.size * at.x.itemsize)
    first, worst = _worst(at, keep)
    clean, best_delta = at.clean(), _finite(worst, np.zeros_like(at.x))
    best, gradient = _f_and_gradient(best_delta, at, clean)                         # (..., B)
    first.append(_to_length(gradient, at.epsilon))
    with tqdm(total=len(first) * (steps + 1), unit="step", desc="attack", **look) as bar:
        for delta in first:
            for part in np.minimum(1, np.linspace(2, 0, steps + 1)):
                value, gradient = _f_and_gradient(delta, at, clean)
                better = value > best
                best = np.where(better, value, best)
                best_delta = np.where(better[..., None], delta, best_delta)
                onward = (1 - part) * delta + part * _to_length(gradient, at.epsilon)
                delta = _to_length(onward, at.epsilon)                              # (10.9)
                bar.update()
    return at.x + best_delta


def _worst(at, keep=1):
    """The `keep` deltas (..., B, n) with the largest f, worst first, and the largest f (..., B)."""
    x, n = at.x, at.x.shape[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(at.G, axis=-1)                                     # (..., n)
        usable = lengths > NO_DIRECTION * lengths.max(-1, keepdims=True)
        D = at.G / np.where(usable, lengths, 1)[..., None] * usable[..., None]      # (..., n, n)
        unit = np.sqrt(at.importance)                           # so that f is a sum of squares
        step = at.epsilon[..., None] * (D @ at.G) * unit        # what each direction does to z
        off = -unit * at.y                                      # where an output is 0
        clean = unit * at.clean() + off
        values, residual = [], np.empty_like(clean)
        for i, move in product(range(n), (np.add, np.subtract)):
            move(clean, step[..., i, None, :], out=residual)
            if at.relu:
                np.maximum(residual, off, out=residual)
            values.append(np.einsum("...n,...n->...", residual, residual))          # (10.4)
    values = np.stack(values)                                                       # (2n, ..., B)
    order = values.argmax(0)[None]
    if keep > 1:
        order = np.argsort(-values, axis=0, kind="stable")[:keep]                   # (keep, ..., B)
    lead = np.broadcast_shapes(x.shape, (*values[0].shape, n))[:-2]
    every = np.broadcast_to(D, (*lead, n, n))
    deltas = []
    for k in order:
        sign = np.where(k % 2, -1, 1)[..., None].astype(x.dtype)
        direction = np.take_along_axis(every, (k // 2)[..., None], axis=-2)         # (..., B, n)
        deltas.append(at.epsilon[..., None] * sign * direction)
    return deltas, values.max(0)


def _finite(worst, result):
    """`result`, if the losses that it comes from are finite."""
    if not np.isfinite(worst).all():
        raise OverflowError("x, epsilon, importance or the model's parameters are too large: the "
                            "loss under attack does not fit into float64")
    return result


def _f_and_gradient(delta, at, clean):
    """f(delta) (..., B) and its gradient (..., B, n). (10.1), (10.2)"""
    z = clean + delta @ at.G
    residual = (np.maximum(z, 0) if at.relu else z) - at.y
    slope = 2 * at.importance * residual
    value = (residual * residual * at.importance).sum(-1)
    return value, (slope * (z > 0) if at.relu else slope) @ at.G


def _to_length(v, epsilon):
    """The rows of v (..., B, n) at the length epsilon (..., 1); no square overflows."""
    v, _ = split_power(v, axis=-1)
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v * (epsilon[..., None] / np.where(length > 0, length, 1))


# -- what attacks cost

def adversarial_loss(model, features, *, size=0.1, samples=4096, search=False, seed=0,
                     progress=None):
    """(clean, attacked), both (...): the mean loss of a batch, and that of its attacked inputs.

    Targets are those of the clean inputs.

    Parameters
    ----------
    model : Linear or ReluOutput; its instances broadcast with those of the features
    size : the length of the perturbation relative to E‖x‖
    samples, seed : every instance gets the same number, drawn from (seed, instance)
    search : attack by `strongest_attack` instead of `attack`
    progress : whether to show a bar; None for one once two seconds have passed, where it is seen
    """
    look = checks.progress(progress)
    lead = _check_known(model, features)
    samples = checks.integer("samples", samples)
    checks.memory("samples", _bytes(samples, features.n_features))
    checks.seed(seed)
    if not isinstance(search, (bool, np.bool_)):
        raise TypeError(f"search must be True or False, got {search!r}")
    size = checks.real("size", size, minimum=0)
    epsilon = np.broadcast_to(size * mean_input_norm(features), lead)
    clean, attacked = np.empty(lead), np.empty(lead)
    axes, method = len(model.instances), strongest_attack if search else attack
    every = tqdm(np.ndindex(lead), total=math.prod(lead), unit="instance", desc="attacks", **look)
    for number, index in enumerate(every):
        one = [np.broadcast_to(to_host(a), lead + a.shape[axes:])[index] for a in model.parameters]
        one = model.from_parameters(one).astype(np.float64)
        law = features
        if features.n_instances is not None:
            law = features[index[-1] % features.n_instances]
        x = law.sample(random_stream(seed, ATTACK_STREAM, number), samples)
        moved, y = method(one, x, law, epsilon[index]), law.target(x)
        clean[index], attacked[index] = (np.mean((one.forward(at) - y) ** 2 @ law.importance)
                                         for at in (x, moved))
    return clean[()], attacked[()]


def vulnerability(model, features, *, size=0.1, samples=4096, search=False, seed=0,
                  progress=None):
    """How much more an attack costs than it costs a model without superposition, (...). (10.8)

    The rise of the loss under attack, attacked - clean, divided by that of the linear model which
    gives each of the m most important features a dimension of its own: epsilon² max I. Arguments
    as for `adversarial_loss`; size must be above 0 and not so small that the rise is lost in
    rounding, features not signed, and some importance above 0.
    """
    size = checks.real("size", size, above=0)
    clean, attacked = adversarial_loss(model, features, size=size, samples=samples, search=search,
                                       seed=seed, progress=progress)
    if features.signed:
        raise ValueError("features must not be signed: no linear model computes their absolute "
                         "values")
    important = features.importance.max(-1)
    if not (important > 0).all():
        raise ValueError("features must have an importance above 0 in every instance")
    unit = (size * mean_input_norm(features)) ** 2 * important
    rounding = 8 * np.finfo(np.float64).eps * attacked + np.finfo(np.float64).tiny
    if not (rounding <= RESOLVED * unit).all():
        raise ValueError(f"size must be large enough for the rise of the loss, which is of the "
                         f"order of {np.min(unit):.1e}, to be more than rounding, got {size:g}")
    return (attacked - clean) / unit


# -- training against them

def adversarial_training(model, features, *, size, steps=5000, batch_size=256, learning_rate=1e-3,
                         schedule="constant", seed=0, progress=None):
    """`tm.train` on attacked inputs: each batch is moved by `attack` on the present model.

    Its targets stay. Returns a History with the first and the last step alone. Raises
    FloatingPointError where a loss is not finite, TypeError or ValueError on bad arguments.

    size : the length of the perturbation relative to E‖x‖, a number or one an instance; 0 is
        training as usual, on other batches than `tm.train` draws from the same seed
    model and the other arguments as for `tm.train`; model is a Linear or a ReluOutput
    """
    size = _check_training(model, features, size)
    steps, batch_size, learning_rate = _check_numbers(steps, batch_size, features.n_features,
                                                      learning_rate, seed)
    rate, look = optim.schedule(schedule, learning_rate, steps), checks.progress(progress)
    single = model.instances == ()
    now = model.from_parameters([a[None] for a in model.parameters]) if single else model
    start, streams = now, [random_stream(seed, TRAIN_STREAM, i) for i in range(now.instances[0])]
    epsilon = _cast("size", size * mean_input_norm(features), model.dtype)
    epsilon = np.broadcast_to(epsilon, now.instances)                               # (K,)
    importance = _cast("importance", features.importance, model.dtype)[..., None, :]
    relu, losses, state = isinstance(model, ReluOutput), [], AdamState.zeros_like(now.parameters)
    with np.errstate(over="ignore", invalid="ignore"):              # the loss is checked
        for step in tqdm(range(steps + 1), unit="step", desc="adversarial training", **look):
            x = features.sample(streams, batch_size, dtype=model.dtype)                 # (K, B, n)
            y, (W, b) = features.target(x), now.parameters
            (delta,), _ = _worst(_Attacked(transpose(W) @ W, b[..., None, :], x, y, importance,
                                           epsilon[:, None], relu))
            loss, gradient = now.unchecked_loss_and_grad(x + delta, features, target=y)
            for broken in np.flatnonzero(~np.isfinite(loss)):
                raise FloatingPointError(f"the loss of instance {broken} is not finite at step "
                                         f"{step}; try a smaller learning_rate than {rate(0):g}")
            if step in (0, steps):
                losses.append(loss)
            if step < steps:
                parameters, state = optim.adam(now.parameters, gradient.parameters, state,
                                               rate(step))
                now = now.from_parameters(parameters)
    records = [np.stack(pair) for pair in zip(start.parameters, now.parameters)]    # (2, K, …)
    losses = np.stack(losses)                                                       # (2, K)
    if single:
        losses, records = losses[:, 0], [a[:, 0] for a in records]
    return History(model=model.from_parameters([a[-1].copy() for a in records]),
                   steps=np.array([0, steps]), losses=losses,
                   parameters=model.from_parameters(records))


# -- what may be asked

def _check(model, x, features, epsilon):
    """What the attacks work on, in float64."""
    _check_known(model, features)
    n = features.n_features
    x = checks.array("x", x, min_ndim=2)
    if x.shape[-1] != n:
        raise ValueError(f"x must have shape (..., B, {n}), got {x.shape}")
    x = to_host(x).astype(np.float64)
    epsilon = checks.array("epsilon", epsilon, dtype=np.float64)
    if (epsilon < 0).any():
        raise ValueError(f"epsilon must not be negative, got {epsilon.min()}")
    leads = model.instances, x.shape[:-2], features.importance.shape[:-1]
    try:
        lead = np.broadcast_shapes(*leads)
    except ValueError:
        raise ValueError(f"the instances of model, x and features must broadcast, "
                         f"got {', '.join(map(str, leads))}") from None
    try:
        epsilon = np.broadcast_to(epsilon, lead)
    except ValueError:
        raise ValueError(f"epsilon must be a number or broadcast with the instances {lead}, "
                         f"got shape {epsilon.shape}") from None
    checks.memory("x", _bytes(int(np.prod(lead)) * x.shape[-2], n))
    W, b = (to_host(a).astype(np.float64) for a in model.parameters)
    x = np.broadcast_to(x, lead + x.shape[-2:])
    with np.errstate(over="ignore", invalid="ignore"):
        G = transpose(W) @ W                                                        # (..., n, n)
        _finite((G * G).sum(-1), G)
    return _Attacked(G, b[..., None, :], x, features.target(x),
                     features.importance[..., None, :], epsilon[..., None],
                     isinstance(model, ReluOutput))


def _bytes(samples, n):
    """Of the work arrays of an attack: f in 2n directions, and a few arrays like x."""
    return 8 * samples * 8 * n


def _check_known(model, features):
    """The shape of the loss of a model and features that an attack knows, else TypeError."""
    if not isinstance(model, (Linear, ReluOutput)):
        raise TypeError(f"model must be Linear or ReluOutput, with a linear hidden layer, "
                        f"got {model!r}")
    lead = check_pair(model, features)
    if why := stranger(model, features):
        raise TypeError(f"an attack knows the package's own Linear, ReluOutput and Features, "
                        f"and {why}")
    return lead


def _check_training(model, features, size):
    """`size` as an array, for a model and features that can be trained together."""
    _check_known(model, features)
    if len(model.instances) > 1:
        raise ValueError(f"training takes a single model or one instance axis, "
                         f"got instances {model.instances}")
    if features.n_instances is not None and model.instances != (features.n_instances,):
        raise ValueError(f"features have {features.n_instances} instances, "
                         f"the model {model.instances}")
    size = checks.array("size", size)
    if (size < 0).any() or size.shape not in ((), model.instances):
        raise ValueError(f"size must be a number of at least 0, or one for each of the instances "
                         f"{model.instances}, got {size}")
    return size


def _check_numbers(steps, batch_size, n, learning_rate, seed):
    """Steps, batch_size and learning_rate as Python's numbers, in whose products nothing overflows.
    """
    steps, batch_size = _check_steps(steps), checks.integer("batch_size", batch_size)
    checks.memory("batch_size", _bytes(batch_size, n))
    checks.seed(seed)
    return steps, batch_size, checks.real("learning_rate", learning_rate, above=0)


def _check_steps(steps):
    """`steps` as an int from 1 to MOST_STEPS, else TypeError or ValueError."""
    if (steps := checks.integer("steps", steps)) > MOST_STEPS:
        raise ValueError(f"steps must be at most 2^40, got {steps}")
    return steps


def _cast(name, a, dtype):
    """`a` in the precision of a model, or a ValueError."""
    with np.errstate(over="ignore"):
        result = np.asarray(a).astype(dtype)
    if not np.isfinite(result).all():
        raise ValueError(f"{name} must fit into the model's {dtype}, got {np.max(a):g}")
    return result
