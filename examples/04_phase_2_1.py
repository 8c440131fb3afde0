"""Row 4 of the paper's table: the phases of an extra feature, two features in one.

The paper's fixed candidates, the true minima, and the best trained models, side by side. A dot marks where
candidates or training differ from the truth.
Try more CELLS, or a single start.
"""

import common

CELLS = 10                                       # a side of the diagram; even, since at importance 1 features tie
STARTS = 5                                      # trained models a cell and seed, on every second cell
STEPS = 1500
SEEDS = 2


def main(arguments=None):
    common.experiment("phase-2-1", __doc__, arguments, cells=CELLS, starts=STARTS, steps=STEPS,
                      seeds=SEEDS)


if __name__ == "__main__":
    main()
