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
- A ReLU is two operations on integers, its sign bit spread over the whole number and a bitwise and, which NumPy does
  several times faster than maximum or where. The loss itself is needed where it is recorded only; a bound from above,
  which comes on the way, tells whether it is finite.
- Equal importances are one factor at the end.

`models.py` is the reference: gradients agree with it to rounding.
"""

import numpy as np

from .arrays import array_module, transpose
from .features import Room
from .models import TRAIN_STREAM, AbsoluteValue, Linear, ReluHidden, random_stream

BLOCK = 2**20               # entries that one instance draws at once, which may be several small steps,
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

        x, z, on  (k, n, R)       h  (k, m + 1, R), the last hidden unit is 1      out  (k, m + 1, n), the last row is -b

    Output weights are negated: then z is minus what goes into the output ReLU, and its sign bit says that the ReLU is on.
    """

    def __init__(self, model, features, batch_size):
        k, m, n = *model.instances, model.n_hidden, model.n_features
        rows = chunk_rows(n, batch_size)
        self.chunks = [slice(i, min(i + rows, batch_size)) for i in range(0, batch_size, rows)]
        self.relu = type(model) is not Linear
        self.hidden_relu = type(model) in HIDDEN_RELU
        self.tied = len(model.parameters) == 2
        self.signed = features.signed
        self.bits = {4: np.int32, 8: np.int64}[model.dtype.itemsize]
        empty = lambda *shape: np.empty(shape, model.dtype)
        self.h = empty(k, m + 1, rows)
        self.h[:, m] = 1
        self.z, self.on, self.size = empty(k, n, rows), np.empty((k, n, rows), self.bits), \
            empty(k, n, rows if self.signed else 0)
        self.dh, self.h_mask, self.h_on = empty(k, m, rows), empty(k, m, rows), np.empty((k, m, rows), bool)
        self.out, self.d_out, self.part = (empty(k, m + 1, n) for _ in range(3))       # output weights and bias
        self.d_in, self.part_in = empty(k, m, n), empty(k, m, n)
        self.importance = np.broadcast_to(features.importance, (k, n)).astype(model.dtype)
        self.equal = bool((self.importance == self.importance[:1, :1]).all())
        self.scale = 2 / batch_size * (self.importance[0, 0] if self.equal else 1)
        self.squares = empty(k, n)                                                      # summed over samples
        self.gradient = Flat(model.parameters)

    def __call__(self, parameters, x, recorded=True):
        """loss (k,), or if not `recorded` a bound from above, and the gradient, a Flat, valid until the next call."""
        W, *_, b = parameters
        np.negative(W if self.tied else transpose(parameters[1]), out=self.out[:, :-1])         # (k, m, n)
        np.negative(b, out=self.out[:, -1])
        bound, loss = 0, 0
        for first, samples in enumerate(self.chunks):
            more = self._chunk(W, x[..., samples], recorded, adding=first > 0)
            bound, loss = bound + more[0], loss + more[1]
        dW, *_, db = self.gradient.arrays
        if self.tied:
            np.subtract(self.d_in, self.d_out[:, :-1], out=dW)
        else:
            dW[...] = self.d_in
            np.negative(transpose(self.d_out[:, :-1]), out=self.gradient.arrays[1])
        np.negative(self.d_out[:, -1], out=db)
        self.gradient.flat *= self.scale
        return np.where(np.isfinite(bound), loss, bound) / x.shape[-1], self.gradient

    def _chunk(self, W, x, recorded, adding):
        """The bound and the loss, summed over samples, (k,) each."""
        here = np.s_[..., :x.shape[-1]]
        h, z, on, dh = self.h[here], self.z[here], self.on[here], self.dh[here]
        a = h[:, :-1]
        np.matmul(W, x, out=a)                                                          # (k, m, R)
        if self.hidden_relu:
            h_mask = self.h_mask[here]
            h_mask[...] = np.greater(a, 0, out=self.h_on[here])
            a *= h_mask                                                                 # what is not a number stays so
        np.matmul(transpose(self.out), h, out=z)                                        # (k, n, R)
        if self.relu:
            _sign_bits(z, on)
        y = np.abs(x, out=self.size[here]) if self.signed else x
        z += y                                                                          # minus the residual, where on
        bound = loss = self._weigh(z)
        if self.relu:
            _keep(z, on, out=z)
            if recorded:
                loss = self._weigh(z)
                np.invert(on, out=on)
                loss = loss + self._weigh(_keep(y, on, out=on))                         # where it is off, y is missing
        if not self.equal:
            z *= self.importance[..., None]                                             # -dz, but for 2 / B
        d_out, d_in = (self.part, self.part_in) if adding else (self.d_out, self.d_in)
        np.matmul(h, transpose(z), out=d_out)                                           # (k, m + 1, n)
        np.matmul(self.out[:, :-1], z, out=dh)                                          # (k, m, R)
        if self.hidden_relu:
            dh *= h_mask
        np.matmul(dh, transpose(x), out=d_in)                                           # (k, m, n)
        if adding:
            self.d_out += d_out
            self.d_in += d_in
        return bound, loss

    def _weigh(self, r):
        """sum_i I_i r_i^2, summed over samples: (k,)."""
        np.vecdot(r, r, out=self.squares)
        self.squares *= self.importance
        return self.squares.sum(-1)


def chunk_rows(n_features, batch_size):
    """Rows of a chunk, as equal as they come. They do not depend on the company, and so neither do the results."""
    chunks = -(-batch_size * n_features // CHUNK)
    return -(-batch_size // chunks)


def _sign_bits(z, out):
    """All bits set where the sign bit of z is, else none."""
    return np.right_shift(z.view(out.dtype), 8 * z.itemsize - 1, out=out)


def _keep(z, bits, out):
    """z where the bits are set, else 0, in the place of `out`: z or the bits."""
    return np.bitwise_and(z.view(bits.dtype), bits, out=out.view(bits.dtype)).view(z.dtype)


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
