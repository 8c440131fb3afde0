"""Row 11: features jump from one share of a dimension to another, and the loss drops as they do.

The paper follows a model whose features all end as digons, and sees some features' D_i jump late
in training, a sudden drop of the loss at each jump. It suspects that the smooth loss of a large
model is made of many such jumps. Both are looked at here: many models of few features, in which
single jumps are seen, and one model of many features, in which they blur.

The first tenth of training is left out: random weights find their scale there, and everything
moves. That the loss drops at a jump is set against the time around it, since a loss that falls
anyway, fast at first and slowly later, shows nothing; moved to random times nearby, the jumps must
show nothing.
"""

from typing import NamedTuple

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluOutput
from ..core.streams import CHANCE_STREAM, EVALUATION_STREAM, random_stream
from ..engine.train import train
from ..geometry.measures import REPRESENTED, feature_dimensionality, norms
from ..plots import rows as pictures
from .base import Experiment
from .claims import Claim, NotMeasured, requires
from .polished import leaves_little, left_on_the_table, polished

SECTION = "Superposition and Learning Dynamics"
FRACTIONS = 0, 3 / 8, 2 / 5, 1 / 2, 2 / 3, 3 / 4    # of a dimension: dropped … tetrahedron
ON_LINE = 0.02                      # a share within this of a fraction is there
TRANSIENT = 0.1                     # of training: its start, in which weights find their scale
WINDOW = 0.05                       # of training: a jump is a change within this time
JUMP = 0.1                          # of D_i, by at least this
AROUND = 3                          # windows on either side, with which the loss is compared
FASTER = 1.25                       # so many times as fast as around it, the loss drops
SETTLED = 0.02                      # of the loss that training takes away: what counts as the end
SETTINGS = {"n_features": 20, "n_hidden": 5, "probability": 0.4, "models": 12,
            "many_features": 80, "many_hidden": 20, "many_probability": 0.3,
            "steps": 6000, "batch_size": 256, "learning_rate": 1e-3, "record_every": 30,
            "evaluation": 2048, "polish": 3}    # models whose next minimum is sought


def run(job):
    """`models` of few features (K), and one of many (its names begin with many_), along training.

    D (T, K, n) shares, loss (T, K), norm (K, n) at the end, and at (T,), the steps. Of the few
    also what training leaves on the table, see `polished`.
    """
    few, end = follow(job, job["models"], job["n_features"], job["n_hidden"], job["probability"])
    many, _ = follow(job, 1, job["many_features"], job["many_hidden"], job["many_probability"])
    sought = (job["steps"] > 0) & (np.arange(job["models"]) < job["polish"])
    return (few | {f"many_{name}": value for name, value in many.items()}
            | polished(end, Features(job["n_features"], job["probability"]), sought))


def follow(job, models, n, m, p):
    """Train so many models and look at them on the way, always on the same samples.

    Fresh ones would move the loss from record to record by more than a single feature does.
    Returns what `run` says of them, and the models at the end.
    """
    features, start = Features(n, p), ReluOutput.init(n, m, models, seed=job["seed"])
    at, records = np.zeros(1, int), start.from_parameters([a[None] for a in start.parameters])
    if job["steps"] > 0:
        names = ("steps", "batch_size", "learning_rate", "record_every", "seed")
        history = train(start, features, progress=False, **{name: job[name] for name in names})
        at, records = history.steps, history.parameters
    rng = random_stream(job["seed"], EVALUATION_STREAM, 0)
    x = features.sample(rng, job["evaluation"], dtype=np.float32)
    losses = np.array([ReluOutput(W, b).loss(x, features) for W, b in zip(records.W, records.b)])
    return {"D": feature_dimensionality(records.W), "norm": norms(records.W[-1]), "at": at,
            "loss": losses.astype(np.float64)}, records[-1]


# -- what is measured ----------------------------------------------------------------------------

class Jump(NamedTuple):
    """A feature's share goes from `before` to `after`, fastest at `record`."""

    feature: int
    record: int
    before: float
    after: float


def half_window(records):
    """Half the window, in records, at least one."""
    return max(1, round(WINDOW * records / 2))


def jumps(D):
    """A list of Jump: all changes of D (T, n) by JUMP or more within a window, after the transient.

    Before and after are the shares one window earlier and one later.
    """
    T, n = D.shape
    h, first = half_window(T), round(TRANSIENT * T)
    found = []
    for i in range(n):
        change = np.zeros(T)
        change[first + h:T - h] = abs(D[first + 2 * h:, i] - D[first:T - 2 * h, i])
        for t in scipy.signal.find_peaks(change, height=JUMP, distance=2 * h)[0]:
            before, after = D[max(t - 2 * h, first), i], D[min(t + 2 * h, T - 1), i]
            found.append(Jump(i, int(t), float(before), float(after)))
    return found


def falls(loss):
    """The fall of the loss (T,) within the window around each record; NaN where it does not fit."""
    h, T = half_window(len(loss)), len(loss)
    fall = np.full(T, np.nan)
    fall[h:T - h] = loss[:T - 2 * h] - loss[2 * h:]
    return fall


def around(loss, record):
    """(fall at the record, falls at records within AROUND windows of it after the transient)."""
    fall, reach = falls(loss), 2 * AROUND * half_window(len(loss))
    near = fall[max(record - reach, round(TRANSIENT * len(loss))):record + reach + 1]
    return fall[record], near[np.isfinite(near)]


def movement(D):
    """How far all shares D (T, n) together move within the window around each record, or NaN."""
    h, T = half_window(len(D)), len(D)
    moved = np.full(T, np.nan)
    moved[h:T - h] = abs(D[2 * h:] - D[:T - 2 * h]).sum(1)
    return moved


def moving_together(D, loss):
    """Correlations of the movement of D (T, n) with the fall of the loss (T,): plain, and shifted.

    Each is relative to its mean over AROUND windows on either side, so that what falls like an
    exponential is constant. Records count after the transient, with room around them, and before
    all but SETTLED of the loss that is left there has fallen. The shifted ones, an array, are those
    of all cyclic shifts by a window or more: what chance would do. None if nothing moves.
    """
    T = len(loss)
    h, start = half_window(T), round(TRANSIENT * T)
    reach = 2 * AROUND * h
    left = np.flatnonzero(loss - loss[-1] > SETTLED * (loss[min(start, T - 1)] - loss[-1]))
    first = max(start, h + reach)
    stop = min(left[-1] + 1 if len(left) else 0, T - h - reach)
    if stop - first <= 4 * h:
        return None

    def relative(y):
        seen = y[first - reach:stop + reach]
        mean = np.lib.stride_tricks.sliding_window_view(seen, 2 * reach + 1).mean(1)
        return y[first:stop] / np.where(mean == 0, 1, mean)
    moved, fall = relative(movement(D)), relative(falls(loss))
    if min(np.ptp(moved), np.ptp(fall)) < 1e-6:                         # nothing but rounding
        return None
    shifted = [np.corrcoef(np.roll(moved, shift), fall)[0, 1]
               for shift in range(2 * h, len(fall) - 2 * h)]
    return float(np.corrcoef(moved, fall)[0, 1]), np.array(shifted)


# -- over runs -----------------------------------------------------------------------------------

def jumps_of(run):
    """All jumps of a run as (model, Jump)."""
    return [(k, jump) for k in range(run["D"].shape[1]) for jump in jumps(run["D"][:, k])]


def jumps_in_time(run):
    """`jumps_of` a run whose records are close enough to see how long a change takes.

    Controls, which are not trained, have one record and no jumps.
    """
    records = len(run["D"])
    if 1 < records < 2 / WINDOW:
        raise NotMeasured(f"the claim speaks of changes within {WINDOW:.0%} of training, and the "
                          f"runs have {records} records of it: record_every must be smaller")
    return jumps_of(run)


def ends_as_digons(runs):
    """The share of the features represented in the end with D at 1/2, of each model."""
    requires(runs, probability=SETTINGS["probability"])
    shares = []
    for run in runs:
        for D, norm in zip(run["D"][-1], run["norm"]):
            final = D[norm >= REPRESENTED]
            shares.append((abs(final - 0.5) <= ON_LINE).mean() if len(final) else 0.0)
    return shares


def models_that_jump(runs):
    """1 or 0 a model: whether at least one feature jumps."""
    jumping = [{k for k, _ in jumps_in_time(run)} for run in runs]
    return [k in found for run, found in zip(runs, jumping) for k in range(run["D"].shape[1])]


def at_fraction(share):
    """Whether the share is within ON_LINE of a fraction."""
    return min(abs(share - fraction) for fraction in FRACTIONS) <= ON_LINE


def to_a_fraction(runs):
    """1 or 0 a jump: whether it ends at a fraction."""
    return [at_fraction(jump.after) for run in runs for _, jump in jumps_in_time(run)] or [0]


def midway_at_a_fraction(runs):
    """1 or 0 a jump: whether the share is at a fraction where it changes fastest."""
    return [at_fraction(run["D"][jump.record, k, jump.feature])
            for run in runs for k, jump in jumps_in_time(run)] or [0]


def between_fractions(runs):
    """How many jumps of each seed begin at a fraction and end at another."""
    return [sum(at_fraction(jump.before) and at_fraction(jump.after)
                for _, jump in jumps_in_time(run)) for run in runs]


def contrasts(runs, displaced=False):
    """The loss's fall at all jumps over that around them, of each seed; 1 without jumps.

    displaced : at a random time within the time around each jump instead
    """
    found = []
    for run in runs:
        rng = random_stream(run["seed"], CHANCE_STREAM, 0)
        pairs = [around(run["loss"][:, k], jump.record) for k, jump in jumps_in_time(run)]
        at = sum(rng.choice(near) if displaced else fall for fall, near in pairs)
        found.append(at / sum(near.mean() for _, near in pairs) if pairs else 1.0)
    return found


def faster_than_around(runs, displaced=False):
    """1 or 0 a jump: whether the loss falls more there than at most times around; [0] if none."""
    won = []
    for run in runs:
        rng = random_stream(run["seed"], CHANCE_STREAM, 1)
        for k, jump in jumps_in_time(run):
            fall, near = around(run["loss"][:, k], jump.record)
            won.append((rng.choice(near) if displaced else fall) > np.median(near))
    return won or [0]


def that_move(runs):
    """`moving_together` of each seed's model of many features, those in which something moves."""
    found = [moving_together(run["many_D"][:, 0], run["many_loss"][:, 0]) for run in runs]
    found = [pair for pair in found if pair is not None]
    if len(found) <= len(runs) / 2:
        raise NotMeasured(f"shares move for long enough while the loss falls, and not evenly, in "
                          f"{len(found)} of {len(runs)} runs, and must in more than half")
    return found


def correlations(runs):
    """Of each seed's model of many features, how movement and the fall of the loss correlate."""
    return [value for value, _ in that_move(runs)]


def shifted_correlations(runs):
    """The same where the one is shifted against the other, the mean over all shifts."""
    return [shifted.mean() for _, shifted in that_move(runs)]


def chances(runs):
    """How often a shift correlates at least as well, of each seed."""
    return [(1 + (shifted >= value).sum()) / (1 + len(shifted))
            for value, shifted in that_move(runs)]


def clearest(run):
    """The model to show: that with the largest jump, or the first."""
    found = jumps_of(run)
    return max(found, key=lambda one: abs(one[1].after - one[1].before))[0] if found else 0


def draw(runs):
    """The model of few features with the largest jump, and that of many: shares and loss."""
    run = runs[0]
    k = clearest(run)
    few = [jump[:2] for jump in jumps(run["D"][:, k])]
    many = [jump[:2] for jump in jumps(run["many_D"][:, 0])]
    return pictures.energy_jumps.figure(
        (run["at"], run["D"][:, k], run["loss"][:, k], few, run["n_hidden"], run["probability"]),
        (run["many_at"], run["many_D"][:, 0], run["many_loss"][:, 0], many, run["many_hidden"],
         run["many_probability"]), FRACTIONS, TRANSIENT,
        left_on_the_table(run)[k])


CLAIMS = (
    Claim("jumps-end-as-digons", SECTION,
          "At this sparsity features end as digons: the share of represented features with D_i at "
          "1/2.", ends_as_digons, low=0.8, summary="smallest",
          expected="at least 80 % of each model's, within 0.02"),
    leaves_little("jumps-training-leaves-little", SECTION),
    Claim("jumps-of-single-features", SECTION,
          "Some features' dimensionality jumps during training, after the first tenth of it: "
          "models of few features in which one does.", models_that_jump, low=0.5, summary="share",
          expected="at least half of the models: by 0.1 or more within 5 % of training"),
    Claim("jumps-with-loss-drops", SECTION,
          "As features jump, the loss drops suddenly: how much faster it falls at the jumps than "
          "around them.", contrasts, low=FASTER,
          control=lambda runs: contrasts(runs, displaced=True),
          expected="at least 1.25 times as fast; 1 is chance"),
    Claim("jumps-with-loss-drops-not-by-chance", SECTION,
          "The loss falls faster at a jump than at most times around it: the share of jumps.",
          faster_than_around, low=0.6, summary="share", kind="ours",
          control=lambda runs: faster_than_around(runs, displaced=True),
          expected="at least 60 % of jumps; half is chance"),
    Claim("jumps-to-fractions", SECTION,
          "The jumps lead to fractions: 0, 3/8, 2/5, 1/2, 2/3 or 3/4.", to_a_fraction, low=0.5,
          summary="share", kind="ours", control=midway_at_a_fraction,
          expected="at least half of the jumps, within 0.02; the control is midway"),
    Claim("jumps-between-fractions", SECTION,
          "Jumps that begin at one fraction and end at another occur: how many a run.",
          between_fractions, low=1, kind="ours", expected="at least one a run, within 0.02"),
    Claim("jumps-movement-with-loss-drops", SECTION,
          "Where features are many, the smooth loss is made of many jumps: it falls when the "
          "shares of all features together move.",
          correlations, low=0.5, control=shifted_correlations,
          expected="correlation at least 0.5, without the common trend"),
    Claim("jumps-movement-with-loss-drops-not-by-chance", SECTION,
          "That the loss of many features falls when shares move is no chance: the part of all "
          "shifts in time that correlate as well.", chances, high=0.05, kind="ours",
          control="the shifts are the control: what is measured is their rank",
          expected="at most 5 %; half is chance"),
)

EXPERIMENT = Experiment(
    "energy-jumps", 11, "Features jump between energy levels", SECTION, "09",
    SETTINGS | {"seeds": 3},
    SETTINGS | {"models": 40, "many_features": 400, "many_hidden": 30, "steps": 15_000,
                "batch_size": 512, "record_every": 50, "evaluation": 4096, "seeds": 10},
    run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("energy-jumps")
