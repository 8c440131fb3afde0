"""Figures: arrays in, a matplotlib Figure out. Nothing is computed here, and only these files name matplotlib."""

from .style import (BLUE, FEATURE_COLOURS, GREEN, GREY, ORANGE, PURPLE, SKY, STYLE, VERMILION,
                    YELLOW, canvas, label, save)
from .parts import draw_directions, draw_sets, draw_stack
from .theory import critical_points, exact_loss, gradient_flow
from .phases import PHASE_COLOURS, draw_phases, phase_diagram
from .training import gram_rows, pentagon_to_digon
from .sweeps import sweep_map
from .animation import animate
