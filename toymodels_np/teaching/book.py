"""The book: all chapters of derivations/ as HTML that needs no network, with mathematics typeset.

    chapters()    the chapters, rendered, for the report too      book()    the whole page

Equations are numbered by their \\tag, and a number in the text is a link to its equation. Under an
equation stand the lines of the package that cite it, and the last part of the book lists these
lines, with links back. Needs the extra `book`.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from ..version import __version__
from . import figures
from .templates import image, render

HERE = Path(__file__).parent
PACKAGE = HERE.parent
DATA = {"derivations", "exercises"}             # folders of an installed package that are no code

NUMBER = re.compile(r"(?<![\w\])])\(([1-9]\d?\.[1-9]\d?)\)")        # of an equation, in brackets
CHAPTER = re.compile(r"\b([Cc]hapters?) (\d+)\b")
TAG = re.compile(r"\\tag\{([^}]*)\}")
FIGURE = re.compile(r"<!-- figure: ([\w-]+) -->")
SPACES = re.compile(" {3,}")                    # that only line comments up
OPTION = re.compile(r"\s*# doctest: [+\-A-Z_, ]+$")

# What the library does not know is written in other words. Bars become letters of their own, which
# BAR makes operators of; and Chromium knows no variants of letters, so VARIANT takes other letters.
LATEX = (
    (re.compile(r"\\mathrel\{(.)\}"), r"\1"),
    (re.compile(r"\\setminus\b"), "∖"),                   # the library's sign is in few fonts
    (re.compile(r"\\([Bb]igg?[lr]?)\\\{"), r"\\left\\{"),
    (re.compile(r"\\([Bb]igg?[lr]?)\\\}"), r"\\right\\}"),
    (re.compile(r"\\operatorname\*\{([a-z]+)\\,([a-z]+)\}"), r"\\operatorname{\1}\\\2"),
    (re.compile(r"\\\\\s*\["), r"\\\\ {}["),
    (re.compile(r"\\lvert\b"), "\ue000"), (re.compile(r"\\rvert\b"), "\ue001"),
    (re.compile(r"\\lVert\b"), "\ue002"), (re.compile(r"\\rVert\b"), "\ue003"),
    (re.compile(r"(?<!left)(?<!igm)\|([^|]+)(?<!right)\|"), "\ue000\\1\ue001"),
)
BARS = {"\ue000": ("prefix", "|"), "\ue001": ("postfix", "|"),
        "\ue002": ("prefix", "‖"), "\ue003": ("postfix", "‖")}
BAR = re.compile("<m[io]>([\ue000-\ue003])</m[io]>")
# A minus after one of ( [ , = < > and their like is a sign and no operation.
SIGN = re.compile(r"(<mo[^>]*>(?:&#x000(?:28|5B|2C|3C|3E)|&#x0003D|&#x0226[45]|&#x000B7);</mo>)"
                  r"<mo>(&#x02212;|&#x0002B;)</mo>")
VARIANT = re.compile(r'<m([in]) mathvariant="(double-struck|bold)">(\w)</m[in]>')
# The name of a function is no operator that wants room on both sides, unless it has limits, and no
# letter either: it has a thin space where a letter, a number or a root touches it.
FUNCTION = re.compile(r"((?<![\ue000\ue002])</m(?:i|n|sub|sup|subsup|sqrt)>)?"
                      r"(?<!<msup>)(?<!<msub>)(?<!<munder>)"
                      r"<m([io])>([A-Za-z]{2,})</m\2>"
                      r"(<mo[^>]*>&#x000(?:28|5B|7B);|<m[io]>[\ue001\ue003])?")
ASSIGNMENT = re.compile("<mo>(&#x0002B;|&#x02212;)</mo><mo>&#x0003D;</mo>")
LONG = 40                   # letters of a formula in the text that may be wider than a phone
# A browser breaks a line on both sides of a formula; what touches it stays with it.
TOUCHED = re.compile(r'(\(?)(<span class="long">)?(<math display="inline">.*?</math>)(?:</span>)?'
                     r"([^\s<]*)", re.DOTALL)
BREAK = re.compile(r"(?<=\w[_.(])(?=[A-Za-z])")  # inside of a word of code
THIN = '<mspace width="0.167em" />'
DOUBLE = {"R": "ℝ", "E": "𝔼", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ", "P": "ℙ", "1": "𝟙"}


class Chapter(NamedTuple):
    """A rendered chapter. `number` is "04", `sections` are (anchor, title as HTML)."""

    number: str
    name: str                   # of its file
    title: str
    html: str
    sections: list


class Citation(NamedTuple):
    """A line of the package that cites equations. `path` is relative to the package."""

    path: str
    line: int
    text: str
    numbers: tuple


def derivations():
    """The folder of the derivations: inside the package, or beside it in a clone; else None."""
    for folder in (PACKAGE / "derivations", PACKAGE.parent / "derivations"):
        if folder.is_dir():
            return folder
    return None


def book():
    """The book as one HTML text.

    Raises FileNotFoundError without derivations, ImportError without the libraries of `book`.
    """
    found = chapters()
    return render(
        HERE / "book.html", chapters=found, style=style(), code=code(), version=__version__)


def style():
    """The rules (CSS) for what `chapters` and `code` return."""
    return (HERE / "chapters.css").read_text(encoding="utf-8")


def chapters():
    """All chapters in their order, rendered. Raises as `book` does."""
    folder = derivations()
    paths = sorted(folder.glob("[0-9][0-9]-*.md")) if folder else []
    if not paths:
        raise FileNotFoundError("the chapters are not there: derivations/ belongs inside the "
                                "package or beside it")
    return [rendered(path.name, path.read_text(encoding="utf-8")) for path in paths]


def code():
    """All lines of the package that cite an equation, as HTML, a table a file."""
    files = defaultdict(list)
    for each in citations():
        files[each.path].append(each)
    parts = []
    for path, lines in files.items():
        rows = "".join(f'<tr id="code:{path}:{each.line}"><td>{each.line}</td>'
                       f"<td><code>{_linked(SPACES.sub('  ', each.text))}</code></td></tr>"
                       for each in lines)
        parts.append(f'<h3 id="code:{path}"><code>{path}</code></h3>\n'
                     f'<div class="scroll"><table class="lines">{rows}</table></div>')
    return "\n".join(parts)


@cache
def citations():
    """Every line of a comment or docstring of the package in which an equation is cited."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.split("/")[0] not in DATA:
            found += [Citation(name, *each) for each in cited(path.read_text(encoding="utf-8"))]
    return tuple(found)


def cited(source):
    """The lines of a Python source whose comment or docstring cites: [(line, text, numbers)]."""
    said = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            said[token.start[0]] += NUMBER.findall(token.string)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) \
                and isinstance(node.value.value, str):
            for line in range(node.lineno, node.end_lineno + 1):
                said[line] += NUMBER.findall(lines[line - 1])
    return [(line, lines[line - 1].strip(), tuple(numbers))
            for line, numbers in sorted(said.items()) if numbers]


@cache
def rendered(name, text):
    """The chapter of this file name and text; kept, since a process renders it once."""
    number = name[:2]
    markdown = parser()
    env = {"number": number, "sections": []}
    tokens = markdown.parse(text, env)
    title = next(token.content for token in tokens if token.type == "inline")
    html = TOUCHED.sub(_whole, markdown.renderer.render(tokens, markdown.options, env))
    return Chapter(number, name, title, html, env["sections"])


@cache
def parser():
    """The Markdown parser, with its rules for mathematics, examples, figures and links."""
    try:
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin
    except ImportError:
        raise ImportError('the book needs markdown-it-py, mdit-py-plugins and latex2mathml: '
                          'pip install "toymodels_np[book]"') from None
    markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
    rules = {
        "text": lambda tokens, i, env: _linked(tokens[i].content),
        "code_inline": lambda tokens, i, env: _code(tokens[i].content),
        "math_inline": lambda tokens, i, env: _inline(tokens[i].content),
        "math_block": lambda tokens, i, env: _equation(tokens[i].content),
        "fence": lambda tokens, i, env: example(tokens[i].content),
        "html_block": lambda tokens, i, env: _figure(tokens[i].content),
        "heading_open": _heading,
        "table_open": lambda tokens, i, env: '<div class="scroll"><table>\n',
        "table_close": lambda tokens, i, env: "</table></div>\n",
    }
    for name, rule in rules.items():
        markdown.add_render_rule(name, lambda self, tokens, i, options, env, rule=rule:
                                 rule(tokens, i, env))
    return markdown


def _heading(tokens, i, env):
    """The opening tag of a heading, with its anchor; sections are noted for the contents."""
    tag = tokens[i].tag
    if tag == "h1":
        tokens[i + 2].tag = "h2"
        return f'<h2 class="chapter" id="chapter-{env["number"]}">'
    anchor = f"section-{env['number']}-{len(env['sections']) + 1}"
    env["sections"].append((anchor, re.sub("</?a[^>]*>", "", parser().renderInline(
        tokens[i + 1].content, {}))))
    tokens[i + 2].tag = "h3"
    return f'<h3 id="{anchor}">'


def mathml(latex, display="inline"):
    """MathML of a LaTeX formula without \\tag."""
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise ImportError('the book needs latex2mathml: pip install "toymodels_np[book]"') from None
    for pattern, instead in LATEX:
        latex = pattern.sub(instead, latex)
    found = convert(latex, display=display)
    found = found.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    found = ASSIGNMENT.sub(r"<mo>\1&#x0003D;</mo>", FUNCTION.sub(_function, found))
    found = SIGN.sub(r'\1<mo form="prefix">\2</mo>', found)
    found = BAR.sub(_bar, found)
    return VARIANT.sub(_letter, found)


def _inline(latex):
    """A formula in the text. A long one may be scrolled where it is wider than the page."""
    formula = mathml(latex)
    return f'<span class="long">{formula}</span>' if len(latex) >= LONG else formula


def _whole(match):
    """A formula in the text with the bracket before it and the letters and signs after it."""
    before, long, formula, after = match.groups()
    kind = ("long " if long else "") + ("whole" if before or after else "")
    return f'<span class="{kind.strip()}">{before}{formula}{after}</span>' if kind else formula


def _function(match):
    """The name of a function, with a thin space after it if no bracket follows."""
    before = f"{match[1]}{THIN}" if match[1] else ""
    return f"{before}<mi>{match[3]}</mi>{match[4] or THIN}"


def _bar(match):
    """A bar that opens or closes, which has no room on either side."""
    form, bar = BARS[match[1]]
    return f'<mo form="{form}" stretchy="false" lspace="0" rspace="0">{bar}</mo>'


def _letter(match):
    """A letter of its own instead of a variant of a letter."""
    kind, variant, letter = match.groups()
    if variant == "double-struck":
        letter = DOUBLE.get(letter, letter)
    elif letter.isdigit():
        letter = chr(0x1D7CE + int(letter))
    elif letter.isascii():
        letter = chr((0x1D41A - 97 if letter.islower() else 0x1D400 - 65) + ord(letter))
    return f'<m{kind} mathvariant="normal">{letter}</m{kind}>'


def _equation(latex):
    """A displayed formula; if it has a number, with its anchor and the code that cites it."""
    tag = TAG.search(latex)
    formula = f'<div class="formula">{mathml(TAG.sub("", latex).strip(), "block")}</div>'
    if not tag:
        return f'<div class="equation">{formula}</div>\n'
    number = tag[1]
    return (f'<div class="equation" id="eq-{number}">{formula}'
            f'<a class="number" href="#eq-{number}">({number})</a>{_cited_by(number)}</div>\n')


def _cited_by(number):
    """Links to the lines of the package that cite this equation, or nothing."""
    files = defaultdict(list)
    for each in citations():
        if number in each.numbers:
            files[each.path].append(each.line)
    if not files:
        return ""
    said = "; ".join(f"{path} " + ", ".join(f'<a href="#code:{path}:{line}">{line}</a>'
                                            for line in lines) for path, lines in files.items())
    return f'<small class="cited">in the code: {said}</small>'


def _linked(text):
    """Text as HTML, in which numbers of equations and of chapters are links."""
    linked = NUMBER.sub(r'<a href="#eq-\1">(\1)</a>', escape(text, quote=False))
    return CHAPTER.sub(lambda match: f'<a href="#chapter-{int(match[2]):02}">{match[0]}</a>',
                       linked)


def _code(text):
    """A word of code; a file of the package that cites equations is a link to these lines.

    A narrow table may break it after a low line, a dot or a bracket.
    """
    word = f"<code>{BREAK.sub('<wbr>', escape(text, quote=False))}</code>"
    if any(each.path == text for each in citations()):
        return f'<a href="#code:{text}">{word}</a>'
    return word


def example(text):
    """A block of code; of a doctest, what is typed and what comes out look different."""
    lines = []
    for line in text.rstrip("\n").splitlines():
        prompt, typed = line[:4], OPTION.sub("", line[4:])
        if prompt.rstrip() in (">>>", "..."):
            before, mark, comment = typed.partition("  #")
            said = f'<i>{mark}{_linked(comment)}</i>' if mark else ""
            lines.append(f"<b>{escape(prompt)}</b>{escape(before, quote=False)}{said}")
        elif line:
            lines.append(f"<output>{escape(line, quote=False)}</output>")
        else:
            lines.append("")
    return f'<pre class="example"><code>{chr(10).join(lines).rstrip()}</code></pre>\n'


def _figure(text):
    """The figure that a comment names; any other comment is left out."""
    named = FIGURE.search(text)
    if not named:
        return ""
    if named[1] not in figures.FIGURES:
        raise ValueError(f"a chapter names the figure {named[1]!r}, and there are only "
                         f"{', '.join(figures.FIGURES)}")
    said = figures.caption(named[1])
    return (f"<figure>{image(figures.png(named[1]), said)}"
            f"<figcaption>{_linked(said)}</figcaption></figure>\n")
