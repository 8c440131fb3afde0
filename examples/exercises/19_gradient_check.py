"""19. Is this gradient right?

goal        Somebody claims to know the gradient of a loss at theta. Say whether that is true,
            by differences of the loss: never trust a backward pass that you have not checked. A
            gradient of which one component is wrong by a thousandth is wrong, and losses may be
            as small as 1e-6. The losses are smooth.
read        derivations/02-backprop-by-hand.md, (2.14); toymodels_np/core/gradcheck.py
difficulty  3 of 5
minutes     25

Check it with: python 19_gradient_check.py
"""

import numpy as np

from toymodels_np.teaching import check


def is_right(loss, theta, claimed):
    """True or False, for a function loss(theta) -> number, theta (P,) and claimed (P,)."""
    raise NotImplementedError


check(__file__)
