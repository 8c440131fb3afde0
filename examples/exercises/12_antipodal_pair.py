"""12. Two features on one axis

goal        Two features share one hidden dimension, W = [[1, -1]], with biases 0. Work out the
            exact loss.
read        derivations/06-phase-changes.md, (6.1)
difficulty  3 of 5
minutes     20

Check it with: python 12_antipodal_pair.py
"""

from toymodels_np.teaching import check


def pair_loss(p, importance):
    """The expected loss, for a feature probability p of both and two importances (2,)."""
    raise NotImplementedError


check(__file__)
