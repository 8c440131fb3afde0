"""The report has every claim with its number and control, escapes all, and needs no network."""

import base64
import re
import struct
import sys
import types
from html.parser import HTMLParser

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np import experiments, plots
from toymodels_np.cli import commands, parser as cli
from toymodels_np.experiments import command
from toymodels_np.experiments.base import Experiment
from toymodels_np.experiments.claims import NotMeasured
from toymodels_np.report import page
from toymodels_np.teaching import book, figures

# For the figures of chapters, which tests/test_book.py draws: so many bytes tell a picture's shape.
PICTURE = b"\x89PNG" + bytes(12) + struct.pack(">II", 30, 10)
HOSTILE = "<script>alert('&amp;')</script>"


def run(job):
    return {"y": job["steps"] * 1.0, "W": np.eye(2)}


def draw(runs):
    if runs[0]["word"] == "none":
        raise NotMeasured(f"there is nothing {HOSTILE}")
    return plots.gram_rows([each["W"] for each in runs], ["W"] * len(runs))


def not_measured(runs):
    raise NotMeasured(f"it speaks of {HOSTILE}")


def claim(name, **options):
    return tm.Claim(name, f"Section {HOSTILE}", f"It is {name} {HOSTILE}.",
                    options.pop("measure", lambda runs: [each["y"] for each in runs]), **options)


CLAIMS = (
    claim("held", low=1),
    claim("corrected", high=1, correction="it is {measured} " + HOSTILE, kind="ours"),
    claim("failed", low=10, kind="identity", control=f"none {HOSTILE}"),
    claim("open", low=0, measure=not_measured, expected=f"any {HOSTILE}"),
)
SETTINGS = {"steps": 3, "word": HOSTILE, "seeds": 2}
TINY = Experiment(
    "tiny",
    1,
    f"A tiny {HOSTILE}",
    f"Section {HOSTILE}",
    "01",
    SETTINGS,
    SETTINGS,
    run,
    draw,
    CLAIMS,
)


class Page(HTMLParser):
    """Ids, links, images, tags and words of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.words, self.tags, self.rows = (
            set(),
            [],
            [],
            [],
            set(),
            [],
        )
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)
        if tag == "tr" and "claim" in attributes.get("class", "").split():
            self.rows.append(attributes["class"].split())

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module", autouse=True)
def chapters_without_their_figures():
    """Figures take longer than all the rest, and chapters that have them are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "png", lambda name: PICTURE)
        book.rendered.cache_clear()
        yield
    book.rendered.cache_clear()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return command.run_rows([(TINY, SETTINGS)], tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def text(rows):
    return page(rows)


@pytest.fixture(scope="module")
def found(text):
    return Page(text)


def test_every_claim_stands_there_once_with_its_number_and_its_control(found):
    assert [names[1:] for names in found.rows] == [
        ["v0", "paper"],
        ["v1", "ours"],
        ["v2", "identity"],
        ["v3", "paper"],
    ]
    for name in ("held", "corrected", "failed", "open"):
        assert found.text.count(f"It is {name} {HOSTILE}.") == 1
    assert "0, does not reproduce" in found.text and f"none {HOSTILE}" in found.text
    assert (
        f"it is 3 {HOSTILE}" in found.text and f"not measured: it speaks of {HOSTILE}" in found.text
    )
    assert "The paper says" in found.text and "Theory says" in found.text and "We say" in found.text


def test_kinds_and_verdicts_are_counted_apart(found):
    said = found.text.replace("\xa0", " ")
    assert "the paper says so 2 ✓ 1 holds , ? 1 is undecided" in said
    assert "a theorem or an identity 1 ✗ 1 does not reproduce" in said
    assert "we add this 1 ≈ 1 holds with a correction" in said


def test_whatever_is_in_the_records_is_text(text, found):
    assert "<script" not in text and "script" not in found.tags
    assert "&lt;script&gt;" in text and "&amp;amp;" in text


def test_it_needs_no_network_and_its_links_lead_somewhere(text, found):
    assert not re.search(r"(src|href|url)\s*[=(]\s*['\"]?(https?:|//)", text)
    assert all(link[0] == "#" and link[1:] in found.ids for link in found.links)
    assert "#tiny" in found.links and "#chapter-01" in found.links
    image, *others = found.images
    shown = base64.b64encode(PICTURE).decode()
    assert len(others) >= 13 and all(other["src"].endswith(shown) for other in others)
    assert (
        image["src"].startswith("data:image/png;base64,")
        and TINY.title in image["alt"]
        and len(image["alt"]) > 60
    )


def test_the_filters_name_classes_that_rows_have(text, found):
    boxes = {name.removeprefix("show-") for name in found.ids if name and name.startswith("show-")}
    assert boxes == {name for names in found.rows for name in names} - {"claim"}
    for box in boxes:
        assert f"body:has(#show-{box}:not(:checked)) tr.{box} {{ display: none; }}" in text


def test_modes_and_a_figure_that_is_missing(tmp_path):
    rows = command.run_rows([(TINY, SETTINGS | {"word": "none"})], tmp_path, full=True)
    found = Page(page(rows, full=True))
    assert (
        "This is the full report" in found.text
        and f"There is no figure: there is nothing {HOSTILE}" in found.text
    )
    assert "python -m toymodels_np experiment tiny --full" in found.text
    assert all(TINY.title not in image["alt"] for image in found.images)    # those of chapters


def test_without_derivations_there_is_no_link_to_them(rows, monkeypatch, tmp_path):
    assert (book.derivations() / "00-notation.md").is_file()
    monkeypatch.setattr(book, "derivations", lambda: None)
    found = Page(page(rows))
    assert "#chapter-01" not in found.links and "chapter 01" in found.text
    assert "There are no chapters here: the chapters are not there" in found.text


def test_without_the_libraries_of_the_book_the_report_says_which(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    for cached in (book.parser, book.rendered):
        cached.cache_clear()
    found = Page(page(rows))
    assert 'pip install "toymodels_np[book]"' in found.text and "#chapter-01" not in found.links
    book.parser.cache_clear()


def test_the_command(tmp_path, monkeypatch, capsys):
    fake = types.ModuleType("toymodels_np.experiments.tiny")
    fake.EXPERIMENT = TINY
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    for place in (experiments, cli, commands):
        monkeypatch.setattr(place, "NAMES", ("tiny",))
    monkeypatch.setattr(book, "chapters", lambda: [])
    monkeypatch.setattr(book, "code", lambda: "")
    assert cli.main(["report", "--out", str(tmp_path)]) == 0
    assert "we add this: 1 claims" in capsys.readouterr().out
    assert "This is the quick report" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert cli.main(["report", "--full", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report-full.html").is_file()
