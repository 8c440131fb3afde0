"""Sweeps: each job once, the same bits on any executor, resumed, retried, nothing finished lost."""

import errno
import json
import multiprocessing
import os
import signal
import threading
import warnings
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from functools import partial

import kill_and_resume
import numpy as np
import pytest
from hypothesis import given, strategies as st

import toymodels_np as tm
from toymodels_np.store import chunks, crew, files, sweep as module

# The name toymodels_np.store.sweep is the module; tm.sweep is the function.
JOBS = [{"x": x, "seed": seed} for x in (0.5, -1.5, 3.0) for seed in range(4)]
CALLED = []


def draw(job):
    """A number, an array whose length differs, a string; the same bits wherever it runs."""
    rng = np.random.default_rng(job["seed"])
    CALLED.append(job["x"])
    return {
        "mean": job["x"] * rng.normal(size=100).mean(),
        "a": rng.normal(size=1 + job["seed"] % 2),
        "name": "draw",
        "single": np.float32(job["x"] / 3),
        "n": job["seed"] ** 2,
        "even": job["seed"] % 2 == 0,
    }


def fail_at_odd(job):
    if job["seed"] % 2:
        raise ZeroDivisionError(f"seed {job['seed']} is odd")
    return {"y": job["x"] * 2}


def run_sweep(out):
    return tm.sweep(draw, [{"x": 1.0, "seed": seed} for seed in range(60)], out, chunk=2)


def returns(value):
    """A function that returns this value always, and the version that stands for its code."""
    def function(job):
        return value
    return {"function": function, "version": f"returns {value!r}"}


def kill_this_process(job):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def kept(out):
    """The chunk files, and their bytes."""
    return {path.relative_to(out): path.read_bytes() for path in out.glob("*/*")}


def same(a, b):
    """Whether two tables have the same columns, dtypes and bits."""
    return list(a) == list(b) and all(
        a[k].dtype == b[k].dtype and [bits(v) for v in a[k]] == [bits(v) for v in b[k]] for k in a
    )


def bits(value):
    return (
        (value.dtype, value.shape, value.tobytes())
        if hasattr(value, "tobytes")
        else (type(value), value)
    )


def sweep_with_failures(*arguments, **options):
    with pytest.warns(RuntimeWarning, match="failed.*retry_failed=True"):
        return tm.sweep(*arguments, **options)


# -- what comes back ------------------------------------------------------------------------------

def test_a_table_of_typed_columns(tmp_path):
    report = tm.sweep(draw, JOBS, tmp_path / "new" / "out", chunk=5)
    assert report == tm.SweepReport(12, 12, 0, 0, tmp_path / "new" / "out")
    assert str(report) == f"12 jobs in {report.out}: 12 computed now, 0 found there"
    table = tm.load_sweep(report.out)
    assert list(table) == [
        "seed",
        "x",
        "a",
        "even",
        "mean",
        "n",
        "name",
        "single",
        "function",
        "error",
        "traceback",
    ]
    kinds = {
        "seed": np.int64,
        "x": np.float64,
        "a": object,
        "even": bool,
        "mean": np.float64,
        "n": np.int64,
        "name": object,
        "single": np.float32,
        "function": object,
        "error": object,
        "traceback": object,
    }
    assert {key: column.dtype for key, column in table.items()} == kinds
    for row, job in enumerate(JOBS):
        expected = {
            **job,
            **draw(job),
            "function": f"{__name__}.draw",
            "error": "",
            "traceback": "",
        }
        for key, column in table.items():
            assert column.shape == (12,) and np.array_equal(column[row], expected[key])
    assert table["mean"].reshape(3, 4)[2, 1] == draw(JOBS[9])["mean"]


def test_pandas_takes_the_table_as_it_is(tmp_path):
    pandas = pytest.importorskip("pandas")
    tm.sweep(draw, JOBS, tmp_path)
    frame = pandas.DataFrame(tm.load_sweep(tmp_path))
    assert frame.shape == (12, 11) and frame.groupby("x")["n"].sum().tolist() == [14, 14, 14]
    assert isinstance(frame["a"][3], np.ndarray)


SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.floats(width=32).map(np.float32)
    | st.integers(0, 255).map(np.uint8)
)
ARRAYS = st.sampled_from(
    [
        np.zeros((0, 3)),
        np.array(2.5),
        np.array([1, 2], ">i4"),
        np.array(["a\0", "é"]),
        np.array([[1j]]),
        np.arange(6.0).reshape(2, 3).T,
        np.array([True]),
        np.array([b"\xff"]),
    ]
)


@given(st.lists(st.dictionaries(st.text(max_size=3), SCALARS | ARRAYS, max_size=4), min_size=1,
       max_size=5))
def test_any_outcomes_come_back_bit_for_bit(tmp_path_factory, results):
    outcomes = [chunks.success({}, result) for result in results]
    work = chunks.work_text("f", ["{}"] * len(results))
    path = tmp_path_factory.getbasetemp() / f"{chunks.name(work, 'code')}.npz"
    chunks.write(path, work, "code", outcomes)
    function, code, jobs, again = chunks.read(path)
    assert (function, code, jobs) == ("f", "code", [{}] * len(results)) and len(again) == len(
        outcomes
    )
    for outcome, other, result in zip(outcomes, again, results):
        assert outcome.keys() == other.keys() == result.keys()
        assert all(
            bits(outcome[key])
            == bits(other[key])
            == bits(
                np.asarray(result[key])[()]
                if not isinstance(result[key], (str, np.ndarray))
                else result[key]
            )
            for key in outcome
        )


@pytest.mark.parametrize("values, dtype, expected", [
    ([1, 2], np.int64, [1, 2]),
    ([True, False], bool, [True, False]),
    ([1, 0.5], np.float64, [1.0, 0.5]),
    ([2**53 + 1, 0.5], object, [2**53 + 1, 0.5]),
    ([np.int64(2**53 + 1), 0.5], object, [2**53 + 1, 0.5]),
    ([np.uint64(2**64 - 1), -1], object, [2**64 - 1, -1]),
    ([2**70, 1], object, [2**70, 1]),
    ([np.float32(0.5), 0.1], np.float64, [0.5, 0.1]),
    ([np.float32(0.1), np.float32(2)], np.float32, [np.float32(0.1), 2]),
    ([0.5, None], np.float64, [0.5, np.nan]),
    ([np.nan, 1], np.float64, [np.nan, 1]),
    ([1j, None, 1], np.complex128, [1j, np.nan, 1]),
    ([1, None], object, [1, None]),
    ([None, None], object, [None, None]),
    (["a", "b\0"], object, ["a", "b\0"]),
    (["a", 1], object, ["a", 1]),
    ([[1, 2], [3, 4]], object, [[1, 2], [3, 4]]),
])
def test_the_type_of_a_column(values, dtype, expected):
    column = chunks.column(values)
    assert column.dtype == dtype and column.shape == (len(values),)
    assert all(a == b or (a != a and b != b) for a, b in zip(column, expected, strict=True))


def test_a_job_is_a_plain_copy_that_is_the_functions_own(tmp_path):
    def function(job):
        assert type(job["p"]) is float and type(job["list"]) is list
        job["list"].append(job.pop("p"))
        return {"length": len(job["list"])}

    jobs = [{"p": np.float64(0.5), "list": [1]}]
    tm.sweep(function, jobs, tmp_path, version="1")
    assert jobs == [{"p": 0.5, "list": [1]}]
    table = tm.load_sweep(tmp_path)
    assert (
        table["p"].tolist() == [0.5]
        and table["list"].tolist() == [[1]]
        and table["length"].tolist() == [2]
    )


def test_an_array_that_the_function_writes_into_again(tmp_path):
    scratch = np.zeros(2)

    def function(job):
        scratch[:] = job["i"]
        return {"a": scratch}

    tm.sweep(function, ({"i": i} for i in range(4)), tmp_path, chunk=4, version="1")
    assert [a.tolist() for a in tm.load_sweep(tmp_path)["a"]] == [[i, i] for i in range(4)]


def test_a_result_may_repeat_its_job_and_not_contradict_it(tmp_path):
    sweep_with_failures(
        lambda job: {**job, "x": 1, "y": 2}, [{"x": 1}, {"x": 2}], tmp_path, version="1"
    )
    table = tm.load_sweep(tmp_path)
    assert table["x"].tolist() == [1, 2] and table["y"].tolist() == [2, None]
    assert (
        table["error"][0] == ""
        and "'x' is a key of the job, and the result has another value" in table["error"][1]
    )


# -- going on -------------------------------------------------------------------------------------

def test_only_what_is_missing_is_computed(tmp_path):
    CALLED.clear()
    tm.sweep(draw, JOBS[:6], tmp_path, chunk=3)
    before = kept(tmp_path)
    report = tm.sweep(draw, JOBS, tmp_path, chunk=3)
    assert (report.jobs, report.computed, report.found) == (12, 6, 6) and CALLED == [
        job["x"] for job in JOBS
    ]
    assert before.items() < kept(tmp_path).items() and len(before) == 2 and len(kept(tmp_path)) == 4
    assert tm.sweep(draw, iter(JOBS), tmp_path, chunk=3).computed == 0 and len(CALLED) == 12


def test_changed_jobs_are_new_files_and_rows(tmp_path):
    tm.sweep(draw, JOBS, tmp_path)
    changed = [{**JOBS[0], "x": 0.25}, *JOBS[1:]]
    assert tm.sweep(draw, changed, tmp_path).computed == 1
    assert tm.load_sweep(tmp_path)["x"].tolist() == [job["x"] for job in changed] + [0.5]


def test_the_order_of_keys_is_not_part_of_a_job_and_the_type_of_a_number_is(tmp_path):
    tm.sweep(**returns({}), jobs=[{"a": 1, "b": 2}], out=tmp_path)
    assert tm.sweep(**returns({}), jobs=[{"b": 2, "a": 1}], out=tmp_path).computed == 0
    assert tm.sweep(**returns({}), jobs=[{"b": 2.0, "a": 1}], out=tmp_path).computed == 1


def test_two_functions_never_share_a_result(tmp_path):
    tm.sweep(draw, JOBS, tmp_path)
    assert sweep_with_failures(fail_at_odd, JOBS, tmp_path).computed == 12
    table = tm.load_sweep(tmp_path)
    assert [name.rpartition(".")[2] for name in table["function"]] == ["fail_at_odd"] * 12 + [
        "draw"
    ] * 12
    for function in (draw, fail_at_odd):
        alone = tm.load_sweep(tmp_path, function=f"{__name__}.{function.__name__}")
        assert len(alone["x"]) == 12 and set(alone["function"]) == {
            f"{__name__}.{function.__name__}"
        }
        assert ("y" in alone) == (function is fail_at_odd)
    with pytest.raises(ValueError, match="no finished job of a sweep of nobody"):
        tm.load_sweep(tmp_path, function="nobody")


def test_the_same_jobs_in_other_chunks_are_still_one_row_each(tmp_path):
    tm.sweep(draw, JOBS, tmp_path / "a", chunk=1)
    tm.sweep(draw, JOBS, tmp_path / "b", chunk=5)
    tm.sweep(draw, JOBS[::-1] + JOBS, tmp_path / "b", chunk=3)
    tm.sweep(draw, JOBS, tmp_path / "b", chunk=5)
    assert same(tm.load_sweep(tmp_path / "a"), tm.load_sweep(tmp_path / "b"))


def test_a_chunk_of_more_jobs_than_a_computer_can_count_is_all_of_them(tmp_path):
    report = tm.sweep(draw, JOBS, tmp_path, chunk=10**90)
    assert report.computed == len(JOBS) and len(list(tmp_path.glob("*/*.npz"))) == 1


def test_rows_are_in_the_order_of_the_last_sweep_that_ended(tmp_path):
    def seeds():
        return tm.load_sweep(tmp_path)["seed"].tolist()

    jobs = [{"x": 1.0, "seed": seed} for seed in (3, 1, 2, 0)]
    tm.sweep(draw, jobs, tmp_path)
    assert seeds() == [3, 1, 2, 0]
    tm.sweep(draw, jobs[::-1], tmp_path)
    assert seeds() == [0, 2, 1, 3]
    (tmp_path / module.ORDER).write_text("nonsense\n")
    assert sorted(seeds()) == [0, 1, 2, 3]


def test_a_file_that_was_cut_short_is_computed_again(tmp_path):
    tm.sweep(draw, JOBS, tmp_path, chunk=4)
    whole, table = kept(tmp_path), tm.load_sweep(tmp_path)
    for length, path in zip((0, 30, -1), whole):
        (tmp_path / path).write_bytes(whole[path][:length])
    with pytest.raises(ValueError, match="damaged.*delete it and run the sweep again"):
        tm.load_sweep(tmp_path)
    assert tm.sweep(draw, JOBS, tmp_path, chunk=4).computed == 12
    assert kept(tmp_path) == whole and same(tm.load_sweep(tmp_path), table)


@pytest.mark.parametrize("damage", ["flipped", "renamed", "foreign", "columns"])
def test_a_damaged_file_is_named(tmp_path, damage):
    tm.sweep(draw, JOBS, tmp_path, chunk=4)
    path = sorted(tmp_path.glob("*/*.npz"))[1]
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[data.index(b'seed')] ^= 1
        path.write_bytes(data)
    elif damage == "renamed":
        path = path.rename(path.with_name(f"{'0' * 32}.npz"))
    elif damage == "foreign":
        files.write_arrays(path, {"x": np.zeros(3)})
    else:
        columns = np.frombuffer(json.dumps([["y", [0, 9], "text", ["a", "b"]]]).encode(), np.uint8)
        files.write_arrays(path, files.read_arrays(path) | {"columns": columns})
    with pytest.raises(ValueError, match="delete it and run the sweep again") as caught:
        tm.load_sweep(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_any_damage_is_seen_counted_and_healed(tmp_path):
    """Bytes flipped anywhere: either nobody reads them, or the chunk is computed anew."""
    tm.sweep(fail_at_odd, [{"x": 1.0, "seed": 0}], tmp_path)
    path, = tmp_path.glob("*/*.npz")
    whole, table, healed = path.read_bytes(), tm.load_sweep(tmp_path), 0
    for at in range(0, len(whole), 43):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        try:
            seen = tm.load_sweep(tmp_path)
        except ValueError as error:
            assert str(path) in str(error)
            report = tm.sweep(fail_at_odd, [{"x": 1.0, "seed": 0}], tmp_path)
            assert (report.computed, report.damaged) == (
                1,
                1,
            ) and "1 damaged file was computed anew" in str(report)
            assert path.read_bytes() == whole
            healed += 1
        else:
            assert same(seen, table)
            assert tm.sweep(fail_at_odd, [{"x": 1.0, "seed": 0}], tmp_path).damaged == 0
    assert healed > len(whole) / 43 * 0.7


def test_a_damaged_mark_of_the_newest_code_is_written_anew(tmp_path):
    tm.sweep(draw, JOBS, tmp_path)
    mark, = tmp_path.glob("code-*.json")
    whole = mark.read_bytes()
    mark.write_bytes(b"\xff" + whole[:20])
    assert tm.sweep(draw, JOBS, tmp_path).computed == 0 and mark.read_bytes() == whole


def test_a_failure_is_never_hidden_by_damage(tmp_path):
    """The count of failures in a note at the end of the file had no checksum, once."""
    sweep_with_failures(fail_at_odd, [{"x": 1.0, "seed": 1}], tmp_path)
    path, = tmp_path.glob("*/*.npz")
    path.write_bytes(path.read_bytes()[:-2] + b"\1\0" + b"0")                  # a note: "0" failed
    report = sweep_with_failures(fail_at_odd, [{"x": 1.0, "seed": 1}], tmp_path)
    assert (report.computed, report.found, report.failed) == (0, 1, 1)


def test_files_of_version_0_1_are_read_and_not_used(tmp_path):
    """They say nothing of their code."""
    work = chunks.work_text(f"{__name__}.draw", [chunks.canonical(JOBS[0])])
    path = chunks.path(tmp_path, work, "")
    path.parent.mkdir()
    chunks.write(path, work, "", [{"n": np.int64(5)}])
    arrays = {
        name: array
        for name, array in files.read_arrays(path).items()
        if name not in ("code", "digest")
    }
    files.write_arrays(path, arrays)
    assert path.stem == chunks.name(work, "") and len(path.stem) == 32
    assert tm.load_sweep(tmp_path)["n"].tolist() == [5]
    report = tm.sweep(draw, JOBS[:1], tmp_path)
    assert (report.computed, report.found, report.unused) == (1, 0, 1)
    assert tm.load_sweep(tmp_path)["n"].tolist() == [draw(JOBS[0])["n"]]


def test_leftovers_are_never_read_and_go_when_nobody_writes_them(tmp_path):
    tm.sweep(draw, JOBS, tmp_path, chunk=4)
    folder = next(tmp_path.glob("*/*.npz")).parent
    left, other = folder / f".{'0a' * 8}.tmp", folder / ".theirs.tmp"
    for path in (left, other):
        path.write_bytes(b"half a file")
    table = tm.load_sweep(tmp_path)
    assert len(table["x"]) == 12 and left.exists()
    with files.replacing(folder / "slow") as stream:
        os.utime(stream.name, (0, 0))                               # by a clock that is wrong
        tm.sweep(draw, JOBS, tmp_path, chunk=4)
        assert os.path.exists(stream.name)
    assert not left.exists() and other.exists()


# -- jobs that fail -------------------------------------------------------------------------------

def test_failures_are_recorded_and_the_others_go_on(tmp_path):
    report = sweep_with_failures(fail_at_odd, JOBS, tmp_path, chunk=4)
    assert (report.computed, report.failed) == (12, 6) and "6 failed" in str(report)
    table = tm.load_sweep(tmp_path)
    assert table["error"][:2].tolist() == ["", "ZeroDivisionError: seed 1 is odd"]
    assert "in fail_at_odd" in table["traceback"][1] and table["traceback"][0] == ""
    np.testing.assert_array_equal(
        table["y"], [np.nan if job["seed"] % 2 else 2 * job["x"] for job in JOBS]
    )


def test_only_the_failed_jobs_are_run_again_and_only_when_asked(tmp_path):
    broken = []

    def repaired(job):
        called.append(job)
        if not broken:
            return fail_at_odd(job)
        if job["x"] == 3.0 and job["seed"] == 1:
            raise ValueError("still")
        return {"y": job["x"] * 2}

    called = []
    sweep_with_failures(repaired, JOBS, tmp_path, chunk=4, version="1")
    before = kept(tmp_path)
    report = sweep_with_failures(repaired, JOBS, tmp_path, chunk=4, version="1")
    assert (report.computed, report.found, report.failed) == (0, 12, 6) and kept(tmp_path) == before
    called.clear()
    broken.append("no more")
    report = sweep_with_failures(repaired, JOBS, tmp_path, chunk=4, retry_failed=True, version="1")
    assert (
        called == [job for job in JOBS if job["seed"] % 2]
        and kept(tmp_path).keys() == before.keys()
    )
    assert (report.jobs, report.computed, report.found, report.failed) == (12, 6, 6, 1)
    table = tm.load_sweep(tmp_path)
    assert [error for error in table["error"] if error] == ["ValueError: still"]
    assert np.flatnonzero(np.isnan(table["y"])).tolist() == [9]


def test_retrying_a_damaged_chunk_runs_all_of_it(tmp_path):
    sweep_with_failures(fail_at_odd, JOBS[:4], tmp_path, chunk=4)
    path = next(tmp_path.glob("*/*.npz"))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert (
        sweep_with_failures(fail_at_odd, JOBS[:4], tmp_path, chunk=4, retry_failed=True).computed
        == 4
    )


class Strange(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def leave(job):
    raise SystemExit(3)


KEYS = "keys of a result must be strings other than 'function', 'error' and 'traceback'"


@pytest.mark.parametrize("value, words", [
    (None, "TypeError: function must return a dictionary, got NoneType"),
    ([1], "TypeError: function must return a dictionary, got list"),
    ({1: 2}, f"ValueError: {KEYS}, got 1"),
    ({"error": "x"}, f"ValueError: {KEYS}, got 'error'"),
    ({"y": None}, "got NoneType for 'y'"),
    ({"y": [1, 2]}, "got list for 'y'"),
    ({"y": {"z": 1}}, "got dict for 'y'"),
    ({"y": b"bytes"}, "got bytes for 'y'"),
    ({"y": 2**64}, "got int for 'y'"),
    ({"y": np.array([None])}, "got array of dtype object for 'y'"),
    ({"y": np.array(["2020"], "M8[Y]")}, "got array of dtype datetime64[Y] for 'y'"),
    ({"y": np.timedelta64(1, "s")}, "got timedelta64 for 'y'"),
    ({"y": np.ma.zeros(2)}, "got MaskedArray for 'y'"),
    ({"y": np.zeros(2, "f8,i4")}, "got array of dtype [('f0', '<f8'), ('f1', '<i4')] for 'y'"),
    ({"y": object()}, "got object for 'y'"),
])
def test_what_a_result_cannot_be(tmp_path, value, words):
    sweep_with_failures(**returns(value), jobs=[{"x": 1}], out=tmp_path)
    table = tm.load_sweep(tmp_path)
    assert words in table["error"][0] and list(table) == ["x", "function", "error", "traceback"]


def test_strange_errors_are_recorded_too(tmp_path):
    def raise_strange(job):
        raise Strange

    sweep_with_failures(raise_strange, [{}], tmp_path, version="1")
    sweep_with_failures(leave, [{}], tmp_path)
    errors = sorted(tm.load_sweep(tmp_path)["error"])
    assert errors[0] == "SystemExit: 3" and "Strange: <exception str() failed>" in errors[1]


# -- executors ------------------------------------------------------------------------------------

@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_all_executors_give_the_same_files(tmp_path, pool, chunk):
    jobs = [*JOBS, {"x": 1.0, "seed": "none"}]                                  # the last one fails
    sweep_with_failures(draw, jobs, tmp_path / "serial", chunk=chunk)
    sweep_with_failures(draw, iter(jobs), tmp_path / "processes", chunk=chunk, executor=pool)
    with ThreadPoolExecutor(3) as threads:
        sweep_with_failures(draw, jobs, tmp_path / "threads", chunk=chunk, executor=threads)
    assert kept(tmp_path / "serial") == kept(tmp_path / "processes") == kept(tmp_path / "threads")
    assert same(tm.load_sweep(tmp_path / "serial"), tm.load_sweep(tmp_path / "processes"))


def test_two_processes_on_one_folder(tmp_path, pool):
    run_sweep(tmp_path / "alone")
    reports = [
        future.result() for future in [pool.submit(run_sweep, tmp_path / "both") for _ in range(2)]
    ]
    assert {report.jobs for report in reports} == {60} and sum(
        report.computed for report in reports
    ) >= 60
    assert kept(tmp_path / "alone") == kept(tmp_path / "both")
    assert same(tm.load_sweep(tmp_path / "alone"), tm.load_sweep(tmp_path / "both"))


class Counting(Executor):
    """Runs tasks in a thread, none before `bound` are in flight; counts how many are."""

    def __init__(self, bound):
        self.threads, self.bound, self.now, self.most = ThreadPoolExecutor(1), bound, 0, 0
        self.full, self.lock = threading.Event(), threading.Lock()

    def submit(self, function, *arguments):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.most >= self.bound:
                self.full.set()
        future = self.threads.submit(self.run, function, *arguments)
        future.add_done_callback(self.done)
        return future

    def run(self, function, *arguments):
        self.full.wait(30)
        return function(*arguments)

    def done(self, future):
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize("workers, bound", [(3, 12), (None, 8)])
def test_never_more_futures_in_flight_than_the_bound(tmp_path, monkeypatch, workers, bound):
    """And a generator is read no further than that, plus the chunk that waits."""
    monkeypatch.setattr(crew, "IN_FLIGHT", 8)
    executor, ahead = Counting(bound), []
    executor._max_workers = workers

    def jobs():
        for i in range(200):
            ahead.append(i - 2 * len(list(tmp_path.glob("*/*.npz"))))
            yield {"x": 1.0, "seed": i}

    assert tm.sweep(draw, jobs(), tmp_path, chunk=2, executor=executor).computed == 200
    assert executor.most == bound and max(ahead) < 2 * (bound + 1)
    executor.threads.shutdown()


def kill_some(job):
    if job["seed"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if job["seed"] == 3:
        os._exit(7)
    return {"y": job["x"]}


def test_a_job_that_kills_its_worker_is_named_and_the_others_finish(tmp_path):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        report = sweep_with_failures(kill_some, JOBS[:6], tmp_path, executor=pool, chunk=2)
    assert (report.computed, report.failed) == (6, 2)
    table = tm.load_sweep(tmp_path)
    said = {2: "JobDied: the job ended its process, exit code -9 (SIGKILL)",
            3: "JobDied: the job ended its process, exit code 7"}
    assert [error.rpartition(".")[2] for error in table["error"]] == [
        said.get(seed, "") for seed in table["seed"]
    ]
    assert (np.isnan(table["y"]) == (table["error"] != "")).all()


def fail_to_start():
    raise ImportError("not here")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pool_that_cannot_start_says_that_finished_work_is_kept(tmp_path, capfd):
    tm.sweep(draw, JOBS[:3], tmp_path)
    before = kept(tmp_path)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver"),
                             initializer=fail_to_start) as pool:
        with pytest.raises(RuntimeError, match="executor broke.*are kept, and the same sweep"):
            tm.sweep(draw, JOBS, tmp_path, executor=pool)
    assert kept(tmp_path) == before


def test_another_executor_that_breaks_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="executor broke.*are kept"):
        tm.sweep(
            draw, JOBS, tmp_path, executor=Scripted("run", BrokenExecutor("gone"), *[None] * 10)
        )
    assert len(tm.load_sweep(tmp_path)["x"]) == 1


class KilledWorker(Exception):
    """Of the name that Dask uses for a task whose worker died, whoever killed it."""


def test_jobs_that_dask_blames_are_tried_once_more_and_alone(tmp_path):
    executor = Scripted("run", KilledWorker(), KilledWorker(), "run", KilledWorker(), "run")
    report = sweep_with_failures(draw, JOBS[:4], tmp_path, executor=executor)
    assert (report.computed, report.failed) == (4, 1)
    first, *blamed, last = ["KilledWorker" in error for error in tm.load_sweep(tmp_path)["error"]]
    assert not first and not last and sorted(blamed) == [False, True]     # in either order


class Scripted(Executor):
    """Each task's future is made by the next step of a script; None leaves it pending."""

    def __init__(self, *steps):
        self.steps, self.futures = iter(steps), []

    def submit(self, function, *arguments):
        future = Future()
        self.futures.append(future)
        step = next(self.steps)
        if step == "run":
            future.set_result(function(*arguments))
        elif step == "cancel":
            future.cancel()
            future.set_running_or_notify_cancel()
        elif step == "interrupt":
            raise KeyboardInterrupt
        elif step is not None:
            future.set_exception(step)
        return future


def test_a_chunk_that_the_executor_cannot_run_is_a_failure_of_its_jobs(tmp_path):
    executor = Scripted("run", MemoryError("too large"), "run")
    report = sweep_with_failures(draw, JOBS, tmp_path, chunk=4, executor=executor)
    assert report.failed == 4
    assert (
        tm.load_sweep(tmp_path)["error"].tolist()
        == [""] * 4 + ["MemoryError: too large"] * 4 + [""] * 4
    )


def test_cancelled_futures_stop_the_sweep(tmp_path):
    executor = Scripted("run", "cancel", None)
    with pytest.raises(RuntimeError, match="executor broke"):
        tm.sweep(draw, JOBS, tmp_path, chunk=4, executor=executor)
    assert len(tm.load_sweep(tmp_path)["x"]) == 4


# -- interruptions --------------------------------------------------------------------------------

def test_ctrl_c_keeps_what_is_finished_and_the_rest_is_computed_later(interrupts, tmp_path):
    def interrupted(job):
        if job["seed"] == 2 and not (tmp_path / "seen").exists():
            (tmp_path / "seen").touch()
            signal.raise_signal(signal.SIGINT)
        return draw(job)

    with pytest.raises(KeyboardInterrupt):
        tm.sweep(interrupted, JOBS, tmp_path / "out", version="1")
    assert len(tm.load_sweep(tmp_path / "out")["x"]) == 2 and not list(tmp_path.glob("out/**/.*"))
    report = tm.sweep(interrupted, JOBS, tmp_path / "out", version="1")
    assert (report.computed, report.found) == (10, 2)


def test_ctrl_c_cancels_what_is_in_flight_and_keeps_what_is_done(tmp_path):
    executor = Scripted("run", None, "run", "interrupt")
    with pytest.raises(KeyboardInterrupt):
        tm.sweep(draw, JOBS, tmp_path, chunk=2, executor=executor)
    assert [future.cancelled() for future in executor.futures] == [False, True, False, False]
    assert sorted(tm.load_sweep(tmp_path)["x"]) == [-1.5, -1.5, 0.5, 0.5]


def test_an_error_in_the_jobs_keeps_what_is_finished(tmp_path):
    def jobs():
        yield from JOBS[:3]
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        tm.sweep(draw, jobs(), tmp_path)
    with pytest.raises(TypeError, match="job 2 is 'x'"):
        tm.sweep(draw, iter([*JOBS[4:6], "x"]), tmp_path)
    assert len(tm.load_sweep(tmp_path)["x"]) == 5


def test_a_sweep_killed_at_random_moments(tmp_path):
    assert kill_and_resume.main(["--kills", "5", "--seed", "1", "--out", str(tmp_path)]) == 5


# -- disks ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_a_clear_error_and_finished_work_is_intact(tmp_path, monkeypatch, call):
    tm.sweep(draw, JOBS[:5], tmp_path)
    before = kept(tmp_path)
    real, count = getattr(os, call), []

    def full(*arguments):
        count.append(arguments)
        if len(count) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(
            OSError, match=f"^cannot write to {tmp_path}, .*stays.*: No space left on device"
        ) as caught:
            tm.sweep(draw, JOBS, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert before.items() < kept(tmp_path).items() and not list(tmp_path.glob("**/.*"))
    finished = len(kept(tmp_path))
    assert 5 < finished < 12 and tm.sweep(draw, JOBS, tmp_path).found == finished
    assert len(tm.load_sweep(tmp_path)["x"]) == 12


def test_a_folder_that_cannot_be_made_is_said_before_any_job_runs(tmp_path):
    CALLED.clear()
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            OSError, match="^cannot write to .*file.*, where what is finished stays"
        ):
            tm.sweep(draw, JOBS, out)
    assert CALLED == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0,
                    reason="root writes where it may not")
def test_a_read_only_folder(tmp_path):
    tm.sweep(draw, JOBS[:5], tmp_path)
    before = kept(tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="cannot write to"):
            tm.sweep(draw, JOBS, tmp_path)
        assert kept(tmp_path) == before
    finally:
        tmp_path.chmod(0o700)


# -- bad calls ------------------------------------------------------------------------------------

def sweep(function=draw, jobs=JOBS, out="out", **options):
    return lambda: tm.sweep(function, jobs, out, **options)


def job(value):
    return sweep(jobs=[JOBS[0], value])


RECURSIVE = {}
RECURSIVE["self"] = RECURSIVE
DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]


class Client:
    def get_executor(self):
        pass


CALLS = [
    ("sweep: None for a function", sweep(None), TypeError, ["function", "name", "None"]),
    ("sweep: text for a function", sweep("draw"), TypeError, ["function", "'draw'"]),
    ("sweep: a number for a function", sweep(3), TypeError, ["function", "3"]),
    ("sweep: a partial function", sweep(partial(draw)), TypeError, ["function", "name", "partial"]),
    ("sweep: an object that can be called", sweep(Scripted()), TypeError, ["function", "name"]),
    (
        "sweep: None for jobs",
        sweep(jobs=None),
        TypeError,
        ["jobs", "iterable of dictionaries", "None"],
    ),
    ("sweep: a number for jobs", sweep(jobs=3), TypeError, ["jobs", "iterable", "3"]),
    ("sweep: one job for jobs", sweep(jobs={"x": 1}), TypeError, ["jobs", "iterable", "{'x': 1}"]),
    ("sweep: text for jobs", sweep(jobs="abc"), TypeError, ["jobs", "iterable", "'abc'"]),
    ("sweep: bytes for jobs", sweep(jobs=b"abc"), TypeError, ["jobs", "iterable", "b'abc'"]),
    ("sweep: no job", sweep(jobs=[]), ValueError, ["jobs", "at least one"]),
    ("sweep: no job from a generator", sweep(jobs=iter(())), ValueError, ["jobs", "at least one"]),
    ("sweep: a number for a job", job(3), TypeError, ["job 1", "3"]),
    ("sweep: None for a job", job(None), TypeError, ["job 1", "None"]),
    ("sweep: a list for a job", job([1]), TypeError, ["job 1", "[1]"]),
    ("sweep: pairs for a job", job([("x", 1)]), TypeError, ["job 1", "dictionaries"]),
    ("sweep: an array for a job", job(np.zeros(2)), TypeError, ["job 1", "dictionaries"]),
    ("sweep: a number for a key", job({1: 2}), TypeError, ["job 1", "string keys"]),
    ("sweep: None for a key", job({None: 2}), TypeError, ["job 1", "string keys"]),
    ("sweep: keys of two types", job({1: 2, "a": 3}), TypeError, ["job 1", "string keys"]),
    ("sweep: a number for an inner key", job({"a": {1: 2}}), TypeError, ["job 1", "string"]),
    ("sweep: a tuple in a job", job({"a": (1, 2)}), TypeError, ["job 1", "tuple"]),
    ("sweep: a set in a job", job({"a": {1}}), TypeError, ["job 1", "set"]),
    ("sweep: an array in a job", job({"a": np.zeros(2)}), TypeError, ["job 1", "ndarray"]),
    ("sweep: a NumPy integer in a job", job({"a": np.int64(2)}), TypeError, ["job 1", "int64"]),
    ("sweep: a NumPy boolean in a job", job({"a": np.True_}), TypeError, ["job 1", "bool"]),
    (
        "sweep: single precision in a job",
        job({"a": np.float32(2)}),
        TypeError,
        ["job 1", "float32"],
    ),
    ("sweep: a complex number in a job", job({"a": 1j}), TypeError, ["job 1", "complex"]),
    ("sweep: bytes in a job", job({"a": b"b"}), TypeError, ["job 1", "bytes"]),
    ("sweep: a path in a job", job({"a": files.check_path("", "b")}), TypeError, ["job 1", "Path"]),
    ("sweep: a function in a job", job({"a": draw}), TypeError, ["job 1", "function"]),
    (
        "sweep: a model in a job",
        job({"a": tm.ReluOutput.init(2, 1)}),
        TypeError,
        ["job 1", "ReluOutput"],
    ),
    ("sweep: NaN in a job", job({"a": np.nan}), ValueError, ["job 1", "finite numbers"]),
    ("sweep: infinity in a job", job({"a": [1, -np.inf]}), ValueError, ["job 1", "finite numbers"]),
    ("sweep: a job that holds itself", job(RECURSIVE), ValueError, ["job 1", "ircular"]),
    ("sweep: a job too deep", job({"a": DEEP}), ValueError, ["job 1", "recursion"]),
    ("sweep: an integer too long", job({"a": 10**5000}), ValueError, ["job 1", "digits"]),
    (
        "sweep: a job with the key error",
        job({"error": 1}),
        ValueError,
        ["job 1", "'error'", "columns"],
    ),
    (
        "sweep: a job with the key function",
        job({"function": 1}),
        ValueError,
        ["job 1", "'function'"],
    ),
    (
        "sweep: a job with the key traceback",
        job({"traceback": 1}),
        ValueError,
        ["job 1", "'traceback'"],
    ),
    ("sweep: None for out", sweep(out=None), TypeError, ["out", "path", "None"]),
    ("sweep: a number for out", sweep(out=1), TypeError, ["out", "path", "1"]),
    ("sweep: bytes for out", sweep(out=b"out"), TypeError, ["out", "path", "b'out'"]),
    ("sweep: an empty out", sweep(out=""), ValueError, ["out", "empty"]),
    ("sweep: a null character in out", sweep(out="a\0"), ValueError, ["out", "null"]),
    (
        "sweep: a number of workers for an executor",
        sweep(executor=4),
        TypeError,
        ["executor", "None", "Executor", "4"],
    ),
    (
        "sweep: text for an executor",
        sweep(executor="threads"),
        TypeError,
        ["executor", "'threads'"],
    ),
    (
        "sweep: a class for an executor",
        sweep(executor=ThreadPoolExecutor),
        TypeError,
        ["executor", "ThreadPool"],
    ),
    (
        "sweep: a client for an executor",
        sweep(executor=Client()),
        TypeError,
        ["executor", "client.get_executor()"],
    ),
    ("sweep: chunk 0", sweep(chunk=0), ValueError, ["chunk", "at least 1", "0"]),
    ("sweep: a negative chunk", sweep(chunk=-5), ValueError, ["chunk", "at least 1", "-5"]),
    ("sweep: half a chunk", sweep(chunk=0.5), TypeError, ["chunk", "integer", "0.5"]),
    ("sweep: a float for chunk", sweep(chunk=2.0), TypeError, ["chunk", "integer", "2.0"]),
    ("sweep: True for chunk", sweep(chunk=True), TypeError, ["chunk", "integer", "True"]),
    ("sweep: text for chunk", sweep(chunk="10"), TypeError, ["chunk", "integer", "'10'"]),
    ("sweep: None for chunk", sweep(chunk=None), TypeError, ["chunk", "integer", "None"]),
    (
        "sweep: a number for progress",
        sweep(progress=1),
        TypeError,
        ["progress", "True, False or None", "1"],
    ),
    ("sweep: text for progress", sweep(progress="bar"), TypeError, ["progress", "'bar'"]),
    (
        "sweep: a number for retry_failed",
        sweep(retry_failed=1),
        TypeError,
        ["retry_failed", "True or False", "1"],
    ),
    ("sweep: None for retry_failed", sweep(retry_failed=None), TypeError, ["retry_failed", "None"]),
    ("sweep: a lambda", sweep(lambda job: {}), TypeError, ["no source", "lambda", "version="]),
    (
        "sweep: a closure",
        sweep(returns({})["function"]),
        TypeError,
        ["no source", "inside another", "version="],
    ),
    (
        "sweep: a bound method",
        sweep(Client().get_executor),
        TypeError,
        ["no source", "no plain function", "version="],
    ),
    (
        "sweep: a built-in function",
        sweep(print),
        TypeError,
        ["no source", "no plain function", "version="],
    ),
    ("sweep: a class", sweep(Client), TypeError, ["no source", "no plain function", "version="]),
    ("sweep: a number for version", sweep(version=1), TypeError, ["version", "string", "1"]),
    ("sweep: an empty version", sweep(version=""), TypeError, ["version", "empty"]),
    (
        "load_sweep: a function",
        lambda: tm.load_sweep(".", function=draw),
        TypeError,
        ["function", "a name"],
    ),
    (
        "load_sweep: 1 for other_code",
        lambda: tm.load_sweep(".", other_code=1),
        TypeError,
        ["other_code", "True"],
    ),
    ("load_sweep: None", lambda: tm.load_sweep(None), TypeError, ["out", "path", "None"]),
    ("load_sweep: a number", lambda: tm.load_sweep(1), TypeError, ["out", "path", "1"]),
    (
        "load_sweep: a report",
        lambda: tm.load_sweep(tm.SweepReport(1, 1, 0, 0, "out")),
        TypeError,
        ["out", "path"],
    ),
    ("load_sweep: an empty path", lambda: tm.load_sweep(""), ValueError, ["out", "empty"]),
    ("load_sweep: a null character", lambda: tm.load_sweep("a\0"), ValueError, ["out", "null"]),
    ("load_sweep: an empty folder", lambda: tm.load_sweep("."), ValueError, ["no finished job"]),
    (
        "load_sweep: no folder",
        lambda: tm.load_sweep("nowhere"),
        FileNotFoundError,
        ["cannot read nowhere"],
    ),
    (
        "load_sweep: a file",
        lambda: tm.load_sweep(__file__),
        NotADirectoryError,
        ["cannot read", "test_sweep"],
    ),
]


@pytest.mark.parametrize("function, exception, words", [row[1:] for row in CALLS],
                         ids=[row[0] for row in CALLS])
def test_a_bad_call_is_refused_with_a_sentence_before_any_job_runs(
    tmp_path, monkeypatch, function, exception, words
):
    monkeypatch.chdir(tmp_path)
    CALLED.clear()
    with pytest.raises(exception) as caught:
        function()
    assert type(caught.value) is exception and CALLED == []
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{missing} not in {str(caught.value)!r}"


def test_the_table_has_sixty_rows_and_none_twice():
    assert len({row[0] for row in CALLS}) == len(CALLS) >= 60


@pytest.mark.parametrize("function", [lambda job: {}, returns({})["function"]],
                         ids=["lambda", "inner"])
def test_a_function_that_processes_cannot_find(tmp_path, pool, function):
    with pytest.raises(TypeError, match="function must stand at the top of a module, where .* got"):
        tm.sweep(function, JOBS, tmp_path, executor=pool, version="1")
    assert tm.sweep(function, JOBS, tmp_path, version="1").computed == 12


def test_a_sweep_without_failures_warns_of_nothing_and_prints_nothing(tmp_path, capsys):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tm.sweep(draw, JOBS, tmp_path)
        tm.sweep(draw, JOBS, tmp_path, progress=False)
    assert caught == [] and capsys.readouterr() == ("", "")


def test_a_bar_when_it_is_asked_for(tmp_path, capsys):
    tm.sweep(draw, JOBS, tmp_path, progress=True)
    assert "sweep: 100%" in (bar := capsys.readouterr().err) and "12/12" in bar
    tm.sweep(draw, iter(JOBS), tmp_path, progress=True)
    assert "12job" in capsys.readouterr().err
