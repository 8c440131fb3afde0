"""21. A plateau and its saddle

goal        A correlated set of k features starts from tiny weights. At W = 0, b = E[x] the loss
            has a saddle, and the flow dθ/dt = -dL/dθ rests near it. Work out the loss there,
            and the fastest rate at which W grows away from it: W(t) ~ exp(rate t). Importances
            are 1.
read        derivations/09-gradient-flow.md, "The first saddle"; derivations/01-sparse-
            features.md, (1.6)
difficulty  4 of 5
minutes     30

Check it with: python 21_plateau.py
"""

import numpy as np

from toymodels_np.teaching import check


def plateau(p, k):
    """(loss on the plateau, rate of growth), for a correlated set of k with probability p."""
    raise NotImplementedError


check(__file__)
