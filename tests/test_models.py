"""The four models compute their formulas, their gradients are right, and they have the symmetries
that they must.

The forward pass is held against a loop over single samples with explicit sums, a stack of instances
against a loop over its models. Gradients are held against central differences and against the
symmetries that they inherit.
"""

import random

import numpy as np
import pytest
from hypothesis import find, given, strategies as st

import toymodels_np as tm

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
LINEAR_HIDDEN = (tm.Linear, tm.ReluOutput)

every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
lone_or_stack = st.one_of(st.none(), st.integers(1, 4))


@st.composite
def problems(draw, cls, instances=lone_or_stack, n_hidden=st.integers(1, 5)):
    """(model, x, features) in float64 with continuous parameters and values, some of x being
    exactly zero.
    """
    n, m, B, K = draw(st.integers(1, 6)), draw(n_hidden), draw(st.integers(1, 7)), draw(instances)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead, sizes = () if K is None else (K,), {"m": m, "n": n}
    model = cls(*(rng.normal(size=lead + tuple(sizes[axis] for axis in axes))
                  for axes in cls.parameter_shapes.values()))
    importance = rng.uniform(0.1, 2, draw(st.sampled_from([(n,), lead + (n,)])))
    features = tm.Features(n, 0.5, importance, signed=draw(st.booleans()))
    x = features.sample(rng if K is None else [rng] * K, B)
    return model, x, features


@st.composite
def orthogonal(draw, m):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.linalg.qr(rng.normal(size=(m, m)))[0]


def naive_forward(model, x):
    """One sample, one unit and one term at a time."""
    name, p = type(model).__name__, dict(zip(model.parameter_shapes, model.parameters))
    encode = p.get("W", p.get("W1"))
    decode = p["W"].T if "W" in p else p["W2"]
    output = np.empty_like(x)
    for s, sample in enumerate(x):
        h = [sum(encode[k, j] * sample[j] for j in range(model.n_features))
             for k in range(model.n_hidden)]
        if name in ("ReluHidden", "AbsoluteValue"):
            h = [max(0.0, a) for a in h]
        for i in range(model.n_features):
            z = sum(decode[i, k] * h[k] for k in range(model.n_hidden)) + p["b"][i]
            output[s, i] = z if name == "Linear" else max(0.0, z)
    return output


def naive_loss(model, x, features):
    """The mean over samples, and the sum over features, of I_i (y_i - x'_i)^2."""
    y, output = features.target(x), naive_forward(model, x)
    return sum(features.importance[i] * (y[s, i] - output[s, i]) ** 2
               for s in range(len(x)) for i in range(model.n_features)) / len(x)


def loss_and_arrays(model, x, features):
    loss, gradient = model.loss_and_grad(x, features)
    return [loss, *gradient.parameters]


def assert_close(actual, expected, rtol):
    """Each array equals its partner to `rtol` of the partner's largest entry; never vacuous."""
    assert len(actual) == len(expected) > 0
    for a, b in zip(actual, expected):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * abs(np.asarray(b)).max())


def relative_change(a, b):
    return float((abs(a - b) / (abs(a) + abs(b))).max())


# -- the formulas ---------------------------------------------------------------------------------

@every_model
@given(data=st.data())
def test_forward_and_loss_are_their_formulas(cls, data):
    model, x, features = data.draw(problems(cls, instances=st.none()))
    assert_close([model.forward(x)], [naive_forward(model, x)], rtol=1e-14)
    assert_close([model.loss(x, features)], [naive_loss(model, x, features)], rtol=1e-13)


def test_one_sample_by_hand():
    features, x = tm.Features(2, 1.0, [1, 10]), np.array([[0.5, 1.0]])
    W, b = np.array([[1.0, -2.0]]), np.array([0.25, 0.5])         # h = -1.5, W'h + b = (-1.25, 3.5)
    outputs = {tm.Linear: [-1.25, 3.5], tm.ReluOutput: [0, 3.5], tm.ReluHidden: [0.25, 0.5]}
    for cls, output in outputs.items():
        np.testing.assert_array_equal(cls(W, b).forward(x), [output])
    assert tm.ReluOutput(W, b).loss(x, features) == 0.5**2 + 10 * 2.5**2
    loss, gradient = tm.ReluOutput(W, b).loss_and_grad(x, features)
    np.testing.assert_array_equal(gradient.b, [0, 2 * 10 * 2.5])
    np.testing.assert_array_equal(gradient.W, [[-100 * 0.5, -1.5 * 50
                                                - 100 * 1.0]])        # dh x' + h dz', dh = -100
    double = tm.AbsoluteValue([[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, 1]],
                              [0, 0])
    signed = np.array([[-0.3, 0.7], [0.2, -1.0]])
    np.testing.assert_array_equal(double.forward(signed), abs(signed))
    assert double.loss(signed, tm.Features(2, 1.0, signed=True)) == 0


@every_model
@given(data=st.data())
def test_loss_averages_over_samples_and_adds_over_features(cls, data):
    model, x, features = data.draw(problems(cls))
    whole = loss_and_arrays(model, x, features)
    assert_close(loss_and_arrays(model, np.concatenate([x, x], axis=-2), features), whole,
                 rtol=1e-13)
    rows = [loss_and_arrays(model, x[..., [s], :], features) for s in range(x.shape[-2])]
    assert_close([sum(parts) / len(rows) for parts in zip(*rows)], whole, rtol=1e-12)
    n = features.n_features
    columns = [loss_and_arrays(model, x, tm.Features(n, 0.5, features.importance * one,
                                                     signed=features.signed))
               for one in np.eye(n)]
    assert_close([sum(parts) for parts in zip(*columns)], whole, rtol=1e-12)


@every_model
@given(data=st.data())
def test_a_stack_is_its_models_side_by_side(cls, data):
    model, x, features = data.draw(problems(cls, instances=st.integers(1, 4)))
    output, parts = model.forward(x), loss_and_arrays(model, x, features)
    for i in range(len(x)):
        alone = features if features.n_instances is None else features[i]
        assert_close([output[i]], [model[i].forward(x[i])], rtol=1e-15)
        assert_close([part[i] for part in parts], loss_and_arrays(model[i], x[i], alone),
                     rtol=1e-15)


@every_model
@given(data=st.data())
def test_instances_of_model_batch_and_features_broadcast(cls, data):
    model, x, features = data.draw(problems(cls, instances=st.integers(2, 3)))
    K, n = len(x), features.n_features
    by_instance = tm.Features(n, 0.5, np.linspace(0, 2, K)[:, None], signed=features.signed)
    for one_model, one_x, law in [(model[0], x, features), (model, x[0], features),
                                  (model[0], x[0], by_instance),
                                  (model, x, by_instance)]:
        loss, gradient = one_model.loss_and_grad(one_x, law)
        np.testing.assert_array_equal(loss, one_model.loss(one_x, law))
        assert loss.shape == (K,) and gradient.instances == (K,)
        for i in range(K):
            mine = [one_model[i] if one_model.instances else one_model,
                    one_x[i] if one_x.ndim > 2 else one_x,
                    law if law.n_instances is None else law[i]]
            assert_close([loss[i], *gradient[i].parameters], loss_and_arrays(*mine), rtol=1e-14)


# -- gradients ------------------------------------------------------------------------------------

@every_model
@given(data=st.data())
def test_gradient_is_that_of_the_loss(cls, data):
    model, x, features = data.draw(problems(cls))
    assert tm.check_gradient(model, x, features) <= 1e-7


@every_model
@given(data=st.data())
def test_gradient_is_a_model_of_the_same_class_and_shapes(cls, data):
    model, x, features = data.draw(problems(cls))
    loss, gradient = model.loss_and_grad(x, features)
    assert type(gradient) is cls
    assert [a.shape for a in gradient.parameters] == [a.shape for a in model.parameters]
    np.testing.assert_array_equal(loss, model.loss(x, features))


# -- symmetries -----------------------------------------------------------------------------------

def rotated(model, Q):
    return type(model)(Q @ model.W, model.b)


@pytest.mark.parametrize("cls", LINEAR_HIDDEN, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_rotating_a_linear_hidden_layer_changes_nothing(cls, data):
    model, x, features = data.draw(problems(cls))
    Q = data.draw(orthogonal(model.n_hidden))
    loss, dW, db = loss_and_arrays(model, x, features)
    assert_close(loss_and_arrays(rotated(model, Q), x, features), [loss, Q @ dW, db], rtol=1e-12)


def test_rotating_a_relu_hidden_layer_changes_the_loss():
    def change(cls, drawn):
        (model, x, features), Q = drawn
        model = cls(model.W, model.b)
        return relative_change(model.loss(x, features), rotated(model, Q).loss(x, features))

    drawn = find(st.tuples(problems(tm.ReluHidden, n_hidden=st.just(2)), orthogonal(2)),
                 lambda drawn: change(tm.ReluHidden, drawn) > 0.01, random=random.Random(0))
    assert change(tm.ReluHidden, drawn) > 0.01
    assert change(tm.ReluOutput, drawn) < 1e-12


def relabelled(model, features_order, neurons_order):
    """The model with features and neurons in another order."""
    orders = {"n": features_order, "m": neurons_order}
    arrays = []
    for a, axes in zip(model.parameters, model.parameter_shapes.values()):
        for axis, letter in enumerate(axes):
            a = np.take(a, orders[letter], axis=axis - len(axes))
        arrays.append(a)
    return type(model)(*arrays)


@every_model
@given(data=st.data())
def test_relabelling_features_and_neurons_is_equivariant(cls, data):
    model, x, features = data.draw(problems(cls))
    order = data.draw(st.permutations(range(model.n_features)))
    neurons = data.draw(st.permutations(range(model.n_hidden)))
    moved = tm.Features(len(order), 0.5, features.importance[..., order], signed=features.signed)
    other = relabelled(model, order, neurons)
    assert_close([other.forward(x[..., order])], [model.forward(x)[..., order]], rtol=1e-13)
    loss, gradient = model.loss_and_grad(x, features)
    assert_close(loss_and_arrays(other, x[..., order], moved),
                 [loss, *relabelled(gradient, order, neurons).parameters], rtol=1e-12)


@every_model
@given(data=st.data(), scale=st.floats(1e-3, 1e3))
def test_loss_and_gradient_are_linear_in_the_importance(cls, data, scale):
    model, x, features = data.draw(problems(cls))
    scaled = tm.Features(features.n_features, 0.5, scale * features.importance,
                         signed=features.signed)
    whole = loss_and_arrays(model, x, features)
    assert_close(loss_and_arrays(model, x, scaled), [scale * part for part in whole], rtol=1e-13)
    unweighted = tm.Features(features.n_features, 0.5, 0, signed=features.signed)
    assert_close(loss_and_arrays(model, x, unweighted), [0 * part for part in whole], rtol=0)


@given(data=st.data(), log_alpha=st.floats(-5, 5))
def test_a_neuron_of_the_absolute_value_model_has_a_free_scale(data, log_alpha):
    model, x, features = data.draw(problems(tm.AbsoluteValue))
    k, alpha = data.draw(st.integers(0, model.n_hidden - 1)), np.exp(log_alpha)
    W1, W2 = model.W1.copy(), model.W2.copy()
    W1[..., k, :] *= alpha
    W2[..., :, k] /= alpha
    scaled = tm.AbsoluteValue(W1, W2, model.b)
    assert_close([scaled.forward(x)], [model.forward(x)], rtol=1e-12)
    _, gradient = model.loss_and_grad(x, features)
    # So along alpha nothing changes.
    along = (gradient.W1 * model.W1).sum(-1) - (gradient.W2 * model.W2).sum(-2)
    size = abs(gradient.W1 * model.W1).sum(-1) + abs(gradient.W2 * model.W2).sum(-2)
    assert (abs(along) <= 1e-12 * size).all()


def test_the_scale_of_a_neuron_is_not_free_on_one_side_alone():
    def changed(problem):
        model, x, features = problem
        louder = tm.AbsoluteValue(2 * model.W1, model.W2, model.b)
        return relative_change(louder.loss(x, features), model.loss(x, features)) > 0.01

    assert changed(find(problems(tm.AbsoluteValue), changed, random=random.Random(0)))


# -- init, indexing and precision -----------------------------------------------------------------

@every_model
@given(n=st.integers(1, 6), m=st.integers(1, 6), K=st.integers(1, 5), seed=st.integers(0, 2**40))
def test_an_initial_instance_is_a_function_of_seed_and_index(cls, n, m, K, seed):
    stack, longer = cls.init(n, m, K, seed=seed), cls.init(n, m, K + 3, seed=seed)
    assert (stack.n_features, stack.n_hidden, stack.instances,
            stack.dtype) == (n, m, (K,), np.float32)
    sizes = {"n": n, "m": m}
    assert [a.shape for a in stack.parameters] == [(K, *(sizes[c] for c in axes))
                                                   for axes in cls.parameter_shapes.values()]
    for a, b, alone in zip(stack.parameters, longer.parameters,
                           cls.init(n, m, seed=seed).parameters):
        np.testing.assert_array_equal(a, b[:K])
        np.testing.assert_array_equal(a[0], alone)
    first = longer.parameters[0]
    assert len(np.unique(first.reshape(K + 3, -1)[:, 0])) == K + 3          # instances differ
    assert (cls.init(n, m, K + 3, seed=seed + 1).parameters[0] != first).any()
    assert not longer.b.any()


@every_model
def test_initial_weights_have_the_stated_spread(cls):
    model = cls.init(30, 10, 200, seed=0, dtype=np.float64)
    for a in model.parameters[:-1]:
        mean, square, v = a.mean(), (a * a).mean(), 2 / 40
        assert abs(mean) < 4 * np.sqrt(v / a.size)
        assert abs(square - v) < 4 * v * np.sqrt(2 / a.size)


@every_model
def test_indexing_selects_instances(cls):
    model = cls.init(4, 3, 6, dtype=np.float64)
    grid = cls(*(a.reshape(2, 3, *a.shape[1:]) for a in model.parameters))
    selections = [(model[4], (), 4), (model[1:3], (2,), slice(1, 3)), (model[[5, 0]], (2,), [5, 0]),
                  (grid[1], (3,), slice(3, 6)), (grid[:, -1], (2,), [2, 5]), (grid[1, 0], (), 3)]
    for chosen, instances, index in selections:
        assert type(chosen) is cls and chosen.instances == instances
        for a, b in zip(chosen.parameters, model.parameters):
            np.testing.assert_array_equal(a, b[index])
    for wrong in (6, (0, 0), (slice(None), 0)):
        with pytest.raises(IndexError):
            model[wrong]
    with pytest.raises(IndexError):
        model[0][0]


@pytest.mark.parametrize("index", [2, -1, slice(1, 3), [0, 2], ..., None])
@every_model
def test_what_is_done_to_a_selection_is_not_done_to_the_stack(cls, index):
    model = cls.init(4, 3, 6)
    before = [a.copy() for a in model.parameters]
    for a in model[index].parameters:
        a[:] = 7
    for a, b in zip(model.parameters, before):
        np.testing.assert_array_equal(a, b)


@every_model
def test_a_stack_is_gone_through_and_a_single_model_is_not(cls):
    model = cls.init(4, 3, 6)
    grid = cls(*(a.reshape(2, 3, *a.shape[1:]) for a in model.parameters))
    for stack in (model, grid):
        chosen = list(stack)
        assert len(chosen) == stack.instances[0]
        for i, one in enumerate(chosen):
            for a, b in zip(one.parameters, stack.parameters):
                np.testing.assert_array_equal(a, b[i])
    assert not list(model[:0])
    with pytest.raises(TypeError, match="is a single model, not a stack"):
        [one.loss for one in model[0]]


@pytest.mark.parametrize("K", [2, 5])
@every_model
def test_an_ellipsis_stands_for_instances_too(cls, K):
    grid = cls(*(np.stack([a] * K) for a in cls.init(2, 2, 2).parameters))
    chosen = grid[..., 0]
    assert chosen.instances == (K,)
    for a, b in zip(chosen.parameters, grid.parameters):
        np.testing.assert_array_equal(a, b[:, 0])


@every_model
def test_precision_is_kept_and_changed_on_request(cls):
    single = cls.init(4, 2, 3)
    double = single.astype(np.float64)
    features = tm.Features(4, 0.5)
    x = features.sample(np.random.default_rng(0), 9, dtype=np.float32)
    assert single.dtype == np.float32 and double.dtype == np.float64
    for model, dtype in ((single, np.float32), (double, np.float64)):
        loss, gradient = model.loss_and_grad(x.astype(dtype), features)
        assert {model.forward(x.astype(dtype)).dtype, loss.dtype,
                gradient.dtype} == {np.dtype(dtype)}
    np.testing.assert_allclose(single.loss(x, features), double.loss(x, features), rtol=1e-5)
    assert cls(*(a.astype(int) for a in double.parameters)).dtype == np.float64
    assert cls(*(a.tolist() for a in double.parameters)).dtype == np.float64


USES = {
    "forward": lambda model, x, law: model.forward(x),
    "loss": lambda model, x, law: model.loss(x, law),
    "loss_and_grad": lambda model, x, law: model.loss_and_grad(x, law),
    "check_gradient": lambda model, x, law: tm.check_gradient(model, x, law),
    "train": lambda model, x, law: tm.train(model, law, steps=2),
    "expected_loss": lambda model, x, law: tm.expected_loss(model, law),
    "estimate_loss": lambda model, x, law: tm.estimate_loss(model, law, samples=64),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("name, wrong", [("b", np.zeros(4)), ("W", np.ones((2, 4))),
                                         ("W", np.ones((3, 4, 2))), ("b", np.ones((3, 2, 1, 4)))])
def test_a_parameter_that_is_assigned_has_the_shape_of_the_others(use, name, wrong):
    """Not even one that NumPy would broadcast: it belongs to all instances, and has one slope."""
    model, law = tm.ReluOutput.init(4, 2, 3, dtype=np.float64), tm.Features(4, 0.5)
    x = law.sample(np.random.default_rng(0), 5)
    use(model, x, law)
    setattr(model, name, wrong)
    with pytest.raises(ValueError, match="b must have shape .* to go with W"):
        use(model, x, law)


class Wide(tm.ReluOutput):
    """With a third width, k, of a parameter that the forward pass does not use."""

    parameter_shapes = {"W": "mn", "V": "km", "b": "n"}

    def _forward(self, x):
        return tm.ReluOutput(self.W, self.b)._forward(x)

    def _backward(self, x, cache, d_output):
        dW, db = tm.ReluOutput(self.W, self.b)._backward(x, cache, d_output)
        return dW, np.zeros_like(self.V), db


def test_a_parameter_may_have_a_width_of_its_own():
    model, law = Wide(np.ones((3, 2, 4)), np.ones((3, 7, 2)), np.zeros((3, 4))), tm.Features(4, 0.5)
    x = law.sample(np.random.default_rng(0), 5)
    assert model.loss_and_grad(x, law)[1].V.shape == (3, 7, 2)
    assert tm.train(model, law, steps=2).model.V.shape == (3, 7, 2)
    model.V = np.ones((3, 7, 4))
    with pytest.raises(ValueError, match=r"V must have shape \(3, 7, 2\) to go with W"):
        model.loss(x, law)


def test_a_parameter_that_is_assigned_is_a_finite_array_of_the_others_dtype():
    model, law = tm.ReluOutput.init(4, 2), tm.Features(4, 0.5)
    model.b = [0.0] * 4
    with pytest.raises(TypeError, match="b must be an array, got"):
        tm.train(model, law, steps=2)
    model.b = np.zeros(4)
    with pytest.raises(ValueError, match="b must be of float32 like the first .*, got float64"):
        tm.train(model, law, steps=2)
    model.b = np.full(4, np.nan, np.float32)
    with pytest.raises(ValueError, match="b must be finite"):
        tm.train(model, law, steps=2)
    model.b, model.W = np.zeros(4, int), np.ones((2, 4), int)
    with pytest.raises(ValueError, match="dtype of the parameters must be float32 or float64"):
        tm.train(model, law, steps=2)


@every_model
@given(data=st.data())
def test_nothing_that_is_given_is_changed(cls, data):
    model, x, features = data.draw(problems(cls))
    arrays = [*model.parameters, x]
    before = [a.copy() for a in arrays]
    for call in (model.loss_and_grad, model.loss):
        call(x, features)
    model.forward(x)
    tm.check_gradient(model, x, features)
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b)
