"""Phase diagrams: what becomes of the extra feature, by its importance and its probability."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..theory.phase import PhaseDiagram
from .colours import PHASE_COLOURS
from .style import STYLE, canvas, label, panel


def phase(diagram, *, candidates=False, ax=None):
    """A PhaseDiagram as coloured cells: what becomes of the extra feature in the true minima.

    candidates : draw the phases of the paper's fixed candidates instead
    Without `candidates`, a dot marks a cell whose minimum is not the best candidate. p runs from
    dense (left) to sparse. Returns the Axes.
    """
    if not isinstance(diagram, PhaseDiagram):
        raise TypeError(f"diagram must be the PhaseDiagram of tm.phase_diagram, got {diagram!r}")
    if not isinstance(candidates, (bool, np.bool_)):
        raise TypeError(f"candidates must be True or False, got {candidates!r}")
    axes = panel(ax, size=(6.8, 6))
    place = diagram.importance, diagram.feature_probability
    for name, values in zip(("importance", "feature_probability"), place):
        if len(values) < 2 or (np.diff(values) <= 0).any() or values[0] <= 0:
            raise ValueError(f"{name} of the diagram must have two or more ascending values above "
                             f"0 to be drawn, got {values.tolist()}")
    draw_phases(axes, *place, diagram.candidate_phase if candidates else diagram.phase,
                dots=None if candidates else diagram.differs)
    axes.set_ylabel("relative importance of the extra feature", fontsize=STYLE["font"])
    handles = [Patch(facecolor=colour, edgecolor="0.5", label=name)
               for name, colour in PHASE_COLOURS.items()]
    if not candidates:
        handles.append(Line2D([], [], linestyle="", marker="o", color="black", markersize=6,
                              label="not the best candidate"))
    axes.legend(handles=handles, fontsize=STYLE["font"] - 1, frameon=False, ncols=2,
                loc="upper center", bbox_to_anchor=(0.5, -0.13), title="the extra feature")
    return axes


def cell_edges(centres, log, within=None):
    """Cell edges (k + 1,) midway between centres (k,) on a log or linear scale.

    The outermost edges are those of the centres `within`, if these are given.
    """
    a = np.log(centres) if log else np.asarray(centres)
    if len(a) == 1:
        return np.exp(a + [-0.5, 0.5]) if log else a + [-0.5, 0.5]
    middle = (a[1:] + a[:-1]) / 2
    a = np.concatenate([[2 * a[0] - middle[0]], middle, [2 * a[-1] - middle[-1]]])
    a = np.exp(a) if log else a
    if within is not None:
        a[[0, -1]] = cell_edges(within, log)[[0, -1]]
    return a


def draw_phases(axes, importance, probability, phase, *, dots=None, triangles=None, log=True,
                within=(None, None)):
    """The phases (R, P) as coloured cells, with dots or triangles in the cells where they are True.

    `within` are the two axes' cell centres in a finer diagram, whose area these cells fill.
    """
    names = list(PHASE_COLOURS)
    codes = np.vectorize(names.index)(phase)
    axes.pcolormesh(cell_edges(probability, log, within[1]),
                    cell_edges(importance, True, within[0]), codes, vmin=-0.5, vmax=2.5,
                    cmap=ListedColormap(list(PHASE_COLOURS.values())), edgecolors="white",
                    linewidth=0.4 if max(codes.shape) <= 20 else 0)
    for marks, marker, size in ((dots, "o", 5), (triangles, "^", 8)):
        if marks is not None:
            row, column = np.nonzero(marks)
            axes.plot(np.array(probability)[column], np.array(importance)[row], marker,
                      color="black", markersize=size, markeredgecolor="white",
                      markeredgewidth=0.6)
    axes.set_yscale("log")
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    if log:
        axes.set_xscale("log")
    axes.invert_xaxis()
    label(axes, r"feature probability $p = 1 - S$", frame=True)


def phase_diagram(diagrams, near):
    """Candidates, true minima and trained models side by side, a row a size; then a close-up.

    diagrams : two dicts with n, m, importance (R,), feature_probability (P,); (R, P) phase,
        candidate_phase, differs and joint; and of the trained models on their own axes
        trained_importance, trained_probability, trained_phase, …
    near : a dict with importance, feature_probability, phase and joint, of 3 features in 2
    """
    figure = canvas(18, 10)
    grid = figure.subplots(2, 4)
    titles = "fixed candidates (paper)", "true minima", "trained, best of a few"
    for axes, d in zip(grid, diagrams):
        place = d["importance"], d["feature_probability"]
        draw_phases(axes[0], *place, d["candidate_phase"])
        draw_phases(axes[1], *place, d["phase"], dots=d["differs"] & ~d["joint"],
                    triangles=d["joint"])
        draw_phases(axes[2], d["trained_importance"], d["trained_probability"],
                    d["trained_phase"], dots=~d["found"],
                    triangles=d["trained_joint"] & d["found"], within=place)
        for cells, title in zip(axes, titles):
            cells.set_title(f"{d['n']} in {d['m']}: {title}", fontsize=STYLE["title"])
        axes[0].set_ylabel("relative importance\nof the extra feature", fontsize=STYLE["font"])
    axes, place = grid[1, 3], (near["importance"], near["feature_probability"])
    draw_phases(axes, *place, near["phase"], triangles=near["joint"], log=False)
    axes.set_title("3 in 2: true minima, close up", fontsize=STYLE["title"])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")

    legend = grid[0, 3]
    legend.axis("off")
    handles = [Patch(facecolor=colour, edgecolor="0.5", label=f"extra feature: {name}")
               for name, colour in PHASE_COLOURS.items()]
    handles += [Line2D([], [], linestyle="", marker="o", color="black", markersize=7,
                       label="true minima: not the paper's candidate;\n"
                             "trained: not the true minimum's phase"),
                Line2D([], [], linestyle="", marker="^", color="black", markersize=10,
                       label="joint solution of three features\n"
                             "(triangle), not among the candidates")]
    legend.legend(handles=handles, fontsize=STYLE["font"], frameon=False, loc="center",
                  labelspacing=1.2)
    return figure
