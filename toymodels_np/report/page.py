"""What the report shows, row by row; `page.html` beside this file says how, and escapes it all."""

import io
import json
import platform
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import scipy

from .. import experiments, plots
from ..experiments.claims import CORRECTED, FAILS, HOLDS, KINDS, UNDECIDED, VERDICTS, NotMeasured
from ..experiments.command import control, spread
from ..teaching import book
from ..teaching.templates import image, render
from ..version import __version__
from . import atlas

MARKS = {HOLDS: "✓", CORRECTED: "≈", FAILS: "✗", UNDECIDED: "?"}   # to be read without colour
PLURALS = {HOLDS: "hold", CORRECTED: "hold with a correction", FAILS: "do not reproduce",
           UNDECIDED: "are undecided"}
SAID_BY = {"paper": "The paper says", "identity": "Theory says", "ours": "We say"}
HERE = Path(__file__).parent


def page(rows, *, full=False):
    """The report as one HTML text.

    rows : list of experiments.command.Row          full : whether they ran at the paper's sizes
    """
    records = [record for row in rows for record in row.records]
    chapters, code, missing = _chapters()
    return render(
        HERE / "page.html", full=full, rows=[_section(row, full) for row in rows],
        count=len(records), kinds=_kinds(records), verdicts=VERDICTS, marks=MARKS,
        classes={verdict: f"v{i}" for i, verdict in enumerate(VERDICTS)},
        runs=sum(len(row.runs) for row in rows), controls=sum(len(row.controls) for row in rows),
        atlas=atlas.sections(), chapters=chapters, code=code, missing=missing, style=book.style(),
        versions=f"toymodels_np {__version__}, Python {platform.python_version()}, "
                 f"NumPy {np.__version__}, SciPy {scipy.__version__}")


def _kinds(records):
    """[(kind, what it is, how many, [(verdict, how many, in words)])], kinds that occur."""
    found = []
    for kind, said in KINDS.items():
        counts = Counter(record["verdict"] for record in records if record["kind"] == kind)
        if counts:
            found.append((kind, said, counts.total(), [
                (verdict, counts[verdict], _words(verdict, counts[verdict]))
                for verdict in VERDICTS if counts[verdict]]))
    return found


def _words(verdict, count):
    if count != 1:
        return PLURALS[verdict]
    return "is undecided" if verdict == UNDECIDED else verdict


def _section(row, full):
    """What the template shows of one row."""
    experiment = row.experiment
    story = _story(experiment)
    seeds = [run["seed"] for run in row.runs]
    try:
        said = f"Figure of row {experiment.row}, {experiment.title}. {' '.join(story[0].split())}"
        picture, missing = image(_png(experiment.draw(row.runs)), said), ""
    except NotMeasured as error:
        picture, missing = "", str(error)
    return {
        "name": experiment.name, "number": experiment.row, "title": experiment.title,
        "section": experiment.section, "story": story, "picture": picture,
        "missing": missing, "chapter": experiment.derivation,
        "claims": [_claim(record) for record in row.records],
        "seeds": f"{min(seeds)} to {max(seeds)}" if len(set(seeds)) > 1 else f"{seeds[0]}",
        "command": f"python -m toymodels_np experiment {experiment.name}"
                   f"{' --full' if full else ''}",
        "settings": json.dumps(row.settings)}


def _story(experiment):
    """What the file of a row says of it, in paragraphs, without its legend of arrays."""
    file = f"{experiments.__name__}.{experiment.name.replace('-', '_')}"
    module = sys.modules.get(file) or sys.modules[experiment.run.__module__]
    parts = (module.__doc__ or experiment.title).strip().split("\n\n")
    return [part for part in parts if not part.startswith(" ")]


def _claim(record):
    """A record with its numbers in words."""
    shown = dict(record, said_by=SAID_BY[record["kind"]], number="not measured", spread="")
    if record["measured"] is not None:
        shown["number"] = f"{record['measured']:.6g}"
        if record["count"] > 1:
            shown["spread"] = spread(record)
    return shown | {"control_said": control(record)}


def _png(figure):
    stream = io.BytesIO()
    plots.save(figure, stream, format="png")
    return stream.getvalue()


def _chapters():
    """(chapters, the lines of code that cite them, why there are none or ""): as in the book."""
    try:
        return book.chapters(), book.code(), ""
    except (FileNotFoundError, ImportError) as error:
        return [], "", str(error)
