"""From the pentagon to two digons: five features in two dimensions, and one of them loses weight.

With five equal sparse features the best use of two dimensions is a regular pentagon. Scale down one
feature's importance or probability and the pentagon deforms, until two digons that ignore the
feature cost less: two energy curves cross, and the geometry jumps. This script trains models along
the way and sets them on the exact curves. Features are numbered from 0: the last is feature 4.
"""

from collections import Counter
from itertools import permutations

import common
import numpy as np
from scipy.optimize import brentq

import toymodels_np as tm

P = 0.05                                            # feature probability
RATIOS = (1.5, 1.25, 1.0, 0.85, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
STARTS, STEPS, BATCH, RATE = 10, 4000, 256, 0.01
PENTAGON, DIGONS = "pentagon", "2 digons + dropped"
SHOWN = (1.5, 1.0, 0.6, 0.4, 0.3, 0.2, 0.05)        # ratios whose geometry is drawn
ANGLES = {PENTAGON: (-72, -144, 144, 72, 0), DIGONS: (-45, -135, 135, 45, 0)}   # as drawn, from up
IGNORED = 0.1                                       # a column that is shorter is a dropped feature


def law(vary, ratio):
    """Feature probabilities and importances (5,) with the last feature's scaled."""
    scaled = np.array([1, 1, 1, 1, ratio])
    return (P * scaled, np.ones(5)) if vary == "probability" else (np.full(5, P), scaled)


def digons_energy(vary, ratio):
    p, importance = law(vary, ratio)
    return tm.energies.digons(2, P, dropped=1, dropped_probability=p[4],
                              dropped_importance=importance[4]).loss


def pentagon_branch(vary):
    """{ratio: Branch} from the regular pentagon outwards, each from its neighbour."""
    branch = {1.0: tm.energies.deformed_polygon(5, P)}
    rising = sorted(RATIOS)
    for outwards in ([r for r in rising if r > 1], [r for r in reversed(rising) if r < 1]):
        last = branch[1.0]
        for ratio in outwards:
            last = tm.energies.local_minimum(last.W, last.bias, *law(vary, ratio))
            if tm.name_geometry(last.W) != PENTAGON:
                break
            branch[ratio] = last
    return branch


def crossing_of(vary, branch):
    """The ratio at which pentagon and digons cost the same, or None."""
    def gap(ratio):
        near = branch[min(branch, key=lambda r: abs(r - ratio))]
        pentagon = tm.energies.local_minimum(near.W, near.bias, *law(vary, ratio))
        return pentagon.loss - digons_energy(vary, ratio)
    low, high = min(branch), max(branch)
    return brentq(gap, low, high, xtol=1e-9) if gap(low) * gap(high) < 0 else None


def train(vary, seed):
    """{ratio: (losses, names, model)} of STARTS trained models each, with exact losses."""
    laws = [law(vary, ratio) for ratio in RATIOS for _ in range(STARTS)]
    features = tm.Features(5, np.array([p for p, _ in laws]), np.array([i for _, i in laws]))
    history = tm.train(tm.ReluOutput.init(5, 2, len(laws), seed=seed), features, steps=STEPS,
                       batch_size=BATCH, learning_rate=RATE, schedule="cosine", seed=seed,
                       record_every=STEPS)
    model, found = history.model.astype(np.float64), {}
    for i, ratio in enumerate(RATIOS):
        part = model[i * STARTS:(i + 1) * STARTS]
        losses = tm.energies.enumerated_loss(part.W, part.b, *law(vary, ratio))
        found[ratio] = losses, [tm.name_geometry(W) for W in part.W], part
    return found


def pose(W, geometry):
    """W turned to its ANGLES; features 0 to 3 are alike and may change places, 4 may not."""
    angles = np.radians(ANGLES.get(geometry, ANGLES[PENTAGON]))
    reference = np.stack([-np.sin(angles), np.cos(angles)])
    poses = [tm.align(W[:, [*others, 4]], reference, relabel=False)
             for others in permutations(range(4))]
    return min(poses, key=lambda V: np.linalg.norm(V - reference))


def table(found, energy):
    """Print a row a ratio, and return the rows with all numbers."""
    print(f"{'ratio':>6} {'best trained':>13} {'analytic':>11} {'excess':>8}  {'geometry':<20} "
          f"starts that found it")
    rows = []
    for ratio, (losses, names, part) in found.items():
        k = losses.argmin()
        loss, name, analytic = losses[k], names[k], energy.get(names[k], {}).get(ratio)
        dead = (tm.norms(part.W)[:, 4] < IGNORED) & (part.b[:, 4] < 0)          # always 0
        rows.append({"ratio": ratio, "best_loss": loss, "analytic": analytic, "geometry": name,
                     "found_by": names.count(name), "geometries": Counter(names), "names": names,
                     "losses": losses, "dead": dead, "W": part.W[k], "b": part.b[k],
                     "norms": tm.norms(part.W[k])})
        excess = f"{'-':>11} {'-':>8}" if analytic is None else \
            f"{analytic:>11.6f} {loss / analytic - 1:>8.3%}"
        print(f"{ratio:>6g} {loss:>13.6f} {excess}  {name:<20} {names.count(name)} of {STARTS}")
    return rows


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/pentagon_to_digon.py --vary probability")
    parser.add_argument("--vary", choices=("importance", "probability"), default="importance",
                        help="what of the last feature is scaled (default: importance)")
    options = common.parse(parser, arguments)
    vary = options.vary
    found, branch = train(vary, options.seed), pentagon_branch(vary)
    crossing = crossing_of(vary, branch)
    energy = {PENTAGON: {r: b.loss for r, b in branch.items()},
              DIGONS: {r: digons_energy(vary, r) for r in RATIOS}}

    print(f"n = 5, m = 2, p = {P}; feature 4 has its {vary} scaled by the ratio; "
          f"{STARTS} starts each, seed {options.seed}")
    rows = table(found, energy)
    print("the analytic branches do not cross" if crossing is None else
          f"the analytic branches cross at ratio {crossing:.6f}: feature 4 {1 / crossing:.3f} "
          f"times less {vary}")
    solutions = [(row["ratio"], row["geometry"], pose(row["W"], row["geometry"]))
                 for row in rows if row["ratio"] in SHOWN]
    trained = [(row["ratio"], *point) for row in rows
               for point in zip(row["losses"], row["names"], row["dead"])]
    curves = {name: np.array([loss.get(r, np.nan) for r in RATIOS])
              for name, loss in energy.items()}
    figure = tm.plots.pentagon_to_digon(
        vary, np.array(RATIOS), curves, crossing, trained, solutions,
        *(np.array([row[key] for row in rows]) for key in ("norms", "b")))
    record = {"n": 5, "m": 2, "p": P, "vary": vary, "seed": options.seed, "crossing": crossing,
              "energies": {name: [{"ratio": r, "loss": e} for r, e in loss.items()]
                           for name, loss in energy.items()}, "trained": rows}
    for path in common.write(figure, record, options.out / f"pentagon_to_digon_{vary}"):
        print("wrote", path)


if __name__ == "__main__":
    main()
