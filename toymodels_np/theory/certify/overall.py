"""Global minima of models with one hidden dimension, by branch and bound in ball arithmetic.

A box of weights that `boxes.py` cannot settle is halved, depth first. A long proof is cut into
parts, jobs that a sweep can keep: each begins with one box and the stationary points known so far,
and ends when the box is settled, or after PART boxes with a list of what is left. The parts depend
on nothing else, so that a proof which goes on after a kill is the proof that was not killed.
Equations (13.k) are in derivations/13-open-problems.md.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from time import perf_counter

import numpy as np
from tqdm import tqdm

from ...core import checks
from ...interrupts import passed_on
from ...machine import check_executor
from ..minima import find_minimum
from .boxes import Box, Minimisers, Tester
from .certificate import from_dict
from .enclose import Law, ball, bounds, flint, law_of, precise

MOST_FEATURES = 4
MOST_BOXES = 1_000_000
SMALLEST = Fraction(1, 2**36)   # the width at which a box is given up
RAREST = 1e-8                   # feature probability; below, weights have no bound in reach (13.9)
BITS = 160                      # of midpoints while boxes are bounded
PART = 500                      # boxes that one job of a long proof bounds: some seconds


@dataclass(frozen=True)
class GlobalCertificate:
    """What is proved about the global minimum of a model with one hidden dimension.

    proved : whether every box was settled; if not, `reason` says how many were not, and
        `open_boxes` lists some of their weights
    loss_interval : (low, high), Fractions around the global minimum; where it is not proved, around
        the lowest stationary point that is known, so that the minimum is no more than high
    minimisers : a Certificate each; every global minimiser lies, up to the sign of w, in one of
        their boxes, and is the stationary point there; where that is not proved, the lowest known
    radius : the weights lie within this of 0 at every global minimiser, by (13.9)
    boxes : how many were bounded, before a kill too        seconds : how long this call took
    law : the exact Law
    """

    proved: bool
    law: Law
    loss_interval: tuple
    minimisers: tuple
    radius: tuple
    boxes: int
    seconds: float
    reason: str = ""
    open_boxes: tuple = ()


def certify_global(features, n_hidden=1, interference=0.0, *, most_boxes=MOST_BOXES, executor=None,
                   progress=None):
    """Prove what the global minimum of the exact loss of ReluOutput is, for one hidden dimension.

    features : Features of at most four independent features with positive importance, each with a
        probability of at least 1e-8
    n_hidden : 1, the only size that is in reach
    interference : strength λ of the penalty λ Σ_{i≠j} (W_i·W_j)², a number, Fraction or interval
    most_boxes : int; where more are needed the answer is "not proved"       progress : bool or None
    executor : None or a concurrent.futures.Executor, on which parts of the proof run side by side.
        `tm.Keeper("out/proof")` is one that keeps what is done under that folder: a proof that was
        killed goes on from there, and gives the same certificate. Other features, penalties or code
        do not use what is there. Any executor may do its work: `tm.Keeper("out/proof", pool)`

    Two features take some seconds, three more than 25 minutes of one core.

    Returns a GlobalCertificate. Raises ValueError or TypeError for what is out of reach.
    """
    law = law_of(features, interference)
    if checks.integer("n_hidden", n_hidden) != 1:
        raise ValueError(f"n_hidden must be 1: more dimensions are out of reach, got {n_hidden}")
    if law.n > MOST_FEATURES:
        raise ValueError(f"features must be at most {MOST_FEATURES} for this proof, got {law.n}")
    if any(len(members) > 1 for _, members in law.sets):
        raise ValueError("features must be independent for a global proof, got sets")
    if any(low <= 0 for low, _ in law.importance):
        raise ValueError("importance must be positive for a global proof: a feature that does not "
                         "matter may have any weight")
    if (rarest := features.feature_probability.min()) < RAREST:
        raise ValueError(f"feature_probability must be at least {RAREST:g} for a global proof, as "
                         f"weights of rarer features have no bound in reach, got {rarest:g}")
    options = checks.progress(progress)
    most_boxes = checks.integer("most_boxes", most_boxes)
    check_executor(executor)
    strength = float(sum(law.interference) / 2)
    with passed_on():
        found = find_minimum(features, 1, interference=strength, progress=False).model
    guesses = [(found.W[0], found.b)]                                   # and one feature at a time
    for one in np.eye(law.n):
        guesses.append((one, np.where(one, 0, features.feature_probability / 2)))
    return search(law, guesses, most_boxes, executor, options)


@precise
def search(law, guesses, most, executor, bar):
    """Branch and bound for `law` from guesses [(w, b)] in floats: a GlobalCertificate."""
    clock = perf_counter()
    known = Minimisers(law)
    for w, b in guesses:
        known.look(w, b)
    if known.upper is None:
        return GlobalCertificate(False, law, (), (), (), 0, perf_counter() - clock,
                                 f"no minimiser could be certified to begin with: {known.failure}")
    radius = weight_bounds(law, known.upper)
    whole = first_box(law, radius)
    with tqdm(total=1.0, desc="settled", **bar) as shown:
        advance = lambda box, sign=1: shown.update(sign * _share(box, whole))
        left, given_up, count = (settle(known, [whole], most, advance) if executor is None
                                   else in_parts(known, whole, most, executor, advance))
    stay = left + given_up
    best = [c for c in known.certificates if c.loss_interval[0] <= known.upper]
    interval = min(c.loss_interval[0] for c in best), known.upper
    spans = [[(float(l), float(h)) for l, h in zip(box.low, box.high)] for box in stay[:20]]
    reason = f"{len(stay)} of {count} boxes were not settled" if stay else ""
    return GlobalCertificate(not stay, law, interval, tuple(best), tuple(radius), count,
                             perf_counter() - clock, reason, tuple(map(tuple, spans)))


def settle(known, left, most, advance):
    """Settle the boxes `left`, depth first, until `most` were bounded: (left, given up, count).

    known : Minimisers, to which new ones are added       advance : hears of each box that is done
    """
    count, given_up = 0, []
    with flint().ctx.workprec(BITS):
        tester = Tester(known)
        while left and count < most:
            box = left.pop()
            count += 1
            if not tester.settles(box):
                if max(box.sides) < ball(SMALLEST):
                    given_up.append(box)
                else:
                    left += box.halves()
                    continue
            advance(box)
    return left, given_up, count


def in_parts(known, whole, most, executor, advance):
    """`settle` for one box, as jobs for an executor: rounds of jobs, each all done before the next.
    """
    left, given_up, count = [whole], [], 0
    while left and count < most:
        room = -((count - most) // PART)                # of jobs that may be needed to reach `most`
        now, left = left[-room:], left[:-room]
        jobs = [{"known": [c.to_dict() for c in known.distinct], "looks": known.looks,
                 "box": written(box), "most": PART} for box in now]
        for box, outcome in zip(now, executor.map(settle_part, jobs), strict=True):
            done = json.loads(str(outcome["part"]))
            for record in done["found"]:
                known.add(from_dict(record))
            known.looks += done["looks"]
            count += done["count"]
            rest, hopeless = ([read(known.law.n, text) for text in done[key]]
                              for key in ("left", "given_up"))
            left += rest
            given_up += hopeless
            advance(box)
            for other in rest:
                advance(other, -1)
    return left, given_up, count


@precise
def settle_part(job):
    """One job of `in_parts`: {"part": what came of it, as JSON}."""
    first, *others = map(from_dict, job["known"])
    known = Minimisers(first.law, job["looks"])
    for certificate in (first, *others):
        known.add(certificate)
    before = len(known.distinct)
    left, given_up, count = settle(known, [read(first.law.n, job["box"])], job["most"],
                                   lambda box: None)
    return {"part": json.dumps({
        "found": [c.to_dict() for c in known.distinct[before:]], "count": count,
        "looks": known.looks - job["looks"], "left": [written(box) for box in left],
        "given_up": [written(box) for box in given_up]})}


def written(box):
    """A box as text: pairs of exact rationals around its weights, then lists of pairs of biases."""
    pair = lambda low, high: [str(bounds(low)[0]), str(bounds(high)[1])]
    return [*map(pair, box.low, box.high), *([pair(*p) for p in pieces] for pieces in box.pieces)]


def read(n, text):
    """The box of n weights that `written` made this of."""
    pair = lambda ends: tuple(ball(Fraction(end)) for end in ends)
    low, high = zip(*map(pair, text[:n]))
    return Box(list(low), list(high), [[pair(p) for p in pieces] for pieces in text[n:]])


def _share(box, whole):
    """The part of the whole box's volume."""
    volume = 1.0
    for side, all_of_it in zip(box.sides, whole.sides):
        volume *= float(side) / float(all_of_it)
    return volume


def weight_bounds(law, upper):
    """Rational bounds of |w_i| at every global minimiser, from an upper bound of the minimum.
    (13.9)
    """
    result = []
    for (importance, _), (p, _) in zip(law.importance, law.probability):
        share = min(1 - 3 * p / 4, 3 * upper / (importance * p))
        root = Fraction(isqrt(int(share * 2**60)) + 1, 2**30)           # at least its square root
        square = (1 + root) / (1 - root)
        result.append(Fraction(isqrt(int(square * 2**20)) + 1, 2**10))
    return result


def first_box(law, radius):
    """All weights within the bounds and w_0 >= 0, with every bias that may matter. (13.9)"""
    low = [ball(0), *(ball(-r) for r in radius[1:])]
    high = [ball(r) for r in radius]
    pieces = []
    for i in range(law.n):
        reach = radius[i] * sum(radius)
        pieces.append([(ball(-reach), ball(1 + reach))])
    return Box(low, high, pieces)
