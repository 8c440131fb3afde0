"""Global certificates: branch and bound agrees with searches, its bounds with what they bound."""

import json
from concurrent.futures import Executor, Future
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import toymodels_np as tm
from toymodels_np.theory.certify import boxes, overall
from toymodels_np.theory.certify.enclose import ball, law_of, output_loss

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


class Tired(Executor):
    """Does so many jobs, and then is interrupted."""

    def __init__(self, most):
        self.most, self.done = most, 0

    def submit(self, function, *arguments):
        if self.done == self.most:
            raise KeyboardInterrupt
        self.done += 1
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_boxes_may_be_counted_in_a_byte():
    """Which does not hold the number of boxes of a part."""
    assert tm.certify_global(tm.Features(1, 0.3), most_boxes=np.int8(100),
                             executor=Tired(100)).proved


@pytest.fixture
def short_parts(monkeypatch):
    """Parts that are short enough for one feature, which takes 27 boxes."""
    monkeypatch.setattr(overall, "PART", 5)


def test_a_proof_that_was_interrupted_goes_on_and_is_the_same(tmp_path, short_parts):
    features, done = tm.Features(1, 0.3), []
    whole = tm.certify_global(features)
    with pytest.raises(KeyboardInterrupt):
        tm.certify_global(features, executor=tm.Keeper(tmp_path, Tired(3)))
    for _ in range(2):
        worker = Tired(100)
        proof = tm.certify_global(features, executor=tm.Keeper(tmp_path, worker))
        assert proof.proved and replace(proof, seconds=0) == replace(whole, seconds=0)
        done.append(worker.done)
    in_all = Tired(100)
    assert tm.certify_global(features, executor=in_all).boxes == whole.boxes
    assert done == [in_all.done - 3, 0] and done[0] > 0


def test_what_other_features_penalties_or_code_did_is_not_used(tmp_path, monkeypatch):
    def jobs(p=0.3, interference=0.0):
        worker = Tired(100)
        tm.certify_global(tm.Features(1, p), interference=interference,
                          executor=tm.Keeper(tmp_path, worker))
        return worker.done

    assert [jobs(), jobs(), jobs(p=0.4), jobs(interference=0.1), jobs()] == [1, 0, 1, 1, 0]
    monkeypatch.setattr(overall, "BITS", overall.BITS + 32)         # a number that the code names
    assert jobs() == 1


def test_parts_that_end_at_most_boxes_have_settled_what_is_not_left(short_parts):
    law = law_of(tm.Features(2, 0.3))
    known = boxes.Minimisers(law)
    known.look([1.0, -0.9], [-0.1, -0.1])
    whole, settled = overall.first_box(law, overall.weight_bounds(law, known.upper)), []
    share = lambda box: float(box.sides[0] * box.sides[1] / whole.sides[0] / whole.sides[1])
    left, given_up, count = overall.in_parts(
        known, whole, 20, Tired(100), lambda box, sign=1: settled.append(sign * share(box)))
    assert 20 <= count < 25 and not given_up
    assert sum(settled) + sum(map(share, left)) == pytest.approx(1) and sum(settled) > 0


def test_a_part_knows_what_the_search_knows():
    """All twins of a minimum of equal features, their boxes and the bound."""
    law, jobs = law_of(tm.Features(3, 0.1)), []
    known = boxes.Minimisers(law)
    pair = tm.energies.antipodal(0.1)
    known.look([pair.norm, -pair.norm, 0.0], [pair.bias, pair.bias, 0.05])

    class Listening(Executor):
        def map(self, function, given):
            jobs.extend(json.loads(json.dumps(given)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overall.in_parts(known, overall.first_box(law, [2, 2, 2]), 1, Listening(), None)
    again = boxes.Minimisers(law)
    for record in jobs[0]["known"]:
        again.add(overall.from_dict(record))
    assert again.upper == known.upper and again.certificates == known.certificates
    assert len(known.certificates) > len(known.distinct) == len(jobs[0]["known"]) == 1


def test_what_one_part_finds_the_next_part_knows():
    law, seen = law_of(tm.Features(2, 0.1)), []
    known, pair = boxes.Minimisers(law), tm.energies.antipodal(0.1)
    known.look([pair.norm, -pair.norm], [pair.bias, pair.bias])
    (found,), known, whole = known.distinct, boxes.Minimisers(law), overall.first_box(law, [2, 2])

    class Finding(Executor):
        def map(self, function, jobs):
            seen.extend(jobs)
            part = {"found": [found.to_dict()], "looks": 2, "count": 3, "left": [], "given_up": []}
            part["left" if len(seen) == 1 else "given_up"] = [job["box"] for job in jobs]
            return iter([{"part": json.dumps(part)}])

    left, given_up, count = overall.in_parts(known, whole, 100, Finding(), lambda *box: None)
    assert [job["known"] for job in seen] == [[], [found.to_dict()]]
    assert [job["looks"] for job in seen] == [0, 2] and known.looks == 4 and count == 6
    assert known.upper == found.loss_interval[1] and not left
    assert [overall.written(box) for box in given_up] == [overall.written(whole)]


@settings(max_examples=40)
@given(st.lists(st.fractions(-3, 3, max_denominator=2**30), min_size=4, max_size=12))
def test_a_box_that_was_written_is_read_as_a_box_around_it(ends):
    """Ends that are dyadic come back as they are, as all ends of a search are."""
    for exact in (False, True):
        numbers = [Fraction(round(x * 2**40), 2**40) if exact else x for x in ends]
        pairs = [(ball(min(p)), ball(max(p))) for p in zip(numbers[::2], numbers[1::2])]
        box = boxes.Box([l for l, _ in pairs[:2]], [h for _, h in pairs[:2]], [pairs[2:], pairs])
        again = overall.read(2, json.loads(json.dumps(overall.written(box))))
        for one, two in zip([*zip(box.low, box.high), *sum(box.pieces, [])],
                            [*zip(again.low, again.high), *sum(again.pieces, [])], strict=True):
            assert two[0] <= one[0] or two[0].overlaps(one[0]) and not exact
            assert not exact or two[0] == one[0] and two[1] == one[1]
            assert two[0].union(two[1]).contains(one[0].union(one[1]))


@st.composite
def searched(draw):
    """(tester, box) of two features, the biases still anywhere from -4 to 4."""
    law = law_of(tm.Features(2, draw(st.sampled_from([0.05, 0.5]))))
    middle = [Fraction(round(64 * draw(st.floats(low, 1.2))), 64) for low in (0, -1.2)]
    half = Fraction(draw(st.sampled_from([0.3, 0.05]))) / 2
    sides = [[ball(w + sign * half) for w in middle] for sign in (-1, 1)]
    box = boxes.Box(*sides, [[(ball(-4), ball(4))]] * 2)
    return boxes.Tester(boxes.Minimisers(law)), box


def corners(box):
    """The weights at all corners of the box."""
    return list(product(*zip(box.low, box.high)))


def loss_of(tester, i, gains, bias):
    """The loss of output i by another way than the one that the bounds take."""
    return output_loss(tester.law, i, gains, bias, 0)[0]


def row(w, i):
    """The gains of output i."""
    return [w[i] * x for x in w]


def may_hold(ends, x):
    """Whether a ball is not proved to lie outside of the two ends."""
    return not (x < ends[0] or x > ends[1])


@given(searched())
def test_no_loss_in_a_box_is_below_the_bounds_of_the_pieces_that_are_left(case):
    tester, box = case
    gains = tester.gains_of(box)
    for i in (0, 1):
        pieces = tester.output(box, gains, i)
        bound = boxes.lowest(piece.loss for piece in pieces)
        centred = boxes.lowest(tester.centred(gains, i, piece) for piece in pieces)
        for bias in (ball(Fraction(k, 8)) for k in range(-12, 13)):
            assert not loss_of(tester, i, row(box.middle, i), bias) < centred
            assert not any(loss_of(tester, i, row(w, i), bias) < bound for w in corners(box))


@given(searched())
def test_the_slopes_of_a_piece_hold_the_differences_of_its_losses(case):
    """The mean value theorem, along the bias and along each gain."""
    tester, box = case
    gains = tester.gains_of(box)
    for i, w in product((0, 1), corners(box)):
        at = partial(loss_of, tester, i)
        for piece in tester.output(box, gains, i):
            value, in_bias, *in_gains = piece.slopes
            low, high = at(row(w, i), piece.low), at(row(w, i), piece.high)
            assert may_hold(value, low - tester.law.active[i] / 3)
            assert may_hold(in_bias, (high - low) / (piece.high - piece.low))
            for j, slope in enumerate(in_gains):
                first, last = ([*row(w, i)[:j], ends[i][j], *row(w, i)[j + 1:]]
                               for ends in gains[:2])
                difference = at(last, piece.low) - at(first, piece.low)
                assert may_hold(slope, difference / (last[j] - first[j]))


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
        (tm.Features(2, [0.05, 1e-9]), {}, ValueError, "at least 1e-08 for a global proof"),
        (tm.Features(2, 0.5), {"interference": -1}, ValueError, "interference"),
        (tm.Features(2, 0.5), {"most_boxes": 0}, ValueError, "most_boxes"),
        (3, {}, TypeError, "int"),
    ],
)
def test_what_is_out_of_reach_is_refused_in_a_sentence(features, options, error, sentence):
    with pytest.raises(error, match=sentence):
        tm.certify_global(features, **options)
