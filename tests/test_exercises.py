"""Exercises: the stub is not written yet, the package's answer passes, each known mistake gets its
own message and no other's, mutated answers never pass, and nothing a learner does is a crash."""

import ast
import inspect
import re
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from toymodels_np.teaching import child
from toymodels_np.teaching.checker import (
    Raised,
    call,
    diagnose,
    examine,
    judged,
    right_answers,
)
from toymodels_np.teaching.compare import apart, same, show, trouble
from toymodels_np.teaching.draw import drawn
from toymodels_np.teaching.exercise import deciding_line, source
from toymodels_np.teaching.records import EXERCISES, find, learning, of_file

FOLDER = Path(__file__).parents[1] / "examples" / "exercises"
MUTANTS = 10                    # of the answer of every exercise, at least

each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)


def one_sentence(said):
    return len(said.strip()) > 10 and "\n" not in said and said.endswith(".") \
        and "Traceback" not in said


# -- the files

def test_every_file_is_an_exercise_and_the_other_way_round():
    assert sorted(path.name for path in FOLDER.iterdir() if path.suffix == ".py") == \
        [one.file for one in EXERCISES]
    assert [one.number for one in EXERCISES] == list(range(1, len(EXERCISES) + 1))
    assert len(EXERCISES) >= 18


@each
def test_a_card_says_what_it_has_to(exercise):
    text = (FOLDER / exercise.file).read_text(encoding="utf-8")
    tree = ast.parse(text)
    card = ast.get_docstring(tree)
    assert card.startswith(f"{exercise.number}. ") and f"python {exercise.file}" in card
    assert re.search(r"^goal  .*^read  .*^difficulty  [1-5] of 5$.*^minutes     \d+$", card,
                     re.DOTALL | re.MULTILINE)
    for path in re.findall(r"(?:derivations|toymodels_np)/[\w/-]+\.(?:md|py)", card):
        assert (FOLDER.parents[1] / path).is_file()
    assert text.endswith("\n\n\ncheck(__file__)\n") and text.count("raise NotImplementedError") == 1
    function, = (one for one in tree.body if isinstance(one, ast.FunctionDef))
    assert function.name == exercise.function
    arguments = [one.arg for one in function.args.args]
    assert arguments == list(inspect.signature(exercise.answer).parameters)


@each
def test_the_package_has_the_solution_and_the_line(exercise):
    path, first, text = source(exercise)
    assert (FOLDER.parents[1] / path).read_text(encoding="utf-8").count(text) == 1
    assert text.count(exercise.line) == 1
    path, number, line = deciding_line(exercise)
    lines = (FOLDER.parents[1] / path).read_text(encoding="utf-8").splitlines()
    assert exercise.line in line and lines[number - 1].strip() == line


# -- the checker

@each
def test_the_stub_is_not_written_yet(exercise):
    function, verdict = child.load(exercise, FOLDER / exercise.file)
    assert verdict is None
    verdict = examine(exercise, function)
    assert not verdict.solved and "not written yet" in verdict.said and one_sentence(verdict.said)


@each
def test_the_answer_of_the_package_passes(exercise):
    assert examine(exercise, exercise.answer).solved
    assert len(exercise.hints) == 2 and len(exercise.mistakes) >= 4 and exercise.shown
    assert exercise.next == (None if exercise is EXERCISES[-1]
                             else EXERCISES[exercise.number].name)


@each
def test_every_mistake_gets_its_own_message_and_no_others(exercise):
    inputs, rights = drawn(exercise), right_answers(exercise)
    assert len({one.said for one in exercise.mistakes}) == len(exercise.mistakes)
    views = []
    for mistake in exercise.mistakes:
        for function in (mistake.function, *mistake.also):
            answers = [call(function, one) for one in inputs]
            assert any(map(judged, repeat(exercise), answers, rights)), mistake.said
            assert diagnose(exercise, answers) is mistake
            views.append((mistake, [call(exercise.view, (a,)) for a in answers]))
    for mistake, mine in views:
        for another, other in views:
            alike = all(same(a, b, exercise.tolerance) for a, b in zip(mine, other))
            assert not alike or mistake is another


@pytest.mark.parametrize("exercise", EXERCISES[3::7], ids=lambda one: one.name)
def test_the_message_has_the_smallest_example(exercise):
    for mistake in exercise.mistakes[:2]:
        verdict = examine(exercise, mistake.function)
        assert not verdict.solved and one_sentence(verdict.said) and mistake.said in verdict.said
        assert re.search(r"yours is .*, expected is .*, with \w+ = ", verdict.said)
        assert verdict == examine(exercise, mistake.function)


def test_the_example_is_the_smallest():
    """One sample, one feature; what is not needed is as simple as can be."""
    said = examine(find("loss"), find("loss").mistakes[1].function).said
    assert "the importance multiplies x and not the error" in said
    assert said.endswith("with x = [[0]], output = [[1]], importance = [0.5].")
    said = examine(find("forward"), find("forward").mistakes[0].function).said
    assert said.endswith("yours is [[-1]], expected is [[0]], with W = [[0]], b = [-1], "
                         "x = [[0]].")


def test_an_unknown_mistake_is_told_without_a_name():
    said = examine(find("loss"), lambda x, output, importance: 17.0).said
    assert said.startswith("Your answer is not right; yours is 17, expected is 0, with x = [[0]]")


PATTERNS = [
    ("forward", lambda right: -right, "is always -1 times what is expected"),
    ("loss", lambda right: right / 3, "is always 0.333333 times what is expected"),
    ("forward", np.transpose, "is the transpose of what is expected"),
    ("moments", lambda right: right[::-1], "has its parts in another order"),
    ("adam", lambda right: (*right[1:], right[0]), "has its parts in another order"),
    ("plateau", lambda right: [-one for one in right], "is always -1 times what is expected"),
    ("plateau", lambda right: (right[0], -right[1]), "number 1, that is always -1 times what is"),
    ("rotation", lambda right: (right[0] + 1e-17, 2 * right[1]), "that is always 2 times"),
    ("moments", lambda right: (3 * right[0], 2 * right[1]), "is not right"),
    ("loss", lambda right: right + 1, "is not right"), ("loss", lambda right: 0.0, "is not right"),
    ("gradient_check", int, "is a int and should be True or False"),
    ("phase_boundary", lambda right: right[::-1], "is not right"),
    ("simplex", lambda right: 2 * right, "is always 2 times what is expected"),
    ("dimensionality", lambda right: right * (1 + 3e-7), "digits only"),
]


@pytest.mark.parametrize("name, change, said", PATTERNS)
def test_what_all_answers_have_in_common_is_told(name, change, said):
    exercise = find(name)
    verdict = examine(exercise, lambda *given: change(exercise.answer(*given)))
    assert not verdict.solved and said in verdict.said and one_sentence(verdict.said)


def relu(z):
    return np.maximum(z, 0)


def rows_as_features(W):
    norm = np.linalg.norm(W, axis=1)
    return norm**2 / (((W / norm[:, None]) @ W.T)**2).sum(axis=1)


def phase_at_sparsity(p, importance, order=1):
    p = 1 - p
    alone = p / 3 - p**2 / 4
    losses = {"not learned": importance * alone, "superposed": (1 + importance) * p**2 / 6,
              "own dimension": alone}
    return min(list(losses)[::order], key=losses.get)


def turned(rows):
    def changes(W, b, x, angle):
        Q = np.array(rows(np.cos(angle), np.sin(angle)))
        models = (lambda W: relu(x @ W.T @ W + b)), (lambda W: relu(relu(x @ W.T) @ W + b))
        return tuple(abs(model(Q @ W) - model(W)).max() for model in models)
    return changes


def spread_over_neurons(W):
    s = relu(W)**2
    return s.max(axis=0) / s.sum(axis=0)


def signed_change(W, b, x, angle):
    c, s = np.cos(angle), np.sin(angle)
    models = (lambda W: relu(x @ W.T @ W + b)), (lambda W: relu(relu(x @ W.T) @ W + b))
    return tuple((model(np.array([[c, -s], [s, c]]) @ W) - model(W)).max() for model in models)


def uneven_simplex(k):
    W = np.array([[1.0] * j + [-j] + [0] * (k - j) for j in range(1, k + 1)])
    return W / np.linalg.norm(W, axis=0)


def adam_uphill(theta, g, mean, square, t, learning_rate):
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
    step = mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return theta + learning_rate * step, mean, square


def unit_dimensionality(W):
    W /= np.linalg.norm(W, axis=0)
    return (W**2).sum(0) / ((W.T @ W)**2).sum(1)


# As a student writes it, with a zero row, a tie at p = 1, or an empty column, and what is said.
WRITTEN = [
    ("dimensionality", rows_as_features, "m and n are swapped"),
    ("rotation", turned(lambda c, s: [[c, s], [s, c]]), "the matrix is not orthogonal"),
    ("rotation", turned(lambda c, s: [[c, -s], [-s, c]]), "the matrix is not orthogonal"),
    ("phase_boundary", phase_at_sparsity, "p and 1 - p are mixed up"),
    ("phase_boundary", lambda p, importance: phase_at_sparsity(p, importance, order=-1),
     "p and 1 - p are mixed up"),
    ("rotation", signed_change, "changes keep their sign"),
    ("simplex", uneven_simplex, "rows are not scaled to equal length"),
    ("adam", adam_uphill, "the step goes up the gradient"),
    ("dimensionality", unit_dimensionality, "all vectors are scaled to unit length"),
    ("antipodal_pair", lambda p, importance: p**2 / 3, "the importances are left out"),
    ("asymmetric_motif", lambda read, write: (np.sqrt(read[0] / read[1] * write[1] / write[0]),
                                   -read[0] * write[1]), "absolute values are missing"),
    ("monosemantic", spread_over_neurons, "how one feature is spread over neurons"),
]


@pytest.mark.parametrize("name, function, said", WRITTEN)
def test_a_mistake_is_known_in_a_students_own_words(name, function, said):
    told = examine(find(name), function).said
    assert "is exactly what you get if " in told and said in told


@pytest.mark.parametrize("wrong", [
    lambda p, r, cost: (r * cost, (1 + r) * p * p / 7),
    lambda p, r, cost: (r * (p / 3 - p * p / 5), (1 + r) * p * p / 6),
    lambda p, r, cost: (r * cost, (1 + r) * p * p / 6 * (1 - p / 8))])
def test_labels_are_asked_for_where_two_losses_are_almost_equal(wrong):
    def phase(p, r):
        cost = p / 3 - p * p / 4
        dropped, pair = wrong(p, r, cost)
        losses = {"not learned": dropped, "superposed": pair, "own dimension": dropped / r}
        return min(losses, key=losses.get)

    assert not examine(find("phase_boundary"), phase).solved


def test_features_of_a_shape_come_in_any_order():
    def by_first_and_last(G):
        """Right for the usual order and what is turned around, and for no other."""
        c = G / G.max()
        if len(G) == 4:
            return "2 digons" if min(c[0, 1], c[0, 3]) < -0.9 else "tetrahedron"
        return find("name_a_geometry").answer(G)

    assert not examine(find("name_a_geometry"), by_first_and_last).solved


def test_a_gradient_is_judged_by_central_differences():
    """A solution that knows nothing of the package's."""
    def is_right(loss, theta, claimed):
        measured = np.array([(loss(theta + v) - loss(theta - v)) / 2e-4
                             for v in 1e-4 * np.eye(len(theta))])
        return bool(abs(measured - claimed).max()
                    <= 1e-5 * max(abs(measured).max(), abs(claimed).max()))

    assert examine(find("gradient_check"), is_right).solved


def slopes(loss, theta):
    return np.array([(loss(theta + v) - loss(theta - v)) / 2e-4 for v in 1e-4 * np.eye(len(theta))])


WRONG_JUDGES = {
    "np.allclose": (lambda a, b: np.allclose(a, b), "atol = 1e-8 is absolute"),
    "sum": (lambda a, b: np.isclose(a.sum(), b.sum(), rtol=1e-6, atol=0), "only the sum"),
    "mean": (lambda a, b: np.isclose(a.mean(), b.mean(), rtol=1e-6, atol=0), "only the sum"),
    "sorted": (lambda a, b: np.allclose(np.sort(a), np.sort(b), atol=0), "is not right"),
    "last": (lambda a, b: [np.isclose(*pair, atol=0) for pair in zip(a, b)][-1], "only the last"),
    "any": (lambda a, b: np.isclose(a, b, atol=0).any(), "any stands where all is meant"),
    "signed": (lambda a, b: (a - b < 1e-6 * abs(b)).all(), "errors keep their sign"),
    "absolute": (lambda a, b: abs(a - b).max() < 1e-6, "the error is absolute"),
    "equal": (np.array_equal, "no gradient is right"),
}


@pytest.mark.parametrize("name", WRONG_JUDGES)
def test_a_judge_of_gradients_that_errs_is_refused(name):
    alike, said = WRONG_JUDGES[name]
    verdict = examine(find("gradient_check"), lambda loss, theta, claimed: bool(
        alike(slopes(loss, theta), claimed)))
    assert not verdict.solved and said in verdict.said


def test_one_difference_along_the_diagonal_is_refused():
    def is_right(loss, theta, claimed):
        measured = (loss(theta + 1e-4) - loss(theta - 1e-4)) / 2e-4
        return bool(abs(measured - claimed.sum()) <= 1e-6 * abs(claimed.sum()))

    assert "only the sum" in examine(find("gradient_check"), is_right).said


def test_claims_have_every_defect_at_every_scale():
    seen = set()
    for loss, theta, claimed in drawn(find("gradient_check")):
        right = loss.gradient(theta)
        assert find("gradient_check").answer(loss, theta, claimed) == np.array_equal(right, claimed)
        seen |= {pair for pair in learning.PAIRS
                 if np.array_equal(learning.claim(right, pair[1]), claimed)
                 and pair[0] == loss.scale}
    assert seen == set(learning.PAIRS)


def test_a_simplex_may_be_turned_and_may_not_be_complex():
    rng = np.random.default_rng(0)
    simplex = find("simplex").answer

    def turned(k):
        return np.linalg.qr(rng.normal(size=(k, k)))[0] @ simplex(k)

    assert examine(find("simplex"), turned).solved
    assert not examine(find("simplex"), lambda k: simplex(k) + 5j).solved
    said = examine(find("simplex"), lambda k: np.vstack([simplex(k), np.zeros(k + 1)])).said
    assert "the corners are left in k + 1 dimensions" in said
    said = examine(find("simplex"), lambda k: np.vstack([simplex(k)] * 3)).said
    assert "has shape" in said and "number" not in said


@pytest.mark.parametrize("name", ["forward", "dimensionality", "rank"])
def test_what_is_almost_right_is_said_to_be(name):
    exercise = find(name)
    said = examine(exercise, lambda *given: np.asarray(exercise.answer(*given)) * (1 + 3e-7)).said
    assert "agrees to 7 digits only" in said or "agrees to 6 digits only" in said
    assert one_sentence(said)


def adam_with(epsilon, early):
    """Adam in which epsilon is another, or is added before the bias correction."""
    def step(theta, g, mean, square, t, learning_rate):
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        m, c = mean / (1 - 0.9**t), (1 - 0.999**t)**0.5
        below = (square**0.5 + epsilon) / c if early else square**0.5 / c + epsilon
        return theta - learning_rate * m / below, mean, square
    return step


@pytest.mark.parametrize("epsilon, early, known", [
    (1e-8, True, "before the bias correction"), (1e-7, False, "epsilon is 1e-7"),
    (1e-6, False, "is not right")])
def test_an_error_that_is_large_on_some_inputs_is_no_lack_of_digits(epsilon, early, known):
    said = examine(find("adam"), adam_with(epsilon, early)).said
    assert known in said and "digits only" not in said
    mine, right = re.search(r"yours is (.*), expected is (.*), with theta", said).groups()
    assert mine != right


def test_values_that_differ_are_shown_apart():
    assert apart(np.array([1 + 3e-7]), np.array([1.0])) == ("[1.0000003]", "[1]")
    assert apart((1.0, 2.0), (1.0, 2 + 1e-11)) == ("(1, 2)", "(1, 2.00000000001)")
    assert apart(0.25, 0.5) == ("0.25", "0.5") and apart(1.0, 1.0) == ("1", "1")


SAMPLERS = {
    "those on": lambda rng, p, shape: filled(rng, rng.random(shape) < p),
    "binomial": lambda rng, p, shape: rng.binomial(1, p, size=shape) * rng.random(shape),
    "rows": lambda rng, p, shape: np.array([
        np.where(rng.random(len(p)) < p, rng.random(len(p)), 0) for _ in range(shape[0])]),
}


def filled(rng, on):
    x = np.zeros(on.shape)
    x[on] = rng.random(on.sum())
    return x


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_right_law_of_other_numbers_is_told_so(name):
    said = examine(find("sampler"), lambda p, batch_size, seed: SAMPLERS[name](
        np.random.default_rng(seed), p, (batch_size, len(p)))).said
    assert "the law is the same, and the numbers are others than the package's" in said


# -- mutated answers

def numbers(change):
    """A mutation of every array of an answer."""
    def mutate(answer):
        if isinstance(answer, tuple):
            return tuple(mutate(one) for one in answer)
        return change(np.asarray(answer, float))
    return mutate


def first_only(change):
    """A mutation of the first part of a tuple, or of the first entry of an array."""
    def mutate(answer):
        if isinstance(answer, tuple):
            return (numbers(change)(answer[0]), *answer[1:])
        a = np.array(answer, float)
        a.flat[0] = change(a.flat[0])
        return a
    return mutate


NUMBERS = [numbers(change) for change in (
    lambda a: -a, lambda a: 2 * a, lambda a: a / 2, lambda a: a + 1, lambda a: a - 1,
    lambda a: 1.001 * a, lambda a: a**2, lambda a: a.T, lambda a: np.roll(a, 1),
    lambda a: np.flip(a), lambda a: a[..., :-1] if a.ndim else a + 2, lambda a: a[None],
    lambda a: a.sum(0) if a.ndim else 0 * a, lambda a: a.mean(), lambda a: 0 * a,
    lambda a: a + 1e-4, lambda a: abs(a) + 1e-3, lambda a: a * len(np.atleast_1d(a)))] + [
    first_only(lambda a: -a), first_only(lambda a: a + 0.5), first_only(lambda a: 2 * a),
    lambda a: list(np.ravel(a)) if not isinstance(a, tuple) else a[::-1],
    lambda a: a[:1] if isinstance(a, tuple) else (a, a)]
WORDS = [str.upper, str.title, lambda s: s[::-1], lambda s: s + " ", lambda s: s[:-1],
         lambda s: "", lambda s: [s], lambda s: s.encode(), len, lambda s: s + "s",
         lambda s: s.replace("d", "t"), lambda s: f"2 {s}", lambda s: " ".join(s)]
TRUTHS = [lambda t: not t, lambda t: True, lambda t: False, int, float, str, lambda t: [t],
          lambda t: (t,), lambda t: np.array(t), lambda t: None if t else False,
          lambda t: True if t else None]


def mutations(answer):
    if isinstance(answer, (bool, np.bool_)):
        return TRUTHS
    return WORDS if isinstance(answer, str) else NUMBERS


def alike(a, b):
    """Whether a mutation did nothing: the same types, shapes and bits."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, (str, bool, type(None))) or isinstance(b, (str, bool, type(None))):
        return type(a) is type(b) and a == b
    return not isinstance(b, (tuple, bytes)) and not isinstance(a, tuple) \
        and np.array_equal(np.asarray(a), np.asarray(b))


@each
def test_mutated_answers_never_pass(exercise):
    """Such as a sign, a factor, an axis, off by one. Those that change nothing do not count."""
    inputs = drawn(exercise)
    answers = [exercise.answer(*one) for one in inputs]
    refused = 0
    for mutate in mutations(answers[0]):
        mutants = [mutate(one) for one in answers]
        if all(alike(a, b) for a, b in zip(answers, mutants)):
            continue
        seen = [call(exercise.view, (one,)) for one in mutants]
        before = [exercise.view(one) for one in answers]
        if not any(isinstance(one, Raised) for one in seen) and \
                all(same(a, b, 1e-9) for a, b in zip(seen, before)):
            continue                    # such as a simplex that is turned: it is right
        assert any(map(judged, repeat(exercise), mutants, answers))
        refused += 1
    assert refused >= MUTANTS


# -- whatever else a learner may do

def test_the_error_is_that_of_the_input_that_is_shown():
    def forward(W, b, x):
        if W.size > 1:
            raise ValueError(f"W is {W.tolist()}")
        return find("forward").answer(W, b, x)

    verdict = examine(find("forward"), forward)
    assert "with W = [[0, 0]], " in verdict.said
    assert verdict.said.endswith(": W is [[0.0, 0.0]].")
    assert "W is [[0.0, 0.0]]" in verdict.traceback


@pytest.mark.parametrize("answer", [17.0, "right"])
def test_an_error_on_a_later_call_is_not_an_answer(answer):
    """The wrong answer is told that was given; nothing that Python raised is shown as a value."""
    calls = []

    def loss(x, output, importance):
        calls.append(x)
        if len(calls) > len(drawn(find("loss"))):
            raise KeyError("boom")
        return 17.0 if answer == 17.0 or len(calls) == 5 else find("loss").answer(
            x, output, importance)

    said = examine(find("loss"), loss).said
    assert said.startswith("Your answer is not right; yours is 17, expected is ")
    assert "boom" not in said and one_sentence(said)



class Hostile:
    def __array__(self, *_, **__):
        raise RuntimeError("no array today")

    def __repr__(self):
        raise ValueError("no repr either")


def recurse(*arguments):
    return recurse(*arguments)


def raising(error):
    def function(*arguments):
        raise error
    return function


RETURNS = [None, np.nan, np.inf, "text", "", b"bytes", object, {}, {"W": 1}, set(), [], (),
           [[1, 2], [3]], [None], [np.nan], 1j, 10**400, np.zeros((0, 3)), np.zeros((2, 3, 4, 5)),
           np.zeros(2 * 10**6), np.array(["a"]), np.array([None]), True, iter([1]), len, ...,
           np.datetime64("2020-01-01"), (None, None), ("a", "b"), (1.0, 2.0, 3.0, 4.0),
           np.ma.masked, range(3), type, -7.25]
ERRORS = [ValueError("bad"), KeyError("k"), ZeroDivisionError(), SystemExit(), SystemExit(3),
          KeyboardInterrupt(), MemoryError(), RuntimeError("many\nlines\nof text"), StopIteration(),
          AssertionError(), GeneratorExit(), Exception("x" * 10_000), NotImplementedError(),
          UnicodeDecodeError("utf-8", b"", 0, 1, "bad")]
SIGNATURES = [lambda: 1, lambda x: x if False else None, lambda *, key: key, 17, "text", None, int,
              lambda a, b, c, d, e, f, g: 0]


def assert_told_in_a_sentence(name, functions):
    for function in functions:
        verdict = examine(find(name), function)
        assert not verdict.solved and one_sentence(verdict.said), verdict
        assert len(verdict.said) < 1000


@pytest.mark.parametrize("name", ["loss", "moments", "phase_boundary", "gradient_check"])
def test_no_answer_is_a_crash(name):
    """A number, a tuple, a word and a truth are expected."""
    answers = [lambda *_, value=value: value for value in RETURNS]
    assert_told_in_a_sentence(name, [*answers, lambda *_: Hostile(), lambda *_: (yield)])


def test_no_error_and_no_signature_is_a_crash():
    """They are told before the answer is looked at, so that its kind does not matter."""
    assert_told_in_a_sentence("loss", [*map(raising, ERRORS), *SIGNATURES, recurse])


def test_arguments_are_copies():
    """A function that changes its arguments spoils nobody's answer."""
    def spoil(W, b, x):
        result = find("forward").answer(W, b, x)
        W[:], b[:], x[:] = 9, 9, 9
        return result
    assert examine(find("forward"), spoil).solved


def test_a_random_answer_is_a_sentence():
    rng = np.random.default_rng(0)
    verdict = examine(find("loss"), lambda x, output, importance: rng.random())
    assert not verdict.solved and one_sentence(verdict.said)


FILES = {
    "syntax": b"def loss(:\n", "indent": b"def loss(x):\nreturn 1\n", "empty": b"",
    "no function": b"x = 1\n", "not a function": b"loss = 3\n", "latin-1": b"# \xe9\xff\n",
    "null": b"x = 1\0\n", "import": b"import no_such_module\n", "raises": b"1 / 0\n",
    "exits": b"import sys\nsys.exit(0)\n", "not implemented": b"raise NotImplementedError\n",
    "long": b"#" * (10**6 + 1), "deep": b"(" * 5000 + b")" * 5000,
    "class": b"class loss:\n    pass\n", "await": b"await x\n", "return": b"return 1\n",
    "coroutine": b"async def loss(x, output, importance):\n    return 1.0\n",
    "tab": b"if 1:\n\tx = 1\n        y = 2\n", "interrupt": b"raise KeyboardInterrupt\n",
    "digits": b"x = " + b"9" * 5000 + b"\n", "check": b"check(__file__)\n",
    "deleted": b"def loss(): pass\ndel loss\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::SyntaxWarning")
def test_no_file_is_a_crash(tmp_path, name):
    path = tmp_path / "04_loss.py"
    path.write_bytes(FILES[name])
    function, verdict = child.load(find(4), path)
    verdict = verdict or examine(find(4), function)
    assert not verdict.solved and one_sentence(verdict.said)


def test_no_place_is_a_crash(tmp_path):
    (tmp_path / "04_loss.py").mkdir()
    for path in (tmp_path / "nothing.py", tmp_path, tmp_path / "04_loss.py", "\0", "x" * 5000):
        _, verdict = child.load(find(4), path)
        assert one_sentence(verdict.said)


def test_values_are_shown_in_one_line():
    for value in (np.zeros((50, 50)), "a\nb", [[1], [2, 3]], 1 / 3, True, 10**500, (1, "a")):
        assert "\n" not in show(value) and len(show(value)) <= 160
    assert show(np.array([[1.0, -0.5]])) == "[[1, -0.5]]" and show(1 / 3) == "0.333333"


def test_what_is_compared():
    assert trouble([1, 2], np.array([1.0, 2.0]), 1e-7) == ""
    assert trouble(np.float32(0.1), 0.1, 1e-7) == "" and trouble(0.1001, 0.1, 1e-7)
    assert trouble(1e-9, 0.0, 1e-7) == "is not right" and trouble(1e-12, 0.0, 1e-7) == ""
    assert "5 digits only" in trouble(3.25516e-4, 3.25521e-4, 1e-6)     # small, and no less right
    assert "shape" in trouble([1.0], 1.0, 1e-7) and "NaN" in trouble(np.nan, 1.0, 1e-7)


def test_exercises_are_found_by_any_of_their_names():
    for name in ("7", "07", "dimensionality", "07_dimensionality", "07_dimensionality.py",
                 "some/where/07_dimensionality.py", 7):
        assert find(name).name == "07_dimensionality"
    for name in ("", "0", "99", "-1", "dimension", "7.5", "no", "x" * 1000, "٧", "\0", None, 1e9):
        with pytest.raises(ValueError, match="there is no exercise"):
            find(name)
    with pytest.raises(ValueError, match="keep the name"):
        of_file("mine.py")


# -- in a process of its own

BODIES = {
    "loop": ("while True: pass", "still running"),
    "print": ("while True: print('a' * 1000)", "still running"),
    "exit": ("import os; os._exit(0)", "ended the program"),
    "memory": ("import numpy as np; return [np.empty(2**25) for _ in range(100)]", "memory"),
    "input": ("return float(input())", "EOFError"),
}


@pytest.mark.parametrize("name", BODIES)
def test_code_that_does_not_return(tmp_path, name):
    body, said = BODIES[name]
    path = tmp_path / "04_loss.py"
    path.write_text(f"def loss(x, output, importance):\n    {body}\n", encoding="utf-8")
    verdict = child.judge_file(find(4), path, seconds=1 if said == "still running" else 60)
    assert not verdict.solved and said in verdict.said and one_sentence(verdict.said)
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_passes_who_prints(tmp_path):
    path = tmp_path / "04_loss.py"
    path.write_text("print('hello')\ndef loss(x, output, importance):\n    print(x)\n"
                    "    return (importance * (x - output)**2).sum(1).mean()\n", encoding="utf-8")
    assert child.judge_file(find(4), path).solved


def test_a_file_is_found_from_any_folder(tmp_path, monkeypatch):
    path = tmp_path / "mine" / "04_loss.py"
    path.parent.mkdir()
    path.write_text("def loss(x, output, importance):\n"
                    "    return (importance * (x - output)**2).sum(1).mean()\n", encoding="utf-8")
    for folder in (tmp_path, path.parent):              # the process that checks begins elsewhere
        monkeypatch.chdir(folder)
        assert child.judge_file(find(4), path.relative_to(folder)).solved


PRINTING = "def loss(x, output, importance):\n    print('x', x)\n    {}\n"


@pytest.mark.parametrize("body, printed", [
    ("return 17.0", "x [[0.]]"), ("return 1 / 0", "x [[0.]]"), ("raise NotImplementedError", "x ["),
    ("[print(i) for i in range(100)]", "\n".join(map(str, range(88, 100)))),
    ("print('a\\x1b[2J\\ud800')", "x [[0.]]\na [2J")])
def test_what_was_printed_for_the_shown_input_is_kept(tmp_path, body, printed):
    path = tmp_path / "04_loss.py"
    path.write_text(PRINTING.format(body), encoding="utf-8")
    verdict = child.judge_file(find(4), path)
    assert not verdict.solved and verdict.printed.startswith(printed)
    assert len(verdict.printed) < 2000 and one_sentence(verdict.said)
