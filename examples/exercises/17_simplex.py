"""17. k + 1 features in k dimensions, all alike

goal        Build k + 1 unit vectors in k dimensions with the same cosine between any two. Any
            rotation of the right answer is right.
read        derivations/08-polytopes-and-tegum-products.md, (8.2)
difficulty  3 of 5
minutes     20

Check it with: python 17_simplex.py
"""

import numpy as np

from toymodels_np.teaching import check


def simplex(k):
    """W (k, k + 1), with a unit vector a column."""
    raise NotImplementedError


check(__file__)
