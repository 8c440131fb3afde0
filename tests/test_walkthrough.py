"""The notebooks run from top to bottom, are in step with their scripts, and ask first."""

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

import toymodels_np as tm

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "walkthrough"
SCRIPTS = sorted(FOLDER.glob("[1-4]_*.py"))
GUIDE = (FOLDER / "README.md").read_text(encoding="utf-8")
LARGEST = 500_000                                               # bytes of a stored notebook

each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def stored(path):
    return nbformat.read(path.with_suffix(".ipynb"), as_version=4)


def test_there_are_four():
    assert [path.stem[0] for path in SCRIPTS] == list("1234")


@each_script
def test_the_notebook_says_what_the_script_says(path):
    assert cells(stored(path)) == cells(jupytext.read(path))


@each_script
def test_what_is_stored_is_a_run_from_top_to_bottom_without_error(path):
    notebook = stored(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data",
                                                          "execute_result"}
    assert all(output.get("name") != "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert path.with_suffix(".ipynb").stat().st_size < LARGEST
    assert "widgets" not in notebook.metadata           # of progress bars that are gone


def test_the_guide_installs_what_the_meetings_run():
    extras = re.search(r"pip install -e \"\.\[(.*)\]\"", GUIDE).group(1).split(",")
    assert {"notebook"} | set(re.findall(r"toymodels_np (learn|book|explorer)", GUIDE)) == \
        set(extras)


def test_the_last_notebook_claims_no_more_than_is_there():
    text = " ".join(SCRIPTS[3].read_text(encoding="utf-8").replace("\n# ", " ").split())
    assert "writes it down, for one feature." in text
    assert "for one hidden dimension and at most four independent features." in text
    assert "at most four independent features" in tm.certify_global.__doc__
    assert "with three none was finished" in text and "can prove it" not in text
    chapter = (ROOT / "derivations" / "13-open-problems.md").read_text(encoding="utf-8")
    assert "Three equal features were *not* proved." in chapter
    assert "three more than 25 minutes" in tm.certify_global.__doc__


def assert_runs(path):
    """The script's notebook runs from top to bottom without a word on stderr, but for the bars of
    what takes longer than two seconds on a busy machine.
    """
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=180, kernel_name="python3",
                   resources={"metadata": {"path": str(FOLDER)}}).execute()
    said = [output.text for cell in notebook.cells for output in cell.get("outputs", [])
            if output.get("name") == "stderr" and "%|" not in output.text]
    assert said == []


@pytest.mark.parametrize("path", SCRIPTS[:2], ids=lambda path: path.stem)
def test_the_notebook_runs(path):
    """The others run in test_walkthrough_later.py."""
    assert_runs(path)


@each_script
def test_a_prediction_is_asked_before_results_are_shown(path):
    """Between two predictions there is a result, and most results have a question before them."""
    notebook = stored(path)
    asked = sum("**Predict.**" in cell.source for cell in notebook.cells)
    assert asked >= 5
    for cell, after in zip(notebook.cells, notebook.cells[1:]):
        if "**Predict.**" in cell.source:
            assert after.cell_type == "code" and after.outputs


@each_script
def test_only_public_names_are_used(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not any(name.startswith("_") for name in names)
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
               for alias in node.names}
    assert modules <= {"numpy", "matplotlib.pyplot", "toymodels_np"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


@pytest.mark.parametrize("path", [*SCRIPTS, FOLDER / "README.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 1 or path.stem.startswith("4")
    for link in links:
        assert (FOLDER / link).exists(), link


def test_the_guide_has_all_parts_for_each_meeting():
    meetings = re.split(r"^## ", GUIDE, flags=re.MULTILINE)
    four = [part for part in meetings if part.startswith("Meeting")]
    assert len(four) == 4
    for part in four:
        for word in ("**To read before** (", "| minute | what |", "**Three questions",
                     "**To run live**", "**Exercises**", "**Where people get stuck.**",
                     "**Homework**"):
            assert word in part, (part[:20], word)
        minutes = [int(number) for number in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)]
        assert minutes == sorted(minutes) and minutes[0] == 0 and minutes[-1] < 90
        assert len(re.findall(r"^\d\. ", part, re.MULTILINE)) == 3
    assert any(part.startswith("A single session of two hours") for part in meetings)
    assert any(part.startswith("To hand out: notation") for part in meetings)


def test_sections_that_the_guide_names_are_in_the_notebooks():
    headings = " ".join(re.findall(r"^# ## (.*)$", "\n".join(
        path.read_text(encoding="utf-8") for path in SCRIPTS), re.MULTILINE)).lower()
    rows = re.findall(r"^\| \d+ \|(.*)\|$", GUIDE, re.MULTILINE)
    for name in re.findall(r"\*([^*]+)\*", " ".join(rows)):
        assert name.rstrip("?").lower() in headings, name
