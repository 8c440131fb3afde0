"""Drawings of one model, of which figures are composed: its directions in the plane or in space, its neurons."""

import numpy as np

from ..geometry.neurons import MONOSEMANTIC
from .style import BLUE, FEATURE_COLOURS, GREEN, GREY, ORANGE, STYLE, VERMILION, label

SET_LOOKS = (BLUE, "o"), (VERMILION, "^"), (GREEN, "s")             # a set's colour and marker


def draw_directions(axes, W, limit):
    """The columns of W (2, n) as arrows from the origin, one colour a feature."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    for i, (x, y) in enumerate(W.T):
        colour = FEATURE_COLOURS[i % len(FEATURE_COLOURS)]
        axes.plot([0, x], [0, y], color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot(x, y, "o", color=colour, markersize=7)


def draw_sets(axes, W, sets, *, limit=0.72, zoom=1.25):
    """The columns of W (3, n) in space, a colour and a marker for each of the sets of features, and their outline.

    limit : of the three axes, in units of W          zoom : how large the space is in its panel
    """
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
    axes.set_box_aspect((1, 1, 1), zoom=zoom)
    axes.set_axis_off()
    axes.patch.set_visible(False)
    axes.view_init(elev=18, azim=35)
    for members, (colour, marker) in zip(sets, SET_LOOKS):
        members, look = list(members), {"color": colour, "clip_on": False}
        for w in W[:, members].T:
            axes.plot(*zip((0, 0, 0), w), linewidth=3.5, solid_capstyle="round", **look)
        axes.plot(*W[:, [*members, members[0]]], linewidth=1.5, linestyle=":", **look)
        axes.plot(*W[:, members], linestyle="", marker=marker, markersize=12, **look)


def draw_stack(axes, height, bottom, monosemanticity, *, least=0.25, thin=0, line=1.5, hatch="//"):
    """A stack plot: a bar of weights for each neuron, a rectangle a feature, with a number where there is room for it.

    height, bottom : (m, n) of the rectangles
    monosemanticity : (m,); monosemantic neurons are blue, polysemantic ones orange and hatched, idle ones (0) grey
    least : the height that has room for the number    thin : rectangles up to this height are left out
    line : the width of the white lines around them
    """
    m = len(height)
    for j in range(m):
        polysemantic = 0 < monosemanticity[j] < MONOSEMANTIC
        look = {"color": ORANGE, "hatch": hatch} if polysemantic else {"color": BLUE if monosemanticity[j] else GREY}
        thick = abs(height[j]) > thin
        axes.bar(np.full(thick.sum(), j), height[j, thick], bottom=bottom[j, thick], width=0.85, edgecolor="white",
                 linewidth=line, **look)
        for i in np.flatnonzero(abs(height[j]) >= least):
            axes.text(j, bottom[j, i] + height[j, i] / 2, str(i), ha="center", va="center",
                      fontsize=STYLE["font"], fontweight="bold", color="black" if polysemantic else "white",
                      bbox={"boxstyle": "round,pad=0.12", "color": ORANGE} if polysemantic else None)
    axes.axhline(0, color="black", linewidth=1)
    axes.set_xticks(range(m))
    label(axes)
