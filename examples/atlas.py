"""Write the atlas: minima and saddles of small models of equal features, certified where they can
be.

For every size and probability the distinct minima that a few searches find, lowest first, and the
saddles of index 1 that are reached from them by climbing along the softest direction. Each is
handed to `tm.certify`; what it cannot prove is kept with the reason. `tm.load_atlas(DIR)` reads
what is written; without DIR it reads the atlas that comes with the package, which was made with
--out toymodels_np/theory/certify/atlas.
"""

import json
from pathlib import Path

import common
import numpy as np
from tqdm import tqdm

import toymodels_np as tm
from toymodels_np.theory.certify import atlas

SIZES = (2, 1), (3, 2), (4, 2), (5, 2), (6, 2), (6, 3)
PROBABILITIES = 0.01, 0.05, 0.1, 0.2, 0.5
SEARCHES, STARTS = 6, 3             # searches for minima, each from so many starts
MINIMA, SADDLES, CLIMBS = 3, 2, 12  # kept of each sort, and how often a saddle is looked for
SAME = 1e-9                         # relative difference of losses below which two points are one
PUSH = 0.3                          # length of the random push with which a climb begins


def minima(features, m):
    """The distinct minima found, lowest first: [(loss, model)]."""
    found = []
    for seed in range(SEARCHES):
        try:
            minimum = common.find_minimum(features, m, starts=STARTS, seed=seed)
        except tm.NotConverged:
            continue
        found.append((minimum.loss, minimum.model))
    return distinct(found)[:MINIMA]


def saddles(features, below):
    """The distinct saddles that climbs from the minima `below` end in, lowest first."""
    found, rng = [], np.random.default_rng(0)
    for k in range(CLIMBS):
        _, model = below[k % len(below)]
        push = rng.normal(size=model.W.shape) * (rng.random(model.W.shape[1]) < 0.4)
        push *= PUSH / (np.linalg.norm(push) or 1)
        top = tm.climb_to_saddle(tm.ReluOutput(model.W + push, model.b), features)
        if top is not None:
            found.append((float(tm.expected_loss(top, features)), top))
    return [s for s in distinct(found) if all(abs(s[0] / m[0] - 1) > SAME for m in below)][:SADDLES]


def distinct(found):
    """Sorted by loss, one for each value."""
    kept = []
    for loss, model in sorted(found, key=lambda pair: pair[0]):
        if not kept or loss > kept[-1][0] * (1 + SAME):
            kept.append((loss, model))
    return kept


def cell(n, m, p):
    """The atlas entries of one size and probability."""
    features = tm.Features(n, p)
    low = minima(features, m)
    return [atlas.entry(model, features, loss, tm.name_geometry(model.W),
                        tm.certify(model, features))
            for loss, model in low + saddles(features, low)]


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/atlas.py --out out/atlas", seed=False)
    parser.set_defaults(out=Path("out/atlas"))
    options = common.parse(parser, arguments)
    for n, m in tqdm(SIZES):
        entries = [e for p in PROBABILITIES for e in cell(n, m, p)]
        text = json.dumps(entries, separators=(",", ":"))
        path = options.out / f"{n}-features-{m}-dimensions.json"
        path.write_text(text + "\n", encoding="utf-8")
    for e in tm.load_atlas(options.out):
        print(f"({e.n_features}, {e.n_hidden})  p = {float(e.feature_probability):<5g} {e.kind:14} "
              f"{e.loss:.12f}  {e.name}  {e.reason}")


if __name__ == "__main__":
    main()
