"""The four toy models, each forward pass with its hand-written backward pass under it.

    x   (..., B, n)  a batch of features        W   (..., m, n)  column i is feature i's direction
    h   (..., B, m)  hidden activations         b   (..., n)     output bias
    z   (..., B, n)  before the output ReLU     L   (...)        mean over samples of
    x'  (..., B, n)  the reconstruction                          sum_i I_i (y_i - x'_i)^2
    y   (..., B, n)  the target, x or |x|       dA               dL/dA, the same shape as A

Leading axes are instances: independent models side by side. With 10 models of 5 features in 2
dimensions, W is (10, 2, 5) and b (10, 5). Rows are samples, so h = W x reads `x @ W.T` here.
Equations (2.k) are in derivations/02-backprop-by-hand.md. Read the four models, at the end, first.
"""

import numpy as np
from tqdm.auto import tqdm

from .. import subclasses
from . import checks
from .arrays import array_module, transpose
from .features import Features
from .streams import INIT_STREAM, random_stream


class Model:
    """What all models share: parameters, instances, the loss. Subclass it to bring your own.

    A subclass lists its parameters in `parameter_shapes`, the first with axes "mn", and defines

        _forward(x)                     the output (..., B, n), and what `_backward` wants to know
        _backward(x, cache, d_output)   dL/d(parameter), one array a parameter, given dL/d(output)

    `examples/your_own_model.py` does so in a few lines. `tm.check_gradient` says whether the two
    agree. A subclass may also override both `loss` and `loss_and_grad`; training calls the latter.
    What else a model holds goes with it as it is: make a property of what follows from parameters.
    Parameters have the same leading axes; float32 and float64 are kept, integers become float64.
    """

    parameter_shapes = {"W": "mn", "b": "n"}    # name -> axes after the instances

    def __init__(self, *parameters, **named):
        names = list(self.parameter_shapes)
        given = dict(zip(names, parameters)) | named
        if len(parameters) + len(named) != len(names) or set(given) != set(names):
            raise TypeError(f"{type(self).__name__} takes the parameters {', '.join(names)}, "
                            f"got {len(parameters)} by position and {sorted(named)} by name")
        arrays = [checks.array(name, given[name], min_ndim=len(self.parameter_shapes[name]))
                  for name in names]
        if len({array_module(a) for a in arrays}) > 1:
            raise TypeError(f"{', '.join(names)} must all be NumPy arrays or all be CuPy arrays")
        subclasses.check_parameters(self.parameter_shapes, arrays)
        common = np.result_type(*(a.dtype for a in arrays))
        dtype = checks.precision("the dtype of the parameters", common)
        for name, a in zip(names, arrays):
            setattr(self, name, a.astype(dtype))

    @classmethod
    def from_parameters(cls, parameters):
        """A model around arrays that are known to fit, without copies or checks."""
        return subclasses.built(cls, parameters)

    def with_parameters(self, parameters):
        """`from_parameters`, with all that this model holds beside its own."""
        return subclasses.carry(self, self.from_parameters(parameters))

    @classmethod
    def init(cls, n_features, n_hidden, n_instances=None, *, seed=0, dtype=np.float32,
             scale="xavier"):
        """Random weights N(0, scale^2) and zero biases.

        `n_instances=None` gives one model without an instance axis: instance 0 of a stack with the
        same seed and scale. `scale` is a number, or "xavier" for (2 / (n + m))^(1/2), or "notebook"
        for the paper's notebook, where `xavier_normal_` takes K instances for the channels of a
        convolution: (2 / (m (n + K)))^(1/2), which alone depends on how many there are.
        """
        m, n = checks.integer("n_hidden", n_hidden), checks.integer("n_features", n_features)
        count = 1 if n_instances is None else checks.integer("n_instances", n_instances)
        dtype, seed = checks.precision("dtype", dtype), checks.seed(seed)
        named = {"xavier": (2 / (n + m)) ** 0.5, "notebook": (2 / (m * (n + count))) ** 0.5}
        scale = named[checks.choice("scale", scale, tuple(named))] if isinstance(scale, str) \
            else checks.real("scale", scale, above=0)
        shapes = [tuple({"m": m, "n": n}[axis] for axis in axes)
                  for axes in cls.parameter_shapes.values()]
        entries = sum(np.prod(shape, dtype=object) for shape in shapes)
        checks.memory("n_features, n_hidden or n_instances", 16 * count * entries)
        stacks = [np.zeros((count, *shape)) for shape in shapes]
        for i in tqdm(range(count), unit="model", desc="init", **checks.progress(None)):
            rng = random_stream(seed, INIT_STREAM, i)
            for weights in (stack[i] for stack in stacks if stack.ndim == 3):
                weights[:] = rng.normal(scale=scale, size=weights.shape)
        return cls(*((a[0] if n_instances is None else a).astype(dtype) for a in stacks))

    @property
    def parameters(self):
        """The parameter arrays, in the order of `parameter_shapes`."""
        return tuple(getattr(self, name) for name in self.parameter_shapes)

    n_hidden = property(lambda self: self.parameters[0].shape[-2], doc="m")
    n_features = property(lambda self: self.parameters[0].shape[-1], doc="n")
    instances = property(lambda self: self.parameters[0].shape[:-2], doc="() for a single model")
    dtype = property(lambda self: self.parameters[0].dtype, doc="float32 or float64")
    __iter__ = subclasses.each_instance

    def astype(self, dtype):
        """The same model in another precision."""
        dtype = checks.precision("dtype", dtype)
        return self.with_parameters([a.astype(dtype) for a in self.parameters])

    def __getitem__(self, index):
        """A copy of some instances: `model[3]`, `model[:, -1]`. Indexes the leading axes only."""
        instances = np.arange(np.prod(self.instances, dtype=int)).reshape(self.instances)
        chosen = instances[checks.index(index)]
        subclasses.check_selectable(self, self.parameter_shapes, self.instances)
        flat = [a.reshape(-1, *a.shape[len(self.instances):]) for a in self.parameters]
        return self.with_parameters([a[chosen].copy() for a in flat])

    def __repr__(self):
        instances = f", instances={self.instances}" if self.instances else ""
        return (f"{type(self).__name__}(n_features={self.n_features}, "
                f"n_hidden={self.n_hidden}{instances}, {self.dtype})")

    def forward(self, x):
        """The output x' (..., B, n) for a batch x (..., B, n)."""
        return self._forward(self._batch(x))[0]

    def loss(self, x, features):
        """Mean over the batch of sum_i I_i (y_i - x'_i)^2, (...): one loss an instance. (2.1)"""
        subclasses.check_evaluation(self, __name__)
        x = self._batch(x, features)
        return self._loss(self._forward(x)[0], features.target(x), features)[0]

    def loss_and_grad(self, x, features):
        """The loss (...) and its gradient, a model of the same class: dL/d(parameter)."""
        subclasses.check_training(self, __name__)
        return self.unchecked_loss_and_grad(self._batch(x, features), features)

    def unchecked_loss_and_grad(self, x, features, target=None):
        """`loss_and_grad` without checks; an attack moves x and gives the old `target`."""
        output, cache = self._forward(x)
        target = features.target(x) if target is None else target
        loss, d_output = self._loss(output, target, features)
        return loss, self.from_parameters(self._backward(x, cache, d_output))

    def _forward(self, *_):
        raise TypeError(f"{type(self).__name__} must define _forward and _backward: see tm.Model")
    _backward = _forward

    @staticmethod
    def _loss(output, target, features):
        """L (...) and dL/d(output) (..., B, n)."""
        subclasses.check_alike(output, target)
        residual = output - target                                          # (..., B, n)
        B, xp = residual.shape[-2], array_module(residual)
        importance = xp.asarray(features.importance[..., None, :], dtype=residual.dtype)
        weighted = importance * residual                                    # (..., B, n)
        products = residual * weighted
        loss = products.reshape(*products.shape[:-2], -1).sum(-1) / B       # (...)         (2.1)
        weighted *= 2 / B
        return loss, weighted                                               # dx'           (2.2)

    def _batch(self, x, *features):
        """x as an array that fits the model (and the features), else an error."""
        subclasses.check_parameters(self.parameter_shapes, self.parameters)
        x = checks.array("x", x, min_ndim=2)
        if x.shape[-1] != self.n_features:
            raise ValueError(f"x must have shape (..., B, {self.n_features}), got {x.shape}")
        for law in features:
            check_sizes(self, law)
        leads = [self.instances, x.shape[:-2], *(law.importance.shape[:-1] for law in features)]
        try:
            np.broadcast_shapes(*leads)
        except ValueError:
            raise ValueError("the instances of model, x and features must broadcast, got "
                             f"{', '.join(map(str, leads))}") from None
        return x


def check_sizes(model, features):
    """A model and features of as many features, else TypeError or ValueError."""
    if not isinstance(model, Model):
        raise TypeError(f"model must be a tm.Model, such as ReluOutput, got {model!r}")
    if not isinstance(features, Features):
        raise TypeError(f"features must be Features, got {features!r}")
    subclasses.check_parameters(model.parameter_shapes, model.parameters)
    if features.n_features != model.n_features:
        raise ValueError(f"features have n={features.n_features}, the model n={model.n_features}")


def _relu(z):
    return array_module(z).maximum(z, 0)


def _batch_sum(dz):
    """Sum over samples, (..., B, n) -> (..., n), as a product: faster than sum(-2)."""
    return array_module(dz).ones(dz.shape[-2], dz.dtype) @ dz


class Linear(Model):
    """x' = WᵀW x + b: principal components, and no superposition."""

    def _forward(self, x):
        W, b = self.parameters
        h = x @ transpose(W)                                    # (..., B, m)
        return h @ W + b[..., None, :], h                       # (..., B, n)             (2.3)

    def _backward(self, x, h, dz):
        W, _ = self.parameters
        dh = dz @ transpose(W)                                  # (..., B, m)             (2.4)
        dW = transpose(h) @ dz + transpose(dh) @ x              # (..., m, n)             (2.5)
        return dW, _batch_sum(dz)                               # (..., m, n), (..., n)   (2.6)


class ReluOutput(Model):
    """x' = relu(WᵀW x + b): the model of the paper, with superposition."""

    def _forward(self, x):
        W, b = self.parameters
        h = x @ transpose(W)                                    # (..., B, m)
        z = h @ W + b[..., None, :]                             # (..., B, n)
        return _relu(z), (h, z)                                 # (..., B, n)             (2.7)

    def _backward(self, x, cache, d_output):
        W, _ = self.parameters
        h, z = cache
        dz = d_output * (z > 0)                                 # (..., B, n)             (2.8)
        dh = dz @ transpose(W)                                  # (..., B, m)
        dW = transpose(h) @ dz + transpose(dh) @ x              # (..., m, n)             (2.5)
        return dW, _batch_sum(dz)                               # (..., m, n), (..., n)   (2.6)


class ReluHidden(Model):
    """h = relu(W x), x' = relu(Wᵀh + b): a privileged basis, since the ReLU acts on neurons."""

    def _forward(self, x):
        W, b = self.parameters
        a = x @ transpose(W)                                    # (..., B, m)
        h = _relu(a)                                            # (..., B, m)
        z = h @ W + b[..., None, :]                             # (..., B, n)
        return _relu(z), (a, h, z)                              # (..., B, n)             (2.9)

    def _backward(self, x, cache, d_output):
        W, _ = self.parameters
        a, h, z = cache
        dz = d_output * (z > 0)                                 # (..., B, n)             (2.8)
        da = (dz @ transpose(W)) * (a > 0)                      # (..., B, m)             (2.10)
        dW = transpose(h) @ dz + transpose(da) @ x              # (..., m, n)             (2.5)
        return dW, _batch_sum(dz)                               # (..., m, n), (..., n)   (2.6)


class AbsoluteValue(Model):
    """h = relu(W1 x), y' = relu(W2 h + b): untied weights that compute |x|."""

    parameter_shapes = {"W1": "mn", "W2": "nm", "b": "n"}

    def _forward(self, x):
        W1, W2, b = self.parameters
        a = x @ transpose(W1)                                   # (..., B, m)
        h = _relu(a)                                            # (..., B, m)
        z = h @ transpose(W2) + b[..., None, :]                 # (..., B, n)
        return _relu(z), (a, h, z)                              # (..., B, n)             (2.11)

    def _backward(self, x, cache, d_output):
        _, W2, _ = self.parameters
        a, h, z = cache
        dz = d_output * (z > 0)                                 # (..., B, n)             (2.8)
        dW2 = transpose(dz) @ h                                 # (..., n, m)             (2.12)
        da = (dz @ W2) * (a > 0)                                # (..., B, m)             (2.10)
        return transpose(da) @ x, dW2, _batch_sum(dz)           # (..., m, n), …          (2.13)


MODELS = {cls.__name__: cls for cls in (Linear, ReluOutput, ReluHidden, AbsoluteValue)}
