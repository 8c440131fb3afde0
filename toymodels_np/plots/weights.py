"""Public drawings of a weight matrix: its directions, its Gram matrix, and what each feature has.

    W   (m, n)   column i is feature i's direction      ax   where to draw; None for a new figure

Each returns the Axes that it drew on. `ax.figure.savefig(path)` writes them, a notebook shows them.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from ..core import checks
from ..core.models import Model
from ..geometry import measures
from .colours import feature_colour
from .parts import at_tips, draw_directions, draw_hull, prepare_space
from .style import STYLE, label, panel

DRAWN = 0.02                # a column shorter than this part of the longest is named as dropped
NUMBERED = 24               # up to so many features get their number,
OUTLINED = 100              # and up to so many a bar with an outline
SHARED = Normalize(0, 1), "viridis"                     # the colours of interference
BEYOND = 0.24               # of the longest column: how far from a tip in space its number stands
LARGEST = 1e100                                         # entry of a W whose squares can be drawn
FRACTIONS = {"3/4 tetrahedron": 3 / 4, "2/3 triangle": 2 / 3, "1/2 digon": 1 / 2,
             "2/5 pentagon": 2 / 5, "3/8 square antiprism": 3 / 8, "0 dropped": 0.0}


def geometry(W, *, ax=None):
    """The columns of W (m, n) as directions, one colour a feature, for m = 1, 2 or 3.

    In one dimension every feature has a line of its own; in three, the hull's edges are drawn, and
    `ax` must be made with projection="3d". Returns the Axes. Raises ValueError or TypeError.
    """
    W = matrix(W)
    if len(W) > 3:
        raise ValueError(f"W must have 1, 2 or 3 hidden dimensions to be drawn, got shape "
                         f"{W.shape}: tm.plots.gram(W) draws any number")
    if abs(W).max() > LARGEST:
        raise OverflowError(f"W is too large to be drawn: its entries reach {abs(W).max():.3g}")
    axes = panel(ax, size=(5.6, 5.6), space=len(W) == 3)
    length = measures.norms(W)
    limit = 1.32 * length.max() if length.max() > 0 else 1.0
    far = np.flatnonzero((length > DRAWN * length.max()) & (length > 0))
    numbers = far if len(far) <= NUMBERED else ()
    if len(W) == 1:
        _draw_line(axes, W[0], limit)
    elif len(W) == 2:
        draw_directions(axes, W, limit, numbers=numbers)
    else:
        _draw_space(axes, W, limit, far, numbers)
    dropped = sorted(set(range(W.shape[1])) - set(far))
    if dropped and len(W) > 1:
        words = ", ".join(map(str, dropped)) if len(dropped) <= 8 else f"{len(dropped)} features"
        write = axes.text2D if len(W) == 3 else axes.text
        write(0.02, 0.02, f"at 0: {words}", transform=axes.transAxes, fontsize=STYLE["font"])
    return axes


def _yes(colorbar):
    if not isinstance(colorbar, bool):
        raise TypeError(f"colorbar must be True or False, got {colorbar!r}")
    return colorbar


def gram(W, *, colorbar=True, ax=None):
    """WᵀW (n, n) of W (m, n) as a square heat map: what input j (column) does to output i (row).

    Red is positive, blue negative; the colours reach to the largest entry, but at least to 1.
    """
    G = measures.gram(matrix(W))
    axes = panel(ax, size=(6.2, 5.2))
    most = max(1.0, abs(G).max())
    image = axes.imshow(G, cmap="RdBu_r", vmin=-most, vmax=most, aspect="equal")
    _number(axes, len(G), "xy")
    label(axes, "feature", "feature", frame=True)
    if _yes(colorbar):
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.85)
        bar.set_label(r"$W^\top W$", fontsize=STYLE["font"])
    return axes


def norms(W, *, colorbar=True, ax=None):
    """‖W_i‖ of each column of W (m, n) as bars, feature 0 on top.

    The colour is the interference Σ_{j≠i} (Ŵ_i·W_j)², how far it shares its dimension, up to 1.
    """
    W = matrix(W)
    axes = panel(ax, size=(5, 5.2))
    colours = ScalarMappable(*SHARED)
    many = W.shape[1] > OUTLINED            # outlines would be all that is seen, or gaps
    axes.barh(np.arange(W.shape[1]), measures.norms(W), edgecolor="0.4",
              linewidth=0 if many else 0.3, height=1 if many else 0.8,
              color=colours.to_rgba(np.clip(measures.interference(W), 0, 1)))
    axes.axvline(1, color="0.7", linewidth=0.8, zorder=0)
    axes.set(ylim=(W.shape[1] - 0.5, -0.5), xlim=(0, max(1.4, 1.05 * measures.norms(W).max())))
    _number(axes, W.shape[1], "y")
    label(axes, r"norm $\|W_i\|$", "feature")
    if _yes(colorbar):
        bar = axes.figure.colorbar(colours, ax=axes, shrink=0.85)
        bar.set_label("shares its dimension", fontsize=STYLE["font"])
    return axes


def dimensionality(W, *, at=None, ax=None):
    """The dimensionality D_i of each feature, and lines at the fractions of the polytopes.

    W : (m, n), whose features are drawn side by side, each in its colour; or (K, m, n), a column of
        points for each of K models
    at : (K,) where on the axis these columns stand, or None for the models' numbers
    """
    W = checks.weights(W)
    at = None if at is None else checks.array("at", at)
    if W.ndim > 3 or (at is not None and (W.ndim, at.shape) != (3, W.shape[:1])):
        raise ValueError(f"W must be (m, n), or (K, m, n) with `at` (K,) or None, got W {W.shape} "
                         f"and at {None if at is None else np.shape(at)}")
    D = measures.feature_dimensionality(W)
    axes = panel(ax, size=(8, 5))
    if D.ndim == 1:
        axes.scatter(range(len(D)), D, s=70, color=[feature_colour(i) for i in range(len(D))],
                     zorder=3)
    else:
        place = np.arange(len(D)) if at is None else at
        axes.scatter(np.repeat(place, D.shape[1]), D.ravel(), s=22, color="black", alpha=0.35,
                     linewidth=0, zorder=3)
    if at is None:
        _number(axes, len(D), "x")
        axes.set_xlim(-0.6, len(D) - 0.4)
    for name, value in FRACTIONS.items():
        axes.axhline(value, color="0.75", linewidth=1.2, zorder=0)
        rise = {2 / 5: 5, 3 / 8: -5}.get(value, 0)              # these two are near each other
        axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), xytext=(6, rise),
                      textcoords="offset points", va="center", fontsize=STYLE["font"] - 2)
    axes.set_ylim(-0.04, 1.06)
    label(axes, "feature" if D.ndim == 1 else "model" if at is None else None,
          r"dimensionality $D_i$")
    return axes


def matrix(W):
    """W as a single finite matrix (m, n) of float64, else a sentence."""
    if isinstance(W, Model):
        raise TypeError(f"W must be a matrix (m, n), got {W!r}: pass its .W")
    W = checks.weights(W)
    if W.ndim > 2:
        raise ValueError(f"W must be one matrix (m, n), got shape {W.shape}: choose one, as W[0]")
    return W.astype(np.float64, copy=False)


def _draw_line(axes, w, limit):
    """One line for each feature's weight (n,), feature 0 on top."""
    axes.axvline(0, color="0.6", linewidth=1, zorder=0)
    for i, x in enumerate(w):
        axes.plot([0, x], [i, i], color=feature_colour(i), linewidth=3, label=f"feature {i}")
        axes.plot(x, i, "o", color=feature_colour(i), markersize=9)
    axes.set(xlim=(-limit, limit), ylim=(len(w) - 0.5, -0.5))
    _number(axes, len(w), "y")
    label(axes, "the hidden dimension", "feature")


def _draw_space(axes, W, limit, far, numbers):
    """The columns of W (3, n) in space with the hull of those that are far from 0."""
    prepare_space(axes, limit / 1.5, 1.1)
    for i, w in enumerate(W.T):
        look = {"color": feature_colour(i), "clip_on": False}
        axes.plot(*zip((0, 0, 0), w), linewidth=3.5, solid_capstyle="round", label=f"feature {i}",
                  **look)
        axes.plot(*w[:, None], linestyle="", marker="o", markersize=9, **look)
    draw_hull(axes, W.T[far])
    length = measures.norms(W)
    for i, words, colour in at_tips(W, numbers):
        beyond = 1 + BEYOND * length.max() / length[i]          # as far from a short one's dot
        axes.text(*(beyond * W[:, i]), words, color=colour, fontsize=STYLE["font"] + 1,
                  fontweight="bold", ha="center", va="center")
    for artist in (*axes.lines, *axes.texts):       # in space they have no extent for a layout
        artist.set_in_layout(False)


def _number(axes, n, which):
    """Ticks that number the features: all of a few, some of many."""
    ticks = range(0, n, max(1, -(-n // 12)))
    if "x" in which:
        axes.set_xticks(ticks)
    if "y" in which:
        axes.set_yticks(ticks)
