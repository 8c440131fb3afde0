"""Figures: arrays in, a matplotlib Figure out. Nothing is computed here, and nothing else names matplotlib.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; a feature has one colour throughout.
"""

import re

import numpy as np
from matplotlib import rc_context
from matplotlib.animation import FuncAnimation
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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


def canvas(width, height):
    """An empty Figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained")


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
    right.annotate(f"exact: off by at most {rtol:g}, in {1e3 * seconds:.0f} ms", (wide[0] * 1.3, rtol), xytext=(0, 7),
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


def critical_points(changes, labels, claims):
    """Energies of two geometries against a parameter, one panel a change of geometry: crossing, limits, coexistence.

    changes : list of dicts with vary, critical, loss, coexistence (low, high) and two branches, dicts with geometry,
        values, energy, limit (or None) and kind      labels : {vary: label of the horizontal axis}
    claims : {vary: (value, words)} of what others say, a dotted line
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
        if change["vary"] in claims:
            value, words = claims[change["vary"]]
            axes.axvline(value, color="black", linestyle=":", linewidth=2, label=words)
        axes.set_xlim(change["from"], change["to"])
        axes.set_ylim(0 if change["loss"] < 0.2 else None)
        axes.set_xlabel(labels[change["vary"]], fontsize=STYLE["font"])
        axes.set_ylabel("energy: expected loss", fontsize=STYLE["font"])
        axes.set_title(" and ".join(b["geometry"] for b in change["branches"]), fontsize=STYLE["title"])
        axes.tick_params(labelsize=STYLE["font"] - 1)
        axes.legend(fontsize=STYLE["font"] - 1, facecolor="white", framealpha=1, edgecolor="none")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


PHASE_COLOURS = {"not learned": "#DDDDDD", "superposed": ORANGE, "own dimension": BLUE}


def _edges(centres, log, within=None):
    """Cell edges (k + 1,) midway between cell centres (k,), on the axis's scale; the outermost are those of `within`."""
    a = np.log(centres) if log else np.asarray(centres)
    middle = (a[1:] + a[:-1]) / 2
    a = np.concatenate([[2 * a[0] - middle[0]], middle, [2 * a[-1] - middle[-1]]])
    a = np.exp(a) if log else a
    if within is not None:
        a[[0, -1]] = _edges(within, log)[[0, -1]]
    return a


def draw_phases(axes, importance, probability, phase, *, dots=None, triangles=None, log=True, within=(None, None)):
    """The phases (R, P) as coloured cells, with a dot or a triangle in the cells where `dots` or `triangles` (R, P).

    `within` are the two axes' cell centres in a finer diagram, whose area these cells fill.
    """
    names = list(PHASE_COLOURS)
    codes = np.vectorize(names.index)(phase)
    axes.pcolormesh(_edges(probability, log, within[1]), _edges(importance, True, within[0]), codes, vmin=-0.5, vmax=2.5,
                    cmap=ListedColormap(list(PHASE_COLOURS.values())), edgecolors="white", linewidth=0.4 if max(codes.shape) <= 20 else 0)
    for marks, marker, size in ((dots, "o", 5), (triangles, "^", 8)):
        if marks is not None:
            row, column = np.nonzero(marks)
            axes.plot(np.array(probability)[column], np.array(importance)[row], marker, color="black", markersize=size,
                      markeredgecolor="white", markeredgewidth=0.6)
    axes.set_yscale("log")
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    if log:
        axes.set_xscale("log")
    axes.invert_xaxis()
    axes.tick_params(labelsize=STYLE["font"] - 1)
    axes.set_xlabel(r"feature probability $p = 1 - S$", fontsize=STYLE["font"])


def sweep_map(names, places, losses, by, labels):
    """A sweep's best models over the one or two settings that vary: what they are, and what they lose.

    names : of the settings      places : for each its values (C,)      losses : (C,)      labels : (C,) strings, of what
    `by` says
    """
    ranking = sorted(set(labels), key=lambda label: (-np.sum(labels == label), label))
    colours = PHASE_COLOURS if by == "phase" else dict(zip(ranking, (*FEATURE_COLOURS[:7], *[GREY] * len(ranking))))
    log = [np.min(place) > 0 and np.max(place) > 8 * np.min(place) for place in places]
    scales = ["log" if is_log else "linear" for is_log in log]
    words = [name.replace("_", " ") for name in names]
    figure = Figure(figsize=(13, 6) if len(names) == 2 else (9, 6), layout="constrained")
    handles = [Line2D([], [], linestyle="", marker="s" if len(names) == 2 else "o", markersize=11, color=colours[label],
                      markeredgecolor="0.5", label=label if colours[label] != GREY else "other")
               for label in colours if label in ranking[:8]]
    if len(names) == 1:
        axes = figure.subplots()
        order = np.argsort(places[0])
        axes.plot(np.array(places[0])[order], np.array(losses)[order], color="0.7", zorder=1)
        axes.scatter(places[0], losses, c=[colours[label] for label in labels], s=70, edgecolors="0.3", zorder=2)
        axes.set(xscale=scales[0], yscale="log" if np.min(losses) > 0 else "linear")
        axes.set_xlabel(words[0], fontsize=STYLE["font"])
        axes.set_ylabel("loss of the best", fontsize=STYLE["font"])
        panels = [axes]
    else:
        values, cells = zip(*(np.unique(place, return_inverse=True) for place in places))
        codes, loss = np.full([len(value) for value in values], np.nan), np.full([len(value) for value in values], np.nan)
        codes[cells], loss[cells] = [list(colours).index(label) for label in labels], losses
        edges = [_edges(value, is_log) for value, is_log in zip(values, log)]
        panels = figure.subplots(1, 2)
        panels[0].pcolormesh(edges[1], edges[0], codes, vmin=-0.5, vmax=len(colours) - 0.5,
                             cmap=ListedColormap(list(colours.values())), edgecolors="white", linewidth=0.5)
        image = panels[1].pcolormesh(edges[1], edges[0], loss, cmap="cividis",
                                     norm="log" if np.min(losses) > 0 else "linear")
        figure.colorbar(image, ax=panels[1]).ax.tick_params(labelsize=STYLE["font"] - 1)
        for axes in panels:
            axes.set(xscale=scales[1], yscale=scales[0])
            axes.set_xlabel(words[1], fontsize=STYLE["font"])
        panels[0].set_ylabel(words[0], fontsize=STYLE["font"])
        panels[1].set_title("its loss", fontsize=STYLE["title"])
    panels[0].set_title(f"{by} of the best model", fontsize=STYLE["title"])
    for axes in panels:
        axes.tick_params(labelsize=STYLE["font"] - 1)
    figure.legend(handles=handles, fontsize=STYLE["font"], frameon=False, loc="outside lower center", ncols=4)
    return figure


def phase_diagram(diagrams, near):
    """Fixed candidates, true minima and trained models side by side, a row a size; then a close-up of equal importance.

    diagrams : two dicts with n, m, importance (R,), feature_probability (P,); (R, P) phase, candidate_phase, differs and
        joint; and of the trained models on their own axes trained_importance, trained_probability, trained_phase, …
    near : a dict with importance, feature_probability, phase and joint, of 3 features in 2 dimensions
    """
    figure = Figure(figsize=(18, 10), layout="constrained")
    grid = figure.subplots(2, 4)
    for axes, d in zip(grid, diagrams):
        place = d["importance"], d["feature_probability"]
        draw_phases(axes[0], *place, d["candidate_phase"])
        draw_phases(axes[1], *place, d["phase"], dots=d["differs"] & ~d["joint"], triangles=d["joint"])
        draw_phases(axes[2], d["trained_importance"], d["trained_probability"], d["trained_phase"], dots=~d["found"],
                    triangles=d["trained_joint"] & d["found"], within=place)
        for panel, title in zip(axes, ("fixed candidates (paper)", "true minima", "trained, best of a few")):
            panel.set_title(f"{d['n']} in {d['m']}: {title}", fontsize=STYLE["title"])
        axes[0].set_ylabel("relative importance\nof the extra feature", fontsize=STYLE["font"])
    axes = grid[1, 3]
    draw_phases(axes, near["importance"], near["feature_probability"], near["phase"], triangles=near["joint"], log=False)
    axes.set_title("3 in 2: true minima, close up", fontsize=STYLE["title"])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")

    legend = grid[0, 3]
    legend.axis("off")
    handles = [Patch(facecolor=colour, edgecolor="0.5", label=f"extra feature: {name}")
               for name, colour in PHASE_COLOURS.items()]
    handles += [Line2D([], [], linestyle="", marker="o", color="black", markersize=7,
                       label="true minima: not the paper's candidate;\ntrained: not the true minimum's phase"),
                Line2D([], [], linestyle="", marker="^", color="black", markersize=10,
                       label="joint solution of three features\n(triangle), not among the candidates")]
    legend.legend(handles=handles, fontsize=STYLE["font"], frameon=False, loc="center", labelspacing=1.2)
    return figure


def gradient_flow(times, losses, plateaus, directions, sets):
    """Loss against time with its plateaus, and the columns of W (3, n) at each, a colour and a marker for each set.

    times, losses : (T,), the first time is 0            directions : one W (3, n) a plateau
    sets : tuples of feature indices                     plateaus : dicts with start, end, saddle_loss, index, words, and
        groups, lists of features with the same column
    """
    figure = Figure(figsize=(15, 10.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4.6))
    axes = top.subplots()
    axes.loglog(times[1:], losses[1:], color="black", linewidth=2.5, zorder=3)
    highest, lowest = 1.5 * losses[0], losses[-1] / 1.35
    axes.set(xlim=(plateaus[0]["start"] / 6, times[-1]), ylim=(lowest, highest))
    for letter, plateau in zip("ABCDEFGHIJ", plateaus):
        span = plateau["start"], plateau["end"]
        axes.axvspan(*span, facecolor=SKY, alpha=0.3, edgecolor="white", linewidth=3)
        axes.text((span[0] * span[1]) ** 0.5, highest / 1.05, letter, ha="center", va="top", fontsize=STYLE["title"] + 3,
                  fontweight="bold")
        if plateau["saddle_loss"] is not None:
            axes.plot(span, [plateau["saddle_loss"]] * 2, color=ORANGE, linewidth=6, solid_capstyle="butt", zorder=2)
    handles = [Line2D([], [], color="black", linewidth=2.5, label="loss along the flow (exact)"),
               Line2D([], [], color=ORANGE, linewidth=6, label="loss at the saddle or minimum it passes"),
               Patch(facecolor=SKY, alpha=0.3, label="plateau")]
    axes.legend(handles=handles, fontsize=STYLE["font"] + 1, frameon=False, loc="lower left")
    axes.set_xlabel(r"time $t$", fontsize=STYLE["font"] + 1)
    axes.set_ylabel("expected loss", fontsize=STYLE["font"] + 1)
    axes.set_title("Two correlated sets of three features in three dimensions: each plateau has its saddle",
                   fontsize=STYLE["title"] + 1)
    axes.tick_params(labelsize=STYLE["font"])
    axes.spines[["top", "right"]].set_visible(False)

    limit = 0.62 * max(np.linalg.norm(W, axis=0).max() for W in directions)
    for k, (letter, plateau, W) in enumerate(zip("ABCDEFGHIJ", plateaus, directions)):
        axes = bottom.add_axes((k / len(plateaus), 0.08, 1 / len(plateaus), 0.7), projection="3d")
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
        axes.set_box_aspect((1, 1, 1), zoom=1.05)
        axes.set_axis_off()
        axes.patch.set_visible(False)
        axes.view_init(elev=18, azim=35)
        axes.plot(0, 0, 0, ".", color="black", markersize=6)
        for members, colour, marker in zip(sets, (BLUE, VERMILION, GREEN), "o^s"):
            look = {"color": colour, "clip_on": False}
            for w in W[:, members].T:
                axes.plot(*zip((0, 0, 0), w), linewidth=3.5, solid_capstyle="round", **look)
            axes.plot(*W[:, [*members, members[0]]], linewidth=1.5, linestyle=":", **look)
            axes.plot(*W[:, members], linestyle="", marker=marker, markersize=12, **look)
        for group in plateau["groups"]:
            if len(group) > 1:
                axes.text(*(1.35 * W[:, group[0]]), f"×{len(group)}", fontsize=STYLE["font"] + 1, ha="center", va="center")
        words = "no saddle found" if plateau["index"] is None else f"index {plateau['index']}"
        bottom.text((k + 0.5) / len(plateaus), 0.98, f"{letter}\n{words}\n" + plateau["words"].replace(" o", "\no"),
                    ha="center", va="top", fontsize=STYLE["font"] + 2)
    handles = [Line2D([], [], linestyle="", marker=marker, color=colour, markersize=12, label=f"set {i + 1}")
               for i, (_, colour, marker) in enumerate(zip(sets, (BLUE, VERMILION, GREEN), "o^s"))]
    handles += [Line2D([], [], linestyle="", marker="$×2$", color="black", markersize=16,
                       label="features that share a direction")]
    bottom.legend(handles=handles, fontsize=STYLE["font"] + 1, frameon=False, loc="lower center", ncols=len(handles))
    return figure


def draw_stack(axes, height, bottom, monosemantic, *, least=0.25):
    """A stack plot: a bar of weights for each neuron, a rectangle a feature, with a number where there is room for it.

    height, bottom : (m, n) of the rectangles          monosemantic : (m,), blue bars, or orange and hatched ones
    least : the height that has room for the number
    """
    m, n = height.shape
    for j in range(m):
        look = {"color": BLUE} if monosemantic[j] else {"color": ORANGE, "hatch": "//"}
        axes.bar(np.full(n, j), height[j], bottom=bottom[j], width=0.85, edgecolor="white", linewidth=1.5, **look)
        for i in np.flatnonzero(abs(height[j]) >= least):
            axes.text(j, bottom[j, i] + height[j, i] / 2, str(i), ha="center", va="center",
                      fontsize=STYLE["font"], fontweight="bold", color="white" if monosemantic[j] else "black",
                      bbox=None if monosemantic[j] else {"boxstyle": "round,pad=0.12", "color": ORANGE})
    axes.axhline(0, color="black", linewidth=1)
    axes.set_xticks(range(m))
    axes.tick_params(labelsize=STYLE["font"] - 1)
    axes.spines[["top", "right"]].set_visible(False)


def draw_sets(axes, W, sets):
    """The columns of W (3, n) in space, a colour and a marker for each of the sets of features, and their outline."""
    limit = 0.72
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
    axes.set_box_aspect((1, 1, 1), zoom=1.25)
    axes.set_axis_off()
    axes.patch.set_visible(False)
    axes.view_init(elev=18, azim=35)
    for members, colour, marker in zip(sets, (BLUE, VERMILION, GREEN), "o^s"):
        members, look = list(members), {"color": colour, "clip_on": False}
        for w in W[:, members].T:
            axes.plot(*zip((0, 0, 0), w), linewidth=3.5, solid_capstyle="round", **look)
        axes.plot(*W[:, [*members, members[0]]], linewidth=1.5, linestyle=":", **look)
        axes.plot(*W[:, members], linestyle="", marker=marker, markersize=12, **look)


ICONS = {"minus": "−", "plus": "+", "fast-backward": "«", "step-backward": "‹", "pause": "‖", "play": "▸",
         "step-forward": "›", "fast-forward": "»", "play.fa-flip-horizontal": "◂"}


def animate(steps, losses, chosen, directions, sets, titles):
    """Learning as a self-contained HTML page with buttons: the loss so far, and the columns of W in space.

    steps, losses : (T,)        chosen : (F,) indices of the frames     directions : (F, 3, n) W at these
    sets : of features          titles : F strings
    """
    figure = Figure(figsize=(11, 5.2))
    axes = figure.add_axes((0.09, 0.14, 0.42, 0.76))
    space = figure.add_axes((0.53, 0.0, 0.46, 0.92), projection="3d")
    axes.semilogy(steps, losses, color="0.8", linewidth=2)
    line, = axes.semilogy([], [], color="black", linewidth=3)
    dot, = axes.semilogy([], [], "o", color=ORANGE, markersize=11)
    axes.set(xscale="log", xlim=(steps[1], steps[-1]))
    axes.set_xlabel("training step", fontsize=STYLE["title"])
    axes.set_ylabel("expected loss (exact)", fontsize=STYLE["title"])
    axes.tick_params(labelsize=STYLE["font"])
    axes.spines[["top", "right"]].set_visible(False)

    def frame(k):
        at = chosen[k]
        line.set_data(steps[:at + 1], losses[:at + 1])
        dot.set_data([steps[at]], [losses[at]])
        space.clear()
        draw_sets(space, directions[k], sets)
        space.set_title(f"step {steps[at]}: {titles[k]}", fontsize=STYLE["title"] + 2)

    moving = FuncAnimation(figure, frame, frames=len(chosen), interval=150)
    with rc_context({"savefig.dpi": 70, "animation.embed_limit": 10.0}):
        page = moving.to_jshtml(fps=7, default_mode="once")
    # The buttons' icons are a font from the network: signs that every browser has take their place.
    signs = "".join(f".fa-{name}::before {{content: '{sign}'}} " for name, sign in ICONS.items())
    page = re.sub(r"<link[^>]*>", f"<style>{signs}i {{font-style: normal}}</style>", page)
    return '<meta charset="utf-8">\n' + page
