"""The chapters in derivations/ are true (their examples run), and the code cites equations that
exist.
"""

import ast
import doctest
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "derivations").glob("*.md"))
README = ROOT / "README.md"
SOURCES = sorted((ROOT / "toymodels_np").rglob("*.py"))

# (k.l) with k, l >= 1 and nothing else in the brackets, so not (0.5), not (1.5, 2), and not the
# call f(1.5).
CITATION = re.compile(r"(?<![\w\])])\(([1-9]\d?\.[1-9]\d?)\)")
TAG = re.compile(r"\\tag\{([^}]*)\}")


# -- the examples ---------------------------------------------------------------------------------

def examples(text):
    """Text of the same line numbers in which only the ```python blocks with a >>> are left."""
    kept, block, inside = [], [], False
    for line in text.splitlines():
        fence = line.strip()
        if not inside:
            inside = fence == "```python"
            kept.append("")
        elif fence == "```":
            kept += block if any(b.lstrip().startswith(">>>") for b in block) else [""] * len(block)
            kept.append("")
            block, inside = [], False
        else:
            block.append(line)
    assert not inside, "a ```python block is never closed"
    return "\n".join(kept) + "\n"


def run_examples(text, name):
    """Run the examples of a chapter, top to bottom in one namespace: (how many there were, report
    of failures).
    """
    test = doctest.DocTestParser().get_doctest(examples(text), {"__name__": "__main__"}, name, name,
                                               0)
    report = io.StringIO()
    doctest.DocTestRunner(verbose=False).run(test, out=report.write)
    return len(test.examples), report.getvalue()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_examples_of_the_chapter_are_true(chapter):
    count, report = run_examples(chapter.read_text(encoding="utf-8"),
                                 str(chapter.relative_to(ROOT)))
    assert count > 0, f"{chapter.name} has no example"
    if report:
        pytest.fail(report, pytrace=False)


def test_the_examples_of_the_readme_are_true():
    _, report = run_examples(README.read_text(encoding="utf-8"), README.name)
    if report:
        pytest.fail(report, pytrace=False)


def test_the_first_chapters_are_there():
    stems = {path.stem for path in CHAPTERS}
    assert {"00-notation", "01-sparse-features", "02-backprop-by-hand", "03-adam"} <= stems


def test_a_false_example_is_reported_with_its_line():
    text = "A sum.\n\n```python\n>>> 1 + 1\n3\n```\n\n```\n>>> 'not python'\n1\n```\n"
    count, report = run_examples(text, "chapter")
    assert count == 1
    assert 'line 4' in report and "Expected:\n    3\nGot:\n    2" in report


def test_an_example_that_raises_is_reported():
    _, report = run_examples("```python\n>>> 1 / 0\n```\n", "chapter")
    assert "ZeroDivisionError" in report


def test_the_closing_fence_is_not_expected_output_and_blocks_share_names():
    assert run_examples("```python\n>>> a = 1\n```\nthen\n```python\n>>> a\n1\n```\n",
                        "chapter") == (2, "")


# -- the citations --------------------------------------------------------------------------------

def citations(source):
    """All (k.l) in comments and docstrings of a Python source: a list of (line, "k.l")."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found += [(token.start[0], c) for c in CITATION.findall(token.string)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                first = node.body[0].lineno
                lines = ast.get_docstring(node, clean=False).splitlines()
                found += [(first + i, c) for i,
                          line in enumerate(lines) for c in CITATION.findall(line)]
    return sorted(found)


def prose(text):
    """A chapter with its code blocks emptied; line numbers are kept."""
    return re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text,
                  flags=re.MULTILINE | re.DOTALL)


def tags(text):
    """All numbers in \\tag{…} of a chapter, in order."""
    return TAG.findall(prose(text))


def unresolved(cited, known):
    """The citations that are not in `known`: a list of (place, "k.l")."""
    return [(place, c) for place, c in cited if c not in known]


ALL_TAGS = [tag for chapter in CHAPTERS for tag in tags(chapter.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_equations_of_a_chapter_are_numbered_in_order(chapter):
    number, found = int(chapter.stem.split("-")[0]), tags(chapter.read_text(encoding="utf-8"))
    assert found == [f"{number}.{i}" for i in range(1, len(found) + 1)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_citation_in_the_code_resolves(path):
    assert unresolved(citations(path.read_text(encoding="utf-8")), ALL_TAGS) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_citation_in_the_prose_resolves(chapter):
    lines = prose(chapter.read_text(encoding="utf-8")).splitlines()
    cited = [(i, c) for i, line in enumerate(lines, 1) for c in CITATION.findall(line)]
    assert unresolved(cited, ALL_TAGS) == []


def test_citations_are_found_in_comments_and_docstrings_only():
    source = '''"""A module. (1.1)

    Not a citation: (0.5), (1.5, 2), f(1.5), (3, 4), 1.5, (1.50.2).
    A range (1.2) … (1.3).
"""

def f(x, shape=(1.5, 2)):                   # with spaces (2.10)
    """(9.8)"""
    text = "(7.7)"
    return f(7.8) + (7.9)                   # (2.1), (2.2)
'''
    assert citations(source) == [(1, "1.1"), (4, "1.2"), (4, "1.3"), (7, "2.10"), (8, "9.8"),
                                 (10, "2.1"),
                                 (10, "2.2")]


def test_a_citation_without_its_equation_is_noticed():
    known = tags("$$\na = b \\tag{2.1}\n$$\n```python\n>>> r'\\tag{2.3}'\n```\n")
    assert known == ["2.1"]
    assert unresolved(citations("a = 1  # (2.1)\nb = 2  # (2.2), (2.3)\n"),
                      known) == [(2, "2.2"), (2, "2.3")]


def test_the_code_does_cite():
    """Guards the test above against a pattern that matches nothing."""
    cited = {c for path in SOURCES for _, c in citations(path.read_text(encoding="utf-8"))}
    assert {"1.3", "1.7", "2.1", "2.14", "3.1", "3.8"} <= cited
