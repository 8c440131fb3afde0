"""Adversarial attacks on the models with a linear hidden layer, and training against them.

    G   W'W, the gains; row i belongs to output i           epsilon   the length of a perturbation delta
    y   the target of the clean input                       E‖x‖      the mean length of an input
    f   f(delta) = Σ_i I_i (x'_i(x + delta) - y_i)²         size      epsilon / E‖x‖, 0.1 in the paper

Equations (10.k) are in derivations/10-adversarial-examples.md. Source: paper, "Relationship to Adversarial Robustness".
"""

import numpy as np
from scipy.integrate import quad
from scipy.special import erf
from tqdm import tqdm

from ..core import checks
from ..core.arrays import to_host, transpose
from ..core.features import Features
from ..core.models import Linear, ReluOutput
from ..core.streams import TRAIN_STREAM, random_stream
from ..core.optim import AdamState, adam, schedule
from ..core.loop import History
from .estimate import check_pair

ATTACK_STREAM = 4           # beside the streams of init, training, estimates and ablations
DROPPED = 1e-12             # rows of G shorter than this part of the longest are those of dropped features


def mean_input_norm(features):
    """E‖x‖ to ten digits: float64 of shape (), or (K,) where features have instances. (10.6)"""
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    p = np.atleast_2d(features.feature_probability)                     # (K, n)
    norms = np.array([_mean_norm(features.sets, one) for one in p])
    return norms[0] if features.n_instances is None else norms


def _mean_norm(sets, p):
    power = [1 if s.kind == "anticorrelated" else len(s.members) for s in sets]
    kinds, count = np.unique([(p[s.members[0]], k) for s, k in zip(sets, power)], axis=0, return_counts=True)
    p, k = kinds.T

    def one_less_transform(r):
        """1 - E exp(-r² ‖x‖²). (10.7)"""
        lost = r * r * (-1 / 3 + r * r * (1 / 10 + r * r * (-1 / 42 + r * r / 216)))    # E exp(-r² u²) - 1
        if r > 0.03:
            lost = np.sqrt(np.pi) / 2 * erf(r) / r - 1
        with np.errstate(divide="ignore"):                                              # p = 1 and nothing left
            return -np.expm1(count @ np.log1p(p * np.expm1(k * np.log1p(lost))))

    near = quad(lambda r: one_less_transform(r) / r**2, 0, 1, epsabs=0, epsrel=1e-11, limit=500)[0]
    far = quad(lambda v: one_less_transform(1 / v), 0, 1, epsabs=0, epsrel=1e-11, limit=500)[0]
    return (near + far) / np.sqrt(np.pi)


def attack(model, x, features, epsilon):
    """x + delta (..., B, n), delta being the worst for its sample of ± epsilon G_i / ‖G_i‖ over all outputs i. (10.4)

    Parameters
    ----------
    model : Linear or ReluOutput
    x : (..., B, n) clean inputs; instances of model, x and features broadcast
    features : Features, for targets and importances
    epsilon : at least 0; a number, or an array (...) with one for each instance

    The worst is the largest f, the loss at x + delta against the target of x. Dropped features have no direction.
    Raises TypeError or ValueError on bad arguments.
    """
    return _attack(*_check(model, x, features, epsilon))[0]


def strongest_attack(model, x, features, epsilon, *, starts=8, steps=60):
    """x + delta (..., B, n) with the largest f that a search finds over ‖delta‖ <= epsilon. Arguments as for `attack`.

    Gradient ascent on the sphere, sample by sample, from the `starts` worst directions of `attack` and from the
    steepest one, with steps that go all the way at first and then shorten. The best point met is the answer, so it is
    never weaker than `attack`, nor than no attack. (10.9)
    """
    checks.integer("starts", starts)
    checks.integer("steps", steps)
    G, b, x, y, importance, epsilon, relu = arguments = _check(model, x, features, epsilon)
    starts = min(starts, 2 * x.shape[-1])
    _, first = _attack(*arguments, keep=starts)
    clean = x @ G + b
    best_delta = np.zeros_like(x)
    best, gradient = _f_and_gradient(best_delta, *arguments, clean)
    for delta in [*first, _to_length(gradient, epsilon)]:
        for part in np.minimum(1, np.linspace(2, 0, steps + 1)):
            value, gradient = _f_and_gradient(delta, *arguments, clean)
            better = value > best
            best = np.where(better, value, best)
            best_delta = np.where(better[..., None], delta, best_delta)
            delta = _to_length((1 - part) * delta + part * _to_length(gradient, epsilon), epsilon)          # (10.9)
    return x + best_delta


def adversarial_loss(model, features, *, size=0.1, samples=4096, search=False, seed=0):
    """(clean, attacked), both (...): the mean loss of a batch, and that of its attacked inputs against its targets.

    Parameters
    ----------
    model : Linear or ReluOutput; its instances broadcast with those of the features
    size : the length of the perturbation relative to E‖x‖
    samples, seed : every instance gets the same number, drawn from (seed, instance)
    search : attack by `strongest_attack` instead of `attack`
    """
    lead = check_pair(model, features)
    _linear_hidden(model)
    checks.integer("samples", samples)
    checks.seed(seed)
    if not isinstance(search, (bool, np.bool_)):
        raise TypeError(f"search must be True or False, got {search!r}")
    epsilon = np.broadcast_to(checks.real("size", size, minimum=0) * mean_input_norm(features), lead)
    clean, attacked = np.empty(lead), np.empty(lead)
    for number, index in enumerate(np.ndindex(lead)):
        one = model.from_parameters([np.broadcast_to(to_host(a), lead + a.shape[len(model.instances):])[index]
                                     for a in model.parameters]).astype(np.float64)
        law = features if features.n_instances is None else features[index[-1] % features.n_instances]
        x = law.sample(random_stream(seed, ATTACK_STREAM, number), samples)
        moved = (strongest_attack if search else attack)(one, x, law, epsilon[index])
        y = law.target(x)
        clean[index], attacked[index] = (np.mean((one.forward(at) - y) ** 2 @ law.importance) for at in (x, moved))
    return clean[()], attacked[()]


def vulnerability(model, features, *, size=0.1, samples=4096, search=False, seed=0):
    """How much more an attack costs than it costs a model without superposition, (...). (10.8)

    The rise of the loss under attack, attacked - clean, divided by that of the linear model which gives each of the m
    most important features a dimension of its own: epsilon² max I. Arguments as for `adversarial_loss`; size must be
    above 0, features not signed, and some importance above 0.
    """
    checks.real("size", size, above=0)
    clean, attacked = adversarial_loss(model, features, size=size, samples=samples, search=search, seed=seed)
    if features.signed:
        raise ValueError("features must not be signed: no linear model computes their absolute values")
    if not (features.importance.max(-1) > 0).all():
        raise ValueError("features must have an importance above 0 in every instance")
    return (attacked - clean) / ((size * mean_input_norm(features)) ** 2 * features.importance.max(-1))


def adversarial_training(model, features, *, size, steps=5000, batch_size=256, learning_rate=1e-3,
                         schedule="constant", seed=0, progress=None):
    """`tm.train` on attacked inputs: each batch is moved by `attack` on the present model, its targets stay. A History.

    size : the length of the perturbation relative to E‖x‖, a number or one an instance; 0 is training as usual
    model and the other arguments as for `tm.train`; the History has the first and the last step alone
    """
    rate = _check_training(model, features, size, steps, batch_size, learning_rate, schedule, seed)
    look = checks.progress(progress)
    single = model.instances == ()
    start = now = model.from_parameters([a[None] for a in model.parameters]) if single else model
    streams = [random_stream(seed, TRAIN_STREAM, i) for i in range(now.instances[0])]
    epsilon = np.broadcast_to(np.asarray(size) * mean_input_norm(features), now.instances).astype(model.dtype)
    relu, state, losses = isinstance(model, ReluOutput), AdamState.zeros_like(now.parameters), []
    importance = features.importance.astype(model.dtype)[..., None, :]
    for step in tqdm(range(steps + 1), unit="step", desc="adversarial training", **look):
        x = features.sample(streams, batch_size, dtype=model.dtype)
        y, (W, b) = features.target(x), now.parameters
        moved = _attack(transpose(W) @ W, b[..., None, :], x, y, importance, epsilon[:, None], relu)[0]
        loss, gradient = now.unchecked_loss_and_grad(moved, features, target=y)
        if not np.isfinite(loss).all():
            raise FloatingPointError(f"the loss of instance {int(np.flatnonzero(~np.isfinite(loss))[0])} is not finite "
                                     f"at step {step}; try a smaller learning_rate than {rate(0):g}")
        if step in (0, steps):
            losses.append(loss)
        if step < steps:
            parameters, state = adam(now.parameters, gradient.parameters, state, rate(step))
            now = now.from_parameters(parameters)
    records = [np.stack(pair) for pair in zip(start.parameters, now.parameters)]
    losses = np.stack(losses)
    if single:
        losses, records = losses[:, 0], [a[:, 0] for a in records]
    return History(model=model.from_parameters([a[-1].copy() for a in records]), steps=np.array([0, steps]),
                   losses=losses, parameters=model.from_parameters(records))


def _attack(G, b, x, y, importance, epsilon, relu, keep=1):
    """x + delta for the worst direction, and a list of the `keep` worst deltas, the worst first."""
    lengths = np.linalg.norm(G, axis=-1)                                            # (..., n)
    usable = lengths > DROPPED * lengths.max(-1, keepdims=True)
    D = G / np.where(usable, lengths, 1)[..., None] * usable[..., None]             # (..., n, n): rows are directions
    D_out, clean = D @ G, x @ G + b                                                 # what each does to z
    values = []
    for i, sign in [(i, sign) for i in range(x.shape[-1]) for sign in (1, -1)]:
        z = clean + sign * epsilon[..., None] * D_out[..., i, None, :]
        residual = (np.maximum(z, 0) if relu else z) - y
        values.append((residual * residual * importance).sum(-1))                   # (..., B)                (10.4)
    values = np.stack(values)                                                       # (2n, ..., B)
    order = values.argmax(0)[None] if keep == 1 else np.argsort(-values, axis=0, kind="stable")[:keep]
    shape = np.broadcast_shapes(x.shape, values[0].shape + x.shape[-1:])
    every = np.broadcast_to(D, shape[:-2] + D.shape[-2:])
    deltas = [epsilon[..., None] * np.where(k % 2, -1, 1)[..., None].astype(x.dtype)
              * np.take_along_axis(every, (k // 2)[..., None], axis=-2) for k in order]
    return x + deltas[0], deltas


def _f_and_gradient(delta, G, b, x, y, importance, epsilon, relu, clean):
    """f(delta) (..., B) and its gradient (..., B, n). (10.1), (10.2)"""
    z = clean + delta @ G
    residual = (np.maximum(z, 0) if relu else z) - y
    slope = 2 * importance * residual
    return (residual * residual * importance).sum(-1), (slope * (z > 0) if relu else slope) @ G


def _to_length(v, epsilon):
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v * (epsilon[..., None] / np.where(length > 0, length, 1))


def _check(model, x, features, epsilon):
    """What the attacks work on, in float64: G, b, x, y, importance, epsilon (..., 1), and if outputs have a ReLU."""
    _linear_hidden(model)
    check_pair(model, features)
    x = to_host(model._batch(x, features)).astype(np.float64)
    epsilon = checks.array("epsilon", epsilon, dtype=np.float64)
    if (epsilon < 0).any():
        raise ValueError(f"epsilon must not be negative, got {epsilon.min()}")
    W, b = (to_host(a).astype(np.float64) for a in model.parameters)
    lead = np.broadcast_shapes(model.instances, x.shape[:-2], features.importance.shape[:-1])
    try:
        epsilon = np.broadcast_to(epsilon, lead)
    except ValueError:
        raise ValueError(f"epsilon must be a number or broadcast with the instances {lead}, "
                         f"got shape {epsilon.shape}") from None
    x = np.broadcast_to(x, lead + x.shape[-2:])
    return (transpose(W) @ W, b[..., None, :], x, features.target(x), features.importance[..., None, :],
            epsilon[..., None], isinstance(model, ReluOutput))


def _linear_hidden(model):
    if not isinstance(model, (Linear, ReluOutput)):
        raise TypeError(f"model must be Linear or ReluOutput, with a linear hidden layer, got {model!r}")


def _check_training(model, features, size, steps, batch_size, learning_rate, schedule_name, seed):
    _linear_hidden(model)
    check_pair(model, features)
    if len(model.instances) > 1:
        raise ValueError(f"training takes a single model or one instance axis, got instances {model.instances}")
    if features.n_instances is not None and model.instances != (features.n_instances,):
        raise ValueError(f"features have {features.n_instances} instances, the model {model.instances}")
    size = checks.array("size", size)
    if (size < 0).any() or size.shape not in ((), model.instances):
        raise ValueError(f"size must be a number of at least 0, or one for each of the instances {model.instances}, "
                         f"got {size}")
    checks.integer("steps", steps)
    checks.integer("batch_size", batch_size)
    checks.real("learning_rate", learning_rate, above=0)
    checks.seed(seed)
    return schedule(schedule_name, learning_rate, steps)
