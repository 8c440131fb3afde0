"""Streams of random numbers: who draws from which, in one place.

A stream is a function of (seed, number of the stream, instance) and of nothing else. So what one
purpose draws never depends on another, and an instance draws the same alone or in company.
"""

import numpy as np
from tqdm.auto import tqdm

from . import checks

INIT_STREAM = 0                 # initial parameters
TRAIN_STREAM = 1                # samples that training draws
SEARCH_STREAM = 2               # random starts of a search for minima
ABLATION_STREAM = 3             # samples on which neurons are switched off
ATTACK_STREAM = 4               # samples that are attacked
ESTIMATE_STREAM = 5             # shifts of the quasi-random samples of an estimate
CHECK_STREAM = 7                # the direction along which a gradient is checked
EXERCISE_STREAM = 8             # inputs of exercises
EVALUATION_STREAM = 9           # samples on which trained models are compared
CHANCE_STREAM = 10              # what chance would do: turns, displacements, shuffles
WORDS = 6                       # uint64 numbers that say where a generator stands


def random_stream(seed, stream, instance):
    """The generator of one instance for one purpose, a `stream` from the list above."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, instance)))


def training_streams(seed, count, progress=None):
    """Where the streams of samples of `count` instances begin: (count, WORDS) uint64."""
    every = tqdm(range(count), unit="stream", desc="streams", **checks.progress(progress and None))
    return np.array([position(random_stream(seed, TRAIN_STREAM, i).bit_generator.state)
                     for i in every])


def position(state):
    """The state of a PCG64 generator as WORDS uint64: two of 128 bits, and what a draw left."""
    long = [state["state"][name] >> shift & 2**64 - 1 for name in ("state", "inc")
            for shift in (64, 0)]
    return np.array([*long, state["has_uint32"], state["uinteger"]], np.uint64)


def generator_at(words):
    """A PCG64 generator whose state `position` wrote as these words."""
    high, low, inc_high, inc_low, has, left = map(int, words)
    words = {"state": high << 64 | low, "inc": inc_high << 64 | inc_low}
    bits = np.random.PCG64(0)
    bits.state = {"bit_generator": "PCG64", "state": words, "has_uint32": has, "uinteger": left}
    return np.random.Generator(bits)
