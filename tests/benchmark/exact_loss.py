"""Time and memory of the exact loss and its gradient, as the number of features grows.

    python tests/benchmark/exact_loss.py [--rounds 5] [--largest 400]

Weights are Xavier with a little bias at p = 0.05, and m = 2, 5, 20, 30. The last column is the exponent of n with which
the gradient's time has grown since the row above.
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
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=400)
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
        exponent = "" if last is None else f"{np.log(gradient / last[1]) / np.log(n / last[0]):9.2f}"
        print(f"{n:4d} {m:3d} {loss * 1e3:11.2f} {gradient * 1e3:12.2f} {peak:8.0f} {exponent}")
        last = n, gradient


if __name__ == "__main__":
    main()
