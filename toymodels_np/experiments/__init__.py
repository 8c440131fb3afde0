"""experiments: check the paper. One runnable file a row of its table: constants, run, what is
measured, claims.

The package is a mapping from names to experiments, in the order of the rows:
`tm.experiments["phase-2-1"]`. A row's file is imported when it is asked for. A new experiment is
one file and one line in NAMES.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

NAMES = (
    "introduction",                     # 1
    "demonstration",
    "demonstration-larger",
    "phase-2-1",
    "phase-3-2",                        # 5
    "uniform-geometry",
    "perturbed-pentagon",
    "correlated-sets",
    "local-bases",
    "principal-components",             # 10
    "energy-jumps",
    "learning-dynamics",
    "adversarial",
    "privileged-basis",
    "absolute-value",                   # 15
    "absolute-value-superposition",
    "asymmetric-motif",
)


class Experiments(ModuleType, Mapping):
    """The package `experiments` as a mapping: the name `a-b` stands for EXPERIMENT in the file
    `a_b.py`.
    """

    __hash__ = ModuleType.__hash__              # a Mapping has none, but tools keep modules in sets

    def __getitem__(self, name):
        if name not in NAMES:
            raise KeyError(name)
        return import_module(f".{name.replace('-', '_')}", __name__).EXPERIMENT

    def __iter__(self):
        return iter(NAMES)

    def __len__(self):
        return len(NAMES)

    def __repr__(self):
        return f"experiments: {', '.join(NAMES)}"


sys.modules[__name__].__class__ = Experiments
