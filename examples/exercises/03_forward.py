"""3. The ReLU output model

goal        Write x' = relu(W'W x + b) for a batch. Column i of W is the direction of feature i;
            rows of x are samples.
read        derivations/02-backprop-by-hand.md, (2.7); the paper, "Demonstrating Superposition"
difficulty  1 of 5
minutes     10

Check it with: python 03_forward.py
"""

import numpy as np

from toymodels_np.teaching import check


def forward(W, b, x):
    """The output x' (B, n) for weights W (m, n), bias b (n,) and a batch x (B, n)."""
    raise NotImplementedError


check(__file__)
