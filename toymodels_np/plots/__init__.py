"""plots: draw it. Arrays or the package's records in, matplotlib out; nothing is computed here.

    ax = tm.plots.geometry(W)           one drawing: on `ax`, or on a new figure; returns the Axes
    ax.figure.savefig("pentagon.png")   in a script; a notebook shows what is returned as it is
    tm.plots.gram(W, ax=my_axes)        on Axes of your own, pyplot's for instance

Only these files name matplotlib. The figures of the paper's rows are in `rows/`, a file each.
"""

from .animation import animate
from .neurons import motif, stack
from .parts import draw_directions, draw_sets, draw_stack
from .phases import PHASE_COLOURS, draw_phases, phase, phase_diagram
from .style import (
    BLUE,
    FEATURE_COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    STYLE,
    VERMILION,
    YELLOW,
    canvas,
    feature_colour,
    label,
    save,
)
from .sweeps import sweep_map
from .theory import branches, critical_points, exact_loss, flow, gradient_flow
from .training import gram_rows, history, pentagon_to_digon
from .weights import dimensionality, geometry, gram, norms
