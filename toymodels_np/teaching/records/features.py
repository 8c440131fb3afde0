"""Exercises on the law of the features: draw from it, and know its moments.

Here `wrong_…` are mistakes. In all records W is (m, n), b (n,), x (B, n), importance (n,).
"""

import numpy as np

from ...core.features import Features
from ..draw import PROBABILITIES
from ..exercise import Exercise, Mistake


def _probabilities(draw, most=3):
    return draw.array(draw.integer(1, most), values=PROBABILITIES)


# -- 1: the sampler

def _sample_inputs(draw):
    return _probabilities(draw), draw.integer(1, 4), draw.integer(0, 5)


def _sample(p, batch_size, seed):
    return Features(len(p), p).sample(np.random.default_rng(seed), batch_size)


def _switched(p, batch_size, seed, on):
    """Values where `on(u)` holds, from the same numbers that the package draws."""
    rng = np.random.default_rng(seed)
    u = rng.random((batch_size, len(p)))
    return on(u) * rng.random((batch_size, len(p)))


def _values_first(p, batch_size, seed):
    rng = np.random.default_rng(seed)
    x = rng.random((batch_size, len(p)))
    return x * (rng.random((batch_size, len(p))) < p)


def _one_number(p, batch_size, seed):
    u = np.random.default_rng(seed).random((batch_size, len(p)))
    return u * (u < p)


def _row_wise(p, batch_size, seed):
    rng = np.random.default_rng(seed)
    return (rng.random((batch_size, 1)) < p) * rng.random((batch_size, len(p)))


LAW = "the law is the same, and the numbers are others than the package's"


def _on_alone(p, batch_size, seed):
    """Values are drawn for the features that are on, and for no others."""
    rng = np.random.default_rng(seed)
    x = np.zeros((batch_size, len(p)))
    on = rng.random(x.shape) < p
    x[on] = rng.random(on.sum())
    return x


def _binomial(p, batch_size, seed):
    rng = np.random.default_rng(seed)
    return rng.binomial(1, p, (batch_size, len(p))) * rng.random((batch_size, len(p)))


def _by_rows(p, batch_size, seed):
    rng = np.random.default_rng(seed)
    return np.array([(rng.random(len(p)) < p) * rng.random(len(p)) for _ in range(batch_size)])


def _by_features(p, batch_size, seed):
    rng = np.random.default_rng(seed)
    columns = [(rng.random(batch_size) < one) * rng.random(batch_size) for one in p]
    return np.stack(columns, axis=1)


def _by_numbers(p, batch_size, seed, always=True):
    """One number after the other: a switch, and a value always or where the switch is on."""
    rng = np.random.default_rng(seed)

    def number(one):
        on = rng.random() < one
        return on * rng.random() if always or on else 0.0

    return np.array([[number(one) for one in p] for _ in range(batch_size)])


SAMPLER = Exercise(
    name="01_sampler", title="draw a batch of sparse features", function="sample",
    inputs=_sample_inputs, answer=_sample,
    mistakes=(
        Mistake("p and 1 - p are mixed up: a feature is on with probability p",
                lambda p, batch_size, seed: _switched(p, batch_size, seed, lambda u: u < 1 - p)),
        Mistake("features that are on are 1 and not uniform in [0, 1]",
                lambda p, batch_size, seed: 1.0 * (_switched(
                    p, batch_size, seed, lambda u: u < p) > 0)),
        Mistake(f"the values are drawn before the switches: {LAW}", _values_first),
        Mistake(f"values are drawn for features that are on alone: {LAW}", _on_alone),
        Mistake(f"the switches come from rng.binomial: {LAW}", _binomial),
        Mistake(f"a feature is on where rng.random exceeds 1 - p: {LAW}",
                lambda p, batch_size, seed: _switched(p, batch_size, seed, lambda u: u > 1 - p)),
        Mistake(f"one sample is drawn after the other: {LAW}", _by_rows),
        Mistake(f"one feature is drawn after the other: {LAW}", _by_features),
        Mistake(f"one entry is drawn after the other: {LAW}", _by_numbers),
        Mistake(f"one entry is drawn after the other, and its value where it is on alone: {LAW}",
                lambda p, batch_size, seed: _by_numbers(p, batch_size, seed, always=False)),
        Mistake("one number decides both whether a feature is on and how strongly", _one_number),
        Mistake("one switch is shared by all the features of a sample", _row_wise),
        Mistake("all features are on", lambda p, batch_size, seed: _switched(
            p, batch_size, seed, lambda u: u >= 0))),
    hints=("Call rng.random twice, each time for a whole batch (batch_size, n): first to decide "
           "who is on, then for the values.",
           "`rng.random((batch_size, n)) < p` is True with probability p; multiply it by the "
           "second batch."),
    solution="core.features:Features._draw", line="on = (rng.random((B, len(first)))",
    shown="Sparse features are two independent choices: whether (with probability p) and how "
          "strongly (uniform in [0, 1]). The paper's sparsity is S = 1 - p. All that follows, the "
          "pentagons included, comes from this law alone.")


# -- 2: moments

def _moments(p):
    features = Features(len(p), p)
    return features.mean(), features.variance()


MOMENTS = Exercise(
    name="02_moments", title="mean and variance of a sparse feature", function="moments",
    inputs=lambda draw: (_probabilities(draw),), answer=_moments,
    mistakes=(
        Mistake("the square of the mean is not subtracted from E[x²]",
                lambda p: (p / 2, p / 3)),
        Mistake("p and 1 - p are mixed up",
                lambda p: ((1 - p) / 2, (1 - p) / 3 - (1 - p) ** 2 / 4)),
        Mistake("the mean is that of the switch, p, without the value's ½",
                lambda p: (p, p / 3 - p ** 2)),
        Mistake("the variance is p times that of a value that is on, and its being on or off is "
                "left out", lambda p: (p / 2, p / 12)),
        Mistake("the switch alone varies, with p (1 - p) or a quarter of it, and the value's own "
                "spread is left out", lambda p: (p / 2, p * (1 - p) / 4),
                also=(lambda p: (p / 2, p * (1 - p)),)),
        Mistake("the variance of a product is taken for the product of the variances, p (1 - p) "
                "and 1/12", lambda p: (p / 2, p * (1 - p) / 12)),
        Mistake("p is taken for a constant factor, which the variance squares",
                lambda p: (p / 2, p ** 2 / 12)),
        Mistake("these are the moments of a feature that is on, whatever p is",
                lambda p: (0 * p + 1 / 2, 0 * p + 1 / 12)),
        Mistake("the second part is the standard deviation",
                lambda p: (p / 2, (p / 3 - p ** 2 / 4) ** 0.5))),
    hints=("E[f(x)] = (1 - p) f(0) + p E[f(u)], with u uniform in [0, 1].",
           "E[u] = 1/2 and E[u²] = 1/3; the variance is E[x²] - E[x]²."),
    solution="core.features:Features.variance", line="return self.active_probability / 3",
    shown="The mean is p/2 and the variance p/3 - p²/4. For small p the variance is almost p/3, "
          "the loss of a model that answers 0: a rare feature is cheap to ignore.")

EXERCISES = (SAMPLER, MOMENTS)
