"""What the machine allows: how much memory is free, and whether a progress bar can be seen."""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

SMALL = 2**26                   # bytes that are not worth a look at what is free


def progress(value):
    """tqdm's options: a bar, none, or if None one after two seconds where it can be seen."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"progress must be True, False or None, got {value!r}")
    if value is None:
        in_notebook = "ipykernel" in sys.modules
        return {"delay": 2, "leave": False, "disable": False if in_notebook else None}
    return {"delay": 0 if value else 2, "leave": value, "disable": not value}


def memory(name, size):
    """ValueError if `size` bytes would not fit into the memory that is free."""
    if size > SMALL and size > (free := free_memory()):
        taken = min(size, 10**300) / 2**30                              # an int may be no float
        raise ValueError(f"{name} is too large: it would take {taken:,.3g} GiB of memory, "
                         f"and {free / 2**30:.3g} GiB are free")


def free_memory():
    """Bytes that this process may still take: what the system has free, or what it is allowed."""
    limits = [2**63]
    with suppress(OSError, ValueError, ImportError):                    # not on every system
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits += [1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line]
        resource = import_module("resource")
        limits += [resource.getrlimit(resource.RLIMIT_AS)[0]]
    return min(limit for limit in limits if limit > 0)                  # below 0: no limit
