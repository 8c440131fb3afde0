"""The law of the input x: who is active, how strongly, and how much it matters.

    n    number of features          p    feature probability, P(x_i != 0)
    B    batch size                  I    importance
    K    number of instances         set  features whose activity is tied together

Every feature belongs to exactly one set, and sets are independent of each other. A feature that no
argument names is a correlated set of its own (derivations/01-sparse-features.md).

    correlated set       with probability p all members are on, with independent values     (1.3)
    anticorrelated set   with probability p one member, drawn uniformly, is on              (1.4)

For instance, `Features(3, 0.1, correlated=[(0, 1)])` has x = (0, 0, 0) in 81 % of all samples,
(u, v, 0) in 9 %, (0, 0, w) in 9 % and (u, v, w) in 1 %, with u, v, w uniform in [0, 1].
"""

from collections import Counter
from itertools import islice
from typing import NamedTuple

import numpy as np

from . import checks

ARGUMENTS = ("n_features", "feature_probability", "importance", "signed", "correlated",
             "anticorrelated")
LAW = (*ARGUMENTS, "sets", "n_instances")       # what the law sets; a subclass may keep more
BYTES = 400                                     # that a feature takes in memory, most for its set


class FeatureSet(NamedTuple):
    """Features that switch together: `kind` "correlated" or "anticorrelated", `members` indices."""

    kind: str
    members: tuple


class Features:
    """The law of n sparse features, their importances, and a plain sampler.

    Parameters
    ----------
    n_features : int
    feature_probability : scalar, (n,), (instances, 1) or (instances, n)
        P(x_i != 0), in (0, 1]. The paper's sparsity is S = 1 - p. Members of a set share one value;
        for an anticorrelated set it is the probability that the set is on.
    importance : scalar, (n,), (instances, 1) or (instances, n); weights I_i >= 0 in the loss
    signed : bool
        Active values are Uniform[-1, 1] and the target is |x|; else Uniform[0, 1], and the target x
    correlated, anticorrelated : disjoint sets of at least two indices each

    A subclass may override `sample` and `target`: `tm.train` and `tm.estimate_loss` call them.
    Raises ValueError or TypeError with a sentence for anything else. Source: paper, sections
    "Demonstrating Superposition" and "Correlated and Anticorrelated Features".
    """

    def __init__(self, n_features, feature_probability=None, importance=1.0, *, signed=False,
                 correlated=(), anticorrelated=(), **unknown):
        _check_given(feature_probability, signed, unknown)
        self.n_features = n = checks.integer("n_features", n_features)
        checks.memory("n_features", n * BYTES)
        self.signed = bool(signed)
        self.correlated = _index_sets("correlated", correlated, n)
        self.anticorrelated = _index_sets("anticorrelated", anticorrelated, n)
        self.sets = _partition(n, self.correlated, self.anticorrelated)
        p, importance, *count = _per_feature(n, feature_probability, importance, self.sets)
        self.feature_probability, self.importance = p, importance           # (n,) or (K, n)
        self.n_instances = count[0] if count else None

    # -- the exact law --------------------------------------------------------------------------

    @property
    def active_probability(self):
        """q_i = P(x_i != 0), (n,) or (K, n): p, or p / k in an anticorrelated set of k. (1.4)"""
        q = self.feature_probability.copy()
        for members in self.anticorrelated:
            q[..., list(members)] /= len(members)
        return q

    def mean(self):
        """E[x_i], (n,) or (K, n): q/2, or 0 if signed. (1.5)"""
        self._check_law("mean")
        return self.active_probability * (0.0 if self.signed else 0.5)

    def variance(self):
        """Var[x_i], (n,) or (K, n): q/3 - E[x_i]^2. (1.5)"""
        self._check_law("variance")
        return self.active_probability / 3 - self.mean() ** 2

    def second_moment(self):
        """E[x_i x_j], (n, n) or (K, n, n): E[x_i] E[x_j] unless i = j or a set joins them. (1.6)"""
        self._check_law("second_moment")
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
        return abs(checks.array("x", x)) if self.signed else checks.array("x", x)

    # -- the sampler ----------------------------------------------------------------------------

    def sample(self, rng, batch_size, *, dtype=np.float64):
        """Draw a batch: x (B, n), or (K, B, n) if there are instances or several generators.

        `rng` is a numpy.random.Generator, from which instances are drawn one after the other, or a
        list of one for each instance; `dtype` is float64 or float32.
        """
        rngs, dtype = self._check_sample(rng, batch_size, dtype)
        if rngs is None and self.n_instances is None:
            return self._draw(rng, self.feature_probability, batch_size, dtype)
        rngs = rngs or [rng] * self.n_instances
        p = np.broadcast_to(self.feature_probability, (len(rngs), self.n_features))
        return np.stack([self._draw(*one, batch_size, dtype) for one in zip(rngs, p)])

    def _draw(self, rng, p, B, dtype):
        """A batch x (B, n) of one instance, whose feature probabilities are p (n,)."""
        first = [s.members[0] for s in self.sets]
        of = np.empty(self.n_features, int)                                 # (n,) which set is i's
        for number, s in enumerate(self.sets):
            of[list(s.members)] = number
        on = (rng.random((B, len(first))) < p[first])[:, of]                # (B, n)         (1.3)
        for members in self.anticorrelated:
            chosen = rng.integers(len(members), size=(B, 1))                # which one is on
            on[:, members] &= chosen == np.arange(len(members))             # (B, k)         (1.4)
        x = rng.random((B, self.n_features), dtype=dtype)
        return on * (2 * x - 1 if self.signed else x)

    def replace(self, **changes):
        """The same class and law but for some arguments: `features.replace(importance=1.0)`."""
        for name in set(changes) - set(ARGUMENTS):
            raise TypeError(f"replace takes {', '.join(ARGUMENTS)}, got {name!r}")
        new = object.__new__(type(self))
        vars(new).update({name: value for name, value in vars(self).items() if name not in LAW})
        Features.__init__(new, **{name: getattr(self, name) for name in ARGUMENTS} | changes)
        return new

    def __getitem__(self, index):
        """The features of one instance, or of a slice of instances."""
        if self.n_instances is None:
            raise TypeError("these features have no instance axis to index")
        if isinstance(index, (bool, np.bool_)) or not isinstance(index, (int, np.integer, slice)):
            raise TypeError(f"index must be an integer or a slice of instances, got {index!r}")
        index = checks.index(index)
        return self.replace(feature_probability=self.feature_probability[index],
                            importance=self.importance[index])

    def __setattr__(self, name, value):
        """Features do not change: a law that did would differ from what was derived from it."""
        if name in vars(self):
            raise AttributeError(f"features do not change: features.replace({name}=…) makes others")
        super().__setattr__(name, value)

    def __setstate__(self, state):
        """Read a pickle or a copy: the law's two arrays become read-only again."""
        for name, value in state.items():
            vars(self)[name] = _frozen(value) if name in ARGUMENTS[1:3] else value

    def __repr__(self):
        p, importance = (np.unique(a) for a in (self.feature_probability, self.importance))
        span = lambda a: f"{a[0]:g}" if len(a) == 1 else f"{a[0]:g}…{a[-1]:g}"
        parts = [f"{self.n_features}", f"p={span(p)}", f"importance={span(importance)}"]
        parts += [f"instances={self.n_instances}"] if self.n_instances else []
        parts += ["signed"] if self.signed else []
        sets = [f"{s.kind} {s.members}" for s in self.sets if len(s.members) > 1]
        parts += sets if len(sets) < 5 else [f"{len(sets)} sets"]
        return f"{type(self).__name__}({', '.join(parts)})"

    # -- what is checked ------------------------------------------------------------------------

    def _check_law(self, name):
        """The moments here are those of `sample` here, and of no other."""
        if not self.sample.__module__ == self._draw.__module__ == __name__:
            raise TypeError(f"{type(self).__name__} draws samples of its own, so its {name} is not "
                            f"known here: write a method {name}() beside its sample()")

    def _check_sample(self, rng, batch_size, dtype):
        """The generators as a list, or None for a single one, and the dtype, if all are good."""
        batch_size = checks.integer("batch_size", batch_size)
        rngs = list(rng) if isinstance(rng, (list, tuple)) else None
        for r in rngs or [rng]:
            if not isinstance(r, np.random.Generator):
                raise TypeError(f"rng must be a Generator or a list of some, got {rng!r}")
        if None not in (rngs, self.n_instances) and len(rngs) != self.n_instances:
            raise ValueError(f"rng must hold one generator for each of the {self.n_instances} "
                             f"instances, got {len(rngs)}")
        count = len(rngs) if rngs else self.n_instances or 1
        checks.memory("batch_size", 24 * count * batch_size * self.n_features)
        return rngs, checks.precision("dtype", dtype)


def _check_given(p, signed, unknown):
    for name in unknown:
        hint = "the paper's sparsity is S = 1 - p, so give feature_probability = 1 - S" \
            if name.lower() in ("sparsity", "s") else f"the arguments are {', '.join(ARGUMENTS)}"
        raise TypeError(f"Features has no argument {name!r}: {hint}")
    if p is None:
        raise TypeError("Features needs feature_probability, 1 - S for the paper's sparsity S")
    if not isinstance(signed, (bool, np.bool_)):
        raise TypeError(f"signed must be True or False, got {signed!r}")


def _per_feature(n, p, importance, sets):
    """p and importance as (n,), or as (K, n) and K."""
    given = {"feature_probability": p, "importance": importance}
    p, importance = arrays = [checks.array(*one, dtype=np.float64) for one in given.items()]
    for name, a in zip(given, arrays):
        if not (a.ndim == 0 or a.shape == (n,) or (a.ndim == 2 and a.shape[1] in (1, n))):
            raise ValueError(f"{name} must be a scalar or have shape ({n},), (instances, 1) or "
                             f"(instances, {n}), got {a.shape}")
    if (outside := p[~((p > 0) & (p <= 1))]).size:
        raise ValueError(f"feature_probability must lie in (0, 1], got {outside[0]}")
    if (importance < 0).any():
        raise ValueError(f"importance must not be negative, got {importance.min()}")
    counts = {len(a) for a in arrays if a.ndim == 2}
    if len(counts) > 1:
        raise ValueError("feature_probability and importance must have the same number of "
                         f"instances, got {p.shape} and {importance.shape}")
    checks.memory("feature_probability", 16 * n * sum(counts))
    p, importance = (_frozen(np.broadcast_to(a, (*counts, n))) for a in arrays)
    for s in sets:
        shared = p[..., list(s.members)]
        if (shared != shared[..., :1]).any():
            raise ValueError(f"the {s.kind} set {s.members} must share one feature_probability, "
                             f"got {np.unique(shared).tolist()}")
    return p, importance, *counts


def _partition(n, correlated, anticorrelated):
    """All features as disjoint sets; singles count as correlated."""
    named = Counter(i for members in correlated + anticorrelated for i in members)
    repeated = sorted(i for i, count in named.items() if count > 1)
    if repeated:
        raise ValueError(f"correlated and anticorrelated sets name a feature once, not {repeated}")
    return (*(FeatureSet("correlated", members) for members in correlated),
            *(FeatureSet("anticorrelated", members) for members in anticorrelated),
            *(FeatureSet("correlated", (i,)) for i in range(n) if i not in named))


def _index_sets(name, sets, n):
    """The sets of indices as tuples of ints."""
    try:
        sets = [tuple(islice(members, n + 1)) for members in islice(sets, n)]   # more do not fit
    except TypeError:
        raise TypeError(f"{name} must be a sequence of sets of indices, got {sets!r}") from None
    for number, members in enumerate(sets):
        sets[number] = tuple(checks.integer(f"an index in {name}", i, minimum=0) for i in members)
        if len(members) < 2:
            raise ValueError(f"each set in {name} needs at least two features, got {members}")
        if max(members) >= n:
            raise ValueError(f"{name} names feature {max(members)}, but they are 0 to {n - 1}")
    return tuple(sets)


def _frozen(a):
    a = a.copy()
    a.setflags(write=False)
    return a
