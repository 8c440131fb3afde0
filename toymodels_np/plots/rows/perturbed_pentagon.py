"""Row 7: two energy curves with all trained models, for two ways to perturb, and W on the way."""

import numpy as np
from matplotlib.lines import Line2D

from ..colours import BLUE, GREY, ORANGE, VERMILION
from ..parts import draw_directions
from ..style import STYLE, canvas, label

LOOKS = {"pentagon": BLUE, "2 digons + dropped": ORANGE}


def figure(ratios, panels, best, paper):
    """Energies above, the best trained W at a few ratios below, from frequent to rare.

    ratios : (R,) descending
    panels : a way to perturb each, (vary, energies (2, R), crossing, pentagon's end, trained);
        trained lists (loss (R, S), names (R, S)) of each run
    best : for each ratio (W (2, 5), name)
    paper : factor at which the paper sees a collapse
    """
    whole = canvas(15, 10.5)
    top, bottom = whole.subfigures(2, 1, height_ratios=(3.4, 2))
    for axes, panel in zip(top.subplots(1, len(panels)), panels):
        draw_curves(axes, ratios, *panel, paper)
    top.legend(handles=[
        *(Line2D([], [], color=colour, linewidth=3, label=f"{name}, exact")
          for name, colour in LOOKS.items()),
        *(Line2D([], [], linestyle="", marker="o", color=colour, markerfacecolor="none",
                 markersize=8, label=f"{name}, trained") for name, colour in LOOKS.items()),
        Line2D([], [], linestyle="", marker="x", color=GREY, markersize=8,
               label="another geometry, trained"),
        Line2D([], [], linestyle="", marker="$\\uparrow$", color=GREY, markersize=11,
               label="trained, beyond the panel")],
        fontsize=STYLE["font"], frameon=False, loc="outside lower center", ncols=3)
    shown = np.unique(np.linspace(0, len(ratios) - 1, 6).round().astype(int))
    for axes, i in zip(np.atleast_1d(bottom.subplots(1, len(shown))), shown):
        W, name = best[i]
        draw_directions(axes, W, 1.6, numbers=np.flatnonzero(np.linalg.norm(W, axis=0) > 0.1))
        axes.set_title(f"ratio {ratios[i]:g}\n{name}", fontsize=STYLE["title"])
    bottom.suptitle("best trained W as feature 4 gets rarer", fontsize=STYLE["title"] + 2)
    return whole


def draw_curves(axes, ratios, vary, energies, crossing, limit, trained, paper):
    """One panel: exact curves, trained models, the crossing, the end, the paper's value."""
    highest = 1.12 * np.nanmax(energies)
    for energy, colour in zip(energies, LOOKS.values()):
        axes.plot(ratios, energy, color=colour, linewidth=3)
    for loss, names in trained:
        place = np.broadcast_to(ratios[:, None], loss.shape)
        for name in np.unique(names):
            here = names == name
            colour, marker = LOOKS.get(name, GREY), "o" if name in LOOKS else "x"
            axes.plot(place[here], loss[here], marker, color=colour, markerfacecolor="none",
                      markersize=8)
        beyond = loss > highest
        axes.plot(place[beyond], np.full(beyond.sum(), 0.97 * highest), linestyle="",
                  marker="$\\uparrow$", color=GREY, markersize=11)
    lines = ((crossing, "black", "--", f"same energy: {crossing:.4f}"),
             (limit, VERMILION, "-.", f"pentagon's end: {limit:.4f}"),
             (1 / paper, GREY, ":", f"the paper's 1/{paper:g}"))
    handles = [axes.axvline(x, color=colour, linewidth=2.2, linestyle=style, label=words)
               for x, colour, style, words in lines]
    axes.legend(handles=handles, fontsize=STYLE["font"], loc="lower left", framealpha=0.95)
    axes.set(xlim=(1.05 * ratios[0], 0), ylim=(0, highest))
    label(axes, f"{vary} of feature 4, relative to the others'", "expected loss (exact)", larger=2)
