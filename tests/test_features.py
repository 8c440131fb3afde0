"""The sampler draws the law that `Features` states, and that law is the one that listing every
support gives.

Two witnesses: `support_law` lists what each set can do and multiplies; `slow_sample` draws one row
and one set at a time. Averages are compared with their expectations in units of Bernstein's bound,
which holds at any p: an average of N independent terms, each within 1 of its mean and of variance
v, leaves  z sqrt(v/N) + z^2/(3N)  with probability below 2 exp(-z^2/2). Here z is six standard
errors. Samplers that lie must be caught by the same predicates.
"""

import numpy as np
import pytest
from engine_law import engine_sample
from hypothesis import given, strategies as st
from scipy import stats

import toymodels_np as tm
from toymodels_np.engine import sampler

Z = 6
RARE = 2 * stats.norm.sf(Z)                     # 2e-9, what six standard errors are worth
ENGINE = {"scattered": (1.0, False), "mixed": (None, False), "dense": (0.0, False),
          "scattered rows": (1.0, True), "mixed rows": (None, True), "dense rows": (0.0, True)}
PATHS = ("plain", *ENGINE)                      # Features.sample, and the engine's sampler
ROWS = 30_000

seeds = st.integers(0, 2**32 - 1)
probabilities = st.one_of(st.floats(0.01, 1),
                          st.sampled_from([1e-9, 1e-4, 0.25, np.nextafter(0.25, 0), 0.999, 1.0]))


@st.composite
def laws(draw):
    """Up to six features, shuffled and cut into sets of the three kinds, each with its own p."""
    n = draw(st.integers(1, 6))
    order, p = draw(st.permutations(range(n))), np.empty(n)
    sets = {"correlated": [], "anticorrelated": [], "single": []}
    while order:
        kind = draw(st.sampled_from(sorted(sets))) if len(order) > 1 else "single"
        size = 1 if kind == "single" else draw(st.integers(2, len(order)))
        members, order = tuple(order[:size]), order[size:]
        p[list(members)] = draw(probabilities)
        sets[kind].append(members)
    del sets["single"]
    return tm.Features(n, p, signed=draw(st.booleans()), **sets)


# -- the witnesses and the predicates -------------------------------------------------------------

def outcomes(features):
    """For each set the list of (members that are on, probability)."""
    p = features.feature_probability
    named = {i for members in features.correlated + features.anticorrelated for i in members}
    singles = [(i,) for i in range(features.n_features) if i not in named]
    for members in [*features.correlated, *singles]:
        yield [(members, p[members[0]]), ((), 1 - p[members[0]])]
    for members in features.anticorrelated:
        yield [((i,), p[i] / len(members)) for i in members] + [((), 1 - p[members[0]])]


def support_law(features):
    """{support: probability} over all subsets of features that can be on together."""
    law = {frozenset(): 1.0}
    for choices in outcomes(features):
        law = {support | set(on): q * r for support, q in law.items() for on, r in choices}
    return law


def slow_sample(features, rng, rows):
    """The same law, one row and one set at a time."""
    x = np.zeros((rows, features.n_features))
    sets = [tuple(zip(*choices)) for choices in outcomes(features)]
    for row in x:
        for members, weights in sets:
            for i in members[rng.choice(len(members), p=weights)]:
                row[i] = rng.uniform(-1 if features.signed else 0, 1)
    return x


def together(features):
    """P(i and j are both on), (n, n), from the list of supports."""
    matrix = np.zeros((features.n_features,) * 2)
    for support, q in support_law(features).items():
        matrix[np.ix_(sorted(support), sorted(support))] += q
    return matrix


def value_moment(features, power):
    """E[u^power] of an active value."""
    return 0.0 if features.signed and power % 2 else 1 / (power + 1)


def raw_moments(features, a):
    """E[x_i^a] (n,), and E[x_i^a x_j^a] (n, n)."""
    both = together(features)
    pair = both * value_moment(features, a) ** 2
    np.fill_diagonal(pair, both.diagonal() * value_moment(features, 2 * a))
    return both.diagonal() * value_moment(features, a), pair


def excess(average, expectation, variance, count):
    """The worst deviation in units of Bernstein's bound: above 1 is a lie."""
    bound = Z * np.sqrt(np.maximum(variance, 0) / count) + Z**2 / (3 * count)
    return float((abs(average - expectation) / bound).max())


def moments_hold(x, features):
    """Activity, joint activity, mean and second moments of the batch are those of the law."""
    x, count = x.astype(np.float64), len(x)
    on, both = (x != 0).astype(np.float64), together(features)
    mean, second = raw_moments(features, 1)
    square, fourth = raw_moments(features, 2)
    return max(excess(on.T @ on / count, both, both * (1 - both), count),
               excess(x.mean(0), mean, square - mean**2, count),
               excess(x.T @ x / count, second, fourth - second**2, count)) <= 1


def support_counts(x):
    n = x.shape[1]
    return np.bincount((x != 0) @ (1 << np.arange(n)), minlength=1 << n)


def supports_hold(x, features):
    """The counts of all supports: none that is impossible, and a chi-square that is not rare."""
    expected = np.zeros(1 << x.shape[1])
    for support, q in support_law(features).items():
        expected[sum(1 << i for i in support)] += q * len(x)
    counts = support_counts(x)
    return not counts[expected == 0].any() and chi_square_rarity(counts, expected) > RARE


def chi_square_rarity(counts, expected):
    """The chance of so large a chi-square, with all values that are expected fewer than 25 times as
    one.
    """
    common = expected >= 25
    counts, expected = (np.append(a[common], a[~common].sum()) for a in (counts, expected))
    return stats.chi2.sf(((counts - expected) ** 2 / np.maximum(expected, 1)).sum(),
                         max(1, common.sum()))


def values_hold(x, features):
    """Active values are uniform by Kolmogorov and Smirnov, for each feature that is on often enough
    to say.
    """
    low = -1 if features.signed else 0
    columns = [column[column != 0] for column in x.T.astype(np.float64)]
    rarities = [stats.kstest(u, stats.uniform(low, 1 - low).cdf).pvalue for u in columns
                if len(u) > 30]
    return min(rarities, default=1) > RARE


def law_holds(x, features):
    """All three."""
    return moments_hold(x, features) and supports_hold(x, features) and values_hold(x, features)


def sample_by(path, features, rng, rows, **options):
    if path == "plain":
        return features.sample(rng, rows, **options)
    with pytest.MonkeyPatch.context() as patch:
        below, as_rows = ENGINE[path]
        for name in ("SCATTER_BELOW", "SINGLE_BELOW") if below is not None else ():
            patch.setattr(sampler, name, below)
        return engine_sample(features, rng, rows, rows=as_rows, **options)


# -- the law --------------------------------------------------------------------------------------

@given(laws())
def test_stated_moments_are_those_of_the_enumerated_law(features):
    mean, second = raw_moments(features, 1)
    np.testing.assert_allclose(sum(support_law(features).values()), 1, rtol=1e-14)
    np.testing.assert_allclose(features.active_probability, together(features).diagonal(),
                               rtol=1e-14)
    np.testing.assert_allclose(features.mean(), mean, rtol=1e-14)
    np.testing.assert_allclose(features.second_moment(), second, rtol=1e-14)
    np.testing.assert_allclose(features.variance(), second.diagonal() - mean**2, rtol=1e-14)


@given(laws(), st.integers(1, 3), seeds)
def test_stated_moments_of_a_stack_are_those_of_its_instances(features, count, seed):
    scale = np.random.default_rng(seed).uniform(0.1, 1, (count, 1))
    stack = tm.Features(features.n_features, scale * features.feature_probability,
                        signed=features.signed,
                        correlated=features.correlated, anticorrelated=features.anticorrelated)
    assert stack.n_instances == count
    for i in range(count):
        for statistic in ("active_probability", "feature_probability", "importance"):
            np.testing.assert_array_equal(getattr(stack, statistic)[i],
                                          getattr(stack[i], statistic))
        for statistic in ("mean", "variance", "second_moment"):
            np.testing.assert_array_equal(getattr(stack, statistic)()[i],
                                          getattr(stack[i], statistic)())


@given(laws(), st.sampled_from(PATHS))
def test_float64_samples_follow_the_law(features, path):
    x = sample_by(path, features, np.random.default_rng(0), ROWS)
    assert x.dtype == np.float64 and x.shape == (ROWS, features.n_features)
    assert moments_hold(x, features)
    assert supports_hold(x, features)
    assert values_hold(x, features)


@given(laws(), st.sampled_from(PATHS))
def test_float32_samples_follow_the_law(features, path):
    x = sample_by(path, features, np.random.default_rng(0), ROWS, dtype=np.float32)
    assert x.dtype == np.float32
    assert moments_hold(x, features)
    assert supports_hold(x, features)
    assert values_hold(x, features)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sets", ["single", "correlated", "anticorrelated"])
def test_sets_of_one_kind_and_different_frequencies_follow_the_law(sets, path):
    """What is drawn together, as columns and as rows: few drawn laws have two such sets."""
    p = [0.02, 0.03, 0.06] if sets == "single" else [0.02, 0.02, 0.06, 0.06]
    features = tm.Features(len(p), p, **({} if sets == "single" else {sets: [(0, 1), (2, 3)]}))
    assert law_holds(sample_by(path, features, np.random.default_rng(0), ROWS), features)


@given(laws(), st.sampled_from(PATHS), seeds)
def test_sets_switch_as_sets_in_every_row(features, path, seed):
    on = sample_by(path, features, np.random.default_rng(seed), 5000) != 0
    for members in features.correlated:
        assert (on[:, list(members)] == on[:, [members[0]]]).all()
    for members in features.anticorrelated:
        assert on[:, list(members)].sum(1).max() <= 1


@given(laws(), seeds)
def test_values_lie_in_their_interval_and_certain_features_are_always_on(features, seed):
    x = features.sample(np.random.default_rng(seed), 5000)
    assert x.min() >= (-1 if features.signed else 0) and x.max() <= 1
    certain = together(features).diagonal() == 1
    assert (x[:, certain] != 0).all()
    np.testing.assert_array_equal(features.target(x), np.sqrt(x * x) if features.signed else x)


FIXED = {
    "sparse": tm.Features(4, [0.03, 0.1, 0.2, 0.05]),
    "uniform and sparse": tm.Features(4, 0.1),
    "frequent": tm.Features(3, [0.3, 0.6, 1.0], signed=True),
    "uniform and frequent": tm.Features(3, 0.5),
    "sets": tm.Features(6, [0.1, 0.4, 0.1, 0.2, 0.2, 0.4], correlated=[(0, 2)],
                        anticorrelated=[(3, 4)]),
    "sets, signed": tm.Features(5, [0.4, 0.4, 0.15, 0.15, 0.15], signed=True, correlated=[(1, 0)],
                                anticorrelated=[(2, 4, 3)]),
}


@pytest.mark.parametrize("path", ["plain", "mixed"])
@pytest.mark.parametrize("features", FIXED.values(), ids=FIXED)
def test_fast_and_slow_samplers_cannot_be_told_apart(features, path):
    slow = slow_sample(features, np.random.default_rng(1), 10_000)
    fast = sample_by(path, features, np.random.default_rng(2), 40_000)
    assert law_holds(slow, features)
    counts = np.array([support_counts(slow), support_counts(fast)])
    assert stats.chi2_contingency(counts[:, counts.sum(0) > 10]).pvalue > RARE
    assert stats.ks_2samp(slow[slow != 0], fast[fast != 0]).pvalue > RARE


def binomial_counts(totals, size, p):
    """Batch totals are Binomial(size, p)."""
    expected = stats.binom.pmf(np.arange(size + 1), size, p) * len(totals)
    return chi_square_rarity(np.bincount(totals, minlength=size + 1), expected) > RARE


@pytest.mark.parametrize("p", [0.1, 0.4])
def test_a_batch_has_the_spread_of_independent_rows(p):
    features, rng = tm.Features(4, p), np.random.default_rng(3)
    batches = np.array([features.sample(rng, 8) for _ in range(4000)])
    assert binomial_counts(np.count_nonzero(batches, axis=(1, 2)), 32, p)
    for row in range(7):          # every row of a batch is as likely, and knows nothing of the next
        assert moments_hold(batches[:, [row, row + 1], row % 4], tm.Features(2, p))
    always_as_many = np.full(4000, round(32 * p))
    rows_in_pairs = 2 * np.random.default_rng(4).binomial(16, p, 4000)
    assert not binomial_counts(always_as_many, 32, p)
    assert not binomial_counts(rows_in_pairs, 32, p)


# -- liars ----------------------------------------------------------------------------------------

def off_by_3_percent(features, rng, rows):
    return tm.Features(2, features.feature_probability * 1.03).sample(rng, rows)


def members_alone(features, rng, rows):
    return tm.Features(2, features.active_probability).sample(rng, rows)


LIARS = {
    "p 3 % off, scattered": (tm.Features(2, 0.1), off_by_3_percent),
    "p 3 % off, dense": (tm.Features(2, 0.5), off_by_3_percent),
    "correlated drawn alone": (tm.Features(2, 0.1, correlated=[(0, 1)]), members_alone),
    "anticorrelated drawn alone": (tm.Features(2, 0.1, anticorrelated=[(0, 1)]), members_alone),
    "p for each member of an anticorrelated set": (
        tm.Features(2, 0.1, anticorrelated=[(0, 1)]),
        lambda features, *a: np.minimum(
            1, 2 * tm.Features(2, 0.2, anticorrelated=[(0, 1)]).sample(*a))),
    "one value for a correlated set": (
        tm.Features(2, 0.3, correlated=[(0, 1)]),
        lambda features, rng, rows: features.sample(rng, rows)[:, [0, 0]]),
    "sign forgotten": (tm.Features(2, 0.3, signed=True),
                       lambda features, *a: abs(features.sample(*a))),
    "values squared": (tm.Features(2, 0.3), lambda features, *a: features.sample(*a) ** 2),
}


@pytest.mark.parametrize("features, lie", LIARS.values(), ids=LIARS)
def test_a_sampler_that_lies_is_caught(features, lie):
    assert moments_hold(features.sample(np.random.default_rng(5), 1_000_000), features)
    assert not moments_hold(lie(features, np.random.default_rng(5), 1_000_000), features)


def test_the_other_predicates_catch_liars_too():
    features, rng = tm.Features(2, 0.5), np.random.default_rng(6)
    x = features.sample(rng, ROWS)
    assert supports_hold(x, features) and values_hold(x, features)
    assert not supports_hold(members_alone(tm.Features(2, 0.52), rng, ROWS), features)
    assert not values_hold(x**1.1, features)
    never_both = tm.Features(2, 0.5, anticorrelated=[(0, 1)])
    one_wrong_row = never_both.sample(rng, ROWS)
    one_wrong_row[0] = 0.5
    assert not supports_hold(one_wrong_row, never_both)


# -- streams, instances and out -------------------------------------------------------------------

def stacked(p, **options):
    return tm.Features(4, np.asarray(p)[:, None], **options)


def generators(*numbers):
    return [np.random.default_rng(i) for i in numbers]


@given(laws(), seeds)
def test_the_same_generator_gives_the_same_bits(features, seed):
    first, again, other = (features.sample(np.random.default_rng(s), 50)
                           for s in (seed, seed, seed + 1))
    np.testing.assert_array_equal(first, again)
    if first.any():
        assert (first != other).any()


def test_each_instance_follows_its_own_probabilities():
    p = np.array([[0.02, 0.3, 0.9, 1.0], [0.1, 0.1, 0.1, 0.1], [0.6, 0.6, 0.6, 0.6]])
    for features in (tm.Features(4, p), stacked([0.02, 0.3, 1.0], anticorrelated=[(0, 3)])):
        x = features.sample(np.random.default_rng(7), ROWS)
        assert x.shape == (3, ROWS, 4)
        for i in range(3):
            assert moments_hold(x[i], features[i]) and supports_hold(x[i], features[i])
            assert not moments_hold(x[i], features[(i + 1) % 3])
        across = np.concatenate([x[0], x[1]], axis=1)               # independent of each other
        pair = tm.Features(2, [features.active_probability[0, 1],
                               features.active_probability[1, 1]])
        assert moments_hold(across[:, [1, 5]], pair)


@pytest.mark.parametrize("p", [[0.05, 0.2, 0.1], [0.3, 0.05, 1.0]])
@pytest.mark.parametrize("sets", [{}, {"correlated": [(0, 2)]}, {"anticorrelated": [(3, 1)]}])
def test_draws_of_an_instance_do_not_depend_on_its_company(p, sets):
    features = stacked(p, **sets)
    x = features.sample(generators(0, 1, 2), 200)
    for i in range(3):
        np.testing.assert_array_equal(x[i], features[i].sample(np.random.default_rng(i), 200))
    np.testing.assert_array_equal(x[1:], features[1:].sample(generators(1, 2), 200))


def test_a_list_of_generators_gives_instances_even_without_an_instance_axis():
    features = tm.Features(3, 0.2)
    x = features.sample(generators(8, 9), 60)
    np.testing.assert_array_equal(x, [features.sample(rng, 60) for rng in generators(8, 9)])
    assert (x[0] != x[1]).any()


@given(laws(), st.integers(1, 4))
def test_several_batches_at_once_follow_the_law_too(features, batches):
    x = np.full((2, batches, features.n_features, ROWS // batches), np.nan, np.float32)
    sampler.Sampler(features).fill(generators(1, 2), x)
    for rows in (np.concatenate(x[0].swapaxes(1, 2)), np.concatenate(x[1].swapaxes(1, 2)),
                 x[1, -1].T):
        assert law_holds(rows, features)


@given(laws())
def test_features_cannot_be_changed_after_the_fact(features):
    for array in (features.feature_probability, features.importance):
        with pytest.raises(ValueError):
            array[...] = 0.5
    before = features.feature_probability.copy()
    features.active_probability[...] = 0.5                          # a copy, not the law
    np.testing.assert_array_equal(features.feature_probability, before)
