"""rows: the figures of the paper's experiments, a file each, named like the experiment's.

Each has `figure(...)`: arrays in, a Figure out; nothing is computed. A file is imported when it is
asked for.
"""

from importlib import import_module


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
