"""Saddles of index 1, sought in floats: what is found is a guess, for `certify` to prove or refuse.

    theta (P,)  W row by row, then b       g, H  gradient and Hessian of the exact loss
"""

import numpy as np
from tqdm.auto import tqdm

from ...core import checks
from ...core.models import ReluOutput
from ..curvature import DIFFERENCE
from ..descent import pack, unpack
from ..estimate import check_pair
from ..exact.loss import expected_loss_and_grad

LONGEST = 0.1               # step of theta at once
FLAT = 1e-7                 # eigenvalues below this part of the largest are left alone


def climb_to_saddle(model, features, *, steps=100, tolerance=1e-9, progress=None):
    """Walk up along the softest direction and down along all others, to a saddle: a ReluOutput.

    model : single ReluOutput to start from       features : Features
    progress : whether there is a bar of the steps; None for one on a terminal
    Returns None where the gradient's norm is not below `tolerance` after so many steps. Raises
    TypeError or ValueError on bad arguments.
    """
    if not isinstance(model, ReluOutput) or model.instances:
        raise TypeError(f"model must be a single ReluOutput, got {model!r}")
    check_pair(model, features)
    checks.single(features)
    steps, tolerance = checks.integer("steps", steps), checks.real("tolerance", tolerance, above=0)
    theta = pack(model)
    checks.memory("model", 64 * theta.size**2)
    with tqdm(total=steps, desc="saddle", unit="step", **checks.progress(progress)) as bar:
        for _ in range(steps):
            g, H = slopes(model, theta, features)
            if np.linalg.norm(g) < tolerance:
                return unpack(model, theta)
            step = _step(g, H)
            if step is None:
                return None
            theta = theta + step * min(1, LONGEST / np.linalg.norm(step))
            bar.update()
    return None


def _step(g, H):
    """Newton's step (P,) with its softest direction turned round; None where nothing bends."""
    values, vectors = np.linalg.eigh(H)
    steep = abs(values) > FLAT * abs(values).max()
    along = vectors.T @ g
    if not along[steep].any():
        return None
    step = -along / np.where(steep, abs(values), np.inf)
    up = int(np.flatnonzero(steep)[0])
    step[up] = -step[up]
    return vectors @ step


def slopes(model, theta, features):
    """The gradient (P,) and the Hessian (P, P) of the exact loss at theta."""
    P = len(theta)
    shifts = DIFFERENCE * np.concatenate([np.zeros((1, P)), np.eye(P), -np.eye(P)])
    _, gradient = expected_loss_and_grad(unpack(model, theta + shifts), features)
    g = pack(gradient)                                                  # (2 P + 1, P)
    H = (g[1:P + 1] - g[P + 1:]) / (2 * DIFFERENCE)
    return g[0], (H + H.T) / 2
