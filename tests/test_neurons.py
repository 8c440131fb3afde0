"""What single neurons do: invariances of the scores, the motif by hand and what is not one, what
training finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

import toymodels_np as tm
from toymodels_np.geometry import neurons

seeds = st.integers(0, 2**32 - 1)
SIGNED = tm.Features(2, 0.3, signed=True)


@st.composite
def models(draw, classes=(tm.ReluHidden, tm.AbsoluteValue)):
    """A single model in float64 whose neurons differ in size, with a share of weights that are
    exactly 0."""
    cls, n, m = draw(st.sampled_from(classes)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    rng, sizes = np.random.default_rng(draw(seeds)), {"m": m, "n": n}
    arrays = [rng.normal(size=[sizes[axis] for axis in axes])
              for axes in cls.parameter_shapes.values()]
    for a in arrays[:-1]:
        a[rng.random(a.shape) < 0.3] = 0
    return cls(*arrays)


def rescaled(model, alpha):
    """The same function: row j of W1 times alpha_j, column j of W2 divided by it."""
    return tm.AbsoluteValue(model.W1 * alpha[:, None], model.W2 / alpha, model.b)


def permuted(model, neuron, feature):
    """Neurons and features in another order."""
    if isinstance(model, tm.ReluHidden):
        return tm.ReluHidden(model.W[np.ix_(neuron, feature)], model.b[feature])
    return tm.AbsoluteValue(model.W1[np.ix_(neuron, feature)], model.W2[np.ix_(feature, neuron)],
                            model.b[feature])


def motif_model(strong_in=2.0, weak_in=-0.5, strong_out=0.5, weak_out=2.0, inhibition=-4.0,
                spare=True):
    """Two features, four or five neurons.

    Neuron 0 stores x_0 > 0 and x_1 < 0; neuron 1 is on with x_0 > 0 and inhibits output 1; the
    others do the sides that are left.
    """
    W1 = [[strong_in, weak_in], [1, 0], [-1, 0], [0, 1]]
    W2 = [[strong_out, 0, 1, 0], [weak_out, inhibition, 0, 1]]
    return tm.AbsoluteValue(W1, W2, [0, 0])


# -- twins and definitions

@given(models())
def test_service_is_the_slope_that_the_neuron_alone_gives(model):
    """The definition, by running the model: only neuron j is left, no bias, one feature of size 1
    on either side."""
    s, sides = tm.service(model), tm.served_features(model)
    W1, W2 = (model.W, model.W.T) if isinstance(model, tm.ReluHidden) else (model.W1, model.W2)
    for j in range(model.n_hidden):
        alone = tm.AbsoluteValue(W1[[j]], W2[:, [j]], np.zeros(model.n_features))
        for i, one in enumerate(np.eye(model.n_features)):
            plus, minus = alone.forward(one[None])[0, i], alone.forward(-one[None])[0, i]
            assert s[j, i] == max(plus, minus) and min(plus, minus) == 0
            if sides[j, i]:
                assert (plus > 0) == (sides[j, i] > 0)
    slow = [max(row) / sum(row) if max(row) >= neurons.IDLE else 0 for row in s.tolist()]
    np.testing.assert_allclose(tm.monosemanticity(model), slow, rtol=1e-14)


@given(models())
def test_the_score_lies_between_one_over_n_and_1_and_the_descriptions_agree_with_the_arrays(model):
    score, sides, s = tm.monosemanticity(model), tm.served_features(model), tm.service(model)
    described = tm.describe_neurons(model)
    assert len(described) == model.n_hidden
    for j, neuron in enumerate(described):
        assert neuron.monosemanticity == score[j]
        served = np.flatnonzero(sides[j])
        assert {i: sign for i, sign, _ in neuron.features} == {i: sides[j, i] for i in served}
        slopes = [slope for *_, slope in neuron.features]
        assert slopes == sorted(slopes, reverse=True)
        if neuron.features:
            assert 1 / model.n_features - 1e-15 <= score[j] <= 1
            assert neuron.primary == s[j].argmax() and s[j, neuron.primary] == slopes[0]
            assert set(neuron.secondary) == set(np.flatnonzero(sides[j])) - {neuron.primary}
        else:
            assert score[j] == 0
            assert neuron.primary is None
            assert neuron.secondary == ()
            assert s[j].max() < neurons.IDLE


def test_scores_that_everyone_can_work_out():
    model = tm.ReluHidden([[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, -3], [-1, 0, 0], [0, 0, 0]],
                          [0, 0, 0])
    np.testing.assert_allclose(tm.monosemanticity(model), [1, 1 / 2, 1 / 3, 4 / 5, 0, 0],
                               rtol=1e-15)
    assert tm.served_features(model).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0],
                                                  [0, 0, 0], [0, 0, 0]]
    double = tm.AbsoluteValue([[2, -0.5], [1, 1]], [[0.5, -1], [2, 1]], [0, 0])
    assert tm.service(double).tolist() == [[1, 1], [0, 1]]
    assert tm.served_features(double).tolist() == [[1, -1], [0, 1]]
    assert tm.monosemanticity(double).tolist() == [0.5, 1]


# -- invariances

@given(models((tm.AbsoluteValue,)), seeds)
def test_the_scale_of_a_neuron_changes_nothing(model, seed):
    rng = np.random.default_rng(seed)
    other = rescaled(model, 10 ** rng.uniform(-4, 4, model.n_hidden))
    x = rng.normal(size=(20, model.n_features))
    np.testing.assert_allclose(other.forward(x), model.forward(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(tm.service(other), tm.service(model), rtol=1e-12)
    np.testing.assert_allclose(tm.monosemanticity(other), tm.monosemanticity(model), rtol=1e-12)
    normal, other_normal = tm.normalise_neurons(model), tm.normalise_neurons(other)
    reads = model.W1.any(-1)            # a neuron that reads nothing has no scale to go by
    np.testing.assert_allclose(other_normal.W1, normal.W1, rtol=1e-12)
    np.testing.assert_allclose(other_normal.W2[:, reads], normal.W2[:, reads], rtol=1e-12)
    assert len(tm.asymmetric_motifs(other)) == len(tm.asymmetric_motifs(model))


@given(models(), seeds)
def test_neurons_and_features_have_no_order(model, seed):
    rng = np.random.default_rng(seed)
    neuron, feature = rng.permutation(model.n_hidden), rng.permutation(model.n_features)
    other = permuted(model, neuron, feature)
    np.testing.assert_array_equal(tm.service(other), tm.service(model)[np.ix_(neuron, feature)])
    np.testing.assert_array_equal(tm.served_features(other),
                                  tm.served_features(model)[np.ix_(neuron, feature)])
    np.testing.assert_allclose(tm.monosemanticity(other), tm.monosemanticity(model)[neuron],
                               rtol=1e-14)


def test_a_rotation_of_the_hidden_space_does_change_the_score():
    """The counterexample: with a ReLU on them, neurons are not just any basis."""
    turn = np.array([[1, 1], [-1, 1]]) / 2**0.5
    model, turned = tm.ReluHidden(np.eye(2), [0, 0]), tm.ReluHidden(turn, [0, 0])
    x = np.array([[1.0, 0.0]])
    assert tm.ReluOutput(turn, [0, 0]).forward(x).round(12).tolist() == [[1, 0]]
    assert turned.forward(x).round(12).tolist() == [[0.5, 0.5]]
    assert model.forward(x).tolist() == [[1, 0]]
    assert tm.monosemanticity(model).tolist() == [1, 1]
    assert tm.monosemanticity(turned).round(12).tolist() == [0.5, 1]


@given(models())
def test_normalised_neurons_compute_the_same(model):
    x = np.random.default_rng(0).normal(size=(20, model.n_features))
    normal = tm.normalise_neurons(model)
    np.testing.assert_allclose(normal.forward(x), model.forward(x), rtol=1e-12, atol=1e-13)
    if isinstance(model, tm.AbsoluteValue):
        reads = abs(model.W1).max(-1) > 0
        np.testing.assert_allclose(abs(normal.W1).max(-1)[reads], 1, rtol=1e-15)
    else:
        np.testing.assert_array_equal(normal.W, model.W)


@given(models(), st.sampled_from(["input", "output"]))
def test_the_rectangles_of_a_stack_tile_both_ways_from_zero(model, weights):
    plot = tm.stack_plot(model, weights=weights)
    normal = tm.normalise_neurons(model)
    if isinstance(model, tm.ReluHidden):
        expected = normal.W
    else:
        expected = normal.W1 if weights == "input" else normal.W2.T
    np.testing.assert_array_equal(plot.height, expected)
    np.testing.assert_array_equal(plot.monosemanticity, tm.monosemanticity(model))
    for height, bottom in zip(plot.height, plot.bottom):
        for side in (1, -1):
            edge = 0
            for h, start in zip(height, bottom):
                if side * h > 0:
                    assert start == pytest.approx(edge, rel=1e-12, abs=1e-14)
                    edge += h
            assert edge == pytest.approx(height[side * height > 0].sum(), rel=1e-12)


@pytest.mark.parametrize("cls", [tm.ReluHidden, tm.AbsoluteValue])
def test_a_stack_of_models_is_measured_one_by_one(cls):
    model = cls.init(5, 4, 3, seed=1)
    plot = tm.stack_plot(model)
    for i in range(3):
        np.testing.assert_allclose(tm.service(model)[i], tm.service(model[i]), rtol=1e-14)
        np.testing.assert_array_equal(tm.served_features(model)[i], tm.served_features(model[i]))
        np.testing.assert_allclose(tm.monosemanticity(model)[i], tm.monosemanticity(model[i]),
                                   rtol=1e-14)
        np.testing.assert_allclose(plot.bottom[i], tm.stack_plot(model[i]).bottom, rtol=1e-14)
    assert tm.service(model).dtype == np.float64


# -- the motif

def test_the_motif_of_the_paper_is_found_with_its_numbers():
    found, = tm.asymmetric_motifs(motif_model(), SIGNED)
    assert replace(found, ablation=None) == tm.Motif(neuron=0, inhibitor=1, strong=(0, 1),
                                                     weak=(1, -1), asymmetry=4.0,
                                                     excitation=4.0, inhibition=-4.0, cancelled=1.0,
                                                     ablation=None)
    assert tm.asymmetric_motifs(motif_model()) == [replace(found, ablation=None)]
    assert found.ablation > 0 and found == tm.asymmetric_motifs(motif_model(), SIGNED)[0]


def test_the_ablation_is_the_difference_of_two_expected_losses():
    """Against integrals over a grid of midpoints: (12.8) and (12.9) for the two features of the
    motif."""
    samples, u = 2**16, (np.arange(800) + 0.5) / 800
    grid = np.stack(np.meshgrid(2 * u - 1, 2 * u - 1), -1).reshape(-1, 2)
    p, losses = 0.3, []
    for model in (motif_model(), motif_model(inhibition=0.0)):
        both, first, second = (model.loss(grid * keep, SIGNED) for keep in ([1, 1], [1, 0], [0, 1]))
        losses.append(p**2 * both + p * (1 - p) * (first + second))
    assert tm.asymmetric_motifs(motif_model(), SIGNED,
                                samples=samples)[0].ablation == pytest.approx(
        losses[1] - losses[0], rel=0.05)


@pytest.mark.parametrize("changed", [
    dict(inhibition=0.0),                                   # nobody inhibits
    dict(inhibition=-1.9),                                  # not even half of it
    dict(inhibition=4.0),                                   # the wrong sign
    dict(strong_in=1.0, weak_in=-1.0, strong_out=1.0, weak_out=1.0),        # two features, equally
    # read unequally, written equally
    dict(strong_in=2.0, weak_in=-0.5, strong_out=0.5, weak_out=0.5),
    dict(weak_in=0.0),                                      # one feature
    dict(weak_out=-2.0),                                    # an inhibition itself
])
def test_what_is_not_the_motif_is_not_found(changed):
    assert tm.asymmetric_motifs(motif_model(**changed)) == []


def test_an_inhibitor_that_is_on_at_the_other_side_does_not_count():
    model = motif_model()
    W1 = model.W1.copy()
    W1[1, 0] = -1
    assert tm.asymmetric_motifs(tm.AbsoluteValue(W1, model.W2, model.b)) == []
    W1[1, 0] = 0.5            # half as excited: still half of it is taken back
    found, = tm.asymmetric_motifs(tm.AbsoluteValue(W1, model.W2, model.b))
    assert found.cancelled == 0.5 and found.inhibition == -2


def test_two_features_in_either_order_are_one_motif():
    model = permuted(motif_model(), [3, 1, 2, 0], [1, 0])
    found, = tm.asymmetric_motifs(model)
    assert (found.neuron, found.inhibitor, found.strong, found.weak) == (3, 1, (1, 1), (0, -1))


def test_random_weights_show_no_motif():
    """The negative control: a pattern that chance makes would say nothing about training."""
    start = tm.AbsoluteValue.init(6, 10, 200, seed=0)
    assert sum(len(tm.asymmetric_motifs(start[i])) for i in range(200)) == 0


# -- what training finds

def test_with_room_to_spare_each_side_of_each_feature_gets_a_neuron():
    law = tm.Features(3, 1.0, signed=True)
    model = tm.train(tm.AbsoluteValue.init(3, 6, 8, seed=0), law, steps=1500, batch_size=128,
                     learning_rate=2e-2,
                     schedule="cosine", progress=False).model
    loss = model.loss(law.sample(np.random.default_rng(1), 4096, dtype=np.float32), law)
    sides = tm.served_features(model)
    all_six = ((sides != 0).sum(-1) == 1).all(-1) & ((sides == 1).sum(-2) == 1).all(-1) & (
        (sides == -1).sum(-2) == 1).all(-1)
    np.testing.assert_array_equal(all_six, loss <= 1e-4)
    assert all_six.sum() >= 4
    assert (tm.monosemanticity(model)[all_six] >= neurons.MONOSEMANTIC).all()


def test_a_dense_privileged_basis_is_monosemantic_and_a_sparse_one_is_not():
    counts = {}
    for p in (0.75, 0.04):
        law = tm.Features(10, p, 0.75 ** np.arange(10))
        model = tm.train(tm.ReluHidden.init(10, 5, 8, seed=0), law, steps=2000, batch_size=128,
                         learning_rate=1e-2,
                         schedule="cosine", progress=False).model
        loss = model.loss(law.sample(np.random.default_rng(1), 2**14, dtype=np.float32), law)
        counts[p] = (tm.monosemanticity(model[int(loss.argmin())]) >= neurons.MONOSEMANTIC).sum()
    assert counts == {0.75: 5, 0.04: 0}


@pytest.mark.parametrize("n_hidden, models_with_motif", [(10, 3), (12, 0)])
def test_training_finds_the_motif_only_where_neurons_are_short(n_hidden, models_with_motif):
    """The better half of six runs: a worse minimum may show it even where there is room for all
    twelve sides."""
    law = tm.Features(6, 0.2, 0.8 ** np.arange(6), signed=True)
    start = tm.AbsoluteValue.init(6, n_hidden, 6, seed=0)
    model = tm.train(start, law, steps=3000, batch_size=256, learning_rate=5e-3, schedule="cosine",
                     progress=False).model
    loss = model.loss(law.sample(np.random.default_rng(1), 2**14, dtype=np.float32), law)
    found = [tm.asymmetric_motifs(model[i], law) for i in np.argsort(loss)[:3]]
    assert sum(map(bool, found)) == models_with_motif
    assert all(motif.ablation > 0 for motifs in found for motif in motifs)


# -- what is refused, and how results look

class LeakyHidden(tm.ReluHidden):
    """A subclass may compute something else, of which s and M would say nothing."""


class LeakyAbsolute(tm.AbsoluteValue):
    """As above."""


@pytest.mark.parametrize("of", [tm.service, tm.monosemanticity, tm.served_features, tm.stack_plot,
                                tm.normalise_neurons, tm.describe_neurons])
@pytest.mark.parametrize("cls", [LeakyHidden, LeakyAbsolute, tm.ReluOutput])
def test_what_another_class_does_is_not_said(of, cls):
    with pytest.raises(TypeError, match=f"must be ReluHidden or AbsoluteValue.*{cls.__name__}"):
        of(cls.init(3, 2))


def test_a_subclass_has_no_motif():
    with pytest.raises(TypeError, match="must be AbsoluteValue, got LeakyAbsolute"):
        tm.asymmetric_motifs(LeakyAbsolute.init(3, 2))


def test_results_show_on_one_line():
    model = motif_model()
    motif, = tm.asymmetric_motifs(model, SIGNED)
    assert repr(motif).startswith("Motif(neuron 0: +x0 strong, -x1 weak, asymmetry=4; neuron 1 "
                                  "inhibits 100%, ablation=0.")
    assert repr(tm.describe_neurons(model)[0]) == "Neuron(+x0: 1, -x1: 1; monosemanticity=0.5)"
    idle = tm.ReluHidden([[0, 0]], [0, 0])
    assert repr(tm.describe_neurons(idle)[0]) == "Neuron(idle; monosemanticity=0)"
    assert repr(tm.stack_plot(model)) == "StackPlot(neurons=4, features=2)"
    stack = tm.ReluHidden.init(50, 20, 3)
    assert repr(tm.stack_plot(stack)) == "StackPlot(neurons=20, features=50, instances=(3,))"


def test_products_of_weights_beyond_float64_are_refused():
    large = tm.AbsoluteValue(np.full((2, 2), 1e200), np.full((2, 2), 1e200), np.zeros(2))
    for of in (tm.service, tm.monosemanticity, tm.normalise_neurons, tm.stack_plot):
        with pytest.raises(OverflowError, match="their products do not fit into float64"):
            of(large)
    with pytest.raises(OverflowError, match="their products do not fit into float64"):
        tm.service(tm.ReluHidden(np.full((2, 2), 1e200), np.zeros(2)))


@pytest.mark.parametrize("model", [motif_model(), tm.AbsoluteValue(np.eye(2), np.eye(2), [0, 0])])
def test_too_many_samples_are_refused_by_their_name_whether_there_is_a_motif_or_not(model):
    with pytest.raises(ValueError, match="samples is too large"):
        tm.asymmetric_motifs(model, SIGNED, samples=10**12)
