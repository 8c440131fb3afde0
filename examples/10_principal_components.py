"""Row 10 of the paper's table: three correlated pairs in two dimensions collapse to their principal components.

Sparse: a hexagon. Denser: pair after pair takes one direction, until the model is all but PCA. The dashed lines are
where exact energies cross. Add a PROBABILITY above 0.8 and see the three pairs leave their symmetry.
"""

import common

PROBABILITIES = [0.02, 0.045, 0.06, 0.09, 0.13, 0.16, 0.2, 0.3, 0.36, 0.41, 0.5, 0.75]
STARTS = 6                                      # trained models at each probability
STEPS = 1500
BISECTIONS = 3                                  # of each place where a pair collapses
SEEDS = 2


def main(arguments=None):
    common.experiment("principal-components", __doc__, arguments, probabilities=PROBABILITIES, starts=STARTS,
                      steps=STEPS, bisections=BISECTIONS, seeds=SEEDS)


if __name__ == "__main__":
    main()
