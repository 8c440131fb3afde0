"""The gradient flow against a naive integrator and solutions on paper; its plateaus and saddles.

The twin of the integrator is Runge and Kutta's with a fixed small step. Saddles of the Linear
model are known: any m principal axes, with an index that counts the larger axes left out.
"""

import numpy as np
import pytest
from scipy.stats import ortho_group

import toymodels_np as tm
from toymodels_np.theory import flow as module
from toymodels_np.theory.descent import evaluate, pack
from toymodels_np.theory.flow import find_plateaus, gradient_flow

SETS, P = [(0, 1, 2), (3, 4, 5)], 0.1
LONG = 30.0


def runge_kutta(model, features, t_final, steps):
    """The flow at t_final by the classical fourth-order method with a fixed step."""
    def velocity(theta):
        point = type(model)(theta[:model.W.size].reshape(model.W.shape), theta[model.W.size:])
        return -pack(tm.expected_loss_and_grad(point, features)[1])

    theta, h = pack(model), t_final / steps
    for _ in range(steps):
        k1 = velocity(theta)
        k2 = velocity(theta + h / 2 * k1)
        k3 = velocity(theta + h / 2 * k2)
        theta = theta + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(theta + h * k3))
    return theta


def start_of(n, m, seed, kind=tm.ReluOutput):
    rng = np.random.default_rng(seed)
    return kind(0.5 * rng.normal(size=(m, n)), 0.1 * rng.normal(size=n))


CASES = {
    "relu": (start_of(2, 2, 0), tm.Features(2, 0.3, [1, 0.8])),
    "relu, correlated": (start_of(2, 1, 1), tm.Features(2, 0.4, [1, 0.5], correlated=[(0, 1)])),
    "linear": (start_of(4, 2, 2, tm.Linear),
               tm.Features(4, [0.9, 0.5, 0.2, 0.2], correlated=[(2, 3)])),
    "linear, signed": (start_of(3, 2, 3, tm.Linear), tm.Features(3, 0.5, signed=True)),
}


@pytest.fixture(scope="module")
def flows():
    return {name: gradient_flow(*case, t_final=LONG) for name, case in CASES.items()}


# -- the flow itself

def test_shapes(flows):
    flow = flows["relu"]
    T = len(flow.times)
    assert flow.losses.shape == flow.speeds.shape == (T,)
    assert flow.parameters.W.shape == (T, 2, 2) and flow.parameters.b.shape == (T, 2)
    assert flow.parameters.dtype == np.float64 and type(flow.parameters) is tm.ReluOutput
    assert flow.times[0] == 0 and flow.times[-1] == LONG and np.all(np.diff(flow.times) > 0)
    assert np.array_equal(flow.parameters.W[0], CASES["relu"][0].W)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_never_rises(flows, name):
    losses = flows[name].losses
    assert np.diff(losses).max() <= 1e-8 * losses[0]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", CASES)
def test_the_loss_falls_by_the_squared_speed(flows, name):
    flow = flows[name]
    late = flow.times > 0.1            # on a logarithmic grid, v^2 t is smooth
    spent = np.trapezoid(flow.speeds[late]**2 * flow.times[late], np.log(flow.times[late]))
    assert np.isclose(spent, flow.losses[late][0] - flow.losses[-1], rtol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_small_steps(name):
    model, features = CASES[name]
    flow = gradient_flow(model, features, t_final=5.0)
    assert np.allclose(pack(flow.parameters)[-1], runge_kutta(model, features, 5.0, 50), atol=2e-5)


def test_small_steps_notice_another_law():
    model, features = CASES["relu"]
    other = runge_kutta(model, tm.Features(2, 0.3, [1, 0.79]), 5.0, 50)
    assert not np.allclose(pack(gradient_flow(model, features, t_final=5.0).parameters)[-1], other,
                           atol=2e-5)


def test_a_solution_on_paper():
    """One signed feature in a Linear model: only the interference is felt, and the gain decays like
    1 / t."""
    p, G0 = 0.4, 1.44
    flow = gradient_flow(tm.Linear([[G0**0.5]], [p / 2]), tm.Features(1, p, signed=True),
                         t_final=1e4)
    assert np.allclose(flow.parameters.W[:, 0, 0]**2, G0 / (1 + 8 / 3 * p * G0 * flow.times),
                       rtol=1e-4)
    assert np.allclose(flow.parameters.b, p / 2, atol=1e-8)


def test_float32_is_taken_as_it_is():
    model, features = CASES["linear"]
    single = model.astype(np.float32)
    flow = gradient_flow(single, features, t_final=1.0)
    assert flow.parameters.dtype == np.float64 and np.array_equal(flow.parameters.W[0], single.W)


# -- symmetries

@pytest.mark.parametrize("name", CASES)
def test_it_commutes_with_rotations(flows, name):
    model, features = CASES[name]
    Q = ortho_group.rvs(max(2, model.n_hidden),
                        random_state=0) if model.n_hidden > 1 else -np.eye(1)
    turned = gradient_flow(type(model)(Q @ model.W, model.b), features, t_final=LONG)
    assert np.allclose(turned.parameters.W, Q @ flows[name].parameters.W, atol=1e-4)
    assert np.allclose(turned.losses, flows[name].losses, rtol=1e-5)


def test_it_commutes_with_permutations(flows):
    model, features = CASES["linear"]
    order = np.array([2, 0, 3, 1])
    moved = gradient_flow(tm.Linear(model.W[:, order], model.b[order]),
                          tm.Features(4, features.feature_probability[order], correlated=[(0, 2)]),
                          t_final=LONG)
    assert np.allclose(moved.parameters.W, flows["linear"].parameters.W[..., order], atol=1e-4)
    assert not np.allclose(moved.parameters.W, flows["linear"].parameters.W, atol=0.1)


@pytest.mark.parametrize("name", CASES)
def test_nothing_turns(flows, name):
    flow, (_, features) = flows[name], CASES[name]
    _, gradient = tm.expected_loss_and_grad(flow.parameters[::25], features)
    outer = gradient.W @ flow.parameters.W[::25].swapaxes(-1, -2)
    assert abs(outer - outer.swapaxes(-1, -2)).max() < 1e-14


def test_the_span_of_the_columns_stays_and_the_determinant_keeps_its_sign(flows):
    W = np.outer([0.6, 0.8], [0.5, -0.4])
    flow = gradient_flow(tm.ReluOutput(W, [0.0, 0.1]), CASES["relu"][1], t_final=LONG)
    assert abs(np.array([-0.8, 0.6]) @ flow.parameters.W).max() < 1e-7
    signs = np.sign(np.linalg.det(flows["relu"].parameters.W))
    assert np.all(signs == signs[0])


# -- the plateau finder

def curve(falls, floor=0.0, decades=(-3, 5)):
    """Times, losses and speeds of a loss that falls by `size` around each 10^centre, over about
    `width` decades."""
    tau = np.linspace(*decades, 401)
    z = [(tau - centre) / width for centre, _, width in falls]
    losses = floor + sum(size / (1 + np.exp(4 * x)) for x, (_, size, _) in zip(z, falls))
    slope = sum(4 * size / width / (2 + np.exp(4 * x) + np.exp(-4 * x))
                for x, (_, size, width) in zip(z, falls))
    speeds = np.sqrt(slope / (np.log(10) * 10**tau))
    return (np.append(0, 10**tau), np.append(floor + sum(size for _, size, _ in falls), losses),
            np.append(speeds[0], speeds))


def test_two_falls_have_a_plateau_between_them_and_one_at_the_end():
    times, losses, speeds = curve([(0, 1.0, 0.3), (2.5, 0.5, 0.3)])
    (first, slowest, last), (again, _, end) = find_plateaus(times, losses, speeds)
    decade = np.log10(times[[first, slowest, last, again]])
    assert 0 < decade[0] < decade[1] < decade[2] < 2.5 < decade[3]
    assert end == len(times) - 1
    assert np.allclose(losses[[first, slowest, last]], 0.5, atol=0.03)


def test_a_small_fall_parts_two_plateaus():
    """Although the loss never falls fast: each dip of the speed has its own saddle."""
    plateaus = find_plateaus(*curve([(0, 1.0, 0.3), (1.7, 0.005, 0.25), (3, 0.01, 0.25)]))
    assert len(plateaus) == 3
    assert all(a[2] <= b[0] for a, b in zip(plateaus, plateaus[1:]))


@pytest.mark.parametrize("name, falls", {
    "one fall": [(0, 1.0, 0.3)],
    "two falls that run into each other": [(0, 1.0, 0.5), (0.4, 1.0, 0.5)],
}.items())
def test_where_the_speed_has_no_dip_only_the_end_counts(name, falls):
    times, losses, speeds = curve(falls)
    assert [end for *_, end in find_plateaus(times, losses, speeds)] == [len(times) - 1]
    before = times < 3
    # and it must have arrived
    assert find_plateaus(times[before], losses[before], speeds[before]) == []


def test_a_dip_in_which_the_loss_still_falls_is_no_plateau():
    times, losses, speeds = curve([(0, 1.0, 0.5), (1.0, 1.0, 0.5)])
    assert len(find_plateaus(times, losses, speeds)) == 1
    rested = curve([(0, 1.0, 0.2), (1.0, 1.0, 0.2)])
    assert len(find_plateaus(*rested)) == 2


def test_a_flow_that_starts_at_rest_has_arrived():
    model, features = CASES["linear"]
    rest = gradient_flow(model, features, t_final=1e5).parameters[-1]
    flow = gradient_flow(rest, features, t_final=10.0)
    assert [(p.index, p.start, p.end) for p in flow.plateaus] == [(0, flow.times[1], 10.0)]


# -- saddles

def test_the_ladder_of_principal_components():
    """Two dimensions, three features, from almost nothing.

    The flow passes no axis (index 2 x 3), the largest (the empty dimension can take either of the
    others: index 2), the two largest (index 0).
    """
    features = tm.Features(3, [0.8, 0.1, 0.02])
    variance = features.variance()
    start = tm.Linear(1e-5 * np.random.default_rng(0).normal(size=(2, 3)), 0.9 * features.mean())
    flow = gradient_flow(start, features, t_final=1e5)
    assert [p.index for p in flow.plateaus] == [6, 2, 0]
    assert [p.geometry for p in flow.plateaus] == ["3 dropped", "orthogonal + 2 dropped",
                                                   "2 orthogonal + dropped"]
    assert np.allclose([p.saddle_loss for p in flow.plateaus],
                       [variance[k:].sum() for k in range(3)], rtol=1e-12)
    for k, plateau in enumerate(flow.plateaus):
        assert plateau.gradient_norm <= 1e-9 and plateau.note == ""
        assert np.allclose(tm.gram(plateau.model.W), np.diag(np.arange(3) < k), atol=1e-8)
        assert plateau.start < plateau.end and abs(plateau.loss - plateau.saddle_loss) < 0.01
    assert flow.plateaus[-1].end == 1e5


def test_the_unit_of_importance_is_one_of_time_and_of_nothing_else():
    """Two correlated pairs in one dimension, from near nothing."""
    unit = 1e-8
    start = tm.ReluOutput([[0.011, 0.014, -0.012, -0.017]], np.zeros(4))
    law = tm.Features(4, 0.05, correlated=[(0, 1), (2, 3)])
    flow, other = (gradient_flow(start, law.replace(importance=scale),
                                 t_final=1e4 / scale).plateaus for scale in (1.0, unit))
    assert [(p.geometry, p.index) for p in other] == [(p.geometry, p.index) for p in flow]
    assert len(flow) >= 2 and flow[0].geometry == "4 dropped"
    for p, q in zip(flow, other):
        found = np.array([q.start, q.end, 1 / q.saddle_loss]) * unit
        np.testing.assert_allclose(found, [p.start, p.end, 1 / p.saddle_loss], rtol=1e-4)


def test_a_saddle_that_cannot_be_polished_is_not_reported(monkeypatch):
    model, features = CASES["linear"]
    monkeypatch.setattr(module, "STATIONARY", 1e-40)
    last = gradient_flow(model, features, t_final=1e4).plateaus[-1]
    assert (last.model, last.saddle_loss, last.gradient_norm, last.index) == (None,) * 4
    assert "above 1e-40" in last.note and last.geometry


def test_a_saddle_far_away_is_not_reported(monkeypatch):
    monkeypatch.setattr(module, "NEAR", 1e-40)
    last = gradient_flow(*CASES["linear"], t_final=1e4).plateaus[-1]
    assert last.index is None and "away" in last.note


def test_the_index_where_nothing_is_represented_and_where_the_curvature_jumps():
    features = tm.Features(6, P, correlated=SETS)
    nothing = tm.ReluOutput(np.zeros((3, 6)), features.mean())
    assert module.index_at(nothing, features) == (18, False)
    W = np.zeros((3, 6))
    W[0, :3] = W[1, 3:] = 3**-0.5
    sums = tm.ReluOutput(W, np.zeros(6))            # two sets, each as one direction
    assert module.index_at(sums, features) == (4, True)


def test_a_direction_that_goes_down_on_one_side_alone_is_not_counted():
    """With w = b = 0 the output w² x + b is at its kink: both signs of w lead down, of b only +."""
    dead = tm.ReluOutput([[0.0]], [0.0])
    assert module.index_at(dead, tm.Features(1, 0.5)) == (1, True)


def test_a_plateau_reaches_as_far_as_the_fall_in_a_decade_says():
    """(9.10) A fall of 0.01 10^(2 |log t|) of the drop in a decade is at most 0.03 for |log t| up
    to log(3)/2 = 0.239.
    """
    log_t = np.linspace(-2, 2, 401)
    fall = 0.01 * 10 ** (2 * abs(log_t))            # -dL/dlog t, and v² = -dL/dt
    v = np.sqrt(fall / (np.log(10) * 10**log_t))
    times, speeds = np.append(0, 10**log_t), np.append(v[0], v)
    (found,) = find_plateaus(times, np.linspace(1, 0, 402), speeds)
    np.testing.assert_allclose(np.log10(times[list(found)]), [-0.23, 0, 0.23], atol=1e-9)


def test_merging_ties_columns_and_biases():
    model = tm.ReluOutput([[1, 1.001, 0, 1], [0, 0, 1, 0]], [0.1, 0.1, 0.1, 0.3])
    S = module.merging(model)
    assert S.shape == (12, 9) and np.allclose(S.T @ S, np.eye(9))
    tied = (S @ S.T @ pack(model))[:8].reshape(2, 4)
    assert np.allclose(tied[0], [1.0005, 1.0005, 0, 1]) and np.allclose(tied[1], model.W[1])


# -- two sets of three in three dimensions

@pytest.fixture(scope="module")
def sets_of_three():
    start = tm.ReluOutput(0.01 * np.random.default_rng(0).normal(size=(3, 6)), np.zeros(6))
    return gradient_flow(start, tm.Features(6, P, correlated=SETS), t_final=1e4)


def test_two_sets_of_three_end_as_an_octahedron(sets_of_three):
    last = sets_of_three.plateaus[-1]
    assert last.geometry == tm.name_geometry(sets_of_three.parameters.W[-1]) == "3 digons"
    assert last.index == 0 and last.gradient_norm <= 1e-9 and last.end == 1e4
    partner = tm.gram(last.model.W).argmin(1)
    assert np.array_equal(partner[partner], np.arange(6))
    assert np.all((partner < 3) != (np.arange(6) < 3))


def test_two_sets_of_three_pass_saddles_on_the_way(sets_of_three):
    saddles = sets_of_three.plateaus[:-1]
    assert len(saddles) >= 3
    for saddle in saddles:
        assert saddle.gradient_norm <= 1e-9 and saddle.index > 0
    indices = [saddle.index for saddle in saddles]
    assert indices[:2] == [18, 4] and indices == sorted(indices, reverse=True)
    assert saddles[0].geometry == "6 dropped"
    assert np.isclose(saddles[0].saddle_loss, 6 * (P / 3 - P**2 / 4), rtol=1e-12)
    # the principal components: each set's sum
    assert np.isclose(saddles[1].saddle_loss, 4 * P / 12, rtol=1e-9)
    assert "jumps" in saddles[1].note
    assert np.diff(sets_of_three.losses).max() <= 1e-8


# -- bad calls; more of them are in test_bad_input.py

@pytest.mark.parametrize("model, error, words", [
    (tm.ReluOutput, TypeError, "model must be a ReluOutput or a Linear"),
    # a model that went bad after it was built
    (tm.ReluOutput.from_parameters((np.full((2, 2), np.nan), np.zeros(2))), ValueError,
     "W must be finite"),
])
def test_no_model_or_a_broken_one_is_answered_with_a_sentence(model, error, words):
    with pytest.raises(error, match=words):
        gradient_flow(model, CASES["relu"][1], t_final=1.0)


# -- penalties

def test_the_penalty_pulls_as_written_on_paper():
    """A weight that costs nothing else decays as exp(-2 mu t): here by its importance of 0."""
    mu = 0.3
    flow = gradient_flow(tm.Linear([[0.8]], [0.0]), tm.Features(1, 0.5, 0.0), t_final=5.0,
                         weight_decay=mu)
    W = flow.parameters.W[:, 0, 0]
    assert np.allclose(W, 0.8 * np.exp(-2 * mu * flow.times), rtol=1e-4)
    assert np.allclose(flow.losses, mu * W**2, rtol=1e-12)
    assert np.allclose(flow.speeds, 2 * mu * W, rtol=1e-12)


def test_interference_is_pulled_down_as_written_on_paper():
    """Two columns a and b of one dimension without importance: da/dt = -4 lam a b², a² - b² stays;
    from a = b it is 1 / a² = 1 / a_0² + 8 lam t."""
    lam = 0.2
    flow = gradient_flow(tm.Linear([[0.7, -0.7]], [0.0, 0.0]), tm.Features(2, 0.5, 0.0),
                         t_final=20.0, interference=lam)
    a = flow.parameters.W[:, 0]
    assert np.allclose(1 / a**2, (1 / 0.49 + 8 * lam * flow.times)[:, None], rtol=1e-4)
    assert np.allclose(flow.losses, 2 * lam * a[:, 0]**2 * a[:, 1]**2, rtol=1e-12)


def test_a_penalised_flow_ends_at_the_penalised_minimum():
    model, features = CASES["relu"]
    flow = gradient_flow(model, features, t_final=1e4, interference=0.02, weight_decay=0.01)
    minimum = tm.find_minimum(features, 2, initial=model, interference=0.02, weight_decay=0.01)
    last = flow.plateaus[-1]
    assert last.index == 0 and last.gradient_norm <= 1e-9
    assert abs(last.saddle_loss - minimum.loss) < 1e-10
    assert minimum.loss > tm.find_minimum(features, 2, initial=model).loss + 1e-3


def test_a_steep_penalty_takes_hardly_more_steps(monkeypatch):
    """Differences of its slopes would hide those of the loss: then every step fails but tiny ones.
    """
    model, asked = tm.ReluOutput(np.random.default_rng(0).normal(size=(2, 3)), np.zeros(3)), []

    def counted(*arguments):
        asked.append(1)
        assert len(asked) < 5000
        return evaluate(*arguments)

    monkeypatch.setattr(module, "evaluate", counted)
    flow = gradient_flow(model, tm.Features(3, 0.05), t_final=1e6, interference=1e8)
    assert flow.plateaus[-1].geometry == "2 orthogonal + dropped"
    assert flow.losses[-1] == pytest.approx(0.05 / 3 - 0.05**2 / 4, rel=1e-12)


def test_a_penalty_without_a_minimum_is_refused():
    with pytest.raises(ValueError, match="weight_decay=-1: the loss has no minimum"):
        gradient_flow(*CASES["relu"], t_final=1.0, weight_decay=-1)
    with pytest.raises(ValueError, match="interference must be"):
        gradient_flow(*CASES["relu"], t_final=1.0, interference=-1)


# -- classes of a user's own, and how results look

class Leaky(tm.ReluOutput):
    pass


class Doubled(tm.Features):
    def target(self, x):
        return 2 * x


def test_strangers_are_refused(monkeypatch):
    model, features = CASES["relu"]
    with pytest.raises(TypeError, match="the flow .* and Leaky is a class of its own"):
        gradient_flow(Leaky(model.W, model.b), features, t_final=1.0)
    with pytest.raises(TypeError, match="the flow .* and Doubled is a class of its own"):
        gradient_flow(model, Doubled(2, 0.3), t_final=1.0)
    monkeypatch.setattr(tm.ReluOutput, "_forward", lambda self, x: (x, None))
    with pytest.raises(TypeError, match="the flow .* and ReluOutput._forward was replaced"):
        gradient_flow(model, features, t_final=1.0)


def test_results_show_on_one_line(flows, sets_of_three):
    assert repr(flows["relu"]).startswith("Flow(ReluOutput 2 in 2, 352 times to 30, loss 0.")
    assert repr(sets_of_three).endswith(" > 3 digons)") and len(repr(sets_of_three)) < 300
    first, *_, last = map(repr, sets_of_three.plateaus)
    assert "6 dropped, saddle of index 18 with loss 0.18" in first
    assert last.startswith("Plateau(") and "to 1e+04, 3 digons, minimum with loss " in last


def test_a_bar_can_be_shown(capsys):
    gradient_flow(*CASES["relu"], t_final=0.1, progress=True)
    assert "gradient flow: 100%" in capsys.readouterr().err
    with pytest.raises(TypeError, match="progress"):
        gradient_flow(*CASES["relu"], t_final=0.1, progress="yes")


def test_a_flow_that_is_too_fast_for_float64_is_refused():
    model, _ = CASES["relu"]
    with pytest.raises(OverflowError, match="the speed at the start, .* is too large"):
        gradient_flow(model, tm.Features(2, 0.3, 1e300), t_final=1e-300)


@pytest.mark.parametrize("importance", [1.0, 1e-6, 1e15])
def test_so_late_that_rounding_errors_lead_is_refused(importance):
    """Later, the integration would not end; a thousandth of that is as soon at rest as ever."""
    model, features = CASES["relu"][0], tm.Features(2, 0.3, importance)
    with pytest.raises(ValueError, match="t_final must be at most .* for importances up to"):
        gradient_flow(model, features, t_final=1.01e12 / importance)
    flow = gradient_flow(model, features, t_final=1e9 / importance)
    assert flow.plateaus[-1].index == 0 and flow.plateaus[-1].end == flow.times[-1]
