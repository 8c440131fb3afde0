"""No stale answer: whatever changes a function changes its code, and it is computed anew."""

import importlib
import itertools
import linecache
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np.store import source

ROOT = Path(__file__).parents[1]
FIRST = {
    "mine.py": """
import numpy as np
import helper
from helper import twice
from folder.inner import LIMIT
import toymodels_np as tm

FACTOR = 2
TABLE = (1, 2.5, "text")
COUNT = []

def part(x):
    return FACTOR * x

@helper.scaled(3)
def f(job, *, offset=1):
    COUNT.append(job)
    return {"y": twice(part(job["x"])) + offset + LIMIT + TABLE[0]}
""",
    "helper.py": """
import functools
import other

def twice(x):
    return other.TWO * x

def scaled(factor):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(job):
            result = function(job)
            return {"y": factor * result["y"]}
        return wrapper
    return decorate
""",
    "other.py": "TWO = 2\n",
    "folder/__init__.py": "SCALE = 1\n",
    "folder/inner.py": "from .deep import LIMIT\n",
    "folder/deep.py": "LIMIT = 0\n",
    "unused.py": "X = 1\n",
}
CHANGES = {
    "the body": ("mine.py", "+ offset + LIMIT", "- offset + LIMIT"),
    "a default": ("mine.py", "offset=1", "offset=2"),
    "a constant": ("mine.py", "FACTOR = 2", "FACTOR = 3"),
    "a decorator's argument": ("mine.py", "scaled(3)", "scaled(4)"),
    "a decorator": ("mine.py", "@helper.scaled(3)\n", ""),
    "a function that it calls": ("mine.py", "FACTOR * x", "FACTOR + x"),
    "the decorator's own file": ("helper.py", "factor * result", "factor + result"),
    "what is imported by what is imported": ("other.py", "TWO = 2", "TWO = 3"),
    "a relative import of a folder": ("folder/deep.py", "LIMIT = 0", "LIMIT = 1"),
    "a package around what is imported": ("folder/__init__.py", "SCALE = 1", "SCALE = 2"),
    "what an import is replaced by": ("mine.py", "import toymodels_np as tm", "import json"),
}
MODULES = ("mine", "helper", "other", "folder", "folder.inner", "folder.deep", "unused")


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A function that loads `mine.py` anew, with the files as they are then."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name, text in FIRST.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def load():
        for name in MODULES:
            sys.modules.pop(name, None)
        return __import__("mine")

    yield load
    for name in MODULES:
        sys.modules.pop(name, None)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_of_a_function_is_computed_anew(loaded, tmp_path, what):
    jobs = [{"x": x} for x in (1, 2, 3)]
    first = tm.sweep(loaded().f, jobs, tmp_path / "out")
    again = tm.sweep(loaded().f, jobs, tmp_path / "out")
    assert (first.computed, again.computed, again.unused) == (3, 0, 0)
    file, old, new = CHANGES[what]
    change(tmp_path / file, old, new)
    f = loaded().f
    report = tm.sweep(f, jobs, tmp_path / "out")
    assert (report.computed, report.found, report.unused) == (3, 0, 3)
    assert "3 results of other code are there and were not used" in str(report)
    table = tm.load_sweep(tmp_path / "out")
    assert table["y"].tolist() == [f(job)["y"] for job in jobs] and set(table["function"]) == {
        "mine.f"
    }
    both = tm.load_sweep(tmp_path / "out", other_code=True)
    assert len(both["y"]) == 6 and len(set(both["function"])) == 2
    change(tmp_path / file, new or "def f(", f"{old}def f(" if not new else old)
    back = tm.sweep(loaded().f, jobs, tmp_path / "out")
    assert (back.computed, back.found) == (0, 3)
    assert len(tm.load_sweep(tmp_path / "out")["y"]) == 3


def test_what_is_not_imported_does_not_count(loaded, tmp_path):
    before = source.identify(loaded().f)
    (tmp_path / "unused.py").write_text("X = 2\n")
    assert source.identify(loaded().f) == before


def test_a_folder_that_may_be_entered_and_not_listed_is_looked_into(loaded, tmp_path, monkeypatch):
    """One of mode 711, of somebody else: a module loaded by its path may lie in it."""
    listed = os.listdir

    def forbidden(folder):
        if Path(folder) == tmp_path:
            raise PermissionError(13, "Permission denied", folder)
        return listed(folder)

    f = loaded().f
    before = source.identify(f)
    monkeypatch.setattr(os, "listdir", forbidden)
    assert source.identify(f) == before


def test_a_library_of_ones_own_on_the_path_counts(loaded, tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "far.py").write_text("def q(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(library))
    text = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(f"import far\n{text}")
    before = source.identify(loaded().f)
    assert source.identify(loaded().f) == before
    (library / "far.py").write_text("def q(x):\n    return 100 * x\n")
    del sys.modules["far"]
    assert source.identify(loaded().f) != before


def test_modules_are_looked_for_where_python_looks(loaded, tmp_path, monkeypatch):
    """The first folder of the path comes first, and there a package before a module."""
    first = tmp_path / "first"
    (first / "far").mkdir(parents=True)
    (first / "far" / "__init__.py").write_text("def q(x):\n    return x\n")
    for other in (first, tmp_path):
        (other / "far.py").write_text("def q(x):\n    return -x\n")
    for entry in (5, "x" * 300, str(first)):
        monkeypatch.setattr(sys, "path", [entry, *sys.path])
    text = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(f"import far\n{text}")

    def identified():
        sys.modules.pop("far", None)
        return source.identify(loaded().f)

    before = identified()
    for other in (first, tmp_path):
        (other / "far.py").write_text("raise ValueError('never imported')\n")
    assert identified() == before
    (first / "far" / "__init__.py").write_text("def q(x):\n    return 100 * x\n")
    assert identified() != before


@pytest.mark.parametrize("name, value", [("FACTOR", 5), ("TABLE", (1, 2)), ("FACTOR", 2.0)])
def test_a_number_that_was_set_while_running_counts(loaded, monkeypatch, name, value):
    module = loaded()
    before = source.identify(module.f), source.identify(module.part)
    monkeypatch.setattr(module, name, value)
    assert source.identify(module.f) != before[0]
    assert (source.identify(module.part) != before[1]) == (name == "FACTOR")


def test_numbers_of_numpy_and_what_a_closure_holds_count(loaded, monkeypatch):
    module = loaded()
    seen = [source.identify(module.f)]
    for factor in (np.float64(2), np.float64(3), np.float32(3), Fraction(3, 2)):
        monkeypatch.setattr(module, "FACTOR", factor)
        seen.append(source.identify(module.f))
    cell, = (cell for cell in module.f.__closure__ if cell.cell_contents == 3)
    monkeypatch.setattr(cell, "cell_contents", 4)
    assert len({*seen, source.identify(module.f)}) == 6


def test_a_function_that_was_replaced_is_refused(loaded, monkeypatch):
    """Its file says another one, and a model's says what tm.train would not do either."""
    module = loaded()
    with monkeypatch.context() as patch:
        patch.setattr(module, "part", lambda x: x)
        with pytest.raises(TypeError, match="mine.part was replaced; give version="):
            source.identify(module.f)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["helper"], "twice", module.part)
        with pytest.raises(TypeError, match="helper.twice was replaced; give version="):
            source.identify(module.f)
    with monkeypatch.context() as patch:
        patch.setattr(tm.ReluOutput, "_forward", lambda self, x: (x, ()))
        with pytest.raises(TypeError, match="ReluOutput._forward was replaced; give version="):
            source.identify(module.f)
    assert source.identify(module.f)


def test_lists_that_grow_do_not_count(loaded):
    """They are records, as often as not; the docstring says that they belong into the job."""
    module = loaded()
    before = source.identify(module.f)
    module.f({"x": 1})
    assert module.COUNT and source.identify(module.f) == before


def test_the_packages_version_counts(loaded, monkeypatch):
    before = source.identify(loaded().f)
    monkeypatch.setattr(source, "__version__", "99")
    assert source.identify(loaded().f)[1] != before[1]


def test_a_version_of_ones_own_stands_above_the_source(loaded, tmp_path):
    jobs = [{"x": 1}]
    tm.sweep(loaded().f, jobs, tmp_path / "out", version="a")
    change(tmp_path / "mine.py", "FACTOR = 2", "FACTOR = 3")
    assert tm.sweep(loaded().f, jobs, tmp_path / "out", version="a").computed == 0
    report = tm.sweep(loaded().f, jobs, tmp_path / "out", version="b")
    assert (report.computed, report.unused) == (1, 1)


def test_a_file_that_was_edited_after_it_was_read_is_refused(loaded, tmp_path):
    module = loaded()
    change(tmp_path / "mine.py", "FACTOR * x", "FACTOR + x")
    with pytest.raises(RuntimeError, match="mine.py was edited after this process had read it"):
        tm.sweep(module.f, [{"x": 1}], tmp_path / "out")
    change(tmp_path / "mine.py", "FACTOR + x", "FACTOR * x")
    change(tmp_path / "helper.py", "return other.TWO * x", "return other.TWO + x")
    with pytest.raises(RuntimeError, match="helper.py was edited"):
        tm.sweep(module.f, [{"x": 1}], tmp_path / "out")
    assert not (tmp_path / "out").exists()


OUTSIDE = {                     # changes of numbers that no function's code has in it
    "a constant": ("other.py", "TWO = 2", "TWO = 3"),
    "a list": ("other.py", "TWO, = [2]", "TWO, = [3]"),
    "a default": ("helper.py", "def twice(x):", "def twice(x, more=1):"),
    "a class's": ("helper.py", "class Law:\n    RATE = 1", "class Law:\n    RATE = 2"),
}


@pytest.mark.parametrize("seen", [True, False], ids=["after a sweep", "before the first"])
@pytest.mark.parametrize("what", OUTSIDE)
def test_so_is_one_whose_numbers_were_edited(loaded, tmp_path, monkeypatch, what, seen):
    """What ran with the old number would be kept as the new one's, and found by whoever has it."""
    file, old, new = OUTSIDE[what]
    path = tmp_path / file
    if old not in path.read_text():
        path.write_text(path.read_text().replace("TWO = 2\n", "") + f"\n{old}\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", seen)
    importlib.invalidate_caches()
    module = loaded()
    if seen:
        tm.sweep(module.f, [{"x": 1}], tmp_path / "out")
    change(path, old, new)
    with pytest.raises(RuntimeError, match=f"{file} was edited .* outside of functions"):
        tm.sweep(module.f, [{"x": 2}], tmp_path / "out")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.reload(sys.modules[path.stem])
    assert tm.sweep(module.f, [{"x": 2}], tmp_path / "out").computed == 1


def test_so_is_one_that_was_edited_by_a_copy_which_keeps_its_time(loaded, tmp_path):
    path = tmp_path / "helper.py"
    module = loaded()
    change(path, "return other.TWO * x", "return other.TWO + x")
    os.utime(path, (source.STARTED - 1000, source.STARTED - 1000))
    with pytest.raises(RuntimeError, match="helper.py was edited"):
        tm.sweep(module.f, [{"x": 1}], tmp_path / "out")


def test_a_function_that_was_renewed_in_place_is_not_refused(loaded, tmp_path):
    """As notebooks reload: a function gets the new code, and the module stays as it is."""
    module, path = loaded(), tmp_path / "helper.py"
    tm.sweep(module.f, [{"x": 1}], tmp_path / "out")
    change(path, "return other.TWO * x", "return other.TWO + x")
    space = {}
    exec(compile(path.read_text(), sys.modules["helper"].__file__, "exec"), space)
    sys.modules["helper"].twice.__code__ = space["twice"].__code__
    sys.modules["helper"].scaled.__code__ = space["scaled"].__code__
    assert tm.sweep(module.f, [{"x": 1}], tmp_path / "out").computed == 1


def test_two_that_share_a_name_are_told_apart(loaded, tmp_path):
    module = loaded()
    tm.sweep(module.f, [{"x": 1}], tmp_path / "out")
    other = lambda job: {"y": 0}
    other.__module__, other.__qualname__ = "mine", "f"
    with pytest.raises(TypeError, match="has another f than this one"):
        tm.sweep(other, [{"x": 1}], tmp_path / "out")


def test_results_of_two_codes_without_a_mark_are_not_mixed(loaded, tmp_path):
    out = tmp_path / "out"
    tm.sweep(loaded().f, [{"x": 1}], out)
    change(tmp_path / "mine.py", "FACTOR = 2", "FACTOR = 3")
    tm.sweep(loaded().f, [{"x": 1}], out)
    for mark in out.glob("code-*.json"):
        mark.write_text("nonsense")
    with pytest.raises(ValueError, match="several codes.*run the sweep again"):
        tm.load_sweep(out)
    assert len(tm.load_sweep(out, other_code=True)["y"]) == 2
    assert tm.sweep(loaded().f, [{"x": 1}], out).found == 1
    assert len(tm.load_sweep(out)["y"]) == 1


# -- scripts and notebooks ------------------------------------------------------------------------

SCRIPT = """
import sys
import toymodels_np as tm
{constant}
def f(job):
    return {{"y": job["x"] * A}}

if __name__ == "__main__":
    print(tm.sweep(f, [{{"x": 1}}], sys.argv[1], progress=False).computed)
"""


def python(*words, text=None):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.stdout.split(), done.stderr


def test_scripts_and_what_is_typed(tmp_path):
    """A script's key is its file's; what was typed has no source, unless a version is given."""
    script, out = tmp_path / "script.py", tmp_path / "out"
    computed = []
    for constant in ("A = 2", "A = 2", "A = 3"):
        script.write_text(SCRIPT.format(constant=constant))
        computed.append(python(script, out)[0])
    assert computed == [["1"], ["0"], ["1"]]
    assert set(tm.load_sweep(out)["function"]) == {"script.f"} and tm.load_sweep(out)[
        "y"
    ].tolist() == [3]


def test_a_script_may_define_functions_after_a_sweep(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(constant="A = 2") + "\n\ndef later(job):\n    return f(job)\n")
    assert python(script, tmp_path / "out") == (["1"], "")


def test_what_was_typed_has_no_source_or_all_of_it(tmp_path):
    """From Python 3.13 on, the interpreter keeps what was typed."""
    typed = "import toymodels_np as tm\n" + "".join(
        f"def f(job):\n    return {{'y': {y}}}\n\n"
        f"print('swept', tm.sweep(f, [{{}}], {str(tmp_path / 'typed')!r}).computed)\n"
        for y in (1, 1, 2))
    words, error = python("-i", "-", text=typed)
    if sys.version_info >= (3, 13):
        assert "Error" not in error
        assert [words[i + 1] for i, word in enumerate(words) if word == "swept"] == ["1", "0", "1"]
    else:
        assert error.count("TypeError: function has no source that tells when it changes") == 3


NOTEBOOK = {
    "a number": "A = 2",
    "a function": "def g(x):\n    return A * x\n",
    "a class": """class M(tm.ReluOutput):
    def _forward(self, x):
        output, kept = super()._forward(x)
        return output * 1.0, kept
""",
    "a cached function": "@lru_cache\ndef cached(x):\n    return x + 1\n",
    "a partial": "part = partial(g, 1)",
    "a default": "def h(x):\n    return 4 * x\n",
    "an object": "class Own:\n    @property\n    def y(self):\n        return 1\nown = Own()\n",
    "a dataclass": "@dataclass\nclass Point:\n    x: int = 1\n",
    "a closure": "def made(k):\n    return lambda x: k * x\nc = made(2)\n",
    "itself": """def f(job, h=h):
    return {"y": g(job["x"]) + cached(1) + part() + h(2) + own.y + M.n + Point().x + c(1)}
""",
}
EDITS = {"a number": ("2", "3"), "a function": ("*", "+"), "a class": ("1.0", "5.0"),
         "a cached function": ("+ 1", "+ 2"), "a partial": ("1", "2"), "a default": ("4", "5"),
         "an object": ("return 1", "return 2"), "a dataclass": ("= 1", "= 2"),
         "a closure": ("made(2)", "made(3)"), "itself": ("+ part()", "- part()")}


def test_a_notebooks_function_is_its_text_and_what_it_leads_to(monkeypatch):
    """As IPython does it: __main__ has no file, and linecache has the cells."""
    numbers = itertools.count()

    def identified(cells):
        notebook = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", notebook)
        vars(notebook).update(tm=tm, lru_cache=lru_cache, partial=partial, dataclass=dataclass)
        for text in cells:
            name = f"<ipython-input-{next(numbers)}>"
            linecache.cache[name] = len(text), None, text.splitlines(True), name
            exec(compile(text, name, "exec"), vars(notebook))
        return source.identify(notebook.f)

    seen = {what: identified([text.replace(*EDITS[what]) if key == what else text
                              for key, text in NOTEBOOK.items()]) for what in [*NOTEBOOK, None]}
    assert len(set(seen.values())) == len(NOTEBOOK) + 1
    assert identified(NOTEBOOK.values()) == seen[None]
    assert {name for name, _ in seen.values()} == {"__main__.f"}


# -- this package's own files ---------------------------------------------------------------------

def test_the_files_that_an_experiment_runs_through_are_found_and_pictures_are_not():
    name = "toymodels_np.experiments.energy_jumps"
    found = source.followed(name, ROOT / f"{name.replace('.', '/')}.py", [(ROOT, "toymodels_np")])
    assert {
        name,
        "toymodels_np.experiments.base",
        "toymodels_np.engine.train",
        "toymodels_np.core.models",
    } <= set(found)
    assert not any("plots" in module.split(".") for module in found)
    assert not {"toymodels_np.experiments.introduction", "toymodels_np.report.page"} & set(found)


def test_what_a_file_imports_in_all_ways(tmp_path):
    lines = [
        "import a.b as c",
        "from a import d, e as f",
        "from . import g",
        "from .h import i",
        "from ..j import k",
        "def f():\n    from l import m",
    ]
    (tmp_path / "x.py").write_text("\n".join(lines))
    found = source.imports_of("top.mid.x", tmp_path / "x.py")
    assert found == {
        "a.b",
        "a",
        "a.d",
        "a.e",
        "top.mid",
        "top.mid.g",
        "top.mid.h",
        "top.mid.h.i",
        "top.j",
        "top.j.k",
        "l",
        "l.m",
    }
