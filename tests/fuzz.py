"""Hostile calls of all that is public, and what becomes of them.

    python tests/fuzz.py --seed 1 --calls 1000

Every function that `tm` shows, the methods of its classes, tm.energies, tm.polytopes, tm.plots and
every verb of the command line are called with good arguments of which some were replaced: other
types, shapes and sizes, NaN, masked and read-only arrays, huge numbers, paths that are devices,
pipes or links. Calls run in a child process with 4 GiB of memory of its own and 20 s for each call,
inside a temporary folder. A call's seed and number are all that is needed to repeat it.

    ok         a result             refused    an error that this package raises, in a sentence
    bar        long work that shows a bar and could be stopped
    raw        any other error      silent     NaN or infinity in a result, a mask that was lost,
    hanging    over 20 s, no bar               a file replaced that must not be
    blown up   over 4 GiB, or the process died

The last four are faults, and exit code 1. Python's own words count as a sentence in two places:
an IndexError of `model[index]`, as of any sequence, and the RecursionError of a list that is nested
too deeply to be shown in the sentence that refuses it.
"""

import argparse
import ast
import contextlib
import inspect
import io
import json
import linecache
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
import weakref
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

MEMORY = 4 * 2**30              # bytes that a child may take beside what it has at the start
PATIENCE = 20                   # seconds for a call, and
LOOK = 2                        # after how many of them somebody looks for a bar
BATCH = 1000                    # calls a child
HARMLESS = ("ok", "refused", "bar")
FAULTS = ("raw", "silent", "hanging", "blown up")
ROOT = Path(__file__).parents[1]


# -- the child: what there is to call -------------------------------------------------------------

# All that is public and is not called, by the reason why not; tests/test_fuzz.py sees that this is
# all of it.
NOT_CALLED = {
    "a record that calls return: it holds what it is given, and who takes it checks it":
        {"AtlasEntry", "Certificate", "CriticalPoint", "Flow", "GlobalCertificate", "History",
         "Minimum", "Motif", "Neuron", "NotConverged", "Parameter", "PhaseDiagram", "Plateau",
         "StabilityLimit", "StackPlot", "SweepReport", "energies.Branch", "energies.Energy"},
    "its docstring says that it checks nothing":
        {"Model.from_parameters", "Model.with_parameters", "Model.unchecked_loss_and_grad"},
    "an innermost loop: its callers, which are called here, have checked what it is given":
        {"polytopes.fit", "polytopes.corners_of", "polytopes.misfit", "energies.output_loss"},
    "it draws what a row of the paper has measured, or a part of a picture, and no user's arrays":
        {f"plots.{name}" for name in (
            "animate", "canvas", "critical_points", "draw_directions", "draw_phases", "draw_sets",
            "draw_stack", "exact_loss", "feature_colour", "gradient_flow", "gram_rows", "label",
            "pentagon_to_digon", "phase_diagram", "save", "sweep_map")},
    "it waits until somebody saves a file": {"command learn --watch"},
}
EXCLUDED = set().union(*NOT_CALLED.values())
SLOW = {"certify_global": 0.3, "phase_diagram": 0.3, "critical_point": 0.3, "stability_limit": 0.3,
        "gradient_flow": 0.3, "load_atlas": 0.2, "command report": 0.1, "command claims": 0.1,
        "command experiment": 0.2, "command phase": 0.5, "command book": 0.05,
        "command explorer": 0.05, "command learn": 1, "command check": 1}     # odds, of 1 or 3
# NaN or infinity stand for what is missing, say that a gradient is none or W is 0, or come out of a
# model into which the caller wrote them: one batch is IEEE arithmetic, and all that lasts or
# concludes refuses them.
NAN_IS_SAID = {"load_sweep", "check_gradient", "dimensions_per_feature", "Model.forward",
               "Model.loss", "Model.loss_and_grad", "Model.astype", "Model.__getitem__"}
CLASSES = ("Features", "Model", "ReluOutput", "Linear", "ReluHidden", "AbsoluteValue", "Claim")


@cache
def public():
    """{name: callable}: all that is public, but for the command line."""
    import toymodels_np as tm
    found = {}
    for where, prefix in ((tm, ""), (tm.energies, "energies."), (tm.polytopes, "polytopes."),
                          (tm.plots, "plots.")):
        for name in dir(where):
            thing = getattr(where, name)
            module = getattr(thing, "__module__", "")
            own = prefix in ("", "plots.") and module.startswith("toymodels_np")
            if name[0] != "_" and callable(thing) and (own or module == where.__name__):
                found[prefix + name] = thing
    for name in CLASSES:
        for method, thing in vars(getattr(tm, name)).items():
            plain = inspect.isfunction(thing) or isinstance(thing, classmethod)
            if plain and (method[0] != "_" or method == "__getitem__"):
                found[f"{name}.{method}"] = getattr(getattr(tm, name), method)
    del found["Model"]                                  # its subclasses are called
    for method in ("settings", "jobs", "check"):
        found[f"Experiment.{method}"] = getattr(tm.experiments["correlated-sets"], method)
    for method in ("to_dict", "save"):
        found[f"Certificate.{method}"] = getattr(tm.Certificate, method)
    return found


@cache
def targets():
    """{name: callable}: all that is called, but for the command line."""
    return {name: thing for name, thing in public().items() if name not in EXCLUDED}


def verbs():
    """{name: the options of a verb of the command line, each (words, keywords)}."""
    from toymodels_np.cli.parser import VERBS
    return {name: [option for option in Recorder(add).options
                   if f"command {name} {option[0][0]}" not in EXCLUDED]
            for name, (_, add, *_) in VERBS.items()}


class Recorder:
    """Stands for a parser and keeps what is added to it."""

    def __init__(self, add):
        self.options = []
        add(self)

    def add_argument(self, *words, **keywords):
        self.options.append((words, keywords))

    def set_defaults(self, **_):
        pass

    def add_mutually_exclusive_group(self):
        return self


# -- the child: one call --------------------------------------------------------------------------

class Places:
    """The folder of a call's paths, made when it is first asked for."""

    def __init__(self, folder):
        self.folder, self.made = folder, False

    def __call__(self):
        from hostile import make_places
        if not self.made:
            self.made = make_places(self.folder)
        return self.made


def draw(rng, places):
    """(name, words for the call, the call, whether a mask was given)."""
    names = [*targets(), *(f"command {verb}" for verb in verbs())]
    odds = [SLOW.get(name, 3 if name.startswith("command") else 1) for name in names]
    name = rng.choices(names, odds)[0]
    if name.startswith("command "):
        words = command(name.removeprefix("command "), rng, places)
        return name, " ".join(words), lambda: run_command(words), False
    function = targets()[name]
    positional, named, said = arguments(name, function, rng, places)
    given = [*positional, *named.values()]
    return name, said, lambda: function(*positional, **named), any(map(masked, given))


def arguments(name, function, rng, places, odds=(1, 10, 3, 1)):
    """Positional and named arguments of a call, and words for it: mostly good ones.

    odds : of 0, 1, 2 and 3 bad arguments
    """
    import hostile
    parameters = signature(name, function)
    required = [p.name for p in parameters if p.default is p.empty]
    optional = [p.name for p in parameters if p.default is not p.empty
                and (rng.random() < 0.4 or f"{name}.{p.name}" in hostile.ALWAYS)]
    defaults = {p.name: p.default for p in parameters}
    values = {one: own_object(name, rng) if one == "self" else
              hostile.good(name, one, rng, places, defaults[one])
              for one in required + optional}
    shrink(name, values)
    bad = rng.choices([0, 1, 2, 3], odds)[0]
    said = []
    for one in rng.sample(sorted(values), min(bad, len(values))):
        if one == "self" and name.split(".")[-1] in ("to_dict", "save"):
            continue
        worse = hostile.spoil(values[one], rng) if rng.random() < 0.5 else None
        if one == "self" and worse is None:
            continue
        values[one], words = worse or hostile.hostile(rng, places, one)
        said.append(f"{one}={words}")
    kinds = {p.name: p.kind for p in parameters}
    first = [value for one, value in values.items() if kinds[one] is kinds[one].POSITIONAL_ONLY]
    for one, value in values.items():
        if kinds[one] is kinds[one].VAR_POSITIONAL:
            first.extend(value if isinstance(value, (list, tuple)) else [value])
    fixed = kinds and {one: value for one, value in values.items() if kinds[one] not in (
        inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)}
    return first, fixed or {}, ", ".join(said) or "all good"


def signature(name, function):
    """The parameters, with those of models and of tegum_product written out."""
    import toymodels_np as tm
    if isinstance(function, type) and issubclass(function, tm.Model):
        return [inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY)
                for one in function.parameter_shapes]
    taken = inspect.signature(function).parameters.values()
    return [p for p in taken if p.kind is not p.VAR_KEYWORD]


def own_object(name, rng):
    """A good object whose method is called."""
    import hostile

    import toymodels_np as tm
    cls = name.split(".")[0]
    if cls == "Claim":
        return tm.Claim("a-claim", "Section", "It is so.", hostile.measure, 0.0, 4.0)
    if cls == "Certificate":
        return hostile.certificate()
    if cls == "Features":
        stack = tm.Features(hostile.N, [[0.5], [0.2]])
        return stack if name.endswith("__getitem__") else hostile.features(rng)
    own = tm.ReluOutput if cls == "Model" else getattr(tm, cls)
    stack = 2 if name.endswith("__getitem__") else rng.choice([None, 2])
    return own.init(hostile.N, hostile.M, stack, seed=rng.randrange(9))


def shrink(name, values):
    """What runs long if nobody says how much gets small sizes."""
    import hostile
    small = {"samples": 64, "starts": 1, "steps": 2, "batch_size": 4, "most_boxes": 20}
    for one in signature(name, targets()[name]):
        if one.name in small and one.default is not one.empty:
            values.setdefault(one.name, small[one.name])
    if "W" in values and "reference" in values:         # else most pairs would not fit
        values["reference"] = values["W"] * 1.5
    if "W" in values and name.startswith("energies."):
        values["b"] = values["b"][:hostile.N]


def masked(value):
    """Whether a masked array is in the value, at its top."""
    import numpy as np
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any())


# -- the child: the command line ------------------------------------------------------------------

WORDS = ["0", "1", "-1", "2", "3", "1.5", "nan", "inf", "-inf", "1e400", "1e-320", "1e30",
         "1000000000", "1000000000000000000", "9" * 400, "x", "", " ", "0,1", "0,0", "0,9", ",",
         "é",
         "--", "-", "True", "null", "[1]", "seeds=1", "seeds=-1", "steps=x", "steps=1e400", "=",
         "a=b",
         "steps=NaN", "steps=[", "[" * 3000, "adam", "Linear", "cupy", "x.png", "x.svg", "x.txt"]
MANY = {"--workers": ["0", "-1", "x", "nan", "1e3", "1000000000"], "--dask": ["nonsense", ""],
        **dict.fromkeys(["--json", "--out", "--figure", "--resume", "--dir", "--copy", "--report"])}
BASES = {"train": "--features 3 --hidden 2 --probability 0.2 --steps 4 --batch-size 8",
         "minimum": "--features 3 --hidden 1 --probability 0.2 --starts 1",
         "phase": "--points 2 --out PHASES", "sweep": "CONFIG --out NEW", "show": "PATH",
         "experiment": "absolute-value --out NEW --seeds 1 --set steps=0", "claims":
         "--seeds 1 --out NEW", "report": "--seeds 1 --out NEW", "book": "--out NEW",
         "check": "CERTIFICATE", "learn": "--copy NEW", "explorer": "--out NEW"}
CONFIG = {"task": '"minimum"', "n_features": "2", "n_hidden": "1", "starts": "1", "seeds": "1"}
TOML = ["0", "-1", "nan", "inf", '"x"', "[]", "[1, 2]", "true", "10" + "0" * 300, "1e300",
        "1979-05-27",
        "{ start = 0.1, stop = 1, points = 1000000000 }", "{ start = 0, stop = 1, points = 2 }",
        "{}", "[[0, 1]]", "1000000000", "0.5"]


def command(verb, rng, places):
    """The words of a command."""
    folder = places()
    stands = {"PHASES": "phases.png", "NEW": "new", "CONFIG": "config.toml",
               "CERTIFICATE": rng.choice(["certificate.json", "text.npz", "fifo", "to-device"]),
              "PATH": rng.choice(["run.npz", "sweep", "model.npz", "junk.npz", "fifo"])}
    (folder / "config.toml").write_text(config(rng), encoding="utf-8")
    words = [str(folder / stands[word]) if word in stands else word
             for word in BASES[verb].split()]
    if verb in ("claims", "report") and rng.random() < 0.9:             # else a bar, mostly
        words += ["--workers", rng.choice(["0", "x"])]
    for option, keywords in some(verbs()[verb], rng.choice([0, 1, 1, 2, 3]), rng):
        values = MANY.get(option[0], WORDS)
        value = str(folder / rng.choice(NAMES)) if values is None else rng.choice(values)
        if option[0][0] != "-":
            words[words.index(BASES[verb].split()[0]) if option[0] == "name" else 0] = value
        elif "action" in keywords and keywords["action"] != "append":
            words.append(option[0])
        else:
            words += [option[0], value]
    return [verb, *words]


def some(things, count, rng):
    """So many of the things, or all."""
    return rng.sample(things, min(count, len(things)))


NAMES = ["run.npz", "new.npz", "device", "fifo", "to-run", "dangling", "loop", "hard", "sweep",
         "locked/x.npz", "missing/x.npz", "x.png", "text.npz", "certificate.json", "empty.npz", ""]


def config(rng):
    """The text of a sweep's settings, mostly good."""
    lines = dict(CONFIG, feature_probability="0.2")
    for _ in range(rng.choice([0, 1, 1, 2])):
        lines[rng.choice([*lines, "steps", "model", "importance", "correlated", "x"])] = rng.choice(
            TOML)
    text = "\n".join(f"{name} = {value}" for name, value in lines.items())
    if rng.random() < 0.4:
        text += f"\n[grid]\nextra_importance = {rng.choice([*TOML, '[0.5, 1.0]'])}"
    return text


def run_command(words):
    """Run the words as the command line would, but let errors through."""
    import toymodels_np.cli.parser as parser
    parser.exit_code = lambda run, options: run(options) or 0
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.main(words)
    except SystemExit as end:
        lines = said.getvalue().strip().splitlines()
        if end.code == 2 and not (len(lines) == 1 and lines[0].startswith("error: ")):
            raise AssertionError(f"not one line: {said.getvalue()[:200]!r}") from None
        raise Refused(f"exit code {end.code}: {said.getvalue()}") from None


class Refused(Exception):
    """The parser of the command line has said why in a line, or has shown its help."""


# -- the child: what became of it -----------------------------------------------------------------

class Stopped(KeyboardInterrupt):
    """The call took long, and was stopped."""


def watch(number, frame):
    """Stop a call that shows a bar after two seconds, and any other after twenty."""
    watch.left -= LOOK
    watch.bar = watch.bar or len(watch.bars) > 0
    signal.alarm(LOOK)
    if watch.bar or watch.left <= 0:
        os.kill(os.getpid(), signal.SIGINT)             # as somebody would who has waited


watch.bars = weakref.WeakSet()          # those that the call has made, and not done with


def note_bars():
    """Note each bar that is made, one that nobody would see here, too."""
    from tqdm.std import tqdm
    begin, end = tqdm.__init__, tqdm.close

    def noted(self, *arguments, **options):
        begin(self, *arguments, **options)
        watch.bars.add(self)

    def closed(self):
        watch.bars.discard(self)
        end(self)

    tqdm.__init__, tqdm.close = noted, closed


def stop(number, frame):
    """Ctrl-C."""
    raise Stopped


def outcome_of(call, name, mask):
    """(outcome, words) of a call."""
    watch.left, watch.bar = PATIENCE, False
    watch.bars.clear()
    signal.alarm(LOOK)
    try:
        result = call()
    except BaseException as error:
        signal.alarm(0)
        return judge(error, name)
    finally:
        signal.alarm(0)
    if mask:
        return "silent", "a masked array was taken"
    odd = not_finite(result) if name not in NAN_IS_SAID else None
    return ("silent", f"{odd} in the result") if odd else ("ok", "")


def judge(error, name):
    """(outcome, words) for what a call raised: refused is what the package itself raises."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    if isinstance(error, KeyboardInterrupt):
        return ("bar", "") if watch.bar else ("hanging", "no bar")
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{said} [{Path(last.filename).name}:{last.lineno}]"
    if isinstance(error, MemoryError):
        return "blown up", where
    if isinstance(error, Refused) or isinstance(error, IndexError) and name.endswith("__getitem__"):
        return "refused", said                          # as Python's sequences do
    own = "toymodels_np" in Path(last.filename).parts and raises(last.filename, last.lineno)
    system = isinstance(error, OSError) and error.filename is not None
    known = isinstance(error, (ValueError, TypeError, ArithmeticError, OSError, RuntimeError,
                               ImportError, argparse.ArgumentTypeError))
    sentence = len(str(error).split()) > 3
    return ("refused" if known and sentence and (own or system) else "raw"), where


@cache
def raises(filename, number):
    """Whether line `number` belongs to a statement `raise`, or `yield` in one that re-raises."""
    tree = ast.parse("".join(linecache.getlines(filename)))
    return any(isinstance(node, ast.Raise) and node.lineno <= number <= node.end_lineno
               for node in ast.walk(tree))


def not_finite(value, depth=6):
    """"nan" or "inf" if such a number is in the value, else None."""
    import numpy as np

    import toymodels_np as tm
    if isinstance(value, (float, np.number, np.ndarray)):
        a = np.asarray(value)
        if a.dtype.kind in "fc" and a.size < 10**8 and not np.isfinite(a).all():
            return "nan" if np.isnan(a).any() else "inf"
        return None
    if depth == 0 or isinstance(value, (str, bytes, type)):
        return None
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, (tm.Model, tm.Features)) or hasattr(value, "__dataclass_fields__"):
        parts = vars(value).values()
    else:
        return None
    return next(filter(None, (not_finite(part, depth - 1) for part in parts)), None)


def child(seed, numbers, folder, answer):
    """Do the calls and write a line before and after each to the stream `answer`."""
    sys.path.insert(0, str(ROOT))
    import matplotlib
    matplotlib.use("Agg")
    import hostile
    from matplotlib import pyplot
    warnings.simplefilter("ignore")
    os.chdir(folder)
    signal.signal(signal.SIGALRM, watch)
    signal.signal(signal.SIGINT, stop)
    note_bars()
    Places(Path(folder) / "first")()                    # all good values are there
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    say = lambda **what: print(json.dumps(what), file=answer, flush=True)
    for number in numbers:
        places = Places(Path(folder) / f"{number}")
        name, words, call, mask = draw(random.Random(f"{seed}/{number}"), places)
        say(number=number, name=name, call=words[:200])
        outcome, detail = outcome_of(call, name, mask)
        gone = hostile.replaced(places.folder) if places.made else []
        if gone:
            outcome, detail = "silent", f"replaced: {', '.join(gone)}"
        say(number=number, outcome=outcome, detail=detail)
        pyplot.close("all")


# -- the parent -----------------------------------------------------------------------------------

def run(seed, numbers, tell=lambda record: None):
    """The records of these calls: dictionaries with name, call, outcome and detail."""
    numbers, records = list(numbers), []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while numbers:
            place = Path(folder) / f"from-{numbers[0]}"
            place.mkdir()
            done = batch(seed, numbers[:BATCH], place)
            for record in done:
                tell(record)
            records += done
            numbers = numbers[len(done):]
    return records


def batch(seed, numbers, folder):
    """The records of the calls that one child did; the last of them may have ended it."""
    here, there = os.pipe()
    words = [sys.executable, __file__, "--seed", str(seed), "--child", f"{folder}", "--answer",
             f"{there}", "--numbers", json.dumps(numbers)]
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore",
                  "TMPDIR": str(folder), "MPLBACKEND": "Agg"}
    with open(folder / "stderr", "wb") as stderr:
        process = subprocess.Popen(words, pass_fds=[there], env=os.environ | one_thread, cwd=folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=stderr, start_new_session=True)
    os.close(there)
    records = []
    late = follow(here, records)
    if late:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    if not records:
        said = (folder / "stderr").read_text(errors="replace")
        raise RuntimeError(f"the child did nothing (exit code {code}): {said[-2000:]}")
    if "outcome" not in records[-1]:
        records[-1] |= {"outcome": "hanging" if late else "blown up", "detail": f"exit code {code}"}
    return records


def follow(descriptor, records):
    """Read a child's lines into `records`; True if it has fallen silent."""
    text = b""
    with open(descriptor, "rb", buffering=0) as stream:
        while select.select([stream], [], [], PATIENCE + 3 * LOOK + 30 * (not records))[0]:
            got = stream.read(65536)
            if not got:
                return False
            *lines, text = (text + got).split(b"\n")
            for line in map(json.loads, lines):
                if "outcome" in line:
                    records[-1] |= line
                else:
                    records.append(line)
    return True


def table(records):
    """Rows of counts by function, in text."""
    counts = defaultdict(Counter)
    for record in records:
        counts[record["name"]][record["outcome"]] += 1
        counts["all"][record["outcome"]] += 1
    kinds = (*HARMLESS, *FAULTS)
    lines = [f"{'':34s}{'calls':>8s}" + "".join(f"{kind:>9s}" for kind in kinds)]
    for name in sorted(counts, key=lambda name: (name == "all", name)):
        row = counts[name]
        lines.append(f"{name:34s}{row.total():8d}"
                     + "".join(f"{row[kind] or '':>9}" for kind in kinds))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first call")
    for hidden in ("--child", "--answer", "--numbers"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with open(int(options.answer), "w", encoding="utf-8") as answer:
            child(options.seed, json.loads(options.numbers), options.child, answer)
        return 0

    def tell(record):
        if record["outcome"] in FAULTS:
            print(f"{record['number']:6d} {record['outcome']:9s} "
                  f"{record['name']}({record['call']}) -> {record['detail']}", flush=True)

    records = run(options.seed, range(options.first, options.first + options.calls), tell)
    print(table(records))
    return int(any(record["outcome"] in FAULTS for record in records))


if __name__ == "__main__":
    sys.exit(main())
