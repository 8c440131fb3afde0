"""plots: draw it. Arrays or the package's records in, matplotlib out; nothing is computed here.

    ax = tm.plots.geometry(W)           one drawing: on `ax`, or on a new figure; returns the Axes
    ax.figure.savefig("pentagon.png")   in a script; a notebook shows what is returned as it is
    tm.plots.gram(W, ax=my_axes)        on Axes of your own, pyplot's for instance

Only these files name matplotlib. The figures of the paper's rows are in `rows/`, a file each.
"""

from .style import (BLUE, FEATURE_COLOURS, GREEN, GREY, ORANGE, PURPLE, SKY, STYLE, VERMILION,
                    YELLOW, canvas, feature_colour, label, save)
from .weights import dimensionality, geometry, gram, norms
from .neurons import motif, stack
from .training import history
from .phases import phase
from .theory import branches, flow
from .parts import draw_directions, draw_sets, draw_stack
from .theory import critical_points, exact_loss, gradient_flow
from .phases import PHASE_COLOURS, draw_phases, phase_diagram
from .training import gram_rows, pentagon_to_digon
from .sweeps import sweep_map
from .animation import animate
