"""Row 13 of the paper's table: superposition makes models vulnerable, and attacks in training take superposition away.

Inputs are moved by a tenth of their mean length along the worst row of W'W. The sparser the features, the more of them
share a dimension, and the more the loss rises: some twenty times more than without superposition. Models that are
trained on attacked inputs share less; perturbations of about 80 % of an input's length are needed to end sharing.

Try fewer features: with N_FEATURES = 20 and N_HIDDEN = 5 most inputs are empty at 1/p = 100, and the two curves part.
"""

import common

N_FEATURES = 100
N_HIDDEN = 20
INVERSE_PROBABILITIES = [1.0, 1.8, 3.2, 5.6, 10, 18, 32, 56, 100]
STEPS = 1500
SAMPLES = 600                                   # attacked inputs from which vulnerability is estimated
SIZES = [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9]     # perturbations in training, in units of the mean input length
ATTACKED_STEPS = 800
SEEDS = 2


def main(arguments=None):
    common.experiment("adversarial", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, steps=STEPS,
                      inverse_probabilities=INVERSE_PROBABILITIES, samples=SAMPLES, sizes=SIZES,
                      attacked_steps=ATTACKED_STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
