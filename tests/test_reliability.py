"""Nothing silent, nothing lost: what hostile callers found once, each held by a test."""

import contextlib
import errno
import gc
import itertools
import json
import linecache
import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import toymodels_np as tm
from toymodels_np.cli.jobs import parse_config
from toymodels_np.cli.parser import main
from toymodels_np.experiments import introduction, learning_dynamics, uniform_geometry
from toymodels_np.store import files, shell
from toymodels_np.theory import minima

LAW = tm.Features(3, 0.2)
STACK = tm.ReluOutput.init(3, 2, 4)


def trained(**options):
    return tm.train(tm.ReluOutput.init(3, 2), LAW, **{
        "steps": 4, "batch_size": 4, "record_every": 2, "progress": False} | options)


# -- what save accepts, load reads ----------------------------------------------------------------

@pytest.mark.parametrize("seed", [0, 2**64, int("7" * 500)], ids=["0", "2^64", "500 digits"])
def test_what_save_accepts_load_reads(tmp_path, seed):
    run = trained(seed=seed)
    tm.save(tmp_path / "run.npz", run)
    read = tm.load(tmp_path / "run.npz")
    assert read.settings == run.settings
    assert read.model.W.tobytes() == run.model.W.tobytes()


# -- results stand for themselves -----------------------------------------------------------------

RESULTS = {
    "History": trained,
    "Minimum": lambda: tm.find_minimum(tm.Features(2, 0.2), 1, starts=2),
    "Flow": lambda: tm.gradient_flow(STACK[0], LAW, t_final=1.0),
    "PhaseDiagram": lambda: tm.phase_diagram(2, 1, importance=[1, 2], feature_probability=[0.1]),
    "StackPlot": lambda: tm.stack_plot(tm.ReluHidden.init(3, 2)),
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_a_result_is_equal_to_itself_alone_and_found_in_lists_and_sets(make):
    first, second = make(), make()
    again = pickle.loads(pickle.dumps(first))
    assert first == first and first != second and first != again
    assert [first, again, second].index(second) == 2 and len({first, again, second}) == 3


# -- sizes are checked first ----------------------------------------------------------------------

@pytest.mark.parametrize("name, call", [
    ("n_features", lambda: tm.Features(10**12, 0.1)),
    ("batch_size", lambda: trained(batch_size=10**18)),
    ("batch_size", lambda: LAW.sample(np.random.default_rng(0), 10**15)),
    ("n_instances", lambda: tm.ReluOutput.init(3, 2, 10**15)),
    ("W", lambda: tm.energies.local_minimum(np.ones((3000, 3)), np.zeros(3), 0.1)),
    ("n_hidden", lambda: tm.find_minimum(LAW, 10**400)),
    ("n_hidden", lambda: tm.find_minimum(LAW, 10**6)),
    ("starts", lambda: tm.find_minimum(LAW, 2, starts=10**400)),
    ("W", lambda: tm.gram(range(10**12))), ("index", lambda: STACK[range(10**12)]),
    ("index", lambda: STACK[np.broadcast_to(1, (10**7, 10**7))]),
    ("W", lambda: tm.gram(np.broadcast_to(1.0, (10**7, 10**7))))])
def test_a_size_beyond_memory_is_a_sentence(name, call):
    with pytest.raises(ValueError, match=f"{name} is too large: .* GiB of memory, and .* free"):
        call()


def test_an_index_that_would_wrap_round_is_refused():
    for index in (np.uint64(2**64 - 1), np.array([0, 2**64 - 1], np.uint64)):
        with pytest.raises(IndexError, match="index must be below"):
            STACK[index]
    with pytest.raises(IndexError, match="index must be below"):
        tm.Features(3, [[0.1], [0.2]])[np.uint64(2**64 - 1)]


def test_a_sweep_of_too_many_jobs_is_refused():
    for seeds in (10**13, 10**300):
        with pytest.raises(ValueError, match="seeds and grid make 10+ jobs, and at most"):
            parse_config({"task": "minimum", "seeds": seeds})


def test_a_set_of_many_members_takes_no_square_of_them():
    members = tuple(range(200_000))
    assert tm.Features(200_000, 0.1, correlated=[members]).sets[0].members == members


@pytest.mark.parametrize("sets, words", [
    (np.broadcast_to(1, (10**7, 10**7)), r"name a feature once, not \[1\]"),
    (([0, 1] for _ in itertools.count()), r"name a feature once, not \[0, 1\]"),
    ([itertools.count()], "names feature 3, but they are 0 to 2"),
    ([np.broadcast_to(1, 10**12)], r"name a feature once, not \[1\]")])
def test_of_sets_no_more_is_read_than_there_are_features(sets, words):
    with pytest.raises(ValueError, match=words):
        tm.Features(3, 0.1, correlated=sets)


# -- threads --------------------------------------------------------------------------------------

def test_threads_that_train_at_once_leave_blas_as_it_was():
    before = [pool["num_threads"] for pool in threadpool_info()]
    threads = [threading.Thread(target=trained, kwargs={"steps": 50}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pool["num_threads"] for pool in threadpool_info()] == before


# -- masks and numbers that are none --------------------------------------------------------------

MASKED = np.ma.MaskedArray(np.ones((2, 3)), mask=np.eye(2, 3))


@pytest.mark.parametrize("call", [
    lambda: tm.gram(MASKED), lambda: tm.name_geometry(MASKED), lambda: LAW.target(MASKED),
    lambda: tm.ReluOutput(MASKED, np.zeros(3)), lambda: tm.Features(3, MASKED[0]),
    lambda: tm.ReluOutput.init(3, 2).forward(MASKED), lambda: tm.align(MASKED, np.ones((2, 3))),
    lambda: STACK[np.ma.MaskedArray([1, 2], [True, False])],
    lambda: tm.energies.enumerated_loss(MASKED, np.zeros(3), 0.1)])
def test_masks_are_not_lost(call):
    with pytest.raises(TypeError, match="a masked one"):
        call()


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("model", [tm.ReluOutput, type("Own", (tm.ReluOutput,), {})])
@pytest.mark.parametrize("count", [None, 2])
def test_a_run_whose_optimiser_has_overflown_is_none(model, count):
    """The square of a gradient is infinite in float32 long before the loss is."""
    with pytest.raises(FloatingPointError, match="gradient of instance 0 .* try a smaller"):
        tm.train(model.init(3, 2, count), tm.Features(3, 0.5), steps=2, batch_size=8,
                 learning_rate=1e8, progress=False)


# -- what is shared, and what is frozen -----------------------------------------------------------

def test_features_and_models_share_nothing_with_their_caller():
    p, W = np.full(3, 0.2), np.ones((2, 3))
    law, model = tm.Features(3, p), tm.ReluOutput(W, np.zeros(3))
    p[:], W[:] = 0.9, 7
    assert (law.feature_probability == 0.2).all() and (model.W == 1).all()


def test_features_do_not_change_even_where_they_were_pickled():
    for law in (LAW, pickle.loads(pickle.dumps(LAW))):
        with pytest.raises(AttributeError, match="features do not change: features.replace"):
            law.feature_probability = 0.5
        with pytest.raises(ValueError, match="read-only"):
            law.feature_probability[0] = 0.5


def test_a_run_with_settings_that_are_none_is_not_resumed():
    run = trained()
    run.settings["learning_rate"] = -5
    with pytest.raises(ValueError, match="learning_rate"):
        tm.resume(run, steps=1, progress=False)


# -- long work shows a bar ------------------------------------------------------------------------

@pytest.mark.parametrize("call, bars", [
    (lambda: tm.strongest_attack(STACK[0], np.ones((2, 3)), LAW, 0.1, steps=2, progress=True),
     "attack: 100%"),
    (lambda: tm.adversarial_loss(STACK, LAW, samples=8, progress=True), "attacks: 100%"),
    (lambda: tm.vulnerability(STACK, LAW, samples=8, progress=True), "attacks: 100%")])
def test_attacks_show_a_bar(call, bars, capsys):
    call()
    assert bars in capsys.readouterr().err


# -- sentences where there were raw errors --------------------------------------------------------

CLAIM = tm.Claim("a-claim", "Section", "It is so.", lambda runs: [r["y"] for r in runs], 0.0, 1.0)
EXPERIMENT = tm.experiments["introduction"]
CERTIFICATE = tm.load_atlas()[0].certificate


@pytest.mark.parametrize("call, words", [
    (lambda: CLAIM.check(3), "runs must be a list"),
    (lambda: CLAIM.check([{"x": 1}]), "cannot be measured on these runs: KeyError: 'y'"),
    (lambda: EXPERIMENT.jobs(64), "settings must be a dictionary, got 64"),
    (lambda: EXPERIMENT.jobs({"seeds": "x"}), "seeds must be an integer"),
    (lambda: EXPERIMENT.jobs(EXPERIMENT.settings(changes={"seeds": 10**400})), "seeds is too"),
    (lambda: tm.sweep(len, np.array(3), "out"), "jobs must be an iterable of dictionaries"),
    (lambda: EXPERIMENT.settings(changes=0.5), "changes must be a dictionary"),
    (lambda: LAW.target("x"), "x must be an array of real numbers"),
    (lambda: tm.ReluOutput.init(3, 2).astype(np.ones(3)), "dtype must be float32 or float64"),
    (lambda: LAW.sample(np.random.default_rng(0), 2, dtype=np.ones(3)), "dtype must be float32"),
    (lambda: tm.check_certificate("\0"), "there is no file"),
    (lambda: STACK[[[1, 2], [3]]], "index must be real numbers"),
    (lambda: tm.certify(STACK[0], MASKED), "MaskedArray is a class of its own"),
    (lambda: CERTIFICATE.save("\ud800"), "path must be a path that can be encoded"),
    (lambda: CERTIFICATE.save(3), "path must be a path"),
    (lambda: tm.Claim("a", "S", "It.", len, 0, decided_by=np.nan), "decided_by .* must be words"),
    (lambda: tm.Claim("a", "S", "It.", len, 0, control=[1]), "control .* must be None, a function"),
    (lambda: tm.Claim("a", "S", "It.", len, "x"), "must be a real number, got 'x'")])
def test_what_is_wrong_is_said(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


# -- what is written is whole or absent, and takes the place of files alone -----------------------

def test_a_certificate_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "c.json"
    path.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot write .*No space left"):
        CERTIFICATE.save(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["c.json"]


def test_a_certificate_replaces_no_pipe_and_follows_links(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="cannot write .*only regular files are replaced"):
        CERTIFICATE.save(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "c.json")
    CERTIFICATE.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and tm.check_certificate(tmp_path / "c.json")


@pytest.mark.parametrize("verb", ["check", "show"])
def test_a_command_reads_files_alone(tmp_path, verb, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert main([verb, str(tmp_path / "pipe")]) == 2
    assert "is a device or a pipe" in capsys.readouterr().err


def test_an_atlas_is_read_from_files_alone(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="cannot read .*is a device or a pipe"):
        tm.load_atlas(tmp_path)
    with pytest.raises(ValueError, match="folder must be a path that is not empty"):
        tm.load_atlas("")


@pytest.mark.parametrize("text", ["{}", "[]", "null", "3", "[3]", "[[]]", "[{}]", '{"a": 1}'])
def test_an_atlas_is_a_list_of_entries(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match="holds no atlas"):
        tm.load_atlas(tmp_path)


def test_an_atlas_has_entries_that_can_be_put_in_order(tmp_path):
    e = {"n_features": 1, "n_hidden": 1, "feature_probability": "1/2", "name": "", "kind": "",
         "loss": 1, "norms": [], "biases": [], "certificate": None, "reason": ""}
    (tmp_path / "other.json").write_text(json.dumps([e, e | {"n_features": "two"}]))
    with pytest.raises(ValueError, match="holds no atlas"):
        tm.load_atlas(tmp_path)


# -- interrupted at any moment --------------------------------------------------------------------

class Interrupter:
    """Raises KeyboardInterrupt at the n-th line that runs in files of the package; without n it
    counts them, downwards. Never as the `with` of a lock is left, which a trace sees as a line and
    where no signal is delivered: the lock would stay taken.
    """

    def __init__(self, after=0):
        self.left, self.due = after, False

    def __call__(self, frame, event, argument):
        if "toymodels_np" not in frame.f_code.co_filename:
            return None
        if event == "line":     # what is raised elsewhere, as a generator is closed, may be dropped
            self.left -= 1
            self.due |= self.left == 0
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if self.due and not line.strip().startswith("with _lock"):
                self.due = False
                raise KeyboardInterrupt
        return self

    def __enter__(self):
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(None)


def lines_of(call):
    """How many lines an interrupter sees once everything is loaded."""
    call()
    with Interrupter() as counting:
        call()
    return -counting.left


def square(job):
    return {"y": job["x"] ** 2}


def sweep_squares(folder):
    return tm.sweep(square, [{"x": x} for x in range(6)], folder / "out", progress=False,
                    version="1")


@pytest.fixture(scope="module")
def lines_of_a_sweep(tmp_path_factory):
    return lines_of(lambda: sweep_squares(tmp_path_factory.mktemp("sweep")))


# A file that was just opened, and not yet put into its `with`, is closed by the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning",
                            "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", range(8))
def test_a_sweep_interrupted_anywhere_keeps_what_was_finished(tmp_path, lines_of_a_sweep, number):
    after = random.Random(number).randrange(1, lines_of_a_sweep)
    with pytest.raises(KeyboardInterrupt), Interrupter(after):
        sweep_squares(tmp_path)
    gc.collect()
    kept = len(list((tmp_path / "out").glob("??/*.npz")))
    report = sweep_squares(tmp_path)
    assert (report.found, report.computed, report.damaged) == (kept, 6 - kept, 0)
    assert sorted(tm.load_sweep(tmp_path / "out")["y"].tolist()) == [0, 1, 4, 9, 16, 25]
    files.clear_leftovers(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tmp"))


def gives_half(job):
    """As find_minimum does: what was found so far is the result."""
    try:
        signal.raise_signal(signal.SIGINT)
        return {"y": 1.0}
    except KeyboardInterrupt:
        return {"y": 0.5}


def test_half_the_work_of_an_interrupted_job_is_not_kept(interrupts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tm.sweep(gives_half, [{"x": 1}, {"x": 2}], tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("??/*.npz"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nor_is_that_of_a_worker_of_ones_own_pool_which_hears_ctrl_c_too(tmp_path):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), signal.signal,
                             (signal.SIGINT, signal.default_int_handler)) as pool:
        with pytest.raises(KeyboardInterrupt):
            tm.sweep(gives_half, [{"x": 1}], tmp_path / "out", executor=pool, progress=False)
    assert not list((tmp_path / "out").glob("??/*.npz"))


@pytest.mark.parametrize("number, error", [(signal.SIGINT, KeyboardInterrupt),
                                           (signal.SIGTERM, shell.Terminated)])
@pytest.mark.parametrize("call", [
    lambda: tm.certify_global(tm.Features(2, 0.3), progress=False),
    lambda: uniform_geometry.shape_dimensionalities("triangle"),
    lambda: introduction.true_minimum(3, 2, 0.1, 0.9, 1),
    lambda: learning_dynamics.true_minimum(0.1, 1)], ids=["proof", "shape", "row 1", "row 12"])
def test_a_search_that_others_need_whole_gives_no_half(interrupts, monkeypatch, call, number,
                                                       error):
    """Alone, `find_minimum` answers an interrupt with its best point."""
    caught = []
    monkeypatch.setattr(minima, "newton", lambda *_, **__: signal.raise_signal(number))
    for kept in (uniform_geometry.shape_dimensionalities, introduction.true_minimum,
                 learning_dynamics.true_minimum):
        kept.cache_clear()

    def run(options):
        with pytest.raises(error) as caught_here:
            call()
        caught.append(caught_here)

    assert shell.exit_code(run, None) == 0 and len(caught) == 1


@pytest.fixture(scope="module", params=[
    lambda: tm.find_minimum(tm.Features(2, 0.1), 1, starts=2, progress=False).loss,
    lambda: tm.phase_diagram(2, 1, importance=[0.5], feature_probability=[0.1],
                             progress=False).loss.item()], ids=["minimum", "phases"])
def search(request):
    """(a search for a loss, its lines, the loss)."""
    return request.param, lines_of(request.param), request.param()


@pytest.mark.parametrize("number", range(4))
def test_an_interrupted_search_leaves_nothing_behind(search, number):
    """It ends with the interrupt or, from its first step on, with the best point so far."""
    call, lines, expected = search
    interrupter = Interrupter(random.Random(number).randrange(1, lines))
    with contextlib.suppress(KeyboardInterrupt), interrupter:
        assert call() >= expected
    assert interrupter.left <= 0
    assert call() == expected
