"""The figure of rows 4 and 5: phases of the extra feature, by its importance and by p."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..colours import BLUE, GREEN, ORANGE
from ..style import STYLE, canvas, label

COLOURS = {"not learned": "#DDDDDD", "superposed": ORANGE, "own dimension": BLUE, "joint": GREEN}
WORDS = {"not learned": "extra feature not learned", "superposed": "superposed, an antipodal pair",
         "own dimension": "own dimension", "joint": "joint solution, a triangle"}


def figure(importance, probability, candidates, minima, rows, columns, trained, near=None):
    """Fixed candidates, true minima and trained models on one grid; and a close-up, if wanted.

    importance (R,), probability (P,)        candidates, minima (R, P), phases
    rows (T,), columns (U,)                  the cells of that grid that `trained` (T, U) stands for
    near : None, or importance, probability, and phases of the minima and of the candidates there
    """
    panels = 3 + (near is not None)
    whole = canvas(5.3 * panels + 0.8, 6.6)
    grid = whole.subplots(1, panels)
    edges = _edges(importance), _edges(probability)
    few = _coarse(edges[0], rows), _coarse(edges[1], columns)
    _phases(grid[0], *edges, candidates, "fixed candidates (paper)")
    _phases(grid[1], *edges, minima, "true minima")
    _border(grid[1], *edges, candidates)
    _phases(grid[2], *few, trained, "trained, the best in each cell")
    _border(grid[2], *edges, minima)
    if near is not None:
        close = _edges(near[0]), _edges(near[1])
        _phases(grid[3], *close, near[2], "true minima, close up", scale="linear")
        _border(grid[3], *close, near[3])
        grid[3].yaxis.set_major_formatter("{x:g}")
        grid[3].yaxis.set_minor_formatter("{x:g}")
    grid[0].set_ylabel("importance of the extra feature,\nrelative to the others",
                       fontsize=STYLE["font"] + 2)
    present = set(np.ravel(candidates)) | set(np.ravel(minima)) | set(np.ravel(trained))
    present |= set() if near is None else set(np.ravel(near[2]))
    handles = [Patch(facecolor=colour, edgecolor="0.5", label=WORDS[phase])
               for phase, colour in COLOURS.items() if phase in present]
    handles.append(Line2D([], [], color="black", linewidth=2, label="black line: the borders of "
                          "the panel to the left" if near is None else
                          "black line: borders of the panel to the left, or of the candidates"))
    whole.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=STYLE["font"] + 1,
                 frameon=False)
    return whole


def _edges(centres):
    """The edges (k + 1,) of cells with these centres (k,), midway on a log axis."""
    a = np.log(centres)
    if len(a) == 1:
        return np.exp([a[0] - 0.5, a[0] + 0.5])
    middle = (a[1:] + a[:-1]) / 2
    return np.exp([2 * a[0] - middle[0], *middle, 2 * a[-1] - middle[-1]])


def _coarse(edges, chosen):
    """Edges of cells around the chosen ones that fill the same area, from the fine cells' edges."""
    middle = (np.asarray(chosen)[1:] + np.asarray(chosen)[:-1] + 1) // 2
    return np.array([edges[0], *edges[middle], edges[-1]])


def _phases(axes, up, right, phase, title, scale="log"):
    """Phases (R, P) as coloured cells, p from dense to sparse."""
    names = list(COLOURS)
    codes = np.vectorize(names.index)(phase)
    axes.pcolormesh(right, up, codes, vmin=-0.5, vmax=len(names) - 0.5,
                    cmap=ListedColormap(list(COLOURS.values())), edgecolors="white",
                    linewidth=0.6 if max(codes.shape) <= 20 else 0)
    axes.set(xscale=scale, yscale="log", ylim=up[[0, -1]], xlim=right[[-1, 0]])
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    label(axes, "feature probability p = 1 − S", title=title, frame=True, larger=1)


def _border(axes, up, right, phase):
    """A line wherever two neighbouring cells (R, P) differ."""
    for i, j in np.argwhere(phase[1:] != phase[:-1]):
        axes.plot(right[[j, j + 1]], up[[i + 1, i + 1]], color="black", linewidth=1.6)
    for i, j in np.argwhere(phase[:, 1:] != phase[:, :-1]):
        axes.plot(right[[j + 1, j + 1]], up[[i, i + 1]], color="black", linewidth=1.6)
