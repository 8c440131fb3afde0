"""Training is draw, differentiate, update; instance i's path is a function of (seed, i) alone, bit
for bit.

The loop is held against a slow twin that is written from those three words, its end against the
optimum that is known in closed form for the linear model: the loss left over is the sum of the
covariance's smallest eigenvalues.
"""

import sys

import numpy as np
import pytest
from engine_law import as_engine_law, engine_sample

import toymodels_np as tm
from toymodels_np.core import models, streams
from toymodels_np.core.optim import AdamState, adam, adamw, schedule
from toymodels_np.core.streams import INIT_STREAM, TRAIN_STREAM, random_stream
from toymodels_np.engine import host as fast, train as train_module

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)

SPARSE = tm.Features(5, 0.05, [1, 0.9, 0.8, 0.7, 0.6])
DENSE = tm.Features(5, 0.7, signed=True)
SETS = tm.Features(5, [0.1, 0.4, 0.1, 0.3, 0.3], correlated=[(0, 2)], anticorrelated=[(3, 4)])
laws = pytest.mark.parametrize("features", [SPARSE, DENSE, SETS], ids=["sparse", "dense", "sets"])

SHORT = {"steps": 30, "batch_size": 64, "learning_rate": 1e-2, "record_every": 7}


def arrays(history):
    """Everything numeric in a history whose instance axis comes second: losses and recorded
    parameters.
    """
    return [history.losses, *history.parameters.parameters]


def assert_same_bits(found, expected):
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- (seed, i) and nothing else -------------------------------------------------------------------

@every_model
@laws
def test_an_instance_does_not_notice_its_company(cls, features):
    ten, three = (tm.train(cls.init(5, 2, k, seed=4), features, seed=9, **SHORT) for k in (10, 3))
    assert_same_bits([a[:, :3] for a in arrays(ten)], arrays(three))
    alone = tm.train(cls.init(5, 2, seed=4), features, seed=9, **SHORT)
    assert_same_bits([a[:, 0] for a in arrays(ten)], arrays(alone))
    assert alone.losses.shape == (6,) and ten.losses.shape == (6, 10)
    assert len(np.unique(ten.losses[0])) == 10                      # and yet no two are the same


@pytest.mark.parametrize("n, m, batch_size",
                         [(1, 1, 1), (2, 1, 3), (7, 3, 1), (20, 5, 33), (3, 8, 512), (100, 5, 1)])
def test_nor_does_it_in_other_sizes(n, m, batch_size):
    options = SHORT | {"batch_size": batch_size, "steps": 8}
    features = tm.Features(n, 0.3, 0.9 ** np.arange(n))
    many, one = (tm.train(tm.ReluOutput.init(n, m, k), features, **options) for k in (9, 1))
    assert_same_bits([a[:, :1] for a in arrays(many)], arrays(one))


@pytest.mark.parametrize("tile", [1, 64 * 5 * 2, 64 * 5 * 3, 10**9])
@pytest.mark.parametrize("features", [SPARSE, SETS,
                                      tm.Features(5, np.linspace(0.05, 1, 7)[:, None])],
                         ids=["sparse", "sets", "one law an instance"])
def test_tiles_leave_no_trace(monkeypatch, tile, features):
    stack = tm.ReluOutput.init(5, 2, 7)
    whole = tm.train(stack, features, **SHORT)
    monkeypatch.setattr(train_module, "TILE", tile)
    assert_same_bits(arrays(tm.train(stack, features, **SHORT)), arrays(whole))


@laws
def test_recording_leaves_no_trace(features):
    stack = tm.ReluOutput.init(5, 2, 3)
    often, seldom = (tm.train(stack, features, **SHORT | {"record_every": every})
                     for every in (1, 15))
    assert_same_bits([a[::15] for a in arrays(often)], arrays(seldom))
    assert_same_bits(often.model.parameters, seldom.model.parameters)


def test_a_long_run_begins_like_a_short_one():
    stack = tm.ReluOutput.init(5, 2, 3)
    long, short = (tm.train(stack, SPARSE, **SHORT | {"steps": steps}) for steps in (42, 21))
    assert_same_bits([a[:4] for a in arrays(long)], arrays(short))


def test_the_seed_decides():
    stack = tm.ReluOutput.init(5, 2, 3)
    first, again, other = (tm.train(stack, SPARSE, seed=seed, **SHORT) for seed in (1, 1, 2))
    assert_same_bits(arrays(again), arrays(first))
    assert (first.losses != other.losses).all()


def test_training_and_initialising_share_no_numbers():
    init, train = (random_stream(0, stream, 0).random(4)
                   for stream in (INIT_STREAM, TRAIN_STREAM))
    assert not np.intersect1d(init, train).size


# -- draw, differentiate, update ------------------------------------------------------------------

def slow_train(model, features, *, steps, batch_size, learning_rate, schedule_name="constant",
               weight_decay=0, seed=0):
    """(losses (steps + 1,), parameters (steps + 1,)) of a single model, the three words in a row.
    """
    rng, state = random_stream(seed, TRAIN_STREAM, 0), AdamState.zeros_like(model.parameters)
    rate = schedule(schedule_name, learning_rate, steps)
    losses, path = [], []
    for step in range(steps + 1):
        x = engine_sample(features, rng, batch_size, model.dtype)
        loss, gradient = model.loss_and_grad(x, features)
        losses.append(loss)
        path.append(model.parameters)
        update = adamw if weight_decay else adam
        options = {"weight_decay": weight_decay} if weight_decay else {}
        parameters, state = update(model.parameters, gradient.parameters, state, rate(step),
                                   **options)
        model = type(model)(*parameters)
    return np.array(losses), [np.array(a) for a in zip(*path)]


@pytest.mark.parametrize("options", [{}, {"schedule": "linear"}, {"schedule": "cosine"},
                                     {"weight_decay": 0.1},
                                     {"seed": 5}], ids=str)
@every_model
def test_the_loop_is_its_slow_twin(monkeypatch, cls, options):
    """Batches are drawn one by one, so that the twin meets the same rows."""
    monkeypatch.setattr(fast, "BLOCK", 1)
    model, features = cls.init(5, 2, dtype=np.float64), SETS
    common = {"steps": 6, "batch_size": 1000, "learning_rate": 1e-2}
    history = tm.train(model, features, record_every=1, **common, **options)
    renamed = {{"schedule": "schedule_name"}.get(key, key): value for key, value in options.items()}
    losses, path = slow_train(model, features, **common, **renamed)
    for a, b in zip(arrays(history), [losses, *path], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    other, _ = slow_train(model, features, **common, **renamed | {"weight_decay": 0.2})
    assert (abs(other - losses)[1:] > 1e-9).all()                   # the comparison can fail


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_model
@pytest.mark.parametrize("features", [
    SPARSE, SETS, DENSE,
    tm.Features(5, np.linspace(0.05, 1, 3)[:, None], [[1.0], [0.5], [2.0]])],
    ids=["sparse", "sets", "dense", "one law an instance"])
def test_the_engine_is_the_plain_loop(monkeypatch, cls, features, dtype):
    """The same rows, met by core.loop and by the engine one by one, end at the same parameters."""
    monkeypatch.setattr(fast, "BLOCK", 1)
    model, options = cls.init(5, 2, 3, dtype=dtype), SHORT | {"weight_decay": 0.1}
    plain = tm.train(model, as_engine_law(features, dtype), schedule="cosine", **options)
    history = tm.train(model, features, schedule="cosine", **options)
    assert (plain.engine, history.engine) == ("core.loop", "engine.host")
    np.testing.assert_array_equal(plain.steps, history.steps)
    np.testing.assert_array_equal(plain.state.random, history.state.random)
    tolerance = {"rtol": 1e-9, "atol": 1e-11}
    if dtype == np.float32:
        tolerance = {"rtol": 1e-3, "atol": 1e-4}
    for a, b in zip([*arrays(plain), *plain.state.mean, *plain.state.square],
                    [*arrays(history), *history.state.mean, *history.state.square], strict=True):
        assert a.dtype == b.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, **tolerance)


def test_a_recorded_loss_is_the_loss_at_the_recorded_parameters(monkeypatch):
    monkeypatch.setattr(fast, "BLOCK", 1)
    features, stack = tm.Features(5, 0.5), tm.ReluOutput.init(5, 2, 3)
    history = tm.train(stack, features, seed=3, **SHORT)
    for i in range(3):
        stream = random_stream(3, TRAIN_STREAM, i)
        rows = [engine_sample(features, stream, 64, np.float32) for _ in range(31)]
        for t, step in enumerate(history.steps):
            loss = history.parameters[t, i].loss(rows[step], features)
            assert loss == pytest.approx(history.losses[t, i], rel=1e-6)


def test_no_gradient_leaves_only_the_decay():
    """With zero importance the loss is flat: parameters rest, or shrink by the product of 1 - rate
    * decay.
    """
    features, model = tm.Features(4, 0.5, 0), tm.ReluOutput.init(4, 2, dtype=np.float64)
    resting = tm.train(model, features, steps=20, learning_rate=0.1)
    assert_same_bits(resting.model.parameters, model.parameters)
    for name in ("constant", "linear", "cosine"):
        shrunk = tm.train(model, features, steps=20, learning_rate=0.1, weight_decay=0.5,
                          schedule=name)
        factor = np.prod([1 - 0.5 * schedule(name, 0.1, 20)(step) for step in range(20)])
        np.testing.assert_allclose(shrunk.model.W, factor * model.W, rtol=1e-13)


def test_each_instance_is_trained_on_its_own_features():
    p, importance = [[0.02], [0.4], [1.0]], [[1], [0.5], [2]] * np.ones(5)
    features, stack = tm.Features(5, p, importance), tm.ReluOutput.init(5, 2, 3)
    history = tm.train(stack, features, **SHORT)
    alone = tm.train(stack[0], features[0], **SHORT)
    assert_same_bits([a[:, 0] for a in arrays(history)], arrays(alone))
    for i in range(3):
        mine = tm.train(stack, tm.Features(5, p[i][0], importance[i]), **SHORT)
        assert_same_bits([a[:, i] for a in arrays(history)], [a[:, i] for a in arrays(mine)])
        assert (mine.losses[:, (i + 1) % 3] != history.losses[:, (i + 1) % 3]).all()


# -- the history ----------------------------------------------------------------------------------

@pytest.mark.parametrize("steps, every, records",
                         [(30, 7, [0, 7, 14, 21, 28, 30]), (20, 5, [0, 5, 10, 15, 20]),
                          (3, 100, [0, 3]), (1, 1, [0, 1])])
@pytest.mark.parametrize("instances", [None, 1, 4])
def test_records_come_at_their_steps(steps, every, records, instances):
    model = tm.AbsoluteValue.init(5, 3, instances)
    history = tm.train(model, DENSE, **SHORT | {"steps": steps, "record_every": every})
    np.testing.assert_array_equal(history.steps, records)
    assert history.losses.shape == (len(records), *model.instances)
    assert history.parameters.instances == (len(records), *model.instances)
    assert type(history.model) is type(history.parameters) is tm.AbsoluteValue
    assert history.model.instances == model.instances
    assert_same_bits(history.parameters[0].parameters, model.parameters)
    assert_same_bits(history.parameters[-1].parameters, history.model.parameters)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_model
def test_training_keeps_the_dtype_and_the_arguments(cls, dtype):
    model = cls.init(5, 2, 3, dtype=dtype)
    before = [a.copy() for a in model.parameters]
    history = tm.train(model, SPARSE, weight_decay=0.01, **SHORT)
    assert_same_bits(model.parameters, before)
    assert {history.model.dtype, history.parameters.dtype,
            history.losses.dtype} == {np.dtype(dtype)}
    assert (history.model.parameters[0] != model.parameters[0]).any()
    history.model.parameters[0][...] = 7                            # the result owns its arrays
    assert_same_bits(model.parameters, before)
    assert (history.parameters.parameters[0] != 7).all()


@pytest.mark.parametrize("progress", [True, False, None])
def test_progress_does_not_touch_the_numbers(progress, capsys):
    model = tm.ReluOutput.init(5, 2, 3)
    history = tm.train(model, SPARSE, progress=progress, **SHORT)
    assert_same_bits(arrays(history), arrays(tm.train(model, SPARSE, **SHORT)))
    printed = capsys.readouterr()
    assert printed.out == "" and ("30/30" in printed.err) == (progress is True)


# -- where it must arrive -------------------------------------------------------------------------

def principal_components_loss(features, m):
    """The least loss of a linear model with bias and m hidden dimensions: the smallest eigenvalues'
    sum.
    """
    mean = features.mean()
    return np.linalg.eigvalsh(features.second_moment() - np.outer(mean, mean))[:-m or None].sum()


@pytest.mark.parametrize("features, m", [(tm.Features(6, 1.0), 2), (tm.Features(6, 0.4), 4),
                                         (tm.Features(4, 0.5, correlated=[(0, 1), (2, 3)]), 2)],
                         ids=["dense", "sparse", "two correlated pairs"])
def test_linear_model_finds_the_principal_components(features, m):
    history = tm.train(tm.Linear.init(features.n_features, m, 3, dtype=np.float64), features,
                       steps=1500,
                       batch_size=256, learning_rate=2e-2, schedule="linear", record_every=500)
    x = features.sample(np.random.default_rng(1), 200_000)
    best = principal_components_loss(features, m)
    residual = ((history.model.forward(x) - x) ** 2).sum(-1)
    loss, error = residual.mean(-1), residual.std(-1) / np.sqrt(len(x))
    assert (loss > best - 4 * error).all()                          # nothing beats the optimum
    assert (loss < 1.01 * best + 4 * error).all()
    assert (history.losses[0] > 1.5 * best).all()               # and it was not there to begin with
    if features.feature_probability[0] == 1:
        # Each dropped feature costs the variance of Uniform[0, 1].
        assert best == pytest.approx((6 - m) / 12, rel=1e-12)


def test_a_feature_that_does_not_matter_is_not_learned():
    features = tm.Features(3, 1.0, [1, 1, 1e-3])
    model = tm.train(tm.ReluOutput.init(3, 2, dtype=np.float64), features, steps=1500,
                     batch_size=256,
                     learning_rate=2e-2, schedule="linear").model
    norms = np.linalg.norm(model.W, axis=0)
    np.testing.assert_allclose(norms[:2], 1, atol=0.03)
    assert norms[2] < 0.05
    assert model.b[2] == pytest.approx(0.5, abs=0.03)               # its mean is its best guess


# -- losses that are not finite -------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("cls", [tm.ReluOutput, type("Own", (tm.ReluOutput,), {})])
def test_an_importance_that_is_too_large_is_not_the_learning_rates_fault(cls):
    options = dict(steps=4, batch_size=8, progress=False)
    with pytest.raises(ValueError, match="importance must fit into the model's float32, got 1e"):
        tm.train(cls.init(3, 2), tm.Features(3, 0.5, 1e39), **options)
    with pytest.raises(FloatingPointError, match="at step 0; try a smaller importance, or W"):
        tm.train(cls(np.full((2, 3), np.float32(1e10)), np.zeros(3, np.float32)),
                 tm.Features(3, 0.5, 1e30), **options)
    tm.train(cls.init(3, 2, dtype=np.float64), tm.Features(3, 0.5, 1e39), **options)


@pytest.mark.parametrize("cls", [tm.ReluOutput, type("Own", (tm.ReluOutput,), {})])
@pytest.mark.parametrize("progress", [None, False, True])
def test_many_instances_show_a_bar_before_their_first_step(cls, progress, monkeypatch):
    """One after two seconds: a million streams take ten."""
    bars = []

    def noted(iterable, **options):
        bars.append(options)
        return iterable

    for module in (models, streams):
        monkeypatch.setattr(module, "tqdm", noted)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)    # of a test that ran a notebook
    tm.train(cls.init(3, 2, 5), tm.Features(3, 0.5), steps=1, batch_size=1, progress=progress)
    disabled = True if progress is False else None          # None: where nobody can see it
    assert [(bar["desc"], bar["delay"], bar["disable"]) for bar in bars] == [
        ("init", 2, None), ("streams", 2, disabled)]


@pytest.mark.parametrize("dtype, rate",
                         [(np.float32, 1e20), (np.float64, 1e200), (np.float32, 1e300)])
def test_an_exploding_run_says_when_and_where(dtype, rate):
    with pytest.raises(FloatingPointError, match=r"instance 0 .* step 1\b.*learning_rate"):
        tm.train(tm.ReluOutput.init(5, 2, 3, dtype=dtype), SPARSE,
                 **SHORT | {"learning_rate": rate})


@pytest.mark.parametrize("tile", [1, 10**9])
def test_the_instance_that_explodes_is_named(monkeypatch, tile):
    monkeypatch.setattr(train_module, "TILE", tile)
    stack = tm.ReluOutput.init(5, 2, 4)
    stack.W[2] *= 1e15
    with pytest.raises(FloatingPointError, match=r"instance 2 .* step 0\b"):
        tm.train(stack, SPARSE, **SHORT)
    finite = tm.train(stack[[0, 1, 3]], SPARSE, **SHORT)            # the others are fine
    assert np.isfinite(finite.losses).all()


def test_a_stack_without_models_is_refused():
    with pytest.raises(ValueError, match=r"must have an instance to train, got instances=\(0,\)"):
        tm.train(tm.ReluOutput.init(5, 2, 3)[3:], tm.Features(5, 0.5), steps=1)
