"""Every public function refuses what it cannot use, with a sentence that names the argument and
what is wrong with it.

`CALLS` is the table: (id, function without arguments, exception, words that its sentence must
contain). An id starts with the public name that it tests; a public name without a row is itself a
failure. `ACCEPTED` is the control: calls at the edge of what is allowed, which must go through, so
that no row passes because everything is refused.
"""

from dataclasses import is_dataclass
from fractions import Fraction

import numpy as np
import pytest

import toymodels_np as tm
from toymodels_np.geometry import measures, polytopes, tegum

MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)
RNG = np.random.default_rng(0)
THREE = tm.Features(3, 0.5)
PAIR = tm.Features(3, [[0.5], [0.2]])                       # two instances
MODEL = tm.ReluOutput.init(3, 2)
STACK = tm.ReluOutput.init(3, 2, 2)
X = np.ones((4, 3))
NAN, INF = np.nan, np.inf


def features(n=3, p=0.5, importance=1.0, **options):
    return lambda: tm.Features(n, p, importance, **options)


def sample(rng=RNG, batch_size=4, law=THREE, **options):
    return lambda: law.sample(rng, batch_size, **options)


def train(model=MODEL, law=THREE, **options):
    return lambda: tm.train(model, law, **{"steps": 2, "batch_size": 4} | options)


def check(model=MODEL, x=X, law=THREE, **options):
    return lambda: tm.check_gradient(model, x, law, **options)


def replaced(a, value):
    a = np.array(a, float)
    a.flat[0] = value
    return a


CALLS = [
    # -- Features: numbers of features, probabilities, importances
    ("Features: zero features", features(n=0), ValueError, ["n_features", "at least 1", "0"]),
    ("Features: a float for n", features(n=3.0), TypeError, ["n_features", "integer", "3.0"]),
    ("Features: True for n", features(n=True), TypeError, ["n_features", "integer", "True"]),
    ("Features: text for n", features(n="3"), TypeError, ["n_features", "integer", "'3'"]),
    ("Features: p = 0", features(p=0), ValueError, ["feature_probability", "(0, 1]", "0"]),
    ("Features: p > 1", features(p=1.5), ValueError, ["feature_probability", "(0, 1]", "1.5"]),
    ("Features: p < 0", features(p=[0.5, -0.25, 1]), ValueError,
     ["feature_probability", "(0, 1]", "-0.25"]),
    ("Features: p just above 1", features(p=np.nextafter(1, 2)), ValueError,
     ["feature_probability", "(0, 1]"]),
    ("Features: p NaN", features(p=NAN), ValueError, ["feature_probability", "finite"]),
    ("Features: p True", features(p=True), TypeError,
     ["feature_probability", "real numbers", "bool"]),
    ("Features: p None", features(p=None), TypeError, ["feature_probability", "1 - S"]),
    ("Features: p text", features(p="0.5"), TypeError, ["feature_probability", "real numbers"]),
    ("Features: p complex", features(p=0.5j), TypeError,
     ["feature_probability", "real numbers", "complex"]),
    ("Features: p empty", features(p=[]), ValueError, ["feature_probability", "empty"]),
    ("Features: p ragged", features(p=[[0.5], [0.5, 0.2]]), TypeError,
     ["feature_probability", "real numbers"]),
    ("Features: p of the wrong length", features(p=[0.5, 0.5]), ValueError,
     ["feature_probability", "(3,)", "(2,)"]),
    ("Features: p of a wrong shape", features(p=np.full((2, 2), 0.5)), ValueError,
     ["feature_probability", "(2, 2)"]),
    ("Features: p with three axes", features(p=np.full((1, 1, 3), 0.5)), ValueError,
     ["feature_probability", "(1, 1, 3)"]),
    ("Features: negative importance", features(importance=[1, -0.5, 1]), ValueError,
     ["importance", "negative", "-0.5"]),
    ("Features: importance NaN", features(importance=[1, NAN, 1]), ValueError,
     ["importance", "finite"]),
    ("Features: importance infinite", features(importance=INF), ValueError,
     ["importance", "finite"]),
    ("Features: importance text", features(importance="high"), TypeError,
     ["importance", "real numbers"]),
    ("Features: importance of the wrong length", features(importance=[1, 1]), ValueError,
     ["importance", "(3,)", "(2,)"]),
    ("Features: two numbers of instances", features(p=[[0.5]] * 2, importance=[[1]] * 3),
     ValueError,
     ["feature_probability", "importance", "instances", "(2, 1)", "(3, 1)"]),
    ("Features: signed as a number", features(signed=1), TypeError,
     ["signed", "True or False", "1"]),
    # -- Features: sets
    ("Features: a flat set", features(correlated=(0, 1)), TypeError,
     ["correlated", "sequence of sets", "(0, 1)"]),
    ("Features: None for sets", features(anticorrelated=None), TypeError,
     ["anticorrelated", "sequence of sets", "None"]),
    ("Features: index out of range", features(correlated=[(0, 3)]), ValueError,
     ["correlated", "3", "0 to 2"]),
    ("Features: negative index", features(anticorrelated=[(0, -1)]), ValueError,
     ["anticorrelated", "at least 0", "-1"]),
    ("Features: a float as index", features(correlated=[(0, 1.0)]), TypeError,
     ["correlated", "integer", "1.0"]),
    ("Features: True as index", features(correlated=[(0, True)]), TypeError,
     ["correlated", "integer", "True"]),
    ("Features: text as a set", features(correlated="01"), TypeError,
     ["correlated", "integer", "'0'"]),
    ("Features: a set of one", features(correlated=[(1,)]), ValueError,
     ["correlated", "at least two", "(1,)"]),
    ("Features: an empty set", features(anticorrelated=[()]), ValueError,
     ["anticorrelated", "at least two", "()"]),
    ("Features: twice in a set", features(correlated=[(1, 1)]), ValueError,
     ["correlated", "once", "[1]"]),
    ("Features: overlapping sets", features(correlated=[(0, 1), (1, 2)]), ValueError,
     ["correlated", "once", "[1]"]),
    ("Features: in both kinds of set", features(correlated=[(0, 1)], anticorrelated=[(2, 0)]),
     ValueError,
     ["correlated", "anticorrelated", "once", "[0]"]),
    ("Features: members that differ in p", features(p=[0.5, 0.25, 0.5], correlated=[(0, 1)]),
     ValueError,
     ["(0, 1)", "feature_probability", "0.25", "0.5"]),
    ("Features: index without instances", lambda: THREE[0], TypeError, ["no instance axis"]),
    ("Features: index past the instances", lambda: PAIR[0, 1], TypeError,
     ["index", "integer or a slice", "(0, 1)"]),
    ("Features: index True", lambda: PAIR[True], TypeError,
     ["index", "integer or a slice", "True"]),
    # -- Features.sample
    ("Features.sample: no rows", sample(batch_size=0), ValueError,
     ["batch_size", "at least 1", "0"]),
    ("Features.sample: a float of rows", sample(batch_size=4.0), TypeError,
     ["batch_size", "integer", "4.0"]),
    ("Features.sample: True rows", sample(batch_size=True), TypeError,
     ["batch_size", "integer", "True"]),
    ("Features.sample: a seed for a generator", sample(rng=0), TypeError,
     ["rng", "Generator", "0"]),
    ("Features.sample: the old generator", sample(rng=np.random.RandomState(0)), TypeError,
     ["rng", "Generator", "MT19937"]),
    ("Features.sample: no generators", sample(rng=[]), TypeError, ["rng", "Generator", "[]"]),
    ("Features.sample: a seed in the list", sample(rng=[RNG, 1]), TypeError,
     ["rng", "Generator", "1"]),
    ("Features.sample: too few generators", sample(rng=[RNG], law=PAIR), ValueError,
     ["rng", "2 instances", "1"]),
    ("Features.sample: integer dtype", sample(dtype=int), ValueError,
     ["dtype", "float32 or float64", "int"]),
    ("Features.sample: unknown dtype", sample(dtype="real"), ValueError,
     ["dtype", "float32 or float64", "'real'"]),
    # -- check_gradient
    ("check_gradient: an array for the model", check(model=MODEL.W), TypeError,
     ["model", "ReluOutput", "array"]),
    ("check_gradient: None for features", check(law=None), TypeError,
     ["features", "must be Features", "None"]),
    ("check_gradient: other features", check(law=tm.Features(4, 0.5)), ValueError,
     ["features", "4", "3"]),
    ("check_gradient: boolean x", check(x=X > 0), TypeError, ["x", "real numbers", "bool"]),
    ("check_gradient: complex x", check(x=1j * X), TypeError, ["x", "real numbers", "complex"]),
    ("check_gradient: x NaN", check(x=replaced(X, NAN)), ValueError, ["x", "finite"]),
    ("check_gradient: x of the wrong width", check(x=np.ones((4, 2))), ValueError,
     ["x", "(..., B, 3)", "(4, 2)"]),
    ("check_gradient: negative seed", check(seed=-1), ValueError, ["seed", "at least 0", "-1"]),
    ("check_gradient: a float for the seed", check(seed=0.5), TypeError,
     ["seed", "integer", "0.5"]),
    # -- train
    ("train: an array for the model", train(model=MODEL.W), TypeError,
     ["model", "ReluOutput", "array"]),
    ("train: the class for a model", train(model=tm.Linear), TypeError,
     ["model", "Linear", "class"]),
    ("train: a number for features", train(law=0.5), TypeError,
     ["features", "must be Features", "0.5"]),
    ("train: other features", train(law=tm.Features(4, 0.5)), ValueError, ["features", "4", "3"]),
    ("train: two instance axes", train(model=tm.Linear(np.ones((2, 2, 2, 3)), np.ones((2, 2, 3)))),
     ValueError,
     ["model", "one instance axis", "(2, 2)"]),
    ("train: other instances", train(model=tm.ReluOutput.init(3, 2, 5), law=PAIR), ValueError,
     ["features", "2", "(5,)"]),
    ("train: instances of features alone", train(law=PAIR), ValueError,
     ["features", "2 instances", "()"]),
    ("train: zero steps", train(steps=0), ValueError, ["steps", "at least 1", "0"]),
    ("train: a float of steps", train(steps=1e3), TypeError, ["steps", "integer", "1000.0"]),
    ("train: True steps", train(steps=True), TypeError, ["steps", "integer", "True"]),
    ("train: no rows", train(batch_size=0), ValueError, ["batch_size", "at least 1", "0"]),
    ("train: a float of rows", train(batch_size=2.5), TypeError, ["batch_size", "integer", "2.5"]),
    ("train: never record", train(record_every=0), ValueError, ["record_every", "at least 1", "0"]),
    ("train: record less often than NumPy counts", train(record_every=2**63), ValueError,
     ["record_every", "at most 9223372036854775807", str(2**63)]),
    ("train: more steps than NumPy counts", train(steps=2**63, record_every=2**62), ValueError,
     ["steps must be at most 9223372036854775807", str(2**63)]),
    ("train: None for record_every", train(record_every=None), TypeError,
     ["record_every", "integer", "None"]),
    ("train: learning rate 0", train(learning_rate=0), ValueError,
     ["learning_rate", "above 0", "0"]),
    ("train: negative learning rate", train(learning_rate=-1e-3), ValueError,
     ["learning_rate", "above 0", "-0.001"]),
    ("train: learning rate NaN", train(learning_rate=NAN), ValueError,
     ["learning_rate", "finite", "nan"]),
    ("train: learning rate infinite", train(learning_rate=INF), ValueError,
     ["learning_rate", "finite", "inf"]),
    ("train: learning rate text", train(learning_rate="1e-3"), TypeError,
     ["learning_rate", "real number", "'1e-3'"]),
    ("train: learning rate True", train(learning_rate=True), TypeError,
     ["learning_rate", "real number", "True"]),
    ("train: negative decay", train(weight_decay=-0.01), ValueError,
     ["weight_decay", "at least 0", "-0.01"]),
    ("train: decay that takes all away", train(weight_decay=1e4, learning_rate=1e-3), ValueError,
     ["weight_decay", "1 / learning_rate = 1000", "10000"]),
    ("train: decay NaN", train(weight_decay=NAN), ValueError, ["weight_decay", "finite", "nan"]),
    ("train: decay None", train(weight_decay=None), TypeError,
     ["weight_decay", "real number", "None"]),
    ("train: unknown schedule", train(schedule="step"), ValueError,
     ["schedule", "'constant'", "'linear'", "'cosine'", "'step'"]),
    ("train: unknown backend", train(backend="torch"), ValueError,
     ["backend", "'numpy'", "'cupy'", "'torch'"]),
    ("train: a module for the backend", train(backend=np), ValueError,
     ["backend", "'numpy'", "'cupy'", "module"]),
    ("train: True for the backend", train(backend=True), ValueError, ["backend", "'cupy'", "True"]),
    ("train: a number for the schedule", train(schedule=0.5), ValueError,
     ["schedule", "'cosine'", "0.5"]),
    ("train: negative seed", train(seed=-1), ValueError, ["seed", "at least 0", "-1"]),
    ("train: no seed", train(seed=None), TypeError, ["seed", "integer", "None"]),
    ("train: a generator for the seed", train(seed=RNG), TypeError,
     ["seed", "integer", "Generator"]),
    ("train: text for progress", train(progress="yes"), TypeError,
     ["progress", "True, False or None", "'yes'"]),
    ("train: 1 for progress", train(progress=1), TypeError,
     ["progress", "True, False or None", "1"]),
]

for cls in MODELS:
    name, (first, *_) = cls.__name__, cls.parameter_shapes
    good = dict(zip(cls.parameter_shapes, cls.init(3, 2).parameters))
    model = cls(**good)

    def build(cls=cls, good=good, **wrong):
        return lambda: cls(**good | wrong)

    CALLS += [
        # -- the four models: from arrays, from random numbers
        (f"{name}: no parameters", cls, TypeError, [name, first, "b"]),
        (f"{name}: one too many", build(c=np.ones(3)), TypeError, [name, first, "'c'"]),
        (f"{name}: twice the same", lambda cls=cls, a=good[first]: cls(a, **{first: a}), TypeError,
         [name, first]),
        (f"{name}: weights with one axis", build(**{first: np.ones(3)}), ValueError,
         [first, "at least 2 axes", "(3,)"]),
        (f"{name}: weights NaN", build(**{first: replaced(good[first], NAN)}), ValueError,
         [first, "finite"]),
        (f"{name}: weights complex", build(**{first: 1j * good[first]}), TypeError,
         [first, "real numbers", "complex"]),
        (f"{name}: weights boolean", build(**{first: good[first] > 0}), TypeError,
         [first, "real numbers", "bool"]),
        (f"{name}: weights None", build(**{first: None}), TypeError, [first, "real numbers"]),
        (f"{name}: weights empty", build(**{first: np.ones((0, 3))}), ValueError,
         [first, "empty", "(0, 3)"]),
        (f"{name}: half precision", lambda cls=cls,
         a=tuple(good.values()): cls(*(b.astype(np.float16) for b in a)),
         ValueError, ["dtype", "float32 or float64", "float16"]),
        (f"{name}: bias infinite", build(b=replaced(good["b"], INF)), ValueError, ["b", "finite"]),
        (f"{name}: bias a number", build(b=0.0), ValueError, ["b", "at least 1 axes", "()"]),
        (f"{name}: bias too short", build(b=np.zeros(2)), ValueError, ["b", "(3,)", "(2,)"]),
        (f"{name}: bias of more instances", build(b=np.zeros((4, 3))), ValueError,
         ["b", "(3,)", "(4, 3)"]),
        (f"{name}.init: no features", lambda cls=cls: cls.init(0, 2), ValueError,
         ["n_features", "at least 1", "0"]),
        (f"{name}.init: a float", lambda cls=cls: cls.init(3, 2.0), TypeError,
         ["n_hidden", "integer", "2.0"]),
        (f"{name}.init: True", lambda cls=cls: cls.init(True, 2), TypeError,
         ["n_features", "integer", "True"]),
        (f"{name}.init: negative", lambda cls=cls: cls.init(3, -2), ValueError,
         ["n_hidden", "at least 1", "-2"]),
        (f"{name}.init: no instances", lambda cls=cls: cls.init(3, 2, 0), ValueError,
         ["n_instances", "at least 1", "0"]),
        (f"{name}.init: a shape", lambda cls=cls: cls.init(3, 2, (2, 2)), TypeError,
         ["n_instances", "integer", "(2, 2)"]),
        (f"{name}.init: negative seed", lambda cls=cls: cls.init(3, 2, seed=-1), ValueError,
         ["seed", "at least 0", "-1"]),
        (f"{name}.init: text seed", lambda cls=cls: cls.init(3, 2, seed="0"), TypeError,
         ["seed", "integer", "'0'"]),
        (f"{name}.init: dtype", lambda cls=cls: cls.init(3, 2, dtype=int), ValueError,
         ["dtype", "float32 or float64", "int"]),
        (f"{name}.astype: integers", lambda m=model: m.astype(int), ValueError,
         ["dtype", "float32 or float64", "int"]),
        # -- the three passes
        (f"{name}.forward: one axis", lambda m=model: m.forward(X[0]), ValueError,
         ["x", "at least 2 axes", "(3,)"]),
        (f"{name}.forward: width", lambda m=model: m.forward(X.T), ValueError,
         ["x", "(..., B, 3)", "(3, 4)"]),
        (f"{name}.forward: no rows", lambda m=model: m.forward(X[:0]), ValueError,
         ["x", "empty", "(0, 3)"]),
        (f"{name}.forward: infinite", lambda m=model: m.forward(replaced(X, -INF)), ValueError,
         ["x", "finite"]),
        (f"{name}.forward: text", lambda m=model: m.forward("x"), TypeError, ["x", "real numbers"]),
        (f"{name}.forward: instances",
         lambda cls=cls: cls.init(3, 2, 2).forward(np.ones((5, 4, 3))), ValueError,
         ["instances", "model", "x", "(2,)", "(5,)"]),
        (f"{name}.loss: no features", lambda m=model: m.loss(X, None), TypeError,
         ["features", "must be Features", "None"]),
        (f"{name}.loss: other features", lambda m=model: m.loss(X, tm.Features(4, 0.5)), ValueError,
         ["features", "4", "3"]),
        (f"{name}.loss: width", lambda m=model: m.loss(X.T, THREE), ValueError,
         ["x", "(..., B, 3)", "(3, 4)"]),
        (f"{name}.loss: instances", lambda cls=cls: cls.init(3, 2, 5).loss(X, PAIR), ValueError,
         ["instances", "model", "features", "(5,)", "(2,)"]),
        (f"{name}.loss_and_grad: NaN", lambda m=model: m.loss_and_grad(replaced(X, NAN), THREE),
         ValueError,
         ["x", "finite"]),
        (f"{name}.loss_and_grad: a number", lambda m=model: m.loss_and_grad(X, 0.5), TypeError,
         ["features", "must be Features", "0.5"]),
        (f"{name}.loss_and_grad: other features",
         lambda m=model: m.loss_and_grad(X, tm.Features(2, 0.5)), ValueError,
         ["features", "2", "3"]),
    ]

CALLS += [
    ("AbsoluteValue: W2 like W1",
     lambda: tm.AbsoluteValue(np.ones((2, 3)), np.ones((2, 3)), np.ones(3)), ValueError,
     ["W2", "(3, 2)", "(2, 3)"]),
    ("AbsoluteValue: W2 NaN",
     lambda: tm.AbsoluteValue(np.ones((2, 3)), np.full((3, 2), NAN), np.ones(3)), ValueError,
     ["W2", "finite"]),
]

# -- geometry: every function of W alone, and the two that take a reference

OF_W = {name: getattr(tm, name)
        for name in ("gram", "norms", "interference", "feature_dimensionality",
                     "leverage_scores", "dimensions_per_feature", "factors", "name_geometry",
                     "align")}
for name, function in OF_W.items():
    CALLS += [
        (f"{name}: one axis", lambda f=function: f(np.ones(3)), ValueError,
         ["W", "2 axes", "(3,)"]),
        (f"{name}: NaN", lambda f=function: f([[1.0, NAN]]), ValueError, ["W", "finite"]),
        (f"{name}: text", lambda f=function: f("W"), TypeError, ["W", "real numbers"]),
        (f"{name}: complex", lambda f=function: f(np.ones((2, 3)) * 1j), TypeError,
         ["W", "real numbers", "complex"]),
        (f"{name}: empty", lambda f=function: f(np.ones((0, 3))), ValueError,
         ["W", "empty", "(0, 3)"]),
    ]
for name, function in {"align": tm.align, "distance": tm.distance}.items():
    CALLS += [
        (f"{name}: another shape", lambda f=function: f(np.ones((2, 3)), np.ones((3, 2))),
         ValueError,
         ["reference", "(2, 3)", "(3, 2)"]),
        (f"{name}: a stack of references",
         lambda f=function: f(np.ones((2, 3)), np.ones((4, 2, 3))), ValueError,
         ["reference", "2 axes", "(4, 2, 3)"]),
        (f"{name}: reference NaN", lambda f=function: f(np.ones((1, 2)), [[1.0, NAN]]), ValueError,
         ["reference", "finite"]),
    ]
CALLS += [
    ("extra_phase: a stack", lambda: tm.extra_phase(np.ones((2, 2, 3))), ValueError,
     ("W", "(2, 2, 3)")),
    ("name_geometry: a stack", lambda: tm.name_geometry(np.ones((2, 2, 3))), ValueError,
     ["W", "2 axes", "(2, 2, 3)"]),
    ("distance: W with one axis", lambda: tm.distance(np.ones(3), np.ones((1, 3))), ValueError,
     ["W", "2 axes", "(3,)"]),
]

# -- theory: closed forms

CALLS += [
    ("energies.dropped: p = 0", lambda: tm.energies.dropped(0), ValueError,
     ["p", "above 0", "at most 1", "0"]),
    ("energies.dropped: p an array", lambda: tm.energies.dropped([0.5]), TypeError,
     ["p", "real number", "[0.5]"]),
    ("energies.dropped: importance", lambda: tm.energies.dropped(0.5, -1), ValueError,
     ["importance", "at least 0", "-1"]),
    ("energies.antipodal: p > 1", lambda: tm.energies.antipodal(1.1), ValueError,
     ["p", "at most 1", "1.1"]),
    ("energies.antipodal: three importances", lambda: tm.energies.antipodal(0.5, (1, 1, 1)),
     ValueError,
     ["importance", "two", "[1.0, 1.0, 1.0]"]),
    ("energies.polygon: k = 1", lambda: tm.energies.polygon(1, 0.5), ValueError,
     ["k", "at least 2", "1"]),
    ("energies.polygon: p NaN", lambda: tm.energies.polygon(5, NAN), ValueError,
     ["p", "finite", "nan"]),
    ("energies.simplex: a float for k", lambda: tm.energies.simplex(2.0, 0.5), TypeError,
     ["k", "integer", "2.0"]),
    ("energies.digons: none", lambda: tm.energies.digons(0, 0.5), ValueError,
     ["count", "at least 1", "0"]),
    ("energies.digons: dropped", lambda: tm.energies.digons(2, 0.5, dropped=-1), ValueError,
     ["dropped", "at least 0", "-1"]),
]

for name, function in {f.__name__: f
                       for f in (tm.energies.enumerated_loss, tm.energies.local_minimum)}.items():
    def enumerated(W=np.ones((2, 3)), b=np.zeros(3), *law, f=function):
        return lambda: f(W, b, *(law or (0.5,)))

    CALLS += [
        (f"energies.{name}: W with one axis", enumerated(np.ones(3)), ValueError,
         ["W", "2 axes", "(3,)"]),
        (f"energies.{name}: W NaN", enumerated(np.full((2, 3), NAN)), ValueError, ["W", "finite"]),
        (f"energies.{name}: W complex", enumerated(np.ones((2, 3)) * 1j), TypeError,
         ["W", "real numbers", "complex"]),
        (f"energies.{name}: W ragged", enumerated([[1, 2], [3]], np.zeros(2)), TypeError,
         ["W", "real numbers"]),
        (f"energies.{name}: b too short", enumerated(b=np.zeros(2)), ValueError,
         ["b", "(3,)", "(2,)"]),
        (f"energies.{name}: b a number", enumerated(b=0.0), ValueError, ["b", "1 ax", "()"]),
        (f"energies.{name}: b infinite", enumerated(b=[0, INF, 0]), ValueError, ["b", "finite"]),
        (f"energies.{name}: nine features", enumerated(np.ones((2, 9)), np.zeros(9)), ValueError,
         ["at most 8", "9", "tm.expected_loss"]),
        (f"energies.{name}: p = 0", enumerated(np.ones((2, 3)), np.zeros(3), 0), ValueError,
         ["feature_probability", "(0, 1]", "0.0"]),
        (f"energies.{name}: p of the wrong length",
         enumerated(np.ones((2, 3)), np.zeros(3), [0.5, 0.5]), ValueError,
         ["feature_probability", "(3,)", "(2,)"]),
        (f"energies.{name}: one p > 1", enumerated(np.ones((2, 3)), np.zeros(3), [0.5, 0.5, 1.5]),
         ValueError,
         ["feature_probability", "(0, 1]", "1.5"]),
        (f"energies.{name}: p text", enumerated(np.ones((2, 3)), np.zeros(3), "0.5"), TypeError,
         ["feature_probability", "real numbers"]),
        (f"energies.{name}: p True", enumerated(np.ones((2, 3)), np.zeros(3), True), TypeError,
         ["feature_probability", "real numbers", "bool"]),
        (f"energies.{name}: negative importance",
         enumerated(np.ones((2, 3)), np.zeros(3), 0.5, [1, -0.5, 1]),
         ValueError, ["importance", "negative", "-0.5"]),
        (f"energies.{name}: importance NaN", enumerated(np.ones((2, 3)), np.zeros(3), 0.5, NAN),
         ValueError,
         ["importance", "finite"]),
        (f"energies.{name}: importance of a wrong shape",
         enumerated(np.ones((2, 3)), np.zeros(3), 0.5, np.ones((1, 3))), ValueError,
         ["importance", "(3,)", "(1, 3)"]),
    ]

CALLS += [
    ("energies.enumerated_loss: b of no instance",
     lambda: tm.energies.enumerated_loss(np.ones((4, 2, 3)), np.zeros(3), 0.5),
     ValueError, ["b", "(4, 3)", "(3,)"]),
    ("energies.local_minimum: a stack",
     lambda: tm.energies.local_minimum(np.ones((4, 2, 3)), np.zeros((4, 3)), 0.5),
     ValueError, ["W", "2 axes", "(4, 2, 3)"]),
    ("energies.deformed_polygon: a digon", lambda: tm.energies.deformed_polygon(2, 0.5), ValueError,
     ["k", "at least 3", "2"]),
    ("energies.deformed_polygon: k = 9", lambda: tm.energies.deformed_polygon(9, 0.5), ValueError,
     ["k", "at most 8", "9"]),
    ("energies.deformed_polygon: a float", lambda: tm.energies.deformed_polygon(5.0, 0.5),
     TypeError,
     ["k", "integer", "5.0"]),
    ("energies.deformed_polygon: four p", lambda: tm.energies.deformed_polygon(5, [0.5] * 4),
     ValueError,
     ["feature_probability", "(5,)", "(4,)"]),
    ("energies.deformed_polygon: importance",
     lambda: tm.energies.deformed_polygon(3, 0.5, [1, 1, -1]), ValueError,
     ["importance", "negative", "-1"]),
    ("energies.polygon: k = 9", lambda: tm.energies.polygon(9, 0.5), ValueError,
     ["k", "at most 8", "9"]),
    ("energies.polygon: True", lambda: tm.energies.polygon(True, 0.5), TypeError,
     ["k", "integer", "True"]),
    ("energies.polygon: p text", lambda: tm.energies.polygon(5, "0.5"), TypeError,
     ["p", "real number", "'0.5'"]),
    ("energies.simplex: k = 8", lambda: tm.energies.simplex(8, 0.5), ValueError,
     ["k", "at most 7", "8"]),
    ("energies.simplex: k = 0", lambda: tm.energies.simplex(0, 0.5), ValueError,
     ["k", "at least 1", "0"]),
    ("energies.simplex: p just above 1", lambda: tm.energies.simplex(2, 1.0000001), ValueError,
     ["p", "at most 1", "1.0000001"]),
    ("energies.antipodal: one importance", lambda: tm.energies.antipodal(0.5, (1,)), ValueError,
     ["importance", "two", "[1.0]"]),
    ("energies.antipodal: a number", lambda: tm.energies.antipodal(0.5, 1.0), ValueError,
     ["importance", "1 axis", "()"]),
    ("energies.antipodal: negative", lambda: tm.energies.antipodal(0.5, (1, -1)), ValueError,
     ["importance", "not negative", "-1.0"]),
    ("energies.antipodal: nothing matters", lambda: tm.energies.antipodal(0.5, (0, 0)), ValueError,
     ["importance", "not both 0", "[0.0, 0.0]"]),
    ("energies.antipodal: NaN", lambda: tm.energies.antipodal(0.5, (1, NAN)), ValueError,
     ["importance", "finite"]),
    ("energies.digons: a float", lambda: tm.energies.digons(2.0, 0.5), TypeError,
     ["count", "integer", "2.0"]),
    ("energies.digons: negative p", lambda: tm.energies.digons(2, -0.5), ValueError,
     ["p", "above 0", "-0.5"]),
    ("energies.digons: half a feature", lambda: tm.energies.digons(2, 0.5, dropped=0.5), TypeError,
     ["dropped", "integer", "0.5"]),
    ("energies.digons: dropped p = 0",
     lambda: tm.energies.digons(2, 0.5, dropped=1, dropped_probability=0), ValueError,
     ["dropped_probability", "above 0", "0"]),
    ("energies.digons: dropped importance",
     lambda: tm.energies.digons(2, 0.5, dropped_importance=-1), ValueError,
     ["dropped_importance", "at least 0", "-1"]),
    ("energies.dropped: True", lambda: tm.energies.dropped(True), TypeError,
     ["p", "real number", "True"]),
    ("energies.dropped: importance NaN", lambda: tm.energies.dropped(0.5, NAN), ValueError,
     ["importance", "finite", "nan"]),
    ("energies.dropped: importance None", lambda: tm.energies.dropped(0.5, None), TypeError,
     ["importance", "real number", "None"]),
]

# -- geometry: what is not a public name of the package, but of its modules

CALLS += [
    ("polytopes.polygon: k = 1", lambda: polytopes.polygon(1), ValueError,
     ["k", "at least 2", "1"]),
    ("polytopes.polygon: a float", lambda: polytopes.polygon(5.0), TypeError,
     ["k", "integer", "5.0"]),
    ("polytopes.simplex: k = 0", lambda: polytopes.simplex(0), ValueError,
     ["k", "at least 1", "0"]),
    ("polytopes.simplex: text", lambda: polytopes.simplex("3"), TypeError, ["k", "integer", "'3'"]),
    ("polytopes.cross_polytope: k = 0", lambda: polytopes.cross_polytope(0), ValueError,
     ["k", "at least 1", "0"]),
    ("polytopes.bipyramid: k = 1", lambda: polytopes.bipyramid(1), ValueError,
     ["k", "at least 2", "1"]),
    ("polytopes.prism: k = 2", lambda: polytopes.prism(2), ValueError, ["k", "at least 3", "2"]),
    ("polytopes.prism: height 0", lambda: polytopes.prism(3, 0), ValueError,
     ["height", "above 0", "0"]),
    ("polytopes.prism: height 1", lambda: polytopes.prism(3, 1), ValueError,
     ["height", "below 1", "1"]),
    ("polytopes.antiprism: text", lambda: polytopes.antiprism(4, "high"), TypeError,
     ["height", "real number", "'high'"]),
    ("polytopes.antiprism: height NaN", lambda: polytopes.antiprism(4, NAN), ValueError,
     ["height", "finite", "nan"]),
    ("polytopes.tegum_product: nothing", lambda: polytopes.tegum_product(), ValueError,
     ["at least one factor"]),
    ("polytopes.tegum_product: one axis", lambda: polytopes.tegum_product(np.eye(2), [1, 2]),
     ValueError,
     ["factor 1", "2 axes", "(2,)"]),
    ("polytopes.tegum_product: dropped", lambda: polytopes.tegum_product(np.eye(2), dropped=-1),
     ValueError,
     ["dropped", "at least 0", "-1"]),
    ("polytopes.merged: times 0", lambda: polytopes.merged(np.eye(2), 0), ValueError,
     ["times", "at least 1", "0"]),
    ("polytopes.merged: a stack", lambda: polytopes.merged(np.ones((2, 2, 2)), 2), ValueError,
     ["W", "2 axes", "(2, 2, 2)"]),
    ("polytopes.dimensions: one axis", lambda: polytopes.dimensions(np.ones(3)), ValueError,
     ["W", "2 axes", "(3,)"]),
    ("polytopes.recognise: one axis", lambda: polytopes.recognise(np.ones(3)), ValueError,
     ["W", "2 axes", "(3,)"]),
    ("polytopes.recognise: a stack", lambda: polytopes.recognise(np.ones((2, 2, 2))), ValueError,
     ["W", "2 axes", "(2, 2, 2)"]),
    ("polytopes.recognise: NaN", lambda: polytopes.recognise([[NAN]]), ValueError, ["W", "finite"]),
    ("tegum.factors: one axis", lambda: tegum.factors(np.ones(3)), ValueError,
     ["W", "2 axes", "(3,)"]),
    ("tegum.factors: a stack", lambda: tegum.factors(np.ones((2, 2, 3))), ValueError,
     ["W", "2 axes", "(2, 2, 3)"]),
    ("measures.cosines: one axis", lambda: measures.cosines(np.ones(3)), ValueError,
     ["W", "2 axes", "(3,)"]),
    ("measures.cosines: text", lambda: measures.cosines("W"), TypeError, ["W", "real numbers"]),
    ("align: reference text", lambda: tm.align(np.ones((2, 3)), "W"), TypeError,
     ["reference", "real numbers"]),
    ("align: reference with one axis", lambda: tm.align(np.ones((2, 3)), np.ones(3)), ValueError,
     ["reference", "2 axes", "(3,)"]),
    ("align: text for relabel", lambda: tm.align(np.ones((2, 3)), relabel="no"), TypeError,
     ["relabel", "True or False", "'no'"]),
    ("distance: no reference", lambda: tm.distance(np.ones((2, 3)), None), TypeError,
     ["reference", "real numbers"]),
    ("distance: 2 for relabel", lambda: tm.distance(np.ones((2, 3)), np.ones((2, 3)), relabel=2),
     TypeError,
     ["relabel", "True or False", "2"]),
]

# -- theory: the exact loss and its minima

for name, function in {f.__name__: f
                       for f in (tm.expected_loss, tm.expected_loss_and_grad)}.items():
    CALLS += [
        (f"{name}: an array for the model", lambda f=function: f(MODEL.W, THREE), TypeError,
         ["model", "ReluOutput"]),
        (f"{name}: no features", lambda f=function: f(MODEL, None), TypeError,
         ["features", "must be Features", "None"]),
        (f"{name}: other features", lambda f=function: f(MODEL, tm.Features(4, 0.5)), ValueError,
         ["features", "4", "3"]),
        (f"{name}: no error allowed", lambda f=function: f(MODEL, THREE, rtol=0), ValueError,
         ["rtol", "above 0", "0"]),
        (f"{name}: rtol text", lambda f=function: f(MODEL, THREE, rtol="x"), TypeError,
         ["rtol", "real number", "'x'"]),
        (f"{name}: a ReLU in the way", lambda f=function: f(tm.ReluHidden.init(3, 2), THREE),
         TypeError,
         ["Linear, ReluOutput", "ReluHidden", "tm.estimate_loss"]),
    ]
CALLS += [
    ("find_minimum: no features", lambda: tm.find_minimum(None, 2), TypeError,
     ["features", "must be Features", "None"]),
    ("find_minimum: instances", lambda: tm.find_minimum(PAIR, 2), ValueError,
     ["features", "instance axis", "2"]),
    ("find_minimum: a float", lambda: tm.find_minimum(THREE, 2.0), TypeError,
     ["n_hidden", "integer", "2.0"]),
    ("find_minimum: no starts", lambda: tm.find_minimum(THREE, 2, starts=0), ValueError,
     ["starts", "at least 1", "0"]),
    ("find_minimum: seed", lambda: tm.find_minimum(THREE, 2, seed=-1), ValueError,
     ["seed", "at least 0", "-1"]),
    ("find_minimum: a model", lambda: tm.find_minimum(THREE, 2, model=MODEL), TypeError,
     ["model", "ReluOutput"]),
    ("find_minimum: initial", lambda: tm.find_minimum(THREE, 2, initial=3), ValueError,
     ["initial", "ReluOutput", "3"]),
    ("find_minimum: initial of another size", lambda: tm.find_minimum(THREE, 1, initial=MODEL),
     ValueError,
     ["initial", "n_features=3 and n_hidden=1", "n_hidden=2"]),
    ("find_minimum: initial of another class",
     lambda: tm.find_minimum(THREE, 2, initial=tm.Linear.init(3, 2)),
     ValueError, ["initial", "must be a ReluOutput", "got Linear"]),
    ("find_minimum: a ReLU in the way", lambda: tm.find_minimum(THREE, 2, model=tm.ReluHidden),
     TypeError,
     ["model", "ReluOutput or Linear", "ReluHidden"]),
    ("find_minimum: importance too large", lambda: tm.find_minimum(tm.Features(3, 0.1, 1e300), 2),
     ValueError, ["largest importance", "1e-100 to 1e+100", "1e+300"]),
    ("find_minimum: a penalty beyond the importances", lambda: tm.find_minimum(
        tm.Features(3, 0.1, 1e-90), 2, interference=1e20), ValueError,
     ["interference", "1e+100 times the largest importance", "1e-90", "1e+20"]),
    ("find_minimum: features that are never on", lambda: tm.find_minimum(tm.Features(3, 1e-9), 2),
     ValueError, ["feature_probability", "at least 1e-06", "1e-09"]),
    ("polish: a ReLU in the way", lambda: tm.polish(tm.ReluHidden.init(3, 2), THREE), TypeError,
     ["model must be a ReluOutput or a Linear", "ReluHidden("]),
    ("find_minimum: no dimensions", lambda: tm.find_minimum(THREE, 0), ValueError,
     ["n_hidden", "at least 1", "0"]),
    ("estimate_loss: an array for the model", lambda: tm.estimate_loss(MODEL.W, THREE), TypeError,
     ["model", "ReluOutput", "array"]),
    ("estimate_loss: no features", lambda: tm.estimate_loss(MODEL, 3), TypeError,
     ["features", "must be Features", "3"]),
    ("estimate_loss: other features", lambda: tm.estimate_loss(MODEL, tm.Features(4, 0.5)),
     ValueError,
     ["features", "4", "3"]),
    ("estimate_loss: few samples", lambda: tm.estimate_loss(MODEL, THREE, samples=10), ValueError,
     ["samples", "at least 64", "10"]),
    ("estimate_loss: a float", lambda: tm.estimate_loss(MODEL, THREE, samples=1e6), TypeError,
     ["samples", "integer", "1000000.0"]),
    ("estimate_loss: seed", lambda: tm.estimate_loss(MODEL, THREE, seed=-1), ValueError,
     ["seed", "at least 0", "-1"]),
]

# -- theory: flow, phase diagrams and branches


def flow(model=MODEL, law=THREE, t_final=1):
    return lambda: tm.gradient_flow(model, law, t_final=t_final)


def diagram(n=2, m=1, r=(0.5,), p=(0.1,), **options):
    return lambda: tm.phase_diagram(n, m, importance=r, feature_probability=p, **options)


def vary(features=lambda value: tm.Features(3, 0.3, [1, 1, value]), low=0.5, high=1.0):
    return tm.Parameter(features, low, high)


CALLS += [
    ("gradient_flow: an array for the model", flow(model=MODEL.W), TypeError,
     ["model", "ReluOutput", "array"]),
    ("gradient_flow: a ReLU in the way", flow(model=tm.ReluHidden.init(3, 2)), TypeError,
     ["model", "ReluHidden"]),
    ("gradient_flow: a stack", flow(model=STACK), ValueError,
     ["model", "single", "instances=(2,)"]),
    ("gradient_flow: no features", flow(law=None), TypeError,
     ["features", "must be Features", "None"]),
    ("gradient_flow: instances", flow(law=PAIR), ValueError, ["features", "instance axis", "2"]),
    ("gradient_flow: other features", flow(law=tm.Features(4, 0.5)), ValueError,
     ["features", "4", "3"]),
    ("gradient_flow: no time", flow(t_final=0), ValueError, ["t_final", "above 0", "0"]),
    ("gradient_flow: endless", flow(t_final=INF), ValueError, ["t_final", "finite", "inf"]),
    ("gradient_flow: time as text", flow(t_final="x"), TypeError,
     ["t_final", "real number", "'x'"]),
    ("phase_diagram: one feature", diagram(n=1), ValueError, ["n_features", "at least 2", "1"]),
    ("phase_diagram: many features", diagram(n=9), ValueError, ["n_features", "at most 8", "9"]),
    ("phase_diagram: a float", diagram(n=2.0), TypeError, ["n_features", "integer", "2.0"]),
    ("phase_diagram: no dimensions", diagram(m=0), ValueError, ["n_hidden", "at least 1", "0"]),
    ("phase_diagram: a number for importance", diagram(r=0.5), ValueError,
     ["importance", "1 axis", "()"]),
    ("phase_diagram: negative importance", diagram(r=[-1.0]), ValueError,
     ["importance", "negative", "-1.0"]),
    ("phase_diagram: importance beyond all digits", diagram(r=[0.5, 1e200]), ValueError,
     ["importance", "at most 1e+100", "1e+200"]),
    ("phase_diagram: no importances", diagram(r=[]), ValueError, ["importance", "empty", "(0,)"]),
    ("phase_diagram: importance text", diagram(r="x"), TypeError, ["importance", "real numbers"]),
    ("phase_diagram: p = 0", diagram(p=[0.0]), ValueError,
     ["feature_probability", "(0, 1]", "0.0"]),
    ("phase_diagram: p > 1", diagram(p=[0.5, 1.5]), ValueError,
     ["feature_probability", "(0, 1]", "1.5"]),
    ("phase_diagram: p NaN", diagram(p=[NAN]), ValueError, ["feature_probability", "finite"]),
    ("phase_diagram: p with two axes", diagram(p=[[0.1]]), ValueError,
     ["feature_probability", "1 axis", "(1, 1)"]),
    ("phase_diagram: seed", diagram(seed=1.5), TypeError, ["seed", "integer", "1.5"]),
    ("critical_point: no branch", lambda: tm.critical_point(None, MODEL, vary()), TypeError,
     ["branch_a", "Minimum", "None"]),
    ("critical_point: an array for a branch", lambda: tm.critical_point(MODEL, MODEL.W, vary()),
     TypeError,
     ["branch_b", "ReluOutput", "array"]),
    ("critical_point: a stack", lambda: tm.critical_point(STACK, MODEL, vary()), TypeError,
     ["branch_a", "single", "instances=(2,)"]),
    ("critical_point: a tuple", lambda: tm.critical_point(MODEL, MODEL, tuple(vary())), TypeError,
     ["parameter", "Parameter(features, low, high)", "0.5"]),
    ("critical_point: other features",
     lambda: tm.critical_point(MODEL, tm.ReluOutput.init(4, 2), vary()), TypeError,
     ["parameter.features(0.5)", "4 features", "Features(3"]),
    ("critical_point: an empty range", lambda: tm.critical_point(MODEL, MODEL, vary(low=1.0)),
     ValueError,
     ["low < high", "1.0"]),
    ("stability_limit: a linear model", lambda: tm.stability_limit(tm.Linear.init(3, 2), vary()),
     TypeError,
     ["branch", "ReluOutput", "got Linear"]),
    ("stability_limit: a reversed range", lambda: tm.stability_limit(MODEL, vary(low=2)),
     ValueError,
     ["low < high", "2.0", "1.0"]),
    ("stability_limit: low as text", lambda: tm.stability_limit(MODEL, vary(low="a")), TypeError,
     ["low", "real number", "'a'"]),
    ("stability_limit: high NaN", lambda: tm.stability_limit(MODEL, vary(high=NAN)), ValueError,
     ["high", "finite", "nan"]),
    ("stability_limit: not a function", lambda: tm.stability_limit(MODEL, vary(THREE)), TypeError,
     ["parameter", "function", "Features(3"]),
    ("stability_limit: a function of numbers",
     lambda: tm.stability_limit(MODEL, vary(lambda value: value)), TypeError,
     ["parameter.features(0.5)", "Features of 3 features", "0.5"]),
    ("stability_limit: instances", lambda: tm.stability_limit(MODEL, vary(lambda value: PAIR)),
     TypeError,
     ["parameter.features(0.5)", "instance axis", "instances=2"]),
    ("stability_limit: a probability of 0",
     lambda: tm.stability_limit(MODEL, vary(lambda v: tm.Features(3, v - 0.5))),
     ValueError, ["feature_probability", "(0, 1]", "0.0"]),
]

# -- geometry: neurons

SIGNED = tm.Features(3, 0.5, signed=True)
ABSOLUTE = tm.AbsoluteValue.init(3, 2)
for name, function in {f.__name__: f
                       for f in (tm.service, tm.monosemanticity, tm.served_features, tm.stack_plot,
                                 tm.describe_neurons, tm.normalise_neurons)}.items():
    CALLS += [
        (f"{name}: no neurons to speak of", lambda f=function: f(MODEL), TypeError,
         ["model", "ReluHidden or AbsoluteValue", "ReluOutput"]),
        (f"{name}: an array for the model", lambda f=function: f(np.ones((2, 3))), TypeError,
         ["model", "ReluHidden or AbsoluteValue", "array"]),
    ]
CALLS += [
    ("describe_neurons: a stack", lambda: tm.describe_neurons(tm.ReluHidden.init(3, 2, 4)),
     ValueError,
     ["model", "single", "(4,)"]),
    ("stack_plot: other weights", lambda: tm.stack_plot(ABSOLUTE, weights="hidden"), ValueError,
     ["weights", "'input', 'output'", "'hidden'"]),
    ("asymmetric_motifs: tied weights", lambda: tm.asymmetric_motifs(tm.ReluHidden.init(3, 2)),
     TypeError,
     ["model", "AbsoluteValue", "ReluHidden"]),
    ("asymmetric_motifs: a stack", lambda: tm.asymmetric_motifs(tm.AbsoluteValue.init(3, 2, 4)),
     ValueError,
     ["model", "single", "(4,)"]),
    ("asymmetric_motifs: an array for features", lambda: tm.asymmetric_motifs(ABSOLUTE, X),
     TypeError,
     ["features", "must be Features", "array"]),
    ("asymmetric_motifs: other features",
     lambda: tm.asymmetric_motifs(ABSOLUTE, tm.Features(4, 0.5)), ValueError,
     ["features", "4", "3"]),
    ("asymmetric_motifs: instances of features", lambda: tm.asymmetric_motifs(ABSOLUTE, PAIR),
     ValueError,
     ["features", "instance axis", "2"]),
    ("asymmetric_motifs: no samples", lambda: tm.asymmetric_motifs(ABSOLUTE, SIGNED, samples=0),
     ValueError,
     ["samples", "at least 1", "0"]),
    ("asymmetric_motifs: negative seed", lambda: tm.asymmetric_motifs(ABSOLUTE, SIGNED, seed=-1),
     ValueError,
     ["seed", "at least 0", "-1"]),
]

# -- theory: attacks

for name, function in {f.__name__: f for f in (tm.attack, tm.strongest_attack)}.items():
    CALLS += [
        (f"{name}: a ReLU in the way",
         lambda f=function: f(tm.ReluHidden.init(3, 2), X, THREE, 0.1), TypeError,
         ["model", "Linear or ReluOutput", "ReluHidden"]),
        (f"{name}: no features", lambda f=function: f(MODEL, X, None, 0.1), TypeError,
         ["features", "must be Features", "None"]),
        (f"{name}: width", lambda f=function: f(MODEL, X.T, THREE, 0.1), ValueError,
         ["x", "(..., B, 3)", "(3, 4)"]),
        (f"{name}: x NaN", lambda f=function: f(MODEL, replaced(X, NAN), THREE, 0.1), ValueError,
         ["x", "finite"]),
        (f"{name}: negative epsilon", lambda f=function: f(MODEL, X, THREE, -0.1), ValueError,
         ["epsilon", "negative", "-0.1"]),
        (f"{name}: epsilon text", lambda f=function: f(MODEL, X, THREE, "0.1"), TypeError,
         ["epsilon", "real numbers"]),
        (f"{name}: epsilon of more instances", lambda f=function: f(STACK, X, PAIR, [1, 2, 3]),
         ValueError,
         ["epsilon", "(2,)", "(3,)"]),
    ]
for name, function in {f.__name__: f for f in (tm.adversarial_loss, tm.vulnerability)}.items():
    CALLS += [
        (f"{name}: a ReLU in the way", lambda f=function: f(ABSOLUTE, THREE), TypeError,
         ["model", "Linear or ReluOutput", "AbsoluteValue"]),
        (f"{name}: other features", lambda f=function: f(MODEL, tm.Features(4, 0.5)), ValueError,
         ["features", "4", "3"]),
        (f"{name}: size NaN", lambda f=function: f(MODEL, THREE, size=NAN), ValueError,
         ["size", "finite", "nan"]),
        (f"{name}: negative size", lambda f=function: f(MODEL, THREE, size=-1), ValueError,
         ["size", "-1"]),
        (f"{name}: no samples", lambda f=function: f(MODEL, THREE, samples=0), ValueError,
         ["samples", "at least 1", "0"]),
        (f"{name}: search as a number", lambda f=function: f(MODEL, THREE, search=1), TypeError,
         ["search", "True or False", "1"]),
        (f"{name}: negative seed", lambda f=function: f(MODEL, THREE, seed=-1), ValueError,
         ["seed", "at least 0", "-1"]),
    ]


def hardened(model=MODEL, law=THREE, **options):
    return lambda: tm.adversarial_training(model, law, **{"size": 0.1, "steps": 2, "batch_size": 4}
                                           | options)


CALLS += [
    ("mean_input_norm: an array", lambda: tm.mean_input_norm(X), TypeError,
     ["features", "must be Features"]),
    ("strongest_attack: no starts", lambda: tm.strongest_attack(MODEL, X, THREE, 0.1, starts=0),
     ValueError,
     ["starts", "at least 1", "0"]),
    ("strongest_attack: no steps", lambda: tm.strongest_attack(MODEL, X, THREE, 0.1, steps=0),
     ValueError,
     ["steps", "at least 1", "0"]),
    ("vulnerability: size 0", lambda: tm.vulnerability(MODEL, THREE, size=0), ValueError,
     ["size", "above 0", "0"]),
    ("vulnerability: signed", lambda: tm.vulnerability(MODEL, SIGNED), ValueError,
     ["features", "signed"]),
    ("vulnerability: nothing matters", lambda: tm.vulnerability(MODEL, tm.Features(3, 0.5, 0)),
     ValueError,
     ["features", "importance", "above 0"]),
    ("adversarial_training: a ReLU in the way", hardened(model=ABSOLUTE), TypeError,
     ["model", "Linear or ReluOutput", "AbsoluteValue"]),
    ("adversarial_training: other features", hardened(law=tm.Features(4, 0.5)), ValueError,
     ["features", "4", "3"]),
    ("adversarial_training: instances", hardened(law=PAIR), ValueError,
     ["features", "2 instances", "()"]),
    ("adversarial_training: negative size", hardened(size=-0.1), ValueError,
     ["size", "at least 0", "-0.1"]),
    ("adversarial_training: three sizes for two", hardened(model=STACK, size=[0, 1, 2]), ValueError,
     ["size", "(2,)", "[0. 1. 2.]"]),
    ("adversarial_training: no steps", hardened(steps=0), ValueError, ["steps", "at least 1", "0"]),
    ("adversarial_training: no rows", hardened(batch_size=0), ValueError,
     ["batch_size", "at least 1", "0"]),
    ("adversarial_training: learning rate 0", hardened(learning_rate=0), ValueError,
     ["learning_rate", "above 0"]),
    ("adversarial_training: unknown schedule", hardened(schedule="step"), ValueError,
     ["schedule", "'step'"]),
    ("adversarial_training: negative seed", hardened(seed=-1), ValueError,
     ["seed", "at least 0", "-1"]),
    ("adversarial_training: text for progress", hardened(progress="yes"), TypeError,
     ["progress", "True, False or None", "'yes'"]),
    # -- saving and sweeping: their own tables are in test_saving.py, test_sweep.py and
    # test_files.py
    ("save: a number for a path", lambda: tm.save(3, MODEL), TypeError, ["path", "3"]),
    ("save: text for a history", lambda: tm.save("x.npz", "run"), TypeError, ["history", "'run'"]),
    ("load: None", lambda: tm.load(None), TypeError, ["path", "None"]),
    ("resume: a model", lambda: tm.resume(MODEL, steps=3), TypeError, ["history", "tm.train"]),
    ("sweep: chunk 0", lambda: tm.sweep(abs, [{"seed": 0}], "out", chunk=0), ValueError,
     ["chunk", "at least 1", "0"]),
    ("Keeper: a path that is none", lambda: tm.Keeper(3), TypeError, ["out", "path", "3"]),
    ("Keeper: a number of workers", lambda: tm.Keeper("out", 4), TypeError, ["executor", "4"]),
    ("certify_global: a folder", lambda: tm.certify_global(THREE, executor="out"), TypeError,
     ["executor", "'out'"]),
    ("load_sweep: None", lambda: tm.load_sweep(None), TypeError, ["out", "path", "None"]),
]

# Calls at the edge, which are fine.
ACCEPTED = [
    ("Features: the smallest p", features(p=np.nextafter(0, 1))),
    ("Features: p = 1, importance 0", features(p=1, importance=0)),
    ("Features: numpy integers", features(n=np.int32(3), correlated=[(np.int64(0), np.uint8(1))])),
    ("Features: lists and sets of indices", features(correlated=[{0, 2}])),
    ("Features: one instance", features(p=[[0.5]], importance=[[1, 2, 3]])),
    ("Features: one instance axis for two arguments",
     features(p=[[0.5], [0.2]], importance=[1, 2, 3])),
    ("Features: sets that differ in p", features(p=[0.5, 0.5, 0.2], correlated=[(0, 1)])),
    ("Features.sample: one row", sample(batch_size=np.int64(1))),
    ("Features.sample: a tuple of generators",
     sample(rng=(RNG, np.random.default_rng(1)), law=PAIR)),
    ("Features.sample: single precision by name", sample(dtype="float32")),
    ("Linear: lists of integers", lambda: tm.Linear([[1, 2, 3]], [0, 0, 0])),
    ("Linear: by name", lambda: tm.Linear(b=np.zeros(3), W=np.ones((2, 3)))),
    ("Linear.forward: more axes than the model",
     lambda: tm.Linear.init(3, 2, 2).forward(np.ones((5, 2, 4, 3)))),
    ("Linear.forward: integers", lambda: MODEL.forward(X.astype(int))),
    ("ReluOutput.init: one of each", lambda: tm.ReluOutput.init(1, 1, 1, seed=0)),
    ("ReluOutput.loss: one model, two laws", lambda: MODEL.loss(X, PAIR)),
    ("check_gradient: a stack", check(model=STACK, law=PAIR)),
    ("align: a row of integers", lambda: tm.align([[1, 2, 3]])),
    ("dimensions_per_feature: zeros", lambda: tm.dimensions_per_feature(np.zeros((2, 3)))),
    ("energies.dropped: dense and worthless", lambda: tm.energies.dropped(1, 0)),
    ("find_minimum: one start", lambda: tm.find_minimum(tm.Features(1, 0.5), 1, starts=1)),
    ("phase_diagram: one cell", diagram(r=[1], p=[1], seed=np.int64(3))),
    ("estimate_loss: as few samples as may be", lambda: tm.estimate_loss(STACK, PAIR, samples=64)),
    ("adversarial_training: two sizes for two", hardened(model=STACK, law=PAIR, size=[0, 1])),
    ("attack: a list for epsilon", lambda: tm.attack(STACK, X, PAIR, [0, 1])),
    ("asymmetric_motifs: no features", lambda: tm.asymmetric_motifs(ABSOLUTE)),
    ("train: the last record alone", lambda: tm.resume(train(record_every=2**63 - 1)(), steps=1)),
    ("train: one step", train(steps=1, batch_size=1, record_every=10**9, seed=2**70)),
    ("train: a backend", train(backend="numpy")),
    ("train: a fraction", train(learning_rate=Fraction(1, 1000), weight_decay=0)),
    ("train: numpy numbers",
     train(steps=np.int64(2), learning_rate=np.float32(1e-3), seed=np.uint8(3))),
    ("train: a stack on a stack", train(model=STACK, law=PAIR, schedule="cosine", progress=False)),
    # numbers whose type does not hold what is worked out from them
    ("train: half a bound", train(interference=np.float16(0.01), l2=np.float16(0.01))),
    ("Features.sample: a byte", sample(batch_size=np.int8(127))),
    ("strongest_attack: bytes", lambda: tm.strongest_attack(
        MODEL, X, THREE, 0.1, starts=np.uint8(200), steps=np.int8(127))),
    ("adversarial_loss: a byte", lambda: tm.adversarial_loss(MODEL, THREE, samples=np.int8(127))),
    ("adversarial_training: bytes", hardened(steps=np.int8(127), batch_size=np.int8(127))),
    ("asymmetric_motifs: a byte",
     lambda: tm.asymmetric_motifs(ABSOLUTE, THREE, samples=np.int8(127))),
]

UNTRAINED = tm.ReluOutput.init(3, 2)
CALLS += [
    ("Features.sample: NumPy's largest", sample(batch_size=np.int64(2**63 - 1)), ValueError,
     ["batch_size", "memory"]),
    ("adversarial_loss: NumPy's largest", lambda: tm.adversarial_loss(
        MODEL, THREE, samples=np.uint64(2**63)), ValueError, ["samples", "memory"]),
    ("train: a fraction that is 0 in float64", train(learning_rate=Fraction(1, 10**400)),
     ValueError, ["learning_rate", "above 0"]),
    ("Model: one parameter", lambda: tm.Model(np.ones((2, 3))), TypeError, ["Model", "W, b"]),
    ("certify: text", lambda: tm.certify("x"), TypeError, ["minimum_or_model", "'x'"]),
    ("certify: no features", lambda: tm.certify(UNTRAINED), ValueError, ["features", "model"]),
    ("certify: a linear model", lambda: tm.certify(tm.Linear.init(3, 2), THREE), TypeError,
     ["minimum_or_model", "ReluOutput", "Linear"]),
    ("certify_global: no features", lambda: tm.certify_global(None), TypeError, ["features"]),
    ("certify_global: two dimensions", lambda: tm.certify_global(THREE, 2), ValueError,
     ["n_hidden", "1", "2"]),
    ("certify_global: interference as text", lambda: tm.certify_global(THREE, interference="x"),
     TypeError, ["interference", "'x'"]),
    ("check_certificate: nothing in it", lambda: tm.check_certificate({}), ValueError,
     ["certificate"]),
    ("climb_to_saddle: text", lambda: tm.climb_to_saddle("x", THREE), TypeError,
     ["model", "ReluOutput", "'x'"]),
    *((f"climb_to_saddle: {count} instances", lambda law=tm.Features(3, [[0.5]] * count):
       tm.climb_to_saddle(UNTRAINED, law), ValueError, ["features", "instance axis", "features[i]"])
      for count in (1, 2, 19)),             # 19 are as many as the models of which slopes are made
    ("load_atlas: a number", lambda: tm.load_atlas(3), TypeError, ["folder", "path", "3"]),
    ("load_atlas: no such folder", lambda: tm.load_atlas("nowhere"), FileNotFoundError,
     ["no atlas", "nowhere"]),
    ("polish: text", lambda: tm.polish("x", THREE), TypeError, ["model", "ReluOutput", "'x'"]),
    ("polish: other features", lambda: tm.polish(tm.ReluOutput.init(4, 2), THREE), ValueError,
     ["n_features=3", "n_features=4"]),
    ("polish: coherence 2", lambda: tm.polish(UNTRAINED, THREE, coherence=2), ValueError,
     ["coherence", "at most 1", "2"]),
]



@pytest.mark.parametrize("function, exception, words", [row[1:] for row in CALLS],
                         ids=[row[0] for row in CALLS])
def test_a_bad_call_is_refused_with_a_sentence(function, exception, words):
    with pytest.raises(exception) as caught:
        function()
    assert type(caught.value) is exception              # not a subclass that NumPy happens to raise
    sentence = str(caught.value)
    missing = [word for word in words if word not in sentence]
    assert words and not missing, f"{missing} not in {sentence!r}"


@pytest.mark.parametrize("function", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_call_at_the_edge_is_accepted(function):
    assert function() is not None


def test_the_table_has_no_row_twice():
    ids = [row[0] for row in CALLS + ACCEPTED]
    assert len(set(ids)) == len(ids) > 60


def is_called_by_users(value):
    """Functions and models, but not the records and errors that functions return and raise."""
    record = isinstance(value, type) and (is_dataclass(value)
                                          or issubclass(value, (tuple, Exception)))
    return callable(value) and not record


def test_every_public_function_has_a_bad_call():
    public = {name for name,
              value in vars(tm).items() if is_called_by_users(value) and not name.startswith("_")}
    tested = {row[0].split(":")[0].split(".")[0] for row in CALLS}
    assert {"Features", "train", "check_gradient"} <= public
    assert public <= tested, f"add rows to CALLS for {sorted(public - tested)}"
