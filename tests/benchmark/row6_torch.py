"""Row 6 once more, independently: a PyTorch loop written as the paper's notebook does it.

    python tests/benchmark/row6_torch.py [--features 100] [--hidden 12] [--steps 30000] [--seed 0]

Nothing of toymodels_np is used here: model, sampler, gradients, optimiser and the feature
dimensionality are PyTorch's own or written out below. It prints, for each 1/p, how many features
are represented (norm at least 1/2) and how many of them have a share of a dimension within 0.02 of
3/4, 2/3, 1/2, 2/5 and 3/8. It is no part of the suite, since PyTorch is no dependency.
"""

import argparse
import time

import torch

INVERSE_P = [1.15, 1.2, 1.3, 1.45, 1.5, 1.55, 1.7, 2.2, 3.3, 4.5, 4.7, 5.0]
LINES = {"3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
ON_LINE, REPRESENTED = 0.02, 0.5


def train(n, m, inverse_p, steps, batch_size, rate, seed):
    """W (K, n, m) of K models, trained side by side with Adam and a cosine schedule."""
    torch.manual_seed(seed)
    p = 1 / torch.tensor(inverse_p)[:, None]                                    # (K, 1)
    W = torch.empty(len(inverse_p), n, m)
    torch.nn.init.xavier_normal_(W)
    b = torch.zeros(len(inverse_p), n)
    W.requires_grad_(), b.requires_grad_()
    optimiser = torch.optim.Adam([W, b], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x = torch.rand(batch_size, len(p), n)
        x = torch.where(torch.rand(batch_size, len(p), n) <= p, x, torch.zeros(()))
        h = torch.einsum("bkn,knm->bkm", x, W)
        y = torch.relu(torch.einsum("bkm,knm->bkn", h, W) + b)
        loss = ((x - y) ** 2).mean(0).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return W.detach()


def shares(W):
    """(norms, D), both (K, n), of W (K, n, m): D_i = |W_i|^2 / sum_j (W_i . W_j / |W_i|)^2."""
    norm = W.norm(dim=-1)
    unit = W / norm.clamp_min(1e-12)[..., None]
    return norm, norm**2 / torch.einsum("kim,kjm->kij", unit, W).pow(2).sum(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("features", 100), ("hidden", 12), ("steps", 30_000), ("batch", 512),
                        ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=3e-3)
    options = parser.parse_args()
    begin = time.time()
    W = train(options.features, options.hidden, INVERSE_P, options.steps, options.batch,
              options.rate, options.seed)
    norm, D = shares(W)
    print(f"n = {options.features}, m = {options.hidden}, {options.steps} steps of "
          f"{options.rate:g}, seed {options.seed}: {time.time() - begin:.0f} s")
    print("   1/p  represented  " + "  ".join(f"{name:>4}" for name in LINES))
    for k, inverse in enumerate(INVERSE_P):
        kept = D[k][norm[k] >= REPRESENTED]
        counts = [int(((kept - line).abs() <= ON_LINE).sum()) for line in LINES.values()]
        print(f"{inverse:6g}  {len(kept):11d}  " + "  ".join(f"{count:4d}" for count in counts))


if __name__ == "__main__":
    main()
