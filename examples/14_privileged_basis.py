"""Row 14 of the paper's table: with a ReLU on the hidden layer, single neurons mean something.

Ten features in five neurons. Dense: each of the five most important features has a neuron to itself, and all neurons
are monosemantic (blue). Sparser: more and more neurons serve several features (orange, hatched), and on the way both
kinds live in one model. With a linear hidden layer the hidden axes mean nothing, and W is rotated anyhow. Try one model
instead of twelve: single runs stop at worse minima. Or set DECAY to 1, where no feature is more important than another.
"""

import common

N_FEATURES = 10
N_HIDDEN = 5
DECAY = 0.75                                    # importance of feature i: DECAY^i
PROBABILITIES = [1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 0.04]
MODELS = 12                                     # at each p and seed; the best is looked at
STEPS = 2500
SEEDS = 2


def main(arguments=None):
    common.experiment("privileged-basis", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, decay=DECAY,
                      probabilities=PROBABILITIES, models=MODELS, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
