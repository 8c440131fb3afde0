"""Proofs in ball arithmetic: stationary points, global minima of one hidden dimension, an atlas.

    enclose      loss, gradient and Hessian on a box      local     one stationary point
    certificate  what was proved, on disk and back        check     the independent checker
    bounds       one output bounded below on a box        boxes     the tests that settle a box
    overall      branch and bound                         atlas     certified points on disk
    tube, rows   a polygon on an interval of p            climb     saddles to be proved
    proved       long proofs on disk

`check.py` shares nothing with the others. All but it need python-flint only once they are called.
"""


def check_certificate(path_or_dict):
    """True if everything that a certificate says is proved anew by the independent checker.

    path_or_dict : a file that `Certificate.save` wrote, or the dict of `Certificate.to_dict`
    Raises ValueError with the first thing that is not so, ImportError without python-flint.
    """
    from .enclose import flint
    flint()
    from .check import check_certificate as check
    return check(path_or_dict)
