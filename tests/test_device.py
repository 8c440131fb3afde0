"""The loop on a GPU, tested without one: the same loop on `fakecupy`, whose arrays refuse what
CuPy's do.

Samples are held against a slow twin that numbers them one by one in Python's integers, and against
the law of `Features` by the predicates of test_features; gradients and steps against `models.py`
and `optim.py`. What crosses between host and device is counted, and a transfer that is planted must
be seen. Tests marked `gpu` need a real one.
"""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace

import fakecupy
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from test_fast import assert_adam_is_the_reference
from test_features import FIXED, laws, moments_hold, supports_hold, values_hold
from test_saving import LAWS, assert_same

import toymodels_np as tm
from toymodels_np.cli.parser import main
from toymodels_np.core import arrays
from toymodels_np.core.optim import AdamState, adam, adamw, schedule
from toymodels_np.engine import backends, gpu as device
from toymodels_np.store.files import read_arrays, write_arrays

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
SETS = tm.Features(5, [0.1, 0.4, 0.1, 0.3, 0.3], [1, 0.9, 0.8, 0.7, 0.6], correlated=[(2, 0)],
                   anticorrelated=[(3, 4)])
SHORT = {"steps": 30, "batch_size": 64, "learning_rate": 1e-2, "record_every": 7, "backend": "cupy"}
ROWS = 30_000


def why_not_on_a_gpu():
    try:
        backends.device_module()
    except (ImportError, RuntimeError) as error:
        return str(error)


NO_GPU = why_not_on_a_gpu()
on_a_gpu = lambda test: pytest.mark.gpu(pytest.mark.skipif(NO_GPU is not None,
                                                           reason=str(NO_GPU))(test))


@pytest.fixture(autouse=True)
def stand_in(request, monkeypatch):
    """`import cupy` gives the stand-in, but where a real GPU is meant."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setitem(sys.modules, "cupy", fakecupy)
    fakecupy.transfers.clear()
    fakecupy.copies.clear()
    yield
    device.kernels.cache_clear()


def everything(history):
    return [history.losses, *history.parameters.parameters, *history.model.parameters]


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert type(a) is type(b) is np.ndarray and a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- numbered samples -----------------------------------------------------------------------------

def word(key, number):
    """SplitMix64 in Python's integers. (1.9)"""
    w = (key + number * 0x9E3779B97F4A7C15) % 2**64
    w = (w ^ w >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    w = (w ^ w >> 27) * 0x94D049BB133111EB % 2**64
    return w ^ w >> 31


def slow_batch(features, keys, batch_size, step):
    """x (k, n, B), one cell at a time, in float64."""
    n = features.n_features
    x = np.zeros((len(keys), n, batch_size))
    for i, key in enumerate(keys):
        p = np.atleast_2d(features.feature_probability)
        p = p[i % len(p)]
        for members in features.sets:
            for r in range(batch_size):
                at = lambda j: word(key, (step * n + j) * batch_size + r)
                upper, k = at(members.members[0]) >> 24, len(members.members)
                for a, j in enumerate(members.members):
                    low, high = (a / k, (a + 1) / k) if members.kind == "anticorrelated" else (0, 1)
                    if round(p[j] * low * 2**40) <= upper < round(p[j] * high * 2**40):
                        x[i, j, r] = (at(j) % 2**24 // 2 * 2 + 1) / 2**24
                        x[i, j, r] -= features.signed * (1 - x[i, j, r])
    return x


def batches(features, count=1, batch_size=ROWS, dtype=np.float32, seed=0):
    return device.Batches(features, device.random_state(seed, count), batch_size, dtype)


def rows(batch):
    """Batch (k, n, B) on the device -> (k, B, n) on the host."""
    return arrays.to_host(batch).swapaxes(1, 2)


def test_the_words_are_those_of_splitmix64():
    assert [word(1234567, c) for c in (1, 2, 3)] == [6457827717110365317, 3203168211198807973,
                                                     9817491932198370423]


NUMBERED = FIXED | {"one law an instance": tm.Features(3, [[0.2], [0.5], [1.0]], signed=True),
                    "sets, one law an instance": tm.Features(4, [[0.2], [0.5], [1.0]],
                                                             correlated=[(3, 1)],
                                                             anticorrelated=[(2, 0)])}


@pytest.mark.parametrize("features", NUMBERED.values(), ids=NUMBERED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_their_slow_twin_to_the_bit(features, dtype):
    draw = batches(features, 3, 7, dtype, seed=5)
    keys = [int(np.random.SeedSequence(5, spawn_key=(1, i)).generate_state(1, np.uint64)[0])
            for i in range(3)]
    assert draw.random.tolist() == [[key] for key in keys] and draw.random.dtype == np.uint64
    for step in (0, 1, 41, 10**9):
        x = arrays.to_host(draw(step))
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, slow_batch(features, keys, 7, step))


@given(laws(), st.sampled_from([np.float32, np.float64]))
def test_samples_follow_the_law(features, dtype):
    x, = rows(batches(features, dtype=dtype)(3))
    assert moments_hold(x, features) and supports_hold(x, features) and values_hold(x, features)
    assert x.min() >= (-1 if features.signed else 0) and x.max() <= 1


def test_cells_steps_and_instances_are_independent():
    features = tm.Features(2, 0.4, correlated=[(0, 1)])
    draw, pair = batches(features, 3), tm.Features(4, 0.4, correlated=[(0, 1), (2, 3)])
    first, second = rows(draw(0)), rows(draw(1))
    for a, b in ((first[0], first[1]), (first[1], first[2]), (first[0], second[0]),
                 (first[0][:-1], first[0][1:])):
        x = np.concatenate([a, b], axis=1)
        assert moments_hold(x, pair) and supports_hold(x, pair)
    assert not moments_hold(np.concatenate([first[0], first[0]], axis=1), pair)


def test_each_instance_follows_its_own_probabilities():
    p = np.array([[0.02, 0.3, 0.9, 1.0], [0.1, 0.1, 0.1, 0.1], [0.6, 0.6, 0.6, 0.6]])
    features = tm.Features(4, p)
    x = rows(batches(features, 3)(0))
    for i in range(3):
        assert moments_hold(x[i], features[i]) and supports_hold(x[i], features[i])
        assert not moments_hold(x[i], features[(i + 1) % 3])


@pytest.mark.parametrize("found, planted", [
    (device.OWN_WORD, ""), (device.SWITCH + device.OWN_WORD, device.OWN_WORD + device.SWITCH),
    ("24", "26"),
    ("| 1) * unit", "| 1) * unit * T(word & 0xFFFFFF) * unit"), ("(low <= word >> 24) &", "")],
    ids=["one value for a set", "members alone", "p four times", "squared", "no lower limit"])
def test_a_sampler_that_lies_is_caught(monkeypatch, found, planted):
    text = device.KERNELS["draw_sets"]
    features = tm.Features(6, 0.2, correlated=[(0, 1)], anticorrelated=[(2, 3, 4)])
    honest, = rows(batches(features)(0))
    device.kernels.cache_clear()
    assert found in text[2]
    monkeypatch.setitem(device.KERNELS, "draw_sets", (*text[:2], text[2].replace(found, planted)))
    lie, = rows(batches(features)(0))
    assert moments_hold(honest, features) and not moments_hold(lie, features)


# -- one step -------------------------------------------------------------------------------------

def assert_the_step_is_the_reference(cls, k, m, n, B, equal, signed, dtype, seed):
    rng = np.random.default_rng(seed)
    model = cls.init(n, m, k, seed=seed, dtype=dtype)
    model = model.from_parameters([*model.parameters[:-1],
                                   rng.normal(size=(k, n)).astype(dtype) / 3])
    features = tm.Features(n, 0.5, 2.5 if equal else rng.uniform(0.1, 2, (k, n)), signed=signed)
    x = rng.uniform(-1 if signed else 0, 1, (k, B, n)).astype(dtype)
    loss, gradient = model.loss_and_grad(x, features)
    xp = backends.device_module()
    step, parameters = device.Step(model, features, B), device.Layers(model.parameters)
    tolerance = 200 * np.finfo(dtype).eps
    for recorded in (True, False, True):                  # nothing is left over from the first call
        found, slopes = step(parameters, xp.asarray(np.ascontiguousarray(x.swapaxes(1, 2))),
                             recorded)
        assert (found is not None) == recorded
        if recorded:
            assert abs(arrays.to_host(found) / loss - 1).max() <= tolerance
        for a, b in zip(slopes.arrays, gradient.parameters, strict=True):
            assert a.dtype == dtype
            assert abs(arrays.to_host(a) - b).max() <= tolerance * max(abs(g).max()
                                                                       for g in gradient.parameters)


@given(cls=st.sampled_from(MODELS), k=st.integers(1, 4), m=st.integers(1, 6), n=st.integers(1, 9),
       B=st.integers(1, 50), equal=st.booleans(), signed=st.booleans(),
       dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_the_step_is_the_reference_to_rounding(cls, k, m, n, B, equal, signed, dtype, seed):
    assert_the_step_is_the_reference(cls, k, m, n, B, equal, signed, dtype, seed)


@pytest.mark.parametrize("name, found, planted", [
    ("slope", "weight * residual * mask", "weight * residual"), ("slope", "z + b", "z"),
    ("slope", "fabs(x)", "x"),
    ("hidden_slope", "(h > 0)", "1"), ("hidden_relu", "row = h", "row = a * a"),
    ("terms", "residual * residual", "residual")])
def test_a_kernel_that_errs_is_caught(monkeypatch, name, found, planted):
    text = device.KERNELS[name]
    assert found in text[2]
    monkeypatch.setitem(device.KERNELS, name, (*text[:2], text[2].replace(found, planted)))
    with pytest.raises(AssertionError):
        assert_the_step_is_the_reference(tm.ReluHidden, 3, 4, 8, 40, False, True, np.float64, 1)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_on_the_device_is_adam(decay, dtype):
    assert_adam_is_the_reference(device, fakecupy.asarray, decay, dtype)


@every_model
def test_no_matrix_product_copies_anything_as_large_as_x(cls):
    model, features, B = cls.init(20, 3, 2), tm.Features(20, 0.5), 500
    step, x = device.Step(model, features, B), batches(features, 2, B)(0)
    step(device.Layers(model.parameters), x)
    assert max(fakecupy.copies, default=0) <= x.size * 3 / 20


# -- the loop -------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"schedule": "linear"}, {"schedule": "cosine"},
                                     {"weight_decay": 0.1},
                                     {"seed": 5}], ids=str)
@every_model
def test_the_loop_is_its_slow_twin(cls, options):
    """Draw, differentiate, update, for each instance by itself, with the slow samples, the models
    and the optimiser.
    """
    stack = cls.init(5, 2, 2, dtype=np.float64)
    history = tm.train(stack, SETS,
                       **{"steps": 6, "batch_size": 50, "learning_rate": 1e-2, "record_every": 1,
                          "backend": "cupy"} | options)
    rate = schedule(options.get("schedule", "constant"), 1e-2, 6)
    decay = {"weight_decay": options["weight_decay"]} if "weight_decay" in options else {}
    for i in range(2):
        key = int(np.random.SeedSequence(options.get("seed", 0),
                                         spawn_key=(1, i)).generate_state(1, np.uint64)[0])
        model, state = stack[i], AdamState.zeros_like(stack[i].parameters)
        for step in range(7):
            x = slow_batch(SETS, [key], 50, step)[0].T
            loss, gradient = model.loss_and_grad(x, SETS)
            assert history.losses[step, i] == pytest.approx(loss, rel=1e-11)
            for a, b in zip(history.parameters[step, i].parameters, model.parameters):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
            update = adamw if decay else adam
            parameters, state = update(model.parameters, gradient.parameters, state, rate(step),
                                       **decay)
            model = cls(*parameters)


@every_model
@pytest.mark.parametrize("law", LAWS)
def test_an_instance_does_not_notice_its_company(cls, law):
    features = LAWS[law]
    if features.n_instances is not None:
        three = tm.train(cls.init(5, 2, 3, seed=4), features, seed=9, **SHORT)
        alone = tm.train(cls.init(5, 2, seed=4), features[0], seed=9, **SHORT)
    else:
        ten, three = (tm.train(cls.init(5, 2, k, seed=4), features, seed=9, **SHORT)
                      for k in (10, 3))
        alone = tm.train(cls.init(5, 2, seed=4), features, seed=9, **SHORT)
        assert_same_bits([a[:, :3] for a in everything(ten)[:-len(cls.parameter_shapes)]],
                         everything(three)[:-len(cls.parameter_shapes)])
        assert len(np.unique(ten.losses[0])) == 10
    assert_same_bits([three.losses[:, 0], *(a[:, 0] for a in three.parameters.parameters)],
                     [alone.losses, *alone.parameters.parameters])


@pytest.mark.parametrize("tile", [1, 64 * 5 * 2, 64 * 5 * 3])
def test_tiles_and_recording_leave_no_trace(monkeypatch, tile):
    stack = tm.ReluOutput.init(5, 2, 7)
    whole = tm.train(stack, SETS, **SHORT | {"record_every": 1})
    monkeypatch.setattr(device, "TILE", tile)
    seldom = tm.train(stack, SETS, **SHORT | {"record_every": 15})
    assert_same_bits([seldom.losses, *seldom.parameters.parameters],
                     [whole.losses[::15], *(a[::15] for a in whole.parameters.parameters)])


def test_the_seed_decides_and_the_backend_does():
    stack = tm.ReluOutput.init(5, 2, 3)
    first, again, other = (tm.train(stack, SETS, seed=seed, **SHORT) for seed in (1, 1, 2))
    host = tm.train(stack, SETS, seed=1, **SHORT | {"backend": "numpy"})
    assert_same_bits(everything(again), everything(first))
    assert (first.losses != other.losses).all() and (first.losses != host.losses).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_model
def test_a_history_is_on_the_host(cls, dtype):
    for model in (cls.init(5, 2, dtype=dtype), cls.init(5, 2, 3, dtype=dtype)):
        before = [a.copy() for a in model.parameters]
        history = tm.train(model, SETS, **SHORT)
        held = [*everything(history), *history.state.mean, *history.state.square]
        assert {(type(a), a.dtype) for a in held} == {(np.ndarray, np.dtype(dtype))}
        assert_same_bits(model.parameters, before)
        np.testing.assert_array_equal(history.steps, [0, 7, 14, 21, 28, 30])
        assert history.parameters.instances == (6, *model.instances)
        assert history.model.instances == model.instances
        assert history.settings["backend"] == "cupy"
        assert history.state.random.shape == (*(model.instances or (1,)), 1)


def test_it_learns():
    features = tm.Features(5, 0.05)
    model = tm.train(tm.ReluOutput.init(5, 2, 4), features, steps=2000, batch_size=256,
                     learning_rate=0.02,
                     schedule="cosine", backend="cupy").model
    best = tm.energies.polygon(5, p=0.05).loss
    assert tm.expected_loss(model, features).min() == pytest.approx(best, rel=5e-3)


@pytest.mark.parametrize("every, step", [(1, 1), (7, 7), (100, 30)])
def test_an_exploding_run_is_seen_at_the_next_record(every, step):
    stack = tm.ReluOutput.init(5, 2, 4)
    with pytest.raises(FloatingPointError, match=rf"instance 0 .* step {step}\b.*learning_rate"):
        tm.train(stack, SETS, **SHORT | {"learning_rate": 1e20, "record_every": every})
    stack.W[2] *= 1e15
    with pytest.raises(FloatingPointError, match=r"instance 2 .* step 0\b"):
        tm.train(stack, SETS, **SHORT)


# -- transfers ------------------------------------------------------------------------------------

def crossings(cls=tm.ReluOutput, steps=30, every=10, **options):
    """How often something crosses between host and device in a run."""
    fakecupy.transfers.clear()
    tm.train(cls.init(5, 2, 3), SETS, steps=steps, record_every=every, batch_size=16,
             backend="cupy", **options)
    return len(fakecupy.transfers)


@every_model
def test_only_records_cross(cls):
    """Each record is the loss and the parameters, each an array; what else crosses does not depend
    on the steps.
    """
    record = 1 + len(cls.parameter_shapes)
    once = crossings(cls, 30, 30)
    assert once == crossings(cls, 90, 90) == crossings(cls, 90, 90, weight_decay=0.1,
                                                       schedule="cosine")
    assert crossings(cls, 90, 10) == once + 8 * record
    assert crossings(cls, 30, 1) == once + 29 * record


@pytest.mark.parametrize("cls", [device.Batches, device.Step, device.Adam],
                         ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("peek", [float, bool, lambda a: a.item(), lambda a: a.get(),
                                  lambda a: fakecupy.asnumpy(a),
                                  lambda a: fakecupy.asarray(np.zeros(3)), lambda a: a.tolist(),
                                  int],
                         ids="float bool item get asnumpy asarray tolist int".split())
def test_a_hidden_transfer_is_counted(monkeypatch, cls, peek):
    call = cls.__call__
    monkeypatch.setattr(cls, "__call__", lambda self,
                        *args: (peek(fakecupy.ones(1)), call(self, *args))[1])
    assert crossings(steps=60, every=60) >= crossings(steps=30, every=30) + 30


@pytest.mark.parametrize("peek", [np.asarray, np.sum, np.sqrt, lambda a: a + np.ones(1),
                                  lambda a: np.ones(1) * a,
                                  lambda a: np.add(a, a), lambda a: a > np.zeros(1),
                                  lambda a: np.zeros(1).dot(a),
                                  lambda a: np.concatenate([a, a]),
                                  lambda a: fakecupy.matmul(a, np.ones(1)),
                                  lambda a: a.__setitem__(0, np.ones(1)),
                                  lambda a: np.ones(1).__setitem__(slice(1), a),
                                  lambda a: device.kernels(fakecupy).hidden_slope(a, np.ones(1))])
def test_an_implicit_transfer_is_a_type_error(monkeypatch, peek):
    call = device.Adam.__call__
    monkeypatch.setattr(device.Adam, "__call__", lambda self,
                        *args: (peek(fakecupy.ones(1)), call(self, *args))[1])
    with pytest.raises(TypeError):
        crossings()


# -- going on -------------------------------------------------------------------------------------

@given(cls=st.sampled_from(MODELS), law=st.sampled_from(sorted(LAWS)),
       dtype=st.sampled_from([np.float32, np.float64]),
       parts=st.lists(st.integers(1, 30), min_size=2, max_size=3),
       every=st.sampled_from([1, 7, 100]))
def test_parts_of_a_run_are_the_run(tmp_path_factory, cls, law, dtype, parts, every):
    run = lambda steps: tm.train(cls.init(5, 2, 3, dtype=dtype), LAWS[law], steps=steps,
                                 batch_size=16, seed=3,
                                 record_every=every, weight_decay=0.1, backend="cupy")
    path, history = tmp_path_factory.mktemp("parts") / "run.npz", run(parts[0])
    for steps in parts[1:]:
        tm.save(path, history)
        history = tm.resume(tm.load(path), steps=steps)
    assert_same(history, run(sum(parts)))


def test_five_hundred_and_five_hundred_are_a_thousand(tmp_path):
    run = lambda steps: tm.train(tm.ReluOutput.init(5, 2, 3), SETS, steps=steps, batch_size=16,
                                 backend="cupy")
    tm.save(tmp_path / "half.npz", run(500))
    whole = tm.resume(tm.load(tmp_path / "half.npz"), steps=500)
    assert_same(whole, run(1000))
    assert whole.settings["backend"] == "cupy"


def test_a_run_on_a_gpu_loads_without_one_but_does_not_go_on(monkeypatch, tmp_path):
    history = tm.train(tm.ReluOutput.init(5, 2, 3), SETS, **SHORT)
    tm.save(tmp_path / "run.npz", history)
    monkeypatch.setitem(sys.modules, "cupy", None)
    loaded = tm.load(tmp_path / "run.npz")
    assert_same(loaded, history)
    assert tm.expected_loss(loaded.model, SETS).shape == (3,)
    with pytest.raises(ImportError, match="needs CuPy"):
        tm.resume(loaded, steps=5)


def test_a_file_that_knows_no_backend_is_from_the_host(tmp_path):
    history = tm.train(tm.ReluOutput.init(5, 2, 3), SETS, **SHORT | {"backend": "numpy"})
    tm.save(tmp_path / "new.npz", history)
    old = {name: value for name, value in history.settings.items() if name != "backend"}
    tm.save(tmp_path / "old.npz", replace(history, settings=old))
    loaded = tm.load(tmp_path / "old.npz")
    assert loaded.settings == history.settings and loaded.settings["backend"] == "numpy"
    assert_same(tm.resume(loaded, steps=9), tm.resume(history, steps=9))


def test_the_state_of_one_backend_is_no_state_of_the_other(tmp_path):
    tm.save(tmp_path / "run.npz", tm.train(tm.ReluOutput.init(5, 2, 3), SETS, **SHORT))
    arrays_in_file = read_arrays(tmp_path / "run.npz")
    for backend, said in (("numpy", "random state"),
                          ("gpu", "backend must be one of 'numpy', 'cupy', got 'gpu'")):
        header = str(arrays_in_file["header"]).replace('"backend": "cupy"',
                                                       f'"backend": "{backend}"')
        write_arrays(tmp_path / "other.npz", arrays_in_file | {"header": np.array(header)})
        with pytest.raises(ValueError, match=said):
            tm.load(tmp_path / "other.npz")


# -- models on the device -------------------------------------------------------------------------

def on_device(model):
    return type(model)(*map(fakecupy.asarray, model.parameters))


@every_model
def test_a_model_on_the_device_is_trained_there(cls):
    model = cls.init(5, 2, 3)
    there = tm.train(on_device(model), SETS, **SHORT | {"backend": None})
    assert there.settings["backend"] == "cupy"
    assert_same_bits(everything(there), everything(tm.train(model, SETS, **SHORT)))
    here = tm.train(on_device(model), SETS, **SHORT | {"backend": "numpy"})
    assert here.settings["backend"] == "numpy"
    assert_same_bits(everything(here),
                     everything(tm.train(model, SETS, **SHORT | {"backend": None})))


@every_model
def test_a_model_on_the_device_stays_there(cls):
    features = tm.Features(5, 0.5, [1, 0.9, 0.8, 0.7, 0.6], signed=True)
    model = cls.init(5, 2, 3, dtype=np.float64)
    moved, x = on_device(model), features.sample([np.random.default_rng(i) for i in range(3)], 20)
    assert all(isinstance(a, fakecupy.ndarray) for a in moved.parameters)
    loss, gradient = moved.loss_and_grad(fakecupy.asarray(x), features)
    expected, slopes = model.loss_and_grad(x, features)
    x_there = fakecupy.asarray(x)
    for a, b in zip([loss, moved.loss(x_there, features), moved.forward(x_there),
                     *gradient.parameters],
                    [expected, expected, model.forward(x), *slopes.parameters]):
        assert isinstance(a, fakecupy.ndarray)
        np.testing.assert_allclose(a.get(), b, rtol=1e-13)
    if cls in (tm.Linear, tm.ReluOutput):
        law = tm.Features(5, 0.5)
        np.testing.assert_array_equal(tm.expected_loss(moved, law), tm.expected_loss(model, law))


def test_a_model_is_in_one_place():
    model = tm.ReluOutput.init(5, 2)
    with pytest.raises(TypeError, match="W, b must all be NumPy arrays or all be CuPy arrays"):
        tm.ReluOutput(fakecupy.asarray(model.W), model.b)
    with pytest.raises(TypeError, match="(?i)unsupported"):
        on_device(model).forward(np.ones((4, 5), np.float32))


# -- without --------------------------------------------------------------------------------------

def test_without_cupy_the_error_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError,
                       match=r'backend="cupy" needs CuPy: pip install "toymodels_np\[gpu\]"'):
        tm.train(tm.ReluOutput.init(5, 2), SETS, **SHORT)
    assert main("train --steps 3 --backend cupy".split()) == 2
    assert 'error: backend="cupy" needs CuPy: pip install' in capsys.readouterr().err
    tm.train(tm.ReluOutput.init(5, 2), SETS,
             **SHORT | {"backend": None})          # and nobody else needs it


def test_without_a_gpu_the_error_gives_cupys_reason(monkeypatch):
    def no_driver(*_):
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for "
                           "CUDA runtime version")

    monkeypatch.setattr(fakecupy, "ones", no_driver)
    words = 'backend="cupy" needs a GPU that CuPy can use: cudaErrorInsufficientDriver'
    with pytest.raises(RuntimeError, match=words):
        tm.train(tm.ReluOutput.init(5, 2), SETS, **SHORT)


def test_the_command_line_takes_it(tmp_path, capsys):
    path = tmp_path / "run.npz"
    assert main("train --steps 20 --instances 2 --batch-size 16 --backend cupy --out "
                f"{path}".split()) == 0
    assert main(f"train --resume {path} --steps 10 --out {path}".split()) == 0
    history = tm.load(path)
    assert history.settings["backend"] == "cupy" and history.steps[-1] == 30
    (tmp_path / "sweep.toml").write_text('steps = 5\nbatch_size = 8\nbackend = "cupy"\nseeds = 2\n')
    fakecupy.transfers.clear()
    assert main(f"sweep {tmp_path / 'sweep.toml'} --out {tmp_path / 'out'}".split()) == 0
    assert fakecupy.transfers and set(tm.load_sweep(tmp_path / "out")["backend"]) == {"cupy"}


# -- kernels in C++ -------------------------------------------------------------------------------

COMPILER = shutil.which("c++") or shutil.which("g++")
CTYPES = {"bool": "bool", "uint64": "unsigned long long"}


def as_cpp(name, real):
    """The kernel `name` as a function of pointers, with the references that CuPy makes for each
    element.
    """
    inputs, outputs, body = device.KERNELS[name]
    pairs = [(CTYPES.get(kind, real), p) for kind,
             p in (text.split() for text in f"{inputs}, {outputs}".split(", "))]
    pointers = ", ".join(f"{kind} *_{p}" for kind, p in pairs)
    references = " ".join(f"{'const ' * (f'{p}' in inputs.split())}{kind} &{p} = "
                          f"_{p}[i];" for kind, p in pairs)
    return f'extern "C" void {name}_{real}({pointers}, long size) {{ typedef {real} T;\n' \
           f"for (long i = 0; i < size; ++i) {{ {references} {body} }} }}\n"


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_kernels_mean_the_same_in_cpp(tmp_path):
    source, library = tmp_path / "kernels.cpp", tmp_path / "kernels.so"
    source.write_text("#include <cmath>\nusing std::fabs; using std::sqrt;\n"
                      + "".join(as_cpp(name, real) for name in device.KERNELS
                                for real in ("float", "double")))
    options = ["-O1", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *options, str(source), "-o", str(library)], check=True)
    functions, rng, size = ctypes.CDLL(str(library)), np.random.default_rng(0), 1000
    for name, (inputs, outputs, _) in device.KERNELS.items():
        for real in (np.float32, np.float64):
            values = []
            for kind, _ in (text.split() for text in f"{inputs}, {outputs}".split(", ")):
                values.append({"uint64": lambda: rng.integers(2**64, size=size, dtype=np.uint64),
                               "bool": lambda: rng.integers(2, size=size).astype(bool),
                               "T": lambda: rng.normal(size=size).astype(real)}[kind]())
            if name.startswith("draw"):
                # Limits have 40 bits.
                values[5], values[6] = values[5] >> np.uint64(25), values[6] >> np.uint64(24)
            if name == "adam":
                values = [abs(a) for a in values]
            there = [fakecupy.asarray(a) for a in values]
            getattr(device.kernels(fakecupy), name)(*there)
            function = getattr(functions, f"{name}_{'float' if real is np.float32 else 'double'}")
            function(*(a.ctypes.data_as(ctypes.c_void_p) for a in values), ctypes.c_long(size))
            for a, b in list(zip(there, values))[-len(outputs.split(",")):]:
                assert np.isfinite(b).all() and np.unique(b).size > 100
                np.testing.assert_array_equal(a.get(), b, strict=True)


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="no CuPy")
def test_the_stand_in_has_no_name_that_cupy_lacks():
    import cupy
    names = {name for name, value in vars(fakecupy).items()
             if getattr(value, "__module__", None) == "fakecupy" and name[0] != "_"}
    assert names >= {"ndarray", "asarray", "asnumpy", "ones", "matmul", "ElementwiseKernel"}
    assert [name for name in names if not hasattr(cupy, name)] == []
    assert [name for name in vars(fakecupy.ndarray) if name != "__weakref__"
            and not hasattr(cupy.ndarray, name)] == []


# -- on a real GPU --------------------------------------------------------------------------------

@on_a_gpu
@pytest.mark.parametrize("features", NUMBERED.values(), ids=NUMBERED)
def test_a_gpu_draws_the_same_bits(features):
    draw = batches(features, 3, 50, seed=5)
    for step in (0, 10**9):
        expected = slow_batch(features, draw.random[:, 0].tolist(), 50, step)
        np.testing.assert_array_equal(arrays.to_host(draw(step)), expected)


@on_a_gpu
@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gpu_agrees_with_the_reference(cls, dtype):
    for k, m, n, B in ((1, 2, 5, 64), (4, 7, 30, 1000)):
        for equal, signed in ((True, False), (False, True)):
            assert_the_step_is_the_reference(cls, k, m, n, B, equal, signed, dtype, 3)


@on_a_gpu
@every_model
def test_a_gpu_runs_what_the_stand_in_runs(monkeypatch, cls):
    stack = cls.init(5, 2, 3, dtype=np.float64)
    there = tm.train(stack, SETS, **SHORT)
    monkeypatch.setitem(sys.modules, "cupy", fakecupy)
    for a, b in zip(everything(there), everything(tm.train(stack, SETS, **SHORT))):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@on_a_gpu
def test_on_a_gpu_five_hundred_and_five_hundred_are_a_thousand(tmp_path):
    run = lambda steps: tm.train(tm.ReluOutput.init(5, 2, 3), SETS, steps=steps, batch_size=256,
                                 backend="cupy")
    tm.save(tmp_path / "half.npz", run(500))
    assert_same(tm.resume(tm.load(tmp_path / "half.npz"), steps=500), run(1000))
