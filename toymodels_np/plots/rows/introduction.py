"""Row 1's figure: the geometry at each probability, and what training leaves on the table."""

import numpy as np

from ..colours import BLUE, ORANGE, feature_colour
from ..style import STYLE, canvas, label
from ..weights import geometry, gram

COLUMNS = 5                 # panels in a row
FLOOR = 1e-3                # per cent: what costs less than this is drawn here
NAMED = 8                   # features that the legend names, at most


def figure(p, n_text, W, names, importance, trained, polished):
    """The best W at each probability, the text's first, and their losses above the true minimum.

    p (P,), of which the first `n_text` are the text's        W (P, m, n), names (P,)
    importance (n,) of the features
    trained, polished (K, P) : loss / that of the true minimum − 1 of the best models of K seeds,
        as they were trained, and at the minimum that they lead to
    """
    n_sweep = len(p) - n_text
    rows = -(-n_sweep // COLUMNS)
    whole = canvas(16, 6.4 + 3.6 * rows)
    top, bottom = whole.subfigures(2, 1, height_ratios=(6, 3.6 * max(rows, 0.01)))
    left, right = top.subfigures(1, 2, width_ratios=(max(n_text, 1), 1.6))
    _models(left, range(n_text), p, W, names, max(n_text, 1), "probabilities of the text")
    _losses(right.subplots(), p, trained, polished)
    right.suptitle("what training leaves on the table", fontsize=STYLE["title"] + 1)
    _models(bottom, range(n_text, len(p)), p, W, names, COLUMNS, "the notebook's sweep")
    handles = [right.axes[0].plot([], [], "o-", color=feature_colour(i), linewidth=3,
                                  markersize=9)[0] for i in range(min(len(importance), NAMED))]
    words = [f"feature {i}, importance {value:.2g}" for i, value in enumerate(importance[:NAMED])]
    whole.legend(handles, words, loc="outside lower center", ncols=5, fontsize=STYLE["font"],
                 frameon=False, columnspacing=1.2, handlelength=1.5)
    return whole


def _models(part, chosen, p, W, names, columns, title):
    """One panel a model: directions where there are up to three dimensions, else WᵀW."""
    chosen = list(chosen)
    rows, m = -(-len(chosen) // columns), W.shape[1]
    for place, i in enumerate(chosen):
        axes = part.add_subplot(rows, columns, place + 1, projection="3d" if m == 3 else None)
        if m <= 3:
            geometry(W[i], ax=axes)
        else:
            gram(W[i], colorbar=False, ax=axes)
        axes.set_title(f"p = {p[i]:.3g}\n{names[i]}", fontsize=STYLE["font"] + 1)
    if chosen:
        part.suptitle(title, fontsize=STYLE["title"] + 1)


def _losses(axes, p, trained, polished):
    """How far above the true minimum the best models are, in per cent, on a log axis."""
    for lost, marker, colour, words in (
            (trained, "o", ORANGE, "trained, best of a seed"),
            (polished, "x", BLUE, "the minimum it leads to")):
        axes.plot(np.tile(p, len(lost)), np.maximum(100 * lost, FLOOR).ravel(), marker,
                  color=colour, markersize=9, markeredgewidth=2, markerfacecolor="none",
                  label=words, clip_on=False, zorder=3)
    axes.axhline(1, color="0.6", linewidth=1.2, linestyle=":")
    axes.set(xscale="log", yscale="log", ylim=(FLOOR, None))
    axes.invert_xaxis()
    axes.legend(fontsize=STYLE["font"], frameon=False, loc="lower center",
                bbox_to_anchor=(0.5, 1.0))
    label(axes, "feature probability p = 1 − S", f"loss above the true minimum, %\n"
          f"({FLOOR:g} and below are on the axis)")
