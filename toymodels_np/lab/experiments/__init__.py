"""The paper's experiments, one file a row of its table or a few rows that belong together: run, drawn and claimed."""

import time

from .absolute_superposition import ABSOLUTE_SUPERPOSITION
from .absolute_value import ABSOLUTE_VALUE
from .adversarial import ADVERSARIAL
from .asymmetric_motif import ASYMMETRIC_MOTIF
from .base import gather
from .correlated_sets import CORRELATED_SETS
from .demonstration import DEMONSTRATION, DEMONSTRATION_LARGER
from .energy_jumps import ENERGY_JUMPS
from .introduction import INTRODUCTION
from .learning_dynamics import LEARNING_DYNAMICS
from .local_bases import LOCAL_BASES
from .perturbed_pentagon import PERTURBED_PENTAGON
from .phases import PHASE_THREE_TWO, PHASE_TWO_ONE
from .principal_components import PRINCIPAL_COMPONENTS
from .privileged_basis import PRIVILEGED_BASIS
from .uniform_geometry import UNIFORM_GEOMETRY

ROWS = (INTRODUCTION, DEMONSTRATION, DEMONSTRATION_LARGER, PHASE_TWO_ONE, PHASE_THREE_TWO, UNIFORM_GEOMETRY,
        PERTURBED_PENTAGON, CORRELATED_SETS, LOCAL_BASES, PRINCIPAL_COMPONENTS, ENERGY_JUMPS, LEARNING_DYNAMICS,
        ADVERSARIAL, PRIVILEGED_BASIS, ABSOLUTE_VALUE, ABSOLUTE_SUPERPOSITION, ASYMMETRIC_MOTIF)
EXPERIMENTS = {experiment.name: experiment for experiment in ROWS}


def run_named(job):
    """The run of the experiment that the job names, with its time in seconds."""
    start = time.perf_counter()
    result = EXPERIMENTS[job["experiment"]].run({key: value for key, value in job.items() if key != "experiment"})
    return result | {"seconds": time.perf_counter() - start}


def run_all(names, out, *, full=False, executor=None, progress=None):
    """{name: runs} of these experiments, all seeds of all in one sweep under `out`; what is there is not run."""
    jobs = [{"experiment": name} | job for name in names
            for job in EXPERIMENTS[name].jobs(EXPERIMENTS[name].settings(full))]
    rows = gather(run_named, jobs, out, executor=executor, progress=progress)
    return {name: [row for row in rows if row["experiment"] == name] for name in names}
