"""The book is one page that needs no network: mathematics typeset, every link leads somewhere."""

import io
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from axes_of_p import dense_to_sparse
from browser import CHROMIUM, FLAGS, PATIENCE, chromium, missing

from toymodels_np.cli import parser as cli
from toymodels_np.teaching import book, figures
from toymodels_np.theory import energies

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "derivations").glob("*.md"))
PHONE, SCREENS = 390, (920, 1280)                               # pixels
VOID = {"meta", "img", "br", "hr", "link", "input", "mspace", "wbr"}


class Page(HTMLParser):
    """Ids, links, sources and prose of a page, and its tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.open = [], [], [], []
        self.wrong, self.prose, self.formulas, self.tags = [], [], 0, set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        self.formulas += tag == "math"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not {"pre", "code", "style"} & set(self.open):
            self.prose.append(data)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    out = tmp_path_factory.mktemp("book")
    assert cli.main(["book", "--out", str(out)]) == 0
    return (out / "book.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def tabs(text, tmp_path_factory):
    """The page as screens of several widths show it, {width: tab}."""
    path = tmp_path_factory.mktemp("tabs") / "book.html"
    path.write_text(text, encoding="utf-8")
    with chromium() as started:
        found = {width: started.new_page(viewport={"width": width, "height": 900})
                 for width in (PHONE, *SCREENS)}
        for tab in found.values():
            tab.goto(path.as_uri())
        yield found


def test_no_latex_is_left_and_all_of_it_is_mathml(page):
    prose = " ".join(page.prose)
    for raw in ("$", "\\", "{cases}", "\ue000", "\ue001", "\ue002", "\ue003"):
        assert raw not in prose, prose[max(0, prose.find(raw) - 60):][:120]
    written = 0
    for path in CHAPTERS:
        left = re.sub(r"^```.*?^```$|`[^`]*`", "", path.read_text(encoding="utf-8"),
                      flags=re.MULTILINE | re.DOTALL)
        written += len(re.findall(r"\$\$.+?\$\$|\$.+?\$", left, re.DOTALL))
    extra = sum(title.count("<math") for chapter in book.chapters()
                for _, title in chapter.sections)
    assert page.formulas == written + extra > 1000


def test_it_is_well_formed_and_asks_no_network(text, page):
    assert page.wrong == [] and page.open == []
    assert "script" not in page.tags and "link" not in page.tags
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?:|url\(|@import", re.sub(r'base64,[^"]*', "", text))


def test_every_anchor_is_there_once(page):
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} - set(page.ids) == set()


def test_every_equation_and_section_of_the_chapters_is_there(page):
    for path in CHAPTERS:
        prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"),
                       flags=re.MULTILINE | re.DOTALL)
        tags = re.findall(r"\\tag\{([^}]*)\}", prose)
        assert {f"eq-{tag}" for tag in tags} <= set(page.ids)
        sections = len(re.findall(r"^##+ ", prose, re.MULTILINE))
        assert sum(each.startswith(f"section-{path.name[:2]}-") for each in page.ids) == sections


def test_equations_and_code_link_to_each_other(text):
    """The lines are found here in another way: each line's own text, in comments or docstrings."""
    source = (ROOT / "toymodels_np/core/models.py").read_text(encoding="utf-8").splitlines()
    lines = [i for i, line in enumerate(source, 1) if re.search(r"#.*\(2\.8\)", line)]
    assert lines
    for line in lines:
        there = f"code:core/models.py:{line}"
        assert f'id="{there}"' in text
        equation = text[text.index('id="eq-2.8"'):]
        assert f'href="#{there}"' in equation[:equation.index("</small>")]
        row = text[text.index(f'id="{there}"'):]
        assert 'href="#eq-2.8"' in row[:row.index("</tr>")]


def test_citations_are_those_in_comments_and_docstrings():
    source = '"""A (1.1)\n\nand (1.2)"""\nx = f"(1.3)"  # (2.1), (2.2)\ny = f(1.5)\n'
    assert book.cited(source) == [(1, '"""A (1.1)', ("1.1",)), (3, 'and (1.2)"""', ("1.2",)),
                                  (4, 'x = f"(1.3)"  # (2.1), (2.2)', ("2.1", "2.2"))]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_chapter_has_a_figure_that_the_code_makes(path):
    assert book.FIGURE.findall(path.read_text(encoding="utf-8")), "<!-- figure: NAME -->"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_files_that_a_chapter_names_exist(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"),
                  flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert (ROOT / name).is_file() or list((ROOT / "toymodels_np").rglob(name)), name


def test_figures_are_pictures_with_a_caption_and_all_are_used(page):
    used = {name for path in CHAPTERS
            for name in book.FIGURE.findall(path.read_text(encoding="utf-8"))}
    assert used == set(figures.FIGURES)
    for name in used:
        data = figures.png(name)
        assert data.startswith(b"\x89PNG") and len(data) < 200_000
        assert len(figures.caption(name)) > 80


@pytest.mark.parametrize("name", ["energy-of-shapes", "critical-surface", "certified-phases"])
def test_axes_of_p_run_from_dense_to_sparse(name):
    dense_to_sparse(figures.FIGURES[name]())


def test_an_example_shows_what_is_typed_and_what_comes_out():
    html = book.example(">>> 1 < 2   # see (4.3)\nTrue\n>>> f()  # doctest: +ELLIPSIS\n...\n\n")
    assert "<b>&gt;&gt;&gt; </b>1 &lt; 2" in html and '<a href="#eq-4.3">(4.3)</a>' in html
    assert "<output>True</output>" in html and "doctest" not in html


@pytest.mark.parametrize("latex, parts", [
    (r"\lvert x\rvert", ['form="prefix"', 'form="postfix"']),
    (r"\mathbb R^k", ["ℝ"]), (r"\mathbf 1", ["𝟏"]),
    (r"\Bigl\{ a \Bigr\}", ["{", "}"]),
    (r"\operatorname*{arg\,max}_{a}", [">arg<", ">max<"]),
    (r"t \ln 10", ["t</mi><mspace", "ln</mi><mspace"]), (r"\log(2)", ["log</mi><mo"]),
    (r"a \mathrel{+}= b", ["<mo>&#x0002B;&#x0003D;</mo>"]),
])
def test_what_the_library_does_not_know_is_mended(latex, parts):
    html = book.mathml(latex).replace("&#x0007B;", "{").replace("&#x0007D;", "}")
    assert all(part in html for part in parts) and "\\" not in html


def test_a_chapter_with_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="names the figure 'none', and there are only"):
        book.rendered("00-x.md", "# 0. X\n\n<!-- figure: none -->\n")


def test_without_chapters_the_command_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(book, "derivations", lambda: None)
    assert cli.main(["book", "--out", str(tmp_path / "new")]) == 2
    assert "the chapters are not there" in capsys.readouterr().err


def test_a_browser_opens_it_from_a_file(text, tmp_path):
    """Something is written there, and in a frame of a phone's width the page is not wider."""
    from matplotlib.image import imread
    if not CHROMIUM.is_file():
        missing(f"this test needs Debian's chromium at {CHROMIUM}")
    said = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
    (tmp_path / "book.html").write_text(text.replace("</body>", f"{said}</body>"),
                                        encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        "<script>onmessage = event => { document.title = `${event.data} wide`; }</script>"
        f"<iframe src='book.html' width={PHONE} height=1000 style='border: 0'></iframe>",
        encoding="utf-8")

    def open_in_browser(name, *options):
        return subprocess.run(
            [CHROMIUM, *FLAGS, "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
             "--window-size=500,1200", *options, (tmp_path / name).as_uri()],
            check=True, capture_output=True, timeout=PATIENCE / 1000, text=True)

    open_in_browser("book.html", f"--screenshot={tmp_path / 'phone.png'}")
    assert f"<title>{PHONE} wide</title>" in open_in_browser("frame.html", "--dump-dom").stdout
    picture = imread(io.BytesIO((tmp_path / "phone.png").read_bytes()))
    assert picture.shape[:2] == (1200, 500)
    assert (picture[..., :3].min(axis=2) < 0.5).mean() > 0.01          # something is written there


@pytest.mark.parametrize("width", SCREENS)
def test_no_formula_is_cut_on_a_screen(width, tabs):
    cut = tabs[width].evaluate("""() => [...document.querySelectorAll('.equation .formula')]
        .filter(one => one.scrollWidth > one.clientWidth + 1)
        .map(one => one.parentNode.id)""")
    assert cut == []


def test_the_page_is_as_wide_as_the_screen_and_figures_are_not_too_small(tabs):
    for width, tab in tabs.items():
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        sizes = tab.evaluate("""[...document.querySelectorAll('figure img')]
            .map(each => [each.width / each.naturalWidth, each.naturalHeight / each.height])""")
        assert len(sizes) == len(figures.FIGURES)
        for wide, high in sizes:
            assert wide > 0.4 and np.isclose(wide * high, 1, rtol=0.01)


def test_what_touches_a_formula_is_on_its_line(tabs):
    """Neither a bracket before a formula nor a full stop after it stands on another line."""
    for tab in tabs.values():
        torn = tab.evaluate("""() => {
            const torn = [], range = document.createRange();
            const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT,
                node => node.parentNode.closest("math, pre") ? 2 : 1);
            const place = (node, i) => {
                range.setStart(node, i);
                range.setEnd(node, i + 1);
                return range.getBoundingClientRect();
            };
            for (let node; node = texts.nextNode();) {
                const { data, previousSibling: before, nextSibling: after } = node;
                if (before?.localName === "math" && /^\\S/.test(data)
                    && place(node, 0).left < before.getBoundingClientRect().right - 2
                    || after?.localName === "math" && /\\($/.test(data)
                    && place(node, data.length - 1).right
                       > after.getBoundingClientRect().left + 2)
                    torn.push(data);
            }
            return torn;
        }""")
        assert torn == []


def test_what_is_said_of_the_energies_of_shapes():
    def share(p):
        """The energy of two digons as a share of the pentagon's."""
        return energies.digons(2, p, dropped=1).loss / energies.polygon(5, p).loss

    said = " ".join(figures.energy_of_shapes.__doc__.split())
    assert "the pentagon is far better" in said and share(0.01) > 3
    assert "Between p = 0.23 and 0.7" in said
    assert share(0.22) > 1 > share(0.23) and share(0.69) < 1
    assert "11 % at most" in said
    assert 0.885 < min(share(p) for p in np.linspace(0.23, 0.7, 17)) < 0.895
    assert "hardly differ" in said and "at p = 1 they cost the same" in said
    assert max(abs(share(p) - 1) for p in np.linspace(0.7, 1, 11)) < 2e-3
    assert abs(share(1.0) - 1) < 1e-4


def test_a_caption_that_python_left_out_is_said(monkeypatch):
    monkeypatch.setattr(figures.samples, "__doc__", None)               # as `python -OO` does
    with pytest.raises(RuntimeError, match="docstrings, which python -OO leaves out"):
        figures.caption("samples")
