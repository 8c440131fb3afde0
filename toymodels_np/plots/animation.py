"""Learning as an animation: one HTML page that needs no network."""

import re

from matplotlib import rc_context
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from .parts import draw_sets
from .style import ORANGE, STYLE, label

ICONS = {"minus": "−", "plus": "+", "fast-backward": "«", "step-backward": "‹", "pause": "‖",
         "play": "▸", "step-forward": "›", "fast-forward": "»", "play.fa-flip-horizontal": "◂"}


def animate(steps, losses, chosen, directions, sets, titles):
    """Learning as a self-contained HTML page with buttons: the loss so far, and the columns of W in space.

    steps, losses : (T,)        chosen : (F,) indices of the frames     directions : (F, 3, n) W at these
    sets : of features          titles : F strings
    """
    figure = Figure(figsize=(11, 5.2))
    axes = figure.add_axes((0.09, 0.14, 0.42, 0.76))
    space = figure.add_axes((0.53, 0.0, 0.46, 0.92), projection="3d")
    axes.semilogy(steps, losses, color="0.8", linewidth=2)
    line, = axes.semilogy([], [], color="black", linewidth=3)
    dot, = axes.semilogy([], [], "o", color=ORANGE, markersize=11)
    axes.set(xscale="log", xlim=(steps[1], steps[-1]))
    label(axes, "training step", "expected loss (exact)", larger=2)
    axes.tick_params(labelsize=STYLE["font"])

    def frame(k):
        at = chosen[k]
        line.set_data(steps[:at + 1], losses[:at + 1])
        dot.set_data([steps[at]], [losses[at]])
        space.clear()
        draw_sets(space, directions[k], sets)
        space.set_title(f"step {steps[at]}: {titles[k]}", fontsize=STYLE["title"] + 2)

    moving = FuncAnimation(figure, frame, frames=len(chosen), interval=150)
    with rc_context({"savefig.dpi": 70, "animation.embed_limit": 10.0}):
        page = moving.to_jshtml(fps=7, default_mode="once")
    # The buttons' icons are a font from the network: signs that every browser has take their place.
    signs = "".join(f".fa-{name}::before {{content: '{sign}'}} " for name, sign in ICONS.items())
    page = re.sub(r"<link[^>]*>", f"<style>{signs}i {{font-style: normal}}</style>", page)
    return '<meta charset="utf-8">\n' + page
