"""What proofs cost: certificates, global proofs, the diagram of two features, λ_c, stretches of p.

    python tests/benchmark/certificates.py [points] [global] [grid] [surface] [pentagon]
    python tests/benchmark/certificates.py pentagon LOW HIGH
    python tests/benchmark/certificates.py three P

Without a name `points` and `global` run. The grid and the surface take both cores for a quarter of
an hour, and keep what they have in out/, so that they can be stopped and started again. `surface`
and `pentagon` write out/critical.json and out/pentagon.json, which come with the package in
toymodels_np/theory/certify/proved.
"""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from math import floor, log10
from pathlib import Path

import numpy as np
from tqdm import tqdm

import toymodels_np as tm
from toymodels_np.theory.certify import tube
from toymodels_np.theory.certify.proved import Critical

OUT = Path("out")
CELLS = 16
IMPORTANCES = 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0       # of the surface
PROBABILITIES = 0.02, 0.05, 0.1, 0.2, 0.3
EDGES = [(i, p) for p in (0.01, 0.4) for i in (0.3, 0.5, 0.8, 1.0)]     # and there
DIGITS = 6                                  # of λ_c that are sure
LOW, HIGH = "0.01", "0.2249"                # of the pentagon


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


def three(p="0.05"):
    with ProcessPoolExecutor(2) as pool:
        keeper = tm.Keeper(OUT / f"three-{p}", pool)
        g = timed(f"global, three features, p = {p}",
                  lambda: tm.certify_global(tm.Features(3, float(p)), executor=keeper))
    print(g.proved, g.boxes, len(g.minimisers), [float(end) for end in g.loss_interval], g.reason)


def cell(job):
    g = tm.certify_global(tm.Features(2, job["p"], [1, job["importance"]]), most_boxes=20_000,
                          progress=False)
    return {"proved": g.proved, "boxes": g.boxes, "loss": float(g.loss_interval[1]),
            "reason": g.reason}


def rows_of(folder):
    """What a sweep left there, one dictionary a job."""
    table = tm.load_sweep(folder)
    return [dict(zip(table, row)) for row in zip(*table.values())]


def report(rows):
    """Say how many rows are proved, and name the others."""
    print(f"{sum(bool(row['proved']) for row in rows)} of {len(rows)} proved; not:")
    for row in rows:
        if not row["proved"]:
            print(f"    I = {row['importance']:.4g}, p = {row['p']:.4g}: {row['reason']}")


def grid():
    axes = np.geomspace(0.1, 10, CELLS), np.geomspace(0.01, 1, CELLS)
    jobs = [{"importance": float(i), "p": float(p)} for i in axes[0] for p in axes[1]]
    with ProcessPoolExecutor(2) as pool:
        timed("the grid", lambda: tm.sweep(cell, jobs, OUT / "certificates-grid", executor=pool))
    report(rows_of(OUT / "certificates-grid"))


def crossing(features, v):
    """Where the pair costs as much as dropping, by Newton's method in floats: (λ, pair) or None."""
    pair, strength = tm.find_minimum(features, 1, starts=8, progress=False).model, 0.0
    for _ in range(30):
        found = tm.find_minimum(features, 1, interference=strength, initial=pair, progress=False)
        pair, slope = found.model, 2 * (found.model.W[0, 0] * found.model.W[0, 1]) ** 2
        if slope < 1e-6:                    # dropping is best at once, or what the pair becomes
            return None
        strength += (v - found.loss) / slope
        if abs(v - found.loss) < 1e-14:
            return strength, pair
    return None


def critical(job):
    """What is proved of λ_c at one point, for one cell of a sweep."""
    point = Critical(job["importance"], job["p"], 0, 0, [], [])
    found = crossing(point.features, float(point.dropping))
    if found is None:
        return {"proved": False, "reason": "dropping is best, or what the pair becomes"}
    at, pair = found
    unit = Fraction(10) ** (floor(log10(at)) - DIGITS)
    low = (round(Fraction(at) / unit) - 1) * unit
    point = point._replace(low=low, high=low + 2 * unit, w=np.round(pair.W[0], 6),
                           b=np.round(pair.b, 6))
    below, above = point.bounded_below(), point.bounded_above()
    return {"proved": below and above, "low": str(point.low), "high": str(point.high),
            "w": point.w, "b": point.b, "reason": f"below: {below}, above: {above}"}


def surface():
    places = [(i, p) for p in PROBABILITIES for i in IMPORTANCES] + EDGES
    jobs = [{"importance": i, "p": p} for i, p in places]
    with ProcessPoolExecutor(2) as pool:
        timed("the surface", lambda: tm.sweep(critical, jobs, OUT / "critical", executor=pool))
    rows = rows_of(OUT / "critical")
    report(rows)
    keep = "importance", "p", "low", "high", "w", "b"
    write("critical.json", [{k: np.array(row[k]).tolist() for k in keep}
                            for row in rows if row["proved"]])


def write(name, rows):
    OUT.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (OUT / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def pentagon(low=LOW, high=HIGH):
    """Cover an interval from the left; on each stretch the pentagon must be cheaper than two digons
    and a dropped feature, or rise against them, so that it becomes dearer at most once.
    """
    start, ends, cheaper, settled = time.perf_counter(), [low], low, True
    with tqdm(total=float(Fraction(high) - Fraction(low)), desc="p") as bar:
        for part in tube.cover(5, low, high):
            (_, most), (slope, _) = tube.gap(part)
            cheaper = part.high if most < 0 else cheaper
            settled &= most < 0 or slope > 0
            ends.append(part.high)
            bar.update(float(part.high - part.low))
    print(f"{len(ends) - 1} stretches in {time.perf_counter() - start:.0f} s: the pentagon is a "
          f"strict minimum on [{low}, {float(ends[-1]):g}], cheaper than the digons up to "
          f"{float(cheaper):g}, and crosses them at most once: {settled}")
    write("pentagon.json", map(str, ends))


ALL = {"points": points, "global": everywhere, "grid": grid, "surface": surface,
       "pentagon": pentagon, "three": three}

if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name in ALL] or ["points", "global"]
    for name in names:
        ALL[name](*(sys.argv[2:] if len(names) == 1 and name in ("pentagon", "three") else ()))
