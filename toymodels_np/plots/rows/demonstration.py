"""The figure of rows 2 and 3: WᵀW and norms, from dense to sparse."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from ..style import STYLE, canvas
from ..weights import gram, norms

COLUMNS = 4                 # models in a row
STRONGEST = 1.2             # entries of WᵀW at which the colours end
LONGEST = 1.5               # norms at which the bars' axis ends, if none is longer


def figure(W, titles, left):
    """WᵀW of each model as a square, beside bars for its norms, coloured by superposition.

    W (K, m, n), titles (K,)
    left (K,) : by which fraction each loss is above that of the minimum next to it, NaN if unknown
    """
    K, n = len(W), W.shape[-1]
    rows = -(-K // COLUMNS)
    whole = canvas(4.6 * COLUMNS + 1, 3.9 * rows + 0.6)
    grid = whole.subplots(rows, 2 * COLUMNS, width_ratios=(2.6, 1) * COLUMNS, squeeze=False)
    longest = max(LONGEST, 1.05 * np.sqrt((W**2).sum(-2)).max())
    for cell in range(rows * COLUMNS):
        heat, bars = grid[cell // COLUMNS, 2 * (cell % COLUMNS):2 * (cell % COLUMNS) + 2]
        if cell >= K:
            heat.axis("off")
            bars.axis("off")
            continue
        gram(W[cell], colorbar=False, ax=heat)
        heat.images[0].set_clim(-STRONGEST, STRONGEST)
        above = f"\n{100 * left[cell]:.2g} % above its minimum" if np.isfinite(left[cell]) else ""
        heat.set_title(titles[cell] + above, fontsize=STYLE["title"])
        norms(W[cell], colorbar=False, ax=bars)
        numbers = range(0, n, max(1, round(n / 4)))
        heat.set(xticks=numbers, yticks=numbers)
        bars.set(xlim=(0, longest), ylabel="", yticks=numbers, ylim=(n - 0.5, -0.5))
        bars.set_box_aspect(2.6)
    image = ScalarMappable(Normalize(-STRONGEST, STRONGEST), "RdBu_r")
    bar = whole.colorbar(image, ax=grid[:, -1], shrink=0.7, aspect=35)
    bar.set_label(r"$W^\top W$", fontsize=STYLE["font"])
    whole.supxlabel("bars: norm, dark where the feature has its dimension to itself, yellow where "
                    "it shares all of it", fontsize=STYLE["font"])
    return whole
