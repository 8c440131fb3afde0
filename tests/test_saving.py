"""A file gives back what was put in, a loaded run goes on, and bad bytes are a sentence."""

import gc
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import toymodels_np as tm
from toymodels_np.engine import train as train_module
from toymodels_np.store.files import read_arrays, write_arrays

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
SETS = tm.Features(
    5,
    [0.1, 0.4, 0.1, 0.3, 0.3],
    [1, 0.9, 0.8, 0.7, 0.6],
    correlated=[(0, 2)],
    anticorrelated=[(3, 4)],
)
LAWS = {"plain": tm.Features(5, 0.3), "sets": SETS, "signed": tm.Features(5, 1.0, signed=True),
        "one law an instance": tm.Features(5, [[0.1], [0.5], [1.0]], 0.9 ** np.arange(5))}


def run(cls=tm.ReluOutput, features=SETS, instances=3, dtype=np.float32, steps=20, **options):
    model = cls.init(5, 2, instances, seed=1, dtype=dtype)
    return tm.train(
        model,
        features,
        **{"steps": steps, "batch_size": 16, "seed": 3, "record_every": 7} | options,
    )


def everything(history):
    """All arrays of a History."""
    state = history.state
    return [
        *history.model.parameters,
        history.steps,
        history.losses,
        *history.parameters.parameters,
        *state.mean,
        *state.square,
        state.random,
        history.features.feature_probability,
        history.features.importance,
    ]


def assert_same(found, expected):
    """Two histories agree in every bit and every setting."""
    assert type(found.model) is type(expected.model) and type(found.parameters) is type(
        expected.parameters
    )
    for a, b in zip(everything(found), everything(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.settings == expected.settings
    assert (
        found.features.sets == expected.features.sets
        and found.features.signed == expected.features.signed
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file, and the run that is in it."""
    path = tmp_path_factory.mktemp("saved") / "run.npz"
    history = run()
    tm.save(path, history)
    return path, history


# -- what comes back ------------------------------------------------------------------------------

@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("law", LAWS)
def test_a_run_comes_back_to_the_bit(tmp_path, cls, law):
    for instances in (3,) if law == "one law an instance" else (None, 3):
        for dtype in (np.float32, np.float64):
            history = run(cls, LAWS[law], instances, dtype)
            tm.save(tmp_path / "run", history)
            assert_same(tm.load(str(tmp_path / "run")), history)


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_so_does_a_model(tmp_path, cls):
    model = cls.init(4, 3, 2, seed=5)
    tm.save(tmp_path / "model.npz", model)
    back = tm.load(tmp_path / "model.npz")
    assert type(back) is cls and back.dtype == model.dtype
    assert all((a == b).all() for a, b in zip(back.parameters, model.parameters, strict=True))


def test_numpy_opens_the_file_without_pickle(saved):
    path, history = saved
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["model.0"], history.model.W)
        header = json.loads(str(file["header"]))
    assert header["version"] == tm.__version__ and header["settings"]["seed"] == 3


def test_the_same_run_is_the_same_file(tmp_path, saved):
    tm.save(tmp_path / "again.npz", run())
    assert (tmp_path / "again.npz").read_bytes() == saved[0].read_bytes()


# -- classes of one's own -------------------------------------------------------------------------

class Leaky(tm.Model):
    """x' = leaky relu of W'W x + b."""

    parameter_shapes = {"W": "mn", "b": "n"}
    slope = 0.1

    def _forward(self, x):
        W, b = self.parameters
        h = x @ W.swapaxes(-1, -2)
        z = h @ W + b[..., None, :]
        return np.where(z > 0, z, self.slope * z), (h, z)

    def _backward(self, x, cache, d_output):
        W, _ = self.parameters
        h, z = cache
        dz = d_output * np.where(z > 0, 1, self.slope).astype(x.dtype)
        dh = dz @ W.swapaxes(-1, -2)
        return h.swapaxes(-1, -2) @ dz + dh.swapaxes(-1, -2) @ x, dz.sum(-2)


class Coins(tm.Features):
    """Features that are 0 or `height`."""

    def __init__(self, n_features, feature_probability, height):
        super().__init__(n_features, feature_probability)
        self.height = height
        self.table = np.arange(3)

    def sample(self, rng, batch_size, *, dtype=np.float64):
        x = rng.random((batch_size, self.n_features)) < self.feature_probability
        return (self.height * x).astype(dtype)


def test_a_run_of_ones_own_classes_comes_back_and_goes_on(tmp_path):
    whole = run(Leaky, Coins(5, 0.3, 2.5), steps=14)
    tm.save(tmp_path / "run.npz", run(Leaky, Coins(5, 0.3, 2.5), steps=7))
    back = tm.load(tmp_path / "run.npz")
    assert (
        type(back.features) is Coins and back.features.height == 2.5 and back.engine == "core.loop"
    )
    assert back.features.table.tolist() == [0, 1, 2]
    assert_same(tm.resume(back, steps=7), whole)


def test_a_class_that_is_not_defined_is_named_and_nothing_is_imported(tmp_path):
    def made():
        class Local(Leaky):
            pass
        return Local.init(3, 2)

    tm.save(tmp_path / "local.npz", made())
    gc.collect()
    with pytest.raises(
        ValueError,
        match="of the class .*made.<locals>.Local of test_saving, which is not defined "
        "here: define it or import test_saving first",
    ):
        tm.load(tmp_path / "local.npz")
    arrays = {
        "header": np.array(
            json.dumps({"format": 1, "model": {"module": "antigravity", "name": "X"}})
        )
    }
    write_arrays(tmp_path / "bad.npz", arrays)
    with pytest.raises(ValueError, match="not defined here: define it or import antigravity first"):
        tm.load(tmp_path / "bad.npz")
    assert "antigravity" not in sys.modules


def test_of_two_classes_of_one_name_the_last_is_taken(tmp_path):
    def made(slope):
        return type("Again", (Leaky,), {"slope": slope, "__qualname__": "Again"})

    first, second = made(0.1), made(0.2)
    tm.save(tmp_path / "again.npz", first.init(3, 2))
    assert type(tm.load(tmp_path / "again.npz")) is second


@pytest.mark.parametrize("value", [0.1, -0.0, float("nan"), 3, True, None, "text", "\ud800",
                         [1, [2.5, "a"]],
                                   {"a": [None]}, np.arange(3), np.array(["a"]), np.array(2.5)],
                                   ids=repr)
def test_attributes_of_ones_own_are_kept(tmp_path, value):
    for thing in (tm.ReluOutput.init(5, 2), Leaky.init(5, 2)):
        thing.mine = value
        tm.save(tmp_path / "model.npz", thing)
        assert repr(tm.load(tmp_path / "model.npz").mine) == repr(value)


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, {1}, object(), b"bytes", 1j, np.float32(1),
                         np.array([None]),
                                   np.ma.zeros(2), [np.zeros(2)], lambda: 0, [10**5000]],
                                   ids=lambda value: type(value).__name__)
def test_attributes_that_cannot_be_kept_are_refused_before_anything_is_written(tmp_path, value):
    model = Leaky.init(5, 2)
    model.mine = value
    with pytest.raises(TypeError, match="attribute 'mine' that cannot be kept"):
        tm.save(tmp_path / "model.npz", model)
    assert list(tmp_path.iterdir()) == []


# -- what is rare ---------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", [2**63, 10**5000], ids=["2^63", "5000 digits"])
def test_any_seed_comes_back(tmp_path, seed):
    history = run(steps=3)
    history = replace(history, settings=history.settings | {"seed": seed})
    tm.save(tmp_path / "run.npz", history)
    assert tm.load(tmp_path / "run.npz").settings["seed"] == seed


def test_numbers_that_are_not_finite_come_back(tmp_path):
    """A run that diverges leaves them, first in the optimiser's squares, which overflow early."""
    history = run(steps=20)
    state = history.state._replace(
        square=tuple(np.full_like(a, np.inf) for a in history.state.square)
    )
    losses = history.losses.copy()
    losses[1, 0] = np.nan
    weights = history.model.W.copy()
    weights[0, 0, 0] = -np.inf
    model = tm.ReluOutput.from_parameters([weights, history.model.b])
    history = replace(history, state=state, losses=losses, model=model)
    tm.save(tmp_path / "run.npz", history)
    assert_same(tm.load(tmp_path / "run.npz"), history)


def test_a_run_on_the_way_to_infinity_comes_back(tmp_path):
    """Training refuses to end so, and version 0.1 did not."""
    model = tm.ReluOutput.init(5, 2, 3, seed=1)
    history = tm.train(model, tm.Features(5, 0.3), steps=1, batch_size=16, learning_rate=1e-3)
    for square in history.state.square:
        square[0] = np.inf
    tm.save(tmp_path / "run.npz", history)
    assert_same(tm.load(tmp_path / "run.npz"), history)


def test_a_file_of_version_0_1_says_nothing_of_its_engine(tmp_path, saved):
    write_arrays(tmp_path / "old.npz", changed(saved, header={"engine": None, "version": "0.1.0"}))
    old = tm.load(tmp_path / "old.npz")
    assert_same(old, saved[1])
    assert old.engine == "" and saved[1].engine == "engine.host"
    assert_same(tm.resume(old, steps=5), run(steps=25))


@pytest.mark.parametrize("change, said", [
    ({"steps": np.array([0.0, 7, 14, 20])}, "its records do not go together"),
    ({"losses": np.zeros((3, 3), np.float32)}, "its records do not go together"),
    ({"engine": "steam"}, "engine must be one of"),
    ({"features": tm.Features(4, 0.1)}, "its features do not go with its model"),
    ({"parameters": tm.Linear.init(5, 2, 3)}, "class of history.model"),
    ({"features": "Features"}, "must be Features or None"),
    ({"settings": {"seed": 1}}, "missing"),
])
def test_what_could_not_be_read_is_not_written(tmp_path, change, said):
    with pytest.raises((TypeError, ValueError), match=said):
        tm.save(tmp_path / "run.npz", replace(run(), **change))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_save_left_is_cleared_by_the_next(tmp_path):
    (tmp_path / f".{'0a' * 8}.tmp").write_bytes(b"half")
    tm.save(tmp_path / "model.npz", tm.ReluOutput.init(3, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


# -- going on -------------------------------------------------------------------------------------

@given(cls=st.sampled_from(MODELS), law=st.sampled_from(sorted(LAWS)),
       dtype=st.sampled_from([np.float32, np.float64]),
       parts=st.lists(st.integers(1, 40), min_size=2, max_size=4),
       batch_size=st.sampled_from([1, 33, 1500, 8192]),
       every=st.sampled_from([1, 7, 100]), decay=st.sampled_from([0.0, 0.1]))
@settings(max_examples=25)
def test_parts_of_a_run_are_the_run(
    tmp_path_factory, cls, law, dtype, parts, batch_size, every, decay
):
    parts = parts if batch_size < 1000 else [1 + part % 6 for part in parts]
    options = {"batch_size": batch_size, "record_every": every, "weight_decay": decay}
    whole = run(cls, LAWS[law], 3, dtype, sum(parts), **options)
    path = tmp_path_factory.mktemp("parts") / "run.npz"
    history = run(cls, LAWS[law], 3, dtype, parts[0], **options)
    for steps in parts[1:]:
        tm.save(path, history)
        history = tm.resume(tm.load(path), steps=steps)
    assert_same(history, whole)


def test_five_hundred_and_five_hundred_are_a_thousand(tmp_path):
    tm.save(tmp_path / "half.npz", run(steps=500, record_every=100))
    assert_same(
        tm.resume(tm.load(tmp_path / "half.npz"), steps=500), run(steps=1000, record_every=100)
    )


def test_tiles_leave_no_trace_in_what_goes_on(monkeypatch):
    whole = run(instances=5, steps=30)
    monkeypatch.setattr(train_module, "TILE", 16 * 5 * 2)
    assert_same(tm.resume(run(instances=5, steps=11), steps=19), whole)


def test_the_optimisers_state_matters():
    """The test above can fail: with fresh means the run goes elsewhere."""
    half, whole = run(steps=15), run(steps=30)
    zero = tuple(np.zeros_like(a) for a in half.state.mean)
    forgetful = tm.resume(replace(half, state=half.state._replace(mean=zero)), steps=15)
    assert not np.array_equal(forgetful.model.W, whole.model.W)


# -- old file or new file -------------------------------------------------------------------------

@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(monkeypatch, tmp_path, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    old = run(steps=5)
    tm.save(tmp_path / "run.npz", old)
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="cannot write .*run.npz.*No space left"):
        tm.save(tmp_path / "run.npz", run(steps=9))
    monkeypatch.undo()
    assert_same(tm.load(tmp_path / "run.npz"), old)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


# -- bad files ------------------------------------------------------------------------------------

def test_a_file_cut_anywhere_is_a_sentence(tmp_path, saved):
    content = saved[0].read_bytes()
    for length in {*range(0, len(content), 97), *range(len(content) - 30, len(content))}:
        (tmp_path / "cut.npz").write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut.npz is"):
            tm.load(tmp_path / "cut.npz")


@given(st.data())
@settings(max_examples=150)
def test_a_flipped_bit_is_a_sentence_or_harmless(tmp_path_factory, saved, data):
    content = bytearray(saved[0].read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped.npz"
    path.write_bytes(content)
    try:
        back = tm.load(path)
    except ValueError as error:
        assert "flipped.npz" in str(error) and "\n" not in str(error)
    else:
        assert_same(back, saved[1])                     # a date, or a flag that nobody reads


def changed(saved, **changes):
    """The saved file's arrays with some replaced, or removed if None; "header" is updated."""
    arrays = read_arrays(saved[0])
    if changes.get("header"):
        header = json.loads(str(arrays["header"])) | changes["header"]
        changes["header"] = np.array(
            json.dumps({key: value for key, value in header.items() if value is not None})
        )
    return {name: array for name, array in (arrays | changes).items() if array is not None}


SETTINGS = {
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "weight_decay": 0.0,
    "seed": 3,
    "record_every": 7,
}
LAW = {"n_features": 5, "signed": False, "correlated": [[0, 2]], "anticorrelated": [[3, 4]]}
BAD = {
    "no model": {"header": {"model": None}},
    "unknown model": {"header": {"model": "os.system"}},
    "a model that is a list": {"header": {"model": ["Linear"]}},
    "other model": {"header": {"model": "AbsoluteValue"}},
    "no header": {"header": None},
    "no format": {"header": {"format": None}},
    "format in words": {"header": {"format": "one"}},
    "settings are a list": {"header": {"settings": [1]}},
    "no settings": {"header": {"settings": None}},
    "a setting too many": {"header": {"settings": SETTINGS | {"momentum": 1}}},
    "a setting too few": {"header": {"settings": {"seed": 0}}},
    "a bad setting": {"header": {"settings": SETTINGS | {"batch_size": -3}}},
    "a setting that is not a number": {
        "header": {"settings": SETTINGS | {"learning_rate": "fast"}}
    },
    "features are a number": {"header": {"features": 3}},
    "features of another size": {"header": {"features": LAW | {"n_features": 4}}},
    "a set out of range": {"header": {"features": LAW | {"correlated": [[0, 9]]}}},
    "no features": {"header": {"features": None}},
    "no weights": {"model.0": None},
    "weights are text": {"model.0": np.array("W")},
    "weights of another shape": {"model.0": np.zeros((3, 2, 4), np.float32)},
    "bias of another shape": {"model.1": np.zeros((3, 4), np.float32)},
    "no losses": {"losses": None},
    "losses of another type": {"losses": np.zeros((4, 3))},
    "too few losses": {"losses": np.zeros((3, 3), np.float32)},
    "no steps": {"steps": None},
    "steps are a number": {"steps": np.array(3)},
    "steps fall": {"steps": np.array([0, 14, 7, 20])},
    "steps begin late": {"steps": np.array([1, 7, 14, 20])},
    "fractional steps": {"steps": np.array([0, 7.5, 14, 20])},
    "records of another shape": {"parameters.0": np.zeros((4, 3, 2, 4), np.float32)},
    "fewer records": {
        "parameters.0": np.zeros((3, 3, 2, 5), np.float32),
        "parameters.1": np.zeros((3, 3, 5), np.float32),
    },
    "no probability": {"feature_probability": None},
    "probability above 1": {"feature_probability": np.full(5, 1.5)},
    "importance below 0": {"importance": np.full(5, -1.0)},
    "importance of another shape": {"importance": np.ones(4)},
    "half a state": {"square.0": None},
    "a state of another shape": {"mean.0": np.zeros((3, 2, 4), np.float32)},
    "a state of another type": {"mean.0": np.zeros((3, 2, 5))},
    "a random state that is signed": {"random": np.zeros((3, 6), np.int64)},
    "a random state too short": {"random": np.zeros((3, 5), np.uint64)},
    "half precision": {
        f"{name}.{i}": np.zeros(shape, np.float16)
        for name, lead in (("model", (3,)), ("parameters", (4, 3)))
        for i, shape in enumerate([(*lead, 2, 5), (*lead, 5)])
    }
    | {"losses": np.zeros((4, 3), np.float16)},
    "an engine that there is none of": {"header": {"engine": "steam"}},
    "a seed in words": {"header": {"settings": SETTINGS | {"seed": "many"}}},
    "attributes that are a list": {"header": {"features_own": [1]}},
    "a class that is a number": {"header": {"model": {"module": 1, "name": "X"}}},
    "a class without a name": {"header": {"model": {"module": "os"}}},
    "a class of Python's": {"header": {"model": {"module": "builtins", "name": "dict"}}},
    "a class that is nowhere": {"header": {"features_class": {"module": "os", "name": "system"}}},
    "an array too many": {"model.7": np.zeros(3)},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_a_file_of_another_content_is_a_sentence(tmp_path, saved, changes):
    write_arrays(tmp_path / "bad.npz", changed(saved, **changes))
    with pytest.raises(ValueError, match="bad.npz is not a file of tm.save: .") as error:
        tm.load(tmp_path / "bad.npz")
    assert "\n" not in str(error.value)


def test_the_table_of_bad_files_starts_from_a_good_one(tmp_path, saved):
    write_arrays(tmp_path / "good.npz", changed(saved))
    assert_same(tm.load(tmp_path / "good.npz"), saved[1])


@pytest.mark.parametrize("header", ["", "[]", "3", "nul", "[" * 100_000, '{"format": NaN}',
                         '{"format": 1'])
def test_a_header_that_is_none(tmp_path, saved, header):
    write_arrays(tmp_path / "bad.npz", read_arrays(saved[0]) | {"header": np.array(header)})
    with pytest.raises(ValueError, match="bad.npz is not a file of tm.save"):
        tm.load(tmp_path / "bad.npz")


def test_a_newer_format_says_so(tmp_path, saved):
    write_arrays(
        tmp_path / "new.npz",
        changed(saved, header={"format": 2, "version": "9.9", "model": "Transformer"}),
    )
    with pytest.raises(ValueError, match="format 2, written by toymodels_np '9.9'.*upgrade"):
        tm.load(tmp_path / "new.npz")


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.savez(tmp_path / "bomb.npz", header=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match="bomb.npz is"):
        tm.load(tmp_path / "bomb.npz")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("call, error, said", [
    (lambda path: tm.save(path, "history"), TypeError, "history must be a History"),
    (lambda path: tm.save(3, run()), TypeError, "path must be"),
    (lambda path: tm.save("", run()), ValueError, "path must be"),
    (lambda path: tm.save(path / "none" / "run.npz", run()), FileNotFoundError, "cannot write"),
    (lambda path: tm.save(path, run()), OSError, "cannot write"),
    (lambda path: tm.load(path / "none.npz"), FileNotFoundError, "cannot read"),
    (lambda path: tm.load(path), OSError, "cannot read"),
    (lambda path: tm.load(None), TypeError, "path must be"),
    (lambda path: tm.resume(run().model, steps=3), TypeError, "history must be the History"),
    (lambda path: tm.resume(run(), steps=0), ValueError, "steps"),
    (lambda path: tm.resume(run(), steps=1.5), TypeError, "steps"),
    (lambda path: tm.resume(run(), steps=3, progress="yes"), TypeError, "progress"),
    (lambda path: tm.resume(run(schedule="cosine"), steps=3), ValueError, "schedule='constant'"),
    (lambda path: tm.resume(replace(run(), state=None), steps=3), ValueError,
    "without an optimiser's state"),
    (lambda path: tm.train(run(), SETS), TypeError, "tm.resume"),
])
def test_bad_calls(tmp_path, call, error, said):
    with pytest.raises(error, match=said):
        call(tmp_path)
