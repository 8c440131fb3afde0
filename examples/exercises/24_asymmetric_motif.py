"""24. Two features in one neuron, and another neuron that repairs it

goal        A neuron serves features a and b: it reads them with weights read = (read_a, read_b)
            and writes their outputs with write = (write_a, write_b). It reads a more strongly
            and writes b more strongly. Return its asymmetry, sqrt((|read_a| / |read_b|)
            (write_b / write_a)), and the weight with which a second neuron, that reads x_a with
            weight 1, has to write output b so that x_a does not excite it.
read        derivations/12-computing-absolute-values.md, (12.4) to (12.6)
difficulty  3 of 5
minutes     15

Check it with: python 24_asymmetric_motif.py
"""

import numpy as np

from toymodels_np.teaching import check


def motif(read, write):
    """(asymmetry, the second neuron's weight to output b), for two arrays (2,)."""
    raise NotImplementedError


check(__file__)
