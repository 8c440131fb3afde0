"""Row 16 of the paper's table: the absolute values of more features than there are neurons.

Dense features: two neurons for each of the most important features, one a side, all monosemantic; the rest of the
features is dropped. Very sparse features: every neuron serves several. In between both kinds live in one model, and the
neurons that stay monosemantic belong to the most important features.

Try DECAY = 1: without an order of importance there are hardly any probabilities at which both kinds live together.
"""

import common

N_FEATURES = 30
N_HIDDEN = 12
DECAY = 0.8                                     # importance of feature i: DECAY^i
PROBABILITIES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
STARTS = 2                                      # the best of so many is taken at each probability
STEPS = 3000
SEEDS = 5


def main(arguments=None):
    common.experiment("absolute-value-superposition", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN,
                      decay=DECAY, probabilities=PROBABILITIES, starts=STARTS, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
