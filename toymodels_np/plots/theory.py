"""What is solved exactly, drawn: branches, critical points, the gradient flow, the exact loss.

`branches` and `flow` take the package's records, draw on `ax` or on a new figure and return the
Axes; the other functions compose the figures of the examples.
"""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..core import checks
from ..theory.branches import CriticalPoint, StabilityLimit
from ..theory.flow import Flow
from .colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from .parts import SET_LOOKS, draw_hull, draw_sets, name_curves
from .style import STYLE, canvas, label, panel

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"                              # a plateau's name
BRANCH_COLOURS = BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY


def branches(curves, *, point=None, limits=None, parameter="parameter", ax=None):
    """Energies of geometries against a parameter, each curve with its name beside it.

    curves : {name: (values (k,), energies (k,))} with ascending values
    point : CriticalPoint or None        limits : {name: StabilityLimit}, where a branch ends
    parameter : the words under the horizontal axis
    Returns the Axes. Raises ValueError or TypeError on bad arguments.
    """
    curves = {name: _curve(name, curve) for name, curve in _mapping("curves", curves).items()}
    limits = {} if limits is None else _mapping("limits", limits)
    if not curves or len(curves) > len(BRANCH_COLOURS) or set(limits) - set(curves):
        raise ValueError(f"curves must name 1 to {len(BRANCH_COLOURS)} branches, and limits some "
                         f"of them, got {list(curves)} and {list(limits)}")
    if point is not None and not isinstance(point, CriticalPoint):
        raise TypeError(f"point must be a CriticalPoint or None, got {point!r}")
    for name, limit in limits.items():
        if not isinstance(limit, StabilityLimit):
            raise TypeError(f"limits must hold StabilityLimits, got {limit!r} for {name!r}")
    if not isinstance(parameter, str):
        raise TypeError(f"parameter must be the words under the axis, got {type(parameter)}")
    axes = panel(ax, size=(7.5, 5.5))
    ends = {name: (limit.value, limit.loss, limit.kind) for name, limit in limits.items()}
    draw_branches(axes, curves, point and (point.value, point.loss), ends)
    label(axes, parameter, "energy: expected loss")
    return axes


def draw_branches(axes, curves, point, ends, colours=None):
    """The curves {name: (values, energies)} with names, a crossing and the ends of branches.

    point : (value, energy) or None         ends : {name: (value, energy, kind)}
    colours : {name: colour}, or None for one each
    """
    colours = colours or dict(zip(curves, BRANCH_COLOURS))
    for name, (values, energies) in curves.items():
        axes.plot(values, energies, "-" if len(values) > 1 else "o", color=colours[name],
                  linewidth=3)
    for name, (value, energy, kind) in ends.items():
        axes.plot(value, energy, "X", color=colours[name], markersize=13, markeredgecolor="black",
                  zorder=4, label=f"its limit: {value:.6f} ({kind})")
    if point is not None:
        axes.plot(*point, "o", color="black", markersize=10, zorder=5,
                  label=f"same energy: {point[0]:.10g}")
    if point is not None or ends:
        axes.legend(fontsize=STYLE["font"] - 1, facecolor="white", framealpha=1, edgecolor="none")
    name_curves(axes, curves, colours)


def flow(flow, *, ax=None):
    """The loss along a gradient flow against time, its plateaus, and their saddles' losses."""
    if not isinstance(flow, Flow):
        raise TypeError(f"flow must be the Flow of tm.gradient_flow, got {flow!r}")
    axes = panel(ax, size=(9, 5.5))
    draw_plateaus(axes, flow.times, flow.losses, [vars(plateau) for plateau in flow.plateaus],
                  columns=2)
    return axes


def _mapping(name, value):
    """`value` as a dictionary, else TypeError."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dictionary by the branches' names, got {value!r}")
    return value


def _curve(name, curve):
    """Ascending values and energies (k,) of the branch `name`, else a sentence."""
    if not isinstance(curve, (list, tuple)) or len(curve) != 2:
        raise ValueError(f"the branch {name!r} must be a pair (values, energies), got {curve!r}")
    values, energies = (checks.array(f"{word} of {name!r}", part, ndim=1)
                        for word, part in zip(("values", "energies"), curve))
    if len(values) != len(energies) or (np.diff(values) <= 0).any():
        raise ValueError(f"the branch {name!r} must have ascending values and as many energies, "
                         f"got {len(values)} and {len(energies)}")
    return values, energies


def exact_loss(exact, rtol, seconds, samples, mean, error, deviation, quasi_samples, quasi,
               quasi_error):
    """The exact loss beside its estimates: the estimates with error bars, and their errors.

    exact, rtol, seconds : the loss, its relative error and the time that it took
    deviation : the standard deviation of one sample's loss
    samples : (S,)      mean, error : (seeds, S) Monte Carlo estimates and standard errors
    quasi_samples, quasi, quasi_error : (Q,) the same for stratified quasi-random samples
    """
    figure = canvas(14, 6)
    left, right = figure.subplots(1, 2)
    wide = np.geomspace(samples[0] / 2, samples[-1] * 2, 200)
    band = 2 * deviation / np.sqrt(wide)
    left.fill_between(wide, 1 - band / exact, 1 + band / exact, color="0.9",
                      label=r"exact $\pm\,2\sigma/\sqrt{N}$")
    spread = np.geomspace(0.75, 1.33, len(mean))
    bars = {"markersize": 6, "linewidth": 2}
    for shift, m, e in zip(spread, mean, error):
        left.errorbar(samples * shift, m / exact, e / exact, fmt="o", color=ORANGE, **bars,
                      label="Monte Carlo, one run each" if shift == spread[0] else None)
    left.errorbar(quasi_samples, quasi / exact, quasi_error / exact, fmt="s", color=BLUE, **bars,
                  label="stratified, quasi-random")
    left.axhline(1, color="black", linewidth=1.8, label=f"exact: {exact:.10f}")
    left.set(xscale="log", xlim=wide[[0, -1]], ylim=(0, 2.4))
    left.legend(fontsize=STYLE["font"], frameon=False, loc="upper right")
    label(left, "samples N", "estimate / exact loss",
          "Estimates with their error bars (one standard error)")

    right.plot(wide, deviation / np.sqrt(wide) / exact, color="0.6", linewidth=2,
               label=r"$\sigma/\sqrt{N}$")
    for i, m in enumerate(mean):
        right.plot(samples * spread[i], abs(m / exact - 1), "o", color=ORANGE, markersize=8,
                   label=None if i else "Monte Carlo")
    right.plot(quasi_samples, abs(quasi / exact - 1), "s", color=BLUE, markersize=8,
               label="stratified, quasi-random")
    right.axhline(rtol, color="black", linewidth=1.8)
    right.annotate(f"exact: off by at most {rtol:g}, in {1e3 * seconds:.0f} ms",
                   (wide[0] * 1.3, rtol), xytext=(0, 7), textcoords="offset points",
                   fontsize=STYLE["font"])
    right.set(xscale="log", yscale="log", xlim=wide[[0, -1]], ylim=(rtol / 5, 5))
    right.legend(fontsize=STYLE["font"], frameon=False, loc="center right")
    label(right, "samples N", "|estimate / exact loss − 1|", "How far off they are")
    return figure


def critical_points(changes, labels, claims):
    """Energies of two geometries against a parameter, a panel a change of geometry, named by it.

    changes : list of dicts with vary, from, to, critical, loss, coexistence (low, high) and two
        branches, dicts with geometry, values, energy, limit (or None) and kind
    labels : {vary: label of the horizontal axis}
    claims : {vary: (value, words)} of what others say, a dotted line
    """
    figure = canvas(15, 10.5)
    names = dict.fromkeys(b["geometry"] for change in changes for b in change["branches"])
    colours = dict(zip(names, BRANCH_COLOURS))
    for axes, change in zip(figure.subplots(-(-len(changes) // 2), 2).flat, changes):
        axes.axvspan(*change["coexistence"], facecolor="0.92", edgecolor="0.7", zorder=0,
                     label="both are local minima")
        curves = {b["geometry"]: (np.array(b["values"]), np.array(b["energy"]))
                  for b in change["branches"]}
        ends = {b["geometry"]: (b["limit"], curves[b["geometry"]][1][b["values"].index(b["limit"])],
                                b["kind"]) for b in change["branches"] if b["limit"] is not None}
        if change["vary"] in claims:
            value, words = claims[change["vary"]]
            axes.axvline(value, color="black", linestyle=":", linewidth=2, label=words)
        energies = np.concatenate([energy for _, energy in curves.values()])
        room = 0.12 * np.ptp(energies)
        axes.set(xlim=(change["from"], change["to"]),
                 ylim=(energies.min() - room, energies.max() + room))
        if change["vary"] == "all":
            axes.invert_xaxis()
        draw_branches(axes, curves, (change["critical"], change["loss"]), ends, colours)
        label(axes, labels[change["vary"]], "energy: expected loss", change["title"])
    return figure


def gradient_flow(times, losses, plateaus, directions, sets):
    """Loss against time with its plateaus, and the columns of W (3, n) at each, coloured by set.

    times, losses : (T,), the first time is 0            directions : one W (3, n) a plateau
    sets : tuples of feature indices                     plateaus : dicts with start, end,
        saddle_loss, index, words, and groups, lists of features with the same column
    """
    figure = canvas(15, 10.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4.6))
    axes = top.subplots()
    draw_plateaus(axes, times, losses, plateaus)
    axes.set_title("Two correlated sets of three features in three dimensions: "
                   "each plateau has its saddle", fontsize=STYLE["title"] + 1)
    limit = 0.62 * max(np.linalg.norm(W, axis=0).max() for W in directions)
    for k, (letter, plateau, W) in enumerate(zip(LETTERS, plateaus, directions)):
        axes = bottom.add_axes((k / len(plateaus), 0.08, 1 / len(plateaus), 0.7),
                               projection="3d")
        draw_sets(axes, W, sets, limit=limit, zoom=1.05, outline=False)
        draw_hull(axes, W.T[np.linalg.norm(W, axis=0) > 0.1 * limit])
        for group in plateau["groups"]:
            if len(group) > 1:
                axes.text(*(1.35 * W[:, group[0]]), f"×{len(group)}", ha="center", va="center",
                          fontsize=STYLE["font"] + 1)
        words = "no saddle found" if plateau["index"] is None else f"index {plateau['index']}"
        bottom.text((k + 0.5) / len(plateaus), 0.98,
                    f"{letter}\n{words}\n" + plateau["words"].replace(" o", "\no"),
                    ha="center", va="top", fontsize=STYLE["font"] + 2)
    handles = [Line2D([], [], linestyle="", marker=marker, color=colour, markersize=12,
                      label=f"set {i}") for i, (_, (colour, marker)) in
               enumerate(zip(sets, SET_LOOKS))]
    handles += [Line2D([], [], linestyle="", marker="$×2$", color="black", markersize=16,
                       label="features that share a direction"),
                Line2D([], [], color="0.45", linewidth=1.3, label="edges of the hull")]
    bottom.legend(handles=handles, fontsize=STYLE["font"] + 1, frameon=False, loc="lower center",
                  ncols=len(handles))
    return figure


def draw_plateaus(axes, times, losses, plateaus, *, columns=3):
    """The loss against time on log axes, plateaus shaded and lettered, and their saddles' losses.

    plateaus : dicts with start, end and saddle_loss, a number or None
    columns : of the legend below
    A loss that is zero, or rounding on either side of it, has an axis that is not logarithmic.
    """
    axes.semilogx(times[1:], losses[1:], color="black", linewidth=2.5, zorder=3)
    if np.min(losses) > 0:
        axes.set(yscale="log", ylim=(losses[-1] / 1.35, 1.5 * losses[0]))
    first = plateaus[0]["start"] / 6 if plateaus else times[1]
    axes.set_xlim(first, times[-1])
    for letter, plateau in zip(LETTERS, plateaus):
        span = plateau["start"], plateau["end"]
        axes.axvspan(*span, facecolor=SKY, alpha=0.3, edgecolor="white", linewidth=3)
        axes.text((span[0] * span[1]) ** 0.5, 0.98, letter, ha="center", va="top",
                  transform=axes.get_xaxis_transform(), fontsize=STYLE["title"] + 3,
                  fontweight="bold")
        if plateau["saddle_loss"] is not None:
            axes.plot(span, [plateau["saddle_loss"]] * 2, color=ORANGE, linewidth=6,
                      solid_capstyle="butt", zorder=2)
    handles = [Line2D([], [], color="black", linewidth=2.5, label="loss along the flow (exact)"),
               Line2D([], [], color=ORANGE, linewidth=6,
                      label="loss at the saddle or minimum it passes"),
               Patch(facecolor=SKY, alpha=0.3, label="plateau")]
    axes.legend(handles=handles, fontsize=STYLE["font"], frameon=False, loc="upper center",
                bbox_to_anchor=(0.5, -0.13), ncols=columns)
    label(axes, r"time $t$", "expected loss", larger=1)
