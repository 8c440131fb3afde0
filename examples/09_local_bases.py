"""Row 9 of the paper's table: two correlated sets of ten features in ten dimensions form two almost orthogonal bases.

W'W is nearly the identity inside each set, although twenty features share ten dimensions. The independent features
beside them interfere wherever it happens. Try P = 0.2: then the two sets are often on at once, and it breaks down.
"""

import common

SIZE = 10                                       # features in each set, and hidden dimensions
P = 0.05                                        # probability that a set is on
INSTANCES = 4                                   # trained models a seed
STEPS = 3000
SEEDS = 3


def main(arguments=None):
    common.experiment("local-bases", __doc__, arguments, size=SIZE, feature_probability=P, instances=INSTANCES,
                      steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
