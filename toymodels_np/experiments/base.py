"""What every experiment is: settings, a run for one seed, a figure over the runs, and claims.

A row's file ends with EXPERIMENT = Experiment(...) and runs as `python -m toymodels_np.experiments.NAME`.
"""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from ..engine.train import train
from ..store.sweep import load_rows, sweep

FIRST_SEED = 1000               # lower seeds were tried while sizes and training lengths were chosen; these were not


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's table.

    name : as on the command line           row : its number          title, section : in the paper's terms
    quick, full : settings, JSON-able, with "seeds", how many runs    derivation : the chapter that explains it
    run : a job, the settings and "seed" -> a dictionary of numbers, strings and arrays
    draw : runs, a list of results with their settings, one a seed -> a matplotlib Figure
    claims : tuple of Claim          animate : runs, and how many frames if not 60 -> a page of HTML; or None
    control : settings that make a run the control, on which the claims about training must fail; {} if there is none
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
        """The quick or the full settings, with some of them changed: a dictionary, or items of one."""
        settings = dict(self.full if full else self.quick)
        for key, value in dict(changes).items():
            if key not in settings:
                near = difflib.get_close_matches(key, settings, 1)
                raise ValueError(f"unknown setting {key!r} for {self.name}: " + (
                    f"did you mean {near[0]!r}?" if near else f"known are {', '.join(settings)}"))
            settings[key] = value
        return settings

    def jobs(self, settings):
        """One job a seed."""
        rest = {key: value for key, value in settings.items() if key != "seeds"}
        return [rest | {"seed": FIRST_SEED + i} for i in range(settings["seeds"])]

    def runs(self, settings, out, *, executor=None, progress=None):
        """The results of all seeds, from `out` where they are there; RuntimeError with the reason if one failed."""
        return gather(self.run, self.jobs(settings), Path(out) / self.name, executor=executor, progress=progress)

    def check(self, runs, controls=(), *, full=False):
        """The record of each claim, with the experiment's name and row."""
        return [claim.check(runs, controls, full=full) | {"experiment": self.name, "row": self.row}
                for claim in self.claims]


def fit(model, features, job, **options):
    """`model` trained on `features` as the job says; as it is, where the job is a control with no steps."""
    if job["steps"] == 0:
        return model
    names = ("steps", "batch_size", "learning_rate", "seed")
    return train(model, features, progress=False, **{name: job[name] for name in names} | options).model


def gather(function, jobs, out, *, executor=None, progress=None):
    """The results of a sweep with their jobs' settings, in the order of the jobs; RuntimeError if some failed."""
    report = sweep(function, jobs, out, executor=executor, progress=progress, retry_failed=True)
    rows = [job | outcome for job, outcome in load_rows(out)[:report.jobs]]
    failed = [row["error"] for row in rows if "error" in row]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(rows)} runs failed, the first with {failed[0]}")
    return rows
