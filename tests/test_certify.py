"""Certificates: enclosures hold what exact fractions say; nothing that is false is certified."""

import ast
import copy
import json
import subprocess
import sys
from fractions import Fraction
from functools import partial
from itertools import product
from math import factorial, prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings, strategies as st

import toymodels_np as tm
from toymodels_np.theory.certify import bounds, certificate as certificate_module, local
from toymodels_np.theory.certify.certificate import decimal, digest, from_dict
from toymodels_np.theory.certify.climb import climb_to_saddle as climb
from toymodels_np.theory.certify.enclose import (
    Kink,
    Law,
    ball,
    balls_of,
    enclosure,
    interval,
    law_of,
    rational,
)

flint = pytest.importorskip("flint")

CHECKER = Path(tm.__file__).parent / "theory" / "certify" / "check.py"


@pytest.fixture(autouse=True)
def many_bits():
    """Balls made by a test are as exact as those of the package."""
    with flint.ctx.workprec(256):
        yield


# -- exact fractions: every support, every corner of its cube -------------------------------------


def mean_power(a, b, own, power):
    """E[u_own z_+^power] for z = b + a·u, or without u_own where own is None, in fractions."""
    if own is not None and a[own] == 0:
        return mean_power(a, b, None, power) / 2
    rest = [j for j, x in enumerate(a) if x != 0]
    k, volume, total = len(rest), prod((a[j] for j in rest), start=Fraction(1)), Fraction(0)
    tower = lambda z, s: max(z, 0) ** s * Fraction(factorial(power), factorial(s))
    for v in product((0, 1), repeat=k):
        z = b + sum(a[j] for j, on in zip(rest, v) if on)
        sign = (-1) ** (k - sum(v))
        if own is None:
            total += sign * tower(z, power + k)
        else:
            on = v[rest.index(own)]
            total += sign * (on * tower(z, power + k) - tower(z, power + k + 1) / a[own])
    return total / volume


def supports(law):
    """All (probability, active features) of a law whose intervals are points."""
    cases = [(Fraction(1), ())]
    for kind, members in law.sets:
        p = law.probability[members[0]][0]
        groups = [members] if kind == "correlated" else [(i,) for i in members]
        options = [(1 - p, ())] + [(p / len(groups), g) for g in groups]
        cases = [(x * y, on + more) for x, on in cases for y, more in options]
    return cases


def exact_loss(law, W, b):
    n, total = law.n, Fraction(0)
    G = [[sum(row[i] * row[j] for row in W) for j in range(n)] for i in range(n)]
    for i, (weight, on) in product(range(n), supports(law)):
        if weight == 0:
            continue
        a = [G[i][j] for j in on]
        own = on.index(i) if i in on else None
        cost = mean_power(a, b[i], None, 2)
        if own is not None:
            cost += Fraction(1, 3) - 2 * mean_power(a, b[i], own, 1)
        total += law.importance[i][0] * weight * cost
    pairs = sum(G[i][j] ** 2 for i in range(n) for j in range(n) if i != j)
    return (
        total
        + law.interference[0] * pairs
        + law.weight_decay[0] * sum(w * w for row in W for w in row)
    )


NUMBERS = st.sampled_from(
    [Fraction(k, 8) for k in range(-12, 13)] + [Fraction(1, 100), Fraction(0)]
)
CHANCES = st.sampled_from([Fraction(1, 20), Fraction(1, 3), Fraction(9, 10), Fraction(1)])


@st.composite
def cases(draw):
    """(law, W, b) of rational numbers: independent features or sets, with and without penalties."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    sets = [("correlated", (i,)) for i in range(n)]
    if n > 1 and draw(st.booleans()):
        kind = draw(st.sampled_from(["correlated", "anticorrelated"]))
        sets = [(kind, (0, 1))] + sets[2:]
    p = [draw(CHANCES) for _ in range(n)]
    if len(sets) < n:
        p[1] = p[0]
    importance = [
        draw(st.sampled_from([Fraction(1), Fraction(7, 10), Fraction(0)])) for _ in range(n)
    ]
    penalties = (
        draw(st.sampled_from([Fraction(0), Fraction(1, 5)])),
        draw(st.sampled_from([Fraction(0), Fraction(-1, 9)])),
    )
    point = lambda values: tuple((x, x) for x in values)
    law = Law(n, point(p), point(importance), tuple(sets), *point(penalties))
    return (
        law,
        [[draw(NUMBERS) for _ in range(n)] for _ in range(m)],
        [draw(NUMBERS) for _ in range(n)],
    )


def lifted(rows, radius=0):
    return [[ball(x - radius, x + radius) for x in row] for row in rows]


def holds(enclosed, x):
    """Whether a Fraction lies in a ball, decided in fractions."""
    return abs(rational(enclosed.mid()) - x) <= rational(enclosed.rad())


@settings(max_examples=200)
@given(cases())
def test_the_loss_of_exact_fractions_lies_in_its_enclosure(case):
    law, W, b = case
    (loss,) = enclosure(law, lifted(W), *lifted([b]), 0)
    exact = exact_loss(law, W, b)
    assert holds(loss, exact)
    assert loss.rad() < 1e-12
    (wide,) = enclosure(law, lifted(W, Fraction(1, 1000)), *lifted([b], Fraction(1, 1000)), 0)
    assert holds(wide, exact)


def test_a_formula_that_is_slightly_wrong_would_be_noticed():
    law = law_of(tm.Features(2, 0.5))
    W, b = [[Fraction(1), Fraction(-3, 4)]], [Fraction(1, 10), Fraction(0)]
    (loss,) = enclosure(law, lifted(W), *lifted([b]), 0)
    assert holds(loss, exact_loss(law, W, b))
    assert not holds(loss, exact_loss(law, W, [Fraction(1, 10), Fraction(1, 10**12)]))


@settings(max_examples=40)
@given(cases(), st.integers(0, 2**31))
def test_the_gradient_holds_the_differences_of_the_exact_loss(case, seed):
    """The mean value theorem: a difference of the loss over a box lies in the gradient's enclosure
    there.
    """
    law, W, b = case
    m, n = len(W), law.n
    rng, step = np.random.default_rng(seed), Fraction(1, 2**7)
    direction = [Fraction(int(x)) for x in rng.integers(-2, 3, m * n + n)]
    move = lambda s: (
        [[w + s * direction[c * n + j] for j, w in enumerate(row)] for c, row in enumerate(W)],
        [x + s * direction[m * n + i] for i, x in enumerate(b)],
    )
    try:
        _, g, _ = enclosure(law, lifted(W, 2 * step), *lifted([b], 2 * step))
    except Kink:
        reject()
    difference = (exact_loss(law, *move(step)) - exact_loss(law, W, b)) / step
    assert holds(sum((x * ball(d) for x, d in zip(g, direction)), ball(0)), difference)


def test_the_hessian_holds_second_differences_of_the_exact_loss():
    law = law_of(
        tm.Features(3, 0.3, [1, 0.8, 0.6], anticorrelated=[(0, 2)]),
        Fraction(1, 10),
        Fraction(1, 20),
    )
    W = [
        [Fraction(3, 4), Fraction(-1, 2), Fraction(0)],
        [Fraction(1, 8), Fraction(0), Fraction(7, 8)],
    ]
    b, h = [Fraction(-1, 10), Fraction(1, 5), Fraction(1, 10)], Fraction(1, 2**12)
    flat = [*W[0], *W[1], *b]
    at = lambda theta: exact_loss(law, [theta[:3], theta[3:6]], theta[6:])
    _, _, H = enclosure(law, lifted(W, 2 * h), *lifted([b], 2 * h))
    for i, j in product(range(9), repeat=2):
        shift = lambda s, t: [x + s * h * (k == i) + t * h * (k == j) for k, x in enumerate(flat)]
        second = (at(shift(1, 1)) - at(shift(1, -1)) - at(shift(-1, 1)) + at(shift(-1, -1))) / (
            4 * h * h
        )
        assert holds(H[i, j], second), (i, j)


def test_a_second_kind_of_interval_arithmetic_agrees():
    """mpmath's intervals, on two features, with all four supports written out by hand."""
    iv = pytest.importorskip("mpmath").iv
    W, b, p = [0.96, -0.97], [0.09, 0.11], 0.3
    term = lambda z, s: (iv.mpf([max(z.a, 0), max(z.b, 0)])) ** s / factorial(s)
    total = iv.mpf(0)
    for i in (0, 1):
        s, t, c, q = (iv.mpf(x) for x in (W[i], W[1 - i], b[i], p))
        s, t = s * s, s * t
        one = lambda a: 2 * (term(c + a, 3) - term(c, 3)) / a
        both = 2 * (term(c + s + t, 4) - term(c + s, 4) - term(c + t, 4) + term(c, 4)) / (s * t)
        edge = 2 * (term(c + s + t, 3) - term(c + s, 3)) / t  # E relu^2 at u = 1
        cross_one = (2 * term(c + s, 2) - one(s)) / (2 * s)
        cross_both = (edge - both) / (2 * s)
        total += (
            q / 3 + (1 - q) ** 2 * 2 * term(c, 2) + q * (1 - q) * (one(s) - 2 * cross_one + one(t))
        )
        total += q * q * (both - 2 * cross_both)
    law = Law(
        2,
        (interval("p", Fraction(p)),) * 2,
        (interval("I", 1),) * 2,
        (("correlated", (0,)), ("correlated", (1,))),
    )
    (loss,) = enclosure(
        law, lifted([[Fraction(w) for w in W]]), *lifted([[Fraction(x) for x in b]]), 0
    )
    assert float(total.a) <= float(loss) <= float(total.b) and float(total.delta) < 1e-11


def test_a_kink_has_no_enclosure_of_its_second_derivative():
    law = law_of(tm.Features(1, 0.5))
    with pytest.raises(Kink, match="switches inside the box"):
        enclosure(law, [[ball(0)]], [ball(Fraction(-1, 100), Fraction(1, 100))])


@settings(max_examples=40)
@given(cases())
def test_the_bounds_of_branch_and_bound_are_the_loss_and_its_slopes_at_a_point(case):
    law, W, b = case
    balls = balls_of(law)
    G = [[sum(row[i] * row[j] for row in W) for j in range(law.n)] for i in range(law.n)]
    compared = 0
    for i in range(law.n):
        gains = [ball(x) for x in G[i]]
        plain, own = bounds.moments(balls, i, gains, ball(b[i]))
        try:
            value, slope, _ = enclosure_of_row(balls, i, gains, ball(b[i]))
        except Kink:
            continue
        assert abs(balls.active[i] / 3 + plain[0] - own[0] - value) < 1e-12
        assert all(
            abs(x - y - s) < 1e-12 or s.rad() > 0.01
            for x, y, s in zip(plain[1:], own[1:], [slope[-1], *slope[:-1]])
        )
        compared += 1
    if not compared:
        reject()


def enclosure_of_row(balls, i, gains, bias):
    from toymodels_np.theory.certify.enclose import output_loss

    return output_loss(balls, i, gains, bias, 1)


# -- what is certified ----------------------------------------------------------------------------


def pair():
    """Two features of one importance in one dimension, at p = 1/2."""
    features = tm.Features(2, 0.5)
    return tm.find_minimum(features, 1, starts=4).model, features


def digons(p=0.05):
    """Two digons and a dropped feature."""
    e = tm.energies.antipodal(p)
    W = np.hstack([np.kron(np.eye(2), [e.norm, -e.norm]), np.zeros((2, 1))])
    return tm.ReluOutput(W, np.append(np.full(4, e.bias), p / 2))


def test_the_pentagon_is_a_strict_local_minimum():
    features = tm.Features(5, 0.05)
    pentagon = tm.find_minimum(features, 2, starts=4)
    certificate = tm.certify(pentagon, features)
    low, high = certificate.loss_interval
    assert (
        certificate.proved and certificate.index == 0 and certificate.radius >= Fraction(1, 10**5)
    )
    assert low < Fraction("0.0089035937242762") + Fraction(1, 10**16) and high > Fraction(
        "0.0089035937242762"
    )
    assert high - low < Fraction(1, 10**12)
    assert certificate.hessian_rank == 14 and certificate.learning_coefficient == 7
    assert tm.check_certificate(certificate.to_dict())


def test_two_digons_and_the_saddle_that_leads_away_from_them():
    features = tm.Features(5, 0.05)
    minimum = tm.certify(digons(), features)
    assert minimum.proved and minimum.index == 0 and tm.check_certificate(minimum.to_dict())
    start = digons()
    start.W[0, 4] = 0.3
    saddle = tm.certify(climb(start, features), features)
    assert saddle.proved and saddle.index == 1 and tm.check_certificate(saddle.to_dict())
    assert saddle.loss_interval[0] > minimum.loss_interval[1]
    with pytest.raises(ArithmeticError, match="proved minimum"):
        print(saddle.learning_coefficient)


def test_loss_jumps_of_the_second_derivative_are_no_obstacle():
    """A feature with a dimension of its own has the bias 0, where the loss is not twice
    differentiable.
    """
    features = tm.Features(2, 0.5, [1, 0.5])
    model = tm.ReluOutput(np.eye(2), np.zeros(2))
    certificate = tm.certify(model, features)
    assert (
        certificate.proved
        and certificate.index == 0
        and float(certificate.loss_interval[1]) < 1e-30
    )
    assert tm.check_certificate(certificate.to_dict())


def test_a_minimum_brings_its_features_and_penalties():
    features = tm.Features(2, 0.1, [1, 0.9])
    found = tm.find_minimum(features, 1, starts=4, interference=0.02)
    proof = tm.certify(found)
    assert proof == tm.certify(found.model, features, interference=0.02) and proof.proved
    low, high = proof.loss_interval
    assert low < Fraction(found.loss) + Fraction(1, 10**13) and high > Fraction(found.loss) - \
        Fraction(1, 10**13)
    scaled = tm.find_minimum(features.replace(importance=features.importance * 8.0), 1, starts=4,
                             interference=0.16)
    assert scaled.interference == 0.16 and (scaled.features.importance == [8, 7.2]).all()


def test_penalties_move_what_is_certified():
    features, strength = tm.Features(2, 0.5), 0.001
    model = tm.certify(*pair()).model
    off = tm.certify(model, features, interference=strength)
    assert not off.proved and "the ball" in off.reason  # the model is no minimum of this loss
    law = law_of(features, strength, 0.01)
    gauge, start = local.fix_gauge(model.W, model.b)
    moved = gauge.matrix(local.newton(law, gauge, start))
    held = tm.certify(
        tm.ReluOutput(*(np.array(a, float) for a in moved)),
        features,
        interference=strength,
        weight_decay=0.01,
    )
    assert held.proved and held.index == 0 and tm.check_certificate(held.to_dict())
    penalty = sum(exact_penalty(moved[0], strength, 0.01))
    assert float(held.loss_interval[0]) == pytest.approx(
        tm.expected_loss(held.model, features) + penalty, abs=1e-14
    )


def exact_penalty(W, strength, decay):
    G = np.array(W, float).T @ np.array(W, float)
    return strength * ((G**2).sum() - (np.diag(G) ** 2).sum()), decay * np.trace(G)


def hard_points():
    """Points whose largest box, or whose Hessian, was once too much for the checker."""
    law = tm.Features(4, [0.00032751887297919333, 0.009094172191405181, 0.0001556362699565808,
                          0.00044652661739290025], [0.01, 1, 100, 0.01])
    yield tm.ReluOutput(np.zeros((3, 4)), law.active_probability / 2), law, {"interference": 0.05}
    law, strengths = tm.Features(3, 0.07096904854860962, [100, 1, 0.01],
                                 correlated=[(0, 1)]), {"interference": 0.05, "weight_decay": 0.003}
    yield tm.find_minimum(law, 3, starts=8, **strengths).model, law, strengths
    law = tm.Features(3, 0.9, [1.6215239989379429, 1.8905172507656691, 1.1673529335365465],
                      correlated=[(0, 1, 2)])
    rng = np.random.default_rng(3)
    start = tm.ReluOutput(rng.normal(size=(1, 3)), 0.3 * rng.normal(size=3))
    yield climb(start, law), law, {}


def test_what_is_called_proved_is_accepted_by_the_checker():
    for model, law, strengths in hard_points():
        certificate = tm.certify(model, law, **strengths)
        assert certificate.proved and tm.check_certificate(certificate.to_dict())


def test_what_the_checker_refuses_is_not_called_proved(monkeypatch):
    def refused(record):
        raise ValueError("the index is wrong")

    monkeypatch.setattr(certificate_module, "check_certificate", refused)
    found = tm.certify(tm.find_minimum(tm.Features(2, 0.1), 1, starts=4))
    assert not found.proved and found.reason == "the checker: the index is wrong"


def test_a_point_that_is_off_is_certified_as_its_neighbour_or_not_at_all():
    model, features = pair()
    true = tm.certify(model, features)
    near = tm.certify(tm.ReluOutput(model.W * (1 + 1e-6), model.b - 1e-6), features)
    assert near.proved and near.W == true.W and near.loss_interval == true.loss_interval
    far = tm.certify(tm.ReluOutput(model.W + 1e-2, model.b), features)
    assert not far.proved and "the ball: Newton's method led 0.01" in far.reason
    with pytest.raises(ValueError, match="nothing was proved: the ball"):
        far.to_dict()


def test_flat_directions_and_kinks_are_refused_with_what_failed():
    flat = tm.certify(
        tm.ReluOutput(np.array([[1.0, 0.0]]), np.array([0.0, -1.0])), tm.Features(2, 0.5)
    )
    assert not flat.proved and "singular" in flat.reason
    kink = tm.certify(tm.ReluOutput(np.zeros((1, 2)), np.zeros(2)), tm.Features(2, 0.5))
    assert not kink.proved and "kink" in kink.reason


@pytest.mark.parametrize("unit", [1e-20, 1e-6, 1.0, 1e8])
def test_the_unit_of_importance_is_no_part_of_a_proof_at_a_kink(unit):
    """A feature with a dimension of its own, where the loss has no second derivatives."""
    features = tm.Features(3, 0.3, importance=unit * np.array([1.0, 0.9, 0.9]))
    found = tm.certify(tm.find_minimum(features, 2, starts=4))
    assert found.proved and found.index == 0 and found.radius == Fraction(1, 10**4)
    low, high = found.loss_interval
    assert float(low) / unit == pytest.approx(0.026379319743278, rel=1e-12)


@pytest.mark.parametrize(
    "given, features, error, sentence",
    [
        (3, tm.Features(2, 0.5), TypeError, "Minimum or a ReluOutput"),
        (tm.Linear.init(2, 1), tm.Features(2, 0.5), TypeError, "single ReluOutput"),
        (tm.ReluOutput.init(2, 1, 2), tm.Features(2, 0.5), TypeError, "single ReluOutput"),
        (tm.ReluOutput.init(2, 1), None, ValueError, "features must be given"),
        (tm.ReluOutput.init(2, 1), tm.Features(3, 0.5), ValueError, "the model has 2 features"),
        (tm.ReluOutput.init(2, 1), tm.Features(2, 0.5, signed=True), ValueError, "signed"),
        (tm.ReluOutput.init(9, 2), tm.Features(9, 0.5), ValueError, "at most 8"),
        (tm.ReluOutput.init(2, 1), tm.Features(2, [[0.5]]), ValueError, "instance axis"),
        (tm.ReluOutput.init(2, 1), "none", TypeError, "features"),
    ],
)
def test_what_cannot_be_certified_is_refused_in_a_sentence(given, features, error, sentence):
    with pytest.raises(error, match=sentence):
        tm.certify(given, features)


def test_a_class_of_a_reader_s_own_is_refused():
    class Leaky(tm.ReluOutput):
        pass

    with pytest.raises(TypeError, match="Leaky is a class of its own"):
        tm.certify(Leaky(np.ones((1, 2)), np.zeros(2)), tm.Features(2, 0.5))


@pytest.mark.parametrize("strength", [-1.0, float("nan"), "strong", (1, 0), 10**400, (0, 1e101)])
def test_penalties_that_make_no_sense_are_refused(strength):
    model, features = pair()
    for prove in (partial(tm.certify, model), tm.certify_global):
        with pytest.raises((ValueError, TypeError), match="interference"):
            prove(features, interference=strength)


# -- the checker ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good():
    model, features = pair()
    return tm.certify(model, features).to_dict()


def test_the_checker_is_short_and_shares_nothing():
    source = CHECKER.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 200
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module)
    assert imported <= {
        "flint",
        "fractions",
        "functools",
        "hashlib",
        "json",
        "math",
        "pathlib",
        "sys",
    }


def test_the_checker_runs_alone_on_a_file(good, tmp_path):
    path = tmp_path / "pair.json"
    from_dict(good).save(path)
    assert tm.check_certificate(path) and json.loads(path.read_text()) == good
    alone = subprocess.run(
        [sys.executable, "-I", str(CHECKER), str(path)], capture_output=True, text=True
    )
    assert alone.stdout == "True\n", alone.stderr


def places(record, path=()):
    """Where all strings and integers of a record are."""
    items = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from places(value, path + (key,))
        else:
            yield path + (key,)


def put(record, path, value):
    record = copy.deepcopy(record)
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value(inner[path[-1]])
    return record


def tampered(good):
    """Every place of the certificate with one digit changed, or one more."""

    def change(value, k):
        if isinstance(value, int):
            return value + 1
        digits = [i for i, c in enumerate(value) if c.isdigit()]
        if not digits:
            return value + "x"
        i = digits[k % len(digits)]
        return value[:i] + str((int(value[i]) + 1) % 10) + value[i + 1 :]

    for path in places(good):
        for k in (0, -1, 3):
            yield path, put(good, path, lambda v: change(v, k))


def test_a_tampered_digit_anywhere_is_rejected(good):
    mutants = list(tampered(good))
    assert len(mutants) >= 50
    for path, mutant in mutants:
        with pytest.raises(ValueError):
            tm.check_certificate(mutant)
            pytest.fail(f"{path} was changed and passed")


def false_claims(good):
    """Certificates whose digest fits and whose claim is false."""
    shift = lambda amount: lambda text: decimal(Fraction(text) + amount)
    for path in [("W", 0, 0), ("W", 0, 1), ("b", 0), ("b", 1)]:
        for amount in (
            Fraction(1, 1000),
            Fraction(-1, 1000),
            Fraction(1, 4000),
            Fraction(-1, 4000),
            Fraction(1),
        ):
            yield path, put(good, path, shift(amount))
    for index in (1, 2, -1, True, None, "0", 4):
        yield "index", put(good, ("index",), lambda _: index)
    for radius in ("1", "0.3", "0", "-0.0001", "1/0"):
        yield "radius", put(good, ("radius",), lambda _: radius)
    for amount in (Fraction(1, 10**12), Fraction(-1, 10**12), Fraction(1, 10)):
        moved = put(put(good, ("loss", 0), shift(amount)), ("loss", 1), shift(amount))
        yield "loss", moved
    yield "loss", put(good, ("loss",), lambda pair: pair[::-1])
    yield "loss", put(good, ("loss",), lambda pair: [pair[0], pair[0]])
    for p in ("1/3", "0.5001", "0", "2", "-1/2"):
        yield "p", put(good, ("law", "probability"), lambda _: [[p, p], [p, p]])
    yield "p", put(good, ("law", "probability", 0), lambda _: ["0.4", "0.6"])
    for importance in ("2", "0.99", "-1"):
        yield "I", put(good, ("law", "importance", 1), lambda _: [importance, importance])
    yield "sets", put(good, ("law", "sets"), lambda _: [["correlated", [0, 1]]])
    yield "sets", put(good, ("law", "sets"), lambda _: [["anticorrelated", [0, 1]]])
    yield "sets", put(good, ("law", "sets"), lambda _: [["correlated", [0]]])
    for penalty in ("interference", "weight_decay"):
        for value in ("0.01", "-0.01"):
            yield penalty, put(good, ("law", penalty), lambda _: [value, value])
    yield "columns", put(good, ("columns",), lambda _: [0, 0])
    yield "columns", put(good, ("columns",), lambda _: [7])
    yield "format", put(good, ("format",), lambda _: "another")
    yield "n", put(good, ("law", "n"), lambda _: 3)
    yield "more", good | {"more": 1}
    yield "more of a law", put(good, ("law",), lambda law: law | {"signed": True})
    yield (
        "kink",
        put(put(good, ("W",), lambda _: [["0", "0"]]), ("b",), lambda _: ["0", "0"])
        | {"columns": []},
    )


def test_a_false_claim_is_rejected_even_with_a_digest_that_fits(good):
    mutants = list(false_claims(good))
    assert len(mutants) >= 50
    for what, mutant in mutants:
        mutant["digest"] = digest(mutant)
        with pytest.raises(ValueError):
            tm.check_certificate(mutant)
            pytest.fail(f"{what} is false and passed")


def test_a_true_claim_with_another_digest_passes(good):
    """Guards the test above against a checker that rejects whatever was changed."""
    smaller = put(good, ("radius",), lambda r: decimal(Fraction(r) / 2))
    smaller["digest"] = digest(smaller)
    assert tm.check_certificate(smaller)


def test_what_is_no_certificate_is_refused(tmp_path):
    (tmp_path / "no.json").write_text("[1, 2]")
    for what in ({}, {"format": "x"}, tmp_path / "no.json"):
        with pytest.raises(ValueError):
            tm.check_certificate(what)


@pytest.mark.parametrize("path", [("radius",), ("W", 0, 0), ("law", "importance", 0, 1)])
def test_a_number_that_would_take_for_ever_is_refused(good, path):
    """Python writes out 1e999999999."""
    mutant = put(good, path, lambda _: "1e1000")
    mutant["digest"] = digest(mutant)
    with pytest.raises(ValueError, match="not a decimal or a fraction: '1e1000'"):
        tm.check_certificate(mutant)


def test_a_law_of_too_many_features_is_refused_before_its_supports_are_listed(good):
    n = 40
    law = good["law"] | {
        "n": n,
        "probability": [["0.1", "0.1"]] * n,
        "importance": [["1", "1"]] * n,
        "sets": [["correlated", [i]] for i in range(n)],
    }
    mutant = good | {"law": law, "W": [["0.1"] * n], "b": ["0"] * n}
    mutant["digest"] = digest(mutant)
    with pytest.raises(ValueError, match="n features, at most 8"):
        tm.check_certificate(mutant)


def test_reading_is_the_inverse_of_writing(good):
    assert from_dict(good).to_dict() == good


@pytest.mark.parametrize(
    "x", [Fraction(0), Fraction(-1, 8), Fraction(5), Fraction(1, 3), Fraction(-12345, 1000)]
)
def test_decimals_are_exact(x):
    assert Fraction(decimal(x)) == x


def test_a_float_is_read_as_itself_and_as_its_decimal():
    low, high = interval("p", 0.1)
    assert (
        low == Fraction(1, 10)
        and high == Fraction(0.1)
        and interval("p", 0.5) == (Fraction(1, 2),) * 2
    )
    assert rational(ball(Fraction(3, 8))) == Fraction(3, 8)


def test_without_python_flint_a_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['flint'] = None\nimport toymodels_np as tm\n"
        "for call in (lambda: tm.certify(tm.ReluOutput.init(2, 1), tm.Features(2, 0.5)),\n"
        "             lambda: tm.certify_global(tm.Features(2, 0.5)),\n"
        "             lambda: tm.check_certificate('x')):\n"
        "    try: call()\n    except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.count("install the extra `certify`") == 3, run.stdout + run.stderr
