"""The paper's experiments, one file a row of its table or a few rows that belong together: run, drawn and claimed."""

import time
from importlib import import_module
from pkgutil import iter_modules

from .base import Experiment, gather

_found = [value for module in iter_modules(__path__) for value in vars(import_module(f".{module.name}", __name__)).values()
          if isinstance(value, Experiment)]
EXPERIMENTS = {experiment.name: experiment for experiment in sorted(_found, key=lambda e: e.row)}


def run_named(job):
    """The run of the experiment that the job names, with its time in seconds."""
    start = time.perf_counter()
    result = EXPERIMENTS[job["experiment"]].run({key: value for key, value in job.items() if key != "experiment"})
    return result | {"seconds": time.perf_counter() - start}


def run_all(names, out, *, full=False, executor=None, progress=None):
    """{name: runs} of these experiments, all seeds of all of them in one sweep under `out`; what is there is not run."""
    jobs = [{"experiment": name} | job for name in names
            for job in EXPERIMENTS[name].jobs(EXPERIMENTS[name].settings(full))]
    rows = gather(run_named, jobs, out, executor=executor, progress=progress)
    return {name: [row for row in rows if row["experiment"] == name] for name in names}
