"""6. The gradient of a weight that is used twice

goal        In x' = relu(W'W x + b) the same W encodes and decodes. Write dL/dW of the loss of
            exercise 4. You will need dz of exercise 5.
read        derivations/02-backprop-by-hand.md, (2.5)
difficulty  3 of 5
minutes     25

Check it with: python 06_tied_weight.py
"""

import numpy as np

from toymodels_np.teaching import check


def gradient(W, b, x, importance):
    """dL/dW (m, n), for W (m, n), b (n,), x (B, n) and importance (n,)."""
    raise NotImplementedError


check(__file__)
