"""Global certificates: branch and bound agrees with searches, its bounds with what they bound."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import toymodels_np as tm
from toymodels_np.theory.certify import overall
from toymodels_np.theory.certify.enclose import ball, balls_of, enclosure, law_of

flint = pytest.importorskip("flint")


@pytest.fixture(autouse=True)
def many_bits():
    with flint.ctx.workprec(256):
        yield


def test_the_global_minimum_of_two_features_is_proved_and_is_what_a_search_finds():
    features = tm.Features(2, 0.05, [1, 0.3])
    proof = tm.certify_global(features)
    found = tm.find_minimum(features, 1, starts=8)
    low, high = proof.loss_interval
    assert proof.proved and high - low < Fraction(1, 10**12)
    assert float(low) == pytest.approx(found.loss, abs=1e-14)
    (minimiser,) = proof.minimisers
    assert minimiser.index == 0 and tm.check_certificate(minimiser.to_dict())
    found_w = np.array(minimiser.W[0], float)
    assert np.allclose(abs(found_w), abs(found.model.W[0]), atol=1e-7)


def test_with_a_strong_penalty_one_feature_is_dropped():
    features = tm.Features(2, 0.1, [1, 0.5])
    proof = tm.certify_global(features, interference=1.0)
    exact = Fraction(1, 2) * (Fraction(1, 30) - Fraction(1, 400))  # I v (5.6)
    assert proof.proved and abs(proof.loss_interval[0] - exact) < Fraction(1, 10**15)
    assert all(c.W[0][1] == 0 for c in proof.minimisers)


def test_a_search_that_is_cut_short_proves_nothing():
    proof = tm.certify_global(tm.Features(2, 0.3), most_boxes=20)
    assert not proof.proved and "of 20 boxes were not settled" in proof.reason and proof.open_boxes


@settings(max_examples=40)
@given(
    st.floats(0, 1.2),
    st.floats(-1.2, 1.2),
    st.sampled_from([0.3, 0.05]),
    st.sampled_from([0.05, 0.5]),
    st.floats(0.05, 1),
)
def test_the_bounds_of_a_box_are_below_what_they_bound(
    w0, w1, side, p, importance
):
    """The lower bounds of a box that holds the point are below the loss at the point."""
    law = law_of(tm.Features(2, p, [1, importance]))
    balls = balls_of(law)
    w = [Fraction(round(x * 64), 64) for x in (w0, w1)]

    def value(b):
        return float(enclosure(balls, [[ball(x) for x in w]], [ball(x) for x in b], 0)[0])

    grid = [Fraction(k, 32) for k in range(-8, 33)]
    best = [min(grid, key=lambda x: value([x, 0])), min(grid, key=lambda x: value([0, x]))]

    class Known:
        upper, homes, looks = Fraction(10**6), [], overall.MOST_LOOKS

        def hold(self, low, high):
            return False

    tester = overall.Tester(law, Known())
    half = Fraction(side) / 2
    low, high = [x - half for x in w], [x + half for x in w]
    box = overall.Box([ball(x) for x in low], [ball(x) for x in high], [[(ball(-4), ball(4))]] * 2)
    gains = tester.gains_of(box)
    for i in (0, 1):
        pieces = [overall.Piece(ball(best[i]), ball(best[i]), *measured(balls, gains, i, best[i]))]
        loss = output(balls, i, w, best[i])
        assert pieces[0].loss.lower() <= loss.upper()
        assert (
            tester.centred(gains, i, pieces[0]).lower()
            <= output(balls, i, [(l + h) / 2 for l, h in zip(low, high)], best[i]).upper()
        )


def measured(balls, gains, i, bias):
    first = overall.moments(balls, i, gains[0][i], ball(bias))
    last = overall.moments(balls, i, gains[1][i], ball(bias))
    slopes = [
        ((x - y).lower(), (z - t).upper())
        for x, y, z, t in zip(first[0], last[1], last[0], first[1])
    ]
    return slopes, balls.active[i] / 3 + slopes[0][0]


def output(balls, i, w, bias):
    from toymodels_np.theory.certify.enclose import output_loss

    return output_loss(balls, i, [ball(w[i] * x) for x in w], ball(bias), 0)[0]


@settings(max_examples=40)
@given(st.fractions(1, 6, max_denominator=20))
def test_an_output_whose_own_gain_is_too_large_costs_what_the_lemma_says(a):
    """min over b of E (u - relu(a u + b))^2 is (a - 1)^2 / (3 (a + 1)^2) for a >= 1. (13.9)"""
    u = np.linspace(0, 1, 20001)[1:]
    costs = [
        np.mean((u - np.maximum(float(a) * u + b, 0)) ** 2) for b in np.linspace(-float(a), 0, 400)
    ]
    bound = float((a - 1) ** 2 / (3 * (a + 1) ** 2))
    assert min(costs) >= bound - 1e-4
    tau = (a - 1) / (a + 1)
    at = np.mean((u - np.maximum(float(a) * (u - float(tau)), 0)) ** 2)
    assert at == pytest.approx(bound, abs=2e-4)


@pytest.mark.parametrize(
    "features, options, error, sentence",
    [
        (tm.Features(2, 0.5), {"n_hidden": 2}, ValueError, "n_hidden must be 1"),
        (tm.Features(5, 0.5), {}, ValueError, "at most 4"),
        (tm.Features(2, 0.5, correlated=[(0, 1)]), {}, ValueError, "independent"),
        (tm.Features(2, 0.5, [1, 0]), {}, ValueError, "importance must be positive"),
        (tm.Features(2, 0.5), {"interference": -1}, ValueError, "interference"),
        (tm.Features(2, 0.5), {"most_boxes": 0}, ValueError, "most_boxes"),
        (3, {}, TypeError, "int"),
    ],
)
def test_what_is_out_of_reach_is_refused_in_a_sentence(features, options, error, sentence):
    with pytest.raises(error, match=sentence):
        tm.certify_global(features, **options)
