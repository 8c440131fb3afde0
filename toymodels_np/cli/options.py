"""What the words of a command ask for: a job, a run to continue, and a place for the result."""

import json

import numpy as np

from ..core.loop import History
from ..store.files import check_writable, open_regular
from ..store.runs import load
from .jobs import TASKS, job_features

SHORT = {"n_features": "features", "n_hidden": "hidden", "feature_probability": "probability"}
FAMILIES = {                            # settings that go together into one property of the law
    "n_features": ("n_features",),
    "feature_probability": ("feature_probability", "extra_probability"),
    "importance": ("importance", "importance_decay", "extra_importance"),
    "signed": ("signed",),
    "correlated": ("correlated",),
    "anticorrelated": ("anticorrelated",),
}


def option_name(setting):
    """The option that gives a setting."""
    return f"--{SHORT.get(setting, setting).replace('_', '-')}"


def job_of(options):
    """The options as a job; settings that were not given have their defaults."""
    job = {name: getattr(options, name, default)
           for name, default in (TASKS[options.task] | {"seed": 0}).items()}
    for name in ("feature_probability", "importance"):
        if isinstance(job[name], list) and len(job[name]) == 1:
            job[name] = job[name][0]
    return job


# -- a run to continue ---------------------------------------------------------------------------

def check_agreement(options, history):
    """ValueError if an option that was given says something else than the run has."""
    if history.state is None:                           # `resume` says what is missing
        return
    given = set(vars(options)) & {*TASKS["train"], "seed"}
    job = job_of(options)
    has = dict(history.settings) | {
        "model": type(history.model).__name__, "n_hidden": history.model.n_hidden,
        "instances": int(np.prod(history.model.instances))}
    for name in sorted(given & set(has)):
        if job[name] != has[name]:
            raise _contradiction(options, name, job[name], has[name])
    law = history.features
    for attribute, family in FAMILIES.items():
        names = [name for name in family if name in given]
        if not names:
            continue
        others = {"n_features": law.n_features} if "n_features" not in given else {}
        value, found = _of_law(attribute, job | others), getattr(law, attribute)
        if not np.array_equal(value, found):
            said = " ".join(f"{option_name(name)} {_words(job[name])}" for name in names[1:])
            raise _contradiction(options, names[0], f"{_words(job[names[0]])} {said}".strip(),
                                 _words(found))


def _of_law(attribute, job):
    """What the law of the job has for an attribute, whatever the rest of the job is."""
    if attribute in ("feature_probability", "importance"):
        return getattr(job_features(job | {"correlated": [], "anticorrelated": []}), attribute)
    value = job[attribute]
    return tuple(map(tuple, value)) if isinstance(value, list) else value


def _words(value):
    """A value of a law, in few words."""
    if np.size(value) == 0:
        return "none"
    values = np.unique(np.asarray(value)) if np.asarray(value).dtype.kind == "f" else [value]
    return f"{values[0]}" if len(values) == 1 else " ".join(map(str, np.ravel(value)))


def _contradiction(options, name, given, found):
    return ValueError(f"{option_name(name)} {given} contradicts {options.resume}, whose run has "
                      f"{found}: leave the option out, or train anew without --resume")


# -- a place for the result ----------------------------------------------------------------------

def check_output(path, overwrite, *, kind=None, option=True):
    """OSError before the work if `path` cannot be written, or is there and must not be replaced.

    kind : History or Model, where the result is one. A run is replaced by nothing but a run.
    option : whether the command has --overwrite
    """
    check_writable(path)
    if not path.exists():
        return
    if kind is not History and _holds_run(path):
        raise FileExistsError(f"{path} holds a run, which only a run may replace: give another "
                              f"name")
    if not overwrite:
        raise FileExistsError(f"{path} is there already: give another name" +
                              (", or --overwrite to replace it" if option else ""))


def _holds_run(path):
    try:
        return isinstance(load(path), History)
    except ValueError as error:
        return "not defined here" in str(error)         # a run, or a model, of somebody's class


def same_file(a, b):
    """Whether both paths are one file that is there."""
    return a.exists() and b.exists() and a.samefile(b)


def holds_records(path):
    """Whether the file at `path` is one that `claims --json` wrote."""
    try:
        with open_regular(path) as stream:
            records = json.loads(stream.read())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(records, list) and all(
        isinstance(record, dict) and "verdict" in record for record in records)
