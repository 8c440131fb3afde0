"""Row 8 of the paper's table: correlated pairs become orthogonal, anticorrelated pairs antipodal.

Two pairs in two dimensions, and three pairs where there is no room: then friends stand side by side. Each is trained
from many starts and set beside the true minimum. Try P = 0.3, or fewer STEPS, and see which statement gives way first.
"""

import common

P = 0.05                                        # probability that a pair, or an anticorrelated set, is on
INSTANCES = 20                                  # trained models of each case and seed
STARTS = 3                                      # the best trained models, from which the true minimum is sought
STEPS = 3000
SEEDS = 2


def main(arguments=None):
    common.experiment("correlated-sets", __doc__, arguments, feature_probability=P, instances=INSTANCES, starts=STARTS,
                      steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
