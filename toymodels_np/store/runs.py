"""Save a run of training, or a model, to one file, and load it: arrays and a header in JSON, never a pickle.

A file holds what `train.History` holds: the model, its features, records, settings with the seed, and the optimiser's
state, so that `resume` continues a loaded run as if it had never stopped. It is an .npz that np.load opens, too.
"""

import json

import numpy as np

from ..core import checks
from ..core.arrays import to_host
from ..core.features import Features
from ..core.models import MODELS, Model
from ..engine.train import KITS, History, TrainingState, check_settings
from ..version import __version__
from .files import check_path, read_arrays, write_arrays

FORMAT = 1                                      # of the files; a reader refuses what is newer than itself


def save(path, history):
    """Write a History, or a model alone, to the file `path`, which `load` reads.

    The file is written beside its place, flushed to the disk and renamed: a reader sees the old one or the new one.
    Raises TypeError on anything else, OSError with a sentence where the file cannot be written.
    """
    path = check_path("path", path)
    if not isinstance(history, (History, Model)):
        raise TypeError(f"history must be a History, as tm.train returns it, or a model, got {history!r}")
    model = history if isinstance(history, Model) else history.model
    header = {"format": FORMAT, "version": __version__, "model": type(model).__name__}
    arrays = _named("model", model.parameters)
    if isinstance(history, History):
        features, state = history.features, history.state
        header["settings"] = history.settings
        arrays |= {"steps": history.steps, "losses": history.losses}
        arrays |= _named("parameters", history.parameters.parameters)
        if features is not None:
            header["features"] = {"n_features": features.n_features, "signed": features.signed,
                                  "correlated": features.correlated, "anticorrelated": features.anticorrelated}
            arrays |= {"feature_probability": features.feature_probability, "importance": features.importance}
        if state is not None:
            arrays |= _named("mean", state.mean) | _named("square", state.square) | {"random": state.random}
    write_arrays(path, {"header": np.array(json.dumps(header))} | {name: to_host(a) for name, a in arrays.items()})


def load(path):
    """The History or the model that `save` wrote to the file `path`.

    Nothing in the file is run or believed: it goes through the checks that every argument does. Raises ValueError with
    a sentence if it is damaged, of a newer format or no such file at all; FileNotFoundError if there is none.
    """
    path = check_path("path", path)
    arrays = read_arrays(path)
    try:
        header = json.loads(str(arrays.pop("header")[()]))
        if checks.integer("format", header["format"]) <= FORMAT:
            return _rebuild(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not a file of tm.save: {reason}") from None
    raise ValueError(f"{path} has format {header['format']}, written by toymodels_np {header.get('version')!r}; "
                     f"this is {__version__}, which reads formats up to {FORMAT}: upgrade it")


def _named(prefix, arrays):
    return {f"{prefix}.{i}": a for i, a in enumerate(arrays)}


def _rebuild(header, arrays):
    """The History or model of a header and arrays that may be anything."""
    cls = MODELS[checks.choice("the model", header["model"], tuple(MODELS))]
    count = len(cls.parameter_shapes)

    def take(prefix):
        return [arrays.pop(f"{prefix}.{i}") for i in range(count)]

    model = cls(*take("model"))
    result = model
    if "settings" in header:
        records = cls(*take("parameters"))
        steps, losses = arrays.pop("steps"), arrays.pop("losses")
        T = len(steps)
        if (steps.dtype.kind != "i" or not T or steps[0] or (np.diff(steps) <= 0).any()
                or losses.shape != (T, *model.instances) or losses.dtype != model.dtype
                or records.instances != losses.shape or records.dtype != model.dtype
                or [a.shape[1:] for a in records.parameters] != [a.shape for a in model.parameters]):
            raise ValueError("its records do not go together")
        settings, features, state = header["settings"], None, None
        if settings is not None:
            settings = check_settings(**settings)
        if "features" in header:
            features = Features(feature_probability=arrays.pop("feature_probability"),
                                importance=arrays.pop("importance"), **header["features"])
        if "random" in arrays:
            state = TrainingState(tuple(take("mean")), tuple(take("square")), arrays.pop("random"))
            _check_state(state, model, features, settings)
        result = History(model, steps, checks.array("losses", losses), records, features, settings, state)
    if arrays:
        raise ValueError(f"nobody knows its array {min(arrays)!r}")
    return result


def _check_state(state, model, features, settings):
    lead = model.instances or (1,)
    shapes = [(*lead, *a.shape[len(model.instances):]) for a in model.parameters]
    for arrays in (state.mean, state.square):
        if [a.shape for a in arrays] != shapes or any(a.dtype != model.dtype or not np.isfinite(a).all() for a in arrays):
            raise ValueError("its optimiser's state does not go with its model")
    if settings is None or features is None or features.n_features != model.n_features or \
            features.n_instances not in (None, *model.instances):
        raise ValueError("its features do not go with its model")
    if state.random.shape != (*lead, KITS[settings["backend"]].WORDS) or state.random.dtype != np.uint64:
        raise ValueError("its random state does not go with its model")
