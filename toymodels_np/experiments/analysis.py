"""The paper's analysis of the loss, for rows 2 and 5: nothing in it is trained.

With n independent features of one probability p, samples are grouped by how many are active:

    L = Σ_k p^k (1 − p)^(n−k) L_k          L_0 = Σ_i I_i relu(b_i)²

L_1 is what single active features cost. Without biases, columns of length 1 are points on a sphere
that push each other away if they are less than a right angle apart, and not beyond: a generalised
Thomson problem, in which negative interference is free. The L_k are read off exact losses at n + 1
probabilities and compared with these formulas, on models drawn with each seed.
"""

import numpy as np
import scipy

from ..core.features import Features
from ..core.models import ReluOutput
from ..core.streams import CHANCE_STREAM, random_stream
from ..geometry.measures import cosines, gram, norms
from ..theory.exact.loss import expected_loss
from .claims import Claim

SECTION = "Demonstrating Superposition"
POINTS, ROOM = 6, 3                     # features and dimensions of the models that are drawn
ANGLES = np.linspace(95, 180, 18)       # degrees between two columns: negative interference
CORNERS = range(3, 9)                   # of the simplexes


def by_active_features(W, b, importance):
    """L_k (n + 1,) of the ReLU output model W (m, n), b (n,), from its exact losses."""
    n = W.shape[1]
    p = np.sin(np.pi * (np.arange(n + 1) + 0.5) / (2 * n + 2)) ** 2         # Chebyshev's nodes
    laws = Features(n, p[:, None], importance)
    losses = expected_loss(ReluOutput(*(np.stack([a] * (n + 1)) for a in (W, b))), laws)
    k = np.arange(n + 1)
    return np.linalg.solve(p[:, None] ** k * (1 - p[:, None]) ** (n - k), losses)


def single(W, b, importance, others=True):
    """L_1 by its formula: each feature j alone, active, x Uniform[0, 1]; `others` says whether
    outputs but j's count.
    """
    nodes, weights = np.polynomial.legendre.leggauss(4)
    total, G = 0.0, gram(W)
    for i, j in np.ndindex(G.shape):                    # output i, and feature j active
        if i != j and not others:
            continue
        g, c = G[i, j], b[i]
        kink = np.clip(-c / g, 0, 1) if g else 0.0      # a polynomial on either side of it
        for low, high in ((0, kink), (kink, 1)):
            x = low + (high - low) * (nodes + 1) / 2
            error = (x if i == j else 0) - np.maximum(g * x + c, 0)
            total += importance[i] * (high - low) / 2 * weights @ error**2
    return total


def drawn(seed):
    """W, b and importances of a model of no meaning."""
    rng = random_stream(seed, CHANCE_STREAM, 0)
    return (rng.normal(scale=ROOM**-0.5, size=(ROOM, POINTS)), rng.normal(scale=0.3, size=POINTS),
            rng.uniform(0.5, 1, POINTS))


def misses(runs, others=True):
    """How far L_0 and L_1 of the exact loss are from their formulas, relative to the larger one,
    since L_0 is 0 where no bias is positive; one a seed.
    """
    found = []
    for run in runs:
        W, b, importance = drawn(run["seed"])
        formulas = np.array([importance @ np.maximum(b, 0) ** 2, single(W, b, importance, others)])
        apart = abs(by_active_features(W, b, importance)[:2] - formulas)
        found.append(apart.max() / formulas.max())
    return found


def points(seed):
    """Columns of length 1, (m, n)."""
    W, *_ = drawn(seed)
    return W / norms(W)


def repulsion_misses(runs, energy=lambda cosine: np.maximum(cosine, 0) ** 2 / 3):
    """How far L_1 of points on a sphere is from the sum of `energy` over all pairs, relative."""
    found = []
    for run in runs:
        W, off = points(run["seed"]), ~np.eye(POINTS, dtype=bool)
        exact = by_active_features(W, np.zeros(POINTS), np.ones(POINTS))[1]
        found.append(abs(energy(gram(W)[off]).sum() / exact - 1))
    return found


def costs_of_angles(_, angles=ANGLES):
    """L_1 of two columns of length 1 so many degrees apart, less that at a right angle."""
    turns = np.radians(np.append(90, angles))
    costs = [by_active_features(np.array([[1, np.cos(t)], [0, np.sin(t)]]), np.zeros(2),
                                np.ones(2))[1] for t in turns]
    return abs(np.array(costs[1:]) - costs[0])


def simplex_misses(_, first=1.0):
    """How far the cosines of W ⟂ (first, 1, …, 1) are from -1/(n - 1), the simplex'; one an n."""
    found = []
    for n in CORNERS:
        W = scipy.linalg.null_space(np.append(first, np.ones(n - 1))[None]).T   # (n - 1, n)
        found.append(abs(cosines(W)[~np.eye(n, dtype=bool)] + 1 / (n - 1)).max())
    return found


CLAIMS = (
    Claim("loss-by-active-features", SECTION,
          "The loss is a sum over the number of active features; with none it is "
          "Σ I_i relu(b_i)², with one a sum over pairs: the relative difference.",
          misses, high=1e-9, summary="largest", kind="identity",
          control=lambda runs: misses(runs, others=False),
          expected="at most 1e-9; the control leaves out what one feature does to others"),
    Claim("one-active-feature-is-a-thomson-problem", SECTION,
          "With one active feature columns of length 1 are points on a sphere that push each other "
          "away: the cost is a sum over pairs of relu(cos)²/3, to a relative difference.",
          repulsion_misses, high=1e-9, summary="largest", kind="identity",
          control=lambda runs: repulsion_misses(runs, lambda cosine: cosine**2 / 3),
          expected="at most 1e-9; the control counts negative cosines, too"),
    Claim("negative-interference-is-free", SECTION,
          "With one active feature negative interference is free: what two columns more than a "
          "right angle apart cost beyond two at a right angle.",
          costs_of_angles, high=1e-12, summary="largest", kind="identity",
          control=lambda runs: costs_of_angles(runs, 180 - ANGLES),
          expected="at most 1e-12; the control is less than a right angle"),
)
SIMPLEX = Claim("orthogonal-to-all-ones-is-the-simplex", "Superposition as a Phase Change",
                "W ⟂ (1, …, 1) is the regular simplex: how far the cosines of three to eight "
                "features are from those of its corners.", simplex_misses, high=1e-12,
                summary="largest", kind="identity",
                control=lambda runs: simplex_misses(runs, first=0.0),
                expected="at most 1e-12; the control is W ⟂ (0, 1, …, 1)")
