"""Row 12: two correlated sets of three features learn their octahedron, one shape after the other.

Six features in three dimensions start from small random weights. The loss rests on plateaus, and each has its own
geometry: first either set has one direction, its sum, as in principal component analysis; then members part, two
together and one alone; at last all six have their own, two triangles face to face. These turn against each other, an
antiprism, until members of different sets are antipodes: an octahedron. Not all starts take the same way.

A plateau is a stretch in which ln L falls several times more slowly than before it and after it. All losses are exact.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import minimize
from scipy.signal import find_peaks

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.align import align
from ..geometry.measures import cosines
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Superposition and Learning Dynamics"
SETS = (0, 1, 2), (3, 4, 5)             # on or off together
SLOWER = 3.0                            # on a plateau ln L falls this many times more slowly than before and after
STILL = 0.02                            # a fall of ln L by this times the learning rate a step is rest: it is noise
SMOOTH = 5                              # records over which the slope is averaged
TOGETHER = 0.7                          # features with a larger cosine share a direction
OPPOSITE = -0.95                        # features with a smaller cosine are antipodes
SQUARE = 0.2                            # the axes of an octahedron have cosines up to this
LATE = 1.05                             # late is when the loss is this many times the lowest, for the first time
SETTINGS = {"p": 0.1, "starts": 20, "scale": 0.05, "steps": 4000, "batch_size": 512, "learning_rate": 1e-2,
            "record_every": 10, "minimum_starts": 4}


def run(job):
    """All starts of one seed: their weights and exact losses along the way, and what the best solution loses."""
    features = Features(6, job["p"], correlated=SETS)
    first = job["scale"] * np.random.default_rng(job["seed"]).normal(size=(job["starts"], 3, 6))
    start = ReluOutput(first.astype(np.float32), np.zeros((job["starts"], 6), np.float32))
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "record_every", "seed")}
    history = train(start, features, schedule="cosine", progress=False, **options)
    at = np.arange(len(history.steps))
    at = at[(at % 5 == 0) | (at <= len(at) // 4) | (at == at[-1])]      # the end is slow: fewer records will do
    W, b = (a[at].swapaxes(0, 1) for a in history.parameters.parameters)                    # (starts, T, …)
    losses = np.stack([expected_loss(ReluOutput(*one), features, rtol=1e-4) for one in zip(W, b)])
    minimum = find_minimum(features, 3, starts=job["minimum_starts"], seed=job["seed"])
    return {"steps_at": history.steps[at], "W": W, "losses": losses, "final": expected_loss(history.model, features),
            "minimum": minimum.loss, "regular": octahedron_loss(features),
            "symmetric": octahedron_loss(features, free_height=True)}


def octahedron_loss(features, free_height=False):
    """The loss of the regular octahedron, antipodes from different sets, at its best norm and bias.

    With `free_height` it may be drawn out or pressed along the axis between the sets, whose triangles stay regular.
    """
    axis = np.full((3, 3), 1 / 3)

    def loss(free):
        one = free[0] * (np.eye(3) + (free[2] if free_height else 0) * axis)
        return float(expected_loss(ReluOutput(np.hstack([one, -one]), np.full(6, free[1])), features))
    start = (1.0, 0.01, 0.01)[:3 if free_height else 2]
    return minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-13}).fun


def find_plateaus(times, losses):
    """Where the loss rests: a list of (start, slowest, end), indices into the arrays (T,); the last may be the end.

    times : steps times the learning rate, so that slopes do not depend on it
    """
    slope = uniform_filter1d(-np.gradient(np.log(losses), times), SMOOTH, mode="nearest")
    slow = -np.log(np.maximum(slope, STILL))                                            # high where L rests
    dips = list(find_peaks(slow, prominence=np.log(SLOWER), plateau_size=1)[0])
    peaks = [int(np.argmin(slow[a:b])) + a for a, b in pairwise([0, *dips, len(slow)])]  # of the speed, around each dip
    if slow[-1] - slow[peaks[-1]] >= np.log(SLOWER):
        dips.append(len(slow) - 1)
        peaks.append(len(slow) - 1)
    found = []
    for dip, left, right in zip(dips, peaks, peaks[1:]):
        fast = slow[left:right + 1] < slow[dip] - np.log(SLOWER)
        before, after = np.flatnonzero(fast[:dip - left]), np.flatnonzero(fast[dip - left:])
        found.append((left + int(before[-1]) + 1 if len(before) else left, int(dip),
                      dip + int(after[0]) - 1 if len(after) else right))
    return found


def directions(W):
    """How many directions the members of either set share, such as (2, 3): the set with fewer comes first."""
    def count(members):
        near = cosines(W[:, members]) > TOGETHER
        return len({tuple(np.flatnonzero(np.linalg.matrix_power(near, 3)[i])) for i in range(len(members))})
    return tuple(sorted(count(list(members)) for members in SETS))


def face_each_other(W):
    """Whether the sums of the two sets point in opposite directions."""
    one, two = (W[:, members].sum(1) for members in map(list, SETS))
    return bool(one @ two <= OPPOSITE * np.linalg.norm(one) * np.linalg.norm(two))


def twist(W):
    """How far set 1 is turned against set 2 about the axis between them, in degrees: prism 0, antiprism 60."""
    one, two = (W[:, members].sum(1) for members in map(list, SETS))
    frame = np.linalg.svd((one - two)[None])[2][1:]                     # (2, 3): the plane across the axis
    angle = [np.angle(((frame[0] @ W[:, members] + 1j * (frame[1] @ W[:, members])) ** 3).sum())
             for members in map(list, SETS)]
    turn = (angle[0] - angle[1]) % (2 * np.pi)                          # thrice the turn: 120 degrees are none
    return float(np.degrees(min(turn, 2 * np.pi - turn)) / 3)


def is_octahedron(W):
    """Whether the columns of W (3, 6) are three pairs of antipodes on nearly orthogonal axes, whatever their sets."""
    cosine = cosines(W)
    partner = cosine.argmin(1)
    if (partner[partner] != np.arange(6)).any() or cosine.min(1).max() > OPPOSITE:
        return False
    rest = abs(cosine)[np.arange(6) != partner[:, None]].reshape(6, 5)
    return bool(np.sort(rest, axis=1)[:, :4].max() <= SQUARE)           # the fifth is the feature with itself


def antipodes_cross(W):
    """Whether the antipode of each feature is in the other set."""
    return bool(((cosines(W).argmin(1) < 3) != (np.arange(6) < 3)).all())


def words(W):
    """The geometry in words."""
    if is_octahedron(W):
        return "octahedron"
    if directions(W) == (3, 3) and face_each_other(W):
        return "antiprism" if twist(W) > 30 else "prism"
    return "{} + {} directions".format(*directions(W))


def plateaus(run):
    """For each start a list of (start, slowest, end, words), the end of training among them if the loss rests there.

    Two that touch and have the same geometry are one.
    """
    result = []
    for W, losses in zip(run["W"].astype(float), run["losses"]):
        one = []
        for start, slowest, end in find_plateaus(run["learning_rate"] * run["steps_at"], losses):
            name = words(W[slowest])
            if one and one[-1][2] >= start - 1 and one[-1][3] == name:
                start, slowest = one.pop()[:2]
            one.append((start, slowest, end, name))
        result.append(one)
    return result


def before_the_end(run):
    """The plateaus of each start that it has left again."""
    last = len(run["steps_at"]) - 1
    return [[plateau for plateau in one if plateau[2] < last] for one in plateaus(run)]


def own_geometry(runs):
    """1 or 0 for each plateau and the next: whether their geometries differ."""
    return [a[3] != b[3] for run in runs for one in plateaus(run) for a, b in pairwise(one)] or [0]


def principal_share(run):
    """For each start, the part of |W|² at its first plateau that lies along the two sums of the sets, as in PCA."""
    Q = np.zeros((6, 2))
    for k, members in enumerate(SETS):
        Q[list(members), k] = 3 ** -0.5
    first = [W[one[0][1]] for W, one in zip(run["W"], before_the_end(run)) if one]
    return [float(((W @ Q) ** 2).sum() / (W**2).sum()) for W in first]


def late_twists(run):
    """The twist of each start that comes close to the lowest loss, just when it does."""
    near = run["losses"] <= LATE * run["minimum"]
    return [twist(W[close.argmax()]) for W, close in zip(run["W"].astype(float), near) if close.any()]


def passes_antiprism(run):
    """1 or 0 for each start: whether it is an antiprism, and no octahedron yet, at some record."""
    return [any(words(one) == "antiprism" for one in W) for W in run["W"].astype(float)]


def routes(run):
    """How many starts pass which sequence of geometries."""
    ends = run["W"][:, -1].astype(float)
    return Counter((*(plateau[3] for plateau in one), words(W)) for one, W in zip(before_the_end(run), ends))


def octahedra(runs):
    """The final W of each start that has found an octahedron."""
    return [W for run in runs for W in run["W"][:, -1].astype(float) if is_octahedron(W)]


def representative(run):
    """The start to show: of those that end as an octahedron, the first with the most plateaus."""
    score = [(is_octahedron(W[-1].astype(float)), len(one)) for W, one in zip(run["W"], before_the_end(run))]
    return max(range(len(score)), key=score.__getitem__)


def path(run, start):
    """The W of one start (T, 3, 6), turned for the eye: at the end set 1 is above set 2, before as near as can be."""
    W = run["W"][start].astype(float)
    axes = np.stack([W[-1][:, :3].sum(1) - W[-1][:, 3:].sum(1), W[-1][:, 0], W[-1][:, 1]], axis=1)
    Q = np.linalg.qr(axes)[0][:, [1, 2, 0]]
    Q *= np.sign((Q * axes[:, [1, 2, 0]]).sum(0))
    turned = [Q.T @ W[-1]]
    for one in W[-2::-1]:
        turned.append(align(one, turned[-1], relabel=False))
    return np.stack(turned[::-1])


def animation(runs, frames=60):
    """The learning of one start as a self-contained HTML page: its loss, and its six directions, both moving."""
    run, start = runs[0], representative(runs[0])
    chosen = np.unique(np.linspace(0, len(run["steps_at"]) - 1, frames).round().astype(int))
    titles = [words(W) for W in run["W"][start, chosen].astype(float)]
    return plots.animate(run["steps_at"], run["losses"][start], chosen, path(run, start)[chosen], SETS, titles)


def draw(runs):
    """The losses of all starts, one of them with its plateaus, and its six directions on each."""
    run, start = runs[0], representative(runs[0])
    steps, W, rests = run["steps_at"], path(run, start), plateaus(run)[start]
    if not rests or rests[-1][2] < len(steps) - 1:
        rests = [*rests, (len(steps) - 1, len(steps) - 1, len(steps) - 1, words(W[-1]))]
    late = int((run["losses"][start] <= LATE * run["minimum"]).argmax())
    if late and not any(low <= late <= high for low, _, high, _ in rests[:-1]):
        rests.insert(-1, (late, late, late, "late: " + words(W[late])))
    figure = plots.canvas(15, 10.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4))
    axes, size = top.subplots(), plots.STYLE["font"] + 3
    for k, other in enumerate(run["losses"]):
        axes.semilogy(steps, other, color="0.75", linewidth=1.2,
                      label="all starts" if k == 0 else None)
    axes.semilogy(steps, run["losses"][start], color="black", linewidth=3, label="one start")
    axes.axhline(run["minimum"], color=plots.ORANGE, linewidth=2.5, linestyle="--", label="true minimum")
    for letter, (low, _, high, _) in zip("ABCDEFGH", rests):
        if high > low:
            axes.axvspan(steps[low], steps[high], facecolor=plots.SKY, alpha=0.3)
        else:
            axes.axvline(steps[low], color="0.3", linewidth=2, linestyle=":")
        axes.text((max(steps[low], 1) * steps[high]) ** 0.5, 1.25 * run["losses"][start].max(), letter, ha="center",
                  va="top", fontsize=size + 3, fontweight="bold",
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 3})
    axes.set(xscale="log", xlim=(steps[1], steps[-1]), ylim=(run["minimum"] / 1.3, 1.35 * run["losses"][start].max()))
    axes.legend(fontsize=size, frameon=False, loc="upper right", bbox_to_anchor=(1, 0.88))
    plots.label(axes, "training step", "expected loss (exact)",
                  "Two correlated sets of three in three dimensions: each plateau has its geometry", larger=3)
    for k, (letter, (_, slowest, high, name)) in enumerate(zip("ABCDEFGH", rests)):
        panel = bottom.add_axes((k / len(rests), 0, 1 / len(rests), 0.9), projection="3d")
        plots.draw_sets(panel, W[high if high == len(W) - 1 else slowest], SETS)
        bottom.text((k + 0.5) / len(rests), 0.97, f"{letter}: {name}", ha="center", va="top", fontsize=size)
    return figure


CLAIMS = (
    Claim("dynamics-octahedron", SECTION, "Learning ends in an octahedron (the rate over all starts).",
          lambda runs: [is_octahedron(W) for run in runs for W in run["W"][:, -1].astype(float)],
          low=0.5, summary="mean", expected="at least half of the starts"),
    Claim("dynamics-antipodes", SECTION, "In the octahedron the antipodes are members of different sets.",
          lambda runs: [antipodes_cross(W) for W in octahedra(runs)] or [0], low=1, summary="mean",
          expected="every octahedron"),
    Claim("dynamics-plateaus", SECTION, "The loss falls in steps: it rests on plateaus before it comes to its end.",
          lambda runs: [len(one) for run in runs for one in before_the_end(run)], low=2),
    Claim("dynamics-own-geometry", SECTION, "Each plateau has a geometry of its own, other than the one before.",
          own_geometry, low=0.9, summary="mean", expected="at least 90 % of plateaus"),
    Claim("dynamics-early-linear", SECTION, "The early solution is a linear, PCA-like one: W lies along the sums of "
          "the two sets (the part of its squared norm that does).",
          lambda runs: [share for run in runs for share in principal_share(run)] or [0], low=0.95),
    Claim("dynamics-antiprism", SECTION, "On the way to the octahedron the sets are an antiprism, two triangles turned "
          "against each other by more than 30 of 60 degrees (the rate of starts that pass one).",
          lambda runs: [one for run in runs for one in passes_antiprism(run)], low=0.5, summary="mean"),
    Claim("dynamics-late-antiprism", SECTION, "Late in learning, when the loss first comes within 5 % of the lowest, "
          "the sets are an antiprism (the turn of one against the other, in degrees).",
          lambda runs: [turn for run in runs for turn in late_twists(run)] or [0], low=30, high=60,
          expected="30 to 60, a prism has 0"),
    Claim("dynamics-few-routes", SECTION, "A few different routes occur: sequences of geometries among the starts.",
          lambda runs: [len(routes(run)) for run in runs], low=2, high=6,
          correction="The detector tells {measured} different sequences apart."),
    Claim("dynamics-best-is-the-minimum", SECTION, "The best start ends at the true minimum (its loss relative to it).",
          lambda runs: [run["final"].min() / run["minimum"] for run in runs], low=1 - 1e-6, high=1.01),
    Claim("dynamics-regular", SECTION, "The octahedron at the end is the regular one (its exact loss, relative to the "
          "true minimum's).", lambda runs: [run["regular"] / run["minimum"] for run in runs],
          low=1 - 1e-6, high=1 + 1e-6, expected="1 to six digits",
          correction="It is slightly skew: the regular one costs {measured} times the true minimum."),
    Claim("dynamics-symmetric", SECTION, "The octahedron at the end is two regular triangles face to face, of whatever "
          "height (its exact loss, relative to the true minimum's).",
          lambda runs: [run["symmetric"] / run["minimum"] for run in runs], low=1 - 1e-6, high=1 + 1e-6,
          expected="1 to six digits",
          correction="The triangles are not quite regular: if they are, it costs {measured} times the true minimum."),
)

LEARNING_DYNAMICS = Experiment(
    "learning-dynamics", 12, "Learning as geometric transformations", SECTION, "09", SETTINGS | {"seeds": 1},
    SETTINGS | {"steps": 10_000, "batch_size": 1024, "learning_rate": 5e-3, "minimum_starts": 16, "record_every": 20,
                "seeds": 5}, run, draw, CLAIMS, animation)
