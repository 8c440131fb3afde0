"""10. A rotation that nobody sees, and one that everybody sees

goal        Turn the hidden space of two models by an angle, W -> Q W with Q = [[cos, -sin],
            [sin, cos]]. Return the largest change of any output, over all of the batch, first
            for x' = relu(W'W x + b), then for x' = relu(W' relu(W x) + b). There are two hidden
            dimensions.
read        derivations/11-privileged-basis.md; the paper, "Superposition in a Privileged Basis"
difficulty  2 of 5
minutes     20

Check it with: python 10_rotation.py
"""

import numpy as np

from toymodels_np.teaching import check


def changes(W, b, x, angle):
    """(change of the first model, change of the second), for W (2, n), b (n,) and x (B, n)."""
    raise NotImplementedError


check(__file__)
