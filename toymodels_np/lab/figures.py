"""Figures: arrays in, a matplotlib Figure out. Nothing is computed here, and nothing else names matplotlib.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; a feature has one colour throughout.
"""

import numpy as np
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F")
FEATURE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW, GREY)
STYLE = {"font": 13, "title": 15}


def save(figure, path):
    """Write `figure` to `path` (PNG, SVG or PDF by its suffix) and return the path."""
    figure.savefig(path, dpi=120, facecolor="white")
    return path


def draw_directions(axes, W, limit):
    """The columns of W (2, n) as arrows from the origin, one colour a feature."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    for i, (x, y) in enumerate(W.T):
        colour = FEATURE_COLOURS[i % len(FEATURE_COLOURS)]
        axes.plot([0, x], [0, y], color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot(x, y, "o", color=colour, markersize=7)


def pentagon_to_digon(vary, ratios, branches, crossing, trained, solutions, norms, biases):
    """The main job's figure.

    vary : "importance" or "probability", what of feature 5 is scaled      ratios : (R,) by what
    branches : {name: (R,) energy, NaN where the branch does not exist}    crossing : the ratio where they meet, or None
    trained : list of (ratio, loss, geometry), one a start                 solutions : list of (ratio, geometry, W (2, 5))
    norms, biases : (R, 5) of the best trained model
    """
    figure = Figure(figsize=(13, 11.5), layout="constrained")
    rows = figure.subfigures(3, 1, height_ratios=(5.2, 2.3, 3.6))
    colours = dict(zip(branches, (BLUE, ORANGE)))

    axes = rows[0].subplots()
    for name, energy in branches.items():
        axes.plot(ratios, energy, color=colours[name], linewidth=2.5, label=f"{name}, analytic", zorder=2)
    shapes = sorted({geometry for _, _, geometry in trained}, key=lambda g: g not in branches)
    for geometry in shapes:
        points = np.array([(ratio, loss) for ratio, loss, g in trained if g == geometry])
        marker = "o" if geometry in branches else "x"
        axes.plot(*points.T, marker, color=colours.get(geometry, GREY), markersize=9, markeredgewidth=1.2,
                  markerfacecolor="none" if marker == "o" else None, label=f"{geometry}, trained", zorder=3)
    if crossing is not None:
        axes.axvline(crossing, color="0.3", linestyle="--", linewidth=1.5)
        axes.annotate(f"energies cross at {crossing:.4f}", (crossing, 0.04), xycoords=("data", "axes fraction"),
                      xytext=(8, 0), textcoords="offset points", fontsize=STYLE["font"])
    axes.set_xlabel(f"{vary} of feature 5, relative to the others", fontsize=STYLE["font"])
    axes.set_ylabel("expected loss (exact)", fontsize=STYLE["font"])
    axes.set_title("Five features in two dimensions: two energy branches, and where training lands",
                   fontsize=STYLE["title"])
    axes.tick_params(labelsize=STYLE["font"] - 1)
    axes.legend(fontsize=STYLE["font"] - 1, frameon=False, loc="upper center")
    axes.spines[["top", "right"]].set_visible(False)

    limit = 1.15 * max(np.linalg.norm(W, axis=0).max() for *_, W in solutions)
    for axes, (ratio, geometry, W) in zip(rows[1].subplots(1, len(solutions)), solutions):
        draw_directions(axes, W, limit)
        axes.set_title(f"{ratio:g}\n{geometry}", fontsize=STYLE["font"] - 2,
                       color=colours.get(geometry, GREY))
    rows[1].suptitle("best trained W at a few ratios (feature 5 is red)", fontsize=STYLE["font"])

    for axes, values, label in zip(rows[2].subplots(1, 2), (norms, biases), (r"norm $\|W_i\|$", "bias $b_i$")):
        for i in range(values.shape[1]):
            axes.plot(ratios, values[:, i], "o-", color=FEATURE_COLOURS[i], markersize=5, linewidth=1.8,
                      label=f"feature {i + 1}")
        axes.set_xlabel(f"{vary} ratio", fontsize=STYLE["font"])
        axes.set_ylabel(label, fontsize=STYLE["font"])
        axes.tick_params(labelsize=STYLE["font"] - 1)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=STYLE["font"] - 2, frameon=False)
    return figure


def exact_loss(exact, rtol, seconds, samples, mean, error, deviation, quasi_samples, quasi, quasi_error):
    """The exact loss beside its estimates: the estimates with error bars, and their relative errors.

    exact, rtol, seconds : the loss, its relative error and the time that it took      deviation : of one sample's loss
    samples : (S,)      mean, error : (seeds, S) Monte Carlo estimates and standard errors
    quasi_samples, quasi, quasi_error : (Q,) the same for stratified quasi-random samples
    """
    figure = Figure(figsize=(14, 6), layout="constrained")
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
    left.set_ylabel("estimate / exact loss", fontsize=STYLE["font"])
    left.set_title("Estimates with their error bars (one standard error)", fontsize=STYLE["title"])
    left.legend(fontsize=STYLE["font"], frameon=False, loc="upper right")

    right.plot(wide, deviation / np.sqrt(wide) / exact, color="0.6", linewidth=2, label=r"$\sigma/\sqrt{N}$")
    for i, m in enumerate(mean):
        right.plot(samples * spread[i], abs(m / exact - 1), "o", color=ORANGE, markersize=8,
                   label=None if i else "Monte Carlo")
    right.plot(quasi_samples, abs(quasi / exact - 1), "s", color=BLUE, markersize=8, label="stratified, quasi-random")
    right.axhline(rtol, color="black", linewidth=1.8)
    right.annotate(f"exact: at most {rtol:g} off, in {1e3 * seconds:.0f} ms", (wide[0] * 1.3, rtol), xytext=(0, 7),
                   textcoords="offset points", fontsize=STYLE["font"])
    right.set(xscale="log", yscale="log", xlim=wide[[0, -1]], ylim=(rtol / 5, 5))
    right.set_ylabel("|estimate / exact loss − 1|", fontsize=STYLE["font"])
    right.set_title("How far off they are", fontsize=STYLE["title"])
    right.legend(fontsize=STYLE["font"], frameon=False, loc="center right")
    for axes in (left, right):
        axes.set_xlabel("samples N", fontsize=STYLE["font"])
        axes.tick_params(labelsize=STYLE["font"] - 1)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def critical_points(changes, labels):
    """Energies of two geometries against a parameter, one panel a change of geometry: crossing, limits, coexistence.

    changes : list of dicts with vary, critical, loss, coexistence (low, high) and two branches, dicts with geometry,
        values, energy, limit (or None) and kind      labels : {vary: label of the horizontal axis}
    """
    figure = Figure(figsize=(14, 10.5), layout="constrained")
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
        axes.set_xlim(change["from"], change["to"])
        axes.set_ylim(0 if change["loss"] < 0.2 else None)
        axes.set_xlabel(labels[change["vary"]], fontsize=STYLE["font"])
        axes.set_ylabel("energy: expected loss", fontsize=STYLE["font"])
        axes.set_title(" and ".join(b["geometry"] for b in change["branches"]), fontsize=STYLE["title"])
        axes.tick_params(labelsize=STYLE["font"] - 1)
        axes.legend(fontsize=STYLE["font"] - 1, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
