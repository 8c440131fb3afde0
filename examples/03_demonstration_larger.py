"""Row 3 of the paper's table: eighty features of falling importance in twenty dimensions, from dense to sparse.

The same picture as with twenty features in five dimensions, rescaled: the linear model keeps the twenty most important
ones; the model with a ReLU does so too when the features are dense, and keeps more and more of them as they get sparse.
Try DECAY = 1: with equal importance there is no top to keep, and all that counts is how many share a dimension.
"""

import common

N_FEATURES = 80
N_HIDDEN = 20
DECAY = 0.9                                     # importance of feature i: DECAY^i
PROBABILITIES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
STEPS = 2000                                    # some linear models have not sorted themselves out by then
BATCH_SIZE = 256
LEARNING_RATE = 3e-2
SEEDS = 2


def main(arguments=None):
    common.experiment("demonstration-larger", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, decay=DECAY,
                      probabilities=PROBABILITIES, steps=STEPS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
                      seeds=SEEDS)


if __name__ == "__main__":
    main()
