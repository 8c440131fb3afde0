"""What every experiment is: settings, a run for one seed, a figure over the runs, and claims.

A row's file ends with EXPERIMENT = Experiment(...) and runs as
`python -m toymodels_np.experiments.NAME`.
"""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..core import checks
from ..engine.train import train
from ..store.sweep import sweep_rows

FIRST_SEED = 1000       # lower seeds were tried while sizes and lengths were chosen; these were not
FRESH_SEED = 2000       # from here on are seeds on which verdicts are held against those of 1000
WHOLE, NUMBER = "a whole number", "a number"    # sorts of settings
NEEDED = ("n_features", "n_hidden", "models", "sweep_models", "linear_models", "starts", "kept",
          "turns", "cells", "every", "batch_size")      # counts of what no run can be without


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's table.

    name : as on the command line                   row : its number
    title, section : in the paper's terms           derivation : the chapter that explains it
    quick, full : settings, JSON-able, with "seeds", how many runs; whole numbers are counts
    run : a job, the settings and "seed" -> a dictionary of numbers, strings and arrays
    draw : runs, a list of results with their settings, one a seed -> a matplotlib Figure
    claims : tuple of Claim
    animate : runs, and how many frames if not 60 -> a page of HTML; or None
    control : settings that make a run the control, on which the claims about training must fail;
        {} if there is none
    """

    name: str
    row: int
    title: str
    section: str
    derivation: str
    quick: dict
    full: dict
    run: Callable
    draw: Callable
    claims: tuple
    animate: Callable | None = None
    control: dict = field(default_factory=lambda: {"steps": 0})

    def settings(self, full=False, changes=()):
        """The quick or the full settings, with `changes` to some: a dictionary, or items of one.

        Raises ValueError for a setting that there is none of, a value of another sort, or a count
        that is too low.
        """
        if not isinstance(full, bool):
            raise TypeError(f"full must be True or False, got {full!r}")
        known = self.full if full else self.quick
        settings = dict(known)
        for key, value in _changes(changes):
            if not isinstance(key, str):
                raise TypeError(f"settings have names, got {key!r}")
            if key not in settings:
                near = difflib.get_close_matches(key, settings, 1)
                raise ValueError(f"unknown setting {key!r} for {self.name}: " + (
                    f"did you mean {near[0]!r}?" if near else f"known are {', '.join(settings)}"))
            _check_sort(key, settings[key], value)
            settings[key] = value
        if settings["seeds"] < 1:
            raise ValueError(f"seeds must be a whole number of at least 1, "
                             f"got {settings['seeds']!r}")
        for key, value in settings.items():
            _check_count(key, known[key], value)
        return settings

    def jobs(self, settings, first_seed=FIRST_SEED):
        """One job a seed; `settings` are a dictionary with "seeds", how many."""
        checks.integer("first_seed", first_seed, minimum=0)
        if not isinstance(settings, dict):
            raise TypeError(f"settings must be a dictionary, got {settings!r}")
        checks.memory("seeds", 500 * checks.integer("seeds", settings.get("seeds")))
        rest = {key: value for key, value in settings.items() if key != "seeds"}
        return [rest | {"seed": first_seed + i} for i in range(settings["seeds"])]

    def runs(self, settings, out, *, first_seed=FIRST_SEED, executor=None, progress=None):
        """The results of all seeds, from `out` where they are there; RunsFailed if one failed."""
        part = self.run, self.jobs(settings, first_seed), Path(out) / self.name
        (_, rows), = sweep_rows([part], executor=executor, progress=progress)
        return [outcome | job for job, outcome in rows]

    def check(self, runs, controls=(), *, full=False):
        """The record of each claim, with the experiment's name and row."""
        return [claim.check(runs, controls, full=full)
                | {"experiment": self.name, "row": self.row} for claim in self.claims]


def fit(model, features, job, **options):
    """`model` trained on `features` as the job says; as it is, where the job is a control.

    A control has no steps. `options` go to `train`, and stand above the job's settings.
    """
    names = ("steps", "batch_size", "learning_rate", "seed")
    options = {name: job[name] for name in names} | options
    if job["steps"] == 0 or options["steps"] == 0:
        return model
    return train(model, features, progress=False, **options).model


def _changes(changes):
    """The items of a dictionary, or of what makes one, else TypeError."""
    try:
        if isinstance(changes, (dict, list, tuple)):
            return dict(changes).items()
        raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"changes must be a dictionary of settings, got {changes!r}") from None


def _check_sort(key, known, value):
    """ValueError unless `value` is a number, text, a list … as the setting's known value is.

    Where a number of any size is known, whole ones will do. The items of a list are of one sort.
    """
    sort, given = _sort(known), _sort(value)
    if given != sort and (given, sort) != (WHOLE, NUMBER):
        raise ValueError(f"the setting {key!r} must be {sort}, such as {known!r}, got {value!r}")
    if sort == "a list" and known:
        model = next((item for item in known if _sort(item) == NUMBER), known[0])
        for item in value:
            _check_sort(key, model, item)


def _check_count(key, known, value):
    """ValueError if a whole number is negative, or 0 where none will not do.

    A run that had it would fail with NumPy's words, or leave something out and say nothing.
    """
    least = int(key in NEEDED)
    if _sort(known) == WHOLE and value < least:
        raise ValueError(f"the setting {key!r} must be at least {least}, got {value}")


def _sort(value):
    """What a JSON value is, in words."""
    if isinstance(value, bool) or value is None:
        return "true, false or null"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    for kind, words in ((int, WHOLE), (float, NUMBER), (str, "text"), (list, "a list"),
                        (dict, "a table")):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"
