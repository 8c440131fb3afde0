"""The distribution of the input x: who is active, how strongly, and how much it matters.

    n    number of features          p    feature probability, P(x_i != 0)
    B    batch size                  I    importance
    K    number of instances         set  features whose activity is tied together

Every feature belongs to exactly one set; sets are independent of each other. A feature that no argument names is
a correlated set of its own, so the law of x is the product over sets of (derivations/01-sparse-features.md)

    correlated set       with probability p all members are on, with independent values               (1.3)
    anticorrelated set   with probability p one member, drawn uniformly, is on                        (1.4)
"""

from dataclasses import dataclass

import numpy as np

from . import checks
from .arrays import transpose

# Sets that are on more rarely than this are scattered event by event; the others are drawn entry by entry.
SCATTER_BELOW = 0.25


@dataclass(frozen=True)
class FeatureSet:
    """Features that switch together: `kind` "correlated" or "anticorrelated", `members` their indices."""

    kind: str
    members: tuple


class Features:
    """The law of n sparse features, their importances, and their sampler.

    Parameters
    ----------
    n_features : int
    feature_probability : scalar, (n,), (instances, 1) or (instances, n)
        P(x_i != 0), in (0, 1]. The paper's sparsity is S = 1 - p. Members of a set share one value; for an
        anticorrelated set it is the probability that the set is on.
    importance : scalar, (n,), (instances, 1) or (instances, n)
        Weight I_i >= 0 of feature i in the loss.
    signed : bool
        Active values are Uniform[-1, 1] and the target is |x|; otherwise Uniform[0, 1] and the target is x.
    correlated, anticorrelated : sequences of sets of indices
        Disjoint sets of at least two features each.

    Raises ValueError or TypeError with a sentence for anything else. Source: paper, sections "Demonstrating
    Superposition" and "Correlated and Anticorrelated Features".
    """

    def __init__(self, n_features, feature_probability, importance=1.0, *, signed=False, correlated=(),
                 anticorrelated=()):
        self.n_features = n = checks.integer("n_features", n_features)
        if not isinstance(signed, (bool, np.bool_)):
            raise TypeError(f"signed must be True or False, got {signed!r}")
        self.signed = bool(signed)
        self.correlated = _index_sets("correlated", correlated, n)
        self.anticorrelated = _index_sets("anticorrelated", anticorrelated, n)
        self.sets = _partition(n, self.correlated, self.anticorrelated)

        p = _per_feature("feature_probability", feature_probability, n)
        importance = _per_feature("importance", importance, n)
        if not ((p > 0) & (p <= 1)).all():
            raise ValueError(f"feature_probability must lie in (0, 1], got values from {p.min()} to {p.max()}")
        if (importance < 0).any():
            raise ValueError(f"importance must not be negative, got {importance.min()}")
        counts = {len(a) for a in (p, importance) if a.ndim == 2}
        if len(counts) > 1:
            raise ValueError(f"feature_probability and importance must have the same number of instances, "
                             f"got {p.shape} and {importance.shape}")
        self.n_instances = counts.pop() if counts else None
        shape = (n,) if self.n_instances is None else (self.n_instances, n)
        self.feature_probability = _frozen(np.broadcast_to(p, shape))       # (n,) or (K, n)
        self.importance = _frozen(np.broadcast_to(importance, shape))       # (n,) or (K, n)
        for s in self.sets:
            shared = self.feature_probability[..., list(s.members)]
            if (shared != shared[..., :1]).any():
                raise ValueError(f"the {s.kind} set {s.members} must share one feature_probability, "
                                 f"got {np.unique(shared).tolist()}")
        self._plans = {}

    def __repr__(self):
        p, importance = (np.unique(a) for a in (self.feature_probability, self.importance))
        span = lambda a: f"{a[0]:g}" if len(a) == 1 else f"{a[0]:g}…{a[-1]:g}"
        parts = [f"{self.n_features}", f"p={span(p)}", f"importance={span(importance)}"]
        parts += [f"instances={self.n_instances}"] * (self.n_instances is not None) + ["signed"] * self.signed
        parts += [f"{s.kind} {s.members}" for s in self.sets if len(s.members) > 1]
        return f"Features({', '.join(parts)})"

    def __getitem__(self, index):
        """The features of instance `index` (an int), or of a slice of instances; needs an instance axis."""
        if self.n_instances is None:
            raise TypeError("these features have no instance axis to index")
        if isinstance(index, (bool, np.bool_)) or not isinstance(index, (int, np.integer, slice)):
            raise TypeError(f"index must be an integer or a slice of instances, got {index!r}")
        return Features(self.n_features, self.feature_probability[index], self.importance[index],
                        signed=self.signed, correlated=self.correlated, anticorrelated=self.anticorrelated)

    # -- the exact law ---------------------------------------------------------------------------------------

    @property
    def active_probability(self):
        """P(x_i != 0), (n,) or (K, n): p, or p / k for a member of an anticorrelated set of k. (1.4)"""
        q = self.feature_probability.copy()
        for members in self.anticorrelated:
            q[..., list(members)] /= len(members)
        return q

    def mean(self):
        """E[x_i], (n,) or (K, n): q/2, or 0 if signed. (1.5)"""
        return self.active_probability * (0.0 if self.signed else 0.5)

    def variance(self):
        """Var[x_i], (n,) or (K, n): q/3 - E[x_i]^2. (1.5)"""
        return self.active_probability / 3 - self.mean() ** 2

    def second_moment(self):
        """E[x_i x_j], (n, n) or (K, n, n). Off the diagonal it is E[x_i] E[x_j] unless a set joins i and j. (1.6)"""
        mean = self.mean()
        moment = mean[..., :, None] * mean[..., None, :]
        for s in self.sets:
            i, j = np.ix_(s.members, s.members)
            within = 0.0 if s.kind == "anticorrelated" or self.signed else 0.25
            moment[..., i, j] = within * self.feature_probability[..., s.members[0], None, None]
        diagonal = np.arange(self.n_features)
        moment[..., diagonal, diagonal] = self.active_probability / 3
        return moment

    def target(self, x):
        """What the model should output for `x`: x itself, or |x| if signed. Same shape."""
        return abs(x) if self.signed else x

    # -- the sampler -----------------------------------------------------------------------------------------

    def sample(self, rng, batch_size, *, dtype=np.float64):
        """Draw a batch.

        Parameters
        ----------
        rng : numpy.random.Generator, or one per instance
            With a single generator the instances are drawn from it one after the other.
        batch_size : int
        dtype : float64 (default) or float32

        Returns x (B, n), or (K, B, n) if there are instances or several generators; in memory, each feature's B values
        lie side by side. The cost is that of clearing x, plus that of the active entries where p is small or of all
        entries where it is not. (1.7)
        """
        checks.integer("batch_size", batch_size)
        rngs = list(rng) if isinstance(rng, (list, tuple)) else None
        for r in rngs or [rng]:
            if not isinstance(r, np.random.Generator):
                raise TypeError(f"rng must be a numpy.random.Generator or a list of them, got {r!r}")
        if None not in (rngs, self.n_instances) and len(rngs) != self.n_instances:
            raise ValueError(f"rng must hold one generator for each of the {self.n_instances} instances, "
                             f"got {len(rngs)}")
        lead = self.n_instances if rngs is None else len(rngs)
        x = np.empty((1 if lead is None else lead, 1, self.n_features, batch_size), checks.precision("dtype", dtype))
        self.fill(rngs or [rng] * len(x), x, Room())
        return x[0, 0].T if lead is None else transpose(x[:, 0])

    def fill(self, rngs, x, room):
        """Write S batches for each of K generators into x (K, S, n, B), C-contiguous; nothing is checked.

        With the same `room` again and again, features that belong to no set are drawn without allocating.
        """
        for i, rng in enumerate(rngs):
            instance = None if self.n_instances is None else i
            if instance not in self._plans:
                p = self.feature_probability if instance is None else self.feature_probability[instance]
                self._plans[instance] = _plan(self.sets, p)
            plan = self._plans[instance]
            if len(plan) == 1 and plan[0].dense:
                plan[0].draw_dense(rng, x[i], self.signed, room)
                continue
            x[i].view(np.uint8)[...] = 0                               # as bytes, which NumPy clears faster
            for group in plan:
                group.draw(rng, x[i], self.signed, room)


class Room:
    """Arrays by name and type that are made once and used again and again; they grow with a quarter to spare."""

    def __init__(self):
        self.arrays = {}

    def __call__(self, name, size, dtype):
        """The array `name` (size,), with whatever it held."""
        array = self.arrays.get((name, dtype))
        if array is None or len(array) < size:
            array = self.arrays[name, dtype] = np.empty(size + size // 4, dtype)
        return array[:size]


class _Group:
    """G sets of one kind and one size k, on with probabilities p (G,), that are drawn together.

    A line is one set in one of the S batches, B cells long, and a cell is one sample of it.
    """

    def __init__(self, kind, members, p, n_features):
        self.members = np.array(members)                        # (G, k)
        self.p = p                                              # (G,)
        self.anticorrelated = kind == "anticorrelated"
        self.single = self.members.shape == (n_features, 1)     # all features, so that cells are the entries of x
        self.scatter = bool(p.max() < SCATTER_BELOW)
        self.dense = self.single and not self.scatter
        if self.scatter:
            rates = -np.log1p(-p)                               # (1.7)
            self.rate, self.cumulative = rates.sum(), np.cumsum(rates)
            self.uniform = bool((p == p[0]).all())

    def draw_dense(self, rng, x, signed, room):
        """All features are single and frequent: one uniform u decides both activity and value, u/p given u < p. (1.8)"""
        rng.random(dtype=x.dtype.type, out=x)
        on = room("on", x.size, bool).reshape(x.shape)
        if (self.p < 1).any():
            p = self.p.astype(x.dtype)[:, None]
            x *= np.less(x, p, out=on)
            x /= p
        if signed:
            np.not_equal(x, 0, out=on)
            x *= 2
            x -= on

    def draw(self, rng, x, signed, room):
        batches, _, batch_size = x.shape
        cell = self._scattered(rng, batches, batch_size, room) if self.scatter else self._frequent(rng, batches, batch_size)
        k = self.members.shape[1]
        one_hot = self.anticorrelated and rng.integers(k, size=len(cell))
        per_cell = 1 if self.anticorrelated else k
        values = room("values", len(cell) * per_cell, x.dtype)
        rng.random(dtype=x.dtype.type, out=values)
        if signed:
            values *= 2
            values -= 1
        # A cell that was hit twice is simply written twice: the last event wins for all members of the set.
        if self.single:
            x.reshape(-1)[cell] = values
            return
        values = values.reshape(len(cell), per_cell)
        if self.anticorrelated:
            values = np.where(np.arange(k) == one_hot[:, None], values, values.dtype.type(0))
        x.reshape(-1)[self._entries(cell, x.shape)] = values

    def _entries(self, cell, shape):
        """Where in x (S, n, B) the members of each cell lie, (events, k)."""
        _, n, batch_size = shape
        line, row = np.divmod(cell, batch_size)
        batch, group = np.divmod(line, len(self.p))
        return ((batch * n)[:, None] + self.members[group]) * batch_size + row[:, None]

    def _frequent(self, rng, batches, batch_size):
        on = rng.random((batches, len(self.p), batch_size)) < self.p[:, None]
        return np.flatnonzero(on)

    def _scattered(self, rng, batches, batch_size, room):
        """The cells that Poisson events of rate -log(1 - p) hit: each with probability p, whatever the others do. (1.7)"""
        place = room("place", rng.poisson(self.rate * batches * batch_size), float)
        rng.random(out=place)
        if self.uniform:
            cell = room("cell", len(place), np.intp)
            return np.multiply(place, float(batches * len(self.p) * batch_size), out=cell, casting="unsafe")
        place *= batches * batch_size
        sample = place.astype(int)
        group = np.searchsorted(self.cumulative, (place - sample) * self.cumulative[-1], side="right")
        batch, row = np.divmod(sample, batch_size)
        return (batch * len(self.p) + group) * batch_size + row


def _plan(sets, p):
    """Group sets by kind, size and frequency: sparse groups are scattered, the others drawn entry by entry."""
    groups = {}
    for s in sets:
        key = (s.kind, len(s.members), p[s.members[0]] < SCATTER_BELOW)
        groups.setdefault(key, []).append(s.members)
    return [_Group(kind, members, p[[m[0] for m in members]], len(p)) for (kind, *_), members in groups.items()]


def _partition(n, correlated, anticorrelated):
    """All features as disjoint sets; singles count as correlated."""
    named = [i for members in correlated + anticorrelated for i in members]
    repeated = sorted({i for i in named if named.count(i) > 1})
    if repeated:
        raise ValueError(f"a feature may be named once in all correlated and anticorrelated sets, "
                         f"but {repeated} appear more than once")
    singles = [FeatureSet("correlated", (i,)) for i in sorted(set(range(n)) - set(named))]
    return tuple([FeatureSet("correlated", m) for m in correlated]
                 + [FeatureSet("anticorrelated", m) for m in anticorrelated] + singles)


def _index_sets(name, sets, n):
    try:
        sets = [tuple(members) for members in sets]
    except TypeError:
        raise TypeError(f"{name} must be a sequence of sets of feature indices, got {sets!r}") from None
    result = []
    for members in sets:
        members = tuple(checks.integer(f"an index in {name}", i, minimum=0) for i in members)
        if len(members) < 2:
            raise ValueError(f"each set in {name} needs at least two features, got {members}")
        if max(members) >= n:
            raise ValueError(f"{name} names feature {max(members)}, but there are only {n} (0 to {n - 1})")
        result.append(members)
    return tuple(result)


def _per_feature(name, value, n):
    a = checks.array(name, value, dtype=np.float64)
    allowed = a.ndim == 0 or a.shape == (n,) or (a.ndim == 2 and a.shape[1] in (1, n))
    if not allowed:
        raise ValueError(f"{name} must be a scalar or have shape ({n},), (instances, 1) or (instances, {n}), "
                         f"got {a.shape}")
    return a


def _frozen(a):
    a = a.copy()
    a.setflags(write=False)
    return a
