"""The training loop over steps and instances, and its history.

Instances are independent, so they are trained in tiles that fit the cache, each from its first step to its last, on as
many threads as there are cores: NumPy's kernels leave the lock to the others. Instance i draws its samples from the
stream (seed, i) and nothing in a step mixes instances: its trajectory is the same bits however many run beside it, on
any number of threads. Matrix products stay on one thread each while the loop runs. On a GPU the loop is the same, with
the parts of `device.py` in place of those of `host.py`, and all instances are one tile while there is room.
"""

from dataclasses import dataclass, replace
from threading import Event
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..core import checks
from . import gpu, host, threads
from ..core.arrays import BACKENDS, backend_of, device_module, to_host
from .events import pay
from ..core.features import Features
from ..core.models import Model, check_sizes
from ..core.optim import SCHEDULES, AdamState, schedule

KITS = dict(zip(BACKENDS, (host, gpu)))      # what the loop is made of: Batches, Step, Adam
TILE = 2**19                # entries of x that the instances of a tile work on at once
SHARE = 2**17               # and how many there should be for a thread of its own: threads wait for each other between kernels


class TrainingState(NamedTuple):
    """Where a run stands, all that `resume` needs beside the model: one row an instance.

    mean, square : Adam's running means, tuples of arrays like the parameters
    random : (instances, 6) uint64, the generators before they drew the block of samples that holds the last step's; or
        (instances, 1) where the run is on a GPU, the keys of the samples
    """

    mean: tuple
    square: tuple
    random: np.ndarray


@dataclass(frozen=True)
class History:
    """What happened in training; T records, the first at step 0 and the last at the end.

    model : the trained model                 steps : (T,) steps taken at each record
    losses : (T, ...) the loss of the batch that was drawn there, before the step is taken
    parameters : a model with a leading axis T, the parameters at each record
    features, settings, state : what was trained on, how (arguments of `train`), and where it stands, for `resume`

    All arrays are NumPy's, wherever the run was.
    """

    model: Model
    steps: np.ndarray
    losses: np.ndarray
    parameters: Model
    features: Features | None = None
    settings: dict | None = None
    state: TrainingState | None = None


def train(model, features, *, steps=10_000, batch_size=1024, learning_rate=1e-3, schedule="constant",
          weight_decay=0.0, seed=0, record_every=100, backend=None, progress=None):
    """Train every instance of `model` on fresh samples of `features` with Adam.

    Parameters
    ----------
    model : Linear, ReluOutput, ReluHidden or AbsoluteValue, single or with one instance axis; trained in its own dtype
    features : Features; with an instance axis, one row an instance
    steps, batch_size, record_every : int
    learning_rate : float, with `schedule` "constant", "linear" or "cosine" (both fall to zero at the end)
    weight_decay : float; above 0 the optimiser is AdamW. The paper's notebook has 0.01.
    seed : int; instance i's samples depend on (seed, i) alone
    backend : "numpy"; "cupy", for a run on a GPU, with other samples; or None, for where the model's arrays are
    progress : True, False, or None for a bar on a terminal once two seconds have passed

    Returns a History, in NumPy arrays. Raises ValueError or TypeError on bad arguments, FloatingPointError when a loss
    is not finite: at the step where it happens, or on a GPU at the first record from there on, since losses that are
    not recorded are not computed. If a GPU is asked for, ImportError without CuPy and RuntimeError without a GPU.
    """
    if isinstance(model, History):
        raise TypeError("model must be a model, got a History: tm.resume(history, steps=…) continues it")
    check_sizes(model, features)
    if len(model.instances) > 1:
        raise ValueError(f"train takes a single model or one instance axis, got instances {model.instances}")
    if features.n_instances is not None and model.instances != (features.n_instances,):
        raise ValueError(f"features have {features.n_instances} instances, the model {model.instances}")
    settings = check_settings(batch_size=batch_size, learning_rate=learning_rate, schedule=schedule,
                              weight_decay=weight_decay, seed=seed, record_every=record_every,
                              backend=backend_of(*model.parameters) if backend is None else backend)
    return _train(model, features, settings, 0, checks.integer("steps", steps), None, progress)


def resume(history, *, steps, progress=None):
    """Train `steps` more from where `history` ended, as if it had never stopped: 500 + 500 steps are 1000, to the bit.

    Settings, features, the optimiser's state and the streams of samples are the history's, before or after
    `tm.save` and `tm.load`; so is the backend. Returns the History of the whole run, in which step 0 is the first run's.
    Raises ValueError where the learning rate has fallen to zero (schedules "linear", "cosine"); otherwise as `train`.
    """
    if not isinstance(history, History):
        raise TypeError(f"history must be the History of tm.train or tm.load, got {history!r}")
    if history.state is None:
        raise ValueError("this history was made without an optimiser's state, so it cannot be continued")
    if history.settings["schedule"] != "constant":
        raise ValueError(f"the schedule {history.settings['schedule']!r} has taken the learning rate to zero: only runs "
                         f"with schedule='constant' can be continued")
    start = int(history.steps[-1])
    later = _train(history.model, history.features, history.settings, start, start + checks.integer("steps", steps),
                   history.state, progress)
    earlier = history.steps < start                                     # the last record may be one that 1000 lack
    join = lambda old, new: np.concatenate([old[earlier], new])
    records = map(join, history.parameters.parameters, later.parameters.parameters)
    return replace(later, steps=join(history.steps, later.steps), losses=join(history.losses, later.losses),
                   parameters=history.model.from_parameters(list(records)))


def check_settings(*, batch_size, learning_rate, schedule, weight_decay, seed, record_every, backend=BACKENDS[0]):
    """The settings of a run as a dictionary, if they are good ones, else ValueError or TypeError."""
    return {"batch_size": checks.integer("batch_size", batch_size),
            "learning_rate": checks.real("learning_rate", learning_rate, above=0),
            "schedule": checks.choice("schedule", schedule, tuple(SCHEDULES)),
            "weight_decay": checks.real("weight_decay", weight_decay, minimum=0),
            "seed": checks.seed(seed),
            "record_every": checks.integer("record_every", record_every),
            "backend": checks.choice("backend", backend, BACKENDS)}


def _train(model, features, settings, start, stop, state, progress):
    """Steps start … stop - 1 of every instance: the History of these steps alone."""
    look = checks.progress(progress)
    single = model.instances == ()
    count = 1 if single else model.instances[0]
    kit = KITS[settings["backend"]]
    if kit is gpu:
        device_module()                                                 # or what is missing
    parameters = [to_host(a) for a in model.parameters]
    stack = model.from_parameters([a[None] for a in parameters] if single else parameters)
    if state is None:
        zeros = AdamState.zeros_like(stack.parameters)
        state = TrainingState(zeros.mean, zeros.square, kit.random_state(settings["seed"], count))
    n_threads, tiles = _division(kit, count, features, settings["batch_size"])
    rate = schedule(settings["schedule"], settings["learning_rate"], stop)
    stop_now = Event()
    with tqdm(total=(stop - start) * len(tiles), unit="step", desc="train", **look) as bar, threads.one_blas_thread():

        def advance(steps):
            bar.update(steps)
            if stop_now.is_set():
                raise RuntimeError("another tile of instances has stopped")

        def run(i, before, to):
            tile = tiles[i]
            law = features if features.n_instances is None else features[tile]
            before = before or _Run.begin(start, stack, state, tile)
            return _run(kit, type(model), law, settings, rate, before, to, tile.start, advance)

        runs = threads.run_all(run, [tile.stop - tile.start for tile in tiles], n_threads, start, stop, stop_now.set)

    losses = np.concatenate([run.losses for run in runs], axis=1)
    records = [np.concatenate(parts, axis=1) for parts in zip(*(run.records for run in runs))]
    mean, square = (tuple(map(np.concatenate, zip(*(run.state[i] for run in runs)))) for i in (0, 1))
    state = TrainingState(mean, square, np.concatenate([run.state.random for run in runs]))
    if single:
        losses, records = losses[:, 0], [a[:, 0] for a in records]
    return History(model.from_parameters([a[-1].copy() for a in records]),
                   _record_steps(start, stop, settings["record_every"]), losses, model.from_parameters(records),
                   features, settings, state)


class _Run(NamedTuple):
    """A tile of k instances at a step: its records so far, (T, k, …), and what it goes on with."""

    step: int
    parameters: list
    losses: np.ndarray
    records: list
    state: TrainingState

    @classmethod
    def begin(cls, step, stack, state, tile):
        parameters = [a[tile] for a in stack.parameters]
        rows = TrainingState(*(tuple(a[tile] for a in arrays) for arrays in state[:2]), state.random[tile])
        return cls(step, parameters, np.empty((0, len(parameters[0])), stack.dtype), [a[None][:0] for a in parameters], rows)


def _division(kit, count, features, batch_size):
    """How many threads there are, and the tiles: batches are lists of events for all instances of a tile, or for none."""
    n = features.n_features
    if kit is gpu:
        return 1, _tiles(0, count, n * batch_size, 1, gpu.TILE)

    def entries(lists):
        """Of x, of one instance, that are worked on at once. All chunks of a batch are there at once as lists, too."""
        chunk = n * max(host.chunks(n, batch_size, lists))
        return max(chunk, n * batch_size // 4) if lists else chunk

    n_threads = min(threads.count(), max(1, count * entries(False) // SHARE))
    kinds = np.broadcast_to(pay(features, batch_size), count)
    ends = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), count]
    return n_threads, [tile for i, j in zip(ends, ends[1:]) for tile in _tiles(i, j, entries(kinds[i]), n_threads, TILE)]


def _tiles(start, stop, entries, n_threads, most):
    """Instances as slices of nearly equal size: `most` entries at most, and one slice for each thread if there are as many."""
    count = stop - start
    size = max(1, min(most // entries, count // n_threads))
    ends = np.linspace(start, stop, -(-count // size) + 1).round().astype(int)
    return [slice(int(i), int(j)) for i, j in zip(ends[:-1], ends[1:])]


def _run(kit, cls, features, settings, rate, before, stop, first, advance):
    """The hot loop for one tile: what it is at step `stop`, with the records before."""
    start, batch_size = before.step, settings["batch_size"]
    step_of = kit.Step(cls.from_parameters(before.parameters), features, batch_size)
    adam = kit.Adam(before.parameters, AdamState(start, *before.state[:2]), settings["weight_decay"])
    batches = kit.Batches(features, before.state.random, batch_size, before.parameters[0].dtype)
    record_at = _record_steps(start, stop, settings["record_every"])
    losses = np.empty((len(record_at), len(before.parameters[0])), before.losses.dtype)
    records = [np.empty((len(record_at), *a.shape), a.dtype) for a in before.parameters]
    t = 0

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in range(start, stop + 1):
            if step == start or step % batches.steps == 0:
                advance(min(batches.steps - step % batches.steps, stop - step))
            recorded = record_at[t] == step
            loss, gradient = step_of(adam.parameters, batches(step), recorded)
            if loss is not None:
                loss = to_host(loss)
                if not np.isfinite(loss).all():
                    bad = int(np.flatnonzero(~np.isfinite(loss))[0])
                    raise FloatingPointError(f"the loss of instance {first + bad} is {loss[bad]} at step {step}; "
                                             f"try a smaller learning_rate than {rate(0):g}")
            if recorded:
                losses[t] = loss
                for record, a in zip(records, adam.parameters.arrays):
                    record[t] = to_host(a)
                t += 1
            if step < stop:
                adam(gradient, rate(step))
    parameters = [a[-1] for a in records]
    join = lambda old, new: np.concatenate([old[:-1], new])             # the last record before is the first one here
    return _Run(stop, parameters, join(before.losses, losses), list(map(join, before.records, records)),
                TrainingState(*(tuple(map(to_host, flat.arrays)) for flat in (adam.mean, adam.square)), batches.random))


def _record_steps(start, stop, every):
    """The multiples of `every` from start on, and the end."""
    return np.append(np.arange(-(-start // every) * every, stop, every), stop)
