"""Save a run of training, or a model, to one file, and load it: arrays and JSON, never a pickle.

A file holds what `train.History` holds: the model, its features, records, settings with the seed,
and the optimiser's state, so that `resume` continues a loaded run as if it had never stopped. It is
an .npz that np.load opens, too. A class of one's own is named in the file, and looked for among the
classes that the reading process has defined: nothing is imported and nothing is run.
"""

import json
import sys

import numpy as np

from ..core import checks
from ..core.arrays import to_host
from ..core.features import LAW, Features
from ..core.loop import History, TrainingState
from ..core.models import MODELS, Model
from ..engine.histories import check_records, check_state
from ..engine.train import check_settings
from ..subclasses import check_parameters
from ..version import __version__
from .files import KINDS, check_path, clear_leftovers, read_arrays, write_arrays
from .source import module_name

FORMAT = 1                                      # of the files; a reader refuses what is newer
HUGE = 2**63                                    # seeds from here on are written in base 16
ENGINES = "", "core.loop", "engine.host", "engine.gpu"


def save(path, history):
    """Write a History, or a model alone, to the file `path`, which `load` reads to the bit.

    Models and features may be of a class of your own, also with attributes of their own that are
    plain values of JSON or arrays. The file is written beside its place, flushed to the disk and
    renamed: a reader sees the old one or the new one. Raises TypeError or ValueError on anything
    that `load` could not give back, OSError with a sentence where the file cannot be written.
    """
    path = check_path("path", path)
    if not isinstance(history, (History, Model)):
        raise TypeError(f"history must be a History, as tm.train returns it, or a model, got "
                        f"{history!r}")
    header, arrays = {"format": FORMAT, "version": __version__}, {}
    if isinstance(history, Model):
        _put(header, arrays, "model", history)
    else:
        _put_history(header, arrays, history)
    text = json.dumps(header)
    try:
        _rebuild(json.loads(text), dict(arrays))                # what cannot be read is not written
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"history cannot be kept in a file: {error}") from None
    clear_leftovers(path.parent)
    write_arrays(path, {"header": np.array(text)} | arrays)


def load(path):
    """The History or the model that `save` wrote to the file `path`.

    Nothing in the file is run or believed: it goes through the checks that every argument does.
    Raises ValueError with a sentence if it is damaged, of a newer format, of a class that is not
    defined here, or no such file at all; FileNotFoundError if there is none.
    """
    path = check_path("path", path)
    arrays = read_arrays(path)
    try:
        header = json.loads(str(arrays.pop("header")[()]))
        if checks.integer("format", header["format"]) <= FORMAT:
            return _rebuild(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        missing = isinstance(error, KeyError)
        reason = f"{error.args[0]!r} is missing" if missing else str(error)
        raise ValueError(f"{path} is not a file of tm.save: {reason}") from None
    raise ValueError(f"{path} has format {header['format']}, written by toymodels_np "
                     f"{header.get('version')!r}; this is {__version__}, which reads formats up to "
                     f"{FORMAT}: upgrade it")


# -- from objects to a header and arrays ---------------------------------------------------------

def _put_history(header, arrays, history):
    features, state = history.features, history.state
    if type(history.model) is not type(history.parameters):
        raise TypeError("history.parameters must be a model of the class of history.model, got "
                        f"{history.parameters!r}")
    if not isinstance(features, (Features, type(None))):
        raise TypeError(f"history.features must be Features or None, got {features!r}")
    _put(header, arrays, "model", history.model)
    settings = None if history.settings is None else check_settings(**history.settings)
    if settings is not None and settings["seed"] >= HUGE:
        settings["seed"] = hex(settings["seed"])                # no limit to its digits
    header["settings"] = settings
    if history.engine:
        header["engine"] = history.engine
    arrays |= {"steps": to_host(history.steps), "losses": to_host(history.losses)}
    _put_arrays(arrays, "parameters", history.parameters.parameters)
    _put_extras(header, arrays, "parameters", history.parameters, history.model.parameter_shapes)
    if features is not None:
        header["features"] = {name: getattr(features, name) for name in (
            "n_features", "signed", "correlated", "anticorrelated")}
        arrays |= {"feature_probability": features.feature_probability,
                   "importance": features.importance}
        if type(features) is not Features:
            header["features_class"] = _class_name(type(features))
        _put_extras(header, arrays, "features", features, LAW)
    if state is not None:
        _put_arrays(arrays, "mean", state.mean)
        _put_arrays(arrays, "square", state.square)
        arrays["random"] = to_host(state.random)


def _put(header, arrays, key, model):
    """A model: its class, by name if it is one of ours, its parameters and what else it has."""
    cls = type(model)
    header[key] = cls.__name__ if MODELS.get(cls.__name__) is cls else _class_name(cls)
    _put_arrays(arrays, key, model.parameters)
    _put_extras(header, arrays, key, model, cls.parameter_shapes)


def _put_arrays(arrays, prefix, values):
    arrays |= {f"{prefix}.{i}": to_host(a) for i, a in enumerate(values)}


def _put_extras(header, arrays, key, thing, usual):
    """Attributes of the object itself beside the usual ones, if they can be kept."""
    plain = {}
    for name, value in vars(thing).items():
        if name in usual:
            continue
        if type(value) is np.ndarray and value.dtype.kind in KINDS and value.dtype.itemsize:
            arrays[f"{key}_own.{name}"] = value
        elif _is_plain(value):
            plain[name] = value
        else:
            raise TypeError(f"{type(thing).__name__} has an attribute {name!r} that cannot be "
                            "kept in a file: only arrays and plain values of JSON can, got "
                            f"{type(value).__name__}")
    if plain:
        header[f"{key}_own"] = plain


def _is_plain(value):
    """Whether JSON gives the value back as it is."""
    try:
        again = json.loads(json.dumps(value))
        return _same(value, again)
    except (TypeError, ValueError, RecursionError):
        return False


def _same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    return a == b or a != a


def _class_name(cls):
    return {"module": module_name(cls), "name": cls.__qualname__}


# -- and back ------------------------------------------------------------------------------------

def _rebuild(header, arrays):
    """The History or model of a header and arrays that may be anything."""
    cls = _model_class(header["model"])
    model = _take_model(header, arrays, "model", cls)
    result = model
    if "settings" in header:
        records = _take_model(header, arrays, "parameters", cls)
        steps, losses = arrays.pop("steps"), arrays.pop("losses")
        check_records(model, records, steps, losses)
        settings, features, state = header["settings"], None, None
        if settings is not None:
            seed = settings["seed"]
            settings = check_settings(**settings | {
                "seed": int(seed, 16) if isinstance(seed, str) else seed})
        if "features" in header:
            features = _take_features(header, arrays)
        if "random" in arrays:
            count = len(cls.parameter_shapes)
            state = TrainingState(_take(arrays, "mean", count), _take(arrays, "square", count),
                                  arrays.pop("random"))
            check_state(state, model, features, settings)
        engine = checks.choice("engine", header.get("engine", ""), ENGINES)
        result = History(model, steps, losses, records, features, settings, state, engine)
    if arrays:
        raise ValueError(f"nobody knows its array {min(arrays)!r}")
    return result


def _model_class(name):
    """The class of models that a header names: one of ours, or one that this process defines."""
    if isinstance(name, dict):
        return _defined(Model, name)
    return MODELS[checks.choice("the model", name, tuple(MODELS))]


def _defined(base, name):
    """The subclass of `base` of this module and name, the last one that was defined here."""
    wanted = name["module"], name["name"]
    if not all(isinstance(part, str) for part in wanted):
        raise TypeError(f"a class must be named by two texts, got {name!r}")
    found, waiting = [], [base]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            waiting.append(cls)
            if (module_name(cls), cls.__qualname__) == wanted:
                found.append(cls)
    if not found:
        kind = "model is" if base is Model else "features are"
        raise ValueError(f"its {kind} of the class {wanted[1]} of {wanted[0]}, which is not "
                         f"defined here: define it or import {wanted[0]} first, then load again")
    return next((cls for cls in found if _stands_in_module(cls)), found[-1])


def _stands_in_module(cls):
    """Whether the class is what its module now has under its name: others were redefined."""
    found = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def _take(arrays, prefix, count):
    return tuple(arrays.pop(f"{prefix}.{i}") for i in range(count))


def _take_extras(header, arrays, key):
    """The attributes that the object has beside the usual ones."""
    plain = header.get(f"{key}_own", {})
    if not isinstance(plain, dict):
        raise TypeError(f"the attributes of its {key} must be a table, got {plain!r}")
    prefix = f"{key}_own."
    names = [name for name in arrays if name.startswith(prefix)]
    return plain | {name.removeprefix(prefix): arrays.pop(name) for name in names}


def _take_model(header, arrays, key, cls):
    """A model of the class, whose arrays have the shapes that its letters say; any numbers."""
    parameters = _take(arrays, key, len(cls.parameter_shapes))
    try:
        check_parameters(cls.parameter_shapes, parameters)
        fit = all(parameters[0].shape[-2:])
    except ValueError:
        fit = False
    if not fit:
        raise ValueError(f"the parameters of its {key} have shapes that do not go together: "
                         f"{[a.shape for a in parameters]}")
    if {a.dtype for a in parameters} not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        raise ValueError(f"its {key} must be of float32 or of float64 throughout")
    model = cls.from_parameters(parameters)
    vars(model).update(_take_extras(header, arrays, key))
    return model


def _take_features(header, arrays):
    name = header.get("features_class")
    cls = Features if name is None else _defined(Features, name)
    features = object.__new__(cls)
    vars(features).update(_take_extras(header, arrays, "features"))
    Features.__init__(features, feature_probability=arrays.pop("feature_probability"),
                      importance=arrays.pop("importance"), **header["features"])
    return features
