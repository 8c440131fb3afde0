"""The training loop over steps and instances, and its history.

Instances are independent, so they are trained in tiles of bounded memory, one tile after the other. Instance i draws
its samples from the stream (seed, i) and nothing in a step mixes instances: its trajectory is the same bits however
many run beside it.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from . import checks
from .models import TRAIN_STREAM, Model, check_sizes, random_stream
from .optim import AdamState, adam, adamw, schedule

TILE = 2**17                # entries of x that one tile of instances works on in a step
BLOCK = 2**15               # entries that one instance draws at once, which may be several small steps


@dataclass(frozen=True)
class History:
    """What happened in training; T records, the first at step 0 and the last at the end.

    model : the trained model                 steps : (T,) steps taken at each record
    losses : (T, ...) the loss of the batch that was drawn there, before the step is taken
    parameters : a model with a leading axis T, the parameters at each record
    """

    model: Model
    steps: np.ndarray
    losses: np.ndarray
    parameters: Model


def train(model, features, *, steps=10_000, batch_size=1024, learning_rate=1e-3, schedule="constant",
          weight_decay=0.0, seed=0, record_every=100, progress=None):
    """Train every instance of `model` on fresh samples of `features` with Adam.

    Parameters
    ----------
    model : Linear, ReluOutput, ReluHidden or AbsoluteValue, single or with one instance axis; trained in its own dtype
    features : Features; with an instance axis, one row an instance
    steps, batch_size, record_every : int
    learning_rate : float, with `schedule` "constant", "linear" or "cosine" (both fall to zero at the end)
    weight_decay : float; above 0 the optimiser is AdamW. The paper's notebook has 0.01.
    seed : int; instance i's samples depend on (seed, i) alone
    progress : True, False, or None for a bar on a terminal once two seconds have passed

    Returns a History. Raises ValueError or TypeError on bad arguments, FloatingPointError when a loss is not finite.
    """
    rate = _check(model, features, steps, batch_size, learning_rate, schedule, weight_decay, seed, record_every)
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(f"progress must be True, False or None, got {progress!r}")
    single = model.instances == ()
    count = 1 if single else model.instances[0]
    stack = model.from_parameters([a[None] for a in model.parameters]) if single else model

    per_tile = max(1, TILE // (batch_size * model.n_features))
    tiles = [slice(i, min(i + per_tile, count)) for i in range(0, count, per_tile)]
    runs = []
    with tqdm(total=steps * len(tiles), unit="step", desc="train", delay=0 if progress else 2, leave=bool(progress),
              disable=None if progress is None else not progress) as bar:
        for tile in tiles:
            part = features if features.n_instances is None else features[tile]
            streams = [random_stream(seed, TRAIN_STREAM, i) for i in range(count)[tile]]
            runs.append(_run(stack[tile], part, streams, steps, batch_size, rate, weight_decay, record_every,
                             tile.start, bar))

    losses = np.concatenate([losses for losses, _ in runs], axis=1)
    records = [np.concatenate(parts, axis=1) for parts in zip(*(records for _, records in runs))]
    if single:
        losses, records = losses[:, 0], [a[:, 0] for a in records]
    return History(model.from_parameters([a[-1].copy() for a in records]), _record_steps(steps, record_every), losses,
                   model.from_parameters(records))


def _run(model, features, streams, steps, batch_size, rate, weight_decay, record_every, first, bar):
    """The hot loop for one tile: (losses (T, k), one array (T, k, …) a parameter)."""
    n, dtype = model.n_features, model.dtype
    steps_per_block = max(1, BLOCK // (batch_size * n))
    block = np.empty((len(streams), steps_per_block * batch_size, n), dtype)
    parameters, state = model.parameters, AdamState.zeros_like(model.parameters)
    record_at = _record_steps(steps, record_every)
    losses = np.empty((len(record_at), len(streams)), dtype)
    records = [np.empty((len(record_at), *a.shape), dtype) for a in parameters]

    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            offset = step % steps_per_block * batch_size
            if offset == 0:
                features.sample(streams, len(block[0]), out=block)
            x = block[:, offset:offset + batch_size]                            # (k, B, n)
            loss, gradient = model.unchecked_loss_and_grad(x, features)
            if not np.isfinite(loss).all():
                bad = int(np.flatnonzero(~np.isfinite(loss))[0])
                raise FloatingPointError(f"the loss of instance {first + bad} is {loss[bad]} at step {step}; "
                                         f"try a smaller learning_rate than {rate(0):g}")
            if step % record_every == 0 or step == steps:
                t = np.searchsorted(record_at, step)
                losses[t] = loss
                for record, a in zip(records, parameters):
                    record[t] = a
            if step == steps:
                return losses, records
            update = (parameters, gradient.parameters, state, rate(step))
            parameters, state = adamw(*update, weight_decay=weight_decay) if weight_decay else adam(*update)
            model = model.from_parameters(parameters)
            bar.update()


def _record_steps(steps, record_every):
    """0, record_every, 2 record_every, … and the end."""
    return np.unique(np.append(np.arange(0, steps, record_every), steps))


def _check(model, features, steps, batch_size, learning_rate, schedule_name, weight_decay, seed, record_every):
    check_sizes(model, features)
    if len(model.instances) > 1:
        raise ValueError(f"train takes a single model or one instance axis, got instances {model.instances}")
    if features.n_instances is not None and model.instances != (features.n_instances,):
        raise ValueError(f"features have {features.n_instances} instances, the model {model.instances}")
    for name, value in (("steps", steps), ("batch_size", batch_size), ("record_every", record_every)):
        checks.integer(name, value)
    checks.real("learning_rate", learning_rate, above=0)
    checks.real("weight_decay", weight_decay, minimum=0)
    checks.seed(seed)
    return schedule(schedule_name, learning_rate, steps)
