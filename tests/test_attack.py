"""Attacks: never weaker than they claim, equal to closed forms where there are some, scored on the
clean target."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import brentq

import toymodels_np as tm
from toymodels_np.core import optim
from toymodels_np.core.streams import TRAIN_STREAM, random_stream

seeds = st.integers(0, 2**32 - 1)
LAW = tm.Features(6, 0.4, 0.9 ** np.arange(6))


@st.composite
def problems(draw, classes=(tm.Linear, tm.ReluOutput)):
    """(model, x, features, epsilon): random weights and biases, some of x exactly 0, epsilon from
    small to large."""
    cls, n, m = draw(st.sampled_from(classes)), draw(st.integers(1, 7)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(seeds))
    model = cls(rng.normal(size=(m, n)) / m**0.5, rng.normal(scale=0.3, size=n))
    if draw(st.booleans()):
        model.W[:, rng.integers(n)] = 0
    features = tm.Features(n, 0.5, rng.uniform(0.1, 2, n))
    return model, features.sample(rng, 9), features, float(10 ** rng.uniform(-2, 0.5))


def f(model, moved, x, features):
    """The loss of each sample at its attacked input, against the target of the clean one: (...,
    B)."""
    return ((model.forward(moved) - features.target(x)) ** 2
            * features.importance[..., None, :]).sum(-1)


def slow_attack(model, x, features, epsilon):
    """The largest f over the rows of G, one sample, one row and one sign at a time."""
    G, result = model.W.T @ model.W, []
    for sample in x:
        tried = []
        for row in G:
            length = np.linalg.norm(row)
            for sign in (1, -1):
                moved = sample + sign * epsilon * row / length if length > 1e-12 else sample
                tried.append(f(model, moved[None], sample[None], features)[0])
        result.append(max(tried))
    return np.array(result)


def attack_is_right(model, x, moved, features, epsilon):
    """Is `moved` within epsilon, and as harmful as the loop says?"""
    inside = (np.linalg.norm(moved - x, axis=-1) <= epsilon * (1 + 1e-9)).all()
    return inside and np.allclose(f(model, moved, x, features),
                                  slow_attack(model, x, features, epsilon), rtol=1e-9)


def linear_optimum(model, sample, features, epsilon):
    """max f over the ball for a Linear model: a quadratic on a sphere, by the secular equation.

    f = ‖A delta + r‖² with A = sqrt(I) G. At the maximum (mu - A'A) delta = A'r, where mu is at
    least the largest eigenvalue of A'A and ‖delta‖ = epsilon; ‖delta‖ falls with mu, so there is
    one such mu. If A'r has no part along the top eigenvector, mu may be the eigenvalue itself, and
    that vector fills delta up.
    """
    root = np.sqrt(features.importance)
    A = root[:, None] * (model.W.T @ model.W)
    r = root * (model.forward(sample[None])[0] - sample)
    values, vectors = np.linalg.eigh(A.T @ A)
    c, gaps = vectors.T @ (A.T @ r), values[-1] - values

    def coordinates(above):
        return c / (above + gaps)

    above = 1e-13 * max(1, values[-1])
    if np.linalg.norm(coordinates(above)) > epsilon:
        above = brentq(lambda above: np.linalg.norm(coordinates(above)) - epsilon, above,
                       np.linalg.norm(c) / epsilon + 1, xtol=1e-300)
    delta = coordinates(above)
    delta[-1] += max(0, epsilon**2 - delta @ delta) ** 0.5
    delta = vectors @ (delta * epsilon / np.linalg.norm(delta))
    return np.sum((A @ delta + r) ** 2)


# -- the attacks

@given(problems())
def test_the_attack_is_the_worst_row_of_the_gram_matrix(problem):
    model, x, features, epsilon = problem
    assert attack_is_right(model, x, tm.attack(model, x, features, epsilon), features, epsilon)


def test_an_attack_that_is_a_little_wrong_is_noticed():
    rng = np.random.default_rng(0)
    model, x = tm.ReluOutput(rng.normal(size=(2, 6)), rng.normal(size=6)), LAW.sample(rng, 50)
    moved = tm.attack(model, x, LAW, 0.2)
    assert attack_is_right(model, x, moved, LAW, 0.2)
    assert not attack_is_right(model, x, x + 0.999 * (moved - x), LAW, 0.2)
    assert not attack_is_right(model, x, x + 1.001 * (moved - x), LAW, 0.2)
    assert not attack_is_right(model, x,
                               tm.attack(model, x, tm.Features(6, 0.4, LAW.importance**-9), 0.2),
                               LAW, 0.2)


@given(problems(), seeds)
def test_the_search_beats_the_attack_and_all_random_directions(problem, seed):
    model, x, features, epsilon = problem
    found = tm.strongest_attack(model, x, features, epsilon)
    assert (np.linalg.norm(found - x, axis=-1) <= epsilon * (1 + 1e-9)).all()
    harm = f(model, found, x, features)
    assert (harm >= f(model, tm.attack(model, x, features, epsilon), x, features)
            * (1 - 1e-12)).all()
    assert (harm >= f(model, x, x, features) * (1 - 1e-12)).all()
    rng = np.random.default_rng(seed)
    for _ in range(100):
        delta = rng.normal(size=x.shape)
        delta *= epsilon / np.linalg.norm(delta, axis=-1,
                                          keepdims=True) * rng.choice([1, rng.random()])
        assert (harm >= 0.99 * f(model, x + delta, x, features)).all()


@given(problems(classes=(tm.Linear,)))
def test_the_search_reaches_the_optimum_of_a_linear_model(problem):
    model, x, features, epsilon = problem
    harm = f(model, tm.strongest_attack(model, x, features, epsilon, steps=150), x, features)
    exact = [linear_optimum(model, sample, features, epsilon) for sample in x]
    assert (harm <= np.multiply(exact, 1 + 1e-9)).all()
    np.testing.assert_allclose(harm, exact, rtol=1e-6)


def test_the_search_reaches_a_fine_grid_in_two_hidden_dimensions():
    """f depends on W delta alone, so all that can happen lies in the row space of W: polar
    coordinates there."""
    rng = np.random.default_rng(3)
    model = tm.ReluOutput(rng.normal(size=(2, 6)), rng.normal(scale=0.2, size=6))
    x, epsilon = LAW.sample(rng, 30), 0.4
    rows = np.linalg.svd(model.W)[2][:2]
    best = np.zeros(30)
    for radius in np.linspace(0, epsilon, 21):
        for angle in np.linspace(0, 2 * np.pi, 721):
            step = radius * np.array([np.cos(angle), np.sin(angle)]) @ rows
            best = np.maximum(best, f(model, x + step, x, LAW))
    harm = f(model, tm.strongest_attack(model, x, LAW, epsilon), x, LAW)
    assert (harm >= best * (1 - 2e-4)).all()
    assert (f(model, tm.attack(model, x, LAW, epsilon), x, LAW) <= best * (1 + 2e-4)).all()


def test_one_start_climbs_as_high_as_many_where_outputs_are_off():
    """An output that is off has no slope, however far it is from its target."""
    rng = np.random.default_rng(4)
    model = tm.ReluOutput(rng.normal(size=(2, 6)), rng.normal(scale=0.5, size=6) - 0.5)
    x = LAW.sample(rng, 30)
    assert ((model.forward(x) == 0) & (x > 0)).any(-1).sum() > 15
    one, many = (f(model, tm.strongest_attack(model, x, LAW, 0.4, starts=k), x, LAW)
                 for k in (1, 12))
    np.testing.assert_allclose(one, many, rtol=1e-9)


@given(problems())
def test_without_a_perturbation_nothing_moves(problem):
    model, x, features, _ = problem
    np.testing.assert_array_equal(tm.attack(model, x, features, 0), x)
    np.testing.assert_array_equal(tm.strongest_attack(model, x, features, 0, steps=2), x)


def test_a_rotation_of_the_hidden_space_is_no_defence():
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(3, 6)), LAW.sample(rng, 40)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved, turned = (tm.attack(tm.ReluOutput(V, np.zeros(6)), x, LAW, 0.3) for V in (W, Q @ W))
    np.testing.assert_allclose(turned, moved, atol=1e-12)


def test_the_worst_direction_of_a_sample_that_is_0_does_not_depend_on_the_scale_of_W():
    """And a column that is almost 0, whose row of G is rounding, moves x by no more than epsilon.
    """
    W, x = np.random.default_rng(0).normal(size=(2, 6)), np.zeros((1, 6))
    W[:, 3] = 1e-13 * W[:, 2]
    small, usual, large = (tm.attack(tm.Linear(c * W, np.zeros(6)), x, LAW, 0.5)
                           for c in (1e-8, 1, 1e8))
    assert np.linalg.norm(usual) == pytest.approx(0.5, rel=1e-12)
    np.testing.assert_allclose(small, usual, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(large, usual, rtol=1e-9, atol=1e-12)


def test_a_stack_is_attacked_one_by_one():
    law = tm.Features(5, [[0.5], [0.2], [1.0]], 0.8 ** np.arange(5))
    model = tm.ReluOutput.init(5, 2, 3, seed=0).astype(float)
    x = law.sample(np.random.default_rng(0), 20)
    epsilon = np.array([0.1, 0.5, 0.0])
    for function in (tm.attack, tm.strongest_attack):
        moved = function(model, x, law, epsilon)
        for i in range(3):
            np.testing.assert_allclose(moved[i], function(model[i], x[i], law[i], epsilon[i]),
                                       atol=1e-12)
    clean, attacked = tm.adversarial_loss(model, law, samples=200)
    assert clean.shape == attacked.shape == (3,) and (attacked > clean).all()
    one = tm.adversarial_loss(model[0], law[0], samples=200)
    np.testing.assert_allclose(one, (clean[0], attacked[0]), rtol=1e-12)


# -- the mean norm

@pytest.mark.parametrize("signed", [False, True])
def test_the_mean_norm_in_one_and_two_dimensions(signed):
    """One feature: p/2. Two: on the unit square the mean distance from a corner is (√2 + asinh
    1)/3."""
    square = (2**0.5 + np.arcsinh(1)) / 3
    for p in (1.0, 0.3, 1e-3, 1e-12):
        one = tm.Features(1, p, signed=signed)
        assert tm.mean_input_norm(one) == pytest.approx(p / 2, rel=1e-13, abs=0)
        two = tm.Features(2, p, signed=signed)
        assert tm.mean_input_norm(two) == pytest.approx(p**2 * square + p * (1 - p), rel=1e-9)
        together = tm.Features(2, p, signed=signed, correlated=[(0, 1)])
        assert tm.mean_input_norm(together) == pytest.approx(p * square, rel=1e-9)
        apart = tm.Features(2, p, signed=signed, anticorrelated=[(0, 1)])
        assert tm.mean_input_norm(apart) == pytest.approx(p / 2, rel=1e-9)


@pytest.mark.parametrize("law", [
    tm.Features(20, 0.1),
    tm.Features(7, [0.1, 0.1, 0.5, 0.5, 0.5, 1, 0.01], correlated=[(0, 1)],
                anticorrelated=[(2, 3, 4)]),
    tm.Features(50, 1.0, signed=True),
    tm.Features(300, 0.003),
], ids=str)
def test_the_mean_norm_is_that_of_the_sampler(law):
    lengths = np.linalg.norm(law.sample(np.random.default_rng(0), 40_000), axis=1)
    error = lengths.std(ddof=1) / 200
    assert abs(lengths.mean() - tm.mean_input_norm(law)) < 4 * error
    assert abs(lengths.mean() * 1.05 - tm.mean_input_norm(law)) > 4 * error            # the control


def test_the_mean_norm_of_instances_is_one_number_each():
    law = tm.Features(4, [[0.5], [0.1]])
    np.testing.assert_allclose(tm.mean_input_norm(law),
                               [tm.mean_input_norm(law[0]), tm.mean_input_norm(law[1])])
    assert tm.mean_input_norm(law).shape == (2,) and np.shape(tm.mean_input_norm(law[0])) == ()


# -- vulnerability and training

def test_a_model_without_superposition_has_vulnerability_1():
    """(10.8) by both attacks: the linear model with a dimension for each of its m features."""
    law = tm.Features(6, 0.3, 3 * 0.8 ** np.arange(6))
    b = np.where(np.arange(6) < 3, 0, law.mean())
    for search in (False, True):
        flat = tm.vulnerability(tm.Linear(np.eye(3, 6), b), law, samples=100, search=search)
        assert flat == pytest.approx(1, rel=1e-9)
    rotated = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0] @ np.eye(3, 6)
    assert tm.vulnerability(tm.Linear(rotated, b), law, samples=100) == pytest.approx(1, rel=1e-9)


def test_a_tight_frame_under_attack_costs_the_square_of_its_features_per_dimension():
    """(10.5): where no ReLU is off, W W' = lambda 1 gives a rise of (lambda epsilon)² over a
    residual of 0."""
    angle = 2 * np.pi * np.arange(5) / 5
    model, law = tm.Linear([np.cos(angle), np.sin(angle)], np.zeros(5)), tm.Features(5, 1.0)
    moved = tm.attack(model, np.zeros((1, 5)), law, 0.1)
    assert f(model, moved, np.zeros((1, 5)), law)[0] == pytest.approx((2.5 * 0.1) ** 2, rel=1e-9)
    assert 1 / tm.dimensions_per_feature(model.W) == pytest.approx(2.5)


def test_superposition_makes_vulnerable_and_training_against_attacks_takes_it_away():
    law = tm.Features(12, 0.08)
    start = tm.ReluOutput.init(12, 3, 2, seed=0)
    model = tm.adversarial_training(start, law, size=[0.0, 0.9], steps=1500, batch_size=128,
                                    learning_rate=1e-2,
                                    schedule="cosine").model
    plain, hardened = 1 / tm.dimensions_per_feature(model.W)
    assert plain > 2.5 and hardened < 1.5
    first, second = tm.vulnerability(model, law, samples=1000)
    assert first > 3 and second < first / 2


def test_training_on_attacks_of_size_0_is_training():
    law, start = tm.Features(4, 0.3), tm.ReluOutput.init(4, 2, seed=1)
    history = tm.adversarial_training(start, law, size=0, progress=False, steps=1000, batch_size=64,
                                      learning_rate=1e-2,
                                      schedule="cosine")
    plain = tm.train(start, law, steps=1000, batch_size=64, learning_rate=1e-2, schedule="cosine",
                     progress=False)
    attained = [float(tm.expected_loss(h.model, law)) for h in (history, plain)]
    assert attained[0] == pytest.approx(attained[1], rel=0.03)
    assert history.steps.tolist() == [0, 1000] and history.losses.shape == (2,)
    np.testing.assert_array_equal(history.parameters.W[0], start.W)
    again = tm.adversarial_training(start, law, size=0, progress=False, steps=1000, batch_size=64,
                                    learning_rate=1e-2,
                                    schedule="cosine")
    np.testing.assert_array_equal(again.model.W, history.model.W)


def test_adversarial_training_is_adam_on_attacked_inputs_and_clean_targets():
    """The first loss and the only step, from its parts: not one step more."""
    model = tm.ReluOutput.init(6, 2, seed=1).astype(np.float64)
    streams = [random_stream(5, TRAIN_STREAM, 0)]
    history = tm.adversarial_training(model, LAW, size=0.5, steps=1, batch_size=40,
                                      learning_rate=0.01, seed=5, progress=False)
    x = LAW.sample(streams, 40)[0]
    moved = tm.attack(model, x, LAW, 0.5 * tm.mean_input_norm(LAW))
    loss, gradient = model.unchecked_loss_and_grad(moved, LAW, target=x)
    assert history.losses[0] == pytest.approx(loss, rel=1e-12)
    assert loss == pytest.approx(f(model, moved, x, LAW).mean(), rel=1e-12)
    after, _ = optim.adam(model.parameters, gradient.parameters,
                          optim.AdamState.zeros_like(model.parameters), 0.01)
    for found, wanted in zip(history.model.parameters, after):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_adversarial_training_has_the_clean_target():
    """Finite differences of the loss at fixed attacked inputs, against the target of the clean
    ones."""
    rng = np.random.default_rng(0)
    model, x = tm.ReluOutput(rng.normal(size=(2, 6)), rng.normal(size=6)), LAW.sample(rng, 30)
    moved = tm.attack(model, x, LAW, 0.3)
    loss, gradient = model.unchecked_loss_and_grad(moved, LAW, target=x)
    assert loss == pytest.approx(f(model, moved, x, LAW).mean(), rel=1e-12)
    step = 1e-6 * rng.normal(size=(2, 6))
    change = [f(tm.ReluOutput(model.W + s * step, model.b), moved, x, LAW).mean() for s in (1, -1)]
    assert (change[0] - change[1]) / 2 == pytest.approx((gradient.W * step).sum(), rel=1e-5)


# -- what is refused

class Leaky(tm.ReluOutput):
    """A class of its own, whose outputs the gains do not tell."""


class Doubled(tm.Features):
    """Features of their own, whose target the attack does not know."""

    def target(self, x):
        return 2 * x


X = LAW.sample(np.random.default_rng(0), 4)
FUNCTIONS = {
    "attack": lambda model, law: tm.attack(model, X, law, 0.1),
    "strongest_attack": lambda model, law: tm.strongest_attack(model, X, law, 0.1),
    "adversarial_loss": lambda model, law: tm.adversarial_loss(model, law, samples=10),
    "vulnerability": lambda model, law: tm.vulnerability(model, law, samples=10),
    "adversarial_training": lambda model, law: tm.adversarial_training(model, law, size=0.1,
                                                                       steps=2, progress=False),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_classes_of_a_users_own_are_refused(name, monkeypatch):
    of, model = FUNCTIONS[name], tm.ReluOutput.init(6, 2)
    of(model, LAW)
    with pytest.raises(TypeError, match="an attack knows .* and Leaky is a class of its own"):
        of(Leaky(*model.parameters), LAW)
    with pytest.raises(TypeError, match="an attack knows .* and Doubled is a class of its own"):
        of(model, Doubled(6, 0.4))
    monkeypatch.setattr(tm.Features, "target", lambda self, x: 2 * x)
    with pytest.raises(TypeError, match="an attack knows .* and Features.target was replaced"):
        of(model, LAW)


def test_the_mean_length_of_other_features_is_not_said():
    with pytest.raises(TypeError, match="mean length .* and Doubled is a class of its own"):
        tm.mean_input_norm(Doubled(6, 0.4))


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-160, 1e-9])
def test_a_vulnerability_that_is_lost_in_rounding_is_refused(size):
    with pytest.raises(ValueError, match="size must be large enough for the rise of the loss"):
        tm.vulnerability(tm.ReluOutput.init(6, 2), LAW, size=size, samples=100)
    perfect = tm.Linear(np.eye(6), np.zeros(6))
    if size in (1e-160, 1e-9):                  # squares of 1e-161 fit, and there is no other loss
        assert tm.vulnerability(perfect, LAW, size=1e-9, samples=100) == pytest.approx(1, rel=1e-3)


def test_small_attacks_of_a_model_without_superposition_are_small():
    b = np.where(np.arange(6) < 3, 0, LAW.mean())
    for size in (1e-2, 1e-4):
        found = tm.vulnerability(tm.Linear(np.eye(3, 6), b), LAW, size=size, samples=100)
        assert found == pytest.approx(1, rel=1e-2)


def test_inputs_too_rare_to_have_a_length_are_refused():
    assert tm.mean_input_norm(tm.Features(3, 1e-280)) == pytest.approx(1.5e-280, rel=1e-9)
    for p in (5e-324, 1e-300):
        with pytest.raises(ValueError, match="feature_probability must be at least 1e-290"):
            tm.mean_input_norm(tm.Features(3, p))
        with pytest.raises(ValueError, match="feature_probability must be at least 1e-290"):
            tm.vulnerability(tm.ReluOutput.init(3, 2), tm.Features(3, p))


@pytest.mark.parametrize("x, W, epsilon", [(1e200, 1, 0.1), (1, 1e160, 0.1), (1, 1, 1e300)])
def test_a_loss_beyond_float64_is_refused(x, W, epsilon):
    model = tm.Linear(W * np.eye(2, 6), np.zeros(6))
    for of in (tm.attack, tm.strongest_attack):
        with pytest.raises(OverflowError, match="loss under attack does not fit into float64"):
            of(model, np.full((2, 6), x), LAW, epsilon)


def test_training_that_diverges_says_where():
    with pytest.raises(FloatingPointError, match="the loss of instance 0 is not finite at step"):
        tm.adversarial_training(tm.Linear.init(6, 2), LAW, size=0.5, steps=50, learning_rate=1e15,
                                progress=False)


def test_what_does_not_fit_into_the_models_precision_is_named():
    model, options = tm.ReluOutput.init(6, 2), dict(steps=2, batch_size=4, progress=False)
    with pytest.raises(ValueError, match="importance must fit into the model's float32, got 1e"):
        tm.adversarial_training(model, tm.Features(6, 0.4, 1e39), size=0.1, **options)
    with pytest.raises(ValueError, match="size must fit into the model's float32"):
        tm.adversarial_training(model, LAW, size=1e300, **options)
    double = model.astype(np.float64)
    tm.adversarial_training(double, tm.Features(6, 0.4, 1e39), size=0.1, **options)


def test_more_steps_than_anybody_waits_for_are_refused():
    for steps in (2**40 + 1, 10**400):
        with pytest.raises(ValueError, match="steps must be at most"):
            tm.adversarial_training(tm.ReluOutput.init(6, 2), LAW, size=0.1, steps=steps)
        with pytest.raises(ValueError, match="steps must be at most"):
            tm.strongest_attack(tm.ReluOutput.init(6, 2), X, LAW, 0.1, steps=steps)


def test_more_starts_than_fit_into_memory_are_refused(monkeypatch):
    """Each start is kept for every sample: here 400 of them take 320 MB, and x takes 0.8 MB."""
    law, x = tm.Features(200, 0.1), np.zeros((500, 200))
    monkeypatch.setattr("toymodels_np.machine.free_memory", lambda: 2**28)
    model = tm.ReluOutput.init(200, 2)
    with pytest.raises(ValueError, match="starts is too large"):
        tm.strongest_attack(model, x, law, 0.1, starts=10**6, steps=1)
