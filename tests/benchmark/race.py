"""What a user waits for: from a cold shell to the best minimum that is known; and whether speed is
bought with quality.

    python tests/benchmark/race.py [race] [quality] [--sizes 5 20 80] [--longest 16000] [--seeds 64]
        [--markdown [README.md]]

race     Each contender starts in a fresh process: import, build, train eight models for a number of
         steps; the best of them counts. Lengths double until --longest; the first whose exact loss
         is within 1e-3, or within 1e-6, of the best minimum that is known counts: that is the
         lowest end of all, and the best trained model of all is polished for it, too. The time is
         that of the whole process up to there, judging excepted. Learning rate and schedule are the
         best of a small grid, by the loss after TUNED steps; to find them is not counted, and since
         losses after equal steps are equal (quality), they are found with this trainer. PyTorch
         runs eagerly, in both orders of axes. What is polished is the best of a short run, chosen
         by exact losses; choosing and polishing count.
quality  After equal steps from the same weights, the exact expected loss of this trainer's models
         and of PyTorch's: where all are dense, of one probability an instance, and rare; at the
         last of the sizes this trainer's batches are lists.
"""

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import tables

SIZES = {5: (2, 0.05), 20: (5, 0.1), 80: (20, 0.1)}                 # n -> m, p
BATCH, MODELS, SHORTEST, TUNED = 1024, 8, 250, 2000
GRID = list(product((0.003, 0.01, 0.03), ("constant", "linear", "cosine")))
GOALS = (1e-3, 1e-6)
SHORT = {5: 250, 20: 500, 80: 8000}                 # steps before polishing
NAMES = {"torch": "PyTorch", "second": "PyTorch, notebook's axes", "numpy": "this trainer",
         "polish": "train, then polish"}


def trained(n, steps, rate, schedule):
    import toymodels_np as tm
    m, p = SIZES[n]
    return tm.train(tm.ReluOutput.init(n, m, MODELS, seed=0), tm.Features(n, p), steps=steps,
                    batch_size=BATCH, learning_rate=rate, schedule=schedule, record_every=steps,
                    progress=False).model


def compete(options):
    """In a fresh process: {seconds since it was started, exact loss of the best model}."""
    import toymodels_np as tm
    n, steps, (rate, schedule) = options.size, options.steps, GRID[options.setting]
    m, p = SIZES[n]
    features = tm.Features(n, p)
    exact = lambda model: tm.expected_loss(model, features, rtol=1e-9)
    if options.compete in ("torch", "second"):
        import rivals
        made = {"torch": rivals.Torch, "second": rivals.TorchSecond}[options.compete]
        rival = made(tm.ReluOutput.init(n, m, MODELS, seed=0), features, BATCH, rate)
        rival.run(steps, schedule=tm.core.optim.schedule(schedule, rate, steps))
        model = rival.model()
    else:
        model = trained(n, steps, rate, schedule)
    if options.compete == "polish":
        loss = tm.polish(model[int(exact(model).argmin())], features, starts=1).loss
        seconds = time.time() - options.started
    else:
        seconds = time.time() - options.started
        losses = exact(model)
        loss = losses.min()
        tm.save(options.keep, model[int(losses.argmin())])
    print(json.dumps({"seconds": seconds, "loss": float(loss)}))


def run_cold(who, n, steps, setting, folder):
    words = [sys.executable, __file__, "--compete", who, "--size", str(n), "--steps", str(steps),
             "--setting", str(setting), "--keep", kept(folder, who, steps),
             "--started", repr(time.time())]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    return result["seconds"], result["loss"]


def kept(folder, who, steps):
    """The file of the best model of a run."""
    return str(Path(folder) / f"{who}-{steps}.npz")


def best_setting(n):
    """The place in GRID of the settings with the lowest loss after TUNED steps."""
    import toymodels_np as tm
    features = tm.Features(n, SIZES[n][1])
    losses = [tm.expected_loss(trained(n, TUNED, *setting), features, rtol=1e-6).min()
              for setting in GRID]
    return losses.index(min(losses))


def runs_of(who, n, setting, longest, folder):
    """[(steps, seconds, loss), …] of longer and longer runs."""
    if who == "polish":
        return [(SHORT[n], *run_cold(who, n, SHORT[n], setting, folder))]
    runs, steps = [], SHORTEST
    while steps <= longest:
        runs.append((steps, *run_cold(who, n, steps, setting, folder)))
        print(f"    {NAMES[who]:26s} {steps:6d} steps {runs[-1][1]:8.1f} s, loss "
              f"{runs[-1][2]:.12f}", flush=True)
        steps *= 2
    return runs


def race(options):
    rows, below = [], []
    for n in options.sizes:
        m, p = SIZES[n]
        setting = best_setting(n)
        rate, schedule = GRID[setting]
        print(f"\n({n}, {m}), p = {p}, learning rate {rate}, {schedule}")
        with TemporaryDirectory() as folder:
            runs = {who: runs_of(who, n, setting, options.longest, folder) for who in NAMES
                    if who in ("numpy", "polish") or find_spec("torch")}
            least = best_known(n, runs, folder)
        orders = [runs.pop(who) for who in ("torch", "second") if who in runs]
        if orders:
            runs = {"torch": min(orders, key=lambda found: found[-1][1])} | runs
        for who, found in runs.items():
            cells = [arrival(found, least, goal) for goal in GOALS]
            rows.append([f"({n}, {m}), p = {p}", NAMES[who], *cells])
            print(f"    {NAMES[who]:26s} to 1e-3: {cells[0]}; to 1e-6: {cells[1]}")
        below.append(f"({n}, {m}): learning rate {rate}, {schedule}; the best minimum known has "
                     f"loss {least:.12f}.")
    tables.show("race", ["task", "by", "within 1e-3", "within 1e-6"], rows, below, options.markdown)


def best_known(n, runs, folder):
    """The lowest loss of all, once the best trained model has been polished, too; not timed."""
    import toymodels_np as tm
    ends = [(loss, who, steps) for who, found in runs.items() for steps, _, loss in found]
    _, who, steps = min(end for end in ends if end[1] != "polish")
    model = tm.load(kept(folder, who, steps))
    return min(tm.polish(model, tm.Features(n, SIZES[n][1]), starts=1).loss, min(ends)[0])


def arrival(runs, least, goal):
    """When the first of some runs was within `goal` of the loss `least`, in words."""
    for steps, seconds, loss in runs:
        if loss <= least * (1 + goal):
            return f"{seconds:.1f} s, {steps} steps"
    steps, seconds, loss = runs[-1]
    return f"not after {steps} steps and {seconds:.0f} s: {loss / least - 1:.1e}"


def quality(options):
    import numpy as np

    import toymodels_np as tm
    if not find_spec("torch"):
        return print("\nquality needs PyTorch")
    import rivals
    print("\nexact expected loss after equal steps from the same weights, mean over "
          f"{options.seeds} models")
    mixed = 20.0 ** -np.linspace(0, 1, options.seeds)[:, None]
    for n, m, p, steps in ((5, 2, 0.05, 3000), (5, 2, mixed, 3000), (5, 2, 1.0, 3000),
                           (20, 5, 0.1, 2000), (20, 5, mixed, 2000), (20, 5, 1.0, 2000),
                           (60, 10, 1.0, 500), (40, 10, 0.2, 1000), (40, 10, 0.05, 1000)):
        features, model = tm.Features(n, p), tm.ReluOutput.init(n, m, options.seeds, seed=1)
        ours = tm.train(model, features, steps=steps, learning_rate=3e-3, record_every=steps).model
        rival = rivals.Torch(model, features, BATCH, 3e-3)
        rival.run(steps)
        a, b = (tm.expected_loss(one, features, rtol=1e-6) for one in (ours, rival.model()))
        error = np.std(a - b, ddof=1) / len(a) ** 0.5
        law = f"p = {p}" if np.ndim(p) == 0 else "p from 1 to 1/20"
        print(f"    ({n}, {m}), {law}, {steps} steps: {a.mean():.6f} and {b.mean():.6f}, spread "
              f"over seeds {a.std():.6f}, difference {a.mean() - b.mean():+.1e} = "
              f"{(a - b).mean() / error:+.1f} standard errors", flush=True)


PARTS = {"race": race, "quality": quality}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part",
                        help="race or quality; both if none is named")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), choices=SIZES,
                        help="of the race, by their number of features")
    parser.add_argument("--longest", type=int, default=16_000,
                        help="steps after which a contender gives up")
    parser.add_argument("--seeds", type=int, default=64, help="models of the comparison of quality")
    tables.add_option(parser)
    parser.add_argument("--compete", choices=NAMES, help="used by race: run once in this process")
    for name in ("--size", "--steps", "--setting"):
        parser.add_argument(name, type=int, default=0)
    parser.add_argument("--started", type=float, default=0.0)
    parser.add_argument("--keep", help="used by race: where the best model is kept")
    options = parser.parse_args()
    if options.compete:
        return compete(options)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(PARTS)}")
    for name in options.parts or PARTS:
        PARTS[name](options)


if __name__ == "__main__":
    main()
