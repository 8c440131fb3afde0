"""The training loop's step without its allocations, on buffers that stay in the cache.

Why it is fast, in one place:
- Nothing is allocated after the start. Arrays that come and go cost more than the arithmetic on
  them: the system hands out every page anew, and the cache is cold.
- Threads have instances of their own, and kernels are few and large. Between two kernels a thread
  needs the interpreter's lock, and waiting for it costs as much as a small kernel. So several small
  instances share their kernels, small models draw the samples of several steps at once, and Adam
  works on flat arrays.
- Of many features, samples are rows, in chunks that stay in a core's L2 cache, and products are cut
  into blocks that BLAS multiplies as they lie (`passes.SMALL`); that alone is a third of a dense
  step. A chunk is drawn when the step comes to it, into the place of the one before. Of few,
  samples lie side by side, since kernels want long rows.
- What is always or often on is drawn by `words.py`, at a fifth of what a generator takes.
- What is rare is scattered, event by event, and all that is dense about it is to clear the batch.
- Where features are rare and batches large, x is a list of its entries (`events.py`), and two of
  five products are sums over it. Smaller batches are arrays, since lists need more kernels, and
  with two threads those wait for each other.
- The bias is one more hidden unit that is always 1: adding it and summing its gradient are part of
  matrix products.
- Parameters lie as these products read them, and gradients as they write them; Adam has both means
  in one array.
- A ReLU is two operations on integers, its sign bit spread over the whole number and a bitwise and,
  which NumPy does several times faster than maximum or where.
- The numbers that kernels take are arrays: to convert one from Python costs as much as a small
  kernel.
- Importances multiply slopes and weights, which are smaller arrays than residuals.
- The loss is computed where it is recorded only. Parameters of moderate size are enough to know
  that it is finite.

What a dense step of (400, 30) consists of, for one instance and 1024 samples in float32 on one
thread, in microseconds of CPU (`tests/benchmark/training.py budget` measures it; the peaks of that
machine: 99 Gflop/s of sgemm, and 83 GB/s of additions in the L2 cache of a core):

                             Mflop     MB   at the peaks   measured
    five products              123    0.0           1242       1241
    passes over z, the rest      0   13.1            158        267
    random numbers               0    8.2             98        134
    Adam                         0    1.2             14         20

Products are at the peak, and no step can have more than 1242 / 1512 = 82 % of sgemm: the rest is
bound by the bandwidth of L2. In a run that trains twenty such models a step takes 1840 and not
1660, since its arrays do not all fit into L2, and on two threads it lasts 1940 to 2000: 62 to 65 %
of sgemm. In hours in which others use the L3 cache of the machine it lasts up to 2700: 46 %.
MB are counted by hand: a residual reads z and x and writes r (12 bytes an entry), its sign is read
and written (8), the mask reads two and writes one (12); of a random number, the exclusive or reads
two words and writes one (12), and the subtraction reads and writes (8). At (5, 2) the same four are
1, 2, 1 and 0 at the peaks and 13, 4, 8 and 6 measured: there it is calls of kernels that take the
time, which is why ten such instances share theirs.

What bounds (80, 20) and (100, 40) with seven instances, where JAX comes nearest: one thread needs
260 and 560 to 640 an instance, two threads 310 to 330 and 680 to 850. Again and again one of them
finds the lock taken and sleeps; the virtual machine wakes it after 70. More threads than cores,
threads tied to cores and smaller chunks gained no more than noise.

`models.py` is the reference: gradients agree with it to rounding. `passes.py` has the arithmetic.
"""

from typing import NamedTuple

import numpy as np

from ..core import streams
from ..core.arrays import transpose
from ..core.optim import BETA1, BETA2, step_and_floor
from ..core.streams import generator_at, position
from . import events
from .passes import ColumnPass, DenseRows, ListedRows
from .sampler import Sampler

BLOCK = 2**20           # entries that one instance draws at once, which may be several small steps,
BLOCK_STEPS = 8             # but not more than these
MANY = 48                   # features from which on samples are rows, in chunks of events.CHUNK;
CHUNK = 2**19                   # of fewer, entries of x, of one instance, worked on at once
COLUMNS, ROWS, LISTS = "columns", "rows", "lists"           # how batches lie
PASSES = {COLUMNS: ColumnPass, ROWS: DenseRows, LISTS: ListedRows}

WORDS = streams.WORDS                       # of `random_state`, for an instance
random_state = streams.training_streams     # (seed, count) -> where the streams begin


class Batches:
    """The batch of each step in chunks, x (k, n, R) or Events, from generators that stand at
    `random` (k, 6).

    `steps` batches are drawn at once. `random` is where the present ones began, so that another
    Batches can go on in the middle of them.
    """

    def __init__(self, features, random, batch_size, dtype):
        kind, sizes = layout(features, batch_size)
        self.rngs = [generator_at(words) for words in random]
        self.began = [rng.bit_generator.state for rng in self.rngs]
        self.steps = min(max(1, BLOCK // (batch_size * features.n_features)), BLOCK_STEPS)
        block = events.EventBlock if kind == LISTS else dense_block
        self.block = block(features, len(random), sizes, self.steps, dtype)
        self.number = None

    def __call__(self, step):
        number, place = divmod(step, self.steps)
        if number != self.number:
            self.began = [rng.bit_generator.state for rng in self.rngs]
            self.block.draw(self.rngs)
            self.number = number
        return self.block[place]

    @property
    def random(self):
        return np.array([position(state) for state in self.began])


def dense_block(features, count, sizes, steps, dtype):
    """What draws the batches of k instances in chunks of `sizes` samples, for S steps at once:
    block[s] are the x of step s, (k, n, R), or (k, R, n) where samples are rows.
    """
    rows = samples_are_rows(features.n_features)
    sampler = Sampler(features, rows)
    fresh = rows and all(sampler.by_words(count, dtype))
    return (FreshBlock if fresh else DenseBlock)(sampler, count, sizes, steps, dtype)


class DenseBlock:
    """Batches that are drawn before the first of them is used."""

    def __init__(self, sampler, count, sizes, steps, dtype):
        n, rows = sampler.features.n_features, sampler.rows
        self.sampler = sampler
        self.x = np.empty((count, steps, *((sum(sizes), n) if rows else (n, sum(sizes)))), dtype)
        cut = np.split(self.x, np.cumsum(sizes)[:-1], axis=2 if rows else 3)
        self.chunks = list(zip(*(np.moveaxis(chunk, 1, 0) for chunk in cut)))

    def draw(self, rngs):
        self.sampler.fill(rngs, self.x)

    def __getitem__(self, step):
        return self.chunks[step]


class FreshBlock:
    """The same batches, but each chunk is drawn when a loop comes to it, into the place of the one
    before: so it is still in the cache.
    """

    def __init__(self, sampler, count, sizes, steps, dtype):
        n = sampler.features.n_features
        self.uniform = sampler.uniform(slice(count), (count, steps, sum(sizes), n), max(sizes))
        x = np.empty((count, max(sizes), n), dtype)
        self.chunks, self.batch_size = [x[:, :rows] for rows in sizes], sum(sizes)

    def draw(self, rngs):
        self.uniform.begin(rngs)

    def __getitem__(self, step):
        return FreshBatch(self, step)

    def each(self, step):
        """The chunks of a step."""
        line = step * self.batch_size
        for x in self.chunks:
            self.uniform.write(x, line)
            line += x.shape[1]
            yield x


class FreshBatch(NamedTuple):
    """A step of a FreshBlock, to go through as often as one likes."""

    block: FreshBlock
    step: int

    def __iter__(self):
        return self.block.each(self.step)


class Step:
    """Loss and gradient of a stack of k models of one class, for batches in chunks."""

    def __init__(self, model, features, batch_size):
        self.cls, self.features, self.batch_size = type(model), features, batch_size
        kind, sizes = layout(features, batch_size)
        passes = {rows: PASSES[kind](model, features, rows) for rows in set(sizes)}
        self.passes, self.kinds = [passes[rows] for rows in sizes], list(passes.values())
        self.gradient = Layers(model.parameters)
        self.part = Layers(model.parameters) if len(sizes) > 1 else None
        self.scale = np.array(2 / batch_size, model.dtype)
        self.harmless = float(_harmless(model.n_features, batch_size, features.importance.max(),
                                        model.dtype))

    def __call__(self, layers, batch, recorded=True):
        """The loss (k,) and the gradient, valid until the next call.

        There is no loss (None) where it is not `recorded` and sure to be finite.
        """
        loss, gradient = 0, self.gradient
        for one in self.kinds:
            one.prepare(layers)
        for one, x in zip(self.passes, batch, strict=True):
            loss += one(layers, x, gradient, recorded)
            if gradient is self.part:
                self.gradient.flat += gradient.flat
            gradient = self.part
        self.gradient.flat *= self.scale
        if not layers.flat @ layers.flat < self.harmless / 2:
            loss, recorded = self._doubtful(layers, batch, loss), True
        return loss / self.batch_size if recorded else None, self.gradient

    def _doubtful(self, layers, batch, loss):
        """The loss summed over samples; the reference's where parameters may not be harmless."""
        norm = sum(np.square(a).reshape(len(a), -1).sum(-1) for a in layers.arrays)
        rows = [one.dense(x).copy() for one, x in zip(self.passes, batch)]
        model = self.cls.from_parameters([a.copy() for a in layers.arrays])     # in rows, for BLAS
        reference = model.loss(np.concatenate(rows, axis=1), self.features)
        return np.where(norm < self.harmless, loss, reference * self.batch_size)


def _harmless(n, batch_size, importance, dtype):
    """How large the squared norm S of parameters may be if the loss is finite on [-1, 1]^n.

    |x| <= sqrt(n), so |h| <= sqrt(S n), and the residual is at most sqrt(n) (1 + sqrt(S))^2 long.
    """
    most = np.finfo(dtype).max / (batch_size * n * max(importance, 1.0))       # for (1 + sqrt(S))^4
    return max(most**0.25 - 1, 0.0) ** 2


def samples_are_rows(n_features):
    """Whether a dense batch of so many features has a sample, and not a feature, in each row."""
    return n_features >= MANY


def kind_of(n_features, lists):
    """How batches of so many features lie, be they lists or dense."""
    dense = ROWS if samples_are_rows(n_features) else COLUMNS
    return LISTS if lists else dense


def layout(features, batch_size):
    """How the batches of some instances lie, and the samples of each of their chunks."""
    kind = kind_of(features.n_features, events.pay(features, batch_size).all())
    return kind, chunks(features.n_features, batch_size, kind)


def chunks(n_features, batch_size, kind):
    """The samples of each chunk of a batch, as equal as they come, whatever the company."""
    most = CHUNK if kind == COLUMNS else events.CHUNK
    count = min(batch_size, -(-batch_size * n_features // most))
    return [batch_size // count + (i < batch_size % count) for i in range(count)]


class Layers:
    """A copy of a stack's parameters in one array `flat`, so that few kernels reach them all.

        first  (k, n, m + 1)  the input layer; its last column is 0, and stays so
        out    (k, n, m + 1)  the output layer; its last column is the bias, and `back` the others

    `arrays` are like the parameters. All are views of `flat`; of tied layers, `first` is `out`.
    """

    def __init__(self, parameters, flat=None):
        W, *untied, _ = parameters
        k, m, n = W.shape
        self.tied = not untied
        self.flat = np.empty((1 + len(untied)) * k * n * (m + 1), W.dtype) if flat is None else flat
        layers = self.flat.reshape(-1, k, n, m + 1)
        self.first, self.out = layers[0], layers[-1]
        self.back = self.out[..., :m]
        self.first[..., m] = 0
        self.arrays = (transpose(self.first[..., :m]), *(self.back for _ in untied),
                       self.out[..., m])
        for view, a in zip(self.arrays, parameters):
            view[...] = a


class Adam:
    """`optim.adam` and `optim.adamw` in place, to the bit, without allocations."""

    def __init__(self, parameters, state, weight_decay):
        self.parameters, self.t, self.decay = Layers(parameters), state.t, weight_decay
        flat = self.parameters.flat
        # The running means of g and of g^2, and what is new to each.
        self.moments, self.news = np.empty((2, 2, flat.size), flat.dtype)
        self.mean, self.square = map(Layers, (state.mean, state.square), self.moments)
        self.change, self.squares = self.news
        self.betas = np.array([[BETA1], [BETA2]], flat.dtype)
        self.rests = np.array([[1 - BETA1], [1 - BETA2]], flat.dtype)
        self.step, self.floor = np.empty((2, 1), flat.dtype)

    def __call__(self, gradient, learning_rate):
        """One step along `gradient`, Layers like the parameters."""
        self.t += 1
        self.step[0], self.floor[0] = step_and_floor(self.t, learning_rate)
        theta, change = self.parameters.flat, self.change
        mean, square = self.mean.flat, self.square.flat
        if self.decay:
            theta *= 1 - learning_rate * self.decay                                     # (3.6)
        np.multiply(gradient.flat, self.rests, out=self.news)
        self.squares *= gradient.flat
        self.moments *= self.betas
        self.moments += self.news                                                     # (3.1), (3.2)
        np.sqrt(square, out=change)
        change += self.floor
        np.divide(mean, change, out=change)
        change *= self.step
        theta -= change                                                                 # (3.5)
