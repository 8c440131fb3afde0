"""The picture of a sweep's table: the best model at each point of a grid of one or two settings."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D

from .colours import FEATURE_COLOURS, GREY, PHASE_COLOURS
from .phases import cell_edges
from .style import STYLE, canvas, label

LETTER = STYLE["font"] / 72 * 0.6           # inches that a letter of a legend takes


def sweep_map(names, places, losses, by, labels):
    """A sweep's best models over the one or two settings that vary: what they are, what they lose.

    names : of the settings      places : for each its values (C,)      losses : (C,)
    labels : (C,) strings, of what `by` says
    """
    ranking = sorted(set(labels), key=lambda name: (-np.sum(labels == name), name))
    colours = PHASE_COLOURS if by == "phase" else dict(
        zip(ranking, (*FEATURE_COLOURS[:7], *[GREY] * len(ranking))))
    scales = ["log" if np.min(place) > 0 and np.max(place) > 8 * np.min(place) else "linear"
              for place in places]
    words, title = [name.replace("_", " ") for name in names], f"{by} of the best model"
    if len(names) == 1:
        figure = canvas(9, 6)
        axes = figure.subplots()
        _draw_curve(axes, places[0], losses, [colours[name] for name in labels])
        axes.set(xscale=scales[0], yscale=_scale(losses))
        _from_dense(axes, names[0])
        label(axes, words[0], "loss of the best", title, frame=True)
    else:
        figure = canvas(13, 6)
        left, right = figure.subplots(1, 2)
        codes = [list(colours).index(name) for name in labels]
        _draw_cells(left, places, scales, codes, vmin=-0.5, vmax=len(colours) - 0.5,
                    cmap=ListedColormap(list(colours.values())), edgecolors="white", linewidth=0.5)
        image = _draw_cells(right, places, scales, losses, cmap="cividis", norm=_scale(losses))
        figure.colorbar(image, ax=right).ax.tick_params(labelsize=STYLE["font"] - 1)
        label(left, words[1], words[0], title, frame=True)
        label(right, words[1], None, "its loss", frame=True)
        for axes in (left, right):
            _from_dense(axes, names[1])
    handles = [Line2D([], [], linestyle="", marker="s" if len(names) == 2 else "o", markersize=11,
                      color=colours[name], markeredgecolor="0.5",
                      label=name if colours[name] != GREY else "other")
               for name in colours if name in ranking[:8]]
    widest = LETTER * (6 + max(len(handle.get_label()) for handle in handles))      # inches
    figure.legend(handles=handles, fontsize=STYLE["font"], frameon=False,
                  loc="outside lower center",
                  ncols=int(np.clip(figure.get_figwidth() / widest, 1, 4)))
    return figure


def _from_dense(axes, name):
    """Axes of p run from dense (left) to sparse in every figure."""
    if name in ("p", "feature_probability"):
        axes.invert_xaxis()


def _scale(losses):
    return "log" if np.min(losses) > 0 else "linear"


def _draw_curve(axes, place, losses, colours):
    order = np.argsort(place)
    axes.plot(np.array(place)[order], np.array(losses)[order], color="0.7", zorder=1)
    axes.scatter(place, losses, c=colours, s=70, edgecolors="0.3", zorder=2)


def _draw_cells(axes, places, scales, numbers, **look):
    """The numbers (C,) as coloured cells, the first setting upwards; those without stay empty."""
    values, cells = zip(*(np.unique(place, return_inverse=True) for place in places))
    table = np.full([len(value) for value in values], np.nan)
    table[cells] = numbers
    up, right = (cell_edges(value, scale == "log") for value, scale in zip(values, scales))
    axes.set(xscale=scales[1], yscale=scales[0])
    return axes.pcolormesh(right, up, table, **look)
