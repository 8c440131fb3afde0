"""Row 12: the loss of all starts with the plateaus of one, and that one's directions on each; and
the same moving.
"""

from ..animation import animate
from ..colours import ORANGE, SKY
from ..parts import draw_sets
from ..style import STYLE, canvas, label

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def animation(steps, losses, shown, path, sets, titles):
    """The learning of one start as a page of its own; arguments as in `animate`."""
    return animate(steps, losses, shown, path, sets, titles,
                   heading="Two sets of three features learn an octahedron",
                   caption="The curve is the exact loss of one model along training. The solid "
                           "has the directions of its six features in three dimensions: blue are "
                           "those of one set, red those of the other; members of a set are always "
                           "on together.")


def figure(steps, losses, start, minimum, stations, solids, sets):
    """Above, losses against the step; below, a solid for each station of one start.

    steps : (T,)        losses : (starts, T)        start : the one that is shown
    minimum : the lowest loss                       sets : of features
    stations : list of (first, shown, last, words), records of a plateau (or a moment) and its shape
    solids : list of W (3, 6), turned for the eye, one a station
    """
    page = canvas(15, 10.5)
    top, bottom = page.subfigures(2, 1, height_ratios=(5, 4))
    axes, size = top.subplots(), STYLE["font"] + 3
    highest = losses[start].max()
    for k, other in enumerate(losses):
        axes.semilogy(steps, other, color="0.75", linewidth=1.2, label="" if k else "all starts")
    axes.semilogy(steps, losses[start], color="black", linewidth=3, label="the start shown below")
    axes.axhline(minimum, color=ORANGE, linewidth=2.5, linestyle="--", label="true minimum")
    for letter, (first, shown, last, _) in zip(LETTERS, stations):
        if last > first:
            axes.axvspan(steps[first], steps[last], facecolor=SKY, alpha=0.3)
        if shown in (first, last):
            axes.axvline(steps[shown], color="0.3", linewidth=2, linestyle=":")
        at = steps[shown] if shown in (first, last) else (steps[first] * steps[last]) ** 0.5
        side = "right" if len(steps) > 1 and at == steps[-1] else "center"
        axes.text(at, 1.25 * highest, letter, ha=side, va="top", fontsize=size + 3,
                  fontweight="bold", in_layout=False,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 3})
    axes.set(ylim=(minimum / 1.3, 1.35 * highest))
    if len(steps) > 2:
        axes.set(xscale="log", xlim=(steps[1], steps[-1]))
    axes.legend(fontsize=size, framealpha=1, edgecolor="none", loc="upper right",
                bbox_to_anchor=(0.99, 0.86))
    label(axes, "training step", "expected loss (exact)",
          "Two correlated sets of three in three dimensions: each plateau has its geometry",
          larger=3)
    for k, (letter, (*_, words), W) in enumerate(zip(LETTERS, stations, solids)):
        panel = bottom.add_axes((k / len(stations), 0, 1 / len(stations), 0.9), projection="3d")
        draw_sets(panel, W, sets)
        bottom.text((k + 0.5) / len(stations), 0.97, f"{letter}: {words}", ha="center", va="top",
                    fontsize=size)
    return page
