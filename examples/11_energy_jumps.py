"""Row 11 of the paper's table: features that jump between shares of a dimension while the model learns.

All features are equally important and end as digons (share 1/2) or dropped (0). On the way single features jump. Does
the loss fall faster at these steps than around them? By how much, and how often chance does as well, is what is
measured. A smaller LEARNING_RATE with more STEPS pulls the jumps apart; PROBABILITY = 0.2 has more shapes to end in.
"""

import common

N_FEATURES = 80
N_HIDDEN = 20
PROBABILITY = 0.3
STEPS = 9000
BATCH_SIZE = 256
LEARNING_RATE = 1e-3
RECORD_EVERY = 30                               # steps
SEEDS = 4


def main(arguments=None):
    common.experiment("energy-jumps", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN,
                      probability=PROBABILITY, steps=STEPS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
                      record_every=RECORD_EVERY, seeds=SEEDS)


if __name__ == "__main__":
    main()
