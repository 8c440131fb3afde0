"""Row 10: the lowest geometry from dense to sparse, and the cosine within each pair against p."""

import numpy as np

from ..colours import GREY, PURPLE
from ..style import STYLE, canvas, label
from .correlated_sets import draw_pairs

RANK_LOOKS = ("black", "o"), (PURPLE, "s"), ("0.55", "d")       # closest, second, third pair


def figure(p, W, pairs, merged, cosines, edges, paper):
    """Above, W (2, 6) at a few p, a colour a pair, ×2 where it has collapsed; below, the cosines.

    p : (P,) ascending          W : (P, 2, 6)           merged : (P, 3) which pairs have collapsed
    cosines : (P, 3) within the pairs, largest first    edges : p at which a pair collapses
    paper : p at which the paper's plot has pairs collapse
    """
    whole = canvas(15, 10)
    top, bottom = whole.subfigures(2, 1, height_ratios=(2.2, 3.6))
    shown = np.unique(np.linspace(0, len(p) - 1, 6).round().astype(int))[::-1]
    for axes, i in zip(np.atleast_1d(top.subplots(1, len(shown))), shown):
        draw_pairs(axes, W[i], pairs, 1.5 * max(1, np.linalg.norm(W[i], axis=0).max()),
                   collapsed=np.flatnonzero(merged[i]))
        axes.set_title(f"p = {p[i]:g}\n{merged[i].sum()} of 3 collapsed",
                       fontsize=STYLE["title"] + 2)
    axes = bottom.subplots()
    for k, (colour, marker) in enumerate(RANK_LOOKS):
        axes.plot(p, cosines[:, k], marker + "-", color=colour, linewidth=2.5, markersize=11,
                  label=("closest pair", "second", "third")[k])
    for edge in dict.fromkeys(edges):                       # two pairs may collapse at one p
        axes.axvline(edge, color="black", linewidth=2, linestyle="--",
                     label="a pair collapses" if edge == edges[0] else None)
        axes.text(edge, 1.09, f" {edge:.3f}", fontsize=STYLE["font"] + 4)
    for edge in paper:
        axes.axvline(edge, color=GREY, linewidth=2.5, linestyle=":",
                     label="read off the paper's plot" if edge == paper[0] else None)
    axes.set(xscale="log", ylim=(-0.1, 1.2), xticks=p[::2])
    axes.set_xticklabels([f"{q:g}" for q in p[::2]])
    axes.minorticks_off()
    axes.invert_xaxis()
    label(axes, "probability that a pair is on, from dense to sparse", "cosine within a pair",
          larger=3)
    axes.legend(fontsize=STYLE["font"] + 1, loc="lower right", framealpha=0.95)
    return whole
