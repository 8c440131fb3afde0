"""The fast step says what the reference says; threads, chunks and company leave no trace; nothing
piles up.
"""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

import toymodels_np as tm
from toymodels_np.core.arrays import to_host
from toymodels_np.core.optim import AdamState, adam, adamw
from toymodels_np.engine import events, host as fast, passes, threads, train as train_module
from toymodels_np.engine.sampler import Sampler

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)


def stack(cls, k, m, n, dtype, rng):
    """k models with biases that are not zero."""
    model = cls.init(n, m, k, seed=int(rng.integers(99)), dtype=dtype)
    return model.from_parameters([*model.parameters[:-1],
                                  rng.normal(size=(k, n)).astype(dtype) / 3])


def batch_of(x):
    """The dense batch x (k, B, n) as the fast step takes it."""
    _, rows, n = x.shape
    kind = fast.ROWS if fast.samples_are_rows(n) else fast.COLUMNS
    ends = np.cumsum(fast.chunks(n, rows, kind))[:-1]
    if kind == fast.ROWS:
        return np.split(x, ends, axis=1)
    return np.split(np.ascontiguousarray(x.swapaxes(1, 2)), ends, axis=-1)


def assert_step_is_the_reference(step, batch, model, x, features, size=0):
    """Loss and gradient of `batch`, which is x (k, B, n), to rounding; where the loss is a
    difference, of terms of `size`.
    """
    loss, gradient = model.loss_and_grad(x, features)
    found, slopes = step(fast.Layers(model.parameters), batch)
    tolerance = 200 * np.finfo(model.dtype).eps
    assert (abs(found - loss) <= tolerance * (loss + size)).all()
    for a, b in zip(slopes.arrays, gradient.parameters, strict=True):
        assert abs(a - b).max() <= tolerance * max(abs(g).max() for g in gradient.parameters)
    slopes = slopes.flat.copy()
    none, again = step(fast.Layers(model.parameters), batch, recorded=False)
    np.testing.assert_array_equal(again.flat, slopes)
    assert none is None


def assert_units_at_zero_are_off(step, batch, x, cls, features, weight):
    """For a model all of whose weights are `weight`, and biases 0."""
    model = cls.init(features.n_features, 3, 1)
    model = model.from_parameters([np.full_like(a, weight if a.ndim > 2 else 0.0)
                                   for a in model.parameters])
    loss, gradient = model.loss_and_grad(x, features)
    found, slopes = step(fast.Layers(model.parameters), batch)
    assert found == pytest.approx(loss, rel=1e-5)
    for a, b in zip(slopes.arrays, gradient.parameters, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@given(cls=st.sampled_from(MODELS), k=st.integers(1, 4), m=st.integers(1, 6), n=st.integers(1, 9),
       rows=st.integers(1, 50), chunk=st.sampled_from([1, 7, 40, 10**6]), equal=st.booleans(),
       many=st.sampled_from([1, 10]), small=st.sampled_from([1, 60, 10**6]), signed=st.booleans(),
       dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_the_fast_step_is_the_reference_to_rounding(cls, k, m, n, rows, chunk, equal, many, small,
                                                    signed, dtype, seed):
    """Where samples are columns, and where they are rows and products are cut into blocks."""
    rng = np.random.default_rng(seed)
    model = stack(cls, k, m, n, dtype, rng)
    features = tm.Features(n, 0.5, 2.5 if equal else rng.uniform(0.1, 2, (k, n)), signed=signed)
    x = rng.uniform(-1 if signed else 0, 1, (k, rows, n)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "CHUNK", chunk)
        patch.setattr(events, "CHUNK", chunk)
        patch.setattr(fast, "MANY", many)
        patch.setattr(passes, "SMALL", small)
        step, batch = fast.Step(model, features, rows), batch_of(x)
    for _ in range(2):                                    # nothing is left over from the first call
        assert_step_is_the_reference(step, batch, model, x, features)


@every_model
def test_a_unit_that_is_exactly_at_zero_is_off(cls):
    """As in the reference; minus zero, whose sign bit is set, does not count as negative."""
    features = tm.Features(4, 0.9, signed=cls is tm.AbsoluteValue)
    x = features.sample([np.random.default_rng(0)], 30, dtype=np.float32)
    step = fast.Step(cls.init(4, 3, 1), features, 30)
    for weight in (0.0, -0.0, 0.5):
        assert_units_at_zero_are_off(step, batch_of(x), x, cls, features, weight)


@every_model
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_not_a_number_cannot_hide(cls, recorded, sign):
    model, features = cls.init(4, 3, 2), tm.Features(4, 0.9)
    batch = batch_of(np.ones((2, 8, 4), np.float32))
    for place in range(len(model.parameters)):
        parameters = [a.copy() for a in model.parameters]
        parameters[place][1].flat[0] = np.copysign(np.float32(np.nan), sign)
        loss, _ = fast.Step(model, features, 8)(fast.Layers(parameters), batch, recorded)
        assert np.isfinite(loss[0]) and not np.isfinite(loss[1])


@every_model
@given(decade=st.integers(0, 38), dtype=st.sampled_from([np.float32, np.float64]),
       importance=st.sampled_from([1e-9, 1.0, 1e9]),
       recorded=st.booleans())
def test_a_loss_that_overflows_is_seen_and_none_is_only_feared(cls, decade, dtype, importance,
                                                               recorded):
    """Beside a harmless instance, which keeps its bits."""
    decade *= 1 if dtype == np.float32 else 8
    features = tm.Features(4, 0.9, importance, signed=cls is tm.AbsoluteValue)
    model = cls.init(4, 3, 2, dtype=np.float64)
    model = model.from_parameters([np.stack([a[0], a[1] * 10.0**decade]).astype(dtype)
                                   for a in model.parameters])
    x = features.sample([np.random.default_rng(0)] * 2, 16, dtype=dtype)
    run = lambda model, x: fast.Step(model, features, 16)(fast.Layers(model.parameters),
                                                          batch_of(x), recorded)[0]
    with np.errstate(all="ignore"):
        expected, found = model.loss(x, features), run(model, x)
        alone = run(model[:1], x[:1])
    if found is None:
        assert not recorded and np.isfinite(expected).all()
    elif recorded:
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_array_equal(found[:1], alone)
    else:
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))


def blocks_of(features, count, sizes, steps):
    """The two ways to draw the same batches: beforehand, and when a loop comes to a chunk."""
    sampler = Sampler(features, rows=True)
    return [block(sampler, count, sizes, steps, np.float32)
            for block in (fast.DenseBlock, fast.FreshBlock)]


@given(k=st.integers(1, 3), n=st.sampled_from([1, 5, 60, 700]), seed=st.integers(0, 99),
       sizes=st.lists(st.integers(1, 300), min_size=1, max_size=3), equal=st.booleans(),
       signed=st.booleans(), order=st.permutations(range(4)), left=st.integers(0, 3))
def test_chunks_drawn_on_the_way_are_those_drawn_beforehand(k, n, seed, sizes, equal, signed,
                                                            order, left):
    """In any order of steps, once or again, and after a step that a loop left in the middle."""
    p = 0.7 if equal else np.random.default_rng(seed).uniform(0.1, 1, (k, n))
    features = tm.Features(n, p, signed=signed)
    before, fresh = blocks_of(features, k, sizes, 4)
    before.draw([np.random.default_rng((seed, i)) for i in range(k)])
    fresh.draw([np.random.default_rng((seed, i)) for i in range(k)])
    for step in (*order, *order[:2]):
        next(iter(fresh[left]))
        chunks = [x.copy() for x in fresh[step]]
        for a, b in zip(before[step], chunks, strict=True):
            np.testing.assert_array_equal(a, b)


@every_model
def test_a_doubtful_loss_is_that_of_all_chunks(cls):
    """Even where a chunk is drawn into the place of the one before."""
    n, sizes = 80, fast.chunks(80, 4000, fast.ROWS)
    features = tm.Features(n, 0.7, signed=cls is tm.AbsoluteValue)
    model = cls.init(n, 3, 2)
    model = model.from_parameters([a * np.float32(10) ** 8 for a in model.parameters])
    before, fresh = blocks_of(features, 2, sizes, 2)
    for block in (before, fresh):
        block.draw([np.random.default_rng(i) for i in range(2)])
    x = np.concatenate(before[1], axis=1)
    loss, _ = fast.Step(model, features, 4000)(fast.Layers(model.parameters), fresh[1], False)
    assert len(sizes) > 1
    np.testing.assert_array_equal(loss, model.loss(x, features))


def assert_adam_is_the_reference(kit, place, decay, dtype):
    """The Adam of `kit`, fast or device, to the bit; `place` puts an array where the kit works."""
    rng = np.random.default_rng(3)
    theta = tuple(rng.normal(size=shape).astype(dtype) for shape in [(2, 3, 4), (2, 4)])
    state, in_place = AdamState.zeros_like(theta), kit.Adam(theta, AdamState.zeros_like(theta),
                                                            decay)
    for step in range(20):
        gradients = tuple((10.0 ** rng.uniform(-6, 3) * rng.normal(size=a.shape)).astype(dtype)
                          for a in theta)
        options = {"weight_decay": decay} if decay else {}
        theta, state = (adamw if decay else adam)(theta, gradients, state, 0.1 / (step + 1),
                                                  **options)
        in_place(kit.Layers([place(g) for g in gradients]), 0.1 / (step + 1))
        for found, expected in ((in_place.parameters, theta), (in_place.mean, state.mean),
                                (in_place.square, state.square)):
            for a, b in zip(found.arrays, expected, strict=True):
                np.testing.assert_array_equal(to_host(a), b)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_in_place_is_adam_to_the_bit(decay, dtype):
    assert_adam_is_the_reference(fast, np.asarray, decay, dtype)


@every_model
@pytest.mark.parametrize("n", [40, 60], ids=["columns", "rows"])
def test_any_number_of_threads_is_the_same_run(monkeypatch, cls, n):
    p = np.array([[0.3], [0.3], [1.0], [1.0], [0.7], [0.1], [0.5]])
    features = tm.Features(n, p, signed=cls is tm.AbsoluteValue)
    model, options = cls.init(n, 5, 7), {"steps": 24, "batch_size": 64, "record_every": 5,
                                         "schedule": "cosine"}
    monkeypatch.setattr(train_module, "SHARE", 1)
    runs = []
    for count in (1, 2, 3, 5, 16):
        monkeypatch.setattr(threads, "count", lambda: count)
        runs.append(tm.train(model, features, **options))
    alone = tm.train(model[3], features[3], **options)
    for run in runs[1:]:
        for a, b in zip([*run.model.parameters, run.losses, *run.state.mean, run.state.random],
                        [*runs[0].model.parameters, runs[0].losses, *runs[0].state.mean,
                         runs[0].state.random]):
            np.testing.assert_array_equal(a, b)
    assert alone.losses[0] != runs[0].losses[0, 3]       # it is instance 0 now, with another stream


@pytest.mark.parametrize("count, n, batch_size, n_threads",
                         [(1, 5, 1024, 2), (10, 5, 1024, 2), (7, 20, 1024, 2), (9, 80, 1024, 4),
                          (20, 400, 1024, 2), (3, 400, 1024, 16), (100_000, 5, 64, 2)])
def test_tiles_hold_every_instance_once(count, n, batch_size, n_threads):
    tiles = train_module.slices(0, count, n * batch_size, n_threads, train_module.TILE)
    assert tiles[0].start == 0 and tiles[-1].stop == count
    assert all(a.stop == b.start for a,
               b in zip(tiles, tiles[1:])) and all(t.stop > t.start for t in tiles)
    sizes = [t.stop - t.start for t in tiles]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) * n * batch_size <= train_module.TILE or max(sizes) == 1
    assert len(tiles) >= min(count, n_threads)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 6))
def test_every_thread_has_the_same_work_and_no_run_is_in_two_places(sizes, n_threads):
    steps = 10_000
    cuts = threads.cuts(sizes, n_threads, steps)
    share = max(sum(sizes) / n_threads, max(sizes)) * steps        # what McNaughton's rule promises
    loads, place = np.zeros(n_threads + 1), 0
    for size, cut in zip(sizes, cuts):
        thread = int(np.floor(place / share + 1e-9))
        if cut < steps:
            # Its end is the last thing on this thread.
            assert place + size * (steps - cut) <= (thread + 1) * share + size
            assert size * steps <= share + size
            loads[thread + 1] += cut * size
            loads[thread] += (steps - cut) * size
        else:
            loads[thread] += steps * size
        place += size * steps
    assert loads[-1] == 0
    assert loads.max() <= share + 2 * max(sizes)           # to the rounding of a cut to whole steps


def test_runs_on_threads_are_handed_over_and_an_error_reaches_everybody():
    class Stopped(Exception):
        pass

    def run(i, before, to):
        if i == 1 and to == 12 and fails:
            raise Stopped
        return [*(before or []), (i, to)]

    for fails in (False, True):
        told = []
        call = lambda: threads.run_all(run, [2, 2, 2], 2, 0, 12, lambda: told.append(True))
        if fails:
            with pytest.raises(Stopped):
                call()
        else:
            assert call() == [[(0, 12)], [(1, 6), (1, 12)], [(2, 12)]]
        assert told == [True] * fails


def test_blas_has_its_threads_back(monkeypatch):
    with threadpool_limits(limits=2, user_api="blas"):
        before = [pool["num_threads"] for pool in threadpool_info()]
        tm.train(tm.ReluOutput.init(5, 2), tm.Features(5, 0.1), steps=3, batch_size=8)
        with pytest.raises(FloatingPointError):
            tm.train(tm.Linear(np.full((1, 2), 1e30, np.float32), np.zeros(2, np.float32)),
                     tm.Features(2, 0.9), steps=3)
        assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_one_tile_that_fails_stops_all(monkeypatch):
    """The first tile would go on for an hour."""
    monkeypatch.setattr(train_module, "TILE", 1)
    monkeypatch.setattr(train_module, "SHARE", 1)
    monkeypatch.setattr(threads, "count", lambda: 2)
    weights = np.zeros((6, 1, 2), np.float32)
    weights[1] = 1e30
    with pytest.raises(FloatingPointError, match="instance 1 is (inf|nan) at step 0"):
        tm.train(tm.Linear(weights, np.zeros((6, 2), np.float32)), tm.Features(2, 0.9), steps=10**8,
                 batch_size=8,
                 record_every=10**8)


@pytest.mark.parametrize("n, batch_size", [(5, 64), (40, 1024)], ids=["dense", "lists"])
def test_nothing_piles_up(n, batch_size):
    """The most that is held at any moment does not depend on the number of steps."""
    model, features = tm.ReluOutput.init(n, 2, 3), tm.Features(n, 0.05)
    peaks = []
    for steps in (10, 10, 1000):
        tracemalloc.start()
        tm.train(model, features, steps=steps, batch_size=batch_size, record_every=steps)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] <= peaks[1] + 20_000


@given(rows=st.integers(1, 2000), n=st.integers(1, 500), m=st.integers(1, 60))
def test_blocks_are_all_rows_once_and_small(rows, n, m):
    covered, cuts = [], passes.blocks(rows, n, m)
    for first, last, count in cuts:
        assert (last - first) % count == 0
        covered += range(first, last)
    assert covered == list(range(rows))
    size = (cuts[0][1] - cuts[0][0]) // cuts[0][2]
    assert size == 1 or size * n * (m + 1) <= passes.SMALL
    assert len(passes.blocks(1024, 100, 40)) == len(passes.blocks(512, 200, 20)) == 1
