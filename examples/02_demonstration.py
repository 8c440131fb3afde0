"""Row 2 of the paper's table: twenty features of falling importance in five dimensions, from dense to sparse.

The linear model keeps the five most important features and drops the rest, however sparse they are. With a ReLU at the
output, sparsity pays: more and more features share dimensions, beginning with the least important of those kept.
Change a constant and see what happens.
"""

import common

N_FEATURES = 20
N_HIDDEN = 5
DECAY = 0.7                                     # importance of feature i: DECAY^i
PROBABILITIES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
STEPS = 3000
SEEDS = 3


def main(arguments=None):
    common.experiment("demonstration", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, decay=DECAY,
                      probabilities=PROBABILITIES, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
