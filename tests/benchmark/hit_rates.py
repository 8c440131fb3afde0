"""How often `find_minimum` finds the lowest minimum that is known: hard cases and drawn ones.

    python tests/benchmark/hit_rates.py [--seeds 3] [--drawn 30] [--starts 500] [--rtol 1e-6]

Every problem is solved with default arguments from so many seeds, and once with many starts and
another seed: the lowest of all is taken for the truth. A search that ends above it by more than
rtol has missed. The table says how many of the searches hit, how many of the random starts alone
would have, and the longest time.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import toymodels_np as tm

HARD = {
    "5 in 2, I = 0.7^i": (5, 2, 0.05, 0.7 ** np.arange(5)),
    "5 in 2, I = 0.9^i": (5, 2, 0.05, 0.9 ** np.arange(5)),
    "5 in 2, p unequal": (5, 2, 0.2 * np.array([1, 0.8, 0.6, 0.5, 0.4]), np.ones(5)),
    "6 in 2, I = 0.9^i": (6, 2, 0.05, 0.9 ** np.arange(6)),
    "7 in 3, I = 0.9^i": (7, 3, 0.05, 0.9 ** np.arange(7)),
    "6 in 3, I = 0.9^i": (6, 3, 0.05, 0.9 ** np.arange(6)),
    "6 in 2, I = 0.8^i": (6, 2, 0.1, 0.8 ** np.arange(6)),
    "5 in 2, p and I": (5, 2, 0.1 * 0.8 ** np.arange(5), 0.9 ** np.arange(5)),
    "7 in 3, I = 0.8^i": (7, 3, 0.1, 0.8 ** np.arange(7)),
}
SIZES = ((5, 2), (6, 2), (6, 3), (7, 3))


def drawn(count):
    """Problems with p and importance drawn log-uniformly: p in [0.02, 0.3], I in [0.3, 1]."""
    rng = np.random.default_rng(2022)
    for i in range(count):
        n, m = SIZES[i % len(SIZES)]
        p, importance = 0.02 * 15 ** rng.random(n), 0.3 ** rng.random(n)
        yield f"drawn {i}: {n} in {m}", (n, m, p, importance)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--drawn", type=int, default=30)
    parser.add_argument("--starts", type=int, default=500)
    parser.add_argument("--rtol", type=float, default=1e-6)
    options = parser.parse_args()
    print(f"{'problem':24} {'hits':>6} {'starts':>8} {'longest s':>10} {'CPU s':>6} {'loss':>14}")
    missed = 0
    for name, (n, m, p, importance) in [*HARD.items(), *drawn(options.drawn)]:
        features, found, took, cpu = tm.Features(n, p, importance), [], [], []
        for seed in range(options.seeds):
            start, used = time.perf_counter(), time.process_time()
            found.append(tm.find_minimum(features, m, seed=seed))
            took.append(time.perf_counter() - start)
            cpu.append(time.process_time() - used)
        many = tm.find_minimum(features, m, starts=options.starts, seed=1000).loss
        best = min([many, *(x.loss for x in found)])
        hits = sum(x.loss <= best * (1 + options.rtol) for x in found)
        alone = np.mean([x.start_losses <= best * (1 + 1e-4) for x in found])
        missed += options.seeds - hits
        print(f"{name:24} {hits}/{options.seeds:<4} {alone:8.1%} {max(took):10.1f} {max(cpu):6.1f} "
              f"{best:14.10f}{'' if many <= best * (1 + options.rtol) else ' many missed'}",
              flush=True)
    print(f"{missed} missed")


if __name__ == "__main__":
    main()
