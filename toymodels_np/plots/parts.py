"""Drawings of one model, of which figures are composed: its directions, its neurons, its curves."""

from itertools import combinations

import numpy as np
import scipy
from matplotlib.patches import Patch

from ..geometry.neurons import MONOSEMANTIC
from .colours import BLUE, GREEN, GREY, ORANGE, VERMILION, feature_colour
from .style import STYLE, label

SET_LOOKS = (BLUE, "o"), (VERMILION, "^"), (GREEN, "s")             # a set's colour and marker
NEURONS = {"monosemantic": BLUE, "polysemantic": ORANGE, "idle": GREY}
HATCH = "//"                # of polysemantic neurons
ONE_TIP = 0.06              # of the longest column: tips as near as this are one to the eye
LINE_OF_STACK = 0.06        # part of a stack plot's height that a number takes
FLAT_EDGE = 1e-6            # two faces of a hull that turn by less than this are one face


def draw_directions(axes, W, limit, *, numbers=()):
    """The columns of W (2, n) as lines from the origin, one colour a feature.

    limit : of both axes, in units of W         numbers : features whose number stands at their tip
    """
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    for i, (x, y) in enumerate(W.T):
        colour = feature_colour(i)
        axes.plot([0, x], [0, y], color=colour, linewidth=2.5, solid_capstyle="round",
                  label=f"feature {i}")
        axes.plot(x, y, "o", color=colour, markersize=7)
    for i, words, colour in at_tips(W, numbers):
        outwards = W[:, i] / (np.hypot(*W[:, i]) or 1.0)
        beside = outwards * (13 if words.isdigit() else 13 + 3 * len(words), 13)
        axes.annotate(words, W[:, i], xytext=beside, textcoords="offset points", color=colour,
                      fontsize=STYLE["font"] + 1, fontweight="bold", ha="center", va="center")


def at_tips(W, numbers):
    """(i, words, colour) of what stands at the tip of W_i, a column of W (m, n).

    Features whose tips are at one place to the eye have one label in black, "2, 3" or "×4".
    """
    near = ONE_TIP * np.linalg.norm(W, axis=0).max()
    groups = []
    for i in numbers:
        for group in groups:
            if np.linalg.norm(W[:, i] - W[:, group[0]]) <= near:
                group.append(i)
                break
        else:
            groups.append([i])
    return [(group[0], ", ".join(map(str, group)) if len(group) <= 3 else f"×{len(group)}",
             feature_colour(group[0]) if len(group) == 1 else "black") for group in groups]


def draw_sets(axes, W, sets, *, limit=0.72, zoom=1.25, outline=True):
    """The columns of W (3, n) in space, a colour and a marker a set of features.

    limit : of the three axes, in units of W          zoom : how large the space is in its panel
    outline : whether a dotted line joins the members of each set
    """
    prepare_space(axes, limit, zoom)
    for members, (colour, marker) in zip(sets, SET_LOOKS):
        members, look = list(members), {"color": colour, "clip_on": False}
        for w in W[:, members].T:
            axes.plot(*zip((0, 0, 0), w), linewidth=3.5, solid_capstyle="round", **look)
        if outline:
            axes.plot(*W[:, [*members, members[0]]], linewidth=1.5, linestyle=":", **look)
        axes.plot(*W[:, members], linestyle="", marker=marker, markersize=12, **look)


def prepare_space(axes, limit, zoom=1.25):
    """Three axes without frames, seen from the usual place."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
    axes.set_box_aspect((1, 1, 1), zoom=zoom)
    axes.set_axis_off()
    axes.patch.set_visible(False)
    axes.view_init(elev=18, azim=35)


def draw_hull(axes, points):
    """The edges of the convex hull of the points (k, 3): the solid that the eye looks for."""
    for i, j in hull_edges(points):
        axes.plot(*points[[i, j]].T, color="0.45", linewidth=1.3, zorder=0, clip_on=False)


def hull_edges(points):
    """The pairs (i, j) of points (k, 3) that an edge of their hull joins, be it solid or flat."""
    if not len(points):
        return []
    points = points / (abs(points).max() or 1.0)            # Qhull and rounding know one size
    _, first = np.unique(points.round(6), axis=0, return_index=True)
    centred = points[first] - points[first].mean(0)                                 # (k, 3)
    _, singular, Vt = np.linalg.svd(centred)
    rank = int((singular > 1e-3 * max(singular[0], 1e-12)).sum()) if len(first) > 1 else 0
    flat = centred @ Vt[:rank].T                                                    # (k, rank)
    if rank < 2:
        return [(first[flat[:, 0].argmin()], first[flat[:, 0].argmax()])] if rank else []
    hull = scipy.spatial.ConvexHull(flat)
    faces = {}                                              # an edge and the normals beside it
    for simplex, normal in zip(hull.simplices, hull.equations[:, :-1]):
        for edge in combinations(sorted(simplex), 2):
            faces.setdefault(edge, []).append(normal)
    edges = [edge for edge, normals in faces.items()
             if rank == 2 or abs(normals[0] - normals[1]).max() > FLAT_EDGE]
    return [(first[i], first[j]) for i, j in edges]


def draw_stack(axes, height, bottom, monosemanticity, *, least=None, thin=0, line=1.5, hatch=HATCH):
    """A stack plot: a bar of weights for each neuron, a rectangle a feature, numbered if it fits.

    height, bottom : (m, n) of the rectangles
    monosemanticity : (m,); monosemantic neurons are blue, polysemantic ones orange and hatched,
        idle ones (0) grey
    least : the height that has room for the number, None for a part of all that is drawn
    thin : rectangles up to this are left out          line : the width of the white lines around
    """
    m = len(height)
    if least is None:
        tops = np.stack([bottom, bottom + height])
        least = LINE_OF_STACK * (tops.max() - tops.min()) or np.inf
    for j in range(m):
        kind = kind_of_neuron(monosemanticity[j])
        polysemantic = kind == "polysemantic"
        thick = abs(height[j]) > thin
        bars = axes.bar(np.full(thick.sum(), j), height[j, thick], bottom=bottom[j, thick],
                        width=0.85, color=NEURONS[kind], edgecolor="white", linewidth=line,
                        hatch=hatch if polysemantic else None)
        for i, bar in zip(np.flatnonzero(thick), bars):
            if abs(height[j, i]) < least:
                continue
            number = axes.text(j, bottom[j, i] + height[j, i] / 2, str(i), ha="center",
                               va="center", fontsize=STYLE["font"], fontweight="bold",
                               color="black" if polysemantic else "white")
            if polysemantic:            # a box hides the hatches, and nothing outside its rectangle
                number.set_bbox({"boxstyle": "round,pad=0.12", "color": ORANGE})
                number.get_bbox_patch().set(clip_path=bar, clip_on=True)
    axes.axhline(0, color="black", linewidth=1)
    axes.set_xticks(range(m))
    label(axes)


def kind_of_neuron(monosemanticity):
    """Which of NEURONS a neuron is."""
    return ("idle" if monosemanticity == 0 else
            "polysemantic" if monosemanticity < MONOSEMANTIC else "monosemantic")


def key_of_stack(axes, monosemanticity):
    """Below a stack plot, what its colours mean, of the kinds of neurons that are there."""
    there = set(map(kind_of_neuron, monosemanticity))
    handles = [Patch(label=kind, facecolor=colour, edgecolor="white",
                     hatch=HATCH if kind == "polysemantic" else None)
               for kind, colour in NEURONS.items() if kind in there]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13),
                ncols=len(handles), fontsize=STYLE["font"] - 2, frameon=False, columnspacing=1)


def name_curves(axes, curves, colours, *, size=STYLE["font"]):
    """Write each curve's name beside it, where the others are farthest; call it once all is drawn.
    Of places that are about as good it is the one that is farthest from the names before.

    curves : {name: (x, y)} with ascending x        colours : {name: colour}
    """
    (left, right), (low, high), taken = axes.get_xlim(), axes.get_ylim(), []
    for name, (x, y) in curves.items():
        inside = (x >= min(left, right)) & (x <= max(left, right)) & (y >= low) & (y <= high)
        span = x[inside] if inside.any() else x
        place = span[0] + np.linspace(0.15, 0.85, 15) * (span[-1] - span[0])
        own = np.interp(place, x, y)
        away = np.array([np.interp(place, u, v) - own for other, (u, v) in curves.items()
                         if other != name])
        middle = np.arange(len(place)) == len(place) // 2
        gap = abs(away).min(0) if len(away) else middle
        good = np.flatnonzero(gap >= 0.95 * gap.max())
        at = int(max(good, key=lambda i: min((abs(place[i] - other) for other in taken),
                                             default=gap[i])))
        taken.append(place[at])
        below = len(away) and away[abs(away[:, at]).argmin(), at] > 0
        ends = axes.transData.transform([(place[i], own[i]) for i in (at - 1, at) if at] or
                                        [(place[i], own[i]) for i in (0, 1)])
        along = np.diff(ends, axis=0)[0] * (1 if ends[1, 0] >= ends[0, 0] else -1)
        off = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-9) * (-9 if below else 9)
        ha = "center" if abs(off[0]) < 1.5 else "right" if off[0] < 0 else "left"
        across = axes.transAxes.inverted().transform(ends)[:, 0].mean()
        ha = "left" if across < 0.25 else "right" if across > 0.75 else ha
        axes.annotate(name, (place[at], own[at]), xytext=off, textcoords="offset points",
                      color=colours[name], fontsize=size, fontweight="bold", ha=ha,
                      va="top" if off[1] < 0 else "bottom")
