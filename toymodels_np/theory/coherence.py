"""The lowest loss of weights whose columns are nearly orthogonal, by SciPy's SLSQP.

    c   a bound on |cos| between any two columns of W, the coherence

The bound is c |W_i| |W_j| -+ W_i . W_j >= 0 for all pairs. It holds where a column is zero: such
features are dropped, and each choice of dropped features is a search of its own.
"""

from itertools import combinations

import numpy as np

from ..geometry.measures import norms
from ..geometry.tegum import name_geometry
from .descent import evaluate, pack, unpack

SUBSETS = 40                # choices of kept features that are tried
ROOT = 1e-12                # under the roots, so that they have slopes at zero columns
ACTIVE = 1e-6               # a bound that is met to so much counts


def coherent_minimum(task, starts, bound, unit, watch, record):
    """The `record` (the class Minimum) of the lowest point with coherence `bound` that is found
    from the stack `starts` and from choices of kept features.
    """
    raise NotImplementedError
