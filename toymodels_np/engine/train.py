"""`tm.train` and `tm.resume`: which loop trains what, and the fast loop over steps and instances.

The four models on plain Features are trained by the parts in `host.py` or `gpu.py`, all else by
`core/loop.py`. Both do the same; the fast one does so in place, and with other random numbers.

Instances are independent, so they are trained in tiles that fit the cache, each from its first step
to its last, on as many threads as there are cores: NumPy's kernels leave the lock to the others.
Instance i draws its samples from the stream (seed, i) and nothing in a step mixes instances: its
trajectory is the same bits however many run beside it, on any number of threads. Matrix products
stay on one thread each while the loop runs. On a GPU the loop is the same, with the parts of
`gpu.py` in place of those of `host.py`, and all instances are one tile while there is room.
"""

import warnings
from contextlib import suppress
from dataclasses import replace
from threading import Event
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from ..core import checks
from ..core.arrays import to_host
from ..core.gradcheck import check_gradient
from ..core.loop import History, TrainingState, batch, record_steps, train_plainly
from ..core.models import check_sizes
from ..core.optim import SCHEDULES, AdamState, schedule
from ..core.streams import CHECK_STREAM, random_stream
from ..known import HOW, stranger
from ..machine import one_blas_thread
from ..penalties import Penalty, check_bounded, penalty
from . import gpu, host, threads
from .backends import BACKENDS, backend_of, device_module
from .events import pay
from .histories import KITS, check_records, check_state

TILE = 3 * 2**17          # entries of x that the instances of a tile work on at once
SHARE = 2**17               # and how many are worth a thread: threads wait between kernels
HELD = 0.01                 # relative error of a gradient that is worth a warning
LARGEST = 2**63 - 1         # number of a step: arrays hold no larger integer
LISTED = 0.9               # of a dense instance's time is what one with lists takes, about


def train(model, features, *, steps=10_000, batch_size=1024, learning_rate=1e-3,
          schedule="constant", weight_decay=0.0, interference=0.0, l2=0.0, seed=0,
          record_every=100, backend=None, progress=None):
    """Train every instance of `model` on fresh samples of `features` with Adam.

    Parameters
    ----------
    model : a tm.Model, single or with one instance axis; trained in its own dtype
    features : Features; with an instance axis, one row an instance
    steps, batch_size, record_every : int
    learning_rate : float, with `schedule` "constant", "linear" or "cosine" (both fall to zero)
    weight_decay : float up to 1 / learning_rate; above 0 the optimiser is AdamW. The paper's
        notebook has 0.01.
    interference, l2 : float; terms of the loss, lam sum_{i != j} (W_i . W_j)^2 + mu ||W||^2 (14.1),
        what `find_minimum` calls interference and weight_decay. AdamW's decay is no term of it.
    seed : int; instance i's samples depend on (seed, i) alone
    backend : "numpy"; "cupy", for a run on a GPU, with other samples; or None, for where the
        model's arrays are
    progress : True, False, or None for a bar after two seconds on a terminal or in a notebook

    Returns a History, in NumPy arrays; its `engine` says which loop trained. A class of your own is
    trained by `core/loop.py`, which calls its `loss_and_grad` or `sample`. Raises ValueError or
    TypeError on bad arguments, FloatingPointError when a loss is not finite: at the step where it
    happens, or on a GPU at the first record from there on, since losses that are not recorded are
    not computed; and at the end where a gradient was too large for Adam's means. If a GPU is asked
    for, ImportError without CuPy and RuntimeError without a GPU.
    """
    check_trainable(model, features)
    backend = backend_of(*model.parameters) if backend is None else backend
    settings = check_settings(
        batch_size=batch_size, learning_rate=learning_rate, schedule=schedule,
        weight_decay=weight_decay, interference=interference, l2=l2, seed=seed,
        record_every=record_every, backend=backend)
    return _train(model, features, settings, 0, step_count("steps", steps), None, progress)


def resume(history, *, steps, progress=None):
    """Train `steps` more from where `history` ended, as if it had never stopped, to the bit.

    500 + 500 steps are 1000. Settings, features, the optimiser's state and the streams of samples
    are the history's, before or after `tm.save` and `tm.load`; so is the backend. Returns the
    History of the whole run, in which step 0 is the first run's. Raises ValueError where the
    learning rate has fallen to zero (schedules "linear", "cosine"); otherwise as `train`.
    """
    if not isinstance(history, History):
        raise TypeError(f"history must be the History of tm.train or tm.load, got {history!r}")
    if history.state is None:
        raise ValueError("this history was made without an optimiser's state, so it cannot be "
                         "continued")
    try:
        check_records(history.model, history.parameters, history.steps, history.losses)
        check_state(history.state, history.model, history.features, history.settings)
    except ValueError as error:
        raise ValueError(f"this history cannot be continued: {error}") from None
    settings = check_settings(**history.settings)
    if settings["schedule"] != "constant":
        raise ValueError(f"the schedule {settings['schedule']!r} has taken the learning rate to "
                         "zero: only runs with schedule='constant' can be continued")
    start = int(history.steps[-1])
    stop = start + step_count("steps", steps)
    engine = engine_of(history.model, history.features, settings["backend"])
    if history.engine not in ("", engine):
        raise ValueError(f"this history was made by {history.engine}, but here it would go on by "
                         f"{engine}, with other samples: train anew")
    later = _train(history.model, history.features, settings, start, stop, history.state, progress)
    earlier = history.steps < start                     # the last record may be one that 1000 lack
    join = lambda old, new: np.concatenate([old[earlier], new])
    records = map(join, history.parameters.parameters, later.parameters.parameters)
    return replace(later, steps=join(history.steps, later.steps),
                   losses=join(history.losses, later.losses),
                   parameters=history.model.with_parameters(list(records)))


def check_trainable(model, features):
    """A model and features that can be trained on each other, else TypeError or ValueError."""
    if isinstance(model, History):
        raise TypeError("model must be a model, got a History: tm.resume(history, steps=…) "
                        "continues it")
    check_sizes(model, features)
    checks.precision("the dtype of the parameters", model.dtype)
    for name, a in zip(model.parameter_shapes, model.parameters):
        if a.size and checks.array(name, a).dtype != model.dtype:
            raise ValueError(f"{name} must be of {model.dtype} like the first parameter, "
                             f"got {a.dtype}")
    if len(model.instances) > 1:
        raise ValueError("train takes a single model or one instance axis, got instances "
                         f"{model.instances}")
    if features.n_instances is not None and model.instances != (features.n_instances,):
        raise ValueError(f"features have {features.n_instances} instances, the model "
                         f"{model.instances}")
    with np.errstate(over="ignore"):
        fits = np.isfinite(features.importance.astype(model.dtype)).all()
    if not fits:
        raise ValueError(f"importance must fit into the model's {model.dtype}, got "
                         f"{features.importance.max():g}")


def step_count(name, value):
    """`value` as an int from 1 to LARGEST, else TypeError or ValueError."""
    if checks.integer(name, value) > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, got {value}")
    return int(value)


def check_settings(*, batch_size, learning_rate, schedule, weight_decay, seed, record_every,
                   interference=0.0, l2=0.0, backend=BACKENDS[0]):
    """The settings of a run as a dictionary, if they are good ones, else an error."""
    added = penalty(interference, l2, names=("interference", "l2"))
    rate = checks.real("learning_rate", learning_rate, above=0)
    decay = checks.real("weight_decay", weight_decay, minimum=0)
    if rate * decay > 1:
        raise ValueError(f"weight_decay must be at most 1 / learning_rate = {1 / rate:g}, got "
                         f"{decay:g}: each step would take more than the parameters away")
    return {"batch_size": checks.integer("batch_size", batch_size), "learning_rate": rate,
            "schedule": checks.choice("schedule", schedule, tuple(SCHEDULES)),
            "weight_decay": decay,
            "interference": added.interference, "l2": added.weight_decay,
            "seed": checks.seed(seed),
            "record_every": step_count("record_every", record_every),
            "backend": checks.choice("backend", backend, BACKENDS)}


def _train(model, features, settings, start, stop, state, progress):
    """Steps start … stop - 1 of every instance: the History of these steps alone."""
    _check_room(model, features, settings, stop - start)
    added = Penalty(settings["interference"], settings["l2"])
    check_bounded(added, type(model), features, name="l2")
    plain = engine_of(model, features, settings["backend"]) == "core.loop"
    run = train_plainly if plain else _train_fast
    if plain and state is None:
        _check_held(model, features, settings["seed"])
    history = run(model, features, settings, start, stop, state, progress, added)
    for mean in (*history.state.mean, *history.state.square):
        for i in np.flatnonzero(~np.isfinite(mean.reshape(len(mean), -1)).all(-1)):
            raise FloatingPointError(       # Adam divides by it, and the parameters stand still
                f"the gradient of instance {i} has become too large for {mean.dtype} by step "
                f"{stop}, where Adam's means are not finite; try a smaller learning_rate than "
                f"{settings['learning_rate']:g}, or importances nearer to 1")
    return history


def _check_held(model, features, seed):
    """A warning if the model holds arrays or functions beside its parameters and its loss does not
    follow its gradient: they may be worked out from the parameters, and stay what they were.
    """
    held = [name for name, a in vars(model).items()
            if name not in model.parameter_shapes and (hasattr(a, "shape") or callable(a))]
    if not held:
        return
    laws = [features if features.n_instances is None else features[i]
            for i in range(*(model.instances or (1,)))]
    x = batch(laws, [random_stream(seed, CHECK_STREAM, 1)] * len(laws), 64, model)
    with suppress(TypeError):               # a loss that evaluation refuses
        error = check_gradient(model, x, features, seed=seed)
        if not error < HELD:
            warnings.warn(f"the gradient of this {type(model).__name__} is off by {error:.0%} of "
                          f"what its loss does: it holds {', '.join(held)} beside its parameters, "
                          f"which training leaves alone; what follows from parameters must be a "
                          f"property", RuntimeWarning, stacklevel=4)


def engine_of(model, features, backend):
    """What trains this: "core.loop", "engine.host" or "engine.gpu"; TypeError if nothing can."""
    why = stranger(model, features, files=HOW)
    if why and backend != BACKENDS[0]:
        raise TypeError(f"on a GPU only the four models train on plain Features: {why}")
    return "core.loop" if why else KITS[backend].__name__.removeprefix("toymodels_np.")


def _check_room(model, features, settings, steps):
    """What a run allocates at least: a few arrays like a batch of one instance, and its records."""
    if 0 in model.instances:
        raise ValueError(f"model must have an instance to train, got instances={model.instances}")
    batch = 3 * model.dtype.itemsize * settings["batch_size"] * features.n_features
    checks.memory("batch_size", batch)
    records = steps // settings["record_every"] + 2
    checks.memory("the history of these steps (steps / record_every records)",
                  records * model.dtype.itemsize * sum(a.size for a in model.parameters))


def _train_fast(model, features, settings, start, stop, state, progress, penalty):
    """`core.loop.train_plainly` for the four models on plain Features."""
    bar = checks.progress(progress) | {"unit": "step", "desc": "train"}
    kit = KITS[settings["backend"]]
    if kit is gpu:
        device_module()                                                 # or what is missing
    parameters = [to_host(a) for a in model.parameters]
    single = model.instances == ()
    stack = model.from_parameters([a[None] for a in parameters] if single else parameters)
    count = stack.instances[0]
    if state is None:
        zeros = AdamState.zeros_like(stack.parameters)
        random = kit.random_state(settings["seed"], count, progress)
        state = TrainingState(zeros.mean, zeros.square, random)
    n_threads, tiles, costs = division(kit, count, features, settings["batch_size"])
    stop_now = Event()
    with tqdm(total=(stop - start) * len(tiles), **bar) as bar, one_blas_thread():

        def advance(steps):
            bar.update(steps)
            if stop_now.is_set():
                raise RuntimeError("another tile of instances has stopped")

        law = Law(kit, features, settings, stop, advance, penalty)

        def run(i, before, to):
            return _run(law, tiles[i], before or Run.begin(start, stack, state, tiles[i]), to)

        runs = threads.run_all(run, costs, n_threads, start, stop, stop_now.set)
    return _join(model, law, start, runs)


class Law(NamedTuple):
    """What all tiles of a run have in common."""

    kit: object                 # host or gpu
    features: object
    settings: dict
    stop: int                   # the step at which the run, and the schedule, ends
    advance: object             # to be called with the number of steps that are taken next
    penalty: Penalty            # what is added to the loss


class Run(NamedTuple):
    """A tile of k instances at a step: its records (T, k, …), and what it goes on with."""

    step: int
    model: object
    losses: np.ndarray
    records: list
    state: TrainingState

    @classmethod
    def begin(cls, step, stack, state, tile):
        model = stack.from_parameters([a[tile] for a in stack.parameters])
        means = (tuple(a[tile] for a in arrays) for arrays in state[:2])
        records = [a[None][:0] for a in model.parameters]
        return cls(step, model, np.empty((0, *model.instances), model.dtype), records,
                   TrainingState(*means, state.random[tile]))


def _join(model, law, start, runs):
    """The History of a run whose tiles have come to its end."""
    losses = np.concatenate([run.losses for run in runs], axis=1)
    records = [np.concatenate(parts, axis=1) for parts in zip(*(run.records for run in runs))]
    mean, square = (tuple(map(np.concatenate, zip(*(run.state[i] for run in runs))))
                    for i in (0, 1))
    state = TrainingState(mean, square, np.concatenate([run.state.random for run in runs]))
    if model.instances == ():
        losses, records = losses[:, 0], [a[:, 0] for a in records]
    return History(model.from_parameters([a[-1].copy() for a in records]),
                   record_steps(start, law.stop, law.settings["record_every"]), losses,
                   model.from_parameters(records), law.features, law.settings, state,
                   engine_of(model, law.features, law.settings["backend"]))


def division(kit, count, features, batch_size):
    """How many threads there are, the tiles, and their costs, to each other; in each all batches
    are lists, or none are.
    """
    n = features.n_features
    if kit is gpu:
        tiles = slices(0, count, n * batch_size, 1, gpu.TILE)
        return 1, tiles, [1] * len(tiles)

    def entries(lists):
        """Of x, of one instance, that are there at once, which all lists of a batch are."""
        chunk = n * max(host.chunks(n, batch_size, host.kind_of(n, lists)))
        return max(chunk, n * batch_size // 4) if lists else chunk

    n_threads = min(threads.count(), max(1, count * entries(False) // SHARE))
    kinds = np.broadcast_to(pay(features, batch_size), count)
    ends = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), count]
    tiles = [tile for i, j in zip(ends, ends[1:])
             for tile in slices(i, j, entries(kinds[i]), n_threads, TILE)]
    return n_threads, tiles, [(tile.stop - tile.start) * (LISTED if kinds[tile.start] else 1)
                              for tile in tiles]


def slices(start, stop, entries, n_threads, most):
    """Instances as slices of nearly equal size, at least one a thread."""
    count = stop - start
    size = max(1, min(most // entries, count // n_threads))
    ends = np.linspace(start, stop, -(-count // size) + 1).round().astype(int)
    return [slice(int(i), int(j)) for i, j in zip(ends[:-1], ends[1:])]


def _run(law, tile, before, stop):
    """The hot loop for one tile: what it is at step `stop`, with the records before."""
    features = law.features if law.features.n_instances is None else law.features[tile]
    kit, settings, start, model = law.kit, law.settings, before.step, before.model
    step_of = kit.Step(model, features, settings["batch_size"])
    state = AdamState(start, *before.state[:2])
    adam = kit.Adam(model.parameters, state, settings["weight_decay"])
    batches = kit.Batches(features, before.state.random, settings["batch_size"], model.dtype)
    rate = schedule(settings["schedule"], settings["learning_rate"], law.stop)
    record_at = record_steps(start, stop, settings["record_every"])
    losses = np.empty((len(record_at), *model.instances), before.losses.dtype)
    records = [np.empty((len(record_at), *a.shape), a.dtype) for a in model.parameters]
    t = 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in range(start, stop + 1):
            if step == start or step % batches.steps == 0:
                law.advance(min(batches.steps - step % batches.steps, stop - step))
            recorded = record_at[t] == step
            loss, gradient = step_of(adam.parameters, batches(step), recorded)
            if law.penalty:
                loss, (dW, *_) = law.penalty.on(loss, gradient.arrays, adam.parameters.arrays)
                gradient.arrays[0][...] = dW
            if loss is not None:
                loss = to_host(loss)
                if not np.isfinite(loss).all():
                    raise _not_finite(loss, tile.start, step, rate(0))
            if recorded:
                losses[t] = loss
                for record, a in zip(records, adam.parameters.arrays):
                    record[t] = to_host(a)
                t += 1
            if step < stop:
                adam(gradient, rate(step))
    moments = (tuple(map(to_host, flat.arrays)) for flat in (adam.mean, adam.square))
    join = lambda old, new: np.concatenate([old[:-1], new])     # the last record is the first here
    return Run(stop, model.from_parameters([a[-1] for a in records]), join(before.losses, losses),
               list(map(join, before.records, records)), TrainingState(*moments, batches.random))


def _not_finite(loss, first, step, rate):
    """The error for a loss (k,) of instances from `first` on that is not finite."""
    bad = int(np.flatnonzero(~np.isfinite(loss))[0])
    hint = f"try a smaller learning_rate than {rate:g}" if step else \
        "try a smaller importance, or W"
    return FloatingPointError(f"the loss of instance {first + bad} is {loss[bad]} at step {step}; "
                              f"{hint}")
