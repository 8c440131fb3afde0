"""A claim's verdict is its bounds against its number; the report has every one of them, and needs nothing from outside."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, strategies as st

import toymodels_np as tm
from toymodels_np.cli import parser as cli, commands
from toymodels_np import experiments, plots as figures, report
from toymodels_np.experiments.claims import CORRECTED, FAILS, HOLDS
from toymodels_np.experiments import run_all
from toymodels_np.experiments.base import FIRST_SEED, Experiment

finite = st.floats(-1e6, 1e6)


def claim(measure=lambda runs: [run["y"] for run in runs], **options):
    return tm.Claim("grows", "Section", "It grows & grows.", measure, **{"low": 2, "high": 6} | options)


def square(job):
    if job["seed"] < 0:
        raise ArithmeticError("no square")
    return {"y": job["x"] * (job["seed"] - FIRST_SEED + 1), "W": np.eye(2)}


def draw(runs):
    return figures.gram_rows([run["W"] for run in runs], ["W"] * len(runs))


TINY = Experiment("tiny", 1, "A tiny <experiment>", "Section", "01", {"x": 2, "seeds": 3}, {"x": 3, "seeds": 4}, square, draw,
                  (claim(), claim(summary="largest", high=5, correction="it is {measured} exactly"),
                   claim(low=100, high=None)))


@pytest.fixture
def tiny(monkeypatch):
    for module in (experiments, report, commands, cli):
        monkeypatch.setattr(module, "EXPERIMENTS", {"tiny": TINY})
    return TINY


# -- verdicts --------------------------------------------------------------------------------------------------------

@given(numbers=st.lists(finite, min_size=1, max_size=9), low=finite, width=st.floats(0, 1e6),
       summary=st.sampled_from(["median", "mean", "smallest", "largest"]))
def test_a_claim_holds_if_and_only_if_its_number_lies_within_its_bounds(numbers, low, width, summary):
    record = claim(lambda runs: runs, low=low, high=low + width, summary=summary).check(numbers)
    assert (record["verdict"] == HOLDS) == (low <= record["measured"] <= low + width)
    assert record["spread"] == [min(numbers), max(numbers)] and record["count"] == len(numbers)
    slack = 1e-9 * (1 + max(map(abs, numbers)))
    assert min(numbers) - slack <= record["measured"] <= max(numbers) + slack


@pytest.mark.parametrize("options, verdict, said", [
    ({}, HOLDS, ""), ({"low": 5}, FAILS, ""), ({"high": 3}, FAILS, ""), ({"low": None, "high": 4}, HOLDS, ""),
    ({"low": 5, "correction": "it is {measured}"}, CORRECTED, "it is 4"), ({"correction": "never seen"}, HOLDS, ""),
])
def test_verdicts(options, verdict, said):
    record = claim(**options).check([{"y": 3}, {"y": 4}, {"y": 5}])
    assert (record["measured"], record["verdict"], record["correction"]) == (4, verdict, said)
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("numbers", [[], [np.nan], [1, np.inf]])
def test_no_number_is_an_error_and_not_a_verdict(numbers):
    with pytest.raises(ArithmeticError, match="'grows' measured .* no number"):
        claim(lambda runs: numbers).check([])


@pytest.mark.parametrize("bounds, words", [((2, None), "at least 2"), ((None, 3), "at most 3"), ((1, 1), "1"),
                                           ((1, 2), "1 to 2")])
def test_the_bounds_in_words(bounds, words):
    assert claim(low=bounds[0], high=bounds[1]).check([{"y": 1}])["expected"] == words


# -- experiments -----------------------------------------------------------------------------------------------------

def test_experiments_are_rows_of_one_table():
    rows = list(tm.experiments.values())
    assert [name for name in tm.experiments] == [row.name for row in rows]
    assert [row.row for row in rows] == list(range(1, 18))
    names = [each.name for row in rows for each in row.claims]
    assert len(set(names)) == len(names) >= 40
    for row in rows:
        assert row.claims and set(row.quick) == set(row.full) and json.loads(json.dumps(row.full)) == row.full
        for each in row.claims:
            assert each.sentence.endswith(".") and (each.low is not None or each.high is not None)
        assert list((report.DERIVATIONS).glob(f"{row.derivation}-*.md"))


def test_all_seeds_of_all_experiments_are_one_sweep(tmp_path, tiny):
    runs = run_all(["tiny"], tmp_path)["tiny"]
    assert [(run["x"], run["seed"] - FIRST_SEED, run["y"]) for run in runs] == [(2, 0, 2), (2, 1, 4), (2, 2, 6)]
    again = run_all(["tiny"], tmp_path)["tiny"]
    assert [run["seconds"] for run in again] == [run["seconds"] for run in runs]           # from the files
    assert len(run_all(["tiny"], tmp_path, full=True)["tiny"]) == 4
    assert [run["y"] for run in TINY.runs({"x": 5, "seeds": 2}, tmp_path / "own")] == [5, 10]


@pytest.mark.filterwarnings("ignore:.*failed:RuntimeWarning")
def test_a_run_that_fails_is_an_error_with_its_reason(tmp_path):
    with pytest.raises(RuntimeError, match="1 of 1 runs failed.*no square"):
        experiments.gather(square, [{"x": 1, "seed": -1}], tmp_path)


# -- the report ------------------------------------------------------------------------------------------------------

class Page(HTMLParser):
    """Ids, links, images and words of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.words = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes["src"])

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_has_every_claim_and_needs_no_network(tmp_path, tiny):
    runs = run_all(["tiny"], tmp_path)
    text = report.page(runs, report.check_all(runs))
    page = Page(text)
    words = " ".join(page.words)
    assert words.count("It grows & grows.") == 6 and "A tiny <experiment>" in words          # on top, and below
    assert all(verdict in words for verdict in (HOLDS, CORRECTED, FAILS)) and "it is 6 exactly" in words
    assert len(page.images) == 1 and page.images[0].startswith("data:image/png;base64,")
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links) and "#chapter-01" in page.links
    assert not re.search(r"(src|href)=['\"]?(https?:|//)", text) and "<script" not in text
    assert "python -m toymodels_np experiment tiny" in words


def test_the_commands(tmp_path, tiny, capsys):
    out = ["--out", str(tmp_path)]
    assert cli.main(["experiment", "tiny", *out]) == 0
    assert (tmp_path / "tiny.png").stat().st_size > 1000
    assert cli.main(["claims", *out, "--json", str(tmp_path / "claims.json")]) == 0
    records = json.loads((tmp_path / "claims.json").read_text())
    assert {"name", "section", "measured", "expected", "verdict"} <= set(records[0]) and len(records) == 3
    assert cli.main(["report", "--full", *out]) == 0
    assert "This is the full report" in (tmp_path / "report-full.html").read_text(encoding="utf-8")
    assert "holds with a correction" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["experiment", "experiment nothing", "experiment tiny --workers 0", "claims --json HERE/no/x",
                                   "claims --quick --full", "report --out HERE/file/out", "report extra",
                                   "phase --points 1", "phase --features 0", "phase --hidden 0", "phase --out HERE/x.gift",
                                   "phase --out HERE/no/x.png", "phase --points many", "experiment tiny --out"])
def test_bad_commands_are_one_line(tmp_path, tiny, capsys, words):
    (tmp_path / "file").touch()
    try:
        code = cli.main(words.replace("HERE", str(tmp_path)).split())
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2 and captured.err.startswith("error: ") and captured.err.count("\n") == 1
