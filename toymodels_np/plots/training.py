"""Figures of trained models: their Gram matrices, and where training lands between the pentagon and two digons."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from .parts import draw_directions
from .style import BLUE, FEATURE_COLOURS, GREY, ORANGE, STYLE, canvas, label


def gram_rows(models, titles):
    """W'W of each model as a heat map, with a bar for each feature's norm, coloured by how far it shares its dimension.

    models : list of W (m, n)          titles : one each
    """
    columns = min(len(models), 4)
    rows = -(-len(models) // columns)
    figure = canvas(4.4 * columns, 4.0 * rows)
    cells = figure.subplots(rows, 2 * columns, width_ratios=(3, 1) * columns, squeeze=False)
    image = None
    for i, (W, title) in enumerate(zip(models, titles)):
        row, column = divmod(i, columns)
        image, colours = _gram_panel(*cells[row, 2 * column:2 * column + 2], W, title)
    for axes in cells.ravel()[2 * len(models):]:
        axes.axis("off")
    figure.colorbar(image, ax=cells, shrink=0.6, label=r"$W^T W$", location="right")
    figure.colorbar(colours, ax=cells, shrink=0.6, label="superposition of the feature", location="right")
    return figure


def _gram_panel(heat, bars, W, title):
    norm = np.linalg.norm(W, axis=0)
    unit = W / np.where(norm > 0, norm, 1)
    shared = ((unit.T @ W)**2).sum(1) - norm**2                         # sum over j != i of (W_i . W_j)^2 / |W_i|^2
    image = heat.imshow(W.T @ W, cmap="RdBu_r", vmin=-1.2, vmax=1.2, aspect="auto")
    heat.set(xticks=[], yticks=[])
    heat.set_title(title, fontsize=STYLE["title"])
    colours = ScalarMappable(Normalize(0, 1), "viridis")
    bars.barh(np.arange(W.shape[1]), norm, color=colours.to_rgba(np.clip(shared, 0, 1)), edgecolor="0.4", linewidth=0.3)
    bars.set(ylim=(W.shape[1] - 0.5, -0.5), xlim=(0, 1.4), yticks=[], xticks=[0, 1])
    bars.set_xlabel(r"$\|W_i\|$", fontsize=STYLE["font"])
    bars.axvline(1, color="0.7", linewidth=0.8, zorder=0)
    return image, colours


def pentagon_to_digon(vary, ratios, branches, crossing, trained, solutions, norms, biases):
    """The main job's figure.

    vary : "importance" or "probability", what of feature 5 is scaled      ratios : (R,) by what
    branches : {name: (R,) energy, NaN where the branch does not exist}    crossing : the ratio where they meet, or None
    trained : list of (ratio, loss, geometry), one a start    solutions : list of (ratio, geometry, W (2, 5))
    norms, biases : (R, 5) of the best trained model
    """
    figure = canvas(13, 11.5)
    rows = figure.subfigures(3, 1, height_ratios=(5.2, 2.3, 3.6))
    colours = dict(zip(branches, (BLUE, ORANGE)))

    axes = rows[0].subplots()
    for name, energy in branches.items():
        axes.plot(ratios, energy, color=colours[name], linewidth=2.5, label=f"{name}, analytic", zorder=2)
    for geometry in sorted({geometry for *_, geometry in trained}, key=lambda g: ([*branches, g].index(g), g)):
        points = np.array([(ratio, loss) for ratio, loss, g in trained if g == geometry])
        marker = "o" if geometry in branches else "x"
        axes.plot(*points.T, marker, color=colours.get(geometry, GREY), markersize=9, markeredgewidth=1.2,
                  markerfacecolor="none" if marker == "o" else None, label=f"{geometry}, trained", zorder=3)
    if crossing is not None:
        axes.axvline(crossing, color="0.3", linestyle="--", linewidth=1.5)
        axes.annotate(f"energies cross at {crossing:.4f}", (crossing, 0.04), xycoords=("data", "axes fraction"),
                      xytext=(8, 0), textcoords="offset points", fontsize=STYLE["font"])
    axes.legend(fontsize=STYLE["font"] - 1, frameon=False, loc="upper center")
    label(axes, f"{vary} of feature 5, relative to the others", "expected loss (exact)",
          "Five features in two dimensions: two energy branches, and where training lands")

    limit = 1.15 * max(np.linalg.norm(W, axis=0).max() for *_, W in solutions)
    for axes, (ratio, geometry, W) in zip(rows[1].subplots(1, len(solutions)), solutions):
        draw_directions(axes, W, limit)
        axes.set_title(f"{ratio:g}\n{geometry}", fontsize=STYLE["font"] - 2,
                       color=colours.get(geometry, GREY))
    rows[1].suptitle("best trained W at a few ratios (feature 5 is red)", fontsize=STYLE["font"])

    for axes, values, words in zip(rows[2].subplots(1, 2), (norms, biases), (r"norm $\|W_i\|$", "bias $b_i$")):
        for i in range(values.shape[1]):
            axes.plot(ratios, values[:, i], "o-", color=FEATURE_COLOURS[i], markersize=5, linewidth=1.8,
                      label=f"feature {i + 1}")
        label(axes, f"{vary} ratio", words)
    axes.legend(fontsize=STYLE["font"] - 2, frameon=False)
    return figure
