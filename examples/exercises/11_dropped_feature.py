"""11. What a feature costs that has no direction

goal        If W_i = 0, output i is a constant c = relu(b_i). Find the bias for which I E[(x_i -
            c)²] is lowest, and that loss.
read        derivations/05-energies.md, (5.6)
difficulty  2 of 5
minutes     10

Check it with: python 11_dropped_feature.py
"""

from toymodels_np.teaching import check


def dropped(p, importance):
    """(best bias, lowest loss), for a feature probability p and an importance."""
    raise NotImplementedError


check(__file__)
