"""One pass over a chunk of samples, forward and backward: what `host.Step` is made of.

What a layer gives has its sign turned: h is minus the hidden layer, its last unit -1, and z is
minus what goes into the output ReLU. So a sign bit says that a unit is on, and the output layer is
used as it is stored, bias included. The residual is turned, too.
"""

import numpy as np

from ..core.arrays import transpose
from ..core.models import AbsoluteValue, Linear, ReluHidden

HIDDEN_RELU = (ReluHidden, AbsoluteValue)


class Pass:
    """What both kinds have in common, for k models of one class."""

    def __init__(self, model, features):
        cls, dtype = type(model), model.dtype
        self.relu, self.hidden_relu = cls is not Linear, cls in HIDDEN_RELU
        self.signed = features.signed
        self.size = k, m, n = *model.instances, model.n_hidden, model.n_features
        self.dtype, self.bits = dtype, np.dtype(f"i{dtype.itemsize}")
        # A shift by so many bits takes the sign bit to every place.
        self.shift = np.array(8 * dtype.itemsize - 1, self.bits)
        importance = np.broadcast_to(features.importance, (k, n))
        self.weighted = bool((importance != 1).any())                  # times 1 would change no bit
        self.importance = importance.astype(dtype)


class DensePass(Pass):
    """Chunks x (k, n, R): arrays have one feature or one hidden unit a row, so that samples lie
    side by side.

    x, z, r  (k, n, R)       h  (k, m + 1, R)       h_on, dh  (k, m, R)
    """

    def __init__(self, model, features, rows):
        super().__init__(model, features)
        k, m, n = self.size
        empty = lambda units, needed=True: np.empty((k, units, rows * needed), self.dtype)
        h, h_on, dh = empty(m + 1), empty(m, self.hidden_relu), empty(m)
        z, r = empty(n), empty(n)
        h[:, m] = -1
        a = h[:, :m]
        self.views = h, a, dh, z, r, *(array.view(self.bits) for array in (a, h_on, dh, z, r))
        self.W, self.d_in = np.empty((k, n, m + 1), self.dtype), np.empty((k, n, m), self.dtype)

    def __call__(self, layers, x, gradient, recorded):
        """Write the gradient; return the loss summed over samples, (k,), or 0 if not recorded."""
        h, a, dh, z, r, a_bits, h_on, dh_bits, on, r_bits = self.views
        np.negative(layers.first, out=self.W)
        np.matmul(transpose(self.W[..., :-1]), x, out=a)                                # (k, m, R)
        if self.hidden_relu:
            np.right_shift(a_bits, self.shift, out=h_on)
            np.bitwise_and(a_bits, h_on, out=a_bits)
        np.matmul(layers.out, h, out=z)                                                 # (k, n, R)
        np.add(z, np.abs(x, out=r) if self.signed else x, out=r)
        if self.relu:
            np.right_shift(on, self.shift, out=on)                             # z is needed no more
            np.bitwise_and(r_bits, on, out=r_bits)
        loss = self._loss(r, on, x) if recorded else 0
        if self.weighted:
            r *= self.importance[..., None]                                     # -dz, but for 2 / B
        np.matmul(r, transpose(h), out=gradient.out)                                 # (k, n, m + 1)
        np.matmul(transpose(layers.back), r, out=dh)                                    # (k, m, R)
        if self.hidden_relu:
            np.bitwise_and(dh_bits, h_on, out=dh_bits)
        np.matmul(x, transpose(dh), out=self.d_in)                                      # (k, n, m)
        if layers.tied:
            gradient.back -= self.d_in
        else:
            np.negative(self.d_in, out=gradient.first[..., :-1])
        return loss

    def _loss(self, r, on, x):
        """sum_i I_i r_i^2 summed over samples: (k,). Where the ReLU is off, |x| is missing."""
        squares = np.vecdot(r, r)
        if self.relu:
            missing = np.bitwise_and(x.view(on.dtype), ~on).view(x.dtype)
            squares += np.vecdot(missing, missing)
        return (squares * self.importance).sum(-1)

    def dense(self, x):
        """The chunk as the reference takes it, (k, R, n)."""
        return transpose(x)


class EventPass(Pass):
    """Chunks that are Events: arrays have one sample a row, so that an event finds its weights side
    by side.

    z, on  (k, R, n)       h, h_on, dh  (k, R, m + 1)
    """

    def __init__(self, model, features, rows):
        super().__init__(model, features)
        k, m, n = self.size
        self.shape = k, rows, n
        z, on = np.empty((2, *self.shape), self.dtype)
        h, h_on, dh = np.zeros((3, k, rows, m + 1), self.dtype)      # the last column of dh stays 0
        bits = (array.view(self.bits) for array in (h, h_on, dh, z, on))
        self.views = h, dh, z, *bits, h.view(np.uint8)

    def __call__(self, layers, x, gradient, recorded):
        """Write the gradient; return the loss summed over samples, (k,), or 0 if not recorded."""
        h, dh, z, h_bits, h_on, dh_bits, z_bits, on, h_bytes = self.views
        h_bytes[...] = 0                                       # as bytes, which NumPy clears faster
        x.add_to_hidden(layers.first, h)
        h[..., -1] = -1
        if self.hidden_relu:
            np.right_shift(h_bits, self.shift, out=h_on)
            np.bitwise_and(h_bits, h_on, out=h_bits)
        np.matmul(h, transpose(layers.out), out=z)                                      # (k, R, n)
        if self.relu:
            np.right_shift(z_bits, self.shift, out=on)
        x.add_to_output(z)
        if self.relu:
            np.bitwise_and(z_bits, on, out=z_bits)
        loss = self._loss(z, on, x) if recorded else 0
        if self.weighted:
            z *= self.importance[:, None]                                       # -dz, but for 2 / B
        np.matmul(transpose(z), h, out=gradient.out)                                 # (k, n, m + 1)
        np.matmul(z, layers.back, out=dh[..., :-1])                                     # (k, R, m)
        if self.hidden_relu:
            np.bitwise_and(dh_bits, h_on, out=dh_bits)
        if not layers.tied:
            gradient.first[...] = 0
        x.add_to_weights(dh, gradient.first)
        return loss

    def _loss(self, r, on, x):
        """sum_i I_i r_i^2 summed over samples: (k,). Overwrites `on`.

        Where the ReLU is off, |x| is missing.
        """
        loss = 0
        if self.relu:
            missing = np.where(on.reshape(-1)[x.cell], 0, x.target)
            missing *= missing * self.importance.reshape(-1)[x.feature]
            # A sum one by one: zeros at the end do no harm.
            loss = np.bincount(x.feature // r.shape[-1], missing, len(r))
        weighted = np.multiply(r, self.importance[:, None], out=on.view(self.dtype))
        return loss + np.vecdot(r, weighted).sum(-1)

    def dense(self, x):
        """The chunk as the reference takes it, (k, R, n)."""
        return x.dense(self.shape)
