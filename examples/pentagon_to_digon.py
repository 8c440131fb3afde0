"""From the pentagon to two digons: five features in two dimensions, and one of them loses weight.

With five equal sparse features the best use of two dimensions is a regular pentagon. Scale down one feature's
importance or probability and the pentagon deforms, until two digons that ignore the feature cost less: two energy
curves cross, and the geometry jumps. This script trains models along the way and sets them on the exact curves.
"""

from collections import Counter
from itertools import permutations

import numpy as np
from scipy.optimize import brentq
from tqdm import tqdm

import common
import toymodels_np as tm
from toymodels_np import plots as figures

P = 0.05                                            # feature probability
RATIOS = (1.5, 1.25, 1.0, 0.85, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
STARTS, STEPS, BATCH, RATE = 10, 4000, 256, 0.01
PENTAGON, DIGONS = "pentagon", "2 digons + dropped"
SHOWN = (1.5, 1.0, 0.6, 0.4, 0.3, 0.2, 0.05)        # ratios whose geometry is drawn


def law(vary, ratio):
    """Feature probabilities and importances (5,) with the fifth feature's scaled."""
    scaled = np.array([1, 1, 1, 1, ratio])
    return (P * scaled, np.ones(5)) if vary == "probability" else (np.full(5, P), scaled)


def digons_energy(vary, ratio):
    p, importance = law(vary, ratio)
    return tm.energies.digons(2, P, dropped=1, dropped_probability=p[4], dropped_importance=importance[4]).loss


def pentagon_branch(vary):
    """{ratio: Branch} from the regular pentagon outwards, each started from its neighbour, while it is a pentagon."""
    branch = {1.0: tm.energies.deformed_polygon(5, P)}
    for outwards in (sorted(r for r in RATIOS if r > 1), sorted((r for r in RATIOS if r < 1), reverse=True)):
        last = branch[1.0]
        for ratio in tqdm(outwards, desc="pentagon branch", unit="ratio", disable=None, leave=False):
            last = tm.energies.local_minimum(last.W, last.bias, *law(vary, ratio))
            if tm.name_geometry(last.W) != PENTAGON:
                break
            branch[ratio] = last
    return branch


def crossing_of(vary, branch):
    """The ratio at which pentagon and digons cost the same, or None."""
    def gap(ratio):
        near = branch[min(branch, key=lambda r: abs(r - ratio))]
        return tm.energies.local_minimum(near.W, near.bias, *law(vary, ratio)).loss - digons_energy(vary, ratio)

    signs = sorted((r, b.loss > digons_energy(vary, r)) for r, b in branch.items())
    brackets = [(a, b) for (a, worse), (b, next_worse) in zip(signs, signs[1:]) if worse != next_worse]
    return brentq(gap, *brackets[0], xtol=1e-9) if brackets else None


def train(vary, seed):
    """{ratio: (losses, names, model)} of STARTS trained models each, with exact losses."""
    laws = [law(vary, ratio) for ratio in RATIOS for _ in range(STARTS)]
    features = tm.Features(5, np.array([p for p, _ in laws]), np.array([importance for _, importance in laws]))
    start = tm.ReluOutput.init(5, 2, len(laws), seed=seed)
    model = tm.train(start, features, steps=STEPS, batch_size=BATCH, learning_rate=RATE, schedule="cosine",
                     seed=seed, record_every=STEPS).model.astype(np.float64)
    found = {}
    for i, ratio in enumerate(RATIOS):
        part = model[i * STARTS:(i + 1) * STARTS]
        losses = tm.energies.enumerated_loss(part.W, part.b, *law(vary, ratio))
        found[ratio] = losses, [tm.name_geometry(W) for W in part.W], part
    return found


def pose(W, reference):
    """W turned onto the reference; features 1 to 4 are alike and may change places, feature 5 keeps its own."""
    poses = [tm.align(W[:, [*others, 4]], reference, relabel=False) for others in permutations(range(4))]
    return min(poses, key=lambda V: np.linalg.norm(V - reference))


def references(branch):
    """Where to lay each geometry: feature 5 points up, and the digons stand on the diagonals between its neighbours."""
    around = np.array([-72, -144, 144, 72, 0])
    pentagon = np.stack([-np.sin(np.radians(around)), np.cos(np.radians(around))])
    diagonal = np.array([-45, -135, 135, 45])
    digons = np.zeros((2, 5))
    digons[:, :4] = -np.sin(np.radians(diagonal)), np.cos(np.radians(diagonal))
    return {PENTAGON: pentagon * branch[1.0].norm[0], DIGONS: digons}


def parse(arguments):
    parser = common.parser(__doc__, "python examples/pentagon_to_digon.py --vary probability")
    parser.add_argument("--vary", choices=("importance", "probability"), default="importance",
                        help="what of the fifth feature is scaled from 1.5 down to 0.05 (default: importance)")
    return common.parse(parser, arguments)


def main(arguments=None):
    options = parse(arguments)
    vary = options.vary
    found = train(vary, options.seed)
    branch = pentagon_branch(vary)
    crossing = crossing_of(vary, branch)
    energy = {PENTAGON: {r: b.loss for r, b in branch.items()}, DIGONS: {r: digons_energy(vary, r) for r in RATIOS}}

    print(f"n = 5, m = 2, p = {P}; feature 5 has its {vary} scaled by the ratio; {STARTS} starts each, seed {options.seed}")
    print(f"{'ratio':>6} {'best trained':>13} {'analytic':>11} {'excess':>8}  {'geometry':<20} starts that found it")
    rows, trained = [], []
    for ratio, (losses, names, part) in found.items():
        best = losses.argmin()
        analytic = energy.get(names[best], {}).get(ratio)
        excess = None if analytic is None else losses[best] / analytic - 1
        rows.append({"ratio": ratio, "best_loss": losses[best], "analytic": analytic, "geometry": names[best],
                     "found_by": names.count(names[best]), "geometries": Counter(names), "losses": losses.tolist(),
                     "W": part.W[best].tolist(), "norms": tm.norms(part.W[best]).tolist(), "b": part.b[best].tolist()})
        trained += zip([ratio] * STARTS, losses, names)
        print(f"{ratio:>6g} {losses[best]:>13.6f} " + ("          -        -" if analytic is None else
              f"{analytic:>11.6f} {excess:>8.3%}") + f"  {names[best]:<20} {names.count(names[best])} of {STARTS}")
    print("the analytic branches do not cross" if crossing is None else
          f"the analytic branches cross at ratio {crossing:.6f}: feature 5 {1 / crossing:.3f} times less {vary}")

    laid = references(branch)
    solutions = [(row["ratio"], row["geometry"], pose(np.array(row["W"]), laid.get(row["geometry"], laid[PENTAGON])))
                 for row in rows if row["ratio"] in SHOWN]
    curves = {name: np.array([values.get(r, np.nan) for r in RATIOS]) for name, values in energy.items()}
    figure = figures.pentagon_to_digon(vary, np.array(RATIOS), curves, crossing, trained, solutions,
                                       *(np.array([row[key] for row in rows]) for key in ("norms", "b")))
    record = {"n": 5, "m": 2, "p": P, "vary": vary, "seed": options.seed, "crossing": crossing,
              "energies": {name: [{"ratio": r, "loss": e} for r, e in values.items()] for name, values in energy.items()},
              "trained": rows}
    for path in common.write(figure, record, options.out / f"pentagon_to_digon_{vary}"):
        print("wrote", path)


if __name__ == "__main__":
    main()
