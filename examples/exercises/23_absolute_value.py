"""23. |x| with two neurons

goal        y' = relu(W2 relu(W1 x)), one feature and two neurons. W1 is given: one of its
            weights is positive and the other negative. Find W2 so that y' = |x| for all x.
read        derivations/12-computing-absolute-values.md; the paper, "Computation in
            Superposition"
difficulty  2 of 5
minutes     10

Check it with: python 23_absolute_value.py
"""

import numpy as np

from toymodels_np.teaching import check


def decoder(W1):
    """W2 (1, 2), for W1 (2, 1)."""
    raise NotImplementedError


check(__file__)
