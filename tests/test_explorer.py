"""The explorer without a browser: what it is made of, and what was solved once for it."""

import re
from pathlib import Path

import browser
import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.cli import parser as cli
from toymodels_np.experiments import phase_grids
from toymodels_np.teaching import book
from toymodels_np.teaching.explorer import page, solved

ROOT, FOLDER = Path(__file__).parents[1], Path(page.__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.js"))
WIDTH, LONGEST = 100, 45            # columns of a line, lines of a function, as in Python
LARGEST = 6e6                       # bytes of the page, at most
SIDE = 5                            # squared: cells of each grid that are solved anew


# -- the scripts ----------------------------------------------------------------------------------

def functions(text):
    """(first line, length) of every function of a script: from its head to the brace in line."""
    lines, found = text.splitlines(), []
    for i, line in enumerate(lines):
        if re.search(r"(function\*?( \w+)?\(.*\)|=>|^ {2,4}\w+\(.*\)) \{$", line):
            indent = len(line) - len(line.lstrip())
            end = next(j for j in range(i + 1, len(lines))
                       if lines[j].strip() and len(lines[j]) - len(lines[j].lstrip()) <= indent)
            found.append((line.strip(), end - i + 1))
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_keep_the_rules_of_the_house(path):
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    whole = ("const " + path.stem, "(() => {")          # the file itself is a function
    assert [each for each in functions(text)
            if each[1] > LONGEST and not each[0].startswith(whole)] == []
    assert text.startswith("/* ") and "var " not in text and "TODO" not in text


def test_long_functions_are_seen():
    body = "  function f(x) {\n" + "    g();\n" * 44 + "  }\n"
    assert functions(body) == [("function f(x) {", 46)]
    assert functions("  const f = (x) => {\n    g();\n  };\n") == [("const f = (x) => {", 3)]


def test_equations_that_scripts_cite_are_there():
    tags = set()
    for chapter in book.derivations().glob("*.md"):
        tags |= set(book.TAG.findall(chapter.read_text(encoding="utf-8")))
    cited = {path.name: set(book.NUMBER.findall(path.read_text(encoding="utf-8")))
             for path in SCRIPTS}
    assert {name: numbers - tags for name, numbers in cited.items() if numbers - tags} == {}
    assert {"4.1", "4.3", "4.6", "4.7", "4.8", "4.9", "4.10", "5.1", "5.2"} <= cited["exact.js"]


# -- the page -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def text(tmp_path_factory):
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    path.write_text("<!DOCTYPE html>\nan earlier page")     # which is replaced
    assert cli.main(["explorer", "--out", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def test_the_page_is_one_file_that_loads_nothing(text):
    assert len(text.encode()) <= LARGEST and text.startswith("<!DOCTYPE html>")
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=[\"'](?!#|data:)", own) == []
    assert re.findall(r"<script[^>]*\bsrc=", text) == [] and "@import" not in text
    assert "NaN" not in own and "/home/" not in text and str(Path.cwd()) not in text


def test_every_place_of_the_page_is_filled(text):
    assert len(re.findall(r'<div id="[\w-]+" data-root-id="\w+"', text)) >= 30
    for path in SCRIPTS:
        assert path.read_text(encoding="utf-8") in text


@pytest.mark.parametrize("name, begin, said", [
    ("page.txt", None, "must end in .html"), ("mine.html", "my own notes", "no page")])
def test_what_is_no_page_is_not_replaced(name, begin, said, tmp_path, capsys):
    path = tmp_path / name
    if begin:
        path.write_text(begin)
    assert cli.main(["explorer", "--out", str(path)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert (path.read_text() if begin else path.exists()) == (begin or False)


def test_without_bokeh_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bokeh.embed", None)
    assert cli.main(["explorer", "--out", str(tmp_path / "x.html")]) == 2
    err = capsys.readouterr().err
    assert "toymodels_np[explorer]" in err and err.count("\n") == 1


# -- what was solved once -------------------------------------------------------------------------

@pytest.mark.parametrize("grid", solved.GRIDS, ids=lambda grid: grid.name)
def test_minima_of_drawn_cells_are_those_that_a_search_finds(grid):
    model, features = solved.minima(grid), grid.features()
    assert model.instances == (grid.cells,) * 2 and grid.cells >= 100
    assert phase_grids.steepest(model, grid) <= phase_grids.STATIONARY
    rows, columns = (np.sort(np.random.default_rng(grid.n + k).choice(grid.cells, SIDE, False))
                     for k in (0, 10))
    found = tm.phase_diagram(grid.n, grid.m, importance=grid.importance[rows],
                             feature_probability=grid.probability[columns])
    for r, c in np.ndindex(SIDE, SIDE):
        law = features[int(rows[r] * grid.cells + columns[c])]
        here = tm.ReluOutput(model.W[rows[r], columns[c]], model.b[rows[r], columns[c]])
        loss = tm.expected_loss(here, law)
        assert loss == pytest.approx(found.loss[r, c], rel=1e-7, abs=1e-12)
    assert loss == pytest.approx(tm.find_minimum(law, grid.m, starts=4).loss, rel=1e-7)


def test_lines_are_what_theory_says():
    lines = {line["name"]: line for line in solved.kept()[1]["lines"]}
    assert list(lines) == [line.name for line in solved.KNOWN]
    for line in solved.KNOWN:
        kept = lines[line.name]
        assert (kept["n"], kept["m"], kept["vary"]) == (line.n, line.m, line.vary)
        for name, curve in kept["curves"].items():
            here = tm.ReluOutput(np.array(curve["W"]), np.array(curve["b"]))
            loss = tm.expected_loss(here, line.law(curve["at"]))
            at = np.argmin(abs(np.array(curve["values"]) - curve["at"]))
            best = energies.local_minimum(here.W, here.b, line.law(curve["at"]).feature_probability,
                                          line.law(curve["at"]).importance).loss
            assert curve["loss"][at] == pytest.approx(loss, rel=1e-9), name
            assert loss == pytest.approx(best, rel=1e-9) and tm.name_geometry(here.W) == name


@pytest.mark.parametrize("name", ["importance", "all"])
def test_crossings_and_limits_have_ten_digits(name):
    known = next(line for line in solved.KNOWN if line.name == name)
    kept = next(line for line in solved.kept()[1]["lines"] if line["name"] == name)
    first, second = kept["crossings"][0]["branches"]
    _, _, low, high = known.crossings[0]
    models = [solved.closed(each, known.law(known.at[each]))[0] for each in (first, second)]
    point = tm.critical_point(*models, tm.Parameter(known.law, low, high))
    assert kept["crossings"][0]["value"] == pytest.approx(point.value, rel=1e-10)
    branch, low, high = known.limits[0]
    limit = tm.stability_limit(models[0], tm.Parameter(known.law, low, high))
    mine = kept["limits"][0]
    assert (mine["branch"], mine["kind"]) == (branch, limit.kind) and branch == first
    assert mine["value"] == pytest.approx(limit.value, rel=1e-10)


@pytest.mark.parametrize("name", ["all", "solid"])
def test_limits_do_not_depend_on_the_step_of_differences(name):
    line = next(line for line in solved.KNOWN if line.name == name)
    kept = next(line for line in solved.kept()[1]["lines"] if line["name"] == name)
    for limit in kept["limits"]:
        other = solved.sharper(line, limit["branch"], limit["value"], step=2 * solved.STEP)
        assert limit["value"] == pytest.approx(other, rel=5e-11)


def test_a_life_is_the_flow_of_the_package():
    arrays, lines = solved.kept()
    features = tm.Features(6, solved.LIFE_P, correlated=solved.SETS)
    for kind in ("flow", "training"):
        W, loss = arrays[f"{kind}_W"], arrays[f"{kind}_loss"]
        assert W.shape == (len(loss), 3, 6) and len(loss) > 100
    assert (np.diff(arrays["flow_loss"]) <= 1e-7).all()
    end = lines["plateaus"][-1]
    assert end["index"] == 0 and len(lines["plateaus"]) >= 3
    assert arrays["flow_loss"][-1] == pytest.approx(end["loss"], rel=1e-5)
    assert end["loss"] < arrays["training_loss"].min() < 1.1 * end["loss"]
    start = tm.ReluOutput(solved.SCALE * np.random.default_rng(solved.SEED).normal(size=(3, 6)),
                          np.zeros(6))
    early = tm.gradient_flow(start, features, t_final=20)
    for t, loss in list(zip(arrays["flow_at"], arrays["flow_loss"]))[::20]:
        if t < 20:
            near = np.interp(np.log(t), np.log(early.times[1:]), early.losses[1:])
            assert loss == pytest.approx(near, rel=2e-3)
    for kind, shapes in lines["shapes"].items():
        assert len(shapes) == len(arrays[f"{kind}_loss"])
        for i in range(0, len(shapes), 40):
            assert shapes[i] == tm.name_geometry(arrays[f"{kind}_W"][i])


def test_tasks_can_be_done_and_are_not_done_at_the_start():
    for task in page.tasks():
        law, n = tm.Features(task["n"], task["p"]), task["n"]
        lowest = tm.find_minimum(law, task["m"], starts=8).loss
        if "below" in task:
            assert lowest < task["below"] < (law.importance * law.active_probability / 3).sum()
        else:
            polygon = energies.polygon(n, task["p"]).loss
            assert lowest < task["above"] < polygon


# -- the browser ----------------------------------------------------------------------------------

@pytest.mark.parametrize("value, outcome", [("required", "Failed"), ("", "Skipped")])
def test_without_a_browser_tests_fail_where_it_is_required(monkeypatch, value, outcome):
    monkeypatch.setenv(browser.REQUIRED, value)
    monkeypatch.setattr(browser, "CHROMIUM", Path("/nowhere/chromium"))
    with pytest.raises(BaseException) as caught, browser.chromium():
        pass
    assert type(caught.value).__name__ == outcome
    assert f"{browser.REQUIRED}=required" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
