"""Row 17 of the paper's table: absolute values of six features with ten neurons, two fewer than their twelve sides.

A neuron then stores two features unequally: it reads one strongly and writes it weakly, and the other the other way
round. A second neuron inhibits the output that the first would wrongly excite; without that one weight the loss is many
times larger. Nine in ten starts learn it, and with N_ROOM neurons, enough for every side, none does. Try N_HIDDEN = 8
or 11: how many motifs does a model have for each neuron that it lacks? Or P = 0.6: features often are on together.
"""

import common

N_FEATURES = 6
N_HIDDEN = 10
N_ROOM = 12                                     # the control: a neuron for every side of every feature
DECAY = 0.8                                     # importance of feature i: DECAY^i
P = 0.2
MODELS = 20                                     # starts of either kind, none picked
STEPS = 4000
SEEDS = 1


def main(arguments=None):
    common.experiment("asymmetric-motif", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, room=N_ROOM,
                      decay=DECAY, feature_probability=P, models=MODELS, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
