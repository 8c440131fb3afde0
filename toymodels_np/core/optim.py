"""Adam and AdamW as pure updates, and learning-rate schedules.

    theta  parameters          alpha  learning rate       t       step, from 1
    g      gradients           m, v   running means of g and g^2, as `mean` and `square`

Equations (3.k) are in derivations/03-adam.md. Kingma and Ba 2015; Loshchilov and Hutter 2019.
"""

from typing import NamedTuple

import numpy as np

from . import checks
from .arrays import array_module

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8         # Kingma and Ba's


class AdamState(NamedTuple):
    """Steps taken so far, and the running means of g and of g^2, each like the parameters."""

    t: int
    mean: tuple
    square: tuple

    @classmethod
    def zeros_like(cls, parameters):
        zeros = [array_module(a).zeros_like(a) for a in parameters]
        return cls(0, tuple(zeros), tuple(a.copy() for a in zeros))


def step_and_floor(t, learning_rate, beta1=BETA1, beta2=BETA2, epsilon=EPSILON):
    """The numbers of step t: Adam moves by step * mean / (sqrt(square) + floor)."""
    root = (1 - beta2**t) ** 0.5
    return learning_rate * root / (1 - beta1**t), epsilon * root                      # (3.3), (3.4)


def adam(parameters, gradients, state, learning_rate, *, beta1=BETA1, beta2=BETA2, epsilon=EPSILON):
    """One Adam step: parameters and state in, the new ones out. Nothing is changed in place."""
    t = state.t + 1
    mean = tuple(beta1 * m + (1 - beta1) * g                                            # (3.1)
                 for m, g in zip(state.mean, gradients))
    square = tuple(beta2 * v + (1 - beta2) * g * g                                      # (3.2)
                   for v, g in zip(state.square, gradients))
    step, floor = step_and_floor(t, learning_rate, beta1, beta2, epsilon)
    updated = tuple(theta - step * (m / (v**0.5 + floor))                                    # (3.5)
                    for theta, m, v in zip(parameters, mean, square))
    return updated, AdamState(t, mean, square)


def adamw(parameters, gradients, state, learning_rate, *, weight_decay=0.01, **betas):
    """One AdamW step: parameters shrink by learning_rate * weight_decay, then Adam's step. (3.6)"""
    decayed = tuple(theta * (1 - learning_rate * weight_decay) for theta in parameters)
    return adam(decayed, gradients, state, learning_rate, **betas)


SCHEDULES = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,                                               # (3.7)
    "cosine": lambda progress: 0.5 * (1.0 + np.cos(np.pi * progress)),                       # (3.8)
}


def schedule(name, learning_rate, steps):
    """A function from step to the learning rate there; "linear" and "cosine" are 0 at `steps`."""
    factor = SCHEDULES[checks.choice("schedule", name, tuple(SCHEDULES))]
    return lambda step: float(learning_rate * factor(step / steps))
