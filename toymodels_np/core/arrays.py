"""Which array library an array belongs to: NumPy, or CuPy where it is installed. Nothing else names cupy."""

import sys

import numpy as np

BACKENDS = ("numpy", "cupy")                    # where training runs: on the host, or on a GPU


def is_device_array(array):
    """True if `array` lives on a GPU (a CuPy array). CuPy is never imported for the question."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def array_module(*arrays):
    """The module (numpy or cupy) whose functions work on all of `arrays`."""
    return sys.modules["cupy"] if any(map(is_device_array, arrays)) else np


def backend_of(*arrays):
    """Which of BACKENDS `arrays` belong to."""
    return BACKENDS[any(map(is_device_array, arrays))]


def device_module():
    """The module cupy, once it has added two numbers on a GPU; else ImportError or RuntimeError with a sentence."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(f'backend="cupy" needs CuPy: pip install "toymodels_np[gpu]" for CUDA 12, or see '
                          f'https://docs.cupy.dev/en/stable/install.html ({error})') from error
    try:
        cupy.ones(2).sum()
    except Exception as error:                  # no driver, no GPU, no CUDA libraries: each has a class of its own
        raise RuntimeError(f'backend="cupy" needs a GPU that CuPy can use: {error}') from error
    return cupy


def to_host(array):
    """`array` as a NumPy array; copies from the GPU if it lives there."""
    return sys.modules["cupy"].asnumpy(array) if is_device_array(array) else np.asarray(array)


def transpose(array):
    """The matrices of a stack transposed: (..., a, b) -> (..., b, a), as a view."""
    return array.swapaxes(-1, -2)
