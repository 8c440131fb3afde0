"""The tutor: what it lists, remembers, copies and refuses, and what a learner sees."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toymodels_np.cli.parser import main
from toymodels_np.teaching import checker, draw, progress, script as script_module, tutor
from toymodels_np.teaching.child import load
from toymodels_np.teaching.records import EXERCISES, find

LOSS = "def loss(x, output, importance):\n    return {}\n"
RIGHT = LOSS.format("(importance * (x - output)**2).sum(1).mean()")
WRONG = LOSS.format("(importance * x - output)**2).sum(1).mean()".replace("(imp", "((imp"))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    progress.copy_out(folder)
    return folder


@pytest.fixture
def mine(given, tmp_path, monkeypatch):
    """A folder of exercises, and the working directory; files are judged in this process."""
    folder = tmp_path / "mine"
    shutil.copytree(given, folder)
    monkeypatch.chdir(folder)

    def judge(exercise, path):
        function, verdict = load(exercise, path)
        return verdict or checker.examine(exercise, function)

    monkeypatch.setattr(tutor, "judge_file", judge)
    return folder


def learn(capsys, *words):
    """(exit code, lines on stdout, stderr)."""
    try:
        code = main(["learn", *words])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_copies_are_those_that_are_given(given, capsys, tmp_path):
    for one in EXERCISES:
        assert (given / one.file).read_text(encoding="utf-8") == progress.original(one)
    assert json.loads((given / "progress.json").read_text()) == {}
    (tmp_path / "04_loss.py").write_text("my work")
    code, lines, _ = learn(capsys, "--copy", str(tmp_path))
    assert code == 0 and "1 were there already" in lines[0]
    assert (tmp_path / "04_loss.py").read_text() == "my work"


def test_the_list_shows_how_far_one_is(mine, capsys):
    code, lines, _ = learn(capsys)
    assert code == 0 and len(lines) == len(EXERCISES) + 2 and "next: 01_sampler.py" in lines[-1]
    (mine / "04_loss.py").write_text(RIGHT)
    assert learn(capsys, "loss")[0] == 0
    assert learn(capsys, "skip")[1] == ["01_sampler is skipped; next: 02_moments.py"]
    _, lines, _ = learn(capsys)
    assert lines[3].startswith("[x] 04_loss") and lines[0].startswith("[-] 01_sampler")
    assert "1 of 25 solved" in lines[-1] and "next: 02_moments.py" in lines[-1]


def test_success_says_what_was_shown_and_where_and_what_comes_next(mine, capsys):
    (mine / "04_loss.py").write_text(RIGHT)
    code, lines, _ = learn(capsys, "check", "04")
    assert code == 0 and " ".join(lines).startswith(
        f"04_loss is solved. {find(4).shown} The package does it in toymodels_np/core/models.py, ")
    assert lines[-1] == "Next: 05_backward.py"


def test_a_mistake_is_named_and_takes_the_mark_away(mine, capsys):
    (mine / "04_loss.py").write_text(RIGHT)
    learn(capsys, "loss")
    (mine / "04_loss.py").write_text(WRONG)
    code, lines, err = learn(capsys, "loss")
    assert code == 1 and len(lines) == 1 and err == ""
    assert "the importance multiplies x and not the error" in lines[0]
    assert progress.state(progress.load(mine), find(4)) == ""


def test_on_a_terminal_the_sentence_is_broken_between_words(mine, capsys, monkeypatch):
    (mine / "04_loss.py").write_text(RIGHT.replace(".sum(", ".mean("))
    _, plain, _ = learn(capsys, "loss")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, broken, _ = learn(capsys, "loss")
    assert len(plain) == 1 < len(broken) and " ".join(broken) == plain[0]
    assert max(map(len, broken)) <= script_module.WIDTH


def test_a_traceback_comes_after_the_sentence_and_only_if_it_is_asked_for(mine, capsys):
    (mine / "04_loss.py").write_text(LOSS.format("1 / 0"))
    _, lines, _ = learn(capsys, "loss")
    assert len(lines) == 1 and "ZeroDivisionError" in lines[0]
    _, more, _ = learn(capsys, "loss", "--traceback")
    assert more[0] == lines[0] and more[2].startswith("Traceback")
    assert any("04_loss.py" in line for line in more[3:])


def test_hints_come_one_after_the_other(mine, capsys):
    said = [learn(capsys, "hint", "7")[1][0] for _ in range(3)]
    assert find(7).hints[0] in said[0] and find(7).hints[1] in said[1] and said[1] == said[2]


def test_the_solution_is_the_source(mine, capsys):
    for one in EXERCISES:
        code, lines, _ = learn(capsys, "solution", str(one.number))
        assert code == 0 and any(one.line in line for line in lines)


def test_reset_keeps_what_was_there(mine, capsys):
    (mine / "04_loss.py").write_text(RIGHT)
    learn(capsys, "loss")
    code, lines, _ = learn(capsys, "reset", "loss")
    assert code == 0 and (mine / "04_loss.py.old").read_text() == RIGHT
    assert (mine / "04_loss.py").read_text(encoding="utf-8") == progress.original(find(4))
    assert progress.load(mine) == {}
    (mine / "04_loss.py").unlink()
    assert learn(capsys, "reset", "loss")[1] == ["04_loss.py is as it was given"]


def test_a_second_reset_loses_nothing(mine, capsys):
    path = mine / "04_loss.py"
    path.write_text(RIGHT)
    assert learn(capsys, "reset", "4")[1] == [
        "04_loss.py is as it was given; what you had is in 04_loss.py.old"]
    assert learn(capsys, "reset", "4")[1] == ["04_loss.py is as it was given"]
    for text, name in (("second", "04_loss.py.old.2"), ("third", "04_loss.py.old.3")):
        path.write_text(text)
        assert learn(capsys, "reset", "4")[1][0].endswith(f"what you had is in {name}")
        assert (mine / name).read_text() == text
    assert (mine / "04_loss.py.old").read_text() == RIGHT


def test_what_a_killed_check_has_left_goes(mine, capsys):
    left = mine / ".0123456789abcdef.tmp"
    left.write_bytes(b"half a file")
    assert learn(capsys, "skip", "03")[0] == 0
    assert not left.exists() and progress.load(mine)["03_forward"]["state"] == "skipped"


@pytest.mark.parametrize("verb", ["reset", "solution"])
def test_what_nobody_wants_by_accident_needs_a_name(mine, capsys, verb):
    (mine / "01_sampler.py").write_text("my work")
    code, lines, err = learn(capsys, verb)
    assert code == 2 and lines == [] and err.startswith(f"error: {verb} needs the name of an ")
    assert (mine / "01_sampler.py").read_text() == "my work"


def test_the_report_tabulates_folders(mine, capsys, given):
    (mine / "04_loss.py").write_text(RIGHT)
    for words in (["loss"], ["skip", "1"], ["hint", "2"], ["hint", "2"]):
        learn(capsys, *words)
    code, lines, _ = learn(capsys, "--report", str(mine), str(given))
    assert code == 0 and lines[0].split() == ["folder", "exercises", "solved", "skipped", "hints",
                                             "next"]
    assert lines[1].split() == [str(mine), "-..x" + "." * 21, "1", "1", "2", "02_moments"]
    assert lines[2].split() == [str(given), "." * 25, "0", "0", "0", "01_sampler"]


def test_watching_checks_at_every_save_and_goes_on(mine, capsys):
    def saves():
        path = mine / "04_loss.py"
        yield {(2, str(mine / "05_backward.py"))}           # another file: nothing is said
        path.write_text(WRONG)
        yield {(2, str(path))}
        path.write_text(RIGHT)
        yield {(2, str(path)), (2, str(mine / "progress.json"))}
        learn_by_heart()
        yield {(2, str(mine / "01_sampler.py"))}
        raise AssertionError("all is solved, and the tutor goes on watching")

    def learn_by_heart():
        (mine / "01_sampler.py").write_text(
            "import numpy as np\ndef sample(p, batch_size, seed):\n"
            "    rng = np.random.default_rng(seed)\n    shape = batch_size, len(p)\n"
            "    return (rng.random(shape) < p) * rng.random(shape)\n")
        for one in EXERCISES[1:]:
            progress.remember(mine, one, True)

    assert tutor.watch(mine, find(4), changes=saves()) == 0
    out = capsys.readouterr().out
    told = ["Watching 04_loss.py", "not written yet", "the importance multiplies x",
            "04_loss is solved", "Watching 01_sampler.py now", "01_sampler is solved",
            "All exercises are solved."]
    places = [out.index(one) for one in told]
    assert places == sorted(places) and out.count("not written yet") == 1


def test_ctrl_c_says_how_to_go_on(mine, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("watchfiles.watch", interrupted)
    code, lines, err = learn(capsys, "--watch")
    assert code == 130 and "not written yet" in lines[1]
    assert err == ("interrupted: what is solved is kept; go on with: "
                   "python -m toymodels_np learn --watch\n")


def test_what_to_type_next_names_the_folder_if_it_is_another(mine, capsys, monkeypatch):
    monkeypatch.chdir(mine.parent)
    mine.rename("my own")
    for words, said in (((), "01"), (("hint",), "hint 01")):
        _, lines, _ = learn(capsys, "--dir", "my own", *words)
        assert f"python -m toymodels_np learn --dir 'my own' {said}" in lines[-1]
    monkeypatch.chdir("my own")
    assert learn(capsys)[1][-1].endswith("check it with: python -m toymodels_np learn 01")


BAD = ["nothing", "0", "26", "hint nothing", "solution 99", "reset -- -1", "skip 1 2", "1 2",
       "check 1 2 3", "hint 1 2", "--watch 1 2", "--watch nothing", "--dir nowhere",
       "--dir nowhere 1", "--copy x --report y", "--copy x 1", "--copy", "--report",
       "--report nowhere", "--report . nowhere", "--report . --watch", "--copy x --watch",
       "--nothing", "--dir", "hint ''", "solution x.py", "check check", "hint hint",
       "--copy 04_loss.py", "--copy /dev/null/x", "--copy 04_loss.py/x", "--dir 04_loss.py 4",
       "--report 04_loss.py", "--traceback=1", "--watch=1", "99999999999", "07_dimensionality.txt"]


@pytest.mark.parametrize("words", BAD)
def test_a_bad_command_is_one_line_and_exit_code_2(mine, capsys, words):
    code, lines, err = learn(capsys, *(word.strip("'") for word in words.split()))
    assert code == 2 and lines == [] and err.count("\n") == 1 and err.startswith("error: ")


DAMAGED = ["", "{", "[]", "null", "3", '"x"', '{"04_loss": 1}', '{"04_loss": {}}', "\0",
           '{"04_loss": {"state": "done", "hints": 0}}', '{"x": {"state": "", "hints": 0}}',
           '{"04_loss": {"state": "", "hints": 7}}', '{"04_loss": {"state": [], "hints": 0}}',
           "[" * 10_000, '{"04_loss": {"state": "", "hints": {}}}']


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_progress_is_one_line(mine, capsys, text):
    (mine / "progress.json").write_text(text)
    for words in ((), ("hint", "1"), ("--report", ".")):
        code, lines, err = learn(capsys, *words)
        assert code == 2 and "is damaged; delete it" in err and err.count("\n") == 1
    (mine / "progress.json").unlink()
    assert learn(capsys)[0] == 0


@pytest.mark.parametrize("kind", ["missing", "folder", "unreadable", "binary"])
def test_a_file_that_is_none_is_a_sentence(mine, capsys, kind):
    path = mine / "04_loss.py"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "unreadable":
        path.symlink_to(path)
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    code, lines, err = learn(capsys, "4")
    assert code == 1 and len(lines) == 1 and lines[0].startswith("04_loss.py ") and err == ""


@pytest.mark.parametrize("module", ["hypothesis", "watchfiles"])
def test_a_missing_library_is_a_sentence_that_names_the_extra(mine, capsys, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    draw.drawn.cache_clear()
    (mine / "04_loss.py").write_text(RIGHT)
    words = ("--watch", "4") if module == "watchfiles" else ("4",)
    code, lines, err = learn(capsys, *words)
    assert code == 2 and "toymodels_np[learn]" in err and err.count("\n") == 1 and lines == []
    assert learn(capsys)[0] == 0                            # listing needs neither


# -- as a learner does it

def script(path, *words, **more):
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root} | more
    done = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True,
                          env=environment, cwd=path.parent)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_file_checks_itself(given, tmp_path):
    path = tmp_path / "04_loss.py"
    shutil.copy(given / "04_loss.py", path)
    code, lines, err = script(path)
    assert (code, err) == (1, "") and len(lines) == 1 and "not written yet" in lines[0]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("raise NotImplementedError",
                                 "return (importance * (x - output)**2).sum(1).mean()"))
    code, lines, err = script(path)
    assert (code, err) == (0, "") and lines[0].startswith("04_loss is solved. ")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["04_loss.py"]


def test_nothing_warns_where_warnings_are_errors(given, tmp_path):
    shutil.copy(given / "04_loss.py", tmp_path)
    code, lines, err = script(tmp_path / "04_loss.py", PYTHONWARNINGS="error")
    assert (code, err) == (1, "") and "not written yet" in lines[0]


def test_a_file_shows_what_its_function_prints(given, tmp_path):
    path = tmp_path / "04_loss.py"
    text = (given / "04_loss.py").read_text(encoding="utf-8")
    path.write_text(text.replace("raise NotImplementedError", "print('x is', x); return 17.0"))
    code, lines, err = script(path)
    assert (code, err) == (1, "") and "with x = [[0]], " in lines[0]
    assert lines[1:] == ["", "The last lines that loss printed then:", "", "    x is [[0.]]"]
    path.write_text(text.replace("raise NotImplementedError",
                                 "print(x); return (importance * (x - output)**2).sum(1).mean()"))
    assert script(path)[1][0].startswith("04_loss is solved. ")


def test_a_script_without_hypothesis_names_the_extra(given, tmp_path):
    path = tmp_path / "04_loss.py"
    shutil.copy(given / "04_loss.py", path)
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "hypothesis.py").write_text("raise ImportError('gone')")
    code, lines, err = script(path, PYTHONPATH=os.pathsep.join(
        [str(shadow), str(Path(__file__).parents[1])]))
    assert code == 2 and lines == [] and err.count("\n") == 1 and "toymodels_np[learn]" in err


def test_a_file_of_another_name_is_refused(given, tmp_path):
    shutil.copy(given / "04_loss.py", tmp_path / "mine.py")
    code, lines, err = script(tmp_path / "mine.py")
    assert code == 2 and "keep the name" in err and err.count("\n") == 1
