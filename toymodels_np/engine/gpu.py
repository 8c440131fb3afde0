"""The training loop's step on a GPU, in few launches, with nothing that the host has to wait for.

    x, z  (k, n, B)   samples lie side by side
    h, dh  (k, m, B)   and with samples as rows (k, B, m)

Why it is fast, in one place:
- Nothing crosses between host and device but numbers like the learning rate: samples are drawn
  where they are used, and the loss is computed where it is recorded only.
- Elementwise work is a kernel for each place where a matrix product must wait: draw; bias, ReLU,
  residual, importance and mask; Adam. No array as large as x is written that need not be.
- CuPy's batched product copies operands that are not contiguous. So the transposed ones are chosen
  to be those of the hidden layer, which are small; a column of ones beside them sums the gradient
  of the bias on the way.

`models.py` is the reference: gradients agree with it to rounding. Samples are not those of the
host. They are numbered, and each is a function of its number (1.9): the same bits on every GPU, in
any company, after any pause. What comes of them is the same bits in every run of the same shape on
one GPU; but CUDA's matrix products may add in another order when instances are added, so that an
instance in company agrees with itself alone to rounding only.

Kernels are written in the few words that mean the same in C++ and in NumPy; the tests run them as
both.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
from tqdm.auto import tqdm

from ..core import checks
from ..core.arrays import transpose
from ..core.models import Linear
from ..core.optim import BETA1, BETA2, step_and_floor
from ..core.streams import TRAIN_STREAM
from .backends import device_module
from .passes import HIDDEN_RELU

TILE = 2**28                # entries of x on the device at once; z has as many
WORDS = 1                   # of `random_state`, for an instance
GRID = 2**40   # probabilities are multiples of 1 / GRID, and values are odd multiples of 1 / GRAINS
GRAINS = 2**24

MIX = """
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9;
    word = (word ^ word >> 27) * 0x94D049BB133111EB;
    word = word ^ word >> 31;
"""                                                                                     # (1.9)
WORD = "unsigned long long word = key + (start + first + sample) * 0x9E3779B97F4A7C15;" + MIX
OWN_WORD = "word = key + (start + row + sample) * 0x9E3779B97F4A7C15;" + MIX
SWITCH = "T on = (low <= word >> 24) & (word >> 24 < high);"                            # (1.10)
VALUE = "x = on * T(word & 0xFFFFFF | 1) * unit + on * offset;"                         # (1.11)
CELL = ("uint64 key, uint64 start, uint64 first, uint64 row, uint64 sample, uint64 low, "
        "uint64 high, T unit, T offset")
OUTPUT = """
    T y = z + b;
    T mask = (y > 0) | linear;
    T residual = mask * y - fabs(x);
"""                           # the target is |x|, signed or not: what is not signed is not negative

KERNELS = {                            # name -> what goes in, what comes out or is changed, and how
    "draw": (CELL, "T x", WORD + SWITCH + VALUE),
    "draw_sets": (CELL, "T x", WORD + SWITCH + OWN_WORD + VALUE),
    "hidden_relu": ("T a", "T h, T row", "h = a * (a > 0); row = h;"),
    "hidden_slope": ("T dh, T h", "T row", "row = dh * (h > 0);"),
    "terms": ("T z, T b, T x, T weight, bool linear", "T term",
              OUTPUT + "term = weight * residual * residual;"),
    "slope": ("T z, T b, T x, T weight, bool linear", "T dz",
              OUTPUT + "dz = weight * residual * mask;"),
    "adam": ("T g, T shrink, T beta1, T rest1, T beta2, T rest2, T step, T floor",
             "T theta, T m, T v", """
        theta = theta * shrink;
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * g * g;
        theta = theta - step * (m / (sqrt(v) + floor));
    """),                               # (3.6), (3.1), (3.2), (3.5)
}


@cache
def kernels(xp):
    """KERNELS as functions of arrays on the device: inputs first, then what they write to."""
    return SimpleNamespace(**{name: xp.ElementwiseKernel(*text, f"toymodels_{name}")
                              for name, text in KERNELS.items()})


def random_state(seed, count, progress=None):
    """The keys of the samples of `count` instances: (count, 1) uint64. They stay as they are."""
    every = tqdm(range(count), unit="stream", desc="streams", **checks.progress(progress and None))
    streams = (np.random.SeedSequence(seed, spawn_key=(TRAIN_STREAM, i)) for i in every)
    return np.array([stream.generate_state(WORDS, np.uint64) for stream in streams])


class Batches:
    """The batch x (k, n, B) of each step, drawn on the device from the instances' keys (k, 1)."""

    steps = 1                           # that are drawn at once

    def __init__(self, features, random, batch_size, dtype):
        xp = device_module()
        n, self.random = features.n_features, random
        high = np.atleast_2d(features.feature_probability).copy()                      # (1 or k, n)
        low, first = np.zeros_like(high), np.arange(n)
        for members in features.correlated + features.anticorrelated:
            first[list(members)] = members[0]
        for members in features.anticorrelated:
            edges = high[:, members[:1]] * np.arange(len(members) + 1) / len(members)
            low[:, list(members)], high[:, list(members)] = edges[:, :-1], edges[:, 1:]
        column = lambda a: xp.asarray(np.asarray(a, np.uint64)[..., None])
        self.draw = kernels(xp).draw if (first == np.arange(n)).all() else kernels(xp).draw_sets
        self.entries = n * batch_size
        self.key = column(random)                                                       # (k, 1, 1)
        self.places = column(first * batch_size), column(np.arange(n) * batch_size), xp.asarray(
            np.arange(batch_size, dtype=np.uint64))                           # (n, 1), (n, 1), (B,)
        self.limits = column(np.round(low * GRID)), column(np.round(high * GRID))   # (1 or k, n, 1)
        self.scale = (2 / GRAINS, -1.0) if features.signed else (1 / GRAINS, 0.0)
        self.x = xp.empty((len(random), n, batch_size), dtype)

    def __call__(self, step):
        return self.draw(self.key, step * self.entries, *self.places, *self.limits, *self.scale,
                         self.x)


class Step:
    """Loss and gradient of a stack of k models of one class, for batches x (k, n, B)."""

    def __init__(self, model, features, batch_size):
        self.xp = xp = device_module()
        k, m, n = *model.instances, model.n_hidden, model.n_features
        self.kernels = kernels(xp)
        self.linear = type(model) is Linear
        self.hidden_relu = type(model) in HIDDEN_RELU
        self.tied = len(model.parameters) == 2
        empty = lambda *shape: xp.empty(shape, model.dtype)
        self.h, self.dh = empty(k, m, batch_size), empty(k, m, batch_size)
        self.z, self.dh_rows = empty(k, n, batch_size), empty(k, batch_size, m)
        self.h_rows = xp.ones((k, batch_size, m + 1), model.dtype)
        self.d_out, self.d_in = empty(k, n, m + 1), empty(k, n, m)
        weight = np.broadcast_to(features.importance * (2 / batch_size), (k, n))
        self.weight = xp.asarray(weight[..., None].astype(model.dtype))                 # (k, n, 1)
        self.gradient = Layers(model.parameters)

    def __call__(self, layers, x, recorded=True):
        """The loss (k,), None unless `recorded`, and the gradient, valid until the next call."""
        xp, kernels, h, dh, z = self.xp, self.kernels, self.h, self.dh, self.z
        h_rows, dh_rows = self.h_rows[..., :-1], self.dh_rows
        W, *_, b = layers.arrays
        out = transpose(W) if self.tied else layers.arrays[1]                            # (k, n, m)
        xp.matmul(W, x, out=h)                                                          # (k, m, B)
        if self.hidden_relu:
            kernels.hidden_relu(h, h, transpose(h_rows))
        else:
            h_rows[...] = transpose(h)                                                  # (k, B, m)
        xp.matmul(out, h, out=z)                                                        # (k, n, B)
        known = z, b[..., None], x, self.weight, self.linear
        loss = kernels.terms(*known).sum(-1).sum(-1) / 2 if recorded else None
        kernels.slope(*known, z)                                              # z is dz from here on
        d_out = xp.matmul(z, self.h_rows, out=self.d_out)                            # (k, n, m + 1)
        xp.matmul(transpose(out), z, out=dh)                                            # (k, m, B)
        if self.hidden_relu:
            kernels.hidden_slope(transpose(dh), transpose(h), dh_rows)
        else:
            dh_rows[...] = transpose(dh)                                                # (k, B, m)
        d_in = transpose(xp.matmul(x, dh_rows, out=self.d_in))                          # (k, m, n)
        dW, *_, db = self.gradient.arrays
        if self.tied:
            xp.add(d_in, transpose(d_out[..., :-1]), out=dW)
        else:
            dW[...] = d_in
            self.gradient.arrays[1][...] = d_out[..., :-1]
        db[...] = d_out[..., -1]
        return loss, self.gradient


class Layers:
    """A copy of parameters on the device, in one array `flat`; `arrays` are contiguous views."""

    def __init__(self, parameters):
        xp = device_module()
        self.flat = xp.concatenate([xp.asarray(a).reshape(-1) for a in parameters])
        ends = np.cumsum([a.size for a in parameters]).tolist()
        self.arrays = tuple(self.flat[end - a.size:end].reshape(a.shape)
                            for a, end in zip(parameters, ends))


class Adam:
    """`optim.adam` and `optim.adamw` in one kernel, in place."""

    def __init__(self, parameters, state, weight_decay):
        arrays = parameters, state.mean, state.square
        self.parameters, self.mean, self.square = map(Layers, arrays)
        self.t, self.decay, self.update = state.t, weight_decay, kernels(device_module()).adam

    def __call__(self, gradient, learning_rate):
        """One step along `gradient`, Layers like the parameters."""
        self.t += 1
        betas = BETA1, 1 - BETA1, BETA2, 1 - BETA2
        self.update(gradient.flat, 1 - learning_rate * self.decay, *betas,
                    *step_and_floor(self.t, learning_rate), self.parameters.flat, self.mean.flat,
                    self.square.flat)
