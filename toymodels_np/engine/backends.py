"""Where training runs: on the host, or on a GPU through CuPy, which only this file imports."""

from ..core.arrays import is_device_array

BACKENDS = ("numpy", "cupy")


def backend_of(*arrays):
    """Which of BACKENDS `arrays` belong to."""
    return "cupy" if any(map(is_device_array, arrays)) else "numpy"


def device_module():
    """The module cupy, once it has added two numbers on a GPU.

    Else ImportError or RuntimeError with a sentence.
    """
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            f'backend="cupy" needs CuPy: pip install "toymodels_np[gpu]" for CUDA 12, or see '
            f"https://docs.cupy.dev/en/stable/install.html ({error})") from error
    try:
        cupy.ones(2).sum()
    except Exception as error:                  # no driver, no GPU, no CUDA: each has its own class
        raise RuntimeError(f'backend="cupy" needs a GPU that CuPy can use: {error}') from error
    return cupy
