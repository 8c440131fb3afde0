"""13. E relu(a·u + b)² for one and for two features

goal        With u uniform in [0, 1], work out the mean of relu(a_0 u_0 + b)², and of relu(a_0
            u_0 + a_1 u_1 + b)². No entry of a is 0; it has one or two entries.
read        derivations/05-energies.md, (5.3)
difficulty  4 of 5
minutes     30

Check it with: python 13_mean_square.py
"""

import numpy as np

from toymodels_np.teaching import check


def mean_square(a, b):
    """The mean, for coefficients a, an array (1,) or (2,), and a number b."""
    raise NotImplementedError


check(__file__)
