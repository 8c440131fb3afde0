"""The lowest models that training and the exact loss lead to at many 1/p, for row 6.

Near the ends of a window training stops at the neighbouring shape, which costs hardly more. So at
each 1/p the solutions of a few others are carried over and trained on there, and of these and its
own the one of the lowest exact loss counts; where few features are represented, these then go down
the exact loss. Where features are dense and many for each dimension, training rests for long at
some W'W that is a projection (D* = 1, and no D_i on a line): of these all cost the same, but for
what the ReLUs make of them. So at the paper's size as many features as one shape holds are trained
alone, too: those that would be dropped tell the others nothing. Nor do parts of a model that are
orthogonal: shapes are trained in a few of the dimensions, from several starts, and the lowest ends
put side by side. Those that gain from others are trained in all dimensions as well.
"""

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..geometry import polytopes
from ..geometry.measures import REPRESENTED, norms
from ..theory import energies
from ..theory.descent import Pace, descend
from ..theory.exact.loss import expected_loss
from ..theory.search import FEW, Task, settle_down, without_dropped
from .base import fit
from .shape_windows import CROWDED, ROOM, SHAPES, windows

SOURCES = -2, -1, 1, 2              # places on the grid of 1/p, from where solutions are carried,
FAR = 1.25                          # and this far beyond, where a shape is complete sooner
REACH = 0.3                         # of log 1/p: how far single shapes are looked for
STARTS = 4                          # of each part, of which the lowest quarter is kept
ROUNDS = 3                          # of carrying solutions over, at most
DESCENT = 80                        # steps of it, at most
SLOW = Pace(1e-6, 1e-7, 3000, 1e-7)     # on the way to a minimum: once ten steps gain so little
RTOL = 1e-7                         # of exact losses: far below what shapes differ by


def train_at(model, x, job, steps, rate=None):
    """The stack `model` (K), trained so many steps at 1/p = x (K,)."""
    features = Features(model.n_features, (1 / x)[:, None])
    return fit(model, features, job, steps=steps, schedule="cosine", record_every=max(steps, 1),
               learning_rate=rate or job["learning_rate"])


def train_on(model, x, job):
    """The stack `model` (K), which has been trained, trained on at 1/p = x (K,)."""
    return train_at(model.astype(np.float32), x, job, job["carry_steps"], job["carry_rate"])


class Lowest:
    """The lowest model that is known at each 1/p = x (P,): W (P, m, n), b (P, n), loss (P,)."""

    def __init__(self, model, x):
        self.x, self.loss = x, exact_losses(model, x)
        self.W, self.b = (a.astype(np.float64) for a in model.parameters)
        self.dropped = [energies.dropped(1 / each) for each in x]

    @property
    def model(self):
        """All of them."""
        return ReluOutput(self.W, self.b)

    def offer(self, i, kept, part, loss):
        """Whether `part`, a model of the features `kept` with its loss at x[i], is lower with all
        others dropped; then it is taken.
        """
        n, dropped = self.W.shape[-1], self.dropped[i]
        loss = loss + (n - part.n_features) * dropped.loss
        if loss >= self.loss[i]:
            return False
        self.W[i], self.b[i], self.loss[i] = 0, dropped.bias, loss
        self.W[i][:, kept], self.b[i][kept] = part.W, part.b
        return True

    def polished(self, sought):
        """The loss of the minimum next to each model that is `sought` (P,) bool, to 1e-4 of it; NaN
        elsewhere.
        """
        loss = np.full(len(self.x), np.nan)
        for i in np.flatnonzero(sought):
            whole = self.model[int(i)]
            kept, part, law = without_dropped(Features(whole.n_features, 1 / self.x[i]), whole)
            _, (least,) = settle_down(Task(law), part[None], SLOW)
            loss[i] = least + (whole.n_features - len(kept)) * self.dropped[i].loss
        return loss


def count(W):
    """How many features of W (..., m, n) are represented, (...)."""
    return (norms(W) >= REPRESENTED).sum(-1)


def train_as_many(lowest, job):
    """To each 1/p what training leads to where there are only as many features as one shape holds,
    where that shape or one of its neighbours is best.
    """
    edges = [1, *(high for _, high in windows().values())]
    for place, (name, (_, fraction)) in enumerate(SHAPES.items()):
        low, high = edges[max(place - 1, 0)], edges[min(place + 2, len(SHAPES))]
        at = np.flatnonzero((lowest.x >= low) & (lowest.x < high))
        if len(at):
            m = job["n_hidden"]
            for room in sorted({min(ROOM, m), m if name in CROWDED else min(ROOM, m)}):
                train_parts(lowest, at, job, room, fraction)


def train_parts(lowest, at, job, room, fraction):
    """To each 1/p of index `at` as many features as a shape of this fraction holds in `room`
    dimensions, trained there alone, STARTS times as often as all dimensions have room for: the
    lowest ends side by side.
    """
    n, m = job["n_features"], job["n_hidden"]
    size = min(round(room / fraction), n)
    parts = min(m // room, n // size)
    starts = 1 if parts == 1 else STARTS * parts
    ends = ReluOutput.init(size, room, len(at) * starts, seed=job["seed"])
    x = np.repeat(lowest.x[at], starts)
    ends = train_at(ends, x, job, job["steps"] if parts == 1 else job["short_steps"])
    losses = exact_losses(ends, x).reshape(len(at), starts)
    for i, loss, first in zip(at, losses, range(0, len(x), starts)):
        best = np.argsort(loss, kind="stable")[:parts]
        W = polytopes.tegum_product(*ends.W[first + best])
        whole = ReluOutput(np.pad(W, ((0, m - len(W)), (0, 0))), ends.b[first + best].ravel())
        lowest.offer(i, np.arange(parts * size), whole, loss[best].sum())


def carry_over(lowest, job):
    """To each 1/p what is lowest at others: trained on there, the represented features alone, since
    what is dropped tells the others nothing.

    From sparse to dense and back, ROUNDS times in all: what was carried may be carried on.
    """
    x, new = lowest.x, np.zeros(len(lowest.x), int)             # in which round each was changed
    far = abs(np.log(x / (FAR * x)[:, None])).argmin(1)
    for turn in range(1, ROUNDS + 1):
        for i in range(len(x))[::-1 if turn % 2 else 1]:
            near = {i + step for step in SOURCES if 0 <= i + step < len(x)} | {far[i]} - {i}
            number = count(lowest.W)
            there = [j for j in sorted(near) if new[j] >= turn - 1 and number[j]]
            if there and carry(lowest, there, i, number[there].max(), job):
                new[i] = turn


def carry(lowest, there, i, size, job):
    """The `size` largest features of the models `there`, trained at the i-th 1/p: whether one of
    these models is lower than what was there, and is taken.
    """
    W, b = (a[there].astype(np.float32) for a in (lowest.W, lowest.b))
    kept = np.argsort(-norms(W))[:, :size]                                      # (K, size)
    part = ReluOutput(np.take_along_axis(W, kept[:, None], -1), np.take_along_axis(b, kept, -1))
    at = np.full(len(there), lowest.x[i])
    part = train_on(part, at, job)
    loss = exact_losses(part, at)
    k = loss.argmin()
    return lowest.offer(i, kept[k], part[k], loss[k])


def polish_few(lowest, trained):
    """Where few features are represented, these alone go down the exact loss.

    They begin where they are, where each number of features was represented nearby in the
    `trained` models, and where this led to at the next 1/p on either side.
    """
    x = lowest.x

    def descend_from(source, there, here):
        kept = norms(source.W[there]) >= REPRESENTED
        if not 0 < kept.sum() <= FEW:
            return
        part = ReluOutput(*(a[there][None, ..., kept].astype(np.float64)
                            for a in source.parameters))
        part, (loss,), _ = descend(part, Features(len(part.b[0]), 1 / x[here]), tolerance=1e-6,
                                   most_steps=DESCENT)
        lowest.offer(here, kept, part[0], loss)

    number = count(trained.W)                                               # (P,)
    for here in np.flatnonzero(count(lowest.W) <= FEW):
        descend_from(lowest.model, here, here)
        apart = abs(np.log(x / x[here]))
        for each in np.unique(number[(apart > 0) & (apart <= REACH)]):
            descend_from(trained, np.where(number == each, apart, np.inf).argmin(), here)
    for way in (-1, 1):
        for here in range(len(x))[::way]:
            there, number = here - way, count(lowest.W)
            if 0 <= there < len(x) and number[there] != number[here]:
                descend_from(lowest.model, there, here)


def exact_losses(model, x):
    """The exact loss of each of the models (K) at 1/p = x (K,)."""
    return np.array(expected_loss(model, Features(model.n_features, (1 / x)[:, None]), rtol=RTOL))
