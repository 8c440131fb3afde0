"""Row 17: the motif as a diagram, all shared neurons, and how many models have it."""

import numpy as np

from ..colours import BLUE, GREY, SKY
from ..neurons import draw_motif
from ..style import STYLE, canvas, label

TITLES = "the motif in one model", "the motif twice in one model"
MANY = 2                            # motifs that are counted apart; more count as so many


def figure(diagrams, asymmetry, taken, counts):
    """Up to two motifs of one model, every shared neuron, and the models by their motifs.

    diagrams : (neurons, features, read (2, 2), write (2, 2)) of each motif, as `draw_motif` says
    asymmetry, taken : (Q,) of each shared neuron, and the part of its harm that is taken back
    counts : {words: (models,) how many motifs}
    """
    page = canvas(19, 10)
    left, right = page.subfigures(1, 2, width_ratios=(1.35, 1))
    places = left.subplots(2, 1)
    for axes, diagram, words in zip(places, [*diagrams, None, None], TITLES):
        axes.axis("off")
        if diagram is None:
            axes.text(0.5, 0.5, f"no model has {words}", ha="center", transform=axes.transAxes,
                      fontsize=STYLE["title"])
        else:
            draw_motif(axes, *diagram)
            axes.set_title(f"{words}; a neuron's largest input is 1",
                           fontsize=STYLE["title"] + 2)
    top, bottom = right.subplots(2, 1)
    _neurons(top, asymmetry, taken)
    _models(bottom, counts)
    return page


def _neurons(axes, asymmetry, taken):
    """Every shared neuron, by how unequal its features are and how much is taken back."""
    most = max([8.0, *1.1 * asymmetry])
    axes.axvspan(2, 8, color="0.93", zorder=0)
    axes.text(4, 0.08, "a factor of 2 around the paper's 4", ha="center", fontsize=STYLE["font"])
    axes.axhline(1, color="0.4", linestyle="--", linewidth=1.5)
    axes.plot(asymmetry, taken, "o", color=BLUE, markersize=9, alpha=0.7, markeredgecolor="white")
    axes.set(xscale="log", xlim=(0.8, most), ylim=(-0.05, max([1.25, *1.05 * taken])))
    axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.minorticks_off()
    label(axes, "asymmetry: reads one feature, writes the other so much more",
          "part of the wrong excitation\nthat is taken back",
          f"all {len(asymmetry)} neurons that serve two features", larger=1)


def _models(axes, counts):
    """Of each kind of model, the parts with one motif and with more, stacked."""
    looks = ((1, SKY, "one motif"), (MANY, BLUE, "two or more"))
    for place, count in enumerate(counts.values()):
        below = 0.0
        for number, colour, words in looks:
            part = np.mean(count >= MANY if number == MANY else count == number)
            axes.barh(place, part, left=below, color=colour, edgecolor="white", height=0.6,
                      label=None if place else words)
            below += part
        axes.text(below + 0.015, place, f"{(count > 0).sum()} of {len(count)}", va="center",
                  fontsize=STYLE["font"] + 1, color=GREY if not below else "black")
    axes.set_yticks(range(len(counts)), counts)
    axes.set(ylim=(len(counts) - 0.5, -0.5), xlim=(0, 1.18), xticks=[0, 0.5, 1])
    axes.legend(fontsize=STYLE["font"], frameon=False, loc="lower right")
    label(axes, "share of the models", None, "models with the motif", larger=1)
