"""The population loss of any model by sampling, with a standard error that is true.

    R    independent replicates, whose spread is the error
    k    how many sets are on                         B    samples in one batch
    J    sets whose p is below 1; the others are      d    uniform numbers that one sample takes
         always on
    tail[i, c]  (J + 1, J + 1)  ln P(exactly c of the sets i, i + 1, … are on)

The four models on plain Features are sampled cleverly. Few sets on are a stratum each, and none on
is one point. In every other stratum a replicate shifts the same Sobol' points by a random vector,
modulo 1. Each point alone is then uniform, so the replicates are unbiased, and they are
independent, so that their spread is the error. Classes of a user's own are called as they are:
`features.sample` draws R batches and `model.loss` says what each costs.
Equations (4.k) are in derivations/04-exact-loss.md.
"""

from typing import NamedTuple

import numpy as np
import scipy
from tqdm.auto import tqdm

from ..core import checks
from ..core.features import Features
from ..core.models import check_sizes
from ..core.streams import ESTIMATE_STREAM, random_stream
from ..geometry.measures import split_power
from ..known import stranger

REPLICATES = 32
MOST_SAMPLES = 2**34            # of an instance: scipy's Sobol' points repeat after 2^30
STRATA = 6                      # so few sets on are a stratum each, more are one together
SOBOL = 64                      # uniform numbers after the first so many are plain random
NEGLECT = 1e-16                 # a stratum that is so much less likely than another is left out
CHUNK = 2**20                   # numbers in one work array


def check_pair(model, features):
    """The shape of the loss of a model on features, else TypeError or ValueError."""
    check_sizes(model, features)
    for name, a in zip(model.parameter_shapes, model.parameters):
        checks.array(name, a)
    try:
        return np.broadcast_shapes(model.instances, features.importance.shape[:-1])
    except ValueError:
        raise ValueError(f"the instances of model and features must broadcast, "
                         f"got {model.instances} and {features.importance.shape[:-1]}") from None


def estimate_loss(model, features, *, samples=2**20, seed=0, progress=None):
    """The population loss of any model on any features, estimated, and its standard error.

    Parameters
    ----------
    model, features : any tm.Model and Features, subclasses too; their instances broadcast
    samples : about how many samples each instance gets, from 64 to 2^34
    seed : int
    progress : True, False or None, for a bar

    Returns mean (...) and standard_error (...), the standard deviation of the mean of 32
    independent replicates. The error over it follows Student's t with 31 degrees of freedom, almost
    a normal law, unless rare samples carry much of the loss, as where the rarest feature is by far
    the most important: of what no sample shows the error knows nothing. For a class of your own a
    replicate is the mean of `model.loss` over batches that `features.sample` draws.

    Raises TypeError or ValueError on bad arguments, OverflowError if a sampled loss is not finite.
    """
    lead = check_pair(model, features)
    samples = checks.integer("samples", samples, minimum=2 * REPLICATES)
    if samples > MOST_SAMPLES:
        raise ValueError(f"samples must be at most 2^34, got {samples}")
    seed = checks.seed(seed)
    total = samples * int(np.prod(lead))
    with tqdm(total=total, unit="sample", desc="estimate", **checks.progress(progress)) as bar:
        estimate = _called if stranger(model, features) else _stratified
        results = estimate(model, features, lead, samples, seed, bar.update)        # (..., R)
    if not np.isfinite(results).all():
        raise OverflowError("a sampled loss is too large for float64: the parameters are too large")
    spread, power = split_power(results, axis=-1)           # (..., R): squares of these fit
    error = np.ldexp(spread.std(-1, ddof=1) / REPLICATES**0.5, power[..., 0])
    return np.ldexp(spread.mean(-1), power[..., 0]), error


# -- classes of a user's own

def _called(model, features, lead, samples, seed, advance):
    """(..., R): what `model.loss` says of batches from `features.sample`."""
    n, number = features.n_features, np.arange(np.prod(lead, dtype=int)).reshape(lead)
    rngs = [random_stream(seed, ESTIMATE_STREAM, i) for i in range(number.size)]
    laws = [features if features.n_instances is None else features[index[-1] % features.n_instances]
            for index in np.ndindex(lead)]
    share = samples // REPLICATES
    pieces = min(share, -(-share * n * number.size // CHUNK))
    B = share // pieces
    results = np.zeros((*lead, REPLICATES))
    for replicate in np.repeat(np.arange(REPLICATES), pieces):
        x = [checks.array(f"what {type(features).__name__}.sample returns", law.sample(rng, B))
             for law, rng in zip(laws, rngs)]
        if any(one.shape != (B, n) for one in x):
            raise ValueError(f"{type(features).__name__}.sample must return an array of shape "
                             f"{(B, n)}, got {x[0].shape}")
        loss = np.asarray(model.loss(np.reshape(x, (*lead, B, n)), features))       # (...)
        if loss.shape != lead:
            raise TypeError(f"{type(model).__name__}.loss must return a loss of shape {lead}, "
                            f"got {loss.shape}")
        results[..., replicate] += loss / pieces
        advance(B * number.size)
    return results


# -- the four models on plain Features

class _Law(NamedTuple):
    """The features of one instance, and which of their sets may be off."""

    features: Features
    importance: np.ndarray          # (n,)
    p: np.ndarray                   # (sets,) probability that each is on
    sure: np.ndarray                # the sets that are always on
    unsure: np.ndarray              # (J,) the others
    tail: np.ndarray                # (J + 1, J + 1)
    values: int                     # uniform numbers that a set takes, at most


def _stratified(model, features, lead, samples, seed, advance):
    """(..., R): the R estimates of each instance."""
    axes = len(model.instances)
    parameters = [np.broadcast_to(a, lead + a.shape[axes:]).reshape(-1, *a.shape[axes:])
                  for a in model.astype(np.float64).parameters]
    p, importance = (np.broadcast_to(a, lead + a.shape[-1:]).reshape(-1, a.shape[-1])
                     for a in (features.feature_probability, features.importance))
    results = np.empty((len(p), REPLICATES))
    for instance, result in enumerate(results):
        one = model.from_parameters([a[instance] for a in parameters])
        law = _law(features, p[instance], importance[instance])
        rng = random_stream(seed, ESTIMATE_STREAM, instance)
        result[:] = _replicates(one, law, samples, rng, advance)
    return results.reshape(*lead, REPLICATES)


def _law(features, p, importance):
    """The _Law of one instance, with p and importance (n,)."""
    checks.memory("features", 8 * (len(features.sets) + 1) ** 2)
    p = np.array([p[s.members[0]] for s in features.sets])
    sure, unsure = np.flatnonzero(p == 1), np.flatnonzero(p < 1)
    values = max(len(s.members) if s.kind == "correlated" else 2 for s in features.sets)
    return _Law(features, importance, p, sure, unsure, count_law(p[unsure]), values)


def _replicates(model, law, samples, rng, advance):
    """The R estimates of one instance. (4.27)"""
    chance = np.exp(law.tail[0])                                        # (J + 1,)  P(k sets are on)
    strata = [(k, k + 1) for k in range(min(STRATA, len(chance)))] + [(STRATA, len(chance))]
    weight = np.array([chance[low:high].sum() for low, high in strata])
    on = weight[len(law.sure) == 0:]                                    # those with something on
    result = np.zeros(REPLICATES)
    with np.errstate(over="ignore", invalid="ignore"):
        for (low, high), part in zip(strata, weight):
            if part <= NEGLECT * on.max():
                continue
            if high == 1 and not len(law.sure):                         # nothing is on: one point
                result += part * _losses(model, law, np.zeros((2, law.features.n_features)))[0]
                continue
            share = samples / REPLICATES * part / on.sum()
            size = 2 ** max(0, int(np.log2(max(1.0, share))))           # samples of one replicate
            given = np.cumsum(chance[low:high]) / part                  # P(up to k on | stratum)
            for losses in _stratum(model, law, low, given, size, rng):
                result += part / size * losses.sum(-1)                  # (R, B)
                advance(losses.size)
    return result


def _stratum(model, law, low, given, size, rng):
    """The losses (R, B) of batches of `size` samples in all, with `low` sets on or more."""
    n = law.features.n_features
    most = low + int(np.searchsorted(given, 1 - NEGLECT))               # sets that are on
    d = 1 + most * (1 + law.values) + len(law.sure) * law.values
    points = scipy.stats.qmc.Sobol(min(d, SOBOL), rng=rng)
    shifts = rng.random((REPLICATES, 1, min(d, SOBOL)))
    B = min(size, 2 ** max(0, int(np.log2(CHUNK / REPLICATES / max(d, n)))))
    for _ in range(size // B):
        u = ((points.random(B) + shifts) % 1).reshape(REPLICATES * B, -1)           # (R B, d)
        if d > SOBOL:
            u = np.hstack([u, rng.random((len(u), d - SOBOL))])
        k = low + np.minimum(np.searchsorted(given, u[:, 0], side="right"), most - low)
        losses = np.empty(len(u))
        for c in np.unique(k):
            losses[k == c] = _losses(model, law, _sample(law, u[k == c, 1:], c))
        yield losses.reshape(REPLICATES, B)


def _losses(model, law, x):
    """The loss of each sample: (B,)."""
    return (model.forward(x) - law.features.target(x)) ** 2 @ law.importance


def count_law(p):
    """tail[i, c] = ln P(exactly c of the sets i, i + 1, … are on), for p (J,) below 1. (4.26)"""
    J = len(p)
    tail = np.full((J + 1, J + 1), -np.inf)
    tail[J, 0] = 0
    for i in range(J - 1, -1, -1):
        tail[i] = tail[i + 1] + np.log1p(-p[i])
        tail[i, 1:] = np.logaddexp(tail[i, 1:], tail[i + 1, :-1] + np.log(p[i]))
    return tail


def _sample(law, u, k):
    """x (B, n) from u (B, d): `k` of the unsure sets are on, and all of the sure ones. (4.26)"""
    sets, n = law.features.sets, law.features.n_features
    sizes = np.array([len(s.members) for s in sets])
    padded = np.array([[*s.members, *[n] * (max(sizes) - len(s.members))] for s in sets])
    width = min(law.values, max(sizes))
    together = np.array([s.kind == "correlated" for s in sets])
    x = np.zeros((len(u), n + 1))                           # the last column takes the padding
    chosen = [*_chosen(law, u[:, :k], k), *(np.full(len(u), s) for s in law.sure)]
    for slot, of in enumerate(chosen):                                              # of (B,)
        start = k + slot * law.values
        v = u[:, start:start + law.values]                                          # (B, values)
        v_signed = 2 * v - 1 if law.features.signed else v
        r = np.flatnonzero(together[of])
        x[r[:, None], padded[of[r], :width]] = v_signed[r, :width]
        r = np.flatnonzero(~together[of])
        if len(r):
            which = (v[r, 0] * sizes[of[r]]).astype(int)
            x[r, padded[of[r], which]] = v_signed[r, 1]
    return x[:, :n]


def _chosen(law, u, k):
    """Which unsure sets are on, in ascending order: k arrays (B,), from u (B, k). (4.26)"""
    J = len(law.unsure)
    all_off = np.append(0, np.cumsum(np.log1p(-law.p[law.unsure])))     # (J + 1,)  ln P(none on
    i = np.zeros(len(u), int)               # (B,) the first that may still be on       before i)
    for slot, left in enumerate(range(k, 0, -1)):
        reach = all_off + law.tail[:, left]             # ln P(none on before i, then `left`)
        with np.errstate(divide="ignore"):
            level = reach[i] + np.log(u[:, slot])
        i = np.clip(np.searchsorted(-reach, -level, side="right") - 1, i, J - left)
        yield law.unsure[i]
        i = i + 1
