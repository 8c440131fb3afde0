"""Time of one training step, against an eager PyTorch loop that does the same work.

    python tests/benchmark/step_time.py [--instances 10] [--steps 300] [--rounds 7]

The PyTorch loop is what a user would write: dense masked sampling, einsum forward, autograd, AdamW, sum over features.
Rounds of both are interleaved, so that a slow moment of the machine hits both; the figure is the median of the ratios.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import toymodels_np as tm

N, M, P, BATCH = 5, 2, 0.05, 1024


def torch_stepper(torch, instances):
    W = torch.nn.Parameter(torch.randn(instances, M, N) * (2 / (M + N)) ** 0.5)
    b = torch.nn.Parameter(torch.zeros(instances, 1, N))
    importance = torch.ones(N)
    optimiser = torch.optim.AdamW([W, b], lr=1e-3, weight_decay=0.0)

    def run(steps):
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            x = torch.rand(instances, BATCH, N)
            x = torch.where(torch.rand(instances, BATCH, N) < P, x, torch.zeros(()))
            h = torch.einsum("kbn,kmn->kbm", x, W)
            y = torch.relu(torch.einsum("kbm,kmn->kbn", h, W) + b)
            loss = (importance * (x - y) ** 2).sum(-1).mean(-1).sum()
            loss.backward()
            optimiser.step()

    return run


def our_stepper(instances):
    model = tm.ReluOutput.init(N, M, instances)
    features = tm.Features(N, P)
    return lambda steps: tm.train(model, features, steps=steps, batch_size=BATCH, record_every=steps, progress=False)


def seconds_per_step(run, steps):
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("instances", 10), ("steps", 300), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("this benchmark needs PyTorch: pip install torch")
    runs = our_stepper(options.instances), torch_stepper(torch, options.instances)
    for run in runs:
        run(20)
    times = np.array([[seconds_per_step(run, options.steps) for run in runs] for _ in range(options.rounds)])
    ours, theirs = np.median(times, axis=0) * 1e3
    ratio = times[:, 1] / times[:, 0]
    print(f"({N}, {M}) x {options.instances} instances, batch {BATCH}, {torch.get_num_threads()} threads for PyTorch")
    print(f"toymodels_np   {ours:.3f} ms a step\nPyTorch eager  {theirs:.3f} ms a step")
    print(f"ratio          {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f} over {options.rounds} rounds)")


if __name__ == "__main__":
    main()
