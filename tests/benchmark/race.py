"""From a cold start to the true minimum of (5, 2), p = 0.05; and whether speed is bought with
quality.

    python tests/benchmark/race.py [race] [quality] [--longest 16000] [--seeds 64]

race     Each contender starts in a fresh process: import, build, train ten models for a number of
         steps with a cosine schedule, the best of ten counts. Lengths double until the exact loss
         of the best is within 1 %, then within 1e-6, of the true minimum; the time is that of the
         whole process up to there, judging excepted. The solver does no training. PyTorch runs
         eagerly, as in the paper's notebook.
quality  After equal steps from the same weights, the exact expected loss of this trainer's models
and of PyTorch's; at the
         last of the sizes this trainer's batches are lists.
"""

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

N, M, P, BATCH, MODELS, RATE, SHORTEST = 5, 2, 0.05, 1024, 10, 0.02, 125
GOALS = (1e-2, 1e-6)
NAMES = {"numpy": "toymodels_np, training", "torch": "PyTorch, training",
         "solver": "toymodels_np, solving"}


def compete(who, steps, started):
    """In a fresh process: {seconds since `started`, exact loss of the best model, of the true
    minimum}.
    """
    import toymodels_np as tm
    features = tm.Features(N, P)
    if who == "solver":
        losses = [tm.find_minimum(features, M).loss]
        seconds = time.time() - started
    else:
        model = tm.ReluOutput.init(N, M, MODELS, seed=0)
        if who == "torch":
            import rivals
            rival = rivals.Torch(model, features, BATCH, RATE)
            rival.run(steps, schedule=tm.core.optim.schedule("cosine", RATE, steps))
            model = rival.model()
        else:
            model = tm.train(model, features, steps=steps, batch_size=BATCH, learning_rate=RATE,
                             schedule="cosine",
                             record_every=steps, progress=False).model
        seconds = time.time() - started
        losses = tm.expected_loss(model, features)
    print(json.dumps({"seconds": seconds, "loss": float(min(losses)),
                      "minimum": tm.energies.polygon(N, P).loss}))


def run_cold(who, steps):
    words = [sys.executable, __file__, "--compete", who, "--steps", str(steps), "--started",
             repr(time.time())]
    result = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return result["seconds"], result["loss"] / result["minimum"] - 1


def race(options):
    print(f"\nfrom a cold start to within {GOALS[0]:.0%} and {GOALS[1]:g} of the true minimum of "
          f"({N}, {M}), p = {P}")
    seconds, excess = run_cold("solver", 0)
    print(f"    {NAMES['solver']:24s} {seconds:6.1f} s, relative excess {excess:.1e}")
    for who in ("numpy", "torch"):
        if not find_spec(who):
            continue
        goals, steps = list(GOALS), SHORTEST
        while goals and steps <= options.longest:
            seconds, excess = run_cold(who, steps)
            while goals and excess <= goals[0]:
                print(f"    {NAMES[who]:24s} {seconds:6.1f} s to {goals.pop(0):g}: {steps} steps, "
                      f"excess {excess:.1e}", flush=True)
            steps *= 2
        for goal in goals:
            print(f"    {NAMES[who]:24s} never to {goal:g}: after {steps // 2} steps and "
                  f"{seconds:.1f} s, excess {excess:.1e}")


def quality(options):
    import numpy as np

    import toymodels_np as tm
    if not find_spec("torch"):
        return print("\nquality needs PyTorch")
    import rivals
    print("\nexact expected loss after equal steps from the same weights, mean over "
          f"{options.seeds} models")
    for n, m, p, steps in ((5, 2, 0.05, 3000), (20, 5, 0.1, 2000), (40, 10, 0.2, 1000),
                           (40, 10, 0.05, 1000)):
        features, model = tm.Features(n, p), tm.ReluOutput.init(n, m, options.seeds, seed=1)
        ours = tm.train(model, features, steps=steps, learning_rate=3e-3, record_every=steps).model
        rival = rivals.Torch(model, features, BATCH, 3e-3)
        rival.run(steps)
        a, b = (tm.expected_loss(one, features, rtol=1e-6) for one in (ours, rival.model()))
        error = np.std(a - b, ddof=1) / len(a) ** 0.5
        print(f"    ({n}, {m}), p = {p}, {steps} steps: {a.mean():.6f} and {b.mean():.6f}, spread "
              f"over seeds {a.std():.6f}, difference {a.mean() - b.mean():+.1e} = "
              f"{(a - b).mean() / error:+.1f} standard errors", flush=True)


PARTS = {"race": race, "quality": quality}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part",
                        help="race or quality; both if none is named")
    parser.add_argument("--longest", type=int, default=16_000,
                        help="steps after which a contender gives up")
    parser.add_argument("--seeds", type=int, default=64, help="models of the comparison of quality")
    parser.add_argument("--compete", choices=NAMES, help="used by race: run once in this process")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--started", type=float, default=0.0)
    options = parser.parse_args()
    if options.compete:
        return compete(options.compete, options.steps, options.started)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(PARTS)}")
    for name in options.parts or PARTS:
        PARTS[name](options)


if __name__ == "__main__":
    main()
