"""Row 16: stack plots from dense to sparse, coloured by feature, and the share of each kind."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from ..colours import BLUE, GREY, ORANGE
from ..style import STYLE, canvas, label

THIN = 0.02                         # rectangles that are thinner are not drawn
NUMBERED = 0.045                    # so much of the panel must a rectangle fill for its number
FEW = 16                            # neurons whose rectangles are wide enough for numbers
WORDS = ("a neuron serves a feature by its input weight × its\noutput weight there: the slope in "
         "|x| that it alone gives\n\nmonosemantic: one feature has 90 % of all that it serves")


def figure(panels, probability, shares):
    """A stack plot of each chosen model, and how many neurons are monosemantic at each p.

    panels : (p, height (m, n), bottom (m, n), primary feature (m,), monosemantic (m,),
        polysemantic (m,)) of each model, from dense to sparse
    probability : (P,)          shares : (seeds, P) of monosemantic neurons
    """
    page = canvas(18, 10)
    names = [f"stack {k}" for k in range(len(panels))]
    half = -(-len(names) // 2)
    rows = [names[:half] + ["share"], names[half:] + ["."] * (2 * half - len(names)) + ["key"]]
    grid = page.subplot_mosaic(rows, width_ratios=[1.15] * half + [1])
    n = panels[0][1].shape[1]
    colours = ScalarMappable(Normalize(0, max(n - 1, 1)), "turbo")
    for name, panel in zip(names, panels):
        _stack(grid[name], *panel, colours)
    axes = grid["share"]
    for share in shares:
        axes.plot(probability, 100 * share, "o-", color="0.55", linewidth=1.5, markersize=6)
    axes.plot(probability, 100 * shares.mean(0), "-", color="black", linewidth=3.5)
    axes.set(xscale="log", ylim=(-4, 104))
    axes.invert_xaxis()
    label(axes, "feature probability $p = 1 - S$", None, "monosemantic neurons, %", larger=2)
    axes.legend(handles=[Line2D([], [], color="0.55", marker="o", label="one seed"),
                         Line2D([], [], color="black", linewidth=3.5, label="mean")],
                fontsize=STYLE["font"] + 1, frameon=False)
    _key(page, grid["key"], colours)
    return page


def _stack(axes, p, height, bottom, primary, one, several, colours):
    m, n = height.shape
    for i in range(n):
        thick = abs(height[:, i]) > THIN
        axes.bar(np.flatnonzero(thick), height[thick, i], bottom=bottom[thick, i], width=0.86,
                 color=colours.to_rgba(i), edgecolor="white", linewidth=0.8)
    low = min(-1.0, np.minimum(height, 0).sum(1).min())
    high = max(1.0, np.maximum(height, 0).sum(1).max())
    below = low - 0.1 * (high - low)
    for which, colour, marker in ((one, BLUE, "s"), (several, ORANGE, "D"),
                                  (~(one | several), GREY, "x")):
        axes.plot(np.flatnonzero(which), np.full(which.sum(), below), marker, color=colour,
                  markersize=11 if m <= FEW else 6)
    axes.axhline(0, color="black", linewidth=1)
    few = -(-m // FEW)
    names = [str(i) if works else "–" for i, works in zip(primary, one | several)]
    axes.set_xticks(range(0, m, few), names[::few])
    axes.set(xlim=(-0.6, m - 0.4), ylim=(below - 0.06 * (high - low), high * 1.05))
    if m <= FEW:
        _number(axes, height, bottom, colours)
    label(axes, "neuron, by its primary feature", "input weights, largest 1",
          f"p = {p:g}: {one.sum()} of {(one | several).sum()} monosemantic", larger=2)


def _number(axes, height, bottom, colours):
    """Each rectangle's feature, where it has room for the number."""
    for j, i in zip(*np.nonzero(abs(height) >= NUMBERED * np.ptp(axes.get_ylim()))):
        light = sum(colours.to_rgba(i)[:3]) > 1.6
        axes.text(j, bottom[j, i] + height[j, i] / 2, str(i), ha="center", va="center",
                  fontsize=STYLE["font"], color="black" if light else "white")


def _key(page, axes, colours):
    axes.axis("off")
    handles = [Line2D([], [], linestyle="", marker="s", color=BLUE, label="monosemantic neuron"),
               Line2D([], [], linestyle="", marker="D", color=ORANGE, label="polysemantic neuron"),
               Line2D([], [], linestyle="", marker="x", color=GREY, label="serves no feature")]
    axes.legend(handles=handles, fontsize=STYLE["title"], frameon=False, loc="upper left",
                markerscale=2)
    axes.text(0.02, 0.56, WORDS, va="top", fontsize=STYLE["font"] + 1)
    bar = page.colorbar(colours, cax=axes.inset_axes((0.03, 0.12, 0.9, 0.06)),
                        orientation="horizontal")
    bar.set_label("feature; 0 is the most important", fontsize=STYLE["font"] + 1)
    bar.ax.tick_params(labelsize=STYLE["font"])
