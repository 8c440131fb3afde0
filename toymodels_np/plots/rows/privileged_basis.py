"""Row 14: stack plots of the best model at each p, neurons of either kind, and alignment."""

import numpy as np

from ..colours import BLUE, ORANGE, VERMILION
from ..parts import draw_stack
from ..style import STYLE, canvas, label

COLUMNS = 8                     # of stack plots, at most


def figure(probabilities, stacks, words, kinds, alignments, models):
    """Above, a stack plot for each p; below, counts of neurons, and how aligned W is.

    probabilities : (P,) from dense to sparse
    stacks : P of `stack_plot`                      words : P strings
    kinds : (monosemantic, polysemantic), (P,) each
    alignments : of the best models (P,), of random rotations (P, 2: from, to), of models with a
        linear hidden layer (P, count)              models : how many the best is of
    """
    rows = -(-len(stacks) // COLUMNS)
    page = canvas(18, 4.4 * rows + 5)
    top, bottom = page.subfigures(2, 1, height_ratios=(4.4 * rows, 5))
    _stacks(top, probabilities, stacks, words, models)
    left, right = bottom.subplots(1, 2)
    _kinds(left, *kinds, m=len(stacks[0].height))
    _alignment(right, *alignments)
    for axes, words in ((left, "neurons of the best model"),
                        (right, "alignment: the largest share\nof a neuron's squared weights")):
        axes.set_xticks(range(len(probabilities)), [f"{p:g}" for p in probabilities])
        label(axes, "feature probability $p = 1 - S$, dense to sparse", words, larger=1)
    return page


def _stacks(top, probabilities, stacks, words, models):
    rows = -(-len(stacks) // COLUMNS)
    panels = top.subplots(rows, -(-len(stacks) // rows), sharey="row", squeeze=False)
    for axes in panels.ravel()[len(stacks):]:
        axes.axis("off")
    high = max(np.maximum(stack.height, 0).sum(-1).max() for stack in stacks)
    low = max(np.maximum(-stack.height, 0).sum(-1).max() for stack in stacks)
    for axes, p, stack, text in zip(panels.ravel(), probabilities, stacks, words):
        draw_stack(axes, stack.height, stack.bottom, stack.monosemanticity, thin=0.02,
                   least=0.07 * (high + low))
        axes.set_title(f"p = {p:g}\n{text}", fontsize=STYLE["title"])
    for axes in panels[:, 0]:
        axes.set_ylabel("weights $W_{ji}$, stacked", fontsize=STYLE["font"] + 1)
    for axes in panels[-1]:
        axes.set_xlabel("neuron", fontsize=STYLE["font"])
    top.suptitle(f"The best of {models} models at each p: a bar a neuron, a number a feature "
                 "(0 is the most important)", fontsize=STYLE["title"] + 2)


def _kinds(axes, one, several, m):
    place = np.arange(len(one))
    axes.bar(place, one, color=BLUE, label="monosemantic")
    axes.bar(place, several, bottom=one, color=ORANGE, hatch="//", edgecolor="white",
             label="polysemantic")
    axes.set_ylim(0, 1.3 * m)
    axes.set_yticks(range(0, m + 1, max(1, m // 5)))
    axes.legend(fontsize=STYLE["font"] + 1, frameon=False, ncols=2, loc="upper center")


def _alignment(axes, best, turned, linear):
    place = np.arange(len(best))
    axes.fill_between(place, *turned.T, color="0.85",
                      label="the ReLU models, turned at random (95 %)")
    axes.plot(place, best, "o-", color=BLUE, markersize=10, linewidth=2.5,
              label="ReLU on the hidden layer, best")
    axes.plot(place, linear, "x", color=VERMILION, markersize=10, markeredgewidth=2.5)
    axes.plot([], [], "x", color=VERMILION, markersize=10, markeredgewidth=2.5,
              label="linear hidden layer")
    axes.set_ylim(0, 1.6)
    axes.set_yticks([0, 0.5, 1])
    axes.legend(fontsize=STYLE["font"], frameon=False, loc="upper center", ncols=2)
