"""25. The best small attack

goal        Move each sample x of a batch by a delta of length epsilon so that the loss Σ_i
            (x'_i(x + delta) - x_i)² gets as large as possible. Try delta = ± epsilon G_i /
            ‖G_i‖ for each row of G = W'W, and return the largest loss of each sample. Targets
            stay those of the clean x; importances are 1, and no column of W is zero.
read        derivations/10-adversarial-examples.md, (10.4)
difficulty  4 of 5
minutes     30

Check it with: python 25_attack.py
"""

import numpy as np

from toymodels_np.teaching import check


def attacked_loss(W, b, x, epsilon):
    """The largest losses (B,), for W (m, n), b (n,), x (B, n) and a number epsilon."""
    raise NotImplementedError


check(__file__)
