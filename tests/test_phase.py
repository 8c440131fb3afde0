"""Phase diagrams: true minima in every cell, the fixed candidates beside them, and what the two
say."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from penalised import lowest_loss, naive

import toymodels_np as tm
from toymodels_np import energies
from toymodels_np.geometry.tegum import geometry_of
from toymodels_np.theory import phase
from toymodels_np.theory.phase import NOT_LEARNED, OWN_DIMENSION, SUPERPOSED, extra_phase

R = np.array([0.1, 0.5, 1, 2, 10])
P = np.array([0.01, 0.05, 0.2, 0.6, 1])


@pytest.fixture(scope="module", params=[(2, 1), (3, 2)], ids=["2 in 1", "3 in 2"])
def diagram(request):
    return tm.phase_diagram(*request.param, importance=R, feature_probability=P)


def law(diagram, i, j):
    """The features of cell (i, j)."""
    n = diagram.model.n_features
    return tm.Features(n, diagram.feature_probability[j],
                       np.append(np.ones(n - 1), diagram.importance[i]))


# -- the true minima

def test_every_cell_is_a_stationary_point_with_the_loss_that_it_states(diagram):
    assert diagram.gradient_norm.shape == diagram.loss.shape == (5, 5)
    assert diagram.gradient_norm.max() <= 1e-8
    assert diagram.model.instances == (5, 5) and diagram.model.dtype == np.float64
    for i, j in np.ndindex(5, 5):
        loss, gradient = tm.expected_loss_and_grad(diagram.model[i, j], law(diagram, i, j))
        assert abs(loss - diagram.loss[i, j]) < 1e-14
        norm = np.sqrt(sum((a * a).sum() for a in gradient.parameters))
        assert abs(norm - diagram.gradient_norm[i, j]) < 1e-9


def test_no_cell_is_above_a_candidate(diagram):
    """Each candidate is a model, so the minimum is not above any."""
    for loss in diagram.candidates.values():
        assert (diagram.loss <= loss + 1e-14).all()
    assert (diagram.loss < 0.99 * diagram.candidate_loss).any()


def test_the_fields_describe_the_models(diagram):
    np.testing.assert_allclose(diagram.extra_norm, tm.norms(diagram.model.W)[..., -1])
    np.testing.assert_allclose(diagram.extra_superposition,
                               tm.interference(diagram.model.W)[..., -1])
    for i, j in np.ndindex(5, 5):
        W = diagram.model.W[i, j]
        assert diagram.geometry[i, j] == tm.name_geometry(W)
        assert diagram.phase[i, j] == extra_phase(W)
    assert np.array_equal(diagram.importance, R) and np.array_equal(diagram.feature_probability, P)


def test_cells_drawn_at_random_agree_with_32_starts(diagram):
    n, m = diagram.model.n_features, diagram.model.n_hidden
    for i, j in np.random.default_rng(n).integers(5, size=(2, 2)):
        alone = tm.find_minimum(law(diagram, i, j), m, starts=32, seed=9)
        assert abs(diagram.loss[i, j] - alone.loss) < 1e-9 * diagram.candidate_loss[i, j]


def test_the_loss_rises_with_importance_and_bends_down(diagram):
    """A minimum over models of losses that are linear in the importance is concave in it, and it
    rises."""
    slope = np.diff(diagram.loss, axis=0) / np.diff(R)[:, None]
    assert (slope >= -1e-14).all() and (np.diff(slope, axis=0) <= 1e-14).all()


def test_three_features_in_two_dimensions_cost_what_the_named_geometries_cost():
    """A unit feature with its own dimension is free: with importances 1, 1, r the weakest two share
    a dimension."""
    cells = tm.phase_diagram(3, 2, importance=[1, 5], feature_probability=[0.05, 0.3])
    pair = [energies.antipodal(p).loss for p in (0.05, 0.3)]
    np.testing.assert_allclose(cells.loss, [pair, pair], rtol=1e-10)
    assert (cells.geometry == "digon + orthogonal").all()
    assert (cells.phase[1] == OWN_DIMENSION).all()


def test_exchanging_the_two_features_turns_the_diagram_around():
    """2 in 1: L(1/r) = L(r)/r with the features exchanged, so "not learned" and "own dimension"
    change places."""
    r = np.array([0.1, 0.4, 0.8, 1.25, 2.5, 10])
    d = tm.phase_diagram(2, 1, importance=r, feature_probability=[0.02, 0.3, 0.7])
    np.testing.assert_allclose(d.loss, d.loss[::-1] * r[:, None], rtol=1e-9)
    swap = {NOT_LEARNED: OWN_DIMENSION, OWN_DIMENSION: NOT_LEARNED, SUPERPOSED: SUPERPOSED}
    for field in (d.phase, d.candidate_phase):
        assert [[swap[x] for x in row] for row in field[::-1].tolist()] == field.tolist()
    assert set(d.phase.ravel()) == set(swap)
    first, second = np.moveaxis(tm.norms(d.model.W), -1, 0)
    np.testing.assert_allclose(first, second[::-1], atol=1e-5)


def test_sparse_features_have_diagrams_too():
    d = tm.phase_diagram(2, 1, importance=[0.3, 1], feature_probability=[2e-4])
    assert d.gradient_norm.max() <= 1e-8 and (d.phase == SUPERPOSED).all()
    assert (d.loss < d.candidate_loss).all()
    assert abs(d.loss[1, 0] / energies.antipodal(2e-4).loss - 1) < 1e-8


def test_the_seed_decides_the_starts_and_not_the_result():
    a, b, c = (tm.phase_diagram(2, 1, importance=[0.5], feature_probability=[0.1], seed=seed)
               for seed in (1, 1, 2))
    assert np.array_equal(a.model.W, b.model.W) and not np.array_equal(a.model.W, c.model.W)
    np.testing.assert_allclose(a.loss, c.loss, rtol=1e-12)


def test_neighbours_pass_their_solutions_on():
    """A cell that holds a bad minimum takes its neighbour's; then nothing is left to improve."""
    cells = tm.Features(2, np.full((3, 1), 0.1))
    pair = energies.antipodal(0.1)
    W = np.array([[[pair.norm, -pair.norm]], [[1e-3, 0]], [[1e-3, 0]]])
    theta = tm.ReluOutput(W, np.array([[pair.bias] * 2, [0.05] * 2, [0.05] * 2]))
    assert phase.spread(cells, theta, (3, 1))
    np.testing.assert_allclose(tm.expected_loss(theta, cells), pair.loss, rtol=1e-10)
    assert not phase.spread(cells, theta, (3, 1)) and not phase.spread(cells, theta, (1, 3))


@pytest.mark.parametrize("shape", [(3, 1), (1, 3)])
@pytest.mark.parametrize("good", [0, 2])
def test_solutions_travel_to_all_sides(shape, good):
    cells = tm.Features(2, np.full((3, 1), 0.1))
    pair, alone = energies.antipodal(0.1), energies.dropped(0.1)
    W, b = np.tile([[1.0, 0.0]], (3, 1, 1)), np.tile([0.0, 0.05], (3, 1))     # stationary, and dear
    W[good], b[good] = [[pair.norm, -pair.norm]], pair.bias
    theta = tm.ReluOutput(W, b)
    before = tm.expected_loss(theta, cells)
    assert before[1] == pytest.approx(alone.loss, rel=1e-12) and before[1] > 1.1 * pair.loss
    rounds = 1
    while phase.spread(cells, theta, shape):
        rounds += 1
    assert rounds == 3
    np.testing.assert_allclose(tm.expected_loss(theta, cells), pair.loss, rtol=1e-10)


def test_neighbours_are_asked_until_none_helps(monkeypatch):
    asked = []
    monkeypatch.setattr(phase, "spread", lambda *_: asked.append(1) or len(asked) < 3)
    tm.phase_diagram(2, 1, importance=[0.5, 1], feature_probability=[0.1, 0.2])
    assert len(asked) == 3


def test_it_says_which_cell_did_not_converge(monkeypatch):
    monkeypatch.setattr(phase, "newton", partial(phase.newton, steps=0))
    monkeypatch.setattr(phase, "settle", lambda model, features,
                        **_: (model, tm.expected_loss(model, features)))
    monkeypatch.setattr(phase, "descend", lambda model, features, **_: (
        model, tm.expected_loss(model, features), None))
    with pytest.raises(tm.NotConverged,
                       match=r"the cell importance=0\.5, feature_probability=0\.1 ended with a "
                             r"gradient of norm .*, above 1e-08"):
        tm.phase_diagram(2, 1, importance=[0.5], feature_probability=[0.1])


# -- the candidates

def test_the_candidates_cost_what_the_formulas_say(diagram):
    """I p^2/6 for each half of a pair, I (p/3 - p^2/4) for a dropped feature. (6.1)"""
    r, p = R[:, None], P[None]
    half, drop = p**2 / 6, p / 3 - p**2 / 4
    expected = {
        2: {("orthogonal + dropped", NOT_LEARNED): r * drop,
            ("orthogonal + dropped", OWN_DIMENSION): drop + 0 * r,
            ("digon", SUPERPOSED): (1 + r) * half},
        3: {("2 orthogonal + dropped", NOT_LEARNED): r * drop,
            ("digon + dropped", NOT_LEARNED): 2 * half + r * drop,
            ("2 orthogonal + dropped", OWN_DIMENSION): drop + 0 * r,
            ("digon + orthogonal", OWN_DIMENSION): 2 * half + 0 * r,
            ("digon + orthogonal", SUPERPOSED): (1 + r) * half},
    }[diagram.model.n_features]
    assert set(diagram.candidates) == set(expected)
    for name, loss in expected.items():
        np.testing.assert_allclose(diagram.candidates[name], loss, rtol=1e-12)
    table = np.array(list(expected.values()))
    np.testing.assert_allclose(diagram.candidate_loss, table.min(0), rtol=1e-12)


@pytest.mark.parametrize("n, m", [(2, 1), (3, 2), (3, 1), (4, 2), (5, 2), (6, 3), (2, 2), (2, 3)])
def test_the_candidates_cost_what_their_weights_cost(n, m):
    """The exact loss of the candidate itself, and for each size some Monte Carlo samples."""
    p, importance = np.array([0.1, 0.7]), np.linspace(0.5, 2, 2 * n).reshape(2, n)
    candidates = phase.candidates(n, m)
    for W, name in candidates:
        assert W.shape == (m, n) and extra_phase(W) == name
        assert set(np.unique(W)) <= {-1, 0, 1}
        assert (abs(W).sum(0) <= 1).all()
        assert (abs(W).sum(1) <= 2).all()
        loss = phase.fixed_energy(W, p, importance)
        for i in range(2):
            model = tm.ReluOutput(W, np.where(tm.norms(W) == 0, p[i] / 2, 0))
            features = tm.Features(n, p[i], importance[i])
            assert abs(tm.expected_loss(model, features) - loss[i]) < 1e-13
    x = features.sample(np.random.default_rng(n), 50_000)
    losses = ((x - model.forward(x)) ** 2 * importance[1]).sum(1)
    error = losses.std() / len(x)**0.5
    assert abs(losses.mean() - loss[1]) <= 4 * error
    assert error == 0 or abs(losses.mean()
                             - phase.fixed_energy(W, 1.1 * p, importance)[1]) > 4 * error
    assert len({(geometry_of(W), name) for W, name in candidates}) == len(candidates)


def test_the_candidates_boundaries_are_where_the_formulas_cross():
    """2 in 1: superposed below r (p/3 - p^2/4) = (1 + r) p^2/6, not learned above."""
    p = 0.4
    r = p / 6 / (1 / 3 - p / 4 - p / 6)
    d = tm.phase_diagram(2, 1, importance=[0.999 * r, 1.001 * r], feature_probability=[p])
    assert d.candidate_phase.ravel().tolist() == [NOT_LEARNED, SUPERPOSED]
    assert d.candidate_geometry.ravel().tolist() == ["orthogonal + dropped", "digon"]
    assert d.phase.ravel().tolist() == [SUPERPOSED, SUPERPOSED]
    assert d.differs.ravel().tolist() == [True, False]


# -- names and differences

@pytest.mark.parametrize("W, name", [
    ([[1, 0]], NOT_LEARNED), ([[1, 0.09]], NOT_LEARNED), ([[1, -0.11]], SUPERPOSED),
    ([[1, -1]], SUPERPOSED),
    ([[0, 1]], OWN_DIMENSION), ([[0.09, 1]], OWN_DIMENSION), ([[0.11, -1]], SUPERPOSED),
    ([[0, 0]], NOT_LEARNED),
    ([[0, 0.009]], NOT_LEARNED), ([[1, -1, 0], [0, 0, 1]], OWN_DIMENSION),
    ([[1, 0, 0], [0, 1, -1]], SUPERPOSED),
    ([[1, 0, 0], [0, 1, 0]], NOT_LEARNED), ([[1, 0, 0.09], [0, 1, 1]], SUPERPOSED),
    ([[1, 0, 0.09], [0, 0, 1]], OWN_DIMENSION), ([[1, 0, 0.11], [0, 0, 1]], SUPERPOSED),
])
def test_what_becomes_of_the_extra_feature(W, name):
    W = np.array(W, float)
    assert extra_phase(W) == extra_phase(-W) == extra_phase(3 * W if W.max() > 0.01 else W) == name


def test_differs_marks_the_cells_where_geometry_or_phase_is_another():
    d = tm.phase_diagram(2, 1, importance=[0.5, 2], feature_probability=[0.1, 0.9])
    assert not d.differs.any()
    for field in ("geometry", "phase"):
        changed = getattr(d, field).copy()
        changed[0, 1] = "another"
        assert replace(d, **{field: changed}).differs.tolist() == [[False, True], [False, False]]


def test_candidates_that_tie_do_not_differ_from_each_other():
    """With three equal features it does not matter which one has a dimension to itself."""
    d = tm.phase_diagram(3, 2, importance=[1], feature_probability=[0.05])
    own, shared = (d.candidates["digon + orthogonal", name] for name in (OWN_DIMENSION, SUPERPOSED))
    assert own == shared == d.candidate_loss
    for name in (OWN_DIMENSION, SUPERPOSED, NOT_LEARNED):
        assert replace(d, phase=np.array([[name]])).differs.item() == (name == NOT_LEARNED)


def test_a_phase_that_the_candidates_do_not_have():
    """At p = 0.6 no candidate superposes in 2 in 1; the minimum does, on both sides of r = 1."""
    d = tm.phase_diagram(2, 1, importance=[0.5, 0.8, 1.25, 2], feature_probability=[0.6])
    assert d.candidate_phase.ravel().tolist() == [NOT_LEARNED, NOT_LEARNED, OWN_DIMENSION,
                                                  OWN_DIMENSION]
    assert d.phase.ravel().tolist() == [NOT_LEARNED, SUPERPOSED, SUPERPOSED, OWN_DIMENSION]
    assert d.differs.ravel().tolist() == [False, True, True, False]


# -- penalties, and what is refused

@cache
def four_cells(**penalties):
    return tm.phase_diagram(2, 1, importance=[0.5, 1.5], feature_probability=[0.1, 0.5],
                            **penalties)


@pytest.mark.parametrize("interference, weight_decay", [(0.02, 0.0), (0.0, 0.01), (0.3, 0.005)])
def test_penalties_are_part_of_every_cell(interference, weight_decay):
    """Against scipy on the closed forms."""
    cells = four_cells(interference=interference, weight_decay=weight_decay)
    plain, r, p = four_cells(), cells.importance, cells.feature_probability
    assert (cells.loss > plain.loss + 1e-6).any() and (cells.loss >= plain.loss - 1e-12).all()
    for i, j in np.ndindex(2, 2):
        features, model = tm.Features(2, p[j], [1, r[i]]), cells.model[i, j]
        lowest = lowest_loss(features, 1, interference, weight_decay)
        assert abs(cells.loss[i, j] - lowest) < 1e-9
        stated = energies.enumerated_loss(model.W, model.b, p[j], features.importance)
        stated += naive(model.W, interference, weight_decay)
        assert abs(stated - cells.loss[i, j]) < 1e-12
    for loss in cells.candidates.values():
        assert (cells.loss <= loss + 1e-12).all()
    digon = "digon", SUPERPOSED
    np.testing.assert_allclose(cells.candidates[digon] - plain.candidates[digon],
                               2 * interference + 2 * weight_decay, rtol=1e-12)


def test_a_penalty_without_a_minimum_is_refused():
    cell = dict(importance=[0.5], feature_probability=[0.1])
    with pytest.raises(ValueError, match="weight_decay=-0.1: the loss has no minimum"):
        tm.phase_diagram(2, 1, **cell, weight_decay=-0.1)
    with pytest.raises(ValueError, match="interference must be"):
        tm.phase_diagram(2, 1, **cell, interference=-0.1)
    with pytest.raises(TypeError, match="weight_decay must be a real number"):
        tm.phase_diagram(2, 1, **cell, weight_decay="0.1")


def test_a_law_that_was_replaced_is_refused(monkeypatch):
    monkeypatch.setattr(tm.Features, "target", lambda self, x: 2 * x)
    with pytest.raises(TypeError, match="a phase diagram knows .*Features.target was replaced"):
        tm.phase_diagram(2, 1, importance=[0.5], feature_probability=[0.1])


def test_what_does_not_fit_into_memory_is_refused_first():
    with pytest.raises(ValueError, match="n_hidden is too large"):
        tm.phase_diagram(2, 10**12, importance=[0.5], feature_probability=[0.1])


def test_a_diagram_shows_on_one_line(diagram):
    text = repr(diagram)
    assert text.startswith(f"PhaseDiagram({diagram.model.n_features} in {diagram.model.n_hidden}, "
                           "importance=0.1…10 (5), p=0.01…1 (5): not learned ")
    assert text.endswith(f"{diagram.differs.sum()} of 25 cells differ from the candidates)")
    assert len(text) < 200 and "\n" not in text


@pytest.mark.parametrize("name", ["interference", "weight_decay"])
def test_penalties_beyond_float64_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be .* at most 1e"):
        tm.phase_diagram(2, 1, importance=[0.5], feature_probability=[0.1], **{name: 1e155})


@pytest.mark.parametrize("n, m, p, r, digits", [(2, 1, 0.3, 1e5, 1e-9), (4, 2, 0.0003, 1e3, 1e-8)])
def test_a_large_unit_of_importance_is_no_reason_to_refuse(n, m, p, r, digits):
    """Also where rare features make what an empty model loses small."""
    diagram = tm.phase_diagram(n, m, importance=[r], feature_probability=[p])
    found = tm.find_minimum(tm.Features(n, p, [*[1.0] * (n - 1), r]), m, starts=4)
    assert diagram.loss[0, 0] == pytest.approx(found.loss, rel=digits, abs=0)
