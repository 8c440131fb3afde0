"""The training loop's step without its allocations: what `models.py` says, on buffers that stay in the cache.

Why it is fast, in one place:
- Nothing is allocated after the start. Arrays that come and go cost more than the arithmetic on them: the system hands
  out every page anew, and the cache is cold.
- A batch is worked through in chunks of rows, so that all arrays of a chunk fit the cache. Gradients add up.
- The bias is one more hidden unit that is always 1: adding it and summing its gradient are part of matrix products.
- ReLUs multiply by a mask of zeros and ones, which NumPy does several times faster than maximum or where.
- Equal importances are one factor at the end.

`models.py` is the reference: gradients agree with it to rounding.
"""

import numpy as np

from .arrays import transpose
from .models import AbsoluteValue, Linear, ReluHidden

CHUNK = 2**15               # entries of x, of one instance, that are worked on at once: they stay in the second-level cache
HIDDEN_RELU = (ReluHidden, AbsoluteValue)


class Step:
    """Loss and gradient of a stack of k models of one class, for batches (k, B, n) of features, again and again."""

    def __init__(self, model, features, batch_size):
        k, m, n = *model.instances, model.n_hidden, model.n_features
        rows = chunk_rows(n, batch_size)
        self.chunks = [slice(i, min(i + rows, batch_size)) for i in range(0, batch_size, rows)]
        self.relu = type(model) is not Linear
        self.hidden_relu = type(model) in HIDDEN_RELU
        self.tied = len(model.parameters) == 2
        self.signed = features.signed
        empty = lambda *shape: np.empty(shape, model.dtype)
        self.h = empty(k, rows, m + 1)                          # the last hidden unit is 1, for the bias
        self.h[..., m] = 1
        self.z, self.r, self.mask, self.on = empty(k, rows, n), empty(k, rows, n), empty(k, rows, n), \
            np.empty((k, rows, n), bool)
        self.dh, self.h_mask, self.h_on = empty(k, rows, m), empty(k, rows, m), np.empty((k, rows, m), bool)
        self.out, self.d_out, self.part = (empty(k, m + 1, n) for _ in range(3))       # output weights and bias
        self.d_in, self.part_in = empty(k, m, n), empty(k, m, n)
        importance = np.broadcast_to(features.importance, (k, n)).astype(model.dtype)
        self.scale = 2 / batch_size
        if (importance == importance[:1, :1]).all():
            self.scale, self.importance = self.scale * importance[0, 0], None
        else:
            self.importance = np.repeat(importance[:, None], rows, axis=1)
        self.loss, self.loss_part = empty(k), empty(k)

    def __call__(self, parameters, x):
        """loss (k,) and the gradients, one array a parameter, valid until the next call."""
        W, *_, b = parameters
        self.out[:, :-1] = W if self.tied else transpose(parameters[1])                 # (k, m, n)
        self.out[:, -1] = b
        self.loss[...] = 0
        for first, rows in enumerate(self.chunks):
            self._chunk(W, x[:, rows], adding=first > 0)
        self.loss *= self.scale / 2
        for a in (self.d_out, self.d_in):
            a *= self.scale
        if self.tied:
            self.d_in += self.d_out[:, :-1]
            return self.loss, (self.d_in, self.d_out[:, -1])
        return self.loss, (self.d_in, transpose(self.d_out[:, :-1]), self.d_out[:, -1])

    def _chunk(self, W, x, adding):
        count = x.shape[1]
        h, z, r, mask, dh = (a[:, :count] for a in (self.h, self.z, self.r, self.mask, self.dh))
        a = h[..., :-1]
        np.matmul(x, transpose(W), out=a)                                               # (k, R, m)
        if self.hidden_relu:
            h_mask = _positive(a, self.h_on[:, :count], self.h_mask[:, :count])
            a *= h_mask
        np.matmul(h, self.out, out=z)                                                   # (k, R, n)
        if self.relu:
            _positive(z, self.on[:, :count], mask)
            z *= mask
        if self.signed:
            np.abs(x, out=r)
            np.subtract(z, r, out=r)
        else:
            np.subtract(z, x, out=r)
        d = r
        if self.importance is not None:
            d = np.multiply(r, self.importance[:, :count], out=z)
        flat = (len(x), -1)
        np.vecdot(r.reshape(flat), d.reshape(flat), out=self.loss_part)
        self.loss += self.loss_part
        if self.relu:
            d *= mask                                                                   # dz, but for 2 / B
        d_out, d_in = (self.part, self.part_in) if adding else (self.d_out, self.d_in)
        np.matmul(transpose(h), d, out=d_out)                                           # (k, m + 1, n)
        np.matmul(d, transpose(self.out[:, :-1]), out=dh)                               # (k, R, m)
        if self.hidden_relu:
            dh *= h_mask
        np.matmul(transpose(dh), x, out=d_in)                                           # (k, m, n)
        if adding:
            self.d_out += d_out
            self.d_in += d_in


def chunk_rows(n_features, batch_size):
    """Rows of a chunk, as equal as they come. They do not depend on the company, and so neither do the results."""
    chunks = -(-batch_size * n_features // CHUNK)
    return -(-batch_size // chunks)


def _positive(z, on, mask):
    """1 where z > 0, else 0, in z's own type."""
    np.greater(z, 0, out=on)
    mask[...] = on
    return mask


class Adam:
    """`optim.adam` and `optim.adamw` in place, to the bit: parameters and state change, nothing is allocated."""

    def __init__(self, parameters, state, weight_decay):
        self.parameters = [a.copy() for a in parameters]
        self.t, self.decay = state.t, weight_decay
        self.mean, self.square = ([a.copy() for a in arrays] for arrays in (state.mean, state.square))
        self.rooms = [(np.empty_like(a), np.empty_like(a)) for a in parameters]

    def __call__(self, gradients, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.t += 1
        step = learning_rate / (1 - beta1**self.t)                                      # (3.3)
        unbias = (1 - beta2**self.t) ** -0.5                                            # (3.4)
        for theta, m, v, g, (one, two) in zip(self.parameters, self.mean, self.square, gradients, self.rooms):
            if self.decay:
                theta *= 1 - learning_rate * self.decay                                 # (3.6)
            np.multiply(g, 1 - beta1, out=one)
            m *= beta1
            m += one                                                                    # (3.1)
            np.multiply(g, 1 - beta2, out=one)
            one *= g
            v *= beta2
            v += one                                                                    # (3.2)
            np.sqrt(v, out=one)
            one *= unbias
            one += epsilon
            np.multiply(m, step, out=two)
            two /= one
            theta -= two                                                                # (3.5)
