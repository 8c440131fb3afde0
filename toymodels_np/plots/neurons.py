"""Public drawings of neurons in models with a hidden ReLU: stack plots, the asymmetric motif.

Each takes `ax`, or None for a new figure, and returns the Axes that it drew on.
"""

import numpy as np

from ..core.models import AbsoluteValue, Model
from ..geometry.neurons import Motif, normalise_neurons, stack_plot
from .colours import BLUE, VERMILION
from .parts import draw_stack, key_of_stack
from .style import STYLE, label, panel

FAINT = 0.02                # a weight below this gets no arrow


def stack(model, *, weights="input", ax=None):
    """The stack plot of a ReluHidden or AbsoluteValue: a bar a neuron, a rectangle a feature.

    weights : "input" or "output"; in AbsoluteValue the largest input weight of a neuron is scaled
        to 1, as the paper does. Blue neurons serve one feature, hatched ones several, grey none.
    """
    if isinstance(model, Model) and model.instances:
        raise ValueError(f"model must be a single model, got instances {model.instances}: "
                         f"choose one, as in model[0]")
    plot = stack_plot(model, weights=weights)
    axes = panel(ax, size=(max(5, 0.55 * len(plot.height) + 1.5), 5))
    draw_stack(axes, plot.height, plot.bottom, plot.monosemanticity)
    if ax is None:                      # in a figure of others there is no room for a key each
        key_of_stack(axes, plot.monosemanticity)
    scaled = ", largest input 1" if isinstance(model, AbsoluteValue) else ""
    label(axes, "neuron", f"{weights} weights{scaled}")
    return axes


def motif(model, motif, *, ax=None):
    """The asymmetric motif `motif` of a single AbsoluteValue model: two features, two neurons.

    Inputs are on the left, the neuron above its inhibitor, outputs on the right. Blue weights
    excite, red ones inhibit. Each neuron is scaled to a largest input weight of 1.
    """
    if not isinstance(model, AbsoluteValue) or model.instances:
        raise TypeError(f"model must be a single AbsoluteValue, got {model!r}")
    if not isinstance(motif, Motif):
        raise TypeError(f"motif must be one of tm.asymmetric_motifs(model), got {motif!r}")
    rows, columns = [motif.neuron, motif.inhibitor], [motif.strong[0], motif.weak[0]]
    if max(rows) >= model.n_hidden or max(columns) >= model.n_features:
        raise ValueError(f"motif speaks of neurons {rows} and features {columns}, "
                         f"the model has {model.n_hidden} and {model.n_features}")
    model = normalise_neurons(model)
    axes = panel(ax, size=(8, 5.5))
    draw_motif(axes, rows, columns, model.W1[np.ix_(rows, columns)],
               model.W2.T[np.ix_(rows, columns)])
    return axes


def draw_motif(axes, neurons, features, read, write):
    """Two inputs, a neuron above its inhibitor, two outputs, and the weights in between.

    neurons : (neuron, inhibitor)         features : (strong, weak), by their numbers
    read, write : (2, 2) what the neurons read and write, a row each, columns strong and weak
    """
    font, height = STYLE["font"] + 3, (1.0, 0.0)
    names = [f"x_{{{i}}}" for i in features]
    axes.axis("off")
    axes.set(xlim=(-0.25, 2.3), ylim=(-0.75, 1.35))
    (wrong, out), (right, back) = ((abs(read[row, 0]), abs(write[row, 1])) for row in (0, 1))
    axes.text(1.02, -0.55, f"${names[0]}$ wrongly excites $|{names[1]}|$ by {wrong:.2f} × "
              f"{out:.2f} = {wrong * out:.2f};\nthe inhibitor takes back {right:.2f} × {back:.2f} "
              f"= {right * back:.2f}", ha="center", va="center", fontsize=font)
    for neuron in (0, 1):
        for feature in (0, 1):
            _arrow(axes, 0, height[feature], height[neuron], read[neuron, feature])
            _arrow(axes, 1, height[neuron], height[feature], write[neuron, feature])
    for column, words in ((0, [f"${name}$" for name in names]),
                          (2, [f"$|{name}|$" for name in names])):
        for y, word in zip(height, words):
            axes.text(column, y, word, ha="center", va="center", fontsize=STYLE["title"] + 7)
    for y, word, above in zip(height, (f"neuron {neurons[0]}", f"inhibitor {neurons[1]}"),
                              (0.2, -0.2)):
        axes.plot(1, y, "o", markersize=36, color="white", markeredgecolor="black",
                  markeredgewidth=2.5)
        axes.text(1, y + above, word, ha="center", va="center", fontsize=font + 1)


def _arrow(axes, column, start, end, weight):
    """An arrow from (column, start) to (column + 1, end), as wide as its weight; the number."""
    if abs(weight) < FAINT:
        return
    colour, rise = BLUE if weight > 0 else VERMILION, end - start
    at = 0.3 if rise else 0.5                               # so that numbers do not cross
    axes.annotate("", (column + 0.86, end - 0.14 * rise), (column + 0.14, start + 0.14 * rise),
                  arrowprops={"arrowstyle": "-|>", "color": colour, "mutation_scale": 24,
                              "shrinkA": 0, "shrinkB": 0,
                              "linewidth": 1.5 + 2.2 * min(abs(weight), 4)})
    axes.text(column + at, start + at * rise, f"{weight:+.2f}".replace("-", "−"), ha="center",
              va="center", color=colour, fontsize=STYLE["font"] + 3, fontweight="bold",
              bbox={"boxstyle": "round,pad=0.15", "color": "white"})
