"""The population loss of any model by stratified quasi-random sampling, with a standard error that is true.

    k    how many sets are on                                   R    independent replicates
    J    sets whose p is below 1; the others are always on      d    uniform numbers that one sample takes
    tail[i, c]   ln P(exactly c of the sets i, i + 1, … are on)

Few sets on are a stratum each, and none on is one point. In every other stratum a replicate shifts the same
Sobol' points by a random vector, modulo 1. Each point alone is then uniform, so the replicates are unbiased, and they
are independent, so that their spread is the error.
Equations (4.k) are in derivations/04-exact-loss.md.
"""

import numpy as np

from ..core import checks
from ..core.models import check_sizes, random_stream

ESTIMATE_STREAM = 2             # beside the streams of init and training
REPLICATES = 32
STRATA = 6                      # so few sets on are a stratum each, more are one together
SOBOL = 64                      # uniform numbers after the first so many are plain random
NEGLECT = 1e-16                 # what is less likely than this is left out
CHUNK = 2**20                   # numbers in one work array


def check_pair(model, features):
    """A model and features that go together, else TypeError or ValueError; the shape of the loss."""
    check_sizes(model, features)
    for name, a in zip(model.parameter_shapes, model.parameters):
        checks.array(name, a)
    try:
        return np.broadcast_shapes(model.instances, features.importance.shape[:-1])
    except ValueError:
        raise ValueError(f"the instances of model and features must broadcast, "
                         f"got {model.instances} and {features.importance.shape[:-1]}") from None


def estimate_loss(model, features, *, samples=2**20, seed=0):
    """The population loss of any of the four models, estimated.

    Parameters
    ----------
    model, features : as for `expected_loss`, but any model
    samples : about how many samples each instance gets, at least 64
    seed : int

    Returns mean (...) and standard_error (...), the standard deviation of 32 independent replicates' mean. The error
    over it follows Student's t with 31 degrees of freedom, almost a normal law. Raises TypeError or ValueError on bad
    arguments, OverflowError if a sampled loss is not finite.
    """
    lead = check_pair(model, features)
    samples = checks.integer("samples", samples, minimum=2 * REPLICATES)
    seed = checks.seed(seed)
    parameters = [np.broadcast_to(a, lead + a.shape[len(model.instances):]).reshape(-1, *a.shape[len(model.instances):])
                  for a in model.astype(np.float64).parameters]
    p, importance = (np.broadcast_to(a, lead + a.shape[-1:]).reshape(-1, a.shape[-1])
                     for a in (features.feature_probability, features.importance))
    results = np.empty((len(p), REPLICATES))
    for instance, result in enumerate(results):
        one = model.from_parameters([a[instance] for a in parameters])
        rng = random_stream(seed, ESTIMATE_STREAM, instance)
        result[:] = _replicates(one, features, p[instance], importance[instance], samples, rng)
    if not np.isfinite(results).all():
        raise OverflowError("a sampled loss is too large for float64: the parameters are too large")
    mean, error = results.mean(-1), results.std(-1, ddof=1) / REPLICATES**0.5
    return mean.reshape(lead)[()], error.reshape(lead)[()]


def _replicates(model, features, p, importance, samples, rng):
    """The R estimates of one instance. (4.23)"""
    from scipy.stats import qmc                                         # here, since it takes long to import
    p_set = np.array([p[s.members[0]] for s in features.sets])
    sure, unsure = np.flatnonzero(p_set == 1), np.flatnonzero(p_set < 1)
    tail = count_law(p_set[unsure])                                     # (J + 1, J + 1)
    chance = np.exp(tail[0])                                            # (J + 1,)  P(k sets are on)
    values = max(len(s.members) if s.kind == "correlated" else 2 for s in features.sets)
    strata = [(k, k + 1) for k in range(min(STRATA, len(chance)))] + [(STRATA, len(chance))]
    weight = np.array([chance[low:high].sum() for low, high in strata])
    result = np.zeros(REPLICATES)
    with np.errstate(over="ignore", invalid="ignore"):
        for (low, high), part in zip(strata, weight):
            if part < NEGLECT:
                continue
            if high == 1 and not len(sure):                             # nothing is on: one point
                result += part * _losses(model, features, importance, np.zeros((2, features.n_features)))[0]
                continue
            share = samples / REPLICATES * part / weight[len(sure) == 0:].sum()
            size = 2 ** max(0, int(np.log2(max(1.0, share))))           # samples of one replicate
            counts = np.cumsum(chance[low:high]) / part
            high = low + 1 + int(np.searchsorted(counts, 1 - NEGLECT))
            d = 1 + (high - 1) * (1 + values) + len(sure) * values
            points, shifts = qmc.Sobol(min(d, SOBOL), rng=rng), rng.random((REPLICATES, 1, min(d, SOBOL)))
            piece = min(size, 2 ** max(0, int(np.log2(CHUNK / REPLICATES / max(d, features.n_features)))))
            for _ in range(size // piece):
                u = ((points.random(piece) + shifts) % 1).reshape(REPLICATES * piece, -1)           # (R B, d)
                if d > SOBOL:
                    u = np.hstack([u, rng.random((len(u), d - SOBOL))])
                k = low + np.minimum(np.searchsorted(counts, u[:, 0], side="right"), high - 1 - low)
                losses = np.empty(len(u))
                for c in np.unique(k):
                    x = _sample(features, u[k == c, 1:], c, sure, unsure, p_set, tail, values)
                    losses[k == c] = _losses(model, features, importance, x)
                result += part / size * losses.reshape(REPLICATES, piece).sum(-1)
    return result


def _losses(model, features, importance, x):
    """The loss of each sample: (B,)."""
    return (model.forward(x) - features.target(x)) ** 2 @ importance


def count_law(p):
    """tail[i, c] = ln P(exactly c of the sets i, i + 1, … are on), (J + 1, J + 1), for p (J,) below 1. (4.22)"""
    J = len(p)
    tail = np.full((J + 1, J + 1), -np.inf)
    tail[J, 0] = 0
    for i in range(J - 1, -1, -1):
        tail[i] = tail[i + 1] + np.log1p(-p[i])
        tail[i, 1:] = np.logaddexp(tail[i, 1:], tail[i + 1, :-1] + np.log(p[i]))
    return tail


def _sample(features, u, k, sure, unsure, p_set, tail, values):
    """x (B, n) from u (B, d): `k` of the unsure sets are on, and all of the sure ones. (4.22)"""
    B, n, J = len(u), features.n_features, len(unsure)
    rows = np.arange(B)
    sizes = np.array([len(s.members) for s in features.sets])
    padded = np.array([[*s.members, *[n] * (max(sizes) - len(s.members))] for s in features.sets])
    together = np.array([s.kind == "correlated" for s in features.sets])
    all_off = np.append(0, np.cumsum(np.log1p(-p_set[unsure])))         # (J + 1,)  ln P(all before are off)

    x = np.zeros((B, n + 1))                                            # the last column takes the padding
    i = np.zeros(B, int)                                                # the first set that may still be on
    for slot in range(k + len(sure)):
        if slot < k:
            left = k - slot
            reach = all_off + tail[:, left]                             # P(none on before i) = e^(reach_i - reach_now)
            with np.errstate(divide="ignore"):
                level = reach[i] + np.log(u[:, slot])
            i = np.clip(np.searchsorted(-reach, -level, side="right") - 1, i, J - left)
            chosen = unsure[i]                                          # (B,)
            i = i + 1
        else:
            chosen = np.full(B, sure[slot - k])
        v = u[:, k + slot * values:k + (slot + 1) * values]             # (B, values)
        sign = (lambda a: 2 * a - 1) if features.signed else (lambda a: a)
        r = rows[together[chosen]]
        width = min(values, padded.shape[1])
        x[r[:, None], padded[chosen[r], :width]] = sign(v[r, :width])
        r = rows[~together[chosen]]
        if len(r):
            which = (v[r, 0] * sizes[chosen[r]]).astype(int)
            x[r, padded[chosen[r], which]] = sign(v[r, 1])
    return x[:, :n]
