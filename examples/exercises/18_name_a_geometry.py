"""18. The name of a shape, from its Gram matrix

goal        Name a geometry from G = W'W. It is one of "2 orthogonal", "digon" (an antipodal
            pair), "digon + dropped", "triangle", "2 digons", "3 digons", "tetrahedron" or
            "pentagon". Features may come in another order, and all be longer or shorter than 1.
read        derivations/08-polytopes-and-tegum-products.md, up to (8.9)
difficulty  3 of 5
minutes     20

Check it with: python 18_name_a_geometry.py
"""

import numpy as np

from toymodels_np.teaching import check


def name(G):
    """The name, for a Gram matrix G (n, n)."""
    raise NotImplementedError


check(__file__)
