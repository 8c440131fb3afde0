"""What all figures share: sizes of letters, and how a figure is shown and saved.

No figure here is known to pyplot: a notebook shows it because it can draw itself, and a script
saves it.
"""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

STYLE = {"font": 13, "title": 15}
DPI = 120                           # of what is saved
SHOWN_DPI = 80                      # of what a notebook shows


class Picture(Figure):
    """A Figure that a notebook shows as it is; `savefig` writes it."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        FigureCanvasAgg(self)

    def _repr_png_(self):
        """The picture as the bytes of a PNG file."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=SHOWN_DPI, facecolor="white")
        return file.getvalue()


class Panel(Axes):
    """Axes that have a Picture for themselves: a notebook that is given them shows it."""

    def _repr_png_(self):
        return self.figure._repr_png_()


class Space(Axes3D):
    """A Panel with three dimensions."""

    def _repr_png_(self):
        return self.figure._repr_png_()


def canvas(width, height):
    """An empty figure of so many inches."""
    return Picture(figsize=(width, height), layout="constrained")


def panel(ax=None, *, size=(6.4, 5), space=False):
    """`ax` once it has been checked, or the Axes of a new figure of this size (inches).

    space : whether the Axes must have three dimensions
    """
    if ax is None:
        return canvas(*size).add_subplot(axes_class=Space if space else Panel)
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib Axes or None, got {ax!r}")
    if space and ax.name != "3d":
        raise ValueError("ax must have three dimensions for this W, got flat Axes: "
                         "make them with add_subplot(projection='3d')")
    if ax.name == "3d" and not space:
        raise ValueError("ax must be flat for this drawing, got Axes with three dimensions")
    return ax


def label(axes, x=None, y=None, title=None, *, larger=0, frame=False):
    """Name the axes and give them a title, all letters so many points `larger`.

    The frame loses its top and right sides unless `frame`.
    """
    if x is not None:
        axes.set_xlabel(x, fontsize=STYLE["font"] + larger)
    if y is not None:
        axes.set_ylabel(y, fontsize=STYLE["font"] + larger)
    if title is not None:
        axes.set_title(title, fontsize=STYLE["title"] + larger)
    axes.tick_params(labelsize=STYLE["font"] + larger - 1)
    if not frame:
        axes.spines[["top", "right"]].set_visible(False)


def save(figure, path, *, format=None):
    """Write `figure` to `path`, a path or an open file, and return it.

    format : "png", "svg" or "pdf"; None for what the path's suffix says
    """
    figure.savefig(path, format=format, dpi=DPI, facecolor="white")
    return path
