"""Drawings of the book's chapters that no public function of `plots` makes. Nothing is computed.

Each returns the figure that it made.
"""

import numpy as np
from matplotlib.patches import Patch

from .colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from .style import STYLE, canvas, label
from .weights import geometry, gram

LOOKS = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"), (ORANGE, "-"), (SKY, "--"))


def curves(panels):
    """Curves over one variable, panels side by side, each with a legend of its own.

    panels : list of dicts with x, y (the labels), title, curves {name: (values, heights)} and, if
        wanted, points {name: (values, heights)}, log ("x", "y" or "xy"), reverse (x falls), at
        {name: value} of dotted vertical lines
    """
    figure = canvas(6.4 * len(panels), 4.4)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for (name, (x, y)), (colour, line) in zip(panel["curves"].items(), LOOKS):
            axes.plot(x, y, line, color=colour, linewidth=2.5, label=name)
        for name, (x, y) in panel.get("points", {}).items():
            axes.plot(x, y, "o", color=GREY, markersize=5, alpha=0.8, label=name, zorder=1)
        for name, x in panel.get("at", {}).items():
            axes.axvline(x, color="black", linestyle=":", linewidth=1.5, label=name)
        for letter in panel.get("log", ""):
            (axes.set_xscale if letter == "x" else axes.set_yscale)("log")
        if panel.get("reverse"):
            axes.invert_xaxis()
        axes.legend(fontsize=STYLE["font"] - 1, frameon=False)
        label(axes, panel["x"], panel["y"], panel.get("title"))
    return figure


def samples(x, titles):
    """Batches x, each (B, n), as images side by side: a row a sample, a column a feature."""
    figure = canvas(3.6 * len(x), 4.6)
    for axes, batch, title in zip(figure.subplots(1, len(x), squeeze=False)[0], x, titles):
        image = axes.imshow(batch, cmap="Blues", vmin=0, vmax=1, aspect="auto",
                            interpolation="nearest")
        axes.set_xticks(range(batch.shape[1]))
        label(axes, "feature", "sample" if axes.get_subplotspec().is_first_col() else None, title,
              frame=True)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8)
    bar.set_label("value", fontsize=STYLE["font"])
    return figure


def cells(panels, rows, columns, colours, words):
    """Named cells on a grid whose columns are points, panels side by side; "" is left white.

    panels : {title: names, a list of lists}       rows : edges       columns : their words
    colours : {name: colour}       words : of the horizontal and of the vertical axis
    """
    figure = canvas(4.3 * len(panels), 4.8)
    for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0],
                                    panels.items()):
        for low, high, row in zip(rows, rows[1:], names):
            for k, name in enumerate(row):
                axes.bar(k, high - low, 1, low, color=colours.get(name, "white"),
                         edgecolor="0.75", linewidth=0.8)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(rows[0], rows[-1]))
        axes.set_xticks(range(len(columns)), columns)
        label(axes, words[0], words[1] if axes.get_subplotspec().is_first_col() else None, title,
              frame=True)
    handles = [Patch(facecolor=c, edgecolor="0.5", label=name) for name, c in
               {**colours, "not proved": "white"}.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False,
                  fontsize=STYLE["font"])
    return figure


def landscape(x, y, heights, words):
    """Heights (rows of y, columns of x) as a map with contours, and the lines x = 0 and y = 0."""
    figure = canvas(7, 5.6)
    axes = figure.add_subplot()
    image = axes.contourf(x, y, heights, levels=np.geomspace(heights[heights > 0].min(),
                                                             heights.max(), 16), cmap="viridis")
    axes.axhline(0, color="white", linestyle="--", linewidth=1)
    axes.axvline(0, color="white", linestyle="--", linewidth=1)
    axes.set_aspect("equal")
    label(axes, *words, frame=True)
    bar = figure.colorbar(image, ax=axes, format="%.2g")
    bar.set_label("loss", fontsize=STYLE["font"])
    return figure


def shapes(weights, titles):
    """Matrices W, each (m, n) with m at most 3, as directions side by side."""
    figure = canvas(4.2 * len(weights), 4.6)
    for place, (W, title) in enumerate(zip(weights, titles), 1):
        space = {"projection": "3d"} if len(W) == 3 else {}
        axes = geometry(W, ax=figure.add_subplot(1, len(weights), place, **space))
        axes.set_title(title, fontsize=STYLE["title"])
    return figure


def directions_and_gram(W):
    """W (2, n) as directions, and beside it its Gram matrix."""
    figure = canvas(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    geometry(W, ax=left)
    gram(W, ax=right)
    left.set_title("columns of W", fontsize=STYLE["title"])
    right.set_title("gains G = WᵀW", fontsize=STYLE["title"])
    return figure


def rose(angles, heights, W, title):
    """Curves (k,) over the angle of a direction, {name: heights}, and the columns of W (2, n)."""
    figure = canvas(7.2, 5.6)
    axes = figure.add_subplot(projection="polar")
    for (name, height), (colour, line) in zip(heights.items(), LOOKS):
        axes.plot(angles, height, line, color=colour, linewidth=2.5, label=name)
    axes.set_xticks(np.arctan2(W[1], W[0]) % (2 * np.pi), range(W.shape[1]))
    axes.tick_params(labelsize=STYLE["font"])
    most = max(height.max() for height in heights.values())
    axes.set_yticks(np.arange(2, most - 1, 2))              # so that no number lies on the rim
    axes.set_rlabel_position(36)
    axes.set_title(title, fontsize=STYLE["title"])
    axes.legend(fontsize=STYLE["font"] - 1, loc="upper left", bbox_to_anchor=(0.98, 1))
    return figure
