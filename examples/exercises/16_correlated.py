"""16. Why friends stand at right angles and rivals back to back

goal        Two features have unit vectors with a given cosine, biases 0 and importance 1. Work
            out the expected loss if they are "independent" (each on with probability p),
            "correlated" (with probability p both are on, else none, their values are
            independent), or "anticorrelated" (with probability p one of them is on, each as
            often as the other). Plot it against the cosine.
read        derivations/01-sparse-features.md, (1.3) and (1.4); the paper, "Correlated and
            Anticorrelated Features"
difficulty  4 of 5
minutes     30

Check it with: python 16_correlated.py
"""

from toymodels_np.teaching import check


def cost(cosine, p, kind):
    """The expected loss of relu(W'W x), for a cosine from -1 to 1 and a kind of features."""
    raise NotImplementedError


check(__file__)
