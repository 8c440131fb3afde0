"""Penalties on the weights, as terms of a loss with their gradients by hand.

    W   (..., m, n)  column i is feature i's direction      G   W'W          o   the matrix G less
    lam  how much interference costs                        mu  weight decay     its diagonal

    R(W) = lam sum_{i != j} (W_i . W_j)^2 + mu ||W||^2                                      (14.1)

R does not change with the data, so that every loss, sampled or exact, takes it as it is: training
as well as the theory. Equations (14.k) are in derivations/14-penalties.md.
"""

from typing import NamedTuple

import numpy as np

from .core import checks
from .core.arrays import array_module, transpose
from .core.models import Linear

LARGEST = 1e100             # of its factors, so that squares of gradients fit into float64


class Penalty(NamedTuple):
    """R(W), by its two factors. A penalty that is zero is false."""

    interference: float = 0.0
    weight_decay: float = 0.0

    def __bool__(self):
        return bool(self.interference != 0 or self.weight_decay != 0)

    def value(self, W):
        """R(W), (...), for W (..., m, n)."""
        return self.value_and_grad(W)[0]

    def value_and_grad(self, W):
        """R(W), (...), and dR/dW (..., m, n). (14.1), (14.2)"""
        G = transpose(W) @ W                                            # (..., n, n)
        off = G * (1 - array_module(G).eye(G.shape[-1], dtype=G.dtype))
        R = self.interference * (off * off).sum((-1, -2))
        R = R + self.weight_decay * (W * W).sum((-1, -2))
        return R, 4 * self.interference * (W @ off) + 2 * self.weight_decay * W

    def on(self, loss, gradient, parameters):
        """The loss (...), or None, and a list of gradients, with R's added for the first of the
        parameters: arrays as a model has them, W first.
        """
        R, dR = self.value_and_grad(parameters[0])
        return None if loss is None else loss + R, [gradient[0] + dR, *gradient[1:]]

    def hessian_product(self, W, V):
        """The derivative of dR/dW along V, both (..., m, n). (14.3)"""
        mask = 1 - np.eye(W.shape[-1])
        off = (transpose(W) @ W) * mask
        move = (transpose(V) @ W + transpose(W) @ V) * mask
        return 4 * self.interference * (V @ off + W @ move) + 2 * self.weight_decay * V

    def in_units_of(self, unit):
        """The same penalty where the importances have been divided by `unit`."""
        return Penalty(float(self.interference / unit), float(self.weight_decay / unit))


NONE = Penalty()


def penalty(interference=0.0, weight_decay=0.0, names=Penalty._fields):
    """The Penalty of two numbers, the first at least 0; else TypeError or ValueError."""
    return Penalty(checks.real(names[0], interference, minimum=0, maximum=LARGEST),
                   checks.real(names[1], weight_decay, minimum=-LARGEST, maximum=LARGEST))


def check_bounded(penalty, model, features, name="weight_decay"):
    """ValueError where the loss of `model`, a class, has no W to punish, or where with this penalty
    it has no minimum, `name` being that of the argument. (14.4)

    Negative weight decay pays for size. An output ReLU can always be switched off by its bias, so
    that size costs nothing; the linear model cannot, unless a feature has no importance.
    """
    names = model.parameter_shapes
    if penalty and next(iter(names.items())) != ("W", "mn"):
        raise ValueError(f"a penalty acts on W, and {model.__name__} has the parameters "
                         f"{', '.join(names)}")
    if penalty.weight_decay >= 0:
        return
    start = (f"{name}={penalty.weight_decay:g}: the loss has no minimum, since it falls "
             f"without end")
    if model is not Linear:
        raise ValueError(f"{start} as W grows while the biases keep all outputs off; "
                         f"take a {name} of at least 0, or the Linear model")
    useless = np.flatnonzero(np.atleast_2d(features.importance).min(0) == 0)
    if len(useless):
        raise ValueError(f"{start} as the column of feature {useless[0]} grows, whose importance "
                         f"is 0; take a {name} of at least 0")
