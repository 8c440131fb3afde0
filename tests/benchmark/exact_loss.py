"""Time and memory of the exact loss and its gradient: as the number of features grows, and at
random, trained and polished models.

    python tests/benchmark/exact_loss.py [--rounds 5] [--largest 400] [--rtol 1e-10]

First, weights are Xavier with a little bias at p = 0.05, and m = 2, 5, 20, 30; the last column is
the exponent of n with which the gradient's time has grown since the row above. Then 20 features of
importance 0.7^i in 5 dimensions: a random model, the same trained, and the same polished. Times are
processor times, so that other work on the machine counts little.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import toymodels_np as tm

SIZES = ((5, 2), (20, 5), (40, 10), (80, 20), (160, 30), (400, 30))


def median_time(function, rounds):
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def at_real_minima(rounds, rtol):
    """The gradient's time at random, trained and polished models of 20 features in 5 dimensions."""
    print("\n20 in 5, I = 0.7^i      p  gradient ms  to random")
    for p in (0.3, 0.1, 0.05, 0.01):
        features = tm.Features(20, p, 0.7 ** np.arange(20))
        start = tm.ReluOutput.init(20, 5, seed=0)
        trained = tm.train(start, features, steps=3000, progress=False).model
        polished = tm.polish(trained, features, progress=False).model
        first = None
        for name, model in (("random", start), ("trained", trained), ("polished", polished)):
            took = median_time(lambda: tm.expected_loss_and_grad(model, features, rtol=rtol),
                               rounds)
            first = first or took
            print(f"{name:18} {p:8g} {took * 1e3:12.1f} {took / first:10.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=400)
    parser.add_argument("--rtol", type=float, default=1e-10)
    options = parser.parse_args()
    print("   n   m     loss ms  gradient ms  peak MB  exponent")
    last = None
    for n, m in SIZES:
        if n > options.largest:
            break
        model = tm.ReluOutput.init(n, m, seed=0, dtype=np.float64)
        model = tm.ReluOutput(model.W, model.b - 0.05)
        features = tm.Features(n, 0.05)
        rounds = options.rounds if n < 200 else 1
        tm.expected_loss_and_grad(model, features)
        loss = median_time(lambda: tm.expected_loss(model, features), rounds)
        gradient = median_time(lambda: tm.expected_loss_and_grad(model, features), rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        growth = None if last is None else np.log(gradient / last[1]) / np.log(n / last[0])
        exponent = "" if growth is None else f"{growth:9.2f}"
        print(f"{n:4d} {m:3d} {loss * 1e3:11.2f} {gradient * 1e3:12.2f} {peak:8.0f} {exponent}")
        last = n, gradient
    at_real_minima(options.rounds, options.rtol)


if __name__ == "__main__":
    main()
