"""Lists of entries are drawn from the stated law, multiply as the dense batch does, and leave no
trace of company.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from engine_law import EngineLaw
from hypothesis import given, settings, strategies as st
from test_fast import (
    MODELS,
    assert_step_is_the_reference,
    assert_units_at_zero_are_off,
    every_model,
    stack,
)
from test_features import generators, law_holds, moments_hold
from test_saving import assert_same

import toymodels_np as tm
from toymodels_np.engine import events, host as fast, passes, threads, train as train_module

ACTIVE = events.ACTIVE

pytestmark = pytest.mark.skipif(events.sparse_product() is None,
                                reason="this SciPy has no such product")


@pytest.fixture(scope="module", autouse=True)
def lists_for_all_sizes():
    with pytest.MonkeyPatch.context() as patch:
        for bound, value in {"FEATURES": 1, "ENTRIES": 1, "ACTIVE": 0,
                             "MOST_PROBABLE": 0.1}.items():
            patch.setattr(events, bound, value)
        yield


def drawn(features, rngs, rows, steps=1, dtype=np.float64):
    """A block that has been drawn, and x (steps, k, rows, n)."""
    block = events.EventBlock(features, len(rngs), [rows], steps, dtype)
    block.draw(rngs)
    shape = len(rngs), rows, features.n_features
    return block, np.array([listed.dense(shape) for s in range(steps) for listed in block[s]])


# -- the law --------------------------------------------------------------------------------------

@given(n=st.integers(1, 6), p=st.one_of(st.floats(1e-4, 0.99), st.just(0.05)), signed=st.booleans(),
       steps=st.integers(1, 4),
       dtype=st.sampled_from([np.float32, np.float64]))
def test_lists_follow_the_law(n, p, signed, steps, dtype):
    features = tm.Features(n, p, signed=signed)
    _, x = drawn(features, generators(1, 2), 30_000 // steps, steps, dtype)
    assert x.dtype == dtype and x.min() >= (-1 if signed else 0) and x.max() <= 1
    for rows in x.swapaxes(0, 1):
        rows = np.concatenate(rows)
        assert law_holds(rows, features)


def test_neighbours_steps_and_instances_are_independent():
    features, pair = tm.Features(2, 0.2), tm.Features(4, 0.2)
    _, x = drawn(features, generators(1, 2), 30_000, 2)
    for a, b in ((x[0, 0], x[0, 1]), (x[0, 0], x[1, 0]), (x[0, 0, :-1], x[0, 0, 1:])):
        both = np.concatenate([a, b], axis=1)
        assert law_holds(both, pair)
    assert not moments_hold(np.concatenate([x[0, 0], x[0, 0]], axis=1), pair)


def slow_lists(p, signed, rng, rows, n, steps):
    """x (steps, rows, n) by equation (1.12), one entry at a time."""
    mean = p * rows * n
    length = int(mean + 9 * np.sqrt(mean + 9)) + 9
    gaps, values = rng.standard_exponential((steps, length)), rng.random((steps, length))
    x = np.zeros((steps, rows * n))
    for s in range(steps):
        cell = -1
        for gap, u in zip(gaps[s], values[s]):
            cell += 1 + int(gap / -np.log1p(-p))
            if cell < rows * n:
                x[s, cell] = 1 - (1 - u) * 2 if signed else u
    return x.reshape(steps, rows, n)


@given(n=st.integers(1, 9), rows=st.integers(1, 80), steps=st.integers(1, 4), signed=st.booleans(),
       seed=st.integers(0, 2**32 - 1),
       p=st.lists(st.floats(1e-3, 0.9), min_size=1, max_size=4))
def test_lists_are_their_slow_twin_in_any_company(n, rows, steps, signed, seed, p):
    features = tm.Features(n, np.array(p)[:, None], signed=signed)
    rngs = lambda: [np.random.default_rng([seed, i]) for i in range(len(p))]
    block, x = drawn(features, rngs(), rows, steps)
    for i, rng in enumerate(rngs()):
        np.testing.assert_allclose(x[:, i], slow_lists(p[i], signed, rng, rows, n, steps), rtol=0,
                                   atol=4e-16)
    for i, rng in enumerate(rngs()):
        np.testing.assert_array_equal(drawn(features[i:i + 1], [rng], rows, steps)[1][:, 0],
                                      x[:, i])
    for s in range(steps):
        listed, = block[s]
        assert (listed.row == listed.cell // n).all()
        assert (listed.feature == listed.row // rows * n + listed.cell % n).all()
        cells = listed.cell[listed.value != 0]
        assert len(np.unique(cells)) == len(cells) and (np.diff(cells) > 0).all()
        np.testing.assert_array_equal(listed.target, abs(listed.value))


def test_a_block_that_is_drawn_again_is_as_good_as_new():
    features, rngs = tm.Features(5, [[0.3], [0.01]]), generators(3, 4)
    block, _ = drawn(features, rngs, 100, 2)
    block.draw(rngs)
    again = [block[s][0].dense((2, 100, 5)) for s in range(2)]
    rngs = generators(3, 4)
    drawn(features, rngs, 100, 2)
    np.testing.assert_array_equal(again, drawn(features, rngs, 100, 2)[1])


def test_lists_are_long_enough_and_their_sums_are_int32():
    """By the bounds of chapter 1, and for the longest gaps that NumPy draws: 7.7 - log(2^-53) < 45.
    """
    rarest = ACTIVE / events.CHUNK
    for n in (1, events.CHUNK // 2, events.CHUNK, events.WIDEST):
        for p in (rarest, 1e-3, events.MOST_PROBABLE):
            for batch_size in (1, 2, 1000, 20_000):
                sizes = fast.chunks(n, batch_size, fast.LISTS)
                mean = p * n * max(sizes)
                length = mean + events.SURE * np.sqrt(mean + events.SURE) + events.SURE
                more = length - mean
                assert np.exp(-more**2 / (2 * (mean + more / 3))) < 1e-17
                assert 45 / p * length + 2 * events.WIDEST < 2**31
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "ACTIVE", ACTIVE)
        law = lambda n, p: SimpleNamespace(n_features=n, feature_probability=np.array([p]),
                                           sets=range(n))
        assert [bool(events.pay(law(n, p), 1)) for n, p in (
            (events.WIDEST, rarest), (events.WIDEST, rarest / 1.01),
            (events.WIDEST + 1, rarest))] == [True, False, False]


# -- products -------------------------------------------------------------------------------------

@given(k=st.integers(1, 4), n=st.integers(1, 30), m=st.integers(1, 6), rows=st.integers(1, 50),
       p=st.floats(0.01, 0.9),
       dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 2**32 - 1))
def test_products_with_a_list_are_those_with_the_batch(k, n, m, rows, p, dtype, seed):
    rng = np.random.default_rng(seed)
    block, (x,) = drawn(tm.Features(n, p, signed=True),
                        [np.random.default_rng([seed, i]) for i in range(k)], rows, dtype=dtype)
    listed, = block[0]
    normal = lambda *shape: rng.normal(size=shape).astype(dtype)
    tolerance = {"rtol": 0, "atol": 100 * np.finfo(dtype).eps * n * rows}
    h, dh, z = normal(k, rows, m), normal(k, rows, m), normal(k, rows, n)
    weights, slope = normal(k, n, m), normal(k, n, m)
    expected = h - x @ weights, slope - x.swapaxes(1, 2) @ dh, z + abs(x)
    listed.add_to_hidden(weights, h)
    listed.add_to_weights(dh, slope)
    listed.add_to_output(z)
    for found, known in zip((h, slope, z), expected):
        np.testing.assert_allclose(found, known, **tolerance)


@given(cls=st.sampled_from(MODELS), k=st.integers(1, 4), m=st.integers(1, 6), n=st.integers(1, 9),
       rows=st.integers(1, 50),
       chunk=st.sampled_from([1, 7, 40, 10**6]), equal=st.booleans(), signed=st.booleans(),
       p=st.floats(0.01, 0.9), small=st.sampled_from([60, 10**6]),
       dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_the_step_on_lists_is_the_reference_to_rounding(cls, k, m, n, rows, chunk, equal, signed, p,
                                                        small, dtype, seed):
    rng = np.random.default_rng(seed)
    model = stack(cls, k, m, n, dtype, rng)
    features = tm.Features(n, p, 2.5 if equal else rng.uniform(0.1, 2, (k, n)), signed=signed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "CHUNK", chunk)
        patch.setattr(passes, "SMALL", small)
        patch.setattr(events, "MOST_PROBABLE", 1)
        step, batches = fast.Step(model, features,
                                  rows), fast.Batches(features, fast.random_state(seed, k), rows,
                                                      dtype)
    for t in range(3):                                   # nothing is left over from the call before
        batch = batches(t)
        assert all(isinstance(listed, events.Events) for listed in batch)
        x = np.concatenate([one.dense(listed) for one,
                            listed in zip(step.passes, batch, strict=True)], axis=1)
        size = (features.importance[..., None, :] * x**2).sum(-1).mean(-1)
        assert_step_is_the_reference(step, batch, model, x, features, size)


@every_model
@pytest.mark.parametrize("weight", [0.0, -0.0, 0.5])
def test_a_unit_that_is_exactly_at_zero_is_off(cls, weight):
    features = tm.Features(4, 0.1, signed=cls is tm.AbsoluteValue)
    step, batches = fast.Step(cls.init(4, 3, 1), features,
                              30), fast.Batches(features, fast.random_state(0, 1), 30, np.float32)
    batch = batches(0)
    assert_units_at_zero_are_off(step, batch, step.passes[0].dense(batch[0]), cls, features, weight)


@every_model
def test_what_is_not_a_number_cannot_hide(cls):
    features = tm.Features(4, 0.1)
    model = cls.init(4, 3, 2)
    step, batches = fast.Step(model, features, 30), fast.Batches(features, fast.random_state(0, 2),
                                                                 30, np.float32)
    for place in range(len(model.parameters)):
        parameters = [a.copy() for a in model.parameters]
        parameters[place][1].flat[0] = np.nan
        loss, _ = step(fast.Layers(parameters), batches(0), recorded=False)
        assert np.isfinite(loss[0]) and not np.isfinite(loss[1])


# -- training -------------------------------------------------------------------------------------

RUN = {"steps": 24, "batch_size": 64, "record_every": 5}


def kinds(features, count, batch_size):
    """Of the passes that the tiles of a run make, in order."""
    _, tiles, _ = train_module.division(fast, count, features, batch_size)
    law = lambda tile: features if features.n_instances is None else features[tile]
    model = tm.ReluOutput.init(features.n_features, 2, count)
    return [type(fast.Step(model[tile], law(tile), batch_size).passes[0]) for tile in tiles]


def test_each_instance_has_the_kind_that_suits_it(monkeypatch):
    dense, lists = passes.ColumnPass, passes.ListedRows
    assert kinds(tm.Features(5, 0.05), 3, 64) == [lists]
    assert kinds(tm.Features(5, 0.3), 3, 64) == [dense]
    assert kinds(tm.Features(5, 0.05, correlated=[(0, 1)]), 3, 64) == [dense]
    assert kinds(tm.Features(5, [0.05, 0.05, 0.05, 0.05, 0.04]), 3, 64) == [dense]
    five = tm.Features(5, [[0.01], [0.3], [0.5], [0.02], [0.03]])
    assert kinds(five, 5, 64) == [lists, dense, lists]
    monkeypatch.setattr(events, "ENTRIES", 5 * 64 + 1)
    assert kinds(tm.Features(5, 0.05), 3, 64) == [dense]
    monkeypatch.setattr(events, "ENTRIES", 5 * 64)
    monkeypatch.setattr(events, "sparse_product", lambda: None)
    assert kinds(tm.Features(5, 0.05), 3, 64) == [dense]


@every_model
@pytest.mark.parametrize("p", [0.05, np.array([0.01, 0.3, 0.05, 0.02, 0.5, 0.1, 0.1])[:, None]],
                         ids=["one", "many"])
def test_threads_tiles_and_pauses_leave_no_trace(monkeypatch, cls, p):
    importance = np.linspace(1, 2, 7 * 40).reshape(7, 40)
    importance[2] = importance[3] = 1
    model, features = cls.init(40, 5, 7), tm.Features(40, p, importance,
                                                      signed=cls is tm.AbsoluteValue)
    monkeypatch.setattr(train_module, "SHARE", 1)
    whole = tm.train(model, features, **RUN)
    for count, tile in ((1, 1), (2, 64 * 40 * 2), (3, 10**9), (16, 10**9)):
        monkeypatch.setattr(threads, "count", lambda: count)
        monkeypatch.setattr(train_module, "TILE", tile)
        assert_same(tm.train(model, features, **RUN), whole)
    half = tm.train(model, features, **RUN | {"steps": 11})
    assert_same(tm.resume(half, steps=13), whole)
    lost = replace(half, state=half.state._replace(random=fast.random_state(9, 7)))
    assert not np.array_equal(tm.resume(lost, steps=13).losses, whole.losses)


class ListedLaw(EngineLaw):
    """Draws a batch as the engine does for lists."""

    def sample(self, rng, batch_size, *, dtype=np.float64):
        return drawn(self, [rng], batch_size, dtype=dtype)[1][0, 0]


@every_model
def test_the_engine_on_lists_is_the_plain_loop(monkeypatch, cls):
    monkeypatch.setattr(fast, "BLOCK_STEPS", 1)
    importance = np.linspace(1, 2, 9)
    model = cls.init(9, 3, 2, dtype=np.float64)
    plain = tm.train(model, ListedLaw(9, 0.05, importance), **RUN)
    listed = tm.train(model, tm.Features(9, 0.05, importance), **RUN)
    assert (plain.engine, listed.engine) == ("core.loop", "engine.host")
    np.testing.assert_array_equal(plain.state.random, listed.state.random)
    for a, b in zip([plain.losses, *plain.parameters.parameters],
                    [listed.losses, *listed.parameters.parameters], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_lists_and_dense_batches_train_to_the_same_loss(monkeypatch):
    """The exact expected loss after as many steps, within four standard errors over instances."""
    model, features = tm.ReluOutput.init(6, 2, 48), tm.Features(6, 0.1)
    losses = []
    for entries in (1, 10**9):
        monkeypatch.setattr(events, "ENTRIES", entries)
        trained = tm.train(model, features, steps=600, batch_size=128, learning_rate=1e-2,
                           record_every=600).model
        losses.append(tm.expected_loss(trained, features))
    difference = losses[0] - losses[1]
    assert (losses[0] != losses[1]).all()
    assert abs(difference.mean()) <= 4 * difference.std() / len(difference) ** 0.5
