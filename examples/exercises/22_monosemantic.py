"""22. Neurons of one feature, and neurons of many

goal        In h = relu(W x), x' = relu(W'h + b), neuron j alone gives output i the slope s_ji =
            W_ji² if W_ji > 0, and else none. Its monosemanticity is max_i s_ji / Σ_i s_ji.
            Every neuron has a positive weight here.
read        derivations/11-privileged-basis.md, (11.3) and (11.4)
difficulty  2 of 5
minutes     10

Check it with: python 22_monosemantic.py
"""

import numpy as np

from toymodels_np.teaching import check


def monosemanticity(W):
    """One number a neuron (m,), for weights W (m, n)."""
    raise NotImplementedError


check(__file__)
