"""What all figures share: colours, sizes of letters, an empty canvas, and how one is saved.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; a feature has one colour throughout.
"""

from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F")
FEATURE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW, GREY)
STYLE = {"font": 13, "title": 15}


def canvas(width, height):
    """An empty Figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def label(axes, x=None, y=None, title=None, *, larger=0, frame=False):
    """Name the axes and give them a title, all letters so many points `larger`; the frame loses its top and right."""
    if x is not None:
        axes.set_xlabel(x, fontsize=STYLE["font"] + larger)
    if y is not None:
        axes.set_ylabel(y, fontsize=STYLE["font"] + larger)
    if title is not None:
        axes.set_title(title, fontsize=STYLE["title"] + larger)
    axes.tick_params(labelsize=STYLE["font"] + larger - 1)
    if not frame:
        axes.spines[["top", "right"]].set_visible(False)


def save(figure, path):
    """Write `figure` to `path` (PNG, SVG or PDF by its suffix) and return the path."""
    figure.savefig(path, dpi=120, facecolor="white")
    return path
