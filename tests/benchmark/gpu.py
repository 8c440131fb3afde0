"""Time of a training step on a GPU, beside torch.compile on the same one.

    python tests/benchmark/gpu.py [--features 400] [--hidden 30] [--instances 200] [--batch 4096]
    [--rounds 7]

Both draw every sample on the GPU, start from the same weights and train in float32 (neither in
TF32). They take turns in every round; the ratio is the median over rounds, with its range.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from rivals import TorchCompiled
from training import RATE, Ours, P, rounds_of

import toymodels_np as tm
from toymodels_np.engine.backends import device_module


class OursOnGpu(Ours):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.settings["backend"] = "cupy"


class TorchCompiledOnGpu(TorchCompiled):
    """Everything that PyTorch makes is made on the GPU; a run ends when the GPU has ended."""

    def __init__(self, *arguments):
        import torch
        torch.set_default_device("cuda")
        super().__init__(*arguments)

    def run(self, steps):
        super().run(steps)
        self.torch.cuda.synchronize()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("features", 400), ("hidden", 30), ("instances", 200), ("batch", 4096),
                          ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each turn lasts")
    options = parser.parse_args()
    try:
        cupy = device_module()
        import torch
    except (ImportError, RuntimeError) as error:
        sys.exit(f"nothing is measured: {error}")
    if not torch.cuda.is_available():
        sys.exit("nothing is measured: this PyTorch has no CUDA, see "
                 "https://pytorch.org/get-started")
    model = tm.ReluOutput.init(options.features, options.hidden, options.instances)
    features = tm.Features(options.features, P)
    field = [kind(model, features, options.batch, RATE) for kind in (OursOnGpu, TorchCompiledOnGpu)]
    times = rounds_of([one.run for one in field], options)
    ratio = times[:, 1] / times[:, 0]
    print(f"({options.features}, {options.hidden}) x {options.instances}, batch {options.batch}, "
          f"{torch.cuda.get_device_name()}, CuPy {cupy.__version__}, PyTorch {torch.__version__}")
    for one, own in zip(field, np.median(times, axis=0) * 1e3):
        print(f"    {one.name:14s} {own:8.3f} ms a step")
    print(f"    ratio          {np.median(ratio):8.2f} ({ratio.min():.2f} to {ratio.max():.2f}, "
          f"{len(ratio)} rounds)")


if __name__ == "__main__":
    main()
