"""Sparse batches as lists of the entries that are not zero, and products with them.

A list is drawn by its gaps (1.12): no entry is hit twice, and all come in the order in which they
lie. It costs what is active, whatever the size of x; of several instances, what is active where
most is.

    S  steps drawn at once      R  samples in a chunk
    k  instances                L  entries listed for each instance
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .sampler import Room

MOST_PROBABLE = 0.08            # feature probability up to which lists pay,
FEATURES = 16                   # from how many features on,
ENTRIES = 2**15                 # how many entries x should have, in one instance,
ACTIVE = 8                      # and how many of a chunk's should be active
CHUNK = 2**17                   # entries of x, of one instance, that are worked on at once
WIDEST = 2**22      # features that there may be: sums of gaps are int32, and no gap is above 45 / p
SURE = 9                        # standard deviations that a list is longer than the mean (1.13)


@cache
def sparse_product():
    """SciPy's product of a list with a matrix: its public one allocates, and takes longer to be
    called than this one to run. None where it is missing: then all batches are dense.
    """
    try:
        from scipy.sparse._sparsetools import coo_matmat_dense
    except ImportError:
        return None
    return coo_matmat_dense


def pay(features, batch_size):
    """Whether batches should be lists, for each instance: (1,) or (instances,) bools."""
    n, p = features.n_features, np.atleast_2d(features.feature_probability)
    alike = (p.min(-1) == p.max(-1)) & (len(features.sets) == n)
    fits = FEATURES <= n <= WIDEST and ENTRIES <= n * batch_size and sparse_product() is not None
    active = p.max(-1) * min(n * batch_size, CHUNK)
    return alike & fits & (p.max(-1) <= MOST_PROBABLE) & (active >= ACTIVE)


class Events(NamedTuple):
    """A chunk x (k, R, n) as a list of k L entries. The last ones of an instance may be zeros."""

    cell: np.ndarray            # where in x, int32
    row: np.ndarray             # in which of its k R rows
    feature: np.ndarray         # and which of the k n features
    value: np.ndarray           # minus what is there
    target: np.ndarray          # its absolute value
    nowhere: np.ndarray         # int32 zeros

    def add_to_hidden(self, weights, h):
        """h (k, R, m) -= x @ weights (k, n, m), all contiguous."""
        self._add(self.row, self.feature, self.value, weights, h, h.shape[-1])

    def add_to_weights(self, dh, weights):
        """weights (k, n, m) -= x^T @ dh (k, R, m), all contiguous."""
        self._add(self.feature, self.row, self.value, dh, weights, dh.shape[-1])

    def add_to_output(self, z):
        """z (k, R, n) += |x|, contiguous."""
        self._add(self.cell, self.nowhere, self.target, np.ones(1, z.dtype), z, 1)

    def _add(self, i, j, value, factor, out, width):
        """out[i] += value * factor[j] for each entry; out and factor have rows of this width."""
        sparse_product()(len(i), width, i, j, value, factor.reshape(-1), out.reshape(-1))

    def dense(self, shape):
        """x as an array of this shape."""
        x = np.zeros(shape, self.value.dtype)
        np.subtract.at(x.reshape(-1), self.cell, self.value)
        return x


class EventBlock:
    """Batches for k instances in C chunks of `sizes` samples, drawn for S steps at once: block[s]
    are the Events of step s.

    Features are single, and those of an instance share one probability. What it draws does not
    depend on the others.
    """

    def __init__(self, features, count, sizes, steps, dtype):
        n, dtype = features.n_features, np.dtype(dtype)
        p = np.broadcast_to(features.feature_probability.reshape(-1, n)[:, 0], count)
        most, least = p * max(sizes) * n, p * min(sizes) * n         # active entries to be expected
        spread = lambda mean: SURE * np.sqrt(mean + SURE)
        lengths = (most + spread(most)).astype(int) + SURE
        self.low = max(0, int((least - spread(least)).min()))   # these are active, as surely (1.13)
        self.laws = list(zip(lengths.tolist(), (-1 / np.log1p(-p)).tolist()))
        self.shape = shape = steps, len(sizes), count, lengths.max()
        self.gap, self.raw = np.empty(shape, np.int32), np.zeros(shape, dtype)
        self.drawn = np.empty(steps * len(sizes) * lengths.max())
        entries = np.array(sizes, np.int32)[:, None, None] * np.int32(n)
        instances = np.arange(count, dtype=np.int32)[:, None]
        self.place = entries * instances + np.arange(lengths.max(), dtype=np.int32)     # (C, k, L)
        self.end = entries * instances + entries                  # (C, k, 1): the first cell behind
        self.left = (self.end - self.place)[..., self.low:]      # what sums of gaps must stay below
        self.active = np.empty((*shape[:-1], self.left.shape[-1]), bool)
        self.feature, self.n = instances * np.int32(n), np.array(n, np.int32)
        self.scale = np.array(-2.0 if features.signed else -1.0)
        self.offset = np.array(features.signed, dtype)
        self.nowhere, self.room = np.zeros(count * lengths.max(), np.int32), Room()

    def __getitem__(self, step):
        return self.events[step]

    def draw(self, rngs):
        """Draw S steps, for each instance from its own generator."""
        self._draw_numbers(rngs)
        *lead, _ = self.shape
        steps, chunks, count = lead
        np.cumsum(self.gap, axis=-1, dtype=np.int32, out=self.gap)
        # What is not active lies behind the last cell.
        active = np.less(self.gap[..., self.low:], self.left, out=self.active)
        size = self.low + int(np.count_nonzero(active, axis=-1).max())
        tail = slice(self.low, size)
        entries = steps * chunks * count * size
        array = lambda name, dtype: self.room(name, entries, dtype).reshape(*lead, size)
        cell, row, feature = (array(name, np.int32) for name in ("cell", "row", "feature"))
        value, target = (array(name, self.raw.dtype) for name in ("value", "target"))
        np.add(self.gap[..., :size], self.place[..., :size], out=cell)                  # (1.12)
        np.minimum(cell[..., tail], self.end - 1, out=cell[..., tail])
        np.floor_divide(cell, self.n, out=row)
        np.multiply(row, self.n, out=feature)
        np.subtract(cell, feature, out=feature)
        feature += self.feature
        np.add(self.raw[..., :size], self.offset, out=value)
        value[..., tail] *= active[..., :size - self.low]
        np.abs(value, out=target)
        lists = [a.reshape(steps, chunks, -1) for a in (cell, row, feature, value, target)]
        nowhere = self.nowhere[:count * size]
        self.events = [[Events(*one, nowhere) for one in zip(*step)] for step in zip(*lists)]

    def _draw_numbers(self, rngs):
        """Write the gaps, and values without the `offset`; what no instance needs is 0."""
        for i, (rng, (length, scale)) in enumerate(zip(rngs, self.laws)):
            drawn = self.drawn[:self.gap[:, :, i, :length].size].reshape(*self.shape[:2], length)
            rng.standard_exponential(out=drawn)
            np.multiply(drawn, scale, out=self.gap[:, :, i, :length], casting="unsafe")
            self.gap[:, :, i, length:] = 0
            rng.random(out=drawn)
            np.multiply(drawn, self.scale, out=self.raw[:, :, i, :length], casting="unsafe")
