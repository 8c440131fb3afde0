"""Row 5 of the paper's table: the phases of an extra feature, three features in two.

The paper's fixed candidates, the true minima, and the best trained models, side by side. A dot marks where
candidates or training differ from the truth; a triangle marks the joint solution, which the paper does not consider.
Try more CELLS, or a single start.
"""

import common

CELLS = 8                                       # a side of the diagram; even, since at importance 1 features tie
NEAR_CELLS = 6                                  # a side of the close-up of equal importance
STARTS = 2                                      # trained models a cell and seed
STEPS = 1200
SEEDS = 2


def main(arguments=None):
    common.experiment("phase-3-2", __doc__, arguments, cells=CELLS, near_cells=NEAR_CELLS, starts=STARTS, steps=STEPS,
                      seeds=SEEDS)


if __name__ == "__main__":
    main()
