"""The rules of the house that a parser can check; CONTRIBUTING.md says why they are there."""

import ast
import re
from pathlib import Path

import pytest

from toymodels_np import known
from toymodels_np.core import streams

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "toymodels_np"
CODE = sorted(path for folder in ("toymodels_np", "tests", "examples")
              for path in (ROOT / folder).rglob("*.py"))
WIDTH = 100             # columns of a line
LONGEST = 45            # lines of a function outside plots
CORE = 950              # lines of core, and
EVENING = 1500          # of what the README proposes for an evening

# Names with an underscore that belong to Python's own protocols.
PROTOCOLS = {"_replace", "_asdict", "_fields", "_make", "_exit", "_repr_png_", "_repr_html_"}
# What the code of others calls private and this project uses all the same, each in one place.
BORROWED = {"store/sweep.py": {"_max_workers"}, "test_sweep.py": {"_max_workers"},
            "benchmark/rivals.py": {"_dynamo"}}
GENERATORS = {"random_stream", "SeedSequence", "default_rng", "RandomState"}    # who makes them
# Files with generators that belong to no stream of core/streams.py, each with the reason.
STREAMLESS = {
    "plots/rows/uniform_geometry.py": "moves dots aside to be seen, and no number depends on it",
    "teaching/explorer/solved.py": "solves one life from one start, which is kept beside it",
    "teaching/figures.py": "draws the same few samples in every copy of the book",
    "teaching/records/features.py": "answers exercises whose learner is given the seed",
    "theory/curvature.py": "begins a method of Lanczos whose answer does not show its start"}

each_file = pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))


def too_wide(text):
    """The numbers of the lines that are too wide."""
    return [number for number, line in enumerate(text.splitlines(), 1) if len(line) > WIDTH]


def too_long(text):
    """(name, lines) of the functions that are too long."""
    return [(node.name, node.end_lineno - node.lineno + 1) for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.end_lineno - node.lineno + 1 > LONGEST]


def private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def borrowed(text):
    """Private names that this text uses and does not define."""
    nodes = list(ast.walk(ast.parse(text)))
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.id for node in nodes if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")}
    own |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
            and not (isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()")}
    used |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom)
             and (node.level or (node.module or "").startswith("toymodels_np"))
             for alias in node.names}
    return {name for name in used - own - PROTOCOLS if private(name)}


def called(call):
    """The name of what is called, without that of its module."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def stream_of(call):
    """The stream that a call draws from, as it is written; "" where it names none."""
    where = call.args[1:2] if called(call) == "random_stream" else []
    if called(call) == "SeedSequence":
        where = [option.value.elts[0] for option in call.keywords if option.arg == "spawn_key"]
    return ast.unparse(where[0]) if where else ""


def without_a_stream(text):
    """What draws random numbers here from no stream with a name, or gives one a number."""
    if not any(word in text for word in (*GENERATORS, "_STREAM")):
        return set()                    # like most files, which need not be parsed
    nodes = list(ast.walk(ast.parse(text)))
    found = {ast.unparse(node) for node in nodes if isinstance(node, ast.Call)
             and called(node) in GENERATORS and not stream_of(node).endswith("_STREAM")}
    return found | {node.id for node in nodes if isinstance(node, ast.Name)
                    and isinstance(node.ctx, ast.Store) and node.id.endswith("_STREAM")}


@each_file
def test_no_line_is_too_wide(path):
    assert too_wide(path.read_text(encoding="utf-8")) == []


@each_file
def test_no_function_is_too_long(path):
    if "plots" not in path.parts:
        assert too_long(path.read_text(encoding="utf-8")) == []


@each_file
def test_no_private_name_crosses_a_file(path):
    allowed = {name for place, names in BORROWED.items() if path.as_posix().endswith(place)
               for name in names}
    assert borrowed(path.read_text(encoding="utf-8")) - allowed == set()


def test_the_rules_are_seen():
    assert too_wide("x" * 100 + "\n" + "x" * 101) == [2]
    assert too_long("def f():\n" + "    pass\n" * 44) == []
    assert too_long("def f():\n" + "    pass\n" * 45) == [("f", 46)]
    assert borrowed("from .other import _f\nx._g()\nself._h") == {"_f", "_g"}
    assert borrowed("import _thread\ndef _f(): pass\nmodule._f(); super()._g()") == set()
    for text in ("random_stream(seed, 7, i)", "streams.random_stream(seed, 1 + k, 0)",
                 "random_stream(seed)", "np.random.SeedSequence(0)", "np.random.default_rng(0)",
                 "SeedSequence(0, spawn_key=(3, i))"):
        assert without_a_stream(f"import numpy as np\nx = [{text}]") == {text}
    assert without_a_stream("MY_STREAM = 11") == {"MY_STREAM"}
    assert without_a_stream("random_stream(0, INIT_STREAM, i)\n"
                            "np.random.SeedSequence(0, spawn_key=(TRAIN_STREAM, i))") == set()


def test_the_fingerprints_are_those_of_the_files():
    """When this fails: see that tests/test_train.py passes, then write the new ones down."""
    found = {name: known.fingerprint(name) for name in known.FINGERPRINTS}
    assert found == known.FINGERPRINTS, f"known.py should have FINGERPRINTS = {found}"
    assert set(found) == set(known.HOW) >= set(known.WHAT)


def test_streams_have_numbers_of_their_own():
    numbers = [value for name, value in vars(streams).items() if name.endswith("_STREAM")]
    assert len(set(numbers)) == len(numbers) >= 10


def test_streams_are_numbered_in_one_place():
    found = {path.relative_to(PACKAGE).as_posix(): without_a_stream(path.read_text("utf-8"))
             for path in PACKAGE.rglob("*.py") if path != Path(streams.__file__)}
    assert {name: said for name, said in found.items() if said and name not in STREAMLESS} == {}
    for name in STREAMLESS:             # with generators of their own, and still with no number
        assert found[name] and not [said for said in found[name] if "default_rng" not in said]


def lines_of(path):
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_core_is_short():
    assert sum(map(lines_of, (PACKAGE / "core").glob("*.py"))) <= CORE


def test_the_evening_is_as_long_as_the_readme_says():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+\.py)` \|[^|]*\| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) >= 8
    assert {path: int(lines) for path, lines, _ in rows} == \
        {path: lines_of(path) for path, *_ in rows}
    total = [sum(int(row[k]) for row in rows) for k in (1, 2)]
    assert total[0] <= EVENING and "{} lines, {} minutes and".format(*total) in text


def test_the_sizes_where_jax_comes_nearest_are_those_that_the_readme_names():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\(\d+, \d+\))[^|\n]*(?:\|[^|\n]*){4}\| ([\d.]+) \|", text,
                      re.MULTILINE)
    least = {size: min(float(ratio) for other, ratio in rows if other == size) for size, _ in rows}
    nearest = [size for size in least if size in sorted(least, key=least.get)[:2]]
    assert len(least) == 6 and len(nearest) == 2
    assert "what holds {} and {} back, where JAX comes nearest".format(*nearest) in \
        " ".join(text.split())
