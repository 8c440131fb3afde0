"""The command line does what the library does, refuses in one line, says how to go on."""

import errno
import json
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tqdm.auto
from hypothesis import given, settings, strategies as st
from waiting import DEADLINE, first_line, wait_until

import toymodels_np as tm
from toymodels_np.cli import commands, jobs, options
from toymodels_np.cli.parser import main
from toymodels_np.store import shell
from toymodels_np.theory import minima

ROOT = Path(__file__).parents[1]
SMALL = 'n_features = 2\nn_hidden = 1\nsteps = 5\nbatch_size = 8\n'
GRID = (
    SMALL
    + "seeds = 2\n[grid]\nextra_importance = [0.5, 2.0]\nfeature_probability = [0.1, 1.0, 0.5]\n"
)


def run(*words):
    """The exit code of a command line."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(GRID)
    return path


# -- it does what the library does ----------------------------------------------------------------

def test_training_is_that_of_the_library(tmp_path, capsys):
    words = ("train --features 4 --hidden 2 --probability 0.3 --importance-decay 0.9 "
             "--instances 3 --steps 40 --seed 7")
    assert (
        run(
            *words.split(), "--batch-size", 16, "--correlated", "0,1", "--out", tmp_path / "run.npz"
        )
        == 0
    )
    features = tm.Features(4, 0.3, 0.9 ** np.arange(4), correlated=[(0, 1)])
    twin = tm.train(tm.ReluOutput.init(4, 2, 3, seed=7), features, steps=40, batch_size=16, seed=7)
    assert (tm.load(tmp_path / "run.npz").model.W == twin.model.W).all()
    out = capsys.readouterr().out
    assert f"{tm.expected_loss(twin.model, features).min():.6g}"[:6] in out and "wrote" in out


def test_parts_and_resumed_runs_are_one_run(monkeypatch, tmp_path, capsys):
    common = "train --features 4 --hidden 2 --probability 0.3 --batch-size 16 --steps".split()
    assert run(*common, 50, "--out", tmp_path / "whole.npz") == 0
    monkeypatch.setattr(commands, "PART", 7)
    assert run(*common, 30, "--out", tmp_path / "part.npz") == 0
    assert (
        run(
            "train",
            "--resume",
            tmp_path / "part.npz",
            "--steps",
            20,
            "--out",
            tmp_path / "part.npz",
        )
        == 0
    )
    whole, parts = tm.load(tmp_path / "whole.npz"), tm.load(tmp_path / "part.npz")
    assert (whole.model.W == parts.model.W).all() and (
        whole.state.random == parts.state.random
    ).all()
    assert run("show", tmp_path / "part.npz") == 0
    assert "50 steps" in capsys.readouterr().out


def test_the_minimum_is_that_of_the_library(tmp_path, capsys):
    assert run("minimum", "--features", 3, "--hidden", 2, "--probability", 0.1, "--starts", 4,
               "--out", tmp_path / "m.npz") == 0
    twin = tm.find_minimum(tm.Features(3, 0.1), 2, starts=4)
    out = capsys.readouterr().out
    assert (
        twin.geometry in out and f"{twin.loss:.10g}" in out and f"rank {twin.hessian_rank}" in out
    )
    assert (tm.load(tmp_path / "m.npz").W == twin.model.W).all()
    assert run("show", tmp_path / "m.npz") == 0


@pytest.mark.parametrize("m, p", [(2, 0.1), (3, 0.01)])
def test_starts_of_a_minimum_of_nothing_are_counted(capsys, m, p):
    assert run("minimum", "--features", 2, "--hidden", m, "--probability", p, "--starts", 4) == 0
    out = capsys.readouterr().out
    losses = tm.find_minimum(tm.Features(2, p), m, starts=4).start_losses
    ended = (losses <= 1e-12 * p).sum()
    assert ended > 0 and f"starts          {ended} of 4 ended here" in out
    assert float(re.search(r"loss +(\S+)", out)[1]) >= 0
    assert float(re.search(r"^ +0 +(\S+)", out, re.M)[1]) >= 0


def test_the_phases_are_those_of_the_library(monkeypatch, tmp_path, capsys):
    seen = []

    def watched(*sizes, **axes):
        seen.append((sizes, axes, tm.phase_diagram(*sizes, **axes)))
        return seen[-1][-1]

    monkeypatch.setattr(commands, "phase_diagram", watched)
    words = "phase --features 3 --hidden 2 --points 3 --out".split()
    assert run(*words, tmp_path / "phases.png") == 0
    (sizes, axes, diagram), = seen
    assert sizes == (3, 2) and axes["importance"] == pytest.approx([0.1, 1, 10])
    assert axes["feature_probability"] == pytest.approx([0.01, 0.1, 1])
    said = capsys.readouterr().out
    for name in ("phase", "geometry"):
        cells = re.findall(rf"^{name} +(.+): (1(?= cell$)|\d+(?= cells$))", said, re.MULTILINE)
        counts = Counter(getattr(diagram, name).ravel().tolist())
        assert {value: int(count) for value, count in cells} == counts and len(counts) == 3
    differ = int(diagram.differs.sum())
    assert "9 true minima" in said and f"otherwise in {differ} cell{'s' * (differ != 1)}" in said
    assert (tmp_path / "phases.png").read_bytes().startswith(b"\x89PNG")


# -- what is proved -------------------------------------------------------------------------------

@pytest.fixture
def certificate():
    """One that holds: the lowest minimum of two features in one dimension."""
    pytest.importorskip("flint")
    return tm.load_atlas()[0].certificate


def test_check_says_that_a_certificate_holds(certificate, tmp_path, capsys):
    path = tmp_path / "digon.json"
    certificate.save(path)
    assert run("check", path) == 0
    assert capsys.readouterr().out == f"{path} holds: all that it says is proved anew\n"


def test_check_says_that_a_certificate_with_another_digit_proves_nothing(
    certificate, tmp_path, capsys
):
    """Where the digest fits the digit, too, there is no stationary point at what it says."""
    path = tmp_path / "digon.json"
    (first, second), = certificate.W
    replace(certificate, W=((first + Fraction(1, 1000), second),)).save(path)
    record = json.loads(path.read_text())
    assert run("check", path) == 1
    assert f"{path} proves nothing: the box may hold no" in capsys.readouterr().out
    path.write_text(json.dumps(certificate.to_dict() | {"W": record["W"]}))
    assert run("check", path) == 1
    assert f"{path} proves nothing: the digest does not fit" in capsys.readouterr().out


# -- what is there already ------------------------------------------------------------------------

@pytest.mark.parametrize("text", ["hello", "", "3", "[1]", "{}"])
def test_check_says_of_another_file_that_it_is_no_certificate(tmp_path, capsys, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    assert run("check", path) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{path} proves nothing: ") and said.count("\n") == 1
    assert "certificate" in said and "Error" not in said


def test_a_result_is_replaced_only_where_that_is_said_and_a_run_by_runs_alone(tmp_path, capsys):
    train = "train --features 3 --hidden 2 --batch-size 8 --steps".split()
    run_file, model_file = tmp_path / "run.npz", tmp_path / "model.npz"
    assert run(*train, 20, "--out", run_file) == 0
    before = run_file.read_bytes()
    assert run(*train, 10, "--out", run_file) == 2                      # --resume was forgotten
    assert "is there already: give another name, or --overwrite" in capsys.readouterr().err
    minimum = "minimum --features 2 --hidden 1 --probability 0.1 --starts 2 --out".split()
    for words in ([], ["--overwrite"]):
        assert run(*minimum, run_file, *words) == 2
        assert "holds a run, which only a run may replace" in capsys.readouterr().err
    assert run_file.read_bytes() == before
    assert run(*minimum, model_file) == 0 and run(*minimum, model_file) == 2
    assert run(*minimum, model_file, "--overwrite") == 0
    assert run("train", "--resume", run_file, "--steps", 5, "--out", run_file) == 0
    assert tm.load(run_file).steps[-1] == 25
    assert (
        run(*train, 10, "--out", run_file, "--overwrite") == 0 and tm.load(run_file).steps[-1] == 10
    )


@pytest.mark.parametrize("words, said", [
    ("--features 4", "--features 4 .* has 3"), ("--hidden 1", "--hidden 1 .* has 2"),
    ("--probability 0.2", "--probability 0.2 .* has 0.3"), ("--probability 0.3 0.3 0.4", "has 0.3"),
    ("--importance-decay 0.8", "--importance-decay 0.8 .* has 1.0 0.9 0.81"),
    ("--importance 2", "--importance 2.0"),
    ("--extra-importance 3", "--extra-importance"),
    ("--extra-probability 0.1", "--extra-probability"),
    ("--signed", "--signed True .* has False"), ("--correlated 0,1", "--correlated"),
    ("--anticorrelated 0,1", "--anticorrelated"),
    ("--model Linear", "--model Linear .* has ReluOutput"),
    ("--instances 2", "--instances 2 .* has 1"), ("--batch-size 9", "--batch-size 9 .* has 8"),
    ("--learning-rate 0.1", "--learning-rate 0.1 .* has 0.001"),
    ("--schedule cosine", "--schedule cosine"),
    ("--weight-decay 0.1", "--weight-decay 0.1 .* has 0.0"), ("--seed 5", "--seed 5 .* has 7"),
    ("--interference 0.1", "--interference 0.1 .* has 0.0"), ("--l2 0.1", "--l2 0.1 .* has 0.0"),
    ("--backend cupy", "--backend cupy .* has numpy"),
])
def test_a_run_is_not_continued_by_options_that_contradict_it(tmp_path, capsys, words, said):
    path = tmp_path / "run.npz"
    law = "--features 3 --hidden 2 --probability 0.3 --importance-decay 0.9".split()
    how = "--batch-size 8 --seed 7".split()
    assert run("train", *law, *how, "--steps", 10, "--out", path) == 0
    before = path.read_bytes()
    assert run("train", "--resume", path, "--steps", 5, "--out", path, *words.split()) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and "contradicts" in error and path.read_bytes() == before
    assert run("train", "--resume", path, "--steps", 5, *law, *how) == 0  # the same again is none


def test_every_option_of_training_is_checked_against_the_run():
    checked = {name for family in options.FAMILIES.values() for name in family}
    assert {*jobs.TASKS["train"], "seed"} - checked == {
        "task",
        "steps",
        "n_hidden",
        "model",
        "instances",
        "batch_size",
        "learning_rate",
        "schedule",
        "weight_decay",
        "interference",
        "l2",
        "backend",
        "seed",
    }


@pytest.mark.parametrize("model", ["Linear", "ReluHidden", "AbsoluteValue"])
def test_every_model_has_a_command(model, capsys):
    signed = ["--signed"] if model == "AbsoluteValue" else []
    assert (
        run(
            "train",
            "--model",
            model,
            "--features",
            3,
            "--hidden",
            2,
            "--steps",
            5,
            "--batch-size",
            8,
            *signed,
        )
        == 0
    )
    assert "instance" in capsys.readouterr().out


def test_a_sweep_is_its_jobs_one_by_one(tmp_path, config, capsys):
    assert run("sweep", config, "--out", tmp_path / "out") == 0
    table = tm.load_sweep(tmp_path / "out")
    assert len(table["loss"]) == 12
    for row, job in enumerate(jobs.read_config(config)):
        assert {
            name: table[name][row] for name in ("seed", "extra_importance", "feature_probability")
        } == {name: job[name] for name in ("seed", "extra_importance", "feature_probability")}
        result = jobs.run_job(job)
        assert result["loss"] == table["loss"][row] and (result["W"] == table["W"][row]).all()
    assert run("sweep", config, "--out", tmp_path / "out") == 0
    assert "0 computed now, 12 found there" in capsys.readouterr().out
    assert run("show", tmp_path / "out") == 0
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 10_000
    assert "phase" in capsys.readouterr().out


def test_worker_processes_change_nothing(tmp_path, config):
    assert run("sweep", config, "--out", tmp_path / "one") == 0
    assert run("sweep", config, "--out", tmp_path / "two", "--workers", 2, "--chunk", 1) == 0
    contents = [
        sorted((p.name, p.read_bytes()) for p in (tmp_path / folder).rglob("*.npz"))
        for folder in ("one", "two")
    ]
    assert contents[0] == contents[1] and len(contents[0]) == 12


@pytest.mark.parametrize("text, said", [
    (SMALL + "[grid]\nextra_importance = [0.5, 2]", "wrote"),
    (SMALL + "[grid]\nmodel = ['Linear', 'ReluOutput']",
    "a picture needs one or two, both numbers"),
    (SMALL + "[grid]\ninstances = [1, 2]\nweight_decay = [0.1, 0.0]\nlearning_rate = [0.1, 0.01]",
    "a picture needs"),
    (SMALL + "seeds = 2", "settings that vary: none"),
    ("task = 'minimum'\nn_features = 2\nn_hidden = 1\nstarts = 3\n[grid]\n"
     "feature_probability = [0.1, 0.2]", "digon"),
    (SMALL + "model = 'AbsoluteValue'\nsigned = true\n[grid]\nn_hidden = [1, 2]", "stands both"),
])
def test_what_show_says(tmp_path, capsys, text, said):
    (tmp_path / "config.toml").write_text(text)
    code = run("sweep", tmp_path / "config.toml", "--out", tmp_path / "out")
    if code == 0:
        assert run("show", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert said in captured.out + captured.err and code == (2 if "stands both" in said else 0)


def square(job):
    return {"square": job["x"] ** 2, "name": "x"}


def test_show_takes_any_sweep(tmp_path, capsys):
    tm.sweep(square, [{"x": x} for x in range(3)], tmp_path / "out", progress=False)
    assert run("show", tmp_path / "out") == 0
    assert "square                   0 … 4" in capsys.readouterr().out


def test_a_job_that_fails_is_told(monkeypatch, tmp_path, config, capsys):
    def find(features, *_, **__):
        raise tm.NotConverged("no start came to rest")

    config.write_text(
        "task = 'minimum'\nn_features = 2\nn_hidden = 1\n[grid]\nfeature_probability = [0.1, 0.2]"
    )
    monkeypatch.setattr(jobs, "find_minimum", find)
    assert run("sweep", config, "--out", tmp_path / "out") == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("2 of 2 jobs failed; run them again with --retry-failed")
    assert "no start came to rest" in out
    assert run("sweep", config, "--out", tmp_path / "out") == 1
    assert run("show", tmp_path / "out") == 0 and "no start came to rest" in capsys.readouterr().out
    monkeypatch.undo()
    assert run("sweep", config, "--out", tmp_path / "out", "--retry-failed") == 0
    assert "2 computed now" in capsys.readouterr().out


# -- Ctrl-C ---------------------------------------------------------------------------------------

def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    interrupts, monkeypatch, tmp_path, config, capsys
):
    done, true = [], jobs.train

    def interrupted(*arguments, **settings):
        if len(done) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(arguments)
        return true(*arguments, **settings)

    monkeypatch.setattr(jobs, "train", interrupted)
    assert run("sweep", config, "--out", tmp_path / "out") == 130
    error = capsys.readouterr().err
    assert error.startswith("interrupted: finished jobs are in") and "goes on from there" in error
    monkeypatch.undo()
    assert run("sweep", config, "--out", tmp_path / "out") == 0
    assert "7 computed now, 5 found there" in capsys.readouterr().out


def test_ctrl_c_in_training_says_the_command_that_goes_on(monkeypatch, tmp_path, capsys):
    common = "train --features 3 --hidden 2 --batch-size 8".split()
    assert run(*common, "--steps", 30, "--out", tmp_path / "whole.npz") == 0
    monkeypatch.setattr(commands, "PART", 10)
    calls, true = [], commands.resume

    def interrupted(history, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(history, **options)

    monkeypatch.setattr(commands, "resume", interrupted)
    assert run(*common, "--steps", 30, "--out", tmp_path / "run.npz") == 130
    error = capsys.readouterr().err
    assert "20 of 30 steps are in" in error
    monkeypatch.undo()
    command = error.split("toymodels_np ", 1)[1].split()
    assert run(*command) == 0
    assert (tm.load(tmp_path / "run.npz").model.W == tm.load(tmp_path / "whole.npz").model.W).all()


@pytest.mark.parametrize("at", ["before", "after", "judge"])
def test_ctrl_c_in_training_never_says_that_nothing_was_kept_where_a_file_is(
    interrupts, monkeypatch, tmp_path, capsys, at
):
    """It comes while a part is saved, before or after its file is there, or at the end."""
    monkeypatch.setattr(commands, "PART", 10)
    calls, true = [], commands.save

    def interrupted(path, history):
        calls.append(1)
        if len(calls) == 2 and at == "before":
            signal.raise_signal(signal.SIGINT)
        true(path, history)
        if len(calls) == 2 and at == "after":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(commands, "save", interrupted)
    if at == "judge":
        monkeypatch.setattr(commands, "judge", lambda *_: signal.raise_signal(signal.SIGINT))
    out = tmp_path / "my run.npz"
    words = "train --features 3 --hidden 2 --batch-size 8 --steps 30 --out".split()
    assert run(*words, out) == 130
    error = capsys.readouterr().err
    if at == "judge":
        assert error == f"interrupted: the run is in {out}\n" and tm.load(out).steps[-1] == 30
        return
    assert error.startswith(f"interrupted: 20 of 30 steps are in {out}; go on with: ")
    assert tm.load(out).steps[-1] == 20
    monkeypatch.undo()
    assert run(*shlex.split(error)[shlex.split(error).index("toymodels_np") + 1:]) == 0
    assert tm.load(out).steps[-1] == 30


def test_workers_are_stopped_without_stumbling_over_futures_that_were_cancelled(monkeypatch):
    """Even if the pool sees at once that its workers are gone, and tells all futures so."""
    stumbled, threads, children = [], set(threading.enumerate()), multiprocessing.active_children

    def stop_and_let_the_pool_see_it():
        for child in children():
            child.terminate()
        for thread in set(threading.enumerate()) - threads:
            if not thread.daemon:
                thread.join(60)
        return []

    monkeypatch.setattr(threading, "excepthook", lambda what: stumbled.append(what.exc_type))
    with pytest.raises(KeyboardInterrupt), shell.worker_pool(2) as pool:
        futures = [pool.submit(time.sleep, 60) for _ in range(40)]
        # As many as the pool takes in advance.
        wait_until(futures[2].running, "third job that runs")
        for future in futures:
            future.cancel()
        monkeypatch.setattr(multiprocessing, "active_children", stop_and_let_the_pool_see_it)
        raise KeyboardInterrupt
    assert not stumbled and not {
        thread for thread in set(threading.enumerate()) - threads if not thread.daemon
    }


def locks():
    """The classes of the locks of all kinds of bars, in this process."""
    return [type(kind.get_lock()).__module__ for kind in (tqdm.tqdm, tqdm.auto.tqdm)]


def test_workers_have_no_semaphore_that_would_outlive_them():
    """Python's tracker warned of one that a worker left which was ended in a search."""
    with shell.worker_pool(2) as pool:
        assert pool.submit(locks).result() == ["_thread", "_thread"]


@pytest.mark.parametrize("number, whole, code", [
    (signal.SIGINT, True, 130), (signal.SIGTERM, False, 143),
    (signal.SIGKILL, False, -signal.SIGKILL)],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_a_real_process_with_workers_that_is_stopped(tmp_path, number, whole, code):
    """It says what it has kept; then it, or with Ctrl-C all of its group, gets the signal.

    `communicate` comes back when nobody holds the pipes any more: no worker has stayed.
    """
    (tmp_path / "config.toml").write_text(
        "n_features = 2\nn_hidden = 1\nbatch_size = 8\nseeds = 100000\n[grid]\nsteps = [3]"
    )
    program = ("import sys, toymodels_np.cli.parser as cli, toymodels_np.store.chunks as chunks\n"
               "write = chunks.write\n"
               "def tell(*arguments):\n    write(*arguments); print('kept', flush=True)\n"
               "chunks.write = tell\n"
               "if __name__ == '__main__':\n    sys.exit(cli.main(sys.argv[1:]))\n")
    (tmp_path / "program.py").write_text(program)
    command = [
        sys.executable,
        tmp_path / "program.py",
        "sweep",
        tmp_path / "config.toml",
        "--out",
        tmp_path / "out",
        "--workers",
        "2",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        try:
            assert first_line(child.stdout) == "kept\n"
            (os.killpg if whole else os.kill)(child.pid, number)
            _, error = child.communicate(timeout=DEADLINE)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == code, error
    if number != signal.SIGKILL:
        assert error.strip().splitlines()[-1].startswith("interrupted: finished jobs are in")
        assert "Traceback" not in error
    assert len(tm.load_sweep(tmp_path / "out")["loss"]) >= 1


def test_sigterm_is_as_clean_as_ctrl_c_and_is_left_as_it_was(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert shell.exit_code(lambda options: os.kill(os.getpid(), signal.SIGTERM), None) == 143
    assert (
        capsys.readouterr().err == "interrupted: nothing was kept\n"
        and signal.getsignal(signal.SIGTERM) == before
    )


def test_an_interrupted_minimum_says_its_best_point_and_ends_as_interrupted(
    interrupts, monkeypatch, tmp_path, capsys
):
    def interrupted(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(minima, "newton", interrupted)
    words = "minimum --features 3 --hidden 2 --starts 2 --out".split()
    assert run(*words, tmp_path / "best.npz") == 130
    said = capsys.readouterr()
    assert "not zero" in said.out and "rank unknown, of 9" in said.out
    assert said.err.startswith("interrupted: the search was broken off")
    assert tm.load(tmp_path / "best.npz").W.shape == (2, 3)


def test_a_minimum_too_large_for_its_hessian_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(minima, "NEWTON", 5)
    assert run(*"minimum --features 3 --hidden 2 --starts 1".split()) == 0
    assert "rank unknown, of 9" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--hidden", "--starts", "--features"])
def test_a_number_of_four_hundred_digits_is_too_large(option, capsys):
    assert run("minimum", option, "9" * 400) == 2
    assert "too large: it would take" in capsys.readouterr().err


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_the_package_is_imported_is_one_line(tmp_path, name, code):
    """A numpy that sends it stands for the second that the true one takes."""
    (tmp_path / "numpy.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    script = tmp_path / "toymodels-np"
    script.write_text("import toymodels_np\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def done(*words):
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    for words in (["-m", "toymodels_np", "--help"], [script],
                  ["-m", "toymodels_np.experiments.introduction", "--help"]):
        said = done(*words)
        assert (said.returncode, said.stdout) == (code, "")
        assert said.stderr == "interrupted: nothing was kept\n"
    plain = done("-c", "import toymodels_np")               # in a program, signals are its own
    assert plain.returncode != code and "interrupted" not in plain.stderr


# -- refusals -------------------------------------------------------------------------------------

TRAIN = "train --steps 2 --batch-size 4"
BAD_COMMANDS = [
    "",
    "tarin",
    "--nothing",
    "train extra",
    "train --step",
    f"{TRAIN} --features 0",
    f"{TRAIN} --features -2",
    f"{TRAIN} --features 2.5",
    f"{TRAIN} --features many",
    f"{TRAIN} --hidden 0",
    f"{TRAIN} --hidden x",
    f"{TRAIN} --probability 0",
    f"{TRAIN} --probability 1.5",
    f"{TRAIN} --probability nan",
    f"{TRAIN} --probability p",
    f"{TRAIN} --probability",
    f"{TRAIN} --probability 0.1 0.2",
    f"{TRAIN} --importance -1",
    f"{TRAIN} --importance inf",
    f"{TRAIN} --importance 1 2 3",
    f"{TRAIN} --importance-decay 0",
    f"{TRAIN} --importance-decay -1",
    f"{TRAIN} --importance-decay nan",
    f"{TRAIN} --extra-importance -1",
    f"{TRAIN} --extra-probability 0",
    f"{TRAIN} --extra-probability 100",
    f"{TRAIN} --correlated 0",
    f"{TRAIN} --correlated 0,0",
    f"{TRAIN} --correlated 0,9",
    f"{TRAIN} --correlated 0,a",
    f"{TRAIN} --correlated 0,1 --correlated 1,2",
    f"{TRAIN} --correlated 0,1 --anticorrelated 1,2",
    f"{TRAIN} --anticorrelated -1,2",
    f"{TRAIN} --signed 3",
    f"{TRAIN} --correlated 0,1 --probability 0.1 0.2 0.3 0.4 0.5",
    f"{TRAIN} --model GPT",
    f"{TRAIN} --model",
    f"{TRAIN} --instances 0",
    f"{TRAIN} --instances 1.5",
    "train --steps 0",
    "train --steps -5",
    "train --steps 1e3",
    "train --batch-size 0",
    "train --batch-size x",
    f"{TRAIN} --learning-rate 0",
    f"{TRAIN} --learning-rate -1",
    f"{TRAIN} --learning-rate inf",
    f"{TRAIN} --schedule exponential",
    f"{TRAIN} --weight-decay -1",
    f"{TRAIN} --weight-decay nan",
    f"{TRAIN} --seed -1",
    f"{TRAIN} --seed 0.5",
    f"{TRAIN} --starts 3",
    f"{TRAIN} --out",
    f"{TRAIN} --out HERE/none/run.npz",
    f"{TRAIN} --out HERE",
    "train --resume HERE/none.npz",
    "train --resume HERE",
    "train --resume HERE/config.toml",
    "train --resume HERE/model.npz",
    "train --resume HERE/cosine.npz --steps 3",
    "train --resume HERE/run.npz --steps 0",
    "minimum --features 0",
    "minimum --hidden 0",
    "minimum --starts 0",
    "minimum --starts x",
    "minimum --steps 3",
    "minimum --model Linear",
    "minimum --probability 2",
    "minimum --seed -1",
    "minimum --out HERE/none/m.npz",
    "sweep",
    "sweep HERE/config.toml",
    "sweep HERE/none.toml --out HERE/out",
    "sweep HERE --out HERE/out",
    "sweep HERE/config.toml --out HERE/config.toml",
    "sweep HERE/config.toml --out HERE/config.toml/out",
    "sweep HERE/config.toml --out HERE/out --workers 0",
    "sweep HERE/config.toml --out HERE/out --workers two",
    "sweep HERE/config.toml --out HERE/out --workers -1",
    "sweep HERE/config.toml --out HERE/out --chunk 0",
    "sweep HERE/config.toml --out HERE/out --chunk x",
    "sweep HERE/config.toml --out HERE/out --dask",
    "sweep HERE/config.toml --out HERE/out --dask nonsense://x",
    "sweep HERE/run.npz --out HERE/out",
    "sweep HERE/config.toml --out HERE/out --dask tcp://127.0.0.1:1 --workers 2",
    "show",
    "show HERE/none",
    "show HERE/pipe",
    "train --resume HERE/pipe",
    "sweep HERE/pipe --out HERE/out",
    "show HERE/config.toml",
    "show HERE/empty",
    "show HERE/run.npz --figure HERE/x.png",
    "train --resume HERE/run.npz --seed 1",
    "train --resume HERE/run.npz --model Linear",
    f"{TRAIN} --out HERE/run.npz",
    f"{TRAIN} --out HERE/model.npz",
    f"{TRAIN} --out HERE/pipe --overwrite",
    f"{TRAIN} --resume HERE/run.npz --out HERE/cosine.npz",
    "minimum --out HERE/run.npz --overwrite",
    "minimum --out HERE/model.npz",
    "minimum --out HERE/null.png --overwrite",
    "phase --points 2 --out HERE/null.png",
    "claims --json HERE/run.npz",
    "claims --json HERE/records.json",
    "claims --json HERE/pipe",
    "show HERE/swept --figure HERE/swept/sweep.png",
    "report --out HERE/run.npz",
    "report --out HERE/run.npz/below",
    "show HERE/swept --figure HERE/none/x.png",
    "show HERE/swept --figure HERE/x.gift",
    "show HERE/broken",
]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with the files that the commands name."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "config.toml").write_text(GRID)
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "null.png").symlink_to(os.devnull)
    (folder / "records.json").write_text("{}")
    features, model = tm.Features(2, 0.5), tm.ReluOutput.init(2, 1)
    tm.save(folder / "model.npz", model)
    tm.save(folder / "run.npz", tm.train(model, features, steps=2, batch_size=4))
    tm.save(
        folder / "cosine.npz", tm.train(model, features, steps=2, batch_size=4, schedule="cosine")
    )
    for name in ("swept", "broken"):
        assert run("sweep", folder / "config.toml", "--out", folder / name) == 0
    assert run("show", folder / "swept") == 0
    next((folder / "broken").rglob("*.npz")).write_bytes(b"PK")
    return folder


@pytest.mark.parametrize("command", BAD_COMMANDS)
def test_a_bad_command_is_one_line_and_exit_code_2(here, capsys, command):
    capsys.readouterr()
    assert run(*command.replace("HERE", str(here)).split()) == 2
    captured = capsys.readouterr()
    assert (
        captured.err.startswith("error: ")
        and captured.err.count("\n") == 1
        and len(captured.err) > 20
    )
    assert captured.out == "" and "Traceback" not in captured.err


@pytest.mark.parametrize("command, said", [
    (f"{TRAIN} --correlated 0,a", "argument --correlated: must be features such as 0,1, got '0,a'"),
    ("claims --json HERE/records.json", "is there already: give another name\n"),
])
def test_a_bad_command_hears_of_nothing_that_it_cannot_type(here, capsys, command, said):
    assert run(*command.replace("HERE", str(here)).split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words, said", [("learn --help", b"learn --report DIR \\u2026"),
                                         ("learn --dir .", b"a\\xb7u")])
def test_letters_that_the_output_lacks_are_written_by_number(tmp_path, words, said):
    learn = [sys.executable, "-m", "toymodels_np", "learn"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    subprocess.run([*learn, "--copy", tmp_path], check=True, capture_output=True)
    done = subprocess.run([*learn, *words.split()[1:]], env=environment, cwd=tmp_path,
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and said in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_output_that_nobody_takes_is_one_line_or_none_and_loses_no_result(tmp_path, unbuffered):
    out = tmp_path / "model.npz"
    command = [sys.executable, "-m", "toymodels_np", "minimum", "--features", "2", "--hidden", "1",
               "--starts", "1", "--overwrite", "--out", out]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(ROOT)}
    ends, to_nobody = os.pipe()
    os.close(ends)
    with open("/dev/full", "wb") as full, open(to_nobody, "wb") as closed:
        for stream, code, said in ((full, 2, f"error: [Errno {errno.ENOSPC}] "), (closed, 141, "")):
            done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True,
                                  env=environment)
            assert done.returncode == code and done.stderr.startswith(said)
            assert done.stderr.count("\n") == bool(said)
            assert tm.load(out).W.shape == (1, 2)
            out.unlink()


def test_a_minimum_that_cannot_be_saved_is_printed(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(commands, "save", full)
    words = "minimum --features 2 --hidden 1 --starts 1 --out".split()
    assert run(*words, tmp_path / "model.npz") == 2
    said = capsys.readouterr()
    assert "geometry        digon" in said.out and "wrote" not in said.out
    assert os.strerror(errno.ENOSPC) in said.err


def test_so_is_one_in_a_real_process(here):
    done = subprocess.run(
        [sys.executable, "-m", "toymodels_np", "train", "--steps", "0"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (
        2,
        "",
    ) and done.stderr == "error: steps must be at least 1, got 0\n"


@pytest.mark.parametrize("command", ["train", "claims", "experiment introduction"])
def test_what_a_command_does_not_know_leads_to_its_own_help(capsys, command):
    assert run(*command.split(), "--row", "9") == 2
    said = ("error: unrecognized arguments: --row 9; see python -m toymodels_np "
            f"{command.split()[0]} --help\n")
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", [[], ["train"], ["minimum"], ["sweep"], ["show"]], ids=str)
def test_help_has_an_example(capsys, command):
    assert run(*command, "--help") == 0
    assert "example: python -m toymodels_np" in capsys.readouterr().out


@pytest.mark.parametrize("text", [
    "=", "task = ", "[grid", "a = 1\na = 2", "\x00", "task = 'fly'", "task = 3", "grid = 3",
    "grid = []", "tsk = 'train'",
    "steps = 0", "steps = '5'", "steps = 1.5", "steps = true", "steps = [5]", "batch_size = -1",
    "n_features = 0",
    "n_features = 'two'", "n_hidden = 0", "n_hidden = 1.0", "feature_probability = 0",
    "feature_probability = 2",
    "feature_probability = nan", "feature_probability = 'rare'", "feature_probability = []",
    "feature_probability = [0.1, 0.2]", "feature_probability = [[0.1]]",
    "feature_probability = {low = 1}",
    "importance = -1", "importance = [1, 2]", "importance = inf", "importance_decay = 0",
    "importance_decay = [1]",
    "extra_importance = -1", "extra_importance = '2'", "extra_probability = 0",
    "extra_probability = 30",
    "signed = 1", "signed = 'yes'", "correlated = 3", "correlated = [0, 1]", "correlated = [[0]]",
    "correlated = [[0, 9]]", "correlated = [[0, 1], [1, 2]]", "anticorrelated = [['a', 'b']]",
    "model = 'GPT'",
    "model = 3", "instances = 0", "learning_rate = 0", "learning_rate = 'fast'",
    "schedule = 'step'",
    "weight_decay = -1", "starts = 3", "task = 'minimum'\nstarts = 0",
    "task = 'minimum'\nsteps = 3", "seed = 3",
    "seeds = 0", "seeds = -1", "seeds = 1.5", "seeds = []", "seeds = [1, 1]", "seeds = [-1]",
    "seeds = ['a']",
    "seeds = true", "[grid]\nseeds = [1]", "[grid]\ntask = ['train']", "[grid]\nstep = [1]",
    "[grid]\nsteps = 5",
    "[grid]\nsteps = []", "[grid]\nsteps = [5, 5]", "[grid]\nsteps = [5, 0]",
    "[grid]\nsteps = [5, 1.5]",
    "[grid]\nsteps = {start = 1}", "[grid]\nsteps = {start = 1, stop = 2, points = 0}",
    "[grid]\nsteps = {start = 1, stop = 2, points = 2, by = 3}",
    "[grid]\nsteps = {start = 1, stop = 3, points = 2}",
    "[grid]\nfeature_probability = {start = 0, stop = 1, points = 3, scale = 'log'}",
    "[grid]\nfeature_probability = {start = 0.1, stop = 1, points = 3, scale = 'cubic'}",
    "[grid]\nfeature_probability = {start = 0.5, stop = 0.5, points = 2}",
    "[grid]\nfeature_probability = [0.1, 2]", "steps = 3\n[grid]\nsteps = [3]",
    "[grid.steps.deep]\nx = 1",
    "[gird]\nsteps = [3]",
])
def test_a_bad_configuration_is_a_sentence(tmp_path, capsys, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="config.toml") as error:
        jobs.read_config(path)
    assert "\n" not in str(error.value)
    assert run("sweep", path, "--out", tmp_path / "out") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.out == "" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("text, nearest", [("stepz = 3", "steps"), ("n_feature = 3", "n_features"),
                         ("grids = 3", "grid"),
                                           ("[grid]\nlearning_rte = [1]", "learning_rate"),
                                           ("seed = 3", "seeds")])
def test_an_unknown_key_suggests_the_nearest(tmp_path, text, nearest):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ValueError, match=f"did you mean '{nearest}'"):
        jobs.read_config(tmp_path / "config.toml")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 50) | st.floats(-2, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(jobs.RANGE), inner),
    max_leaves=4,
)
keys = st.sampled_from([*jobs.TASKS["train"], "starts", "seeds", "sed", "grid"])


@given(config=st.dictionaries(keys, values, max_size=3),
       grid=st.dictionaries(keys, values, max_size=2))
@settings(max_examples=200)
def test_any_configuration_is_jobs_or_a_sentence(config, grid):
    try:
        found = jobs.parse_config(config | ({"grid": grid} if grid else {}))
    except (ValueError, TypeError) as error:
        assert str(error)
    else:
        for job in found:
            jobs.check_job(job)
