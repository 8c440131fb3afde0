"""The gradient checker accepts right gradients and rejects every wrong one that a hand would write.

Right is an error of at most 1e-7. A gradient that is scaled by 1 + e must come out at e / (1 + e)
exactly, since both directional derivatives are linear in it; structural mistakes must come out far
above 1e-7.
"""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

import toymodels_np as tm
from toymodels_np.core.arrays import transpose

RIGHT, WRONG = 1e-7, 1e-5
MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)

every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
seeds = st.integers(0, 2**32 - 1)
scales = pytest.mark.parametrize("factor", [1.001, 0.999, 2.0, -1.0])


def problem(cls, seed, instances=(), n=5, m=3, B=12, dtype=np.float64):
    """(model, x, features) with continuous parameters, drawn until nothing is dead or close to its
    kink.
    """
    rng, sizes = np.random.default_rng(seed), {"m": m, "n": n}
    features = tm.Features(n, 0.5, rng.uniform(0.5, 2, n), signed=cls is tm.AbsoluteValue)
    while True:
        model = cls(*(rng.normal(size=instances + tuple(sizes[axis] for axis in axes)).astype(dtype)
                      for axes in cls.parameter_shapes.values()))
        x = rng.uniform(-1, 1, instances + (B, n))
        a = x @ transpose(model.parameters[0])
        h = np.maximum(a, 0) if cls in (tm.ReluHidden, tm.AbsoluteValue) else a
        z = h @ (transpose(model.W2) if cls is tm.AbsoluteValue
                 else model.W) + model.b[..., None, :]
        alive = min((a > 0).mean((-2, -1)).min(), (z > 0).mean((-2, -1)).min()) > 0.2
        if alive and min(abs(a).min(), abs(z).min()) > 0.001:
            return model, x, features


def spoiled(cls, spoil):
    """`cls` with the arrays of its gradient passed through `spoil`."""
    return type(f"Spoiled{cls.__name__}", (cls,), {
        "_backward": lambda self, *given: tuple(spoil(*cls._backward(self, *given)))})


def verdict(cls, model, x, features, **options):
    return tm.check_gradient(cls(*model.parameters), x, features, **options)


def is_rejected(cls, model, x, features):
    """One random direction may happen to miss a mistake; three do not."""
    errors = [verdict(cls, model, x, features, seed=seed) for seed in range(3)]
    return not max(errors) <= WRONG                         # NaN is a rejection


# -- right gradients ------------------------------------------------------------------------------

@every_model
@given(problem_seed=seeds, check_seed=seeds, instances=st.sampled_from([(), (1,), (3,), (2, 2)]))
def test_right_gradients_are_accepted(cls, problem_seed, check_seed, instances):
    model, x, features = problem(cls, problem_seed, instances)
    assert tm.check_gradient(model, x, features, seed=check_seed) <= RIGHT


@every_model
@given(seed=seeds)
def test_a_float32_model_is_checked_in_float64(cls, seed):
    model, x, features = problem(cls, seed, dtype=np.float32)
    assert model.dtype == np.float32
    assert tm.check_gradient(model, x.astype(np.float32), features) <= RIGHT


@every_model
def test_samples_without_active_features_do_no_harm(cls):
    model, x, features = problem(cls, 0)
    x[::2] = 0
    assert tm.check_gradient(model, x, features) <= RIGHT


def test_a_dead_model_has_gradient_zero_and_no_error():
    model, x, features = problem(tm.ReluOutput, 0)
    dead = tm.ReluOutput(model.W, np.full(5, -100.0))
    assert not dead.loss_and_grad(x, features)[1].W.any()
    assert tm.check_gradient(dead, x, features) == 0


def without_slope(cls, n=3):
    """(model, x, features) whose gradient is 0: a perfect model, or for "saddle" one that answers
    the batch's mean.
    """
    signed, eye = cls is tm.AbsoluteValue, np.eye(n)
    features, x = tm.Features(n, 1.0, signed=signed), np.random.default_rng(n).uniform(size=(9, n))
    if cls == "saddle":
        return tm.ReluOutput(np.zeros((2, n)), x.mean(0)), x, features
    W = [np.vstack([eye, -eye]), np.hstack([eye, eye])] if signed else [eye]
    return cls(*W, np.zeros(n)), x, features


@pytest.mark.parametrize("cls", [*MODELS, "saddle"])
@given(seed=seeds, n=st.integers(1, 5))
def test_where_nothing_slopes_a_gradient_of_zero_is_right_and_another_is_wrong(cls, seed, n):
    model, x, features = without_slope(cls, n)
    gradient = model.loss_and_grad(x, features)[1].parameters
    assert max(abs(a).max() for a in gradient) < 1e-15
    assert tm.check_gradient(model, x, features, seed=seed) <= RIGHT
    off = spoiled(type(model), lambda *arrays: (*arrays[:-1], arrays[-1] + 1e-6))
    assert is_rejected(off, model, x, features)


# -- wrong gradients ------------------------------------------------------------------------------

@every_model
@scales
@given(seed=seeds)
def test_a_scaled_gradient_is_off_by_its_scale(cls, factor, seed):
    model, x, features = problem(cls, seed)
    wrong = spoiled(cls, lambda *arrays: [factor * a for a in arrays])
    expected = abs(factor - 1) / max(abs(factor), 1)
    assert verdict(wrong, model, x, features) == pytest.approx(expected, rel=1e-3)


class Parabola(tm.Model):
    """One parameter, W², whose gradient is claimed to be `factor` times what it is."""

    parameter_shapes = {"W": "mn"}
    factor = 1.0

    def loss(self, x, features):
        return self.W[..., 0, 0] ** 2

    def loss_and_grad(self, x, features):
        return self.loss(x, features), self.from_parameters([2 * self.factor * self.W])


@pytest.mark.parametrize("factor", [1.0, 1.001, 0.999, 2.0, -1.0])
@given(w=st.floats(0.1, 10), sign=st.sampled_from([-1, 1]), seed=seeds)
def test_with_one_parameter_the_random_direction_never_cancels_the_other(factor, w, sign, seed):
    claimed = type("Claimed", (Parabola,), {"factor": factor})(np.array([[sign * w]]))
    error = tm.check_gradient(claimed, np.ones((1, 1)), tm.Features(1, 0.5), seed=seed)
    assert error == pytest.approx(abs(factor - 1) / max(abs(factor), 1), rel=1e-3, abs=RIGHT)


@every_model
@given(seed=seeds, data=st.data())
def test_one_wrong_component_is_enough(cls, seed, data):
    model, x, features = problem(cls, seed)
    arrays = model.loss_and_grad(x, features)[1].parameters
    norm = np.sqrt(sum((a * a).sum() for a in arrays))
    which = data.draw(st.integers(0, len(arrays) - 1))
    component = data.draw(st.integers(0, arrays[which].size - 1))

    def nudge(*arrays):
        arrays = [a.copy() for a in arrays]
        arrays[which].flat[component] += 0.1 * norm
        return arrays

    assert is_rejected(spoiled(cls, nudge), model, x, features)


@every_model
@given(seed=seeds, bad=st.integers(0, 2))
def test_one_wrong_instance_is_enough(cls, seed, bad):
    model, x, features = problem(cls, seed, instances=(3,))

    def spoil(*arrays):
        factors = np.where(np.arange(3) == bad, 1.001, 1.0)
        return [a * factors.reshape(-1, *[1] * (a.ndim - 1)) for a in arrays]

    assert verdict(cls, model, x, features) <= RIGHT
    assert verdict(spoiled(cls, spoil), model, x, features) == pytest.approx(1e-3, rel=1e-2)


class LinearEncoderOnly(tm.Linear):
    def _backward(self, x, h, dz):
        return transpose(dz @ transpose(self.W)) @ x, dz.sum(-2)


class LinearDecoderOnly(tm.Linear):
    def _backward(self, x, h, dz):
        return transpose(h) @ dz, dz.sum(-2)


class EncoderOnly(tm.ReluOutput):
    def _backward(self, x, cache, d_output):
        h, z = cache
        dz = d_output * (z > 0)
        return transpose(dz @ transpose(self.W)) @ x, dz.sum(-2)


class DecoderOnly(tm.ReluOutput):
    def _backward(self, x, cache, d_output):
        h, z = cache
        dz = d_output * (z > 0)
        return transpose(h) @ dz, dz.sum(-2)


class NoMask(tm.ReluOutput):
    def _backward(self, x, cache, d_output):
        return super()._backward(x, (cache[0], np.ones_like(cache[1])), d_output)


class NoHiddenMask(tm.ReluHidden):
    def _backward(self, x, cache, d_output):
        return super()._backward(x, (np.ones_like(cache[0]), *cache[1:]), d_output)


class NoOutputMask(tm.ReluHidden):
    def _backward(self, x, cache, d_output):
        return super()._backward(x, (*cache[:2], np.ones_like(cache[2])), d_output)


class NoMaskOfAbsoluteValue(tm.AbsoluteValue):
    def _backward(self, x, cache, d_output):
        return super()._backward(x, (*cache[:2], np.ones_like(cache[2])), d_output)


class NoHiddenMaskOfAbsoluteValue(tm.AbsoluteValue):
    def _backward(self, x, cache, d_output):
        return super()._backward(x, (np.ones_like(cache[0]), *cache[1:]), d_output)


class DecoderFromPreactivations(tm.AbsoluteValue):
    def _backward(self, x, cache, d_output):
        a, _, z = cache
        return super()._backward(x, (a, a, z), d_output)


STRUCTURAL = (LinearEncoderOnly, LinearDecoderOnly, EncoderOnly, DecoderOnly, NoMask, NoHiddenMask,
              NoOutputMask,
              NoMaskOfAbsoluteValue, NoHiddenMaskOfAbsoluteValue, DecoderFromPreactivations)


@pytest.mark.parametrize("cls", STRUCTURAL, ids=lambda cls: cls.__name__)
@given(seed=seeds)
def test_structural_mistakes_are_rejected(cls, seed):
    right = cls.__bases__[0]
    model, x, features = problem(right, seed)
    gradients = [kind(*model.parameters).loss_and_grad(x, features)[1].parameters
                 for kind in (right, cls)]
    off = sum(((a - b) ** 2).sum() for a,
              b in zip(*gradients)) / sum((a * a).sum() for a in gradients[0])
    assume(off > 1e-4)                       # a mask that masks nothing is no mistake on this batch
    assert is_rejected(cls, model, x, features)
    assert verdict(right, model, x, features) <= RIGHT


SLIPS = {
    "bias with the other sign": lambda *arrays: (*arrays[:-1], -arrays[-1]),
    "bias averaged, not added": lambda *arrays: (*arrays[:-1], arrays[-1] / 12),
    "bias forgotten": lambda *arrays: (*arrays[:-1], 0 * arrays[-1]),
    "weights with the other sign": lambda W, *rest: (-W, *rest),
    "no gradient at all": lambda *arrays: [0 * a for a in arrays],
    "not a number": lambda *arrays: [np.nan * a for a in arrays],
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
@every_model
@given(seed=seeds)
def test_slips_are_rejected(cls, slip, seed):
    model, x, features = problem(cls, seed)
    assert is_rejected(spoiled(cls, slip), model, x, features)


@given(seed=seeds)
def test_a_wrong_forward_pass_is_rejected_as_well(seed):
    class Leaky(tm.ReluOutput):
        def _forward(self, x):
            output, cache = super()._forward(x)
            return np.where(output > 0, output, 0.01 * cache[1]), cache

    model, x, features = problem(tm.ReluOutput, seed)
    assert is_rejected(Leaky, model, x, features)


def test_the_verdict_is_a_function_of_the_seed():
    model, x, features = problem(tm.ReluOutput, 1)
    errors = [tm.check_gradient(model, x, features, seed=seed) for seed in (0, 0, 1)]
    assert isinstance(errors[0], float) and errors[0] == errors[1] != errors[2]
