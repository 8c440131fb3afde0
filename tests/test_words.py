"""Stretched random words: they are what their docstring says, their law is the law, any two samples
are independent, and the company of other instances leaves no trace.
"""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import toymodels_np as tm
from toymodels_np.engine import words
from toymodels_np.engine.sampler import Sampler
from toymodels_np.engine.words import Uniform

layouts = pytest.mark.parametrize("rows", [False, True], ids=["columns", "rows"])


def generators(*numbers):
    return [np.random.default_rng([number, 17]) for number in numbers]


def batches(p, steps, batch_size, signed=False, rows=False, numbers=None):
    """x (k, S, …) of k instances with probabilities p (k, n)."""
    p = np.atleast_2d(np.asarray(p, float))
    k, n = p.shape
    x = np.empty((k, steps, *((batch_size, n) if rows else (n, batch_size))), np.float32)
    Uniform(p, x.shape, signed, rows).draw(generators(*(numbers or range(k))), x)
    return x


def slow_batches(p, steps, batch_size, signed, lines):
    """The same for one instance and columns with `lines` lines an image, one number at a time."""
    size, rows = lines * batch_size, len(p) * steps
    shifts = words.ruler(-(-rows // lines))
    raw = np.random.default_rng([0, 17]).bit_generator.random_raw(size + -(-shifts[-1] // 2))
    halves = [half for word in raw.tolist() for half in (word % 2**32, word >> 32)]
    a, b = halves[:size], halves[size:]
    cells = [(a[j] ^ b[j + s]) >> 1 & 2**22 - 1 for s in shifts for j in range(size)]
    u = (np.array(cells[:rows * batch_size]) + 0.5) / 2**22
    u = u.reshape(steps, len(p), batch_size)
    q = np.asarray(p)[:, None]
    u = 2 * u - 1 if signed else u
    return np.sign(u) * np.maximum(1 - (1 - abs(u)) / q, 0)


@given(p=st.lists(st.sampled_from([0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=4),
       steps=st.integers(1, 8), batch_size=st.integers(1, 60), signed=st.booleans(),
       always=st.booleans())
def test_words_are_their_slow_twin(p, steps, batch_size, signed, always):
    p = [1.0] * len(p) if always else p
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FEWEST", 16)
        patch.setattr(words, "IMAGES", 5)
        patch.setattr(words, "LEAST", 1)
        x = batches(p, steps, batch_size, signed)[0]
    lines = max(-(-len(p) * steps // 5), -(-16 // batch_size))
    lines = min(-(-lines // len(p)) * len(p), len(p) * steps)
    expected = slow_batches(p, steps, batch_size, signed, lines)
    np.testing.assert_allclose(x, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_large_batch_in_columns_is_several_smaller_ones(signed):
    """Which are images of fresh words, so that few steps need few of them."""
    p = [0.3, 1.0, 0.6]
    large, small = batches(p, 2, 4000, signed)[0], batches(p, 8, 1000, signed)[0]
    np.testing.assert_array_equal(large, np.block([[*small[:4]], [*small[4:]]]).reshape(2, 3, 4000))


@layouts
@pytest.mark.parametrize("signed", [False, True])
def test_an_instance_draws_the_same_in_company(rows, signed):
    p = np.array([[0.3, 0.7, 0.2], [0.5, 0.5, 0.5], [0.9, 0.4, 0.6]])
    together = batches(p, 2, 5000, signed, rows)
    for i in range(3):
        np.testing.assert_array_equal(batches(p[i], 2, 5000, signed, rows, [i])[0], together[i])


@layouts
def test_rows_and_columns_give_each_feature_its_own_probability(rows):
    p = np.array([[0.2, 0.9, 0.5], [0.6, 0.3, 1.0]])
    on = (batches(p, 3, 40_000, rows=rows) != 0).mean((1, 2) if rows else (1, 3))
    assert (abs(on - p) <= 5 * np.sqrt(p * (1 - p) / 120_000) + 1e-6).all()


def dependence(first, second):
    """How many standard errors two series of uniform numbers are from independent: the largest, of
    the products of their first and second Legendre polynomials.
    """
    bases = [(np.sqrt(3) * u, np.sqrt(5) * (3 * u**2 - 1) / 2)
             for u in (2 * first.astype(float) - 1, 2 * second.astype(float) - 1)]
    return max(abs((a * b).mean()) * np.sqrt(a.size) for a in bases[0] for b in bases[1])


def edges(monkeypatch, shape, rows):
    """For each entry of a draw x (1, S, …) the places in a and in b of what it is made of: two
    arrays (S, …).
    """
    x, p = np.empty(shape, np.float32), np.ones((1, shape[-1 if rows else -2]))
    draw = Uniform(p, shape, False, rows)
    monkeypatch.setattr(draw, "begin", lambda rngs: None)
    monkeypatch.setattr(draw, "spread", lambda x, lines: None)
    draw.words.view(np.int32)[:] = np.arange(2 * draw.words.size) - draw.a.size << 16
    draw.a[...] = np.arange(draw.a.size).reshape(draw.a.shape)
    draw.draw([], x)
    return x.view(np.int32)[0] % 2**16, x.view(np.int32)[0] >> 16


def independent(a, b):
    """Whether the edges from a to b make no circle: in a forest each brings two trees together."""
    tree = {}

    def root(node):
        while node in tree:
            node = tree[node]
        return node

    for one, other in zip(a.ravel().tolist(), b.ravel().tolist()):
        ends = root((0, one)), root((1, other))
        if ends[0] == ends[1]:
            return False
        tree[ends[0]] = ends[1]
    return True


@layouts
@given(data=st.data(), n=st.integers(1, 12), steps=st.integers(1, 8), size=st.integers(1, 40))
def test_any_two_samples_are_independent(rows, data, n, steps, size):
    """Whatever the shifts are: these would close circles if a sample were part of two images."""
    number = st.integers(0, steps * size - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FEWEST", 16)
        patch.setattr(words, "SHIFTS", [size * i for i in range(words.IMAGES)])
        shape = (1, steps, size, n) if rows else (1, steps, n, size)
        ends = np.array(edges(patch, shape, rows))
    ends = (ends if rows else ends.swapaxes(2, 3)).reshape(2, steps * size, n)
    first, other = data.draw(st.lists(number, min_size=2, max_size=2, unique=steps * size > 1))
    assert independent(*ends[:, sorted({first, other})])


def test_three_images_do_close_circles(monkeypatch):
    """So they would be found: here each of three steps is an image, and two of them close none."""
    a, b = edges(monkeypatch, (1, 3, words.FEWEST // 4, 4), True)
    assert (a == a[0]).all()
    assert independent(a[:2], b[:2]) and not independent(a, b)


def test_any_five_entries_are_independent():
    """Circles have six edges at least, since no two pairs of shifts differ by the same."""
    gaps = np.subtract.outer(words.SHIFTS, words.SHIFTS)[np.tril_indices(words.IMAGES, -1)]
    assert len(set(gaps)) == len(gaps) and (gaps > 0).all()
    assert words.ruler(8) == [0, 1, 3, 7, 12, 20, 30, 44]               # Mian and Chowla, less 1


def images():
    """The images of a draw that has as many as there can be: (IMAGES, FEWEST)."""
    return batches([1.0], words.IMAGES, words.FEWEST)[0, :, 0]


@pytest.mark.parametrize("lag", [1, 2, 3, 7])
def test_images_are_not_correlated(lag):
    """Neither where they share a, nor where they share b."""
    x, shifts = images(), words.SHIFTS
    assert dependence(x[:-lag], x[lag:]) < 5
    assert dependence(x[:, :-lag], x[:, lag:]) < 5
    for one, other in zip(range(words.IMAGES - lag), range(lag, words.IMAGES)):
        gap = shifts[other] - shifts[one]
        assert dependence(x[one, gap:], x[other, :-gap]) < 5


def test_images_without_shifts_are_caught(monkeypatch):
    monkeypatch.setattr(words, "SHIFTS", [0] * words.IMAGES)
    x = images()
    assert dependence(x[:-1], x[1:]) > 5


def test_all_numbers_lie_in_the_interval():
    for signed, low in ((False, 0), (True, -1)):
        x = batches([1.0], 1, 2**20, signed)
        assert low <= x.min() < low + 1e-5 and 1 - 1e-5 < x.max() <= 1


class Extreme:
    """A generator whose first words are all ones, or zeros, and the others zeros."""

    def __init__(self, ones, first):
        self.bit_generator, self.ones, self.first = self, ones, first

    def random_raw(self, size):
        return np.where(np.arange(size) < self.first, np.uint64(self.ones * (2**64 - 1)),
                        np.uint64(0))


@layouts
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("p", [[1.0, 1.0], [1.0, 0.5]])
def test_what_is_always_on_is_never_zero(rows, signed, p):
    """Whatever the bits are, and whether beside it there is what is not always on."""
    for ones in (0, 1):
        draw = Uniform(np.array([p]), (1, 1, 2, 2), signed, rows)
        x = np.empty((1, 1, 2, 2), np.float32)
        draw.draw([Extreme(ones, draw.a.size // 2)], x)
        first = x[0, 0, :, 0] if rows else x[0, 0, 0]
        assert (abs(first - (ones if ones or not signed else -1)) < 1e-6).all()
        assert (first != 0).all() and abs(x).max() <= 1


def test_only_instances_that_are_frequent_are_stretched():
    """Neither rare instances between them nor float64 ask for it."""
    sampler = Sampler(tm.Features(3, [[1.0], [0.5], [0.01], [0.7]]))
    for dtype, expected in ((np.float64, []), (np.float32, [(0, 2), (3, 1)])):
        sampler.fill(generators(0, 1, 2, 3), np.empty((4, 2, 3, 8), dtype))
        assert sorted(sampler.fast) == expected
