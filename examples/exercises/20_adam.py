"""20. One step of Adam

goal        Write step t of Adam, t = 1, 2, …, with beta1 = 0.9, beta2 = 0.999 and epsilon =
            1e-8: the running means of g and of g², their bias correction, and the step. `mean`
            and `square` are the running means before the step, without correction.
read        derivations/03-adam.md, (3.1) to (3.5)
difficulty  3 of 5
minutes     20

Check it with: python 20_adam.py
"""

import numpy as np

from toymodels_np.teaching import check


def adam(theta, g, mean, square, t, learning_rate):
    """The new (theta, mean, square), all (P,), for arrays (P,), a step t >= 1 and a number."""
    raise NotImplementedError


check(__file__)
