"""The training loop's step without its allocations: what `models.py` says, on buffers that stay in the cache.

Why it is fast, in one place:
- Nothing is allocated after the start. Arrays that come and go cost more than the arithmetic on them: the system hands
  out every page anew, and the cache is cold.
- Threads have instances of their own, and kernels are few and large. Between two kernels a thread needs the interpreter's
  lock, and waiting for it costs as much as a small kernel. So samples lie side by side and a whole batch is one chunk
  unless it is very large, several small instances share their kernels, small models draw the samples of several steps at
  once, and Adam works on flat arrays.
- Sampling costs what is active: events are scattered, and all that is dense about it is to clear the batch.
- Even so x is dense. Sums over its entries take half the time of its two products at p = 1/20, but lists of entries need
  many short kernels, and with two threads the waiting costs as much or more.
- The bias is one more hidden unit that is always 1: adding it and summing its gradient are part of matrix products.
- Parameters lie as these products read them, and gradients as they write them; Adam has both means in one array.
- A ReLU is two operations on integers, its sign bit spread over the whole number and a bitwise and, which NumPy does
  several times faster than maximum or where.
- The numbers that kernels take are arrays: to convert one from Python costs as much as a small kernel.
- The loss is computed where it is recorded only. Parameters of moderate size are enough to know that it is finite.
- Equal importances are one factor at the end.

`models.py` is the reference: gradients agree with it to rounding.
"""

import numpy as np

from .arrays import transpose
from .features import Room
from .models import TRAIN_STREAM, AbsoluteValue, Linear, ReluHidden, random_stream
from .optim import BETA1, BETA2, step_and_floor

BLOCK = 2**20               # entries that one instance draws at once, which may be several small steps,
BLOCK_STEPS = 8             # but not more than these
CHUNK = 2**19               # entries of x, of one instance, that are worked on at once
WORDS = 6                   # of `random_state`, for an instance
HIDDEN_RELU = (ReluHidden, AbsoluteValue)


def random_state(seed, count):
    """Where the streams of samples of `count` instances begin: (count, 6) uint64."""
    return np.array([_position(random_stream(seed, TRAIN_STREAM, i).bit_generator.state) for i in range(count)])


class Batches:
    """The batch x (k, n, B) of each step, drawn for `steps` steps at once, from generators that stand at `random` (k, 6).

    `random` is where the present block began, so that another Batches can go on in the middle of it.
    """

    def __init__(self, features, random, batch_size, dtype):
        n = features.n_features
        self.features, self.rngs = features, [_generator(position) for position in random]
        self.began = [rng.bit_generator.state for rng in self.rngs]
        self.steps = min(max(1, BLOCK // (batch_size * n)), BLOCK_STEPS)
        self.block = np.empty((len(random), self.steps, n, batch_size), dtype)
        self.number, self.room = None, Room()

    def __call__(self, step):
        number, place = divmod(step, self.steps)
        if number != self.number:
            self.began = [rng.bit_generator.state for rng in self.rngs]
            self.features.fill(self.rngs, self.block, self.room)
            self.number = number
        return self.block[:, place]

    @property
    def random(self):
        return np.array([_position(state) for state in self.began])


class Step:
    """Loss and gradient of a stack of k models of one class, for batches x (k, n, B) of features, again and again.

    Arrays have one feature or one hidden unit a row, so that samples lie side by side:

        x, z, r  (k, n, R)       h  (k, m + 1, R)       h_on, dh  (k, m, R)

    What a layer gives has its sign turned: h is minus the hidden layer, its last unit -1, and z is minus what goes into
    the output ReLU. So a sign bit says that a unit is on, and the output layer is used as it is stored, bias included.
    r is minus the residual.
    """

    def __init__(self, model, features, batch_size):
        k, m, n = *model.instances, model.n_hidden, model.n_features
        self.cls, self.features = type(model), features
        self.relu, self.hidden_relu = self.cls is not Linear, self.cls in HIDDEN_RELU
        rows, dtype = chunk_rows(n, batch_size), model.dtype
        empty = lambda units, needed=True: np.empty((k, units, rows * needed), dtype)
        h, h_on, dh = empty(m + 1), empty(m, self.hidden_relu), empty(m)
        z, r = empty(n), empty(n)
        h[:, m] = -1
        a, bits = h[:, :m], np.dtype(f"i{dtype.itemsize}")
        self.shift = np.array(8 * dtype.itemsize - 1, bits)                             # takes the sign bit to every place
        views = h, a, dh, z, r, *(array.view(bits) for array in (a, h_on, dh, z, r))
        ends = range(0, batch_size, rows)
        self.chunks = [(slice(i, i + rows), [view[..., :batch_size - i] for view in views]) for i in ends]
        self.W, self.d_in = np.empty((2, k, m, n), dtype)                               # of the input layer; W is negated
        self.gradient, self.part = Layers(model.parameters), Layers(model.parameters) if len(ends) > 1 else None
        importance = np.broadcast_to(features.importance, (k, n))
        self.equal = bool((importance == importance[:1, :1]).all())
        self.importance, self.squares = importance.astype(dtype), np.empty((k, n), dtype)
        self.scale = np.array(2 / batch_size * (importance[0, 0] if self.equal else 1), dtype)
        self.harmless = float(_harmless(n, batch_size, importance.max(), dtype))

    def __call__(self, layers, x, recorded=True):
        """The loss (k,), or None if it is not `recorded` and sure to be finite, and the gradient, valid until the next call."""
        np.negative(layers.first, out=self.W)
        loss = 0
        for samples, views in self.chunks:
            gradient = self.part if samples.start else self.gradient
            loss += self._chunk(layers, x[..., samples], views, gradient, recorded)
            if samples.start:
                self.gradient.flat += gradient.flat
        self.gradient.flat *= self.scale
        if not layers.flat @ layers.flat < self.harmless / 2:
            loss, recorded = self._doubtful(layers, x, loss), True
        return loss / x.shape[-1] if recorded else None, self.gradient

    def _chunk(self, layers, x, views, gradient, recorded):
        """Write the gradient, and return the loss summed over samples, (k,), or 0 unless `recorded`."""
        h, a, dh, z, r, a_bits, h_on, dh_bits, on, r_bits = views
        np.matmul(self.W, x, out=a)                                                     # (k, m, R)
        if self.hidden_relu:
            np.right_shift(a_bits, self.shift, out=h_on)
            np.bitwise_and(a_bits, h_on, out=a_bits)
        np.matmul(transpose(layers.out), h, out=z)                                      # (k, n, R)
        np.add(z, np.abs(x, out=r) if self.features.signed else x, out=r)
        if self.relu:
            np.right_shift(on, self.shift, out=on)                                      # z is needed no more
            np.bitwise_and(r_bits, on, out=r_bits)
        loss = self._loss(r, on, x) if recorded else 0
        if not self.equal:
            r *= self.importance[..., None]                                             # -dz, but for 2 / B
        np.matmul(h, transpose(r), out=gradient.out)                                    # (k, m + 1, n)
        np.matmul(layers.back, r, out=dh)                                               # (k, m, R)
        if self.hidden_relu:
            np.bitwise_and(dh_bits, h_on, out=dh_bits)
        np.matmul(dh, transpose(x), out=self.d_in)                                      # (k, m, n)
        if layers.tied:
            gradient.first -= self.d_in
        else:
            np.negative(self.d_in, out=gradient.first)
        return loss

    def _loss(self, r, on, x):
        """sum_i I_i r_i^2, summed over samples: (k,). Where the ReLU is off, |x| is what is missing."""
        squares = np.vecdot(r, r, out=self.squares)
        if self.relu:
            missing = np.bitwise_and(x.view(on.dtype), ~on).view(x.dtype)
            squares += np.vecdot(missing, missing)
        return (squares * self.importance).sum(-1)

    def _doubtful(self, layers, x, loss):
        """The loss summed over samples, as the reference has it wherever parameters are not surely harmless."""
        norm = sum(np.square(a).reshape(len(a), -1).sum(-1) for a in layers.arrays)
        reference = self.cls.from_parameters(layers.arrays).loss(transpose(x), self.features)
        return np.where(norm < self.harmless, loss, reference * x.shape[-1])


def _harmless(n, batch_size, importance, dtype):
    """How large the squared norm S of a model's parameters may be if its loss is to be finite for all x in [-1, 1]^n.

    |x| <= sqrt(n), so |h| <= sqrt(S n), and the residual is at most sqrt(n) (1 + sqrt(S))^2 long.
    """
    most = np.finfo(dtype).max / (batch_size * n * max(importance, 1.0))                # for (1 + sqrt(S))^4
    return max(most**0.25 - 1, 0.0) ** 2


def chunk_rows(n_features, batch_size):
    """Rows of a chunk, as equal as they come. They do not depend on the company, and so neither do the results."""
    chunks = -(-batch_size * n_features // CHUNK)
    return -(-batch_size // chunks)


class Layers:
    """A copy of a stack's parameters in one array `flat`, so that few kernels reach them all.

        first (k, m, n)  the input layer        out (k, m + 1, n)  the output layer, its last row the bias; back, the others

    `arrays` are like the parameters. All are views of `flat`; of tied layers, `first` is `back`.
    """

    def __init__(self, parameters, flat=None):
        W, *untied, _ = parameters
        k, m, n = W.shape
        self.tied = not untied
        self.flat = np.empty(sum(a.size for a in parameters), W.dtype) if flat is None else flat
        self.out = self.flat[-k * (m + 1) * n:].reshape(k, m + 1, n)
        self.back = self.out[:, :m]
        self.first = self.back if self.tied else self.flat[:k * m * n].reshape(k, m, n)
        self.arrays = (self.first, *(transpose(self.back) for _ in untied), self.out[:, m])
        for view, a in zip(self.arrays, parameters):
            view[...] = a


class Adam:
    """`optim.adam` and `optim.adamw` in place, to the bit: parameters and state change, nothing is allocated."""

    def __init__(self, parameters, state, weight_decay):
        self.parameters, self.t, self.decay = Layers(parameters), state.t, weight_decay
        flat = self.parameters.flat
        self.moments, self.news = np.empty((2, 2, flat.size), flat.dtype)       # running means of g and of g^2; what is new
        self.mean, self.square = map(Layers, (state.mean, state.square), self.moments)
        self.change, self.squares = self.news
        self.betas = np.array([[BETA1], [BETA2]], flat.dtype)
        self.rests = np.array([[1 - BETA1], [1 - BETA2]], flat.dtype)
        self.step, self.floor = np.empty((2, 1), flat.dtype)

    def __call__(self, gradient, learning_rate):
        """One step along `gradient`, Layers like the parameters."""
        self.t += 1
        self.step[0], self.floor[0] = step_and_floor(self.t, learning_rate)
        theta, mean, square, change = self.parameters.flat, self.mean.flat, self.square.flat, self.change
        if self.decay:
            theta *= 1 - learning_rate * self.decay                                     # (3.6)
        np.multiply(gradient.flat, self.rests, out=self.news)
        self.squares *= gradient.flat
        self.moments *= self.betas
        self.moments += self.news                                                       # (3.1), (3.2)
        np.sqrt(square, out=change)
        change += self.floor
        np.divide(mean, change, out=change)
        change *= self.step
        theta -= change                                                                 # (3.5)


def _position(state):
    """The state of a PCG64 generator as six uint64: two of 128 bits, highest first, and what is left of a draw."""
    words = [state["state"][name] >> shift & 2**64 - 1 for name in ("state", "inc") for shift in (64, 0)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)


def _generator(position):
    """A PCG64 generator that stands where `_position` was called."""
    high, low, inc_high, inc_low, has_uint32, uinteger = map(int, position)
    rng = np.random.Generator(np.random.PCG64(0))
    rng.bit_generator.state = {"bit_generator": "PCG64", "has_uint32": has_uint32, "uinteger": uinteger,
                               "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low}}
    return rng
