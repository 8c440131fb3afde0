"""7. A feature's share of a dimension

goal        Write the paper's feature dimensionality D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)², where Ŵ_i
            = W_i / ‖W_i‖ and the sum runs over all features, i among them. No column of W is
            zero here.
read        derivations/07-feature-dimensionality.md, (7.1); the paper, "The Geometry of
            Superposition"
difficulty  2 of 5
minutes     10

Check it with: python 07_dimensionality.py
"""

import numpy as np

from toymodels_np.teaching import check


def dimensionality(W):
    """D (n,), for weights W (m, n)."""
    raise NotImplementedError


check(__file__)
