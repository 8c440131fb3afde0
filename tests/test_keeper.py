"""The keeper: an executor whose results are kept, in the order of the jobs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import toymodels_np as tm
from toymodels_np.store.sweep import RunsFailed

DONE = []                                               # what `half` was asked in this process


def half(job):
    """Half of an even number."""
    if job["x"] % 2:
        raise ArithmeticError(f"{job['x']} is odd")
    DONE.append(job["x"])
    return {"y": job["x"] // 2}


@pytest.fixture(autouse=True)
def nothing_done():
    DONE.clear()


def test_results_come_in_order_and_are_computed_once(tmp_path):
    keeper, jobs = tm.Keeper(tmp_path / "new"), [{"x": x} for x in (8, 2, 6)]
    assert [int(result["y"]) for result in keeper.map(half, jobs)] == [4, 1, 3]
    again = tm.Keeper(tmp_path / "new").map(half, ({"x": x} for x in (4, 6)))
    assert [int(result["y"]) for result in again] == [2, 3] and DONE == [8, 2, 6, 4]
    assert int(keeper.submit(half, {"x": 8}).result()["y"]) == 4 and DONE == [8, 2, 6, 4]


def test_another_executor_does_the_work(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        found = tm.Keeper(tmp_path, pool, progress=False).map(half, [{"x": x} for x in (2, 4)])
        assert [int(result["y"]) for result in found] == [1, 2]


def test_a_job_that_fails_is_raised_and_tried_again(tmp_path):
    keeper = tm.Keeper(tmp_path)
    for _ in range(2):
        with pytest.raises(RunsFailed, match="1 of 2 runs failed.*3 is odd"):
            keeper.map(half, [{"x": 2}, {"x": 3}])
    assert DONE == [2]
    with pytest.raises(RunsFailed, match="3 is odd"):
        keeper.submit(half, {"x": 3}).result()


def test_nothing_to_do_is_nothing_done(tmp_path):
    assert list(tm.Keeper(tmp_path).map(half, [])) == [] and DONE == []


def test_work_that_is_no_job_is_refused_in_a_sentence(tmp_path):
    """The parts of a search for minima take several arguments."""
    with pytest.raises(TypeError, match="one job, a dictionary, got . arguments"):
        tm.find_minimum(tm.Features(3, 0.1), 2, starts=2, executor=tm.Keeper(tmp_path / "kept"))
