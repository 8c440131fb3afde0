"""9. How far others reach into a feature's direction

goal        Write Σ_{j≠i} (Ŵ_i · W_j)², the interference that feature i suffers from all others.
            No column of W is zero here.
read        the paper, "Demonstrating Superposition"; toymodels_np/geometry/measures.py
difficulty  2 of 5
minutes     10

Check it with: python 09_interference.py
"""

import numpy as np

from toymodels_np.teaching import check


def interference(W):
    """The interference (n,), for weights W (m, n)."""
    raise NotImplementedError


check(__file__)
