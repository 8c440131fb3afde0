"""The floors of the package: a module imports from its own floor or from a floor above it.

Floors are folders, so a new file needs no line here. Imports are read from the source, not run.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "toymodels_np"

# From the top floor down; what is named together is one floor.
FLOORS = (("version", "machine", "disk", "early", "interrupts", "subclasses"), ("core",),
          ("known", "penalties"), ("geometry",), ("engine",), ("theory",), ("plots",), ("store",),
          ("experiments",), ("teaching",), ("report",), ("cli",), ("", "__main__"))
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}

# folder: all that it may import from
ONLY = {"engine": {"machine", "core", "known", "penalties", "engine"}}
WITHOUT = {"plots": "theory", "store": "theory"}            # but for its classes
ALONE = {"theory.certify.check"}                            # imports nothing of the package

# Two independent witnesses of the same energies: neither imports the other.
STRANGERS = (("theory.energies", "theory.exact"), ("theory.energies", "theory.estimate"))

# Libraries that only these files or folders may name, by import or as a string.
NAMED_ONLY_BY = {
    "cupy": ("core.arrays", "engine.backends"), "matplotlib": ("plots",),
    "flint": ("theory.certify",), "mpmath": (), "torch": (), "jax": (), "autograd": (),
    "tensorflow": (),
}


def module_name(path):
    """toymodels_np/core/models.py -> "core.models"; an __init__.py -> its package."""
    parts = list(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
PACKAGES = {name for name, path in FILES.items() if path.name == "__init__.py"}


def inside(name, folder):
    """Whether the module `name` is `folder`, or lies in it."""
    return name == folder or name.startswith(f"{folder}.")


def imported(name, source):
    """All that the module `name` imports, dotted, those of the package from toymodels_np on.

    `from . import checks` imports toymodels_np.core.checks; where a name is not a module, its
    module is meant: {module: names that are taken from it}.
    """
    result = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            result |= {alias.name: {""} for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                here = [PACKAGE, *name.split(".")] if name else [PACKAGE]
                up = node.level - (name in PACKAGES)
                base = here[:len(here) - up] + base
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                known = whole.removeprefix(f"{PACKAGE}.") in FILES
                module, taken = (whole, "") if known else (".".join(base), alias.name)
                result.setdefault(module, set()).add(taken)
    return result


def of_ours(modules):
    """Those of the package, without its name: "" is the package itself."""
    return {module.partition(".")[2]: names for module, names in modules.items()
            if module.split(".")[0] == PACKAGE}


def violations(name, source):
    """What the module `name` with this source does against the rules: a list of sentences."""
    modules, folder = imported(name, source), name.split(".")[0]
    found = []
    for inner, names in sorted(of_ours(modules).items()):
        other = inner.split(".")[0]
        if other not in FLOOR:
            found.append(f"{name} imports {inner}, which is on no floor")
        elif FLOOR[other] > FLOOR[folder]:
            found.append(f"{name} imports {inner}, which lies below it")
        if other not in ONLY.get(folder, FLOOR):
            found.append(f"{name} imports {inner}, and {folder} stands on its own")
        classes = all(name[:1].isupper() and not name.isupper() for name in names)
        if other == WITHOUT.get(folder) and not classes:
            found.append(f"{name} imports {inner}, and {folder} knows nothing of {other}")
        if name in ALONE:
            found.append(f"{name} imports {inner}, and must stand alone")
        for pair in STRANGERS:
            for a, b in (pair, pair[::-1]):
                if inside(name, a) and inside(inner, b):
                    found.append(f"{name} imports {inner}, of which it must be independent")
    strings = {node.value for node in ast.walk(ast.parse(source))
               if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    roots = {text.partition(".")[0] for text in {*modules, *strings}}
    return found + [f"{name} names {library}" for library, allowed in NAMED_ONLY_BY.items()
                    if library in roots and not any(inside(name, place) for place in allowed)]


def circle(graph):
    """A circle of imports, as a list of modules, or [] if there is none."""
    try:
        TopologicalSorter(graph).prepare()
        return []
    except CycleError as error:
        return error.args[1]


@pytest.mark.parametrize("name", FILES, ids=lambda name: name or PACKAGE)
def test_a_module_imports_only_from_its_floor_and_above(name):
    assert name.split(".")[0] in FLOOR
    assert violations(name, FILES[name].read_text(encoding="utf-8")) == []


def test_there_are_no_circles():
    graph = {name: set(of_ours(imported(name, path.read_text(encoding="utf-8")))) - {""}
             for name, path in FILES.items()}
    assert circle(graph) == []
    assert len(graph) > 50 and sum(map(len, graph.values())) > 100


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("name, source, said", [
    ("core.models", "from ..engine.train import train", "lies below"),
    ("core.models", "def f():\n    from ..theory import energies", "lies below"),
    ("core.models", "import toymodels_np.theory.phase", "lies below"),
    ("core.models", "from toymodels_np.cli.parser import main", "lies below"),
    ("core.models", "import toymodels_np as tm", "lies below"),
    ("core.models", "from .. import Features", "lies below"),
    ("core.models", "from ..attic import f", "on no floor"),
    ("geometry.tegum", "from ..theory import energies", "lies below"),
    ("theory.phase", "from ..store.sweep import sweep", "lies below"),
    ("engine.train", "from ..theory.phase import phase_diagram", "lies below"),
    ("engine.train", "from ..theory.minima import find_minimum", "on its own"),
    ("engine.train", "from ..geometry.measures import norms", "on its own"),
    ("plots.parts", "from ..theory.phase import PhaseDiagram, phase_diagram", "knows nothing"),
    ("plots.parts", "from ..theory import energies", "knows nothing"),
    ("store.sweep", "from ..theory import energies", "knows nothing"),
    ("theory.certify.check", "from ...core import checks", "stand alone"),
    ("theory.exact.loss", "from ..energies import polygon", "must be independent"),
    ("theory.exact.series", "from .. import energies", "must be independent"),
    ("theory.energies", "from .exact.loss import expected_loss", "must be independent"),
    ("core.models", "import cupy as cp", "names cupy"),
    ("core.models", "import sys\nxp = sys.modules['cupy']", "names cupy"),
    ("report", "from matplotlib import pyplot", "names matplotlib"),
    ("experiments.base", "import matplotlib.figure", "names matplotlib"),
    ("plots.style", "import jax.numpy as jnp", "names jax"),
    ("core.arrays", "import importlib\nt = importlib.import_module('torch.nn')", "names torch"),
    ("core.gradcheck", "from autograd import grad", "names autograd"),
    ("core.optim", "import tensorflow", "names tensorflow"),
    ("theory.minima", "from flint import arb", "names flint"),
])
def test_a_violation_is_caught(name, source, said):
    assert any(said in sentence for sentence in violations(name, source))


@pytest.mark.parametrize("name, source", [
    ("core.models", "import numpy as np\nfrom . import checks\nfrom .arrays import array_module"),
    ("core.arrays", "import sys\nxp = sys.modules['cupy']"),
    ("theory.energies", "from ..core import checks\nfrom ..core.features import Features"),
    ("plots.style", "import matplotlib.figure"),
    ("plots.parts", "from ..theory.phase import PhaseDiagram"),
    ("engine.train", "from ..known import stranger\nfrom ..core.models import Model"),
    ("theory.certify.check", "from fractions import Fraction\nimport flint"),
    ("", "from .core.features import Features\nfrom .theory import energies"),
    ("__main__", "from .cli.parser import main"),
    ("core.models", "# import torch\nx = 'a torch'"),
])
def test_what_is_allowed_passes(name, source):
    assert violations(name, source) == []
