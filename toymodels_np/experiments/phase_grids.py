"""The true minima that rows 4 and 5 draw, on grids of 60 x 60 cells: solved once, kept beside this.

`python -m toymodels_np.experiments.phase_grids` solves them anew, which takes about ten minutes,
and writes `phase_grids.npz`. What is read from there is W and b alone; everything else is computed
from them by the code that runs, which also sees whether they are minima of its loss at all.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..core.features import Features
from ..core.models import ReluOutput
from ..theory.exact.loss import expected_loss_and_grad
from ..theory.phase import phase_diagram

FILE = Path(__file__).with_suffix(".npz")
STATIONARY = 1e-5           # gradient norm of what was rounded to float32, at most
IMPORTANCE, PROBABILITY = (0.1, 10), (0.01, 1)          # from, to; evenly on log axes


@dataclass(frozen=True)
class Grid:
    """Where minima are wanted: of n features in m dimensions, over importances and probabilities.

    n, m : features, dimensions        cells : along each axis
    near : whether it is the close-up, where all features matter about the same and none is rare
    """

    n: int
    m: int
    cells: int
    near: bool = False

    @property
    def importance(self):
        """(R,) of the extra feature, the others having 1."""
        return np.geomspace(*((0.7, 1.45) if self.near else IMPORTANCE), self.cells)

    @property
    def probability(self):
        """(P,) of all features."""
        if self.near:
            return np.linspace(0.5, 1, self.cells)
        return np.geomspace(*PROBABILITY, self.cells)

    @property
    def name(self):
        """What the file calls its arrays."""
        return f"{self.n}_{self.m}_{self.cells}" + "_near" * self.near

    def features(self):
        """The laws of all cells, (R P,) instances."""
        r, p = (a.ravel() for a in np.meshgrid(self.importance, self.probability, indexing="ij"))
        weights = np.ones((len(r), self.n))
        weights[:, -1] = r
        return Features(self.n, p[:, None], weights)


KEPT = Grid(2, 1, 60), Grid(3, 2, 60), Grid(3, 2, 30, near=True)


@cache
def minima(grid):
    """The true minima of a Grid, a float64 ReluOutput with instances (R, P): kept ones, or solved.

    Kept ones count only if the exact loss as it is now is stationary there.
    """
    if grid in KEPT and FILE.is_file():
        with np.load(FILE) as file:
            model = ReluOutput(*(file[f"{grid.name}_{part}"].astype(np.float64) for part in "Wb"))
        if steepest(model, grid) <= STATIONARY:
            return model
    return solve(grid)


def solve(grid):
    """The true minima of a Grid, each cell from many starts."""
    return phase_diagram(grid.n, grid.m, importance=grid.importance,
                         feature_probability=grid.probability).model


def steepest(model, grid):
    """The largest gradient norm in any cell of `model` (R, P)."""
    flat = ReluOutput(model.W.reshape(-1, grid.m, grid.n), model.b.reshape(-1, grid.n))
    _, slope = expected_loss_and_grad(flat, grid.features())
    return float(np.sqrt((slope.W**2).sum((-2, -1)) + (slope.b**2).sum(-1)).max())


def main():
    """Solve the grids that are kept, and write them."""
    arrays = {}
    for grid in KEPT:
        model = solve(grid)
        arrays |= {f"{grid.name}_{part}": getattr(model, part).astype(np.float32) for part in "Wb"}
        print(f"{grid.name}: {grid.cells}² minima", flush=True)
    np.savez_compressed(FILE, **arrays)
    print(f"wrote {FILE}")


if __name__ == "__main__":
    sys.exit(main())
