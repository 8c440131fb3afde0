"""Row 15: the best model's neurons, side by side, and the losses of all models."""

import numpy as np

from ..colours import BLUE, ORANGE
from ..parts import draw_stack
from ..style import STYLE, canvas, label

FLOOR = 1e-10                               # losses below this are shown as this
CROWD = 60                                  # models; the marks of more are smaller


def figure(stacks, names, loss, found, computed):
    """Input and output weights of the best model's neurons, and every model's loss.

    stacks : (height (m, n), bottom (m, n), monosemanticity (m,)) of input and of output weights
    names : (m,) the side that each neuron serves, "" for none
    loss, found : (models,) losses, and whether each side has exactly one neuron
    computed : the loss up to which |x| counts as computed
    """
    page = canvas(18, 6.8)
    *panels, axes = page.subplots(1, 3, width_ratios=(1, 1, 1.25))
    for place, stack, weights in zip(panels, stacks, ("input", "output")):
        draw_stack(place, *stack)
        place.set_xticks(range(len(names)), names)
        most = max(1.0, abs(stack[0]).sum(1).max())
        place.set_ylim(-1.2 * most, 1.2 * most)
        label(place, "neuron, by the side that it serves", None,
              f"{weights} weights, a number a feature", larger=2)
        place.tick_params(labelsize=STYLE["font"] + 2)
    panels[0].set_ylabel("weight; a neuron's largest input is 1", fontsize=STYLE["font"] + 2)

    sort = np.argsort(loss)
    place, loss, found = np.arange(1, len(loss) + 1), np.maximum(loss[sort], FLOOR), found[sort]
    for which, colour, marker, words in ((found, BLUE, "o", "one neuron a side"),
                                         (~found, ORANGE, "X", "otherwise")):
        axes.plot(place[which], loss[which], marker, color=colour, linestyle="",
                  markersize=10 if len(which) <= CROWD else 6, markeredgewidth=0,
                  label=f"{words}: {which.sum()} of {len(which)}")
    axes.axhline(computed, color="black", linestyle="--", linewidth=2)
    axes.annotate(f"|x| is computed below {computed:g}", (0, computed), xytext=(6, 7),
                  xycoords=("axes fraction", "data"), textcoords="offset points", ha="left",
                  va="bottom", fontsize=STYLE["font"] + 1)      # where the low losses are not
    axes.set(yscale="log", ylim=(min(FLOOR, computed) / 2, 3 * max(1.0, loss.max())))
    axes.legend(fontsize=STYLE["font"] + 1, frameon=False, loc="upper left")
    label(axes, "models, by their loss", "loss", "all starts, none picked", larger=2)
    return page
