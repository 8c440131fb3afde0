"""Figures of what is solved exactly: the loss beside its estimates, critical points, the gradient flow's plateaus."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .parts import SET_LOOKS, draw_sets
from .style import BLUE, GREEN, ORANGE, SKY, STYLE, canvas, label

LETTERS = "ABCDEFGHIJ"                                              # a plateau's name


def exact_loss(exact, rtol, seconds, samples, mean, error, deviation, quasi_samples, quasi, quasi_error):
    """The exact loss beside its estimates: the estimates with error bars, and their relative errors.

    exact, rtol, seconds : the loss, its relative error and the time that it took      deviation : of one sample's loss
    samples : (S,)      mean, error : (seeds, S) Monte Carlo estimates and standard errors
    quasi_samples, quasi, quasi_error : (Q,) the same for stratified quasi-random samples
    """
    figure = canvas(14, 6)
    left, right = figure.subplots(1, 2)
    wide = np.geomspace(samples[0] / 2, samples[-1] * 2, 200)
    band = 2 * deviation / np.sqrt(wide)
    left.fill_between(wide, 1 - band / exact, 1 + band / exact, color="0.9", label=r"exact $\pm\,2\sigma/\sqrt{N}$")
    spread = np.geomspace(0.75, 1.33, len(mean))
    for shift, m, e in zip(spread, mean, error):
        left.errorbar(samples * shift, m / exact, e / exact, fmt="o", color=ORANGE, markersize=6, linewidth=2,
                      label="Monte Carlo, one run each" if shift == spread[0] else None)
    left.errorbar(quasi_samples, quasi / exact, quasi_error / exact, fmt="s", color=BLUE, markersize=6, linewidth=2,
                  label="stratified, quasi-random")
    left.axhline(1, color="black", linewidth=1.8, label=f"exact: {exact:.10f}")
    left.set(xscale="log", xlim=wide[[0, -1]], ylim=(0, 2.4))
    left.legend(fontsize=STYLE["font"], frameon=False, loc="upper right")
    label(left, "samples N", "estimate / exact loss", "Estimates with their error bars (one standard error)")

    right.plot(wide, deviation / np.sqrt(wide) / exact, color="0.6", linewidth=2, label=r"$\sigma/\sqrt{N}$")
    for i, m in enumerate(mean):
        right.plot(samples * spread[i], abs(m / exact - 1), "o", color=ORANGE, markersize=8,
                   label=None if i else "Monte Carlo")
    right.plot(quasi_samples, abs(quasi / exact - 1), "s", color=BLUE, markersize=8, label="stratified, quasi-random")
    right.axhline(rtol, color="black", linewidth=1.8)
    right.annotate(f"exact: off by at most {rtol:g}, in {1e3 * seconds:.0f} ms", (wide[0] * 1.3, rtol), xytext=(0, 7),
                   textcoords="offset points", fontsize=STYLE["font"])
    right.set(xscale="log", yscale="log", xlim=wide[[0, -1]], ylim=(rtol / 5, 5))
    right.legend(fontsize=STYLE["font"], frameon=False, loc="center right")
    label(right, "samples N", "|estimate / exact loss − 1|", "How far off they are")
    return figure


def critical_points(changes, labels, claims):
    """Energies of two geometries against a parameter, one panel a change of geometry: crossing, limits, coexistence.

    changes : list of dicts with vary, critical, loss, coexistence (low, high) and two branches, dicts with geometry,
        values, energy, limit (or None) and kind      labels : {vary: label of the horizontal axis}
    claims : {vary: (value, words)} of what others say, a dotted line
    """
    figure = canvas(14, 10.5)
    colours = dict(zip(dict.fromkeys(b["geometry"] for c in changes for b in c["branches"]), (BLUE, ORANGE, GREEN)))
    for axes, change in zip(figure.subplots(-(-len(changes) // 2), 2).flat, changes):
        axes.axvspan(*change["coexistence"], facecolor="0.9", edgecolor="0.6", label="both are local minima", zorder=0)
        for branch in change["branches"]:
            colour = colours[branch["geometry"]]
            values, energy = np.array(branch["values"]), np.array(branch["energy"])
            axes.plot(values, energy, color=colour, linewidth=3, label=branch["geometry"])
            if branch["limit"] is not None:
                end = energy[values == branch["limit"]]
                axes.plot(branch["limit"], end, "X", color=colour, markersize=13, markeredgecolor="black", zorder=4,
                          label=f"its limit: {branch['limit']:.6f} ({branch['kind']})")
        axes.plot(change["critical"], change["loss"], "o", color="black", markersize=10, zorder=5,
                  label=f"same energy: {change['critical']:.10f}")
        if change["vary"] in claims:
            value, words = claims[change["vary"]]
            axes.axvline(value, color="black", linestyle=":", linewidth=2, label=words)
        axes.set(xlim=(change["from"], change["to"]), ylim=(0 if change["loss"] < 0.2 else None, None))
        axes.legend(fontsize=STYLE["font"] - 1, facecolor="white", framealpha=1, edgecolor="none")
        label(axes, labels[change["vary"]], "energy: expected loss",
              " and ".join(b["geometry"] for b in change["branches"]))
    return figure


def gradient_flow(times, losses, plateaus, directions, sets):
    """Loss against time with its plateaus, and the columns of W (3, n) at each, a colour and a marker for each set.

    times, losses : (T,), the first time is 0            directions : one W (3, n) a plateau
    sets : tuples of feature indices                     plateaus : dicts with start, end, saddle_loss, index, words,
        and groups, lists of features with the same column
    """
    figure = canvas(15, 10.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4.6))
    _draw_plateaus(top.subplots(), times, losses, plateaus)
    limit = 0.62 * max(np.linalg.norm(W, axis=0).max() for W in directions)
    for k, (letter, plateau, W) in enumerate(zip(LETTERS, plateaus, directions)):
        axes = bottom.add_axes((k / len(plateaus), 0.08, 1 / len(plateaus), 0.7), projection="3d")
        draw_sets(axes, W, sets, limit=limit, zoom=1.05)
        for group in plateau["groups"]:
            if len(group) > 1:
                axes.text(*(1.35 * W[:, group[0]]), f"×{len(group)}", ha="center", va="center",
                          fontsize=STYLE["font"] + 1)
        words = "no saddle found" if plateau["index"] is None else f"index {plateau['index']}"
        bottom.text((k + 0.5) / len(plateaus), 0.98, f"{letter}\n{words}\n" + plateau["words"].replace(" o", "\no"),
                    ha="center", va="top", fontsize=STYLE["font"] + 2)
    handles = [Line2D([], [], linestyle="", marker=marker, color=colour, markersize=12, label=f"set {i + 1}")
               for i, (_, (colour, marker)) in enumerate(zip(sets, SET_LOOKS))]
    handles += [Line2D([], [], linestyle="", marker="$×2$", color="black", markersize=16,
                       label="features that share a direction")]
    bottom.legend(handles=handles, fontsize=STYLE["font"] + 1, frameon=False, loc="lower center", ncols=len(handles))
    return figure


def _draw_plateaus(axes, times, losses, plateaus):
    axes.loglog(times[1:], losses[1:], color="black", linewidth=2.5, zorder=3)
    highest, lowest = 1.5 * losses[0], losses[-1] / 1.35
    axes.set(xlim=(plateaus[0]["start"] / 6, times[-1]), ylim=(lowest, highest))
    for letter, plateau in zip(LETTERS, plateaus):
        span = plateau["start"], plateau["end"]
        axes.axvspan(*span, facecolor=SKY, alpha=0.3, edgecolor="white", linewidth=3)
        axes.text((span[0] * span[1]) ** 0.5, highest / 1.05, letter, ha="center", va="top",
                  fontsize=STYLE["title"] + 3, fontweight="bold")
        if plateau["saddle_loss"] is not None:
            axes.plot(span, [plateau["saddle_loss"]] * 2, color=ORANGE, linewidth=6, solid_capstyle="butt", zorder=2)
    handles = [Line2D([], [], color="black", linewidth=2.5, label="loss along the flow (exact)"),
               Line2D([], [], color=ORANGE, linewidth=6, label="loss at the saddle or minimum it passes"),
               Patch(facecolor=SKY, alpha=0.3, label="plateau")]
    axes.legend(handles=handles, fontsize=STYLE["font"] + 1, frameon=False, loc="lower left")
    label(axes, r"time $t$", "expected loss",
          "Two correlated sets of three features in three dimensions: each plateau has its saddle", larger=1)
