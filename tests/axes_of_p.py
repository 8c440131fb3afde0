"""Axes of p run from dense, on the left, to sparse in every figure, whoever draws it."""

import re

import numpy as np

# The rows whose figures have axes of p or of 1/p; in those of all others there are none to be seen.
ROWS = {"introduction", "phase-2-1", "phase-3-2", "uniform-geometry", "principal-components",
        "adversarial", "privileged-basis", "absolute-value-superposition"}
INVERSE = re.compile(r"\b1\s*/\s*p\b")
PROBABILITY = re.compile(r"\bprobability\b|\bp\b")
RATIO = "relative to"               # one feature's p as a part of the others' is a ratio and no p


def shown(axes):
    """The values under a horizontal axis as one reads them: its ends, or the words of its ticks
    where their places only count, as under bars.
    """
    ticks = axes.get_xticklabels()
    places = [tick.get_position()[0] for tick in ticks]
    if not ticks or places != list(range(len(ticks))):
        return axes.get_xlim()
    words = [float(tick.get_text()) for tick in ticks]
    return words[::-1] if axes.xaxis_inverted() else words


def dense_to_sparse(figure, expected=True):
    """The figure, once its axes of p are seen to fall and those of 1/p to rise.

    expected : whether it must have such axes at all; a change of labels would hide them
    """
    found = 0
    for axes in figure.axes:
        label = axes.get_xlabel()
        if RATIO in label or not PROBABILITY.search(label):
            continue
        steps = np.diff(shown(axes))
        assert ((steps > 0) if INVERSE.search(label) else (steps < 0)).all(), label
        found += 1
    assert bool(found) == expected, [axes.get_xlabel() for axes in figure.axes]
    return figure


def row_figure(experiment, runs):
    """The figure that a row of the paper draws of its runs, with axes of p as they must be."""
    return dense_to_sparse(experiment.draw(runs), experiment.name in ROWS)
