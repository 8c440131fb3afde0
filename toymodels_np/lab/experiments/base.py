"""What every experiment is: settings, a run for one seed, a figure over the runs, and claims."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..sweep import load_sweep, sweep


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's table.

    name : as on the command line           row : its number          title, section : in the paper's terms
    quick, full : settings, JSON-able, with "seeds", how many runs    derivation : the chapter that explains it
    run : a job, the settings and "seed" -> a dictionary of numbers, strings and arrays
    draw : runs, a list of results with their settings, one a seed -> a matplotlib Figure
    claims : tuple of Claim
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

    def settings(self, full=False):
        return dict(self.full if full else self.quick)

    def jobs(self, settings):
        """One job a seed."""
        rest = {key: value for key, value in settings.items() if key != "seeds"}
        return [rest | {"seed": seed} for seed in range(settings["seeds"])]

    def runs(self, settings, out, *, executor=None, progress=None):
        """The results of all seeds, from `out` where they are there; RuntimeError with the reason if one failed."""
        jobs = self.jobs(settings)
        folder = Path(out) / self.name
        report = sweep(self.run, jobs, folder, executor=executor, progress=progress, retry_failed=True)
        table = load_sweep(folder)
        rows = [{key: column[row] for key, column in table.items()} for row in range(report.jobs)]
        failed = [row["error"] for row in rows if row["error"]]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(rows)} runs of {self.name} failed, the first with {failed[0]}")
        return rows

    def check(self, runs):
        """The record of each claim, with the experiment's name and row."""
        return [claim.check(runs) | {"experiment": self.name, "row": self.row} for claim in self.claims]


def timed(function, *arguments):
    """(what the function returns, seconds)."""
    start = time.perf_counter()
    return function(*arguments), time.perf_counter() - start
