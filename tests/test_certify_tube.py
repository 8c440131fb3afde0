"""Polygons along an interval of p: enclosures against their twins, stretches, and what is kept."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import toymodels_np as tm
from toymodels_np.theory.certify import proved, tube
from toymodels_np.theory.certify.enclose import ball, balls_of, enclosure, output_loss
from toymodels_np.theory.certify.rows import equal_law, row_bounds, slopes_of

flint = pytest.importorskip("flint")
WIDTH = {2: Fraction(1, 500), 3: Fraction(1, 1000), 5: Fraction(1, 2000)}   # of stretches that pass


@pytest.fixture(autouse=True)
def many_bits():
    with flint.ctx.workprec(256):
        yield


def gains(n, a):
    """The row of gains of a polygon with squared norm a, a ball or a number."""
    angles = [2 * min(k, n - k) for k in range(n)]
    return [a * flint.arb.cos_pi_fmpq(flint.fmpq(k, n)) for k in angles]


def polygon(n, a, b):
    """W and b of the polygon, in balls; one dimension for two features."""
    r, turn = ball(a).sqrt(), [flint.fmpq(2 * k, n) for k in range(n)]
    rows = [[r * flint.arb.cos_pi_fmpq(t) for t in turn],
            [r * flint.arb.sin_pi_fmpq(t) for t in turn]]
    return rows[:1] if n == 2 else rows, [ball(b)] * n


numbers = st.fractions(Fraction(1, 2), Fraction(3, 2), max_denominator=50)
biases = st.fractions(Fraction(-1, 3), Fraction(1, 3), max_denominator=50)


@settings(max_examples=10)
@given(st.sampled_from([2, 3]), numbers, biases, st.sampled_from([Fraction(1, 20), Fraction(2, 5)]))
def test_a_row_on_a_box_holds_the_rows_inside_and_at_a_point_is_the_row(n, a, b, p):
    law, side = balls_of(equal_law(n, p, p)), Fraction(1, 200)
    (row,) = row_bounds([law], gains(n, ball(a, a + side)), ball(b, b + side))
    for share in (Fraction(0), Fraction(1, 3), Fraction(1)):
        at = gains(n, ball(a + share * side)), ball(b + share * side)
        (point,) = row_bounds([law], *at)
        value, slope, hessian = output_loss(law, 0, *at)
        for box, tight, twin in ((row.value, point.value, value - ball(p) / 3),
                                 *zip(row.slope, point.slope, slope),
                                 *zip(row.hessian.entries(), point.hessian.entries(),
                                      hessian.entries())):
            assert box.overlaps(twin) and box.overlaps(tight) and tight.overlaps(twin)


def test_the_row_of_a_pentagon_at_a_point_is_exact_and_on_a_box_it_is_narrow():
    law, a, b = balls_of(equal_law(5, Fraction(1, 10),
                                   Fraction(1, 10))), Fraction(6, 5), Fraction(-1, 5)
    narrow = Fraction(1, 2000)
    (point,), (box,) = (row_bounds([law], gains(5, ball(a, a + side)), ball(b, b + side))
                        for side in (Fraction(0), narrow))
    twin = output_loss(law, 0, gains(5, ball(a)), ball(b))[2].entries()
    for x, y, z in zip(point.hessian.entries(), box.hessian.entries(), twin):
        assert abs(x - z) < 1e-20 and y.contains(z) and y.rad() < 20 * float(narrow)


def test_weights_of_slopes_are_derivatives():
    p, step = Fraction(1, 5), Fraction(1, 10**8)
    near = [balls_of(equal_law(3, q, q)).supports for q in (p - step, p + step)]
    for (slope, on), (low, _), (high, _) in zip(slopes_of(3, p, p).supports, *near):
        assert float(slope) == pytest.approx(float((high - low) / ball(2 * step)), abs=1e-12), on


@pytest.mark.parametrize("n", [2, 3, 5])
def test_blocks_are_the_second_variation_along_the_waves(n):
    """The twin takes the whole Hessian, and moves every corner by hand."""
    a, b, p = Fraction(11, 10), Fraction(-1, 7), Fraction(1, 10)
    law, (W, bias) = balls_of(equal_law(n, p, p)), polygon(n, a, b)
    whole = enclosure(law, W, bias)[2]
    H = np.array([[float(x.mid()) for x in row] for row in whole.tolist()])
    (row,) = row_bounds([law], gains(n, ball(a)), ball(b))
    found = tube.blocks(row, ball(a))
    assert len(found) == n // 2 + 1
    angle, r = 2 * np.pi * np.arange(n) / n, float(a) ** 0.5
    outwards, around = (np.array(f) for f in ((np.cos(angle), np.sin(angle)),
                                              (-np.sin(angle), np.cos(angle))))
    for wave, block in enumerate(found):
        cos, sin, zero = np.cos(wave * angle), np.sin(wave * angle), np.zeros(n)
        moves = [np.concatenate([(outwards * cos / r)[:len(W)].ravel(), zero])]
        if n > 2 and wave:
            moves.append(np.concatenate([(around * sin / r).ravel(), zero]))
        moves.append(np.concatenate([np.zeros(len(W) * n), cos]))
        M = np.array(moves)
        assert np.allclose(M @ H @ M.T, [[float(x) for x in row] for row in block.tolist()],
                           atol=1e-12)


@pytest.mark.parametrize("n, p", [(2, "0.05"), (3, "0.3"), (5, "0.05"), (5, "0.2")])
def test_energy_and_slope_of_a_stretch_are_those_of_the_closed_form(n, p):
    low, high = Fraction(p), Fraction(p) + WIDTH[n]
    s = tube.stretch(n, low, high)
    energy = lambda q: tm.energies.polygon(n, float(q)).loss
    middle = (low + high) / 2
    assert float(s.energy[0]) - 1e-14 <= energy(middle) <= float(s.energy[1]) + 1e-14
    assert s.energy[1] - s.energy[0] < Fraction(1, 10**10)
    assert float(s.slope[0]) < (energy(high) - energy(low)) / float(high - low) < float(s.slope[1])
    for q in (low, middle, high):
        e = tm.energies.polygon(n, float(q))
        assert all(abs(x - float(c)) <= r
                   for x, c, r in zip((e.norm**2, e.bias), s.centre, s.radius))


def test_a_stretch_may_be_p_1_alone_where_other_supports_can_never_occur():
    this, energy = tube.stretch(3, 1, 1), tm.energies.polygon(3, 1.0).loss
    assert this.energy[0] - 1e-12 < energy < this.energy[1] + 1e-12
    rise = (energy - tm.energies.polygon(3, 0.9999).loss) / 1e-4
    assert abs(rise - sum(map(float, this.slope)) / 2) < 1e-4
    with pytest.raises(ArithmeticError, match="wave 1 around the polygon has the index 1"):
        tube.stretch(5, 1, 1)


def test_what_is_too_wide_or_no_minimum_is_not_proved():
    with pytest.raises(tube.NotProved, match="Krawczyk's test"):
        tube.stretch(5, Fraction(4, 100), Fraction(6, 100))
    with pytest.raises(tube.NotProved, match="wave 1 around the polygon has the index 1"):
        tube.stretch(2, "0.72", "0.7201")                       # a saddle beyond p = 0.713013


def test_a_cover_has_no_gaps_and_follows_one_polygon():
    low, high = Fraction(1, 10), Fraction(103, 1000)
    parts = list(tube.cover(3, low, high))
    assert parts[0].low == low and parts[-1].high == high and len(parts) > 1
    assert all(a.high == b.low and tube.joined(a, b) for a, b in pairwise(parts))
    first, second = parts[:2]
    assert not tube.joined(second, first)
    moved = second._replace(centre=tuple(x + 3 * r for x, r in zip(second.centre, second.radius)))
    assert not tube.joined(first, moved)
    assert not tube.joined(first, second._replace(n=2))


@pytest.mark.parametrize("arguments, sentence", [
    ((4, "0.1", "0.2"), "n must be 2, 3, 5 or 7"), ((9, "0.1", "0.2"), "n must be"),
    ((5, "0.2", "0.1"), "0 < low <= high <= 1"), ((5, 0, "0.1"), "0 < low"),
    ((5, "x", "0.1"), "must be numbers"), ((5, float("nan"), 1), "must be numbers"),
])
def test_stretches_that_make_no_sense_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        tube.stretch(*arguments)


# -- what is kept ---------------------------------------------------------------------------------


def test_kept_stretches_join_from_one_hundredth_to_the_crossing():
    ends = proved.load_pentagon()
    assert ends == sorted(set(ends))
    assert (ends[0], ends[-1]) == (Fraction("0.01"), Fraction("0.2249"))


@settings(max_examples=3)
@given(st.data())
def test_drawn_stretches_are_proved_anew(data):
    """On each the pentagon is cheaper than two digons and a dropped feature, or rises against
    them; the latter is so from somewhere on, so that there is one crossing."""
    ends = proved.load_pentagon()
    k = data.draw(st.integers(1, len(ends) - 2))
    this, after = (tube.stretch(5, *ends[j:j + 2]) for j in (k - 1, k))
    assert tube.joined(this, after)
    (least, most), (slope, _) = tube.gap(this)
    assert most < 0 or slope > 0
    p = float(this.low + this.high) / 2
    gap = tm.energies.polygon(5, p).loss - tm.energies.digons(2, p, dropped=1).loss
    assert float(least) < gap < float(most)


def test_the_critical_surface_has_six_digits_and_rises_with_importance():
    points = proved.load_critical()
    assert len(points) >= 20
    for c in points:
        assert c.low < c.high <= c.low * (1 + Fraction(2, 10**6))
    for one, two in pairwise(points):
        assert one.p < two.p or one.high < two.low


def test_lower_bounds_of_the_critical_surface_are_proved_anew_and_none_is_above_it():
    for c in proved.load_critical():
        assert c.bounded_below()
        assert not c._replace(low=c.high).bounded_below()


def test_an_upper_bound_of_the_critical_surface_is_proved_anew():
    (c,) = [c for c in proved.load_critical() if (c.importance, c.p) == (0.3, 0.05)]
    assert c.bounded_above()
    assert not c.bounded_above(most_boxes=100)


@pytest.mark.parametrize("W, b, drops", [
    ((1, 0), (0, "0.025"), True), ((0, -1), ("0.0251", "0.0001"), True),
    ((1, 0), (0, "0.03"), False), (("0.9", 0), (0, "0.025"), False), ((1, 0), (0, "-0.025"), False),
])
def test_a_zero_at_the_centre_of_a_box_alone_does_not_prove_that_a_feature_is_dropped(
        monkeypatch, W, b, drops):
    (c,) = [c for c in proved.load_critical() if (c.importance, c.p) == (0.3, 0.05)]
    known = SimpleNamespace(W=(tuple(map(Fraction, W)),), b=tuple(map(Fraction, b)),
                            radius=Fraction(1, 1000))
    found = SimpleNamespace(proved=True, minimisers=(known,))
    monkeypatch.setattr(proved, "certify_global", lambda *args, **options: found)
    assert c.bounded_above() == drops


def test_what_is_proved_at_a_point_speaks_for_larger_or_smaller_importances():
    """And never for both: each cell is compared with a search at its two ends."""
    points = [c for c in proved.load_critical() if c.p == 0.1]
    phase = lambda low, high: proved.phase(points, low, high, Fraction("0.02"))
    assert (phase(0.2, 0.3), phase(0.7, 0.8)) == ("dropped", "dropped")
    assert (phase(0.8, 0.9), phase(0.9, 1.0)) == ("", "pair")
    assert phase(1.0, 5.0) == phase(2.0, 5.0) == ""     # at 5 feature 0 is dropped, see below
    for importance, kept in ((0.8, 1), (0.9, 2), (1.0, 2), (5.0, 1)):
        features = tm.Features(2, 0.1, [1, importance])
        found = tm.find_minimum(features, 1, starts=8, interference=0.02)
        assert (abs(found.model.W[0]) > 1e-3).sum() == kept
