"""The four floors of the package: a module imports only from files above it. Imports are read from the source, not run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "toymodels_np"

# From the top floor down. A file may import any file that stands before it, and no other file of the package.
ORDER = [
    "version",
    "core.arrays", "core.checks", "core.features", "core.models", "core.optim", "core.gradcheck", "core.events", "core.passes",
    "core.fast", "core.device", "core.threads", "core.train", "core",
    "geometry.measures", "geometry.align", "geometry.polytopes", "geometry.tegum", "geometry.neurons", "geometry",
    "theory.energies", "theory.corners", "theory.series", "theory.estimate", "theory.exact", "theory.minima",
    "theory.phase", "theory.branches", "theory.flow", "theory.attack", "theory",
    "lab.files", "lab.saving", "lab.chunks", "lab.sweep", "lab.jobs", "lab.claims",
    *(f"lab.figures.{name}" for name in ("style", "parts", "theory", "phases", "training", "sweeps", "animation")),
    "lab.figures",
    "experiments.base",
    *(f"experiments.{name}" for name in (
        "introduction", "demonstration", "phases", "uniform_geometry", "perturbed_pentagon", "correlated_sets",
        "local_bases", "principal_components", "energy_jumps", "learning_dynamics", "adversarial", "privileged_basis",
        "absolute_value", "absolute_superposition", "asymmetric_motif")),
    "experiments", "lab.report", "lab.show", "lab.commands", "lab.cli", "lab.__main__", "lab",
    "",                                                         # the package itself: its public names
    "__main__",                                                 # python -m toymodels_np
]

# Two independent witnesses of the same energies: neither imports the other.
STRANGERS = [("theory.energies", f"theory.{name}") for name in ("corners", "series", "exact", "estimate")]

# Libraries that only these files may name, by import or as the string that sys.modules and importlib take.
NAMED_ONLY_BY = {
    "cupy": {"core.arrays"},
    "matplotlib": {name for name in ORDER if name.startswith("lab.figures.")},
    "torch": set(), "jax": set(), "autograd": set(), "tensorflow": set(),
}


def module_name(path):
    """toymodels_np/core/models.py -> "core.models"; an __init__.py -> its package; the top one -> ""."""
    parts = list(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
PACKAGES = {name for name, path in FILES.items() if path.name == "__init__.py"}


def imported(name, source):
    """All that the module `name` imports: a set of dotted names, those of the package from toymodels_np on.

    `from . import checks` imports toymodels_np.core.checks; where a name is not a module, its module is meant.
    """
    result = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                here = [PACKAGE, *name.split(".")] if name else [PACKAGE]
                up = node.level - (name in PACKAGES)
                base = here[:len(here) - up] + base
            for alias in node.names:
                inside = ".".join([*base, alias.name])
                result.add(inside if inside.removeprefix(f"{PACKAGE}.") in {*ORDER, *FILES} else ".".join(base))
    return result


def violations(name, source):
    """What the module `name` with this source does against the rules: a list of sentences."""
    if name not in ORDER:
        return [f"{name} is not in the order of files"]
    found = []
    modules = imported(name, source)
    for module in sorted(modules):
        root, _, inner = module.partition(".")
        if root != PACKAGE:
            continue
        if inner not in ORDER:
            found.append(f"{name} imports {module}, which is not in the order of files")
        elif ORDER.index(inner) >= ORDER.index(name):
            found.append(f"{name} imports {inner}, which does not stand above it")
        if any({name, inner} == set(pair) for pair in STRANGERS):
            found.append(f"{name} imports {inner}, of which it must be independent")
    strings = {node.value for node in ast.walk(ast.parse(source))
               if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    roots = {text.partition(".")[0] for text in modules | strings}
    return found + [f"{name} names {library}" for library, allowed in NAMED_ONLY_BY.items()
                    if library in roots and name not in allowed]


@pytest.mark.parametrize("name", FILES, ids=lambda name: name or PACKAGE)
def test_a_module_imports_only_what_stands_above_it(name):
    assert violations(name, FILES[name].read_text(encoding="utf-8")) == []


def test_the_order_names_every_file_once():
    assert len(set(ORDER)) == len(ORDER)
    assert set(FILES) <= set(ORDER)


@pytest.mark.parametrize("name, source, said", [
    ("core.models", "from .train import train", "does not stand above"),
    ("core.models", "from . import train", "does not stand above"),
    ("core.models", "def f():\n    from ..theory import energies", "does not stand above"),
    ("core.models", "import toymodels_np.theory.phase", "does not stand above"),
    ("core.models", "from toymodels_np.cli import main", "does not stand above"),
    ("core.models", "import toymodels_np as tm", "does not stand above"),
    ("core.models", "from .. import Features", "does not stand above"),
    ("core.models", "from .models import Model", "does not stand above"),
    ("core.models", "from .nowhere import f", "not in the order"),
    ("core.nowhere", "", "not in the order"),
    ("theory.exact", "from .energies import polygon", "must be independent"),
    ("theory.exact", "from . import energies", "must be independent"),
    ("theory.energies", "from .exact import expected_loss", "must be independent"),
    ("core.models", "import cupy as cp", "names cupy"),
    ("core.models", "import sys\nxp = sys.modules['cupy']", "names cupy"),
    ("lab.report", "from matplotlib import pyplot", "names matplotlib"),
    ("experiments.base", "import matplotlib.figure", "names matplotlib"),
    ("lab.figures.style", "from .parts import draw_stack", "does not stand above"),
    ("lab.figures.style", "import jax.numpy as jnp", "names jax"),
    ("core.arrays", "import importlib\nt = importlib.import_module('torch.nn')", "names torch"),
    ("core.gradcheck", "from autograd import grad", "names autograd"),
    ("core.optim", "import tensorflow", "names tensorflow"),
])
def test_a_violation_is_caught(name, source, said):
    assert any(said in sentence for sentence in violations(name, source))


@pytest.mark.parametrize("name, source", [
    ("core.models", "import numpy as np\nfrom . import checks\nfrom .arrays import array_module"),
    ("core.arrays", "import sys\nxp = sys.modules['cupy']"),
    ("theory.energies", "from ..core import checks\nfrom ..core.features import Features\nfrom scipy import optimize"),
    ("lab.figures.style", "import matplotlib.figure"),
    ("lab.figures", "from .style import canvas"),
    ("", "from .core.features import Features\nfrom .theory import energies"),
    ("__main__", "from .lab.cli import main"),
    ("core.models", "# import torch\nx = 'a torch'"),
])
def test_what_is_allowed_passes(name, source):
    assert violations(name, source) == []
