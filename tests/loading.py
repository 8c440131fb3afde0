"""What tests of the examples share: loading one by its path, and how each refuses."""

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    """The example as a module; it finds common.py beside it, as when it is run as a script."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module


def assert_refused(module, arguments, words, capsys):
    """The example ends with exit code 2 and one line on stderr that holds these words, no more."""
    with pytest.raises(SystemExit) as stop:
        module.main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == 2 and said.out == ""
    assert said.err.startswith("error: ") and said.err.endswith("; see --help\n")
    assert said.err.count("\n") == 1
    missing = [word for word in words if word not in said.err]
    assert not missing, f"{missing} not in {said.err!r}"
