"""The report: one HTML file that needs no network, with every claim on top and every experiment's figure below."""

import base64
import html
import io
import json
import platform
import sys
from pathlib import Path

import numpy as np
import scipy

from .version import __version__
from . import plots
from .experiments.claims import CORRECTED, FAILS, HOLDS
from .experiments import EXPERIMENTS

DERIVATIONS = Path(__file__).parents[1] / "derivations"         # beside the package where it is a clone, else absent
MARKS = {HOLDS: "✓", CORRECTED: "≈", FAILS: "✗"}                # so that verdicts read without colour
STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 2px solid #ddd; padding-top: 1rem; }
img { width: 100%; height: auto; } code, pre { font-size: 0.85em; background: #f4f4f4; }
pre { padding: 0.6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 0.88em; } .wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.5rem; border-bottom: 1px solid #ddd; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.verdict { white-space: nowrap; font-weight: 600; }
.v0 { color: #005a87; } .v1 { color: #8a5a00; } .v2 { color: #b03a00; }
@media print { body { max-width: none; font-size: 11pt; } h2 { break-before: page; } details { display: none; }
               tr, img { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
"""


def check_all(runs):
    """The record of every claim about these runs, {experiment: list of runs}, in the order of the paper's table."""
    return [record for name, found in runs.items() for record in EXPERIMENTS[name].check(found)]


def page(runs, records, *, full=False):
    """The report on these runs and the records of their claims as one HTML text."""
    mode = "full" if full else "quick"
    counts = {verdict: sum(record["verdict"] == verdict for record in records) for verdict in MARKS}
    seconds = sum(run["seconds"] for found in runs.values() for run in found)
    summary = ", ".join(f"{MARKS[verdict]} {count} {_said(verdict, count)}" for verdict, count in counts.items())
    chapters = {EXPERIMENTS[name].derivation for name in runs}
    body = [f"<h1>Toy models of superposition: {len(records)} claims, each with its number</h1>",
            f"<p>{summary}. {_mode_said(mode)} {len(runs)} experiments, {sum(map(len, runs.values()))} runs, "
            f"{seconds:.0f} s of computing; toymodels_np {__version__}, Python {platform.python_version()}, NumPy "
            f"{np.__version__}, SciPy {scipy.__version__}.</p>",
            "<p>A claim's bounds stood before it was measured. The number is the summary over runs that differ in "
            "their seed alone, or over one exact computation; in brackets its range and how many numbers there are.</p>",
            _table(records, with_row=True)]
    body += [_section(name, found, [r for r in records if r["experiment"] == name], full) for name, found in runs.items()]
    body += ["<h2>Derivations</h2>", *(_chapter(path) for path in sorted(DERIVATIONS.glob("*.md"))
                                       if path.name[:2] in chapters)]
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>Toy models of superposition: the report</title><style>{STYLE}</style><body>{''.join(body)}</body></html>")


def _said(verdict, count):
    return verdict if count == 1 else {HOLDS: "hold", CORRECTED: "hold with a correction", FAILS: "do not reproduce"}[verdict]


def _mode_said(mode):
    return ("This is the quick report: small sizes and few seeds; --full has the paper's." if mode == "quick" else
            "This is the full report, at the paper's sizes.")


def _table(records, with_row):
    head = "<tr><th>Row<th>Claim<th>Measured<th>Expected<th>Verdict" if with_row else \
        "<tr><th>Claim<th>Measured<th>Expected<th>Verdict"
    return f"<div class=wide><table>{head}{''.join(_line(record, with_row) for record in records)}</table></div>"


def _line(record, with_row):
    low, high = record["spread"]
    spread = f" ({low:.4g} … {high:.4g}; {record['count']})" if record["count"] > 1 else ""
    row = f"<td><a href='#{record['experiment']}'>{record['row']}</a>" if with_row else ""
    correction = f"<br>{html.escape(record['correction'])}" if record["correction"] else ""
    return (f"<tr>{row}<td>{html.escape(record['sentence'])}{correction}<br><small>{html.escape(record['section'])} · "
            f"<code>{record['name']}</code></small>"
            f"<td class=number>{record['measured']:.6g}<br><small>{record['summary']}{spread}</small>"
            f"<td>{html.escape(record['expected'])}"
            f"<td class='verdict v{list(MARKS).index(record['verdict'])}'>{MARKS[record['verdict']]} {record['verdict']}")


def _section(name, runs, records, full):
    experiment = EXPERIMENTS[name]
    story = sys.modules[experiment.run.__module__].__doc__ or ""
    story = "".join(f"<p>{html.escape(part)}</p>" for part in story.strip().split("\n\n"))
    seconds = sum(run["seconds"] for run in runs)
    chapter = f"<a href='#chapter-{experiment.derivation}'>chapter {experiment.derivation}</a>"
    command = f"python -m toymodels_np experiment {name}{' --full' if full else ''}"
    settings = json.dumps(experiment.settings(full))
    return (f"<h2 id='{name}'>{experiment.row}. {html.escape(experiment.title)}</h2>{story}"
            f"<img alt='{html.escape(experiment.title)}' src='data:image/png;base64,{_png(experiment.draw(runs))}'>"
            f"{_table(records, with_row=False)}"
            f"<p>Seeds {runs[0]['seed']} to {runs[-1]['seed']}, {seconds:.0f} s. The mathematics: {chapter}. Run it again with</p>"
            f"<pre>{command}</pre><details><summary>settings</summary><pre>{html.escape(settings)}</pre></details>")


def _png(figure):
    stream = io.BytesIO()
    plots.save(figure, stream)
    return base64.b64encode(stream.getvalue()).decode()


def _chapter(path):
    return (f"<details id='chapter-{path.name[:2]}'><summary>derivations/{path.name}</summary>"
            f"<pre>{html.escape(path.read_text(encoding='utf-8'))}</pre></details>")
