"""Row 15 of the paper's table: three features, six neurons, and the task to output absolute values.

|x| = relu(x) + relu(-x): each feature takes one neuron for its positive side and one for its negative side. About two
starts in three find all six; the others leave a side without a neuron, and their loss is a hundred thousand times
larger. Try N_HIDDEN = 5, where one side must go without, or P = 0.1, where features are rarely on together.
"""

import common

N_FEATURES = 3
N_HIDDEN = 6
P = 1.0                                         # how often a feature is on; it is then uniform between -1 and 1
MODELS = 50                                     # starts, none picked
STEPS = 3000
SEEDS = 1


def main(arguments=None):
    common.experiment("absolute-value", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN,
                      feature_probability=P, models=MODELS, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
