"""Row 11: while many equally important features settle into digons, single features jump from one share to another.

The paper sees the loss drop at the same steps. Both are found by a detector here, and the coincidence is set against
chance: against the same jumps moved to random steps nearby, so that a loss that falls anyway, fast at first and slowly
later, does not count as a coincidence. Many features move at the same time, so that single jumps are blurred in the
loss; therefore the movement of all shares together is set against the fall of the loss as well.
"""

import numpy as np
from scipy.signal import find_peaks

from ..core.features import Features
from ..core.models import ReluOutput
from ..engine.train import train
from ..geometry.measures import feature_dimensionality, norms
from .. import plots
from .claims import Claim
from .base import Experiment

REPRESENTED = 0.5                               # a feature with this norm or more counts as represented
ON_LINE = 0.02                                  # a share within this of a fraction is there
FRACTIONS = 0, 3 / 8, 2 / 5, 1 / 2, 2 / 3, 3 / 4
WINDOW = 0.03                                   # of all records: a jump is a change within this time
JUMP = 0.1                                      # of D_i, by at least this
AROUND = 3                                      # windows on either side, with which the loss at a jump is compared
DRAWS = 2000                                    # of displaced jumps
SIGNIFICANT = 0.05
SETTLED = 0.02                                  # of the loss that training still takes away: what counts as the end
TRANSIENT = 0.1                                 # of all records: the first, in which random weights find their scale
SECTION = "Superposition and Learning Dynamics"
SETTINGS = {"n_features": 80, "n_hidden": 20, "probability": 0.3, "steps": 9000, "batch_size": 256,
            "learning_rate": 1e-3, "record_every": 30, "evaluation": 4096}


def run(job):
    """One training: D (T, n), norm (n,) at the end, at (T,) the steps, and loss (T,), each on the same samples.

    The same samples, since fresh ones would move the loss from record to record by more than a single feature does.
    """
    n, m = job["n_features"], job["n_hidden"]
    features = Features(n, job["probability"])
    history = train(ReluOutput.init(n, m, seed=job["seed"]), features, progress=False,
                    **{key: job[key] for key in ("steps", "batch_size", "learning_rate", "record_every", "seed")})
    x = features.sample(np.random.default_rng([job["seed"], 1]), job["evaluation"], dtype=np.float32)
    records = map(ReluOutput, history.parameters.W, history.parameters.b)
    return {"D": feature_dimensionality(history.parameters.W), "norm": norms(history.model.W), "at": history.steps,
            "loss": np.array([float(record.loss(x, features)) for record in records])}


# -- what is measured --------------------------------------------------------------------------------------------------

def half_window(records):
    """Half the window, in records, at least one."""
    return max(1, round(WINDOW * records / 2))


def jumps(D):
    """[(feature, record, before, after)] of all changes of D (T, n) by JUMP or more within the window.

    The record is that of the fastest change; before and after are the shares one window earlier and later.
    """
    T, n = D.shape
    h = half_window(T)
    found = []
    for i in range(n):
        change = np.zeros(T)
        change[h:T - h] = abs(D[2 * h:, i] - D[:T - 2 * h, i])
        for t in find_peaks(change, height=JUMP, distance=2 * h)[0]:
            found.append((i, int(t), D[max(t - 2 * h, 0), i], D[min(t + 2 * h, T - 1), i]))
    return found


def drops(loss):
    """The fall of the loss (T,) within the window around each record; NaN where the window does not fit."""
    h = half_window(len(loss))
    fall = np.full(len(loss), np.nan)
    fall[h:len(loss) - h] = loss[:len(loss) - 2 * h] - loss[2 * h:]
    return fall


def coincidence(loss, times):
    """(contrast, chance) of the loss (T,) and the records of jumps, times (k,).

    contrast : the loss's fall at the jumps over that at all records within AROUND windows of each
    chance : how often jumps moved at random within these reach such a contrast; 1 where no jump has room around it
    """
    fall, reach = drops(loss), 2 * AROUND * half_window(len(loss))
    first, last = np.flatnonzero(np.isfinite(fall))[[0, -1]]
    times = np.array([t for t in times if first + reach <= t <= last - reach], int)     # (k,)
    if not len(times):
        return 1.0, 1.0
    around = fall[times[:, None] + np.arange(-reach, reach + 1)]                        # (k, 2 reach + 1)
    moved = np.random.default_rng(0).integers(2 * reach + 1, size=(DRAWS, len(times)))
    at_random = around[np.arange(len(times)), moved].sum(-1)                            # (DRAWS,)
    at_jumps = around[:, reach].sum()
    return at_jumps / around.mean(1).sum(), (1 + (at_random >= at_jumps).sum()) / (1 + DRAWS)


def movement(D):
    """How far all shares D (T, n) together move within the window around each record; NaN where it does not fit."""
    h, T = half_window(len(D)), len(D)
    moved = np.full(T, np.nan)
    moved[h:T - h] = abs(D[2 * h:] - D[:T - 2 * h]).sum(1)
    return moved


def moving_together(D, loss):
    """(correlation, chance) of the movement of D (T, n) and the fall of the loss (T,), each relative to its local mean.

    The local mean is over AROUND windows on either side: what falls like an exponential is constant. Only records after
    TRANSIENT count, with room around them, and before all but SETTLED of the loss that is left there has fallen. The
    chance is how often the one moved in time against the other, cyclically and by a window or more, correlates as well.
    """
    h = half_window(len(loss))
    reach, start = 2 * AROUND * h, round(TRANSIENT * len(loss))
    left = np.flatnonzero(loss - loss[-1] > SETTLED * (loss[start] - loss[-1]))
    first, stop = max(start, h + reach), min(left[-1] + 1 if len(left) else 0, len(loss) - h - reach)
    if stop - first <= 4 * h:
        return 0.0, 1.0

    def relative(y):
        around = np.lib.stride_tricks.sliding_window_view(y[first - reach:stop + reach], 2 * reach + 1).mean(1)
        return y[first:stop] / np.where(around == 0, 1, around)
    moved, fall = relative(movement(D)), relative(drops(loss))
    if min(np.ptp(moved), np.ptp(fall)) < 1e-6:                            # nothing but rounding
        return 0.0, 1.0
    correlation = np.corrcoef(moved, fall)[0, 1]
    shifted = [np.corrcoef(np.roll(moved, shift), fall)[0, 1] for shift in range(2 * h, len(fall) - 2 * h)]
    return correlation, (1 + np.sum(np.array(shifted) >= correlation)) / (1 + len(shifted))


def correlations(runs):
    """`moving_together`'s correlation, of each seed."""
    return [moving_together(run["D"], run["loss"])[0] for run in runs]


def correlations_significant(runs):
    """1 or 0 a seed: whether at most 5 % of shifts correlate as well."""
    return [moving_together(run["D"], run["loss"])[1] <= SIGNIFICANT for run in runs]


def _coincidences(runs):
    return [coincidence(run["loss"], [t for _, t, *_ in jumps(run["D"])]) for run in runs]


def contrasts(runs):
    """`coincidence`'s contrast, of each seed."""
    return [contrast for contrast, _ in _coincidences(runs)]


def significant(runs):
    """1 or 0 a seed: whether chance reaches its contrast in at most 5 % of draws."""
    return [chance <= SIGNIFICANT for _, chance in _coincidences(runs)]


def share_of_jumpers(runs):
    """The share of the features represented in the end that have jumped at least once, of each seed."""
    shares = []
    for run in runs:
        kept = np.flatnonzero(run["norm"] >= REPRESENTED)
        shares.append(np.isin(kept, [i for i, *_ in jumps(run["D"])]).mean() if len(kept) else 0.0)
    return shares


def ends_as_digons(runs):
    """The share of the features represented in the end with D at 1/2, of each seed."""
    final = [run["D"][-1][run["norm"] >= REPRESENTED] for run in runs]
    return [(abs(D - 0.5) <= ON_LINE).mean() if len(D) else 0.0 for D in final]


def at_fraction(share):
    """Whether the share is within ON_LINE of a fraction."""
    return min(abs(share - fraction) for fraction in FRACTIONS) <= ON_LINE


def to_a_fraction(runs):
    """The share of jumps that end at a fraction, of each seed; 0 without jumps."""
    return [np.mean([at_fraction(after) for *_, after in jumps(run["D"])] or [0]) for run in runs]


def between_fractions(runs):
    """The share of jumps that begin at a fraction and end at another, of each seed; 0 without jumps."""
    return [np.mean([at_fraction(before) and at_fraction(after) for *_, before, after in jumps(run["D"])] or [0])
            for run in runs]


# -- the figure --------------------------------------------------------------------------------------------------------

HIGHLIGHTED = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PURPLE, plots.VERMILION)


def draw(runs):
    """The first seed: every feature's share against the step, with its jumps; below, the loss and its fall."""
    run = runs[0]
    D, steps, loss = run["D"], run["at"], run["loss"]
    found = jumps(D)
    largest = sorted(found, key=lambda jump: -abs(jump[3] - jump[2]))
    coloured = dict(zip(dict.fromkeys(i for i, t, *_ in largest), HIGHLIGHTED))
    figure = plots.canvas(16, 13)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(5.5, 3, 3))
    for fraction, words in zip(FRACTIONS, ("0", "⅜", "⅖", "½", "⅔", "¾")):
        top.axhline(fraction, color="0.75", linewidth=1.2, linestyle="--", zorder=0)
        if fraction not in (3 / 8, 2 / 5):                                  # too near to each other for two labels
            top.annotate(words, (1, fraction), xycoords=("axes fraction", "data"), xytext=(6, -6),
                         textcoords="offset points", fontsize=plots.STYLE["title"] + 4)
    top.annotate("⅜, ⅖", (1, 0.3875), xycoords=("axes fraction", "data"), xytext=(6, -6), textcoords="offset points",
                 fontsize=plots.STYLE["title"] + 2)
    top.plot(steps, np.delete(D, list(coloured), axis=1), color="0.7", linewidth=0.9, alpha=0.7)
    for i, colour in coloured.items():
        top.plot(steps, D[:, i], color=colour, linewidth=3, zorder=3)
    for i, t, *_ in found:
        top.plot(steps[t], D[t, i], "o", color=coloured.get(i, "0.45"), markersize=10 if i in coloured else 5, zorder=4,
                 markeredgecolor="white")
    top.set_ylabel(r"$D_i$ of each feature", fontsize=plots.STYLE["title"])
    top.set_title(f"{D.shape[1]} equal features in {run['n_hidden']} dimensions, p = {run['probability']:g}: shares of "
                  f"a dimension, and the {len(found)} jumps found (dots)", fontsize=plots.STYLE["title"] + 2)
    middle.plot(steps, loss, color="black", linewidth=2.5)
    middle.set_ylabel("loss", fontsize=plots.STYLE["title"])
    middle.set_ylim(loss.min() - 0.05 * np.ptp(loss[len(loss) // 20:]), 1.02 * loss[len(loss) // 20])
    early = round(TRANSIENT * len(loss))
    for y, colour, words in ((drops(loss), "black", "fall of the loss"),
                             (movement(D), plots.SKY, "movement of all shares")):
        bottom.plot(steps, y / np.nanmax(y[early // 2:]), color=colour, linewidth=3, label=words, zorder=3)
    bottom.legend(fontsize=plots.STYLE["title"], loc="upper right")
    bottom.set_ylim(-0.08, 1.1)
    bottom.set_ylabel("in a window\n(relative)", fontsize=plots.STYLE["title"])
    bottom.set_xlabel("training step", fontsize=plots.STYLE["title"])
    contrast, chance = _coincidences([run])[0]
    bottom.set_title(f"the loss falls {contrast:.2f} times as fast at a jump as around it; by chance in "
                     f"{100 * chance:.2g} % of draws; fall and movement correlate {moving_together(D, loss)[0]:.2f}",
                     fontsize=plots.STYLE["title"] + 1)
    for i, t, *_ in found:
        for axes in (middle, bottom):
            axes.axvline(steps[t], color=coloured.get(i, "0.8"), linewidth=2.5 if i in coloured else 0.9,
                         zorder=2 if i in coloured else 0)
    for axes in (top, middle, bottom):
        axes.set_xlim(0, min(steps[-1], 1.3 * steps[max((t for _, t, *_ in found), default=-1)]))
        axes.tick_params(labelsize=plots.STYLE["font"] + 1)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


CLAIMS = (
    Claim("jumps-end-as-digons", SECTION, "At this p all represented features end as digons, at D_i = 1/2.",
          ends_as_digons, low=0.8, expected="at least 80 % within 0.02"),
    Claim("jumps-of-single-features", SECTION, "Single features' D_i jump: most of those that stay have jumped.",
          share_of_jumpers, low=0.5, expected="at least half: by 0.1 or more within 3 % of the training"),
    Claim("jumps-to-fractions", SECTION, "The jumps lead to fractions: 0, 3/8, 2/5, 1/2, 2/3 or 3/4.", to_a_fraction,
          low=0.5, expected="at least half of the jumps, within 0.02"),
    Claim("jumps-between-fractions", SECTION, "The jumps are between different fractions.", between_fractions, low=0.5,
          expected="at least half of the jumps begin and end at one, within 0.02"),
    Claim("jumps-with-loss-drops", SECTION, "The loss drops at the steps of the jumps.", contrasts, low=1.5,
          expected="at least 1.5 times as fast as around them"),
    Claim("jumps-with-loss-drops-not-by-chance", SECTION, "That the loss drops at the jumps is no chance, in most "
          "seeds.", significant, low=0.8, summary="mean",
          expected="at least 80 % of seeds: chance does so in at most 5 % of draws"),
    Claim("jumps-movement-with-loss-drops", SECTION, "The loss falls when the shares of all features together move.",
          correlations, low=0.5, expected="correlation at least 0.5, without the common trend"),
    Claim("jumps-movement-with-loss-drops-not-by-chance", SECTION, "That the loss falls when shares move is no "
          "chance, in most seeds.", correlations_significant, low=0.8, summary="mean",
          expected="at least 80 % of seeds: at most 5 % of shifts correlate as well"),
)

ENERGY_JUMPS = Experiment(
    "energy-jumps", 11, "Features jump between energy levels", SECTION, "09", SETTINGS | {"seeds": 4},
    SETTINGS | {"n_features": 400, "n_hidden": 30, "steps": 15_000, "batch_size": 512, "record_every": 50, "seeds": 10},
    run, draw, CLAIMS)
