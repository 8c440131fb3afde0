"""Learning without noise: two correlated sets of three features find their octahedron.

Six features in three dimensions follow the exact gradient flow from small random weights. The loss
falls in steps, and each plateau between them belongs to a saddle: nothing is represented, then each
set by one direction (its sum, the principal components), then shapes in which some members of a set
are still merged, or two triangles one above the other, a prism (seed 7). At the end they are turned
against each other: an octahedron, antipodes from different sets.
"""

from collections import Counter

import common
import numpy as np
from tqdm.auto import tqdm

import toymodels_np as tm

P = 0.1                                             # feature probability
SETS = ((0, 1, 2), (3, 4, 5))                       # correlated: on or off together
HIDDEN, SCALE, T_FINAL = 3, 0.01, 1e5               # dimensions, first weights' size, end of time
FULL_STARTS = 10
SAME = 1e-3                                         # columns that differ by less are one direction
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"              # of the plateaus


def flow_from(seed):
    W = SCALE * np.random.default_rng(seed).normal(size=(HIDDEN, 6))
    features = tm.Features(6, P, correlated=SETS)
    return tm.gradient_flow(tm.ReluOutput(W, np.zeros(6)), features, t_final=T_FINAL)


def merged(W):
    """The features of W as lists, those with the same column together; those at 0 left out."""
    same = [np.flatnonzero(np.linalg.norm(W.T - w, axis=1) < SAME).tolist()
            for w in W.T if np.linalg.norm(w) > SAME]
    return sorted(map(list, set(map(tuple, same))))


def describe(W, groups):
    """A name for the picture: how many directions the features share, or what shape they have."""
    if len(groups) < W.shape[1]:
        return f"{len(groups)} directions" if groups else "nothing"
    gram = tm.gram(W)
    within = [gram[np.ix_(members, members)][np.triu_indices(3, 1)] for members in SETS]
    alike = np.ptp(within) < SAME                   # two regular triangles of one size, …
    if antipodes_cross(W):                          # … at the height of an octahedron, or another
        regular = np.max(np.abs(within)) < SAME
        return "regular octahedron" if regular else "antiprism" if alike else "skew octahedron"
    above = gram[:3, 3:].argmax(1)                  # … one straight above the other
    prism = alike and len(set(above)) == 3 and gram[:3, 3:].max() > 0
    return "prism" if prism else f"{len(groups)} directions"


def row_of(plateau, flow):
    """A plateau as a dict; W is the saddle's, or the flow's own where no saddle is known."""
    model = plateau.model or flow.parameters[int(abs(flow.losses - plateau.loss).argmin())]
    groups = merged(model.W)
    return {"start": plateau.start, "end": plateau.end, "loss": plateau.loss,
            "saddle_loss": plateau.saddle_loss, "gradient_norm": plateau.gradient_norm,
            "index": plateau.index, "geometry": plateau.geometry, "note": plateau.note,
            "W": model.W, "b": model.b, "groups": groups, "words": describe(model.W, groups)}


def pose(rows):
    """The Ws turned for the eye: at the end set 0 is above set 1, each before is near the next."""
    W = rows[-1]["W"]
    axes = np.stack([W[:, :3].sum(1) - W[:, 3:].sum(1), W[:, 0], W[:, 1]], axis=1)
    Q = np.linalg.qr(axes)[0][:, [1, 2, 0]]
    Q *= np.sign((Q * axes[:, [1, 2, 0]]).sum(0))
    turned = [Q.T @ W]
    for row in reversed(rows[:-1]):
        turned.insert(0, tm.align(row["W"], turned[0], relabel=False))
    return turned


def antipodes_cross(W):
    """Whether W is three digons, each with one feature from either set."""
    antipode = tm.gram(W).argmin(1)
    return tm.name_geometry(W) == "3 digons" and bool(((antipode < 3) != (np.arange(6) < 3)).all())


def survey():
    """The route of each start: the shapes it passes, their indices, and where it ends."""
    routes = []
    for seed in tqdm(range(FULL_STARTS), desc="starts", unit="start", disable=None, leave=False):
        flow = flow_from(seed)
        rows, final = [row_of(plateau, flow) for plateau in flow.plateaus], flow.parameters.W[-1]
        routes.append({"seed": seed, "plateaus": rows, "end": tm.name_geometry(final),
                       "cross": antipodes_cross(final)})
        print(f"seed {seed}: " + ", ".join(
            "no saddle" if row["index"] is None else f"{row['words']} ({row['index']})"
            for row in rows))
    counts = Counter(route["end"] for route in routes)
    print("ends: " + ", ".join(f"{name} {count} of {FULL_STARTS}"
                               for name, count in counts.most_common()))
    return routes


def table(rows):
    """Print each plateau with its saddle, and what is to be said of it."""
    print(f"  {'log10 t':>13} {'loss':>9} {'at saddle':>10} {'gradient':>9} {'index':>5}  "
          f"{'geometry':<14} shape")
    for letter, row in zip(LETTERS, rows):
        found = f"{'no saddle':>10} {'-':>9} {'-':>5}" if row["index"] is None else \
            f"{row['saddle_loss']:>10.6f} {row['gradient_norm']:>9.1e} {row['index']:>5}"
        print(f"{letter} {np.log10(row['start']):>5.2f} … {np.log10(row['end']):>5.2f} "
              f"{row['loss']:>9.6f} {found}  {row['geometry']:<14} {row['words']}")
    for letter, row in zip(LETTERS, rows):
        if row["note"]:
            print(f"{letter}: {row['note']}")


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/05_gradient_flow.py --seed 7",
                           full=f"also the routes of {FULL_STARTS} starts (minutes)")
    options = common.parse(parser, arguments)
    flow = flow_from(options.seed)
    rows = [row_of(plateau, flow) for plateau in flow.plateaus]
    if not rows:
        raise SystemExit(f"the flow from seed {options.seed} has no plateau up to t = {T_FINAL:g}")

    print(f"n = 6, m = {HIDDEN}, p = {P}, correlated sets {SETS}; weights from N(0, {SCALE}^2), "
          f"seed {options.seed}")
    table(rows)
    final = flow.parameters.W[-1]
    print(f"at t = {T_FINAL:g}: loss {flow.losses[-1]:.9f}, {tm.name_geometry(final)}, antipodes "
          f"from different sets: {'yes' if antipodes_cross(final) else 'no'}")

    figure = tm.plots.gradient_flow(flow.times, flow.losses, rows, pose(rows), SETS)
    record = {"n": 6, "m": HIDDEN, "p": P, "sets": SETS, "seed": options.seed,
              "times": flow.times, "losses": flow.losses, "speeds": flow.speeds, "plateaus": rows,
              "routes": survey() if options.full else None}
    for path in common.write(figure, record, options.out / "gradient_flow"):
        print("wrote", path)


if __name__ == "__main__":
    main()
