"""What the command line sweeps over: a file in TOML becomes jobs, each training or a minimum.

A job is flat: the settings below, each with a plain value, and a seed. `run_job` is the function
that is swept, by the same `sweep` as any other.
"""

import difflib
import math
import tomllib
from itertools import product

import numpy as np

from ..core import checks
from ..core.features import Features
from ..core.models import MODELS, Linear, ReluOutput
from ..engine.backends import BACKENDS
from ..engine.train import check_settings, step_count, train
from ..geometry.measures import dimensions_per_feature
from ..geometry.tegum import geometry_of
from ..penalties import penalty
from ..store.files import check_path, open_regular, os_errors_as
from ..theory.exact.loss import estimate_loss, expected_loss
from ..theory.minima import find_minimum
from ..theory.phase import extra_phase

LAW = {
    "n_features": 5,
    "n_hidden": 2,
    "feature_probability": 0.05,
    "importance": 1.0,
    "importance_decay": 1.0,
    "extra_importance": 1.0,
    "extra_probability": 1.0,
    "signed": False,
    "correlated": [],
    "anticorrelated": [],
}
TASKS = {  # task -> its settings and what they are if not said
    "train": LAW
    | {
        "task": "train",
        "model": "ReluOutput",
        "instances": 1,
        "steps": 10_000,
        "batch_size": 1024,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "weight_decay": 0.0,
        "interference": 0.0,
        "l2": 0.0,
        "backend": BACKENDS[0],
    },
    "minimum": LAW | {"task": "minimum", "starts": 32, "interference": 0.0, "weight_decay": 0.0},
}
MOST = 10**12           # jobs of a sweep, which a lifetime would not do
RANGE = ("start", "stop", "points", "scale")  # of a grid's value that is a table


def job_features(job):
    """The Features of a job: importance times decay^i, the last feature's values scaled."""
    n = checks.integer("n_features", job["n_features"])
    checks.memory("n_features", 200 * n)
    decay = checks.real("importance_decay", job["importance_decay"], above=0)
    last = np.arange(n) == n - 1
    extra = {name: np.where(last, checks.real(name, job[name], minimum=0), 1)
             for name in ("extra_importance", "extra_probability")}
    parts = {
        name: checks.array(name, job[name], dtype=np.float64)
        for name in ("feature_probability", "importance")
    }
    for name, part in parts.items():
        if part.shape not in ((), (n,)):
            raise ValueError(f"{name} must be one number or a list of {n}, got {job[name]!r}")
    return Features(
        n,
        parts["feature_probability"] * extra["extra_probability"],
        parts["importance"] * decay ** np.arange(n) * extra["extra_importance"],
        signed=job["signed"],
        correlated=job["correlated"],
        anticorrelated=job["anticorrelated"],
    )


def training_settings(job):
    """The arguments of `train` that a job carries, checked; the end is the only record."""
    names = ("batch_size", "learning_rate", "schedule", "weight_decay", "interference", "l2",
             "seed", "backend")
    steps = step_count("steps", job["steps"])
    return check_settings(**{name: job[name] for name in names}, record_every=steps) | {
        "steps": steps
    }


def check_job(job):
    """The job's Features, if all its settings are good ones, else TypeError or ValueError."""
    checks.seed(job["seed"])
    checks.integer("n_hidden", job["n_hidden"])
    if job["task"] == "train":
        checks.choice("model", job["model"], tuple(MODELS))
        checks.integer("instances", job["instances"])
        training_settings(job)
    else:
        checks.integer("starts", job["starts"])
        penalty(job["interference"], job["weight_decay"])
    return job_features(job)


def job_minimum(job, features):
    """The Minimum that a job asks for."""
    names = ("starts", "seed", "interference", "weight_decay")
    return find_minimum(features, job["n_hidden"], **{name: job[name] for name in names})


def run_job(job):
    """The best of a job's trained instances, or its minimum: loss, geometry, phase, W, b."""
    features = check_job(job)
    if job["task"] == "minimum":
        minimum = job_minimum(job, features)
        best, losses = minimum.model, minimum.start_losses
        result = {"gradient_norm": minimum.gradient_norm}
    else:
        stack = MODELS[job["model"]].init(
            features.n_features, job["n_hidden"], job["instances"], seed=job["seed"]
        )
        stack = train(stack, features, progress=False, **training_settings(job)).model
        losses = judge(stack, features)
        best, result = stack[int(np.argmin(losses))], {}
    result |= {"loss": float(losses.min()), "losses": losses}
    result |= dict(zip(best.parameter_shapes, best.parameters))
    if hasattr(best, "W"):
        result |= {
            "geometry": geometry_of(best.W),
            "phase": extra_phase(best.W),
            "dimensions_per_feature": float(dimensions_per_feature(best.W))
            if best.W.any()
            else np.nan,
        }
    return result


def judge(models, features):
    """The population loss of each model: exact where there is a formula, else estimated."""
    if isinstance(models, (Linear, ReluOutput)):
        return expected_loss(models, features, rtol=1e-6)
    return estimate_loss(models, features, samples=2**16)[0]


class Jobs:
    """Every combination of a grid's values, with every seed: an iterable with a length."""

    def __init__(self, settings, grid, seeds):
        self.settings, self.grid, self.seeds = settings, grid, seeds

    def __len__(self):
        return self.count()

    def count(self):
        """How many there are, however many."""
        return math.prod([_count(self.seeds), *map(len, self.grid.values())])

    def __iter__(self):
        for values in product(*self.grid.values()):
            for seed in self.seeds:
                yield self.settings | dict(zip(self.grid, values)) | {"seed": seed}


def read_config(path):
    """The Jobs of a TOML file: settings, `seeds` (a count or a list), and a [grid] of values.

    A value of the grid is a list or a range. Raises ValueError or TypeError with a sentence:
    unknown keys with the nearest known one, bad values with their name.
    """
    path = check_path("the configuration", path)
    with os_errors_as(f"cannot read {path}"):
        with open_regular(path) as stream:
            text = stream.read()
    try:
        config = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    try:
        return parse_config(config)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from None


def parse_config(config):
    """`read_config` for a dictionary."""
    task = checks.choice("task", config.get("task", "train"), tuple(TASKS))
    known = TASKS[task]
    grid = config.get("grid", {})
    if not isinstance(grid, dict):
        raise TypeError(f"grid must be a table, [grid], got {grid!r}")
    _check_keys(task, config, {*known, "seeds", "grid"}, "")
    _check_keys(task, grid, {*known} - {"task"}, " in the grid")
    both = set(config) & set(grid)
    if both:
        raise ValueError(f"{min(both)!r} stands both in the grid and outside it")
    settings = known | {key: value for key, value in config.items() if key not in ("seeds", "grid")}
    jobs = Jobs(
        settings,
        {key: _values(key, values) for key, values in grid.items()},
        _seeds(config.get("seeds", 1)),
    )
    if jobs.count() > MOST:
        raise ValueError(f"seeds and grid make {jobs.count()} jobs, and at most {MOST} can be done")
    first = next(iter(jobs))
    for change in ({}, *({key: value} for key, values in jobs.grid.items() for value in values)):
        check_job(first | change)
    return jobs


def _check_keys(task, keys, known, where):
    for key in keys:
        if key in known:
            continue
        other = next(
            (name for name, settings in TASKS.items() if key in settings and name != task), None
        )
        near = difflib.get_close_matches(key, known, 1)
        hint = "it belongs outside the grid" if key in ("task", "seeds") else \
            f"it belongs to task {other!r}" if other else \
            f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
        raise ValueError(f"unknown key {key!r}{where} for task {task!r}: {hint}")


def _values(key, values):
    """The values of one key of the grid, without repetition."""
    if isinstance(values, dict):
        if not {"start", "stop", "points"} <= set(values) <= set(RANGE):
            raise ValueError(f"{key} in the grid must have start, stop, points and perhaps scale, "
                             f"got {', '.join(values)}")
        scale = checks.choice(f"scale of {key}", values.get("scale", "linear"), ("linear", "log"))
        bound = {"above": 0} if scale == "log" else {}
        low, high = (checks.real(f"{name} of {key}", values[name], **bound)
                     for name in ("start", "stop"))
        points = checks.integer(f"points of {key}", values["points"])
        checks.memory(f"points of {key}", 200 * points)
        values = (np.geomspace if scale == "log" else np.linspace)(low, high, points).tolist()
    if not isinstance(values, list) or not values:
        raise ValueError(f"{key} in the grid must be a list of values, or a table with start, stop "
                         f"and points, got {values!r}")
    if any(value in values[:i] for i, value in enumerate(values)):
        raise ValueError(f"{key} in the grid must not repeat a value, got {values}")
    return values


def _count(seeds):
    return seeds.stop if isinstance(seeds, range) else len(seeds)


def _seeds(seeds):
    if isinstance(seeds, list):
        return _values("seeds", [checks.seed(seed) for seed in seeds])
    return range(checks.integer("seeds", seeds))
