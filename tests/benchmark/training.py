"""Time and memory of training, beside PyTorch (eager and compiled) and JAX, whichever are
installed.

    python tests/benchmark/training.py [speed] [memory] [growth] [many] [--rounds 5] [--seconds 3]

speed    milliseconds a step at six sizes. All contenders take turns in every round, so that a slow
         moment of the machine hits all of them; a ratio is the median over rounds, with its range.
         Also the share of the machine's own sgemm rate, measured in the same rounds, that the five
         matrix products of a step come to. All five count as dense, as a rival does them; here two
         are shorter sums where features are rare.
memory   the most that a fresh process holds while it trains (400, 30) x 20, and whether 10 000
         steps need more than 100
growth   how the time of a step grows with features, hidden dimensions, instances and batch
many     100 000 instances of (5, 2)

Without a word: all of them. Every step samples anew, p = 0.05, float32; models start from the same
weights.
"""

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import rivals

import toymodels_np as tm

P, BATCH, RATE = 0.05, 1024, 1e-3
SIZES = ((5, 2, 10, tm.ReluOutput), (20, 5, 7, tm.ReluOutput), (80, 20, 7, tm.ReluOutput),
         (100, 40, 7, tm.AbsoluteValue),
         (200, 20, 20, tm.ReluOutput), (400, 30, 20, tm.ReluOutput))


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


def contenders(names, n, m, instances, cls, batch_size=BATCH):
    """The contenders of these names that are installed, each with its model and laws."""
    model, features = cls.init(n, m, instances), tm.Features(n, P, signed=cls is tm.AbsoluteValue)
    found = {Ours.name: (Ours, "numpy"), "PyTorch": (rivals.Torch, "torch"),
             "torch.compile": (rivals.TorchCompiled, "torch"), "JAX": (rivals.Jax, "jax")}
    return [found[name][0](model, features, batch_size, RATE) for name in names
            if find_spec(found[name][1])]


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
    ratios = {}
    for n, m, instances, cls in SIZES:
        field = contenders([Ours.name, *options.rivals], n, m, instances, cls)
        gemm = Matmul()
        times = rounds_of([one.run for one in field] + [gemm.run], options)
        flops = 10 * BATCH * n * m * instances     # two products forward, three backward, all dense
        share = (flops / times[:, 0]) / (gemm.flops / times[:, -1])
        print(f"\n({n}, {m}) x {instances}, {cls.__name__}: {np.median(share):.0%} of sgemm's "
              f"{gemm.flops / np.median(times[:, -1]) / 1e9:.0f} Gflop/s")
        for one, own in zip(field, times.T):
            ratio = own / times[:, 0]
            ratios.setdefault(one.name, []).append(np.median(ratio))
            print(f"    {one.name:14s} {np.median(own) * 1e3:8.2f} ms a step    "
                  f"{np.median(ratio):5.2f} times ours ({ratio.min():.2f} to "
                  f"{ratio.max():.2f})", flush=True)
    print("\ngeometric mean of the ratios")
    for name, values in list(ratios.items())[1:]:
        print(f"    {name:14s} {np.exp(np.log(values).mean()):.2f}, at least {min(values):.2f}")


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


PARTS = {"speed": speed, "memory": memory, "growth": growth, "many": many}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part",
                        help=f"any of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each turn lasts")
    parser.add_argument("--rivals", nargs="*", default=["PyTorch", "torch.compile", "JAX"])
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
