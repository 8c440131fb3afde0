"""Streams of random numbers: who draws from which, in one place.

A stream is a function of (seed, number of the stream, instance) and of nothing else. So what one purpose draws never
depends on another purpose, and an instance draws the same numbers alone or in company.
"""

import numpy as np

INIT_STREAM = 0                 # initial parameters
TRAIN_STREAM = 1                # samples that training draws
SEARCH_STREAM = 2               # random starts of a search for minima
ABLATION_STREAM = 3             # samples on which neurons are switched off
ATTACK_STREAM = 4               # samples that are attacked
ESTIMATE_STREAM = 5             # shifts of the quasi-random samples of an estimate
EXCHANGE_STREAM = 6             # exchanges of features that a search for minima tries
CHECK_STREAM = 7                # the direction along which a gradient is checked
EXERCISE_STREAM = 8             # inputs of exercises
EVALUATION_STREAM = 9           # samples on which trained models are compared
CHANCE_STREAM = 10              # what chance would do: turns, displacements, shuffles


def random_stream(seed, stream, instance):
    """The generator of one instance for one purpose, a `stream` from the list above."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, instance)))
