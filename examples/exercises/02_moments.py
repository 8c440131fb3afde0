"""2. Mean and variance of a sparse feature

goal        Work out E[x_i] and Var[x_i] of a feature that is on with probability p_i and then
            uniform in [0, 1]. Return formulas and no estimates.
read        derivations/01-sparse-features.md, (1.5)
difficulty  1 of 5
minutes     10

Check it with: python 02_moments.py
"""

from toymodels_np.teaching import check


def moments(p):
    """(mean, variance), both (n,), for feature probabilities p (n,)."""
    raise NotImplementedError


check(__file__)
