"""Exercises on the models: forward, loss, and the backward pass by hand.

    z  (B, n)  what the output ReLU sees        output  (B, n)  x', what the model returns
"""

import numpy as np

from ...core.features import Features
from ...core.models import Linear, ReluHidden, ReluOutput
from ..draw import POSITIVE
from ..exercise import Exercise, Mistake


def _relu(z):
    return np.maximum(z, 0)


def _model_inputs(draw):
    m = draw.integer(1, 2)
    n = draw.integer(m, 3)
    return draw.array(m, n), draw.array(n), draw.array(draw.integer(1, 3), n)


def _importance(draw, n):
    return draw.array(n, values=POSITIVE)


# -- 3: forward

FORWARD = Exercise(
    name="03_forward", title="the ReLU output model", function="forward",
    inputs=_model_inputs, answer=lambda W, b, x: ReluOutput(W, b).forward(x),
    mistakes=(
        Mistake("the output has no ReLU: that is the linear model",
                lambda W, b, x: Linear(W, b).forward(x)),
        Mistake("the hidden layer has a ReLU too, which makes the basis privileged",
                lambda W, b, x: ReluHidden(W, b).forward(x)),
        Mistake("the bias is subtracted", lambda W, b, x: _relu(x @ W.T @ W - b)),
        Mistake("the bias is added after the ReLU", lambda W, b, x: _relu(x @ W.T @ W) + b),
        Mistake("the bias is missing", lambda W, b, x: _relu(x @ W.T @ W)),
        Mistake("both the bias and the ReLU are missing", lambda W, b, x: x @ W.T @ W),
        Mistake("the ReLU is that of the hidden layer, and the output has none",
                lambda W, b, x: _relu(x @ W.T) @ W + b),
        Mistake("the bias is added to x, before W encodes it",
                lambda W, b, x: _relu((x + b) @ W.T @ W)),
        Mistake("outputs are cut off at 1, too, and a ReLU cuts at 0 alone",
                lambda W, b, x: np.clip(x @ W.T @ W + b, 0, 1)),
        Mistake("W is not tied: its absolute value decodes",
                lambda W, b, x: _relu(x @ W.T @ abs(W) + b))),
    hints=("For one sample, h = W x and x' = relu(W'h + b). Rows of x are samples, so h is "
           "x @ W.T.",
           "np.maximum(h @ W + b, 0)"),
    solution="core.models:ReluOutput._forward", line="return _relu(z), (h, z)",
    shown="Squeezed through m < n dimensions, features disturb each other; the bias and the ReLU "
          "cut small disturbances off. Without that ReLU there would be no superposition.")


# -- 4: loss

def _loss_inputs(draw):
    B, n = draw.integer(1, 3), draw.integer(1, 3)
    return draw.array(B, n), draw.array(B, n), _importance(draw, n)


def _loss(x, output, importance):
    rows = Linear(np.zeros((len(x), 1, x.shape[1])), output)        # each answers its own row
    return rows.loss(x[:, None, :], Features(x.shape[1], 1.0, importance)).mean()


def _mean_of(each):
    """The mistake whose loss is the mean over samples of Σ_i each(x, output, importance)."""
    return lambda x, output, importance: each(x, output, importance).sum(-1).mean()


LOSS = Exercise(
    name="04_loss", title="the importance-weighted loss", function="loss",
    inputs=_loss_inputs, answer=_loss,
    mistakes=(
        Mistake("the loss is a mean over features instead of a sum over them",
                lambda x, output, importance: (importance * (x - output) ** 2).mean()),
        Mistake("the importance multiplies x and not the error",
                _mean_of(lambda x, output, importance: (importance * x - output) ** 2)),
        Mistake("the importance is squared with the error",
                _mean_of(lambda x, output, importance: (importance * (x - output)) ** 2)),
        Mistake("samples are summed up instead of averaged",
                lambda x, output, importance: (importance * (x - output) ** 2).sum()),
        Mistake("the importance is left out",
                _mean_of(lambda x, output, importance: (x - output) ** 2)),
        Mistake("the axes are mixed up: a sum over samples of a mean over features",
                lambda x, output, importance: (importance * (x - output) ** 2).mean(1).sum()),
        Mistake("it is the mean of all squares, without importances and without a sum over "
                "features", lambda x, output, importance: ((x - output) ** 2).mean()),
        Mistake("importances are scaled to add up to 1, as np.average does with weights",
                _mean_of(lambda x, output, importance: (
                    importance / importance.sum() * (x - output) ** 2))),
        Mistake("the loss is a root, as in a root mean square",
                lambda x, output, importance: (
                    importance * (x - output) ** 2).sum(1).mean() ** 0.5),
        Mistake("the error is not squared",
                _mean_of(lambda x, output, importance: importance * abs(x - output))),
        Mistake("there is a factor ½ that the paper's loss has not",
                _mean_of(lambda x, output, importance: importance * (x - output) ** 2 / 2))),
    hints=("Sum over features, which are columns; average over samples, which are rows.",
           "The importance I_i multiplies the square: Σ_i I_i (x_i - x'_i)²."),
    solution="core.models:Model._loss", line="products.reshape",
    shown="The loss is a mean over samples of a sum over features. Much code elsewhere takes a "
          "mean over features too; its numbers are n times smaller and its minima are the same.")


# -- 5: backward through the ReLU

def _backward_inputs(draw):
    B, n = draw.integer(1, 3), draw.integer(1, 3)
    return draw.array(B, n), draw.array(B, n), _importance(draw, n)


def _backward(z, x, importance):
    rows = ReluOutput(np.zeros((len(z), 1, z.shape[1])), z)         # each row's bias is its z
    _, gradient = rows.loss_and_grad(x[:, None, :], Features(z.shape[1], 1.0, importance))
    return gradient.b / len(z)


BACKWARD = Exercise(
    name="05_backward", title="from the loss back through the ReLU", function="backward",
    inputs=_backward_inputs, answer=_backward,
    mistakes=(
        Mistake("the ReLU's mask is missing: where z <= 0 nothing flows back",
                lambda z, x, importance: 2 / len(z) * importance * (_relu(z) - x)),
        Mistake("the slope of the ReLU at z = 0 is taken for 1: the mask is z > 0",
                lambda z, x, importance: 2 / len(z) * importance * (_relu(z) - x) * (z >= 0)),
        Mistake("the ReLU is missing altogether, in the output and in the mask",
                lambda z, x, importance: 2 / len(z) * importance * (z - x)),
        Mistake("the mask looks at the target and not at z",
                lambda z, x, importance: 2 / len(z) * importance * (_relu(z) - x) * (x > 0)),
        Mistake("the factor 2 of the square is missing",
                lambda z, x, importance: 1 / len(z) * importance * (_relu(z) - x) * (z > 0)),
        Mistake("the mean over samples is forgotten, a division by B",
                lambda z, x, importance: 2 * importance * (_relu(z) - x) * (z > 0)),
        Mistake("features are averaged too",
                lambda z, x, importance: 2 / z.size * importance * (_relu(z) - x) * (z > 0)),
        Mistake("it is divided by the number of features and not by that of samples",
                lambda z, x, importance: 2 / z.shape[1] * importance * (_relu(z) - x) * (z > 0)),
        Mistake("the factor 2 of the square is missing, and the division by B too",
                lambda z, x, importance: importance * (_relu(z) - x) * (z > 0)),
        Mistake("the importance is squared",
                lambda z, x, importance: 2 / len(z) * importance ** 2 * (_relu(z) - x) * (z > 0)),
        Mistake("the sign is turned: it is output minus target",
                lambda z, x, importance: 2 / len(z) * importance * (x - _relu(z)) * (z > 0)),
        Mistake("the importance is left out",
                lambda z, x, importance: 2 / len(z) * (_relu(z) - x) * (z > 0))),
    hints=("dL/dx' is 2 I (x' - x) / B. The ReLU lets it through where it was on.",
           "Multiply by (z > 0)."),
    solution="core.models:ReluOutput._backward", line="dz = d_output * (z > 0)",
    shown="What was cut off on the way forward learns nothing on the way back. A feature whose z "
          "is never positive has died: no gradient will wake it.")


# -- 6: the tied weight

def _gradient_inputs(draw):
    W, b, x = _model_inputs(draw)
    return W, b, x, _importance(draw, W.shape[1])


def _gradient(W, b, x, importance):
    return ReluOutput(W, b).loss_and_grad(x, Features(W.shape[1], 1.0, importance))[1].W


def _parts(W, b, x, importance, mask=lambda z: z > 0):
    """The two terms of dW: that of the decoder, and that of the encoder."""
    h = x @ W.T
    z = h @ W + b
    dz = 2 / len(x) * importance * (_relu(z) - x) * mask(z)
    return h.T @ dz, (dz @ W.T).T @ x


TIED = Exercise(
    name="06_tied_weight", title="the gradient of a weight that is used twice", function="gradient",
    inputs=_gradient_inputs, answer=_gradient,
    mistakes=(
        Mistake("the tied term of the encoder is missing: W is used twice, and both uses count",
                lambda *given: _parts(*given)[0]),
        Mistake("the tied term of the decoder is missing: W is used twice, and both uses count",
                lambda *given: _parts(*given)[1]),
        Mistake("the decoder's term is doubled instead of adding the encoder's",
                lambda *given: 2 * _parts(*given)[0]),
        Mistake("the encoder's term is doubled instead of adding the decoder's",
                lambda *given: 2 * _parts(*given)[1]),
        Mistake("the ReLU's mask is missing",
                lambda *given: sum(_parts(*given, mask=np.ones_like))),
        Mistake("the slope of the ReLU at z = 0 is taken for 1: the mask is z > 0",
                lambda *given: sum(_parts(*given, mask=lambda z: z >= 0))),
        Mistake("the factor 2 of the square is missing", lambda *given: sum(_parts(*given)) / 2),
        Mistake("the mean over samples is forgotten, a division by B",
                lambda W, b, x, importance: sum(_parts(W, b, x, importance)) * len(x)),
        Mistake("the factor 2 of the square is missing, and the division by B too",
                lambda W, b, x, importance: sum(_parts(W, b, x, importance)) * len(x) / 2),
        Mistake("features are averaged too",
                lambda W, b, x, importance: sum(_parts(W, b, x, importance)) / W.shape[1]),
        Mistake("the bias is left out of z",
                lambda W, b, x, importance: sum(_parts(W, 0 * b, x, importance))),
        Mistake("the sign is turned: the error is output minus target",
                lambda *given: -sum(_parts(*given))),
        Mistake("the importance is squared",
                lambda W, b, x, importance: sum(_parts(W, b, x, importance ** 2))),
        Mistake("the importance is left out",
                lambda W, b, x, importance: sum(_parts(W, b, x, np.ones_like(importance)))),
        Mistake("the encoder's term is subtracted",
                lambda *given: _parts(*given)[0] - _parts(*given)[1])),
    hints=("With dz from exercise 5: the decoder z = h W + b gives h' dz, and it hands back "
           "dh = dz W' to the encoder.",
           "The encoder h = x W' gives dh' x. The gradient is h.T @ dz + dh.T @ x."),
    solution="core.models:ReluOutput._backward", line="dW = transpose(h) @ dz",
    shown="A parameter that is used twice gets the sum of two gradients. You have written the "
          "whole backward pass of the paper's model by hand; no library had to differentiate it.")

EXERCISES = (FORWARD, LOSS, BACKWARD, TIED)
