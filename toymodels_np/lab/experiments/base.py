"""What every experiment is: settings, a run for one seed, a figure over the runs, and claims."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..sweep import load_rows, sweep

FIRST_SEED = 1000               # lower seeds were tried while sizes and training lengths were chosen; these were not


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's table.

    name : as on the command line           row : its number          title, section : in the paper's terms
    quick, full : settings, JSON-able, with "seeds", how many runs    derivation : the chapter that explains it
    run : a job, the settings and "seed" -> a dictionary of numbers, strings and arrays
    draw : runs, a list of results with their settings, one a seed -> a matplotlib Figure
    claims : tuple of Claim          animate : runs, and how many frames if not 60 -> a page of HTML; or None
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

    def settings(self, full=False):
        return dict(self.full if full else self.quick)

    def jobs(self, settings):
        """One job a seed."""
        rest = {key: value for key, value in settings.items() if key != "seeds"}
        return [rest | {"seed": FIRST_SEED + i} for i in range(settings["seeds"])]

    def runs(self, settings, out, *, executor=None, progress=None):
        """The results of all seeds, from `out` where they are there; RuntimeError with the reason if one failed."""
        return gather(self.run, self.jobs(settings), Path(out) / self.name, executor=executor, progress=progress)

    def check(self, runs):
        """The record of each claim, with the experiment's name and row."""
        return [claim.check(runs) | {"experiment": self.name, "row": self.row} for claim in self.claims]


def gather(function, jobs, out, *, executor=None, progress=None):
    """The results of a sweep with their jobs' settings, in the order of the jobs; RuntimeError if some failed."""
    report = sweep(function, jobs, out, executor=executor, progress=progress, retry_failed=True)
    rows = [job | outcome for job, outcome in load_rows(out)[:report.jobs]]
    failed = [row["error"] for row in rows if "error" in row]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(rows)} runs failed, the first with {failed[0]}")
    return rows
