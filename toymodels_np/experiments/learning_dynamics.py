"""Row 12: two correlated sets of three features learn their octahedron, one shape after the other.

Six features in three dimensions start from small random weights. The loss rests on plateaus, each
with a geometry of its own: first either set has one direction, its sum, as in principal component
analysis; then members part, two together and one alone; at last all six have their own, two
triangles face to face. These turn against each other, a prism, an antiprism, until members of
different sets are antipodes: an octahedron. Not all starts take the same way.

A plateau is a stretch in which ln L falls several times more slowly than before it and after it.
When the antiprism is seen depends on what is called late: within 5 % of the lowest loss the sets
are nearly a prism still, within 2 % they are an antiprism. That it is the last shape before the
octahedron says nothing: nearly all straight lines from random weights to that pass it. All losses
are exact.
"""

from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluOutput
from ..core.streams import CHANCE_STREAM, INIT_STREAM, random_stream
from ..engine.train import train
from ..geometry.align import align
from ..geometry.measures import cosines
from ..interrupts import passed_on
from ..plots import rows as pictures
from ..theory.exact.loss import expected_loss
from ..theory.minima import find_minimum
from .base import Experiment
from .claims import Claim, NotMeasured

SECTION = "Superposition and Learning Dynamics"
SETS = (0, 1, 2), (3, 4, 5)             # on or off together
SLOWER = 3.0            # on a plateau ln L falls this many times more slowly than before and after
STILL = 0.02            # a fall of ln L by this times the learning rate a step is rest: it is noise
SMOOTH = 5                              # records over which the slope is averaged
TOGETHER = 0.7                          # features with a larger cosine share a direction
OPPOSITE = -0.95                        # features with a smaller cosine are antipodes
SQUARE = 0.2                            # the axes of an octahedron have cosines up to this
TURNED = 30.0                           # degrees, half way from a prism (0) to an antiprism (60)
LINEAR = 0.9                            # of |W|² along the sums of the sets: a linear solution
LATE = 1.02                             # late is when the loss comes within this of the lowest
EARLIER = 1.05                          # and this is the time before
TAKEN = 0.1                             # of the starts must take a route for it to count
SETTINGS = {"p": 0.1, "starts": 20, "scale": 0.05, "steps": 4000, "batch_size": 512,
            "learning_rate": 1e-2, "record_every": 10, "minimum_starts": 4}


def run(job):
    """All starts of one seed: W and exact losses on the way, and what the best solution loses.

    steps_at (T,)      W (starts, T, 3, 6)      losses (starts, T)      final (starts,)
    minimum, regular, symmetric : the losses of the true minimum and of two named octahedra
    """
    features = Features(6, job["p"], correlated=SETS)
    rng = random_stream(job["seed"], INIT_STREAM, 0)
    first = (job["scale"] * rng.normal(size=(job["starts"], 3, 6))).astype(np.float32)
    start = ReluOutput(first, np.zeros((job["starts"], 6), np.float32))
    steps_at, records = follow(start, features, job)
    W, b = (a.swapaxes(0, 1) for a in records)                                  # (starts, T, …)
    losses = [expected_loss(ReluOutput(*one), features, rtol=1e-4) for one in zip(W, b)]
    last = ReluOutput(W[:, -1], b[:, -1])
    return {"steps_at": steps_at, "W": W, "losses": np.stack(losses),
            "final": expected_loss(last, features),
            "minimum": true_minimum(job["p"], job["minimum_starts"]).loss,
            "regular": octahedron_loss(features),
            "symmetric": octahedron_loss(features, free_height=True)}


@cache
def true_minimum(p, starts):
    """The lowest minimum of the exact loss, which is the same for every seed."""
    with passed_on():                   # half a search would be kept for all that come after
        return find_minimum(Features(6, p, correlated=SETS), 3, starts=starts, progress=False)


def follow(start, features, job):
    """The steps that are looked at, (T,), and the parameters there; no steps: the start alone."""
    if job["steps"] == 0:
        return np.zeros(1, int), [a[None] for a in start.parameters]
    names = ("steps", "batch_size", "learning_rate", "record_every", "seed")
    history = train(start, features, schedule="cosine", progress=False,
                    **{name: job[name] for name in names})
    at = np.arange(len(history.steps))
    at = at[(at % 5 == 0) | (at <= len(at) // 4) | (at == at[-1])]  # the end is slow: fewer will do
    return history.steps[at], [a[at] for a in history.parameters.parameters]


def octahedron_loss(features, free_height=False):
    """The loss of the regular octahedron, antipodes from different sets, at its best norm and bias.

    With `free_height` it may be drawn out or pressed along the axis between the sets, whose
    triangles stay regular.
    """
    axis = np.full((3, 3), 1 / 3)

    def loss(free):
        one = free[0] * (np.eye(3) + (free[2] if free_height else 0) * axis)
        model = ReluOutput(np.hstack([one, -one]), np.full(6, free[1]))
        return float(expected_loss(model, features))
    start = (1.0, 0.01, 0.01)[:3 if free_height else 2]
    return scipy.optimize.minimize(loss, start, method="Nelder-Mead",
                                   options={"xatol": 1e-6, "fatol": 1e-13}).fun


# -- plateaus ------------------------------------------------------------------------------------

def find_plateaus(times, losses):
    """Where the loss rests: a list of (start, slowest, end), indices into the arrays (T,).

    times : steps times the learning rate, so that slopes do not depend on it
    On a plateau the slope of ln L stays within SLOWER times its slowest. The last one may be the
    end of training.
    """
    if len(times) <= SMOOTH:
        return []
    slope = -np.gradient(np.log(losses), times)
    slope = scipy.ndimage.uniform_filter1d(slope, SMOOTH, mode="nearest")
    slow = -np.log(np.maximum(slope, STILL))                            # high where L rests
    dips = list(scipy.signal.find_peaks(slow, prominence=np.log(SLOWER), plateau_size=1)[0])
    peaks = [int(np.argmin(slow[a:b])) + a for a, b in pairwise([0, *dips, len(slow)])]
    if slow[-1] - slow[peaks[-1]] >= np.log(SLOWER):
        dips.append(len(slow) - 1)
        peaks.append(len(slow) - 1)
    found = []
    for dip, left, right in zip(dips, peaks, peaks[1:]):                # peaks of speed around it
        fast = slow[left:right + 1] < slow[dip] - np.log(SLOWER)
        before, after = np.flatnonzero(fast[:dip - left]), np.flatnonzero(fast[dip - left:])
        found.append((left + int(before[-1]) + 1 if len(before) else left, int(dip),
                      dip + int(after[0]) - 1 if len(after) else right))
    return found


def plateaus(run):
    """For each start a list of (start, slowest, end, words).

    The end of training is among them if L rests there. Two that touch and look alike are one.
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


# -- shapes --------------------------------------------------------------------------------------

def directions(W):
    """How many directions the members of either set share, such as (2, 3): the smaller first."""
    def count(members):
        near = np.linalg.matrix_power(cosines(W[:, members]) > TOGETHER, 3)
        return len({tuple(np.flatnonzero(row)) for row in near})
    return tuple(sorted(count(list(members)) for members in SETS))


def face_each_other(W):
    """Whether the sums of the two sets point in opposite directions."""
    one, two = (W[:, members].sum(1) for members in map(list, SETS))
    return bool(one @ two <= OPPOSITE * np.linalg.norm(one) * np.linalg.norm(two))


def twist(W):
    """By how many degrees set 1 is turned against set 2 about their axis: prism 0, antiprism 60."""
    one, two = (W[:, members].sum(1) for members in map(list, SETS))
    frame = np.linalg.svd((one - two)[None])[2][1:]                     # (2, 3): across the axis
    angle = [np.angle(((frame[0] @ W[:, members] + 1j * (frame[1] @ W[:, members])) ** 3).sum())
             for members in map(list, SETS)]
    turn = (angle[0] - angle[1]) % (2 * np.pi)                       # thrice: 120 degrees are none
    return float(np.degrees(min(turn, 2 * np.pi - turn)) / 3)


def is_octahedron(W):
    """Whether the columns of W (3, 6) are three pairs of antipodes on nearly orthogonal axes."""
    cosine = cosines(W)
    partner = cosine.argmin(1)
    if (partner[partner] != np.arange(6)).any() or cosine.min(1).max() > OPPOSITE:
        return False
    rest = abs(cosine)[np.arange(6) != partner[:, None]].reshape(6, 5)
    return bool(np.sort(rest, axis=1)[:, :4].max() <= SQUARE)       # the fifth is with itself


def antipodes_cross(W):
    """Whether the antipode of each feature is in the other set."""
    return bool(((cosines(W).argmin(1) < 3) != (np.arange(6) < 3)).all())


def words(W):
    """The geometry in words."""
    if is_octahedron(W):
        return "octahedron"
    if directions(W) == (3, 3) and face_each_other(W):
        return "antiprism" if twist(W) > TURNED else "prism"
    return "{} + {} directions".format(*directions(W))


def principal_share(W):
    """The part of |W|² (..., 3, 6) along the sums of the two sets, their principal components."""
    Q = np.zeros((6, 2))
    for k, members in enumerate(SETS):
        Q[list(members), k] = 3 ** -0.5
    return ((W @ Q) ** 2).sum((-2, -1)) / (W**2).sum((-2, -1))


# -- over runs -----------------------------------------------------------------------------------

def ends(runs):
    """The last W of each start of each run."""
    return [W for run in runs for W in run["W"][:, -1].astype(float)]


def octahedra(runs):
    """Those of them that are an octahedron; NotMeasured if none is."""
    found = [W for W in ends(runs) if is_octahedron(W)]
    if not found:
        raise NotMeasured("no start ends as an octahedron")
    return found


def shuffled_antipodes(runs):
    """The octahedra with their features in another order: do antipodes cross?"""
    rng = random_stream(runs[0]["seed"], CHANCE_STREAM, 0)
    return [antipodes_cross(W[:, rng.permutation(6)]) for W in octahedra(runs)]


def rests(runs):
    """1 or 0 a start: whether its loss rests on the way, and goes on falling."""
    return [bool(one) for run in runs for one in before_the_end(run)]


def own_geometry(runs):
    """1 or 0 for each plateau left: has what comes after it, plateau or end, another geometry?

    Where there is no plateau at all, 0 for each start.
    """
    found = []
    for run in runs:
        last = run["W"][:, -1].astype(float)
        for one, W in zip(before_the_end(run), last):
            found += [a != b for a, b in pairwise([*(plateau[3] for plateau in one), words(W)])]
    return found or [0] * sum(len(run["W"]) for run in runs)


def linear_once(runs):
    """1 or 0 a start: whether W lies along the sums of the sets, up to 1 - LINEAR, at some time."""
    return [share.max() >= LINEAR
            for run in runs for share in principal_share(run["W"].astype(float))]


def twists(runs, within):
    """The twist of each start that does, when its loss first comes within this of the lowest."""
    found = []
    for run in runs:
        near = run["losses"] <= within * run["minimum"]
        found += [twist(W[close.argmax()])
                  for W, close in zip(run["W"].astype(float), near) if close.any()]
    if not found:
        raise NotMeasured(f"no start's loss comes within {within:g} times the lowest")
    return found


def routes(run):
    """How many starts that end as an octahedron pass which sequence of geometries."""
    found = zip(before_the_end(run), ends([run]))
    return Counter((*(plateau[3] for plateau in one), "octahedron")
                   for one, W in found if one and is_octahedron(W))


def common_routes(run):
    """How many routes there are that at least TAKEN of the starts take."""
    if TAKEN * run["starts"] < 1:
        raise NotMeasured(f"a tenth of {run['starts']} starts is not even one")
    return sum(count >= TAKEN * run["starts"] for count in routes(run).values())


# -- pictures ------------------------------------------------------------------------------------

def representative(run):
    """The start to show: of those that end as an octahedron, the first with the most plateaus."""
    score = [(is_octahedron(W), len(one)) for W, one in zip(ends([run]), before_the_end(run))]
    return max(range(len(score)), key=score.__getitem__)


def path(run, start):
    """The W of one start (T, 3, 6), turned for the eye: in the end set 1 is above set 2."""
    W = run["W"][start].astype(float)
    axes = np.stack([W[-1][:, :3].sum(1) - W[-1][:, 3:].sum(1), W[-1][:, 0], W[-1][:, 1]], axis=1)
    Q = np.linalg.qr(axes)[0][:, [1, 2, 0]]
    Q *= np.sign((Q * axes[:, [1, 2, 0]]).sum(0))
    turned = [Q.T @ W[-1]]
    for one in W[-2::-1]:
        turned.append(align(one, turned[-1], relabel=False))
    return np.stack(turned[::-1])


def stations(run, start):
    """What to show of one start: (first, shown, last, words) of its plateaus, two times, the end.

    The two times are when the loss first comes within EARLIER and within LATE of the lowest.
    """
    last, W = len(run["steps_at"]) - 1, run["W"][start].astype(float)
    found = plateaus(run)[start]
    if not found or found[-1][2] < last:
        found = [*found, (last, last, last, words(W[-1]))]
    found[-1] = (found[-1][0], last, last, words(W[-1]))
    for within in (EARLIER, LATE):
        at = int((run["losses"][start] <= within * run["minimum"]).argmax())
        if 0 < at < last and at not in [shown for _, shown, *_ in found]:
            found = [*found[:-1], (at, at, at, words(W[at])), found[-1]]
    return found


def animation(runs, frames=60):
    """The learning of one start as a page of its own: its loss, and its six directions, moving."""
    run, start = runs[0], representative(runs[0])
    chosen = np.linspace(0, len(run["steps_at"]) - 1, frames).round().astype(int)
    chosen = np.unique(chosen)
    titles = [words(W) for W in run["W"][start, chosen].astype(float)]
    return pictures.learning_dynamics.animation(
        run["steps_at"], run["losses"][start], chosen, path(run, start)[chosen], SETS, titles)


def draw(runs):
    """The losses of all starts, one of them with its plateaus, and its six directions on each."""
    run, start = runs[0], representative(runs[0])
    shown = stations(run, start)
    return pictures.learning_dynamics.figure(
        run["steps_at"], run["losses"], start, run["minimum"], shown,
        path(run, start)[[at for _, at, *_ in shown]], SETS)


CLAIMS = (
    Claim("dynamics-octahedron", SECTION, "Learning ends in an octahedron: the share of starts.",
          lambda runs: [is_octahedron(W) for W in ends(runs)], low=0.5, summary="share",
          expected="at least half of the starts"),
    Claim("dynamics-antipodes", SECTION,
          "In the octahedron the antipodes are members of different sets.",
          lambda runs: [antipodes_cross(W) for W in octahedra(runs)], low=1, summary="share",
          control=shuffled_antipodes,
          expected="every octahedron; the control has shuffled features"),
    Claim("dynamics-plateaus", SECTION,
          "The loss falls in steps, it rests on plateaus before it comes to its end: the share of "
          "starts in which it does.", rests, low=0.5, summary="share",
          expected="at least half of the starts"),
    Claim("dynamics-own-geometry", SECTION,
          "Each plateau has a geometry of its own: the share of plateaus that what comes after "
          "them, plateau or end, differs from.", own_geometry, low=0.75, summary="share",
          expected="at least 75 % of plateaus"),
    Claim("dynamics-early-linear", SECTION,
          "There is an early solution that is linear, PCA-like: the share of starts whose W once "
          "lies along the sums of the two sets.", linear_once, low=0.5, summary="share",
          expected="at least half of the starts, with 90 % of |W|²"),
    Claim("dynamics-late-antiprism", SECTION,
          "Late in learning, when the loss first comes within 2 % of the lowest, the sets are an "
          "antiprism: the share of starts whose triangles are turned by more than 30 degrees.",
          lambda runs: [turn > TURNED for turn in twists(runs, LATE)], low=0.5, summary="share",
          control=lambda runs: [turn > TURNED for turn in twists(runs, EARLIER)],
          expected="at least half of the starts; the control is earlier, within 5 %"),
    Claim("dynamics-prism-before", SECTION,
          "Earlier, when the loss first comes within 5 % of the lowest, the sets are nearer to a "
          "prism: the share of starts whose triangles are turned by less than 30 degrees.",
          lambda runs: [turn < TURNED for turn in twists(runs, EARLIER)], low=0.5, summary="share",
          kind="ours", control=lambda runs: [turn < TURNED for turn in twists(runs, LATE)],
          expected="at least half of the starts; the control is late, within 2 %"),
    Claim("dynamics-few-routes", SECTION,
          "A few different routes to the octahedron occur: how many a tenth of the starts or more "
          "take.", lambda runs: [common_routes(run) for run in runs], low=2, high=6,
          correction="The detector tells {measured} common routes apart."),
    Claim("dynamics-best-is-the-minimum", SECTION,
          "The best start ends at the true minimum: its loss relative to it.",
          lambda runs: [run["final"].min() / run["minimum"] for run in runs],
          low=1 - 1e-6, high=1.01, kind="ours"),
    Claim("dynamics-regular", SECTION,
          "The octahedron at the end is the regular one: its exact loss, relative to the true "
          "minimum's.", lambda runs: [run["regular"] / run["minimum"] for run in runs],
          low=1 - 1e-6, high=1 + 1e-6, expected="1 to six digits", kind="ours",
          control="two exact losses are compared, and nothing is trained",
          correction="It is slightly skew: the regular one costs {measured} times the true "
                     "minimum."),
    Claim("dynamics-symmetric", SECTION,
          "The octahedron at the end is two regular triangles face to face, of whatever height: "
          "its exact loss, relative to the true minimum's.",
          lambda runs: [run["symmetric"] / run["minimum"] for run in runs],
          low=1 - 1e-6, high=1 + 1e-6, expected="1 to six digits", kind="ours",
          control="two exact losses are compared, and nothing is trained",
          correction="The triangles are not quite regular: if they are, it costs {measured} times "
                     "the true minimum."),
)

EXPERIMENT = Experiment(
    "learning-dynamics", 12, "Learning as geometric transformations", SECTION, "09",
    SETTINGS | {"seeds": 2},
    SETTINGS | {"steps": 10_000, "batch_size": 1024, "learning_rate": 5e-3, "minimum_starts": 16,
                "record_every": 20, "seeds": 5}, run, draw, CLAIMS, animation)

if __name__ == "__main__":
    from .command import main
    main("learning-dynamics")
