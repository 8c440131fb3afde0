"""Dense batches in float32 from few fresh random numbers, several times faster than a generator.

NumPy's generators take 1.8 ns a float32, longer than a pass over x takes for all of its products
where m is small. Here each draw of an instance begins with L fresh words s of its own generator,
and goes on with their images under

    s -> (s xor floor(s / 2^32)) * MULTIPLIER mod 2^64,

an xorshift and a multiplication, as in the finalisers of splitmix64 and MurmurHash. The map is one
to one: entries that come of different words are exactly as independent as fresh ones are, and a
word's own images, some tens, are pseudo-random numbers. Three passes on integers in the cache make
two entries a word, 0.25 ns each. The next draw begins anew, so that nothing but the generator's
position is needed to continue.
"""

import numpy as np

MULTIPLIER = np.array(0xD1342543DE82EF95, np.uint64)       # odd, and far from any simple pattern
HALF = np.array(32, np.uint64)
ONE = np.ones(1)
SIGN = np.array(31, np.int32)           # a shift by so many bits takes the sign bit to every place
TURN = 2.0**-32                         # takes a random int32 to an interval of length 1
IMAGES = 16                             # of a word in a draw, if L is between
FEWEST, MOST = 2**11, 2**14             # these


class Uniform:
    """Draws x (k, S, …) for k instances all of whose features are single: each entry is on with
    probability p (k, n). Lines of x, (k, L, width), come one after the other, some at a time.
    """

    def __init__(self, p, shape, signed, rows):
        count, steps, *_, width = shape
        self.signed, self.always = signed, bool((p == 1).all())
        entries = int(np.prod(shape[1:]))
        size = FEWEST
        while size < MOST and size * 2 * IMAGES < entries:
            size *= 2
        size = max(size, -(-width // 2))
        self.fresh, self.first, spare = np.empty((3, count, size))
        self.words, self.spare = self.first.view(np.uint64), spare.view(np.uint64)
        self.lines = min(2 * size // width, entries // width)
        half = self.first.view(np.int32)[:, :self.lines * width]
        self.integers = half.reshape(count, self.lines, width)
        half = self.spare.view(np.float32)[:, :self.lines * width]
        self.size = half.reshape(self.integers.shape)
        self.zeros = np.zeros((1, self.lines, width), np.float32)
        p = p[:, None, :] if rows else np.tile(p, steps)[:, :, None]             # (k, lines, width)
        if (p == p[:, :1, :1]).all():
            p = p[:, :1, :1]
        self.scale = ((2 * TURN if signed else -TURN) / p).astype(np.float32)
        # One bit more, so that what is always on is never 0, to which u = 1 would round.
        self.offset = np.nextafter(((p - 0.5) / p).astype(np.float32), np.float32(1e9))
        self.above_one = np.nextafter(np.ones(1, np.float32), np.float32(2))

    def draw(self, rngs, x):
        """Write x, for each instance from its own generator."""
        self.begin(rngs)
        self.write(x.reshape(len(x), -1, x.shape[-1]))

    def begin(self, rngs):
        """A new draw, for each instance from its own generator."""
        for rng, row in zip(rngs, self.fresh, strict=True):
            rng.random(out=row)
        self.rewind()

    def rewind(self):
        """To the first line of this draw."""
        np.add(self.fresh, ONE, out=self.first)         # 52 random bits, and 12 that are the same
        self.line = 0

    def write(self, x):
        """The next lines, as many as x (k, L, width) has."""
        end = self.line + x.shape[1]
        while x.shape[1]:
            used = self.line % self.lines               # of the lines that these words are
            if not used:
                np.right_shift(self.words, HALF, out=self.spare)
                np.bitwise_xor(self.words, self.spare, out=self.words)
                np.multiply(self.words, MULTIPLIER, out=self.words)
            size = min(self.lines - used, end - self.line)
            piece, x = x[:, :size], x[:, size:]
            np.copyto(piece, self.integers[:, used:used + size], casting="unsafe")
            self.spread(piece, slice(self.line, self.line + size))
            self.line += size

    def spread(self, x, lines):
        """Random int32 in these lines of x become samples: uniform on [0, 1], or on [-1, 1], with
        probability p, else 0. (1.8)

        u = integer * TURN + 1/2 is uniform on [0, 1]: 1 - u / p is positive, and 2 u - 1 at most p
        in size, with probability p.
        """
        lines = lines if self.scale.shape[1] > 1 else slice(None)
        np.multiply(x, self.scale[:, lines], out=x)
        if not self.signed:
            np.add(x, self.offset[:, lines], out=x)
            if not self.always:                         # with an array NumPy is four times as fast
                np.maximum(x, self.zeros[:, :x.shape[1]], out=x)
        elif not self.always:
            size = self.size[:, :x.shape[1]]
            np.abs(x, out=size)
            np.subtract(size, self.above_one, out=size)
            bits, on = x.view(np.int32), size.view(np.int32)
            np.right_shift(on, SIGN, out=on)
            np.bitwise_and(bits, on, out=bits)
