"""Checks of arguments; each that fails raises an error with a sentence."""

import math
import numbers

import numpy as np

from ..machine import index as index, memory as memory, plain_array, progress as progress
from .arrays import array_module


def integer(name, value, minimum=1):
    """`value` as an int of at least `minimum`, else TypeError or ValueError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def real(name, value, *, above=None, minimum=None, maximum=None):
    """`value` as a finite float inside the bounds (`above` is exclusive), else an error."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    bounds = {"above": above, "at least": minimum, "at most": maximum}
    allowed = [f"{words} {bound}" for words, bound in bounds.items() if bound is not None]
    try:
        number = float(value)                   # a bound need not fit into the type of `value`
    except OverflowError:                       # an integer or fraction beyond float64
        number = math.inf
    if not (math.isfinite(number) and (above is None or number > above)
            and (minimum is None or number >= minimum) and (maximum is None or number <= maximum)):
        raise ValueError(f"{name} must be {' and '.join(['finite', *allowed])}, got {value}")
    return number


def array(name, value, *, ndim=None, min_ndim=0, dtype=None):
    """`value` as a finite real array with `ndim` (or at least `min_ndim`) axes, else an error.

    Floating dtypes are kept, integers become float64, `dtype` overrides; devices are kept.
    """
    result = plain_array(name, value, array_module(value))
    if result.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {result.dtype}")
    if result.ndim < min_ndim or ndim not in (None, result.ndim):
        wanted = f"at least {min_ndim}" if ndim is None else f"{ndim}"
        raise ValueError(f"{name} must have {wanted} {'axis' if ndim == 1 else 'axes'}, "
                         f"got shape {result.shape}")
    if 0 in result.shape:
        raise ValueError(f"{name} must not be empty, got shape {result.shape}")
    memory(name, 24 * result.size)
    if not bool(array_module(result).isfinite(result).all()):
        raise ValueError(f"{name} must be finite, got NaN or infinite entries")
    kept = np.float64 if result.dtype.kind in "iu" else result.dtype
    return result.astype(kept if dtype is None else dtype, copy=False)


def weights(W, name="W"):
    """`W` as a finite stack of matrices (..., m, n)."""
    return array(name, W, min_ndim=2)


def choice(name, value, allowed):
    """`value` if it is one of the strings `allowed`, else ValueError."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def precision(name, value):
    """`value` as the dtype float32 or float64, else ValueError."""
    if not isinstance(value, (str, type, np.dtype)) or value not in (
            np.float32, np.float64, float, "float32", "float64"):
        raise ValueError(f"{name} must be float32 or float64, got {value!r}")
    return np.dtype(value)


def seed(value):
    """`value` as a non-negative int that seeds the random streams."""
    return integer("seed", value, minimum=0)


def single(features):
    """ValueError for features that have an instance axis."""
    if features.n_instances is not None:
        raise ValueError(f"features must have no instance axis, got {features.n_instances} "
                         f"instances; take features[i]")
