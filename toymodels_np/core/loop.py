"""The training loop: any model on any features, with Adam. What you read is what runs.

`train_plainly` is all there is to training. It calls `features.sample`, `model.loss_and_grad` and
`adam`, and nothing that a subclass overrides is left out. `tm.train` runs it for every model and
every law of your own. For the four models and plain Features it runs `engine/` instead, which does
the same faster and with other random numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from . import checks
from .features import Features
from .models import Model
from .optim import AdamState, adamw, schedule
from .streams import generator_at, position, training_streams


class TrainingState(NamedTuple):
    """Where a run stands, all that `resume` needs beside the model: one row an instance.

    mean, square : Adam's running means of g and g^2, tuples of arrays like the parameters
    random : (instances, WORDS) uint64, where the generators of samples stood before the last batch
        was drawn; or (instances, 1) where the run is on a GPU, the keys of the samples
    """

    mean: tuple
    square: tuple
    random: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What happened in training; T records, the first at step 0 and the last at the end.

    model : the trained model                 steps : (T,) steps taken at each record
    losses : (T, ...) the loss of the batch that was drawn there, before the step is taken
    parameters : a model with a leading axis T, the parameters at each record
    features, settings, state : what was trained on, how (arguments of `train`), and where it
        stands, for `resume`; all arrays are NumPy's, wherever the run was
    engine : what trained it, "core.loop", "engine.host" or "engine.gpu"; "" if that is not known
    """

    model: Model
    steps: np.ndarray
    losses: np.ndarray
    parameters: Model
    features: Features | None = None
    settings: dict | None = None
    state: TrainingState | None = None
    engine: str = ""

    def __repr__(self):
        last = np.asarray(self.losses[-1], float)
        losses = f"{last.min():.6g}" if last.size == 1 else f"{last.min():.6g} to {last.max():.6g}"
        return (f"History({self.model!r}, {self.steps[-1]} steps by {self.engine or '?'}, "
                f"{len(self.steps)} records, last batch's loss {losses})")


def train_plainly(model, features, settings, start, stop, state=None, progress=None, penalty=None):
    """Steps start … stop - 1 of every instance: the History of these steps alone.

    `settings` are the arguments of `tm.train`; `state` is where an earlier run stopped at `start`;
    `penalty`, a Penalty, is a further term of the loss.
    """
    single = model.instances == ()
    if state is None:
        random = training_streams(settings["seed"], *(model.instances or (1,)), progress)
        adam_state = AdamState.zeros_like(model.parameters)
    else:
        *moments, random = state
        adam_state = AdamState(start, *(tuple(a[0] if single else a for a in m) for m in moments))
    rngs = [generator_at(words) for words in random]
    laws = [features if features.n_instances is None else features[i] for i in range(len(rngs))]
    rate = schedule(settings["schedule"], settings["learning_rate"], stop)
    record_at = record_steps(start, stop, settings["record_every"])
    losses, records = [], []
    bar = checks.progress(progress) | {"unit": "step", "desc": "train"}
    for step in tqdm(range(start, stop + 1), **bar):
        before = [rng.bit_generator.state for rng in rngs]
        x = batch(laws, rngs, settings["batch_size"], model)                    # (..., B, n)
        loss, gradient = checked(model, model.loss_and_grad(x, features), step)
        if penalty:
            loss, gradient = penalty.on(loss, gradient, model.parameters)
        if step in record_at:
            losses.append(loss)
            records.append(model.parameters)
        if step < stop:
            parameters, adam_state = adamw(model.parameters, gradient, adam_state,
                                           rate(step), weight_decay=settings["weight_decay"])
            model = model.with_parameters(parameters)
    moments = (tuple(a[None] if single else a for a in m) for m in adam_state[1:])
    state = TrainingState(*moments, np.array([position(one) for one in before]))
    parameters = model.with_parameters([np.stack(a) for a in zip(*records)])
    losses = np.array(losses, model.dtype)
    return History(model, record_at, losses, parameters, features, settings, state, "core.loop")


def batch(laws, rngs, batch_size, model):
    """A batch for every instance, each from its own generator: x (B, n) or (K, B, n)."""
    x = [law.sample(rng, batch_size) for law, rng in zip(laws, rngs, strict=True)]
    expected = (batch_size, model.n_features)
    if any(np.shape(one) != expected for one in x):
        raise ValueError(f"{type(laws[0]).__name__}.sample must return an array of shape "
                         f"{expected}, got shapes {sorted(set(map(np.shape, x)))}")
    x = checks.array("what sample returns", np.stack(x), dtype=model.dtype)
    return x if model.instances else x[0]


def checked(model, result, step):
    """The loss, and the gradients in the model's dtype, of a `result`; an error if one is bad."""
    loss, gradient = result if isinstance(result, tuple) and len(result) == 2 else (None, None)
    shapes = [np.shape(a) for a in getattr(gradient, "parameters", ())]
    if np.shape(loss) != model.instances or shapes != [a.shape for a in model.parameters]:
        raise TypeError(f"{type(model).__name__}.loss_and_grad must return a loss of shape "
                        f"{model.instances} and a gradient like the model, got {shapes}")
    for i in np.flatnonzero(~np.isfinite(loss)):
        raise FloatingPointError(f"the loss of instance {i} is {np.ravel(loss)[i]} at step {step}; "
                                 f"try a smaller {'learning_rate' if step else 'importance, or W'}")
    return loss, [a.astype(model.dtype, copy=False) for a in gradient.parameters]


def record_steps(start, stop, every):
    """The multiples of `every` from start on, and the end."""
    return np.append(np.arange(-(-start // every) * every, stop, every), stop)
