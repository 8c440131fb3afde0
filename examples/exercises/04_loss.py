"""4. The importance-weighted loss

goal        Write the loss of the paper: the mean over samples of the sum over features of I_i
            (x_i - x'_i)².
read        derivations/00-notation.md, "The loss sums over features"
difficulty  1 of 5
minutes     5

Check it with: python 04_loss.py
"""

from toymodels_np.teaching import check


def loss(x, output, importance):
    """A number, for x and output (B, n) and importance (n,)."""
    raise NotImplementedError


check(__file__)
