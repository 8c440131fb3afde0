"""Which code a function is: a hash of all the source that its results are seen to depend on.

A function of a file is that whole file, and the files that it imports from beside it, from its own
package, from this one and from all folders of `sys.path` that are no installation, directly or not:
found by parsing, nothing is imported or run. To these come the function's defaults and the plain
numbers and strings of its file that its code names, as they are now. Pictures are not results:
`plots` does not count. Neither do installed packages, nor what lists, dictionaries and arrays of
the file hold while it runs: put that into the job. The function of a notebook is its own text and
that of the functions and values it names.
"""

import ast
import inspect
import site
import sys
import sysconfig
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType

from ..version import __version__

PACKAGE = __name__.partition(".")[0]
HOME = Path(__file__).resolve().parents[2]              # the folder in which this package lies
NOT_FOLLOWED = f"{PACKAGE}.plots"
INSTALLED = tuple(Path(folder).resolve() for folder in {
    *sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()})
STARTED = time.time()  # a file that is younger may differ from what was imported
PLAIN = (type(None), bool, int, float, complex, str, bytes)
REFUSED = ("function has no source that tells when it changes: {why}; give version=, a text of "
           "your own that you change when its results would change")
_parsed = {}  # (path, time, size): (hash of the text, names it imports)


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
    path = _file(function)
    seen = _source_of_files(function, path) if path else _source_of_notebook(function)
    seen += [f"{key} = {value!r}" for key, value in _values(function)]
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
    found, asked, waiting = {}, {name}, [(name, path)]
    while waiting:
        module, file = waiting.pop()
        found[module] = file
        _check_unchanged(module, file)
        new = imports_of(module, file) - asked
        asked |= new
        places = {other: _place(other, roots) for other in new if not _left_out(other)}
        waiting += [(other, place) for other, place in places.items() if place]
    return found


def _left_out(name):
    return name == NOT_FOLLOWED or name.startswith(f"{NOT_FOLLOWED}.")


def _place(name, roots):
    """The file of the module `name` under one of the roots, or None."""
    for folder, package in roots:
        if package and name.partition(".")[0] != package:
            continue
        stem = folder.joinpath(*name.split("."))
        for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
            if file.is_file():
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
    """(hash of the file's text, its imports: (level, module, name)), read anew if it changed."""
    status = file.stat()
    key = str(file), status.st_mtime_ns, status.st_size
    if key not in _parsed:
        text = file.read_bytes()
        imports = []
        try:
            nodes = ast.walk(ast.parse(text))
        except (SyntaxError, ValueError):
            nodes = ()
        for node in nodes:
            if isinstance(node, ast.Import):
                imports += [(0, alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imports += [(node.level, node.module or "", alias.name) for alias in node.names]
        _parsed[key] = _hash(text), imports
    return _parsed[key]


def _check_unchanged(module, file):
    """RuntimeError if this process runs another text of the file than the one that is there now."""
    if file.stat().st_mtime < STARTED:
        return
    loaded = sys.modules.get(module) or sys.modules["__main__"]
    if getattr(loaded, "__file__", None) is None or Path(loaded.__file__).resolve() != file:
        return
    known = set(_codes(compile(file.read_bytes(), loaded.__file__, "exec", dont_inherit=True)))
    for value in vars(loaded).values():
        code = getattr(value, "__code__", None)
        if isinstance(code, CodeType) and code.co_filename == loaded.__file__ and code not in known:
            raise RuntimeError(f"{file} was edited after this process had read it, at "
                               f"{code.co_name}: start anew, or reload the module, so that results "
                               f"are not kept under the wrong code")


def _codes(code):
    """The code and all codes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


# -- values and notebooks ------------------------------------------------------------------------

def _reached(function):
    """{name: function}: it, those that it wraps, and those of their files that they name."""
    chain = [function]
    while isinstance(inner := getattr(chain[-1], "__wrapped__", None), FunctionType):
        chain.append(inner)
    homes = [value.__globals__ for value in chain]
    found = {}
    waiting = [(f"{value.__qualname__} {depth}", value) for depth, value in enumerate(chain)]
    while waiting:
        name, value = waiting.pop(0)
        if name in found:
            continue
        found[name] = value
        for other in sorted({name for code in _codes(value.__code__) for name in code.co_names}):
            inner = value.__globals__.get(other)
            for depth, home in enumerate(homes):
                if isinstance(inner, FunctionType) and inner.__globals__ is home:
                    waiting.append((f"{other} {depth}", inner))
    return found


def _values(function):
    """The plain values that the function's code and defaults hold: (name, value), in order."""
    found = {}
    for name, value in _reached(function).items():
        own = value.__globals__ is function.__globals__  # else that of what a decorator wraps
        for number, default in enumerate(value.__defaults__ or ()):
            found[f"{name}, default {number}"] = default
        for key, default in (value.__kwdefaults__ or {}).items():
            found[f"{name}, default {key}"] = default
        for other in {name for code in _codes(value.__code__) for name in code.co_names}:
            if other in value.__globals__ and not other.startswith("__"):
                found[f"{other}, {own}"] = value.__globals__[other]
    return sorted((key, value) for key, value in found.items() if _plain(value))


def _plain(value):
    return isinstance(value, PLAIN) and type(value) in PLAIN or (
        type(value) is tuple and all(map(_plain, value)))


def _source_of_notebook(function):
    """The texts of the function and of those that it names, and all of this package."""
    try:
        texts = [inspect.getsource(value) for value in _reached(function).values()]
    except (OSError, TypeError):
        raise TypeError(
            REFUSED.format(why=f"the source of {function.__qualname__} is not there")) from None
    package = followed(PACKAGE, HOME / PACKAGE / "__init__.py", [(HOME, PACKAGE)])
    return texts + [f"{module} {_read(file)[0]}" for module, file in sorted(package.items())]


def _hash(*parts):
    """32 hexadecimal digits for texts, or for one bytes."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()
