"""5. From the loss back through the ReLU

goal        The model's output is relu(z), and the loss is that of exercise 4. Write the
            gradient dL/dz.
read        derivations/02-backprop-by-hand.md, (2.2) and (2.8)
difficulty  2 of 5
minutes     15

Check it with: python 05_backward.py
"""

import numpy as np

from toymodels_np.teaching import check


def backward(z, x, importance):
    """dL/dz (B, n), for z and the target x (B, n) and importance (n,)."""
    raise NotImplementedError


check(__file__)
