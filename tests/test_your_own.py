"""What a reader overrides is never ignored: it runs, or it is refused in a sentence."""

import copy
import pickle
import warnings
from functools import cached_property
from types import MethodType

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np import known
from toymodels_np.core.arrays import transpose
from toymodels_np.known import HOW, stranger

SLOPE = 0.3
FEATURES = tm.Features(4, 0.3)
SHORT = {"steps": 20, "batch_size": 64, "learning_rate": 1e-2, "record_every": 5}


class Leaky(tm.Model):
    """x' = leaky relu(W'W x + b)."""

    def _forward(self, x):
        W, b = self.parameters
        h = x @ transpose(W)
        z = h @ W + b[..., None, :]
        return np.where(z > 0, z, SLOPE * z), (h, z)

    def _backward(self, x, cache, d_output):
        W, _ = self.parameters
        h, z = cache
        dz = d_output * np.where(z > 0, 1, SLOPE).astype(z.dtype)
        return transpose(h) @ dz + transpose(dz @ transpose(W)) @ x, dz.sum(-2)


class LeakyRelu(tm.ReluOutput):
    """The same as a subclass of one of the four."""

    _forward, _backward = Leaky._forward, Leaky._backward


class Binary(tm.Features):
    """Active values are 1."""

    def sample(self, rng, batch_size, *, dtype=np.float64):
        return (super().sample(rng, batch_size) > 0).astype(dtype)


class Doubled(tm.Features):
    """The model should output 2x."""

    def target(self, x):
        return 2 * x


class Counting(tm.Features):
    """Keeps how often each feature was on."""

    def __init__(self, *law):
        super().__init__(*law)
        self.on = np.zeros(self.n_features)

    def sample(self, rng, batch_size, *, dtype=np.float64):
        x = super().sample(rng, batch_size, dtype=dtype)
        self.on[:] += (x != 0).sum(0)
        return x


class FourthPower(tm.ReluOutput):
    """Another loss: mean over samples of sum_i I_i (y_i - x'_i)^4."""

    def loss(self, x, features):
        return self.loss_and_grad(x, features)[0]

    def loss_and_grad(self, x, features):
        output, cache = self._forward(x)
        residual = output - features.target(x)
        loss = (features.importance * residual**4).sum((-1, -2)) / x.shape[-2]
        slope = features.importance * 4 * residual**3 / x.shape[-2]
        return loss, self.from_parameters(self._backward(x, cache, slope))


def start(cls, instances=3):
    return cls.init(4, 2, instances, seed=1, dtype=np.float64, scale=1.0)


STRANGERS = {
    "leaky": (Leaky, FEATURES), "a subclass of one of the four": (LeakyRelu, FEATURES),
    "another loss": (FourthPower, FEATURES), "other samples": (tm.ReluOutput, Binary(4, 0.3)),
    "another target": (tm.ReluOutput, Doubled(4, 0.3)),
}
every_stranger = pytest.mark.parametrize("cls, features", STRANGERS.values(), ids=STRANGERS)


@every_stranger
def test_its_gradient_is_checked(cls, features):
    x = features.sample(np.random.default_rng(0), 50)
    assert tm.check_gradient(start(cls), x, features) < 1e-7


@every_stranger
def test_training_calls_it(cls, features):
    """Step by step what the three words say: draw, differentiate, update."""
    model = start(cls)
    history = tm.train(model, features, seed=3, **SHORT)
    assert history.engine == "core.loop" and type(history.model) is cls
    ours = tm.train(start(tm.ReluOutput), FEATURES, seed=3, **SHORT)
    assert ours.engine == "engine.host"
    assert abs(history.model.W - ours.model.W).max() > 1e-3
    calls = []

    class Spied(cls):
        def loss_and_grad(self, x, features):
            calls.append(x)
            return super().loss_and_grad(x, features)

    spied = tm.train(Spied(*model.parameters), features, seed=3, **SHORT)
    assert len(calls) == SHORT["steps"] + 1
    np.testing.assert_array_equal(spied.losses, history.losses)
    for a, b in zip(history.parameters.parameters, spied.parameters.parameters, strict=True):
        np.testing.assert_array_equal(a, b)


@every_stranger
def test_pauses_and_company_leave_no_trace(cls, features):
    whole = tm.train(start(cls), features, **SHORT)
    half = tm.train(start(cls), features, **SHORT | {"steps": 9})
    again = tm.resume(half, steps=11)
    single = tm.train(start(cls, None), features, **SHORT)
    np.testing.assert_array_equal(again.steps, whole.steps)
    for a, b, c in zip([whole.losses, *whole.parameters.parameters],
                       [again.losses, *again.parameters.parameters],
                       [single.losses, *single.parameters.parameters], strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a[:, 0], c, rtol=1e-9, atol=1e-12)


@every_stranger
def test_saving_keeps_it(cls, features, tmp_path):
    history = tm.train(start(cls), features, **SHORT)
    tm.save(tmp_path / "run.npz", history)
    loaded = tm.load(tmp_path / "run.npz")
    assert type(loaded.model) is cls and type(loaded.features) is type(features)
    assert loaded.engine == "core.loop"
    more, less = tm.resume(loaded, steps=5), tm.resume(history, steps=5)
    np.testing.assert_array_equal(more.losses, less.losses)


@every_stranger
def test_exact_theory_refuses_it(cls, features):
    model = start(cls, None)
    for call in (lambda: tm.expected_loss(model, features),
                 lambda: tm.expected_loss_and_grad(model, features),
                 lambda: tm.find_minimum(features, 2, model=cls, starts=2),
                 lambda: tm.gradient_flow(model, features, t_final=1.0)):
        with pytest.raises(TypeError, match="is a class of its own|is known exactly"):
            call()


@every_stranger
def test_estimates_call_it(cls, features):
    model = start(cls)
    mean, error = tm.estimate_loss(model, features, samples=2**17)
    x = features.sample(np.random.default_rng(5), 200_000)
    truth = model.loss(x, features)
    assert mean.shape == error.shape == (3,) and (error > 0).all()
    assert (abs(mean - truth) < 6 * error + 0.01 * truth).all()
    ours, _ = tm.estimate_loss(start(tm.ReluOutput), FEATURES, samples=2**17)
    assert (abs(ours - truth) > 10 * error).any()


def test_a_gpu_refuses_it(monkeypatch):
    with pytest.raises(TypeError, match="only the four models.*class of its own"):
        tm.train(start(Leaky), FEATURES, backend="cupy", **SHORT)


def test_half_an_override_is_refused():
    class OnlyLoss(tm.ReluOutput):
        def loss(self, x, features):
            return 0.0

    class OnlyForward(tm.ReluOutput):
        def forward(self, x):
            return x

    class OnlyGradient(tm.ReluOutput):
        def loss_and_grad(self, x, features):
            loss, gradient = super().loss_and_grad(x, features)
            return loss + 100, gradient

    for cls, words in ((OnlyLoss, "overrides loss, but training calls loss_and_grad"),
                       (OnlyForward, "overrides forward, but training calls _forward")):
        with pytest.raises(TypeError, match=words):
            tm.train(start(cls), FEATURES, **SHORT)
    x, single = np.ones((3, 4)), start(tm.ReluOutput)[0]
    single.forward = lambda x: x
    for model, words in ((start(OnlyForward), "overrides forward, but evaluation calls _forward"),
                         (start(OnlyGradient), "overrides loss_and_grad, but evaluation calls los"),
                         (single, "overrides forward, but evaluation calls _forward")):
        with pytest.raises(TypeError, match=words):
            model.loss(x, FEATURES)
        with pytest.raises(TypeError, match=words):
            tm.estimate_loss(model, FEATURES, samples=64)


def test_half_an_override_of_the_base_class_is_refused(monkeypatch):
    model, usual = start(tm.ReluOutput), tm.Model.loss
    monkeypatch.setattr(tm.Model, "loss", lambda self, x, features: usual(self, x, features) + 7)
    with pytest.raises(TypeError, match="overrides loss, but training calls loss_and_grad"):
        tm.train(model, FEATURES, **SHORT)


class Gain(tm.ReluOutput):
    """A model that holds more than its parameters: what its output is multiplied by."""

    def __init__(self, *parameters, gain=1.0, **named):
        super().__init__(*parameters, **named)
        self.gain = gain

    def _forward(self, x):
        output, cache = super()._forward(x)
        return self.gain * output, cache

    def _backward(self, x, cache, d_output):
        return super()._backward(x, cache, self.gain * d_output)


def test_what_a_model_holds_beside_its_parameters_stays_with_it(tmp_path):
    model = Gain(*start(tm.ReluOutput).parameters, gain=0.0)
    assert model[1].gain == model[:2].gain == model.astype(np.float64).gain == 0
    x = FEATURES.sample(np.random.default_rng(0), 500)
    history = tm.train(model, FEATURES, **SHORT)
    assert history.model.gain == history.parameters.gain == 0
    assert (history.model.loss(x, FEATURES) == model.loss(x, FEATURES)).all()
    np.testing.assert_array_equal(history.parameters.W[-1], model.W)
    tm.save(tmp_path / "run.npz", history)
    assert tm.load(tmp_path / "run.npz").model.gain == 0
    model.gain = 0.7
    assert tm.check_gradient(model, x, FEATURES) < 1e-7
    assert tm.estimate_loss(model, FEATURES, samples=2**12)[0][1] == pytest.approx(
        tm.estimate_loss(model[1], FEATURES, samples=2**12)[0], rel=0.1)


class Plain(tm.ReluOutput):
    """ReluOutput, but that it is trained by `core/loop.py`."""


def by_gram(self, x):
    """The forward pass of ReluOutput by way of G = W'W."""
    z = x @ self.G + self.b[..., None, :]
    return np.maximum(z, 0), (x @ transpose(self.W), z)


class Cached(tm.ReluOutput):
    _forward = by_gram

    @cached_property
    def G(self):
        return transpose(self.W) @ self.W


class Rebuilt(tm.ReluOutput):
    _forward = by_gram

    @classmethod
    def from_parameters(cls, parameters):
        model = super().from_parameters(parameters)
        model.G = transpose(model.W) @ model.W
        return model


class Hidden(tm.ReluOutput):
    """Its W is a property over another attribute."""

    W = property(lambda self: self.kept, lambda self, W: setattr(self, "kept", W))


@pytest.mark.parametrize("cls", [Cached, Rebuilt, Hidden])
def test_what_follows_from_parameters_follows_them(cls):
    plain = tm.train(start(Plain), FEATURES, **SHORT)
    model = cls.from_parameters(start(tm.ReluOutput).parameters)
    history = tm.train(model, FEATURES, **SHORT)
    np.testing.assert_allclose(history.losses, plain.losses, rtol=1e-10)
    x = FEATURES.sample(np.random.default_rng(0), 500)
    assert tm.check_gradient(model, x, FEATURES) < 1e-7
    assert history.model.W is not model.W and (history.model.W != model.W).any()


def test_what_follows_from_parameters_and_does_not_follow_them_is_warned_of():
    class Stale(tm.ReluOutput):
        _forward = by_gram

    model = Stale(*start(tm.ReluOutput).parameters)
    model.G = transpose(model.W) @ model.W
    with pytest.warns(RuntimeWarning, match="it holds G beside its parameters"):
        tm.train(model, FEATURES, **SHORT)

    class Masked(tm.ReluOutput):
        def _forward(self, x):
            output, cache = super()._forward(x)
            return output * self.mask, cache

        def _backward(self, x, cache, d_output):
            return super()._backward(x, cache, d_output * self.mask)

    model = Masked(*start(tm.ReluOutput).parameters)
    model.mask = np.array([1.0, 0.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (tm.train(model, FEATURES, **SHORT).model.mask == model.mask).all()


def test_methods_that_are_bound_to_a_model_are_bound_to_its_copies():
    model = start(tm.ReluOutput)
    model._forward = MethodType(tm.ReluOutput._forward, model)
    plain = tm.train(start(Plain), FEATURES, **SHORT)
    history = tm.train(model, FEATURES, **SHORT)
    assert history.engine == "core.loop"
    np.testing.assert_array_equal(history.losses, plain.losses)


def test_a_selection_does_not_guess_whose_an_array_is():
    model = Gain(*start(tm.ReluOutput).parameters, gain=np.array([1.0, 2.0, 3.0])[:, None, None])
    with pytest.raises(TypeError, match="holds 'gain' of shape .* select of both by hand"):
        model[1]
    model.gain = np.ones(4)                             # a feature each: no instances
    assert model[1].gain.shape == (4,)


def test_a_class_may_say_that_the_base_class_is_right():
    class Logged(tm.ReluOutput):
        loss = tm.ReluOutput.loss

        def loss_and_grad(self, x, features):
            return super().loss_and_grad(x, features)

    x = FEATURES.sample(np.random.default_rng(0), 500)
    model = start(Logged)
    assert (model.loss(x, FEATURES) == start(tm.ReluOutput).loss(x, FEATURES)).all()
    assert tm.check_gradient(model, x, FEATURES) < 1e-7


def test_a_wrong_number_of_gradients_is_a_sentence():
    class Short(tm.ReluOutput):
        def _backward(self, x, cache, d_output):
            return super()._backward(x, cache, d_output)[:1]

    with pytest.raises(TypeError, match="Short has the parameters W, b, one array each, got 1"):
        tm.train(start(Short), FEATURES, **SHORT)


def test_a_method_of_one_object_runs_at_every_step():
    model, calls = start(tm.ReluOutput), []

    def counted(x, features):
        calls.append(1)
        return tm.ReluOutput.loss_and_grad(start(tm.ReluOutput), x, features)

    model.loss_and_grad = counted
    assert tm.train(model, FEATURES, **SHORT).engine == "core.loop"
    assert len(calls) == SHORT["steps"] + 2                     # one to look at the gradient


def test_a_wrapped_method_that_stays_with_its_first_object_is_warned_of():
    model = start(tm.ReluOutput)
    forward = model._forward
    model._forward = lambda x: forward(x)
    with pytest.warns(RuntimeWarning, match="it holds _forward beside its parameters"):
        tm.train(model, FEATURES, **SHORT)


def test_a_note_on_a_model_does_not_keep_a_run_from_going_on():
    model = start(tm.ReluOutput)
    model.note = "mine"
    first = tm.train(model, FEATURES, **SHORT)
    assert tm.resume(first, steps=10).model.note == "mine"


def test_a_model_trains_in_its_own_precision():
    class Coarse(tm.Features):
        def target(self, x):
            return np.where(x > 0.5, 1.0, 0.0)

    history = tm.train(start(tm.ReluOutput).astype(np.float32), Coarse(4, 0.3), **SHORT)
    arrays = [history.losses, *history.model.parameters, *history.state.mean]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


def test_targets_and_outputs_of_another_shape_are_refused():
    class Narrow(tm.Features):
        def target(self, x):
            return x[..., :1]

    class Flat(tm.Features):
        def target(self, x):
            return x[..., 0, :]

    class OneColumn(tm.ReluOutput):
        def _forward(self, x):
            output, cache = super()._forward(x)
            return output[..., :1], cache

    class Complex(tm.Features):
        def sample(self, rng, batch_size, *, dtype=np.float64):
            return super().sample(rng, batch_size, dtype=dtype) + 1j

    single = start(tm.ReluOutput)[0]
    for law, model in ((Narrow(4, 0.3), single), (Flat(4, 0.3), single),
                       (FEATURES, start(OneColumn))):
        with pytest.raises(ValueError, match="output and target must both have the shape of x"):
            tm.train(model, law, steps=3, batch_size=4)
    with pytest.raises(TypeError, match="what sample returns must be an array of real numbers"):
        tm.train(single, Complex(4, 0.3), **SHORT)
    with pytest.raises(TypeError, match="Model must define _forward and _backward"):
        tm.Model(single.W, single.b).forward(np.ones((3, 4)))


def test_moments_of_other_samples_are_not_claimed():
    law = Binary(4, 0.3)
    for name in ("mean", "variance", "second_moment"):
        with pytest.raises(TypeError, match=f"draws samples of its own, so its {name}"):
            getattr(law, name)()
    np.testing.assert_array_equal(law.active_probability, FEATURES.active_probability)

    class OwnDraw(tm.Features):
        def _draw(self, rng, p, B, dtype):
            return np.ones((B, self.n_features), dtype)

    single = tm.Features(4, 0.3)
    single.sample = lambda rng, batch_size, dtype=np.float64: np.ones((batch_size, 4), dtype)
    for other in (OwnDraw(4, 0.3), single):
        with pytest.raises(TypeError, match="draws samples of its own"):
            other.mean()
    assert type(law.replace(importance=2.0)) is Binary


def test_what_sample_and_gradient_return_is_checked():
    class Wide(tm.Features):
        def sample(self, rng, batch_size, *, dtype=np.float64):
            return np.ones((batch_size, 7))

    class NoGradient(tm.ReluOutput):
        def loss_and_grad(self, x, features):
            return self.loss(x, features)

    with pytest.raises(ValueError, match=r"Wide.sample must return an array of shape \(64, 4\)"):
        tm.train(start(tm.ReluOutput), Wide(4, 0.3), **SHORT)
    with pytest.raises(TypeError):
        tm.train(start(NoGradient), FEATURES, **SHORT)


def test_a_replaced_method_is_seen(monkeypatch):
    monkeypatch.setattr(tm.ReluOutput, "_forward", Leaky._forward)
    monkeypatch.setattr(tm.ReluOutput, "_backward", Leaky._backward)
    assert stranger(tm.ReluOutput) == "ReluOutput._backward was replaced"
    patched = tm.train(start(tm.ReluOutput), FEATURES, **SHORT)
    assert patched.engine == "core.loop"
    np.testing.assert_array_equal(patched.losses, tm.train(start(Leaky), FEATURES, **SHORT).losses)
    with pytest.raises(TypeError, match="was replaced"):
        tm.expected_loss(start(tm.ReluOutput), FEATURES)


@pytest.mark.parametrize("module, name", [
    ("optim", "adam"), ("loop", "adamw"), ("loop", "train_plainly"), ("models", "_relu")])
def test_a_replaced_function_is_seen(monkeypatch, module, name):
    usual = getattr(known.FILES[module], name)
    monkeypatch.setattr(known.FILES[module], name, lambda *given, **more: usual(*given, **more))
    assert stranger(tm.ReluOutput, files=HOW) == f"{module}.{name} was replaced"
    assert tm.train(start(tm.ReluOutput), FEATURES, **SHORT).engine == "core.loop"


def test_a_method_of_one_object_is_seen():
    model = start(tm.ReluOutput)
    model.loss_and_grad = lambda x, features: FourthPower.loss_and_grad(model, x, features)
    assert "'loss_and_grad' of its own" in stranger(model)


def test_an_edited_file_is_seen(monkeypatch):
    for name in HOW:
        with monkeypatch.context() as patch:
            patch.setitem(known.FINGERPRINTS, name, "of another text")
            assert stranger(tm.ReluOutput, FEATURES, files=HOW) == f"core/{name}.py was edited"
            assert tm.train(start(tm.ReluOutput), FEATURES, **SHORT).engine == "core.loop"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda law: law.replace(),
                                    lambda law: pickle.loads(pickle.dumps(law))])
def test_a_copy_of_features_goes_on_as_they_do(copied):
    law, rng = Counting(4, 0.5), np.random.default_rng(0)
    law.sample(rng, 10)
    before, again = law.on.copy(), copied(law)
    x = again.sample(rng, 10)
    np.testing.assert_array_equal(again.on, before + (x != 0).sum(0))
    assert not again.feature_probability.flags.writeable and not again.importance.flags.writeable


def test_the_four_and_plain_features_are_known():
    for cls in (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue):
        assert stranger(cls, start(cls), FEATURES, tm.Features, files=HOW) == ""
        assert tm.train(start(cls), FEATURES, **SHORT).engine == "engine.host"


def test_geometry_takes_any_model():
    W = tm.train(start(Leaky), FEATURES, **SHORT).model.W
    assert tm.feature_dimensionality(W).shape == (3, 4)
    assert isinstance(tm.name_geometry(W[0]), str)


def test_a_sparsity_is_answered_with_p():
    for given in ({"sparsity": 0.95}, {"S": 0.95}):
        with pytest.raises(TypeError, match="feature_probability = 1 - S"):
            tm.Features(5, **given)
    with pytest.raises(TypeError, match="1 - S for the paper's sparsity"):
        tm.Features(5)
