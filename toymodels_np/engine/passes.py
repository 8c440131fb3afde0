"""One pass over a chunk of samples, forward and backward: what `host.Step` is made of.

Of few features, arrays have a feature a row and samples lie side by side, so that kernels have long
rows to work on; of many, they have one sample a row, and products are cut into blocks (`SMALL`).

What a layer gives has its sign turned: h is minus the hidden layer, its last unit -1, and z is
minus what goes into the output ReLU. So a sign bit says that a unit is on, and the output layer is
used as it is stored, bias included. The residual is turned, too.
"""

import numpy as np

from ..core.arrays import transpose
from ..core.models import AbsoluteValue, Linear, ReluHidden

HIDDEN_RELU = (ReluHidden, AbsoluteValue)
# BLAS copies what it multiplies into an order of its own first, which takes as long as multiplying
# where m is small, as here. OpenBLAS does without up to so many multiplications, where the CPU has
# AVX-512; elsewhere blocks of this size are no slower than whole chunks.
SMALL = 10**6


def blocks(rows, n, m):
    """How rows are cut into blocks of products with (n, m + 1): [(first, last, blocks), …], the
    second one for what is left over where no smaller block leaves nothing.
    """
    count = -(-rows * n * (m + 1) // SMALL)
    count = next((more for more in range(count, 2 * count) if rows % more == 0), count)
    size = max(1, rows // count)
    count = rows // size
    return [(0, count * size, count), (count * size, rows, 1)][:1 + (count * size < rows)]


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
        # Importances are factors of residuals, and so of the slopes and of the way back that are
        # made of these. Both are smaller arrays, so that is where they multiply.
        importance = np.broadcast_to(features.importance, (k, n))
        self.weighted = bool((importance != 1).any())                  # times 1 would change no bit
        self.importance = importance.astype(dtype, order="C")       # so that company changes no bit
        self.weights = np.repeat(self.importance[..., None], m + 1, axis=-1)     # (k, n, m + 1)

    def _residual(self, z, r, x):
        """r = z + |x| where the ReLU is on, else 0, for dense x; z becomes the bits of where."""
        np.add(z, np.abs(x, out=r) if self.signed else x, out=r)
        if self.relu:
            on, bits = z.view(self.bits), r.view(self.bits)
            np.right_shift(on, self.shift, out=on)
            np.bitwise_and(bits, on, out=bits)

    def _error(self, z, r, x):
        """The whole residual, squared, in place of z: where the ReLU is off, |x| is missing."""
        if self.relu:
            on = z.view(self.bits)
            np.invert(on, out=on)
            np.bitwise_and(x.view(self.bits), on, out=on)
            z += r
            return np.square(z, out=z)
        return np.square(r, out=z)


class ColumnPass(Pass):
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
        self.views = h, a, dh, z, r, *(array.view(self.bits) for array in (a, h_on, dh))
        self.W, self.back = np.empty((2, k, m, n), self.dtype)
        self.d_in = np.empty((k, n, m), self.dtype)

    def prepare(self, layers):
        """Copy what the chunks of a step read of `layers` into the order in which they read it."""
        np.negative(transpose(layers.first[..., :-1]), out=self.W)
        self.back[...] = transpose(layers.back)
        if self.weighted:
            self.back *= self.importance[:, None]

    def __call__(self, layers, x, gradient, recorded):
        """Write the gradient; return the loss summed over samples, (k,), or 0 if not recorded."""
        h, a, dh, z, r, a_bits, h_on, dh_bits = self.views
        np.matmul(self.W, x, out=a)                                                     # (k, m, R)
        if self.hidden_relu:
            np.right_shift(a_bits, self.shift, out=h_on)
            np.bitwise_and(a_bits, h_on, out=a_bits)
        np.matmul(layers.out, h, out=z)                                                 # (k, n, R)
        self._residual(z, r, x)
        loss = (self._error(z, r, x).sum(-1) * self.importance).sum(-1) if recorded else 0
        np.matmul(r, transpose(h), out=gradient.out)                                 # (k, n, m + 1)
        if self.weighted:
            gradient.out *= self.weights
        np.matmul(self.back, r, out=dh)                                                 # (k, m, R)
        if self.hidden_relu:
            np.bitwise_and(dh_bits, h_on, out=dh_bits)
        np.matmul(x, transpose(dh), out=self.d_in)                                      # (k, n, m)
        if layers.tied:
            gradient.back -= self.d_in
        else:
            np.negative(self.d_in, out=gradient.first[..., :-1])
        return loss

    def dense(self, x):
        """The chunk as the reference takes it, (k, R, n)."""
        return transpose(x)


class RowPass(Pass):
    """Chunks with one sample a row, whose products are cut into blocks. What kind of chunks, the
    two subclasses say.

    z, r  (k, R, n)       h, h_on, dh  (k, R, m + 1)
    """

    def __init__(self, model, features, rows):
        super().__init__(model, features)
        k, m, n = self.size
        self.cuts = blocks(rows, n, m)
        self.count = sum(count for *_, count in self.cuts)
        z, r = np.empty((2, k, rows, n), self.dtype)
        h, h_on, dh = np.zeros((3, k, rows, m + 1), self.dtype)      # the last column of dh stays 0
        self.views = h, dh, z, r, *(a.view(self.bits) for a in (h, h_on, dh))
        self.cut_h, self.cut_dh, self.cut_z, self.cut_r = map(self._cut, (h, dh, z, r))
        self.out = np.empty((k, 1, m + 1, n), self.dtype)
        self.parts = np.empty((k, 2 * self.count, n, m + 1), self.dtype)

    def prepare(self, layers):
        """Copy what the chunks of a step read of `layers` into the order in which they read it."""
        self.out[:, 0] = transpose(layers.out)

    def _cut(self, a):
        """Views of a (k, R, …) as blocks (k, C, R / C, …), for each cut."""
        return [a[:, i:j].reshape(len(a), count, -1, a.shape[-1]) for i, j, count in self.cuts]

    def _multiply(self, rows, matrix, out):
        """out = rows @ matrix, where the last column of `out` may be one more, and stays."""
        width = matrix.shape[-1]
        for a, b in zip(rows, out):
            np.matmul(a, matrix, out=b[..., :width])

    def _slopes(self, left, right, first):
        """left^T @ right of each block, into the parts from `first` on."""
        for a, b, (*_, count) in zip(left, right, self.cuts):
            np.matmul(transpose(a), b, out=self.parts[:, first:first + count])
            first += count

    def _sum(self, parts, out):
        """The sum of some parts (k, C, n, m + 1) in out (k, n, m + 1)."""
        np.sum(parts, axis=1, out=out) if parts.shape[1] > 1 else np.copyto(out, parts[:, 0])


class DenseRows(RowPass):
    """Chunks x (k, R, n)."""

    def __init__(self, model, features, rows):
        super().__init__(model, features, rows)
        k, m, n = self.size
        self.W, self.back = np.empty((2, k, 1, n, m), self.dtype)
        self.minus = -self.weights[..., :m]
        self.views[0][..., -1] = -1                     # in h, and stays

    def prepare(self, layers):
        super().prepare(layers)
        np.negative(layers.first[..., :-1], out=self.W[:, 0])
        np.multiply(layers.back, self.minus, out=self.back[:, 0])

    def __call__(self, layers, x, gradient, recorded):
        """Write the gradient; return the loss summed over samples, (k,), or 0 if not recorded."""
        h, dh, z, r, h_bits, h_on, dh_bits = self.views
        cut_x = self._cut(x)
        self._multiply(cut_x, self.W, self.cut_h)                                       # (k, R, m)
        if self.hidden_relu:
            np.right_shift(h_bits, self.shift, out=h_on)
            np.bitwise_and(h_bits, h_on, out=h_bits)
        self._multiply(self.cut_h, self.out, self.cut_z)                                # (k, R, n)
        self._residual(z, r, x)
        loss = (self._error(z, r, x) @ self.importance[..., None]).sum((1, 2)) if recorded else 0
        self._slopes(self.cut_r, self.cut_h, 0)
        if self.weighted:
            self.parts[:, :self.count] *= self.weights[:, None]
        # Here dh has its sign turned, so that slopes of tied layers are one sum.
        self._multiply(self.cut_r, self.back, self.cut_dh)                              # (k, R, m)
        if self.hidden_relu:
            np.bitwise_and(dh_bits, h_on, out=dh_bits)
        self._slopes(cut_x, self.cut_dh, self.count)
        if layers.tied:
            self._sum(self.parts, gradient.out)
        else:
            self._sum(self.parts[:, :self.count], gradient.out)
            self._sum(self.parts[:, self.count:], gradient.first)
        return loss

    def dense(self, x):
        """The chunk as the reference takes it, (k, R, n)."""
        return x


class ListedRows(RowPass):
    """Chunks that are Events: an event finds its weights side by side."""

    def prepare(self, layers):
        super().prepare(layers)
        back = layers.back * self.weights[..., :-1] if self.weighted else layers.back
        self.back = back[:, None]

    def __call__(self, layers, x, gradient, recorded):
        """Write the gradient; return the loss summed over samples, (k,), or 0 if not recorded."""
        h, dh, z, on, h_bits, h_on, dh_bits = self.views
        h.view(np.uint8)[...] = 0                              # as bytes, which NumPy clears faster
        x.add_to_hidden(layers.first, h)
        h[..., -1] = -1
        if self.hidden_relu:
            np.right_shift(h_bits, self.shift, out=h_on)
            np.bitwise_and(h_bits, h_on, out=h_bits)
        self._multiply(self.cut_h, self.out, self.cut_z)                                # (k, R, n)
        z_bits, on = z.view(self.bits), on.view(self.bits)
        if self.relu:
            np.right_shift(z_bits, self.shift, out=on)
        x.add_to_output(z)
        if self.relu:
            np.bitwise_and(z_bits, on, out=z_bits)
        loss = self._loss(z, on, x) if recorded else 0
        self._slopes(self.cut_z, self.cut_h, 0)
        self._sum(self.parts[:, :self.count], gradient.out)                          # (k, n, m + 1)
        if self.weighted:
            gradient.out *= self.weights
        self._multiply(self.cut_z, self.back, self.cut_dh)                              # (k, R, m)
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
        return x.dense(self.views[2].shape)
