"""Row 11: shares of a dimension along training with their jumps, and the loss beneath."""

import numpy as np

from ..colours import BLUE, GREEN, ORANGE, PURPLE, VERMILION
from ..style import STYLE, canvas, label

HIGHLIGHTED = (BLUE, ORANGE, GREEN, PURPLE, VERMILION)
WORDS = {0: "0", 0.375: "⅜", 0.4: "⅖", 0.5: "½", 2 / 3: "⅔", 0.75: "¾"}


def figure(few, many, fractions, transient, left):
    """Two columns: one model of few features, in which single jumps are seen, and one of many.

    few, many : (steps (T,), D (T, n), loss (T,), [(feature, record) of each jump], n_hidden, p)
    fractions : of a dimension, drawn as lines      transient : the part of training left out
    left : by which fraction the model of few features ends above the minimum next to it, or NaN
    """
    page = canvas(17, 10)
    panels = page.subplots(2, 2, sharex="col", height_ratios=(5, 3))
    for column, (model, words) in enumerate(((few, "few features: single jumps"),
                                             (many, "many features: they blur"))):
        _column(*panels[:, column], model, words, fractions, transient)
    panels[0, 0].set_ylabel("share of a dimension $D_i$", fontsize=STYLE["title"] + 2)
    if np.isfinite(left):
        panels[1, 0].text(0.98, 0.93, f"ends {100 * left:.1g} % above the minimum next to it",
                          transform=panels[1, 0].transAxes, ha="right", va="top",
                          fontsize=STYLE["title"])
    panels[1, 0].set_ylabel("loss", fontsize=STYLE["title"] + 2)
    return page


def _column(top, bottom, model, words, fractions, transient):
    steps, D, loss, jumps, m, p = model
    early = round(transient * (len(steps) - 1))
    coloured = dict(zip(dict.fromkeys(i for i, _ in jumps), HIGHLIGHTED)) if len(jumps) < 12 else {}
    for fraction in fractions:
        top.axhline(fraction, color="0.8", linewidth=1.2, linestyle="--", zorder=0)
    ticks = [f for f in fractions if f not in (3 / 8, 2 / 5)]
    top.set_yticks([*ticks, 0.3875], [*(WORDS.get(f, f"{f:g}") for f in ticks), "⅜ ⅖"])
    top.plot(steps, np.delete(D, list(coloured), axis=1), color="0.65", linewidth=1, alpha=0.8)
    for i, colour in coloured.items():
        top.plot(steps, D[:, i], color=colour, linewidth=3.5, zorder=3)
    for i, t in jumps:
        look = coloured.get(i, "0.35")
        top.plot(steps[t], D[t, i], "o", color=look, markersize=12 if coloured else 7, zorder=4,
                 markeredgecolor="white")
        bottom.axvline(steps[t], color=look, linewidth=2.5 if coloured else 0.6, zorder=0)
    bottom.plot(steps, loss, color="black", linewidth=3)
    room = np.ptp(loss[early:]) or 1.0
    bottom.set_ylim(loss[early:].min() - 0.08 * room, loss[early] + 0.1 * room)
    for axes in (top, bottom):
        axes.axvspan(steps[0], steps[early], color="0.93", zorder=-1)
    top.annotate("left out", (steps[early] / 2, 0.98), xycoords=("data", "axes fraction"), va="top",
                 ha="center", rotation=90, fontsize=STYLE["font"] + 1, color="0.35")
    if len(steps) > 1:
        top.set_xlim(steps[0], steps[-1])
    label(top, title=f"{D.shape[1]} features in {m} dimensions, p = {p:g}\n"
                     f"{words} ({len(jumps)} found: dots)", larger=4)
    label(bottom, "training step", title="lines: the jumps above" if jumps else "no jumps",
          larger=3)
