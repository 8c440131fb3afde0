"""The lowest of many minima: starts, and a local search over which feature goes where.

A pentagon of unequal features has twelve orders, and descent does not reorder. So the best points
are changed by hand: two features exchange their columns, one is turned round, dropped, put opposite
another, or brought back with a small norm; and at the end two pairs exchange theirs at once. The
changed points descend in a race, in which the better half goes on, until no change of the best few
leads lower.

    theta, points   stacks of models, one point an instance         f   their losses
"""

from functools import partial
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np

from ..core.features import Features
from ..core.models import Linear
from ..core.streams import SEARCH_STREAM, random_stream
from ..engine.train import train
from ..geometry import polytopes
from ..geometry.measures import DROPPED, REPRESENTED, norms
from ..geometry.tegum import geometry_of
from ..penalties import NONE, Penalty
from .curvature import inverse_hessian
from .descent import (
    RTOL,
    Pace,
    blank_loss,
    descend,
    drop,
    held_parameters,
    replace,
    revive,
    value,
)

FEW = 9                     # up to so many the loss is exact at any rtol, and quick to descend
TRAINING = {"steps": 3000, "learning_rate": 1e-2, "schedule": "cosine"}
HEAT = {"steps": 500, "learning_rate": 5e-3, "schedule": "cosine"}     # a race of many features
GO_ON = 3                   # from there, so many of each half
ACTIVE, BATCH = 10, (2**8, 2**13)           # how often a feature is on in a batch; its bounds
ROUGHLY = 1e-4              # rtol of the losses by which many features' points are compared
THEN = Pace(1e-4, 1e-4, 150, 1e-5)          # the descent of many, without those dropped,
ALL = Pace(1e-7, 1e-8, 2000, RTOL)          # and the only one of few, if they are equal,
QUICK = Pace(1e-5, 1e-5, 500, RTOL)         # or else the first of few and that of their changes
LAST = Pace(1e-8, 0.0, 3000, RTOL)          # that of the best point,
CLOSER = Pace(1e-5, 0.0, 3000, 1e-8)        # or, of many features, until Newton's method is better
HEATS = ((4, 0.5), (8, 0.5), (16, 0.4))     # of a race: steps, and the share that goes on
CLOSE = 0.03                # what ends a race so much above the best is not worth a descent
SAME = 1e-6                 # losses that differ by less are those of one minimum
ADDED = 0.25                # the norm with which a dropped feature is tried beside others
SMALL_NORM = 2 * DROPPED    # columns that are larger are there to be changed
MANY = 6                    # of many features, the best starts that go on; and the search ends
WIDE = 8                    # dimensions up to which all products of shapes are tried
TIRED = 1e-4                # once two rounds of changes lower the loss by less than this
PERFECT = 1e-12             # below this part of what an empty model loses nothing is left to gain
BEAM = 3                    # the best points that are changed
EXPANSIONS, EXPANSIONS_OF_MANY = 12, 8      # how many points are changed at most
ROUNDS = 12                 # of a polygon that are tried: all of a pentagon's
KINDS = {"exchange": 12, "turn": 4, "drop": 8, "move": 10, "add": 6, "two exchanges": 24}
KINDS_OF_MANY = {"exchange": 24, "turn": 8, "drop": 8, "move": 16}      # so many race


class Task(NamedTuple):
    """What is searched: the features, without an instance axis, and the penalty."""

    features: Features
    penalty: Penalty = NONE

    @property
    def few(self):
        """Whether the features are so few that their loss is quick to descend."""
        return self.features.n_features <= FEW


def settle_down(task, points, pace, watch=None, curved=False):
    """The stack `points` down at this pace; dropped features are taken out on the way: (points, f).
    """
    if not task.few:                                    # where every column costs
        points, _ = drop(points, task.features, task.penalty, pace.rtol)
    points, f = descend_kept(task, points, pace, watch, curved)
    points, changed = drop(points, task.features, task.penalty, pace.rtol)
    if type(points) is not Linear:
        points, revived = revive(points, task.features)
        changed = changed | revived
    if changed.any():
        part, f_part = descend_kept(task, points[changed], pace, watch, curved)
        points, f = replace(points, changed, part), f.copy()
        f[changed] = f_part
    return points, f


def descend_kept(task, points, pace, watch=None, curved=False):
    """`descend`, with dropped features held or, if all features are independent, taken out: then
    the points with as many features left descend together, smaller as they are.

    Steps that are `curved` begin with the whole Hessian.
    """
    def down(part, law, watch, held=None):
        inverse = partial(inverse_hessian, part, law, held, task.penalty) if curved else None
        part, f, _ = descend(part, law, penalty=task.penalty, pace=pace, held=held,
                             inverse=inverse, watch=watch)
        return part, f

    features, kept = task.features, norms(points.W) > 0                 # (K, n)
    held = None
    if not kept.all():
        points = type(points)(points.W, np.where(kept, points.b, features.active_probability / 2))
        held = held_parameters(points)
    single = len(features.sets) == features.n_features
    if held is None or not single or type(points) is Linear:
        return down(points, features, watch, held)
    W, b, f = points.W.copy(), points.b.copy(), np.empty(len(points.W))
    q = features.active_probability
    cost = features.importance * (q / 3 - q * np.maximum(b, 0) + np.maximum(b, 0) ** 2)     # (K, n)
    for count in np.unique(kept.sum(1)):
        k = np.flatnonzero(kept.sum(1) == count)
        f[k] = np.where(kept[k], 0, cost[k]).sum(1)
        if not count:
            continue
        row, which = k[:, None], np.argsort(~kept[k], axis=1, kind="stable")[:, :count]
        law = features.replace(n_features=int(count), importance=features.importance[which],
                               feature_probability=features.feature_probability[which])
        part = type(points)(np.take_along_axis(W[k], which[:, None], 2), b[row, which])
        part, f_part = down(part, law, _embedded(watch, points, k, which, f[k]))
        f[k] += f_part
        W[row, :, which], b[row, which] = part.W.swapaxes(1, 2), part.b
    return type(points)(W, b), f


def _embedded(watch, points, k, which, rest):
    """`watch` for a descent of some columns of some points, told of whole points."""
    if watch is None:
        return None

    def hear(theta, f, norm):
        best = int(np.argmin(f + rest))
        W, b = points.W[k[best]].copy(), points.b[k[best]].copy()
        m, count = len(W), which.shape[1]
        W[:, which[best]] = theta[best, :m * count].reshape(m, count)
        b[which[best]] = theta[best, m * count:]
        watch(np.append(W.ravel(), b)[None], f[[best]] + rest[best], norm[[best]])

    return hear


def without_dropped(features, point):
    """The features (k,) that a single point has not dropped, the point with their columns alone,
    and their law; all of them where sets join features, or where there is no ReLU.
    """
    kept = np.flatnonzero(norms(point.W) > 0)
    single = len(features.sets) == features.n_features
    if not single or type(point) is Linear or not len(kept):
        return np.arange(features.n_features), point, features
    law = features.replace(n_features=len(kept), importance=features.importance[kept],
                           feature_probability=features.feature_probability[kept])
    return kept, type(point)(point.W[:, kept], point.b[kept]), law


def with_columns(point, kept, part):
    """The single point with those of `part` for its columns `kept`, and their biases."""
    W, b = point.W.copy(), point.b.copy()
    W[:, kept], b[kept] = part.W, part.b
    return type(point)(W, b)


def joined(stacks):
    """One stack of all points."""
    return type(stacks[0])(np.concatenate([x.W for x in stacks]),
                           np.concatenate([x.b for x in stacks]))


# -- starts ---------------------------------------------------------------------------------------

def random_starts(features, m, model, starts, seed):
    """W from N(0, 1/m) and b = E[x], a stream for every start."""
    shape = (m, features.n_features)
    W = np.stack([random_stream(seed, SEARCH_STREAM, i).normal(scale=m**-0.5, size=shape)
                  for i in range(starts)])
    return model(W, np.broadcast_to(features.mean(), (starts, features.n_features)))


def trained(task, points, seed=0, progress=False, options=TRAINING):
    """The stack `points` after a short training on samples, whose noise leads out of valleys in
    which a descent would end; as it is where training diverges. Returns (points, f).
    """
    law, penalty = task.features, task.penalty
    batch = 2 ** round(np.log2(np.clip(ACTIVE / law.active_probability.mean(), *BATCH)))
    try:
        run = train(points.astype(np.float32), law, batch_size=batch, seed=seed, progress=progress,
                    interference=penalty.interference, l2=penalty.weight_decay,
                    record_every=options["steps"], **options)
        points = run.model.astype(np.float64)
    except FloatingPointError:
        pass
    return points, value(points, law, penalty, ROUGHLY)


def by_worth(features):
    """The features (n,) in the order of what they are worth, the most valuable first."""
    return np.argsort(-features.importance * features.variance(), kind="stable")


def mixtures(m):
    """All products of axes, tetrahedra, triangles, digons, pentagons and square antiprisms that
    fill m dimensions, as directions (k, m), those first that take most of a dimension each; in more
    than WIDE dimensions with one at most that is neither axis nor digon.
    """
    shapes = [np.ones((1, 1)), polytopes.simplex(3), polytopes.polygon(3), polytopes.digon(),
              polytopes.polygon(5), polytopes.antiprism(4)]

    def fill(left, kinds):
        if not left:
            yield kinds
        special = any(len(shapes[k]) > 1 for k in kinds)
        for k in range(kinds[-1] if kinds else 0, len(shapes)):
            if len(shapes[k]) <= left and (m <= WIDE or len(shapes[k]) == 1 or not special):
                yield from fill(left - len(shapes[k]), (*kinds, k))

    return [polytopes.tegum_product(*(shapes[k] for k in kinds)).T for kinds in fill(m, ())]


def built_starts(features, m, model):
    """Known shapes: d pairs of opposites and m - d axes, or a regular k-gon and m - 2 axes, or of
    many features all `mixtures`, filled by the features in the order of what they are worth; the
    rest is dropped. Few features go round the k-gon in several orders.
    """
    n, order, shapes = features.n_features, by_worth(features), []
    if n > FEW:
        shapes += [shape for shape in mixtures(m) if len(shape) <= n]
    for pairs in range(min(m, n - m) + 1):              # the others have no room
        axes = np.eye(m)
        shapes.append(np.concatenate([axes, -axes[::-1][:pairs]]))      # the least with the worst
    for k in range(3, min(7, n - m + 2) + 1) if m >= 2 else ():
        polygon = np.zeros((k, m))
        polygon[:, -2:] = polytopes.polygon(k).T
        shapes += [np.concatenate([np.eye(m)[:m - 2], polygon[place]])
                   for place in (rounds(k) if n <= FEW else [np.arange(k)])]
    W, b = [], []
    for shape in shapes:
        who = order[:len(shape)]
        W.append(np.zeros((m, n)))
        W[-1][:, who] = shape.T
        b.append(features.active_probability / 2)
        b[-1][who] = -0.05 if model is not Linear else 0
    return model(np.array(W), np.array(b)) if W else None


def rounds(k):
    """The orders in which k features can go round a k-gon, each a permutation; of more than ROUNDS
    so many, evenly spread.
    """
    every = [np.array([0, *rest]) for rest in permutations(range(1, k)) if rest[0] < rest[-1]]
    return every[::-(-len(every) // ROUNDS)]


# -- changes of a point ---------------------------------------------------------------------------

def changes(features, point):
    """Points next to a single one, by kind: {kind: stack}."""
    n, size, best = features.n_features, norms(point.W), features.active_probability / 2
    there, result = size >= SMALL_NORM, {}
    made = {"exchange": [], "turn": [], "drop": [], "move": [], "add": []}
    for i in range(n):
        for j in range(i):
            if (there[i] or there[j]) and not _alike(features, i, j):
                W, b = point.W.copy(), point.b.copy()
                W[:, [i, j]], b[[i, j]] = W[:, [j, i]], b[[j, i]]
                made["exchange"].append((W, b))
        if there[i]:
            W, b = point.W.copy(), point.b.copy()
            W[:, i] *= -1
            made["turn"].append((W, b))
            W, b = point.W.copy(), point.b.copy()
            W[:, i], b[i] = 0, best[i]
            made["drop"].append((W, b))
    for i, j in product(range(n), np.flatnonzero(size >= REPRESENTED)):
        if i != j:
            W, b = point.W.copy(), point.b.copy()
            W[:, i] = -W[:, j] / size[j]
            b[i] = min(b[i], 0) if there[i] else -0.05
            made["move"].append((W, b))
        for sign in (1, -1) if not there[i] and n <= FEW else ():
            W, b = point.W.copy(), point.b.copy()
            W[:, i], b[i] = sign * ADDED * W[:, j] / size[j], 0
            made["add"].append((W, b))
    for kind, list_of in made.items():
        if list_of:
            result[kind] = type(point)(*map(np.array, zip(*list_of)))
    return result


def two_exchanges(point):
    """What two exchanges of columns, one after the other, make of a single point, as `changes`: a
    best order of a pentagon may be two exchanges away from all that are better than their
    neighbours.
    """
    n = point.n_features
    single = [np.array([j if k == i else i if k == j else k for k in range(n)])
              for i, j in combinations(range(n), 2)]
    orders = {tuple(a[b]) for a, b in product(single, repeat=2)} - {tuple(range(n))}
    if not orders:
        return {}
    order = np.array(sorted(orders))                                    # (orders, n)
    return {"two exchanges": type(point)(np.moveaxis(point.W[:, order], 1, 0), point.b[order])}


def _alike(features, i, j):
    """True if two features that belong to no set have the same law and importance."""
    sets = [s.members for s in features.sets if len(s.members) > 1]
    return bool(features.feature_probability[i] == features.feature_probability[j]
                and features.importance[i] == features.importance[j]
                and not any(i in s or j in s for s in sets))


def race(task, points, best, pace, watch=None):
    """The stack `points` in heats, then what is close to the loss `best` at this pace: (points, f).
    """
    def best_of(points, f, count):
        go = np.argsort(f, kind="stable")[:count]
        go = go[_distinct(f[go])]
        return points[go], f[go]

    if not task.few:
        points, f = best_of(*trained(task, points, options=HEAT), GO_ON)
    for steps, share in HEATS if task.few else ():
        heat = Pace(pace.tolerance, 0.0, steps, max(pace.rtol, ROUGHLY))
        points, f = descend_kept(task, points, heat, watch)
        points, f = best_of(points, f, max(4, int(share * len(f))))
    unit = blank_loss(task.features)
    close = f <= best + CLOSE * max(abs(best), 1e-3 * unit)
    if not close.any():
        return points[:0], f[:0]
    return settle_down(task, points[close], pace, watch)


def _distinct(f):
    """Indices of losses, in ascending order, of which no two are nearly equal."""
    kept = []
    for i, x in enumerate(f):
        if not kept or x - f[kept[-1]] > SAME * max(abs(x), 1e-12):
            kept.append(i)
    return np.array(kept, int)


def _of_all_kinds(points, order):
    """`order`, the best of every geometry first: what is next to the best is mostly its like."""
    names, first, rest = set(), [], []
    for i in order:
        name = geometry_of(points.W[i])
        (rest if name in names else first).append(i)
        names.add(name)
    return np.array([*first, *rest], int)


def local_search(task, points, f, pace, watch=None, run=map):
    """The best of `points` after all changes that lead lower: (points (BEAM or fewer), f)."""
    done, lowest, perfect, farther = [], [], PERFECT * blank_loss(task.features), None
    most, same = (EXPANSIONS, SAME) if task.few else (EXPANSIONS_OF_MANY, TIRED)
    for _ in range(most):
        order = np.argsort(f, kind="stable")
        order = order[_distinct(f[order])]
        order = (order if task.few else _of_all_kinds(points, order))[:BEAM]
        points, f = points[order], f[order]
        lowest.append(f[0])
        if f[0] <= perfect:
            break
        if not task.few and len(lowest) > BEAM + 1 and lowest[-3] - f[0] <= TIRED * abs(f[0]):
            break
        fresh = [i for i, x in enumerate(f)
                 if not any(abs(x - y) <= same * max(abs(x), 1e-12) for y in done)]
        if not fresh and (not task.few or f[0] == farther):
            break
        if fresh:
            done.append(f[fresh[0]])
            stack = _candidates(task, changes(task.features, points[fresh[0]]))
        else:
            farther = f[0]
            stack = _candidates(task, two_exchanges(points[0]))
        if stack is None:
            continue
        for part, f_part in run(race, *zip(*[(task, x, f[0], pace, watch) for x in stack])):
            points, f = joined([points, part]), np.append(f, f_part)
    return points, f


def _candidates(task, changed):
    """The changes {kind: stack} that look best at once, in stacks that can race apart."""
    chosen = []
    for kind, stack in changed.items():
        most = (KINDS if task.few else KINDS_OF_MANY)[kind]
        if len(stack.W) > most:
            f = value(stack, task.features, task.penalty, ROUGHLY)
            stack = stack[np.argsort(f, kind="stable")[:most]]
        chosen.append(stack)
    if not chosen:
        return None
    whole = joined(chosen)
    return [whole] if task.few else [whole[::2], whole[1::2]]
