"""A stand-in for CuPy on machines without a GPU: the few of its names that the package uses, on
NumPy arrays inside.

It is as strict as CuPy or stricter. An array refuses to become a NumPy array unless it is asked by
name, NumPy's functions refuse it, and no operation takes a NumPy array beside it. What crosses
between host and device is counted in `transfers`, and operands of matrix products that CuPy would
copy in `copies`. Kernels are run from their C++ text, of which only what means the same in Python
is allowed; element by element they see what C++ would see, so that an output that is also an input
is written where it stands.
"""

import re

import numpy as np

transfers = []                                  # what crossed, in words, in order
copies = []                                     # sizes of operands that were not contiguous


class ndarray:
    """An array on the device."""

    __array_ufunc__ = None         # NumPy's operators leave it to ours, which refuse NumPy's arrays

    def __init__(self, values):
        assert type(values) is np.ndarray
        self._values = values

    shape, dtype, ndim, size = (property(lambda self, name=name: getattr(self._values, name))
                                for name in ("shape", "dtype", "ndim", "size"))

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. "
                        "Please use `.get()` to construct a NumPy array explicitly.")

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} was given an array on the device")

    def get(self):
        transfers.append(f"get {self.shape}")
        return self._values.copy()

    def item(self):
        transfers.append("item")
        return self._values.item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return _wrap(self._values[_index(index)])

    def __setitem__(self, index, value):
        self._values[_index(index)] = _unwrap(value)

    def __matmul__(self, other):
        return matmul(self, other)


def _wrap(values):
    return ndarray(np.asarray(values))


def _unwrap(value):
    """The NumPy array in an array of ours, or a scalar."""
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, (bool, int, float, np.generic)):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _index(index):
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(_unwrap(i) if isinstance(i, ndarray) else i for i in parts)


def _method(name):
    def method(self, *arguments, **named):
        result = getattr(self._values, name)(*map(_unwrap, arguments), **named)
        if result is self._values:
            return self
        return result if result is NotImplemented else _wrap(result)
    return method


for _name in ("add radd sub rsub mul rmul truediv rtruediv pow rpow neg abs lt le gt ge eq ne and "
              "or xor invert lshift rshift iadd isub imul itruediv").split():
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))
for _name in ("sum", "all", "any", "copy"):
    setattr(ndarray, _name, _method(_name))
ndarray.reshape = lambda self, *shape: _wrap(self._values.reshape(*shape))
ndarray.swapaxes = lambda self, a, b: _wrap(self._values.swapaxes(a, b))
ndarray.astype = lambda self, dtype, copy=True: \
    self if not copy and self.dtype == dtype else _wrap(self._values.astype(dtype))
ndarray.__hash__ = None


def asarray(a, dtype=None):
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    transfers.append(f"asarray {np.shape(a)}")
    return ndarray(np.array(a, dtype))


def asnumpy(a):
    return a.get()


def empty(shape, dtype=float):
    """Filled with what nobody may read."""
    dtype = np.dtype(dtype)
    return _wrap(np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).max, dtype))


def ones(shape, dtype=float):
    return _wrap(np.ones(shape, dtype))


def zeros_like(a):
    return _wrap(np.zeros_like(_unwrap(a)))


def concatenate(arrays, axis=0):
    return _wrap(np.concatenate([_unwrap(a) for a in arrays], axis))


def isfinite(a):
    return _wrap(np.isfinite(_unwrap(a)))


def maximum(a, b):
    return _wrap(np.maximum(_unwrap(a), _unwrap(b)))


def add(a, b, out=None):
    return _into(np.add(_unwrap(a), _unwrap(b)), out)


def matmul(a, b, out=None):
    copies.extend(side.size for side in (a, b) if max(a.ndim, b.ndim) > 2
                  and not side._values.flags.c_contiguous)
    return _into(np.matmul(_unwrap(a), _unwrap(b)), out)


def _into(values, out):
    if out is None:
        return _wrap(values)
    if not isinstance(out, ndarray) or (out.shape, out.dtype) != (values.shape, values.dtype):
        raise ValueError("Output array has an invalid size or type")
    out._values[...] = values
    return out


class ElementwiseKernel:
    """CuPy's, with a body of declarations and assignments without literals of floating point."""

    TYPES = {"unsigned long long": np.uint64, "uint64": np.uint64, "bool": np.bool_}
    STATEMENT = re.compile(r"(?:(T|unsigned long long) )?(\w+) = ([^=].*)", re.DOTALL)

    def __init__(self, in_params, out_params, operation, name="kernel"):
        assert name.isidentifier() and not re.search(r"\d\.|\.\d|\?|&&|\|\||//|[+*^-]=",
                                                     operation), operation
        self.inputs, self.outputs = ([tuple(p.split()) for p in text.split(",")]
                                     for text in (in_params, out_params))
        statements = filter(None, map(str.strip, operation.split(";")))
        self.statements = [self.STATEMENT.fullmatch(text).groups() for text in statements]

    def __call__(self, *arguments):
        params = self.inputs + self.outputs
        arrays = {name: a for (_, name), a in zip(params, arguments) if isinstance(a, ndarray)}
        types = dict(self.TYPES)
        for kind, name in self.outputs + self.inputs:       # T is what the outputs say, if given
            dtype = arrays[name].dtype if name in arrays else None
            if name in arrays and types.setdefault(kind, dtype.type) != dtype:
                raise TypeError(f"Type is mismatched. {name} {arrays[name].dtype} {types[kind]}")
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
        if len(arguments) == len(self.inputs):
            new = [empty(shape, types[kind]) for kind, _ in self.outputs]
            arrays |= {name: a for (_, name), a in zip(self.outputs, new)}
            arguments = (*arguments, *new)
        if len(arguments) != len(params):
            raise TypeError("Wrong number of arguments")
        names, outputs = {"sqrt": np.sqrt, "fabs": np.abs}, [name for _, name in self.outputs]
        for (kind, name), value in zip(params, arguments):
            values = _unwrap(value)
            if name in outputs and np.shape(values) != shape:
                raise ValueError("Out shape is mismatched")
            names[name] = values if name in arrays else types[kind](values)
            if name in arrays and name not in outputs:
                names[name] = np.broadcast_to(values, shape)
        cast = lambda kind: lambda values: np.array(values, types[kind])
        names["T"], declared = cast("T"), {}
        for kind, name, expression in self.statements:
            value = eval(expression, {"__builtins__": {}}, names)
            if kind is not None:
                declared[name] = cast(kind)
            if name in declared:
                names[name] = declared[name](value)
            else:
                assert name in outputs, f"{name} is neither declared nor an output"
                names[name][...] = value
        results = arguments[len(self.inputs):]
        return results[0] if len(results) == 1 else tuple(results)
