"""Row 6: D* with its plateaus, and the share of every feature on the lines of the shapes, dense to
sparse; on top, where each shape is exactly best.
"""

import numpy as np

from ...geometry import polytopes
from ..colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from ..style import STYLE, canvas, label

SHAPE_COLOURS = (VERMILION, ORANGE, BLUE, GREEN, PURPLE)
FRACTIONS = "¾", "⅔", "½", "⅖", "⅜"
NARROW = 0.1                        # of the stretched axis: a window narrower than its name
SIDEWAYS = 0.012                    # of the axis: dots of one p are spread, so that all are seen


def figure(x, dstar, count, D, kept, windows, graphs, size, main, left):
    """Two rows: D* and represented features a dimension; below, D_i of all features.

    x : (P,) 1/p ascending        dstar, count : (R, P), R runs        D, kept : (R, P, n)
    windows : {shape: (low, high)} of 1/p        graphs : (shape, its line, cosines (k, k)) each
    size : (n, m)                 main : up to this 1/p in the wide panels, beyond in narrow ones
    left : (R, P) by which fraction the loss is above that of the minimum next to it, or NaN
    """
    whole = canvas(17, 14)
    wide, narrow = x <= main, x > main
    ratios = (7, 1.1, 1.5) if narrow.any() else (7, 0.01, 1.5)
    cells = whole.subplots(2, 3, width_ratios=ratios, height_ratios=(4, 7), sharey="row")
    for column, part in ((0, wide), (1, narrow)):
        if not part.any():
            cells[0, column].axis("off"), cells[1, column].axis("off")
            continue
        draw_dstar(cells[0, column], x[part], dstar[:, part], count[:, part], named=column == 0)
        draw_left(cells[0, column], x[part], left[:, part])
        draw_shares(cells[1, column], x[part], D[:, part], kept[:, part], graphs,
                    named=column == 0)
    for axes in cells[:, 0]:
        draw_windows(axes, windows, graphs, on_top=axes is cells[1, 0])
    n, m = size
    cells[0, 0].set_title(f"Dimensions for each represented feature: {n} features of equal "
                          f"importance in {m} dimensions", fontsize=STYLE["title"] + 1)
    label(cells[1, 0], "1 / p = 1 / (1 − S), from dense to sparse; stretched towards 1",
          larger=2)
    cells[0, 2].axis("off")
    draw_graphs(cells[1, 2], graphs)
    return whole


def draw_dstar(axes, x, dstar, count, *, named):
    """D* (R, P) and represented features a dimension (R, P) against 1/p."""
    for k, (y, kept) in enumerate(zip(dstar, count)):
        axes.plot(x, y, "o-", color=BLUE, markersize=6, linewidth=1.5,
                  label=None if k else r"$D^* = m\,/\,\|W\|_F^2$")
        axes.plot(x, 1 / np.maximum(kept, 1e-9), "x", color=VERMILION, markersize=8,
                  markeredgewidth=1.6, label=None if k else "m / number of represented features")
    for level in (1, 0.5):
        axes.axhline(level, color="0.4", linestyle="--", linewidth=1.3, zorder=0)
    axes.set_ylim(0, 1.6)
    _scale(axes, x, wide=named)
    label(axes, None, "dimensions for a feature" if named else None, larger=2)
    if named:
        axes.legend(fontsize=STYLE["title"], frameon=False, loc="upper right")


def draw_left(axes, x, left):
    """By how many millionths the loss is above that of the minimum next to it, as numbers, at the
    1/p (P,) where this is known: the worst of the runs, left (R, P).
    """
    known = np.flatnonzero(np.isfinite(left).any(0))
    for i in known:
        millionths = float(f"{1e6 * np.nanmax(left[:, i]):.1g}")
        axes.text(x[i], 0.03, f"{millionths:g}", color=GREEN, ha="center", va="bottom",
                  fontsize=STYLE["font"] + 1)
    if len(known):
        axes.text(0.99, 0.72, "green: by how many millionths, at least, the\nloss is above the "
                  "minimum next to the model", color=GREEN, transform=axes.transAxes, ha="right",
                  va="center", fontsize=STYLE["font"] + 1)


def draw_shares(axes, x, D, kept, graphs, *, named):
    """D_i (R, P, n) as dots, the represented ones dark, and the shapes' lines."""
    rng = np.random.default_rng(0)
    there, back = SCALES[named]
    left, right = there(np.array(_room(x, named)))
    aside = SIDEWAYS * (right - left) * (1 if named else 4) * rng.uniform(-0.5, 0.5, D.shape)
    place = back(there(x)[:, None] + aside)
    for chosen, look, words in ((~kept, {"color": "0.75", "markersize": 4, "alpha": 0.5},
                                 "not represented (norm below ½)"),
                                (kept, {"color": "black", "markersize": 8, "alpha": 0.6},
                                 "represented")):
        axes.plot(place[chosen], D[chosen], ".", label=words, **look)
    for (_, line, _), colour in zip(graphs, SHAPE_COLOURS):
        axes.axhline(line, color=colour, linewidth=2.2, zorder=0)
    axes.set_ylim(-0.04, 1.04)
    _scale(axes, x, wide=named)
    label(axes, None, r"$D_i$, each feature's own share of a dimension" if named else None,
          larger=2)
    if named:
        axes.legend(fontsize=STYLE["title"], frameon=True, loc="upper right", markerscale=2.5)


def draw_windows(axes, windows, graphs, *, on_top):
    """Where each shape is exactly best, shaded, with its name on top.

    The name of a narrow window ends where the window does, and that of a second one beside it
    begins with it, so that they do not meet.
    """
    colours = {name: colour for (name, *_), colour in zip(graphs, SHAPE_COLOURS)}
    there, back = SCALES[True]
    aside = "center"
    for name, (low, high) in windows.items():
        axes.axvspan(low, high, color=colours[name], alpha=0.13, linewidth=0, zorder=-1)
        narrow = there(high) - there(low) < NARROW
        aside = "center" if not narrow else "left" if aside == "right" else "right"
        place, beside = {"left": (low, 3), "right": (high, -3),
                         "center": (back((there(low) + there(high)) / 2), 0)}[aside]
        if on_top:
            axes.annotate(name.replace(" ", "\n") + "\nbest", (place, 1), (beside, 6),
                          xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                          color=colours[name], ha=aside, va="bottom", fontsize=STYLE["font"],
                          fontweight="bold")


def draw_graphs(axes, graphs):
    """Beside the lines: their fractions and the graphs of their shapes."""
    axes.set(xlim=(0, 1))
    axes.axis("off")
    heights = np.linspace(0.87, 0.2, len(graphs))
    for (name, line, cosine), height, fraction, colour in zip(graphs, heights, FRACTIONS,
                                                              SHAPE_COLOURS):
        axes.plot([0, 0.2], [line, height], color=colour, linewidth=1.8, clip_on=False)
        axes.text(0.24, height, fraction, fontsize=STYLE["title"] + 8, va="center", color=colour)
        draw_graph(axes.inset_axes((0.5, (height + 0.05) / 1.08 - 0.06, 0.5, 0.12)), cosine)
        axes.text(0.98, height - 0.06, name, fontsize=STYLE["font"], ha="right", va="top")
    axes.text(0.24, 0, "0  dropped", fontsize=STYLE["title"], va="center", color=GREY)


def draw_graph(axes, cosine):
    """A dot a feature, on a circle, and a line between features, thicker the less orthogonal."""
    n = len(cosine)
    x, y = polytopes.polygon(n) if n > 2 else np.array([[-1.0, 1.0], [0.0, 0.0]])
    size = np.triu(abs(cosine), 1)
    for i, j in zip(*np.nonzero(size > 0.1)):
        axes.plot(x[[i, j]], y[[i, j]], color="0.45", linewidth=2.5 * size[i, j] / size.max())
    axes.plot(x, y, "o", color=SKY, markeredgecolor="black", markersize=8)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    axes.axis("off")


def _scale(axes, x, *, wide):
    """The axis of 1/p: in the wide panels stretched towards 1, where most shapes change."""
    wanted = [1, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 8, 10, 20, 50, 100]
    ticks = [each for each in wanted if x[0] <= each <= x[-1]]
    axes.set_xscale("function", functions=SCALES[wide])
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.set_xlim(*_room(x, wide))


def _room(x, wide):
    """The ends of the axis, a little beyond the values x."""
    there, back = SCALES[wide]
    first, last = there(x[[0, -1]])
    beside = 0.02 * max(last - first, 0.1) * (1 if wide else 4)
    return tuple(back(np.array([first - beside, last + beside])))


def _stretch(x):
    """The root of log x, odd about 1."""
    u = np.log(np.maximum(x, 1e-9))
    return np.sign(u) * np.sqrt(abs(u))


def _stretch_back(y):
    return np.exp(np.sign(y) * np.square(y))


def _log(x):
    return np.log(np.maximum(x, 1e-9))


SCALES = {True: (_stretch, _stretch_back), False: (_log, np.exp)}       # of wide and narrow panels
