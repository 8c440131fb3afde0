"""Estimates really call what they are given: classes of a user's own against integrals by hand.

What else the clever sampling of the four models is held to stands in test_exact.py, beside the
exact loss.
"""

import numpy as np
import pytest

import toymodels_np as tm

SLOPE = 0.1


class Leaky(tm.ReluOutput):
    """A leaky ReLU at the output."""

    def _forward(self, x):
        W, b = self.parameters
        h = x @ W.swapaxes(-1, -2)
        z = h @ W + b[..., None, :]
        return np.where(z > 0, z, SLOPE * z), (h, z)


class Fourth(tm.ReluOutput):
    """The fourth power instead of the square."""

    def loss(self, x, features):
        return ((self.forward(x) - features.target(x)) ** 4).sum(-1).mean(-1)


class Same(tm.ReluOutput):
    """A subclass that changes nothing."""


class Binary(tm.Features):
    """Features are 0 or 1."""

    def sample(self, rng, batch_size, *, dtype=np.float64):
        x = rng.random((batch_size, self.n_features)) < self.feature_probability
        return x.astype(dtype)


class Doubled(tm.Features):
    """The model should double its input."""

    def target(self, x):
        return 2 * x


def one(cls, b=-0.5):
    """A single feature whose preactivation is x + b."""
    return cls([[1.0]], [b])


def leaky_loss():
    """∫ (x - leaky(x - 1/2))² dx over [0, 1]: 1/4 above the kink, a parabola below it."""
    below = lambda x: ((1 - SLOPE) * x + SLOPE / 2) ** 3 / (3 * (1 - SLOPE))
    return 1 / 8 + below(0.5) - below(0)


CASES = {
    "a leaky ReLU": (one(Leaky), tm.Features(1, 1.0), leaky_loss()),
    "the fourth power": (one(Fourth), tm.Features(1, 1.0), 0.5**5 / 5 + 0.5 * 0.5**4),
    "binary values": (one(tm.ReluOutput), Binary(1, 0.3), 0.3 * 0.5**2),
    "another target": (one(tm.ReluOutput, 0.0), Doubled(1, 0.3), 0.3 / 3),
    "both": (one(Leaky), Binary(1, 0.3, 2.0), 2 * (0.3 * 0.5**2 + 0.7 * (SLOPE / 2) ** 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_classes_of_a_users_own_are_called(case):
    model, features, expected = CASES[case]
    mean, error = tm.estimate_loss(model, features, samples=2**15)
    assert abs(mean - expected) < 4 * error
    assert 0 < error < 0.05 * expected
    assert abs(1.3 * mean - expected) > 4 * error                   # the test can fail
    assert np.shape(mean) == np.shape(error) == ()


def test_what_was_replaced_in_a_class_is_called(monkeypatch):
    model, features = one(tm.ReluOutput, 0.0), tm.Features(1, 0.3)
    assert tm.estimate_loss(model, features, samples=2**10)[0] == pytest.approx(0, abs=1e-12)
    monkeypatch.setattr(tm.Features, "target", lambda self, x: 2 * x)
    mean, error = tm.estimate_loss(model, features, samples=2**14)
    assert abs(mean - 0.1) < 4 * error


def random_model(n, p, **sets):
    """(model, features, exact loss) of one of the four models on plain Features."""
    rng = np.random.default_rng(n)
    model = tm.ReluOutput(rng.normal(size=(2, n)), -0.1 * rng.random(n))
    features = tm.Features(n, p, 0.9 ** np.arange(n), **sets)
    return model, features, tm.expected_loss(model, features)


def spread_as_said(z):
    """Whether the variance is that of Student's t with 31 degrees of freedom, 31/29, within four
    errors; the kurtosis of t makes 2.2 of the 2 of a normal law."""
    return abs(np.var(z) / (31 / 29) - 1) < 4 * (2.2 / len(z)) ** 0.5


@pytest.mark.parametrize("case", [
    lambda: CASES["a leaky ReLU"], lambda: random_model(5, 0.05), lambda: random_model(4, 1.0),
    lambda: random_model(3, 0.5, signed=True),
    lambda: random_model(8, 0.6, correlated=[(0, 3)], anticorrelated=[(1, 2, 4)]),
], ids=["a user's own class", "sparse", "dense", "signed", "sets"])
def test_the_standard_error_is_true(case):
    """Over 240 seeds, so many that an error twice or half as large is seen."""
    model, features, expected = case()
    mean, error = np.transpose([tm.estimate_loss(model, features, samples=2**9, seed=seed)
                                for seed in range(240)])
    z = (mean - expected) / error
    assert abs(z.mean()) < 4 / len(z)**0.5 and spread_as_said(z)
    assert not spread_as_said(z / 2) and not spread_as_said(2 * z)


@pytest.mark.parametrize("p", [1e-12, 1e-17, 1e-30, 1e-150])
def test_features_of_any_rarity_are_not_left_out(p):
    """Without biases nothing is lost where nothing is on, however likely that is."""
    model, features = tm.ReluOutput([[1.2, -1.1, 0.7]], np.zeros(3)), tm.Features(3, p)
    mean, error = tm.estimate_loss(model, features, samples=2**12)
    assert 0 < error < 0.01 * mean
    assert abs(mean - tm.expected_loss(model, features)) < 5 * error


@pytest.mark.parametrize("p", [1e-6, 0.05, 0.5])
def test_biases_cost_where_nothing_is_on(p):
    """With all three features off the outputs are relu(b), whose share no sample has to show."""
    b, importance = np.array([0.5, -0.5, 0.25]), np.array([1.0, 1.0, 2.0])
    model, features = tm.ReluOutput(0.1 * np.eye(1, 3), b), tm.Features(3, p, importance)
    mean, error = tm.estimate_loss(model, features, samples=2**12)
    assert abs(mean - tm.expected_loss(model, features)) < 5 * error < 0.05 * mean
    assert mean > (1 - p) ** 3 * (importance @ np.maximum(b, 0) ** 2)


@pytest.mark.parametrize("options", [{}, {"correlated": [(0, 1)], "anticorrelated": [(2, 3)]}])
def test_both_ways_of_sampling_agree_with_the_exact_loss(options):
    model, features = tm.ReluOutput.init(4, 2, 3, seed=1), tm.Features(4, 0.3, **options)
    exact = tm.expected_loss(model, features)
    for cls in (tm.ReluOutput, Same):
        mean, error = tm.estimate_loss(cls(*model.parameters), features, samples=2**14)
        assert mean.shape == error.shape == (3,)
        assert (abs(mean - exact) < 4 * error).all()


def test_instances_of_model_and_features_broadcast():
    model = Same(np.ones((2, 3, 1, 1)), [[[-0.5], [-0.2], [0]], [[-0.1], [-0.3], [0]]])
    features = tm.Features(1, [[1.0], [0.5], [0.1]], [[1.0], [2.0], [3.0]])
    mean, error = tm.estimate_loss(model, features, samples=2**12)
    exact = tm.expected_loss(tm.ReluOutput(*model.parameters), features)
    assert mean.shape == exact.shape == (2, 3)
    assert (abs(mean - exact) <= 4 * error + 1e-12).all()
    single = tm.estimate_loss(one(Same), features, samples=2**12)
    assert single[0].shape == (3,)


def test_an_estimate_is_a_function_of_the_seed():
    first, again, other = (tm.estimate_loss(one(Leaky), tm.Features(1, 0.5), samples=128, seed=seed)
                           for seed in (1, 1, 2))
    assert first == again != other


def test_many_features_are_sampled_in_pieces():
    """2^15 features in batches: no work array has more than a few MB, and all is counted."""
    features = Binary(2**15, 0.5)
    model = Same(np.zeros((1, 2**15)), np.zeros(2**15))
    mean, error = tm.estimate_loss(model, features, samples=128)
    assert abs(mean - 2**14) < 4 * error


class Wrong(tm.ReluOutput):
    def loss(self, x, features):
        return np.zeros(3)


class Transposed(tm.Features):
    def sample(self, rng, batch_size, *, dtype=np.float64):
        return super().sample(rng, batch_size, dtype=dtype).T


class Exploding(tm.ReluOutput):
    def loss(self, x, features):
        return np.float64(np.inf)


@pytest.mark.parametrize("model, features, error, words", [
    (one(Wrong), tm.Features(1, 0.5), TypeError, r"Wrong.loss must return a loss of shape \(\)"),
    (one(tm.ReluOutput), Transposed(1, 0.5), ValueError, "Transposed.sample must return an array"),
    (one(Exploding), tm.Features(1, 0.5), OverflowError, "a sampled loss is too large"),
])
def test_what_a_users_own_class_returns_is_checked(model, features, error, words):
    with pytest.raises(error, match=words):
        tm.estimate_loss(model, features, samples=64)


@pytest.mark.parametrize("options, error", [
    ({"samples": 2**34 + 1}, ValueError), ({"samples": 10}, ValueError),
    ({"samples": 64.0}, TypeError), ({"seed": -1}, ValueError), ({"progress": "yes"}, TypeError)])
def test_bad_arguments_are_refused(options, error):
    with pytest.raises(error, match=next(iter(options))):
        tm.estimate_loss(one(tm.ReluOutput), tm.Features(1, 0.5), **options)


def test_a_large_importance_scales_an_estimate_without_a_word():
    model, features = tm.ReluOutput.init(3, 2), tm.Features(3, 0.5)
    mean, error = tm.estimate_loss(model, features, samples=2**10)
    scaled = tm.estimate_loss(model, features.replace(importance=2.0**1000), samples=2**10)
    assert scaled == (mean * 2.0**1000, error * 2.0**1000)


def test_samples_that_are_masked_are_refused():
    class Masked(tm.Features):
        def sample(self, rng, batch_size, *, dtype=np.float64):
            return np.ma.masked_less(super().sample(rng, batch_size, dtype=dtype), 0.5)

    with pytest.raises(TypeError, match="what Masked.sample returns must be a plain array"):
        tm.estimate_loss(tm.Linear.init(5, 2), Masked(5, 0.2), samples=640)
