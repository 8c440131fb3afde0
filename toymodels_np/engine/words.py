"""Dense batches in float32 from few fresh random numbers, several times faster than a generator.

NumPy's generators take 1.8 ns a float32, longer than a pass over x takes for all of its products
where m is small. Here each draw of an instance begins with two rows of fresh random numbers, the
mantissas a and b, and goes on with *images* of them, one for each shift s:

    a[j] xor b[j + s],      j = 0, 1, …                                                 (1.14)

The bits of an exponent stand in a, so an image is floats already: one pass on integers and one that
subtracts make entries of x, 0.33 ns each, fresh numbers included. The next draw begins anew, so
that nothing but the generator's position is needed to continue.

A sample lies in one image. Then all entries of any two samples are exactly independent, which is
what the mean and the variance of a gradient depend on, and so are any five entries of a draw; the
proof is in derivations/01-sparse-features.md.
"""

import numpy as np

IMAGES, LEAST = 32, 8                   # of a draw, at most, and at least if that can be,
FEWEST = 2**11                          # and the least entries that an image has if it can
MANTISSA = np.array(0x007FFFFE007FFFFE, np.uint64)      # of both floats in a word, but the last bit
# The exponent of floats from 1 to 2, or from 2 to 4, and the last bit of the mantissa, which is on:
# so u is the middle of one of 2^22 cells, and no u is 0.
EXPONENT = {False: 0x3F800001, True: 0x40000001}


def ruler(marks):
    """The least numbers from 0 on no two pairs of which differ by the same (Mian and Chowla)."""
    found, used, mark = [], set(), 0
    while len(found) < marks:
        new = {mark - other for other in found}
        if not new & used:
            found, used = [*found, mark], used | new
        mark += 1
    return found


SHIFTS = ruler(IMAGES)


def divisor(number, most):
    """The largest divisor of a number up to `most`."""
    return next(part for part in range(most, 0, -1) if number % part == 0)


class Uniform:
    """Draws x (k, S, …) for k instances all of whose features are single: each entry is on with
    probability p (k, n). Lines of x, (k, L, width), can be written some at a time, up to `most`.
    """

    def __init__(self, p, shape, signed, rows, most=None):
        count, steps, *_, width = shape
        # Of a large batch in columns an image takes some samples of all lines.
        self.parts = 1 if rows else divisor(width, -(-LEAST // steps))
        steps, width = steps * self.parts, width // self.parts
        sample, total = (1, steps * shape[2]) if rows else (p.shape[1], steps * p.shape[1])
        lines = max(-(-total // IMAGES), -(-FEWEST // width))
        self.lines = min(-(-lines // sample) * sample, total)       # of an image, in whole samples
        self.signed, self.always = signed, bool((p == 1).all())
        size, shifts = self.lines * width, SHIFTS[:-(-total // self.lines)]
        self.words = np.empty((count, size + -(-shifts[-1] // 2)), np.uint64)
        bits, shape = self.words.view(np.int32), (count, self.lines, width)
        self.a = bits[:, :size].reshape(shape)
        self.images = [bits[:, size + s:][:, :size].reshape(shape) for s in shifts]
        self.exponent = np.array(EXPONENT[signed], np.int32)
        self.most = most or self.lines
        self.off = np.zeros((count if signed else 1, self.most, width), np.float32)
        p = p[:, None, :] if rows else np.tile(p, steps)[:, :, None]             # (k, lines, width)
        if (p == p[:, :1, :1]).all():
            p = p[:, :1, :1]
        self.scale = (1 / p).astype(np.float32)
        self.high = ((4 if signed else 2) - p).astype(np.float32)
        self.low = 6 - self.high                                    # of signed ones

    def draw(self, rngs, x):
        """Write x, for each instance from its own generator."""
        self.begin(rngs)
        first, width = 0, x.shape[-1] // self.parts
        if self.parts == 1:
            x = x.reshape(len(x), -1, width)
            pieces = (x[:, i:i + self.most] for i in range(0, x.shape[1], self.most))
        else:
            pieces = (x[:, step, :, i:i + width] for step in range(x.shape[1])
                      for i in range(0, x.shape[-1], width))
        for piece in pieces:
            self.write(piece, first)
            first += piece.shape[1]

    def begin(self, rngs):
        """A new draw, for each instance from its own generator."""
        for rng, row in zip(rngs, self.words, strict=True):
            np.bitwise_and(rng.bit_generator.random_raw(row.size), MANTISSA, out=row)
        np.bitwise_or(self.a, self.exponent, out=self.a)

    def write(self, x, first):
        """The lines of this draw from `first` on, as many as x (k, L, width) has."""
        bits, done = x.view(np.int32), 0
        while done < x.shape[1]:
            image, line = divmod(first + done, self.lines)
            size = min(self.lines - line, x.shape[1] - done)
            here = slice(line, line + size)
            np.bitwise_xor(self.a[:, here], self.images[image][:, here],
                           out=bits[:, done:done + size])
            done += size
        self.spread(x, slice(first, first + done))

    def spread(self, x, lines):
        """Numbers f from 1 to 2, or from 2 to 4, in these lines of x become samples: uniform on
        [0, 1], or on [-1, 1], with probability p, else 0. (1.8)

        What f is beyond 2 - p, or beyond 2 + p and 4 - p on either side, over p.
        """
        lines = lines if self.high.shape[1] > 1 else slice(None)
        low, high, off = self.low[:, lines], self.high[:, lines], self.off[:, :x.shape[1]]
        if self.always:
            np.subtract(x, high, out=x)
            return
        if not self.signed:
            np.subtract(x, high, out=x)
            np.maximum(x, off, out=x)                   # with an array NumPy is four times as fast
        elif high.shape[2] == 1:
            np.subtract(x, x.clip(low, high, out=off), out=x)
        else:                                           # where NumPy's clip is slow
            np.subtract(x, np.maximum(low, np.minimum(x, high, out=off), out=off), out=x)
        np.multiply(x, self.scale[:, lines], out=x)
