"""Dense batches of features, drawn fast and in place: what `Features.sample` says, with other
numbers.

Sets of one kind, one size and one frequency are drawn together. What is rare is scattered event by
event, so that it costs what is active; what is frequent is drawn entry by entry. Equations (1.k)
are in derivations/01-sparse-features.md.
"""

from itertools import groupby

import numpy as np

from .words import Uniform

SCATTER_BELOW = 0.125           # the probability of a set below which it is scattered,
SINGLE_BELOW = 0.08             # or, where all are single features, which `words.py` draws faster


class Sampler:
    """Draws batches of `features` into arrays, with one instance after the other, each from its own
    generator. A batch is (n, B), or (B, n) where samples are `rows`.
    """

    def __init__(self, features, rows=False):
        self.features, self.rows, self.room, self.fast = features, rows, Room(), {}
        probabilities = np.atleast_2d(features.feature_probability)
        self.plans = [plan(features.sets, p, rows) for p in probabilities]

    def by_words(self, count, dtype):
        """Which of K instances `words.py` draws, as a list."""
        return [dtype == np.float32 and groups[0].dense for groups in self._plans(count)]

    def uniform(self, part, shape, most=None):
        """What draws the instances of a slice by words, x[part] having this shape, and of which as
        many lines as `most` may be written at once.
        """
        p = np.array([groups[0].p for groups in self._plans(part.stop)[part]])
        return Uniform(p, shape, self.features.signed, self.rows, most)

    def fill(self, rngs, x):
        """Write S batches for each of K generators into x (K, S, …), C-contiguous."""
        by_words = self.by_words(len(rngs), x.dtype)
        for fast, run in groupby(range(len(rngs)), by_words.__getitem__):
            first, *_ = run = list(run)
            key, part = (first, len(run)), slice(first, first + len(run))
            if not fast:
                self._fill_each(rngs[part], self._plans(len(rngs))[part], x[part])
                continue
            if key not in self.fast:
                self.fast[key] = self.uniform(part, x[part].shape)
            self.fast[key].draw(rngs[part], x[part])

    def _plans(self, count):
        return self.plans if len(self.plans) > 1 else self.plans * count

    def _fill_each(self, rngs, plans, x):
        """The same, one instance after the other."""
        signed = self.features.signed
        for rng, groups, batches in zip(rngs, plans, x, strict=True):
            if groups[0].dense:
                groups[0].draw_dense(rng, batches, signed, self.room)
                continue
            batches.view(np.uint8)[...] = 0                    # as bytes, which NumPy clears faster
            for group in groups:
                group.draw(rng, batches, signed, self.room)


class Room:
    """Arrays by name and type that are made once and used again; they grow with a quarter to spare.
    """

    def __init__(self):
        self.arrays = {}

    def __call__(self, name, size, dtype):
        """The array `name` (size,), with whatever it held."""
        array = self.arrays.get((name, dtype))
        if array is None or len(array) < size:
            array = self.arrays[name, dtype] = np.empty(size + size // 4, dtype)
        return array[:size]


def plan(sets, p, rows):
    """Sets by kind, size and frequency, as a list of Groups; p (n,) are the features'
    probabilities.
    """
    groups, below = {}, SINGLE_BELOW if len(sets) == len(p) else SCATTER_BELOW
    for s in sets:
        key = (s.kind, len(s.members), p[s.members[0]] < below)
        groups.setdefault(key, []).append(s.members)
    return [Group(kind, members, p[[m[0] for m in members]], len(p), rows, rare)
            for (kind, _, rare), members in groups.items()]


class Group:
    """G sets of one kind and one size k, on with probabilities p (G,), that are drawn together.

    A cell is one sample of one set in one of the S batches; they are numbered in this order of
    batch, set and sample, or of batch, sample and set where samples are rows.
    """

    def __init__(self, kind, members, p, n_features, rows, rare):
        self.rows, self.scatter = rows, rare
        self.members = np.array(members)                            # (G, k)
        self.p = p                                                  # (G,)
        self.anticorrelated = kind == "anticorrelated"
        self.single = self.members.shape == (n_features, 1)         # cells are the entries of x
        self.dense = self.single and not self.scatter
        self.uniform, self.always = bool((p == p[0]).all()), bool((p == 1).all())
        if self.scatter:
            rates = -np.log1p(-p)                                   # (1.7)
            self.rate, self.cumulative = rates.sum(), np.cumsum(rates)

    def draw_dense(self, rng, x, signed, room):
        """All features are single and frequent: one u decides activity and value, u/p given u < p.
        (1.8)
        """
        rng.random(out=x)
        on = room("on", x.size, bool).reshape(x.shape)
        if not self.always:
            p = self.p if self.rows else self.p[:, None]
            x *= np.less(x, p, out=on)
            x /= p
        if signed:
            np.not_equal(x, 0, out=on)
            x *= 2
            x -= on

    def draw(self, rng, x, signed, room):
        """Write what is active into x (S, …), which is 0 before."""
        batches, batch_size = len(x), x.shape[1 if self.rows else 2]
        find = self.scattered if self.scatter else self.frequent
        cell = find(rng, batches, batch_size, room)
        k = self.members.shape[1]
        one_hot = self.anticorrelated and rng.integers(k, size=len(cell))
        per_cell = 1 if self.anticorrelated else k
        values = room("values", len(cell) * per_cell, x.dtype)
        rng.random(dtype=x.dtype.type, out=values)
        if signed:
            values *= 2
            values -= 1
        # A cell that was hit twice is simply written twice: the last event wins for all members.
        if self.single:
            x.reshape(-1)[cell] = values
            return
        values = values.reshape(len(cell), per_cell)
        if self.anticorrelated:
            values = np.where(np.arange(k) == one_hot[:, None], values, values.dtype.type(0))
        x.reshape(-1)[self.entries(cell, x.shape)] = values

    def entries(self, cell, shape):
        """Where in x (S, …) the members of each cell lie, (events, k)."""
        if self.rows:
            line, group = np.divmod(cell, len(self.p))
            return line[:, None] * shape[-1] + self.members[group]
        _, n, batch_size = shape
        line, row = np.divmod(cell, batch_size)
        batch, group = np.divmod(line, len(self.p))
        return ((batch * n)[:, None] + self.members[group]) * batch_size + row[:, None]

    def frequent(self, rng, batches, batch_size, _):
        """The cells that are on, one number drawn for each."""
        groups = len(self.p)
        shape = (batches, batch_size, groups) if self.rows else (batches, groups, batch_size)
        return np.flatnonzero(rng.random(shape) < (self.p if self.rows else self.p[:, None]))

    def scattered(self, rng, batches, batch_size, room):
        """The cells that Poisson events of rate -log(1 - p) hit: each with probability p. (1.7)"""
        place = room("place", rng.poisson(self.rate * batches * batch_size), float)
        rng.random(out=place)
        if self.uniform:
            cell, cells = room("cell", len(place), np.intp), batches * len(self.p) * batch_size
            return np.multiply(place, float(cells), out=cell, casting="unsafe")
        place *= batches * batch_size
        sample = place.astype(int)
        end = self.cumulative[-1]
        group = np.searchsorted(self.cumulative, (place - sample) * end, side="right")
        if self.rows:
            return sample * len(self.p) + group
        batch, row = np.divmod(sample, batch_size)
        return (batch * len(self.p) + group) * batch_size + row
