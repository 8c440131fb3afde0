"""The explorer as one HTML file: four panels whose numbers are worked out in the page, exactly.

    explorer()    the whole page, as a text                     Needs the extra `explorer` (Bokeh).

What is shown stands in Bokeh's figures and widgets, found by their names. What they say is in the
JavaScript files of this folder, of which `exact.js` is the mathematics: `search.js` descends,
`names.js` names, `app.js` keeps the state, and there is one file a panel. What no browser can work
out is kept by `solved.py`. The page asks no network for anything.
"""

import base64
import json
from pathlib import Path

import numpy as np

from ...plots.colours import FEATURE_COLOURS, PHASE_COLOURS
from ...theory import energies
from ...theory.phase import candidates, fixed_energy
from ...version import __version__
from ..templates import render
from . import solved

HERE = Path(__file__).parent
SCRIPTS = ("exact.js", "search.js", "names.js", "app.js", "tasks.js", "plane.js", "energies.js",
           "phases.js", "life.js", "start.js")


def explorer():
    """The page, an HTML text. Raises ImportError without Bokeh."""
    try:
        from bokeh.document import Document
        from bokeh.embed import components
        from bokeh.resources import Resources
    except ImportError:
        raise ImportError('the explorer needs Bokeh: '
                          'pip install "toymodels_np[explorer]"') from None
    from . import panels
    models, document = panels.models(), Document()
    with document.models.freeze():                  # or each figure is looked through again
        for model in models.values():
            document.add_root(model)
    script, places = components(models)
    library = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
    return render(
        HERE / "page.html", place=places, script=script, library=library.render(),
        version=__version__, style=text_of("page.css"), phases=PHASE_COLOURS.items(),
        data=as_json(data()), code="".join(map(text_of, SCRIPTS)))


def text_of(name):
    """A file of this folder."""
    return (HERE / name).read_text(encoding="utf-8")


def as_json(value):
    """Plain values as JSON that can stand inside a <script>."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def data():
    """All that the page cannot work out by itself."""
    arrays, lines = solved.kept()
    return {"colours": FEATURE_COLOURS, "phaseColours": PHASE_COLOURS, "tasks": tasks(),
            "lines": lines["lines"], "plateaus": lines["plateaus"],
            "grids": {f"{grid.n}_{grid.m}": grid_data(grid) for grid in solved.GRIDS},
            "life": {name: packed(a) for name, a in arrays.items()
                     if name.startswith(("flow", "training"))}
            | {f"{kind}_shape": shapes for kind, shapes in lines["shapes"].items()}}


def packed(a):
    """An array as {shape, floats}, the latter float32 in base64."""
    numbers = np.ascontiguousarray(a, "<f4")
    return {"shape": numbers.shape, "floats": base64.b64encode(numbers.tobytes()).decode("ascii")}


def grid_data(grid):
    """The true minima of a Grid, and the paper's candidates: W and which one is lowest. (6.1)"""
    model, law = solved.minima(grid), grid.features()
    shapes = candidates(grid.n, grid.m)
    p, importance = law.feature_probability[:, 0], law.importance
    costs = np.array([fixed_energy(W, p, importance) for W, _ in shapes])           # (shapes, C)
    return {"n": grid.n, "m": grid.m, "cells": grid.cells, "W": packed(model.W),
            "b": packed(model.b), "importance": grid.importance.tolist(),
            "probability": grid.probability.tolist(),
            "candidates": [{"W": W.tolist(), "phase": phase} for W, phase in shapes],
            "lowest": costs.argmin(0).tolist()}


def tasks():
    """Five tasks for a class: a law to begin with, and a loss to get below."""
    bipyramid = solved.KNOWN[3]
    return [
        {"title": "Two on one line", "n": 2, "m": 1, "p": 0.05, "preset": "random",
         "below": 1.05 * energies.antipodal(0.05).loss,
         "text": "Two features, one dimension. Place them so that both come through."},
        {"title": "Beat two digons", "n": 5, "m": 2, "p": 0.05, "preset": "digons",
         "below": 0.75 * energies.digons(2, 0.05, dropped=1).loss,
         "text": "Two digons leave feature 4 out. Find room for it, for three quarters of the "
                 "cost."},
        {"title": "Beat the pentagon", "n": 5, "m": 2, "p": 0.3, "preset": "pentagon",
         "below": energies.polygon(5, 0.3).loss * (1 - 1e-4),
         "text": "At p = 0.3 the best pentagon is not the best. Find something below it."},
        {"title": "A trap", "n": 5, "m": 2, "p": 0.25, "preset": "random",
         "above": energies.digons(2, 0.25, dropped=1).loss * (1 + 1e-4),
         "text": "Find a place where descent stops, although something else is lower: a gradient "
                 "of 0.000001 at most, above the true minimum."},
        {"title": "In three dimensions", "n": 5, "m": 3, "p": 0.6, "preset": "random",
         "below": 1.005 * solved.closed(solved.SOLID, bipyramid.law(0.6))[1],
         "text": "Five features, three dimensions, often on. Build the true minimum: who stands "
                 "across from whom?"},
    ]
