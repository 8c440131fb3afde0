"""The training loop's step without its allocations: what `models.py` says, on buffers that stay in the cache.

Why it is fast, in one place:
- Nothing is allocated after the start. Arrays that come and go cost more than the arithmetic on them: the system hands
  out every page anew, and the cache is cold.
- Threads have instances of their own, and kernels are few and large. Between two kernels a thread needs the interpreter's
  lock, and waiting for it costs as much as a small kernel. So samples lie side by side and a whole batch is one chunk
  unless it is very large, several small instances share their kernels, small models draw the samples of several steps at
  once, and Adam works on one flat array.
- Sampling costs what is active: events are scattered, and all that is dense about it is to clear the batch.
- The bias is one more hidden unit that is always 1: adding it and summing its gradient are part of matrix products.
- ReLUs multiply by a mask of zeros and ones, which NumPy does several times faster than maximum or where.
- Equal importances are one factor at the end.

`models.py` is the reference: gradients agree with it to rounding.
"""

import numpy as np

from .arrays import array_module, transpose
from .features import Room
from .models import TRAIN_STREAM, AbsoluteValue, Linear, ReluHidden, random_stream

BLOCK = 2**18               # entries that one instance draws at once, which may be several small steps,
BLOCK_STEPS = 8             # but not more than these
CHUNK = 2**19               # entries of x, of one instance, that are worked on at once
WORDS = 6                   # of `random_state`, for an instance
HIDDEN_RELU = (ReluHidden, AbsoluteValue)


def random_state(seed, count):
    """Where the streams of samples of `count` instances begin: (count, 6) uint64."""
    return np.array([_position(random_stream(seed, TRAIN_STREAM, i)) for i in range(count)])


class Batches:
    """The batch x (k, n, B) of each step, drawn for `steps` steps at once, from generators that stand at `random` (k, 6).

    `random` stays where the present block began, so that another Batches can go on in the middle of it.
    """

    def __init__(self, features, random, batch_size, dtype):
        n = features.n_features
        self.features, self.random = features, random
        self.rngs = [_generator(position) for position in random]
        self.steps = min(max(1, BLOCK // (batch_size * n)), BLOCK_STEPS)
        self.block = np.empty((len(random), self.steps, n, batch_size), dtype)
        self.number, self.room = None, Room()

    def __call__(self, step):
        number, place = divmod(step, self.steps)
        if number != self.number:
            self.random = np.array([_position(rng) for rng in self.rngs])
            self.features.fill(self.rngs, self.block, self.room)
            self.number = number
        return self.block[:, place]


class Step:
    """Loss and gradient of a stack of k models of one class, for batches x (k, n, B) of features, again and again.

    Arrays have one feature or one hidden unit a row, so that samples lie side by side:

        x, z, mask  (k, n, R)       h  (k, m + 1, R), the last hidden unit is 1      out  (k, m + 1, n), the last row is b
    """

    def __init__(self, model, features, batch_size):
        k, m, n = *model.instances, model.n_hidden, model.n_features
        rows = chunk_rows(n, batch_size)
        self.chunks = [slice(i, min(i + rows, batch_size)) for i in range(0, batch_size, rows)]
        self.relu = type(model) is not Linear
        self.hidden_relu = type(model) in HIDDEN_RELU
        self.tied = len(model.parameters) == 2
        self.signed = features.signed
        empty = lambda *shape: np.empty(shape, model.dtype)
        self.h = empty(k, m + 1, rows)
        self.h[:, m] = 1
        self.z, self.mask, self.on, self.size = empty(k, n, rows), empty(k, n, rows), np.empty((k, n, rows), bool), \
            empty(k, n, rows if self.signed else 0)
        self.dh, self.h_mask, self.h_on = empty(k, m, rows), empty(k, m, rows), np.empty((k, m, rows), bool)
        self.out, self.d_out, self.part = (empty(k, m + 1, n) for _ in range(3))       # output weights and bias
        self.d_in, self.part_in = empty(k, m, n), empty(k, m, n)
        importance = np.broadcast_to(features.importance, (k, n)).astype(model.dtype)
        self.scale = 2 / batch_size
        if (importance == importance[:1, :1]).all():
            self.scale, self.importance = self.scale * importance[0, 0], None
        else:
            self.importance, self.d = importance[..., None], empty(k, n, rows)
        self.loss, self.losses = empty(k), empty(k, n)                                  # of all features, of each
        self.gradient = Flat(model.parameters)

    def __call__(self, parameters, x, recorded=True):
        """loss (k,), recorded or not, and the gradient, a Flat; both are valid until the next call."""
        W, *_, b = parameters
        self.out[:, :-1] = W if self.tied else transpose(parameters[1])                 # (k, m, n)
        self.out[:, -1] = b
        self.loss[...] = 0
        for first, samples in enumerate(self.chunks):
            self._chunk(W, x[..., samples], adding=first > 0)
        self.loss *= self.scale / 2
        dW, *_, db = self.gradient.arrays
        if self.tied:
            np.add(self.d_in, self.d_out[:, :-1], out=dW)
        else:
            dW[...] = self.d_in
            self.gradient.arrays[1][...] = transpose(self.d_out[:, :-1])
        db[...] = self.d_out[:, -1]
        self.gradient.flat *= self.scale
        return self.loss, self.gradient

    def _chunk(self, W, x, adding):
        here = np.s_[..., :x.shape[-1]]
        h, z, mask, dh = self.h[here], self.z[here], self.mask[here], self.dh[here]
        a = h[:, :-1]
        np.matmul(W, x, out=a)                                                          # (k, m, R)
        if self.hidden_relu:
            h_mask = _positive(a, self.h_on[here], self.h_mask[here])
            a *= h_mask
        np.matmul(transpose(self.out), h, out=z)                                        # (k, n, R)
        if self.relu:
            _positive(z, self.on[here], mask)
            z *= mask
        z -= np.abs(x, out=self.size[here]) if self.signed else x                       # the residual
        d = z if self.importance is None else np.multiply(z, self.importance, out=self.d[here])
        np.vecdot(z, d, out=self.losses)
        self.loss += self.losses.sum(-1)
        if self.relu:
            d *= mask                                                                   # dz, but for 2 / B
        d_out, d_in = (self.part, self.part_in) if adding else (self.d_out, self.d_in)
        np.matmul(h, transpose(d), out=d_out)                                           # (k, m + 1, n)
        np.matmul(self.out[:, :-1], d, out=dh)                                          # (k, m, R)
        if self.hidden_relu:
            dh *= h_mask
        np.matmul(dh, transpose(x), out=d_in)                                           # (k, m, n)
        if adding:
            self.d_out += d_out
            self.d_in += d_in


def chunk_rows(n_features, batch_size):
    """Rows of a chunk, as equal as they come. They do not depend on the company, and so neither do the results."""
    chunks = -(-batch_size * n_features // CHUNK)
    return -(-batch_size // chunks)


def _positive(z, on, mask):
    """1 where z > 0, else 0, in z's own type."""
    np.greater(z, 0, out=on)
    mask[...] = on
    return mask


class Flat:
    """A copy of arrays in one array `flat`, so that few kernels reach them all; `arrays` are contiguous views."""

    def __init__(self, arrays):
        self.flat = array_module(*arrays).concatenate([a.reshape(-1) for a in arrays])
        ends = np.cumsum([a.size for a in arrays]).tolist()
        self.arrays = tuple(self.flat[end - a.size:end].reshape(a.shape) for a, end in zip(arrays, ends))


class Adam:
    """`optim.adam` and `optim.adamw` in place, to the bit: parameters and state change, nothing is allocated."""

    def __init__(self, parameters, state, weight_decay):
        self.parameters, self.mean, self.square = map(Flat, (parameters, state.mean, state.square))
        self.t, self.decay = state.t, weight_decay
        self.one, self.two = np.empty_like(self.parameters.flat), np.empty_like(self.parameters.flat)

    def __call__(self, gradient, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        """One step along `gradient`, a Flat like the parameters."""
        self.t += 1
        step = learning_rate / (1 - beta1**self.t)                                      # (3.3)
        unbias = (1 - beta2**self.t) ** -0.5                                            # (3.4)
        theta, m, v, g, one, two = self.parameters.flat, self.mean.flat, self.square.flat, gradient.flat, self.one, self.two
        if self.decay:
            theta *= 1 - learning_rate * self.decay                                     # (3.6)
        np.multiply(g, 1 - beta1, out=one)
        m *= beta1
        m += one                                                                        # (3.1)
        np.multiply(g, 1 - beta2, out=one)
        one *= g
        v *= beta2
        v += one                                                                        # (3.2)
        np.sqrt(v, out=one)
        one *= unbias
        one += epsilon
        np.multiply(m, step, out=two)
        two /= one
        theta -= two                                                                    # (3.5)


def _position(rng):
    """The state of a PCG64 generator as six uint64: two of 128 bits, highest first, and what is left of a draw."""
    state = rng.bit_generator.state
    words = [state["state"][name] >> shift & 2**64 - 1 for name in ("state", "inc") for shift in (64, 0)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)


def _generator(position):
    """A PCG64 generator that stands where `_position` was called."""
    high, low, inc_high, inc_low, has_uint32, uinteger = map(int, position)
    rng = np.random.Generator(np.random.PCG64(0))
    rng.bit_generator.state = {"bit_generator": "PCG64", "has_uint32": has_uint32, "uinteger": uinteger,
                               "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low}}
    return rng
