"""plots: draw it. Arrays or the package's records in, matplotlib out; nothing is computed here.

    ax = tm.plots.geometry(W)           one drawing: on `ax`, or on a new figure; returns the Axes
    ax.figure.savefig("pentagon.png")   in a script; a notebook shows what is returned as it is
    tm.plots.gram(W, ax=my_axes)        on Axes of your own, pyplot's for instance

Only these files name matplotlib, and a file is imported when one of its names is asked for, since
matplotlib takes longer than all the rest. The figures of the paper's rows are in `rows/`, a file
each, those of the chapters in `lessons.py`.
"""

from importlib import import_module

FILES = {
    "animation": ["animate"],
    "colours": ["BLUE", "FEATURE_COLOURS", "GREEN", "GREY", "ORANGE", "PHASE_COLOURS", "PURPLE",
                "SKY", "VERMILION", "YELLOW", "feature_colour"],
    "lessons": [],
    "neurons": ["motif", "stack"],
    "parts": ["draw_directions", "draw_sets", "draw_stack"],
    "phases": ["draw_phases", "phase", "phase_diagram"],
    "rows": [],
    "style": ["STYLE", "canvas", "label", "save"],
    "sweeps": ["sweep_map"],
    "theory": ["branches", "critical_points", "exact_loss", "flow", "gradient_flow"],
    "training": ["gram_rows", "history", "pentagon_to_digon"],
    "weights": ["dimensionality", "geometry", "gram", "norms"],
}
FILE_OF = {name: file for file, names in FILES.items() for name in names}
__all__ = list(FILE_OF)


def __getattr__(name):
    if name in FILES:
        return import_module(f".{name}", __name__)
    if name not in FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{FILE_OF[name]}", __name__), name)


def __dir__():
    return sorted(__all__)
