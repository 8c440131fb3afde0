"""Row 13: what attacks cost as superposition forms, and two ways to take superposition away."""

from ..colours import BLUE, FEATURE_COLOURS, GREEN, ORANGE, VERMILION
from ..style import STYLE, canvas, label

LINES = "-", "--", ":", "-."


def figure(runs, probabilities, n_hidden):
    """Four panels: against 1/p, one against the other, adversarial training, and a penalty on h.

    runs : a dictionary a seed, with inverse_probabilities, vulnerability, per_dimension (P,);
        sizes (S,), hardened, worst (trained probabilities, S); penalties, penalised,
        represented (K,); seed, correlation (or None)
    probabilities : those of training against attacks       n_hidden : of the penalised models
    """
    page = canvas(16, 11)
    (first, second), (third, fourth) = page.subplots(2, 2)
    _against_sparsity(first, runs)
    _against_each_other(second, runs)
    _attacked(third, runs, probabilities)
    _penalised(fourth, runs, n_hidden)
    return page


def _against_sparsity(axes, runs):
    for k, run in enumerate(runs):
        axes.plot(run["inverse_probabilities"], run["vulnerability"], "o-", color=VERMILION,
                  linewidth=3, markersize=9, label=None if k else "vulnerability")
        axes.plot(run["inverse_probabilities"], run["per_dimension"], "s--", color=BLUE,
                  linewidth=3, markersize=9, label=None if k else "features per dimension")
    axes.axhline(1, color="0.4", linewidth=2, linestyle=":")
    axes.set(xscale="log", ylim=(0, None))
    axes.legend(fontsize=STYLE["font"] + 2, frameon=False, loc="upper left")
    label(axes, "$1/p$ (dense to sparse)", "1 is no superposition",
          "Superposition makes vulnerable", larger=3)


def _against_each_other(axes, runs):
    for k, run in enumerate(runs):
        found = "" if run["correlation"] is None else f": r = {run['correlation']:.3f}"
        axes.plot(run["per_dimension"], run["vulnerability"], "o",
                  color=FEATURE_COLOURS[k % len(FEATURE_COLOURS)], markersize=11,
                  label=f"seed {run['seed']}{found}")
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(fontsize=STYLE["font"] + 2, frameon=False, loc="upper left")
    label(axes, "features per dimension", "vulnerability", "A point is one p", larger=3)


def _attacked(axes, runs, probabilities):
    for k, run in enumerate(runs):
        for name, colour, words in (("hardened", BLUE, "a random feature"),
                                    ("worst", ORANGE, "the worst direction")):
            for line, p, values in zip(LINES, probabilities, run[name]):
                axes.plot(100 * run["sizes"], values, "o", linestyle=line, color=colour,
                          linewidth=3, markersize=8, label=None if k else f"{words}, p = {p:g}")
    axes.axhline(1, color="0.4", linewidth=2, linestyle=":")
    axes.set(ylim=(0, None))
    axes.legend(fontsize=STYLE["font"] + 1, frameon=False, loc="upper right", handlelength=4)
    label(axes, "perturbation in training, % of the mean input length", "features per dimension",
          "Trained on inputs attacked along …", larger=3)


def _penalised(axes, runs, n_hidden):
    for k, run in enumerate(runs):
        axes.plot(run["penalties"], run["penalised"], "o-", color=BLUE, linewidth=3, markersize=9,
                  label=None if k else "features per dimension")
        axes.plot(run["penalties"], run["represented"] / n_hidden, "s--", color=GREEN, linewidth=3,
                  markersize=9, label=None if k else "represented features, per dimension")
    axes.axhline(1, color="0.4", linewidth=2, linestyle=":")
    axes.set(ylim=(0, None))
    axes.legend(fontsize=STYLE["font"] + 2, frameon=False, loc="upper right")
    label(axes, r"penalty on $|h_1| + … + |h_m|$", "1 is no superposition",
          "Trained with a penalty on hidden activations", larger=3)
