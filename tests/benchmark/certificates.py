"""What proofs cost: certificates, global proofs, the diagram of two features, λ_c, stretches of p.

    python tests/benchmark/certificates.py [points] [global] [grid] [lambda] [stretch]

Without a name all but the grid run. The grid takes both cores, and keeps what it has in out/, so
that it can be stopped and started again.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction

import numpy as np

import toymodels_np as tm
from toymodels_np.theory.certify.tube import cover

CELLS = 16
CRITICAL = ((1, 0.3, 0.0391248), (0.5, 0.3, 0.0130119), (0.8, 0.1, 0.0198570),
            (0.8, 0.3, 0.0277151))


def timed(label, call):
    start = time.perf_counter()
    result = call()
    print(f"{label:44} {time.perf_counter() - start:7.1f} s  ", end="", flush=True)
    return result


def points():
    features, e = tm.Features(5, 0.05), tm.energies.antipodal(0.05)
    W = np.hstack([np.kron(np.eye(2), [e.norm, -e.norm]), np.zeros((2, 1))])
    two = tm.ReluOutput(W, np.append(np.full(4, e.bias), 0.025))
    saddle = tm.climb_to_saddle(tm.ReluOutput(W + 0.3 * np.eye(2, 5, 4), two.b), features)
    for name, model in (("pentagon", tm.find_minimum(features, 2, starts=8).model),
                        ("2 digons + dropped", two), ("saddle", saddle)):
        c = timed(f"certify {name}", lambda: tm.certify(model, features))
        low, high = c.loss_interval
        print(c.proved, c.index, float(c.radius), float(low), float(high - low))
        print(timed("    checked", lambda: tm.check_certificate(c.to_dict())))


def everywhere():
    for importance, p in ((1, 0.5), (0.5, 0.1), (0.3, 0.05), (0.9, 0.2)):
        for strength in (0.0, 0.01):
            features = tm.Features(2, p, [1, importance])
            g = timed(f"global I = {importance}, p = {p}, λ = {strength}",
                      lambda: tm.certify_global(features, interference=strength, progress=False))
            found = tm.find_minimum(features, 1, interference=strength, progress=False)
            print(g.proved, g.boxes, len(g.minimisers), float(g.loss_interval[0]) - found.loss)


def cell(job):
    g = tm.certify_global(tm.Features(2, job["p"], [1, job["importance"]]), most_boxes=20_000,
                          progress=False)
    return {"proved": g.proved, "boxes": g.boxes, "loss": float(g.loss_interval[1]),
            "reason": g.reason}


def grid():
    axes = np.geomspace(0.1, 10, CELLS), np.geomspace(0.01, 1, CELLS)
    jobs = [{"importance": float(i), "p": float(p)} for i in axes[0] for p in axes[1]]
    with ProcessPoolExecutor(2) as pool:
        timed("the grid", lambda: tm.sweep(cell, jobs, "out/certificates-grid", executor=pool))
    cells = tm.load_sweep("out/certificates-grid")
    print(f"{np.mean([c['proved'] for c in cells]):.1%} proved; not:",
          [(j, c["reason"]) for j, c in zip(jobs, cells) if not c["proved"]])


def critical():
    for importance, p, at in CRITICAL:
        features = tm.Features(2, p, [1, importance])
        g = timed(f"λ_c I = {importance}, p = {p}", lambda: tm.certify_global(
            features, interference=at + 6e-7, progress=False))
        print(g.proved, all(0 in c.W[0] for c in g.minimisers))


def pentagon(p):
    e, angle = tm.energies.polygon(5, p), 2 * np.pi * np.arange(5) / 5
    return e.norm * np.stack([np.cos(angle), np.sin(angle)]), np.full(5, e.bias)


def stretches():
    low, high = Fraction("0.2248"), Fraction("0.2249")
    parts = timed("the pentagon's stretches around p*", lambda: cover(
        pentagon, low, high, widest=Fraction(1, 8000)))
    print(len(parts), parts[0].low == low and parts[-1].high == high)


ALL = {"points": points, "global": everywhere, "lambda": critical, "stretch": stretches,
       "grid": grid}

if __name__ == "__main__":
    for name in sys.argv[1:] or list(ALL)[:-1]:
        ALL[name]()
