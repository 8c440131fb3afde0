"""Sweeps on a real Dask cluster of two worker processes: same bits, no worker is vital."""

import json
import os
import signal

import numpy as np
import pytest
from loading import load

import toymodels_np as tm

distributed = pytest.importorskip("distributed")

JOBS = [{"x": x, "seed": seed} for x in (0.5, -1.5, 3.0) for seed in range(8)]

# The suite makes warnings errors; these are the cluster's own, about what it closes late.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"),
              pytest.mark.filterwarnings("ignore::ResourceWarning"),
              pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def draw(job):
    rng = np.random.default_rng(job["seed"])
    return {"y": job["x"] * rng.normal(size=100).mean(), "a": rng.normal(size=1 + job["seed"] % 2),
            "single": np.float32(job["x"] / 3)}


def fail_once(job):
    """Fails where the mark is not there yet."""
    os.close(os.open(job["mark"], os.O_RDONLY))
    return {"y": 1.0}


def die_once(job):
    """Kills its process, as a system out of memory does, unless the mark says that it has."""
    if job["seed"] == 3:
        try:
            os.close(os.open(job["mark"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return draw(job)


def die(job):
    if job["seed"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(job)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def kept(out):
    return {path.relative_to(out): path.read_bytes() for path in out.glob("*/*")}


@pytest.mark.parametrize("chunk", [1, 5])
def test_dask_gives_the_same_files_as_serial(tmp_path, client, chunk):
    jobs = [*JOBS, {"x": 1.0, "seed": "none"}]                                  # the last one fails
    for out, executor in ((tmp_path / "dask", client.get_executor()), (tmp_path / "serial", None)):
        with pytest.warns(RuntimeWarning, match="1 failed"):
            report = tm.sweep(draw, iter(jobs), out, chunk=chunk, executor=executor)
        assert (report.computed, report.failed) == (25, 1)
    assert kept(tmp_path / "dask") == kept(tmp_path / "serial")
    assert (
        tm.sweep(
            draw, JOBS[:20], tmp_path / "dask", chunk=chunk, executor=client.get_executor()
        ).computed
        == 0
    )


def test_a_failed_job_is_run_again_and_not_answered_from_an_old_task(tmp_path, client):
    executor, jobs = client.get_executor(), [{"mark": str(tmp_path / "mark")}]
    with pytest.warns(RuntimeWarning, match="1 failed"):
        tm.sweep(fail_once, jobs, tmp_path / "out", executor=executor)
    (tmp_path / "mark").touch()
    assert (
        tm.sweep(fail_once, jobs, tmp_path / "out", executor=executor, retry_failed=True).failed
        == 0
    )


def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing(tmp_path, client):
    jobs = [{**job, "mark": str(tmp_path / "mark")} for job in JOBS]
    workers = {pid for pid in client.run(os.getpid).values()}
    report = tm.sweep(die_once, jobs, tmp_path / "dask", chunk=2, executor=client.get_executor())
    assert (report.computed, report.failed) == (24, 0) and (tmp_path / "mark").exists()
    client.wait_for_workers(2, timeout=60)
    assert len(workers - {pid for pid in client.run(os.getpid).values()}) == 1
    table = tm.load_sweep(tmp_path / "dask")
    assert [(x, seed) for x, seed in zip(table["x"], table["seed"])] == [
        (job["x"], job["seed"]) for job in JOBS
    ]
    tm.sweep(die_once, jobs, tmp_path / "serial", chunk=2)
    assert kept(tmp_path / "dask") == kept(tmp_path / "serial")


def test_a_job_that_kills_every_worker_is_a_failure_and_the_others_finish(
    tmp_path, client, monkeypatch
):
    """Dask blames what waited on the same worker, too; those jobs are tried again, each alone."""
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 1)        # 3 by default
    with pytest.warns(RuntimeWarning, match="failed"):
        tm.sweep(die, JOBS[:8], tmp_path, executor=client.get_executor())
    table = tm.load_sweep(tmp_path)
    failed = table["error"] != ""
    assert table["seed"].tolist() == list(range(8)) and np.flatnonzero(failed).tolist() == [1]
    assert all("KilledWorker" in error for error in table["error"][failed])
    assert (np.isfinite(table["y"]) != failed).all()


def test_a_client_is_not_an_executor_and_the_error_says_what_is(tmp_path, client):
    with pytest.raises(TypeError, match=r"executor must be .*client\.get_executor\(\)"):
        tm.sweep(draw, JOBS, tmp_path, executor=client)


def test_the_example_runs_a_phase_sweep_on_its_own_cluster(tmp_path, capsys):
    example = load("sweep_on_dask")
    with pytest.MonkeyPatch.context() as patch:
        smaller = {
            "IMPORTANCE": (0.2, 1.0, 5.0),
            "PROBABILITY": (0.05, 1.0),
            "SEEDS": 2,
            "STEPS": 300,
        }
        for name, value in smaller.items():
            patch.setattr(example, name, value)
        example.main(["--out", str(tmp_path / "new")])
        lines = capsys.readouterr().out.splitlines()
        table = tm.load_sweep(tmp_path / "new" / "sweep_on_dask")
        assert len(table["loss"]) == 12 and not any(table["error"])
        last = example.train_one({"importance": 5.0, "feature_probability": 1.0, "seed": 1})
        assert (
            last["loss"] == table["loss"][-1]
            and last["phase"] == table["phase"][-1] == "own dimension"
        )
    assert any("12 computed now, 0 found" in line for line in lines)
    rows = [line.split() for line in lines if line.startswith(" ")]
    assert (
        [row[0] for row in rows] == ["0.2", "1", "5"]
        and rows[0][1:] == ["s", "."]
        and rows[2][1:] == ["s", "O"]
    )
    record = json.loads((tmp_path / "new" / "sweep_on_dask.json").read_text())
    assert (
        len(record["loss"]) == 6
        and (tmp_path / "new" / "sweep_on_dask.png").stat().st_size > 10_000
    )


def test_the_example_says_how_to_install_dask(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(SystemExit) as stop:
        load("sweep_on_dask").main(["--out", str(tmp_path)])
    said = capsys.readouterr()
    assert stop.value.code == 2 and said.out == "" and said.err.count("\n") == 1
    assert 'pip install "toymodels_np[dask]"' in said.err
