"""1. Draw a batch of sparse features

goal        Draw x: feature i is on with probability p_i, independently of all others, and then
            uniform in [0, 1]; else it is 0. Draw from `rng` first who is on, all of the batch
            at once, and then the values, all of the batch at once: then your numbers are those
            of the package.
read        derivations/01-sparse-features.md, up to (1.4)
difficulty  1 of 5
minutes     10

Check it with: python 01_sampler.py
"""

import numpy as np

from toymodels_np.teaching import check


def sample(p, batch_size, seed):
    """x (batch_size, n) for feature probabilities p (n,)."""
    rng = np.random.default_rng(seed)
    raise NotImplementedError


check(__file__)
