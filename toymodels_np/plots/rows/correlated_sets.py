"""Row 8: directions of three cases, a colour and a marker a pair, and the cosines within all pairs.
"""

import numpy as np

from ..colours import BLUE, GREEN, GREY, ORANGE, VERMILION
from ..style import STYLE, canvas, label

PAIR_LOOKS = (BLUE, "o"), (ORANGE, "s"), (GREEN, "^")
TITLES = ("correlated pairs:\northogonal", "anticorrelated pairs:\nantipodal",
          "three correlated pairs,\nno room: side by side")


def figure(panels, orthogonal):
    """The best trained model of each case above, a histogram of all trained models' cosines below.

    panels : a case each, (W (2, n), the pairs, cosines (k,), those of the true minimum)
    orthogonal : |cos| up to this is orthogonal: shaded
    """
    whole = canvas(14, 9)
    top, bottom = whole.subplots(2, len(panels), height_ratios=(3, 2))
    for axes, below, title, (W, pairs, cosines, true) in zip(top, bottom, TITLES, panels):
        draw_pairs(axes, W, pairs, 1.3 * max(1, np.linalg.norm(W, axis=0).max()))
        axes.set_title(title, fontsize=STYLE["title"] + 3)
        below.axvspan(-orthogonal, orthogonal, color="0.9", zorder=0, label="orthogonal")
        below.hist(cosines, bins=np.linspace(-1.05, 1.05, 43), color=GREY)
        for value in np.unique(np.round(true, 3)):
            below.axvline(value, color=VERMILION, linewidth=3, linestyle="--",
                          label="true minimum" if value == np.round(true, 3).min() else None)
        label(below, "cosine within a pair", larger=2)
    bottom[0].set_ylabel("trained pairs, all starts", fontsize=STYLE["font"] + 2)
    whole.legend(*bottom[0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                 fontsize=STYLE["font"] + 1, frameon=False)
    return whole


def draw_pairs(axes, W, pairs, limit, *, collapsed=()):
    """The columns of W (2, n) as arrows with their numbers, a colour and a marker for each pair.

    collapsed : the pairs (by their place) that share one direction and are written "×2"
    """
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_color("0.85")
    for k, (members, (colour, marker)) in enumerate(zip(pairs, PAIR_LOOKS)):
        for i in members:
            x, y = W[:, i]
            axes.plot([0, x], [0, y], color=colour, linewidth=4, solid_capstyle="round")
            axes.plot(x, y, marker, color=colour, markersize=13, markeredgecolor="white")
            if k not in collapsed:
                write_beyond(axes, W[:, i], str(i))
        if k in collapsed:
            write_beyond(axes, W[:, list(members)].mean(1), "×2")


def write_beyond(axes, tip, words):
    """Words a little beyond the tip (2,) of an arrow."""
    away = tip / max(np.hypot(*tip), 1e-9) * 20                         # points
    axes.annotate(words, tip, away, textcoords="offset points", fontsize=STYLE["font"] + 1,
                  fontweight="bold", ha="center", va="center", color="0.25")
