"""8. Why the shares add up to the rank at most

goal        Write the leverage scores W_i' (WW')^+ W_i, where ^+ is the pseudoinverse. Then
            compare, on a few W, with exercise 7: which is larger, and what do both add up to?
read        derivations/07-feature-dimensionality.md, (7.3) and (7.4)
difficulty  3 of 5
minutes     15

Check it with: python 08_rank.py
"""

import numpy as np

from toymodels_np.teaching import check


def leverage(W):
    """The leverage scores (n,), for weights W (m, n)."""
    raise NotImplementedError


check(__file__)
