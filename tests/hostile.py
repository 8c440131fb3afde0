"""Values for a fuzzer: good ones by the name of an argument, hostile ones, and good ones spoiled.

Every value is drawn from a random.Random, so that a seed and a number name a call. Paths lie in a
folder of their own, where there is a file of each kind: what is regular, what only looks so, and
what must never be replaced.
"""

import inspect
import json
import os
import stat
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import toymodels_np as tm

N, M = 3, 2                                     # features and hidden dimensions of good values


class Leaky(tm.ReluOutput):
    """A stranger to the exact theory."""

    def _forward(self, x):
        output, cache = super()._forward(x)
        return output + 0.01 * cache[1], cache


class Shifted(tm.Features):
    """A law that the formulas do not know."""

    def sample(self, rng, batch_size, *, dtype=np.float64):
        return super().sample(rng, batch_size, dtype=dtype) + 0.5


def square(job):
    """A job of a sweep."""
    return {"y": job["x"] ** 2}


def measure(runs):
    """The numbers of a claim."""
    return [run["y"] for run in runs]


def law_at(value):
    """A family of laws."""
    return tm.Features(2, value, [1, 0.5])


# -- good values ----------------------------------------------------------------------------------

def features(rng):
    return rng.choice([
        lambda: tm.Features(N, 0.2), lambda: tm.Features(N, 0.05, [1, 0.8, 0.5]),
        lambda: tm.Features(N, 1), lambda: tm.Features(N, 0.3, signed=True),
        lambda: tm.Features(N, 0.2, correlated=[(0, 1)]),
        lambda: tm.Features(N, 0.2, anticorrelated=[(0, 2)]),
        lambda: tm.Features(N, [[0.5], [0.2]])])()


def model(rng):
    cls = rng.choice([tm.ReluOutput] * 4 + [tm.Linear, tm.ReluHidden, tm.AbsoluteValue])
    stack = rng.choice([None, None, None, 2])
    return cls.init(N, M, stack, seed=rng.randrange(9), dtype=rng.choice(["float32", "float64"]))


def linear_model(rng):
    """One whose hidden layer is linear."""
    cls = rng.choice([tm.ReluOutput, tm.Linear])
    return cls.init(N, M, rng.choice([None, None, 2]), seed=rng.randrange(9))


def neural_model(rng):
    """One whose neurons have a ReLU."""
    return rng.choice([tm.ReluHidden, tm.AbsoluteValue]).init(N, M, seed=rng.randrange(9))


def relu_output(rng):
    return tm.ReluOutput.init(N, M, seed=rng.randrange(9))


def absolute_value(rng):
    return tm.AbsoluteValue.init(N, M, seed=rng.randrange(9))


def weights(rng):
    shape = rng.choice([(2, 3), (2, 3), (2, 5), (3, 3), (1, 2), (4, 2, 3)])
    return np.random.default_rng(rng.randrange(99)).normal(size=shape)


@cache
def minimum():
    return tm.find_minimum(tm.Features(2, 0.1), 1, starts=4, progress=False)


@cache
def history():
    return tm.train(tm.ReluOutput.init(N, M), tm.Features(N, 0.2), steps=4, batch_size=4,
                    record_every=2, progress=False)


@cache
def flow():
    return tm.gradient_flow(tm.ReluOutput.init(2, 1, dtype="float64"), tm.Features(2, 0.5),
                            t_final=0.1, progress=False)


@cache
def diagram():
    return tm.phase_diagram(2, 1, importance=[0.5, 1.0], feature_probability=[0.1, 0.2],
                            progress=False)


@cache
def measured():
    """Runs of an experiment."""
    experiment = tm.experiments["correlated-sets"]
    (job,) = experiment.jobs(experiment.settings(changes={"steps": 0, "seeds": 1}))
    return [experiment.run(job) | job]


@cache
def certificate():
    return tm.certify(minimum(), tm.Features(2, 0.1))


def batch(rng):
    return np.random.default_rng(rng.randrange(99)).random((4, N))


def generator(rng):
    return np.random.default_rng(rng.randrange(99))


def row(rng):
    return np.random.default_rng(rng.randrange(99)).normal(size=N)


def one_of(*values):
    return lambda rng: rng.choice(values)


RUNS = [{"y": 1.0, "seed": 1}, {"y": 2.0, "seed": 2}, {"y": 3.0, "seed": 3}]
GOOD = {
    "features": features, "model": model, "minimum_or_model": lambda rng: rng.choice(
        [minimum(), minimum().model, model(rng)]),
    "W": weights, "reference": weights, "unit": weights, "units": weights, "matrix": weights,
    "x": batch, "rng": generator, "a": weights,
    "history": lambda rng: history(), "flow": lambda rng: flow(), "diagram": lambda rng: diagram(),
    "n_features": one_of(2, N), "n_hidden": one_of(1, M), "n_instances": one_of(None, 1, 2),
    "feature_probability": one_of(0.05, 0.2, [0.2], [0.1, 0.3]), "p": one_of(0.1, 0.5, 1),
    "importance": one_of(1.0, 0.5, [1.0], [0.5, 1.0]), "signed": one_of(True, False),
    "correlated": one_of((), [(0, 1)]), "anticorrelated": one_of((), [(0, 1)]),
    "seed": one_of(0, 1, 2**70), "dtype": one_of("float32", "float64", np.float32),
    "scale": one_of("xavier", "notebook", 0.5), "steps": one_of(1, 4), "batch_size": one_of(1, 8),
    "learning_rate": one_of(1e-3, 0.1), "schedule": one_of("constant", "cosine"),
    "weight_decay": one_of(0.0, 0.01), "record_every": one_of(1, 100),
    "backend": one_of(None, "numpy"), "progress": one_of(None, False), "relabel": one_of(True),
    "size": one_of(0.1, 1.0), "samples": one_of(64, 128), "search": one_of(False),
    "epsilon": one_of(0.1, 1.0), "starts": one_of(1, 2), "rtol": one_of(1e-6, 1e-10),
    "initial": one_of(None), "interference": one_of(0.0), "coherence": one_of(None),
    "executor": one_of(None), "most_boxes": one_of(10, 100), "t_final": one_of(0.5, 1.0),
    "k": one_of(2, 3, 4, 5), "count": one_of(1, 2), "dropped": one_of(0, 1), "times": one_of(1, 2),
    "dropped_probability": one_of(None, 0.1), "dropped_importance": one_of(1.0),
    "height": one_of(0.3, 0.5), "axis": one_of(None, 0), "row": row, "bias": one_of(0.0, -0.1),
    "b": row, "weights": one_of("input", "output"), "i": one_of(0, 3), "colorbar": one_of(True),
    "at": one_of(None), "ax": one_of(None), "candidates": one_of(False, True),
    "function": one_of(square), "jobs": lambda rng: [{"x": 1}, {"x": 2}], "chunk": one_of(1, 2),
    "retry_failed": one_of(False, True), "version": one_of(None, "1"),
    "other_code": one_of(False, True), "name": one_of("a-claim"), "section": one_of("Section"),
    "sentence": one_of("It is so."), "measure": one_of(measure), "low": one_of(0.0),
    "high": one_of(4.0), "summary": one_of("median", "mean"), "kind": one_of("paper", "ours"),
    "expected": one_of(""), "correction": one_of(""), "control": one_of(None, "none"),
    "decided_by": one_of(""), "runs": lambda rng: RUNS, "controls": one_of(()),
    "full": one_of(False, True), "changes": one_of((), {"seeds": 1}), "first_seed": one_of(1, 1000),
    "settings": lambda rng: {"steps": 1, "seeds": 2}, "index": one_of(0, 1, slice(1)),
    "branch": lambda rng: minimum().model, "branch_a": lambda rng: minimum().model,
    "branch_b": lambda rng: tm.ReluOutput([[1.0, 0.0]], [0.0, 0.05]),
    "parameter": lambda rng: tm.Parameter(law_at, 0.05, 0.95),
    "motif": lambda rng: tm.Motif(0, 1, (0,), (1,), 2.0, 1.0, -0.5, 0.5, None),
    "curves": lambda rng: {"one": ([0.1, 0.2, 0.3], [1.0, 0.5, 0.2])},
    "point": one_of(None), "limits": one_of(None),
    "path_or_dict": lambda rng: certificate().to_dict(), "width": one_of(3), "format": one_of(None),
    "factors": lambda rng: [np.eye(2), np.ones((1, 2)) * [1, -1]]}
NEURONS = ("describe_neurons", "monosemanticity", "normalise_neurons", "service", "served_features",
           "stack_plot", "plots.stack")
EXACT = ("adversarial_loss", "adversarial_training", "attack", "expected_loss", "polish",
         "expected_loss_and_grad", "strongest_attack", "vulnerability")
PARTICULAR = {                                  # where one name means two things
    **{f"{name}.model": neural_model for name in NEURONS},
    **{f"{name}.model": linear_model for name in EXACT},
    "asymmetric_motifs.model": absolute_value, "plots.motif.model": absolute_value,
    "climb_to_saddle.model": relu_output,
    "certify.minimum_or_model": lambda rng: rng.choice([minimum(), minimum().model]),
    "gradient_flow.model": lambda rng: rng.choice([tm.ReluOutput, tm.Linear]).init(N, M),
    "certify.features": lambda rng: tm.Features(2, 0.1),
    "Experiment.check.runs": lambda rng: measured(),
    **{f"{name}.k": one_of(3, 4, 5) for name in (
        "energies.deformed_polygon", "polytopes.prism", "polytopes.antiprism")},
    **{f"{name}.W": lambda rng: np.random.default_rng(rng.randrange(99)).normal(size=(M, N))
       for name in ("extra_phase", "plots.geometry", "plots.norms", "polytopes.recognise")},
    "AbsoluteValue.W1": lambda rng: np.ones((M, N)), "AbsoluteValue.W2": lambda rng: np.eye(N, M),
    **{f"{name}.W": lambda rng: np.eye(M, N) for name in ("ReluOutput", "Linear", "ReluHidden")},
    "find_minimum.model": one_of(tm.ReluOutput, tm.Linear),
    "Parameter.features": one_of(law_at),
    "phase_diagram.importance": one_of([0.5], [0.5, 1.0]),
    "phase_diagram.feature_probability": one_of([0.1], [0.1, 0.4]),
    "phase_diagram.n_features": one_of(2), "phase_diagram.n_hidden": one_of(1),
    "energies.simplex.p": one_of(0.1), "energies.antipodal.importance": one_of((1, 1), (1, 0.5)),
    "energies.enumerated_loss.W": lambda rng: np.eye(N)[:M] + 0.1,
    "energies.local_minimum.W": lambda rng: np.eye(N)[:M] + 0.1,
    "find_minimum.n_hidden": one_of(1), "certify_global.n_hidden": one_of(1),
    "certify_global.features": lambda rng: tm.Features(2, 0.1),
    "load_sweep.function": one_of(None), "Features.feature_probability": one_of(0.2, 0.05),
    "Features.importance": one_of(1.0, 0.5), "load_atlas.folder": one_of(None),
    "energies.deformed_polygon.feature_probability": one_of(0.1),
    "energies.deformed_polygon.importance": one_of(1.0),
    "energies.enumerated_loss.importance": one_of(1.0),
    "energies.local_minimum.importance": one_of(1.0),
    "energies.enumerated_loss.feature_probability": one_of(0.1),
    "energies.local_minimum.feature_probability": one_of(0.1),
    "energies.digons.importance": one_of(1.0), "energies.dropped.importance": one_of(1.0)}
PATHS = {"path": ["run.npz", "new.npz", "model.npz"], "out": ["sweep", "new"], "path_or_dict": [
    "certificate.json"], "load_atlas.folder": ["sweep"], "load.path": ["run.npz", "model.npz"],
    "load_sweep.out": ["sweep"]}
# optional arguments without which nothing goes
ALWAYS = {"Features.feature_probability", "Claim.low", "certify.features"}


def good(function, name, rng, places, default):
    """A good value for the argument `name` of `function`; `places` is the folder of paths."""
    whole = f"{function}.{name}"
    paths = PATHS.get(whole, PATHS.get(name))
    if paths and (name != "path_or_dict" or rng.random() < 0.5):
        return places() / rng.choice(paths)
    make = PARTICULAR.get(whole) or GOOD.get(name)
    if make is None and default is not inspect.Parameter.empty:
        return default
    if make is None:
        raise KeyError(f"{whole} has no good value: add one to tests/hostile.py")
    return make(rng)


# -- hostile values -------------------------------------------------------------------------------

def nested(depth=2000):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def masked():
    return np.ma.MaskedArray(np.ones((2, 3)), mask=np.eye(2, 3))


def read_only():
    a = np.ones((2, 3))
    a.setflags(write=False)
    return a


def with_entry(entry, shape=(2, 3)):
    a = np.ones(shape)
    a.flat[0] = entry
    return a


NUMBERS = [0, 1, -1, 2, 3, 7, 64, 10**3, 10**4, 10**5, 10**6, 10**9, 10**18, 2**31, 2**63, 10**400,
           -10**18,
           0.5, -0.5, 1.5, 1e-300, 5e-324, 1e-30, 1e30, 1e39, 1e155, 1.7e308, float("nan"),
           float("inf"), -float("inf"), -0.0, 1j, True, False, Fraction(1, 3), Decimal("0.5"),
           Fraction(1, 10**400), np.float16(0.5), np.int8(3), np.uint64(2**64 - 1),
           np.longdouble(0.5), np.bool_(True), np.float64("nan"), np.datetime64("2020-01-01")]
THINGS = [None, "", "x", "0.1", "float16", "nan", "é" * 300, b"x", [], {}, (), set(),
          frozenset({1}),
          object(), int, tm.Features, tm.ReluOutput, np, len, Ellipsis, NotImplemented, slice(None),
          range(3), range(10**9), {"x": 1}, [1, "a"], [[1, 2], [3]], [None], [[]], [{}], [-1],
          (0, 0),
          [(0, 1)], [(0,)], [(0, 10**9)], "01", {0: 1}, [float("nan")], [10**400], [{"x": 1}] * 2]
ARRAYS = [
    lambda: np.ones((2, 3)), lambda: np.ones(3), lambda: np.ones(()), lambda: np.zeros((2, 3)),
    lambda: np.zeros((0, 3)), lambda: np.ones((3, 0)), lambda: np.ones((1, 1, 1, 1, 1)),
    lambda: np.ones((2, 2, 3)), lambda: with_entry(np.nan), lambda: with_entry(np.inf),
    lambda: np.full((2, 3), 1e155), lambda: np.full((2, 3), 1e-160), lambda: with_entry(1e300),
    lambda: np.full((2, 3), 1e39), lambda: with_entry(5e-324), lambda: -np.ones((2, 3)),
    lambda: np.ones((2, 3), object), lambda: np.array([["1", "2"]]), lambda: np.ones((2, 3)) * 1j,
    lambda: np.ones((2, 3), bool), lambda: np.ones((2, 3), np.float16),
    lambda: np.ones((2, 3), np.longdouble), lambda: np.ones((2, 3), np.uint8),
    lambda: np.ones((2, 3), ">f8"), lambda: np.ones((4, 6))[::2, ::2], lambda: np.ones((3, 2)).T,
    lambda: np.zeros((2, 3), [("a", float)]), lambda: np.matrix("1 2 3; 4 5 6"), masked, read_only,
    lambda: np.ma.masked, lambda: np.array(["2020-01-01"], "M8[D]"), lambda: np.ones((3, 3)),
    lambda: np.broadcast_to(1.0, (10**5, 10**5)), lambda: np.broadcast_to(1.0, (2, 10**9)),
    lambda: np.ma.MaskedArray([0.1, 0.2, 0.3], [False, True, False]), lambda: np.ones((300, 3)),
    lambda: np.ones((3, 200)), nested, lambda: (i for i in range(3)), lambda: count()]
RECORDS = [
    lambda: tm.Features(N, 1e-320), lambda: tm.Features(N, 1e-30),
    lambda: tm.Features(N, 0.5, 1e39),
    lambda: tm.Features(N, 0.5, 1e300), lambda: tm.Features(N, 0.5, 0), lambda: tm.Features(7, 0.5),
    lambda: tm.Features(200, 0.1), lambda: tm.Features(N, [[0.5]] * 4), lambda: Shifted(N, 0.2),
    lambda: tm.Features(N, 0.5, 5e-324), lambda: Leaky.init(N, M), lambda: tm.ReluOutput.init(4, 1),
    lambda: spoiled_model(np.nan), lambda: spoiled_model(np.inf), lambda: spoiled_model(1e155),
    lambda: spoiled_model(1e-160), lambda: spoiled_model(1e30), lambda: tm.Linear.init(N, M, 3),
    lambda: tm.ReluOutput(np.zeros((M, N)), np.zeros(N)), lambda: tm.ReluOutput.init(200, 40),
    lambda: history().model, history, minimum, lambda: tm.Parameter(law_at, 0.2, 1.0), flow,
    diagram, lambda: tm.ReluOutput.init(N, M, dtype="float64"), lambda: spoiled_history(),
    lambda: tm.describe_neurons(tm.ReluHidden.init(N, M)), lambda: np.random.RandomState(0),
    lambda: [generator_like()]]


def generator_like():
    return np.random.default_rng(0)


def spoiled_model(entry):
    """A model whose caller wrote into it."""
    model = tm.ReluOutput.init(N, M, dtype="float64")
    model.W[0, 0] = entry
    return model


def spoiled_history():
    """A run whose settings are none."""
    run = history()
    return type(run)(run.model, run.steps, run.losses, run.parameters, run.features,
                     dict(run.settings, learning_rate=-5, batch_size="x"), run.state)


def hostile(rng, places, name=""):
    """(value, words for it)."""
    kind = rng.choices(["number", "thing", "array", "record", "path"], [5, 4, 4, 3, 1])[0]
    if name in PATHS and rng.random() < 0.7 or kind == "path":
        return path(rng, places)
    if kind == "number":
        value = rng.choice(NUMBERS)
        return value, repr(value) if len(repr(value)) < 40 else f"{repr(value)[:9]}…"
    if kind == "thing":
        value = rng.choice(THINGS)
        return value, repr(value)[:40]
    number = rng.randrange(len(ARRAYS if kind == "array" else RECORDS))
    value = (ARRAYS if kind == "array" else RECORDS)[number]()
    said = f"{type(value).__name__}{getattr(value, 'shape', '')}"
    return value, f"{kind} {number}: {said}"


def spoil(value, rng):
    """(the good value made worse, words), or None where there is no such thing for it."""
    if isinstance(value, np.ndarray) and value.ndim:
        ways = {"nan": lambda a: set_first(a, np.nan), "inf": lambda a: set_first(a, np.inf),
                "huge": lambda a: a * 1e155, "tiny": lambda a: a * 1e-160,
                "1e300": lambda a: a * 1e300,
                "object": lambda a: a.astype(object), "text": lambda a: a.astype(str),
                "masked": lambda a: np.ma.MaskedArray(a, mask=a == a.flat[0]),
                "half": lambda a: a.astype(np.float16), "turned": lambda a: a.T,
                "one axis more": lambda a: a[None], "one less": lambda a: a[0],
                "none": lambda a: a[:0], "read-only": frozen, "list": lambda a: a.tolist(),
                "swapped": lambda a: a.astype(">f8"), "twice": lambda a: np.concatenate([a, a], -1),
                "zero": lambda a: a * 0, "complex": lambda a: a + 0j, "large": lambda a: a * 1e20}
    elif isinstance(value, tm.Model):
        ways = {"nan": lambda m: changed(m, np.nan), "inf": lambda m: changed(m, np.inf),
                "1e155": lambda m: changed(m, 1e155), "zero": lambda m: changed(m, 0.0),
                "tiny": lambda m: changed(m, 1e-300), "1e20": lambda m: changed(m, 1e20)}
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        ways = {"text": str, "list": lambda a: [a], "array": np.asarray, "negative": lambda a: -a,
                "float": float, "1e9 times": lambda a: a * 10**9,
                "1e18 times": lambda a: a * 10**18,
                "masked": lambda a: np.ma.MaskedArray(a, True), "numpy": np.float32}
    else:
        return None
    way = rng.choice(sorted(ways))
    with np.errstate(all="ignore"):
        return ways[way](value), f"{type(value).__name__} made {way}"


def set_first(a, entry):
    a = np.array(a, float)
    a.flat[0] = entry
    return a


def frozen(a):
    a = a.copy()
    a.setflags(write=False)
    return a


def changed(model, entry):
    arrays = [a.copy() for a in model.parameters]
    arrays[0].flat[0] = entry
    return type(model).from_parameters(arrays)


# -- paths ----------------------------------------------------------------------------------------

SPECIAL = ("device", "fifo", "to-device", "to-run", "dangling", "loop", "hard", "hard-2", "locked")
PLACES = ["run.npz", "model.npz", "sweep", "new.npz", "certificate.json", "empty.npz", "junk.npz",
          "text.npz", "locked/new.npz", "missing/new.npz", "read-only.npz", ".", "run.npz/x",
          "x" * 300, *SPECIAL]
ODD_PATHS = ["", "\0", "a\0b", b"run.npz", 3, "/", "/proc/self/mem/x", "/proc/nothing", "\ud800"]


def path(rng, places):
    """(a path that is odd, or to a file of each kind, words for it)."""
    if rng.random() < 0.15:
        value = rng.choice(ODD_PATHS)
        return value, repr(value)
    place = rng.choice(PLACES)
    value = places() / place
    return (str(value) if rng.random() < 0.3 else value), f"path {place[:20]}"


@cache
def regular_files():
    """{name: bytes}: results of each kind, and files that are none."""
    with TemporaryDirectory(dir=".") as place:
        folder = Path(place)
        tm.save(folder / "run.npz", history())
        tm.save(folder / "model.npz", history().model)
        tm.sweep(square, [{"x": 1}, {"x": 2}], folder / "sweep", progress=False)
        (folder / "certificate.json").write_text(json.dumps(certificate().to_dict()))
        made = {str(path.relative_to(folder)): path.read_bytes()
                for path in folder.rglob("*") if path.is_file()}
    return made | {"empty.npz": b"", "text.npz": b"text\n", "read-only.npz": b"", "hard": b"",
                   "junk.npz": np.random.default_rng(0).bytes(500)}


def make_places(folder):
    """A folder with a file of each kind."""
    folder = Path(folder)
    for name, content in regular_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "read-only.npz").chmod(0o400)
    os.link(folder / "hard", folder / "hard-2")
    os.mkfifo(folder / "fifo")
    try:
        os.mknod(folder / "device", stat.S_IFCHR | 0o666, os.makedev(1, 7))     # as /dev/full
    except OSError:                                                             # not as a user
        os.mkfifo(folder / "device")
    for name, target in (("to-device", "device"), ("to-run", "run.npz"), ("dangling", "nowhere"),
                         ("loop", "loop")):
        (folder / name).symlink_to(target)
    (folder / "locked").mkdir(mode=0o500)
    return folder


def replaced(folder):
    """The names of the special files that are no longer what they were."""
    kinds = {"device": lambda mode: not stat.S_ISREG(mode), "fifo": stat.S_ISFIFO,
             "to-device": stat.S_ISLNK, "to-run": stat.S_ISLNK, "dangling": stat.S_ISLNK,
             "loop": stat.S_ISLNK}
    gone = []
    for name, kind in kinds.items():
        with suppress(OSError):
            if not kind(os.lstat(folder / name).st_mode):
                gone.append(name)
    if os.stat(folder / "hard").st_nlink != 2:
        gone.append("hard")
    return gone
