"""What the machine allows: memory, arrays that fit, whether a bar can be seen, executors, threads.
"""

import numbers
import sys
import threading
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

SMALL = 2**26                   # bytes that are not worth a look at what is free
KEPT = 2**25 - 2**16            # bytes of the largest array that the C library may learn from


def progress(value):
    """tqdm's options: a bar, none, or if None one after two seconds where it can be seen."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"progress must be True, False or None, got {value!r}")
    if value is None:
        in_notebook = "ipykernel" in sys.modules
        return {"delay": 2, "leave": False, "disable": False if in_notebook else None}
    return {"delay": 0 if value else 2, "leave": value, "disable": not value}


def check_executor(executor):
    """TypeError unless it is None or an Executor."""
    if executor is not None and not isinstance(executor, Executor):
        hint = ("; a Dask client has client.get_executor()" if hasattr(executor, "get_executor")
                else "")
        raise TypeError(f"executor must be None or a concurrent.futures.Executor, "
                        f"got {executor!r}{hint}")


def memory(name, size):
    """ValueError if `size` bytes would not fit into the memory that is free."""
    if size > SMALL and size > (free := free_memory()):
        taken = min(size, 10**300) / 2**30                              # an int may be no float
        raise ValueError(f"{name} is too large: it would take {taken:,.3g} GiB of memory, "
                         f"and {free / 2**30:.3g} GiB are free")


@cache
def reuse_pages():
    """Let the C library keep the memory of arrays that come and go, some 64 MB of it.

    glibc hands larger arrays back to the system when they are freed, and gets empty pages for the
    next: half of the time of an exact loss. Once it has seen a large array freed it keeps memory of
    that size for others. This one is never written to; other C libraries do not mind.
    """
    np.empty(KEPT, np.uint8)


def plain_array(name, value, library=np):
    """`value` as an array of any dtype: no mask is lost, and nothing is made that would not fit."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(f"{name} must be a plain array, got a masked one: fill what is masked")
    if isinstance(value, range):                # whose numbers NumPy lists before it counts them
        memory(name, 64 * abs(value.stop - value.start) // abs(value.step))
    try:
        result = library.asarray(value)
    except (TypeError, ValueError, MemoryError) as error:
        raise TypeError(f"{name} must be real numbers: {str(error) or 'too large'}") from None
    if result.dtype == object and result.ndim == 0 and not isinstance(value, numbers.Number):
        raise TypeError(f"{name} must be an array of real numbers, got an object of the type "
                        f"{type(value).__name__}")
    return result


def index(value):
    """`value` as a tuple by which arrays may be indexed, else TypeError or IndexError."""
    parts = value if isinstance(value, tuple) else (value,)
    parts = [one if one is None or one is ... or isinstance(one, slice)
             else plain_array("index", one) for one in parts]
    memory("index", 16 * sum(np.size(one) for one in parts))
    for one in parts:                           # NumPy would wrap it round, or know no sentence
        if isinstance(one, np.ndarray) and one.dtype.kind == "u" and (one > sys.maxsize).any():
            raise IndexError(f"index must be below {sys.maxsize}, got {one.max()}")
    return tuple(parts)


def free_memory():
    """Bytes that this process may still take: what the system has free, or what it is allowed."""
    limits = [2**63]
    with suppress(OSError, ValueError, ImportError):                    # not on every system
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits += [1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line]
        resource = import_module("resource")
        limits += [resource.getrlimit(resource.RLIMIT_AS)[0]]
    return min(limit for limit in limits if limit > 0)                  # below 0: no limit


@contextmanager
def one_blas_thread():
    """A context in which each matrix product stays on the thread that asks for it.

    Several threads may be in it at once: the last one that leaves restores what was before.
    """
    with _lock:
        if not _inside:
            _inside.append(_blas().limit(limits=1, user_api="blas"))
        _inside.append(None)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if len(_inside) == 1:
                _inside.pop().restore_original_limits()


@cache
def _blas():
    return ThreadpoolController()


_lock = threading.Lock()
_inside = []                    # the limit, and an entry for each thread that is inside
