"""Which array library an array belongs to: NumPy, or CuPy where a GPU is used."""

import sys

import numpy as np


def is_device_array(array):
    """True if `array` lives on a GPU (a CuPy array). CuPy is never imported for the question."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def array_module(*arrays):
    """The module (numpy or cupy) whose functions work on all of `arrays`."""
    return sys.modules["cupy"] if any(map(is_device_array, arrays)) else np


def to_host(array):
    """`array` as a NumPy array; copies from the GPU if it lives there."""
    return sys.modules["cupy"].asnumpy(array) if is_device_array(array) else np.asarray(array)


def transpose(array):
    """The matrices of a stack transposed: (..., a, b) -> (..., b, a), as a view."""
    return array.swapaxes(-1, -2)
