"""Experiments from words: settings are checked, controls run, files are written, code counts."""

import json
import os
import runpy
import signal
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np import experiments, plots
from toymodels_np.cli import commands, parser as cli
from toymodels_np.experiments import command
from toymodels_np.experiments.base import FIRST_SEED, Experiment
from toymodels_np.experiments.claims import NotMeasured, requires

ROWS = tuple(experiments.NAMES)     # those of the package, of which the tests see none but `tiny`
ASKED = []                          # (seed, steps) of each run that `stopped_once` was asked for


def run(job):
    """Numbers that grow with the seed, unless there are no steps."""
    if job["x"] > 99:
        raise ArithmeticError("too much")
    return {"y": job["x"] * job["steps"] * (job["seed"] % 1000 + 1), "W": np.eye(2)}


def stopped_once(job):
    """As `run`, but Ctrl-C comes while the second of all runs is computed."""
    ASKED.append((job["seed"], job["steps"]))
    if len(ASKED) == 2:
        signal.raise_signal(signal.SIGINT)
    return run(job)


def draw(runs):
    requires(runs, word="text")
    return plots.gram_rows([each["W"] for each in runs], ["W"] * len(runs))


def measure(runs):
    return [each["y"] for each in runs]


def special(runs):
    requires(runs, x=2)
    return measure(runs)


CLAIMS = (
    tm.Claim("grows", "Section", "It grows & <b>grows</b>.", measure, low=1),
    tm.Claim(
        "corrected",
        "Section",
        "It is small.",
        measure,
        high=1,
        summary="largest",
        kind="ours",
        correction="it is {measured}",
        control="there is none here",
    ),
    tm.Claim("fails", "Section", "It is large.", measure, low=1000, kind="identity"),
    tm.Claim("special", "Section", "At x = 2 it is so.", special, low=1),
)
SETTINGS = {"x": 2, "steps": 3, "word": "text", "list": [1.5, 2], "seeds": 3}
TINY = Experiment("tiny", 1, "A tiny <experiment>", "Section", "01", SETTINGS, SETTINGS | {"x": 4},
                  run, draw, CLAIMS, animate=lambda runs: "<p>moves</p>")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The only experiment that there is."""
    module = types.ModuleType("toymodels_np.experiments.tiny")
    module.EXPERIMENT = TINY
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for place in (experiments, cli, commands):
        monkeypatch.setattr(place, "NAMES", ("tiny",))


def call(out, *words, verb=("experiment", "tiny")):
    try:
        return cli.main([*verb, "--out", str(out), *map(str, words)])
    except SystemExit as stop:
        return stop.code


def record(out):
    return json.loads((out / "tiny.json").read_text())


def test_a_run_prints_verdicts_and_leaves_its_files(tmp_path, capsys):
    assert call(tmp_path) == 0
    said = capsys.readouterr().out
    assert "grows (paper): 12 (median of 3, 6 to 18), expected at least 1" in said
    assert "control: 0, does not reproduce" in said and "control: there is none here" in said
    assert "holds with a correction  corrected (ours)" in said and "it is 18" in said
    found = record(tmp_path)
    assert found["settings"] == SETTINGS and found["first_seed"] == FIRST_SEED and not found["full"]
    assert [claim["verdict"] for claim in found["claims"]] == [
        "holds", "holds with a correction", "does not reproduce", "holds"]
    assert [claim["control"] for claim in found["claims"]] == [0.0, None, 0.0, 0.0]
    assert {"name", "row", "section", "kind", "measured", "control", "control_reason", "expected",
            "verdict"} <= set(found["claims"][0])
    assert (tmp_path / "tiny.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "tiny.html").read_text() == "<p>moves</p>"


def test_settings_from_words(tmp_path, capsys):
    assert (
        call(tmp_path, "--set", "x=5", "--set", "list=[3]", "--seeds", 2, "--first-seed", 2000) == 0
    )
    found = record(tmp_path)
    assert found["settings"] == SETTINGS | {"x": 5, "list": [3], "seeds": 2}
    assert found["claims"][0]["spread"] == [15, 30]
    assert "undecided                special (paper): not measured: the claim speaks of x = 2" in \
        capsys.readouterr().out
    assert (
        call(tmp_path, "--full", "--set", "steps=1") == 0 and record(tmp_path)["settings"]["x"] == 4
    )
    assert record(tmp_path)["claims"][0]["spread"] == [4, 12] and record(tmp_path)["full"]


def test_a_figure_that_cannot_be_drawn_is_no_error(tmp_path, capsys):
    assert call(tmp_path, "--set", "word=other") == 0
    assert "no figure: the claim speaks of word = text" in capsys.readouterr().out
    assert record(tmp_path)["claims"][0]["verdict"] == "holds"


def test_the_file_of_a_row_does_the_same(tmp_path, capsys):
    command.main("tiny", ["--out", str(tmp_path / "a"), "--set", "x=3"])
    first = capsys.readouterr().out.replace(str(tmp_path / "a"), "OUT")
    assert call(tmp_path / "b", "--set", "x=3") == 0
    assert capsys.readouterr().out.replace(str(tmp_path / "b"), "OUT") == first
    assert record(tmp_path / "a") == record(tmp_path / "b")
    with pytest.raises(SystemExit) as stop:
        command.main("tiny", ["--set", "y=3", "--out", str(tmp_path)])
    assert stop.value.code == 2


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", ROWS)
def test_the_file_of_each_row_of_the_package_is_a_command(name, capsys, monkeypatch):
    module = f"toymodels_np.experiments.{name.replace('-', '_')}"
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.setenv("COLUMNS", "100")            # the sentence stays on one line
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(module, run_name="__main__")
    said = capsys.readouterr()
    assert stop.value.code == 0 and said.err == ""
    assert f"Run the experiment {name} and check its claims." in said.out


@pytest.mark.parametrize("words, said", [
    ("--set wrod=3", "unknown setting 'wrod' for tiny: did you mean 'word'?"),
    ("--set zzz=3", "known are x, steps, word"), ("--set x", "KEY=VALUE, got 'x'"),
    ("--set =3", "KEY=VALUE"), ("--set x=1 --set x=2", "gives 'x' twice"),
    ("--set x=many", "'x' must be a whole number"), ("--set x=true", "'x' must be a whole number"),
    ("--set x=1.5", "'x' must be a whole number, such as"),
    ("--set x=NaN", "finite numbers, got NaN"), ("--set x=Infinity", "finite numbers"),
    ("--set word=3", "'word' must be text"), ("--set list=3", "'list' must be a list"),
    ("--set list=" + "[" * 9999, "nested too deeply"), ("--seeds 0", "--seeds must be at least 1"),
    ("--seeds 2 --set seeds=3", "say the same thing"),
    ("--set seeds=0", "seeds must be a whole number"),
    ("--first-seed -1", "--first-seed must be at least 0"), ("--workers 0", "--workers must be"),
    ("--quick --full", "not allowed with"), ("--seeds x", "invalid int"),
    ("--set x=-1", "the setting 'x' must be at least 0, got -1"),
    ("--set x=100", "6 of 6 runs failed, the first with ArithmeticError: too much"),
])
def test_bad_words_are_one_line(tmp_path, capsys, words, said):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        assert call(tmp_path, *words.split()) == 2
    captured = capsys.readouterr()
    assert (
        captured.err.startswith("error: ")
        and captured.err.count("\n") == 1
        and said in captured.err
    )


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path, capsys):
    for name in ("tiny.json", "tiny.png", "tiny.html"):
        out = tmp_path / name
        out.mkdir()
        os.mkfifo(out / name)
        assert call(out) == 2 and "is a device or a pipe" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == [name]              # nothing has run
    (tmp_path / "file").touch()
    assert call(tmp_path / "file") == 2 and "cannot write to" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_figure(tmp_path, capsys, monkeypatch):
    assert call(tmp_path) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("tiny.*")}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot write .*png: No space left on device"):
        command.save_figure(tmp_path / "tiny.png", draw([{"word": "text", "W": np.eye(3)}]))
    assert call(tmp_path) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.glob("tiny.*")} == before


def test_claims_of_all_rows(tmp_path, capsys):
    target = tmp_path / "claims.json"
    for _ in range(2):                                          # it may be written again
        assert call(tmp_path, "--json", target, verb=("claims",)) == 0
    records = json.loads(target.read_text())
    assert [each["name"] for each in records] == [claim.name for claim in CLAIMS]
    assert {(each["row"], each["experiment"]) for each in records} == {(1, "tiny")}
    assert (
        "the paper says so: 2 claims: 2 holds, 0 holds with a correction, 0 does not reproduce, "
        "0 undecided" in capsys.readouterr().out
    )


def test_an_outcome_never_stands_above_its_job(tmp_path):
    """A file that somebody has written says what it likes, but not what was asked."""
    from toymodels_np.store import chunks
    call(tmp_path)
    path = next((tmp_path / "runs-quick" / "tiny").glob("*/*.npz"))
    content = chunks.read(path)
    outcome = content.outcomes[0] | {"seed": "<script>", "x": "<b>"}
    work = chunks.work_text(content.function, [chunks.canonical(content.jobs[0])])
    chunks.write(path, work, content.code, [outcome])
    row, = command.run_rows([(TINY, SETTINGS)], tmp_path / "runs-quick")
    assert all(
        type(each["seed"]) is int and type(each["x"]) is int for each in row.runs + row.controls
    )


def test_runs_are_found_again_and_a_changed_row_is_run_anew(tmp_path, capsys, monkeypatch):
    for _ in range(2):
        assert call(tmp_path) == 0
        assert "other code" not in capsys.readouterr().out
    from toymodels_np.store import source
    monkeypatch.setattr(source, "__version__", "another")
    assert call(tmp_path) == 0
    assert "6 results of other code are in" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [("experiment", "tiny"), ("claims",), ("report",)], ids=" ".join)
def test_ctrl_c_keeps_the_runs_that_are_finished(interrupts, tmp_path, capsys, monkeypatch, verb):
    ASKED.clear()
    row = sys.modules["toymodels_np.experiments.tiny"]
    monkeypatch.setattr(row, "EXPERIMENT", replace(TINY, run=stopped_once))
    monkeypatch.setattr(commands, "page", lambda rows, *, full: "")    # tests/test_report.py has it
    folder = tmp_path / "runs-quick"
    assert call(tmp_path, verb=verb) == 130
    assert capsys.readouterr().err == (
        f"interrupted: finished runs are in {folder}; the same command goes on from there\n")
    assert ASKED == [(FIRST_SEED, 3), (FIRST_SEED + 1, 3)]
    assert call(tmp_path, verb=verb) == 0
    runs = [(FIRST_SEED + i, steps) for steps in (3, 0) for i in range(3)]      # 0 in the controls
    assert ASKED[2:] == runs[1:]


@pytest.mark.parametrize("verb", [("experiment", "tiny"), ("claims",), ("report",)], ids=" ".join)
def test_so_does_ctrl_c_while_verdicts_and_pages_are_written(interrupts, tmp_path, capsys,
                                                             monkeypatch, verb):
    monkeypatch.setattr(command, "measured", lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(commands, "page", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert call(tmp_path, verb=verb) == 130
    assert capsys.readouterr().err == (f"interrupted: finished runs are in "
                                       f"{tmp_path / 'runs-quick'}; the same command goes on from "
                                       f"there\n")


def test_control_runs_are_those_that_the_row_asks_for(tmp_path):
    none = replace(TINY, control={})
    row, = command.run_rows([(none, SETTINGS)], tmp_path)
    assert row.controls == [] and row.records[0]["control"] is None
    assert "no control runs" in row.records[0]["control_reason"]
    few = replace(TINY, control={"steps": 1, "seeds": 1})
    row, = command.run_rows([(few, SETTINGS)], tmp_path)
    assert [each["steps"] for each in row.controls] == [1] and row.records[0]["control"] == 2


def test_what_is_not_measured_is_an_exception_of_its_own():
    with pytest.raises(NotMeasured, match="speaks of x = 2, and the runs have 5"):
        special([{"x": 5, "y": 1}])
