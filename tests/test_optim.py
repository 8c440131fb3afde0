"""Adam is its formulas, AdamW is Adam on decayed parameters, and schedules fall from the learning
rate to zero.
"""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from toymodels_np.core.optim import SCHEDULES, AdamState, adam, adamw, schedule

seeds = st.integers(0, 2**32 - 1)
rates = st.floats(1e-5, 1e-1)
betas = st.fixed_dictionaries({"beta1": st.floats(0, 0.99), "beta2": st.floats(0, 0.9999),
                               "epsilon": st.floats(1e-12, 1e-2)})


def slow_adam(theta, gradients, alpha, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    """The path of one number through Kingma and Ba's algorithm 1, with Loshchilov and Hutter's
    decay.
    """
    m = v = 0.0
    path = []
    for t, g in enumerate(gradients, start=1):
        theta = theta - alpha * weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (math.sqrt(v_hat) + epsilon)
        path.append(theta)
    return path


def run(update, parameters, gradients, rate, **options):
    """The path of the parameters, (steps, parameters)."""
    state, path = AdamState.zeros_like(parameters), []
    for g in gradients:
        parameters, state = update(parameters, g, state, rate, **options)
        path.append(parameters)
    assert state.t == len(gradients)
    return path


def drawn(seed, steps=6):
    """Parameters of two shapes, and gradients of widely different sizes for them."""
    rng = np.random.default_rng(seed)
    gradients = [tuple(10.0 ** rng.uniform(-6, 3, shape) * rng.choice([-1, 1], shape)
                       for shape in [(2, 3), (4,)])
                 for _ in range(steps)]
    return (rng.normal(size=(2, 3)), rng.normal(size=4)), gradients


def agrees_with_slow_twin(path, parameters, gradients, rate, **options):
    """Every entry of every parameter follows the scalar path at every step, to rounding."""
    assert len(path) == len(gradients) > 0
    errors = []
    for k, a in enumerate(parameters):
        for index in np.ndindex(a.shape):
            slow = slow_adam(float(a[index]), [float(g[k][index]) for g in gradients], rate,
                             **options)
            fast = [float(step[k][index]) for step in path]
            errors += [abs(x - y) / (abs(y) + rate) for x, y in zip(fast, slow, strict=True)]
    return max(errors) < 1e-12


@given(seeds, rates, betas)
def test_adam_is_its_slow_twin(seed, rate, options):
    parameters, gradients = drawn(seed)
    assert agrees_with_slow_twin(run(adam, parameters, gradients, rate, **options), parameters,
                                 gradients, rate,
                                 **options)


@given(seeds, rates, st.floats(0, 1))
def test_adamw_is_its_slow_twin(seed, rate, decay):
    parameters, gradients = drawn(seed)
    path = run(adamw, parameters, gradients, rate, weight_decay=decay)
    assert agrees_with_slow_twin(path, parameters, gradients, rate, weight_decay=decay)


@given(seeds, rates)
def test_the_slow_twin_notices_what_differs(seed, rate):
    parameters, gradients = drawn(seed)
    path = run(adam, parameters, gradients, rate)
    biased = [tuple(p * (1 + 1e-9) for p in step) for step in path]
    assert agrees_with_slow_twin(path, parameters, gradients, rate)
    assert not agrees_with_slow_twin(biased, parameters, gradients, rate)
    assert not agrees_with_slow_twin(path, parameters, gradients, rate, epsilon=1e-4)
    assert not agrees_with_slow_twin(path, parameters, gradients, rate, beta2=0.99)
    assert not agrees_with_slow_twin(path, parameters, gradients, rate, weight_decay=0.1)


@given(seeds, rates)
def test_the_first_step_is_the_learning_rate_against_the_sign(seed, rate):
    parameters, gradients = drawn(seed, steps=1)
    (updated,) = run(adam, parameters, gradients, rate, epsilon=0.0)
    for after, before, g in zip(updated, parameters, gradients[0], strict=True):
        np.testing.assert_allclose(before - after, rate * np.sign(g), rtol=1e-6, atol=1e-15)


@given(seeds, rates, st.floats(1e-6, 1e6))
def test_the_size_of_the_gradient_does_not_matter(seed, rate, scale):
    parameters, gradients = drawn(seed)
    scaled = [tuple(scale * g for g in step) for step in gradients]
    paths = [run(adam, parameters, g, rate, epsilon=0.0) for g in (gradients, scaled)]
    for a, b in zip(*paths, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12 * rate)


@given(seeds, rates, st.floats(1e-3, 1))
def test_without_gradient_adam_rests_and_adamw_shrinks(seed, rate, decay):
    parameters, _ = drawn(seed)
    still = [tuple(np.zeros_like(a) for a in parameters)] * 4
    for a, b in zip(run(adam, parameters, still, rate)[-1], parameters, strict=True):
        np.testing.assert_array_equal(a, b)
    expected = parameters
    for step in run(adamw, parameters, still, rate, weight_decay=decay):
        expected = tuple(a * (1 - rate * decay) for a in expected)
        for a, b in zip(step, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("update", [adam, adamw])
@given(seed=seeds)
def test_updates_change_nothing_in_place(update, seed):
    parameters, (first, g) = drawn(seed, steps=2)
    parameters, state = update(parameters, first, AdamState.zeros_like(parameters), 0.1)
    given_arrays = [*parameters, *g, *state.mean, *state.square]
    for a in given_arrays:
        a.setflags(write=False)
    updated, after = update(parameters, g, state, 0.1)
    again, _ = update(parameters, g, state, 0.1)
    assert (state.t, after.t) == (1, 2)
    for a, b in zip(updated, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("update", [adam, adamw])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_keep_the_dtype(update, dtype):
    parameters, (g, *_) = drawn(0)
    parameters, g = (tuple(a.astype(dtype) for a in arrays) for arrays in (parameters, g))
    updated, state = update(parameters, g, AdamState.zeros_like(parameters), 0.1)
    assert {a.dtype for a in (*updated, *state.mean, *state.square)} == {np.dtype(dtype)}


@given(rates, st.integers(2, 10_000))
def test_schedules_start_at_the_learning_rate_and_never_rise(rate, steps):
    for name in SCHEDULES:
        at = [schedule(name, rate, steps)(step) for step in np.linspace(0, steps, 9)]
        assert at[0] == rate and min(at) >= 0
        assert (np.diff(at) <= 0).all()
    half = [schedule(name, rate, steps)(steps / 2) for name in ("constant", "linear", "cosine")]
    np.testing.assert_allclose(half, [rate, rate / 2, rate / 2], rtol=1e-14)
    end = [schedule(name, rate, steps)(steps) for name in ("constant", "linear", "cosine")]
    np.testing.assert_allclose(end, [rate, 0, 0], atol=1e-16)
    assert schedule("linear", rate, steps)(steps - 1) == pytest.approx(rate / steps, rel=1e-9)
    quarter = [schedule("cosine", rate, steps)(steps * f) for f in (0.25, 0.75)]
    np.testing.assert_allclose(sum(quarter), rate, rtol=1e-14)          # symmetric about the middle


@given(seeds)
def test_adam_finds_the_bottom_of_a_quadratic_bowl(seed):
    rng = np.random.default_rng(seed)
    A = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    A, bottom = A @ np.diag([0.5, 2.0, 10.0]) @ A.T, rng.uniform(-1, 1, 3)
    rate, parameters = schedule("cosine", 0.05, 1500), (np.zeros(3),)
    state = AdamState.zeros_like(parameters)
    for step in range(1500):
        parameters, state = adam(parameters, (A @ (parameters[0] - bottom),), state, rate(step))
    np.testing.assert_allclose(parameters[0], bottom, atol=1e-3)
