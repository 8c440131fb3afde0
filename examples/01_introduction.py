"""Row 1 of the paper's table: five features of falling importance in two dimensions, from dense to sparse.

Dense features: the two most important get a dimension each, the others nothing. Sparser ones share: first four as two
antipodal pairs, then all five as a pentagon. Beside each trained model stands the true minimum of the exact loss.
Try DECAY = 1 (who is dropped now?), or probabilities near 0.15, where pairs and pentagon cost nearly the same.
"""

import common

N_FEATURES = 5
N_HIDDEN = 2
DECAY = 0.9                                     # importance of feature i: DECAY^i
PROBABILITIES = [1.0, 0.2, 0.1]                 # those of the paper's text, of which the claims speak
SWEEP = [20 ** (-i / 9) for i in range(10)]     # those of its notebook
MODELS = 10                                     # trained at each probability
SEARCH = 24                                     # starts of the search for the true minimum
STEPS = 2000
SEEDS = 2


def main(arguments=None):
    common.experiment("introduction", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, decay=DECAY,
                      probabilities=PROBABILITIES, sweep=SWEEP, models=MODELS, search=SEARCH, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
