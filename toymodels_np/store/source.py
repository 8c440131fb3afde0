"""Which code a function is: a hash of all the source that its results are seen to depend on.

A function of a file is that whole file, and the files that it imports from beside it, from its own
package, from this one and from all folders of `sys.path` that are no installation, directly or not:
found by parsing, nothing is imported or run. To these come the plain numbers and strings that it
leads to, as they are now: those of its file that its code names, its defaults, what it closes over,
and the same of the functions, classes, partials and methods of its file that it leads to. Pictures
are not results: `plots` does not count. Neither do installed packages, nor what lists,
dictionaries, arrays and other objects of the file hold while it runs: put that into the job. The
function of a notebook is its own text and that of the functions and classes it leads to.
"""

import ast
import inspect
import marshal
import os
import site
import sys
import sysconfig
import time
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property, partial
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType, MethodType

import numpy as np

from ..known import replaced
from ..version import __version__

PACKAGE = __name__.partition(".")[0]
HOME = Path(__file__).resolve().parents[2]              # the folder in which this package lies
NOT_FOLLOWED = f"{PACKAGE}.plots"
INSTALLED = tuple(Path(folder).resolve() for folder in {
    *sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()})
STARTED = time.time()  # a file that is younger may differ from what was imported
PLAIN = (type(None), bool, int, float, complex, str, bytes, Fraction, Decimal)
REFUSED = ("function has no source that tells when it changes: {why}; give version=, a text of "
           "your own that you change when its results would change")
EDITED = ("{file} was edited after this process had read it, at {place}: start anew, or reload the "
          "module, so that results are not kept under the wrong code")
OUTSIDE = "what stands outside of functions"
PYC_HEAD = 16                           # bytes of a compiled file before its code
_parsed = {}                            # (path, times, size): what `_read` says of the file
_seen = {}                              # module: (itself, its spec, its text without functions)


def identify(function, version=None):
    """(the function's name, the code that it is): under these a sweep keeps its results.

    `version` replaces the source. Raises TypeError where there is neither, or no name.
    """
    name = getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(name, str):
        raise TypeError("function must be a function with a name, since results are kept under it, "
                        f"got {function!r}")
    if version is not None:
        if not isinstance(version, str) or not version:
            raise TypeError(f"version must be None or a string that is not empty, got {version!r}")
        return f"{module_name(function)}.{name}", f"version {version}"
    if not isinstance(function, FunctionType):
        raise TypeError(REFUSED.format(why=f"{function!r} is no plain function"))
    if name.endswith("<lambda>"):
        raise TypeError(REFUSED.format(why="it is a lambda"))
    if "<locals>" in name:
        raise TypeError(REFUSED.format(
            why=f"{name} was made inside another function, on whose values it may depend"))
    if why := replaced():
        raise TypeError(REFUSED.format(why=why))
    path = _file(function)
    reached, values = _led_to(function)
    seen = _source_of_files(function, path) if path else _source_of_notebook(function, reached)
    seen += [f"{key} = {value!r}" for key, value in sorted(values.items())]
    return f"{module_name(function)}.{name}", f"{PACKAGE} {__version__}, source {_hash(*seen)}"


def module_name(function):
    """The name of its module; a script's by its file, so that it is the same when imported."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec else Path(path).stem if path else "__main__"


def _file(function):
    """The file of the function's module, None for a notebook's; TypeError if it does not tell."""
    module = sys.modules.get(function.__module__)
    path = getattr(module, "__file__", None)
    if path is None:
        return None
    found = module
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise TypeError(REFUSED.format(
            why=f"{function.__module__} has another {function.__qualname__} than this one"))
    path = Path(path).resolve()
    if path.suffix != ".py" or not path.is_file():
        raise TypeError(REFUSED.format(why=f"{path} is no file of Python source"))
    return path


# -- files ---------------------------------------------------------------------------------------

def _source_of_files(function, path):
    """Hashes of the function's file and of all that it imports and that counts."""
    name = module_name(function)
    depth = len(name.split(".")) - (path.name != "__init__.py")
    root = path.parents[depth] if depth < len(path.parents) else path.parent
    # Of all that is installed, its own package alone.
    own = name.partition(".")[0] if root in INSTALLED else ""
    found = followed(name, path, [*_elsewhere(), (root, own), (HOME, PACKAGE)])
    return [f"{module} {_read(file)[0]}" for module, file in sorted(found.items())]


def _elsewhere():
    """The folders of `sys.path` in which nothing is installed, such as PYTHONPATH's, as roots, in
    Python's order.
    """
    roots = []
    for entry in sys.path:
        if not isinstance(entry, str):
            continue                                            # as Python's import does
        with suppress(OSError, ValueError, RuntimeError):       # no folder can have such a name
            folder = Path(entry or ".").resolve()
            installed = {folder, *folder.parents} & set(INSTALLED) or any(
                folder.glob("*.dist-info"))
            if folder.is_dir() and not installed:
                roots.append((folder, ""))
    return roots


def followed(name, path, roots):
    """{module: file} of a module and of what it imports from `roots`, [(folder, package or "")]."""
    found, asked, waiting, names_in = {}, {name}, [(name, path)], cache(_names_in)
    while waiting:
        module, file = waiting.pop()
        found[module] = file
        _check_unchanged(module, file)
        new = set().union(*map(_packages, {module, *imports_of(module, file)})) - asked
        asked |= new
        places = {other: _place(other, roots, names_in) for other in new if not _left_out(other)}
        waiting += [(other, place) for other, place in places.items() if place]
    return found


def _packages(name):
    """A module's name and those of the packages that it lies in, whose files run before it. This
    one's only say what is public.
    """
    parts = name.split(".")
    first = len(parts) if parts[0] == PACKAGE else 1
    return {".".join(parts[:end]) for end in range(first, len(parts) + 1)}


def _left_out(name):
    return name == NOT_FOLLOWED or name.startswith(f"{NOT_FOLLOWED}.")


def _names_in(folder):
    """The names of all that lies in a folder, or None if it does not let itself be listed."""
    try:
        return frozenset(os.listdir(folder))
    except PermissionError:
        return None
    except OSError:
        return frozenset()


def _place(name, roots, names_in):
    """The file of the module `name` under one of the roots, or None. Most names are none of theirs:
    `names_in(folder)` says so without asking the disk for each.
    """
    def may_lie(place, name):
        names = names_in(place)
        return names is None or name in names

    *packages, last = name.split(".")
    for folder, package in roots:
        if package and name.partition(".")[0] != package:
            continue
        place = str(folder)
        for part in packages:
            if not may_lie(place, part):
                break
            place = os.path.join(place, part)
        else:
            for first, *more in ((last, "__init__.py"), (f"{last}.py",)):
                if may_lie(place, first) and (file := Path(place, first, *more)).is_file():
                    return file
    return None


def imports_of(module, file):
    """All dotted names that the file may import: `from a import b` may be a.b, or a name of a."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    names = set()
    for level, base, inside in _read(file)[1]:
        start = package[:len(package) - level + 1] if level else []
        parts = [*start, *(base.split(".") if base else [])]
        if parts:
            names.add(".".join(parts))
        if inside and parts:
            names.add(".".join([*parts, inside]))
    return names


def _read(file):
    """(hash of the file's text, its imports: (level, module, name), the functions whose names it
    gives to nothing else, the hash of the text without their bodies), read anew if it changed.
    """
    status = file.stat()
    key = str(file), status.st_mtime_ns, status.st_ctime_ns, status.st_size
    if key not in _parsed:
        text = file.read_bytes()
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            tree = ast.Module([], [])
        functions = _functions(tree)
        _parsed[key] = (_hash(text), _imports(tree), [node.name for node in functions],
                        _hash(*_without_bodies(text, functions)))
    return _parsed[key]


def _imports(tree):
    """[(level, module, name)] of all that is imported anywhere."""
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [(node.level, node.module or "", alias.name) for alias in node.names]
    return imports


def _functions(tree):
    """The functions that the module defines, undecorated, and whose names stand for nothing else
    anywhere in its text.
    """
    given = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            given.append(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            given.append(node.id)
        elif isinstance(node, ast.alias):
            given.append((node.asname or node.name).partition(".")[0])
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)
            and not node.decorator_list and given.count(node.name) == 1]


def _without_bodies(text, functions):
    """The lines of the text, of those that are a function's body alone none."""
    lines = text.splitlines()
    for node in functions:
        row, column = node.body[0].lineno - 1, node.body[0].col_offset
        row += bool(lines[row][:column].strip())        # what stands before it is no body
        lines[row:node.end_lineno] = [b""] * (node.end_lineno - row)
    return lines


def _check_unchanged(module, file):
    """An error if this process runs something else than the text of the file that is there now."""
    loaded = sys.modules.get(module) or sys.modules["__main__"]
    if getattr(loaded, "__file__", None) is None or Path(loaded.__file__).resolve() != file:
        return
    if module.partition(".")[0] != PACKAGE:
        for name in {*_read(file)[2]} & {*vars(loaded)}:        # a script may come to others later
            code = getattr(getattr(loaded, name), "__code__", None)
            if code is None or (Path(code.co_filename).name, code.co_name) != (file.name, name):
                raise TypeError(REFUSED.format(why=f"{module}.{name} was replaced"))
    spec, text, status = getattr(loaded, "__spec__", None), _read(file)[3], file.stat()
    before = _seen.get(module, (None, None, text))
    same = before[0] is loaded and before[1] is spec            # since a reload makes a new spec
    if same and before[2] != text:
        raise RuntimeError(EDITED.format(file=file, place=OUTSIDE))
    if max(status.st_mtime, status.st_ctime) >= STARTED:        # a copy brings an old mtime along
        code = compile(file.read_bytes(), loaded.__file__, "exec", dont_inherit=True)
        if not same and _compiled(spec) not in (None, code):
            raise RuntimeError(EDITED.format(file=file, place=OUTSIDE))
        _check_functions(loaded, file, code)
    _seen[module] = loaded, spec, text


def _check_functions(loaded, file, code):
    """An error if the module has functions of its file that are not in the file's code."""
    known = set(_codes(code))
    for value in vars(loaded).values():
        code = getattr(value, "__code__", None)
        if isinstance(code, CodeType) and code.co_filename == loaded.__file__ and code not in known:
            raise RuntimeError(EDITED.format(file=file, place=code.co_name))


def _compiled(spec):
    """The code that Python kept as it read a module, None if it keeps none."""
    with suppress(AttributeError, TypeError, ValueError, EOFError, OSError):
        if not sys.dont_write_bytecode:
            return marshal.loads(Path(spec.cached).read_bytes()[PYC_HEAD:])
    return None


def _codes(code):
    """The code and all codes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


# -- values and notebooks ------------------------------------------------------------------------

def _led_to(function):
    """What the function leads to: ({name: function}, {name: plain value}).

    It leads to what it names, holds as a default, closes over and wraps, and so do the functions
    and classes that it leads to, of its own file and of those that it wraps.
    """
    homes, inner = [], function
    while isinstance(inner, FunctionType):
        homes.append(inner.__globals__)
        inner = getattr(inner, "__wrapped__", None)
    functions, values, seen = {}, {}, {}
    waiting = [(function.__qualname__, function)]
    while waiting:
        name, value = waiting.pop(0)
        if _plain(value):
            values[name] = value
            continue
        home = _home(value)
        if id(value) in seen or home is not None and not any(home is one for one in homes):
            continue
        seen[id(value)] = value                             # held, so that no other has its number
        if isinstance(value, FunctionType):
            functions[name] = value
        waiting += [(f"{name} > {part}", inside) for part, inside in _leads(value)]
    return functions, values


def _home(value):
    """The names of the module in which a function or a class was made, else None."""
    if isinstance(value, FunctionType):
        return value.__globals__
    return vars(sys.modules.get(value.__module__, value)) if isinstance(value, type) else None


def _leads(value):
    """[(name, what is there)] of all that a function, a class or something made of them leads to.
    """
    if isinstance(value, FunctionType):
        named = sorted({name for code in _codes(value.__code__) for name in code.co_names})
        cells = zip(value.__code__.co_freevars, value.__closure__ or ())
        return [*((name, value.__globals__[name]) for name in named if name in value.__globals__
                  and not name.startswith("__")),
                *((f"default {i}", default) for i, default in enumerate(value.__defaults__ or ())),
                *((f"default {name}", a) for name, a in (value.__kwdefaults__ or {}).items()),
                *((name, content) for name, cell in cells for content in _contents(cell)),
                ("wrapped", getattr(value, "__wrapped__", None))]
    if isinstance(value, type):
        inside = sorted(vars(value).items())
        return [("names", tuple(name for name, _ in inside)),
                *((name, a) for name, a in inside
                  if not name.startswith("__") or isinstance(a, FunctionType)),
                *((f"base {i}", base) for i, base in enumerate(value.__bases__))]
    if isinstance(value, partial):
        return [("of", value.func), *enumerate(value.args), *sorted(value.keywords.items())]
    if isinstance(value, property):
        return [("get", value.fget), ("set", value.fset), ("delete", value.fdel)]
    if isinstance(value, cached_property):
        return [("get", value.func)]
    if isinstance(value, (staticmethod, classmethod)):
        return [("method", value.__func__)]
    if isinstance(value, MethodType):
        return [("method", value.__func__), ("of", value.__self__)]
    return [("wrapped", inspect.getattr_static(value, "__wrapped__", None)), ("class", type(value))]


def _contents(cell):
    """[what a variable of a closure holds], or [] where it holds nothing yet."""
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def _plain(value):
    return type(value) in PLAIN or isinstance(value, np.generic) or (
        type(value) is tuple and all(map(_plain, value)))


def _source_of_notebook(function, reached):
    """The texts of the functions that it leads to, and all of this package."""
    try:
        texts = [_text(value) for value in reached.values()]
    except (OSError, TypeError):
        raise TypeError(
            REFUSED.format(why=f"the source of {function.__qualname__} is not there")) from None
    package = followed(PACKAGE, HOME / PACKAGE / "__init__.py", [(HOME, PACKAGE)])
    return texts + [f"{module} {_read(file)[0]}" for module, file in sorted(package.items())]


def _text(function):
    """Its source; of what a decorator of classes wrote, such as dataclass, its byte code."""
    code = function.__code__
    if code.co_filename == "<string>":
        return f"{code.co_code!r} {code.co_names} {[c for c in code.co_consts if _plain(c)]}"
    return inspect.getsource(function)


def _hash(*parts):
    """32 hexadecimal digits for texts, or for one bytes."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()
