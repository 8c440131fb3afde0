"""Stretched random words: the map is what its docstring says, its law is the law, and neither a
word's images nor the company of other instances leave a trace.
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


def slow_batches(p, steps, batch_size, signed, size):
    """The same for one instance and columns, one whole number at a time."""
    fresh = np.random.default_rng([0, 17]).random(size) + 1
    state = [int(word) for word in fresh.view(np.uint64)]
    lines, line = len(p) * steps, min(2 * size // batch_size, len(p) * steps)
    x = []
    while len(x) < lines * batch_size:
        state = [(word ^ word >> 32) * int(words.MULTIPLIER) % 2**64 for word in state]
        halves = [half for word in state for half in (word % 2**32, word >> 32)]
        x += halves[:line * batch_size]
    u = np.array([half - 2**32 * (half >= 2**31) for half in x[:lines * batch_size]]) / 2**32 + 0.5
    u = u.reshape(steps, len(p), batch_size)
    q = np.asarray(p)[:, None]
    value = (2 * u - 1) / q if signed else 1 - u / q
    return np.where(abs(value) <= 1, value, 0) if signed else np.maximum(value, 0)


@given(p=st.lists(st.sampled_from([0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=4),
       steps=st.integers(1, 3), batch_size=st.integers(1, 60), signed=st.booleans(),
       always=st.booleans())
def test_words_are_their_slow_twin(p, steps, batch_size, signed, always):
    p = [1.0] * len(p) if always else p
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FEWEST", 16)
        patch.setattr(words, "MOST", 64)
        size = 16
        while size < 64 and size * 2 * words.IMAGES < len(p) * steps * batch_size:
            size *= 2
        size = max(size, -(-batch_size // 2))
        x = batches(p, steps, batch_size, signed)[0]
    expected = slow_batches(p, steps, batch_size, signed, size)
    np.testing.assert_allclose(x, expected, rtol=0, atol=2e-6)


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


def images():
    """64 images of as many words as are drawn at once: (64, MOST, 2), a word has two halves."""
    return batches([1.0], 64, 2 * words.MOST)[0].reshape(64, words.MOST, 2)


@pytest.fixture(scope="module")
def pieces():
    return images()


@pytest.mark.parametrize("lag", [1, 2, 3, 7])
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("other", [0, 1])
def test_the_images_of_a_word_are_not_correlated(pieces, lag, half, other):
    assert dependence(pieces[:-lag, :, half], pieces[lag:, :, other]) < 5


def test_the_halves_of_a_word_are_not_correlated(pieces):
    assert dependence(pieces[..., 0], pieces[..., 1]) < 5


def test_a_map_that_only_shifts_is_caught(monkeypatch):
    monkeypatch.setattr(words, "MULTIPLIER", np.array(1, np.uint64))
    shifted = images()
    for half in (0, 1):
        assert dependence(shifted[:-2, :, half], shifted[2:, :, half]) > 5


def test_three_images_of_a_word_are_not_correlated(pieces):
    u = 2 * pieces.reshape(64, -1).astype(float) - 1
    triple = u[:-2] * u[1:-1] * u[2:] * 3**1.5
    assert abs(triple.mean()) * np.sqrt(triple.size) < 5


def test_all_numbers_lie_in_the_interval():
    for signed, low in ((False, 0), (True, -1)):
        x = batches([1.0], 1, 2**20, signed)
        assert low <= x.min() < low + 1e-5 and 1 - 1e-5 < x.max() <= 1


@layouts
def test_what_is_always_on_is_never_zero(rows):
    """Not even where the largest integer rounds to 2^31, and not beside what is not always on."""
    for p in ([1.0, 1.0], [1.0, 0.5]):
        draw = Uniform(np.array([p]), (1, 1, 2, 2), False, rows)
        for integer in (2**31 - 1, -2**31):
            x = np.full((1, 2, 2), integer, np.float32)
            draw.spread(x, slice(0, 2))
            first = x[..., 0] if rows else x[:, 0]
            assert (first > 0).all() and x.max() <= 1 + 1e-7


def test_only_instances_that_are_frequent_are_stretched():
    """Neither rare instances between them nor float64 ask for it."""
    sampler = Sampler(tm.Features(3, [[1.0], [0.5], [0.01], [0.7]]))
    for dtype, expected in ((np.float64, []), (np.float32, [(0, 2), (3, 1)])):
        sampler.fill(generators(0, 1, 2, 3), np.empty((4, 2, 3, 8), dtype))
        assert sorted(sampler.fast) == expected
