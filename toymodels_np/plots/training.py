"""Trained models, drawn: the losses of a run, Gram matrices, and the main job's figure."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D

from .colours import BLUE, GREY, ORANGE, VERMILION, feature_colour
from .parts import draw_directions, name_curves
from .style import STYLE, canvas, label, panel
from .weights import SHARED

ROOM = 1.12                 # what costs more than this times the dearest branch is off the scale


def history(history, *, ax=None):
    """The recorded losses of a History against the training step, a line an instance."""
    if not hasattr(history, "steps") or not hasattr(history, "losses"):
        raise TypeError(f"history must be the History of tm.train or tm.resume, got {history!r}")
    steps, losses = np.asarray(history.steps), np.asarray(history.losses)
    losses = losses.reshape(len(steps), -1)                                     # (T, instances)
    axes = panel(ax, size=(7.5, 5))
    single = losses.shape[1] == 1
    axes.plot(steps, losses, color="black" if single else BLUE, linewidth=2.5 if single else 1.5,
              alpha=1 if single else max(0.25, losses.shape[1] ** -0.5))
    if (losses > 0).all():
        axes.set_yscale("log")
    label(axes, "training step", "loss of the batch" if single else
          f"losses of the batches, {losses.shape[1]} instances")
    return axes


def gram_rows(models, titles):
    """WᵀW of each model as a heat map, with a bar for each feature's norm, coloured by its sharing.

    models : list of W (m, n)          titles : one each
    Colours and bars are on one scale, which reaches to the largest of all models.
    """
    longest = max(np.linalg.norm(W, axis=0).max() for W in models)
    columns = min(len(models), 4)
    rows = -(-len(models) // columns)
    figure = canvas(4.4 * columns, 4.0 * rows)
    cells = figure.subplots(rows, 2 * columns, width_ratios=(3, 1) * columns, squeeze=False)
    image = None
    for i, (W, title) in enumerate(zip(models, titles)):
        row, column = divmod(i, columns)
        image, colours = _gram_panel(*cells[row, 2 * column:2 * column + 2], W, title, longest)
    for axes in cells.ravel()[2 * len(models):]:
        axes.axis("off")
    figure.colorbar(image, ax=cells, shrink=0.6, label=r"$W^T W$", location="right")
    figure.colorbar(colours, ax=cells, shrink=0.6, label="superposition of the feature",
                    location="right")
    return figure


def _gram_panel(heat, bars, W, title, longest):
    norm = np.linalg.norm(W, axis=0)
    unit = W / np.where(norm > 0, norm, 1)
    shared = ((unit.T @ W)**2).sum(1) - norm**2         # sum over j != i of (W_i . W_j)^2 / |W_i|^2
    most = max(1.2, longest**2)                         # no entry of WᵀW is larger
    image = heat.imshow(W.T @ W, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    heat.set(xticks=[], yticks=[])
    heat.set_title(title, fontsize=STYLE["title"])
    colours = ScalarMappable(*SHARED)
    bars.barh(np.arange(W.shape[1]), norm, color=colours.to_rgba(np.clip(shared, 0, 1)),
              edgecolor="0.4", linewidth=0.3)
    bars.set(ylim=(W.shape[1] - 0.5, -0.5), xlim=(0, max(1.4, 1.05 * longest)), yticks=[],
             xticks=[0, 1])
    bars.set_xlabel(r"$\|W_i\|$", fontsize=STYLE["font"])
    bars.axvline(1, color="0.7", linewidth=0.8, zorder=0)
    return image, colours


def pentagon_to_digon(vary, ratios, branches, crossing, trained, solutions, norms, biases):
    """The main job's figure; feature 4 is the one that is scaled.

    vary : "importance" or "probability", what of feature 4 is scaled     ratios : (R,) by what
    branches : {name: (R,) energy, NaN where the branch does not exist}
    crossing : the ratio where they meet, or None
    trained : list of (ratio, loss, geometry, whether feature 4's output is dead), one a start
    solutions : list of (ratio, geometry, W (2, 5))
    norms, biases : (R, 5) of the best trained model
    """
    figure = canvas(13, 12)
    rows = figure.subfigures(3, 1, height_ratios=(5.2, 2.3, 3.6))
    colours = dict(zip(branches, (BLUE, ORANGE)))
    order = np.argsort(ratios)
    curves = {}
    for name, energy in branches.items():
        known = order[np.isfinite(energy[order])]
        curves[name] = ratios[known], energy[known]
    _draw_energies(rows[0].subplots(), vary, curves, colours, crossing, trained)

    limit = 1.6 * max(np.linalg.norm(W, axis=0).max() for *_, W in solutions)
    solutions = sorted(solutions, key=lambda solution: solution[0])
    for axes, (ratio, geometry, W) in zip(rows[1].subplots(1, len(solutions)), solutions):
        draw_directions(axes, W, limit, numbers=range(5) if geometry in list(branches)[:1] else
                        range(4))
        axes.set_title(f"{ratio:g}\n{geometry}", fontsize=STYLE["font"] - 2,
                       color=colours.get(geometry, GREY))
    rows[1].suptitle("best trained W at a few ratios, in the order of the axis above",
                     fontsize=STYLE["font"])

    for axes, values, words in zip(rows[2].subplots(1, 2), (norms, biases),
                                   (r"norm $\|W_i\|$", "bias $b_i$")):
        for i in range(values.shape[1]):
            axes.plot(ratios, values[:, i], "o-", color=feature_colour(i), markersize=5,
                      linewidth=1.8, label=f"feature {i}")
        label(axes, f"{vary} of feature 4, relative to the others", words)
    axes.legend(fontsize=STYLE["font"] - 2, frameon=False)
    return figure


def _draw_energies(axes, vary, curves, colours, crossing, trained):
    """Both branches, every trained model on them, and those off the scale at the upper edge."""
    top = ROOM * max(energy.max() for _, energy in curves.values())
    for name, (ratio, energy) in curves.items():
        axes.plot(ratio, energy, color=colours[name], linewidth=2.5, zorder=2)
    lowest = min(energy.min() for _, energy in curves.values())
    axes.set_ylim(lowest - 0.08 * (top - lowest), top)
    for ratio, loss, geometry, dead in trained:
        colour = colours.get(geometry, GREY)
        if loss > 0.97 * top:
            axes.plot(ratio, 0.97 * top, "^", color=colour, markersize=11, zorder=4)
            axes.annotate(f"{loss:.3f}: {geometry}", (ratio, 0.97 * top), xytext=(10, 0),
                          textcoords="offset points", va="center", fontsize=STYLE["font"] - 1,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})
            continue
        axes.plot(ratio, loss, "o" if geometry in curves else "x", color=colour, markersize=9,
                  markeredgewidth=1.2, markerfacecolor="none", zorder=3)
        if dead:
            axes.plot(ratio, loss, "+", color=VERMILION, markersize=17, markeredgewidth=2.2,
                      zorder=4)
    if crossing is not None:
        axes.axvline(crossing, color="0.3", linestyle="--", linewidth=1.5)
        axes.annotate(f"energies cross at {crossing:.4f}", (crossing, 0.04),
                      xycoords=("data", "axes fraction"), xytext=(8, 0),
                      textcoords="offset points", fontsize=STYLE["font"])
    name_curves(axes, curves, colours, size=STYLE["title"])
    looks = {"exact energy of a geometry": {"color": "0.3", "linewidth": 2.5},
             "a trained model": {"marker": "o", "markerfacecolor": "none"},
             "another geometry": {"marker": "x", "color": GREY},
             "off the scale": {"marker": "^", "color": GREY},
             "output of feature 4 is dead": {"marker": "+", "color": VERMILION,
                                             "markeredgewidth": 2.2, "markersize": 15}}
    there = {"another geometry": any(g not in curves for _, loss, g, _ in trained
                                     if loss <= 0.97 * top),
             "off the scale": any(loss > 0.97 * top for _, loss, _, _ in trained),
             "output of feature 4 is dead": any(dead for *_, dead in trained)}
    handles = [Line2D([], [], label=words, **{"color": "0.3", "markersize": 9, "linestyle":
               "-" if "linewidth" in look else ""} | look)
               for words, look in looks.items() if there.get(words, True)]
    axes.legend(handles=handles, fontsize=STYLE["font"] - 1, frameon=False, loc="upper center",
                bbox_to_anchor=(0.5, -0.13), ncols=len(handles))
    label(axes, f"{vary} of feature 4, relative to the others", "expected loss (exact)",
          "Five features in two dimensions: two energy branches, and where training lands")
