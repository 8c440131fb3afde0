"""14. What a pentagon costs, one feature at a time

goal        Five features form a regular pentagon: W_i has length `norm` and points at the angle
            2π i/5, and all biases are `bias`, which is not positive. Exactly one feature is on,
            with a value u uniform in [0, 1]. Work out the mean of Σ_i (x_i - x'_i)².
read        derivations/05-energies.md, (5.7); exercise 13
difficulty  4 of 5
minutes     30

Check it with: python 14_pentagon.py
"""

import numpy as np

from toymodels_np.teaching import check


def pentagon_loss(norm, bias):
    """The expected loss if one feature is on."""
    raise NotImplementedError


check(__file__)
