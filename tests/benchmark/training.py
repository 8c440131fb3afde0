"""Time and memory of training, beside PyTorch (eager and compiled) and JAX, whichever are
installed.

    python tests/benchmark/training.py [speed] [budget] [memory] [growth] [many]
        [--laws rare mixed dense] [--rounds 5] [--seconds 2] [--markdown [README.md]]

speed    milliseconds a step at six sizes and three laws. All contenders take turns in every round,
         so that a slow moment of the machine hits all of them; a ratio is the median over rounds,
         with its range. PyTorch has both orders of axes, and the faster one counts. Also the share
         of the machine's own sgemm rate, measured in the same rounds, that the five matrix products
         of a step come to. All five count as dense, as a rival does them; here two are shorter sums
         where features are rare.
budget   what a dense step consists of: flops, bytes, the time that each would take at the peaks of
         this machine, and the time that it takes
memory   the most that a fresh process holds while it trains (400, 30) x 20, and whether 10 000
         steps need more than 100
growth   how the time of a step grows with features, hidden dimensions, instances and batch
many     100 000 instances of (5, 2)

Without a word: all of them. Every step samples anew, float32; models start from the same weights.
The laws: rare, p = 0.05; mixed, p from 1 to 1/20, one value an instance, as in the paper's
notebook; dense, p = 1.
"""

import argparse
import itertools
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import rivals
import tables
from threadpoolctl import threadpool_limits

import toymodels_np as tm
from toymodels_np.core.arrays import transpose
from toymodels_np.core.optim import AdamState
from toymodels_np.engine import host, passes
from toymodels_np.engine.train import division

P, BATCH, RATE = 0.05, 1024, 1e-3
SIZES = ((5, 2, 10, tm.ReluOutput), (20, 5, 7, tm.ReluOutput), (80, 20, 7, tm.ReluOutput),
         (100, 40, 7, tm.AbsoluteValue),
         (200, 20, 20, tm.ReluOutput), (400, 30, 20, tm.ReluOutput))
LAWS = {"rare": ("p = 0.05", lambda count: P),
        "mixed": ("p from 1 to 1/20", lambda count: 20.0 ** -np.linspace(0, 1, count)[:, None]),
        "dense": ("p = 1", lambda count: 1.0)}
ORDERS = {"PyTorch": (rivals.Torch, rivals.TorchSecond),          # of axes; the faster one counts
          "torch.compile": (rivals.TorchCompiled, rivals.TorchSecondCompiled), "JAX": (rivals.Jax,)}
MODULES = {"PyTorch": "torch", "torch.compile": "torch", "JAX": "jax"}


class Ours:
    name = "toymodels_np"

    def __init__(self, model, features, batch_size, learning_rate):
        self.arguments, self.settings = (model, features), {"batch_size": batch_size,
                                                            "learning_rate": learning_rate}

    def run(self, steps):
        tm.train(*self.arguments, steps=steps, record_every=steps, progress=False, **self.settings)


class Matmul:
    """Square matrix products on all cores, the fastest that NumPy gets."""

    def __init__(self, size=2048):
        self.a, self.b, self.out = (np.ones((size, size), np.float32) for _ in range(3))
        self.flops = 2 * size**3

    def run(self, steps):
        for _ in range(steps):
            np.matmul(self.a, self.b, out=self.out)


def contenders(names, n, m, instances, cls, batch_size=BATCH, law="rare"):
    """The contenders of these names that are installed, each with its model and laws."""
    model = cls.init(n, m, instances)
    features = tm.Features(n, LAWS[law][1](instances), signed=cls is tm.AbsoluteValue)
    found = [made for name in names if name in MODULES and find_spec(MODULES[name])
             for made in ORDERS[name]]
    return [made(model, features, batch_size, RATE)
            for made in [Ours] * (Ours.name in names) + found]


def seconds(run, steps):
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


def rounds_of(runs, options):
    """Seconds a step, (rounds, runs), in turns; each turn lasts about `options.seconds`."""
    steps = []
    for run in runs:
        run(3)
        steps.append(max(3, round(options.seconds / seconds(run, 3))))
    return np.array([[seconds(run, count) for run, count in zip(runs, steps)]
                     for _ in range(options.rounds)])


def speed(options):
    ratios, rows = {}, []
    for size in SIZES:
        for law in options.laws:
            times, share, rate = measured(size, law, options)
            (n, m, instances, cls), own = size, times[Ours.name]
            print(f"\n({n}, {m}) x {instances}, {cls.__name__}, {LAWS[law][0]}: {share:.0%} of "
                  f"sgemm's {rate / 1e9:.0f} Gflop/s")
            for name, taken in times.items():
                ratio = taken / own
                ratios.setdefault(name, []).append(np.median(ratio))
                print(f"    {name:14s} {np.median(taken) * 1e3:8.2f} ms a step    "
                      f"{np.median(ratio):5.2f} times ours ({ratio.min():.2f} to "
                      f"{ratio.max():.2f})", flush=True)
            kind = ", absolute value" * (cls is tm.AbsoluteValue)
            rows.append([f"({n}, {m}) × {instances}{kind}", LAWS[law][0],
                         f"{np.median(own) * 1e3:.2g}",
                         *(f"{values[-1]:.1f}" for values in list(ratios.values())[1:]),
                         f"{share:.0%}"])
    below = [f"Against {name}, the geometric mean of the {len(values)} ratios is "
             f"{np.exp(np.log(values).mean()):.1f}, and the least is {min(values):.1f}."
             for name, values in list(ratios.items())[1:]]
    print("\n" + "\n".join(below))
    head = ["(n, m) × instances", "law", "ms a step", *(f"{name}, times as long" for name in
                                                       list(ratios)[1:]), "share of sgemm"]
    tables.show("speed", head, rows, below, options.markdown)


def measured(size, law, options):
    """Seconds a step of each name, (rounds,), the faster order of axes for each; the share of sgemm
    and its rate.
    """
    n, m, instances, _ = size
    field, gemm = contenders([Ours.name, *options.rivals], *size, law=law), Matmul()
    times = rounds_of([one.run for one in field] + [gemm.run], options)
    taken = {one.name: own for one, own in zip(field, times.T)}
    best = {Ours.name: taken[Ours.name]}
    for name in options.rivals:
        orders = [taken[made.name] for made in ORDERS[name] if made.name in taken]
        if orders:
            best[name] = min(orders, key=np.median)
    flops = 10 * BATCH * n * m * instances         # two products forward, three backward, all dense
    share = np.median((flops / times[:, 0]) / (gemm.flops / times[:, -1]))
    return best, share, gemm.flops / np.median(times[:, -1])


def budget(options):
    """One thread and one instance first, in parts; then a whole step on all threads."""
    for n, m, instances, cls in SIZES:
        with threadpool_limits(1, user_api="blas"):
            rows = list(parts_of_a_step(n, m, cls))
        run = contenders([Ours.name], n, m, instances, cls, law="dense")[0].run
        whole, started, steps = rounds_of([run], options), time.process_time(), 50
        run(steps)
        busy = (time.process_time() - started) / steps / instances
        used, *_ = division(host, instances, tm.Features(n, 1.0), BATCH)
        print(f"\n({n}, {m}), {cls.__name__}, p = 1: one instance on one thread, microseconds")
        print("    part                        Mflop     MB   at the peaks   measured")
        for name, flops, size, ideal, taken in rows:
            print(f"    {name:26s} {flops / 1e6:7.1f} {size / 1e6:6.2f} {ideal * 1e6:14.0f} "
                  f"{taken * 1e6:10.0f}")
        _, flops, size, ideal, alone = np.sum([[0, *row[1:]] for row in rows], axis=0)
        spent = np.median(whole) * used / instances
        print(f"    {'sum':26s} {flops / 1e6:7.1f} {size / 1e6:6.2f} {ideal * 1e6:14.0f} "
              f"{alone * 1e6:10.0f}\n    a step of {instances} instances takes {busy * 1e6:.0f} "
              f"of CPU an instance, which is {busy / alone - 1:+.0%} for colder caches;\n    on "
              f"{used} threads it lasts {spent * 1e6:.0f}, which is {spent / busy - 1:+.0%} for "
              "waiting", flush=True)


def parts_of_a_step(n, m, cls):
    """For each part its name, flops, bytes of memory that it reads and writes, seconds at the peaks
    of this machine on one thread, and seconds.
    """
    model = cls.init(n, m, 1)
    features = tm.Features(n, 1.0, signed=cls is tm.AbsoluteValue)
    step, adam = host.Step(model, features, BATCH), host.Adam(
        model.parameters, AdamState.zeros_like(model.parameters), 0.0)
    batches = host.Batches(features, host.random_state(0, 1), BATCH, model.dtype)
    entries, weights = n * BATCH, adam.parameters.flat.size
    gemm = Matmul(1024)
    peak = gemm.flops / fastest(lambda: gemm.run(1))
    a, b, out = np.ones((3, 2**16), np.float32)                  # 768 kB, which one core's L2 holds
    rate = 12 * 2**16 / fastest(lambda: np.add(a, b, out=out))
    numbers = itertools.count()
    draw = fastest(lambda: [list(batches(next(numbers))) for _ in range(batches.steps)])
    x = [chunk.copy() for chunk in batches(0)]
    products = sum(fastest(product) for product in products_of(n, m))
    whole = fastest(lambda: step(adam.parameters, x, recorded=False))
    moved = 4 * entries * (8 + 2 * features.signed)       # residual 3, sign 2, mask 3, |x| 2
    yield "five products", 10 * entries * m, 0, 10 * entries * m / peak, products
    yield "passes over z, the rest", 0, moved, moved / rate, whole - products
    moved = 4 * entries * 5                                      # exclusive or 3, subtraction 2
    yield "random numbers", 0, moved, moved / rate, draw / batches.steps
    moved = 4 * weights * 24
    yield "Adam", 0, moved, moved / rate, fastest(lambda: adam(step.gradient, 0.0))


def products_of(n, m):
    """The five products of a dense step of one instance, alone, in the shapes of `passes.py`."""
    kind, sizes = host.layout(tm.Features(n, 1.0), BATCH)
    array = lambda *shape: np.ones(shape, np.float32)
    W, out, slope, slope_in = array(n, m), array(m + 1, n), array(n, m + 1), array(n, m)
    if kind == host.COLUMNS:
        x, h, dh = (array(units, BATCH) for units in (n, m + 1, m))
        shapes = [(transpose(W).copy(), x, dh), (slope, h, array(n, BATCH)),
                  (x, transpose(h), slope), (x, transpose(dh), slope_in)]
        return [lambda one=one: np.matmul(*one[:2], out=one[2]) for one in (shapes[0], *shapes)]
    products = []
    for rows in sizes:
        for first, last, count in passes.blocks(rows, n, m):
            x, h = (array(count, (last - first) // count, units) for units in (n, m + 1))
            slopes, dh = array(count, n, m + 1), array(*x.shape[:2], m)
            shapes = [(x, W, dh), (h, out, x.copy()), (transpose(x), h, slopes)]
            products += [lambda one=one: np.matmul(*one[:2], out=one[2])
                         for one in (shapes[0], *shapes, shapes[2])]
    return products


def fastest(call, repeats=7, seconds=0.02):
    """Seconds of a CPU that a call on one thread takes, at best; others may have the rest."""
    call()
    best = np.inf
    for _ in range(repeats):
        start, count = time.process_time(), 0
        while time.process_time() - start < seconds:
            call()
            count += 1
        best = min(best, (time.process_time() - start) / count)
    return best


def peak_megabytes():
    """The most memory that this process has held. (Linux; getrusage would count the parent's, too.)
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def in_fresh_process(*words):
    """What this script prints there."""
    done = subprocess.run([sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE,
                          text=True, check=True)
    return done.stdout.strip()


def memory(options):
    print("\npeak memory of a process that trains (400, 30) x 20, batch 1024, and of one that only "
          "imports")
    for name in [Ours.name, *options.rivals]:
        if contenders([name], 5, 2, 1, tm.ReluOutput):
            print(f"    {name:14s} {in_fresh_process('--peak', name, '--steps', 10)} MB, "
                  f"import {in_fresh_process('--peak', name, '--steps', 0)} MB")
    few, many = (in_fresh_process("--peak", Ours.name, "--steps", steps, "--small")
                 for steps in (100, 10_000))
    print(f"    (5, 2) x 10: {few} MB after 100 steps, {many} MB after 10 000")


def print_peak(options):
    if options.many:
        tm.train(tm.ReluOutput.init(5, 2, 100_000), tm.Features(5, P), steps=options.steps,
                 batch_size=128,
                 record_every=options.steps, progress=True)
        return print(f"{peak_megabytes():.0f}")
    n, m, instances, cls = SIZES[0 if options.small else -1]
    for one in contenders([options.peak], n, m, instances, cls):
        one.run(options.steps) if options.steps else None
    print(f"{peak_megabytes():.1f}")


def growth(options):
    base = {"n": 80, "m": 10, "instances": 8, "batch": 1024}
    print("\nmilliseconds a step at (80, 10) x 8, batch 1024, but for one number; and the exponent "
          "since the number before")
    for name, values in (("n", (20, 80, 320, 1280)), ("m", (5, 10, 20, 40)),
                         ("instances", (2, 8, 32, 128)),
                         ("batch", (256, 1024, 4096, 16384))):
        runs = []
        for value in values:
            size = base | {name: value}
            runs += [one.run for one in contenders([Ours.name], size["n"], size["m"],
                                                   size["instances"], tm.ReluOutput,
                                                   size["batch"])]
        times = np.median(rounds_of(runs, options), axis=0)
        exponents = ["", *(f" (^{np.log(b / a) / np.log(w / v):.2f})" for a, b, v, w in
                           zip(times, times[1:], values, values[1:]))]
        print(f"    {name:10s}"
              + "   ".join(f"{v}: {t * 1e3:.2f}{e}" for v, t, e in zip(values, times, exponents)))


def many(options):
    start = time.perf_counter()
    peak = in_fresh_process("--peak", Ours.name, "--steps", 100, "--many")
    print("\n100 000 instances of (5, 2), 100 steps of batch 128: "
          f"{time.perf_counter() - start:.0f} s, at most {peak} MB")


PARTS = {"speed": speed, "budget": budget, "memory": memory, "growth": growth, "many": many}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part",
                        help=f"any of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--laws", nargs="+", default=list(LAWS), choices=LAWS, metavar="law",
                        help=f"of speed: any of {', '.join(LAWS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each turn lasts")
    parser.add_argument("--rivals", nargs="*", default=list(ORDERS))
    tables.add_option(parser)
    parser.add_argument("--peak", metavar="NAME",
                        help="used by memory and many: print the peak memory of this process")
    parser.add_argument("--steps", type=int, default=0, help="that has taken so many steps")
    parser.add_argument("--small", action="store_true",
                        help="at the first of the six sizes and not the last")
    parser.add_argument("--many", action="store_true", help="with 100 000 instances")
    options = parser.parse_args()
    if options.peak:
        return print_peak(options)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(PARTS)}")
    missing = [name for name in ("torch", "jax") if not find_spec(name)]
    if missing:
        print(f"not installed and so not measured: {', '.join(missing)}")
    for name in options.parts or PARTS:
        PARTS[name](options)


if __name__ == "__main__":
    main()
